//! Devices and the engines that run models on them: the one crate that knows all engines.

pub mod check;
mod error;
pub mod memory;

use std::fmt;

use vae_fused::FusedEngine;
use vae_kernels::gpu::{AdapterReport, Gpu, GraphicsApi, adapters};
use vae_recipe::{BackendChoice, EngineChoice};
use vae_spec::{Engine, EngineSetup, ModelConfig, Network, ObjectiveKind, OptimizerConfig, Prior};

pub use error::DeviceError;
pub use vae_fused::{Memory, PortableDecoder};

/// Which engine runs a model on a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// The fused step program.
    Fused,
    /// burn's autodiff.
    Burn {
        /// Why the fused engine does not run it.
        reason: String,
    },
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fused => f.write_str("fused"),
            Self::Burn { reason } => write!(f, "burn: {reason}"),
        }
    }
}

/// Lets this process use its share of the cores that so many processes run on, unless `RAYON_NUM_THREADS` says how many. Before the
/// first computation.
pub fn share_cores(processes: usize) {
    if processes < 2 || std::env::var_os("RAYON_NUM_THREADS").is_some() {
        return;
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = (cores / processes).max(1);
    // Threads that were started before stay as they are.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}

/// A device that is open and ready.
#[derive(Debug)]
pub struct Device {
    place: Place,
    /// Size of the largest tensor, bytes.
    largest_tensor: u64,
    name: String,
    reason: String,
}

/// What runs the model.
#[derive(Debug)]
enum Place {
    Cpu,
    /// The CPU through burn alone.
    Ndarray,
    Gpu(Box<Gpu>),
}

/// The adapter that `auto` takes: the best hardware adapter that can run the shaders.
fn auto_adapter(reports: &[AdapterReport]) -> Option<&AdapterReport> {
    reports
        .iter()
        .find(|report| report.is_hardware() && report.lacks().is_empty())
}

impl Device {
    /// Opens the device that `choice` asks for.
    ///
    /// # Errors
    /// If a GPU was asked for and none can be used; [`BackendChoice::Auto`] then takes the CPU.
    pub fn open(choice: BackendChoice) -> Result<Self, DeviceError> {
        Self::open_one_of(choice, 0)
    }

    /// As [`Self::open`], but where several GPUs are as good as the best, that of this index, from 0 and over again.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_one_of(choice: BackendChoice, index: usize) -> Result<Self, DeviceError> {
        let gpu = |api| -> Result<Self, DeviceError> {
            let gpu = Gpu::open_one_of(api, index)?;
            let (name, largest_tensor) = (gpu.report.to_string(), gpu.largest_tensor());
            Ok(Self {
                place: Place::Gpu(Box::new(gpu)),
                largest_tensor,
                name,
                reason: "asked for".into(),
            })
        };
        let cpu = |reason: String| Self {
            place: Place::Cpu,
            largest_tensor: u64::MAX,
            name: Self::cpu_name(),
            reason,
        };
        match choice {
            BackendChoice::Wgpu => gpu(GraphicsApi::Any),
            BackendChoice::Vulkan => gpu(GraphicsApi::Vulkan),
            BackendChoice::Metal => gpu(GraphicsApi::Metal),
            BackendChoice::Dx12 => gpu(GraphicsApi::Dx12),
            BackendChoice::Cpu => Ok(cpu("asked for".into())),
            BackendChoice::Ndarray => Ok(Self {
                place: Place::Ndarray,
                name: "cpu (burn on ndarray)".into(),
                ..cpu("asked for".into())
            }),
            BackendChoice::Auto => {
                let reports = adapters(GraphicsApi::Any);
                Ok(match auto_adapter(&reports) {
                    Some(_) => match gpu(GraphicsApi::Any) {
                        Ok(device) => Self {
                            reason: "the best GPU found".into(),
                            ..device
                        },
                        Err(error) => cpu(format!("the GPU failed: {error}")),
                    },
                    None if reports.is_empty() => cpu("no GPU found".into()),
                    None => cpu(format!("no GPU found, only {}", reports[0])),
                })
            }
        }
    }

    /// Name of the CPU as a device, for example `cpu (2 threads)`: the threads that compute, which `RAYON_NUM_THREADS` limits.
    #[must_use]
    pub fn cpu_name() -> String {
        let threads = rayon::current_num_threads();
        format!(
            "cpu ({threads} thread{})",
            if threads == 1 { "" } else { "s" }
        )
    }

    /// Name of the device that [`BackendChoice::Auto`] would take, without opening it.
    #[must_use]
    pub fn auto_name() -> String {
        auto_adapter(&adapters(GraphicsApi::Any)).map_or_else(Self::cpu_name, ToString::to_string)
    }

    /// The GPU, if it is one.
    #[must_use]
    pub const fn gpu(&self) -> Option<&Gpu> {
        match &self.place {
            Place::Gpu(gpu) => Some(gpu),
            Place::Cpu | Place::Ndarray => None,
        }
    }

    /// Whether it is the CPU through the fused engine.
    #[must_use]
    pub const fn is_cpu(&self) -> bool {
        matches!(self.place, Place::Cpu)
    }

    /// Why this device was chosen.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Bytes of the GPU's memory that this program holds; `None` on the CPU, and where the driver leaves the bookkeeping to itself.
    #[must_use]
    pub fn gpu_memory(&self) -> Option<u64> {
        match &self.place {
            Place::Cpu | Place::Ndarray => None,
            Place::Gpu(gpu) => {
                let (device, _) = gpu.device_and_queue();
                let report = device.generate_allocator_report()?;
                Some(report.total_allocated_bytes)
            }
        }
    }

    /// Which engine runs `model` here.
    ///
    /// # Errors
    /// If the fused engine is asked for and cannot run the model.
    pub fn route(
        &self,
        choice: EngineChoice,
        model: &ModelConfig,
        optimizer: &OptimizerConfig,
    ) -> Result<Route, DeviceError> {
        let obstacle = match &self.place {
            Place::Cpu => None,
            Place::Ndarray => {
                Some("ndarray is a backend of burn; that of the fused engine is cpu".into())
            }
            Place::Gpu(gpu) => FusedEngine::obstacle(model, optimizer, gpu),
        };
        match (choice, obstacle) {
            (EngineChoice::Burn, _) => Ok(Route::Burn {
                reason: "asked for".into(),
            }),
            (_, None) => Ok(Route::Fused),
            (EngineChoice::Fused, Some(obstacle)) => Err(DeviceError::NotFused(obstacle)),
            (EngineChoice::Auto, Some(obstacle)) => Ok(Route::Burn { reason: obstacle }),
        }
    }

    /// An engine for the model of `setup` on this device, by its [`Self::route`], for batches of up to `batch` images.
    ///
    /// # Errors
    /// If a tensor is larger than the device allows, or the GPU fails.
    pub fn engine(
        &self,
        setup: &EngineSetup<'_>,
        route: &Route,
        batch: usize,
    ) -> Result<Box<dyn Engine>, DeviceError> {
        self.check_sizes(setup, route, batch)?;
        Ok(match (&self.place, route) {
            (Place::Gpu(gpu), Route::Fused) => Box::new(FusedEngine::gpu(setup, gpu)?),
            (Place::Gpu(gpu), Route::Burn { .. }) => vae_burn_wgpu::wgpu(setup, gpu),
            (_, Route::Fused) => Box::new(FusedEngine::cpu(setup)),
            (_, Route::Burn { .. }) => vae_burn::ndarray(setup),
        })
    }

    /// Checks that no tensor is larger than a kernel can bind on this device.
    fn check_sizes(
        &self,
        setup: &EngineSetup<'_>,
        route: &Route,
        batch: usize,
    ) -> Result<(), DeviceError> {
        let EngineSetup {
            model, objective, ..
        } = setup;
        let widest = Network::new(model).widest();
        let rows = batch.saturating_mul(objective.samples);
        let latents = rows.saturating_mul(model.latent);
        let pairs = match objective.kind {
            ObjectiveKind::BetaTc | ObjectiveKind::Mmd { .. } => latents.saturating_mul(rows),
            _ => 0,
        };
        let (components, images) = match model.prior {
            Prior::Normal => (0, 0),
            Prior::Mixture { components } => (components, 0),
            Prior::Vamp { inputs } => (inputs, inputs),
        };
        const ACTIVATIONS: &str = "activations of a batch";
        let made = [
            (
                ACTIVATIONS,
                rows.max(batch.saturating_add(images))
                    .saturating_mul(widest),
            ),
            (
                "activations of the prior's images",
                images.saturating_mul(widest),
            ),
        ];
        // The fused engine stores nothing for each pair.
        let of_burn = [
            ("pairs of a batch's latents", pairs),
            (
                "latents of a batch beside the prior's components",
                latents.saturating_mul(components),
            ),
        ];
        let of_burn = matches!(route, Route::Burn { .. }).then_some(of_burn);
        let made = made.into_iter().chain(of_burn.into_iter().flatten());
        let weights = setup.weights.tensors().iter();
        let (tensor, elements) = weights
            .map(|tensor| (tensor.name.clone(), tensor.values.len()))
            .chain(made.map(|(name, elements)| (name.to_owned(), elements)))
            .max_by_key(|(_, elements)| *elements)
            .unwrap_or_default();
        let bytes = 4u64.saturating_mul(elements as u64);
        if bytes > self.largest_tensor {
            let of_row = objective.samples.saturating_mul(widest).max(1) as u64;
            let fits = self.largest_tensor / 4 / of_row;
            let advice = match fits {
                1.. if tensor == ACTIVATIONS => {
                    format!("a --batch-size of up to {fits} fits, else choose")
                }
                _ => "choose".to_owned(),
            };
            return Err(DeviceError::TooLarge {
                tensor,
                advice,
                bytes,
                device: self.name.clone(),
                limit: self.largest_tensor,
            });
        }
        Ok(())
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use vae_data::Dataset;
    use vae_spec::Weights;

    use super::*;
    use vae_recipe::{Recipe, RecipePatch};

    #[test]
    fn a_model_or_batch_that_does_not_fit_is_named_before_it_is_built() {
        let digits = Dataset::digits().expect("built in");
        let recipe = Recipe::resolve(RecipePatch::default(), &digits).expect("valid");
        let model = recipe.model();
        let weights = Weights::initial(&model, 0);
        let message = |batch, limit| {
            let device = Device {
                largest_tensor: limit,
                ..Device::open(BackendChoice::Ndarray).expect("a CPU")
            };
            let setup = recipe.setup(&model, &weights);
            let route = device.route(EngineChoice::Auto, &model, &setup.optimizer);
            let engine = device.engine(&setup, &route.expect("burn"), batch);
            engine.err().map(|error| error.to_string())
        };
        // The largest weights: 784 x 256 numbers of 4 bytes.
        assert_eq!(message(100, 802_816), None);
        let weights = message(100, 802_815).expect("too large");
        assert!(
            weights.starts_with("output.weight: 802816 bytes"),
            "{weights}"
        );
        let batch = message(1000, 802_816).expect("too large");
        assert!(
            batch.starts_with("activations of a batch: 3136000 bytes"),
            "{batch}"
        );
        assert!(
            batch.contains("a --batch-size of up to 256 fits"),
            "{batch}"
        );
        assert_eq!(message(256, 802_816), None);
    }
}
