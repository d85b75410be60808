//! RMSprop and Adam over burn tensors, exactly as Keras and PyTorch compute them (burn's own RMSprop adds its epsilon
//! outside the root, as PyTorch does).

use burn::tensor::{Tensor, backend::Backend};
use vae_model::OptimizerConfig;

/// An optimizer with its moments, one set per parameter tensor.
#[derive(Debug)]
pub(crate) struct Optimizer<B: Backend> {
    config: OptimizerConfig,
    lr: f32,
    /// For each parameter its moments, flattened; empty before the first step.
    moments: Vec<Vec<Tensor<B, 1>>>,
}

impl<B: Backend> Optimizer<B> {
    pub(crate) fn new(config: OptimizerConfig, lr: f32) -> Self {
        Self {
            config,
            lr,
            moments: Vec::new(),
        }
    }

    pub(crate) const fn config(&self) -> OptimizerConfig {
        self.config
    }

    /// For each parameter that has been stepped, its moments.
    pub(crate) fn moments(&self) -> &[Vec<Tensor<B, 1>>] {
        &self.moments
    }

    /// The new value of parameter number `index` after its `update`-th update, counted from 1.
    pub(crate) fn step<const D: usize>(
        &mut self,
        index: usize,
        value: Tensor<B, D>,
        gradient: Tensor<B, D>,
        update: u64,
    ) -> Tensor<B, D> {
        let shape = value.shape();
        let length = shape.num_elements();
        let gradient: Tensor<B, 1> = gradient.reshape([length]);
        if self.moments.len() <= index {
            let zeros = vec![gradient.zeros_like(); self.config.moment_names().len()];
            self.moments.resize(index + 1, zeros);
        }
        let moments = std::mem::take(&mut self.moments[index]);
        let (change, moments) = self.change(gradient, moments, update);
        self.moments[index] = moments;
        value - change.reshape(shape)
    }

    fn change(
        &self,
        gradient: Tensor<B, 1>,
        moments: Vec<Tensor<B, 1>>,
        update: u64,
    ) -> (Tensor<B, 1>, Vec<Tensor<B, 1>>) {
        let average = |moment: Tensor<B, 1>, new: Tensor<B, 1>, decay: f32| {
            moment * decay + new * (1.0 - decay)
        };
        let mut moments = moments.into_iter();
        let mut next = || moments.next().unwrap_or_else(|| gradient.zeros_like());
        match self.config {
            OptimizerConfig::Rmsprop => {
                let velocity = average(
                    next(),
                    gradient.clone().square(),
                    OptimizerConfig::RMSPROP_RHO,
                );
                let change =
                    gradient * self.lr / (velocity.clone() + OptimizerConfig::RMSPROP_EPS).sqrt();
                (change, vec![velocity])
            }
            OptimizerConfig::Adam => {
                let mean = average(next(), gradient.clone(), OptimizerConfig::ADAM_BETA1);
                let square = average(next(), gradient.square(), OptimizerConfig::ADAM_BETA2);
                let [mean_correction, square_correction] =
                    OptimizerConfig::adam_corrections(update);
                let step_size = f64::from(self.lr) / mean_correction;
                let root = square.clone().sqrt() / square_correction.sqrt();
                let denominator = root + OptimizerConfig::ADAM_EPS;
                (mean.clone() * step_size / denominator, vec![mean, square])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpu;

    /// Values after each of the steps, and the gradients that made them: `assets/goldens/optimizers.py`.
    const GOLDEN: &str = include_str!("../../../assets/goldens/optimizers.txt");

    fn golden(name: &str) -> Vec<Vec<f32>> {
        let lines = GOLDEN
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        lines
            .map(|line| {
                line.split(' ')
                    .map(|x| x.parse().expect("a number"))
                    .collect()
            })
            .collect()
    }

    /// The largest distance from the golden, in units of the learning rate.
    fn distance(config: OptimizerConfig, lr: f32, name: &str) -> f32 {
        let device = burn_ndarray::NdArrayDevice::Cpu;
        let tensor = |values: &[f32]| Tensor::<Cpu, 1>::from_floats(values, &device);
        let (gradients, expected) = (golden("gradient"), golden(name));
        assert_eq!(gradients.len(), 8);
        assert_eq!(expected.len(), 8);
        let mut optimizer = Optimizer::<Cpu>::new(config, lr);
        let mut value = tensor(&golden("start")[0]);
        let mut distance = 0f32;
        for (update, (gradient, expected)) in (1..).zip(gradients.iter().zip(expected)) {
            value = optimizer.step(0, value, tensor(gradient), update);
            let found: Vec<f32> = value.to_data().to_vec().expect("f32");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                distance = distance.max((found - expected).abs() / lr);
            }
        }
        distance
    }

    /// Eight steps of at most 3 lr, each of about ten operations rounded to 2^-24, on values of at most 2 whose own
    /// rounding, 2^-24 * 2 a step, is 1.2e-4 lr at lr = 1e-3: eight of those.
    const TOLERANCE: f32 = 1e-3;

    #[test]
    fn rmsprop_is_keras_rmsprop() {
        let distance = distance(OptimizerConfig::Rmsprop, 1e-3, "keras rmsprop");
        assert!(distance < TOLERANCE, "{distance} lr");
    }

    #[test]
    fn adam_is_pytorch_adam() {
        let distance = distance(OptimizerConfig::Adam, 1e-3, "pytorch adam");
        assert!(distance < TOLERANCE, "{distance} lr");
    }

    #[test]
    fn pytorchs_rmsprop_is_not_keras_rmsprop() {
        assert!(distance(OptimizerConfig::Rmsprop, 1e-3, "pytorch rmsprop") > 10.0 * TOLERANCE);
    }
}
