/* The machine's limits and our matrix product: bench_product [seconds] prints
       peak THREADS GFLOPS      a loop of independent multiply-adds in registers
       memory GB/s              reading an array that fits no cache
       product SHAPE ... GFLOPS the naive lines, and each instruction set */
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"
#include <time.h>

/* Seconds of this thread on its core: other programs on the machine count less. */
static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#ifdef DNI_HAS_X86
/* Ten sums that do not wait for each other, for whichever vectors the machine has. */
__attribute__((target("avx512f"))) static double peak_512(long rounds) {
    __m512 s[10];
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(0.001f);
    for (int i = 0; i < 10; i++) s[i] = _mm512_set1_ps((float)i);
    __m512 a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7], i = s[8], j = s[9];
    const double start = seconds();
    for (long r = 0; r < rounds; r++) {
#define STEP(v) v = _mm512_fmadd_ps(v, x, y);
        STEP(a) STEP(b) STEP(c) STEP(d) STEP(e) STEP(f) STEP(g) STEP(h) STEP(i) STEP(j)
#undef STEP
    }
    const double took = seconds() - start;
    float out[16];
    _mm512_storeu_ps(out, a + b + c + d + e + f + g + h + i + j);
    return out[3] == 12345 ? 0 : 32.0 * 10 * (double)rounds / took * 1e-9;
}

__attribute__((target("avx2,fma"))) static double peak_256(long rounds) {
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);
    __m256 a = x, b = y, c = x, d = y, e = x, f = y, g = x, h = y, i = x, j = y;
    const double start = seconds();
    for (long r = 0; r < rounds; r++) {
#define STEP(v) v = _mm256_fmadd_ps(v, x, y);
        STEP(a) STEP(b) STEP(c) STEP(d) STEP(e) STEP(f) STEP(g) STEP(h) STEP(i) STEP(j)
#undef STEP
    }
    const double took = seconds() - start;
    float out[8];
    _mm256_storeu_ps(out, a + b + c + d + e + f + g + h + i + j);
    return out[3] == 12345 ? 0 : 16.0 * 10 * (double)rounds / took * 1e-9;
}
#endif

static double median(double *values, int count) {
    for (int i = 1; i < count; i++)
        for (int j = i; j > 0 && values[j] < values[j - 1]; j--) {
            const double other = values[j];
            values[j] = values[j - 1];
            values[j - 1] = other;
        }
    return values[count / 2];
}

static dn_real a[1024 * 1024], b[1024 * 1024], c[1024 * 1024];

static void naive(size_t m, size_t n, size_t k) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            dn_real sum = 0;
            for (size_t l = 0; l < k; l++) sum += a[i * k + l] * b[l * n + j];
            c[i * n + j] = sum;
        }
}

/* Median of five; `by` NULL: the naive lines. */
static double rate(const dni_arithmetic *by, dn_product use, size_t B, size_t I, size_t O, bool zeroes) {
    const size_t m = use == DN_AT_B ? I : B, n = use == DN_A_BT ? I : O;
    const size_t k = use == DN_A_B ? I : use == DN_AT_B ? B : O;
    const double work = 2.0 * (double)B * (double)I * (double)O;
    double rates[5];
    dni_factor left = {a, I, 1}, right = {b, O, 1};
    if (use == DN_AT_B) left.row_stride = 1, left.column_stride = I;
    const int rounds = 1 + (int)((by == NULL ? 1e8 : 1e9) / work);
    for (int t = 0; t < 5; t++) {
        const double start = seconds();
        for (int r = 0; r < rounds; r++) {
            if (by == NULL) naive(m, n, k);
            else if (use == DN_A_BT) {
                dni_factor turned = {a, 1, O};
                by->product(I, B, O, right, turned, c, 1, I, false, false);
            } else by->product(m, n, k, left, right, c, n, 1, false, zeroes);
        }
        rates[t] = work * rounds / (seconds() - start) * 1e-9;
    }
    return median(rates, 5);
}

int main(void) {
    static const size_t shapes[][3] = {{1024, 1024, 1024}, {512, 784, 128}, {40, 784, 1000}, {128, 784, 10}};
    static const char *uses[] = {"X W", "X^T dZ", "dZ W^T"};
    dn_random random = dn_random_seed(1);
    double peak = 0, peak_avx2 = 0;
#ifdef DNI_HAS_X86
    double many[5];
    for (int t = 0; t < 5 && __builtin_cpu_supports("avx512f"); t++) many[t] = peak_512(20000000);
    if (__builtin_cpu_supports("avx512f")) peak = median(many, 5);
    for (int t = 0; t < 5 && __builtin_cpu_supports("fma"); t++) many[t] = peak_256(20000000);
    if (__builtin_cpu_supports("fma")) peak_avx2 = median(many, 5);
#endif
    printf("peak GFLOP/s, one core: AVX-512 %.1f, AVX2 %.1f\n", peak, peak_avx2);
    const size_t bytes = (size_t)256 << 20;
    uint64_t *large = (uint64_t *)malloc(bytes), sum = 0;
    memset(large, 1, bytes);
    const double start = seconds();
    for (size_t i = 0; i < bytes / 8; i += 8)
        sum += large[i] + large[i + 1] + large[i + 2] + large[i + 3] + large[i + 4] + large[i + 5] +
               large[i + 6] + large[i + 7];
    printf("memory read GB/s: %.1f%s\n", (double)bytes / (seconds() - start) * 1e-9, sum == 1 ? " " : "");
    free(large);
    for (size_t i = 0; i < 1024 * 1024; i++) {
        a[i] = (dn_real)dn_random_normal(&random);
        b[i] = (dn_real)dn_random_normal(&random);
    }
    printf("%-18s %-7s %8s %8s %8s %8s %7s\n", "B x I x O", "use", "naive", "portable", "avx2", "avx512",
           "of peak");
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int use = 0; use < 3; use++) {
            const size_t B = shapes[s][0], I = shapes[s][1], O = shapes[s][2];
            char text[40];
            snprintf(text, sizeof text, "%zu x %zu x %zu", B, I, O);
            printf("%-18s %-7s", text, uses[use]);
            if (use == 0) printf(" %8.2f", rate(NULL, DN_A_B, B, I, O, false));
            else printf(" %8s", "");
            printf(" %8.2f", B * I * O > 100000000 ? 0 : rate(&dni_arithmetic_portable, (dn_product)use, B, I, O, false));
            double best = 0;
#ifdef DNI_HAS_X86
            if (peak_avx2 > 0) printf(" %8.1f", rate(&dni_arithmetic_avx2, (dn_product)use, B, I, O, false));
            if (peak > 0) printf(" %8.1f", best = rate(&dni_arithmetic_avx512, (dn_product)use, B, I, O, false));
#endif
            printf(" %6.0f%%\n", peak > 0 ? 100 * best / peak : 0);
            fflush(stdout);
        }
    /* Digits: of 8 neighbouring rows, or columns, about half can be left out. */
    for (size_t s = 0; s < 1024 * 1024; s++) a[s] = 0;
    for (size_t r = 0; r < 40; r++)
        for (size_t k = 0; k < 784; k++)
            if (dn_random_uniform(&random) < 0.05 || (k / 14 % 4 == 1 && dn_random_uniform(&random) < 0.7))
                a[r * 784 + k] = (dn_real)dn_random_uniform(&random);
    const dni_arithmetic *mine = dni_arithmetic_of_this_machine();
    for (int use = 0; use < 2; use++)
        printf("zeroes left out, 40 x 784 x 1000, %s: %.2f times as fast\n", uses[use],
               rate(mine, (dn_product)use, 40, 784, 1000, true) /
                   rate(mine, (dn_product)use, 40, 784, 1000, false));
    return 0;
}
