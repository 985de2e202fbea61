#!/usr/bin/env python3
"""Makes tests/golden.h: what PyTorch computes for small nets, for tests/test_golden.c.

    python3 tests/golden.py > tests/golden.h

Needs PyTorch (written with 1.13) and NumPy. Everything is computed in double precision
from numbers that a float holds exactly, so that the stored results are better than any
float computation of them. Our weights are [inputs, outputs], PyTorch's the transpose.
"""
import numpy
import torch

torch.set_default_dtype(torch.float64)
random = numpy.random.RandomState(20240229)

SAMPLES, INPUTS, CLASSES = 10, 5, 3
BATCHES = [(0, 4), (4, 4), (8, 2)]  # as a trainer cuts 10 samples into batches of 4
STEPS = 10


def as_float(array):
    """Rounds to numbers that a float holds, and keeps them in double precision."""
    return numpy.asarray(array, dtype=numpy.float32).astype(numpy.float64)


class Net:
    def __init__(self, layers):
        self.activations = [name for _, name in layers]
        self.linears = []
        inputs = INPUTS
        for outputs, _ in layers:
            linear = torch.nn.Linear(inputs, outputs)
            with torch.no_grad():
                linear.weight.copy_(torch.tensor(as_float(random.randn(outputs, inputs) * 0.7)))
                linear.bias.copy_(torch.tensor(as_float(random.randn(outputs) * 0.3)))
            self.linears.append(linear)
            inputs = outputs

    def weights(self):
        return [linear.weight for linear in self.linears]

    def biases(self):
        return [linear.bias for linear in self.linears]

    def flat(self, what):
        """The parameters (or their gradients) in the order of net->parameters."""
        parts = []
        for linear in self.linears:
            parts.append(what(linear.weight).detach().numpy().T.ravel())
            parts.append(what(linear.bias).detach().numpy().ravel())
        return numpy.concatenate(parts)

    def forward(self, x):
        """Returns every layer's activations, and the logits of the last."""
        functions = {
            'linear': lambda z: z, 'relu': torch.relu, 'sigmoid': torch.sigmoid,
            'tanh': torch.tanh, 'softmax': lambda z: torch.softmax(z, 1),
            'leaky_relu': lambda z: torch.nn.functional.leaky_relu(z, 0.01)}
        layers = []
        for linear, name in zip(self.linears, self.activations):
            z = linear(x)
            # A float computation must be on the same side of the kink.
            assert 'relu' not in name or z.abs().min() > 1e-3
            x = functions[name](z)
            layers.append(x)
        return layers, z


def loss_of(name, last, logits, outputs, labels, targets):
    functional = torch.nn.functional
    rows = len(outputs)
    if name == 'cross_entropy' and last == 'softmax':
        return functional.cross_entropy(logits, labels if targets is None else targets)
    if targets is None:
        targets = functional.one_hot(labels, CLASSES).to(torch.float64)
    if name == 'cross_entropy':
        return -(targets * torch.log(outputs)).sum() / rows
    if name == 'binary_cross_entropy':
        if last == 'sigmoid':
            return functional.binary_cross_entropy_with_logits(
                logits, targets, reduction='sum') / rows
        return functional.binary_cross_entropy(outputs, targets, reduction='sum') / rows
    return functional.mse_loss(outputs, targets, reduction='sum') / 2 / rows


def penalty_of(net, l1, l2):
    return sum(l1 * w.abs().sum() + l2 / 2 * (w * w).sum() for w in net.weights())


def numbers(values):
    text, line = '', ''
    for value in numpy.ravel(values):
        item = '%.9g,' % value
        if len(line) + len(item) > 98:
            text, line = text + line + '\n', ''
        line += item
    return text + line


def array(name, values):
    print('static const double %s[] = {\n%s};' % (name, numbers(values)))


inputs = as_float(random.randn(SAMPLES, INPUTS))
labels = random.randint(0, CLASSES, SAMPLES)
rows = as_float(random.dirichlet([1, 1, 1], SAMPLES))
values = as_float(random.randn(SAMPLES, CLASSES))
x, classes = torch.tensor(inputs), torch.tensor(labels)
# Rows that are used as distributions must add to one exactly enough for either side.
TARGETS = {'labels': None, 'rows': torch.tensor(rows), 'values': torch.tensor(values)}

print('/* Made by tests/golden.py with PyTorch; do not edit. */')
print('enum { GOLDEN_SAMPLES = %d, GOLDEN_INPUTS = %d, GOLDEN_CLASSES = %d, GOLDEN_STEPS = %d };'
      % (SAMPLES, INPUTS, CLASSES, STEPS))
array('golden_inputs', inputs)
array('golden_rows', rows)
array('golden_values', values)
print('static const int32_t golden_labels[] = {%s};' % numbers(labels))

# ---- Activations, losses and gradients.
CASES = [
    # layers; loss; targets; l1; l2
    ([(6, 'relu'), (4, 'leaky_relu'), (3, 'softmax')], 'cross_entropy', 'labels', 0, 0),
    ([(6, 'tanh'), (3, 'softmax')], 'cross_entropy', 'rows', 0, 0.125),
    ([(4, 'sigmoid'), (5, 'relu'), (3, 'sigmoid')], 'binary_cross_entropy', 'rows', 0, 0),
    ([(4, 'tanh'), (3, 'sigmoid')], 'binary_cross_entropy', 'labels', 0.0625, 0.03125),
    ([(4, 'relu'), (3, 'linear')], 'mean_squared_error', 'values', 0.0625, 0),
    ([(4, 'softmax'), (4, 'linear'), (3, 'tanh')], 'mean_squared_error', 'values', 0, 0),
    ([(4, 'leaky_relu'), (3, 'sigmoid')], 'mean_squared_error', 'labels', 0, 0),
    ([(4, 'tanh'), (3, 'softmax')], 'mean_squared_error', 'rows', 0, 0),
    ([(4, 'relu'), (3, 'sigmoid')], 'cross_entropy', 'labels', 0, 0),
    ([(4, 'tanh'), (3, 'softmax')], 'binary_cross_entropy', 'labels', 0, 0),
    ([(4, 'sigmoid'), (3, 'leaky_relu')], 'mean_squared_error', 'values', 0, 0),
    ([(3, 'softmax')], 'cross_entropy', 'labels', 0, 0),
]
table = []
for index, (layers, loss_name, target_name, l1, l2) in enumerate(CASES):
    net = Net(layers)
    activations, logits = net.forward(x)
    loss = loss_of(loss_name, layers[-1][1], logits, activations[-1], classes,
                   TARGETS[target_name])
    penalty = penalty_of(net, l1, l2)
    (loss + penalty).backward()
    name = 'golden_case_%d' % index
    array(name + '_parameters', net.flat(lambda p: p))
    array(name + '_gradient', net.flat(lambda p: p.grad))
    array(name + '_activations', torch.cat([a.reshape(-1) for a in activations]).detach())
    stack = ', '.join('{%d, DN_%s}' % (outputs, a.upper()) for outputs, a in layers)
    table.append('    {%d, {%s}, DN_%s, %s, (dn_real)%g, (dn_real)%g,\n     %.12g, %.12g, '
                 '%s_parameters, %s_gradient, %s_activations},'
                 % (len(layers), stack, loss_name.upper(),
                    'NULL' if target_name == 'labels' else 'golden_' + target_name, l1, l2,
                    loss.item(), float(penalty), name, name, name))
print('static const golden_case golden_cases[] = {\n%s\n};' % '\n'.join(table))

# ---- Ten steps of every optimizer.
NESTING = [(4, 'tanh'), (3, 'softmax')]
start = Net(NESTING)
array('golden_start', start.flat(lambda p: p))


def weighted_momentum(groups, rate, mu):
    """PyTorch's first velocity is the whole gradient, whatever the dampening; that of
    v = mu v + (1 - mu) g from v = 0 is not. So zeroes are put in before the first step."""
    optimizer = torch.optim.SGD(groups, lr=rate, momentum=mu, dampening=mu)
    for group in optimizer.param_groups:
        for p in group['params']:
            optimizer.state[p]['momentum_buffer'] = torch.zeros_like(p)
    return optimizer


OPTIMIZERS = [
    # C expression; the same in PyTorch; weight decay of AdamW
    ('dn_sgd(0.1f)', lambda g: torch.optim.SGD(g, lr=0.1), None),
    ('dn_momentum(0.05f, 0.9f)', lambda g: torch.optim.SGD(g, lr=0.05, momentum=0.9), None),
    ('dn_weighted_momentum(0.3f, 0.8f)', lambda g: weighted_momentum(g, 0.3, 0.8), None),
    ('dn_nesterov(0.05f, 0.9f)',
     lambda g: torch.optim.SGD(g, lr=0.05, momentum=0.9, nesterov=True), None),
    ('dn_rmsprop(0.01f)', lambda g: torch.optim.RMSprop(g, lr=0.01), None),
    ('dn_adam(0.01f)', lambda g: torch.optim.Adam(g, lr=0.01), None),
    ('dn_adamw(0.01f, 0.5f)', lambda g: torch.optim.AdamW(g, lr=0.01), 0.5),
]
runs = []
for text, make, decoupled in OPTIMIZERS:
    for l1, l2 in [(0, 0), (0, 0.0625), (0.03125, 0)]:
        net = Net(NESTING)
        for mine, first in zip(net.linears, start.linears):
            mine.load_state_dict(first.state_dict())
        # An L2 penalty is PyTorch's weight_decay, except in AdamW, which decouples it.
        decay = l2 if decoupled is None else decoupled
        optimizer = make([{'params': net.weights(), 'weight_decay': decay},
                          {'params': net.biases(), 'weight_decay': 0}])
        trace, losses = [], []
        for step in range(STEPS):
            first, count = BATCHES[step % len(BATCHES)]
            activations, logits = net.forward(x[first:first + count])
            loss = loss_of('cross_entropy', 'softmax', logits, activations[-1],
                           classes[first:first + count], None)
            losses.append(loss.item())
            optimizer.zero_grad()
            if decoupled is None:
                (loss + penalty_of(net, l1, 0)).backward()
            else:
                (loss + penalty_of(net, l1, l2)).backward()
            optimizer.step()
            trace.append(net.flat(lambda p: p))
        name = 'golden_run_%d' % len(runs)
        array(name, trace)
        array(name + '_losses', losses)
        runs.append('    {"%s", DN_RUN_%d, (dn_real)%g, (dn_real)%g, %s, %s_losses},'
                    % (text, len(runs) // 3, l1, l2, name, name))
print('static dn_optimizer golden_optimizer(int which) {\n    switch (which) {')
for index, (text, _, _) in enumerate(OPTIMIZERS[:-1]):
    print('    case %d: return %s;' % (index, text))
print('    default: return %s;\n    }\n}' % OPTIMIZERS[-1][0])
print('static const golden_run golden_runs[] = {\n%s\n};'
      % '\n'.join(run.replace('DN_RUN_', '') for run in runs))
