// The sizes of a convolution, and the place in memory of what its kernel sees; a library, put before a kernel's text. No entry
// point. Images and maps have their channels last. The weight is [KERNEL, KERNEL, IMAGE_CHANNELS, MAP_CHANNELS].

struct Sizes {
    batch: u32,
}

const KERNEL = {{kernel}}u;
const STRIDE = {{stride}}u;
const PADDING = {{padding}}u;
const IMAGE_HEIGHT = {{image_height}}u;
const IMAGE_WIDTH = {{image_width}}u;
const MAP_HEIGHT = {{map_height}}u;
const MAP_WIDTH = {{map_width}}u;
const IMAGE_CHANNELS = {{image_channels}}u;
const MAP_CHANNELS = {{map_channels}}u;
const WEIGHT = {{weight}}u; // offset of the weight in the arena
const BIAS = {{bias}}u;
const PLACES = MAP_HEIGHT * MAP_WIDTH;
const PATCH = KERNEL * KERNEL * IMAGE_CHANNELS;
const PADDED = 0xffffffffu;

// The index of number q of the patch at a place, counted over all maps, or PADDED.
fn pixel(place: u32, q: u32) -> u32 {
    let at = place % PLACES;
    let tap = q / IMAGE_CHANNELS;
    let y = at / MAP_WIDTH * STRIDE + tap / KERNEL;
    let x = at % MAP_WIDTH * STRIDE + tap % KERNEL;
    if y < PADDING || x < PADDING || y >= PADDING + IMAGE_HEIGHT || x >= PADDING + IMAGE_WIDTH {
        return PADDED;
    }
    let row = place / PLACES * IMAGE_HEIGHT + y - PADDING;
    return (row * IMAGE_WIDTH + x - PADDING) * IMAGE_CHANNELS + q % IMAGE_CHANNELS;
}
