// A walk between two samples: points on a line or a great circle between their posterior means, decoded.

import { decoded, steps } from "./pictures.js";

const STEPS = 11;

// Points from one latent vector to another; spherical as in crates/vae-infer/src/pictures.rs, `Walk`.
export function walkPoints(from, to, steps, isSpherical) {
  const norms = [Math.hypot(...from), Math.hypot(...to)];
  const cosine = from.reduce((sum, x, i) => sum + x * to[i], 0) / (norms[0] * norms[1]);
  const angle = Math.acos(Math.max(-1, Math.min(1, cosine)));
  // Parallel or opposite vectors do not define a great circle.
  const isStraight = !isSpherical || !(angle > 1e-4 && angle < Math.PI - 1e-4);
  return Array.from({ length: steps }, (_, step) => {
    const t = step / (steps - 1);
    const length = (1 - t) * norms[0] + t * norms[1];
    const share = (part, norm) => (Math.sin(part * angle) / Math.sin(angle)) * (length / norm);
    const [a, b] = isStraight ? [1 - t, t] : [share(1 - t, norms[0]), share(t, norms[1])];
    return from.map((x, i) => a * x + b * to[i]);
  });
}

export class Walk {
  constructor(app, elements) {
    Object.assign(this, { app, elements, ends: [null, null], points: [], asked: 0 });
    elements.from.addEventListener("click", () => this.#end(0));
    elements.to.addEventListener("click", () => this.#end(1));
    elements.kind.addEventListener("change", () => this.show());
    this.#say();
  }

  #end(which) {
    this.ends[which] = this.app.picked;
    this.#say();
    return this.show();
  }

  #say() {
    const { ids } = this.app.model;
    const [from, to] = this.ends.map((place) => (place === null ? "not chosen" : ids[place]));
    this.elements.said.textContent =
      this.ends[0] === null && this.ends[1] === null
        ? "Pick a sample by a click on its dot and start from it; then pick another and end there."
        : `From ${from} to ${to}.`;
  }

  // Says whether a sample is picked, which the buttons need.
  update() {
    const isPicked = this.app.picked !== null;
    this.elements.from.disabled = this.elements.to.disabled = !isPicked;
  }

  async show() {
    const { app, elements } = this;
    if (this.ends.includes(null)) return;
    const asked = ++this.asked;
    const [from, to] = this.ends.map((place) => app.muOf(place));
    const points = walkPoints(from, to, STEPS, elements.kind.value === "spherical");
    const all = Float32Array.from(points.flat());
    const images = await app.decode(all);
    if (asked !== this.asked) return;
    this.points = points;
    const length = images.length / STEPS;
    const each = points.map((_, i) => images.subarray(i * length, (i + 1) * length));
    elements.strip.classList.toggle("table", app.model.is_table);
    elements.strip.replaceChildren(
      ...(app.model.is_table ? [steps(app.model, each)] : each.map((image, i) => this.#step(image, i))),
    );
    app.redrawOverlay();
  }

  // The image of a step; a click takes its point.
  #step(image, i) {
    const button = document.createElement("button");
    button.type = "button";
    button.title = `Step ${i + 1} of ${STEPS}: take this point.`;
    button.append(decoded(this.app.model, image, `step ${i + 1} of the walk`));
    button.addEventListener("click", () => this.app.setZ(Float32Array.from(this.points[i])));
    return button;
  }
}
