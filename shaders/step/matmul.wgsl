// A tile of the matrix product A B for each workgroup, with the entry point; a library, put before a kernel's text.
// The kernel gives size_k(workgroup), on which barriers depend; a4(m, k), A at k in four rows from m on, and b4(k, n), B at k in four columns from n on, both zero
// outside; A_ALONG_K and B_ALONG_K, whether neighbours along k, not along the other index, are neighbours in memory;
// place(workgroup), the first m and n of its tile; and store4(m, n, values), which ignores what lies outside.
// One thread = THREAD_M x THREAD_N elements, over one group's share of k. While a slice of k is multiplied, the next one is being
// loaded into registers.

const TILE_M = {{tile_m}}u;
const TILE_N = {{tile_n}}u;
const THREAD_M = {{thread_m}}u;
const THREAD_N = {{thread_n}}u;
const GROUPS = {{groups}}u;
const DEPTH = {{depth}}u; // length of k that each group takes at a time
const PARTS = {{parts}}u; // parts of k, each for another workgroup
const SLICE = DEPTH * GROUPS;
const LANES_M = TILE_M / THREAD_M;
const LANES_N = TILE_N / THREAD_N;
const LANES = LANES_M * LANES_N; // threads of a group
const WORKGROUP = LANES * GROUPS;
// One vec4 more than a row has, so that threads that write a column meet different memory banks.
const A_ROW = TILE_M / 4u + 1u;
const B_ROW = TILE_N / 4u + 1u;
const B_TILE = SLICE * A_ROW;
const SLICE_TILE = SLICE * (A_ROW + B_ROW);

// Two slices, of A, [k][m], then of B, [k][n]; at the end, the groups' sums.
var<workgroup> tile: array<vec4<f32>, {{tile_length}}u>;
var<private> part: u32;
var<private> column_sums: vec4<f32>; // sums of the columns of B that this thread fetched //? column_sums

fn fetch_a(first_m: u32, first_k: u32, i: u32) -> vec4<f32> {
    let k = select(i / (TILE_M / 4u), i % SLICE, A_ALONG_K);
    let m4 = select(i % (TILE_M / 4u), i / SLICE, A_ALONG_K);
    return a4(first_m + 4u * m4, first_k + k);
}

fn fetch_b(first_n: u32, first_k: u32, i: u32) -> vec4<f32> {
    let k = select(i / (TILE_N / 4u), i % SLICE, B_ALONG_K);
    let n4 = select(i % (TILE_N / 4u), i / SLICE, B_ALONG_K);
    return b4(first_k + k, first_n + 4u * n4);
}

fn put_a(at: u32, i: u32, values: vec4<f32>) {
    let k = select(i / (TILE_M / 4u), i % SLICE, A_ALONG_K);
    let m4 = select(i % (TILE_M / 4u), i / SLICE, A_ALONG_K);
    tile[at + k * A_ROW + m4] = values;
}

fn put_b(at: u32, i: u32, values: vec4<f32>) {
    let k = select(i / (TILE_N / 4u), i % SLICE, B_ALONG_K);
    let n4 = select(i % (TILE_N / 4u), i / SLICE, B_ALONG_K);
    tile[at + B_TILE + k * B_ROW + n4] = values;
    column_sums += values; //? column_sums
}

// c + the outer product of four elements of A and four of B.
fn outer(c: mat4x4<f32>, x: vec4<f32>, y: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(vec4<f32>(x.x), y, c[0]),
        fma(vec4<f32>(x.y), y, c[1]),
        fma(vec4<f32>(x.z), y, c[2]),
        fma(vec4<f32>(x.w), y, c[3]),
    );
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    if workgroup.x >= TILES { //? losses
        if workgroup.z == 0u { //? losses
            sum_losses(workgroup.x - TILES, thread); //? losses
        } //? losses
        return; //? losses
    } //? losses
    let first_m = place(workgroup).x;
    let first_n = place(workgroup).y;
    // The loop has barriers, so its bounds must be the same in all threads; of a private variable browsers do not believe it.
    let part_of_k = workgroup.z % PARTS;
    part = part_of_k;
    let length = size_k(workgroup);
    let share = (length + SLICE * PARTS - 1u) / (SLICE * PARTS) * SLICE;
    let begin = part_of_k * share;
    let end = min(begin + share, length);
    let group_k = thread / LANES * DEPTH;
    let lane_m = thread % LANES / LANES_N;
    let lane_n = thread % LANES_N;
    var at = 0u;
    {{declare}}
    {{fetch_first}}
    for (var k = begin; k < end; k += SLICE) {
        {{put}}
        workgroupBarrier();
        if k + SLICE < end {
            {{fetch_next}}
        }
        let a_at = at + group_k * A_ROW + lane_m;
        let b_at = at + B_TILE + group_k * B_ROW + lane_n;
        {{multiply}}
        at = SLICE_TILE - at;
    }
    {{store}}
    workgroupBarrier(); //? finish
    finish(first_m, first_n, thread); //? finish
}
