//! Transfers to the GPU and back: buffers, uploads, submissions and read-backs.

use std::sync::mpsc::{Receiver, channel};

use wgpu::{Buffer, BufferUsages, CommandEncoder, Device, PollType, Queue, SubmissionIndex};

use super::adapter::{Failure, Gpu};
use crate::executor::ExecutorError;

/// Bytes that are handed to the driver at a time.
const UPLOAD: usize = 1 << 26;

/// An open device with its queue.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) device: Device,
    pub(super) queue: Queue,
    failure: Failure,
    /// Bytes that may be asked for at once.
    memory: usize,
}

/// A copy of some buffers that the GPU fills and the CPU will read.
#[derive(Debug)]
pub(super) struct Reading {
    staging: Buffer,
    pub(super) mapped: Receiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Link {
    pub(super) fn new(gpu: &Gpu) -> Self {
        let (device, queue) = gpu.device_and_queue();
        Self {
            device: device.clone(),
            queue: queue.clone(),
            failure: gpu.failure(),
            memory: gpu.memory(),
        }
    }

    /// An empty storage buffer for shaders.
    pub(super) fn storage(&self, bytes: usize) -> Buffer {
        self.buffer(bytes, BufferUsages::STORAGE | BufferUsages::COPY_SRC)
    }

    /// Empty storage buffers of so many bytes, or none of them if the memory is full.
    pub(super) fn storages(&self, bytes: &[usize]) -> Option<Vec<Buffer>> {
        if bytes.iter().sum::<usize>() > self.memory {
            return None;
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffers = bytes.iter().map(|&bytes| self.storage(bytes)).collect();
        let refused = pollster::block_on(scope.pop());
        refused.is_none().then_some(buffers)
    }

    /// Fails if the driver has reported an error since the device was opened.
    pub(super) fn check(&self) -> Result<(), ExecutorError> {
        self.failure
            .get()
            .map_or(Ok(()), |message| Err(ExecutorError::Failed(message)))
    }

    /// Fills a buffer from its start, in pieces that the driver can hold.
    pub(super) fn upload(&self, buffer: &Buffer, bytes: &[u8]) {
        self.upload_at(buffer, 0, bytes);
    }

    /// Fills a buffer from the byte `start` on, a whole number of words.
    pub(super) fn upload_at(&self, buffer: &Buffer, start: usize, bytes: &[u8]) {
        let word = wgpu::COPY_BUFFER_ALIGNMENT as usize;
        for (index, piece) in bytes.chunks(UPLOAD).enumerate() {
            let offset = (start + index * UPLOAD) as u64;
            let whole = piece.len() / word * word;
            self.queue.write_buffer(buffer, offset, &piece[..whole]);
            if whole < piece.len() {
                let mut last = piece[whole..].to_vec();
                last.resize(word, 0);
                self.queue
                    .write_buffer(buffer, offset + whole as u64, &last);
            }
            if bytes.len() > UPLOAD {
                self.queue.submit([]);
            }
        }
    }

    pub(super) fn poll(&self, how: PollType) -> Result<(), ExecutorError> {
        self.device.poll(how).map_err(failed)?;
        self.check()
    }

    pub(super) fn encoder(&self) -> CommandEncoder {
        self.device
            .create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    /// Submits `encoder`, then copies of `parts`, (buffer, offset, bytes) each, one after the other.
    pub(super) fn submit_and_read(
        &self,
        mut encoder: CommandEncoder,
        parts: &[(&Buffer, usize, usize)],
    ) -> (SubmissionIndex, Reading) {
        let bytes = parts.iter().map(|(_, _, bytes)| bytes).sum();
        let staging = self.buffer(bytes, BufferUsages::MAP_READ);
        let mut end = 0;
        for &(source, offset, bytes) in parts {
            encoder.copy_buffer_to_buffer(source, offset as u64, &staging, end, bytes as u64);
            end += bytes as u64;
        }
        let index = self.queue.submit([encoder.finish()]);
        let (sender, mapped) = channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // Nobody listens if the executor was dropped meanwhile.
            drop(sender.send(result));
        });
        (index, Reading { staging, mapped })
    }

    /// Submits `encoder`, waits for it, and returns a copy of `parts`.
    pub(super) fn wait_and_read(
        &self,
        encoder: CommandEncoder,
        parts: &[(&Buffer, usize, usize)],
    ) -> Result<Vec<f32>, ExecutorError> {
        let (_, reading) = self.submit_and_read(encoder, parts);
        self.poll(PollType::wait_indefinitely())?;
        // Not try_recv: another thread that polls the same device may be about to send it.
        reading.mapped.recv().map_err(failed)?.map_err(failed)?;
        Ok(reading.values())
    }

    /// An empty buffer of whole words, at least one: nothing smaller can be bound.
    pub(super) fn buffer(&self, bytes: usize, usage: BufferUsages) -> Buffer {
        self.device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: bytes
                .next_multiple_of(size_of::<u32>())
                .max(size_of::<u32>()) as u64,
            usage: usage | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        })
    }
}

impl Reading {
    /// The copied values, once they are mapped.
    pub(super) fn values(&self) -> Vec<f32> {
        bytemuck::pod_collect_to_vec(&self.staging.get_mapped_range(..))
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> ExecutorError {
    ExecutorError::Failed(error.to_string())
}
