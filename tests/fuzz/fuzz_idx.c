/* A target for libFuzzer: the readers of gzip, IDX and data sets must survive anything.

       clang -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_idx.c -o fuzz_idx -lm
       ./fuzz_idx -max_len=4096 tests/fuzz/corpus_idx

   The first byte says what the rest is: 0 an IDX array, 1 pictures, from 2 on pictures and
   labels, where the next two bytes tell how many bytes the labels have. Besides crashes,
   it finds leaks, requests for memory that the input cannot justify, errors without a
   message, and gathered numbers that are not finite. `tests/test_fuzz_idx.c` replays the
   corpus. */
#include "../counting.h"
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size);

static void fuzz_require(bool condition) {
    if (!condition) abort();
}

static void fuzz_check(dn_status status, const dn_error *error, size_t size) {
    fuzz_require(counting.largest <= 70000 + 4200 * size);
    fuzz_require(status == DN_OK || (error->status == status && error->message[0] != '\0'));
}

/* Looks at all that the data set says it has. */
static void fuzz_use(dn_dataset *data) {
    fuzz_require(data->count > 0 && data->features > 0 && data->bytes != NULL);
    const size_t count = data->count < 5 ? data->count : 5;
    if (data->features > 10000) return;
    for (int kind = 0; kind < 4; kind++) {
        dn_real *inputs = (dn_real *)malloc(count * data->features * sizeof *inputs);
        data->normalization = (dn_normalization)kind;
        if (kind == DN_NORMALIZE_FEATURE) (void)dn_dataset_standardize(data, NULL);
        if (inputs != NULL) {
            dn_dataset_gather(data, NULL, data->count - count, count, inputs);
            for (size_t i = 0; i < count * data->features; i++)
                fuzz_require(dni_is_finite((double)inputs[i]));
        }
        free(inputs);
    }
    if (data->labels == NULL) return;
    for (size_t i = 0; i < data->count; i++)
        fuzz_require(data->labels[i] >= 0 && (size_t)data->labels[i] < data->classes);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size) {
    dn_error error;
    memset(&error, 0, sizeof error);
    counting_reset(0);
    if (size == 0) return 0;
    const unsigned kind = *input++;
    size--;
    if (kind == 0) {
        dn_idx array;
        const dn_status status = dn_idx_memory(&array, input, size, &error);
        fuzz_check(status, &error, size);
        unsigned sum = 0;
        const size_t bytes = array.count * array.element_size;
        for (size_t i = 0; i < bytes; i++) sum += ((const unsigned char *)array.data)[i];
        fuzz_require(status != DN_OK || sum <= 255 * bytes);
        dn_idx_free(&array);
    } else {
        dn_dataset data;
        size_t labels = 0;
        if (kind > 1 && size >= 2) {
            labels = (size_t)input[0] << 8 | input[1];
            input += 2;
            size -= 2;
            if (labels > size) labels = size;
        }
        const uint8_t *start = kind > 1 ? input + size - labels : NULL;
        const dn_status status =
            dn_dataset_memory(&data, input, size - labels, start, labels, &error);
        fuzz_check(status, &error, size);
        if (status == DN_OK) fuzz_use(&data);
        dn_dataset_free(&data);
    }
    fuzz_require(counting.live == 0);
    return 0;
}
