//! A text table, of commas and of tabs.
#![no_main]

use vae_gpu_fuzz::data;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    data("table.csv", bytes);
    data("table.tsv", bytes);
});
