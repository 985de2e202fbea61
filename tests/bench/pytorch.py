"""PyTorch in the benchmark, eager, as people write it; but with the tensors preloaded and sliced,
which is several times faster than a DataLoader."""
import os

import torch
from torch import nn

from peer import *

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
FUNCTIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class Contender:
    set = None

    def prepare(self, w, folder):
        torch.manual_seed(1)
        if self.set != w.set:
            self.train, self.test = [tuple(map(torch.from_numpy, read_images(folder, w.set, test)))
                                     for test in (False, True)]
            self.set = w.set
        layers, inputs = [], PIXELS
        for width in w.hidden:
            layers += [nn.Linear(inputs, width), FUNCTIONS[w.function]()]
            inputs = width
        if w.dropout:
            layers.append(nn.Dropout(w.dropout))
        layers.append(nn.Linear(inputs, CLASSES))
        if w.output == "sigmoid":
            layers.append(nn.Sigmoid())
            self.loss = lambda p, y: 0.5 * (p - nn.functional.one_hot(y, CLASSES)).square().sum(1).mean()
        else:
            self.loss = nn.CrossEntropyLoss()  # softmax is in it
        self.model = nn.Sequential(*layers)
        parameters = self.model.parameters()
        self.optimizer = (torch.optim.Adam(parameters, lr=w.rate) if w.method == "adam" else
                          torch.optim.SGD(parameters, lr=w.rate,
                                          momentum=0.9 if w.method == "momentum" else 0))
        if is_inference(w):
            self.epoch(w)
            self.model.eval()

    def epoch(self, w):
        images, labels = self.train
        order = torch.randperm(training_samples(w))
        self.model.train()
        for indices in order.split(training_batch(w)):
            x, y = images[indices], labels[indices]
            self.optimizer.zero_grad()
            loss = self.loss(self.model(x), y)
            loss.backward()
            self.optimizer.step()

    def predict(self, w, images):
        with torch.inference_mode():
            if w.output == "softmax":
                return torch.softmax(self.model(images), 1)
            return self.model(images)

    def run(self, w):
        if not is_inference(w):
            return self.epoch(w)
        images = self.test[0]
        self.outputs = [self.predict(w, images[i:i + w.batch]) for i in range(0, TESTS, w.batch)]

    def accuracy(self, w):
        self.model.eval()
        outputs = torch.cat(self.outputs) if is_inference(w) else self.predict(w, self.test[0])
        return (outputs.argmax(1) == self.test[1]).float().mean().item()


serve(Contender())
