//! A training step: its batch, the sums of its gradients, and the update.

use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;
use vae_kernels::cpu;
use vae_spec::{Batch, Part, Step, TrainingImages};

use super::{BurnEngine, Inner};
use crate::convolution::Convolve;
use crate::sample_kl::SampleKl;

impl<B: AutodiffBackend<InnerBackend: SampleKl + Convolve> + SampleKl + Convolve> BurnEngine<B> {
    /// The loss terms and the gradients of each parameter of a part of a batch, both its share of the batch's means, added up over its
    /// micro-batches; `None` without rows.
    pub(super) fn sums(&self, part: Part<'_>, step: &Step) -> Option<(Inner<B>, Vec<Inner<B>>)> {
        let TrainingImages {
            bytes,
            element,
            labels,
            binarize,
            corruption,
            ..
        } = &self.images;
        let Part { rows, first, batch } = part;
        let binarization = binarize.then_some((self.generators.binarization, step.number));
        let pixels = self.config.pixels();
        let first_row = first as u32;
        let images = cpu::gather(bytes, *element, pixels, rows, first_row, binarization);
        let corrupted = corruption.map(|corruption| {
            let mut images = images.clone();
            let (generator, number) = (self.generators.corruption, step.number);
            cpu::corrupt(
                &mut images,
                pixels,
                corruption,
                generator,
                number,
                first_row,
            );
            images
        });
        let labels: Vec<u32> = if self.config.classes > 0 {
            rows.iter().map(|&row| labels[row as usize]).collect()
        } else {
            Vec::new()
        };
        let mut sums: Option<(Inner<B>, Vec<Inner<B>>)> = None;
        for start in (0..rows.len()).step_by(step.micro_batch.clamp(1, rows.len().max(1))) {
            let count = step.micro_batch.min(rows.len() - start);
            let range = start * pixels..(start + count) * pixels;
            let micro_batch = Batch {
                images: &images[range.clone()],
                corrupted: corrupted.as_ref().map(|images| &images[range]),
                labels: if labels.is_empty() {
                    &[]
                } else {
                    &labels[start..][..count]
                },
                first_row: (first + start) as u32,
            };
            let share = count as f32 / batch as f32;
            let (losses, gradients) = self.backward(&micro_batch, step);
            let (losses, gradients) = if count == batch {
                (losses, gradients)
            } else {
                let gradients = gradients.into_iter().map(|gradient| gradient * share);
                (losses * share, gradients.collect())
            };
            sums = Some(match sums {
                None => (losses, gradients),
                Some((sum, gradient_sums)) => {
                    let both = gradient_sums.into_iter().zip(gradients);
                    (
                        sum + losses,
                        both.map(|(sum, gradient)| sum + gradient).collect(),
                    )
                }
            });
        }
        sums
    }

    /// The tensor of each parameter, from a number for each of their elements.
    pub(super) fn split(&self, mut numbers: &[f32]) -> Vec<Inner<B>> {
        let parameters = self.vae.network().parameters.iter();
        let tensors = parameters.map(|parameter| {
            let (values, rest) = numbers.split_at(parameter.length());
            numbers = rest;
            Tensor::from_floats(values, &self.device)
        });
        tensors.collect()
    }

    /// Updates the parameters by the gradients of a batch.
    pub(super) fn apply(&mut self, mut gradients: Vec<Inner<B>>, step: &Step) {
        self.stepper.clip(&mut gradients);
        let parameters = self.vae.parameters_mut().iter_mut().zip(gradients);
        for (index, (parameter, gradient)) in parameters.enumerate() {
            let value = parameter.clone().inner();
            let update = step.number + 1;
            let value = self.stepper.step(index, value, gradient, update, step.lr);
            *parameter = Tensor::from_inner(value).require_grad();
        }
    }
}
