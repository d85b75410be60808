"""Eight steps of Keras' RMSprop, PyTorch's Adam, AdamW and SGD and, as a wrong formula, PyTorch's RMSprop.

    pip install torch keras numpy
    KERAS_BACKEND=torch python assets/goldens/optimizers.py > assets/goldens/optimizers.txt
"""

import keras
import numpy as np
import torch

STEPS, LR = 8, 1e-3
start = np.array([1.0, -0.5, 0.0, 2.0, -1.5, 0.25], np.float32)
# A zero, a constant, a tiny (where epsilon decides), a small, a sign-changing and a large gradient.
scale = np.array([0.0, 1.0, 1e-5, 3e-4, 1.0, 50.0], np.float32)
wave = np.array([[1, 1, 1, 1, (-1) ** s, np.cos(s)] for s in range(STEPS)], np.float32)
gradients = scale * wave * np.linspace(1, 0.5, STEPS, dtype=np.float32)[:, None]


def line(name, values):
    print(f"{name}: " + " ".join(f"{float(v):.9g}" for v in values))


def torch_steps(name, make, clip_norm=None):
    value = torch.tensor(start, requires_grad=True)
    optimizer = make([value])
    for gradient in gradients:
        value.grad = torch.tensor(gradient)
        if clip_norm:
            torch.nn.utils.clip_grad_norm_([value], clip_norm)
        optimizer.step()
        line(name, value.detach())


def keras_steps(name, optimizer):
    value = keras.Variable(start)
    for gradient in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [value])
        line(name, keras.ops.convert_to_numpy(value.value))


print(f"# keras {keras.__version__}, torch {torch.__version__}")
line("start", start)
for gradient in gradients:
    line("gradient", gradient)
keras_steps("keras rmsprop", keras.optimizers.RMSprop(learning_rate=LR))
torch_steps("pytorch adam", lambda p: torch.optim.Adam(p, lr=LR))
torch_steps("pytorch rmsprop", lambda p: torch.optim.RMSprop(p, lr=LR, alpha=0.9, eps=1e-7))
torch_steps("pytorch adamw", lambda p: torch.optim.AdamW(p, lr=LR, weight_decay=0.01))
torch_steps("pytorch sgd", lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9))
torch_steps("pytorch sgd clipped", lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9), clip_norm=0.5)
