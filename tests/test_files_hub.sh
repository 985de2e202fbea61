#!/bin/sh
# An independent program judges our files: parseSafetensorsMetadata of the npm package
# @huggingface/hub reads the header of a model and of a checkpoint, and of damaged copies.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
hub=$root/build/hub

if ! have node || ! have npm; then
    echo "1..0 # SKIP node and npm are not installed"
    exit 0
fi
mkdir -p "$hub"
if [ ! -d "$hub/node_modules/@huggingface/hub" ]; then
    if ! (cd "$hub" && echo '{"private": true}' >package.json &&
          npm install --silent --no-audit --no-fund --fetch-retries=1 --fetch-timeout=60000 \
              @huggingface/hub@2.17.5) >"$work/npm.log" 2>&1; then
        echo "1..0 # SKIP npm cannot install @huggingface/hub: $(tail -n 1 "$work/npm.log")"
        exit 0
    fi
fi

cat >"$work/make.c" <<END
#define DENSENET_IMPLEMENTATION
#include "$root/densenet.h"
int main(int count, char **names) {
    static const dn_real inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    static const int32_t labels[4] = {0, 1, 1, 0};
    dn_error error = {0};
    dn_dataset data = {0};
    dn_training how = {0};
    dn_trainer trainer;
    dn_net net = {0};
    dn_dataset_arrays(&data, 4, 2, &inputs[0][0], 2, labels, &error);
    dn_net_init(&net, 2, 1);
    for (size_t i = 0; i < 8; i++) dn_net_dense(&net, 3 + i, i % 2 ? DN_TANH : DN_LINEAR);
    dn_net_dropout(&net, (dn_real)0.25);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    dn_net_note(&net, "a \"note\"\n", "caf\xc3\xa9 \\\\ \xf0\x9f\x98\x80 \x01");
    how.patience = 3;
    dn_trainer_init(&trainer, &net, &data, &data, &how, &error);
    dn_trainer_epoch(&trainer);
    return count != 3 || dn_net_save(&net, names[1], &error) || dn_trainer_save(&trainer, names[2], &error);
}
END
check "a program is compiled" "${CC:-cc}" -O1 "$work/make.c" -o "$work/make" -lm
check "it saves a model and a checkpoint" "$work/make" "$work/model.safetensors" "$work/checkpoint.safetensors"

cat >"$hub/judge.mjs" <<'END'
// Prints a line per tensor and note that the judge finds, or why it refuses the file.
import { readFileSync } from "node:fs";
import { parseSafetensorsMetadata } from "@huggingface/hub";
const bytes = readFileSync(process.argv[2]);
// Answers every request, as a server would, with the range that is asked for of the file.
async function local(address, options = {}) {
    const headers = new Headers(options.headers);
    if (!String(address).includes("m.safetensors")) return new Response("", { status: 404, headers: { "X-Error-Code": "EntryNotFound" } });
    const range = /bytes=(\d+)-(\d+)/.exec(headers.get("range") ?? "");
    const first = range ? Number(range[1]) : 0;
    const last = range ? Math.min(Number(range[2]), bytes.length - 1) : bytes.length - 1;
    const response = new Response(bytes.subarray(first, last + 1), {
        status: range ? 206 : 200,
        headers: { "Content-Range": `bytes ${first}-${last}/${bytes.length}`, "Content-Length": String(last - first + 1), ETag: '"1"' },
    });
    Object.defineProperty(response, "url", { value: String(address) });
    return response;
}
const found = await parseSafetensorsMetadata({
    repo: "nobody/nothing", path: "m.safetensors", computeParametersCount: true, fetch: local, hubUrl: "http://local" });
const { __metadata__: notes, ...tensors } = found.header;
for (const [name, value] of Object.entries(notes)) console.log(JSON.stringify(name) + "=" + JSON.stringify(value));
for (const [name, tensor] of Object.entries(tensors)) console.log(`${name} ${tensor.dtype} [${tensor.shape}] ${tensor.data_offsets}`);
console.log("parameters " + JSON.stringify(found.parameterCount));
END
judge() { node "$hub/judge.mjs" "$1" >"$work/judged" 2>"$work/refused"; }

check "the model is accepted" judge "$work/model.safetensors"
check "with its layers" says "$work/judged" '"layers"="2, 3 linear, 4 tanh, 5 linear, 6 tanh, 7 linear, 8 tanh, 9 linear, 10 tanh, dropout 0.25, 2 softmax"'
check "the first weights" says "$work/judged" '0.weight F32 [3,2] 0,24'
check "the last, behind all the others" says "$work/judged" '13.weight F32 [2,10]'
check "a note in all its characters" says "$work/judged" '"a \"note\"\n"="café \\ 😀 \u0001"'
check "and the number of parameters" says "$work/judged" 'parameters {"F32":402}'
check "the checkpoint is accepted" judge "$work/checkpoint.safetensors"
check "with the state of the optimizer" says "$work/judged" 'trainer.second F32 [402]'
head -c 900 "$work/model.safetensors" >"$work/cut.safetensors"
check "a model that was cut off is not" fails judge "$work/cut.safetensors"
done_testing
