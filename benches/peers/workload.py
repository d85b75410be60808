"""What the peers share, so that all of them are asked for the same and timed alike. Not run by itself.

The workload is the training step of a dense VAE, 784-hidden(ReLU)-latent and mirrored, or of a convolutional one, on MNIST's
grey pixels:
Bernoulli negative log-likelihood from logits plus KL divergence, summed over pixels and latent axes, mean over the
batch, Adam 1e-3. Batches follow a permutation; the pixels lie as bytes in the device's memory and are gathered and
scaled by every step; every loss is read back inside the timed section.
"""

import argparse
import gzip
import itertools
import math
import os
import pathlib
import statistics
import sys
import time

import numpy

# `import jax` and `import keras` mean the packages, not the files beside this one.
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry).resolve() != HERE]

SECTIONS = 5
WARM_UP_STEPS = 200


def arguments(*modes):
    """The command line. Call it before the framework is imported, whose pool of threads is as large as allowed here."""
    allowed = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="folder with train-images-idx3-ubyte.gz")
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--latent", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=len(allowed), help="cores the process is bound to")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=500, help=f"timed steps, in {SECTIONS} sections")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 on NVIDIA; without it, full f32")
    args = parser.parse_args()
    if not 1 <= args.threads <= len(allowed):
        parser.error(f"--threads {args.threads}: this process may use {len(allowed)} cores")
    if args.steps < SECTIONS:
        parser.error(f"--steps {args.steps}: at least {SECTIONS}")
    if "cudagraph" in args.mode and args.device != "cuda":
        parser.error(f"--mode {args.mode} needs --device cuda")
    os.sched_setaffinity(0, allowed[: args.threads])
    args.section = args.steps // SECTIONS
    return args


def images(args):
    """MNIST's training images, uint8 [60000, 784]."""
    raw = gzip.decompress((args.data / "train-images-idx3-ubyte.gz").read_bytes())
    return numpy.frombuffer(raw, numpy.uint8, offset=16).reshape(-1, 784)


def batches(args, count):
    """A random order of the images cut into batches, int32 [batches, batch], without the incomplete last one."""
    order = numpy.random.default_rng(0).permutation(count).astype(numpy.int32)
    return order[: count // args.batch * args.batch].reshape(-1, args.batch)


def report(args, framework, train):
    """Times `train()`, which does `args.section` further steps and returns their losses as numbers of the host."""
    calls = max(2, math.ceil(WARM_UP_STEPS / args.section))
    warm_up = list(itertools.chain.from_iterable(train() for _ in range(calls)))
    assert warm_up[-1] < 0.8 * warm_up[0], f"the loss does not fall: {warm_up[0]} to {warm_up[-1]}"
    speeds = []
    for _ in range(SECTIONS):
        start = time.perf_counter()
        losses = train()
        speeds.append(len(losses) * args.batch / (time.perf_counter() - start))
        assert len(losses) == args.section and numpy.isfinite(losses).all(), losses
    name = f"784-{args.hidden}-{args.latent}" if args.hidden else "conv"
    network = f"{name} batch {args.batch}{' tf32' if args.tf32 else ''}"
    print(f"{statistics.median(speeds):.0f} images/s  {framework} {args.mode} {args.device} {network}", end="")
    print(f"  (sections {min(speeds):.0f} to {max(speeds):.0f}, loss {warm_up[0]:.1f} to {losses[-1]:.1f})")
