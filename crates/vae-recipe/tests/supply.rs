//! What the project takes from others, and what it promises about its own code: the Rust version that is enough, and every `unsafe`.
//! Licences, sources and double versions are checked by cargo-deny (deny.toml).
#![expect(clippy::expect_used, reason = "tests fail aloud")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The packages that the lock file leads to: of every feature and platform if all are on this machine, else of this one.
fn packages() -> Vec<Value> {
    let metadata = |more: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        let cargo = cargo.args(["metadata", "--format-version=1", "--locked", "--offline"]);
        let found = cargo.args(more).current_dir(root()).output();
        let found = found.expect("cargo runs");
        found.status.success().then_some(found.stdout)
    };
    let host = Command::new(env!("CARGO")).arg("-vV").output();
    let host = String::from_utf8(host.expect("cargo runs").stdout).expect("text");
    let host = host.lines().find_map(|line| line.strip_prefix("host: "));
    let only = format!("--filter-platform={}", host.expect("a host"));
    let found = metadata(&["--all-features"]).or_else(|| metadata(&[&only]));
    let found: Value = serde_json::from_slice(&found.expect("metadata")).expect("JSON");
    found["packages"].as_array().expect("a list").clone()
}

fn version(text: &str) -> Vec<u32> {
    let parts = text.split('.').map(|part| part.parse().expect("a number"));
    parts.chain([0; 3]).take(3).collect()
}

#[test]
fn no_dependency_asks_for_a_newer_rust_than_the_stated_one() {
    let stated = version(env!("CARGO_PKG_RUST_VERSION"));
    let packages = packages();
    assert!(packages.len() > 200, "{} packages", packages.len());
    let asked = packages.iter().filter_map(|package| {
        let asked = package["rust_version"].as_str()?;
        let name = format!("{} {}", package["name"], package["version"]);
        (version(asked) > stated).then(|| format!("{name} asks for Rust {asked}"))
    });
    assert_eq!(asked.collect::<Vec<_>>(), Vec::<String>::new());
}

/// Rust files below `folder`, without what was built.
fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).expect("readable").flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            rust_files(&path, files);
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// How often a text leaves what the compiler can check.
fn count_of_unsafe(text: &str) -> usize {
    const WORD: &str = concat!("un", "safe");
    const NEXT: [&str; 5] = ["{", "impl", "fn", "extern", "trait"];
    let code = text.lines().map(|line| line.split("//").next());
    let words = code.flatten().flat_map(str::split_whitespace);
    let words: Vec<&str> = words.collect();
    let pairs = words.windows(2);
    let is_place = |pair: &&[&str]| pair[0].ends_with(WORD) && NEXT.contains(&pair[1]);
    pairs.filter(is_place).count()
}

#[test]
fn every_place_without_the_compilers_checks_is_listed_with_its_reason() {
    let root = root();
    let mut files = Vec::new();
    for folder in ["crates", "tests", "benches", "fuzz", "assets"] {
        rust_files(&root.join(folder), &mut files);
    }
    assert!(files.len() > 200, "{} files", files.len());
    let found = files.iter().filter_map(|path| {
        let count = count_of_unsafe(&fs::read_to_string(path).expect("text"));
        let name = path.strip_prefix(&root).expect("below the root");
        (count > 0).then(|| (name.to_string_lossy().replace('\\', "/"), count))
    });
    let text = fs::read_to_string(root.join("docs/reliability.md")).expect("there");
    let (_, list) = text
        .split_once("| file | places | reason |")
        .expect("the list");
    let rows = list.lines().skip(2);
    let listed = rows.take_while(|line| line.starts_with('|')).map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!(cells[3].len() > 20, "a reason: {row}");
        let file = cells[1].trim_matches('`').to_owned();
        (file, cells[2].parse().expect("a number"))
    });
    let found: BTreeMap<String, usize> = found.collect();
    let listed: BTreeMap<String, usize> = listed.collect();
    assert_eq!(found, listed, "found, against docs/reliability.md");
}

#[test]
fn a_place_is_counted_wherever_it_stands() {
    let word = concat!("un", "safe");
    let text = format!(
        "let x = {word} {{ 1 }}; // {word} {{\n{word} impl A for B {{}}\n({word}_code, \"{word}\")\n"
    );
    assert_eq!(count_of_unsafe(&text), 2);
}
