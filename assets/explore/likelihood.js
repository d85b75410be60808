// The mean of a likelihood given the decoder's output: the twin of `mean_of` in crates/vae-spec/src/likelihood/host.rs.

import { softplus } from "./passes.js";

// A larger log of a mean counts as this one.
const MAX_LOG_MEAN = 20;

const identity = (output) => output;
const exponential = (output) => Math.exp(Math.min(output, MAX_LOG_MEAN));

const MEANS = {
  bernoulli: (output) => 1 / (1 + Math.exp(-output)),
  "continuous-bernoulli": (output) =>
    // The closed form loses digits near 0; the Taylor series' next term is l^5 / 30240.
    Math.abs(output) < 0.01
      ? 0.5 + output / 12 - output ** 3 / 720
      : -1 / Math.expm1(-output) - 1 / output,
  gaussian: identity,
  laplace: identity,
  "discretized-logistic": (output, spread) =>
    spread * (softplus(output / spread) - softplus((output - 1) / spread)),
  poisson: exponential,
  "negative-binomial": exponential,
};

// What is shown of an output: its mean, in units of the data or as brightness.
export function shownMeans({ likelihood, spread, scale, shift }, outputs) {
  const mean = MEANS[likelihood];
  const at = (values, i) => values[i % values.length];
  return Float32Array.from(outputs, (x, i) => mean(x, at(spread, i)) * at(scale, i) + at(shift, i));
}
