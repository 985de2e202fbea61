/* Feeds arbitrary bytes to the reader of model files. The first byte chooses how: bit 0: the
   rest is a header up to the first zero byte and data behind it, and gets the right length
   in front, so that the fuzzer need not find it; bit 1: sizes are inferred and extra tensors
   ignored; bit 2: into a net that has been described. What is loaded must survive being saved
   and loaded again.

       clang -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_safetensors.c -lm -o build/fuzz
       build/fuzz -max_len=2000 build/found tests/fuzz/corpus_safetensors */
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size); /* called by libFuzzer */

static void stop_unless(bool condition) {
    if (!condition) abort();
}

static void save_and_load_again(const dn_net *net) {
    dn_net again;
    dn_error error;
    memset(&again, 0, sizeof again);
    const size_t size = dn_net_store(net, NULL, 0, NULL);
    unsigned char *stored = (unsigned char *)malloc(size + 1);
    stop_unless(size > 0 && stored != NULL);
    stop_unless(dn_net_store(net, stored, size, NULL) == size);
    stop_unless(dn_net_memory(&again, stored, size, NULL, &error) == DN_OK);
    stop_unless(again.parameter_count == net->parameter_count &&
                memcmp(again.parameters, net->parameters, net->parameter_count * sizeof(dn_real)) ==
                    0);
    unsigned char *twice = (unsigned char *)malloc(size + 1);
    stop_unless(dn_net_store(&again, twice, size, NULL) == size &&
                memcmp(stored, twice, size) == 0);
    free(stored);
    free(twice);
    dn_net_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    if (size == 0) return 0;
    const unsigned how_to = *bytes++;
    size--;
    uint8_t *file = (uint8_t *)malloc(size + 8);
    if (file == NULL) return 0;
    if ((how_to & 1) != 0) {
        const uint8_t *end = size > 0 ? (const uint8_t *)memchr(bytes, 0, size) : NULL;
        const size_t header = end != NULL ? (size_t)(end - bytes) : size;
        for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)header >> (8 * i) & 255);
        memcpy(file + 8, bytes, header);
        if (end != NULL) memcpy(file + 8 + header, end + 1, size - header - 1);
        size += end != NULL ? 7 : 8;
    } else {
        memcpy(file, bytes, size);
    }
    dn_net net;
    dn_loading how;
    dn_error error;
    memset(&net, 0, sizeof net);
    memset(&how, 0, sizeof how);
    memset(&error, 0, sizeof error);
    how.infer = how.ignore_extra = (how_to & 2) != 0;
    how.hidden = DN_RELU;
    if ((how_to & 4) != 0) {
        dn_net_init(&net, 3, 1);
        dn_net_dense(&net, 2, DN_RELU);
        dn_net_dense(&net, 1, DN_SIGMOID);
    }
    const dn_status status = dn_net_memory(&net, file, size, &how, &error);
    stop_unless((status == DN_OK) == (error.status == DN_OK));
    stop_unless((status == DN_OK) == (error.message[0] == '\0'));
    stop_unless(strpbrk(error.message, "\n\r\t") == NULL);
    if (status == DN_OK) save_and_load_again(&net);
    dn_net_free(&net);
    free(file);
    return 0;
}
