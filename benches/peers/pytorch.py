"""The VAE's training step in PyTorch: eager, compiled, or as one CUDA graph. workload.py says what is asked for.

    pip install torch numpy
    python benches/peers/pytorch.py --data MNIST_FOLDER --mode compile --hidden 256 --latent 2 --batch 100 --threads 2

eager              modules, autograd, the fused Adam
compile            forward, backward and Adam in one graph of torch.compile; on a CPU it needs a C++ compiler
cudagraph          the eager step captured with the choice of its batch, replayed with one launch (--device cuda)
compile-cudagraph  the compiled step captured in the same way (--device cuda)

With --hidden 0 the network is that of the preset `conv`, whatever --latent says.
"""

import gc
import itertools

import workload

args = workload.arguments("eager", "compile", "cudagraph", "compile-cudagraph")

import torch
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(args.threads)
# Adam's moments of weights that seldom get a gradient fade into subnormal numbers, which cost 784-256-2 a fifth of its
# speed on a CPU from about step 700 on. XLA always flushes them to zero, PyTorch only when told.
torch.set_flush_denormal(True)

device = torch.device(args.device)
images = torch.tensor(workload.images(args), device=device)


class Vae(nn.Module):
    def __init__(self, work):
        super().__init__()
        self.encoder = nn.Linear(784, work.hidden)
        self.mu = nn.Linear(work.hidden, work.latent)
        self.log_var = nn.Linear(work.hidden, work.latent)
        self.decoder = nn.Linear(work.latent, work.hidden)
        self.logits = nn.Linear(work.hidden, 784)

    def forward(self, rows):
        x = images.index_select(0, rows).float() / 255
        h = F.relu(self.encoder(x))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + torch.exp(0.5 * log_var) * torch.randn_like(mu)
        logits = self.logits(F.relu(self.decoder(z)))
        recon = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        kl = 0.5 * (mu.square() + log_var.exp() - log_var - 1).sum()
        return (recon + kl) / len(rows)


class ConvolutionalVae(Vae):
    def __init__(self):
        nn.Module.__init__(self)
        halve = lambda inputs, outputs: nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        double = lambda inputs, outputs: nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
        image = nn.Unflatten(1, (1, 28, 28))
        self.encoder = nn.Sequential(
            image, halve(1, 32), nn.ReLU(), halve(32, 64), nn.ReLU(), nn.Flatten(), nn.Linear(3136, 16)
        )
        self.mu, self.log_var = nn.Linear(16, 2), nn.Linear(16, 2)
        self.decoder = nn.Linear(2, 3136)
        self.logits = nn.Sequential(
            nn.Unflatten(1, (64, 7, 7)), double(64, 64), nn.ReLU(), double(64, 32), nn.ReLU(),
            nn.Conv2d(32, 1, 3, padding=1), nn.Flatten(),
        )  # fmt: skip


def eager(model, capturable):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=capturable)

    def step(rows):
        optimizer.zero_grad()
        loss = model(rows)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def compiled(model):
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    m, v = ({name: torch.zeros_like(weight) for name, weight in weights.items()} for _ in range(2))
    t = torch.zeros((), device=device)
    gradients_and_loss = torch.func.grad_and_value(lambda w, rows: torch.func.functional_call(model, w, (rows,)))

    @torch.compile(fullgraph=True)
    def step(rows):
        gradients, loss = gradients_and_loss(weights, rows)
        t.add_(1)
        for name, g in gradients.items():
            m[name].lerp_(g, 0.1)
            v[name].mul_(0.999).addcmul_(g, g, value=0.001)
            m_hat, v_hat = m[name] / (1 - 0.9**t), v[name] / (1 - 0.999**t)
            weights[name].sub_(1e-3 * m_hat / (v_hat.sqrt() + 1e-8))
        return loss

    return step


def captured(step, batches):
    taken, slot = (torch.zeros(1, dtype=torch.int64, device=device) for _ in range(2))
    losses = torch.zeros(workload.LONGEST_SECTION, device=device)

    def body():
        loss = step(batches.index_select(0, taken % len(batches))[0])
        losses.index_copy_(0, slot, loss.reshape(1))
        taken.add_(1)
        slot.add_(1)

    aside = torch.cuda.Stream()  # torch.cuda.graph wants some steps on another stream first
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            body()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        body()
    taken.zero_()

    def train(steps):
        slot.zero_()
        for _ in range(steps):
            graph.replay()
        return losses[:steps].tolist()

    train.body = body  # the graph holds only addresses: the network, Adam's state and the batches have to outlive it
    return train


def trainer(work):
    torch.compiler.reset()  # also so that the next network's shapes are compiled as fixed ones again
    gc.collect()
    torch.cuda.empty_cache()
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("high" if work.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = work.tf32  # convolutions have a setting of their own, which is on by default
    batches = torch.tensor(workload.batches(work, len(images)), device=device)
    model = (Vae(work) if work.hidden else ConvolutionalVae()).to(device)
    step = compiled(model) if "compile" in work.mode else eager(model, capturable=work.mode == "cudagraph")
    if "cudagraph" in work.mode:
        return captured(step, batches)
    turn = itertools.cycle(batches)
    return lambda steps: torch.stack([step(next(turn)) for _ in range(steps)]).tolist()


workload.time_all(args, f"pytorch {torch.__version__}", trainer)
