"""NumPy (on OpenBLAS) in the benchmark: the usual loop of matrix products, in float32."""
from peer import *


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    e /= e.sum(1, keepdims=True)
    return e


FUNCTIONS = {"relu": lambda z: np.maximum(z, 0, out=z), "tanh": lambda z: np.tanh(z, out=z),
             "sigmoid": lambda z: 1 / (1 + np.exp(-z)), "softmax": softmax}


class Contender:
    set = None

    def prepare(self, w, folder):
        self.random = np.random.default_rng(1)
        if self.set != w.set:
            self.train, self.test = [read_images(folder, w.set, test) for test in (False, True)]
            self.set = w.set
        sizes = [PIXELS] + w.hidden + [CLASSES]
        self.parameters = []
        for inputs, outputs in zip(sizes, sizes[1:]):
            limit = np.sqrt(6 / (inputs if w.function == "relu" else inputs + outputs))
            weights = self.random.uniform(-limit, limit, (inputs, outputs))
            self.parameters += [weights.astype(np.float32), np.zeros(outputs, np.float32)]
        self.first = [np.zeros_like(p) for p in self.parameters]
        self.second = [np.zeros_like(p) for p in self.parameters]
        self.steps = 0
        if is_inference(w):
            self.epoch(w)

    def forward(self, w, x, training=False):
        """The inputs of every layer and the outputs of the last one; the mask of dropout."""
        a, mask = [x], None
        last = len(self.parameters) // 2 - 1
        for i in range(last + 1):
            if i == last and w.dropout and training:
                mask = self.random.random(a[-1].shape, np.float32) >= w.dropout
                mask = mask.astype(np.float32) * np.float32(1 / (1 - w.dropout))
                a[-1] *= mask
            z = a[-1] @ self.parameters[2 * i]
            z += self.parameters[2 * i + 1]
            a.append(FUNCTIONS[w.output if i == last else w.function](z))
        return a, mask

    def update(self, w, index, g):
        p = self.parameters[index]
        if w.method == "sgd":
            g *= np.float32(w.rate)
            p -= g
        elif w.method == "momentum":
            v = self.first[index]
            v *= np.float32(0.9)
            v += g
            p -= np.float32(w.rate) * v
        else:
            m, v = self.first[index], self.second[index]
            m *= np.float32(0.9)
            m += np.float32(0.1) * g
            v *= np.float32(0.999)
            v += np.float32(0.001) * g * g
            step = np.float32(w.rate / (1 - 0.9 ** self.steps))
            scale = np.float32(1 / np.sqrt(1 - 0.999 ** self.steps))
            p -= step * m / (np.sqrt(v) * scale + np.float32(1e-8))

    def step(self, w, x, y):
        a, mask = self.forward(w, x, True)
        rows = np.arange(len(y))
        p = a[-1]
        delta = p.copy()
        delta[rows, y] -= 1
        if w.output == "sigmoid":  # mean squared error
            delta *= p * (1 - p)
        delta *= np.float32(1 / len(y))
        self.steps += 1
        last = len(a) - 2
        for i in range(last, -1, -1):
            dw, db = a[i].T @ delta, delta.sum(0)
            if i > 0:
                delta = delta @ self.parameters[2 * i].T
                if mask is not None and i == last:
                    delta *= mask
                delta *= 1 - a[i] ** 2 if w.function == "tanh" else a[i] > 0
            self.update(w, 2 * i, dw)
            self.update(w, 2 * i + 1, db)

    def epoch(self, w):
        images, labels = self.train
        order = self.random.permutation(training_samples(w))
        batch = training_batch(w)
        for i in range(0, len(order), batch):
            indices = order[i:i + batch]
            self.step(w, images[indices], labels[indices])

    def run(self, w):
        if not is_inference(w):
            return self.epoch(w)
        images = self.test[0]
        self.outputs = [self.forward(w, images[i:i + w.batch])[0][-1]
                        for i in range(0, TESTS, w.batch)]

    def accuracy(self, w):
        outputs = (np.concatenate(self.outputs) if is_inference(w) else
                   self.forward(w, self.test[0])[0][-1])
        return (outputs.argmax(1) == self.test[1]).mean()


serve(Contender())
