"""Reads with numpy, pandas, safetensors and ONNX Runtime what vae-gpu wrote into the folder in argv[1], and compares."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file

folder = Path(sys.argv[1])
data = np.load(folder / "parts/validation.npz")
images = data["x"].astype(np.float32).reshape(len(data["x"]), -1) / np.float32(255)
latents = np.load(folder / "latents.npz")
table = pd.read_csv(folder / "latents.csv")
scores = pd.read_csv(folder / "scores.csv")
decoded = np.load(folder / "decoded.npy")

assert images.min() == 0 and images.max() == 1
assert latents["mu"].shape == latents["log_var"].shape == (len(images), 3)
for name in ["mu", "log_var"]:
    columns = [f"{name}_{i}" for i in [1, 2, 3]]
    assert np.array_equal(table[columns].to_numpy(np.float32), latents[name]), name
assert np.array_equal(table["label"], data["y"]) and np.array_equal(scores["label"], data["y"])
assert np.allclose(scores["recon"] + scores["kl"], -scores["elbo"])
assert sorted(scores["rank"]) == list(range(1, len(images) + 1))
assert decoded.shape == (len(images), 28, 28)

state = load_file(folder / "pytorch/pytorch.safetensors")
assert state["encoder.0.weight"].shape == (64, 784) and state["output.bias"].shape == (784,)

# The encoder in numpy, so that the exported numbers are checked by something that shares no code with us.
from math import erf

x = images.astype(np.float64)
h = x @ state["encoder.0.weight"].T.astype(np.float64) + state["encoder.0.bias"]
h = 0.5 * h * (1 + np.vectorize(erf)(h / np.sqrt(2)))
mu = h @ state["mu.weight"].T + state["mu.bias"]
assert np.allclose(mu, latents["mu"], atol=1e-4), np.abs(mu - latents["mu"]).max()

np.save(folder / "images.npy", images)
np.save(folder / "mu.npy", latents["mu"])
files = ["onnx", "images.npy", "latents.npz", "mu.npy", "decoded.npy"]
check = Path(__file__).with_name("check_onnx.py")
subprocess.run([sys.executable, check, *(folder / name for name in files)], check=True)
print("all read back")
