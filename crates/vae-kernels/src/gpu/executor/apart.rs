//! Gradients and update apart from each other, for gradients that are added up outside the GPU.

use super::GpuExecutor;
use super::submit::{End, LOSSES};
use crate::executor::{ExecutorError, StepLosses, TrainingStep};
use crate::gpu::gradients::Parts;
use crate::gpu::step::StepConstants;
use crate::program::Update;

impl GpuExecutor {
    /// See [`crate::executor::Executor::gradients`].
    pub(super) fn backward(
        &mut self,
        step: &TrainingStep,
        gradients: &mut Vec<f32>,
    ) -> Result<StepLosses, ExecutorError> {
        self.flush()?;
        self.make_room(step.rows.len(), step.pieces().len());
        let (staged, steps) = self.stage(std::slice::from_ref(step), End::Gradients)?;
        let encoder = self.encode(&staged);
        let parts = [
            (&self.accumulated, 0, self.length * size_of::<f32>()),
            (&self.losses, 0, staged.len() * LOSSES),
        ];
        let mut values = self.link.wait_and_read(encoder, &parts)?;
        let losses = steps[0].losses(&values[self.length..]);
        values.truncate(self.length);
        *gradients = values;
        Ok(losses)
    }

    /// See [`crate::executor::Executor::update`].
    pub(super) fn apply(&mut self, update: Update, gradients: &[f32]) -> Result<(), ExecutorError> {
        self.flush()?;
        self.make_room_to_accumulate();
        let dispatches = self.prepare_update(update, Parts::new(1, self.length), true);
        self.link
            .upload(&self.accumulated, bytemuck::cast_slice(gradients));
        let constants = StepConstants::of_update(update);
        self.link
            .queue
            .write_buffer(&self.steps, 0, bytemuck::bytes_of(&constants));
        let mut encoder = self.link.encoder();
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        for dispatch in dispatches.iter() {
            dispatch.encode(&mut pass, &self.steps_bound, 0);
        }
        drop(pass);
        self.link.queue.submit([encoder.finish()]);
        self.link.check()
    }
}
