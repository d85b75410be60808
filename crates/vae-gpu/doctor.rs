//! `vae-gpu doctor`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use vae_data::fetch::cache_folder;
use vae_device::Device;
use vae_device::check::{self, CheckError, KernelTime, PassCheck, StepCheck};
use vae_kernels::gpu::{Gpu, GraphicsApi, adapters};
use vae_recipe::BackendChoice;

use crate::arguments::one_of;
use vae_device::memory;

use crate::report;

#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// Device to check beside the CPU; auto takes the best GPU there is, also one in software; cpu none [default: auto].
    #[arg(long, value_parser = one_of::<BackendChoice>(), help_heading = "Device")]
    backend: Option<BackendChoice>,
}

/// What was found out so far.
#[derive(Default)]
struct Findings {
    wrong: Vec<String>,
}

pub(crate) fn run(arguments: &DoctorArguments) -> Result<ExitCode> {
    machine();
    let mut findings = Findings::default();
    let choice = arguments.backend.unwrap_or(BackendChoice::Auto);
    report::result(&format!(
        "\n{}, against burn's autodiff",
        Device::cpu_name()
    ));
    findings.step("gradients", check::engines(None));
    let is_cpu = matches!(choice, BackendChoice::Cpu | BackendChoice::Ndarray);
    let has_gpu = !adapters(GraphicsApi::Any).is_empty();
    let device = match choice {
        _ if is_cpu => None,
        BackendChoice::Auto if !has_gpu => None,
        // The best adapter, while training takes hardware only.
        BackendChoice::Auto => Some(Device::open(BackendChoice::Wgpu)?),
        choice => Some(Device::open(choice)?),
    };
    let gpu = device.as_ref().and_then(Device::gpu);
    if let Some(gpu) = gpu {
        report::result(&format!("\n{}, against the CPU", gpu.report));
        findings.passes(check::passes(gpu));
        findings.step("training, 20 steps", check::training(gpu));
        findings.step("gradients by burn", check::engines(Some(gpu)));
    }
    times(gpu)?;
    let checked = match gpu {
        Some(gpu) => format!("the CPU and {}", gpu.report.name()),
        None => "the CPU".to_owned(),
    };
    Ok(if findings.wrong.is_empty() {
        report::result(&format!("\nverdict: training on {checked} can be trusted"));
        ExitCode::SUCCESS
    } else {
        report::result(&format!(
            "\nverdict: do not trust training on {checked}: {}",
            findings.wrong.join("; ")
        ));
        ExitCode::FAILURE
    })
}

/// The program, the machine and its adapters.
fn machine() {
    let [os, processor] = [std::env::consts::OS, std::env::consts::ARCH];
    let memory = memory::of_machine().map_or_else(
        || "unknown".to_owned(),
        |(all, free)| format!("{} of {} free", memory::bytes(free), memory::bytes(all)),
    );
    report::result(&format!(
        "vae-gpu {} on {os} {processor}",
        env!("CARGO_PKG_VERSION")
    ));
    report::result(&format!(
        "  processor: {}, memory: {memory}",
        Device::cpu_name()
    ));
    let cache = cache_folder().map_or_else(
        |error| error.to_string(),
        |folder| format!("{}, {}", folder.display(), memory::bytes(size(&folder))),
    );
    report::result(&format!("  cache: {cache}"));
    for adapter in adapters(GraphicsApi::Any) {
        report::result(&format!("  adapter: {adapter}"));
        let limits = adapter.limits().into_iter();
        let limits = limits.map(|(name, _, found)| format!("{found} {name}"));
        report::result(&format!("    {}", limits.collect::<Vec<_>>().join(", ")));
        for lack in adapter.lacks() {
            report::result(&format!("    too few {lack}"));
        }
    }
    report::result(&format!("  --backend auto takes: {}", Device::auto_name()));
}

/// Bytes of all files below `folder`.
fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

impl Findings {
    /// Reports a check, and remembers it if something was wrong.
    fn step(&mut self, what: &str, check: Result<StepCheck, CheckError>) {
        match check {
            Ok(check) if check.is_right() => report::result(&format!(
                "  right: {what} of {} models, off by {} of the tolerance",
                check.models,
                share(check.worst)
            )),
            Ok(check) => self.is_wrong(format!(
                "{what}, off by {} times the tolerance",
                share(check.worst)
            )),
            Err(error) => self.is_wrong(format!("{what}: {error}")),
        }
    }

    fn passes(&mut self, checks: Result<Vec<PassCheck>, CheckError>) {
        let checks = match checks {
            Ok(checks) => checks,
            Err(error) => return self.is_wrong(format!("kernels: {error}")),
        };
        let right: Vec<&PassCheck> = checks.iter().filter(|check| check.is_right()).collect();
        let worst = right.iter().map(|check| check.worst).fold(0.0, f32::max);
        let names = right.iter().map(|check| check.stem).collect::<Vec<_>>();
        report::result(&format!(
            "  right: {} kernels, off by {} of the tolerance at most:",
            right.len(),
            share(worst)
        ));
        for names in names.chunks(5) {
            report::result(&format!("    {}", names.join(" ")));
        }
        for check in checks.iter().filter(|check| !check.is_right()) {
            self.is_wrong(format!(
                "kernel {}, off by {} times the tolerance",
                check.stem,
                share(check.worst)
            ));
        }
    }

    fn is_wrong(&mut self, what: String) {
        report::result(&format!("  WRONG: {what}"));
        self.wrong.push(what);
    }
}

/// A number with two digits that matter.
fn share(number: f32) -> String {
    if number >= 10.0 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// The kernels of a training step by their time.
fn times(gpu: Option<&Gpu>) -> Result<()> {
    report::result("\na training step of 784-400-20 at batch 128, microseconds (not a benchmark)");
    let table = |name: &str, mut times: Vec<KernelTime>| {
        let all: f64 = times.iter().map(|kernel| kernel.seconds).sum();
        times.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        let kernels = times.iter();
        let kernels = kernels.map(|kernel| format!("{} {:.0}", kernel.stem, 1e6 * kernel.seconds));
        let kernels: Vec<String> = kernels.collect();
        report::result(&format!("  {name}: {:.0}", 1e6 * all));
        for kernels in kernels.chunks(4) {
            report::result(&format!("    {}", kernels.join(", ")));
        }
    };
    table("CPU", check::step_times(None)?);
    if let Some(gpu) = gpu {
        let times = check::step_times(Some(gpu))?;
        if times.is_empty() {
            report::result("  GPU: it has no timestamps");
        } else {
            table("GPU", times);
        }
    }
    Ok(())
}
