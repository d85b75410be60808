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

/// Where launchers say how many processes they have started.
const SIZES: [&str; 2] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE"];
/// What others set, which say that to MPI alone.
const RANK: &str = "PMIX_RANK";

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
        if !known.any(|name| env::var_os(name).is_some()) {
            return Ok(Self::default());
        }
        Self::joined(is_needed)
    }

    #[cfg(feature = "mpi")]
    fn joined(_: bool) -> Result<Self> {
        let Some(mpi) = vae_train::Mpi::join() else {
            bail!("MPI cannot be started in this process");
        };
        vae_device::share_cores(mpi.sharing());
        Ok(Self { mpi: Some(mpi) })
    }

    #[cfg(not(feature = "mpi"))]
    fn joined(is_needed: bool) -> Result<Self> {
        let sizes = SIZES.iter().filter_map(|name| env::var(name).ok());
        let size = sizes
            .filter_map(|size| size.parse::<usize>().ok())
            .next()
            .unwrap_or(1);
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
