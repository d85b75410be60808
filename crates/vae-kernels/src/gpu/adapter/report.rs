//! What an adapter reports of itself, and whether that is enough for the shaders.

use std::fmt;

use wgpu::{Adapter, DeviceType};

/// Bytes of workgroup memory that the shaders of matrix products may take: twice what WebGPU promises. An H100 has 49,152, the
/// software adapter as many as this.
pub(in crate::gpu) const WORKGROUP_STORAGE: u64 = 32_768;

/// An adapter as wgpu describes it.
#[derive(Debug)]
pub struct AdapterReport {
    pub(super) adapter: Adapter,
    pub(super) info: wgpu::AdapterInfo,
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

    /// The graphics API: `vulkan`, `metal` or `dx12`.
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

    /// Where the device sits in the machine, if the driver says so.
    pub(super) fn place(&self) -> &str {
        &self.info.device_pci_bus_id
    }

    /// Smaller is better: hardware before software, its own memory before shared.
    pub(super) const fn rank(&self) -> u8 {
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
}
