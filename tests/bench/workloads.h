/* The workloads of the bench, once for all programs in C: W1 to W5 are trained for an epoch,
   I1 predicts 10,000 images in batches of 1000, I2 one image at a time. */
#ifndef WORKLOADS_H
#define WORKLOADS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct workload {
    const char *name, *data;
    int layers, units[4]; /* of the layers behind the 784 inputs */
    int batch, samples;
} workload;

static const workload workloads[] = {
    {"W1", "mnist", 2, {1000, 10, 0, 0}, 40, 50000},
    {"W2", "mnist", 2, {128, 10, 0, 0}, 128, 48000},
    {"W3", "mnist", 3, {128, 128, 10, 0}, 512, 60000},
    {"W4", "mnist", 1, {10, 0, 0, 0}, 128, 48000},
    {"W5", "fashion-mnist", 3, {256, 128, 10, 0}, 64, 60000},
    {"I1", "mnist", 2, {1000, 10, 0, 0}, 1000, 10000},
    {"I2", "mnist", 2, {128, 10, 0, 0}, 1, 10000}};

static inline const workload *find_workload(const char *name) {
    for (size_t i = 0; i < sizeof workloads / sizeof *workloads; i++)
        if (strcmp(workloads[i].name, name) == 0) return &workloads[i];
    fprintf(stderr, "no workload %s\n", name);
    exit(2);
}

static inline double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
