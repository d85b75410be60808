//! How a matrix product is divided among workgroups: the tiles that there are, which one a product takes, and the repeated lines
//! of `shaders/step/matmul.wgsl`.

mod text;

use super::cost::Cores;
use crate::program::NLL_COLUMNS;

/// A workgroup's share of a product.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tile {
    /// Elements of the result, down and across.
    pub(super) size: [usize; 2],
    /// Elements of one thread, down and across.
    thread: [usize; 2],
    /// Groups of threads that share k.
    groups: usize,
    /// Length of k that each group takes at a time.
    depth: usize,
    /// Workgroups resident on a core at a time.
    held: usize,
    /// Speed where neighbours along k are neighbours in the memory of an operand.
    along_k: Speed,
    /// Speed where they are not.
    across_k: Speed,
}

/// Speed of a core, measured on an H100 (docs/benchmarks.md): n workgroups at a time take as long as n + `wait` of them would if
/// it multiplied at `rate`.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Speed {
    /// Multiply-adds per nanosecond.
    rate: f64,
    /// Wait for memory, in units of a workgroup's multiply-adds.
    wait: f64,
}

impl Speed {
    const fn new(rate: f64, wait: f64) -> Self {
        Self { rate, wait }
    }
}

/// Nanoseconds that each round of workgroups takes beside its multiply-adds.
const START: f64 = 1_000.0;
/// Factor by which products take longer that share a dispatch, where workgroups look up which product is theirs: on an H200 1.0
/// to 1.2, and 1.4 to 1.6 where 8 x 8 elements leave a thread no registers for it.
const LOOK_UP: [f64; 2] = [1.15, 1.5];

/// The tiles, the largest first. 80 and 112 divide 400 and 784, the widths of the models that most people begin with.
const TILES: [Tile; 7] = [
    Tile::new([128, 112], [8, 8], 1, 8).on_a_core(
        2,
        Speed::new(154.0, 0.3),
        Speed::new(215.0, 1.6),
    ),
    Tile::new([128, 80], [8, 8], 1, 8).on_a_core(3, Speed::new(130.0, 0.1), Speed::new(215.0, 2.3)),
    Tile::new([128, 64], [8, 8], 1, 8).on_a_core(4, Speed::new(138.0, 0.3), Speed::new(225.0, 2.3)),
    Tile::new([64, 64], [8, 4], 2, 8).on_a_core(3, Speed::new(111.0, 0.0), Speed::new(95.0, 0.0)),
    Tile::new([32, 32], [8, 4], 8, 4).on_a_core(3, Speed::new(72.0, 0.0), Speed::new(67.0, 0.0)),
    Tile::new([32, 16], [4, 4], 8, 4).on_a_core(4, Speed::new(42.0, 0.0), Speed::new(60.0, 0.0)),
    Tile::new([16, 16], [4, 4], 16, 4).on_a_core(6, Speed::new(55.0, 0.0), Speed::new(52.0, 0.0)),
];

/// Work on the elements of a result before they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stores {
    /// Little work.
    Plain,
    /// Exponentials and logarithms, and sums of [`NLL_COLUMNS`] of them: tiles hold whole sums, and many threads.
    Nll,
}

/// Matrix products `[m, k] [k, n]` of the same k, in one dispatch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product<'a> {
    /// m and n of each product.
    pub(super) results: &'a [[usize; 2]],
    pub(super) k: usize,
    /// Number of workgroups that share k.
    pub(super) parts: usize,
    /// Whether neighbours along k are neighbours in the memory of an operand.
    pub(super) is_along_k: bool,
}

impl Tile {
    const fn new(size: [usize; 2], thread: [usize; 2], groups: usize, depth: usize) -> Self {
        let none = Speed::new(1.0, 0.0);
        Self {
            size,
            thread,
            groups,
            depth,
            held: 1,
            along_k: none,
            across_k: none,
        }
    }

    const fn on_a_core(self, held: usize, along_k: Speed, across_k: Speed) -> Self {
        Self {
            held,
            along_k,
            across_k,
            ..self
        }
    }

    /// The fastest tile, and the nanoseconds that it takes.
    pub(super) fn choose(product: Product<'_>, stores: Stores, cores: Cores) -> (Self, f64) {
        let allowed = TILES.into_iter().filter(|tile| tile.allows(stores));
        let costs = allowed.map(|tile| (tile, tile.nanoseconds(product, cores)));
        costs
            .min_by(|(_, one), (_, other)| one.total_cmp(other))
            .unwrap_or((TILES[0], f64::INFINITY))
    }

    fn allows(self, stores: Stores) -> bool {
        let [m, n] = self.size;
        let per_thread = m * n / self.threads();
        stores == Stores::Plain || (n.is_multiple_of(NLL_COLUMNS) && per_thread <= 16)
    }

    /// Nanoseconds of `product`, estimated: the busiest core does its tiles in rounds.
    fn nanoseconds(self, product: Product<'_>, cores: Cores) -> f64 {
        let results = product.results.iter();
        let tiles = results.map(|&[m, n]| self.tiles(m, n)).sum::<usize>() * product.parts;
        let tiles = cores.busiest(tiles);
        let rounds = tiles.div_ceil(self.held) as f64;
        let k = product.k.div_ceil(product.parts);
        let k = k.next_multiple_of(self.slice());
        let work = (self.size[0] * self.size[1] * k) as f64;
        let Speed { rate, wait } = match product.is_along_k {
            true => self.along_k,
            false => self.across_k,
        };
        let time = rounds * START + work / rate * (tiles as f64 + wait * rounds);
        if product.results.len() > 1 {
            time * LOOK_UP[usize::from(self.thread == [8, 8])]
        } else {
            time
        }
    }

    /// Length of k that all groups take at a time.
    const fn slice(self) -> usize {
        self.groups * self.depth
    }

    /// Threads of a group, down and across.
    const fn lanes(self) -> [usize; 2] {
        [self.size[0] / self.thread[0], self.size[1] / self.thread[1]]
    }

    const fn threads(self) -> usize {
        self.lanes()[0] * self.lanes()[1] * self.groups
    }

    /// Vec4s of workgroup memory: two slices, or one row of blocks of every group.
    fn length(self) -> usize {
        let slices = 2 * self.slice() * (self.size[0] / 4 + 1 + self.size[1] / 4 + 1);
        slices.max(self.groups * self.row_of_blocks())
    }

    /// Vec4s of the rows that the first 4 x 4 blocks of all threads of a group make up.
    const fn row_of_blocks(self) -> usize {
        self.size[0] * self.size[1] / self.thread[0]
    }

    /// Workgroups for `m x n` elements: columns of tiles, then rows.
    pub(super) const fn grid(self, m: usize, n: usize) -> [usize; 2] {
        [n.div_ceil(self.size[1]), m.div_ceil(self.size[0])]
    }

    /// Number of tiles of `m x n` elements.
    pub(super) const fn tiles(self, m: usize, n: usize) -> usize {
        let [across, down] = self.grid(m, n);
        across * down
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::adapter::WORKGROUP_STORAGE;

    fn choose(m: usize, n: usize, k: usize, parts: usize, cores: Cores) -> [usize; 2] {
        let product = Product {
            results: &[[m, n]],
            k,
            parts,
            is_along_k: parts == 1,
        };
        Tile::choose(product, Stores::Plain, cores).0.size
    }

    #[test]
    fn products_of_the_presets_take_the_tiles_that_were_fastest_on_an_h100() {
        let chosen = |m, n, k, parts| choose(m, n, k, parts, Cores::LARGE);
        // 784-400-20 at batches of 8192, 1024 and 128: the first layer, the last one, and its weights' gradients.
        assert_eq!(chosen(8192, 400, 784, 1), [128, 112]);
        assert_eq!(chosen(8192, 784, 400, 1), [128, 80]);
        assert_eq!(chosen(784, 400, 8192, 12), [128, 64]);
        assert_eq!(chosen(1024, 400, 784, 1), [64, 64]);
        assert_eq!(chosen(128, 400, 784, 1), [16, 16]);
        assert_eq!(chosen(128, 784, 400, 1), [32, 32]);
        assert_eq!(chosen(128, 40, 400, 1), [16, 16]);
    }

    #[test]
    fn small_products_take_every_tile_where_there_is_one_core() {
        for tile in TILES {
            let [m, n] = tile.size;
            // One tile, or as many as a core holds at a time.
            let chosen = [1, tile.held].map(|tiles| choose(m * tiles, n, 32, 1, Cores::ONE));
            assert!(chosen.contains(&tile.size), "{tile:?}");
        }
    }

    #[test]
    fn tiles_fit_the_threads_and_the_workgroup_memory_that_the_program_asks_for() {
        for tile in TILES {
            let [m, n] = tile.size;
            assert!(tile.threads() <= 256, "{tile:?}");
            // Sums of columns: each thread has fetched four columns of B, always the same.
            assert!(tile.threads() % (n / 4) == 0, "{tile:?}");
            assert!(tile.threads() <= tile.length(), "{tile:?}");
            // Sums of four columns, in single precision.
            let nll = if tile.allows(Stores::Nll) { m * n } else { 0 };
            let bytes = 16 * tile.length() + nll;
            assert!(bytes as u64 <= WORKGROUP_STORAGE, "{tile:?}: {bytes}");
        }
    }
}
