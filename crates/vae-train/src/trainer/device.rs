//! A device that fails in the middle of a run: a lost GPU, an error of its driver.

use vae_device::Device;
use vae_recipe::{BackendChoice, OnDeviceLost};

use super::Training;
use crate::TrainError;

impl Training<'_> {
    /// Goes on from the last checkpoint on the CPU, if that is wanted, and returns a message for the user.
    pub(super) fn leave_device(&mut self, message: String) -> Result<String, TrainError> {
        let is_gpu = self.task.device().gpu().is_some();
        let lost = DeviceLost {
            device: self.task.device().to_string(),
            message,
            epoch: self.last_good.position.epoch,
            step: self.last_good.losses.len(),
        };
        if self.task.recipe.on_device_lost == OnDeviceLost::Stop || !is_gpu {
            // What is said to be kept has to be on disk.
            self.writer.flush()?;
            return Err(TrainError::DeviceLost {
                lost,
                run: self.folder.path().to_owned(),
            });
        }
        self.task.go_on_with(Device::open(BackendChoice::Cpu)?);
        self.go_back()?;
        self.manifest.device = format!("{}, after {} failed", self.task.computed_by(), lost.device);
        let snapshot = self.last_good.snapshot.clone();
        self.checkpoint(snapshot)?;
        Ok(format!(
            "{lost}; going on from there on the {}",
            self.task.device()
        ))
    }
}

/// What is said of a device that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLost {
    /// Name of the device.
    pub device: String,
    /// What the driver says.
    pub message: String,
    /// Epoch of the last checkpoint, counted from 1.
    pub epoch: usize,
    /// Steps of that epoch that are done in it.
    pub step: usize,
}

impl std::fmt::Display for DeviceLost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            device,
            message,
            epoch,
            step,
        } = self;
        write!(
            f,
            "{device} failed: {message}; the last checkpoint is of epoch {epoch}, step {step}"
        )
    }
}
