/* Exponential, logarithm, sigmoid and tanh against a reference of higher precision, over all
   exponents; and every instruction set against portable C, bit by bit. test flags: -O2 */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

enum { DIGITS = DNI_REAL_IS_DOUBLE ? DBL_MANT_DIG : FLT_MANT_DIG,
       SMALLEST = DNI_REAL_IS_DOUBLE ? DBL_MIN_EXP : FLT_MIN_EXP,
       LARGEST = DNI_REAL_IS_DOUBLE ? DBL_MAX_EXP : FLT_MAX_EXP,
       PER_EXPONENT = 300 };

/* The error in units in the last place of the reference, which may be subnormal. */
static double error_in_ulps(dn_real got, long double expected) {
    const dn_real nearest = (dn_real)expected;
    if (nearest != nearest) return got != got ? 0 : INFINITY;
    if (!dni_is_finite((double)nearest) || nearest == got) return nearest == got ? 0 : INFINITY;
    int exponent;
    (void)frexpl(expected, &exponent);
    if (exponent < SMALLEST) exponent = SMALLEST;
    return (double)fabsl(ldexpl((long double)got - expected, DIGITS - exponent));
}

typedef dn_real function_of_one(dn_real x);
typedef long double reference(long double x);

static long double sigmoid_reference(long double x) { return 1 / (1 + expl(-x)); }
static dn_real exp_of(dn_real x) { return dni_exp(x); }
static dn_real log_of(dn_real x) { return dni_log(x); }
static dn_real log1p_of(dn_real x) { return dni_log1p(x); }
static dn_real tanh_of(dn_real x) { return dni_tanh_portable(x); }
static dn_real sigmoid_of(dn_real x) { return dni_sigmoid_portable(x); }

/* The worst error over numbers of all exponents, of both signs unless only > `above` counts. */
static void check(const char *name, function_of_one *function, reference *exact, double above,
                  double allowed) {
    dn_random random = dn_random_seed(11);
    double worst = 0, at = 0;
    for (int exponent = SMALLEST - DIGITS; exponent <= LARGEST; exponent++)
        for (int i = 0; i < PER_EXPONENT; i++) {
            double x = ldexp(0.5 + 0.5 * dn_random_uniform(&random), exponent);
            if (i % 2 != 0) x = -x;
            const dn_real rounded = (dn_real)x;
            if (!((double)rounded > above)) continue;
            const double error = error_in_ulps(function(rounded), exact((long double)rounded));
            if (!(error <= worst)) {
                worst = error;
                at = (double)rounded;
            }
        }
    ok(worst <= allowed, "%s: at most %g ulp from the exact value (worst %.3f, at %.9g)", name,
       allowed, worst, at);
}

/* The region where the results are neither trivial nor at the edge, finely. */
static void check_fine(const char *name, function_of_one *function, reference *exact, double from,
                       double to, double allowed) {
    double worst = 0, at = 0;
    const int steps = 400000;
    for (int i = 0; i <= steps; i++) {
        const dn_real x = (dn_real)(from + (to - from) * i / steps);
        const double error = error_in_ulps(function(x), exact((long double)x));
        if (!(error <= worst)) {
            worst = error;
            at = (double)x;
        }
    }
    ok(worst <= allowed, "%s on [%g, %g]: at most %g ulp (worst %.3f, at %.9g)", name, from, to,
       allowed, worst, at);
}

static void special_values(void) {
    const dn_real inf = (dn_real)INFINITY, nan = (dn_real)NAN;
    ok(dni_exp(0) == 1 && dni_exp(-inf) == 0 && dni_exp(inf) == inf, "exp of 0 and infinities");
    ok(dni_exp(nan) != dni_exp(nan), "exp of NaN is NaN");
    ok(dni_exp((dn_real)1e4) == inf && dni_exp((dn_real)-1e4) == 0, "exp of +-1e4");
    ok(dni_log(1) == 0 && dni_log(0) == -inf && dni_log(inf) == inf, "log of 1, 0, infinity");
    ok(dni_log(-1) != dni_log(-1) && dni_log(nan) != dni_log(nan), "log of -1 and NaN is NaN");
    ok(dni_log1p(0) == 0 && dni_log1p(-1) == -inf && dni_log1p(inf) == inf, "log1p likewise");
    ok(dni_tanh_portable(0) == 0 && dni_tanh_portable(inf) == 1 && dni_tanh_portable(-inf) == -1,
       "tanh of 0 and infinities");
    ok(dni_tanh_portable(nan) != dni_tanh_portable(nan), "tanh of NaN is NaN");
    ok(dni_sigmoid_portable(0) == (dn_real)0.5 && dni_sigmoid_portable(inf) == 1 &&
           dni_sigmoid_portable(-inf) == 0, "sigmoid of 0 and infinities");
    ok(dni_sigmoid_portable(nan) != dni_sigmoid_portable(nan), "sigmoid of NaN is NaN");
    double worst = 0;
    for (int i = 0; i <= 100000; i++) {
        const double x = 3.14159265358979323846 * i / 100000;
        const double error = fabs(dni_cos_double(x) - cos(x));
        if (error > worst) worst = error;
    }
    ok(worst < 3e-16, "the cosine is right to %.2g", worst);
}

/* Every function of an instruction set against portable C, with all lengths from 1 to 40. */
static bool agrees(const dni_arithmetic *by) {
    const dni_arithmetic *portable = &dni_arithmetic_portable;
    dn_real from[40], one[40], other[40], memory[4][40];
    unsigned char bytes[40];
    dn_random random = dn_random_seed(5);
    bool same = true;
    for (size_t count = 1; count <= 40; count++)
        for (int round = 0; round < 200; round++) {
            const double size = ldexp(1, round % 40 - 30);
            for (size_t i = 0; i < count; i++) {
                from[i] = (dn_real)(size * dn_random_normal(&random));
                one[i] = other[i] = (dn_real)dn_random_normal(&random);
                bytes[i] = (unsigned char)dn_random_below(&random, 256);
            }
            if (round % 50 == 49) from[count / 2] = (dn_real)NAN;
#define COMPARE same = same && memcmp(one, other, count * sizeof *one) == 0
            for (int f = DN_LINEAR; f < DN_SOFTMAX; f++) {
                by->activate_backward((dn_activation)f, from, one, count);
                portable->activate_backward((dn_activation)f, from, other, count);
                if (round % 50 != 49) COMPARE;
                by->activate((dn_activation)f, from, one, count);
                portable->activate((dn_activation)f, from, other, count);
                for (size_t i = 0; i < count; i++) /* one NaN is as good as another */
                    if (from[i] != from[i] && one[i] != one[i]) one[i] = other[i];
                COMPARE;
            }
            if (round % 50 == 49) continue;
            by->exponentials((dn_real)0.7, from, one, count);
            portable->exponentials((dn_real)0.7, from, other, count);
            COMPARE;
            const size_t classes = count / (1 + count / 20); /* 1 to 3 rows */
            by->softmax(from, one, count / classes, classes);
            portable->softmax(from, other, count / classes, classes);
            COMPARE;
            by->divide_bytes(bytes, 255, one, count, NULL);
            portable->divide_bytes(bytes, 255, other, count, NULL);
            COMPARE;
            by->scale((dn_real)0.3, one, count);
            portable->scale((dn_real)0.3, other, count);
            const size_t columns = 1 + (size_t)round % count;
            by->add_rows(from, count / columns, columns, one);
            portable->add_rows(from, count / columns, columns, other);
            by->multiply(from, one, count);
            portable->multiply(from, other, count);
            COMPARE;
            for (int kind = DN_SGD; kind <= DN_ADAM; kind++) {
                dni_step step;
                memset(&step, 0, sizeof step);
                step.kind = (dn_optimizer_kind)kind;
                step.rate = (dn_real)0.1;
                step.momentum = (dn_real)0.9;
                step.fresh = (dn_real)0.1;
                step.square_decay = (dn_real)0.99;
                step.square_fresh = (dn_real)0.01;
                step.root_scale = (dn_real)1.5;
                step.epsilon = (dn_real)1e-8;
                step.decay = (dn_real)0.01;
                for (size_t i = 0; i < count; i++)
                    for (int m = 0; m < 4; m++) memory[m][i] = (dn_real)(0.1 * (double)(i % 7 + 1));
                const bool first = kind != DN_SGD && kind != DN_RMSPROP, second = kind >= DN_RMSPROP;
                by->update(&step, count, one, from, first ? memory[0] : NULL,
                           second ? memory[1] : NULL);
                portable->update(&step, count, other, from, first ? memory[2] : NULL,
                                 second ? memory[3] : NULL);
                COMPARE;
                same = same && memcmp(memory[0], memory[2], count * sizeof(dn_real)) == 0 &&
                       memcmp(memory[1], memory[3], count * sizeof(dn_real)) == 0;
            }
        }
    return same;
}

int main(void) {
    if (sizeof(long double) > sizeof(dn_real) && LDBL_MANT_DIG > DIGITS) {
        check("exp", exp_of, expl, -INFINITY, 2);
        check("log", log_of, logl, 0, 2);
        check("log1p", log1p_of, log1pl, -1, 2);
        check("tanh", tanh_of, tanhl, -INFINITY, 2);
        check("sigmoid", sigmoid_of, sigmoid_reference, -INFINITY, 2.5);
        check_fine("exp", exp_of, expl, DNI_REAL_IS_DOUBLE ? -745 : -103,
                   DNI_REAL_IS_DOUBLE ? 709 : 88, 2);
        check_fine("log", log_of, logl, 0.25, 4, 2);
        check_fine("log1p", log1p_of, log1pl, -0.75, 3, 2);
        check_fine("tanh", tanh_of, tanhl, -20, 20, 2);
        check_fine("tanh", tanh_of, tanhl, -1, 1, 2);
        check_fine("sigmoid", sigmoid_of, sigmoid_reference, -80, 40, 2.5);
    } else {
        skip(11, "long double is not longer here");
    }
    special_values();
#ifdef DNI_HAS_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        ok(agrees(&dni_arithmetic_avx2), "AVX2 computes the bits of portable C");
    else skip(1, "no AVX2 here");
    if (__builtin_cpu_supports("avx512f"))
        ok(agrees(&dni_arithmetic_avx512), "AVX-512 computes the bits of portable C");
    else skip(1, "no AVX-512 here");
#endif
#ifdef DNI_HAS_NEON
    ok(agrees(&dni_arithmetic_neon), "NEON computes the bits of portable C");
#endif
    return done();
}
