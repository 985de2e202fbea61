/* peer.h: what the contenders of the benchmark that are written in C have in common: the table
   of workloads, the data, the clocks, and the conversation with tests/bench/run.

   A contender is a program that is started once and answers requests, a line each, so that all
   contenders can take turns, and foreign load hits them alike:

       prepare W1     makes the net and the data         ready | unable REASON
       run            trains an epoch, or predicts       SECONDS CPU_SECONDS
       accuracy       on the test set                    SHARE

   With the arguments DATA first it trains one epoch of W2 instead, from reading the files to
   the accuracy on the test set, and ends. */
#ifndef PEER_H
#define PEER_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIXELS = 784, CLASSES = 10, TESTS = 10000 };
enum function { LINEAR, RELU, TANH, SIGMOID, SOFTMAX };
enum method { SGD, MOMENTUM, ADAM };

/* The same table stands in peer.py. The loss is cross-entropy, behind the sigmoid of W1 half the
   squared error. I1 and I2 are inference with the nets of W1 and W2, after a short training. */
typedef struct workload {
    const char *name, *set;
    int hidden_layers, hidden[2];
    enum function function, output;
    enum method method;
    float rate, dropout; /* dropout stands before the output layer */
    int batch, samples;
} workload;

static const workload workloads[] = {
    {"W1", "mnist", 1, {1000, 0}, RELU, SIGMOID, SGD, 0.03f, 0, 40, 50000},
    {"W2", "mnist", 1, {128, 0}, TANH, SOFTMAX, MOMENTUM, 0.05f, 0, 128, 48000},
    {"W3", "mnist", 2, {128, 128}, RELU, SOFTMAX, ADAM, 0.001f, 0.25f, 512, 60000},
    {"W4", "mnist", 0, {0, 0}, LINEAR, SOFTMAX, SGD, 0.1f, 0, 128, 48000},
    {"W5", "fashion-mnist", 2, {256, 128}, RELU, SOFTMAX, SGD, 0.05f, 0, 64, 60000},
    {"I1", "mnist", 1, {1000, 0}, RELU, SIGMOID, SGD, 0.03f, 0, 1000, TESTS},
    {"I2", "mnist", 1, {128, 0}, TANH, SOFTMAX, MOMENTUM, 0.05f, 0, 1, TESTS},
};
enum { WORKLOADS = (int)(sizeof workloads / sizeof *workloads), SHORT_TRAINING = 6000 };

static bool is_inference(const workload *w) { return w->name[0] == 'I'; }

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* To be written by each contender. prepare returns NULL, or why it cannot do the workload; run
   returns the factor by which its time has to be multiplied (1 unless it did only a part). */
static const char *prepare(const workload *w, const char *data);
static double run(const workload *w);
static double accuracy(const workload *w);

static int serve(int argc, char **argv) {
    char line[100], name[20];
    const workload *w = NULL;
    if (argc > 2 && strcmp(argv[2], "first") == 0) {
        const char *why = prepare(&workloads[1], argv[1]);
        if (why) fprintf(stderr, "%s\n", why);
        else run(&workloads[1]), printf("%.4f\n", accuracy(&workloads[1]));
        return why != NULL;
    }
    if (argc != 2) return fprintf(stderr, "usage: %s DATA [first]\n", argv[0]), 2;
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "prepare %19s", name) == 1) {
            w = NULL;
            for (int i = 0; i < WORKLOADS; i++)
                if (strcmp(workloads[i].name, name) == 0) w = &workloads[i];
            const char *why = w ? prepare(w, argv[1]) : "no such workload";
            printf(why ? "unable %s\n" : "ready\n", why);
        } else if (strcmp(line, "run\n") == 0 && w) {
            const double start = seconds_of(CLOCK_MONOTONIC);
            const double start_cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
            const double factor = run(w);
            const double seconds = seconds_of(CLOCK_MONOTONIC) - start;
            const double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start_cpu;
            const double per = strcmp(w->name, "I2") == 0 ? TESTS : 1;
            printf("%.9g %.9g\n", factor * seconds / per, factor * cpu / per);
        } else if (strcmp(line, "accuracy\n") == 0 && w) {
            printf("%.4f\n", accuracy(w));
        } else {
            printf("unable what?\n");
        }
        fflush(stdout);
    }
    return 0;
}

/* ---- Data, for those that do not bring a reader. */

typedef struct images {
    int count;
    unsigned char *bytes, *labels; /* [count, PIXELS], [count] */
} images;

static inline unsigned char *read_file(const char *folder, const char *set, const char *name,
                                       long skip, long size) {
    char path[1000];
    unsigned char *bytes = (unsigned char *)malloc((size_t)size);
    snprintf(path, sizeof path, "%s/%s/%s", folder, set, name);
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, skip, SEEK_SET) || fread(bytes, (size_t)size, 1, file) != 1) {
        fprintf(stderr, "%s: cannot be read ('make data' gets it)\n", path);
        exit(1);
    }
    fclose(file);
    return bytes;
}

static inline images read_images(const char *folder, const char *set, bool test) {
    images set_of;
    set_of.count = test ? TESTS : 60000;
    set_of.bytes = read_file(folder, set, test ? "t10k-images-idx3-ubyte" : "train-images-idx3-ubyte",
                             16, (long)set_of.count * PIXELS);
    set_of.labels = read_file(folder, set, test ? "t10k-labels-idx1-ubyte" : "train-labels-idx1-ubyte",
                              8, set_of.count);
    return set_of;
}

static inline void free_images(images *set) {
    free(set->bytes);
    free(set->labels);
    memset(set, 0, sizeof *set);
}

static inline float *scaled(const unsigned char *bytes, size_t count) {
    float *numbers = (float *)aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64);
    for (size_t i = 0; i < count; i++) numbers[i] = (float)bytes[i] / 255;
    return numbers;
}

static inline uint64_t random_bits(uint64_t *state) { /* splitmix64 */
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline float random_uniform(uint64_t *state) {
    return (float)(random_bits(state) >> 40) / 16777216;
}

static inline void shuffle(uint64_t *state, int count, int *order) {
    for (int i = count - 1; i > 0; i--) {
        const int j = (int)((random_bits(state) >> 32) * (uint64_t)(i + 1) >> 32), kept = order[i];
        order[i] = order[j];
        order[j] = kept;
    }
}
#endif
