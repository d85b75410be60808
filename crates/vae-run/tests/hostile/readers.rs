//! Reads a file of each format, and looks at what was read, as the program would.

use std::fs;
use std::path::Path;

use vae_data::{AutoScale, Dataset, Inherited, ReadOptions, Scale, Scaling, Source};
use vae_recipe::{Preprocessing, RecipePatch, Sweep};
use vae_run::{Interrupted, Metrics, RunOverview, SavedRun, read_pytorch};

/// What is wrong with a file, in words; whatever is in it, no reader does anything else.
pub(crate) type Verdict = Result<(), String>;

fn said(error: impl ToString) -> String {
    error.to_string()
}

/// Data in a file called `name`, whose ending tells text tables and images from others. It is written into `folder`.
pub(crate) fn data(name: &str, bytes: &[u8], folder: &Path) -> Verdict {
    let path = folder.join(name);
    fs::write(&path, bytes).map_err(said)?;
    let path = path.to_string_lossy().into_owned();
    let open = |options: &ReadOptions| -> Verdict {
        let source = Source::open(&path, options, &|_| {}).map_err(said)?;
        let _ = Dataset::fingerprint_of(&source);
        let fitted = match Scale::auto(&source.train).map_err(said)? {
            AutoScale::Known(scale) => Scaling::fit(scale, &source.train),
            AutoScale::Unclear { .. } => Scaling::fit(Scale::MinMax, &source.train),
        };
        fitted.map(drop).map_err(said)
    };
    let plain = open(&ReadOptions::default());
    let mut others = vec![ReadOptions {
        size: Some([2, 2]),
        grey: true,
        skip_bad: true,
        ..ReadOptions::default()
    }];
    if name.contains(".csv") || name.contains(".tsv") || name.ends_with(".parquet") {
        others.push(ReadOptions {
            labels: Some("kind".into()),
            ids: Some("name".into()),
            inherited: Inherited {
                ids: true,
                ..Inherited::default()
            },
            ..ReadOptions::default()
        });
    }
    if name.ends_with(".npy") || name.ends_with("ubyte") {
        others.push(ReadOptions {
            stream: true,
            ..ReadOptions::default()
        });
        others.push(ReadOptions {
            labels: Some(path.clone()),
            ..ReadOptions::default()
        });
    }
    // A file is refused if no way of reading it takes it.
    let others: Vec<Verdict> = others.iter().map(open).collect();
    others.into_iter().find(Result::is_ok).unwrap_or(plain)
}

/// A config file.
pub(crate) fn config(bytes: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    let patch = RecipePatch::parse(&text, Path::new("config.toml")).map_err(said)?;
    let recipe = patch.over_defaults().complete();
    let recipe = recipe.ok_or("`image` is missing")?;
    recipe.check_size().map_err(said)?;
    let parameters = recipe.model().parameter_count();
    let _ = (recipe.objective(), recipe.optimizer_config(), parameters);
    for step in [0, 1, 1000, u64::MAX] {
        let _ = recipe.weighting(step, 10);
    }
    let _ = recipe.final_weighting();
    let _ = Preprocessing::saved(&recipe, None).columns().len();
    toml::to_string(&recipe).map(drop).map_err(said)
}

/// The file of a sweep.
pub(crate) fn sweep(bytes: &[u8]) -> Verdict {
    let text = String::from_utf8_lossy(bytes);
    let sweep = Sweep::parse(&text, Path::new("sweep.toml")).map_err(said)?;
    for run in sweep.runs() {
        if run.name.contains(['/', '\\', '\0']) || run.name.starts_with('.') {
            panic!("{} leaves the folder of the sweep", run.name);
        }
    }
    let _ = sweep.changes_from(&sweep);
    Ok(())
}

/// The file `name` of the run in `folder`, which is put back to what it was.
pub(crate) fn run(name: &str, bytes: &[u8], folder: &Path) -> Verdict {
    let path = folder.join(name);
    let whole = fs::read(&path).map_err(said)?;
    fs::write(&path, bytes).map_err(said)?;
    let all = || -> Verdict {
        let _ = (RunOverview::open(folder), RunOverview::below(folder));
        Metrics::read(folder).map_err(said)?;
        Interrupted::open(folder).map_err(said)?;
        let saved = SavedRun::open(folder, None).map_err(said)?;
        let length = saved.recipe.image.length();
        saved.preprocessing.undo(&mut vec![0.5; length], length);
        Ok(())
    };
    let verdict = all();
    fs::write(&path, whole).map_err(said)?;
    verdict
}

/// A state dict of another program, after lines such as `fc1=encoder.0` and an empty one. It is written into `folder`.
pub(crate) fn import(bytes: &[u8], folder: &Path) -> Verdict {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let (lines, file) = end.map_or((&[][..], bytes), |end| (&bytes[..end], &bytes[end + 2..]));
    let lines = String::from_utf8_lossy(lines);
    let pairs = lines.lines().filter_map(|line| line.split_once('='));
    let names: Vec<(String, String)> = pairs
        .map(|(theirs, ours)| (theirs.to_owned(), ours.to_owned()))
        .collect();
    let path = folder.join("state.safetensors");
    fs::write(&path, file).map_err(said)?;
    let patch: RecipePatch =
        toml::from_str("image = [2, 2]\nhidden = [3]\nlatent = 2\n").map_err(said)?;
    let recipe = patch.over_defaults().complete().ok_or("not complete")?;
    read_pytorch(&path, &recipe, &names).map(drop).map_err(said)
}
