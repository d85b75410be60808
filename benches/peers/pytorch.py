"""The training step of `cargo bench --bench passes` in PyTorch: images per second, eager and compiled.

    pip install torch numpy
    python benches/peers/pytorch.py --data MNIST_FOLDER --hidden 256 --latent 2 --batch 100 --threads 2
"""

import argparse
import gzip
import pathlib
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True, help="folder with train-images-idx3-ubyte.gz")
parser.add_argument("--hidden", type=int, default=256)
parser.add_argument("--latent", type=int, default=2)
parser.add_argument("--batch", type=int, default=100)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--device", default="cpu")
parser.add_argument("--compile", action="store_true")
parser.add_argument("--steps", type=int, default=300)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(0)
device = torch.device(args.device)
raw = gzip.decompress((pathlib.Path(args.data) / "train-images-idx3-ubyte.gz").read_bytes())
images = torch.frombuffer(bytearray(raw[16:]), dtype=torch.uint8).reshape(-1, 784).to(device)


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(784, args.hidden)
        self.mu = nn.Linear(args.hidden, args.latent)
        self.log_var = nn.Linear(args.hidden, args.latent)
        self.decoder = nn.Linear(args.latent, args.hidden)
        self.logits = nn.Linear(args.hidden, 784)

    def forward(self, x):
        h = F.relu(self.encoder(x))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        logits = self.logits(F.relu(self.decoder(z)))
        recon = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum()
        return (recon + kl) / x.shape[0]


model = Vae().to(device)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
forward = torch.compile(model) if args.compile else model


def step(rows):
    x = images[rows].float() / 255
    loss = forward(x)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.detach()


def synchronize():
    if device.type == "cuda":
        torch.cuda.synchronize()


order = torch.randperm(len(images), device=device)
batches = [order[i : i + args.batch] for i in range(0, len(images) - args.batch + 1, args.batch)]
first = step(batches[0]).item()
for i in range(50):
    last = step(batches[i % len(batches)])
assert last.item() < 0.8 * first, (first, last.item())
speeds = []
for _ in range(5):
    synchronize()
    start = time.perf_counter()
    losses = [step(batches[i % len(batches)]) for i in range(args.steps // 5)]
    torch.stack(losses).cpu()
    synchronize()
    speeds.append(len(losses) * args.batch / (time.perf_counter() - start))
kind = "compiled" if args.compile else "eager"
print(f"{statistics.median(speeds):.0f} images/s  pytorch {torch.__version__} {kind} {args.device} 784-{args.hidden}-{args.latent} batch {args.batch}")
