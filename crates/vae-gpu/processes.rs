//! The processes that an MPI launcher, `mpirun` or `srun`, has started together, where this program was built with MPI.

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use vae_train::Group;

use crate::report;

/// How long a process gives the first one to report what is wrong on all of them.
const PATIENCE: Duration = Duration::from_secs(3);

/// What says how many seconds a process waits for others before all end, and how many if it is not set: the first process may wait ten
/// minutes for room on a full disk.
#[cfg(feature = "mpi")]
const LIMIT: (&str, u64) = ("VAE_GPU_PROCESS_TIMEOUT", 30 * 60);

/// Where launchers say how many processes they have started.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// What others set, which say that to MPI alone.
const RANK: &str = "PMIX_RANK";
/// Where `srun` says how many processes it has started, whether or not MPI knows of them.
const TASKS: &str = "SLURM_STEP_NUM_TASKS";

fn number(name: &str) -> Option<usize> {
    env::var(name).ok()?.parse().ok()
}

/// This process, or those that it works with.
#[derive(Debug, Default)]
pub(crate) struct Processes {
    #[cfg(feature = "mpi")]
    mpi: Option<vae_train::Mpi>,
}

impl Processes {
    /// Joins the others, if there are some and this program can; else `is_needed` makes that an error.
    pub(crate) fn join(is_needed: bool) -> Result<Self> {
        let mut known = SIZES.iter().chain([&RANK]);
        let processes = if known.any(|name| env::var_os(name).is_some()) {
            Self::joined(is_needed)?
        } else {
            Self::default()
        };
        let tasks = number(TASKS).unwrap_or(1);
        if is_needed && tasks > 1 && processes.group().is_none() {
            report::note(&format!(
                "srun has started {tasks} processes that know nothing of each other, so each of them trains a run of its own; to train one \
                 together takes `srun --mpi=pmix` and a vae-gpu with the feature `mpi` (docs/scaling.md)"
            ));
        }
        Ok(processes)
    }

    #[cfg(feature = "mpi")]
    fn joined(_: bool) -> Result<Self> {
        let (name, default) = LIMIT;
        let limit = match env::var(name) {
            Ok(text) => match text.parse() {
                Ok(seconds @ 1..) => seconds,
                _ => {
                    bail!("{name}: expected a whole number of seconds, at least 1, found {text:?}")
                }
            },
            Err(_) => default,
        };
        let Some(mpi) = vae_train::Mpi::join(limit, move |rank, size| give_up(rank, size, limit))
        else {
            bail!("MPI cannot be started in this process");
        };
        vae_device::share_cores(mpi.sharing());
        Ok(Self { mpi: Some(mpi) })
    }

    #[cfg(not(feature = "mpi"))]
    fn joined(is_needed: bool) -> Result<Self> {
        let size = SIZES.into_iter().find_map(number).unwrap_or(1);
        if is_needed && size > 1 {
            bail!(
                "started as {size} processes that train together, but this vae-gpu was built without MPI; build it with \
                 `cargo build --release --features mpi` (docs/scaling.md), or start one process"
            );
        }
        Ok(Self::default())
    }

    /// All of them, if there are several.
    #[cfg(feature = "mpi")]
    pub(crate) fn group(&self) -> Option<&dyn Group> {
        let group = self.mpi.as_ref().filter(|mpi| mpi.size() > 1);
        group.map(|mpi| mpi as &dyn Group)
    }

    #[cfg(not(feature = "mpi"))]
    pub(crate) fn group(&self) -> Option<&dyn Group> {
        None
    }

    /// Does `work`, and reports its error. An error or a panic of one process ends all of them, for the others would wait for ever.
    pub(crate) fn run(&self, work: impl FnOnce() -> Result<ExitCode>) -> ExitCode {
        let Some(group) = self.group() else {
            return work().unwrap_or_else(|error| {
                report::error(&error);
                ExitCode::FAILURE
            });
        };
        let rank = group.rank();
        if rank > 0 {
            report::silence();
        }
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(code)) => return code,
            Ok(Err(error)) if rank == 0 => report::error(&error),
            Ok(Err(error)) => {
                thread::sleep(PATIENCE);
                report::error(&error.context(format!("process {rank} of {}", group.size())));
            }
            Err(_) => report::error(&anyhow!("process {rank} of {} panicked", group.size())),
        }
        self.abort()
    }

    #[cfg(feature = "mpi")]
    fn abort(&self) -> ! {
        vae_train::Mpi::abort(1)
    }

    #[cfg(not(feature = "mpi"))]
    fn abort(&self) -> ! {
        std::process::exit(1)
    }
}

/// Ends all processes, for one of them has waited too long.
#[cfg(feature = "mpi")]
fn give_up(rank: usize, size: usize, seconds: u64) {
    if rank > 0 {
        thread::sleep(PATIENCE);
    }
    report::error(&anyhow!(
        "process {rank} of {size} has waited {seconds} seconds for another one, which stands still or cannot be reached, so all of them \
         end; a run goes on from its last checkpoint with --resume, and {} sets the seconds",
        LIMIT.0
    ));
    vae_train::Mpi::abort(1)
}
