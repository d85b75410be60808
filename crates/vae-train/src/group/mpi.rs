//! A [`Group`] of MPI processes.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use mpi::Threading;
use mpi::collective::{CommunicatorCollectives, Root};
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::Universe;
use mpi::topology::{Communicator, SimpleCommunicator};

use super::Group;
use super::watch::Watch;

/// Bytes that are broadcast at a time: counts of MPI have 31 bits.
const AT_ONCE: usize = 1 << 30;

/// The processes that `mpirun` or `srun` has started together. MPI ends when it is dropped, on all of them at a time.
pub struct Mpi {
    world: SimpleCommunicator,
    local: [usize; 2],
    sharing: usize,
    watch: Watch,
    _universe: Universe,
}

impl Mpi {
    /// Joins the other processes; `None` if that was done before. Once a wait for the others has taken so many seconds, `give_up` is
    /// called, on a thread of its own, with the number of this process and that of all.
    #[must_use]
    pub fn join(seconds: u64, give_up: impl FnOnce(usize, usize) + Send + 'static) -> Option<Self> {
        let (universe, _) = mpi::initialize_with_threading(Threading::Serialized)?;
        let world = universe.world();
        let local = world.split_shared(world.rank());
        let mine = hash_of_cores();
        let mut cores = vec![0; local.size() as usize];
        local.all_gather_into(&mine, &mut cores[..]);
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        Some(Self {
            watch: Watch::start(seconds, move || give_up(rank, size)),
            local: [local.rank() as usize, local.size() as usize],
            sharing: cores.into_iter().filter(|&cores| cores == mine).count(),
            world,
            _universe: universe,
        })
    }

    /// Number of processes of this machine, this one among them, that may run on the cores that this one may run on.
    #[must_use]
    pub const fn sharing(&self) -> usize {
        self.sharing
    }

    /// Ends all processes at once, from any thread.
    pub fn abort(code: i32) -> ! {
        SimpleCommunicator::world().abort(code)
    }
}

impl fmt::Debug for Mpi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mpi({} of {})", self.rank(), self.size())
    }
}

/// The cores that this process may run on: the launcher may have bound it to some. Unknown but on Linux, where they are all taken
/// for the same.
fn hash_of_cores() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find(|line| line.starts_with("Cpus_allowed:"));
    let mut hasher = DefaultHasher::new();
    line.hash(&mut hasher);
    hasher.finish()
}

/// Counts as MPI takes them, and the places that they begin at.
#[expect(
    clippy::expect_used,
    reason = "what is exchanged are gradients and results of a validation set, which are smaller by far"
)]
fn partition(counts: &[usize]) -> (Vec<i32>, Vec<i32>) {
    let number = |count: usize| i32::try_from(count).expect("less than 2^31 numbers at a time");
    let mut end = 0;
    let begins = counts.iter().map(|count| {
        end += count;
        number(end - count)
    });
    let begins = begins.collect();
    (counts.iter().map(|&count| number(count)).collect(), begins)
}

impl Group for Mpi {
    fn rank(&self) -> usize {
        self.world.rank() as usize
    }

    fn size(&self) -> usize {
        self.world.size() as usize
    }

    fn local(&self) -> [usize; 2] {
        self.local
    }

    fn exchange(
        &self,
        sent: &[f32],
        sent_counts: &[usize],
        received: &mut [f32],
        received_counts: &[usize],
    ) {
        let (counts, begins) = partition(sent_counts);
        let sent = Partition::new(sent, counts, begins);
        let (counts, begins) = partition(received_counts);
        let mut received = PartitionMut::new(received, counts, begins);
        let wait = || self.world.all_to_all_varcount_into(&sent, &mut received);
        self.watch.during(wait);
    }

    fn gather_all(&self, mine: &[f32], all: &mut [f32], counts: &[usize]) {
        let (counts, begins) = partition(counts);
        let mut all = PartitionMut::new(all, counts, begins);
        let wait = || self.world.all_gather_varcount_into(mine, &mut all);
        self.watch.during(wait);
    }

    fn broadcast(&self, bytes: &mut Vec<u8>) {
        let first = self.world.process_at_rank(0);
        let mut length = bytes.len() as u64;
        self.watch.during(|| first.broadcast_into(&mut length));
        bytes.resize(length as usize, 0);
        for part in bytes.chunks_mut(AT_ONCE) {
            self.watch.during(|| first.broadcast_into(part));
        }
    }

    fn gather(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let first = self.world.process_at_rank(0);
        // An empty Vec points to address 1, which Open MPI takes for MPI_IN_PLACE: neither buffer may be one.
        let bytes = if bytes.is_empty() { &[0][..0] } else { bytes };
        let length = bytes.len() as u64;
        if self.rank() > 0 {
            self.watch.during(|| {
                first.gather_into(&length);
                first.gather_varcount_into(bytes);
            });
            return Vec::new();
        }
        let mut lengths = vec![0u64; self.size()];
        let wait = || first.gather_into_root(&length, &mut lengths[..]);
        self.watch.during(wait);
        let lengths: Vec<usize> = lengths.into_iter().map(|length| length as usize).collect();
        let mut all = vec![0; lengths.iter().sum::<usize>().max(1)];
        let (counts, begins) = partition(&lengths);
        let mut places = PartitionMut::new(&mut all[..], counts, begins);
        let wait = || first.gather_varcount_into_root(bytes, &mut places);
        self.watch.during(wait);
        let mut rest = &all[..];
        let each = lengths.into_iter().map(|length| {
            let (bytes, behind) = rest.split_at(length);
            rest = behind;
            bytes.to_vec()
        });
        each.collect()
    }
}
