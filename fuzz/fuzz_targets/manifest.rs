//! The manifest of a run.
#![no_main]

use vae_gpu_fuzz::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    run("manifest.json", bytes);
});
