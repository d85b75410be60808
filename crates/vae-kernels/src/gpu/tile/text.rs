//! The repeated lines of `shaders/step/matmul.wgsl` for a tile.

use super::Tile;

impl Tile {
    /// Values of the placeholders in `matmul.wgsl`, for k in `parts`.
    pub(in crate::gpu) fn values(self, parts: usize) -> Vec<(&'static str, String)> {
        let number = |value: usize| value.to_string();
        vec![
            ("tile_m", number(self.size[0])),
            ("tile_n", number(self.size[1])),
            ("thread_m", number(self.thread[0])),
            ("thread_n", number(self.thread[1])),
            ("groups", number(self.groups)),
            ("depth", number(self.depth)),
            ("parts", number(parts)),
            ("tile_length", number(self.length())),
            ("declare", self.declare()),
            ("fetch_first", self.fetch("begin")),
            ("fetch_next", self.fetch("k + SLICE")),
            ("put", self.put()),
            ("multiply", self.multiply()),
            ("store", self.store()),
        ]
    }

    /// The 4 x 4 blocks of a thread: rows of blocks, then columns.
    fn blocks(self) -> impl Iterator<Item = (usize, usize)> {
        let [down, across] = [self.thread[0] / 4, self.thread[1] / 4];
        (0..down).flat_map(move |row| (0..across).map(move |column| (row, column)))
    }

    /// For A and for B: each vec4 of a slice that a thread fetches, as (operand, index, number of vec4s if not all threads have
    /// one).
    fn fetches(self) -> impl Iterator<Item = (&'static str, usize, Option<usize>)> {
        ["a", "b"]
            .into_iter()
            .zip(self.size)
            .flat_map(move |(operand, side)| {
                let vectors = self.slice() * side / 4;
                let threads = self.threads();
                (0..vectors.div_ceil(threads)).map(move |index| {
                    let is_whole = (index + 1) * threads <= vectors;
                    (operand, index, (!is_whole).then_some(vectors))
                })
            })
    }

    fn declare(self) -> String {
        let sums = self
            .blocks()
            .map(|(row, column)| format!("var c{row}{column} = mat4x4<f32>();"));
        let fetched = self
            .fetches()
            .map(|(operand, index, _)| format!("var {operand}{index} = vec4<f32>();"));
        lines(sums.chain(fetched))
    }

    /// Loads a slice from `first_k` on into registers.
    fn fetch(self, first_k: &str) -> String {
        self.for_each_fetch(|operand, index, item| {
            let first = if operand == "a" { "first_m" } else { "first_n" };
            format!("{operand}{index} = fetch_{operand}({first}, {first_k}, {item});")
        })
    }

    /// Stores the slice in registers to workgroup memory.
    fn put(self) -> String {
        self.for_each_fetch(|operand, index, item| {
            format!("put_{operand}(at, {item}, {operand}{index});")
        })
    }

    fn for_each_fetch(self, line: impl Fn(&str, usize, &str) -> String) -> String {
        lines(self.fetches().map(|(operand, index, limit)| {
            let item = format!("thread + {}u", index * self.threads());
            let line = line(operand, index, &item);
            match limit {
                Some(vectors) => format!("if {item} < {vectors}u {{ {line} }}"),
                None => line,
            }
        }))
    }

    fn multiply(self) -> String {
        let [down, across] = [self.thread[0] / 4, self.thread[1] / 4];
        let step = |k| {
            let a = (0..down).map(move |row| {
                format!("let x{row} = tile[a_at + {k}u * A_ROW + {row}u * LANES_M];")
            });
            let b = (0..across).map(move |column| {
                format!("let y{column} = tile[b_at + {k}u * B_ROW + {column}u * LANES_N];")
            });
            let sums = self.blocks().map(|(row, column)| {
                format!("c{row}{column} = outer(c{row}{column}, x{row}, y{column});")
            });
            let opened = ["{".to_owned()].into_iter().chain(a).chain(b).chain(sums);
            opened.chain(["}".to_owned()]).collect::<Vec<_>>()
        };
        lines((0..self.depth).flat_map(step))
    }

    /// Stores every element of the result, summed over the groups.
    fn store(self) -> String {
        let rows = |row: usize, column: usize| (0..4).map(move |i| (row, column, i));
        if self.groups == 1 {
            let elements = self.blocks().flat_map(|(row, column)| rows(row, column));
            return lines(elements.map(|(row, column, i)| {
                format!(
                    "store4(first_m + 4u * (lane_m + {row}u * LANES_M) + {i}u, first_n + 4u * (lane_n + {column}u * LANES_N), c{row}{column}[{i}]);"
                )
            }));
        }
        // One row of blocks at a time, so that the groups' sums fit where the slices were.
        let down = self.thread[0] / 4;
        lines((0..down).map(|row| {
            let blocks = self.blocks().filter(|block| block.0 == row);
            let elements = blocks.flat_map(|(row, column)| rows(row, column));
            let puts = lines(elements.map(|(row, column, i)| {
                format!(
                    "tile[thread / LANES * {length}u + (4u * lane_m + {i}u) * (TILE_N / 4u) + lane_n + {column}u * LANES_N] = c{row}{column}[{i}];",
                    length = self.row_of_blocks(),
                )
            }));
            format!(
                "workgroupBarrier();
    {puts}
    workgroupBarrier();
    for (var i = thread; i < {length}u; i += WORKGROUP) {{
        var sum = tile[i];
        for (var group = 1u; group < GROUPS; group += 1u) {{
            sum += tile[group * {length}u + i];
        }}
        store4(first_m + {first}u + i / (TILE_N / 4u), first_n + 4u * (i % (TILE_N / 4u)), sum);
    }}",
                length = self.row_of_blocks(),
                first = row * self.size[0] / down,
            )
        }))
    }
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n    ")
}
