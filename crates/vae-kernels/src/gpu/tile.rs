//! The tiles of `shaders/step/matmul.wgsl`: small ones where the result is small, so that every core of the GPU has one.

/// A tile of a matrix product: its sides, the groups of threads that share its sums, and how much of k each group takes at a
/// time. Every shape has 256 threads of 4 x 4 elements each and at most 16 KiB of workgroup memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    m: usize,
    n: usize,
    groups: usize,
    depth: usize,
}

/// The largest first.
const TILES: [Tile; 3] = [
    Tile {
        m: 64,
        n: 64,
        groups: 1,
        depth: 16,
    },
    Tile {
        m: 32,
        n: 32,
        groups: 4,
        depth: 8,
    },
    Tile {
        m: 16,
        n: 16,
        groups: 16,
        depth: 4,
    },
];
/// Tiles that keep a large GPU busy, whose cores number about a hundred: with fewer, smaller ones are better.
const ENOUGH_TILES: usize = 96;

impl Tile {
    /// For an `m x n` product: the largest of at least `side` that gives enough tiles.
    pub(super) fn choose(m: usize, n: usize, side: usize) -> Self {
        let mut allowed = TILES.into_iter().filter(|tile| tile.n >= side);
        let smallest = allowed.next_back().unwrap_or(TILES[0]);
        let enough = |tile: &Self| m.div_ceil(tile.m) * n.div_ceil(tile.n) >= ENOUGH_TILES;
        allowed.find(enough).unwrap_or(smallest)
    }

    pub(super) fn values(self) -> Vec<(&'static str, String)> {
        let multiply = |k| format!("c = multiply(c, k + {k}u, row, column);");
        let unrolled: Vec<String> = (0..self.depth).map(multiply).collect();
        vec![
            ("tile_m", self.m.to_string()),
            ("tile_n", self.n.to_string()),
            ("groups", self.groups.to_string()),
            ("depth", self.depth.to_string()),
            ("multiply_at_each_k", unrolled.join("\n        ")),
        ]
    }

    /// Workgroups for `m x n` elements: columns of tiles first.
    pub(super) const fn grid(self, m: usize, n: usize) -> [usize; 2] {
        [n.div_ceil(self.n), m.div_ceil(self.m)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::NLL_COLUMNS;

    #[test]
    fn tiles_shrink_with_the_result_and_fit_the_workgroup_memory_of_any_gpu() {
        let side = |m, n| Tile::choose(m, n, 0).n;
        assert_eq!(
            (side(8192, 784), side(128, 784), side(128, 40)),
            (64, 32, 16)
        );
        assert_eq!(Tile::choose(1, 1, NLL_COLUMNS).n, 32);
        for tile in TILES {
            assert_eq!(tile.m * tile.n / 16 * tile.groups, 256, "{tile:?}");
            let vectors = tile.groups * tile.depth * ((tile.m + tile.n) / 4 + 2);
            assert!(16 * vectors <= 16_384, "{tile:?}");
            // Sums of half the groups lie there at the end, four vectors of each thread.
            assert!(tile.groups / 2 * tile.m * tile.n / 4 <= vectors, "{tile:?}");
        }
    }
}
