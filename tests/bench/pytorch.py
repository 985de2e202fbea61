"""PyTorch as people write it: eager, tensors loaded once and sliced. pytorch.py NAME DATA EPOCHS THREADS"""
import sys
import time

import numpy
import torch

name, folder, epochs, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
torch.set_num_threads(threads)
torch.manual_seed(1)
data = "fashion-mnist" if name == "W5" else "mnist"
part = "t10k" if name[0] == "I" else "train"


def idx(kind, skip):
    return numpy.fromfile(f"{folder}/{data}/{part}-{kind}", numpy.uint8)[skip:]


x = torch.from_numpy(idx("images-idx3-ubyte", 16).reshape(-1, 784).astype(numpy.float32) / 255)
y = torch.from_numpy(idx("labels-idx1-ubyte", 8).astype(numpy.int64))
nn = torch.nn
relu, dense = nn.ReLU, nn.Linear
nets = {
    "W1": lambda: nn.Sequential(dense(784, 1000), relu(), dense(1000, 10), nn.Sigmoid()),
    "W2": lambda: nn.Sequential(dense(784, 128), nn.Tanh(), dense(128, 10)),
    "W3": lambda: nn.Sequential(dense(784, 128), relu(), dense(128, 128), relu(), nn.Dropout(0.25), dense(128, 10)),
    "W4": lambda: nn.Sequential(dense(784, 10)),
    "W5": lambda: nn.Sequential(dense(784, 256), relu(), dense(256, 128), relu(), dense(128, 10)),
}
nets["I1"], nets["I2"] = nets["W1"], nets["W2"]
net = nets[name]()
if name[0] == "I":
    batch = 1000 if name == "I1" else 1
    net.eval()
    with torch.no_grad():
        for _ in range(epochs):
            start = time.perf_counter()
            for first in range(0, 10000, batch):
                net(x[first:first + batch])
            print("%.9f" % ((time.perf_counter() - start) / (10000 if batch == 1 else 1)))
    sys.exit()
samples, batch = {"W1": (50000, 40), "W2": (48000, 128), "W3": (60000, 512), "W4": (48000, 128), "W5": (60000, 64)}[name]
optimizer = {
    "W1": lambda p: torch.optim.SGD(p, 0.03), "W2": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "W3": lambda p: torch.optim.Adam(p, 1e-3), "W4": lambda p: torch.optim.SGD(p, 0.05),
    "W5": lambda p: torch.optim.SGD(p, 0.05)}[name](net.parameters())
cross_entropy = nn.CrossEntropyLoss()
for epoch in range(epochs):
    start = time.perf_counter()
    order = torch.randperm(samples)
    right = 0
    for first in range(0, samples, batch):
        chosen = order[first:first + batch]
        inputs, answers = x[chosen], y[chosen]
        optimizer.zero_grad()
        outputs = net(inputs)
        if name == "W1":
            loss = -torch.log(outputs[torch.arange(len(answers)), answers]).mean()
        else:
            loss = cross_entropy(outputs, answers)
        loss.backward()
        optimizer.step()
    print("%.9f" % (time.perf_counter() - start))
    with torch.no_grad():
        right = (net.eval()(x[:samples]).argmax(1) == y[:samples]).float().mean().item()
        net.train()
print(f"{name}: accuracy after the last epoch {right:.4f}", file=sys.stderr)
