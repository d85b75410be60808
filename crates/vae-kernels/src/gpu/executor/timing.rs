//! How long each dispatch of a step takes.

use wgpu::BufferUsages;

use super::GpuExecutor;
use super::submit::{End, LOSSES};
use crate::executor::{Executor, ExecutorError, TrainingStep};
use crate::gpu::prepared::Dispatch;

impl GpuExecutor {
    /// See [`Executor::time_step`].
    pub(super) fn timed(
        &mut self,
        step: TrainingStep,
    ) -> Result<Vec<(&'static str, f64)>, ExecutorError> {
        let features = self.link.device.features();
        if !features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            self.train(step)?;
            return Ok(Vec::new());
        }
        self.flush()?;
        self.train(step)?;
        let pending = std::mem::take(&mut self.pending);
        let (staged, steps) = self.stage(&pending, End::Update)?;
        let pieces = staged.iter().enumerate();
        let dispatches: Vec<(usize, &Dispatch)> = pieces
            .flat_map(|(slot, piece)| piece.dispatches().map(move |dispatch| (slot, dispatch)))
            .collect();
        let count = 2 * dispatches.len() as u32;
        let times = self
            .link
            .device
            .create_query_set(&wgpu::QuerySetDescriptor {
                label: Some("times"),
                ty: wgpu::QueryType::Timestamp,
                count,
            });
        let mut encoder = self.link.encoder();
        for (index, (slot, dispatch)) in (0..).zip(&dispatches) {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some(dispatch.stem),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: &times,
                    beginning_of_pass_write_index: Some(2 * index),
                    end_of_pass_write_index: Some(2 * index + 1),
                }),
            });
            dispatch.encode(&mut pass, &self.steps_bound, *slot);
        }
        let bytes = count as usize * size_of::<u64>();
        let resolved = self
            .link
            .buffer(bytes, BufferUsages::QUERY_RESOLVE | BufferUsages::COPY_SRC);
        encoder.resolve_query_set(&times, 0..count, &resolved, 0);
        let parts = [
            (&resolved, 0, bytes),
            (&self.losses, 0, staged.len() * LOSSES),
        ];
        let values = self.link.wait_and_read(encoder, &parts)?;
        let (ticks, losses) = values.split_at(bytes / size_of::<f32>());
        let steps = steps.iter();
        self.finished.extend(steps.map(|step| step.losses(losses)));
        if let Some(last) = staged.last() {
            self.left = last.prepared.gradients;
        }
        let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(ticks);
        let period = f64::from(self.link.queue.get_timestamp_period()) * 1e-9;
        let (ticks, _) = ticks.as_chunks::<2>();
        let seconds = ticks
            .iter()
            .map(|[begin, end]| end.saturating_sub(*begin) as f64 * period);
        Ok(dispatches
            .iter()
            .map(|(_, dispatch)| dispatch.stem)
            .zip(seconds)
            .collect())
    }
}
