// A tile of the matrix product A B for each workgroup; a library, put before a kernel's text. No entry point.
// The kernel says what the matrices are: a(m, k) and b(k, n), one of them zero beyond the last k, and A_ALONG_K, B_ALONG_K: whether neighbours
// along k, not along the other index, are neighbours in memory.
// One thread = 4 x 4 elements of the tile, over one group's share of k. The groups' sums are added at the end.

const TILE_M = {{tile_m}}u;
const TILE_N = {{tile_n}}u;
const GROUPS = {{groups}}u;
const DEPTH = {{depth}}u; // of k, for each group at a time
const SLICE = DEPTH * GROUPS;
const LANES = TILE_M * TILE_N / 16u; // threads of a group
const WORKGROUP = LANES * GROUPS;
// One vec4 more than a row has, so that threads that write a column meet different memory banks.
const A_ROW = TILE_M / 4u + 1u;
const B_ROW = TILE_N / 4u + 1u;
const B_TILE = SLICE * A_ROW;

// A's slice, [k][m], then B's, [k][n]; at the end, sums of groups.
var<workgroup> tile: array<vec4<f32>, SLICE * (A_ROW + B_ROW)>;

// The first row and column of a lane's elements in its tile.
fn place(lane: u32) -> vec2<u32> {
    return 4u * vec2<u32>(lane / (TILE_N / 4u), lane % (TILE_N / 4u));
}

// c + the outer product of four elements of A and four of B at k of the slice.
fn multiply(c: mat4x4<f32>, k: u32, row: u32, column: u32) -> mat4x4<f32> {
    let x = tile[k * A_ROW + row];
    let y = tile[B_TILE + k * B_ROW + column];
    return mat4x4<f32>(
        fma(vec4<f32>(x.x), y, c[0]),
        fma(vec4<f32>(x.y), y, c[1]),
        fma(vec4<f32>(x.z), y, c[2]),
        fma(vec4<f32>(x.w), y, c[3]),
    );
}

// Row i of the result is c[i]. Every thread calls it; the threads below LANES get the sums.
fn product(first_m: u32, first_n: u32, size_k: u32, thread: u32) -> mat4x4<f32> {
    let group = thread / LANES;
    let lane = thread % LANES;
    let row = place(lane).x / 4u;
    let column = place(lane).y / 4u;
    var c = mat4x4<f32>();
    for (var first_k = 0u; first_k < size_k; first_k += SLICE) {
        for (var i = thread; i < SLICE * TILE_M / 4u; i += WORKGROUP) {
            let k = select(i / (TILE_M / 4u), i % SLICE, A_ALONG_K);
            let m4 = select(i % (TILE_M / 4u), i / SLICE, A_ALONG_K);
            let m = first_m + 4u * m4;
            let at_k = first_k + k;
            tile[k * A_ROW + m4] = vec4<f32>(a(m, at_k), a(m + 1u, at_k), a(m + 2u, at_k), a(m + 3u, at_k));
        }
        for (var i = thread; i < SLICE * TILE_N / 4u; i += WORKGROUP) {
            let k = select(i / (TILE_N / 4u), i % SLICE, B_ALONG_K);
            let n4 = select(i % (TILE_N / 4u), i / SLICE, B_ALONG_K);
            let n = first_n + 4u * n4;
            let at_k = first_k + k;
            tile[B_TILE + k * B_ROW + n4] = vec4<f32>(b(at_k, n), b(at_k, n + 1u), b(at_k, n + 2u), b(at_k, n + 3u));
        }
        workgroupBarrier();
        let k = group * DEPTH;
        {{multiply_at_each_k}}
        workgroupBarrier();
    }
    for (var half = GROUPS / 2u; half > 0u; half /= 2u) {
        if group >= half && group < 2u * half {
            let i = (group - half) * 4u * LANES + lane;
            tile[i] = c[0];
            tile[i + LANES] = c[1];
            tile[i + 2u * LANES] = c[2];
            tile[i + 3u * LANES] = c[3];
        }
        workgroupBarrier();
        if group < half {
            let i = group * 4u * LANES + lane;
            c += mat4x4<f32>(tile[i], tile[i + LANES], tile[i + 2u * LANES], tile[i + 3u * LANES]);
        }
        workgroupBarrier();
    }
    return c;
}
