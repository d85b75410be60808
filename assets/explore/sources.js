// Where a page's numbers come from: the server that has the model, or the page itself, if it was frozen. Both have the same
// functions: load, where, kinds, decode and images; a server also reconstructs.

import { bytesOf, floatsOf, message, pointsOf } from "./numbers.js";
import { PageDecoder } from "./decoder.js";

// Images that are kept, so that a pointer that comes back asks nothing.
const KEPT = 2000;

class ServedSource {
  #images = new Map();

  async #ask(path, body) {
    const reply = await fetch(path, body === undefined ? {} : { method: "POST", body });
    if (!reply.ok) throw new Error(await reply.text());
    return reply;
  }

  async load() {
    this.model = await (await this.#ask("model.json")).json();
    const points = await (await this.#ask("points")).arrayBuffer();
    this.points = pointsOf(points, this.model.count, this.model.latent);
  }

  ready = Promise.resolve();
  // What decodes, and what else could.
  where = () => this.model.device;
  kinds = () => [this.model.device];

  // The images of the decoder for several latent vectors, one after the other.
  async decode(z, label) {
    const reply = await this.#ask("decode", message(label, Float32Array.from(z)));
    return new Float32Array(await reply.arrayBuffer());
  }

  // For each place the values of its sample: bytes of a thumbnail, or a table's numbers.
  async images(places) {
    const missing = places.filter((place) => !this.#images.has(place));
    if (missing.length > 0) {
      const reply = await this.#ask("images", Uint32Array.from(missing));
      const buffer = await reply.arrayBuffer();
      const all = this.model.is_table ? new Float32Array(buffer) : new Uint8Array(buffer);
      const length = all.length / missing.length;
      missing.forEach((place, i) => this.#images.set(place, all.slice(i * length, (i + 1) * length)));
    }
    const found = places.map((place) => this.#images.get(place));
    for (const place of this.#images.keys()) {
      if (this.#images.size <= KEPT) break;
      this.#images.delete(place);
    }
    return found;
  }

  // The posterior, the losses and the reconstruction of bytes that are an image with channels first.
  async reconstruct(bytes, label) {
    const reply = await this.#ask("reconstruct", message(label, bytes));
    const all = new Float32Array(await reply.arrayBuffer());
    const { latent } = this.model;
    const pixels = (all.length - 2 * latent - 2) / 2;
    return {
      mu: all.slice(0, latent),
      log_var: all.slice(latent, 2 * latent),
      recon: all[2 * latent],
      kl: all[2 * latent + 1],
      image: all.slice(2 * latent + 2, 2 * latent + 2 + pixels),
      mean: all.slice(2 * latent + 2 + pixels),
    };
  }
}

class FrozenSource {
  constructor(frozen) {
    this.frozen = frozen;
    this.model = frozen.model;
  }

  async load() {
    const { model, frozen } = this;
    this.points = pointsOf(bytesOf(frozen.points).buffer, model.count, model.latent);
    this.decoder = new PageDecoder(frozen.decoder, model.latent);
    this.values = model.is_table ? floatsOf(frozen.values) : await pixelsOf(frozen.atlas, model);
    this.length = this.values.length / model.count;
  }

  // When it is known what can decode here.
  get ready() {
    return this.decoder.ready;
  }

  where = () => this.decoder.where;
  kinds = () => Object.keys(this.decoder.kinds);
  use = (kind) => (this.decoder.where = kind);

  async decode(z, label) {
    const { latent } = this.model;
    const images = [];
    for (let at = 0; at < z.length; at += latent) {
      images.push(await this.decoder.decode(z.slice(at, at + latent), label));
    }
    const all = new Float32Array(images.length * images[0].length);
    images.forEach((image, i) => all.set(image, i * image.length));
    return all;
  }

  async images(places) {
    return places.map((place) => this.values.subarray(place * this.length, (place + 1) * this.length));
  }
}

// The bytes of all thumbnails, [count, height, width, channels], out of one picture that has them side by side.
async function pixelsOf(url, { count, thumbnail: [channels, height, width] }) {
  const picture = new Image();
  picture.src = url;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const across = picture.width / width;
  const bytes = new Uint8Array(count * height * width * channels);
  for (let first = 0; first < count; first += across) {
    const line = context.getImageData(0, (first / across) * height, picture.width, height).data;
    for (let i = 0; i < across && first + i < count; i++) {
      for (let at = 0; at < height * width; at++) {
        const from = 4 * (Math.floor(at / width) * picture.width + i * width + (at % width));
        const to = ((first + i) * height * width + at) * channels;
        for (let c = 0; c < channels; c++) bytes[to + c] = line[from + c];
      }
    }
  }
  return bytes;
}

export function pageSource() {
  const frozen = document.getElementById("frozen");
  return frozen ? new FrozenSource(JSON.parse(frozen.textContent)) : new ServedSource();
}
