// The small card beside the pointer: a sample's image and what is known of it.

import { sample } from "./pictures.js";

export class Hover {
  constructor(app, card) {
    Object.assign(this, { app, card, place: -1 });
  }

  hide() {
    this.place = -1;
    this.card.hidden = true;
  }

  async show(place, [x, y]) {
    const { app, card } = this;
    if (place < 0) return this.hide();
    card.style.left = `${Math.min(x + 16, innerWidth - 170)}px`;
    card.style.top = `${Math.min(y + 16, innerHeight - 190)}px`;
    if (place === this.place) return;
    this.place = place;
    const [values] = await app.source.images([place]);
    // The pointer may be elsewhere by now.
    if (place !== this.place) return;
    const text = document.createElement("p");
    text.textContent = app.describe(place);
    card.replaceChildren(sample(app.model, app.model.is_table ? values.subarray(0, 8) : values, ""), text);
    card.hidden = false;
  }
}
