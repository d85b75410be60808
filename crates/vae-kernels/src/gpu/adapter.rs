//! Finds and opens a GPU through wgpu. Never prints, never chooses a CPU instead.

mod report;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{Adapter, Backends, Device, DeviceType, Instance, Queue};

use super::cost::Cores;

pub use report::AdapterReport;
#[cfg(test)]
pub(super) use report::WORKGROUP_STORAGE;

/// The graphics APIs that may carry the compute shaders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphicsApi {
    /// Any of the three.
    Any,
    /// Vulkan: Linux, Windows, Android.
    Vulkan,
    /// Metal: Apple.
    Metal,
    /// DirectX 12: Windows.
    Dx12,
}

impl GraphicsApi {
    /// OpenGL is left out: it is not a target, and enumerating it prints warnings on machines without a display.
    const fn backends(self) -> Backends {
        match self {
            Self::Any => Backends::VULKAN
                .union(Backends::METAL)
                .union(Backends::DX12),
            Self::Vulkan => Backends::VULKAN,
            Self::Metal => Backends::METAL,
            Self::Dx12 => Backends::DX12,
        }
    }
}

impl fmt::Display for GraphicsApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "Vulkan, Metal or DX12",
            Self::Vulkan => "Vulkan",
            Self::Metal => "Metal",
            Self::Dx12 => "DX12",
        })
    }
}

/// Why no GPU could be opened.
#[derive(Debug, thiserror::Error)]
pub enum GpuError {
    /// No adapter supports the graphics API that was asked for.
    #[error("no adapter for {api}; {}. Install a graphics driver, or train on the CPU with --backend cpu", seen(.others))]
    NoAdapter {
        /// The graphics API that was asked for.
        api: GraphicsApi,
        /// Adapters of other graphics APIs, described.
        others: Vec<String>,
    },
    /// The best adapter's limits are too low for the shaders.
    #[error("{adapter} cannot run the shaders: {}", .lacks.join("; "))]
    LacksLimits {
        /// The adapter, described.
        adapter: String,
        /// Each limit that is too low, with what is needed and what is there.
        lacks: Vec<String>,
    },
    /// The driver refused to open the adapter.
    #[error("{adapter} cannot be opened")]
    Refused {
        /// The adapter, described.
        adapter: String,
        /// The driver's error.
        #[source]
        cause: wgpu::RequestDeviceError,
    },
}

fn seen(others: &[String]) -> String {
    if others.is_empty() {
        "wgpu sees no adapter at all".into()
    } else {
        format!("wgpu sees {}", others.join(", "))
    }
}

fn instance() -> Instance {
    let backends = GraphicsApi::Any.backends();
    Instance::new(wgpu::InstanceDescriptor {
        backends,
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    })
}

/// Every adapter that `api` reaches, the best first.
#[must_use]
pub fn adapters(api: GraphicsApi) -> Vec<AdapterReport> {
    adapters_of(&instance(), api)
}

fn adapters_of(instance: &Instance, api: GraphicsApi) -> Vec<AdapterReport> {
    let adapters = pollster::block_on(instance.enumerate_adapters(api.backends()));
    let report = |adapter: Adapter| AdapterReport {
        info: adapter.get_info(),
        adapter,
    };
    let mut reports: Vec<AdapterReport> = adapters.into_iter().map(report).collect();
    reports.sort_by_key(AdapterReport::rank);
    reports
}

/// Tells open GPUs apart: wgpu's own devices are equal if they are the first of two instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuId(u64);

impl GpuId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// An open GPU, shared by engines.
#[derive(Debug)]
pub struct Gpu {
    id: GpuId,
    /// Description of its adapter.
    pub report: AdapterReport,
    instance: Instance,
    device: Device,
    queue: Queue,
    failure: Failure,
    checks_shaders: bool,
    cores: Cores,
    memory: usize,
}

/// The first error that the driver reported outside a call, once there is one.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// Keeps the first message: later ones are its consequences.
    fn set(&self, message: String) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert(message);
    }

    /// The message, if there is one.
    #[must_use]
    pub fn get(&self) -> Option<String> {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.clone()
    }
}

impl Gpu {
    /// Opens the best adapter of `api`, hardware or software.
    ///
    /// # Errors
    /// If there is none, if it is too small, or if the driver refuses.
    pub fn open(api: GraphicsApi) -> Result<Self, GpuError> {
        Self::open_one_of(api, 0)
    }

    /// As [`Self::open`], but where several adapters are as good as the best, that of this index, from 0 and over again: for
    /// processes of one machine, each on a GPU of its own.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_one_of(api: GraphicsApi, index: usize) -> Result<Self, GpuError> {
        let instance = instance();
        let mut reports = adapters_of(&instance, api);
        // The first that can run the shaders, or else the first, to report what it lacks.
        reports.sort_by_key(|report| !report.lacks().is_empty());
        let kind = |report: &AdapterReport| (report.rank(), report.info.backend);
        if let Some(best) = reports.first().map(kind) {
            reports.retain(|report| kind(report) == best);
            // Processes have to count alike.
            reports.sort_by(|one, other| one.place().cmp(other.place()));
        }
        let of_kind = reports.len().max(1);
        let Some(report) = reports.into_iter().nth(index % of_kind) else {
            let others = adapters_of(&instance, GraphicsApi::Any)
                .iter()
                .map(ToString::to_string)
                .collect();
            return Err(GpuError::NoAdapter { api, others });
        };
        let lacks = report.lacks();
        if !lacks.is_empty() {
            return Err(GpuError::LacksLimits {
                adapter: report.to_string(),
                lacks,
            });
        }
        let descriptor = wgpu::DeviceDescriptor {
            // burn decides by the adapter's features, so it gets all of them, but for those that need `unsafe` to ask for
            // and the one that makes every buffer slower.
            required_features: report.adapter.features()
                - wgpu::Features::all_experimental_mask()
                - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
            required_limits: report.adapter.limits(),
            // burn's runtime allocates large pages itself.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        match pollster::block_on(report.adapter.request_device(&descriptor)) {
            Ok((device, queue)) => {
                let failure = Failure::default();
                let (lost, wrong) = (failure.clone(), failure.clone());
                device.set_device_lost_callback(move |_, message| {
                    lost.set(format!("it was lost: {message}"));
                });
                device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                    wrong.set(error.to_string());
                }));
                Ok(Self {
                    id: GpuId::next(),
                    instance,
                    device,
                    queue,
                    failure,
                    checks_shaders: false,
                    cores: match report.info.device_type {
                        DeviceType::IntegratedGpu => Cores::SMALL,
                        _ => Cores::LARGE,
                    },
                    memory: usize::MAX,
                    report,
                })
            }
            Err(cause) => Err(GpuError::Refused {
                adapter: report.to_string(),
                cause,
            }),
        }
    }

    /// Lets the fused engine's shaders check every index and bound every loop, at the cost of speed: for tests, which show
    /// that they need neither.
    #[must_use]
    pub fn with_checked_shaders(self) -> Self {
        Self {
            checks_shaders: true,
            ..self
        }
    }

    /// Lets the fused engine divide its products as if this GPU had a single core, so that small ones take the tiles of large
    /// ones: for tests.
    #[must_use]
    pub fn with_one_core(self) -> Self {
        Self {
            cores: Cores::ONE,
            ..self
        }
    }

    /// Lets the fused engine find the memory full where a program's matrices take more than so many bytes: for tests.
    #[must_use]
    pub fn with_memory(self, memory: usize) -> Self {
        Self { memory, ..self }
    }

    /// Bytes that a program's matrices may take.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Number of cores to keep busy.
    pub(super) const fn cores(&self) -> Cores {
        self.cores
    }

    /// Whether the fused engine's shaders check their indices and loops.
    pub(super) const fn checks_shaders(&self) -> bool {
        self.checks_shaders
    }

    /// Which open GPU it is.
    #[must_use]
    pub const fn id(&self) -> GpuId {
        self.id
    }

    /// The device and the queue, for kernels launched through wgpu directly.
    #[must_use]
    pub const fn device_and_queue(&self) -> (&Device, &Queue) {
        (&self.device, &self.queue)
    }

    /// The instance and the adapter that the device was opened from, for other libraries that launch kernels on it.
    #[must_use]
    pub const fn instance_and_adapter(&self) -> (&Instance, &Adapter) {
        (&self.instance, &self.report.adapter)
    }

    /// Size of the largest tensor that one binding can hold, bytes.
    #[must_use]
    pub fn largest_tensor(&self) -> u64 {
        self.device.limits().max_storage_buffer_binding_size
    }

    /// Where a failure of the device is reported.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_adapter_is_explained_with_what_is_there() {
        let message = |others| {
            GpuError::NoAdapter {
                api: GraphicsApi::Metal,
                others,
            }
            .to_string()
        };
        assert!(message(vec![]).starts_with("no adapter for Metal; wgpu sees no adapter at all."));
        assert!(
            message(vec!["A".into(), "B".into()])
                .starts_with("no adapter for Metal; wgpu sees A, B.")
        );
    }
}
