/* The matrix product alone, in its three uses, beside the machine's limit. Prints, for the
   instruction set that it was built for (-DDN_INSTRUCTIONS=avx2 ...) and as many threads as
   OMP_NUM_THREADS says, a line for each shape and use:

       product BxIxO USE INSTRUCTIONS THREADS GFLOPS SHARE_OF_PEAK

   and, on one thread, how much leaving out zeroes gains. With -DDN_USE_CBLAS the products are those
   of a BLAS, and INSTRUCTIONS is "blas". */
#define _POSIX_C_SOURCE 200809L
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"
#include "peak.h"

enum { MOST = 1024 * 1024, REPETITIONS = 7 };
static dn_real *x, *w, *z; /* whole cache lines, as all arrays of the library */
static uint64_t marks[40 * 16]; /* of x, where zeroes are left out */

static int ascending(const void *a, const void *b) {
    const double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(double *values) {
    qsort(values, REPETITIONS, sizeof *values, ascending);
    return values[REPETITIONS / 2];
}

static void multiply(int use, size_t B, size_t I, size_t O, bool zeroes) {
    const dn_matrix X = dn_matrix_view(x, B, I), W = dn_matrix_view(w, I, O);
    const dn_matrix Z = dn_matrix_view(z, B, O);
    if (use == DN_A_B) dni_multiply(DN_A_B, &X, &W, &Z, NULL, 0, zeroes, zeroes ? marks : NULL);
    if (use == DN_AT_B) dni_multiply(DN_AT_B, &X, &Z, &W, NULL, 0, zeroes, zeroes ? marks : NULL);
    if (use == DN_A_BT) dni_multiply(DN_A_BT, &Z, &W, &X, NULL, 0, false, NULL);
}

static void naive(size_t B, size_t I, size_t O) {
    for (size_t b = 0; b < B; b++)
        for (size_t o = 0; o < O; o++) {
            dn_real sum = 0;
            for (size_t i = 0; i < I; i++) sum += x[b * I + i] * w[i * O + o];
            z[b * O + o] = sum;
        }
}

/* GFLOP/s: the median; and `share` of the peak: of the median of their ratios, for each repetition
   has a measurement of the peak before it. (A core gets slower as it gets warm: on a Xeon the peak
   was 227 to begin with, and 190 between products.) `use` -1: the naive lines. */
static double rate(int use, size_t B, size_t I, size_t O, bool zeroes, double *share) {
    const double work = 2e-9 * (double)B * (double)I * (double)O;
    const char *name = dni_arithmetic_of_this_machine()->name;
    const bool slow = use < 0 || strcmp(name, "portable") == 0;
    const int rounds = 1 + (int)((slow ? 0.05 : 1.0) / work);
    double rates[REPETITIONS], shares[REPETITIONS], cpu;
    for (int t = 0; t < REPETITIONS; t++) {
        const double peak = peak_gflops(name, 0.01, &cpu);
        const double start = peak_seconds(CLOCK_MONOTONIC);
        for (int r = 0; r < rounds; r++)
            if (use < 0) naive(B, I, O);
            else multiply(use, B, I, O, zeroes);
        rates[t] = work * rounds / (peak_seconds(CLOCK_MONOTONIC) - start);
        shares[t] = rates[t] / peak;
    }
    *share = median(shares);
    return median(rates);
}

static void fill(dn_random *random) {
    for (size_t i = 0; i < MOST; i++) {
        x[i] = (dn_real)dn_random_normal(random);
        w[i] = (dn_real)dn_random_normal(random);
        z[i] = (dn_real)dn_random_normal(random);
    }
}

int main(void) {
    static const size_t shapes[][3] = {
        {1024, 1024, 1024}, {512, 784, 128}, {40, 784, 1000}, {128, 784, 10}};
    static const char *uses[] = {"XW", "XtdZ", "dZWt"};
    x = (dn_real *)dni_allocate(MOST, sizeof *x);
    w = (dn_real *)dni_allocate(MOST, sizeof *w);
    z = (dn_real *)dni_allocate(MOST, sizeof *z);
    if (x == NULL || w == NULL || z == NULL) return 1;
    dn_random random = dn_random_seed(1);
    const dni_arithmetic *mine = dni_arithmetic_of_this_machine();
    const int threads = omp_get_max_threads();
    const char *name = mine->name;
    bool ours = true;
#ifdef DN_USE_CBLAS
    name = "blas";
    ours = false;
#endif
    double cpu, share, peaks[REPETITIONS];
    for (int t = 0; t < REPETITIONS; t++) peaks[t] = peak_gflops(mine->name, 0.05, &cpu);
    printf("peak\t%s\t%d\t%.1f\n", name, threads, median(peaks));
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const size_t B = shapes[s][0], I = shapes[s][1], O = shapes[s][2];
        fill(&random);
        if (threads == 1 && strcmp(name, "portable") == 0) {
            const double naive_rate = rate(-1, B, I, O, false, &share);
            printf("product\t%zux%zux%zu\tXW\tnaive\t1\t%.2f\t%.2f\n", B, I, O, naive_rate, share);
            if (s == 0) continue; /* minutes */
        }
        for (int use = 0; use < 3; use++) {
            const double now = rate(use, B, I, O, false, &share);
            printf("product\t%zux%zux%zu\t%s\t%s\t%d\t%.2f\t%.2f\n", B, I, O, uses[use], name,
                   threads, now, share);
            fflush(stdout);
        }
    }
    /* As many zeroes as digits have, in as long runs. */
    for (size_t i = 0; i < 40 * 784; i++)
        x[i] = dn_random_uniform(&random) < (i % 784 / 14 % 4 == 1 ? 0.7 : 0.05) ? x[i] : 0;
    for (size_t b = 0; b < 40; b++) mine->mark(x + b * 784, 784, marks + b * dni_marks_size(784));
    for (int use = 0; use < 2 && threads == 1 && ours; use++)
        printf("zeroes\t40x784x1000\t%s\t%s\t1\t%.2f\n", uses[use], name,
               rate(use, 40, 784, 1000, true, &share) / rate(use, 40, 784, 1000, false, &share));
    dni_release(x);
    dni_release(w);
    dni_release(z);
    return 0;
}
