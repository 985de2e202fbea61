#!/bin/sh
# No two threads touch the same number at the same time: a training with OpenMP under clang's
# ThreadSanitizer, and a broken one, which it must find.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
cat >"$work/threads.c" <<'END'
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
#include <stdio.h>
static dn_real x[200 * 100];
static int32_t y[200];
static dn_real outputs[200 * 5];
/* Layers of different width share the two buffers of a prediction. Several times: where one thread
   is done before the other starts, the sanitizer sees nothing. */
static int predict(void) {
    dn_net net = {0};
    dn_net_init(&net, 100, 1);
    dn_net_dense(&net, 200, DN_RELU);
    dn_net_dense(&net, 50, DN_RELU);
    dn_net_dense(&net, 20, DN_RELU);
    dn_net_dense(&net, 5, DN_SOFTMAX);
    bool wrong = false;
    for (int i = 0; i < 20; i++)
        wrong = dn_predict(&net, x, 200, outputs, NULL, NULL) != DN_OK || wrong;
    return wrong;
}
int main(void) {
    dn_random random = dn_random_seed(1);
    dn_dataset data = {0};
    dn_net net = {0};
    dn_training how = {0};
    dn_error error = {{0}, DN_OK};
    for (int i = 0; i < 200 * 100; i += 5) /* four of five are 0, and left out */
        x[i] = (dn_real)dn_random_normal(&random);
    for (int i = 0; i < 200; i++) y[i] = (int32_t)dn_random_below(&random, 5);
    dn_dataset_arrays(&data, 200, 100, x, 5, y, &error);
    dn_net_init(&net, 100, 1);
    dn_net_dense(&net, 200, DN_TANH);
    dn_net_dense(&net, 5, DN_SOFTMAX);
    how.epochs = 2;
    how.batch = 100;
    how.optimizer = dn_adam((dn_real)0.001);
    return dn_train(&net, &data, NULL, &how, &error) != DN_OK || predict();
}
END
archer=$(find /usr/lib -name libarcher.so 2>/dev/null | head -n 1)
cp "$root/densenet.h" "$work"
# Portable C: the sanitizer does not see stores of whole vectors.
build() {
    clang -DDN_INSTRUCTIONS=portable -g -O1 -fopenmp -fsanitize=thread "$work/threads.c" \
        -o "$work/threads" -lm
}
if [ -z "$archer" ] || ! have clang || ! build 2>/dev/null; then
    echo "1..0 # SKIP needs clang with ThreadSanitizer and libarcher.so (Debian packages clang, libomp-dev)"
    exit 0
fi
# The tool tells the sanitizer of OpenMP's own agreements, without which it sees races everywhere.
clean() {
    OMP_NUM_THREADS=2 OMP_TOOL_LIBRARIES=$archer TSAN_OPTIONS=ignore_noninstrumented_modules=1 \
        "$work/threads"
}
check "training and prediction on two threads have no data race" clean
# put_in SED_COMMAND
put_in() {
    sed "$1" "$root/densenet.h" >"$work/densenet.h"
    cmp -s "$root/densenet.h" "$work/densenet.h"
    [ $? = 1 ]
    ok $? "a race is put in"
    check "which is compiled" build
    check "and found" fails clean
}
put_in 's|const size_t first = units \* (size_t)thread / count \* unit;|const size_t first = 0;|'
put_in 's|to += first \* (l == last ? layer->outputs : dni_widest(net));|to += first * layer->outputs;|'
put_in 's|work(context, first, end < rows ? end : rows);|work(context, 0, end < rows ? end : rows);|'
done_testing
