/* Writes exported nets for tests/test_export.sh:

       nets FOLDER              small nets of every activation, depth and normalisation,
                                trained for a moment on random bytes
       nets FOLDER DATA NAME    one net trained on the IDX files in DATA; prints its test
                                accuracy and writes FOLDER/NAME_float.c, FOLDER/NAME_int8.c */
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"
#include <stdio.h>

static bool write_to_file(void *file, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, (FILE *)file) == size;
}

static bool export_net(const dn_net *net, const char *folder, const char *name, bool int8,
                       const dn_dataset *train, const dn_dataset *test) {
    char path[1000], full[100];
    dn_error error = {0};
    dn_export how = {0};
    dn_writer writer = {0};
    snprintf(full, sizeof full, "%s_%s", name, int8 ? "int8" : "float");
    snprintf(path, sizeof path, "%s/%s.c", folder, full);
    FILE *file = fopen(path, "w");
    if (file == NULL) return false;
    how.name = full;
    how.int8 = int8;
    how.calibration = train;
    how.test = test;
    writer.write = write_to_file;
    writer.user = file;
    const bool ok = dn_export_c(net, &how, &writer, &error) == DN_OK;
    if (!ok) fprintf(stderr, "%s: %s\n", full, error.message);
    return fclose(file) == 0 && ok;
}

/* Bytes of two kinds: the brightest quarter of the 64 pixels tells the class. */
static void make_samples(dn_dataset *data, unsigned char *bytes, int32_t *labels, size_t count) {
    dn_random random = dn_random_seed(1);
    memset(data, 0, sizeof *data);
    for (size_t s = 0; s < count; s++) {
        labels[s] = (int32_t)dn_random_below(&random, 4);
        for (size_t i = 0; i < 64; i++)
            bytes[64 * s + i] = (unsigned char)dn_random_below(
                &random, i / 16 == (size_t)labels[s] ? 256 : 100);
    }
    data->count = count;
    data->features = 64;
    data->classes = 4;
    data->bytes = bytes;
    data->labels = labels;
}

static dn_real wave(dn_real z) { return z / (1 + (z < 0 ? -z : z)); }
static dn_real wave_slope(dn_real z, dn_real a) {
    (void)z;
    return (1 - (a < 0 ? -a : a)) * (1 - (a < 0 ? -a : a));
}

static bool small_nets(const char *folder) {
    static unsigned char bytes[64 * 400];
    static int32_t labels[400];
    static const dn_custom_activation softsign = {"softsign", wave, wave_slope};
    dn_dataset data;
    bool ok = true;
    make_samples(&data, bytes, labels, 400);
    for (int normalization = DN_NORMALIZE_NONE; normalization <= DN_NORMALIZE_FEATURE;
         normalization++) {
        if (normalization == DN_NORMALIZE_FEATURE) ok = dn_dataset_standardize(&data, NULL) == DN_OK && ok;
        data.normalization = (dn_normalization)normalization;
        for (int activation = DN_LINEAR; activation <= DN_CUSTOM; activation++)
            for (int depth = 1; depth <= 4; depth++) {
                char name[60];
                dn_net net;
                dn_training how = {0};
                dn_dense hidden = {0};
                if (activation == DN_SOFTMAX) continue;
                hidden.outputs = 12;
                hidden.activation = (dn_activation)activation;
                hidden.custom = activation == DN_CUSTOM ? &softsign : NULL;
                dn_net_init(&net, 64, 7);
                for (int l = 1; l < depth; l++) dn_net_layer(&net, &hidden);
                dn_net_dropout(&net, (dn_real)(depth > 1 ? 0.1 : 0));
                dn_net_dense(&net, 4, depth == 2 ? DN_SIGMOID : DN_SOFTMAX);
                how.epochs = 3;
                how.optimizer = dn_adam((dn_real)(normalization == DN_NORMALIZE_NONE ? 1e-4 : 1e-2));
                ok = dn_train(&net, &data, NULL, &how, NULL) == DN_OK && ok;
                snprintf(name, sizeof name, "n%d_a%d_d%d", normalization, activation, depth);
                if (activation != DN_CUSTOM) ok = export_net(&net, folder, name, false, &data, &data) && ok;
                ok = export_net(&net, folder, name, true, &data, &data) && ok;
                dn_net_free(&net);
            }
    }
    dn_dataset_free(&data);
    return ok;
}

static bool load(dn_dataset *data, const char *folder, const char *set, dn_error *error) {
    char images[1000], answers[1000];
    snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte", folder, set);
    snprintf(answers, sizeof answers, "%s/%s-labels-idx1-ubyte", folder, set);
    return dn_dataset_load(data, images, answers, error) == DN_OK;
}

static bool real_net(const char *folder, const char *source, const char *name) {
    dn_dataset train = {0}, test = {0};
    dn_net net;
    dn_training how = {0};
    dn_error error = {0};
    dn_net_init(&net, 784, 1);
    dn_net_dense(&net, 128, DN_RELU);
    dn_net_dense(&net, 10, DN_SOFTMAX);
    how.epochs = 3;
    how.batch = 128;
    bool ok = load(&train, source, "train", &error) && load(&test, source, "t10k", &error) &&
              dn_train(&net, &train, NULL, &how, &error) == DN_OK;
    if (!ok) fprintf(stderr, "%s\n", error.message);
    ok = ok && export_net(&net, folder, name, false, &train, &test) &&
         export_net(&net, folder, name, true, &train, &test);
    if (ok) printf("%zu\n", dn_evaluate(&net, &test).correct);
    dn_net_free(&net);
    dn_dataset_free(&train);
    dn_dataset_free(&test);
    return ok;
}

int main(int argc, char **argv) {
    if (argc == 2) return !small_nets(argv[1]);
    if (argc == 4) return !real_net(argv[1], argv[2], argv[3]);
    return 2;
}
