//! `sample_kl` under burn's autodiff: one node with one backward kernel, instead of a dozen.

use burn::tensor::ops::FloatTensor;
use burn_autodiff::Autodiff;
use burn_autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn_autodiff::grads::Gradients;
use burn_autodiff::ops::{Backward, Ops, OpsKind};

use vae_rng::Noise;

use super::SampleKl;

#[derive(Debug)]
struct SampleKlBackward;

impl<B: SampleKl> Backward<B, 2> for SampleKlBackward {
    /// `mu`, `log_var` and the packed output.
    type State = [FloatTensor<B>; 3];

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let d_z_kl = grads.consume::<B>(&ops.node);
        let [mu, log_var, z_kl] = ops.state;
        let (d_mu, d_log_var) = B::sample_kl_backward(mu, log_var, z_kl, d_z_kl);
        for (node, gradient) in ops.parents.into_iter().zip([d_mu, d_log_var]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, gradient);
            }
        }
    }
}

impl<B: SampleKl, C: CheckpointStrategy> SampleKl for Autodiff<B, C> {
    fn sample_kl_forward(
        mu: FloatTensor<Self>,
        log_var: FloatTensor<Self>,
        noise: Noise,
    ) -> FloatTensor<Self> {
        let nodes = [mu.node.clone(), log_var.node.clone()];
        let (mu, log_var) = (mu.primitive, log_var.primitive);
        let z_kl = B::sample_kl_forward(mu.clone(), log_var.clone(), noise);
        // Compute bound: the state is kept, for recomputing it would draw `eps` again.
        match SampleKlBackward
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish([mu, log_var, z_kl.clone()], z_kl),
            OpsKind::UnTracked(prep) => prep.finish(z_kl),
        }
    }
}
