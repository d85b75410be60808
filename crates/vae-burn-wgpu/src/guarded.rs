//! An engine on a GPU that may fail: what burn's runtime panics with becomes an error.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use vae_kernels::gpu::Failure;
use vae_spec::{
    Batch, Engine, EngineError, Losses, NamedTensor, Part, Posterior, Snapshot, Step,
    TrainingImages, Wait, Weighting,
};

/// `engine`, until the device fails.
pub(super) struct Guarded {
    /// None once it is dropped.
    engine: Option<Box<dyn Engine>>,
    device: wgpu::Device,
    failure: Failure,
    has_panicked: bool,
}

impl Guarded {
    pub(super) fn new(engine: Box<dyn Engine>, device: &wgpu::Device, failure: Failure) -> Self {
        Self {
            engine: Some(engine),
            device: device.clone(),
            failure,
            has_panicked: false,
        }
    }

    /// Fails if the driver has reported an error.
    fn check(&self) -> Result<(), EngineError> {
        // A lost device is only noticed when it is asked.
        let _ = self.device.poll(wgpu::PollType::Poll);
        let failure = self.failure.get();
        failure.map_or(Ok(()), |message| Err(EngineError::Device(message)))
    }

    fn guard<T>(
        &mut self,
        work: impl FnOnce(&mut (dyn Engine + 'static)) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        self.check()?;
        let Some(engine) = self.engine.as_deref_mut() else {
            return Err(EngineError::Device("it is closed".to_owned()));
        };
        match catch_unwind(AssertUnwindSafe(|| work(engine))) {
            Ok(done) => {
                self.check()?;
                done
            }
            Err(panic) => {
                self.has_panicked = true;
                self.check()?;
                Err(EngineError::Device(said(panic.as_ref())))
            }
        }
    }
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("burn's runtime stopped").to_owned()
}

impl Drop for Guarded {
    fn drop(&mut self) {
        if self.has_panicked || self.failure.get().is_some() {
            // Tensors of a device that is gone would panic again.
            std::mem::forget(self.engine.take());
        }
    }
}

impl Engine for Guarded {
    fn train_on(&mut self, images: TrainingImages) -> Result<(), EngineError> {
        self.guard(|engine| engine.train_on(images))
    }

    fn train_on_part(&mut self, part: Part<'_>, step: &Step) -> Result<(), EngineError> {
        self.guard(|engine| engine.train_on_part(part, step))
    }

    fn part_gradients(
        &mut self,
        part: Part<'_>,
        step: &Step,
        gradients: &mut Vec<f32>,
    ) -> Result<Losses, EngineError> {
        self.guard(|engine| engine.part_gradients(part, step, gradients))
    }

    fn update(&mut self, gradients: &mut Vec<f32>, step: &Step) -> Result<(), EngineError> {
        self.guard(|engine| engine.update(gradients, step))
    }

    fn take_losses(&mut self, wait: Wait) -> Result<Vec<Losses>, EngineError> {
        self.guard(|engine| engine.take_losses(wait))
    }

    fn gradients(
        &mut self,
        batch: &Batch<'_>,
        step: &Step,
    ) -> Result<Vec<NamedTensor>, EngineError> {
        self.guard(|engine| engine.gradients(batch, step))
    }

    fn trace(&mut self, batch: &Batch<'_>, step: &Step) -> Result<Vec<NamedTensor>, EngineError> {
        self.guard(|engine| engine.trace(batch, step))
    }

    fn evaluate(&mut self, batch: &Batch<'_>, weighting: Weighting) -> Result<Losses, EngineError> {
        self.guard(|engine| engine.evaluate(batch, weighting))
    }

    fn nll(&mut self, z: &[f32], batch: &Batch<'_>) -> Result<Vec<f32>, EngineError> {
        self.guard(|engine| engine.nll(z, batch))
    }

    fn importance_nll(
        &mut self,
        batch: &Batch<'_>,
        counts: &[usize],
    ) -> Result<Vec<Vec<f64>>, EngineError> {
        self.guard(|engine| engine.importance_nll(batch, counts))
    }

    fn encode(&mut self, batch: &Batch<'_>) -> Result<Posterior, EngineError> {
        self.guard(|engine| engine.encode(batch))
    }

    fn decode(&mut self, z: &[f32], labels: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.guard(|engine| engine.decode(z, labels))
    }

    fn snapshot(&mut self) -> Result<Snapshot, EngineError> {
        self.guard(Engine::snapshot)
    }

    fn numbers(&mut self) -> Result<Vec<f32>, EngineError> {
        self.guard(Engine::numbers)
    }

    fn set_numbers(&mut self, numbers: &[f32]) -> Result<(), EngineError> {
        self.guard(|engine| engine.set_numbers(numbers))
    }
}
