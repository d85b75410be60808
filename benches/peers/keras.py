"""The VAE's training step in Keras 3, through Model.fit and compiled. workload.py says what is asked for.

    pip install keras jax numpy      (with KERAS_BACKEND=torch: torch in jax's place)
    python benches/peers/keras.py --data MNIST_FOLDER --hidden 256 --latent 2 --batch 100 --threads 2

fit is given row numbers; the images are a weight of the model that is not trained, and so lie on its device. A loss is
what fit hands its callbacks after every step: the mean of the section so far.
"""

import itertools
import os
import sys

import workload

args = workload.arguments("fit")
backend = os.environ.setdefault("KERAS_BACKEND", "jax")

if backend == "jax":  # it takes its threads from the cores that workload.py leaves it
    import jax as framework

    framework.config.update("jax_default_device", framework.devices(args.device)[0])
    clear_caches = framework.clear_caches
    allow_tf32 = lambda allowed: framework.config.update(
        "jax_default_matmul_precision", "tensorfloat32" if allowed else "highest"
    )
elif backend == "torch":
    import torch as framework

    os.environ["KERAS_TORCH_DEVICE"] = args.device
    framework.set_num_threads(args.threads)
    framework.set_flush_denormal(True)  # pytorch.py says why
    clear_caches = framework.compiler.reset
    allow_tf32 = lambda allowed: framework.set_float32_matmul_precision("high" if allowed else "highest")
else:
    sys.exit(f"KERAS_BACKEND={backend}: jax or torch")

import keras
import numpy
from keras import layers, ops

images = workload.images(args)


class Vae(keras.Model):
    def __init__(self, work):
        super().__init__()
        self.batch = work.batch
        self.encoder = layers.Dense(work.hidden, activation="relu")
        self.mu = layers.Dense(work.latent)
        self.log_var = layers.Dense(work.latent)
        self.decoder = layers.Dense(work.hidden, activation="relu")
        self.logits = layers.Dense(784)
        self.noise = keras.random.SeedGenerator(0)
        self.images = self.add_weight(shape=images.shape, dtype="uint8", initializer="zeros", trainable=False)
        self.images.assign(images)

    def call(self, rows):
        x = ops.cast(ops.take(self.images, rows, axis=0), "float32") / 255
        h = self.encoder(x)
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mu), seed=self.noise)
        logits = self.logits(self.decoder(z))
        recon = ops.sum(ops.maximum(logits, 0) - x * logits + ops.log1p(ops.exp(-ops.abs(logits))))
        kl = 0.5 * ops.sum(ops.square(mu) + ops.exp(log_var) - log_var - 1)
        self.add_loss((recon + kl) / self.batch)
        return logits


class Losses(keras.callbacks.Callback):
    def on_train_begin(self, logs=None):
        self.steps = []

    def on_train_batch_end(self, batch, logs=None):
        self.steps.append(logs["loss"])


def trainer(work):
    clear_caches()
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    allow_tf32(work.tf32)
    model = Vae(work)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=True)
    losses = Losses()
    turn = itertools.cycle(workload.batches(work, len(images)))

    def train(steps):
        rows = numpy.concatenate([next(turn) for _ in range(steps)])
        model.fit(rows, batch_size=work.batch, shuffle=False, verbose=0, callbacks=[losses])
        return [float(loss) for loss in losses.steps]

    return train


workload.time_all(args, f"keras {keras.__version__} on {backend} {framework.__version__}", trainer)
