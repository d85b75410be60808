//! Parts of the samples for many processes, as a scheduler's job arrays start them, and their files, which `data merge` puts together.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, ensure};
use clap::Args;
use vae_data::Images;
use vae_train::Group;

use crate::arguments::OverwriteArguments;
use crate::processes::Processes;
use crate::{merge, output, report};

/// One of the consecutive parts of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1.
    index: usize,
    count: usize,
}

/// Where schedulers say which task of how many a process is, and the number of the first task.
const SCHEDULERS: [Scheduler; 5] = [
    Scheduler {
        index: "SLURM_ARRAY_TASK_ID",
        first: First::Named("SLURM_ARRAY_TASK_MIN"),
        count: Some("SLURM_ARRAY_TASK_COUNT"),
    },
    Scheduler {
        index: "OMPI_COMM_WORLD_RANK",
        first: First::Is(0),
        count: Some("OMPI_COMM_WORLD_SIZE"),
    },
    Scheduler {
        index: "HQ_TASK_ID",
        first: First::Is(1),
        count: None,
    },
    Scheduler {
        index: "JOB_COMPLETION_INDEX",
        first: First::Is(0),
        count: None,
    },
    Scheduler {
        index: "PARALLEL_SEQ",
        first: First::Is(1),
        count: None,
    },
];

struct Scheduler {
    index: &'static str,
    first: First,
    count: Option<&'static str>,
}

enum First {
    Is(usize),
    Named(&'static str),
}

impl Scheduler {
    /// The task that this process is, from 1, and of how many, if the scheduler says so.
    fn task(&self, variable: &impl Fn(&str) -> Option<usize>) -> Option<(usize, Option<usize>)> {
        let first = match self.first {
            First::Is(first) => first,
            First::Named(name) => variable(name).unwrap_or(1),
        };
        let index = (variable(self.index)? + 1).checked_sub(first)?;
        Some((index, self.count.and_then(variable)))
    }
}

impl Shard {
    /// From `I/N`, `auto/N` or `auto`.
    fn parse(text: &str, variable: impl Fn(&str) -> Option<usize>) -> Result<Self, String> {
        let (index, count) = match text.split_once('/') {
            Some((index, count)) => (index, Some(count)),
            None => (text, None),
        };
        let number = |text: &str| text.parse().map_err(|_| format!("`{text}` is no number"));
        let mut count = count.map(number).transpose()?;
        let index = if index == "auto" {
            let tasks = SCHEDULERS.iter();
            let task = tasks
                .filter_map(|scheduler| scheduler.task(&variable))
                .next();
            let (index, of) = task.ok_or_else(|| {
                let names = SCHEDULERS.map(|scheduler| scheduler.index).join(", ");
                format!("no scheduler says which task this is: none of {names} is set")
            })?;
            count = count.or(of);
            index
        } else {
            number(index)?
        };
        let count =
            count.ok_or("expected I/N, such as 3/8, or auto/8 in a job array of 8 tasks")?;
        if index == 0 || index > count {
            return Err(format!("expected a part from 1 to {count}, found {index}"));
        }
        Ok(Self { index, count })
    }

    /// Its places among so many samples.
    fn places(self, samples: usize) -> Range<usize> {
        let bound = |parts: usize| (samples as u128 * parts as u128 / self.count as u128) as usize;
        bound(self.index - 1)..bound(self.index)
    }

    /// The file of this part of `out`.
    pub(crate) fn path(self, out: &Path) -> PathBuf {
        let stem = out.file_stem().unwrap_or_default().to_string_lossy();
        let extension = out.extension().unwrap_or_default().to_string_lossy();
        let Self { index, count } = self;
        out.with_file_name(format!("{stem}.{index}-of-{count}.{extension}"))
    }

    /// The part whose file of `out` has this name.
    pub(crate) fn named(name: &str, out: &Path) -> Option<Self> {
        let stem = out.file_stem()?.to_string_lossy();
        let extension = out.extension()?.to_string_lossy();
        let part = name.strip_prefix(&*stem)?.strip_prefix('.')?;
        let part = part.strip_suffix(&*extension)?.strip_suffix('.')?;
        let (index, count) = part.split_once("-of-")?;
        Some(Self {
            index: index.parse().ok()?,
            count: count.parse().ok()?,
        })
    }

    pub(crate) const fn index(self) -> usize {
        self.index
    }

    pub(crate) const fn count(self) -> usize {
        self.count
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, |name| std::env::var(name).ok()?.trim().parse().ok())
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.index, self.count)
    }
}

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
        let shard = Shard {
            index: group.rank() + 1,
            count: group.size(),
        };
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
        let shards = (1..=count).map(|index| Shard { index, count });
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

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str, variables: &[(&str, usize)]) -> Result<(usize, usize), String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| *value)
        };
        Shard::parse(text, variable).map(|shard| (shard.index, shard.count))
    }

    #[test]
    fn a_part_is_named_or_is_that_of_the_task() {
        assert_eq!(parsed("3/8", &[]), Ok((3, 8)));
        let slurm = [
            ("SLURM_ARRAY_TASK_ID", 6),
            ("SLURM_ARRAY_TASK_MIN", 4),
            ("SLURM_ARRAY_TASK_COUNT", 5),
        ];
        assert_eq!(parsed("auto", &slurm), Ok((3, 5)));
        assert_eq!(parsed("auto/8", &[("HQ_TASK_ID", 8)]), Ok((8, 8)));
        assert_eq!(parsed("auto/8", &[("JOB_COMPLETION_INDEX", 0)]), Ok((1, 8)));
        for (text, variables) in [
            ("0/8", &[][..]),
            ("9/8", &[]),
            ("three/8", &[]),
            ("3", &[]),
            ("auto/8", &[]),
            ("auto", &[("HQ_TASK_ID", 1)]),
            ("auto/8", &[("HQ_TASK_ID", 9)]),
        ] {
            assert!(parsed(text, variables).is_err(), "{text}");
        }
    }

    #[test]
    fn the_parts_are_all_samples_in_order_and_have_files_of_their_own() {
        for samples in [0, 1, 7, 1_000] {
            let shard = |index| Shard { index, count: 3 };
            let parts = (1..=3).flat_map(|index| shard(index).places(samples));
            assert!(parts.eq(0..samples));
        }
        let (out, part) = (
            Path::new("a/latents.csv"),
            Shard {
                index: 2,
                count: 10,
            },
        );
        let path = part.path(out);
        assert_eq!(path, Path::new("a/latents.2-of-10.csv"));
        assert_eq!(Shard::named("latents.2-of-10.csv", out), Some(part));
        assert_eq!(Shard::named("latents.csv", out), None);
        assert_eq!(Shard::named("others.2-of-10.csv", out), None);
    }
}
