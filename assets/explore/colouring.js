// What the points' colours say: a label, a number, or nothing; and the legend of it.

import { classColour, css, plainColour, rampColour, rampCss } from "./colours.js";
import { quantile, shortNumber } from "./numbers.js";

// The numbers that samples have, by the names of the choice.
const NUMBERS = {
  score: ({ recon, kl }) => recon.map((x, i) => x + kl[i]),
  recon: ({ recon }) => recon,
  kl: ({ kl }) => kl,
};

// Classes that the legend lists.
const LISTED = 20;

// A colour for each point, and what the legend consists of.
export function colouring(kind, points, classes) {
  if (kind === "label" && classes.length > 0) {
    const colours = classes.map((_, index) => classColour(index, classes.length));
    const entry = (name, colour) => {
      const made = document.createElement("span");
      const swatch = document.createElement("i");
      swatch.style.background = css(colour);
      made.append(swatch, name);
      return made;
    };
    const legend = classes.slice(0, LISTED).map((name, index) => entry(name, colours[index]));
    if (classes.length > LISTED) legend.push(`and ${classes.length - LISTED} more`);
    return {
      colours: Uint32Array.from(points.classes, (index) => colours[index] ?? classColour(-1)),
      legend,
    };
  }
  const numbers = NUMBERS[kind]?.(points);
  if (!numbers) return { colours: new Uint32Array(points.count).fill(plainColour), legend: [] };
  // A few samples far off would leave all others one colour.
  const [low, high] = [quantile(numbers, 0.02), quantile(numbers, 0.98)];
  const bar = document.createElement("i");
  bar.className = "ramp";
  bar.style.background = rampCss();
  return {
    colours: Uint32Array.from(numbers, (x) => rampColour((x - low) / Math.max(1e-9, high - low))),
    legend: [shortNumber(low), bar, `${shortNumber(high)} nats`],
  };
}
