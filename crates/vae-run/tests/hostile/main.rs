//! Files that are damaged on purpose: whatever is in a file, each reader says what is wrong or reads it. It does not panic, hang, end
//! the program or ask for more memory than docs/formats.md allows. The same readers and files are those of `fuzz/`.
//!
//! Every test runs in a process of its own, so that one that ends is told from one that is refused, and memory can be counted.
#![expect(
    clippy::expect_used,
    clippy::print_stderr,
    reason = "tests fail aloud, and say what they have read"
)]

mod corpus;
mod memory;
mod mutate;
mod readers;

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

use corpus::Files;
use mutate::{Random, mutated};
use readers::Verdict;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

/// Folder of the process, and with it the sign that it is one of its own.
const FOLDER: &str = "VAE_GPU_CACHE";
/// Where the corpus is written to, for `cargo fuzz`.
const CORPUS: &str = "VAE_GPU_CORPUS";
/// Damaged files of each format, times the number of the environment.
const MORE: &str = "VAE_GPU_FUZZ";
const MEBIBYTE: usize = 1 << 20;

/// Reads the files of a corpus as they are, then `count` damaged ones, each with `most` MiB of memory at most.
fn hold(
    test: &str,
    count: usize,
    most: usize,
    corpus: impl FnOnce(&Path) -> Files,
    read: impl Fn(&str, &[u8], &Path) -> Verdict,
) {
    let Some(folder) = env::var_os(FOLDER) else {
        let folder = tempfile::tempdir().expect("a folder");
        let program = env::current_exe().expect("this program");
        let mut own = Command::new(program);
        let own = own.args(["--exact", test, "--nocapture"]);
        let done = own.env(FOLDER, folder.path()).output().expect("started");
        let text = String::from_utf8_lossy(&done.stderr);
        eprintln!("{text}");
        assert!(done.status.success(), "{test}: {}: {text}", done.status);
        return;
    };
    let folder = Path::new(&folder);
    let files = corpus(folder);
    if let Some(target) = env::var_os(CORPUS) {
        let target = Path::new(&target).join(test);
        fs::create_dir_all(&target).expect("writable");
        for (name, bytes) in &files {
            fs::write(target.join(name), bytes).expect("writable");
        }
    }
    for (name, bytes) in &files {
        match read(name, bytes, folder) {
            Err(error) if error.contains("which this build does not read") => {}
            verdict => verdict.unwrap_or_else(|error| panic!("{name}: {error}")),
        }
    }
    let more = env::var(MORE).ok().and_then(|more| more.parse().ok());
    let count = count * more.unwrap_or(1);
    let mut random = Random(1);
    let (mut refused, mut highest) = (0, 0);
    memory::most();
    for index in 0..count {
        let (name, bytes) = &files[random.below(files.len())];
        let (_, other) = &files[random.below(files.len())];
        let damaged = mutated(bytes, other, &mut random);
        // If the process ends, this is the file.
        let before = memory::now();
        let verdict = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            read(name, &damaged, folder)
        }));
        let used = memory::most().saturating_sub(before);
        highest = highest.max(used);
        let problem = match &verdict {
            Err(_) => Some("a panic".to_owned()),
            Ok(_) if used > most * MEBIBYTE => Some(format!("{} MiB of memory", used / MEBIBYTE)),
            Ok(Err(error)) if error.is_empty() => Some("an error without words".to_owned()),
            Ok(_) => None,
        };
        if let Some(problem) = problem {
            let kept = env::temp_dir().join(format!("hostile-{index}-{name}"));
            let _ = fs::write(&kept, &damaged);
            panic!(
                "{name}, damaged file {index} ({}): {problem}",
                kept.display()
            );
        }
        refused += usize::from(matches!(verdict, Ok(Err(_))));
    }
    // A reader that takes everything, or nothing, is not tested.
    assert!(refused > count / 10, "{refused} of {count} were refused");
    eprintln!("{test}: {count} damaged files, {refused} refused, {highest} bytes at most");
}

fn data(name: &str, bytes: &[u8], folder: &Path) -> Verdict {
    readers::data(name, bytes, folder)
}

#[test]
fn idx() {
    hold("idx", 3000, 16, |_| corpus::idx(), data);
}

#[test]
fn npy() {
    hold("npy", 3000, 16, |_| corpus::npy(), data);
}

#[test]
fn npz() {
    hold("npz", 3000, 16, |_| corpus::npz(), data);
}

#[test]
fn tables() {
    hold("tables", 3000, 16, |_| corpus::tables(), data);
}

#[test]
fn matrices() {
    hold("matrices", 3000, 512, |_| corpus::matrices(), data);
}

#[test]
fn images() {
    hold("images", 1500, 1536, |_| corpus::images(), data);
}

#[test]
fn zips() {
    hold("zips", 200, 1536, |_| corpus::zips(), data);
}

#[test]
fn parquet() {
    hold("parquet", 3000, 64, |_| corpus::parquet(), data);
}

#[test]
fn configs() {
    let configs = |folder: &Path| corpus::configs(&folder.join("run"));
    hold("configs", 3000, 16, configs, |_, bytes, _| {
        readers::config(bytes)
    });
}

#[test]
fn sweeps() {
    hold(
        "sweeps",
        500,
        64,
        |_| corpus::sweeps(),
        |_, bytes, _| readers::sweep(bytes),
    );
}

#[test]
fn runs() {
    let runs = |folder: &Path| corpus::run(&folder.join("run"));
    hold("runs", 1500, 16, runs, |name, bytes, folder| {
        readers::run(name, bytes, &folder.join("run"))
    });
}

#[test]
fn imports() {
    let imports = |folder: &Path| corpus::imports(&folder.join("run"));
    hold("imports", 3000, 16, imports, |_, bytes, folder| {
        readers::import(bytes, folder)
    });
}
