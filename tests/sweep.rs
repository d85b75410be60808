//! `sweep`: many runs in one folder, by one process or several, interrupted or not, and the table of what came out.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use predicates::prelude::PredicateBooleanExt;
use predicates::str::contains;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::program::{folder, vae_gpu};

/// Four runs of a few tenths of a second.
const FILE: &str = "
    seeds = 1
    [base]
    backend = \"cpu\"
    hidden = [16]
    batch_size = 20
    epochs = 5
    optimizer = \"adam\"
    binarize = \"dynamic\"
    [grid]
    latent = [2, 3]
    beta = [1, 4]
";

/// A folder with the file of a sweep.
fn place(file: &str) -> TempDir {
    let place = folder();
    fs::write(place.path().join("s.toml"), file).expect("writable");
    place
}

/// Eight shorter ones.
fn short() -> String {
    let file = FILE.replace("epochs = 5", "epochs = 1");
    let file = file.replace("batch_size = 20", "batch_size = 200");
    file.replace("seeds = 1", "seeds = 2")
}

fn sweep(place: &Path, options: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = vae_gpu(&["sweep", "s.toml"]);
    command.current_dir(place).args(options).assert()
}

fn start(place: &Path, options: &[&str]) -> Child {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("vae-gpu"));
    command.args(["sweep", "s.toml"]).args(options);
    command.current_dir(place).stdout(Stdio::null());
    command.stderr(Stdio::piped()).spawn().expect("started")
}

/// The lines that a process says on the way.
fn lines(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    lines.map(|line| line.expect("UTF-8"))
}

/// The runs that a process says it begins (or goes on with).
fn begun(said: impl IntoIterator<Item = String>, verb: &str) -> Vec<String> {
    let runs = said.into_iter().filter_map(|line| {
        let (_, run) = line.strip_prefix("run ")?.split_once(": ")?;
        Some(run.strip_suffix(verb)?.trim().to_owned())
    });
    runs.collect()
}

/// The names of the runs in the folder of the sweep.
fn names(place: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(place.join("runs/s")).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("UTF-8"));
    names.filter(|name| name.contains("seed=")).collect()
}

/// What must be equal in runs that were trained alike: each epoch's numbers but for the speed, and the weights.
fn outcome(run: &Path) -> (Vec<Value>, [Vec<u8>; 2]) {
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("written");
    let lines = metrics
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let epochs = lines
        .filter(|line| line["kind"] == "epoch")
        .map(|mut line| {
            let fields = line.as_object_mut().expect("an object");
            fields.remove("images_per_second").expect("a speed");
            line
        });
    let weights = ["model.safetensors", "last.safetensors"];
    let weights = weights.map(|name| fs::read(run.join(name)).expect("written"));
    (epochs.collect(), weights)
}

/// Asserts that two sweeps have the same runs with the same bits.
fn assert_equal(one: &Path, other: &Path) {
    let runs = names(one);
    assert_eq!(runs.len(), 4);
    assert_eq!(runs, names(other));
    for run in runs {
        let outcomes = [one, other].map(|place| outcome(&place.join("runs/s").join(&run)));
        assert_eq!(outcomes[0].0.len(), 5, "{run}");
        assert!(outcomes[0] == outcomes[1], "{run}");
    }
}

#[test]
fn the_table_has_mean_and_deviation_of_what_the_runs_say_of_themselves() {
    let file = short().replace("seeds = 2", "seeds = [3, 1, 4]");
    let place = place(&file.replace("[base]", "[base]\nbest_by = \"validation.elbo\""));
    let table = sweep(place.path(), &[])
        .success()
        .get_output()
        .stdout
        .clone();
    let table = String::from_utf8(table).expect("UTF-8");
    let path = place.path().join("runs/s");
    let csv = fs::read(path.join("results.csv")).expect("written");
    let mut csv = csv::Reader::from_reader(&csv[..]);
    let columns = csv.headers().expect("names").clone();
    let rows: Vec<csv::StringRecord> = csv.records().collect::<Result<_, _>>().expect("a table");
    assert_eq!(rows.len(), 4);
    for row in &rows {
        let at = |name: &str| {
            let column = columns.iter().position(|column| column == name);
            &row[column.unwrap_or_else(|| panic!("{name} is not in {columns:?}"))]
        };
        assert_eq!(
            (at("seeds"), at("seeds_done"), at("seeds_failed")),
            ("3", "3", "0")
        );
        let runs = [3, 1, 4].map(|seed| {
            let name = format!("beta={},latent={},seed={seed}", at("beta"), at("latent"));
            let run = path.join(name);
            let json = |name: &str| fs::read_to_string(run.join(name)).expect("written");
            let manifest: Value = serde_json::from_str(&json("manifest.json")).expect("JSON");
            let metrics = json("metrics.jsonl");
            let mut epochs = metrics
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
                .filter(|line| line["kind"] == "epoch");
            let best = epochs.find(|line| line["epoch"] == manifest["best_epoch"]);
            (manifest, best.expect("the best epoch"))
        });
        let number = |value: &Value| value.as_f64().expect("a number");
        type Get<'a> = &'a dyn Fn(&(Value, Value)) -> f64;
        let columns: [(&str, Get<'_>); 5] = [
            ("loss", &|(manifest, _)| {
                number(&manifest["best_validation_loss"])
            }),
            ("validation.elbo", &|(manifest, _)| {
                number(&manifest["best_cost"])
            }),
            ("recon", &|(_, best)| number(&best["validation"]["recon"])),
            ("kl", &|(_, best)| number(&best["validation"]["kl"])),
            ("active_units", &|(_, best)| number(&best["active_units"])),
        ];
        for (name, get) in columns {
            let [a, b, c] = runs.each_ref().map(get);
            let mean = (a + b + c) / 3.0;
            let variance = ((a - mean).powi(2) + (b - mean).powi(2) + (c - mean).powi(2)) / 2.0;
            for (column, expected) in [("mean", mean), ("sd", variance.sqrt())] {
                let column = format!("{name}_{column}");
                let found: f64 = at(&column).parse().expect("a number");
                // The sum of three may be rounded in another order.
                assert!(
                    (found - expected).abs() <= 1e-12 * mean.abs(),
                    "{column}: {found}, {expected}"
                );
            }
            let cell = format!("{mean:.2} +- {:.2}", variance.sqrt());
            assert!(table.contains(&cell), "{cell} is not in {table}");
        }
        if at("beta") == "4" {
            assert_ne!(at("loss_mean"), at("validation.elbo_mean"));
        }
    }
    let markdown = fs::read_to_string(path.join("results.md")).expect("written");
    for line in table.lines() {
        let cells: Vec<&str> = line
            .split("  ")
            .map(str::trim)
            .filter(|cell| !cell.is_empty())
            .collect();
        let row = format!("| {} |", cells.join(" | "));
        assert!(markdown.contains(&row), "{row} is not in {markdown}");
    }
    let again = sweep(place.path(), &["--table"]).success();
    assert_eq!(again.get_output().stdout, table.as_bytes());
}

#[test]
fn two_processes_on_one_folder_train_each_run_once() {
    let [alone, shared] = [(); 2].map(|()| place(FILE));
    sweep(alone.path(), &["--quiet"]).success();
    let mut one = start(shared.path(), &["--wait"]);
    let mut said = lines(&mut one);
    let first = said.find(|line| line.ends_with(" begins")).expect("a run");
    let mut other = start(shared.path(), &["--wait"]);
    let others: Vec<String> = lines(&mut other).collect();
    let ones: Vec<String> = [first].into_iter().chain(said).collect();
    for child in [&mut one, &mut other] {
        assert!(
            child.wait().expect("its end").success(),
            "{ones:?} {others:?}"
        );
    }
    let runs = [ones, others].map(|said| begun(said, " begins"));
    assert!(runs.iter().all(|runs| !runs.is_empty()), "{runs:?}");
    let all = runs.concat();
    let different: BTreeSet<String> = all.iter().cloned().collect();
    assert_eq!(
        (all.len(), &different),
        (4, &names(shared.path())),
        "{runs:?}"
    );
    assert_equal(alone.path(), shared.path());
}

#[cfg(unix)]
#[test]
fn a_sweep_that_is_killed_or_interrupted_goes_on_to_the_same_bits() {
    let whole = place(FILE);
    sweep(whole.path(), &["--quiet"]).success();
    for (signal, code) in [("-KILL", None), ("-INT", Some(130))] {
        let place = place(FILE);
        let mut child = start(place.path(), &[]);
        let mut said = lines(&mut child);
        said.by_ref()
            .filter(|line| line.starts_with("epoch   1"))
            .nth(2)
            .expect("a third run");
        let id = child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("kill").success());
        let rest: Vec<String> = said.collect();
        assert_eq!(child.wait().expect("its end").code(), code, "{rest:?}");
        let is_told = rest
            .iter()
            .any(|line| line.contains("the same command goes on"));
        assert_eq!(is_told, code.is_some(), "{rest:?}");

        let again = sweep(place.path(), &[]).success();
        let said = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
        let said = || said.lines().map(str::to_owned);
        assert_eq!(
            begun(said(), " goes on").len(),
            1,
            "{:?}",
            said().collect::<Vec<_>>()
        );
        assert_eq!(
            begun(said(), " begins").len(),
            1,
            "{:?}",
            said().collect::<Vec<_>>()
        );
        assert_equal(whole.path(), place.path());
        // Nothing is left.
        let third = sweep(place.path(), &[])
            .success()
            .stderr(contains("4 of 4 runs are done"));
        let said = String::from_utf8_lossy(&third.get_output().stderr).into_owned();
        assert!(!said.contains("run 1 of"), "{said}");
    }
}

#[test]
fn a_run_that_fails_is_listed_and_stops_no_other() {
    let place = place(&short().replace("latent = [2, 3]", "latent = [0, 3]"));
    let reason = "latent: expected at least 1, found 0";
    let listed = || contains("beta=1,latent=0,seed=1: ").and(contains(reason));
    sweep(place.path(), &[])
        .code(1)
        .stderr(listed().and(contains("4 of 8 runs are done, 4 failed")))
        .stdout(contains("0 of 2").and(contains("2 of 2")));
    let markdown = fs::read_to_string(place.path().join("runs/s/results.md")).expect("written");
    assert!(
        markdown.contains(&format!("- `beta=4,latent=0,seed=0`: {reason}")),
        "{markdown}"
    );
    sweep(place.path(), &["--table"]).code(1).stderr(listed());
    sweep(place.path(), &[])
        .code(1)
        .stderr(listed().and(contains("begins").not()));
    let again = sweep(place.path(), &["--retry-failed"])
        .code(1)
        .stderr(listed());
    let said = String::from_utf8_lossy(&again.get_output().stderr).into_owned();
    assert_eq!(
        begun(said.lines().map(str::to_owned), " begins").len(),
        4,
        "{said}"
    );
    sweep(place.path(), &["--dry-run"]).success().stdout(
        contains("beta=4,latent=0,seed=1  failed: latent").and(contains("seed=0  finished")),
    );
}

#[test]
fn a_run_that_another_program_writes_to_is_left_out_and_trained_by_the_next_sweep() {
    let place = place(&short());
    let run = "beta=1,latent=3,seed=1";
    let path = place.path().join("runs/s").join(run);
    sweep(place.path(), &["--quiet"]).success();
    fs::remove_dir_all(&path).expect("there");
    fs::create_dir(&path).expect("writable");
    let lock = fs::File::create(path.join(".lock")).expect("writable");
    lock.lock().expect("free");
    let words =
        contains(run).and(contains("is left out: ").and(contains("another vae-gpu process")));
    sweep(place.path(), &["--wait"])
        .success()
        .stderr(words.and(contains("7 of 8 runs are done")));
    drop(lock);
    sweep(place.path(), &[])
        .success()
        .stderr(contains("8 of 8 runs are done"));
}

#[test]
fn a_run_that_failed_for_want_of_data_is_trained_when_they_are_there() {
    let file =
        "seeds = 1\n[base]\nbackend = \"cpu\"\nhidden = [8]\nepochs = 1\ndata = \"late.npz\"\n";
    let place = place(file);
    sweep(place.path(), &[])
        .code(1)
        .stderr(contains("late.npz"));
    let convert = ["data", "convert", "digits", "--out", "late.npz"];
    vae_gpu(&convert)
        .current_dir(place.path())
        .assert()
        .success();
    sweep(place.path(), &[]).code(1);
    sweep(place.path(), &["--retry-failed"])
        .success()
        .stderr(contains("1 of 1 runs are done"));
}

#[test]
fn a_file_that_was_changed_is_refused_and_one_with_more_points_is_taken() {
    let place = place(&short());
    sweep(place.path(), &["--quiet"]).success();
    let rewrite = |from: &str, to: &str| {
        let text = short().replace(from, to);
        assert_ne!(text, short());
        fs::write(place.path().join("s.toml"), text).expect("writable");
    };
    for (from, to, what) in [
        ("epochs = 1", "epochs = 2", "base.epochs from 1 to 2"),
        (
            "latent = [2, 3]",
            "latent = [2]",
            "grid.latent is without 3",
        ),
        ("seeds = 2", "seeds = [1, 2]", "seeds are without 0"),
        (
            "beta = [1, 4]",
            "lr = [0.01]",
            "grid.beta is gone, grid.lr is new",
        ),
    ] {
        rewrite(from, to);
        for options in [&[][..], &["--table"], &["--dry-run"]] {
            let words = contains("runs/s: holds the runs of other settings: ").and(contains(what));
            sweep(place.path(), options).code(1).stderr(words);
        }
    }
    rewrite("latent = [2, 3]", "latent = [4, 2, 3]");
    let more = sweep(place.path(), &[]).success();
    let said = String::from_utf8_lossy(&more.get_output().stderr).into_owned();
    let runs = begun(said.lines().map(str::to_owned), " begins");
    assert_eq!(runs.len(), 4, "{runs:?}");
    assert!(runs.iter().all(|run| run.contains("latent=4")), "{runs:?}");
}

#[test]
fn what_is_no_sweep_is_answered_with_what_was_expected_and_where() {
    let place = place("seeds = 1\n[grid]\nlatnt = [1]\n");
    let wrong = |options: &[&str], code: i32, words: &str| {
        sweep(place.path(), options)
            .code(code)
            .stderr(contains(words));
    };
    wrong(&[], 1, "s.toml: grid.latnt: expected a setting");
    wrong(&[], 1, "did you mean `latent`?");
    wrong(&["--shard", "3/2"], 2, "expected two numbers such as 2/4");
    wrong(&["--shard", "0/2"], 2, "expected two numbers such as 2/4");
    wrong(&["--table", "--dry-run"], 2, "cannot be used with");
    fs::write(place.path().join("s.toml"), short()).expect("writable");
    fs::create_dir(place.path().join("mine")).expect("writable");
    fs::write(place.path().join("mine/thesis.txt"), "").expect("writable");
    wrong(
        &["--out", "mine"],
        1,
        "mine: expected an empty folder or that of a sweep, found thesis.txt",
    );
    // Nothing was made.
    assert!(!place.path().join("runs").exists());
    fs::remove_file(place.path().join("s.toml")).expect("there");
    wrong(&[], 1, "s.toml: cannot be read");
}

#[test]
fn shards_share_the_runs_out_and_a_dry_run_makes_nothing() {
    let place = place(&short());
    let listed = |options: &[&str]| -> Vec<String> {
        let options = [&["--dry-run"], options].concat();
        let output = sweep(place.path(), &options).success();
        let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
        let lines = text.lines().map(|line| {
            let name = line.strip_suffix("to be trained").expect("nothing is done");
            name.trim().to_owned()
        });
        lines.collect()
    };
    let all = listed(&[]);
    assert_eq!(all.len(), 8);
    let mut shared: Vec<String> = ["1/3", "2/3", "3/3"]
        .iter()
        .flat_map(|shard| listed(&["--shard", shard]))
        .collect();
    shared.sort();
    assert_eq!(
        shared,
        all.iter()
            .cloned()
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect::<Vec<_>>()
    );
    assert!(!place.path().join("runs").exists());
    sweep(place.path(), &["--quiet", "--shard", "3/3"]).success();
    assert_eq!(names(place.path()), listed_of(&all, 2));
}

/// Every third run, from the one at `first` on.
fn listed_of(all: &[String], first: usize) -> BTreeSet<String> {
    all.iter().skip(first).step_by(3).cloned().collect()
}

#[test]
fn the_recipes_of_published_results_are_sweeps() {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reproduce");
    let place = folder();
    let mut count = 0;
    for recipe in fs::read_dir(recipes).expect("a folder") {
        let mut command = vae_gpu(&["sweep", "--dry-run"]);
        let listed = command.arg(recipe.expect("an entry").path());
        let listed = listed.current_dir(place.path()).assert().success();
        listed.stdout(contains("seed=0  to be trained"));
        count += 1;
    }
    assert!(count >= 6, "{count}");
}

#[cfg(unix)]
#[test]
fn a_published_result_is_compared_with_ours_and_nothing_is_trained_twice() {
    let place = folder();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/reproduce.sh");
    let reproduce = || {
        let output = Command::new("bash")
            .arg(&script)
            .arg("article")
            .current_dir(place.path())
            .env("VAE_GPU", assert_cmd::cargo::cargo_bin!("vae-gpu"))
            .envs([("DATA", "digits"), ("EPOCHS", "1"), ("K", "2")])
            .env_remove("OUT")
            .output()
            .expect("bash");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (String::from_utf8(output.stdout).expect("UTF-8"), said)
    };
    let (printed, said) = reproduce();
    let begins = |said: &str| begun(said.lines().map(str::to_owned), " begins").len();
    assert_eq!(begins(&said), 3, "{said}");
    let csv = fs::read(
        place
            .path()
            .join("runs/reproduce/article-1-epochs/results.csv"),
    );
    let csv = csv.expect("written");
    let mut csv = csv::Reader::from_reader(&csv[..]);
    let row = csv.records().next().expect("a row").expect("a table");
    // seeds, seeds_done, seeds_failed, loss_mean
    let ours: f64 = row[3].parse().expect("a number");
    let line = printed
        .lines()
        .find(|line| line.starts_with("best validation loss"));
    let line = line.unwrap_or_else(|| panic!("{printed}"));
    let numbers: Vec<&str> = line.split_whitespace().rev().take(3).collect();
    let expected = [
        format!("{:+.2}", ours - 162.02),
        "162.02".into(),
        format!("{ours:.2}"),
    ];
    assert_eq!(numbers, expected, "{printed}");
    assert!(printed.contains("NLL of its weights, k = 2"), "{printed}");
    let (again, said) = reproduce();
    assert_eq!((again, begins(&said)), (printed, 0), "{said}");
}
