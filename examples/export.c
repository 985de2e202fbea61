/* Turns a saved model into one freestanding C file.

       export digits.safetensors --name digits --int8 > digits.c

   The file needs no library, no allocation and no file system; see the top of what is
   written, and dn_export in densenet.h. */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "options.h"
#include <stdio.h>

static const char *const help =
    "usage: export MODEL [options] > FILE.c\n\n"
    "Of a net that takes bytes, as pixels are.\n\n"
    "  --name NAME     prefix of all names in the file, a C identifier (default: net)\n"
    "  --int8          8-bit weights and integer arithmetic; default: 32-bit floats\n"
    "  --data DIR      MNIST-like data, IDX files train-... and t10k-... (default: data/mnist);\n"
    "                  --int8 measures the ranges of activations on its training images, the\n"
    "                  accuracy and the self-test come from its test images\n"
    "  --no-data       without data: no accuracy, no self-test, not for --int8\n"
    "  --selftest N    how many test images to store (default: 8)\n"
    "  --output FILE   write here instead of to standard output\n"
    "  --help          this text\n";

static bool write_to_file(void *file, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, (FILE *)file) == size;
}

static int load_pair(dn_dataset *data, const char *folder, const char *set, dn_error *error) {
    char images[1000], labels[1000];
    snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte", folder, set);
    snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte", folder, set);
    return dn_dataset_load(data, images, labels, error) != DN_OK;
}

static int usage(const char *why, const char *what) {
    fprintf(stderr, "export: %s%s\n%s", why, what, help);
    return 2;
}

int main(int argc, char **argv) {
    const char *model = NULL, *folder = "data/mnist", *output = NULL;
    dn_export how = {0};
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        const bool has_value = i + 1 < argc;
        if (strcmp(option, "--help") == 0) return fputs(help, stdout) == EOF;
        else if (strcmp(option, "--int8") == 0) how.int8 = true;
        else if (strcmp(option, "--no-data") == 0) folder = NULL;
        else if (strcmp(option, "--name") == 0 && has_value) how.name = argv[++i];
        else if (strcmp(option, "--data") == 0 && has_value) folder = argv[++i];
        else if (strcmp(option, "--output") == 0 && has_value) output = argv[++i];
        else if (strcmp(option, "--selftest") == 0 && has_value) {
            if (!read_size(argv[++i], 1, &how.selftest))
                return usage("--selftest: not a number that fits: ", argv[i]);
        }
        else if (option[0] == '-') return usage("unknown option, or its value is missing: ", option);
        else if (model != NULL) return usage("one model only, not also ", option);
        else model = option;
    }
    if (model == NULL) return usage("which model?", "");

    dn_error error = {0};
    dn_net net = {0};
    dn_dataset train = {0}, test = {0};
    FILE *file = stdout;
    bool failed = dn_net_load(&net, model, &error) != DN_OK;
    if (!failed && folder != NULL) {
        failed = load_pair(&train, folder, "train", &error) || load_pair(&test, folder, "t10k", &error);
        if (!failed && net.normalization == DN_NORMALIZE_FEATURE)
            failed = dn_dataset_standardize(&train, &error) != DN_OK;
        test.normalization = train.normalization = net.normalization;
        test.mean = train.mean;
        test.deviation = train.deviation;
        how.calibration = &train;
        how.test = &test;
    }
    if (!failed && output != NULL && (file = fopen(output, "w")) == NULL) {
        failed = true;
        snprintf(error.message, sizeof error.message, "%s: cannot be written", output);
    }
    if (!failed) {
        dn_writer writer = {0};
        writer.write = write_to_file;
        writer.user = file;
        writer.name = output != NULL ? output : "standard output";
        failed = dn_export_c(&net, &how, &writer, &error) != DN_OK;
        if (fclose(file) != 0 && !failed) {
            failed = true;
            snprintf(error.message, sizeof error.message, "%s: cannot be written", writer.name);
        }
    }
    if (failed) fprintf(stderr, "export: %s\n", error.message);
    dn_net_free(&net);
    dn_dataset_free(&train);
    dn_dataset_free(&test);
    return failed;
}
