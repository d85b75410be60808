// The decoder of a frozen page, in two kinds: by WebGPU where the browser has it and it agrees with plain JavaScript, and by plain
// JavaScript. The faster is taken: a small network is done before a GPU has answered.

import { floatsOf } from "./numbers.js";
import { runProgram } from "./passes.js";
import { shownMeans } from "./likelihood.js";
import { gpuDecoder } from "./webgpu.js";

// Largest difference of an output from plain JavaScript's, in units of the largest of them: a float has 7 digits.
const TOLERANCE = 1e-3;

export class PageDecoder {
  constructor({ program, shown, parameters }, latent) {
    const values = floatsOf(parameters);
    this.shown = shown;
    this.label = program.labels === null ? -1 : 0;
    this.kinds = { JavaScript: async (z, label) => runProgram(program, values, z, label) };
    this.where = "JavaScript";
    this.ready = this.#compare(gpuDecoder(program, values), latent);
    // What a GPU computes goes through the same buffers each time: one after the other.
    this.last = Promise.resolve();
  }

  async #compare(opening, latent) {
    const z = Float32Array.from({ length: latent }, (_, i) => Math.sin(i + 1));
    try {
      const gpu = await opening;
      const [found, expected] = await Promise.all([gpu, this.kinds.JavaScript].map((decode) => decode(z, this.label)));
      const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
      const agrees = found.every((x, i) => Math.abs(x - expected[i]) <= TOLERANCE * largest);
      if (!agrees) throw new Error("WebGPU computes other numbers than JavaScript");
      this.kinds.WebGPU = gpu;
      const times = [await this.#time(gpu, z), await this.#time(this.kinds.JavaScript, z)];
      if (times[0] < times[1]) this.where = "WebGPU";
    } catch (error) {
      // Plain JavaScript it is, and the page says so; why is kept for the console.
      this.obstacle = error.message;
    }
  }

  async #time(decode, z) {
    const start = performance.now();
    await decode(z, this.label);
    return performance.now() - start;
  }

  // The likelihood's means at a latent vector.
  decode(z, label) {
    const next = this.last.then(async () => {
      try {
        return await this.kinds[this.where](z, label);
      } catch {
        // A GPU may get lost at any time.
        this.where = "JavaScript";
        return this.kinds.JavaScript(z, label);
      }
    });
    this.last = next;
    return next.then((output) => shownMeans(this.shown, output));
  }
}
