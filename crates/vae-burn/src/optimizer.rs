//! The optimizers over burn tensors, exactly as Keras and PyTorch compute them (burn's own RMSprop adds its epsilon outside
//! the root, as PyTorch does).

use burn::tensor::{Tensor, backend::Backend};
use vae_spec::{Clip, Optimizer, OptimizerConfig, Weights};

/// An optimizer with its moments, one set per parameter tensor. All tensors are flat.
#[derive(Debug)]
pub(crate) struct Stepper<B: Backend> {
    config: OptimizerConfig,
    /// Moments of each parameter; empty before the first step.
    moments: Vec<Vec<Tensor<B, 1>>>,
}

impl<B: Backend> Stepper<B> {
    /// An optimizer that continues from `moments`, each of all parameters, or none before the first step.
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

    /// Moments of each parameter that has been stepped, in the order of [`OptimizerConfig::moment_names`].
    pub(crate) fn moments(&self) -> &[Vec<Tensor<B, 1>>] {
        &self.moments
    }

    /// Replaces all moments: those of each kind, a tensor per parameter.
    pub(crate) fn set_moments(&mut self, kinds: Vec<Vec<Tensor<B, 1>>>) {
        let parameters = kinds.first().map_or(0, Vec::len);
        let of_parameter = |index: usize| kinds.iter().map(|kind| kind[index].clone()).collect();
        self.moments = (0..parameters).map(of_parameter).collect();
    }

    /// The averages of the weights, a tensor per parameter; `None` before the first step, or if no average is kept.
    pub(crate) fn averages(&self) -> Option<Vec<Tensor<B, 1>>> {
        self.config.ema?;
        let averages = self
            .moments
            .iter()
            .filter_map(|moments| moments.last().cloned());
        (!self.moments.is_empty()).then(|| averages.collect())
    }

    /// Clips `gradients` as configured.
    pub(crate) fn clip(&self, gradients: &mut [Tensor<B, 1>]) {
        let scale = match self.config.clip {
            None => return,
            Some(Clip::Value(largest)) => {
                for gradient in gradients {
                    *gradient = gradient.clone().clamp(-largest, largest);
                }
                return;
            }
            Some(Clip::Norm(largest)) => {
                let squares = gradients
                    .iter()
                    .map(|gradient| gradient.clone().square().sum());
                let norm = Tensor::cat(squares.collect(), 0).sum().sqrt();
                // As PyTorch's clip_grad_norm_ does, without waiting for the norm.
                ((norm + 1e-6).recip() * largest).clamp_max(1.0)
            }
        };
        for gradient in gradients {
            *gradient = gradient.clone() * scale.clone();
        }
    }

    /// The new value of parameter number `index` after its `update`-th update, counted from 1, at learning rate `lr`.
    pub(crate) fn step(
        &mut self,
        index: usize,
        value: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
        update: u64,
        lr: f32,
    ) -> Tensor<B, 1> {
        let config = self.config;
        let names = config.optimizer.moment_names();
        if self.moments.len() <= index {
            let average = config.ema.map(|_| value.clone());
            let zeros = names.iter().map(|_| gradient.zeros_like());
            self.moments.push(zeros.chain(average).collect());
        }
        let mut moments = std::mem::take(&mut self.moments[index]);
        let average = config.ema.and_then(|_| moments.pop());
        let decay = config.weight_decay;
        let (value, gradient) = match config.optimizer {
            Optimizer::Adamw => (value * (1.0 - lr * decay), gradient),
            _ if decay > 0.0 => (value.clone(), gradient + value * decay),
            _ => (value, gradient),
        };
        let (change, moments) = self.change(gradient, moments, update, lr);
        let value = value - change;
        let average = average.map(|average| {
            let decay = config.ema_decay(update);
            average * decay + value.clone() * (1.0 - decay)
        });
        self.moments[index] = moments.into_iter().chain(average).collect();
        value
    }

    fn change(
        &self,
        gradient: Tensor<B, 1>,
        moments: Vec<Tensor<B, 1>>,
        update: u64,
        lr: f32,
    ) -> (Tensor<B, 1>, Vec<Tensor<B, 1>>) {
        let OptimizerConfig {
            optimizer,
            momentum,
            eps,
            ..
        } = self.config;
        let average = |moment: Tensor<B, 1>, new: Tensor<B, 1>, decay: f32| {
            moment * decay + new * (1.0 - decay)
        };
        let mut moments = moments.into_iter();
        let mut next = || moments.next().unwrap_or_else(|| gradient.zeros_like());
        match optimizer {
            Optimizer::Rmsprop => {
                let square = gradient.clone().square();
                let velocity = average(next(), square, OptimizerConfig::RMSPROP_RHO);
                let root = (velocity.clone() + eps).sqrt();
                (gradient * lr / root, vec![velocity])
            }
            Optimizer::Adam | Optimizer::Adamw | Optimizer::Amsgrad => {
                let mean = average(next(), gradient.clone(), OptimizerConfig::ADAM_BETA1);
                let [square, largest] = [next(), next()];
                let square = average(square, gradient.square(), OptimizerConfig::ADAM_BETA2);
                let mut kept = vec![mean.clone(), square.clone()];
                let square = if optimizer == Optimizer::Amsgrad {
                    let largest = square.max_pair(largest);
                    kept.push(largest.clone());
                    largest
                } else {
                    square
                };
                let [mean_correction, square_correction] =
                    OptimizerConfig::adam_corrections(update);
                let step_size = f64::from(lr) / mean_correction;
                let root = square.sqrt() / square_correction.sqrt();
                (mean * step_size / (root + eps), kept)
            }
            Optimizer::Adagrad => {
                let sum = next() + gradient.clone().square();
                (gradient * lr / (sum.clone().sqrt() + eps), vec![sum])
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
            value = stepper.step(0, value, gradient, update, LR);
            let averages = stepper
                .averages()
                .and_then(|averages| averages.first().cloned());
            let seen = averages.unwrap_or_else(|| value.clone());
            let found: Vec<f32> = seen.to_data().to_vec().expect("f32");
            assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected) {
                distance = distance.max((found - expected).abs() / LR);
            }
        }
        distance
    }

    /// Eight steps of at most 3 lr, each of about ten operations rounded to 2^-24, on values of at most 2 whose own
    /// rounding, 2^-24 * 2 a step, is 1.2e-4 lr at lr = 1e-3: eight of those.
    const TOLERANCE: f32 = 1e-3;

    const LR: f32 = 1e-3;

    fn config(optimizer: Optimizer) -> OptimizerConfig {
        OptimizerConfig::new(optimizer)
    }

    #[test]
    fn each_optimizer_is_that_of_its_source() {
        let clipped = |clip| OptimizerConfig {
            clip: Some(clip),
            ..config(Optimizer::Sgd)
        };
        let averaged = OptimizerConfig {
            ema: Some(0.5),
            ..config(Optimizer::Sgd)
        };
        let decayed = OptimizerConfig {
            weight_decay: 0.1,
            ..config(Optimizer::Adam)
        };
        for (config, name) in [
            (config(Optimizer::Rmsprop), "keras rmsprop"),
            (config(Optimizer::Adam), "pytorch adam"),
            (config(Optimizer::Adamw), "pytorch adamw"),
            (config(Optimizer::Sgd), "pytorch sgd"),
            (clipped(Clip::Norm(0.5)), "pytorch sgd clipped"),
            (clipped(Clip::Value(0.5)), "pytorch sgd by value"),
            (averaged, "pytorch sgd averaged"),
            (config(Optimizer::Amsgrad), "pytorch amsgrad"),
            (config(Optimizer::Adagrad), "pytorch adagrad"),
            (decayed, "pytorch adam with decay"),
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
            (Optimizer::Adam, "pytorch adam with decay"),
            (Optimizer::Sgd, "pytorch sgd clipped"),
            (Optimizer::Sgd, "pytorch sgd by value"),
            (Optimizer::Sgd, "pytorch sgd averaged"),
        ] {
            assert!(
                distance(config(optimizer), name) > 10.0 * TOLERANCE,
                "{name}"
            );
        }
    }

    #[test]
    fn amsgrad_remembers_the_largest_mean_of_squares_and_adam_does_not() {
        let device = burn_ndarray::NdArrayDevice::Cpu;
        let fallen = |which| {
            let mut stepper = Stepper::<Cpu>::new(config(which), &[], &device);
            let mut value = Tensor::from_floats([1.0], &device);
            for update in 1..=100 {
                let gradient = if update == 1 { 50.0 } else { 1.0 };
                let gradient = Tensor::from_floats([gradient], &device);
                value = stepper.step(0, value, gradient, update, LR);
            }
            value.into_scalar()
        };
        let [adam, amsgrad] =
            ["pytorch adam fallen", "pytorch amsgrad fallen"].map(|name| golden(name)[0][0]);
        // A hundred roundings of numbers near 1, in units of the learning rate.
        let tolerance = LR * 100.0 * TOLERANCE / 8.0;
        assert!((adam - amsgrad).abs() > 10.0 * tolerance);
        assert!((fallen(Optimizer::Adam) - adam).abs() < tolerance);
        assert!((fallen(Optimizer::Amsgrad) - amsgrad).abs() < tolerance);
    }
}
