//! A Matrix Market file.
#![no_main]

use vae_gpu_fuzz::data;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    data("matrix.mtx", bytes);
});
