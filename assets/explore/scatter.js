// The points of the plane, written straight into a canvas's memory: 100,000 of them take milliseconds on any machine, with no
// context of a GPU that a browser may lack.

// How much of a point's colour remains where it is not among those selected, of 256.
const DIMMED = 80;

// Places of a disc around its centre with how much of each it covers, of 256.
function disc(radius) {
  const places = [];
  const reach = Math.ceil(radius);
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) {
      const cover = Math.max(0, Math.min(1, radius + 0.5 - Math.hypot(x, y)));
      if (cover > 0) places.push([x, y, Math.round(225 * cover)]);
    }
  }
  return places;
}

export class Scatter {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.xs = this.ys = new Float32Array(0);
    this.colours = new Uint32Array(0);
    this.selected = null;
    this.view = { x: 0, y: 0, scale: 1 };
  }

  setPoints(xs, ys) {
    [this.xs, this.ys] = [xs, ys];
  }

  // Takes the size that the page gives the canvas; says whether it is another.
  resize() {
    const ratio = devicePixelRatio || 1;
    const { width, height } = this.canvas.getBoundingClientRect();
    const size = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
    this.ratio = ratio;
    if (this.image?.width === size[0] && this.image?.height === size[1]) return false;
    [this.canvas.width, this.canvas.height] = size;
    this.image = this.context.createImageData(...size);
    this.pixels = new Uint32Array(this.image.data.buffer);
    return true;
  }

  // The view that shows all points.
  fit() {
    if (this.xs.length === 0) return;
    const range = (values) => values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)], [Infinity, -Infinity]);
    const [left, right] = range(this.xs);
    const [bottom, top] = range(this.ys);
    const { width, height } = this.canvas.getBoundingClientRect();
    const margin = 1.12;
    const scale = Math.min(width / Math.max(1e-3, right - left), height / Math.max(1e-3, top - bottom)) / margin;
    this.view = { x: (left + right) / 2, y: (bottom + top) / 2, scale };
  }

  // From the plane to CSS pixels of the canvas, and back.
  toPixels([x, y]) {
    const { width, height } = this.canvas;
    const { view, ratio } = this;
    return [(x - view.x) * view.scale + width / ratio / 2, height / ratio / 2 - (y - view.y) * view.scale];
  }

  toPlane([left, top]) {
    const { width, height } = this.canvas;
    const { view, ratio } = this;
    return [(left - width / ratio / 2) / view.scale + view.x, (height / ratio / 2 - top) / view.scale + view.y];
  }

  draw(background) {
    const { pixels, selected } = this;
    pixels.fill((background | 0xff000000) >>> 0);
    const radius = (this.xs.length > 20000 ? 1 : this.xs.length > 3000 ? 1.6 : 2.4) * this.ratio;
    const places = disc(radius);
    if (selected) {
      this.#drawThose(places, (i) => selected[i] === 0, DIMMED);
      this.#drawThose(places, (i) => selected[i] === 1, 256);
    } else {
      this.#drawThose(places, () => true, 256);
    }
    this.context.putImageData(this.image, 0, 0);
  }

  #drawThose(places, isDrawn, strength) {
    const { xs, ys, colours, pixels, view, ratio } = this;
    const { width, height } = this.image;
    const scale = view.scale * ratio;
    const [left, top] = [width / 2 - view.x * scale, height / 2 + view.y * scale];
    const edge = Math.ceil(3 * ratio) + 1;
    for (let i = 0; i < xs.length; i++) {
      if (!isDrawn(i)) continue;
      const x = Math.round(left + xs[i] * scale);
      const y = Math.round(top - ys[i] * scale);
      if (x < edge || y < edge || x >= width - edge || y >= height - edge) continue;
      const odd = colours[i] & 0xff00ff;
      const even = colours[i] & 0x00ff00;
      for (let k = 0; k < places.length; k++) {
        const place = places[k];
        const at = (y + place[1]) * width + x + place[0];
        const cover = (place[2] * strength) >> 8;
        const behind = pixels[at];
        // Red and blue in one product, green in another.
        const b = behind & 0xff00ff;
        const g = behind & 0x00ff00;
        const mixed =
          ((b + (((odd - b) * cover) >> 8)) & 0xff00ff) | ((g + (((even - g) * cover) >> 8)) & 0x00ff00);
        pixels[at] = mixed | 0xff000000;
      }
    }
  }

  // The point nearest to CSS pixels of the canvas, within some of them; -1 if there is none.
  nearest(pixel, within) {
    const [x, y] = this.toPlane(pixel);
    let [found, least] = [-1, (within / this.view.scale) ** 2];
    for (let i = 0; i < this.xs.length; i++) {
      const distance = (this.xs[i] - x) ** 2 + (this.ys[i] - y) ** 2;
      if (distance <= least) [found, least] = [i, distance];
    }
    return found;
  }

  // Calls `visit` with the points between two corners in the plane.
  inside([x1, y1], [x2, y2], visit) {
    const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)];
    const [bottom, top] = [Math.min(y1, y2), Math.max(y1, y2)];
    for (let i = 0; i < this.xs.length; i++) {
      const [x, y] = [this.xs[i], this.ys[i]];
      if (x >= left && x <= right && y >= bottom && y <= top) visit(i);
    }
  }
}
