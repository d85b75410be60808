//! Files of sweeps: what is read out of them, what is refused, and what counts as a change.

use std::path::Path;

use vae_spec::Optimizer;

use super::*;

fn parse(text: &str) -> Result<Sweep, String> {
    let sweep = Sweep::parse(text, Path::new("s.toml"));
    sweep.map_err(|error| error.to_string())
}

fn valid(text: &str) -> Sweep {
    parse(text).expect("valid")
}

const SMALL: &str = "seeds = 2\n[base]\nepochs = 3\n[grid]\nlatent = [2, 8]\nbeta = [1, 0.5]\n";

#[test]
fn every_point_of_the_grid_is_a_run_for_every_seed() {
    let sweep = valid(SMALL);
    let names: Vec<String> = sweep.runs().into_iter().map(|run| run.name).collect();
    assert_eq!(names.len(), 8);
    assert_eq!(
        names[..3],
        [
            "beta=1,latent=2,seed=0",
            "beta=1,latent=2,seed=1",
            "beta=1,latent=8,seed=0"
        ]
    );
    let last = &sweep.runs()[7];
    let settings = &last.settings;
    assert_eq!(
        (
            settings.beta,
            settings.latent,
            settings.epochs,
            settings.seed
        ),
        (Some(0.5), Some(8), Some(3), Some(1))
    );
    assert_eq!(
        (last.point, &sweep.points()[3].values[..]),
        (3, &["0.5".into(), "8".into()][..])
    );
}

#[test]
fn the_grid_overrules_the_base_which_overrules_its_preset() {
    let text = "seeds = [4]\n[base]\npreset = \"iwae-k50\"\nepochs = 5\n[grid]\noptimizer = [\"amsgrad\", \"adam\"]\n";
    let runs = valid(text).runs();
    let of = |index: usize| &runs[index].settings;
    assert_eq!((of(0).latent, of(0).epochs), (Some(50), Some(5)));
    assert_eq!(of(0).optimizer, Some(Optimizer::Amsgrad));
    // The epsilon is that of the preset's Adam, as it is when options overrule a preset.
    assert_eq!((of(0).eps, of(1).eps), (None, Some(Some(1e-4))));
}

#[test]
fn a_sweep_reads_back_as_it_is_written() {
    let sweep = valid(
        "seeds = 1\n[base]\npreset = \"conv\"\n[grid]\nhidden = [[16], [32, 16], []]\nkl_schedule = [\"linear:3\"]\n",
    );
    let text = toml::to_string(&sweep).expect("serialisable");
    assert_eq!(valid(&text), sweep, "{text}");
    let names: Vec<String> = sweep.runs().into_iter().map(|run| run.name).collect();
    assert_eq!(
        names,
        [
            "hidden=16,kl_schedule=linear-3,seed=0",
            "hidden=32-16,kl_schedule=linear-3,seed=0",
            "hidden=none,kl_schedule=linear-3,seed=0"
        ]
    );
}

#[test]
fn more_values_and_seeds_are_no_change_and_anything_else_is_named() {
    let before = valid(SMALL);
    let changes = |from: &str, to: &str| {
        assert!(SMALL.contains(from));
        valid(&SMALL.replace(from, to)).changes_from(&before)
    };
    assert!(changes("[2, 8]", "[8, 2, 16]").is_empty());
    assert!(changes("seeds = 2", "seeds = [5, 1, 0]").is_empty());
    assert!(changes("[1, 0.5]", "[1.0, 0.5]").is_empty());
    assert_eq!(changes("[2, 8]", "[2]"), ["grid.latent is without 8"]);
    assert_eq!(changes("seeds = 2", "seeds = 1"), ["seeds are without 1"]);
    assert_eq!(
        changes("epochs = 3", "epochs = 4"),
        ["base.epochs from 3 to 4"]
    );
    assert_eq!(
        changes("beta = [1, 0.5]", "lr = [0.1]"),
        ["grid.beta is gone", "grid.lr is new"]
    );
}

#[test]
fn what_is_wrong_in_a_file_is_named_with_what_was_expected() {
    for (text, words) in [
        (
            "[grid]\nlatent = [2]",
            "seeds: expected their number, such as 3, or a list of different ones, such as [0, 1, 2], found none",
        ),
        ("seeds = 0", "found 0"),
        ("seeds = -1", "found -1"),
        ("seeds = [1, 1]", "found [1, 1]"),
        ("seeds = \"many\"", "found \"many\""),
        ("seeds = 200000", "100000 runs at most, found"),
        (
            "seeds = 1\nlatent = 3",
            "latent: expected seeds, [base] and [grid] alone, found a setting, which stands in [base]",
        ),
        ("seeds = 1\ngird = 3", "did you mean `grid`?"),
        (
            "seeds = 1\nbase = 3",
            "base: expected a table, [base], found a value of type integer",
        ),
        (
            "seeds = 1\n[base]\nlatnt = 3",
            "base.latnt: expected a setting",
        ),
        ("seeds = 1\n[base]\nlatnt = 3", "did you mean `latent`?"),
        (
            "seeds = 1\n[base]\nlatent = \"x\"",
            "base.latent: expected a value as config files of train have it, found \"x\": invalid type",
        ),
        (
            "seeds = 1\n[base]\nseed = 3",
            "base.seed: expected no seed but those of the sweep's seeds, found 3",
        ),
        (
            "seeds = 1\n[base]\npreset = \"artcle\"",
            "base.preset: expected the name of a preset, found artcle: unknown variant",
        ),
        (
            "seeds = 1\n[grid]\nlatent = 3",
            "grid.latent: expected a list of values, found 3",
        ),
        (
            "seeds = 1\n[grid]\nlatent = []",
            "grid.latent: expected a list of values, found []",
        ),
        (
            "seeds = 1\n[grid]\nbeta = [1, 1.0]",
            "grid.beta: expected a list of different values, found 1 twice",
        ),
        (
            "seeds = 1\n[grid]\nlatent = [1, \"x\"]",
            "grid.latent: expected a value",
        ),
        (
            "seeds = 1\n[grid]\ndata = [\"a/b\", \"a:b\"]",
            "grid: expected values that give every run's folder a name of its own, found data=a-b,seed=0 twice",
        ),
        ("seeds = 1\n[grid", "s.toml: not a valid config"),
    ] {
        let message = parse(text).expect_err(text);
        assert!(
            message.starts_with("s.toml: ") && message.contains(words),
            "{text}: {message}"
        );
    }
    let long = format!("seeds = 1\n[grid]\ndata = [\"{}\"]", "x".repeat(300));
    assert!(
        parse(&long)
            .expect_err("long")
            .contains("200 letters at most")
    );
}
