"""What the peers share, so that all of them are asked for the same and timed alike. Not run by itself.

The workload is the training step of a dense VAE, 784-hidden(ReLU)-latent and mirrored, or of a convolutional one, on
MNIST's grey pixels: Bernoulli negative log-likelihood from logits plus KL divergence, summed over pixels and latent
axes, mean over the batch, Adam 1e-3. Batches follow a permutation; the pixels lie as bytes in the device's memory and
are gathered and scaled by every step; every loss is read back inside the timed section.

One process can time several networks, each in several modes, and so imports its framework once:

    --networks '256 2 100;400 20 128' --modes eager,cudagraph,cudagraph+tf32 --seconds 2

A peer defines `trainer(work)`, which frees what the workload before left behind, builds the network of the `Workload`
and returns `train(steps)`: that does so many further steps and returns their losses as numbers of the host.
"""

import argparse
import gzip
import math
import os
import pathlib
import statistics
import sys
import time
import traceback
import typing

import numpy

# `import jax` and `import keras` mean the packages, not the files beside this one.
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if pathlib.Path(entry).resolve() != HERE]

SECTIONS = 5
WARM_UP_STEPS = 200
LONGEST_SECTION = 1_000_000  # steps; the peers keep the losses of a section on the device until its end


class Workload(typing.NamedTuple):
    """What is timed for one printed line. `hidden` 0 stands for the network of the preset `conv`."""

    hidden: int
    latent: int
    batch: int
    mode: str
    tf32: bool

    @property
    def network(self):
        name = f"784-{self.hidden}-{self.latent}" if self.hidden else "conv"
        return f"{name} batch {self.batch}{' tf32' if self.tf32 else ''}"


def networks(text):
    """The networks of '256 2 100;400 20 128': [[256, 2, 100], [400, 20, 128]]."""
    sizes = [[int(size) for size in network.split()] for network in text.split(";") if network.strip()]
    if not sizes or any(len(network) != 3 for network in sizes):
        raise ValueError(text)
    return sizes


def arguments(*modes):
    """The command line. Call it before the framework is imported, whose pool of threads is as large as allowed here."""
    allowed = sorted(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", required=True, type=pathlib.Path, help="folder with train-images-idx3-ubyte.gz")
    parser.add_argument("--mode", choices=modes, default=modes[0])
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--latent", type=int, default=2)
    parser.add_argument("--batch", type=int, default=100)
    several = parser.add_argument_group("several workloads in turn, each network in each mode")
    several.add_argument(
        "--modes",
        type=lambda text: text.split(","),
        help="These take the place of --mode: 'MODE,MODE+tf32,...', where +tf32 allows TF32 in that mode alone.",
    )
    several.add_argument(
        "--networks",
        type=networks,
        help="These take the place of --hidden, --latent and --batch: 'HIDDEN LATENT BATCH;...'.",
    )
    parser.add_argument("--threads", type=int, default=len(allowed), help="cores the process is bound to")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--steps", type=int, default=500, help=f"timed steps, in {SECTIONS} sections")
    parser.add_argument("--seconds", type=float, help="time about so long, whatever --steps says")
    parser.add_argument("--tf32", action="store_true", help="allow TF32 on NVIDIA; without it, full f32")
    args = parser.parse_args()
    if not 1 <= args.threads <= len(allowed):
        parser.error(f"--threads {args.threads}: this process may use {len(allowed)} cores")
    if not SECTIONS <= args.steps <= SECTIONS * LONGEST_SECTION:
        parser.error(f"--steps {args.steps}: at least {SECTIONS}, at most {SECTIONS * LONGEST_SECTION}")
    if args.seconds is not None and not 0 < args.seconds < math.inf:
        parser.error(f"--seconds {args.seconds}: more than 0")
    args.workloads = []
    for network in args.networks or [(args.hidden, args.latent, args.batch)]:
        for asked in args.modes or [args.mode]:
            mode = asked.removesuffix("+tf32")
            if mode not in modes:
                parser.error(f"--modes {asked}: choose from {', '.join(modes)}, each also with +tf32")
            if "cudagraph" in mode and args.device != "cuda":
                parser.error(f"--mode {mode} needs --device cuda")
            args.workloads.append(Workload(*network, mode, args.tf32 or mode != asked))
    os.sched_setaffinity(0, allowed[: args.threads])
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # so that JAX can share a GPU
    return args


def images(args):
    """MNIST's training images, uint8 [60000, 784]."""
    raw = gzip.decompress((args.data / "train-images-idx3-ubyte.gz").read_bytes())
    return numpy.frombuffer(raw, numpy.uint8, offset=16).reshape(-1, 784)


def batches(work, count):
    """A random order of the images cut into batches, int32 [batches, batch], without the incomplete last one."""
    order = numpy.random.default_rng(0).permutation(count).astype(numpy.int32)
    return order[: count // work.batch * work.batch].reshape(-1, work.batch)


def warmed_up(args, train):
    """The number of steps of a section, and the losses of the steps until everything is compiled and has run."""
    losses = []
    section = args.steps // SECTIONS
    if args.seconds is not None:
        losses += train(WARM_UP_STEPS // 2)
        start = time.perf_counter()
        losses += train(WARM_UP_STEPS // 2)
        step_seconds = (time.perf_counter() - start) / (WARM_UP_STEPS // 2)
        section = min(max(1, round(args.seconds / SECTIONS / step_seconds)), LONGEST_SECTION)
    for _ in range(max(2, math.ceil((WARM_UP_STEPS - len(losses)) / section))):  # a new length may compile anew
        losses += train(section)
    return section, losses


def measure(args, framework, work, train):
    """Times the sections of one workload and prints its line."""
    section, warm_up = warmed_up(args, train)
    assert warm_up[-1] < 0.8 * warm_up[0], f"the loss does not fall: {warm_up[0]} to {warm_up[-1]}"
    speeds = []
    for _ in range(SECTIONS):
        start = time.perf_counter()
        losses = train(section)
        speeds.append(len(losses) * work.batch / (time.perf_counter() - start))
        assert len(losses) == section and numpy.isfinite(losses).all(), "a loss is missing or not finite"
    print(f"{statistics.median(speeds):.0f} images/s  {framework} {work.mode} {args.device} {work.network}", end="")
    print(f"  (sections {min(speeds):.0f} to {max(speeds):.0f}, loss {warm_up[0]:.1f} to {losses[-1]:.1f})", flush=True)


def time_all(args, framework, trainer):
    """Times all workloads in turn and ends the process: with 1 when one of them failed, after the others have run."""
    failed = False
    for work in args.workloads:
        try:
            measure(args, framework, work, trainer(work))
        except Exception as error:
            failed = True
            traceback.print_exc()
            reason = f"{type(error).__name__}: {error}".strip().splitlines()[-1]
            print(f"failed: {framework} {work.mode} {work.network}: {reason}", flush=True)
    sys.exit(1 if failed else 0)
