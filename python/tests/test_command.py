"""The command that the wheel brings, and the numbers of both."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import vae_gpu
from conftest import SMALL, command


def test_the_command_is_there_and_is_the_same_version() -> None:
    assert command("--version") == f"vae-gpu {vae_gpu.__version__}\n"
    assert "Examples:\n  vae-gpu encode" in command("encode", "--help")
    program = Path(sys.executable).with_name("vae-gpu")
    wrong = subprocess.run([str(program), "trian"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2 and "similar subcommand exists: 'train'" in wrong.stderr
    failed = subprocess.run([str(program), "show", "/none"], capture_output=True, check=False)
    assert failed.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a single process")
def test_ctrl_c_ends_the_command_and_train_saves_first(digits, tmp_path) -> None:
    program, run = Path(sys.executable).with_name("vae-gpu"), tmp_path / "run"
    words = ["--epochs", "10000000", "--log-format", "lines", "--out", run, "--backend", "cpu"]
    train = subprocess.Popen([program, "train", *words], stderr=subprocess.PIPE, text=True)
    for line in train.stderr:
        if line.startswith("epoch   2"):
            train.send_signal(signal.SIGINT)
            break
    train.communicate(timeout=60)
    assert train.returncode == 130

    np.save(tmp_path / "many.npy", np.zeros((50_000, 28, 28), np.uint8))
    words = ["--data", tmp_path / "many.npy", "--importance-samples", "5000", "--backend", "cpu"]
    score = subprocess.Popen(
        [program, "score", run, *words, "--out", tmp_path / "scores.csv"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert score.stderr.readline().startswith("data: ")
    score.send_signal(signal.SIGINT)
    score.communicate(timeout=60)
    assert score.returncode == -signal.SIGINT


def test_a_run_of_the_command_and_a_fit_are_the_same(digits, fitted, tmp_path) -> None:
    np.save(tmp_path / "digits.npy", digits)
    settings = "--latent 3 --hidden 32 --epochs 5 --backend cpu".split()
    command(
        "train", "--data", tmp_path / "digits.npy", *settings, "--out", tmp_path / "run", "--quiet"
    )
    model = vae_gpu.load(tmp_path / "run", backend="cpu")
    assert np.array_equal(model.encode(digits).mu, fitted.transform(digits))
    assert model.settings["epochs"] == SMALL["epochs"]


def test_encode_decode_sample_and_score_give_the_numbers_of_the_command(
    digits, fitted, tmp_path
) -> None:
    data, run = tmp_path / "digits.npy", fitted.run_
    np.save(data, digits)
    on_cpu = ["--backend", "cpu"]
    command("encode", run, "--data", data, "--out", tmp_path / "z.npz", *on_cpu)
    latents = np.load(tmp_path / "z.npz")
    posterior = fitted.model_.encode(digits)
    assert np.array_equal(posterior.mu, latents["mu"])
    assert np.array_equal(posterior.log_var, latents["log_var"])

    np.save(tmp_path / "mu.npy", posterior.mu)
    command("decode", run, tmp_path / "mu.npy", "--out", tmp_path / "decoded.npy", *on_cpu)
    decoded = fitted.inverse_transform(posterior.mu)
    assert np.array_equal(decoded, np.load(tmp_path / "decoded.npy"))

    options = ["--count", 9, "--seed", 5, "--temperature", 0.5, "--truncation", 2]
    command("sample", run, *options, "--out", tmp_path / "samples.npy", *on_cpu)
    samples = fitted.sample(9, seed=5, temperature=0.5, truncation=2)
    assert np.array_equal(samples, np.load(tmp_path / "samples.npy"))

    options = ["--importance-samples", 10, "--out", tmp_path / "scores.csv"]
    command("score", run, "--data", data, *options, *on_cpu)
    with open(tmp_path / "scores.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    scores = fitted.model_.score(digits, importance_samples=10)
    for name, values in scores._asdict().items():
        assert [float(row[name]) for row in rows] == list(values), name


def test_a_trained_file_of_weights_and_paths_of_any_kind_load(digits, fitted) -> None:
    weights = Path(fitted.run_) / "model.safetensors"
    for path in [weights, str(weights)]:
        assert np.array_equal(vae_gpu.load(path).encode(digits).mu, fitted.transform(digits))
