//! Finding and opening a GPU through wgpu. Never prints, never chooses a CPU instead.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use wgpu::{Adapter, Backends, Device, DeviceType, Instance, Queue};

use super::cost::Cores;

/// Bytes of workgroup memory that the shaders of matrix products may take: twice what WebGPU promises. An H100 has 49,152, the
/// software adapter as many as this.
pub(super) const WORKGROUP_STORAGE: u64 = 32_768;

/// The graphics interfaces that may carry the compute shaders.
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
    /// OpenGL is left out: it is no target here, and enumerating it prints warnings on machines without a display.
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
    /// No adapter speaks the interface that was asked for.
    #[error("no adapter for {api}; {}. Install a graphics driver, or train on the CPU with --backend cpu", seen(.others))]
    NoAdapter {
        /// What was asked for.
        api: GraphicsApi,
        /// Adapters of other interfaces, described.
        others: Vec<String>,
    },
    /// The best adapter is too small for the shaders.
    #[error("{adapter} cannot run the shaders: {}", .lacks.join("; "))]
    LacksLimits {
        /// The adapter, described.
        adapter: String,
        /// Each limit with what is needed and what is there.
        lacks: Vec<String>,
    },
    /// The driver refused to open the adapter.
    #[error("{adapter} cannot be opened")]
    Refused {
        /// The adapter, described.
        adapter: String,
        /// What the driver said.
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

/// An adapter as wgpu describes it.
#[derive(Debug)]
pub struct AdapterReport {
    adapter: Adapter,
    info: wgpu::AdapterInfo,
}

impl AdapterReport {
    /// The device's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.info.name
    }

    /// `discrete GPU`, `integrated GPU`, `virtual GPU`, `software` or `other`.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self.info.device_type {
            DeviceType::DiscreteGpu => "discrete GPU",
            DeviceType::IntegratedGpu => "integrated GPU",
            DeviceType::VirtualGpu => "virtual GPU",
            DeviceType::Cpu => "software",
            DeviceType::Other => "other",
        }
    }

    /// Whether this is hardware, so that `auto` may take it: software adapters run shaders on the CPU, slowly.
    #[must_use]
    pub const fn is_hardware(&self) -> bool {
        matches!(
            self.info.device_type,
            DeviceType::DiscreteGpu | DeviceType::IntegratedGpu | DeviceType::VirtualGpu
        )
    }

    /// The interface: `vulkan`, `metal` or `dx12`.
    #[must_use]
    pub fn api(&self) -> String {
        self.info.backend.to_string()
    }

    /// Name and version of the driver.
    #[must_use]
    pub fn driver(&self) -> String {
        format!("{} {}", self.info.driver, self.info.driver_info)
            .trim()
            .to_owned()
    }

    /// The limits that decide what this program can do, as (name, needed, found).
    #[must_use]
    pub fn limits(&self) -> Vec<(&'static str, u64, u64)> {
        needed_limits(&self.adapter.limits())
    }

    /// Each limit that is too low, in words; empty if the shaders can run.
    #[must_use]
    pub fn lacks(&self) -> Vec<String> {
        lacks(&self.limits())
    }

    /// Smaller is better: hardware before software, its own memory before shared.
    const fn rank(&self) -> u8 {
        match self.info.device_type {
            DeviceType::DiscreteGpu => 0,
            DeviceType::IntegratedGpu => 1,
            DeviceType::VirtualGpu => 2,
            DeviceType::Other => 3,
            DeviceType::Cpu => 4,
        }
    }
}

impl fmt::Display for AdapterReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({}, {}, {})",
            self.name(),
            self.kind(),
            self.api(),
            self.driver()
        )
    }
}

fn needed_limits(limits: &wgpu::Limits) -> Vec<(&'static str, u64, u64)> {
    vec![
        (
            "invocations per workgroup",
            256,
            limits.max_compute_invocations_per_workgroup.into(),
        ),
        // burn's own kernels bind up to eight.
        (
            "storage buffers per stage",
            8,
            limits.max_storage_buffers_per_shader_stage.into(),
        ),
        (
            "bytes of one storage binding",
            1 << 27,
            limits.max_storage_buffer_binding_size,
        ),
        (
            "workgroups per dimension",
            65_535,
            limits.max_compute_workgroups_per_dimension.into(),
        ),
        (
            "bytes of workgroup storage",
            WORKGROUP_STORAGE,
            limits.max_compute_workgroup_storage_size.into(),
        ),
    ]
}

fn lacks(limits: &[(&str, u64, u64)]) -> Vec<String> {
    let too_low = limits.iter().filter(|(_, needed, found)| found < needed);
    too_low
        .map(|(name, needed, found)| format!("{name}: needs {needed}, has {found}"))
        .collect()
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

/// An open GPU, which engines share.
#[derive(Debug)]
pub struct Gpu {
    /// What it is.
    pub report: AdapterReport,
    instance: Instance,
    device: Device,
    queue: Queue,
    failure: Failure,
    checks_shaders: bool,
    cores: Cores,
}

/// What the driver said when something went wrong behind our back, once it has.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    /// Keeps the first message: what follows is its consequence.
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
        let instance = instance();
        let mut reports = adapters_of(&instance, api);
        // The first that can run the shaders, or else the first, to say what it lacks.
        reports.sort_by_key(|report| !report.lacks().is_empty());
        let Some(report) = reports.into_iter().next() else {
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
                device.set_device_lost_callback(move |reason, message| {
                    // Dropped on purpose, at the end of the program.
                    if reason != wgpu::DeviceLostReason::Destroyed {
                        lost.set(format!("it was lost: {message}"));
                    }
                });
                device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
                    wrong.set(error.to_string());
                }));
                Ok(Self {
                    instance,
                    device,
                    queue,
                    failure,
                    checks_shaders: false,
                    cores: match report.info.device_type {
                        DeviceType::IntegratedGpu => Cores::SMALL,
                        _ => Cores::LARGE,
                    },
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

    /// Lets the fused engine cut its products up as if this GPU had a single core, so that small ones take the tiles of large
    /// ones: for tests.
    #[must_use]
    pub fn with_one_core(self) -> Self {
        Self {
            cores: Cores::ONE,
            ..self
        }
    }

    /// How many cores to keep busy.
    pub(super) const fn cores(&self) -> Cores {
        self.cores
    }

    /// Whether the fused engine's shaders check their indices and loops.
    pub(super) const fn checks_shaders(&self) -> bool {
        self.checks_shaders
    }

    /// The device and the queue, for kernels launched through wgpu itself.
    #[must_use]
    pub const fn device_and_queue(&self) -> (&Device, &Queue) {
        (&self.device, &self.queue)
    }

    /// The instance and the adapter that the device was opened from, for others who launch kernels on it.
    #[must_use]
    pub const fn instance_and_adapter(&self) -> (&Instance, &Adapter) {
        (&self.instance, &self.report.adapter)
    }

    /// The largest tensor that a kernel can see whole, bytes.
    #[must_use]
    pub fn largest_tensor(&self) -> u64 {
        self.device.limits().max_storage_buffer_binding_size
    }

    /// Where a failure of the device will be seen.
    #[must_use]
    pub fn failure(&self) -> Failure {
        self.failure.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wgpus_default_limits_with_more_workgroup_memory_suffice_and_a_lower_one_is_named() {
        let mut limits = wgpu::Limits {
            max_compute_workgroup_storage_size: 32_768,
            ..wgpu::Limits::default()
        };
        assert_eq!(lacks(&needed_limits(&limits)), Vec::<String>::new());
        limits.max_compute_invocations_per_workgroup = 128;
        assert_eq!(
            lacks(&needed_limits(&limits)),
            ["invocations per workgroup: needs 256, has 128"]
        );
    }

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
