// The passes of a decoder in plain JavaScript, for one row: the twins of crates/vae-kernels/src/cpu. Images and maps have their
// channels last. Sums are in double precision.

// erf as a series of positive terms; beyond 6 it is 1 to 16 digits.
function erf(x) {
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  let term = size;
  let sum = size;
  for (let n = 1; term > 1e-17 * sum; n++) {
    term *= (2 * size * size) / (2 * n + 1);
    sum += term;
  }
  return (Math.sign(x) * 2 * Math.exp(-size * size) * sum) / Math.sqrt(Math.PI);
}

export const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

const ACTIVATIONS = {
  relu: (x) => Math.max(x, 0),
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  "leaky-relu": (x) => (x > 0 ? x : 0.01 * x),
  softplus,
};

function activate(values, activation) {
  if (activation) values.forEach((x, i) => (values[i] = ACTIVATIONS[activation](x)));
  return values;
}

// bias and add as in crates/vae-kernels/src/program/pass.rs, `Finish`
function finish(sums, pass, channels, { parameters, matrices }) {
  const add = pass.add === null ? null : matrices[pass.add];
  for (let i = 0; i < sums.length; i++) {
    if (pass.bias !== null) sums[i] += parameters[pass.bias + (i % channels)];
    if (add) sums[i] += add[i];
  }
  return activate(sums, pass.activation);
}

// Calls `visit` with the pixel, the place and the tap of all that a kernel sees inside the image.
function eachTap({ kernel, stride, padding, image, map }, visit) {
  for (let y = 0; y < map[0]; y++) {
    for (let x = 0; x < map[1]; x++) {
      for (let tap = 0; tap < kernel * kernel; tap++) {
        const down = y * stride - padding + Math.floor(tap / kernel);
        const across = x * stride - padding + (tap % kernel);
        if (down < 0 || across < 0 || down >= image[0] || across >= image[1]) continue;
        visit(down * image[1] + across, y * map[1] + x, tap);
      }
    }
  }
}

const PASSES = {
  label({ input, labels }, columns, { matrices }) {
    const output = new Float64Array(columns);
    output.set(matrices[input]);
    const label = matrices[labels][0];
    if (label >= 0) output[matrices[input].length + label] = 1;
    return output;
  },

  dense_forward({ layer, input, activation }, columns, { parameters, matrices }) {
    const { offset, inputs, outputs } = layer;
    const bias = offset + inputs * outputs;
    const sums = Float64Array.from(parameters.subarray(bias, bias + outputs));
    matrices[input].forEach((x, row) => {
      if (x === 0) return;
      const weights = offset + row * outputs;
      for (let j = 0; j < outputs; j++) sums[j] += x * parameters[weights + j];
    });
    return activate(sums, activation);
  },

  convolve(pass, columns, memory) {
    const { weight, geometry, image_channels: inner, map_channels: outer } = pass.convolution;
    const { parameters, matrices } = memory;
    const values = matrices[pass.input];
    const sums = new Float64Array(columns);
    eachTap(geometry, (pixel, place, tap) => {
      for (let c = 0; c < inner; c++) {
        const x = values[pixel * inner + c];
        if (x === 0) continue;
        const weights = weight + (tap * inner + c) * outer;
        for (let o = 0; o < outer; o++) sums[place * outer + o] += x * parameters[weights + o];
      }
    });
    return finish(sums, pass, outer, memory);
  },

  convolve_transposed(pass, columns, memory) {
    const { weight, geometry, image_channels: inner, map_channels: outer } = pass.convolution;
    const { parameters, matrices } = memory;
    const values = matrices[pass.input];
    const sums = new Float64Array(columns);
    eachTap(geometry, (pixel, place, tap) => {
      for (let c = 0; c < inner; c++) {
        const weights = weight + (tap * inner + c) * outer;
        let sum = 0;
        for (let o = 0; o < outer; o++) sum += values[place * outer + o] * parameters[weights + o];
        sums[pixel * inner + c] += sum;
      }
    });
    return finish(sums, pass, inner, memory);
  },

  activate({ input, activation }, columns, { matrices }) {
    return activate(Float64Array.from(matrices[input]), activation);
  },

  repeat_forward({ repeat, input }, columns, { matrices }) {
    const { small, large, channels, factor } = repeat;
    const output = new Float64Array(columns);
    for (let y = 0; y < large[0]; y++) {
      for (let x = 0; x < large[1]; x++) {
        const from = (Math.floor(y / factor) * small[1] + Math.floor(x / factor)) * channels;
        const pixel = matrices[input].subarray(from, from + channels);
        output.set(pixel, (y * large[1] + x) * channels);
      }
    }
    return output;
  },

  group_norm_forward({ norm, input, activation }, columns, { parameters, matrices, epsilon }) {
    const { scale, channels, groups } = norm;
    const values = matrices[input];
    const group = (i) => Math.floor((i % channels) / (channels / groups));
    const terms = values.length / groups;
    const means = new Float64Array(groups);
    const variances = new Float64Array(groups);
    values.forEach((x, i) => (means[group(i)] += x / terms));
    values.forEach((x, i) => (variances[group(i)] += (x - means[group(i)]) ** 2 / terms));
    const output = values.map((x, i) => {
      const unit = (x - means[group(i)]) / Math.sqrt(variances[group(i)] + epsilon);
      return unit * parameters[scale + (i % channels)] + parameters[scale + channels + (i % channels)];
    });
    return activate(output, activation);
  },

  transpose({ input, rows }, columns, { matrices }) {
    const values = matrices[input];
    const width = values.length / rows;
    return values.map((_, i) => values[(i % rows) * width + Math.floor(i / rows)]);
  },
};

// The decoder's output for a latent vector and a class, or -1 for none.
export function runProgram(program, parameters, z, label) {
  const matrices = [];
  matrices[program.input] = Float64Array.from(z);
  if (program.labels !== null) matrices[program.labels] = [label];
  const memory = { parameters, matrices, epsilon: program.epsilon };
  for (const pass of program.passes) {
    matrices[pass.output] = PASSES[pass.pass](pass, program.columns[pass.output], memory);
  }
  return matrices[program.output];
}
