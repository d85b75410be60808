"""The importance-sampled likelihood of a run of `vae-gpu train --preset iwae-k50` in PyTorch, from the run's own weights.

    pip install torch numpy
    python benches/peers/nll.py --run RUN --data MNIST_FOLDER --k 5000 --images 200 --threads 2

batched  blocks of 8192 rows of images and draws: as fast as we could make it
loop     an image at a time, copied and encoded again for every 100 draws, as benchmark_VAE (Pythae) does

Prints the mean negative log-likelihood, which has to be that of `vae-gpu eval`, and the seconds that it took.
"""

import argparse
import gzip
import json
import math
import pathlib
import time

import numpy
import torch
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--run", required=True, type=pathlib.Path)
parser.add_argument("--data", required=True, type=pathlib.Path)
parser.add_argument("--k", type=int, default=5000)
parser.add_argument("--images", type=int, default=200)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--device", default="cpu")
parser.add_argument("--mode", choices=["batched", "loop"], default="batched")
args = parser.parse_args()
torch.set_num_threads(args.threads)
torch.manual_seed(0)

stored = (args.run / "model.safetensors").read_bytes()
length = int.from_bytes(stored[:8], "little")
header = json.loads(stored[8 : 8 + length])
weights = {}
for name, entry in header.items():
    if name != "__metadata__":
        start, end = (8 + length + offset for offset in entry["data_offsets"])
        values = numpy.frombuffer(stored[start:end], numpy.float32).reshape(entry["shape"]).copy()
        weights[name] = torch.from_numpy(values).to(args.device)

pixels = gzip.decompress((args.data / "t10k-images-idx3-ubyte.gz").read_bytes())
images = torch.from_numpy(numpy.frombuffer(pixels, numpy.uint8, offset=16).reshape(-1, 784).copy())
images = torch.bernoulli(images[: args.images].float() / 255).to(args.device)


def dense(name, x):
    return torch.addmm(weights[f"{name}.bias"], x, weights[f"{name}.weight"])


def encode(x):
    h = torch.tanh(dense("encoder.1", torch.tanh(dense("encoder.0", x))))
    return dense("mu", h), dense("log_var", h)


def log_weights(x, mu, log_var, draws):
    """log p(x, z) - log q(z | x) of `draws` draws of each image: [images, draws]."""
    eps = torch.randn(len(x), draws, mu.shape[1], device=x.device)
    z = mu[:, None] + torch.exp(0.5 * log_var)[:, None] * eps
    h = torch.tanh(dense("decoder.1", torch.tanh(dense("decoder.0", z.flatten(0, 1)))))
    logits = dense("output", h).view(len(x), draws, -1)
    # The sum over pixels of log p is x l - softplus(l); the first part is a product with the image.
    log_p = torch.einsum("bkd,bd->bk", logits, x) - F.softplus(logits).sum(2)
    return log_p + 0.5 * (eps.square() + log_var[:, None] - z.square()).sum(2)


def batched():
    draws = 50
    found = []
    for x in images.split(8192 // draws):
        mu, log_var = encode(x)
        parts = [log_weights(x, mu, log_var, draws).logsumexp(1) for _ in range(args.k // draws)]
        found.append(torch.stack(parts).logsumexp(0))
    return torch.cat(found)


def loop():
    draws = 100
    found = []
    for x in images:
        parts = []
        for _ in range(args.k // draws):
            copies = x.repeat(draws, 1)
            mu, log_var = encode(copies)
            parts.append(log_weights(copies, mu, log_var, 1)[:, 0])
        found.append(torch.cat(parts).logsumexp(0))
    return torch.stack(found)


with torch.inference_mode():
    run = {"batched": batched, "loop": loop}[args.mode]
    start = time.perf_counter()
    nll = (math.log(args.k) - run()).cpu()
    seconds = time.perf_counter() - start
error = (nll.std() / math.sqrt(len(nll))).item()
print(f"NLL {nll.mean():.2f} +- {error:.2f} nats, {seconds:.2f} s")
