"""Runs exported ONNX files in onnxruntime and compares them with the outputs of vae-gpu itself.

    python check_onnx.py encoder.onnx decoder.onnx images.npy mu.npy log_var.npy z.npy decoded.npy

The arrays are f32 with one row an example; images in any shape are taken as rows. Needs onnxruntime and numpy; with the
package onnx, its checker looks at the files too. Exit code 1 and a message where anything differs.
"""

import sys

import numpy as np
import onnxruntime

# Absolute and relative. Sums of some hundred f32 products in another order differ by some 1e-6.
TOLERANCE = 1e-5


def check_file(path):
    try:
        import onnx
    except ImportError:
        print(f"{path}: not looked at by onnx.checker: no package onnx")
        return
    onnx.checker.check_model(onnx.load(path), full_check=True)


def load_rows(file):
    array = np.load(file)
    if array.size == 0:
        sys.exit(f"{file}: expected rows to compare, found an array of shape {array.shape}")
    return array.reshape(len(array), -1).astype(np.float32)


def run(path, rows):
    """Each output by its name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    (taken,) = session.get_inputs()
    return dict(zip(names, session.run(names, {taken.name: rows})))


def compare(path, inputs, expected):
    """What is wrong, one line each."""
    rows = load_rows(inputs)
    outputs, again = run(path, rows), run(path, rows)
    if set(outputs) != set(expected):
        yield f"{path}: expected the outputs {sorted(expected)}, found {sorted(outputs)}"
        return
    for name, file in expected.items():
        found, ours = outputs[name], load_rows(file)
        if found.shape != ours.shape:
            yield f"{path}: {name}: expected the shape {ours.shape} of {file}, found {found.shape}"
            continue
        if found.tobytes() != again[name].tobytes():
            yield f"{path}: {name}: a second run gave other bits"
        difference = np.abs(found.astype(np.float64) - ours)
        print(f"{path}: {name} {found.shape}: largest difference {difference.max():.2e}")
        # Not `>`: a NaN must count as wrong.
        wrong = ~(difference <= TOLERANCE + TOLERANCE * np.abs(ours))
        if wrong.any():
            row, column = np.argwhere(wrong)[0]
            yield (
                f"{path}: {name}: {wrong.sum()} of {wrong.size} values differ from {file} by more than {TOLERANCE}, "
                f"first at row {row}, column {column}: {found[row, column]} for {ours[row, column]}"
            )


def main(encoder, decoder, images, mu, log_var, z, decoded):
    for path in encoder, decoder:
        check_file(path)
    problems = [
        *compare(encoder, images, {"mu": mu, "log_var": log_var}),
        *compare(decoder, z, {"images": decoded}),
    ]
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    if len(sys.argv) != 8:
        sys.exit(__doc__)
    main(*sys.argv[1:])
