/* Evaluation and prediction, counted by hand on small cases; and what prediction allocates. */
#include "counting.h"
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

/* Three inputs, three outputs: the logits are the inputs. */
static void make_identity(dn_net *net, dn_activation activation) {
    static const dn_real diagonal[9] = {1, 0, 0, 0, 1, 0, 0, 0, 1};
    dn_dense dense;
    memset(&dense, 0, sizeof dense);
    dense.outputs = 3;
    dense.activation = activation;
    dense.weights.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = diagonal;
    dn_net_init(net, 3, 1);
    dn_net_layer(net, &dense);
}

static void by_hand(void) {
    /*                          predicted: 0        1        1        2        0        2   */
    static const dn_real x[18] = {2, 1, 0, 0, 3, 1, 1, 2, 1, 0, 0, 1, 5, 0, 0, -1, -2, 4};
    static const int32_t labels[6] = {0, 1, 2, 2, 1, 2};
    dn_net net;
    dn_dataset data;
    size_t confusion[9], count = 0;
    dn_mistake mistakes[1];
    double loss = 0;
    make_identity(&net, DN_SOFTMAX);
    dn_dataset_arrays(&data, 6, 3, x, 3, labels, NULL);
    for (size_t s = 0; s < 6; s++) {
        double sum = 0;
        for (size_t j = 0; j < 3; j++) sum += exp((double)x[3 * s + j]);
        loss -= log(exp((double)x[3 * s + (size_t)labels[s]]) / sum) / 6;
    }
    const dn_evaluation seen = dn_evaluate(&net, &data);
    ok(seen.status == DN_OK && seen.count == 6 && seen.correct == 4, "four of six are right");
    is_close(seen.accuracy, 4.0 / 6, 1e-15, "accuracy");
    is_close(seen.loss, loss, 1e-6, "loss");

    static const size_t expected[9] = {1, 0, 0, 1, 1, 0, 0, 1, 2};
    ok(dn_confusion(&net, &data, confusion, NULL) == DN_OK &&
           memcmp(confusion, expected, sizeof expected) == 0, "the confusion matrix");
    is_close(dn_class_accuracy(confusion, 3, 0), 1, 0, "class 0: all");
    is_close(dn_class_accuracy(confusion, 3, 1), 0.5, 1e-15, "class 1: half");
    is_close(dn_class_accuracy(confusion, 3, 2), 2.0 / 3, 1e-15, "class 2: two thirds");
    static const size_t empty[4] = {0, 0, 1, 1};
    const double none = dn_class_accuracy(empty, 2, 0);
    ok(none != none, "a class without samples: NaN");

    ok(dn_mistakes(&net, &data, mistakes, 1, &count, NULL) == DN_OK && count == 2 &&
           mistakes[0].sample == 2 && mistakes[0].label == 2 && mistakes[0].predicted == 1,
       "two mistakes, the first is sample 2, a 2 taken for a 1");
    is_close((double)mistakes[0].probability, exp(2.0) / (2 * exp(1.0) + exp(2.0)), 1e-6,
             "with its probability");

    dn_real outputs[18], part[6];
    dn_predict(&net, x, 6, outputs, NULL, NULL);
    ok(dn_predict_dataset(&net, &data, 3, 2, part, NULL) == DN_OK &&
           memcmp(part, outputs + 9, sizeof part) == 0, "a range of a data set");
    ok(dn_largest(outputs + 6, 3) == 1 && dn_largest(x + 9, 2) == 0, "the largest; the first wins a tie");
    dn_net_free(&net);
}

static void single_output(void) {
    static const dn_real x[4] = {-1, 2, 1, -3}, w[1] = {1};
    static const int32_t labels[4] = {0, 1, 0, 0};
    dn_dense dense;
    dn_net net;
    dn_dataset data;
    size_t confusion[4], count;
    dn_mistake mistake;
    memset(&dense, 0, sizeof dense);
    dense.outputs = 1;
    dense.activation = DN_SIGMOID;
    dense.weights.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = w;
    dn_net_init(&net, 1, 1);
    dn_net_layer(&net, &dense);
    dn_dataset_arrays(&data, 4, 1, x, 2, labels, NULL);
    ok(dn_evaluate(&net, &data).correct == 3, "one output: class 1 above 1/2");
    dn_confusion(&net, &data, confusion, NULL);
    ok(confusion[0] == 2 && confusion[1] == 1 && confusion[2] == 0 && confusion[3] == 1,
       "its confusion matrix has two classes");
    dn_mistakes(&net, &data, &mistake, 1, &count, NULL);
    ok(count == 1 && mistake.sample == 2 && mistake.predicted == 1, "its mistake");
    is_close((double)mistake.probability, 1 / (1 + exp(-1.0)), 1e-6, "and that one's probability");
    dn_net_free(&net);
}

static void refusals(void) {
    static const dn_real x[6] = {0};
    static const int32_t labels[2] = {0, 3};
    dn_net net;
    dn_dataset data;
    dn_error error = {0};
    size_t confusion[9];
    make_identity(&net, DN_SOFTMAX);
    dn_dataset_arrays(&data, 3, 2, x, 3, labels, NULL);
    dn_dataset_targets(&data, 3, 2, x, 3, x, NULL);
    dn_evaluation seen = dn_evaluate(&net, &data);
    ok(seen.status == DN_ERROR_SHAPE && seen.loss != seen.loss && seen.accuracy != seen.accuracy,
       "the wrong width: status, NaN");
    ok(dn_confusion(&net, &data, confusion, &error) == DN_ERROR_ARGUMENT, "no labels: %s", error.message);
    dn_dataset_arrays(&data, 2, 3, x, 4, labels, NULL);
    ok(dn_confusion(&net, &data, confusion, &error) == DN_ERROR_SHAPE, "too many classes: %s",
       error.message);
    memset(&data, 0, sizeof data);
    ok(dn_evaluate(&net, &data).status == DN_ERROR_ARGUMENT, "an empty set");
    dn_net_free(&net);
}

static void memory(void) {
    enum { COUNT = 600 };
    static dn_real x[COUNT * 20], first[COUNT * 5], second[COUNT * 5];
    dn_net net;
    dn_random random = dn_random_seed(3);
    for (size_t i = 0; i < COUNT * 20; i++) x[i] = (dn_real)dn_random_normal(&random);
    dn_net_init(&net, 20, 3);
    dn_net_dense(&net, 30, DN_RELU);
    dn_net_dropout(&net, (dn_real)0.5);
    dn_net_dense(&net, 40, DN_TANH);
    dn_net_dense(&net, 5, DN_SOFTMAX);
    const size_t size = dn_predict_size(&net, COUNT);
    void *buffer = malloc(size);
    counting_reset(0);
    dn_predict(&net, x, COUNT, first, buffer, NULL);
    ok(counting.calls == 0, "with the caller's buffer (%zu bytes) prediction allocates nothing", size);
    dn_predict(&net, x, COUNT, second, NULL, NULL);
    ok(counting.calls == 1 && memcmp(first, second, sizeof first) == 0, "without, once; the same bits");
    bool same = true;
    for (size_t s = 0; s < COUNT; s += 37) {
        dn_predict(&net, x + 20 * s, 1, second, buffer, NULL);
        same = same && memcmp(second, first + 5 * s, 5 * sizeof *first) == 0;
    }
    ok(same, "a sample alone gives the bits that it gives among others");
    const size_t live = counting.live;
    for (size_t fail = 1; fail < 12; fail++) {
        dn_dataset data;
        dn_dataset_targets(&data, COUNT, 20, x, 5, first, NULL);
        counting_reset(fail);
        const dn_evaluation seen = dn_evaluate(&net, &data);
        if (seen.status == DN_OK) break;
        same = same && seen.status == DN_ERROR_MEMORY && counting.live == live;
    }
    ok(same, "evaluation without memory says so and leaks nothing");
    free(buffer);
    counting_reset(0);
    dn_net_free(&net);
    ok(counting.live == 0, "nothing is left");
}

int main(void) {
    by_hand();
    single_output();
    refusals();
    memory();
    return done();
}
