"""The estimator on its own: round trips, determinism, units, shapes, persistence."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import vae_gpu
from conftest import SMALL
from vae_gpu import _native
from vae_gpu._settings import OWN


def test_every_setting_of_the_command_is_a_parameter() -> None:
    params = set(vae_gpu.VAE().get_params()) - set(OWN)
    assert params == set(_native.SETTINGS)


def test_reconstructions_are_nearer_to_their_samples_than_the_mean_is(digits) -> None:
    vae = vae_gpu.VAE(latent=10, hidden=32, epochs=40, lr=0.003, backend="cpu").fit(digits)
    restored = vae.inverse_transform(vae.transform(digits))
    assert restored.shape == digits.shape and restored.dtype == np.float32
    error = np.square(restored - digits).mean()
    assert error < 0.6 * np.square(digits.mean(axis=0) - digits).mean()


def test_losses_fall_and_belong_to_epochs(fitted) -> None:
    losses = fitted.losses_
    assert {len(values) for values in losses.values()} == {fitted.n_iter_} == {SMALL["epochs"]}
    assert losses["validation"][-1] < losses["validation"][0]
    np.testing.assert_allclose(losses["recon"] + losses["kl"], losses["validation"], rtol=1e-6)


def test_a_seed_decides_everything(digits, fitted) -> None:
    again = vae_gpu.VAE(**SMALL).fit(digits)
    other = vae_gpu.VAE(**SMALL, seed=1).fit(digits)
    same, changed = again.transform(digits), other.transform(digits)
    assert np.array_equal(fitted.transform(digits), same)
    assert not np.allclose(same, changed)
    assert np.array_equal(fitted.sample(4, seed=7), again.sample(4, seed=7))
    assert not np.array_equal(fitted.sample(4, seed=7), again.sample(4, seed=8))


def test_the_score_is_the_mean_elbo_and_more_draws_bound_it_from_above(digits, fitted) -> None:
    elbo = fitted.score_samples(digits)
    assert elbo.shape == (len(digits),) and np.isfinite(elbo).all()
    assert fitted.score(digits) == pytest.approx(elbo.mean())
    assert fitted.score_samples(digits, importance_samples=20).mean() > elbo.mean()
    assert fitted.score(digits[::-1, ::-1]) < fitted.score(digits)


def test_a_pickle_and_a_copy_carry_the_run(digits, fitted) -> None:
    expected = fitted.transform(digits)
    for other in [pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)]:
        assert other.run_ != fitted.run_
        assert np.array_equal(other.transform(digits), expected)
        assert other.score(digits) == fitted.score(digits)
        with pytest.raises(FileNotFoundError, match="is resumed where it was fitted"):
            other.resume(digits)


def test_a_private_run_goes_with_its_estimator(digits, tmp_path) -> None:
    vae = vae_gpu.VAE(**SMALL).fit(digits)
    private = Path(vae.run_)
    assert (private / "model.safetensors").exists()
    del vae
    assert not private.exists()
    kept = vae_gpu.VAE(**SMALL, out=tmp_path / "run").fit(digits)
    del kept
    assert vae_gpu.load(tmp_path / "run").latent == SMALL["latent"]


def test_bytes_stay_bytes_and_come_back_in_units_of_bytes(digits) -> None:
    pixels = np.round(digits * 255).astype(np.uint8)
    vae = vae_gpu.VAE(**SMALL).fit(pixels)
    assert vae.model_.settings["scale"] == "bytes"
    restored = vae.inverse_transform(vae.transform(pixels))
    assert 100 < restored.max() <= 255
    integers = vae_gpu.VAE(**SMALL).fit(pixels.astype(np.int64))
    np.testing.assert_allclose(
        integers.inverse_transform(integers.transform(pixels.astype(np.int64))), restored, atol=0.5
    )


def test_flat_rows_become_images_of_a_size_and_come_back_flat(digits) -> None:
    rows = digits.reshape(len(digits), -1)
    convolutions = {**SMALL, "channels": (4, 8), "epochs": 1}
    vae = vae_gpu.VAE(**convolutions, size=(8, 8)).fit(rows)
    assert vae.model_.sample_shape == (8, 8)
    assert vae.inverse_transform(vae.transform(rows)).shape == rows.shape
    images = vae_gpu.VAE(**convolutions).fit(digits)
    assert np.array_equal(images.transform(digits), vae.transform(rows))


@pytest.mark.parametrize("axis", [1, -1])
def test_channels_may_come_first_or_last(digits, axis) -> None:
    colours = np.stack([digits, digits**2, 1 - digits], axis=axis)
    vae = vae_gpu.VAE(**{**SMALL, "channels": 4, "epochs": 1}).fit(colours)
    assert vae.model_.settings["image"] == [3, 8, 8]
    assert vae.inverse_transform(vae.transform(colours)).shape == colours.shape
    first = np.moveaxis(colours, axis, 1)
    assert np.array_equal(vae.model_.encode(first).mu, vae.transform(colours))


def test_a_conditional_model_is_told_its_labels(digits, labels) -> None:
    names = np.array(
        ["zero one two three four five six seven eight nine".split()[k] for k in labels]
    )
    vae = vae_gpu.VAE(**{**SMALL, "epochs": 20}, conditional=True).fit(digits, names)
    assert sorted(vae.model_.classes) == sorted(set(names))
    z = vae.transform(digits, names)
    ones = vae.inverse_transform(np.zeros((2, 3)), "one")
    zeros = vae.inverse_transform(np.zeros((2, 3)), ["zero", "zero"])
    # The middle of a zero is empty, that of a one is not.
    assert ones[0, 2:6, 3:5].mean() > zeros[0, 2:6, 3:5].mean()
    assert vae.score(digits, names) > vae.score(digits, np.roll(names, 1))
    assert vae.sample(20).shape == (20, 8, 8) and z.shape == (len(digits), 3)
    with pytest.raises(ValueError, match="a label for each sample, for a conditional model"):
        vae.transform(digits)
    with pytest.raises(ValueError, match="needs labels, of eight, five"):
        vae.inverse_transform(z)
    with pytest.raises(ValueError, match="found eleven"):
        vae.sample(2, y="eleven")


def test_validation_samples_may_be_given(digits) -> None:
    vae = vae_gpu.VAE(**SMALL).fit(digits[:1000], validation=digits[1000:])
    data = json.loads(Path(vae.run_, "manifest.json").read_text(encoding="utf-8"))["data"]
    assert (data["train"], data["validation"]) == (1000, 797)


def test_a_preset_is_a_recipe_and_settings_go_before_it(digits) -> None:
    vae = vae_gpu.VAE(preset="pytorch", epochs=1, latent=4, backend="cpu").fit(digits)
    settings = vae.model_.settings
    assert (settings["hidden"], settings["latent"], settings["optimizer"]) == ([400], 4, "adam")


def test_values_of_any_size_are_standardized_for_a_gaussian() -> None:
    rows = np.random.default_rng(0).normal([5, -300], [1, 40], (500, 2))
    vae = vae_gpu.VAE(**{**SMALL, "epochs": 30}).fit(rows)
    settings = vae.model_.settings
    assert (settings["likelihood"], settings["scale"]) == ("gaussian", "standardize")
    np.testing.assert_allclose(vae.sample(2000).mean(axis=0), [5, -300], rtol=0.1)
    scaled = vae_gpu.VAE(**SMALL, scale="min-max").fit(rows)
    assert scaled.model_.settings["likelihood"] == "bernoulli"


def test_epochs_are_told_and_an_exception_ends_the_training(digits, capsys) -> None:
    seen = []
    vae_gpu.VAE(**SMALL, verbose=1).fit(digits, on_epoch=lambda epoch: seen.append(epoch["epoch"]))
    assert seen == [1, 2, 3, 4, 5]
    assert "epoch   5  train" in capsys.readouterr().out

    def enough(epoch: dict) -> None:
        raise StopIteration("enough")

    vae = vae_gpu.VAE(**{**SMALL, "epochs": 100_000})
    with pytest.raises(StopIteration, match="enough"):
        vae.fit(digits, on_epoch=enough)
    assert vae.n_iter_ < 100_000 and vae.transform(digits).shape == (1797, 3)


def test_nothing_is_copied_on_the_way_in_or_out(digits, fitted) -> None:
    from vae_gpu._arrays import samples

    for given in [digits, (digits * 255).astype(np.uint8)]:
        assert np.shares_memory(samples(given).values, given)
    z = fitted.transform(digits)
    # The memory is the native half's, and NumPy may write to it.
    assert not z.flags.owndata and z.flags.writeable
    kept = z.copy()
    for _ in range(20):
        fitted.transform(digits[:100] * 0)
    assert np.array_equal(z, kept)
