// The decoder of a frozen page: WebGPU where the browser has it and it agrees with plain JavaScript, else plain JavaScript.

import { floatsOf } from "./numbers.js";
import { runProgram } from "./passes.js";
import { shownMeans } from "./likelihood.js";
import { gpuDecoder } from "./webgpu.js";

// Largest difference of an output from plain JavaScript's, in units of the largest of them: a float has 7 digits.
const TOLERANCE = 1e-3;

export async function pageDecoder(decoder, latent) {
  const { program, shown } = decoder;
  const parameters = floatsOf(decoder.parameters);
  const plain = async (z, label) => runProgram(program, parameters, z, label);
  let [outputs, where] = [plain, "JavaScript"];
  try {
    const gpu = await gpuDecoder(program, parameters);
    const z = Float32Array.from({ length: latent }, (_, i) => Math.sin(i + 1));
    const label = program.labels === null ? -1 : 0;
    const [found, expected] = await Promise.all([gpu(z, label), plain(z, label)]);
    const largest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 1e-6);
    const agrees = found.every((x, i) => Math.abs(x - expected[i]) <= TOLERANCE * largest);
    if (agrees) [outputs, where] = [gpu, "WebGPU"];
  } catch {
    // No WebGPU: plain JavaScript it is, and the page says so.
  }
  // What the GPU computes goes through the same buffers: one after the other.
  let last = Promise.resolve();
  const decode = (z, label) => {
    const next = last.then(() => outputs(z, label)).catch(() => {
      [outputs, where] = [plain, "JavaScript"];
      return plain(z, label);
    });
    last = next;
    return next.then((output) => shownMeans(shown, output));
  };
  return { decode, plain, where: () => where };
}
