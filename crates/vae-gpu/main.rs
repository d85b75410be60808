//! The program: [`vae_gpu::run`] with what the user typed.

use std::process::ExitCode;

/// On a machine without a desktop, Mesa's device-select layer prints `error: XDG_RUNTIME_DIR is invalid` each time the
/// adapters are listed. All it does is to reorder them, and we order them ourselves; this variable turns it off.
#[expect(
    unsafe_code,
    reason = "the process has one thread yet, so nobody reads the environment meanwhile"
)]
fn quiet_vulkan_layers() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: called first in `main`, before any thread is started.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

fn main() -> ExitCode {
    quiet_vulkan_layers();
    vae_gpu::run(std::env::args_os())
}
