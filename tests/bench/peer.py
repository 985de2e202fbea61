"""What the contenders of the benchmark that are written in Python have in common: the table of
workloads (the same as in peer.h, which explains the conversation), the data, the clocks."""
import sys
import time
from collections import namedtuple

import numpy as np

PIXELS, CLASSES, TESTS, SHORT_TRAINING = 784, 10, 10000, 6000

Workload = namedtuple("Workload", "name set hidden function output method rate dropout batch samples")
WORKLOADS = {w.name: w for w in (
    Workload("W1", "mnist", [1000], "relu", "sigmoid", "sgd", 0.03, 0, 40, 50000),
    Workload("W2", "mnist", [128], "tanh", "softmax", "momentum", 0.05, 0, 128, 48000),
    Workload("W3", "mnist", [128, 128], "relu", "softmax", "adam", 0.001, 0.25, 512, 60000),
    Workload("W4", "mnist", [], "linear", "softmax", "sgd", 0.1, 0, 128, 48000),
    Workload("W5", "fashion-mnist", [256, 128], "relu", "softmax", "sgd", 0.05, 0, 64, 60000),
    Workload("I1", "mnist", [1000], "relu", "sigmoid", "sgd", 0.03, 0, 1000, TESTS),
    Workload("I2", "mnist", [128], "tanh", "softmax", "momentum", 0.05, 0, 1, TESTS),
)}


def is_inference(w):
    return w.name[0] == "I"


def training_batch(w):
    return 40 if is_inference(w) else w.batch


def training_samples(w):
    return SHORT_TRAINING if is_inference(w) else w.samples


def read_images(folder, name, test=False):
    """Float32 pixels / 255 [count, 784] and labels [count]."""
    stem = f"{folder}/{name}/{'t10k' if test else 'train'}-"
    images = np.fromfile(stem + "images-idx3-ubyte", np.uint8)[16:].reshape(-1, PIXELS)
    labels = np.fromfile(stem + "labels-idx1-ubyte", np.uint8)[8:].astype(np.int64)
    return images.astype(np.float32) / np.float32(255), labels


def serve(contender):
    """contender: an object with prepare(workload, data folder), which returns why it cannot do
    the workload or None, run(workload) and accuracy(workload)."""
    folder = sys.argv[1]
    if sys.argv[2:] == ["first"]:
        w = WORKLOADS["W2"]
        contender.prepare(w, folder)
        contender.run(w)
        print(f"{contender.accuracy(w):.4f}")
        return
    w = None
    for line in sys.stdin:
        words = line.split()
        if words[0] == "prepare":
            w = WORKLOADS[words[1]]
            why = contender.prepare(w, folder)
            print(f"unable {why}" if why else "ready")
        elif words[0] == "run":
            start, start_cpu = time.perf_counter(), time.process_time()
            contender.run(w)
            seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
            per = TESTS if w.name == "I2" else 1
            print(f"{seconds / per:.9g} {cpu / per:.9g}")
        else:
            print(f"{contender.accuracy(w):.4f}")
        sys.stdout.flush()
