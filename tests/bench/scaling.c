/* How the cost of training grows: for nets 784-H-10 (ReLU, softmax, SGD) and batches of B samples,
   a line each, tab-separated:

       hidden  batch  seconds_per_sample  ratio  digits_seconds_per_sample  digits_ratio

   First for random samples without a zero, then for those of MNIST, whose zeroes are left out.
   ratio: to the time of all multiply-adds at the speed of a loop of nothing else (the roofline),
   which is measured before each repetition, since a warm core is slower. All are medians.

   usage: scaling FOLDER, that of MNIST's training set */
#define _POSIX_C_SOURCE 200809L
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"
#include "peak.h"

enum { INPUTS = 784, CLASSES = 10, LARGEST = 4096, REPETITIONS = 5 };

static int ascending(const void *a, const void *b) {
    const double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double seconds_per_sample(size_t hidden, size_t batch, const dn_dataset *data,
                                 double *ratio) {
    dn_net net = {0};
    dn_training how = {0};
    dn_trainer trainer;
    dn_error error;
    double times[REPETITIONS], ratios[REPETITIONS], cpu;
    dn_net_init(&net, INPUTS, 1);
    dn_net_dense(&net, hidden, DN_RELU);
    dn_net_dense(&net, CLASSES, DN_SOFTMAX);
    how.batch = batch;
    how.epochs = 1000000;
    how.optimizer = dn_sgd(1e-4f);
    if (dn_trainer_init(&trainer, &net, data, NULL, &how, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    const double work = 2e-9 * (double)((2 * INPUTS + 3 * CLASSES) * hidden); /* of a sample */
    const int rounds = 1 + (int)(2 / (work * (double)batch));
    dn_trainer_step(&trainer);
    for (int t = 0; t < REPETITIONS; t++) {
        const double peak = peak_gflops(peak_instructions(NULL), 0.01, &cpu);
        const double start = peak_seconds(CLOCK_MONOTONIC);
        for (int r = 0; r < rounds; r++) dn_trainer_step(&trainer);
        times[t] = (peak_seconds(CLOCK_MONOTONIC) - start) / rounds / (double)batch;
        ratios[t] = times[t] / (work / peak);
    }
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    qsort(times, REPETITIONS, sizeof *times, ascending);
    qsort(ratios, REPETITIONS, sizeof *ratios, ascending);
    *ratio = ratios[REPETITIONS / 2];
    return times[REPETITIONS / 2];
}

int main(int count, char **arguments) {
    dn_random random = dn_random_seed(1);
    dn_real *values = (dn_real *)malloc(LARGEST * INPUTS * sizeof *values);
    int32_t labels[LARGEST];
    char images[1000], answers[1000];
    dn_dataset mnist = {0}, digits, dense = {0};
    dn_error error;
    if (count != 2) {
        fprintf(stderr, "usage: scaling FOLDER, that of MNIST's training set\n");
        return 2;
    }
    if (values == NULL) {
        fprintf(stderr, "no memory for %d samples\n", LARGEST);
        return 1;
    }
    snprintf(images, sizeof images, "%s/train-images-idx3-ubyte", arguments[1]);
    snprintf(answers, sizeof answers, "%s/train-labels-idx1-ubyte", arguments[1]);
    for (size_t i = 0; i < LARGEST * INPUTS; i++) values[i] = (dn_real)dn_random_normal(&random);
    for (size_t i = 0; i < LARGEST; i++) labels[i] = (int32_t)dn_random_below(&random, CLASSES);
    if (dn_dataset_load(&mnist, images, answers, &error) ||
        dn_dataset_range(&mnist, 0, LARGEST, &digits, &error) ||
        dn_dataset_arrays(&dense, LARGEST, INPUTS, values, CLASSES, labels, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("hidden\tbatch\tseconds_per_sample\tratio\tdigits_seconds_per_sample\tdigits_ratio\n");
    for (size_t hidden = 64; hidden <= LARGEST; hidden *= 2) {
        for (size_t batch = 1; batch <= LARGEST; batch *= 4) {
            double ratio, digits_ratio;
            const double seconds = seconds_per_sample(hidden, batch, &dense, &ratio);
            const double of_digits = seconds_per_sample(hidden, batch, &digits, &digits_ratio);
            printf("%zu\t%zu\t%.4g\t%.3f\t%.4g\t%.3f\n", hidden, batch, seconds, ratio,
                   of_digits, digits_ratio);
            fflush(stdout);
        }
    }
    dn_dataset_free(&mnist);
    free(values);
    return 0;
}
