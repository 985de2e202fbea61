/* Feeds arbitrary bytes to the reader of checkpoints, after putting the right checksum in,
   where there is a place for it. What is accepted must leave a trainer that can go on.

       clang -g -O1 -fsanitize=fuzzer,address,undefined tests/fuzz/fuzz_checkpoint.c -lm -o build/fuzz
       build/fuzz -max_len=4000 build/found tests/fuzz/corpus_checkpoint */
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size); /* called by libFuzzer */

typedef struct stream {
    const uint8_t *bytes;
    size_t size;
} stream;

static size_t read_some(void *user, void *to, size_t size) {
    stream *from = (stream *)user;
    if (size > from->size) size = from->size;
    if (size > 0) memcpy(to, from->bytes, size);
    from->bytes += size;
    from->size -= size;
    return size;
}

static void put_checksum(uint8_t *file, size_t size) {
    static const char key[] = "\"crc32\":\"";
    char digits[16];
    dni_sum sum;
    for (size_t at = 8; at + sizeof key + 8 < size; at++) {
        if (memcmp(file + at, key, sizeof key - 1) != 0) continue;
        memcpy(file + at + sizeof key - 1, "00000000", 8);
        dni_sum_init(&sum);
        (void)dni_sum_write(&sum, file, size);
        (void)snprintf(digits, sizeof digits, "%08lx", (unsigned long)dni_sum_value(&sum));
        memcpy(file + at + sizeof key - 1, digits, 8);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const dn_real inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    static const int32_t labels[4] = {0, 1, 1, 0};
    dn_dataset data;
    dn_training how;
    dn_trainer trainer;
    dn_error error;
    dn_net net;
    memset(&error, 0, sizeof error);
    memset(&how, 0, sizeof how);
    how.patience = 2;
    how.batch = 2;
    how.epochs = 3;
    how.ignore_divergence = true;
    if (dn_dataset_arrays(&data, 4, 2, &inputs[0][0], 2, labels, NULL) != DN_OK) abort();
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, DN_TANH);
    dn_net_dropout(&net, (dn_real)0.5);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    if (dn_trainer_init(&trainer, &net, &data, &data, &how, NULL) != DN_OK) abort();
    uint8_t *file = (uint8_t *)malloc(size + 1);
    if (file == NULL) abort();
    if (size > 0) memcpy(file, bytes, size);
    put_checksum(file, size);
    stream from;
    from.bytes = file;
    from.size = size;
    dn_reader reader;
    reader.read = read_some;
    reader.user = &from;
    reader.name = NULL;
    const dn_status status = dn_trainer_read(&trainer, &reader, &error);
    if ((status == DN_OK) != (error.message[0] == '\0')) abort();
    if (strpbrk(error.message, "\n\r\t") != NULL) abort();
    if (status != DN_OK && (trainer.epoch != 0 || trainer.position != 0)) abort();
    while (dn_trainer_epoch(&trainer)) continue;
    if (trainer.history.count > 3) abort();
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    free(file);
    return 0;
}
