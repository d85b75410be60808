//! A config file.
#![no_main]

use vae_gpu_fuzz::config;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    config(bytes);
});
