//! The file of a sweep, read entry by entry, so that an error can name the one that is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use toml::{Table, Value};
use vae_data::did_you_mean;

use super::{Sweep, shown};
use crate::recipe::Preset;
use crate::{RecipeError, RecipePatch};

/// Most runs of a sweep: more are a slip of the keyboard.
const MOST_RUNS: usize = 100_000;
/// Longest name of a run's folder, bytes: file systems allow 255, and its files have names of their own.
const LONGEST_NAME: usize = 200;
/// What a file of a sweep has.
const KEYS: [&str; 3] = ["seeds", "base", "grid"];

impl Sweep {
    /// Reads the sweep in the TOML file `path`.
    ///
    /// # Errors
    /// If the file cannot be read, or is not that of a sweep; the error names the entry.
    pub fn read(path: &Path) -> Result<Self, RecipeError> {
        let text = fs::read_to_string(path).map_err(|cause| RecipeError::File {
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(&text, path)
    }

    /// From the content of the TOML file at `path`.
    ///
    /// # Errors
    /// If it is not that of a sweep; the error names the entry.
    pub fn parse(text: &str, path: &Path) -> Result<Self, RecipeError> {
        let table: Table = toml::from_str(text).map_err(|cause| RecipeError::Config {
            path: path.to_owned(),
            hint: String::new(),
            cause: Box::new(cause),
        })?;
        let sweep =
            Self::of(table).map_err(|Wrong(place, expected, found)| RecipeError::Sweep {
                path: path.to_owned(),
                place,
                expected,
                found,
            })?;
        Ok(sweep)
    }

    fn of(mut table: Table) -> Result<Self, Wrong> {
        if let Some(unknown) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let found = if RecipePatch::NAMES.contains(&unknown.as_str()) {
                "a setting, which stands in [base] or, as a list, in [grid]".to_owned()
            } else {
                format!("another entry{}", did_you_mean(unknown, KEYS))
            };
            return Err(Wrong::at(unknown, "seeds, [base] and [grid] alone", found));
        }
        let sweep = Self {
            seeds: seeds(table.remove("seeds"))?,
            base: base(part(&mut table, "base")?)?,
            grid: grid(part(&mut table, "grid")?)?,
        };
        let points = sweep.grid.values().map(Vec::len);
        let runs = points.fold(sweep.seeds.len(), usize::saturating_mul);
        if runs > MOST_RUNS {
            let expected = format!("values for {MOST_RUNS} runs at most");
            return Err(Wrong::at("grid", expected, format!("{runs} runs")));
        }
        let mut names = BTreeSet::new();
        for run in sweep.runs() {
            if run.name.len() > LONGEST_NAME {
                let expected = format!("names of folders of {LONGEST_NAME} letters at most");
                return Err(Wrong::at("grid", expected, run.name));
            }
            if let Some(name) = names.replace(run.name) {
                let expected = "values that give every run's folder a name of its own";
                return Err(Wrong::at("grid", expected, format!("{name} twice")));
            }
        }
        Ok(sweep)
    }
}

/// Where something is wrong, what was expected there, and what was found.
pub(super) struct Wrong(String, String, String);

impl Wrong {
    fn at(place: impl Into<String>, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self(place.into(), expected.into(), found.into())
    }
}

/// Takes a table out of the file, empty if it is not there.
fn part(table: &mut Table, name: &str) -> Result<Table, Wrong> {
    match table.remove(name) {
        None => Ok(Table::new()),
        Some(Value::Table(part)) => Ok(part),
        Some(other) => Err(Wrong::at(name, format!("a table, [{name}]"), kind(&other))),
    }
}

fn seeds(value: Option<Value>) -> Result<Vec<u64>, Wrong> {
    let expected = "their number, such as 3, or a list of different ones, such as [0, 1, 2]";
    let wrong = |found: String| Wrong::at("seeds", expected, found);
    let seed = |value: &Value| value.as_integer().and_then(|seed| seed.try_into().ok());
    let seeds: Vec<u64> = match &value {
        None => return Err(wrong("none".into())),
        Some(Value::Integer(count)) => {
            let most = MOST_RUNS as i64;
            (0..(*count).clamp(0, most + 1) as u64).collect()
        }
        Some(Value::Array(list)) => {
            let seeds: Option<Vec<u64>> = list.iter().map(seed).collect();
            seeds.unwrap_or_default()
        }
        Some(_) => Vec::new(),
    };
    let different: BTreeSet<&u64> = seeds.iter().collect();
    if seeds.is_empty() || different.len() < seeds.len() {
        return Err(wrong(
            value.map_or_else(String::new, |value| value.to_string()),
        ));
    }
    Ok(seeds)
}

fn base(mut table: Table) -> Result<RecipePatch, Wrong> {
    let preset = match table.remove("preset") {
        None => RecipePatch::default(),
        Some(name) => {
            let shown = shown(&name);
            let preset: Result<Preset, toml::de::Error> = name.try_into();
            let preset = preset.map_err(|error| {
                Wrong::at(
                    "base.preset",
                    "the name of a preset",
                    format!("{shown}: {}", error.message()),
                )
            })?;
            preset.patch()
        }
    };
    let mut own = RecipePatch::default();
    for (name, value) in table {
        let more = setting(&name, value).map_err(|Wrong(place, expected, found)| {
            Wrong(format!("base.{place}"), expected, found)
        })?;
        own = more.over(own);
    }
    Ok(own.overruling(preset))
}

fn grid(table: Table) -> Result<BTreeMap<String, Vec<Value>>, Wrong> {
    let mut grid = BTreeMap::new();
    for (name, values) in table {
        let place = format!("grid.{name}");
        let list = match values {
            Value::Array(list) if !list.is_empty() => list,
            other => return Err(Wrong::at(place, "a list of values", other.to_string())),
        };
        let mut values: Vec<Value> = Vec::new();
        for value in list {
            let patch = setting(&name, value)
                .map_err(|Wrong(_, expected, found)| Wrong::at(place.clone(), expected, found))?;
            // As a config file has it: 1 and 1.0 are one value of a setting that is a number.
            let written = Table::try_from(patch).unwrap_or_default().remove(&name);
            let Some(value) = written else { continue };
            if values.contains(&value) {
                let found = format!("{} twice", shown(&value));
                return Err(Wrong::at(place, "a list of different values", found));
            }
            values.push(value);
        }
        grid.insert(name, values);
    }
    Ok(grid)
}

/// The setting `name` alone.
pub(super) fn setting(name: &str, value: Value) -> Result<RecipePatch, Wrong> {
    if name == "seed" {
        let expected = "no seed but those of the sweep's seeds";
        return Err(Wrong::at(name, expected, value.to_string()));
    }
    if !RecipePatch::NAMES.contains(&name) {
        let names = RecipePatch::NAMES.iter().copied();
        let found = format!("`{name}`{}", did_you_mean(name, names));
        return Err(Wrong::at(
            name,
            "a setting, as config files of train have them",
            found,
        ));
    }
    let shown = value.to_string();
    let table = Table::from_iter([(name.to_owned(), value)]);
    table.try_into().map_err(|error: toml::de::Error| {
        let expected = "a value as config files of train have it";
        Wrong::at(name, expected, format!("{shown}: {}", error.message()))
    })
}

/// The kind of a value, in words.
fn kind(value: &Value) -> String {
    format!("a value of type {}", value.type_str())
}
