// The sizes of nearest-neighbour upsampling, where each pixel becomes a square; a library, put before a kernel's text. No entry
// point. Images have their channels last.

struct Sizes {
    length: u32,
}

const SMALL_HEIGHT = {{small_height}}u;
const SMALL_WIDTH = {{small_width}}u;
const LARGE_HEIGHT = {{large_height}}u;
const LARGE_WIDTH = {{large_width}}u;
const CHANNELS = {{channels}}u;
const FACTOR = {{factor}}u; // side of the square
