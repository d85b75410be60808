//! Names of the files of a data set: their order, and what is odd about them.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::ENDINGS;
use crate::DataError;

/// The name of a file.
pub(super) fn of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// A name without the ending of a part, and that ending in small letters, without `.gz`; `None` if it has none.
fn split(name: &str) -> Option<(&str, &'static str)> {
    let (stem, last) = name.rsplit_once('.')?;
    let is_gzip = last.eq_ignore_ascii_case("gz");
    let (stem, ending) = if is_gzip {
        stem.rsplit_once('.')?
    } else {
        (stem, last)
    };
    let mut known = ENDINGS.into_iter();
    let known = known.find(|known| known.eq_ignore_ascii_case(ending))?;
    (!is_gzip || ["csv", "tsv"].contains(&known)).then_some((stem, known))
}

/// The ending of a file that can be a part.
pub(super) fn ending(path: &Path) -> Option<&'static str> {
    split(&of(path)).map(|(_, ending)| ending)
}

/// The name of such a file without its ending.
pub(super) fn stem(path: &Path) -> String {
    let name = of(path);
    split(&name).map_or(&*name, |(stem, _)| stem).to_owned()
}

/// Order of names in which numbers count by their value; those of equal numbers are in the order of their bytes.
pub(super) fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let [x, y] = [&mut left, &mut right].map(next);
        let order = match (x, y) {
            (None, None) => return a.cmp(b),
            (Some(x), Some(y)) if is_number(x) && is_number(y) => {
                let [x, y] = [x, y].map(|digits| digits.trim_start_matches('0'));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            (x, y) => x.cmp(&y),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn is_number(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// Takes the number, or else the character, that `rest` begins with.
fn next<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let first = rest.chars().next()?;
    let end = if first.is_ascii_digit() {
        let end = rest.find(|c: char| !c.is_ascii_digit());
        end.unwrap_or(rest.len())
    } else {
        first.len_utf8()
    };
    let (taken, after) = rest.split_at(end);
    *rest = after;
    Some(taken)
}

/// Refuses `files` of several formats, and such as hold samples twice or lack some.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check(root: &Path, files: &[PathBuf]) -> Result<(), DataError> {
    let wrong = |expected: &str, found: String| {
        DataError::wrong(root.display().to_string(), "files", expected, found)
    };
    let mut format = None;
    let (mut stems, mut places) = (BTreeMap::new(), BTreeMap::new());
    for file in files {
        let name = of(file);
        let Some((stem, ending)) = split(&name) else {
            continue;
        };
        let (known, other) = format.get_or_insert_with(|| (ending, name.clone()));
        if *known != ending {
            let expected = "arrays or tables of one format; move those of the other to another folder, or name a single file";
            return Err(wrong(expected, format!("`{other}` and `{name}`")));
        }
        // `a.csv` and `a.csv.gz`, or a link and what it leads to.
        let same_name = stems.insert(stem.to_owned(), name.clone());
        let place = fs::canonicalize(file).ok();
        let same_place = place.and_then(|place| places.insert(place, name.clone()));
        if let Some(other) = same_name.or(same_place) {
            let expected = "each file once; remove one of the two";
            let found = format!("`{other}` and `{name}`, which are the same");
            return Err(wrong(expected, found));
        }
    }
    check_numbers(&stems).map_err(|(expected, found)| wrong(&expected, found))
}

/// Holds names that say how many parts there are to that, and parts to be without what was made of them; if they are not so, what was
/// expected and found. `stems` are those of names.
fn check_numbers(stems: &BTreeMap<String, String>) -> Result<(), (String, String)> {
    let mut numbered: BTreeMap<&str, BTreeMap<usize, BTreeSet<usize>>> = BTreeMap::new();
    for (before, index, count) in stems.keys().filter_map(|stem| numbers(stem)) {
        let counts = numbered.entry(before).or_default();
        counts.entry(count).or_default().insert(index);
    }
    for (before, counts) in &numbered {
        let whole = before.trim_end_matches(['.', '-', '_']);
        if let Some(file) = stems.get(whole) {
            let expected = "either parts or what they were merged into; remove one of the two";
            let found = format!("`{file}` and parts of it, `{before}…`");
            return Err((expected.to_owned(), found));
        }
        if counts.len() > 1 {
            let counts: Vec<String> = counts.keys().map(ToString::to_string).collect();
            let found = format!("`{before}…` of {}", counts.join(" and of "));
            return Err(("parts of one kind; remove the others".to_owned(), found));
        }
        for (&count, there) in counts {
            let from = usize::from(!there.contains(&0));
            let numbers = from..count.saturating_add(from);
            let text = |index: usize| index.to_string();
            let more = there.iter().filter(|index| !numbers.contains(index));
            let more: Vec<String> = more.map(|&index| text(index)).collect();
            // A name may claim any count.
            const MOST: usize = 20;
            let missing = numbers.clone().filter(|index| !there.contains(index));
            let missing: Vec<String> = missing.take(MOST).map(text).collect();
            let expected = format!("all {count} parts `{before}…-of-{count}`");
            if !missing.is_empty() {
                let found = format!("{}, without {}", there.len(), missing.join(", "));
                return Err((expected, found));
            }
            if !more.is_empty() {
                return Err((expected, format!("{} beside them", more.join(", "))));
            }
        }
    }
    Ok(())
}

/// Of a name such as `a.3-of-8` or `a-00003-of-00008`: what stands before the numbers, and both of them.
fn numbers(stem: &str) -> Option<(&str, usize, usize)> {
    let (before, count) = stem.rsplit_once("-of-")?;
    let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (before, index) = before.split_at(before.len() - digits);
    Some((before, index.parse().ok()?, count.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_by_their_value() {
        let sorted = [
            "a",
            "part-1",
            "part-02",
            "part-2",
            "part-10",
            "part-10-1",
            "part-100",
            "part-18446744073709551617",
            "part-x",
            "é1",
            "é10",
        ];
        let mut names = sorted.map(str::to_owned);
        names.reverse();
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, sorted);
        // Byte by byte it is another order.
        names.sort();
        assert_ne!(names, sorted);
    }

    #[test]
    fn endings_are_those_of_arrays_and_tables() {
        for (name, expected) in [
            ("a.npy", Some("npy")),
            ("a.CSV", Some("csv")),
            ("a.b.tsv.gz", Some("tsv")),
            ("a.npy.gz", None),
            ("a.txt", None),
            ("npy", None),
        ] {
            assert_eq!(ending(Path::new(name)), expected, "{name}");
        }
    }

    #[test]
    fn numbers_of_parts_are_found_in_both_spellings() {
        assert_eq!(numbers("a.3-of-8"), Some(("a.", 3, 8)));
        assert_eq!(numbers("train-00003-of-00008"), Some(("train-", 3, 8)));
        assert_eq!(numbers("best-of-8"), None);
        assert_eq!(numbers("part-3"), None);
    }
}
