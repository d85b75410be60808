//! The file of a sweep.
#![no_main]

use vae_gpu_fuzz::sweep;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    sweep(bytes);
});
