//! Processes that train one run together over MPI, with the real program: `cargo test --features mpi --test mpi`. Open MPI's mpirun
//! has to be there.
#![expect(clippy::expect_used, reason = "tests fail aloud")]

#[path = "mpi/jobs.rs"]
mod jobs;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use jobs::{
    end, folder, losses, mpirun, processes, run, said, signal, start, succeed, train, vae_gpu,
    wait_for_checkpoint, weights,
};

/// Networks of every kind, on data that need no file.
const NETWORKS: [(&str, &[&str]); 4] = [
    ("dense", &["--hidden", "24", "--batch-size", "250"]),
    (
        "convolutional",
        &[
            "--channels",
            "2,3",
            "--hidden",
            "8",
            "--batch-size",
            "500",
            "--group-norm",
            "1",
        ],
    ),
    (
        "iwae",
        &[
            "--hidden",
            "12",
            "--objective",
            "iwae",
            "--samples",
            "3",
            "--batch-size",
            "500",
        ],
    ),
    (
        "conditional",
        &[
            "--hidden",
            "12",
            "--conditional",
            "--binarize",
            "dynamic",
            "--corrupt",
            "mask:4",
            "--batch-size",
            "333",
            "--clip-norm",
            "5",
            "--ema",
            "0.9",
        ],
    ),
];

#[test]
fn any_number_of_processes_trains_the_same_run() {
    let parent = folder();
    for (name, options) in NETWORKS {
        let train = |processes: usize, more: &[&str]| {
            let out = parent
                .path()
                .join(format!("{name}-{processes}-{}", more.concat()));
            let options = [&["--epochs", "2"], options, more].concat();
            succeed(&mut train(processes, &out, &options));
            out
        };
        let whole = losses(&train(1, &[]));
        let expected = train(1, &["--pieces", "4"]);
        assert_eq!(whole.len(), 6);
        // The mutual information is a small difference of large numbers.
        let nats = |index: usize, whole: f64| if index % 3 == 2 { 0.02 } else { 2e-3 * whole };
        for (index, (found, whole)) in losses(&expected).into_iter().zip(whole).enumerate() {
            let is_near = (found - whole).abs() <= nats(index, whole);
            assert!(is_near, "{name}: {found} against {whole}");
        }
        for processes in [2, 4] {
            let found = train(processes, &["--pieces", "4"]);
            assert!(
                weights(&found) == weights(&expected),
                "{name} on {processes}"
            );
            assert_eq!(losses(&found), losses(&expected), "{name} on {processes}");
        }
        // Without a word on pieces, each process has one.
        let found = train(4, &["--seed", "0"]);
        assert!(weights(&found) == weights(&expected), "{name}");
        let other = train(2, &["--seed", "0"]);
        assert!(
            weights(&other) != weights(&expected),
            "{name}: pieces change no bit"
        );
    }
}

#[test]
fn processes_on_graphics_devices_train_the_run_of_one() {
    let parent = folder();
    for engine in ["fused", "burn"] {
        let train = |processes: usize| {
            let out = parent.path().join(format!("{engine}-{processes}"));
            let options = [
                "--hidden",
                "9",
                "--latent",
                "3",
                "--batch-size",
                "1000",
                "--pieces",
                "2",
                "--epochs",
                "1",
            ];
            let mut command = vae_gpu(
                processes,
                &["train", "--quiet", "--backend", "wgpu", "--engine", engine],
            );
            succeed(command.args(options).arg("--out").arg(&out));
            losses(&out)
        };
        let (one, two) = (train(1), train(2));
        for (one, two) in one.iter().zip(&two) {
            assert!(
                (one - two).abs() <= 1e-5 * one.abs(),
                "{engine}: {one:?} against {two:?}"
            );
        }
    }
}

/// A run that takes some seconds, long enough to be stopped.
const LONG: [&str; 8] = [
    "--hidden",
    "64",
    "--batch-size",
    "100",
    "--epochs",
    "12",
    "--checkpoint-steps",
    "20",
];

#[test]
fn a_killed_process_ends_the_job_and_the_run_goes_on_to_the_same_bits() {
    let parent = folder();
    let whole = parent.path().join("whole");
    succeed(&mut train(2, &whole, &LONG));
    for (name, killed, resumed) in [
        ("killed-first", 0, 2),
        ("killed-last", 1, 2),
        ("killed-to-one", 1, 1),
    ] {
        let out = parent.path().join(name);
        let mut job = start(&mut train(2, &out, &LONG));
        wait_for_checkpoint(&out, &mut job);
        signal("-KILL", &processes(name)[killed]);
        assert!(!end(job).status.success(), "{name}");
        assert!(processes(name).is_empty(), "{name}: processes are left");
        let path = out.display().to_string();
        succeed(&mut vae_gpu(
            resumed,
            &["train", "--quiet", "--resume", &path],
        ));
        assert!(weights(&out) == weights(&whole), "{name}");
        assert_eq!(losses(&out), losses(&whole), "{name}");
    }
}

#[test]
fn a_process_that_stands_still_is_not_waited_for_for_ever() {
    let parent = folder();
    for (name, stopped) in [("still-first", 0), ("still-last", 1)] {
        let out = parent.path().join(name);
        let mut job = train(2, &out, &LONG);
        let mut job = start(job.env("VAE_GPU_PROCESS_TIMEOUT", "8"));
        wait_for_checkpoint(&out, &mut job);
        signal("-STOP", &processes(name)[stopped]);
        let output = end(job);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        let waiting = 1 - stopped;
        let expected = format!("process {waiting} of 2 has waited 8 seconds");
        assert!(said(&output).contains(&expected), "{}", said(&output));
        assert!(processes(name).is_empty(), "{name}: processes are left");
        vae_run::Interrupted::open(&out).expect("a checkpoint that is whole");
    }
    let mut nonsense = train(2, &parent.path().join("none"), &[]);
    let output = run(nonsense.env("VAE_GPU_PROCESS_TIMEOUT", "soon"));
    assert!(!output.status.success());
    assert!(
        said(&output).contains("expected a whole number of seconds"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_process_that_is_told_to_stop_saves_the_run() {
    let parent = folder();
    for (name, told) in [("told-first", 0), ("told-last", 1)] {
        let out = parent.path().join(name);
        let mut job = start(&mut train(2, &out, &LONG));
        wait_for_checkpoint(&out, &mut job);
        signal("-TERM", &processes(name)[told]);
        let output = end(job);
        assert_eq!(output.status.code(), Some(130), "{}", said(&output));
        let (interrupted, _) = vae_run::Interrupted::open(&out).expect("saved");
        assert!(interrupted.position() < (13, 0));
    }
}

#[test]
fn a_requeued_job_goes_on_by_the_same_command_line() {
    let parent = folder();
    let out = parent.path().join("requeued").display().to_string();
    let job = |epochs: &str| {
        let mut command = vae_gpu(
            2,
            &[
                "train",
                "--quiet",
                "--backend",
                "cpu",
                "--hidden",
                "8",
                "--epochs",
                epochs,
            ],
        );
        succeed(command.args(["--resume-or-start", &out]));
        losses(Path::new(&out)).len() / 3
    };
    assert_eq!([job("1"), job("3")], [1, 3]);
    // Another number of processes, which cannot share the two pieces.
    let mut command = vae_gpu(3, &["train", "--quiet", "--resume", &out, "--epochs", "1"]);
    let output = succeed(&mut command);
    assert!(
        said(&output).contains("3 pieces from here on"),
        "{}",
        said(&output)
    );
}

/// A job whose second process gets other arguments.
fn unequal(first: &[&str], second: &[&str]) -> Output {
    let program = assert_cmd::cargo::cargo_bin!("vae-gpu");
    let mut command = mpirun(1, program);
    command
        .args(first)
        .args([":", "-n", "1"])
        .arg(program)
        .args(second);
    run(&mut command)
}

#[test]
fn processes_that_would_train_different_runs_are_refused() {
    let parent = folder();
    let data = |name: &str, bytes: u8| -> PathBuf {
        let path = parent.path().join(name);
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (40, 6), }";
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend([118, 0]);
        file.extend(format!("{header:<117}\n").bytes());
        file.extend((0..240u8).map(|index| index.wrapping_mul(bytes)));
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, file).expect("written");
        path
    };
    let (one, other) = (data("one/data.npy", 3), data("other/data.npy", 5));
    let out = parent.path().join("run").display().to_string();
    let base = [
        "train",
        "--quiet",
        "--backend",
        "cpu",
        "--epochs",
        "1",
        "--out",
        &out,
    ];
    let output = unequal(&base, &[&base[..], &["--beta", "2"]].concat());
    assert!(!output.status.success());
    let expected = "process 1 has another setting beta than process 0: expected none, found 2.0";
    assert!(said(&output).contains(expected), "{}", said(&output));

    // The same words for other files, each in the folder of its process.
    let program = assert_cmd::cargo::cargo_bin!("vae-gpu")
        .display()
        .to_string();
    let of = |file: &Path| {
        let folder = file.parent().expect("a folder").display().to_string();
        vec![format!("--chdir={folder}"), program.clone()]
    };
    let data = [&base[..], &["--data", "data.npy"]].concat();
    let in_folders = || {
        let mut command = mpirun(1, Path::new("env"));
        command.args(of(&one)).args(&data);
        command.args([":", "-n", "1", "env"]);
        run(command.args(of(&other)).args(&data))
    };
    let output = in_folders();
    assert!(!output.status.success());
    let expected = "process 1 has another fingerprint of the data than process 0";
    assert!(said(&output).contains(expected), "{}", said(&output));

    // One that finds no data ends all of them, with its own words.
    fs::remove_file(&other).expect("removed");
    let output = in_folders();
    assert!(!output.status.success());
    let text = said(&output);
    assert!(
        text.contains("error: process 1 of 2") && text.contains("data.npy"),
        "{text}"
    );

    let output = run(&mut vae_gpu(3, &[&base[..], &["--pieces", "4"]].concat()));
    assert!(said(&output).contains("expected a number of processes that divides 4"));
    let lost = ["--on-device-lost", "cpu"];
    let output = run(&mut vae_gpu(2, &[&base[..], &lost].concat()));
    assert!(said(&output).contains("on_device_lost: expected stop"));
    // What is wrong on all of them is said once.
    let output = run(&mut vae_gpu(3, &[&base[..], &["--lr=-1"]].concat()));
    assert_eq!(
        said(&output)
            .matches("lr: expected a number above 0")
            .count(),
        1
    );
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_diverging_run_rolls_back_on_all_processes() {
    let parent = folder();
    let options = [
        "--epochs",
        "2",
        "--hidden",
        "16",
        "--optimizer",
        "sgd",
        "--on-nan",
        "rollback",
    ];
    for (name, local) in [("together", &[][..]), ("apart", &["--local-steps", "4"])] {
        let out = parent.path().join(name);
        let never = [&options[..], &["--lr", "1e6"], local].concat();
        let output = run(&mut train(2, &out, &never));
        assert!(!output.status.success());
        let text = said(&output);
        let is_traced = text.contains("first number that is not finite");
        assert!(text.contains("try 3 of 3") && is_traced, "{name}: {text}");

        // A rate that is too high once, but not at its half.
        let out = parent.path().join(format!("{name}-saved"));
        let once = [&options[..], &["--lr", "0.2", "--momentum", "0"], local].concat();
        let output = succeed(&mut train(2, &out, &once));
        let text = said(&output);
        assert!(text.contains("try 1 of 3"), "{name}: {text}");
        let losses = losses(&out);
        assert!(
            losses.len() == 6 && losses.iter().all(|loss| loss.is_finite()),
            "{losses:?}"
        );
    }
}

#[test]
fn processes_share_samples_and_write_what_one_writes() {
    let parent = folder();
    let out = parent.path().join("run");
    succeed(&mut train(1, &out, &["--hidden", "8", "--epochs", "1"]));
    let out = out.display().to_string();
    let at = |name: &str| parent.path().join(name).display().to_string();
    for (name, arguments) in [
        ("encoded.csv", &["encode", &out, "--with-z"][..]),
        ("encoded.npy", &["encode", &out]),
        ("scored.csv", &["score", &out, "--importance-samples", "5"]),
    ] {
        let mut means = Vec::new();
        let mut write = |processes: usize| {
            let file = at(&format!("{processes}-{name}"));
            let arguments = [arguments, &["--backend", "cpu", "--out", &file]].concat();
            let output = succeed(&mut vae_gpu(processes, &arguments));
            assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), file);
            means.push(
                said(&output)
                    .lines()
                    .filter(|line| line.starts_with("mean"))
                    .collect::<String>(),
            );
            fs::read(file).expect("written")
        };
        let one = write(1);
        assert!(one.len() > 1000 && write(3) == one, "{name}");
        assert_eq!(means[0], means[1]);
    }
    let parts = fs::read_dir(parent.path()).expect("a folder").flatten();
    let parts = parts.filter(|entry| entry.file_name().to_string_lossy().contains("-of-"));
    assert_eq!(parts.count(), 0, "parts are left");
    let evaluate = |processes: usize| {
        let arguments = ["eval", &out, "--backend", "cpu", "--k", "12", "--json"];
        succeed(&mut vae_gpu(processes, &arguments)).stdout
    };
    assert!(evaluate(1) == evaluate(3));
}

#[test]
fn steps_apart_are_averaged() {
    let parent = folder();
    let train = |name: &str, options: &[&str]| {
        let out = parent.path().join(name);
        let base = ["--hidden", "16", "--epochs", "2", "--batch-size", "250"];
        succeed(&mut train(2, &out, &[&base, options].concat()));
        out
    };
    // The mean of two steps down two means of gradients is the step down the mean of both.
    let sgd = ["--optimizer", "sgd", "--momentum", "0", "--lr", "0.002"];
    let together = losses(&train("together", &sgd));
    let apart = losses(&train(
        "apart",
        &[&sgd[..], &["--local-steps", "1"]].concat(),
    ));
    for (one, other) in together.iter().zip(&apart) {
        assert!(
            (one - other).abs() <= 1e-4 * one.abs() + 1e-3,
            "{one} against {other}"
        );
    }
    // Adam's is not; nor is it the same run again if a process begins elsewhere.
    let local = [
        "--optimizer",
        "adam",
        "--local-steps",
        "7",
        "--checkpoint-steps",
        "1",
    ];
    let (one, again) = (train("one", &local), train("again", &local));
    assert!(weights(&one) == weights(&again));
    let plain = train("plain", &["--optimizer", "adam"]);
    assert!(weights(&one) != weights(&plain));
    let [last, of_plain] = [&one, &plain].map(|run| losses(run)[4]);
    assert!(
        (last - of_plain).abs() < 0.05 * of_plain,
        "{last} against {of_plain}"
    );

    // Stopped in between, it goes on from an average, and with as many processes.
    let (whole, cut) = (parent.path().join("whole"), parent.path().join("cut"));
    let long = [&LONG[..], &["--local-steps", "7"]].concat();
    succeed(&mut self::train(2, &whole, &long));
    let mut job = start(&mut self::train(2, &cut, &long));
    wait_for_checkpoint(&cut, &mut job);
    signal("-KILL", &processes("cut")[1]);
    assert!(!end(job).status.success());
    let path = cut.display().to_string();
    let output = run(&mut vae_gpu(1, &["train", "--quiet", "--resume", &path]));
    assert!(
        said(&output).contains("with as many as it was started with"),
        "{}",
        said(&output)
    );
    succeed(&mut vae_gpu(2, &["train", "--quiet", "--resume", &path]));
    assert!(weights(&cut) == weights(&whole));

    let alone = run(&mut self::train(1, &parent.path().join("alone"), &local));
    assert!(said(&alone).contains("local_steps: expected none for a process that trains alone"));
}
