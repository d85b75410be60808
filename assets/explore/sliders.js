// A slider for each latent, the most active first; behind each where the data are, and the posterior of the sample picked.

import { shortNumber } from "./numbers.js";

// Sliders at first; a button shows the others.
const SHOWN = 12;
// Deviations of the data to each side of a slider's middle, and the least that a slider reaches.
const REACH = 3.5;
const LEAST = 3;

export class Sliders {
  constructor(parent, statistics, onChange) {
    const { mean, deviation } = statistics;
    this.order = Array.from(mean.keys()).sort((a, b) => deviation[b] - deviation[a]);
    this.rows = [];
    for (const index of this.order) this.rows[index] = this.#row(index, statistics, onChange);
    parent.append(...this.order.map((index) => this.rows[index].element));
    const hidden = this.order.slice(SHOWN);
    if (hidden.length === 0) return;
    hidden.forEach((index) => (this.rows[index].element.hidden = true));
    const more = document.createElement("button");
    more.type = "button";
    more.textContent = `Show ${hidden.length} more`;
    more.addEventListener("click", () => {
      hidden.forEach((index) => (this.rows[index].element.hidden = false));
      more.remove();
    });
    parent.append(more);
  }

  #row(index, { mean, deviation, posterior }, onChange) {
    const reach = Math.max(LEAST, Math.abs(mean[index]) + REACH * deviation[index]);
    const element = document.createElement("label");
    element.className = "slider";
    element.title =
      `Latent ${index + 1}. In the data mu is ${shortNumber(mean[index])} \u00b1 ${shortNumber(deviation[index])}; ` +
      `a posterior has a deviation of ${shortNumber(posterior[index])} on average.`;
    const name = document.createElement("span");
    name.textContent = String(index + 1);
    const track = document.createElement("span");
    track.className = "track";
    const data = band("data", track);
    const spread = band("spread", track);
    place(data, mean[index], deviation[index], reach);
    spread.hidden = true;
    const input = document.createElement("input");
    Object.assign(input, { type: "range", min: -reach, max: reach, step: "any", value: 0 });
    input.setAttribute("aria-label", `latent ${index + 1}`);
    track.append(input);
    const value = document.createElement("output");
    element.append(name, track, value);
    input.addEventListener("input", () => onChange(index, Number(input.value)));
    return { element, input, value, spread, reach };
  }

  // Shows a latent vector.
  show(z) {
    this.rows.forEach(({ input, value }, index) => {
      input.value = z[index];
      value.textContent = shortNumber(z[index]);
    });
  }

  // Shows a posterior: means and log-variances that begin at `at`; or none.
  showPosterior(mu, log_var, at) {
    this.rows.forEach(({ spread, reach }, index) => {
      spread.hidden = !mu;
      if (mu) place(spread, mu[at + index], Math.exp(0.5 * log_var[at + index]), reach);
    });
  }
}

function band(name, track) {
  const made = document.createElement("span");
  made.className = `band ${name}`;
  track.append(made);
  return made;
}

// From one deviation below to one above.
function place(element, mean, deviation, reach) {
  const share = (x) => (100 * (Math.max(-reach, Math.min(reach, x)) + reach)) / (2 * reach);
  const [from, to] = [share(mean - deviation), share(mean + deviation)];
  element.style.left = `${from}%`;
  element.style.width = `max(2px, ${to - from}%)`;
}
