//! The kernels of convolutions: matrix products whose operands are patches of images.

use super::{Access, Choice, Kernel, Lowering, MAX_WORKGROUPS, Place, function, linear};
use crate::gpu::cost::Cores;
use crate::gpu::source;
use crate::gpu::tile::{Product, Stores, Tile};
use crate::program::{Convolution, Finish, MatrixId, Pass, Slope};

/// Channels of an image that one thread computes: a tile would have at least four times as many columns.
const FEW: usize = 4;

/// The product of a pass, for `batch` rows.
struct Shape {
    /// Rows and columns of the result.
    result: [usize; 2],
    k: usize,
    /// Products of this shape in one dispatch: one for each pair of remainders modulo the stride.
    count: usize,
}

impl Shape {
    /// Of [`Pass::Convolve`].
    const fn forward(convolution: &Convolution, batch: usize) -> Self {
        Self {
            result: [
                batch * convolution.geometry.places(),
                convolution.map_channels,
            ],
            k: convolution.patch(),
            count: 1,
        }
    }

    /// Of [`Pass::ConvolveTransposed`]: the largest of its products.
    const fn transposed(convolution: &Convolution, batch: usize) -> Self {
        let geometry = &convolution.geometry;
        let stride = geometry.stride;
        let [height, width] = geometry.image;
        let taps = geometry.kernel.div_ceil(stride);
        Self {
            result: [
                batch * height.div_ceil(stride) * width.div_ceil(stride),
                convolution.image_channels,
            ],
            k: taps * taps * convolution.map_channels,
            count: stride * stride,
        }
    }

    /// Of [`Pass::ConvolveBackwardWeight`].
    const fn backward_weight(convolution: &Convolution, batch: usize) -> Self {
        Self {
            result: [convolution.patch(), convolution.map_channels],
            k: batch * convolution.geometry.places(),
            count: 1,
        }
    }

    /// The fastest tile, and the nanoseconds that it takes.
    fn tile(&self, parts: usize, is_along_k: bool, cores: Cores) -> (Tile, f64) {
        let results = vec![self.result; self.count];
        let product = Product {
            results: &results,
            k: self.k,
            parts,
            is_along_k,
        };
        Tile::choose(product, Stores::Plain, cores)
    }

    /// Tiles side by side, and the grid of workgroups, folded where one dimension is not enough.
    fn grid(&self, tile: Tile) -> (usize, [usize; 2]) {
        let [across, down] = tile.grid(self.result[0], self.result[1]);
        let folded = (across * down).min(MAX_WORKGROUPS);
        (across, [folded, (across * down).div_ceil(folded)])
    }
}

/// Nanoseconds of the gradient of a weight in `parts`.
pub(in crate::gpu) fn nanoseconds(
    convolution: &Convolution,
    batch: usize,
    parts: usize,
    cores: Cores,
) -> f64 {
    Shape::backward_weight(convolution, batch)
        .tile(parts, false, cores)
        .1
}

impl Choice {
    fn convolution(mut self, convolution: &Convolution) -> Self {
        let geometry = &convolution.geometry;
        let sizes = [
            ("kernel", geometry.kernel),
            ("stride", geometry.stride),
            ("padding", geometry.padding),
            ("image_height", geometry.image[0]),
            ("image_width", geometry.image[1]),
            ("map_height", geometry.map[0]),
            ("map_width", geometry.map[1]),
            ("image_channels", convolution.image_channels),
            ("map_channels", convolution.map_channels),
            ("weight", convolution.weight),
        ];
        let sizes = sizes.map(|(name, size)| (name, size.to_string()));
        self.values.extend(sizes);
        self
    }

    /// A product in tiles, `across` of them side by side, in a grid whose first dimension has `folded` workgroups.
    fn tiles(mut self, tile: Tile, parts: usize, [across, folded]: [usize; 2]) -> Self {
        self.values.extend(tile.values(parts));
        self.with("across", across.to_string())
            .with("folded", folded.to_string())
    }

    fn finish(self, finish: &Finish) -> Self {
        self.with("bias", finish.bias.unwrap_or(0).to_string())
            .with("activation", function(finish.activation).into())
            .flag("bias", finish.bias.is_some())
            .flag("add", finish.add.is_some())
            .flag("slope", finish.slope.is_some())
            .slope_of(finish.times)
            .flag("times", finish.times.is_some())
            .flag("plain", finish.times.is_none())
    }
}

/// The kernel of [`Pass::Convolve`] or [`Pass::ConvolveTransposed`].
pub(super) fn kernel(pass: &Pass, lowering: Lowering<'_>) -> Kernel {
    let Lowering { batch, cores, .. } = lowering;
    let (source, convolution, input, output, finish, shape) = match pass {
        Pass::Convolve {
            convolution,
            image,
            map,
            finish,
        } => {
            let shape = Shape::forward(convolution, batch);
            (&source::CONVOLVE, convolution, *image, *map, finish, shape)
        }
        Pass::ConvolveTransposed {
            convolution,
            map,
            image,
            finish,
        } => {
            let shape = Shape::transposed(convolution, batch);
            (
                &source::CONVOLVE_TRANSPOSED,
                convolution,
                *map,
                *image,
                finish,
                shape,
            )
        }
        other => unreachable!("{other:?} is no convolution"),
    };
    let mut bindings = vec![(Access::Read, Place::Parameters)];
    let declared = declare(&mut bindings, input, output, finish);
    let choice = |source| {
        Choice::plain(source)
            .convolution(convolution)
            .finish(finish)
            .with("bindings", declared)
    };
    let is_transposed = matches!(pass, Pass::ConvolveTransposed { .. });
    if is_transposed && convolution.image_channels <= FEW {
        let pixels = batch * convolution.geometry.pixels();
        return choice(&source::CONVOLVE_TRANSPOSED_FEW).kernel(
            "convolve_transposed_few",
            [batch, 0, 0, 0],
            bindings,
            linear(pixels),
        );
    }
    let (tile, _) = shape.tile(1, true, cores);
    let (across, [x, y]) = shape.grid(tile);
    choice(source).tiles(tile, 1, [across, x]).kernel_in_parts(
        pass.stem(),
        [batch, 0, 0, 0],
        bindings,
        [x, y, shape.count],
    )
}

/// Adds what a pass reads and writes to `bindings`; returns the declarations.
fn declare(
    bindings: &mut Vec<(Access, Place)>,
    input: MatrixId,
    output: MatrixId,
    finish: &Finish,
) -> String {
    use Access::{Read, Write};

    let matrices = [
        ("input", Read, Some(input)),
        ("output", Write, Some(output)),
        ("add", Read, finish.add),
        ("slope", Write, finish.slope),
        ("times", Read, finish.times.map(Slope::matrix)),
    ];
    let mut declared = Vec::new();
    for (name, access, matrix) in matrices {
        let Some(matrix) = matrix else { continue };
        bindings.push((access, Place::Matrix(matrix)));
        let access = match access {
            Read => "read",
            Write => "read_write",
        };
        declared.push(format!(
            "@group(0) @binding({}) var<storage, {access}> {name}: array<f32>;",
            bindings.len()
        ));
    }
    declared.join("\n")
}

/// The kernel of [`Pass::ConvolveBackwardWeight`].
pub(super) fn backward_weight(
    convolution: Convolution,
    image: MatrixId,
    map: MatrixId,
    lowering: Lowering<'_>,
) -> Kernel {
    let Lowering {
        batch,
        cores,
        gradients,
        ..
    } = lowering;
    let shape = Shape::backward_weight(&convolution, batch);
    let (tile, _) = shape.tile(gradients.count, false, cores);
    let (across, [x, y]) = shape.grid(tile);
    let bindings = vec![
        (Access::Write, Place::Gradients),
        (Access::Read, Place::Matrix(image)),
        (Access::Read, Place::Matrix(map)),
    ];
    Choice::plain(&source::CONVOLVE_BACKWARD_WEIGHT)
        .convolution(&convolution)
        .tiles(tile, gradients.count, [across, x])
        .with("bias", "0".into())
        .with("part", gradients.stride.to_string())
        .kernel_in_parts(
            "convolve_backward_weight",
            [batch, 0, 0, 0],
            bindings,
            [x, y, gradients.count],
        )
}
