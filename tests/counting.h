/* counting.h: an allocator that counts, and that can be made to fail. To be included
   before densenet.h; then

       counting_reset(0);       nothing fails
       counting_reset(3);       the third allocation from here on fails
       ... calls of the library ...
       counting.live            bytes not freed yet
       counting.largest         the largest single request
       counting.calls           allocations asked for

   A request of more than a gigabyte always fails, so that a test of a lying header
   cannot hurt the machine. */
#ifndef COUNTING_H
#define COUNTING_H

#include <stddef.h>
#include <stdlib.h>

static struct {
    size_t live, peak, largest, calls, fail_at;
} counting;

typedef union counting_block {
    size_t size;
    char aligned[16];
} counting_block;

static void counting_reset(size_t fail_at) {
    counting.largest = counting.calls = 0;
    counting.peak = counting.live;
    counting.fail_at = fail_at;
}

static void *counting_allocate(size_t size) {
    counting.calls++;
    if (size > counting.largest) counting.largest = size;
    if (counting.calls == counting.fail_at || size > ((size_t)1 << 30)) return NULL;
    counting_block *block = (counting_block *)malloc(sizeof *block + size);
    if (block == NULL) return NULL;
    block->size = size;
    counting.live += size;
    if (counting.live > counting.peak) counting.peak = counting.live;
    return block + 1;
}

static void counting_free(void *memory) {
    if (memory == NULL) return;
    counting_block *block = (counting_block *)memory - 1;
    counting.live -= block->size;
    free(block);
}

#define DN_MALLOC(size) counting_allocate(size)
#define DN_FREE(memory) counting_free(memory)

#endif
