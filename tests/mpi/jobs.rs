//! Jobs of several processes: the real program under Open MPI's `mpirun`, its end, which must come, and what it leaves.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use vae_run::Metrics;

/// How long a job of this file may take: any of them ends within seconds.
const PATIENCE: Duration = Duration::from_secs(240);

pub(crate) fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

/// The program under `mpirun` with so many processes, one process without it.
pub(crate) fn vae_gpu(processes: usize, arguments: &[&str]) -> Command {
    let program = assert_cmd::cargo::cargo_bin!("vae-gpu");
    let mut command = match processes {
        1 => Command::new(program),
        processes => mpirun(processes, program),
    };
    command.args(arguments);
    command
}

pub(crate) fn mpirun(processes: usize, program: &Path) -> Command {
    let mut command = Command::new("mpirun");
    // On a machine with fewer cores, and as root, which only containers are.
    command.args([
        "--oversubscribe",
        "--bind-to",
        "none",
        "-n",
        &processes.to_string(),
    ]);
    command.arg(program);
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1");
    command.env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.env("RAYON_NUM_THREADS", "1");
    command
}

pub(crate) fn start(command: &mut Command) -> Child {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
        .stderr(Stdio::piped())
        .spawn()
        .expect("mpirun is installed")
}

/// The end of a job, which must come.
pub(crate) fn end(mut child: Child) -> Output {
    let begun = Instant::now();
    while child.try_wait().expect("its state").is_none() {
        if begun.elapsed() > PATIENCE {
            child.kill().expect("killed");
            let output = child.wait_with_output().expect("its output");
            panic!("hangs: {}", String::from_utf8_lossy(&output.stderr));
        }
        // Waits for another process.
        thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().expect("its output")
}

pub(crate) fn run(command: &mut Command) -> Output {
    end(start(command))
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn succeed(command: &mut Command) -> Output {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", said(&output));
    output
}

/// A run on the built-in digits.
pub(crate) fn train(processes: usize, out: &Path, options: &[&str]) -> Command {
    let mut command = vae_gpu(processes, &["train", "--quiet", "--backend", "cpu"]);
    command.args(options).arg("--out").arg(out);
    command
}

/// Weights, moments and everything else that a run goes on from.
pub(crate) fn weights(run: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "last.safetensors"].map(|name| fs::read(run.join(name)).expect("written"))
}

pub(crate) fn losses(run: &Path) -> Vec<f64> {
    let epochs = Metrics::read(run).expect("metrics").epochs.into_iter();
    epochs
        .flat_map(|epoch| {
            [
                epoch.train.loss,
                epoch.validation.loss,
                epoch.mutual_information,
            ]
        })
        .collect()
}

/// Waits until a run has a checkpoint in the middle of an epoch.
pub(crate) fn wait_for_checkpoint(run: &Path, child: &mut Child) {
    let begun = Instant::now();
    let is_there = || {
        let state = vae_run::Interrupted::open(run);
        state.is_ok_and(|(interrupted, _)| interrupted.position() > (1, 1))
    };
    while !is_there() {
        assert!(
            child.try_wait().expect("its state").is_none(),
            "it ended before"
        );
        assert!(begun.elapsed() < PATIENCE, "no checkpoint");
        // Waits for another process.
        thread::sleep(Duration::from_millis(5));
    }
}

/// The processes of a job, found by a word of their command line, in the order of their start.
pub(crate) fn processes(word: &str) -> Vec<String> {
    let found = Command::new("pgrep")
        .args(["-f", &format!("train .*{word}")])
        .output();
    let found = String::from_utf8(found.expect("pgrep").stdout).expect("numbers");
    let is_ours = |process: &&str| {
        let line = fs::read_to_string(format!("/proc/{process}/cmdline")).unwrap_or_default();
        line.split('\0')
            .next()
            .is_some_and(|name| name.ends_with("vae-gpu"))
    };
    found
        .lines()
        .filter(is_ours)
        .map(ToOwned::to_owned)
        .collect()
}

pub(crate) fn signal(signal: &str, process: &str) {
    let status = Command::new("kill").args([signal, process]).status();
    assert!(status.expect("kill").success());
}
