// What lies over the points: the axes' numbers, the point that is decoded, a sample's posterior, a walk, and the brush.

import { shortNumber } from "./numbers.js";

// A step of 1, 2 or 5 times a power of ten that gives axes about this many numbers.
function tickStep(range, count) {
  const rough = range / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => power * factor >= rough);
}

export class Overlay {
  constructor(canvas, scatter) {
    Object.assign(this, { canvas, scatter, context: canvas.getContext("2d") });
  }

  draw({ names, point, posterior, walk, brush, colours }) {
    const { context, scatter, canvas } = this;
    [canvas.width, canvas.height] = [scatter.canvas.width, scatter.canvas.height];
    context.scale(scatter.ratio, scatter.ratio);
    this.#axes(names, colours);
    if (walk.length > 1) this.#line(walk.map((each) => scatter.toPixels(each)), colours.accent);
    if (posterior) this.#ellipse(posterior, colours.text);
    if (brush) this.#brush(brush, colours.accent);
    this.#point(scatter.toPixels(point), colours);
  }

  #axes([across, up], colours) {
    const { context, scatter } = this;
    const [width, height] = [scatter.canvas.width / scatter.ratio, scatter.canvas.height / scatter.ratio];
    const [left, top] = scatter.toPlane([0, 0]);
    const [right, bottom] = scatter.toPlane([width, height]);
    const step = tickStep(right - left, width / 90);
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colours.faint;
    context.strokeStyle = colours.line;
    context.lineWidth = 1;
    const line = (from, to) => {
      context.beginPath();
      context.moveTo(...from);
      context.lineTo(...to);
      context.stroke();
    };
    const [zeroX, zeroY] = scatter.toPixels([0, 0]).map((x) => Math.round(x) + 0.5);
    line([zeroX, 0], [zeroX, height]);
    line([0, zeroY], [width, zeroY]);
    for (let x = Math.ceil(left / step) * step; x < right; x += step) {
      const [at] = scatter.toPixels([x, 0]);
      if (at < 30 || at > width - 20) continue;
      line([at, height - 5], [at, height]);
      context.textAlign = "center";
      context.fillText(shortNumber(x), at, height - 8);
    }
    for (let y = Math.ceil(bottom / step) * step; y < top && up; y += step) {
      const [, at] = scatter.toPixels([0, y]);
      if (at < 26 || at > height - 26) continue;
      line([0, at], [5, at]);
      context.textAlign = "left";
      context.fillText(shortNumber(y), 8, at + 4);
    }
    context.fillStyle = colours.text;
    context.textAlign = "right";
    context.fillText(`${across} \u2192`, width - 8, height - 24);
    context.textAlign = "left";
    if (up) context.fillText(`\u2191 ${up}`, 8, 16);
  }

  #line(places, colour) {
    const { context } = this;
    context.strokeStyle = colour;
    context.lineWidth = 2;
    context.beginPath();
    places.forEach((place, i) => (i === 0 ? context.moveTo(...place) : context.lineTo(...place)));
    context.stroke();
  }

  #ellipse({ centre, deviations }, colour) {
    const { context, scatter } = this;
    const [x, y] = scatter.toPixels(centre);
    context.strokeStyle = colour;
    for (const times of [1, 2]) {
      const radii = deviations.map((deviation) => Math.max(1, times * deviation * scatter.view.scale));
      context.lineWidth = times === 1 ? 1.5 : 0.75;
      context.beginPath();
      context.ellipse(x, y, ...radii, 0, 0, 2 * Math.PI);
      context.stroke();
    }
  }

  #brush([from, to], colour) {
    const { context, scatter } = this;
    const [[x, y], [right, bottom]] = [scatter.toPixels(from), scatter.toPixels(to)];
    context.strokeStyle = colour;
    context.lineWidth = 1;
    context.setLineDash([4, 3]);
    context.strokeRect(x, y, right - x, bottom - y);
    context.setLineDash([]);
  }

  #point([x, y], colours) {
    const { context } = this;
    for (const [width, colour] of [[5, colours.background], [2.5, colours.text]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      context.arc(x, y, 8, 0, 2 * Math.PI);
      context.moveTo(x - 14, y);
      context.lineTo(x - 4, y);
      context.moveTo(x + 4, y);
      context.lineTo(x + 14, y);
      context.moveTo(x, y - 14);
      context.lineTo(x, y - 4);
      context.moveTo(x, y + 4);
      context.lineTo(x, y + 14);
      context.stroke();
    }
  }
}
