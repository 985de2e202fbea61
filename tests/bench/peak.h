/* peak.h: what one core, and several, can do at most: multiply-adds in registers, and bytes read
   from memory. Each function returns the rate over all threads: by the clock on the wall, and in
   *cpu by the processor time used, which a loaded machine does not disturb so much. */
#ifndef PEAK_H
#define PEAK_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#else
static inline int omp_get_max_threads(void) { return 1; }
static inline int omp_get_thread_num(void) { return 0; }
#endif
#ifdef __x86_64__
#include <immintrin.h>
#endif
#ifdef __aarch64__
#include <arm_neon.h>
#endif

static double peak_seconds(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* As many accumulators as hide the latency: on each of two units of four or five cycles at most.
   The factors come from memory, or the compiler would multiply them beforehand and only add. */
#define PEAK_TWELVE(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define PEAK_START(i) c##i = SET((float)i);
#define PEAK_STEP(i) c##i = FMA(x, y, c##i);
#define PEAK_LOOP(VECTOR)                                                                     \
    VECTOR x = SET(sink[0]), y = x, c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11;         \
    PEAK_TWELVE(PEAK_START)                                                                   \
    for (long i = 0; i < steps; i++) { PEAK_TWELVE(PEAK_STEP) }                               \
    c0 = ADD(ADD(ADD(c0, c1), ADD(c2, c3)), ADD(ADD(c4, c5), ADD(c6, c7)));                   \
    c0 = ADD(c0, ADD(ADD(c8, c9), ADD(c10, c11)));                                            \
    STORE(sink, c0)

/* Reads `bytes` bytes, a multiple of 512. */
#define READ_LOOP(VECTOR, XOR)                                                                \
    const VECTOR *p = (const VECTOR *)(const void *)from;                                     \
    const VECTOR *end = (const VECTOR *)(const void *)(from + bytes);                         \
    VECTOR s0 = *p, s1 = s0, s2 = s0, s3 = s0;                                                \
    for (; p < end; p += 8) {                                                                 \
        s0 = XOR(s0, p[0]), s1 = XOR(s1, p[1]), s2 = XOR(s2, p[2]), s3 = XOR(s3, p[3]);       \
        s0 = XOR(s0, p[4]), s1 = XOR(s1, p[5]), s2 = XOR(s2, p[6]), s3 = XOR(s3, p[7]);       \
    }                                                                                         \
    s0 = XOR(XOR(s0, s1), XOR(s2, s3));                                                       \
    memcpy(sink, &s0, sizeof s0)

#ifdef __x86_64__
#define SET _mm512_set1_ps
#define ADD _mm512_add_ps
#define FMA _mm512_fmadd_ps
#define STORE _mm512_storeu_ps
__attribute__((target("avx512f"))) static void peak_avx512(long steps, float *sink) {
    PEAK_LOOP(__m512);
}
__attribute__((target("avx512f"))) static void read_avx512(const char *from, size_t bytes,
                                                           float *sink) {
    READ_LOOP(__m512i, _mm512_xor_si512);
}
#undef SET
#undef ADD
#undef FMA
#undef STORE
#define SET _mm256_set1_ps
#define ADD _mm256_add_ps
#define FMA _mm256_fmadd_ps
#define STORE _mm256_storeu_ps
__attribute__((target("avx2,fma"))) static void peak_avx2(long steps, float *sink) {
    PEAK_LOOP(__m256);
}
__attribute__((target("avx2,fma"))) static void read_avx2(const char *from, size_t bytes,
                                                          float *sink) {
    READ_LOOP(__m256i, _mm256_xor_si256);
}
#undef SET
#undef ADD
#undef FMA
#undef STORE
#endif

#ifdef __aarch64__
#define SET vdupq_n_f32
#define ADD vaddq_f32
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define STORE vst1q_f32
static void peak_neon(long steps, float *sink) { PEAK_LOOP(float32x4_t); }
#undef SET
#undef ADD
#undef FMA
#undef STORE
#endif

static inline void peak_portable(long steps, float *sink) {
    const float x = sink[0];
    float c[12] = {0};
    for (long i = 0; i < steps; i++)
        for (int j = 0; j < 12; j++) c[j] = x * x + c[j];
    memcpy(sink, c, sizeof c);
}

static inline void read_portable(const char *from, size_t bytes, float *sink) {
#define READ_XOR(a, b) ((a) ^ (b))
    READ_LOOP(uint64_t, READ_XOR);
}

/* The widest instructions here, or those asked for: avx512, avx2, neon, portable. */
static inline const char *peak_instructions(const char *wanted) {
    if (wanted && *wanted) return wanted;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f")) return "avx512";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return "avx2";
#endif
#ifdef __aarch64__
    return "neon";
#endif
    return "portable";
}

/* GFLOP/s of all threads in about `duration` seconds. */
static inline double peak_gflops(const char *instructions, double duration, double *cpu) {
    void (*loop)(long, float *) = peak_portable;
    double lanes = 1, time[2], start[2];
#ifdef __x86_64__
    if (strcmp(instructions, "avx512") == 0) loop = peak_avx512, lanes = 16;
    if (strcmp(instructions, "avx2") == 0) loop = peak_avx2, lanes = 8;
#endif
#ifdef __aarch64__
    if (strcmp(instructions, "neon") == 0) loop = peak_neon, lanes = 4;
#endif
    const long steps = (long)(duration * 2.5e8);
    const int threads = omp_get_max_threads();
    for (int warm = 0; warm < 2; warm++) {
        start[0] = peak_seconds(CLOCK_MONOTONIC);
        start[1] = peak_seconds(CLOCK_PROCESS_CPUTIME_ID);
#pragma omp parallel for schedule(static)
        for (int thread = 0; thread < threads; thread++) {
            float sink[16] = {1e-9f};
            loop(warm ? steps : steps / 8, sink);
            volatile float kept = sink[0];
            (void)kept;
        }
        time[0] = peak_seconds(CLOCK_MONOTONIC) - start[0];
        time[1] = (peak_seconds(CLOCK_PROCESS_CPUTIME_ID) - start[1]) / threads;
    }
    const double work = 1e-9 * (double)steps * 12 * 2 * lanes * threads;
    *cpu = work / time[1];
    return work / time[0];
}

/* GB/s of all threads, each reading its own part of `bytes` bytes, `times` times. */
static inline double read_rate(const char *instructions, const char *memory, size_t bytes, long times,
                               double *cpu) {
    void (*loop)(const char *, size_t, float *) = read_portable;
#ifdef __x86_64__
    if (strcmp(instructions, "avx512") == 0) loop = read_avx512;
    if (strcmp(instructions, "avx2") == 0) loop = read_avx2;
#else
    (void)instructions;
#endif
    const int threads = omp_get_max_threads();
    const size_t share = bytes / (size_t)threads / 512 * 512;
    double time[2], start[2];
    for (int warm = 0; warm < 2; warm++) {
        start[0] = peak_seconds(CLOCK_MONOTONIC);
        start[1] = peak_seconds(CLOCK_PROCESS_CPUTIME_ID);
#pragma omp parallel for schedule(static)
        for (int thread = 0; thread < threads; thread++) {
            float sink[16];
            for (long i = 0; i < (warm ? times : 1); i++) {
                loop(memory + (size_t)thread * share, share, sink);
                volatile float kept = sink[0];
                (void)kept;
            }
        }
        time[0] = peak_seconds(CLOCK_MONOTONIC) - start[0];
        time[1] = (peak_seconds(CLOCK_PROCESS_CPUTIME_ID) - start[1]) / threads;
    }
    const double work = 1e-9 * (double)share * (double)times * threads;
    *cpu = work / time[1];
    return work / time[0];
}

static inline char *memory_to_read(size_t bytes) {
    char *memory = (char *)aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
    if (!memory) fprintf(stderr, "no memory\n"), exit(1);
    memset(memory, 1, bytes);
    return memory;
}
#endif
