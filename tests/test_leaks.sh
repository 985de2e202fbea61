#!/bin/sh
# Under valgrind: a program that loads, trains, evaluates, saves and frees, and one that
# fails on the way, lose no byte and read none that was not written.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
if ! have valgrind; then
    skip 4 "no valgrind (Debian package valgrind)"
    done_testing
fi
cd "$work" || exit 1

cat >small.c <<'END'
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
#include <stdio.h>
#include <string.h>

int main(int count, char **arguments) {
    unsigned char images[16 + 40 * 16] = {0, 0, 8, 3, 0, 0, 0, 40, 0, 0, 0, 4, 0, 0, 0, 4};
    unsigned char labels[8 + 40] = {0, 0, 8, 1, 0, 0, 0, 40};
    dn_error error = {0};
    dn_dataset all = {0}, train = {0}, test = {0}, one_hot = {0};
    dn_net net = {0}, copy = {0};
    dn_training how = {0};
    dn_history history = {0};
    dn_random random = dn_random_seed(1);
    dn_status status;
    for (size_t i = 0; i < 40; i++) {
        labels[8 + i] = (unsigned char)(i % 4);
        for (size_t k = 0; k < 16; k++)
            images[16 + 16 * i + k] = (unsigned char)(k / 4 == i % 4 ? 200 + i : k);
    }
    if (count > 1 && strcmp(arguments[1], "bad") == 0) labels[7] = 41;
    status = dn_dataset_memory(&all, images, sizeof images, labels, sizeof labels, &error);
    if (!status) status = dn_dataset_split(&all, 30, &random, &train, &test, &error);
    if (!status) status = dn_dataset_one_hot(&train, &one_hot, &error);
    dn_net_init(&net, count > 1 && strcmp(arguments[1], "narrow") == 0 ? 15 : 16, 1);
    dn_net_dense(&net, 20, DN_RELU);
    dn_net_dropout(&net, (dn_real)0.25);
    dn_net_dense(&net, 10, DN_SOFTMAX);
    how.epochs = 5;
    how.batch = 7;
    how.patience = 3;
    how.history = &history;
    if (!status) status = dn_train(&net, &train, &test, &how, &error);
    if (!status) status = dn_net_copy(&copy, &net, &error);
    if (!status) status = dn_history_save(&history, "log.tsv", "a\nb", &error);
    if (!status) printf("accuracy %g\n", dn_evaluate(&copy, &test).accuracy);
    if (status) printf("%s\n", error.message);
    dn_history_free(&history);
    dn_net_free(&copy);
    dn_net_free(&net);
    dn_dataset_free(&one_hot);
    dn_dataset_free(&test);
    dn_dataset_free(&train);
    dn_dataset_free(&all);
    return status != DN_OK;
}
END
clean() { valgrind -q --leak-check=full --show-leak-kinds=all --errors-for-leak-kinds=all \
    --error-exitcode=99 "$@"; }
# fails_clean COMMAND...: exits with 1, the program's own word, and not with valgrind's 99.
fails_clean() { clean "$@"; [ $? = 1 ]; }

check "it builds" "${CC:-cc}" -g -O1 -I"$root" small.c -o small -lm
check "training, evaluation, copy, log: no leak" clean ./small
check "labels that do not fit the images: no leak" fails_clean ./small bad
check "a net of the wrong width: no leak" fails_clean ./small narrow
done_testing
