//! Commands that write files, stopped at random moments by every signal: under a final name there is the whole file or none.
//! (Training is in `resume.rs`.) `VAE_GPU_KILLS=200` stops them so many times.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use vae_rng::{Generator, Stream};

use crate::common::program::{folder, train_tiny};

/// How often, if nothing is said.
const KILLS: usize = 20;
const SIGNALS: [&str; 3] = ["KILL", "TERM", "INT"];

/// How often the tests of this kind stop a process.
pub(crate) fn kills() -> usize {
    let count = std::env::var("VAE_GPU_KILLS").ok();
    let count = count.map(|count| count.parse().expect("VAE_GPU_KILLS is a number"));
    count.unwrap_or(KILLS)
}

/// Sends the signal whose turn it is; the process may have ended by itself.
pub(crate) fn stop(child: &Child, turn: usize) {
    let signal = format!("-{}", SIGNALS[turn % SIGNALS.len()]);
    let mut kill = Command::new("kill");
    let sent = kill.arg(signal).arg(child.id().to_string());
    sent.stderr(Stdio::null()).status().expect("kill");
}

/// All files below a folder with their contents, but not those that are still written.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else {
        return found;
    };
    for entry in entries {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        if path.is_dir() {
            found.extend(files(&path));
        } else if !(name.starts_with('.') && name.ends_with(".tmp")) {
            found.insert(path.clone(), fs::read(&path).expect("readable"));
        }
    }
    found
}

#[cfg(unix)]
#[test]
fn what_a_stopped_command_leaves_is_whole_or_not_there() {
    let parent = folder();
    let run = parent.path().join("run");
    train_tiny(&run).assert().success();
    let run = run.to_str().expect("UTF-8");
    let commands: [&[&str]; 6] = [
        &["export", run, "--format", "onnx", "--out", "onnx"],
        &["export", run, "--format", "pytorch", "--out", "torch"],
        &["data", "convert", "digits", "--out", "d/digits.npz"],
        &["data", "convert", "digits", "--out", "png"],
        &["encode", run, "--backend", "cpu", "--out", "z/latents.npy"],
        &["sample", run, "--backend", "cpu", "--out", "s/grid.png"],
    ];
    let start = |arguments: &[&str], folder: &Path| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vae-gpu"));
        command.args(arguments).arg("--force").current_dir(folder);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command.spawn().expect("started")
    };
    let mut moments = Generator::new(5, Stream::Shuffle)
        .uniforms(0, 0, 1, 10 * kills().max(100))
        .into_iter();
    let (mut stopped, mut before_the_end) = (0, 0);
    for (turn, arguments) in commands.iter().cycle().enumerate() {
        if stopped >= kills() {
            break;
        }
        let [whole, cut] =
            ["whole", "cut"].map(|name| parent.path().join(format!("{name}-{turn}")));
        for folder in [&whole, &cut] {
            fs::create_dir(folder).expect("made");
        }
        let begun = Instant::now();
        assert!(start(arguments, &whole).wait().expect("its end").success());
        let takes = begun.elapsed();
        let expected: BTreeMap<PathBuf, Vec<u8>> = files(&whole)
            .into_iter()
            .map(|(path, content)| {
                let name = path.strip_prefix(&whole).expect("inside");
                (cut.join(name), content)
            })
            .collect();
        assert!(!expected.is_empty());
        let mut child = start(arguments, &cut);
        // Waits for the clock, because it stops at a random moment.
        let moment = moments.next().expect("enough");
        thread::sleep(takes.mul_f64(moment.into()));
        stop(&child, turn);
        let is_whole = child.wait().expect("its end").success();
        stopped += 1;
        before_the_end += usize::from(!is_whole);
        for (path, content) in files(&cut) {
            let is_right = expected.get(&path) == Some(&content);
            assert!(is_right, "{} after {arguments:?}", path.display());
        }
        // Again, it gets through; but folders of pictures are never written into again.
        for folder in ["png", "png-test"] {
            let _ = fs::remove_dir_all(cut.join(folder));
        }
        let again = start(arguments, &cut).wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&again.stderr);
        assert!(again.status.success(), "{arguments:?}: {said}");
        assert!(files(&cut) == expected, "{arguments:?}");
        for folder in [whole, cut] {
            fs::remove_dir_all(folder).expect("removed");
        }
    }
    assert!(
        4 * before_the_end >= stopped,
        "{before_the_end} of {stopped} came in time"
    );
    eprintln!("{stopped} stopped, {before_the_end} of them before their end");
}

#[test]
fn a_part_of_a_file_would_be_noticed() {
    let parent = folder();
    fs::write(parent.path().join("whole.npy"), [1, 2, 3]).expect("written");
    fs::write(parent.path().join(".other.npy.tmp"), [1]).expect("written");
    let found = files(parent.path());
    assert_eq!(found.into_values().collect::<Vec<_>>(), [vec![1, 2, 3]]);
}
