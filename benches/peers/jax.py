"""The VAE's training step in plain JAX: one jitted call a step, or one for many. workload.py says what is asked for.

    pip install jax numpy            (for --device cuda: pip install "jax[cuda13]" numpy)
    python benches/peers/jax.py --data MNIST_FOLDER --mode scan --hidden 256 --latent 2 --batch 100 --threads 2

jit   a Python loop over one compiled step, its state donated
scan  lax.scan over a whole section of steps, one call and one read of its losses

XLA has no setting for its threads: it starts one for each core that the process may use, and workload.py binds it to
--threads of them.
"""

import workload

args = workload.arguments("jit", "scan")

import jax
import numpy
from jax import numpy as jnp

jax.config.update("jax_default_device", jax.devices(args.device)[0])

images = jnp.asarray(workload.images(args))
noise_key, *layer_keys = jax.random.split(jax.random.key(0), 6)


def dense_weights(key, inputs, outputs):
    bound = inputs**-0.5
    weight = jax.random.uniform(key, (inputs, outputs), minval=-bound, maxval=bound)
    return {"weight": weight, "bias": jnp.zeros(outputs)}


def dense(layer, x):
    return x @ layer["weight"] + layer["bias"]


def loss_of(weights, x, key):
    h = jax.nn.relu(dense(weights["encoder"], x))
    mu, log_var = dense(weights["mu"], h), dense(weights["log_var"], h)
    z = mu + jnp.exp(0.5 * log_var) * jax.random.normal(key, mu.shape)
    logits = dense(weights["logits"], jax.nn.relu(dense(weights["decoder"], z)))
    recon = jnp.sum(jnp.maximum(logits, 0) - x * logits + jnp.log1p(jnp.exp(-jnp.abs(logits))))
    kl = 0.5 * jnp.sum(mu**2 + jnp.exp(log_var) - log_var - 1)
    return (recon + kl) / len(x)


def step(state, data):
    weights, m, v, t = state
    images, batches = data
    x = images[batches[t % len(batches)]].astype(jnp.float32) / 255
    loss, gradients = jax.value_and_grad(loss_of)(weights, x, jax.random.fold_in(noise_key, t))
    t = t + 1
    m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, gradients)
    v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g**2, v, gradients)
    m_scale, v_scale = 1 / (1 - 0.9 ** t.astype(jnp.float32)), 1 / (1 - 0.999 ** t.astype(jnp.float32))
    weights = jax.tree.map(lambda w, m, v: w - 1e-3 * m * m_scale / (jnp.sqrt(v * v_scale) + 1e-8), weights, m, v)
    return (weights, m, v, t), loss


def section(state, data, steps):
    return jax.lax.scan(lambda state, _: step(state, data), state, length=steps)


one_step = jax.jit(step, donate_argnums=0)
whole_section = jax.jit(section, donate_argnums=0, static_argnums=2)


def trainer(work):
    jax.clear_caches()
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if work.tf32 else "highest")
    shapes = {
        "encoder": (784, work.hidden),
        "mu": (work.hidden, work.latent),
        "log_var": (work.hidden, work.latent),
        "decoder": (work.latent, work.hidden),
        "logits": (work.hidden, 784),
    }
    weights = {name: dense_weights(key, *shape) for key, (name, shape) in zip(layer_keys, shapes.items())}
    zeros = lambda: jax.tree.map(jnp.zeros_like, weights)
    state = (weights, zeros(), zeros(), jnp.zeros((), jnp.int32))
    data = (images, jnp.asarray(workload.batches(work, len(images))))

    def train(steps):
        nonlocal state
        if work.mode == "scan":
            state, losses = whole_section(state, data, steps)
        else:
            losses = []
            for _ in range(steps):
                state, loss = one_step(state, data)
                losses.append(loss)
        return numpy.asarray(jax.device_get(losses)).tolist()

    return train


workload.time_all(args, f"jax {jax.__version__}", trainer)
