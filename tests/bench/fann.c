/* FANN in the benchmark. It has no ReLU, no softmax, no cross-entropy, and neither momentum nor
   Adam for batches: hidden layers are tanh, outputs sigmoid, the loss is its squared error, the
   step plain descent on the mean gradient of a batch. It would take minutes for the larger
   workloads: it trains every 20th of the samples, and its time is multiplied. */
#include "peer.h"
#include <fann.h>

enum { PART = 20 };

static struct fann *net;
static images train, test;
static float *train_numbers, *test_numbers, one_hot[CLASSES][CLASSES];
static int order[60000];
static uint64_t state;
static unsigned char predicted[TESTS];

static void epoch(const workload *w, int batch, int samples) {
    static fann_type *inputs[60000], *outputs[60000];
    (void)w;
    for (int i = 0; i < samples; i++) order[i] = i;
    shuffle(&state, samples, order);
    for (int i = 0; i < samples; i++) {
        inputs[i] = train_numbers + (size_t)order[i] * PIXELS;
        outputs[i] = one_hot[train.labels[order[i]]];
    }
    for (int first = 0; first < samples; first += batch) {
        struct fann_train_data part;
        memset(&part, 0, sizeof part);
        part.num_data = (unsigned)(samples - first < batch ? samples - first : batch);
        part.num_input = PIXELS;
        part.num_output = CLASSES;
        part.input = inputs + first;
        part.output = outputs + first;
        fann_train_epoch(net, &part);
    }
}

static int predict(const float *numbers) {
    const fann_type *p = fann_run(net, (fann_type *)numbers);
    int best = 0;
    for (int j = 1; j < CLASSES; j++)
        if (p[j] > p[best]) best = j;
    return best;
}

static const char *prepare(const workload *w, const char *data) {
    static const char *set;
    unsigned sizes[4] = {PIXELS, 0, 0, 0};
    if (set != w->set) {
        free_images(&train);
        free_images(&test);
        free(train_numbers);
        free(test_numbers);
        train = read_images(data, w->set, false);
        test = read_images(data, w->set, true);
        train_numbers = scaled(train.bytes, (size_t)60000 * PIXELS);
        test_numbers = scaled(test.bytes, (size_t)TESTS * PIXELS);
        set = w->set;
    }
    for (int i = 0; i < CLASSES; i++) one_hot[i][i] = 1;
    for (int i = 0; i < w->hidden_layers; i++) sizes[i + 1] = (unsigned)w->hidden[i];
    sizes[w->hidden_layers + 1] = CLASSES;
    if (net) fann_destroy(net);
    net = fann_create_standard_array((unsigned)w->hidden_layers + 2, sizes);
    fann_set_training_algorithm(net, FANN_TRAIN_BATCH);
    fann_set_activation_function_hidden(net, FANN_SIGMOID_SYMMETRIC);
    fann_set_activation_function_output(net, FANN_SIGMOID);
    fann_set_learning_rate(net, 0.5f);
    state = 1;
    if (is_inference(w)) epoch(w, 10, SHORT_TRAINING / 6);
    return NULL;
}

static double run(const workload *w) {
    if (is_inference(w)) {
        const int part = w->hidden[0] > 500 ? 10 : 1;
        for (int s = 0; s < TESTS / part; s++) predicted[s] = (unsigned char)predict(test_numbers + s * PIXELS);
        return part;
    }
    epoch(w, w->batch, w->samples / PART);
    return PART;
}

static double accuracy(const workload *w) {
    int correct = 0;
    (void)w;
    for (int s = 0; s < TESTS / 10; s++) correct += predict(test_numbers + s * PIXELS) == test.labels[s];
    return (double)correct / (TESTS / 10);
}

int main(int argc, char **argv) { return serve(argc, argv); }
