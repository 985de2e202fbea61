/* What the programs' options have in common. */
#ifndef OPTIONS_H
#define OPTIONS_H
#include <stdbool.h>
#include <stdlib.h>

/* A whole number of at least `least`, and nothing behind it. */
static inline bool read_size(const char *text, size_t least, size_t *number) {
    char *end;
    const unsigned long long value = strtoull(text, &end, 10);
    *number = (size_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && value <= 1000000000 &&
           *number >= least;
}

#endif
