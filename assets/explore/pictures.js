// Samples as they are shown: images on canvases, rows of tables as names and values.

import { shortNumber } from "./numbers.js";

// Columns of a table that are listed.
const LISTED = 40;

const byte = (x) => Math.max(0, Math.min(255, Math.round(255 * x)));

// The decoder's brightness, [channels, height, width], as a canvas's memory.
function imageOf(values, [channels, height, width]) {
  const image = new ImageData(width, height);
  const plane = height * width;
  for (let at = 0; at < plane; at++) {
    for (let c = 0; c < 3; c++) {
      // Of fewer than three channels the first is grey, of more the first three are colours.
      image.data[4 * at + c] = byte(values[(channels < 3 ? 0 : c * plane) + at]);
    }
    image.data[4 * at + 3] = 255;
  }
  return image;
}

// A thumbnail's bytes, [height, width, channels], as a canvas's memory.
function thumbnailOf(bytes, [channels, height, width]) {
  const image = new ImageData(width, height);
  for (let at = 0; at < height * width; at++) {
    for (let c = 0; c < 3; c++) image.data[4 * at + c] = bytes[at * channels + (channels === 3 ? c : 0)];
    image.data[4 * at + 3] = 255;
  }
  return image;
}

function canvasWith(image, label) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.width, image.height];
  canvas.getContext("2d").putImageData(image, 0, 0);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", label);
  return canvas;
}

// Rows of a table as columns beside their names, under a head if there is one.
function tableWith(rows, names, head) {
  const table = document.createElement("table");
  const line = (cells) => {
    const row = table.insertRow();
    cells.forEach((cell) => (row.insertCell().textContent = cell));
  };
  if (head) line(["", ...head]);
  const length = rows[0].length;
  const shown = Math.min(length, LISTED);
  for (let i = 0; i < shown; i++) line([names[i] ?? `x_${i + 1}`, ...rows.map((row) => shortNumber(row[i]))]);
  if (length > shown) line([`and ${length - shown} more`]);
  return table;
}

// What the decoder gave, as an element.
export function decoded(model, values, label) {
  return model.is_table ? tableWith([values], model.columns) : canvasWith(imageOf(values, model.shape), label);
}

// A sample of the data, as an element.
export function sample(model, values, label) {
  return model.is_table ? tableWith([values], model.columns) : canvasWith(thumbnailOf(values, model.thumbnail), label);
}

// A sample and its reconstruction side by side.
export function pair(model, original, reconstruction) {
  if (model.is_table) return [tableWith([original, reconstruction], model.columns, ["original", "reconstruction"])];
  const figure = (canvas, text) => {
    const made = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.textContent = text;
    made.append(canvas, caption);
    return made;
  };
  const first =
    original instanceof Uint8Array
      ? sample(model, original, "the sample")
      : canvasWith(imageOf(original, model.shape), "the image");
  return [figure(first, "original"), figure(decoded(model, reconstruction, "its reconstruction"), "reconstruction")];
}

// The steps of a walk through a table's rows, side by side.
export function steps(model, rows) {
  return tableWith(rows, model.columns, rows.map((_, i) => `step ${i + 1}`));
}
