//! `vae-gpu devices`.

use std::process::ExitCode;

use anyhow::Result;
use vae_device::Device;
use vae_kernels::gpu::{GraphicsApi, adapters};

use crate::report;

pub(crate) fn run() -> Result<ExitCode> {
    for adapter in adapters(GraphicsApi::Any) {
        report::result(&format!("{} ({})", adapter.name(), adapter.kind()));
        report::result(&format!(
            "  --backend {}, driver {}",
            adapter.api(),
            adapter.driver()
        ));
        for (limit, needed, found) in adapter.limits() {
            let verdict = if found < needed {
                format!(", too few: {needed} are needed")
            } else {
                String::new()
            };
            report::result(&format!("  {found} {limit}{verdict}"));
        }
    }
    report::result(&format!(
        "{}\n  --backend cpu, or --backend ndarray for the slower reference",
        Device::cpu_name()
    ));
    report::result(&format!("auto takes: {}", Device::auto_name()));
    Ok(ExitCode::SUCCESS)
}
