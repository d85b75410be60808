//! One of the parts of some samples, by its number or as the schedulers of job arrays say which task a process is.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// One of the consecutive parts of some samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shard {
    /// From 1.
    index: usize,
    count: usize,
}

/// Where schedulers say which task of how many a process is, and the number of the first task.
const SCHEDULERS: [Scheduler; 6] = [
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
    // The processes of one `srun`, within which any of the others may have started this one.
    Scheduler {
        index: "SLURM_PROCID",
        first: First::Is(0),
        count: Some("SLURM_STEP_NUM_TASKS"),
    },
];

struct Scheduler {
    index: &'static str,
    first: First,
    /// The script of a batch job of Slurm has a number, too, but no tasks: the two belong together.
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
        let count = match self.count {
            Some(name) => Some(variable(name)?),
            None => None,
        };
        Some((index, count))
    }
}

impl Shard {
    /// The part of this index, from 1, of `count`.
    pub(crate) const fn new(index: usize, count: usize) -> Self {
        Self { index, count }
    }

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
    pub(crate) fn places(self, samples: usize) -> Range<usize> {
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
        let step = [("SLURM_PROCID", 1), ("SLURM_STEP_NUM_TASKS", 4)];
        assert_eq!(parsed("auto", &step), Ok((2, 4)));
        let worker = [step[0], step[1], ("HQ_TASK_ID", 5)];
        assert_eq!(parsed("auto/8", &worker), Ok((5, 8)));
        assert_eq!(parsed("auto/8", &[("JOB_COMPLETION_INDEX", 0)]), Ok((1, 8)));
        for (text, variables) in [
            ("0/8", &[][..]),
            ("9/8", &[]),
            ("three/8", &[]),
            ("3", &[]),
            ("auto/8", &[]),
            ("auto", &[("HQ_TASK_ID", 1)]),
            ("auto/8", &[("HQ_TASK_ID", 9)]),
            ("auto/8", &[("SLURM_PROCID", 0)]),
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
