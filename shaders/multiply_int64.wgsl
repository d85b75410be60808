// The 64 bits of a product of 32-bit numbers, low half and high half; a library, put before random.wgsl. No entry point.
// For GPUs with 64-bit integers, an extension of WGSL by naga; multiply.wgsl is the same for all others.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let product = u64(a) * u64(b);
    return vec2<u32>(u32(product), u32(product >> 32u));
}
