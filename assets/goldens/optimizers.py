"""Eight steps of Keras' RMSprop, PyTorch's Adam, AMSGrad, AdamW, Adagrad and SGD and, as a wrong formula, PyTorch's RMSprop.

    pip install torch keras numpy
    KERAS_BACKEND=torch python assets/goldens/optimizers.py > assets/goldens/optimizers.txt
"""

import keras
import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_

STEPS, LR = 8, 1e-3
start = np.array([1.0, -0.5, 0.0, 2.0, -1.5, 0.25], np.float32)
# A zero, a constant, a tiny (where epsilon decides), a small, a sign-changing and a large gradient.
scale = np.array([0.0, 1.0, 1e-5, 3e-4, 1.0, 50.0], np.float32)
wave = np.array([[1, 1, 1, 1, (-1) ** s, np.cos(s)] for s in range(STEPS)], np.float32)
gradients = scale * wave * np.linspace(1, 0.5, STEPS, dtype=np.float32)[:, None]


def line(name, values):
    print(f"{name}: " + " ".join(f"{float(v):.9g}" for v in values))


def torch_steps(name, make, clip=None, average=False):
    value = torch.tensor(start, requires_grad=True)
    averaged = start.astype(float)
    optimizer = make([value])
    for update, gradient in enumerate(gradients, 1):
        value.grad = torch.tensor(gradient)
        if clip:
            clip([value])
        optimizer.step()
        # As TensorFlow's ExponentialMovingAverage with the number of updates.
        decay = min(0.5, (1 + update) / (10 + update))
        averaged = decay * averaged + (1 - decay) * value.detach().numpy()
        line(name, averaged if average else value.detach())


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
torch_steps("pytorch sgd clipped", lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9), clip=lambda p: clip_grad_norm_(p, 0.5))
torch_steps("pytorch amsgrad", lambda p: torch.optim.Adam(p, lr=LR, amsgrad=True))
# Adam's mean of squares falls after a large gradient, AMSGrad's largest one does not.
for name, amsgrad in [("pytorch adam fallen", False), ("pytorch amsgrad fallen", True)]:
    value = torch.tensor([1.0], requires_grad=True)
    optimizer = torch.optim.Adam([value], lr=LR, amsgrad=amsgrad)
    for step in range(100):
        value.grad = torch.tensor([1.0 if step else 50.0])
        optimizer.step()
    line(name, value.detach())
torch_steps("pytorch adagrad", lambda p: torch.optim.Adagrad(p, lr=LR))
torch_steps("pytorch adam with decay", lambda p: torch.optim.Adam(p, lr=LR, weight_decay=0.1))
torch_steps("pytorch sgd by value", lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9), clip=lambda p: clip_grad_value_(p, 0.5))
torch_steps("pytorch sgd averaged", lambda p: torch.optim.SGD(p, lr=LR, momentum=0.9), average=True)
