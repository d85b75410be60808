// A plane in the space of the latents: two of its axes, or its first two principal components.

const dot = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);

export class Plane {
  // `origin` is the point at 0, 0; `right` and `up` are unit vectors at right angles.
  constructor(names, origin, right, up) {
    Object.assign(this, { names, origin, right, up });
    this.offset = [dot(origin, right), dot(origin, up)];
  }

  static ofLatents(latent, across, up) {
    const axis = (index) => Float32Array.from({ length: latent }, (_, i) => (i === index ? 1 : 0));
    const names = [across, up].map((index) => `latent ${index + 1}`);
    // One latent alone, as some models have, is a line.
    const isLine = across === up;
    if (isLine) names[1] = "";
    return new Plane(names, new Float32Array(latent), axis(across), isLine ? new Float32Array(latent) : axis(up));
  }

  static principal(mu, count, latent) {
    const { means, covariance } = covarianceOf(mu, count, latent);
    const [right, up] = [0, 1].map(() => largestComponent(covariance, latent));
    return new Plane(["principal component 1", "principal component 2"], means, right, up);
  }

  // Coordinates of a latent vector that begins at `at` of `values`.
  project(values, at = 0) {
    let [x, y] = [-this.offset[0], -this.offset[1]];
    for (let i = 0; i < this.right.length; i++) {
      x += values[at + i] * this.right[i];
      y += values[at + i] * this.up[i];
    }
    return [x, y];
  }

  // `z` moved within the plane to these coordinates; what is at right angles to it stays.
  moved(z, [x, y]) {
    const [from, upFrom] = this.project(z);
    return z.map((value, i) => value + (x - from) * this.right[i] + (y - upFrom) * this.up[i]);
  }

  // Standard deviations of a posterior along both axes.
  spread(log_var, at) {
    const along = (axis) => Math.sqrt(axis.reduce((sum, a, i) => sum + a * a * Math.exp(log_var[at + i]), 0));
    return [along(this.right), along(this.up)];
  }
}

function covarianceOf(mu, count, latent) {
  // Some thousand samples know the components as well as all of them.
  const step = Math.max(1, Math.floor(count / 10000));
  const rows = Math.ceil(count / step);
  const means = new Float32Array(latent);
  const covariance = new Float64Array(latent * latent);
  for (let row = 0; row < count; row += step) {
    for (let i = 0; i < latent; i++) means[i] += mu[row * latent + i] / rows;
  }
  for (let row = 0; row < count; row += step) {
    for (let i = 0; i < latent; i++) {
      const a = mu[row * latent + i] - means[i];
      for (let j = 0; j < latent; j++) covariance[i * latent + j] += (a * (mu[row * latent + j] - means[j])) / rows;
    }
  }
  return { means, covariance };
}

// The eigenvector of the largest eigenvalue by power iteration, which is then taken out of `matrix`.
function largestComponent(matrix, latent) {
  let vector = Float64Array.from({ length: latent }, (_, i) => 1 + i / latent);
  let value = 0;
  for (let round = 0; round < 300; round++) {
    const next = vector.map((_, i) => dot(matrix.subarray(i * latent, (i + 1) * latent), vector));
    value = Math.hypot(...next);
    if (value < 1e-12) break;
    vector = next.map((x) => x / value);
  }
  const length = Math.hypot(...vector);
  if (value < 1e-12 || length === 0) return new Float32Array(latent);
  for (let i = 0; i < latent; i++) {
    for (let j = 0; j < latent; j++) matrix[i * latent + j] -= value * vector[i] * vector[j];
  }
  return Float32Array.from(vector);
}

// Mean and deviation of mu over the samples, and the mean deviation of their posteriors, for each latent.
export function latentStatistics({ mu, log_var, count }, latent) {
  const zeros = () => new Float64Array(latent);
  const [mean, squares, posterior] = [zeros(), zeros(), zeros()];
  for (let at = 0; at < count * latent; at++) {
    mean[at % latent] += mu[at] / count;
    squares[at % latent] += mu[at] ** 2 / count;
    posterior[at % latent] += Math.exp(0.5 * log_var[at]) / count;
  }
  const deviation = squares.map((square, i) => Math.sqrt(Math.max(0, square - mean[i] ** 2)));
  return { mean, deviation, posterior };
}
