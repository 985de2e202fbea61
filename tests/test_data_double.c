/* Chapter 12 once more, in double precision. */
#define DN_REAL double
#include "test_data.c"
