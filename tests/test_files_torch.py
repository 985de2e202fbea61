#!/usr/bin/env python3
"""Model files in both directions between densenet.h and PyTorch.

The reader and the writer of safetensors below are as strict as the format, and a few
lines each; they share nothing with the library's."""
import json
import os
import struct
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
count = failed = 0


def ok(condition, text):
    global count, failed
    count += 1
    failed += not condition
    print("%s %d - %s" % ("ok" if condition else "not ok", count, text), flush=True)


def skip_all(reason):
    print("1..0 # SKIP " + reason)
    sys.exit(0)


try:
    import torch
except ImportError:
    if os.path.exists("/usr/bin/python3") and "AGAIN" not in os.environ:
        os.environ["AGAIN"] = "1"  # the system's Python may have it
        os.execv("/usr/bin/python3", ["/usr/bin/python3", os.path.abspath(__file__)])
    skip_all("PyTorch is not installed (Debian package python3-torch)")
torch.set_num_threads(1)

TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
         "BF16": torch.bfloat16, "I64": torch.int64}


def load_file(name):
    with open(name, "rb") as file:
        data = file.read()
    size, = struct.unpack("<Q", data[:8])
    assert size % 8 == 0 and data[8:9] == b"{", "padding and start of the header"
    header = json.loads(data[8:8 + size].decode("utf-8"))
    metadata = header.pop("__metadata__", {})
    assert all(isinstance(v, str) for v in metadata.values()), "metadata are strings"
    data, end, tensors = data[8 + size:], 0, {}
    for key, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert set(entry) == {"dtype", "shape", "data_offsets"}, key
        first, last = entry["data_offsets"]
        assert first == end, "no holes, no overlaps"
        end = last
        tensor = torch.frombuffer(bytearray(data[first:last]) or bytearray(1), dtype=TYPES[entry["dtype"]],
                                  count=(last - first) // torch.empty(0, dtype=TYPES[entry["dtype"]]).element_size())
        tensors[key] = tensor.reshape(entry["shape"])
    assert end == len(data), "nothing behind the last tensor"
    return tensors, metadata


def save_file(tensors, name, metadata=None):
    """In the order of the names as strings, as safetensors.torch.save_file does."""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    names = {dtype: key for key, dtype in TYPES.items()}
    for key in sorted(tensors):
        tensor = tensors[key].contiguous()
        raw = bytes(tensor.reshape(-1).view(torch.uint8).tolist())
        header[key] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 8)
    with open(name, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


ACTIVATIONS = {"relu": torch.nn.ReLU, "leaky_relu": lambda: torch.nn.LeakyReLU(0.01),
               "sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh,
               "softmax": lambda: torch.nn.Softmax(dim=1)}


def sequential(layers):
    """The nn.Sequential that "784, 256 relu, dropout 0.25, 10 softmax" describes."""
    words = layers.split(", ")
    width, modules = int(words[0]), []
    for word in words[1:]:
        first, second = word.split(" ")[:2]
        if first == "dropout":
            modules.append(torch.nn.Dropout(float(second)))
            continue
        modules.append(torch.nn.Linear(width, int(first)))
        width = int(first)
        if second != "linear":
            modules.append(ACTIVATIONS[second]())
    return torch.nn.Sequential(*modules).eval()


PROGRAM = r"""
#define DENSENET_IMPLEMENTATION
#include "%s/densenet.h"
#include <stdio.h>
static int fail(const dn_error *error) { fprintf(stderr, "%%s\n", error->message); return 1; }
/* save N FILE: one of the nets. predict FILE INPUTS OUTPUTS [HIDDEN LAST]: a net's outputs. */
int main(int count, char **words) {
    dn_error error = {0};
    dn_net net = {0};
    if (words[1][0] == 's') {
        const int which = atoi(words[2]);
        dn_net_init(&net, which == 2 ? 3 : 20, 1);
        if (which == 0) {
            dn_net_dense(&net, 16, DN_RELU);
            dn_net_dropout(&net, (dn_real)0.25);
            dn_net_dense(&net, 10, DN_SOFTMAX);
        } else if (which == 1) {
            dn_net_dropout(&net, (dn_real)0.1);
            dn_net_dense(&net, 33, DN_TANH);
            dn_net_dense(&net, 7, DN_LINEAR);
            dn_net_dense(&net, 9, DN_LEAKY_RELU);
            dn_net_dropout(&net, (dn_real)0.5);
            dn_net_dense(&net, 12, DN_SIGMOID);
            dn_net_dense(&net, 5, DN_LINEAR);
        } else {
            for (int i = 0; i < 13; i++) dn_net_dense(&net, 4 + (size_t)i, i %% 3 ? DN_TANH : DN_SIGMOID);
        }
        for (size_t l = 0; l < net.layer_count; l++) { /* biases start at zero: make them count */
            dn_matrix biases = dn_net_biases(&net, l);
            for (size_t i = 0; i < biases.rows * biases.columns; i++)
                biases.data[i] = (dn_real)dn_random_uniform(&net.random) - (dn_real)0.5;
        }
        return dn_net_save(&net, words[3], &error) ? fail(&error) : 0;
    }
    dn_loading how = {0};
    if (count > 5) {
        how.infer = true;
        for (int a = 0; a < DN_CUSTOM; a++) {
            dn_layer layer = {0};
            layer.activation = (dn_activation)a;
            if (strcmp(dn_activation_name(&layer), words[5]) == 0) how.hidden = (dn_activation)a;
            if (strcmp(dn_activation_name(&layer), words[6]) == 0) how.last = (dn_activation)a;
        }
    }
    if (dn_net_load_as(&net, words[2], &how, &error)) return fail(&error);
    static float inputs[10000], outputs[10000];
    FILE *file = fopen(words[3], "rb");
    const size_t rows = fread(inputs, sizeof(float), 10000, file) / net.inputs;
    fclose(file);
    if (dn_predict(&net, inputs, rows, outputs, NULL, &error)) return fail(&error);
    file = fopen(words[4], "wb");
    fwrite(outputs, sizeof(float), rows * net.outputs, file);
    return fclose(file) != 0;
}
"""


def main():
    work = tempfile.TemporaryDirectory(prefix="densenet-test-")
    path = lambda name: os.path.join(work.name, name)
    with open(path("net.c"), "w") as file:
        file.write(PROGRAM % ROOT)
    compiler = os.environ.get("CC", "cc").split()
    built = subprocess.run(compiler + ["-O1", path("net.c"), "-o", path("net"), "-lm"],
                           stderr=subprocess.PIPE)
    ok(built.returncode == 0, "a program around the header is compiled")
    if built.returncode:
        print("# " + built.stderr.decode()[:2000].replace("\n", "\n# "))
    run = lambda *words: subprocess.run([path("net")] + list(words), stderr=subprocess.PIPE)

    def ours(model, inputs, *activations):
        with open(path("inputs"), "wb") as file:
            file.write(bytes(inputs.contiguous().view(torch.uint8).reshape(-1).tolist()))
        done = run("predict", model, path("inputs"), path("outputs"), *activations)
        if done.returncode:
            print("# " + done.stderr.decode().strip())
            return torch.full((len(inputs), 1), float("nan"))
        with open(path("outputs"), "rb") as file:
            return torch.frombuffer(bytearray(file.read()), dtype=torch.float32).reshape(len(inputs), -1)

    difference = lambda a, b: float((a - b).abs().max()) if a.shape == b.shape else float("nan")
    torch.manual_seed(1)
    for which in range(3):
        name = path("ours.safetensors")
        ok(run("save", str(which), name).returncode == 0, "net %d is saved" % which)
        state, metadata = load_file(name)
        net = sequential(metadata["layers"])
        net.load_state_dict(state)  # strict: every name and shape must be there
        inputs = torch.randn(50, net[0].in_features if which != 1 else 20)
        with torch.no_grad():
            off = difference(ours(name, inputs), net(inputs))
        ok(off < 1e-6, "PyTorch takes %s: outputs differ by %.1e" % (metadata["layers"], off))

    for hidden, last, widths in [("relu", "softmax", [20, 30, 10]), ("tanh", "linear", [6, 5]),
                                 ("sigmoid", "sigmoid", [3] + list(range(4, 18))),
                                 ("leaky_relu", "tanh", [20, 12, 11, 10, 9, 8, 7, 6, 5])]:
        words = [str(widths[0])] + ["%d %s" % (w, hidden) for w in widths[1:-1]]
        net = sequential(", ".join(words + ["%d %s" % (widths[-1], last)]))
        inputs = torch.randn(50, widths[0])
        for dtype, bound in [(torch.float32, 1e-6), (torch.float64, 1e-6), (torch.float16, 1e-6),
                             (torch.bfloat16, 1e-6)]:
            state = {key: value.to(dtype) for key, value in net.state_dict().items()}
            name = path("theirs.safetensors")
            save_file(state, name, {"format": "pt"} if dtype == torch.float32 else None)
            again, _ = load_file(name)
            assert all(torch.equal(again[key], state[key]) for key in state)
            rounded = sequential(", ".join(words + ["%d %s" % (widths[-1], last)]))
            rounded.load_state_dict(state)
            with torch.no_grad():
                off = difference(ours(name, inputs, hidden, last), rounded(inputs))
            ok(off < bound, "PyTorch's %s-%s, %d layers in %s: outputs differ by %.1e" %
               (widths[0], widths[-1], len(widths) - 1, str(dtype)[6:], off))
    ok(run("predict", path("theirs.safetensors"), path("inputs"), path("outputs")).returncode == 1,
       "without a description it is refused")
    print("1..%d" % count)
    sys.exit(failed > 0)


main()
