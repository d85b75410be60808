//! An IDX file, gzipped or not.
#![no_main]

use vae_gpu_fuzz::data;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    data("images-idx3-ubyte", bytes);
});
