"""NumPy on its BLAS, in place where NumPy can. with_numpy.py NAME DATA EPOCHS"""
import sys
import time

import numpy as np

name, folder, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3])
data = "fashion-mnist" if name == "W5" else "mnist"
part = "t10k" if name[0] == "I" else "train"
x = np.fromfile(f"{folder}/{data}/{part}-images-idx3-ubyte", np.uint8)[16:].reshape(-1, 784)
x = x.astype(np.float32) / np.float32(255)
y = np.fromfile(f"{folder}/{data}/{part}-labels-idx1-ubyte", np.uint8)[8:].astype(np.int64)
widths = {"W1": (1000, 10), "W2": (128, 10), "W3": (128, 128, 10), "W4": (10,), "W5": (256, 128, 10)}
widths["I1"], widths["I2"] = widths["W1"], widths["W2"]
sizes = (784,) + widths[name]
random = np.random.default_rng(1)
f32 = np.float32
w = [(random.uniform(-1, 1, (i, o)) * np.sqrt(6 / i)).astype(f32) for i, o in zip(sizes, sizes[1:])]
b = [np.zeros(o, f32) for o in sizes[1:]]
state = [[np.zeros_like(p), np.zeros_like(p)] for p in w + b]
tanh, sigmoid = name in ("W2", "I2"), name in ("W1", "I1")


def forward(inputs, training):
    a, mask = [inputs], None
    for l, (weights, biases) in enumerate(zip(w, b)):
        z = a[-1] @ weights
        z += biases
        if l + 1 < len(w):
            np.tanh(z, z) if tanh else np.maximum(z, 0, z)
            if training and name == "W3" and l == 1:
                mask = (random.random(z.shape, f32) >= 0.25) / f32(0.75)
                z *= mask
        elif sigmoid:
            z = 1 / (1 + np.exp(-z))
        else:
            z -= z.max(1, keepdims=True)
            np.exp(z, z)
            z /= z.sum(1, keepdims=True)
        a.append(z)
    return a, mask


def step(parameters, gradient, memory, count):
    if name == "W2":
        memory[0] *= f32(0.9)
        memory[0] += gradient
        parameters -= f32(0.01) * memory[0]
    elif name == "W3":
        memory[0] *= f32(0.9)
        memory[0] += f32(0.1) * gradient
        memory[1] *= f32(0.999)
        memory[1] += f32(0.001) * gradient * gradient
        rate, root = 1e-3 / (1 - 0.9 ** count), 1 / np.sqrt(1 - 0.999 ** count)
        parameters -= f32(rate) * memory[0] / (np.sqrt(memory[1]) * f32(root) + f32(1e-8))
    else:
        parameters -= f32(0.03 if name == "W1" else 0.05) * gradient


if name[0] == "I":
    batch = 1000 if name == "I1" else 1
    for _ in range(epochs):
        start = time.perf_counter()
        for first in range(0, 10000, batch):
            forward(x[first:first + batch], False)
        print("%.9f" % ((time.perf_counter() - start) / (10000 if batch == 1 else 1)))
    sys.exit()
samples, batch = {"W1": (50000, 40), "W2": (48000, 128), "W3": (60000, 512), "W4": (48000, 128), "W5": (60000, 64)}[name]
count = 0
for epoch in range(epochs):
    start, right = time.perf_counter(), 0
    order = random.permutation(samples)
    for first in range(0, samples, batch):
        chosen = order[first:first + batch]
        answers = y[chosen]
        a, mask = forward(x[chosen], True)
        right += (a[-1].argmax(1) == answers).sum()
        rows = np.arange(len(answers))
        if sigmoid:
            delta = np.zeros_like(a[-1])
            delta[rows, answers] = a[-1][rows, answers] - 1
        else:
            delta = a[-1]
            delta[rows, answers] -= 1
        delta /= f32(len(answers))
        count += 1
        for l in reversed(range(len(w))):
            dw, db = a[l].T @ delta, delta.sum(0)
            if l > 0:
                delta = delta @ w[l].T
                if mask is not None and l == 2:
                    delta *= mask
                delta *= 1 - a[l] * a[l] if tanh else a[l] > 0
            step(w[l], dw, state[l], count)
            step(b[l], db, state[len(w) + l], count)
    print("%.9f" % (time.perf_counter() - start))
print(f"{name}: accuracy of the last epoch {right / samples:.4f}", file=sys.stderr)
