// The samples selected: their number, the first of their images, their ids as a file.

import { sample } from "./pictures.js";

// Images of a selection that are shown.
const SHOWN = 60;
// Samples that "nearest" selects.
const NEAREST = 24;

export class Selection {
  constructor(app, elements) {
    Object.assign(this, { app, elements, places: [], asked: 0 });
    elements.save.addEventListener("click", () => this.#save());
    elements.clear.addEventListener("click", () => this.set([]));
    elements.nearest.addEventListener("click", () => this.set(this.#nearestTo(app.z)));
  }

  // Selects these, in the order of the data.
  set(places) {
    this.places = Array.from(new Set(places)).sort((a, b) => a - b);
    const { count } = this.app.points;
    const chosen = new Uint8Array(count);
    this.places.forEach((place) => (chosen[place] = 1));
    this.app.scatter.selected = this.places.length > 0 ? chosen : null;
    this.app.redraw();
    return this.#show();
  }

  #nearestTo(z) {
    const { mu, count } = this.app.points;
    const distances = Float32Array.from({ length: count }, (_, row) =>
      z.reduce((sum, x, i) => sum + (x - mu[row * z.length + i]) ** 2, 0),
    );
    const order = Uint32Array.from({ length: count }, (_, row) => row);
    return Array.from(order.sort((a, b) => distances[a] - distances[b]).subarray(0, NEAREST));
  }

  async #show() {
    const { elements, places, app } = this;
    const asked = ++this.asked;
    const none = places.length === 0;
    [elements.save, elements.clear].forEach((button) => (button.disabled = none));
    elements.said.textContent = none
      ? "Nothing is selected. Let dragging select and draw a box around points, or take those nearest to the crosshair."
      : `${places.length} of ${app.points.count} samples are selected${places.length > SHOWN ? `; the first ${SHOWN} are shown` : ""}.`;
    const shown = places.slice(0, SHOWN);
    const values = none || app.model.is_table ? [] : await app.source.images(shown);
    // Another selection may have come meanwhile.
    if (asked !== this.asked) return;
    elements.images.replaceChildren(
      ...values.map((each, i) => {
        const button = document.createElement("button");
        button.type = "button";
        button.title = app.describe(shown[i]);
        button.append(sample(app.model, each, `sample ${app.model.ids[shown[i]]}`));
        button.addEventListener("click", () => app.pick(shown[i]));
        return button;
      }),
    );
  }

  // The selection as a table, a line for each sample.
  csv() {
    const { points, model } = this.app;
    const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = this.places.map((place) => {
      const label = model.classes[points.classes[place]] ?? "";
      return [quoted(model.ids[place]), quoted(label), points.recon[place], points.kl[place]].join(",");
    });
    return `${["id,label,recon,kl", ...lines].join("\n")}\n`;
  }

  #save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([this.csv()], { type: "text/csv" }));
    link.download = "selected.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}
