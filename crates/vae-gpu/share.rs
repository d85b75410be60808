//! What this process works on: all samples, a part of them whose file `data merge` puts together with the others, or that of one of
//! several MPI processes, which write one file.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use vae_data::Images;
use vae_train::Group;

use crate::arguments::OverwriteArguments;
use crate::processes::Processes;
use crate::shard::Shard;
use crate::{merge, output, report};

#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Shards")]
pub(crate) struct ShardArguments {
    /// Work on part I of N of the samples, and write it to a file of its own, which `data merge` puts together [default: all].
    ///
    /// auto takes I from the task of a job array (Slurm, HyperQueue, Kubernetes, GNU parallel) or the rank of an MPI process,
    /// and auto without N takes N from it, too. A part whose file is there already is not computed again.
    #[arg(long, value_name = "I/N|auto[/N]")]
    shard: Option<Shard>,
}

/// What a command works on and where it writes that.
pub(crate) struct Work {
    pub(crate) images: Images,
    /// Place of the first of them among all samples.
    pub(crate) first: u32,
}

impl ShardArguments {
    /// Whether the processes of a group are to share the samples and write one file; with --shard, each is a task of its own.
    pub(crate) const fn is_for_all(self) -> bool {
        self.shard.is_none()
    }

    /// What this process works on.
    pub(crate) fn share(self, processes: &Processes) -> Share<'_> {
        match processes.group().filter(|_| self.is_for_all()) {
            Some(group) => Share::of(group),
            None => self.alone(),
        }
    }

    /// What this process works on, whatever others do.
    pub(crate) const fn alone(self) -> Share<'static> {
        Share {
            shard: self.shard,
            group: None,
        }
    }
}

/// What this process works on: all samples, a part that is written to a file of its own, or one that is merged with those of a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share<'p> {
    shard: Option<Shard>,
    group: Option<&'p dyn Group>,
}

impl<'p> Share<'p> {
    /// That of this process in `group`.
    pub(crate) fn of(group: &'p dyn Group) -> Self {
        let shard = Shard::new(group.rank() + 1, group.size());
        Self {
            shard: Some(shard),
            group: Some(group),
        }
    }

    /// The file to write; `None` if a part is done already.
    pub(crate) fn out(self, out: &Path, overwrite: OverwriteArguments) -> Result<Option<PathBuf>> {
        let Some(shard) = self.shard else {
            overwrite.check(out)?;
            return Ok(Some(out.to_owned()));
        };
        let extension = out.extension().unwrap_or_default();
        ensure!(
            extension == "csv" || extension == "npy",
            "{}: expected a name that ends in .csv or .npy for a part, for only these are merged",
            out.display()
        );
        let part = shard.path(out);
        if self.group.is_some() {
            overwrite.check(out)?;
            return Ok(Some(part));
        }
        if part.exists() && overwrite.check(&part).is_err() {
            report::note(&format!(
                "{} is there already; --force computes it again",
                part.display()
            ));
            return Ok(None);
        }
        Ok(Some(part))
    }

    /// The places of this share among so many samples.
    pub(crate) fn places(self, samples: usize) -> Result<Range<u32>> {
        ensure!(
            u32::try_from(samples).is_ok(),
            "expected at most {} samples, found {samples}",
            u32::MAX
        );
        let Some(shard) = self.shard else {
            return Ok(0..samples as u32);
        };
        let places = shard.places(samples);
        ensure!(
            !places.is_empty(),
            "shard {shard}: no samples, for there are only {samples}"
        );
        report::note(&format!(
            "shard {shard}: {} of {samples} samples",
            places.len()
        ));
        Ok(places.start as u32..places.end as u32)
    }

    /// The share of `images`.
    pub(crate) fn work(self, images: Images) -> Result<Work> {
        if self.shard.is_none() {
            return Ok(Work { images, first: 0 });
        }
        let places = self.places(images.count())?;
        let first = places.start;
        Ok(Work {
            images: images.subset(&places.collect::<Vec<_>>()),
            first,
        })
    }

    /// The sums of `numbers` over a group, on its first process, which reports; else these numbers.
    pub(crate) fn sums<const N: usize>(self, numbers: [f64; N]) -> [f64; N] {
        let bytes = numbers.map(f64::to_le_bytes);
        let of_all = self.group.map(|group| group.gather(bytes.as_flattened()));
        let mut sums = [0.0; N];
        match of_all {
            Some(of_all) => {
                for bytes in of_all {
                    let (theirs, _) = bytes.as_chunks();
                    for (sum, bytes) in sums.iter_mut().zip(theirs) {
                        *sum += f64::from_le_bytes(*bytes);
                    }
                }
                sums
            }
            None => numbers,
        }
    }

    /// Writes `bytes` to the file `part`; those of a group are merged into `out` once all are written.
    pub(crate) fn write(self, part: &Path, out: &Path, bytes: &[u8]) -> Result<()> {
        let Some(group) = self.group else {
            return output::write(part, bytes);
        };
        output::save(part, bytes)?;
        if group.gather(&[]).is_empty() {
            return Ok(());
        }
        let count = group.size();
        let shards = (1..=count).map(|index| Shard::new(index, count));
        let parts: Vec<PathBuf> = shards.map(|shard| shard.path(out)).collect();
        merge::merge(out, &parts)?;
        for part in parts {
            fs::remove_file(&part)
                .with_context(|| format!("{}: cannot be removed", part.display()))?;
        }
        report::result(&out.display().to_string());
        Ok(())
    }
}
