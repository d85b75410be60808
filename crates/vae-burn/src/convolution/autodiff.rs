//! Convolutions under burn's autodiff: one node each, where the backend overrides them.

use burn::tensor::ops::{FloatTensor, ModuleOps};
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use vae_kernels::program::Geometry;

use super::{Convolve, options, transpose_options};

/// Input, weight and geometry.
type State<B> = (FloatTensor<B>, FloatTensor<B>, Geometry);

#[derive(Debug)]
struct ConvolveBackward;

impl<B: Convolve> Backward<B, 3> for ConvolveBackward {
    type State = State<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_map = grads.consume::<B>(&ops.node);
        let ((image, weight, geometry), [to_image, to_weight, to_bias]) = (ops.state, ops.parents);
        if let Some(node) = to_image {
            let d_image = B::convolve_transposed(d_map.clone(), weight.clone(), None, geometry);
            grads.register::<B>(node.id, d_image);
        }
        if let Some(node) = to_weight {
            let d_weight = B::convolve_weight_gradient(image, d_map.clone(), weight, geometry);
            grads.register::<B>(node.id, d_weight);
        }
        if let Some(node) = to_bias {
            grads.register::<B>(node.id, B::convolve_bias_gradient(d_map));
        }
    }
}

#[derive(Debug)]
struct ConvolveTransposedBackward;

impl<B: Convolve> Backward<B, 3> for ConvolveTransposedBackward {
    type State = State<B>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_image = grads.consume::<B>(&ops.node);
        let ((map, weight, geometry), [to_map, to_weight, to_bias]) = (ops.state, ops.parents);
        if let Some(node) = to_map {
            let d_map = B::convolve(d_image.clone(), weight.clone(), None, geometry);
            grads.register::<B>(node.id, d_map);
        }
        if let Some(node) = to_weight {
            let d_weight = B::convolve_weight_gradient(d_image.clone(), map, weight, geometry);
            grads.register::<B>(node.id, d_weight);
        }
        if let Some(node) = to_bias {
            grads.register::<B>(node.id, B::convolve_bias_gradient(d_image));
        }
    }
}

impl<B: Convolve, C: CheckpointStrategy> Convolve for Autodiff<B, C> {
    const OVERRIDDEN: bool = B::OVERRIDDEN;

    fn convolve(
        image: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let (true, Some(bias)) = (B::OVERRIDDEN, bias.clone()) else {
            return Self::conv2d(image, weight, bias, options(geometry));
        };
        let nodes = [image.node, weight.node, bias.node];
        let (image, weight) = (image.primitive, weight.primitive);
        let map = B::convolve(
            image.clone(),
            weight.clone(),
            Some(bias.primitive),
            geometry,
        );
        match ConvolveBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((image, weight, geometry), map),
            OpsKind::UnTracked(prep) => prep.finish(map),
        }
    }

    fn convolve_transposed(
        map: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: Option<FloatTensor<Self>>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let (true, Some(bias)) = (B::OVERRIDDEN, bias.clone()) else {
            return Self::conv_transpose2d(map, weight, bias, transpose_options(geometry));
        };
        let nodes = [map.node, weight.node, bias.node];
        let (map, weight) = (map.primitive, weight.primitive);
        let image =
            B::convolve_transposed(map.clone(), weight.clone(), Some(bias.primitive), geometry);
        match ConvolveTransposedBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish((map, weight, geometry), image),
            OpsKind::UnTracked(prep) => prep.finish(image),
        }
    }
}
