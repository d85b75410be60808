// Numbers on their way: typed arrays out of base64, requests as bytes, numbers as text.

export function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export const floatsOf = (base64) => new Float32Array(bytesOf(base64).buffer);

// A class, or -1 for none, and numbers behind it, as the server takes them.
export function message(label, values) {
  const head = new Int32Array([label]);
  const bytes = new Uint8Array(4 + values.byteLength);
  bytes.set(new Uint8Array(head.buffer), 0);
  bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), 4);
  return bytes;
}

// The points of a run: for each sample recon and kl in nats, its class, mu and log_var.
export function pointsOf(buffer, count, latent) {
  let place = 0;
  const take = (Type, length) => {
    const values = new Type(buffer, place, length);
    place += 4 * length;
    return values;
  };
  return {
    count,
    recon: take(Float32Array, count),
    kl: take(Float32Array, count),
    classes: take(Int32Array, count),
    mu: take(Float32Array, count * latent),
    log_var: take(Float32Array, count * latent),
  };
}

export function shortNumber(x) {
  const size = Math.abs(x);
  if (size >= 1e5 || (size > 0 && size < 1e-3)) return x.toExponential(1);
  return x.toFixed(size >= 100 ? 1 : 2).replace(/\.?0+$/, "").replace("-", "\u2212");
}

// The value below which a share of the values is.
export function quantile(values, share) {
  const sorted = Float32Array.from(values).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
