"""Runs exported ONNX files in onnxruntime and compares them with the outputs of vae-gpu itself.

    python check_onnx.py FOLDER images.npy latents.npz z.npy decoded.npy [CLASS]

FOLDER holds encoder.onnx and decoder.onnx; latents.npz is what `vae-gpu encode` makes of the images, decoded.npy what
`vae-gpu decode` makes of z. Images in any shape are taken as rows. Conditional encoders see the labels of latents.npz, their
decoders CLASS. Needs onnxruntime and numpy; with the package onnx, its checker looks at the files too. Exit code 1 and a
message where anything differs.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime

# Of the largest number in the output's row. A sum of n products in f32 is off by some sqrt(n) 2^-24 of its largest parts in
# any order: 2e-6 for 784. Some such layers are behind each number.
TOLERANCE = 1e-5


def check_file(path):
    try:
        import onnx
    except ImportError:
        print(f"{path}: not looked at by onnx.checker: no package onnx")
        return
    onnx.checker.check_model(onnx.load(path), full_check=True)


def rows(array, file):
    if array.size == 0:
        sys.exit(f"{file}: expected rows to compare, found an array of shape {array.shape}")
    return array.reshape(len(array), -1).astype(np.float32)


class Model:
    """Gives each output by its name."""

    def __init__(self, path):
        check_file(path)
        self.path = path
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.classes = {taken.name: taken.shape[1] for taken in self.session.get_inputs()}.get("label")

    def run(self, inputs, labels):
        if self.classes is not None:
            inputs = inputs | {"label": np.eye(self.classes, dtype=np.float32)[labels]}
        return dict(zip(self.outputs, self.session.run(self.outputs, inputs)))


def worst(found, ours):
    """The largest distance in units of the tolerance; not a number if one is not."""
    largest = np.abs(ours).max(axis=1, keepdims=True)
    return (np.abs(found.astype(np.float64) - ours) / (TOLERANCE * np.maximum(largest, 1e-30))).max()


def compare(model, inputs, labels, expected):
    """What is wrong, one line each."""
    outputs, again = model.run(inputs, labels), model.run(inputs, labels)
    other = model.run(inputs, (labels + 1) % model.classes) if model.classes else None
    if set(outputs) != set(expected):
        yield f"{model.path}: expected the outputs {sorted(expected)}, found {sorted(outputs)}"
        return
    for name, ours in expected.items():
        found = outputs[name]
        where = f"{model.path}: {name}"
        if found.shape != ours.shape:
            yield f"{where}: expected the shape {ours.shape}, found {found.shape}"
            continue
        if found.tobytes() != again[name].tobytes():
            yield f"{where}: a second run gave other bits"
        distance = worst(found, ours)
        print(f"{where} {found.shape}, {ours.min():.4g} to {ours.max():.4g}: {distance:.3f} of the tolerance")
        # Not `>`: a NaN must count as wrong.
        if not distance <= 1:
            yield f"{where}: off by {distance:.3g} times the tolerance"
        if other is not None and not worst(other[name], ours) > 10:
            yield f"{where}: other labels make no difference"


def main(folder, images, latents, z, decoded, label="0"):
    encoder, decoder = (Model(str(Path(folder) / name)) for name in ["encoder.onnx", "decoder.onnx"])
    images, z, decoded = (rows(np.load(file), file) for file in [images, z, decoded])
    posteriors = np.load(latents)
    labels = posteriors["label"] if "label" in posteriors else np.zeros(len(images), int)
    means = {name: rows(posteriors[name], latents) for name in ["mu", "log_var"]}
    problems = [
        *compare(encoder, {"images": images}, labels, means),
        *compare(decoder, {"z": z}, np.full(len(z), int(label)), {"images": decoded}),
    ]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    if len(sys.argv) not in [6, 7]:
        sys.exit(__doc__)
    main(*sys.argv[1:])
