//! A config file.
#![no_main]

use vae_gpu_fuzz::readers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drop(readers::config(bytes));
});
