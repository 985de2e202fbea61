/* densenet.h in the benchmark, through its public interface alone. */
#define _POSIX_C_SOURCE 200809L
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"
#include "peer.h"

static dn_dataset train, train_part, test;
static dn_net net;
static dn_trainer trainer;
static dn_real *numbers, *outputs; /* of the test set, for inference */
static void *buffer;
static char set[20];

static const char *prepare(const workload *w, const char *data) {
    static dn_error error;
    char name[4][1000];
    const char *file[4] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                           "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};
    for (int i = 0; i < 4; i++) snprintf(name[i], sizeof name[i], "%s/%s/%s", data, w->set, file[i]);
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    if (strcmp(set, w->set) != 0) {
        dn_dataset_free(&train);
        dn_dataset_free(&test);
        if (dn_dataset_load(&train, name[0], name[1], &error) ||
            dn_dataset_load(&test, name[2], name[3], &error))
            return error.message;
        snprintf(set, sizeof set, "%s", w->set);
    }
    const dn_activation functions[] = {DN_LINEAR, DN_RELU, DN_TANH, DN_SIGMOID, DN_SOFTMAX};
    dn_net_init(&net, PIXELS, 1);
    for (int i = 0; i < w->hidden_layers; i++)
        dn_net_dense(&net, (size_t)w->hidden[i], functions[w->function]);
    if (w->dropout > 0) dn_net_dropout(&net, w->dropout);
    dn_net_dense(&net, CLASSES, functions[w->output]);

    dn_training how = {0};
    how.epochs = 1000;
    how.batch = is_inference(w) ? 40 : (size_t)w->batch;
    how.loss = w->output == SIGMOID ? DN_MEAN_SQUARED_ERROR : DN_CROSS_ENTROPY;
    how.optimizer = w->method == SGD        ? dn_sgd(w->rate)
                    : w->method == MOMENTUM ? dn_momentum(w->rate, 0.9f)
                                            : dn_adam(w->rate);
    if (dn_dataset_range(&train, 0, is_inference(w) ? SHORT_TRAINING : (size_t)w->samples,
                         &train_part, &error) ||
        dn_trainer_init(&trainer, &net, &train_part, NULL, &how, &error))
        return error.message;
    if (is_inference(w)) {
        dn_trainer_epoch(&trainer);
        free(numbers);
        free(outputs);
        free(buffer);
        numbers = (dn_real *)malloc(TESTS * PIXELS * sizeof *numbers);
        outputs = (dn_real *)malloc(TESTS * CLASSES * sizeof *outputs);
        buffer = malloc(dn_predict_size(&net, (size_t)w->batch));
        dn_dataset_gather(&test, NULL, 0, TESTS, numbers);
    }
    return NULL;
}

static double run(const workload *w) {
    if (is_inference(w))
        for (size_t first = 0, count = (size_t)w->batch; first < TESTS; first += count)
            dn_predict(&net, numbers + first * PIXELS, count, outputs + first * CLASSES, buffer,
                       NULL);
    else
        dn_trainer_epoch(&trainer);
    return 1;
}

static double accuracy(const workload *w) {
    if (!is_inference(w)) return dn_evaluate(&net, &test).accuracy;
    int correct = 0;
    for (size_t s = 0; s < TESTS; s++)
        correct += (int32_t)dn_largest(outputs + s * CLASSES, CLASSES) == test.labels[s];
    return (double)correct / TESTS;
}

int main(int argc, char **argv) { return serve(argc, argv); }
