/* tap.h: the Test Anything Protocol in a few lines. A test program is

       #include "tap.h"
       int main(void) {
           ok(1 + 1 == 2, "one and one are two");
           is_close(0.1 + 0.2, 0.3, 1e-12, "a sum of decimals");
           return done();
       }

   It prints "ok N - what" or "not ok N - what" for each check, with the place and
   the values behind "# " where one failed, and the plan "1..N" last. So a program
   that ends too early has no plan, and fails. */
#ifndef TAP_H
#define TAP_H

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

#if defined(__GNUC__)
#define TAP_PRINTF(text, values) __attribute__((format(printf, text, values)))
#else
#define TAP_PRINTF(text, values)
#endif

static int tap_count, tap_failed;

/* ok(condition, "format", ...): counts and prints one check; returns the condition. */
#define ok(...) tap_ok(__FILE__, __LINE__, __VA_ARGS__)

/* is_close(actual, expected, relative, "format", ...): |actual - expected| <= relative *
   |expected|, or <= relative where 0 is expected. NaN is close to NaN, infinity to itself. */
#define is_close(...) tap_is_close(__FILE__, __LINE__, __VA_ARGS__)

TAP_PRINTF(2, 0)
static inline void tap_print(bool condition, const char *format, va_list arguments) {
    tap_count++;
    printf("%s %d - ", condition ? "ok" : "not ok", tap_count);
    vprintf(format, arguments);
    printf("\n");
    if (!condition) tap_failed++;
}

TAP_PRINTF(4, 5)
static inline bool tap_ok(const char *file, int line, bool condition, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    tap_print(condition, format, arguments);
    va_end(arguments);
    if (!condition) printf("#   failed at %s:%d\n", file, line);
    fflush(stdout);
    return condition;
}

TAP_PRINTF(6, 7)
static inline bool tap_is_close(const char *file, int line, double actual, double expected,
                                double relative, const char *format, ...) {
    bool close;
    va_list arguments;
    if (isnan(expected) || isinf(expected)) {
        close = isnan(expected) ? isnan(actual) : isinf(actual) && (actual > 0) == (expected > 0);
    } else {
        close = fabs(actual - expected) <= relative * (fabs(expected) > 0 ? fabs(expected) : 1);
    }
    va_start(arguments, format);
    tap_print(close, format, arguments);
    va_end(arguments);
    if (!close) {
        printf("#   failed at %s:%d: got %.17g, expected %.17g (relative %.3g, allowed %.3g)\n",
               file, line, actual, expected, fabs(actual - expected) / fabs(expected), relative);
    }
    fflush(stdout);
    return close;
}

/* skip(count, "reason"): `count` checks that cannot be made here. */
static inline void skip(int count, const char *reason) {
    while (count-- > 0) printf("ok %d # SKIP %s\n", ++tap_count, reason);
    fflush(stdout);
}

/* note("format", ...): a remark for whoever reads the output. */
TAP_PRINTF(1, 2)
static inline void note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("# ");
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    fflush(stdout);
}

/* done(): prints the plan; the exit status of main. */
static inline int done(void) {
    printf("1..%d\n", tap_count);
    if (tap_failed > 0) printf("# %d of %d failed\n", tap_failed, tap_count);
    return tap_failed > 0 || tap_count == 0;
}

#endif
