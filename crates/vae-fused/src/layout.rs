//! Where the parameters lie in the arena: one tensor after the other, in the order of the network. Files have images with channels
//! first, the passes of convolutions have them last; so some tensors lie in another order than in files.

use vae_kernels::program::{Convolution, Finish, Geometry, Layer, MatrixId, Pass};
use vae_spec::network::{self, Dense, Network, Op, Parameter, Size};
use vae_spec::{NamedTensor, ParameterSpec, Weights};

/// A tensor's place in the arena.
#[derive(Clone, Debug)]
struct Place {
    offset: usize,
    /// For each number in the arena its index in the named tensor, if the order differs.
    order: Option<Vec<u32>>,
}

/// The places of all parameters.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    parameters: Vec<ParameterSpec>,
    places: Vec<Place>,
}

/// How an operation of the network is computed as a linear map between images and maps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Map {
    pub(super) convolution: Convolution,
    /// Offset of the bias.
    pub(super) bias: usize,
    /// Whether the operation goes from the map to the image.
    pub(super) is_transposed: bool,
}

impl Map {
    /// The pass from one side to the other.
    pub(super) const fn pass(
        &self,
        to_image: bool,
        from: MatrixId,
        to: MatrixId,
        finish: Finish,
    ) -> Pass {
        let convolution = self.convolution;
        if to_image {
            Pass::ConvolveTransposed {
                convolution,
                map: from,
                image: to,
                finish,
            }
        } else {
            Pass::Convolve {
                convolution,
                image: from,
                map: to,
                finish,
            }
        }
    }
}

impl Layout {
    pub(super) fn new(network: &Network, image: Size) -> Self {
        let mut end = 0;
        let places = network.parameters.iter().map(|spec| {
            let offset = end;
            end += spec.length();
            Place {
                offset,
                order: None,
            }
        });
        let mut layout = Self {
            places: places.collect(),
            parameters: network.parameters.clone(),
        };
        let features = layout.arrange(&network.encoder, Some(image));
        for head in [&network.mu, &network.log_var] {
            layout.arrange_inputs(head, features);
        }
        layout.arrange(&network.decoder, None);
        let is_convolutional = network
            .encoder
            .iter()
            .any(|op| matches!(op, Op::Convolution(_)));
        // A number for each pixel, once or for each pseudo-input.
        let pseudo_inputs = network
            .prior
            .filter(|&prior| layout.parameters[prior].shape.len() == 2);
        let of_pixels = network.log_spread.into_iter().chain(pseudo_inputs);
        let pixels: usize = image.iter().product();
        for parameter in of_pixels.filter(|_| is_convolutional) {
            let shape = &layout.parameters[parameter].shape;
            if let (Some(&columns), Some(order)) = (shape.last(), channels_last(image))
                && columns == pixels
            {
                let rows = (layout.parameters[parameter].length() / pixels) as u32;
                let row = |row: u32| order.iter().map(move |index| row * pixels as u32 + index);
                layout.places[parameter].order = Some((0..rows).flat_map(row).collect());
            }
        }
        layout
    }

    /// Arranges the parameters of `ops`, whose input is an image of some size or has no such shape; returns the same of their
    /// output.
    fn arrange(&mut self, ops: &[Op], input: Option<Size>) -> Option<Size> {
        // A network without convolutions never sees an image as one.
        let mut shape = ops
            .iter()
            .any(|op| matches!(op, Op::Convolution(_)))
            .then_some(input)
            .flatten();
        for (index, op) in ops.iter().enumerate() {
            match op {
                Op::Dense(dense) => {
                    self.arrange_inputs(dense, shape);
                    let behind = ops[index + 1..].iter();
                    let mut until_dense = behind.take_while(|op| !matches!(op, Op::Dense(_)));
                    shape = until_dense.find_map(input_of);
                    if let Some(image) = shape {
                        self.arrange_outputs(dense, image);
                    }
                }
                Op::Convolution(layer) => {
                    self.arrange_kernel(layer);
                    shape = Some(layer.output);
                }
                Op::Repeat { output, .. } => shape = Some(*output),
                Op::Residual(ops) => {
                    self.arrange(ops, shape);
                }
                Op::Label | Op::GroupNorm { .. } | Op::Activation => {}
            }
        }
        shape
    }

    /// A dense layer whose first inputs are an image.
    fn arrange_inputs(&mut self, dense: &Dense, image: Option<Size>) {
        let Some(pixels) = image.and_then(channels_last) else {
            return;
        };
        let others = pixels.len() as u32..dense.inputs as u32;
        let columns = dense.outputs as u32;
        let rows = pixels.iter().copied().chain(others);
        let order = rows.flat_map(|row| row * columns..(row + 1) * columns);
        self.places[dense.weight].order = Some(order.collect());
    }

    /// A dense layer whose output is an image.
    fn arrange_outputs(&mut self, dense: &Dense, image: Size) {
        let Some(pixels) = channels_last(image) else {
            return;
        };
        let columns = dense.outputs as u32;
        let rows = 0..dense.inputs as u32;
        let order = rows.flat_map(|row| pixels.iter().map(move |pixel| row * columns + pixel));
        self.places[dense.weight].order = Some(order.collect());
        self.places[dense.weight + 1].order = Some(pixels);
    }

    /// Weights of files are `[map, image, kernel, kernel]`, or those of the map that takes the other side for the image.
    fn arrange_kernel(&mut self, layer: &network::Convolution) {
        let Map {
            convolution,
            is_transposed,
            ..
        } = self.map(layer);
        let taps = convolution.geometry.taps();
        let is_turned = is_transposed != layer.is_transposed;
        let (images, maps) = (convolution.image_channels, convolution.map_channels);
        let order = (0..convolution.weights()).map(|at| {
            let (tap, image, map) = (at / (images * maps), at / maps % images, at % maps);
            let [first, second, tap] = if is_turned {
                [image, map, taps - 1 - tap]
            } else {
                [map, image, tap]
            };
            let seconds = if is_turned { maps } else { images };
            ((first * seconds + second) * taps + tap) as u32
        });
        self.places[layer.weight].order = Some(order.collect());
    }

    /// The linear map of a layer. At stride 1 a convolution is also a transposed one, with the kernel turned by 180 degrees and
    /// its two sides swapped; of the two forms the one is taken whose patches have fewer numbers.
    pub(super) fn map(&self, layer: &network::Convolution) -> Map {
        let (image, map) = match layer.is_transposed {
            false => (layer.input, layer.output),
            true => (layer.output, layer.input),
        };
        let numbers = |from: Size, to: Size| from[0] * to[1] * to[2];
        let (kernel, padding) = (layer.kernel, layer.padding);
        let swaps =
            layer.stride == 1 && padding < kernel && numbers(map, image) < numbers(image, map);
        let (image, map, padding) = match swaps {
            true => (map, image, kernel - 1 - padding),
            false => (image, map, padding),
        };
        Map {
            convolution: Convolution {
                weight: self.offset(layer.weight),
                geometry: Geometry {
                    kernel,
                    stride: layer.stride,
                    padding,
                    image: [image[1], image[2]],
                    map: [map[1], map[2]],
                },
                image_channels: image[0],
                map_channels: map[0],
            },
            bias: self.offset(layer.weight + 1),
            is_transposed: layer.is_transposed != swaps,
        }
    }

    /// A dense layer, or several of one shape that lie side by side.
    pub(super) fn layer(&self, dense: &Dense, blocks: usize) -> Layer {
        Layer {
            offset: self.offset(dense.weight),
            inputs: dense.inputs,
            outputs: dense.outputs,
            blocks,
        }
    }

    pub(super) fn offset(&self, parameter: Parameter) -> usize {
        self.places[parameter].offset
    }

    pub(super) fn length(&self, parameter: Parameter) -> usize {
        self.parameters[parameter].length()
    }

    /// All weights as one array; gradients and moments have the same layout.
    pub(super) fn arena(&self, weights: &Weights) -> Vec<f32> {
        let tensors = weights.tensors().iter().zip(&self.places);
        let values = tensors.map(|(tensor, place)| match &place.order {
            None => tensor.values.clone(),
            Some(order) => order
                .iter()
                .map(|&index| tensor.values[index as usize])
                .collect(),
        });
        values.collect::<Vec<Vec<f32>>>().concat()
    }

    /// The layout with `first` at the start of the arena; the parameters before it have no place any more.
    pub(super) fn starting_at(mut self, first: Parameter) -> Self {
        let start = self.offset(first);
        for place in &mut self.places {
            place.offset = place.offset.saturating_sub(start);
        }
        self
    }

    /// The tensors of an arena, named like the parameters.
    pub(super) fn tensors(&self, arena: &[f32]) -> Vec<NamedTensor> {
        let tensor = |(spec, place): (&ParameterSpec, &Place)| {
            let numbers = &arena[place.offset..][..spec.length()];
            let mut values = numbers.to_vec();
            for (&index, number) in place.order.iter().flatten().zip(numbers) {
                values[index as usize] = *number;
            }
            NamedTensor {
                name: spec.name.clone(),
                shape: spec.shape.clone(),
                values,
            }
        };
        self.parameters
            .iter()
            .zip(&self.places)
            .map(tensor)
            .collect()
    }
}

/// The image that an operation takes, if it takes one.
fn input_of(op: &Op) -> Option<Size> {
    match op {
        Op::Convolution(layer) => Some(layer.input),
        Op::Repeat { input, .. } => Some(*input),
        Op::GroupNorm { size, .. } => Some(*size),
        Op::Residual(ops) => ops.iter().find_map(input_of),
        Op::Label | Op::Dense(_) | Op::Activation => None,
    }
}

/// For each number of an image with channels last its index in the image with channels first; `None` if there is one channel.
fn channels_last([channels, height, width]: Size) -> Option<Vec<u32>> {
    let pixels = height * width;
    let index = move |at: usize| (at % channels * pixels + at / channels) as u32;
    (channels > 1).then(|| (0..channels * pixels).map(index).collect())
}
