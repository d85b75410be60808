// What group normalisation forward and backward share; a library, put before a kernel's text. No entry point.
// One workgroup = one group of channels of one row; channels come last.

struct Sizes {
    batch: u32,
}

const CHANNELS = {{channels}}u;
const GROUPS = {{groups}}u;
const PIXELS = {{pixels}}u;
const SCALE = {{scale}}u; // offset of the scale; the shift is behind it
const OF_GROUP = CHANNELS / GROUPS;
const TERMS = PIXELS * OF_GROUP;
const WORKGROUP = 256u;

// The index of number e of a group.
fn number(row: u32, group: u32, e: u32) -> u32 {
    return (row * PIXELS + e / OF_GROUP) * CHANNELS + group * OF_GROUP + e % OF_GROUP;
}
