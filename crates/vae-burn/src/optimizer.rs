//! The optimizers over burn tensors, exactly as Keras and PyTorch compute them (burn's own RMSprop adds its epsilon outside
//! the root, as PyTorch does).

use burn::tensor::{Tensor, backend::Backend};
use vae_model::{Optimizer, OptimizerConfig, Weights};

/// An optimizer with its moments, one set per parameter tensor. All tensors are flat.
#[derive(Debug)]
pub(crate) struct Stepper<B: Backend> {
    config: OptimizerConfig,
    /// For each parameter its moments; empty before the first step.
    moments: Vec<Vec<Tensor<B, 1>>>,
}

impl<B: Backend> Stepper<B> {
    /// With `moments`, each of all parameters, or none before the first step.
    pub(crate) fn new(config: OptimizerConfig, moments: &[Weights], device: &B::Device) -> Self {
        let parameters = moments.first().map_or(0, |moment| moment.tensors().len());
        let of_parameter = |index: usize| {
            let values = moments
                .iter()
                .map(|moment| &moment.tensors()[index].values[..]);
            values
                .map(|values| Tensor::from_floats(values, device))
                .collect()
        };
        Self {
            config,
            moments: (0..parameters).map(of_parameter).collect(),
        }
    }

    pub(crate) const fn moment_names(&self) -> &'static [&'static str] {
        self.config.optimizer.moment_names()
    }

    /// For each parameter that has been stepped, its moments.
    pub(crate) fn moments(&self) -> &[Vec<Tensor<B, 1>>] {
        &self.moments
    }

    /// Scales all `gradients` down to the largest norm that the settings allow, if they are longer.
    pub(crate) fn clip(&self, gradients: &mut [Tensor<B, 1>]) {
        let Some(largest) = self.config.clip_norm else {
            return;
        };
        let squares = gradients
            .iter()
            .map(|gradient| gradient.clone().square().sum());
        let norm = Tensor::cat(squares.collect(), 0).sum().sqrt();
        // As PyTorch's clip_grad_norm_ does it, without waiting for the norm.
        let scale = ((norm + 1e-6).recip() * largest).clamp_max(1.0);
        for gradient in gradients {
            *gradient = gradient.clone() * scale.clone();
        }
    }

    /// The new value of parameter number `index` after its `update`-th update, counted from 1.
    pub(crate) fn step(
        &mut self,
        index: usize,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        update: u64,
    ) -> Tensor<B, 1> {
        if self.moments.len() <= index {
            let zeros = vec![gradient.zeros_like(); self.moment_names().len()];
            self.moments.resize(index + 1, zeros);
        }
        let moments = std::mem::take(&mut self.moments[index]);
        let OptimizerConfig {
            lr, weight_decay, ..
        } = self.config;
        let value = match self.config.optimizer {
            Optimizer::Adamw => value * (1.0 - lr * weight_decay),
            _ => value,
        };
        let (change, moments) = self.change(gradient, moments, update);
        self.moments[index] = moments;
        value - change
    }

    fn change(
        &self,
        gradient: Tensor<B, 1>,
        moments: Vec<Tensor<B, 1>>,
        update: u64,
    ) -> (Tensor<B, 1>, Vec<Tensor<B, 1>>) {
        let OptimizerConfig { lr, momentum, .. } = self.config;
        let average = |moment: Tensor<B, 1>, new: Tensor<B, 1>, decay: f32| {
            moment * decay + new * (1.0 - decay)
        };
        let mut moments = moments.into_iter();
        let mut next = || moments.next().unwrap_or_else(|| gradient.zeros_like());
        match self.config.optimizer {
            Optimizer::Rmsprop => {
                let square = gradient.clone().square();
                let velocity = average(next(), square, OptimizerConfig::RMSPROP_RHO);
                let root = (velocity.clone() + OptimizerConfig::RMSPROP_EPS).sqrt();
                (gradient * lr / root, vec![velocity])
            }
            Optimizer::Adam | Optimizer::Adamw => {
                let mean = average(next(), gradient.clone(), OptimizerConfig::ADAM_BETA1);
                let square = average(next(), gradient.square(), OptimizerConfig::ADAM_BETA2);
                let [mean_correction, square_correction] =
                    OptimizerConfig::adam_corrections(update);
                let step_size = f64::from(lr) / mean_correction;
                let root = square.clone().sqrt() / square_correction.sqrt();
                let denominator = root + OptimizerConfig::ADAM_EPS;
                (mean.clone() * step_size / denominator, vec![mean, square])
            }
            Optimizer::Sgd => {
                let buffer = next() * momentum + gradient;
                (buffer.clone() * lr, vec![buffer])
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
    fn distance(config: OptimizerConfig, name: &str) -> f32 {
        let device = burn_ndarray::NdArrayDevice::Cpu;
        let tensor = |values: &[f32]| Tensor::<Cpu, 1>::from_floats(values, &device);
        let (gradients, expected) = (golden("gradient"), golden(name));
        assert_eq!(gradients.len(), 8);
        assert_eq!(expected.len(), 8);
        let mut stepper = Stepper::<Cpu>::new(config, &[], &device);
        let mut value = tensor(&golden("start")[0]);
        let mut distance = 0f32;
        for (update, (gradient, expected)) in (1..).zip(gradients.iter().zip(expected)) {
            let mut gradients = [tensor(gradient)];
            stepper.clip(&mut gradients);
            let [gradient] = gradients;
            value = stepper.step(0, value, gradient, update);
            let found: Vec<f32> = value.to_data().to_vec().expect("f32");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                distance = distance.max((found - expected).abs() / config.lr);
            }
        }
        distance
    }

    /// Eight steps of at most 3 lr, each of about ten operations rounded to 2^-24, on values of at most 2 whose own
    /// rounding, 2^-24 * 2 a step, is 1.2e-4 lr at lr = 1e-3: eight of those.
    const TOLERANCE: f32 = 1e-3;

    fn config(optimizer: Optimizer) -> OptimizerConfig {
        OptimizerConfig::new(optimizer, 1e-3)
    }

    #[test]
    fn each_optimizer_is_that_of_its_source() {
        let clipped = OptimizerConfig {
            clip_norm: Some(0.5),
            ..config(Optimizer::Sgd)
        };
        for (config, name) in [
            (config(Optimizer::Rmsprop), "keras rmsprop"),
            (config(Optimizer::Adam), "pytorch adam"),
            (config(Optimizer::Adamw), "pytorch adamw"),
            (config(Optimizer::Sgd), "pytorch sgd"),
            (clipped, "pytorch sgd clipped"),
        ] {
            let distance = distance(config, name);
            assert!(distance < TOLERANCE, "{name}: {distance} lr");
        }
    }

    #[test]
    fn a_neighbouring_formula_is_told_apart() {
        for (optimizer, name) in [
            (Optimizer::Rmsprop, "pytorch rmsprop"),
            (Optimizer::Adam, "pytorch adamw"),
            (Optimizer::Sgd, "pytorch sgd clipped"),
        ] {
            assert!(
                distance(config(optimizer), name) > 10.0 * TOLERANCE,
                "{name}"
            );
        }
    }
}
