/* Chapter 12, data sets: from files, from memory and from arrays; pairs that do not fit;
   parts of parts; one-hot targets; every normalisation against formulas in long double. */
#define _POSIX_C_SOURCE 200809L
#include "counting.h"
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"

#include "tap.h"
#include <time.h>
#include <unistd.h>

static dn_error error;

enum { ROWS = 50, HIGH = 4, WIDE = 3, PIXELS = HIGH * WIDE };

/* A pair of files in memory: 50 pictures of 4 x 3, and their labels. */
typedef struct file {
    unsigned char bytes[1024];
    size_t size;
} file;

static file images, labels;

static void put_big(file *to, uint32_t value, int count) {
    while (count-- > 0) to->bytes[to->size++] = (unsigned char)(value >> 8 * count & 255);
}

static void begin(file *to, unsigned type, unsigned rank) {
    to->size = 0;
    put_big(to, type << 8 | rank, 4);
}

static unsigned pixel(size_t row, size_t i) { return (unsigned)((row * 53 + i * i * 29 + 7) % 256); }
static int label_of(size_t row) { return (int)(row * 7 % 5); }

static void make_images(void) {
    begin(&images, 8, 3);
    put_big(&images, ROWS, 4);
    put_big(&images, HIGH, 4);
    put_big(&images, WIDE, 4);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t i = 0; i < PIXELS; i++) put_big(&images, pixel(r, i), 1);
}

static void make_labels(unsigned type, int bytes, size_t count) {
    begin(&labels, type, 1);
    put_big(&labels, (uint32_t)count, 4);
    for (size_t r = 0; r < count; r++) put_big(&labels, (uint32_t)label_of(r), bytes);
}

static dn_status load(dn_dataset *data) {
    memset(&error, 0, sizeof error);
    return dn_dataset_memory(data, images.bytes, images.size, labels.bytes, labels.size, &error);
}

/* ---- Loading. */

static void test_memory(void) {
    static const unsigned types[4] = {8, 9, 0x0b, 0x0c};
    dn_dataset data;
    make_images();
    for (int t = 0; t < 4; t++) {
        make_labels(types[t], t < 2 ? 1 : t == 2 ? 2 : 4, ROWS);
        size_t wrong = 0;
        const dn_status status = load(&data);
        ok(status == DN_OK && data.count == ROWS && data.features == PIXELS &&
               data.height == HIGH && data.width == WIDE && data.outputs == 0 &&
               data.values == NULL && data.targets == NULL && data.order == NULL &&
               data.normalization == DN_NORMALIZE_255,
           "pictures with labels of type %02x", types[t]);
        for (size_t r = 0; r < ROWS && status == DN_OK; r++) {
            wrong += data.labels[r] != label_of(r);
            for (size_t i = 0; i < PIXELS; i++)
                wrong += data.bytes[r * PIXELS + i] != pixel(r, i);
        }
        ok(wrong == 0, "every pixel and label is right");
        ok(data.classes == 10, "five labels below 9 are still ten classes");
        dn_dataset_free(&data);
        ok(data.bytes == NULL && data.count == 0 && counting.live == 0, "freed");
        dn_dataset_free(&data);
    }
    memset(&error, 0, sizeof error);
    ok(dn_dataset_memory(&data, images.bytes, images.size, NULL, 0, &error) == DN_OK &&
           data.labels == NULL && data.classes == 0,
       "pictures without labels");
    dn_dataset_free(&data);

    images.bytes[3] = 2; /* the same bytes as 50 rows of 4 and some rest */
    images.size = 12 + ROWS * HIGH;
    ok(load(&data) == DN_OK && data.features == HIGH && data.height == 0 && data.width == 0 &&
           data.classes == 5,
       "rank 2 is no picture: its classes are counted");
    dn_dataset_free(&data);

    make_images();
    labels.bytes[labels.size - 1] = 46;
    ok(load(&data) == DN_OK && data.classes == 47, "a label of 46 makes 47 classes");
    dn_dataset_free(&data);
    memcpy(labels.bytes + labels.size - 4, "\x7f\xff\xff\xff", 4);
    ok(load(&data) == DN_OK && data.classes == (size_t)INT32_MAX + 1, "the largest label of all");
    dn_dataset_free(&data);
    ok(counting.live == 0, "nothing is left allocated");
}

static void refuses(dn_status expected, const char *text, const char *what) {
    dn_dataset data;
    const dn_status status = load(&data);
    const bool good = status == expected && error.status == expected &&
                      strstr(error.message, text) != NULL;
    ok(good, "%s: %s", what, error.message);
    if (!good) note("status %d, expected %d, '%s'", (int)status, (int)expected, text);
    ok(data.bytes == NULL && data.labels == NULL && data.count == 0 && counting.live == 0,
       "%s: nothing left", what);
    dn_dataset_free(&data);
}

static void test_pairs(void) {
    make_images();
    make_labels(8, 1, ROWS - 1);
    refuses(DN_ERROR_SHAPE, "50 samples, but the labels in memory has 49", "a label is missing");
    make_labels(8, 1, ROWS + 1);
    refuses(DN_ERROR_SHAPE, "51 labels", "a label too many");
    make_labels(9, 1, ROWS);
    labels.bytes[8 + 7] = 0xfd;
    refuses(DN_ERROR_LABEL, "label -3 of sample 7", "a negative label");
    make_labels(0x0d, 4, ROWS);
    refuses(DN_ERROR_FORMAT, "element type 0d", "labels that are no integers");

    make_labels(8, 1, ROWS);
    file keep = images;
    images = labels;
    labels = keep;
    refuses(DN_ERROR_SHAPE, "swapped?", "images and labels swapped");
    labels = images;
    images = keep;
    keep = labels;
    labels = images;
    refuses(DN_ERROR_SHAPE, "swapped?", "images as labels");
    labels = keep;
    images.bytes[2] = 9;
    refuses(DN_ERROR_FORMAT, "element type 09", "signed pixels");
    make_images();
    memset(images.bytes + 4, 0, 4);
    images.size = 16;
    refuses(DN_ERROR_SHAPE, "no samples", "no pictures");
    make_images();
    images.size -= 1;
    refuses(DN_ERROR_TRUNCATED, "byte 615 of the 616", "the last pixel is missing");
    make_images();
    labels.size -= 1;
    refuses(DN_ERROR_TRUNCATED, "labels in memory", "the last label is missing");
    labels.size = 0;
    refuses(DN_ERROR_TRUNCATED, "empty", "an empty file of labels");
}

static size_t read_bytes(void *user, void *buffer, size_t size) {
    file *from = (file *)user;
    memcpy(buffer, from->bytes, from->size <= size ? from->size : size);
    return from->size;
}

static void test_reader(void) {
    dn_dataset data;
    dn_reader first = {read_bytes, NULL, "first"}, second = {read_bytes, NULL, NULL};
    make_images();
    make_labels(8, 1, ROWS);
    first.user = &images;
    second.user = &labels;
    ok(dn_dataset_read(&data, &first, &second, &error) == DN_OK && data.count == ROWS &&
           data.labels[3] == label_of(3),
       "from two readers");
    dn_dataset_free(&data);
    ok(dn_dataset_read(&data, &first, NULL, &error) == DN_OK && data.labels == NULL,
       "from one reader");
    dn_dataset_free(&data);
    make_labels(8, 1, ROWS - 1);
    ok(dn_dataset_read(&data, &first, &second, &error) == DN_ERROR_SHAPE &&
           strstr(error.message, "first has 50") != NULL,
       "readers that do not fit: %s", error.message);
    dn_dataset_free(&data);
}

static void test_failing_memory(void) {
    dn_dataset data;
    make_images();
    make_labels(8, 1, ROWS);
    for (size_t fail_at = 1;; fail_at++) {
        counting_reset(fail_at);
        const dn_status status = load(&data);
        if (status == DN_OK) break;
        ok(status == DN_ERROR_MEMORY && counting.live == 0 && data.bytes == NULL,
           "load: allocation %zu fails: %s", fail_at, error.message);
    }
    const size_t live = counting.live;
    dn_dataset first, second, view;
    dn_random random = dn_random_seed(1);
    counting_reset(1);
    ok(dn_dataset_split(&data, 10, &random, &first, &second, &error) == DN_ERROR_MEMORY &&
           counting.live == live,
       "split: %s", error.message);
    counting_reset(1);
    ok(dn_dataset_one_hot(&data, &view, &error) == DN_ERROR_MEMORY && counting.live == live,
       "one-hot: %s", error.message);
    for (size_t fail_at = 1; fail_at <= 2; fail_at++) {
        counting_reset(fail_at);
        ok(dn_dataset_standardize(&data, &error) == DN_ERROR_MEMORY && counting.live == live &&
               data.normalization == DN_NORMALIZE_255,
           "standardize: allocation %zu fails: %s", fail_at, error.message);
    }
    counting_reset(0);
    dn_dataset_free(&data);
    ok(counting.live == 0, "nothing is left allocated");
}

/* ---- Arrays. */

static void test_arrays(void) {
    static const dn_real x[6] = {1, 2, 3, 4, 5, 6};
    static const int32_t good[3] = {0, 2, 1}, low[3] = {0, -1, 1}, high[3] = {0, 1, 3};
    static const int32_t far_off[3] = {0, 1, 256}, lowest[3] = {INT32_MIN, 0, 0};
    dn_dataset data;
    ok(dn_dataset_arrays(&data, 3, 2, x, 3, good, &error) == DN_OK && data.count == 3 &&
           data.features == 2 && data.classes == 3 && data.values == x && data.labels == good &&
           data.normalization == DN_NORMALIZE_NONE,
       "features and labels");
    dn_dataset_free(&data);
    ok(dn_dataset_arrays(&data, 3, 2, x, 3, low, &error) == DN_ERROR_LABEL &&
           strstr(error.message, "label -1 of sample 1") != NULL,
       "a label too low: %s", error.message);
    ok(dn_dataset_arrays(&data, 3, 2, x, 3, high, &error) == DN_ERROR_LABEL &&
           strstr(error.message, "label 3 of sample 2 is not in 0 .. 2") != NULL &&
           data.count == 0,
       "a label too high: %s", error.message);
    ok(dn_dataset_arrays(&data, 3, 2, x, 3, far_off, &error) == DN_ERROR_LABEL &&
           dn_dataset_arrays(&data, 3, 2, x, 3, lowest, &error) == DN_ERROR_LABEL,
       "labels far too high and far too low");
    ok(dn_dataset_arrays(&data, 3, 2, x, 0, good, &error) == DN_ERROR_ARGUMENT,
       "labels but no classes: %s", error.message);
    ok(dn_dataset_arrays(&data, 3, 2, x, 0, NULL, &error) == DN_OK && data.classes == 0,
       "features alone");
    ok(dn_dataset_arrays(&data, 3, 2, NULL, 3, good, &error) == DN_ERROR_ARGUMENT,
       "no features: %s", error.message);
    ok(dn_dataset_arrays(&data, 0, 2, x, 3, good, &error) == DN_ERROR_ARGUMENT, "no samples: %s",
       error.message);
    ok(dn_dataset_arrays(&data, 3, SIZE_MAX / 2, x, 3, good, &error) == DN_ERROR_TOO_LARGE,
       "too many features: %s", error.message);
    ok(dn_dataset_targets(&data, 3, 1, x, 1, x + 3, &error) == DN_OK && data.outputs == 1 &&
           data.targets == x + 3 && data.values == x && data.features == 1 &&
           data.labels == NULL && data.classes == 0,
       "features and targets");
    ok(dn_dataset_targets(&data, 3, 1, x, 1, NULL, &error) == DN_ERROR_ARGUMENT, "no targets: %s",
       error.message);
    ok(dn_dataset_targets(&data, 3, 1, x, 0, x, &error) == DN_ERROR_ARGUMENT, "no outputs: %s",
       error.message);
    if (sizeof(size_t) > 4)
        ok(dn_dataset_arrays(&data, (size_t)UINT32_MAX + 1, 1, x, 0, NULL, &error) ==
               DN_ERROR_TOO_LARGE,
           "more than 2^32 samples: %s", error.message);
}

/* ---- Parts. */

/* Which row each sample is, found by its first two pixels. */
static bool is_row(const dn_dataset *data, size_t sample, size_t row) {
    dn_real inputs[PIXELS];
    dn_dataset raw = *data;
    raw.normalization = DN_NORMALIZE_NONE;
    dn_dataset_gather(&raw, NULL, sample, 1, inputs);
    for (size_t i = 0; i < PIXELS; i++)
        if (inputs[i] != (dn_real)pixel(row, i)) return false;
    const size_t at = data->order != NULL ? data->order[sample] : sample;
    if (data->targets != NULL)
        for (size_t j = 0; j < data->outputs; j++)
            if (data->targets[at * data->outputs + j] != (dn_real)(label_of(row) == (int)j))
                return false;
    return data->labels[at] == label_of(row);
}

/* Adds to seen[row] for each sample; false when one is no row. */
static bool see(const dn_dataset *data, size_t *seen) {
    for (size_t s = 0; s < data->count; s++) {
        size_t row = 0;
        while (row < ROWS && !is_row(data, s, row)) row++;
        if (row == ROWS) return false;
        seen[row]++;
    }
    return true;
}

static void test_parts(void) {
    dn_dataset all, part, rest, third, fourth;
    dn_random random = dn_random_seed(5);
    make_images();
    make_labels(8, 1, ROWS);
    if (!ok(load(&all) == DN_OK, "fifty pictures")) return;

    ok(dn_dataset_range(&all, 10, 5, &part, &error) == DN_OK && part.count == 5 &&
           is_row(&part, 0, 10) && is_row(&part, 4, 14),
       "a range");
    ok(dn_dataset_range(&part, 2, 3, &rest, &error) == DN_OK && is_row(&rest, 0, 12) &&
           rest.count == 3,
       "a range of a range");
    ok(dn_dataset_range(&all, 50, 0, &part, &error) == DN_OK && part.count == 0, "an empty range");
    ok(dn_dataset_range(&all, 51, 0, &part, &error) == DN_ERROR_ARGUMENT, "%s", error.message);
    ok(dn_dataset_range(&all, 1, 50, &part, &error) == DN_ERROR_ARGUMENT, "%s", error.message);
    ok(dn_dataset_range(&all, 2, SIZE_MAX, &part, &error) == DN_ERROR_ARGUMENT, "%s",
       error.message);

    ok(dn_dataset_split(&all, 30, NULL, &part, &rest, &error) == DN_OK && part.count == 30 &&
           rest.count == 20 && is_row(&part, 29, 29) && is_row(&rest, 0, 30),
       "a split in order");
    ok(dn_dataset_split(&all, 51, NULL, &part, &rest, &error) == DN_ERROR_ARGUMENT, "%s",
       error.message);
    ok(dn_dataset_split(&all, 5, NULL, &part, &part, &error) == DN_ERROR_ARGUMENT, "%s",
       error.message);

    size_t seen[ROWS] = {0}, in_order = 0, wrong = 0;
    ok(dn_dataset_split(&all, 30, &random, &part, &rest, &error) == DN_OK, "a shuffled split");
    ok(see(&part, seen) && see(&rest, seen), "holds rows");
    for (size_t r = 0; r < ROWS; r++) wrong += seen[r] != 1;
    for (size_t s = 0; s < 30; s++) in_order += is_row(&part, s, s);
    ok(wrong == 0, "each exactly once");
    ok(in_order < 10, "in another order (%zu of 30 are in their old place)", in_order);

    memset(seen, 0, sizeof seen);
    wrong = 0;
    ok(dn_dataset_split(&part, 10, &random, &third, &fourth, &error) == DN_OK &&
           see(&third, seen) && see(&fourth, seen) && see(&rest, seen),
       "a split of one part");
    for (size_t r = 0; r < ROWS; r++) wrong += seen[r] != 1;
    ok(wrong == 0, "the three parts hold each row exactly once");
    dn_dataset_free(&third);
    dn_dataset_free(&fourth);

    memset(seen, 0, sizeof seen);
    wrong = 0;
    ok(dn_dataset_range(&part, 5, 20, &third, &error) == DN_OK && see(&third, seen),
       "a range of a shuffled part");
    for (size_t s = 0; s < 20; s++) {
        dn_real a[PIXELS], b[PIXELS];
        dn_dataset_gather(&third, NULL, s, 1, a);
        dn_dataset_gather(&part, NULL, s + 5, 1, b);
        wrong += memcmp(a, b, sizeof a) != 0;
    }
    ok(wrong == 0, "has the right samples");

    ok(dn_dataset_one_hot(&third, &fourth, &error) == DN_OK && fourth.outputs == 10 &&
           third.targets == NULL,
       "one-hot targets of it");
    memset(seen, 0, sizeof seen);
    ok(see(&fourth, seen), "stand beside the right samples");
    dn_dataset_free(&fourth);
    dn_dataset_free(&third);
    ok(third.owned[0] == NULL, "a view owns nothing");
    dn_dataset_free(&part);
    dn_dataset_free(&rest);
    dn_dataset_free(&all);
    ok(counting.live == 0, "nothing is left allocated");

    static const struct {
        double fraction;
        size_t count;
    } fractions[] = {{0, 0}, {1, 50}, {0.5, 25}, {0.8, 40}, {0.09, 5}, {0.089, 4}, {0.999, 50}};
    (void)load(&all);
    for (size_t i = 0; i < sizeof fractions / sizeof fractions[0]; i++)
        ok(dn_dataset_split_fraction(&all, fractions[i].fraction, NULL, &part, &rest, &error) ==
                   DN_OK &&
               part.count == fractions[i].count && rest.count == ROWS - part.count,
           "a fraction of %g", fractions[i].fraction);
    ok(dn_dataset_split_fraction(&all, -0.1, NULL, &part, &rest, &error) == DN_ERROR_ARGUMENT, "%s",
       error.message);
    ok(dn_dataset_split_fraction(&all, 1.1, NULL, &part, &rest, &error) == DN_ERROR_ARGUMENT, "%s",
       error.message);
    ok(dn_dataset_split_fraction(&all, (double)NAN, NULL, &part, &rest, &error) ==
           DN_ERROR_ARGUMENT, "%s", error.message);
    dn_dataset_free(&all);
}

static void test_in_place(void) {
    dn_dataset all, part;
    size_t wrong = 0;
    for (int kind = 0; kind < 6; kind++) {
        size_t seen[ROWS] = {0};
        dn_random random = dn_random_seed(9);
        (void)load(&all);
        dn_status status = DN_OK;
        if (kind == 0) status = dn_dataset_split(&all, 20, &random, &all, &part, &error);
        if (kind == 1) status = dn_dataset_split(&all, 20, &random, &part, &all, &error);
        if (kind == 2) status = dn_dataset_split(&all, 20, NULL, &part, &all, &error);
        if (kind == 3) { /* twice, all parts alive */
            dn_dataset third;
            status = dn_dataset_split(&all, 20, &random, &part, &all, &error);
            if (status == DN_OK) status = dn_dataset_split(&all, 15, &random, &third, &all, &error);
            wrong += !see(&third, seen);
            wrong += third.count != 15 || all.count != 15;
            dn_dataset_free(&third);
            /* all was ordered by what `third` owned */
            all.order = NULL;
            all.count = 0;
            for (size_t r = 0; r < ROWS; r++) seen[r] = 1;
            memset(&part.count, 0, sizeof part.count);
        }
        if (kind == 4) {
            status = dn_dataset_split(&all, 20, &random, &all, &part, &error);
            if (status == DN_OK) status = dn_dataset_one_hot(&all, &all, &error);
            if (status == DN_OK) status = dn_dataset_one_hot(&all, &all, &error);
            wrong += all.targets == NULL;
            if (status == DN_OK) status = dn_dataset_standardize(&all, &error);
            if (status == DN_OK) status = dn_dataset_standardize(&all, &error);
        }
        if (kind == 5) {
            status = dn_dataset_range(&all, 20, 30, &all, &error);
            wrong += !is_row(&all, 0, 20);
            (void)dn_dataset_range(&all, 0, 0, &part, &error);
            for (size_t r = 0; r < 20; r++) seen[r] = 1;
        }
        wrong += status != DN_OK;
        wrong += !see(&part, seen);
        wrong += !see(&all, seen);
        for (size_t r = 0; r < ROWS; r++) wrong += seen[r] != 1;
        dn_dataset_free(&part);
        dn_dataset_free(&all);
        ok(wrong == 0 && counting.live == 0, "in place, way %d (%zu)", kind, wrong);
    }
}

static void test_one_hot(void) {
    static const dn_real x[4] = {1, 2, 3, 4};
    static const int32_t classes[4] = {2, 0, 1, 2};
    static const dn_real expected[12] = {0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1};
    dn_dataset data, view;
    (void)dn_dataset_arrays(&data, 4, 1, x, 3, classes, &error);
    ok(dn_dataset_one_hot(&data, &view, &error) == DN_OK && view.outputs == 3 &&
           memcmp(view.targets, expected, sizeof expected) == 0 && view.labels == classes &&
           view.values == x,
       "one-hot targets");
    dn_dataset_free(&view);
    (void)dn_dataset_arrays(&data, 4, 1, x, 0, NULL, &error);
    ok(dn_dataset_one_hot(&data, &view, &error) == DN_ERROR_ARGUMENT, "%s", error.message);
    (void)dn_dataset_arrays(&data, 4, 1, x, 3, classes, &error);
    data.classes = 2; /* by hand, and wrong */
    ok(dn_dataset_one_hot(&data, &view, &error) == DN_ERROR_LABEL, "%s", error.message);
    ok(counting.live == 0, "nothing is left allocated");
}

/* ---- Normalisation. */

static long double mean_of(const long double *x, size_t count) {
    long double sum = 0;
    for (size_t i = 0; i < count; i++) sum += x[i];
    return sum / (long double)count;
}

static long double deviation_of(const long double *x, size_t count) {
    const long double mean = mean_of(x, count);
    long double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sum == 0 ? 1 : sqrtl(sum / (long double)count);
}

/* The largest error of the gathered numbers, in units of the last place of numbers near 1. */
static double worst_error(const dn_dataset *data, const long double *x, size_t rows, size_t features) {
    const size_t count = rows * features;
    dn_real *inputs = (dn_real *)malloc(count * sizeof *inputs);
    long double *line = (long double *)malloc((rows > features ? rows : features) * sizeof *line);
    double worst = 0;
    dn_dataset_gather(data, NULL, 0, rows, inputs);
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < features; i++) {
            long double expected = x[r * features + i];
            if (data->normalization == DN_NORMALIZE_255) expected /= 255;
            if (data->normalization == DN_NORMALIZE_SAMPLE) {
                expected = (expected - mean_of(x + r * features, features)) /
                           deviation_of(x + r * features, features);
            } else if (data->normalization == DN_NORMALIZE_FEATURE) {
                for (size_t q = 0; q < rows; q++) line[q] = x[q * features + i];
                expected = (expected - mean_of(line, rows)) / deviation_of(line, rows);
            }
            const double scale = fabsl(expected) > 1 ? (double)fabsl(expected) : 1;
            const double error_here =
                (double)fabsl((long double)inputs[r * features + i] - expected) / scale;
            if (!(error_here <= worst)) worst = error_here;
        }
    free(inputs);
    free(line);
    return worst / (sizeof(dn_real) == 4 ? (double)FLT_EPSILON : DBL_EPSILON);
}

static void test_normalization(void) {
    static const char *const names[4] = {"none", "/255", "per sample", "per feature"};
    enum { COUNT = 40, FEATURES = 37 };
    static unsigned char bytes[COUNT * FEATURES];
    static dn_real values[COUNT * FEATURES];
    static long double x[COUNT * FEATURES], y[COUNT * FEATURES];
    dn_random random = dn_random_seed(2);
    for (size_t i = 0; i < COUNT * FEATURES; i++) {
        bytes[i] = (unsigned char)(i % FEATURES == 5 ? 200 : dn_random_below(&random, 256));
        if (i / FEATURES == 7) bytes[i] = 200; /* a constant picture */
        x[i] = bytes[i];
        values[i] = (dn_real)(10 * dn_random_uniform(&random) - 2);
        if (i % FEATURES == 5 || i / FEATURES == 7) values[i] = (dn_real)0.1;
        y[i] = values[i];
    }
    for (int n = 0; n < 4; n++) {
        dn_dataset data, real;
        memset(&data, 0, sizeof data);
        data.count = COUNT;
        data.features = FEATURES;
        data.bytes = bytes;
        (void)dn_dataset_arrays(&real, COUNT, FEATURES, values, 0, NULL, &error);
        data.normalization = real.normalization = (dn_normalization)n;
        if (n == DN_NORMALIZE_FEATURE)
            ok(dn_dataset_standardize(&data, &error) == DN_OK &&
                   dn_dataset_standardize(&real, &error) == DN_OK,
               "standardized");
        const double allowed = n < 2 ? 0.51 : n == 2 ? 2 : 8;
        const double of_bytes = worst_error(&data, x, COUNT, FEATURES);
        const double of_values = worst_error(&real, y, COUNT, FEATURES);
        ok(of_bytes <= allowed, "bytes, %s: error %.3g units", names[n], of_bytes);
        ok(of_values <= allowed, "values, %s: error %.3g units", names[n], of_values);
        dn_real line[FEATURES];
        dn_dataset_gather(&data, NULL, 7, 1, line);
        size_t wrong = 0;
        for (size_t i = 0; i < FEATURES && n == 2; i++) wrong += line[i] != 0;
        dn_dataset_gather(&real, NULL, 7, 1, line);
        for (size_t i = 0; i < FEATURES && n == 2; i++) wrong += line[i] != 0;
        if (n == 2) ok(wrong == 0, "a constant picture becomes zero");
        if (n == 3)
            ok(data.deviation[5] == 1 && data.mean[5] == 200 && real.deviation[5] == 1 &&
                   real.mean[5] == (dn_real)0.1,
               "a constant feature has deviation 1");
        dn_dataset_free(&data);
        dn_dataset_free(&real);
    }
}

static void test_quotients(void) {
    unsigned char bytes[256];
    dn_real inputs[256];
    size_t wrong = 0;
    dn_dataset data;
    memset(&data, 0, sizeof data);
    for (int i = 0; i < 256; i++) bytes[i] = (unsigned char)i;
    data.count = 1;
    data.features = 256;
    data.bytes = bytes;
    data.normalization = DN_NORMALIZE_255;
    dn_dataset_gather(&data, NULL, 0, 1, inputs);
    for (int i = 0; i < 256; i++) { /* correctly rounded: no neighbour is nearer */
        const long double q = inputs[i], exact = (long double)i / 255;
        const long double up = sizeof(dn_real) == 4 ? nextafterf((float)q, 2) : nextafter((double)q, 2);
        const long double down =
            sizeof(dn_real) == 4 ? nextafterf((float)q, -1) : nextafter((double)q, -1);
        wrong += fabsl(q - exact) > fabsl(up - exact) || fabsl(q - exact) > fabsl(down - exact);
        const dn_real quotient = (dn_real)((dn_real)i / 255);
        wrong += inputs[i] != quotient;
    }
    ok(wrong == 0, "x / 255 is correctly rounded for each byte");

    /* What never varies, exactly. */
    wrong = 0;
    dn_random numbers = dn_random_seed(6);
    for (size_t count = 1; count < 256; count++) {
        const dn_real constant = (dn_real)dn_random_uniform(&numbers);
        for (size_t i = 0; i < count; i++) inputs[i] = constant;
        const dni_scale scale = dni_scale_of_values(inputs, count);
        wrong += scale.mean != (double)constant || scale.deviation != 1;
    }
    ok(wrong == 0, "255 constant rows have mean and deviation exactly");

    /* Integer sums against long double, with numbers that cancel. */
    static unsigned char many[200000];
    static long double same[200000];
    double worst = 0;
    dn_random random = dn_random_seed(4);
    for (int kind = 0; kind < 3; kind++) {
        for (size_t i = 0; i < sizeof many; i++) {
            many[i] = (unsigned char)(kind == 0 ? dn_random_below(&random, 256)
                                      : kind == 1 ? 254 + dn_random_below(&random, 2)
                                                  : 255 - (i == 77777));
            same[i] = many[i];
        }
        const dni_scale scale = dni_scale_of_bytes(many, sizeof many);
        const double difference =
            fabs(scale.deviation / (double)deviation_of(same, sizeof many) - 1) +
            fabs(scale.mean / (double)mean_of(same, sizeof many) - 1);
        if (!(difference <= worst)) worst = difference;
    }
    ok(worst < 1e-14, "mean and deviation of 200,000 bytes: error %.2g", worst);
}

static void test_samples(void) {
    dn_dataset all, part, rest;
    dn_real inputs[4 * PIXELS];
    size_t wrong = 0;
    static const uint32_t samples[4] = {9, 0, 9, 19};
    dn_random random = dn_random_seed(8);
    make_images();
    make_labels(8, 1, ROWS);
    (void)load(&all);
    (void)dn_dataset_split(&all, 20, &random, &part, &rest, &error);
    part.normalization = all.normalization = DN_NORMALIZE_NONE;
    dn_dataset_gather(&part, samples, 12345, 4, inputs);
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < PIXELS; i++)
            wrong += inputs[s * PIXELS + i] != (dn_real)pixel(part.order[samples[s]], i);
    ok(wrong == 0, "a list of samples in a shuffled view");
    dn_dataset_gather(&all, samples, 0, 4, inputs);
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < PIXELS; i++)
            wrong += inputs[s * PIXELS + i] != (dn_real)pixel(samples[s], i);
    ok(wrong == 0, "a list of samples");
    dn_dataset_gather(&all, NULL, 46, 4, inputs);
    for (size_t s = 0; s < 4; s++)
        for (size_t i = 0; i < PIXELS; i++)
            wrong += inputs[s * PIXELS + i] != (dn_real)pixel(46 + s, i);
    ok(wrong == 0, "the last four samples");
    dn_dataset_free(&part);
    dn_dataset_free(&all);
}

/* ---- Files, the real ones too. */

#ifndef DN_NO_STDIO
static char folder[] = "/tmp/densenet_data_XXXXXX";

static const char *path(const char *name) {
    static char text[2][400];
    static int turn;
    turn = !turn;
    (void)snprintf(text[turn], sizeof text[turn], "%s/%s", folder, name);
    return text[turn];
}

static void write_file(const char *name, const file *contents) {
    FILE *out = fopen(path(name), "wb");
    if (out == NULL || fwrite(contents->bytes, 1, contents->size, out) != contents->size)
        note("cannot write %s", path(name));
    if (out != NULL) fclose(out);
}

static void test_files(void) {
    dn_dataset data;
    if (mkdtemp(folder) == NULL) {
        skip(1, "no folder for files in /tmp");
        return;
    }
    make_images();
    make_labels(8, 1, ROWS);
    write_file("images", &images);
    write_file("labels", &labels);
    ok(dn_dataset_load(&data, path("images"), path("labels"), &error) == DN_OK &&
           data.count == ROWS && is_row(&data, 7, 7),
       "two files");
    dn_dataset_free(&data);
    ok(dn_dataset_load(&data, path("images"), NULL, &error) == DN_OK && data.labels == NULL,
       "one file");
    dn_dataset_free(&data);
    ok(dn_dataset_load(&data, path("labels"), path("images"), &error) == DN_ERROR_SHAPE, "%s",
       error.message);
    ok(dn_dataset_load(&data, path("images"), path("missing"), &error) == DN_ERROR_FILE, "%s",
       error.message);
    ok(dn_dataset_load(&data, NULL, NULL, &error) == DN_ERROR_ARGUMENT, "%s", error.message);
    make_labels(8, 1, ROWS - 1);
    write_file("labels", &labels);
    ok(dn_dataset_load(&data, path("images"), path("labels"), &error) == DN_ERROR_SHAPE, "%s",
       error.message);
    ok(counting.live == 0, "nothing is left allocated");
    (void)remove(path("images"));
    (void)remove(path("labels"));
    (void)rmdir(folder);
}

static void test_real(const char *set, uint64_t expected_sum, uint32_t expected_crc) {
    const char *root = getenv("DENSENET_DATA");
    char names[2][512];
    dn_dataset data;
    if (root == NULL) root = "data";
    (void)snprintf(names[0], sizeof names[0], "%s/%s/train-images-idx3-ubyte", root, set);
    (void)snprintf(names[1], sizeof names[1], "%s/%s/train-labels-idx1-ubyte", root, set);
    counting_reset(0);
    const clock_t start = clock();
    const dn_status status = dn_dataset_load(&data, names[0], names[1], &error);
    const double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
    if (status == DN_ERROR_FILE) {
        skip(4, "no real data here ('make data' gets it)");
        return;
    }
    if (!ok(status == DN_OK, "%s is loaded", set)) {
        note("%s", error.message);
        return;
    }
    note("%.3f s, %.1f MB at most", seconds, (double)counting.peak / 1e6);
    ok(data.count == 60000 && data.features == 784 && data.classes == 10 && data.height == 28 &&
           data.width == 28,
       "60,000 pictures of 28 x 28 in 10 classes");
    uint64_t sum = 0;
    dni_crc crc;
    dni_crc_init(&crc);
    for (size_t i = 0; i < data.count; i++) sum += (uint64_t)data.labels[i] * (i % 1000 + 1);
    const uint32_t found = dni_crc_of(&crc, data.bytes, data.count * data.features);
    ok(found == expected_crc && sum == expected_sum, "pixels and labels are right (%08lx, %lu)",
       (unsigned long)found, (unsigned long)sum);
    ok(counting.peak < 60000000, "in less than 60 MB of memory");
    dn_dataset_free(&data);
}
#endif

int main(void) {
    test_memory();
    test_pairs();
    test_reader();
    test_failing_memory();
    test_arrays();
    test_parts();
    test_in_place();
    test_one_hot();
    test_normalization();
    test_quotients();
    test_samples();
#ifndef DN_NO_STDIO
    test_files();
    test_real("mnist", 133641948, UINT32_C(0xf3639b56));
    test_real("fashion-mnist", 135496427, UINT32_C(0xae65dccd));
#endif
    ok(counting.live == 0, "nothing is left allocated (%zu bytes)", counting.live);
    return done();
}
