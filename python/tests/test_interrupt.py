"""Ctrl-C, other threads, other processes."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import vae_gpu
from conftest import SMALL, command

# A child that would work for hours, and says when it has begun.
CHILD = """
import sys, time
import numpy as np
import vae_gpu
X = np.random.default_rng(0).random((2000, 64), np.float32)
began = lambda epoch: print("began", flush=True) if epoch["epoch"] == 1 else None
vae = vae_gpu.VAE(latent=3, hidden=32, backend="cpu", epochs=10_000_000, out=sys.argv[1])
try:
    vae.fit(X, on_epoch=began)
except KeyboardInterrupt:
    print("interrupted", vae.n_iter_, vae.transform(X).shape, flush=True)
print("scoring", flush=True)
vae.score_samples(np.tile(X, (50, 1)), importance_samples=5000)
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT for a single process")
def test_ctrl_c_ends_a_fit_and_a_score_within_seconds_and_the_run_can_be_resumed(tmp_path) -> None:
    run = tmp_path / "run"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout.readline() == "began\n"
    child.send_signal(signal.SIGINT)
    start = time.monotonic()
    line = child.stdout.readline()
    assert line.startswith("interrupted ") and line.endswith("(2000, 3)\n"), line
    assert child.stdout.readline() == "scoring\n"
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=60)
    assert time.monotonic() - start < 20
    assert child.returncode != 0 and errors.rstrip().endswith("KeyboardInterrupt"), errors

    # The command finds a run that goes on.
    (found,) = csv.DictReader(command("runs", tmp_path, "--format", "csv").splitlines())
    assert found["status"] == "resumable"
    assert vae_gpu.load(run).latent == 3


def test_an_interrupted_fit_goes_on_as_if_nothing_had_happened(digits, fitted) -> None:
    vae = vae_gpu.VAE(**SMALL)

    def press(epoch: dict) -> None:
        if epoch["epoch"] == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        vae.fit(digits, on_epoch=press)
    vae.resume(digits)
    assert vae.n_iter_ == SMALL["epochs"]
    assert np.array_equal(vae.transform(digits), fitted.transform(digits))
    assert np.array_equal(vae.losses_["train"], fitted.losses_["train"])
    with pytest.raises(ValueError, match="the data have changed"):
        vae.resume(digits * 0.5)
    assert vae.resume(digits, epochs=2).n_iter_ == SMALL["epochs"] + 2


def test_other_threads_go_on_while_it_works(digits) -> None:
    turns, is_over = 0, threading.Event()

    def turn() -> None:
        nonlocal turns
        while not is_over.is_set():
            turns += 1

    thread = threading.Thread(target=turn)
    thread.start()
    before = turns
    vae_gpu.VAE(**{**SMALL, "epochs": 50}).fit(digits)
    during = turns - before
    is_over.set()
    thread.join()
    # Without the lock released there would be a handful, when `fit` begins and ends.
    assert during > 1000


def test_threads_share_a_model(digits, fitted) -> None:
    expected, found = fitted.transform(digits), []
    threads = [
        threading.Thread(target=lambda: found.append(fitted.model_.encode(digits).mu))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(np.array_equal(mu, expected) for mu in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told_instead_of_waiting_for_ever(digits, fitted) -> None:
    child = os.fork()
    if child == 0:
        try:
            fitted.transform(digits)
            os._exit(1)
        except RuntimeError as error:
            os._exit(0 if "forked" in str(error) else 2)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert os.path.exists(fitted.run_)
