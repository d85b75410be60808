//! Whether the device computes what it should: every so many steps the loss and the gradients are computed a second time, by another
//! way.

use vae_device::{Device, Route, check};
use vae_recipe::BackendChoice;
use vae_spec::{Batch, EngineSetup, Step, Weights};

use super::Training;
use crate::TrainError;

impl Training<'_> {
    pub(super) fn is_verification_due(&self) -> bool {
        let every = self.task.recipe.verify_every;
        every.is_some_and(|every| self.manifest.steps.is_multiple_of(every))
    }

    /// Compares the gradients of `step` on the training samples at `places`, of one micro-batch, with those of the CPU; a run on the CPU
    /// itself with those of burn.
    pub(super) fn verify(&mut self, places: &[u32], step: &Step) -> Result<(), TrainError> {
        let places = &places[..places.len().min(step.micro_batch)];
        let recipe = self.task.recipe;
        let (images, corrupted) = self.training_batch(places, step.number)?;
        let samples = self.task.train.subset(places);
        let labels = self.task.preprocessing.labels(&samples)?;
        let batch = Batch {
            images: &images,
            corrupted: corrupted.as_deref(),
            labels: &labels,
            first_row: 0,
        };
        let snapshot = self.snapshot()?;
        let found = self.engine()?.gradients(&batch, step)?;
        let (reference, route) = match self.task.device().is_cpu() {
            true => (
                BackendChoice::Ndarray,
                Route::Burn {
                    reason: String::new(),
                },
            ),
            false => (BackendChoice::Cpu, Route::Fused),
        };
        let reference = Device::open(reference)?;
        let model = recipe.model();
        let expected = |weights: &Weights| {
            let setup = EngineSetup {
                moments: &snapshot.moments,
                ..recipe.setup(&model, weights)
            };
            let mut engine = reference.engine(&setup, &route, places.len())?;
            Ok::<_, TrainError>(engine.gradients(&batch, step)?)
        };
        let weights = &snapshot.weights;
        let rounded = |number| expected(&check::rounded(&model, weights, number));
        match check::difference(&found, &expected(weights)?, rounded)? {
            None => Ok(()),
            Some(difference) => {
                self.writer.flush()?;
                Err(TrainError::Wrong {
                    device: self.task.device().to_string(),
                    reference: reference.to_string(),
                    epoch: self.epoch,
                    step: self.losses.len() + 1,
                    difference,
                })
            }
        }
    }
}
