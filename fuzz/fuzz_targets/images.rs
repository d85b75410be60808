//! An image file of any format.
#![no_main]

use vae_gpu_fuzz::data;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    data("image.png", bytes);
});
