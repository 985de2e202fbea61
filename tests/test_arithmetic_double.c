/* test_arithmetic.c for double precision. test flags: -O2 */
#define DN_REAL double
#include "test_arithmetic.c"
