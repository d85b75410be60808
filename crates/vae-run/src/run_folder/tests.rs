//! Run folders: written, read back, and corrupted.

use vae_data::Dataset;
use vae_spec::Snapshot;

use super::*;
use crate::state::Position;
use vae_recipe::RecipePatch;

use crate::manifest::FORMAT_VERSION;
use crate::{DataSummary, SavedRun};

fn recipe() -> Recipe {
    let patch = RecipePatch {
        hidden: Some(vec![4]),
        ..RecipePatch::default()
    };
    Recipe::resolve(patch, &Dataset::digits().expect("built in")).expect("valid")
}

fn state() -> State {
    let weights = |seed| Weights::initial(&recipe().model(), seed);
    State {
        position: Position {
            format_version: FORMAT_VERSION,
            recipe: recipe(),
            manifest: Manifest::new(
                "cpu".into(),
                DataSummary::of(&Dataset::digits().expect("built in")),
                3,
            ),
            epoch: 7,
            metrics_bytes: 5,
            plateau: vae_recipe::Plateau::default(),
            stopping: vae_recipe::StoppingState::default(),
            lr_scale: 0.5,
            rollbacks: 1,
        },
        losses: vec![vae_spec::Losses::of_elbo(0.5, 1.25, 1.0); 3],
        snapshot: Snapshot {
            weights: weights(1),
            moments: vec![weights(2)],
        },
    }
}

/// A run with all its files.
fn run(path: &Path) -> RunFolder {
    let folder = RunFolder::create(path).expect("writable");
    folder
        .write_best(&state().snapshot.weights, None)
        .expect("writable");
    folder.log_step(&StepReport::default()).expect("writable");
    folder.write_state(&state(), None).expect("writable");
    folder.write_recipe(&recipe()).expect("writable");
    folder
}

#[test]
fn what_was_written_reads_back() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("run");
    drop(run(&path));
    for name in ["", BEST_WEIGHTS, LAST_WEIGHTS] {
        let saved = SavedRun::open(&path.join(name), None).expect("complete");
        assert_eq!(
            (saved.recipe, saved.weights),
            (recipe(), state().snapshot.weights)
        );
        assert_eq!(saved.manifest.is_some(), name.is_empty());
    }
    let (found, read) = RunFolder::read_state(&path).expect("complete");
    assert_eq!((found, read), (recipe(), state()));
}

#[test]
fn metrics_are_cut_to_what_the_state_knows() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("run");
    let folder = run(&path);
    let known = folder.metrics_bytes().expect("there");
    let before = fs::read(path.join(METRICS)).expect("there");
    folder.log_epoch(&EpochReport::default()).expect("writable");
    drop(folder);
    drop(RunFolder::reopen(&path, known).expect("a run"));
    assert_eq!(fs::read(path.join(METRICS)).expect("there"), before);
    let error = RunFolder::reopen(&path, known + 1).expect_err("too short");
    assert!(
        error
            .to_string()
            .contains(&format!("expected at least {} bytes", known + 1)),
        "{error}"
    );
}

#[test]
fn lines_of_metrics_that_cannot_be_read_are_counted() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("run");
    let folder = run(&path);
    let report = EpochReport::default();
    folder.log_epoch(&report).expect("writable");
    drop(folder);
    let mut metrics = fs::read(path.join(METRICS)).expect("there");
    metrics.extend(b"no report\n");
    fs::write(path.join(METRICS), &metrics).expect("writable");
    let (_, epochs, unreadable) = RunFolder::reopen(&path, metrics.len() as u64).expect("a run");
    // The first line is a step's, which `run` wrote.
    assert_eq!((epochs, unreadable), (vec![report], vec![3]));
}

#[test]
fn metrics_of_something_else_are_kept() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let metrics = parent.path().join(METRICS);
    fs::write(&metrics, "mine").expect("writable");
    let error = RunFolder::create(parent.path()).expect_err("taken");
    assert!(error.to_string().contains("of something else"), "{error}");
    assert_eq!(fs::read_to_string(&metrics).expect("kept"), "mine");
    fs::write(&metrics, "").expect("writable");
    RunFolder::create(parent.path()).expect("nothing is lost");
}

#[test]
fn a_second_writer_is_refused_while_the_first_lives_and_afterwards() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("run");
    let folder = RunFolder::create(&path).expect("writable");
    assert!(matches!(
        RunFolder::create(&path),
        Err(RunError::FolderLocked(_))
    ));
    drop(folder);
    let folder = run(&path);
    assert!(matches!(
        RunFolder::reopen(&path, 0),
        Err(RunError::FolderLocked(_))
    ));
    drop(folder);
    assert!(matches!(
        RunFolder::create(&path),
        Err(RunError::FolderTaken(_))
    ));
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let file = parent.path().join("file");
    fs::write(&file, "").expect("writable");
    let error = RunFolder::create(&file.join("run")).expect_err("a file is no folder");
    assert!(error.to_string().contains("cannot be written"), "{error}");
}

#[test]
fn missing_and_damaged_files_are_named() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("run");
    let message = || {
        SavedRun::open(&path, None)
            .expect_err("not whole")
            .to_string()
    };
    assert!(
        message().contains("config.toml is missing"),
        "{}",
        message()
    );

    let folder = run(&path);
    fs::remove_file(path.join(BEST_WEIGHTS)).expect("written");
    assert!(
        message().contains("model.safetensors is missing"),
        "{}",
        message()
    );
    let whole = weights_file(&state().snapshot.weights, None).expect("encodable");
    folder
        .write(BEST_WEIGHTS, &whole[..whole.len() - 1])
        .expect("writable");
    assert!(message().contains("truncated"), "{}", message());
    let newer = Manifest {
        format_version: FORMAT_VERSION + 1,
        ..state().position.manifest
    };
    folder.write_manifest(&newer).expect("writable");
    let expected = format!("format version {}", FORMAT_VERSION + 1);
    assert!(message().contains(&expected), "{}", message());
    folder.write(MANIFEST, b"{").expect("writable");
    assert!(message().contains("not a manifest"), "{}", message());

    let state = fs::read(path.join(STATE)).expect("written");
    folder.write(STATE, &state[..100]).expect("writable");
    let error = RunFolder::read_state(&path)
        .expect_err("truncated")
        .to_string();
    assert!(error.contains("truncated"), "{error}");
    folder.write(STATE, &whole).expect("writable");
    let error = RunFolder::read_state(&path)
        .expect_err("weights alone")
        .to_string();
    assert!(error.contains("no state to go on from"), "{error}");
}

#[test]
fn whoever_opened_the_lock_of_the_writer_before_does_not_become_a_second_one() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("run");
    let first = RunFolder::create(&path).expect("writable");
    // Another process, between opening the file and locking it.
    let opened = File::open(path.join(LOCK)).expect("there");
    drop(first);
    let second = RunFolder::create(&path).expect("free again");
    let taken = opened.try_lock();
    assert!(
        matches!(taken, Err(fs::TryLockError::WouldBlock)),
        "{taken:?}"
    );
    drop(second);
    assert!(opened.try_lock().is_ok());
}

#[test]
fn what_a_killed_writer_left_half_written_is_removed_by_the_next() {
    let parent = tempfile::tempdir().expect("a folder");
    let path = parent.path().join("run");
    drop(run(&path));
    let left = path.join(".state.safetensors.77.tmp");
    fs::write(&left, "half").expect("written");
    drop(RunFolder::reopen(&path, 0).expect("free"));
    assert!(!left.exists());
    assert!(path.join(STATE).exists() && path.join(LOCK).exists());
}

#[cfg(unix)]
#[test]
fn no_link_in_a_run_folder_is_written_through() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let precious = parent.path().join("precious");
    for (name, content) in [(METRICS, ""), (METRICS, "12345"), (LOCK, "12345")] {
        let path = parent.path().join(format!("run{}{name}", content.len()));
        drop(run(&path));
        fs::write(&precious, content).expect("writable");
        fs::remove_file(path.join(name)).expect("there");
        std::os::unix::fs::symlink(&precious, path.join(name)).expect("linked");
        let error = RunFolder::reopen(&path, 3).expect_err("a link").to_string();
        assert!(error.contains("found a link to another place"), "{error}");
        fs::remove_file(path.join(CONFIG)).expect("there");
        assert!(RunFolder::create(&path).is_err());
        assert_eq!(fs::read(&precious).expect("there"), content.as_bytes());
    }
}

#[test]
fn a_config_or_scaling_that_cannot_be_is_refused_with_its_file() {
    let parent = tempfile::tempdir().expect("a temporary folder");
    let path = parent.path().join("run");
    drop(run(&path));
    let config = fs::read_to_string(path.join(CONFIG)).expect("there");
    // Each of these ended the program, or filled the memory.
    for (setting, said) in [
        ("stride = 0", "stride: expected at least 1"),
        ("kernel = 0", "kernel: expected at least 1"),
        (
            "kernel = 300",
            "kernel: expected at least 1 and at most 255",
        ),
        ("residual_blocks = 4000000000", "residual_blocks: expected"),
        ("group_norm = 0", "group_norm: expected"),
    ] {
        let name = setting.split(' ').next().expect("a name");
        let kept = config
            .lines()
            .filter(|line| !line.starts_with(name) && !line.starts_with("channels"));
        let kept: Vec<&str> = kept.collect();
        let text = format!("channels = [4, 4]\n{setting}\n{}", kept.join("\n"));
        fs::write(path.join(CONFIG), text).expect("writable");
        let error = SavedRun::open(&path, None).expect_err(setting).to_string();
        assert!(error.contains(CONFIG) && error.contains(said), "{error}");
    }
    fs::write(path.join(CONFIG), config).expect("writable");
    for scaling in [
        r#"{"offset":[],"range":[]}"#,
        r#"{"offset":[0.0],"range":[]}"#,
        r#"{"offset":[0.0],"range":[0.0]}"#,
        r#"{"offset":[0.0,0.0],"range":[1.0,1.0]}"#,
    ] {
        let metadata = [(files::SCALING.to_owned(), scaling.to_owned())];
        let weights = state().snapshot.weights;
        let bytes = crate::checkpoint::encode(weights.tensors(), metadata.into());
        fs::write(path.join(BEST_WEIGHTS), bytes.expect("encoded")).expect("writable");
        let error = SavedRun::open(&path, None).expect_err(scaling).to_string();
        assert!(
            error.contains("scaling: expected a finite offset"),
            "{error}"
        );
    }
}
