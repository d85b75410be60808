//! A state dict of PyTorch with the names of its layers.
#![no_main]

use vae_gpu_fuzz::import;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    import(bytes);
});
