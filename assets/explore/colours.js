// Colours of classes and of numbers, as 0xbbggrr for a canvas's memory and as text for the page.

// Ten that can be told apart on white and on black (after Paul Tol's "bright" and "vibrant").
const CLASSES = [
  0x4477cc, 0xee6677, 0x339944, 0xccaa33, 0x44bbdd, 0xaa3388, 0xee8844, 0x8888dd, 0x55ccaa, 0x999999,
];
// Five of viridis.
const RAMP = [0x46308a, 0x3b6fa0, 0x21918c, 0x5ec962, 0xe8d824];
const PLAIN = 0x4477cc;

const turned = (rgb) => ((rgb & 0xff) << 16) | (rgb & 0xff00) | (rgb >> 16);
export const css = (bgr) => `#${turned(bgr).toString(16).padStart(6, "0")}`;

// The colour of a class of `count`; of more than ten, neighbours differ in hue and lightness.
export function classColour(index, count) {
  if (index < 0) return turned(0x888888);
  if (count <= CLASSES.length) return turned(CLASSES[index]);
  const hue = (index * 0.618034) % 1;
  const lightness = [0.42, 0.55, 0.68][index % 3];
  const channel = (n) => {
    const k = (n + hue * 12) % 12;
    const a = 0.6 * Math.min(lightness, 1 - lightness);
    return Math.round(255 * (lightness - a * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return (channel(4) << 16) | (channel(8) << 8) | channel(0);
}

// The colour of a share of the way from the lowest number to the highest.
export function rampColour(share) {
  const at = Math.max(0, Math.min(1, share)) * (RAMP.length - 1);
  const first = Math.min(RAMP.length - 2, Math.floor(at));
  const between = (shift) => {
    const [a, b] = [RAMP[first], RAMP[first + 1]].map((rgb) => (rgb >> shift) & 0xff);
    return Math.round(a + (b - a) * (at - first));
  };
  return (between(0) << 16) | (between(8) << 8) | between(16);
}

export const rampCss = () => `linear-gradient(to right, ${RAMP.map((rgb) => css(turned(rgb))).join(", ")})`;
export const plainColour = turned(PLAIN);
