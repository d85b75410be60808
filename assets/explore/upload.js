// A file of the user's: what the model makes of it.

import { pair } from "./pictures.js";
import { shortNumber } from "./numbers.js";

// The pixels of an image file, cut to the model's proportions around its middle and scaled: bytes with channels first.
async function pixelsOf(file, [channels, height, width]) {
  const picture = await createImageBitmap(file);
  const scale = Math.max(width / picture.width, height / picture.height);
  const [wide, high] = [picture.width * scale, picture.height * scale];
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.imageSmoothingQuality = "high";
  context.fillRect(0, 0, width, height);
  context.drawImage(picture, (width - wide) / 2, (height - high) / 2, wide, high);
  const { data } = context.getImageData(0, 0, width, height);
  const plane = height * width;
  return Uint8Array.from({ length: channels * plane }, (_, i) => {
    const at = 4 * (i % plane);
    // Greys as ITU-R BT.601 weighs colours.
    if (channels === 1) return Math.round(0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2]);
    return data[at + Math.floor(i / plane)];
  });
}

export class Upload {
  constructor(app, { input, said, result }) {
    Object.assign(this, { app, said, result });
    input.addEventListener("change", () => input.files.length > 0 && this.take(input.files[0]));
  }

  async take(file) {
    const { app, said, result } = this;
    result.replaceChildren();
    let bytes;
    try {
      bytes = await pixelsOf(file, app.model.shape);
    } catch {
      said.textContent = `${file.name} is not an image that this browser can read. Choose a PNG, JPEG or WebP file.`;
      return;
    }
    try {
      const found = await app.source.reconstruct(bytes, app.label);
      result.replaceChildren(...pair(app.model, found.image, found.mean));
      said.textContent =
        `${file.name}, fitted to ${app.model.shape[2]} \u00d7 ${app.model.shape[1]}: recon ${shortNumber(found.recon)} nats, ` +
        `kl ${shortNumber(found.kl)} nats.`;
      app.showPosterior(found.mu, found.log_var, 0);
      app.setZ(found.mu);
    } catch (error) {
      said.textContent = `This image could not be reconstructed: ${error.message}`;
    }
  }
}
