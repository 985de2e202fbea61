/* Shows what a saved net makes of pictures: an ASCII picture of each and how probable the
   classes are.

       predict digits.safetensors data/mnist/t10k-images-idx3-ubyte --first 8 --count 2
       predict digits.safetensors digit.pgm

   From the repository's root: cc -O2 examples/predict.c -o build/predict -lm */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "options.h"
#include <stdio.h>

static const char *const help =
    "usage: predict MODEL FILE [options]\n\n"
    "FILE has samples in the IDX format (plain or gzip), or is one picture in the PGM format.\n\n"
    "  --labels FILE   true classes of the samples (IDX)\n"
    "  --first N       start with sample N, counted from 0 (0)\n"
    "  --count N       show so many samples (1)\n"
    "  --invert        the picture is dark on white, the net learned light on black\n"
    "  --no-picture    probabilities only\n"
    "  --help          this text\n";

/* A PGM picture (P5 in bytes, P2 in text) as an IDX file of one picture in memory, with
   16 bytes of header. Returns its size, or 0 and says why in `error`. */
static size_t read_pgm(FILE *file, const char *name, unsigned char *idx, size_t room,
                       dn_error *error) {
    unsigned sizes[3] = {0, 0, 0}; /* width, height, largest value */
    int kind = fgetc(file) == 'P' ? fgetc(file) : 0;
    for (int i = 0; i < 3; i++) {
        int c = fgetc(file);
        while (c == ' ' || (c >= '\t' && c <= '\r') || c == '#') {
            if (c == '#')
                while (c != '\n' && c != EOF) c = fgetc(file);
            else c = fgetc(file);
        }
        ungetc(c, file);
        if (fscanf(file, "%5u", &sizes[i]) != 1) kind = 0;
    }
    const unsigned width = sizes[0], height = sizes[1], most = sizes[2];
    const size_t pixels = (size_t)width * height;
    error->status = DN_ERROR_FORMAT;
    snprintf(error->message, sizeof error->message,
             "%s: expected a PGM picture of at most %zu pixels and 255 greys", name, room - 16);
    if ((kind != '5' && kind != '2') || pixels == 0 || pixels > room - 16 || most == 0 ||
        most > 255)
        return 0;
    const unsigned char header[16] = {0,
                                      0,
                                      8,
                                      3,
                                      0,
                                      0,
                                      0,
                                      1,
                                      0,
                                      0,
                                      (unsigned char)(height >> 8),
                                      (unsigned char)height,
                                      0,
                                      0,
                                      (unsigned char)(width >> 8),
                                      (unsigned char)width};
    memcpy(idx, header, 16);
    if (kind == '5') fgetc(file);
    for (size_t i = 0; i < pixels; i++) {
        unsigned grey = 0;
        if (kind == '2' ? fscanf(file, "%3u", &grey) != 1 : (grey = (unsigned)fgetc(file)) > 255) {
            error->status = DN_ERROR_TRUNCATED;
            snprintf(error->message, sizeof error->message, "%s: ends after %zu of %zu pixels",
                     name, i, pixels);
            return 0;
        }
        idx[16 + i] = (unsigned char)((grey > most ? most : grey) * 255 / most);
    }
    error->status = DN_OK;
    error->message[0] = '\0';
    return 16 + pixels;
}

/* Loads either kind of file. */
static dn_status load(dn_dataset *data, const char *name, const char *labels, dn_error *error) {
    static unsigned char idx[16 + 4000000];
    FILE *file = fopen(name, "rb");
    const bool is_pgm = file && fgetc(file) == 'P';
    size_t size = 0;
    if (is_pgm) {
        rewind(file);
        size = read_pgm(file, name, idx, sizeof idx, error);
    }
    if (file) fclose(file);
    if (!is_pgm) return dn_dataset_load(data, name, labels, error);
    return size == 0 ? error->status : dn_dataset_memory(data, idx, size, NULL, 0, error);
}

/* One line of the picture: two rows of pixels together, as letters are twice as high as wide. */
static void print_line(const dn_dataset *data, size_t sample, size_t line, bool invert) {
    static const char greys[] = " .:-=+*#%@";
    const unsigned char *pixels = data->bytes + sample * data->features;
    const size_t y = 2 * line;
    for (size_t x = 0; x < data->width; x++) {
        if (y >= data->height) {
            putchar(' ');
            continue;
        }
        const int upper = pixels[y * data->width + x];
        const int lower = y + 1 < data->height ? pixels[(y + 1) * data->width + x] : upper;
        const int grey = (upper + lower) / 2;
        putchar(greys[(invert ? 255 - grey : grey) * 9 / 255]);
    }
}

/* The name of a class, from the note "names" of the net, or its number. */
static const char *name_of(const dn_net *net, size_t class_number, char name[32]) {
    const char *names = dn_net_get_note(net, "names");
    for (size_t skip = class_number; names && skip > 0; skip--) {
        names = strchr(names, ',');
        if (names) names++;
    }
    if (names) snprintf(name, 32, "%.*s", (int)strcspn(names, ","), names);
    else snprintf(name, 32, "%zu", class_number);
    return name;
}

static void show(const dn_net *net, const dn_dataset *data, size_t sample, const dn_real *outputs,
                 bool picture, bool invert) {
    static const char bar[] = "##############################";
    const size_t best = dn_largest(outputs, net->outputs);
    const size_t height = picture ? (data->height + 1) / 2 : 0;
    const size_t lines = height > net->outputs ? height : net->outputs;
    char name[32];
    printf("sample %zu: ", sample);
    if (net->outputs > 1) printf("%s", name_of(net, best, name));
    else printf("%.4g", (double)outputs[0]);
    if (data->labels) printf(", truly %s", name_of(net, (size_t)data->labels[sample], name));
    printf("\n");
    for (size_t line = 0; line < lines; line++) {
        if (picture) print_line(data, sample, line, invert);
        if (line < net->outputs) {
            const double p = (double)outputs[line];
            const int length = p > 0 && p <= 1 ? (int)(30 * p + 0.5) : 0;
            printf("%s%8s %7.2f %%%s%.*s", picture ? "  " : "", name_of(net, line, name), 100 * p,
                   length > 0 ? " " : "", length, bar);
        }
        printf("\n");
    }
}

int main(int count, char **words) {
    const char *model = NULL, *file = NULL, *labels = NULL;
    size_t first = 0, shown = 1;
    bool invert = false, picture = true;
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        const bool has_value = i + 1 < count;
        if (strcmp(word, "--help") == 0) return fputs(help, stdout) == EOF;
        else if (strcmp(word, "--invert") == 0) invert = true;
        else if (strcmp(word, "--no-picture") == 0) picture = false;
        else if (strcmp(word, "--labels") == 0 && has_value) labels = words[++i];
        else if ((strcmp(word, "--first") == 0 || strcmp(word, "--count") == 0) && has_value) {
            const bool is_first = word[2] == 'f';
            if (!read_size(words[++i], is_first ? 0 : 1, is_first ? &first : &shown))
                return fprintf(stderr, "predict: %s: '%s' is not a number that fits\n", word,
                               words[i]), 2;
        }
        else if (word[0] != '-' && !model) model = word;
        else if (word[0] != '-' && !file) file = word;
        else return fprintf(stderr, "predict: what is '%s'?\n%s", word, help), 2;
    }
    if (!file) return fprintf(stderr, "predict: which model, which file?\n%s", help), 2;

    dn_error error = {0};
    dn_net net = {0};
    dn_dataset data = {0};
    bool failed = dn_net_load(&net, model, &error) || load(&data, file, labels, &error);
    if (!failed && data.features != net.inputs) {
        snprintf(error.message, sizeof error.message,
                 "%s: %zu x %zu = %zu pixels, but the net takes %zu", file, data.width, data.height,
                 data.features, net.inputs);
        failed = true;
    }
    if (!failed && first >= data.count) {
        snprintf(error.message, sizeof error.message, "%s: has samples 0 to %zu only", file,
                 data.count - 1);
        failed = true;
    }
    if (!failed && invert) { /* the bytes are ours: this program loaded them */
        unsigned char *bytes = (unsigned char *)(uintptr_t)data.bytes;
        for (size_t i = 0; i < data.count * data.features; i++)
            bytes[i] = (unsigned char)(255 - bytes[i]);
    }
    dn_real *outputs = failed ? NULL : (dn_real *)malloc(net.outputs * sizeof *outputs);
    data.normalization = net.normalization;
    data.mean = net.mean;
    data.deviation = net.deviation;
    for (size_t i = first; !failed && outputs && i < data.count && i - first < shown; i++) {
        failed = dn_predict_dataset(&net, &data, i, 1, outputs, &error) != DN_OK;
        if (!failed) show(&net, &data, i, outputs, picture && data.bytes && data.width > 0, false);
    }
    if (!failed && shown > data.count - first)
        fprintf(stderr, "predict: %s ends with sample %zu\n", file, data.count - 1);
    if (failed) fprintf(stderr, "predict: %s\n", error.message);
    free(outputs);
    dn_net_free(&net);
    dn_dataset_free(&data);
    return failed;
}
