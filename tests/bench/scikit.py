"""scikit-learn's MLPClassifier in the benchmark. It has softmax behind every net of several
classes and no dropout: W1 and I1 are without the sigmoid, W3 is without the dropout."""
import warnings

from sklearn.neural_network import MLPClassifier

from peer import *

warnings.filterwarnings("ignore")


class Contender:
    set = None

    def prepare(self, w, folder):
        if self.set != w.set:
            self.train, self.test = [read_images(folder, w.set, test) for test in (False, True)]
            self.set = w.set
        self.model = MLPClassifier(
            w.hidden, activation={"linear": "identity"}.get(w.function, w.function),
            solver="adam" if w.method == "adam" else "sgd", learning_rate_init=w.rate,
            momentum=0.9 if w.method == "momentum" else 0, nesterovs_momentum=False, alpha=0,
            batch_size=training_batch(w), shuffle=True, random_state=1)
        self.model.partial_fit(self.train[0][:500], self.train[1][:500], np.arange(CLASSES))
        if is_inference(w):
            self.epoch(w)

    def epoch(self, w):
        count = training_samples(w)
        self.model.partial_fit(self.train[0][:count], self.train[1][:count])

    def run(self, w):
        if not is_inference(w):
            return self.epoch(w)
        images = self.test[0]
        self.outputs = [self.model.predict_proba(images[i:i + w.batch])
                        for i in range(0, TESTS, w.batch)]

    def accuracy(self, w):
        outputs = (np.concatenate(self.outputs) if is_inference(w) else
                   self.model.predict_proba(self.test[0]))
        return (outputs.argmax(1) == self.test[1]).mean()


serve(Contender())
