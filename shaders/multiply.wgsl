// The 64 bits of a product of 32-bit numbers, low half and high half; a library, put before random.wgsl. No entry point.
// From 16-bit halves, for WGSL has no 64-bit integers. multiply_int64.wgsl is the same for GPUs that do.
fn multiply_wide(a: u32, b: u32) -> vec2<u32> {
    let a_low = a & 0xffffu;
    let a_high = a >> 16u;
    let b_low = b & 0xffffu;
    let b_high = b >> 16u;
    let low_low = a_low * b_low;
    let high_low = a_high * b_low + (low_low >> 16u);
    let low_high = a_low * b_high + (high_low & 0xffffu);
    return vec2<u32>(a * b, a_high * b_high + (high_low >> 16u) + (low_high >> 16u));
}
