/* Model files and checkpoints: what is written is read back, bit by bit; what is damaged
   is refused, with its reason; what is interrupted goes on as if nothing had happened. */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include <stdlib.h>
static long allocations_left = -1; /* the one at 0 and all after it fail; -1: none does */
static long blocks;                /* that have not been freed */
static void *failing_malloc(size_t size) {
    void *memory;
    if (allocations_left == 0) return NULL;
    if (allocations_left > 0) allocations_left--;
    memory = malloc(size);
    if (memory) blocks++;
    return memory;
}
static void counting_free(void *memory) {
    if (memory) blocks--;
    free(memory);
}

/* A printf of a country with decimal commas. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
static int commas; /* 1: on */
static int printed_with_commas(char *text, size_t size, const char *format, ...) {
    va_list values;
    va_start(values, format);
    const int length = vsnprintf(text, size, format, values);
    va_end(values);
    for (char *c = text; commas && strcmp(format, "%.*g") == 0 && size > 0 && *c; c++)
        if (*c == '.') *c = ',';
    return length;
}
#define snprintf printed_with_commas
#define DN_MALLOC(size) failing_malloc(size)
#define DN_FREE(memory) counting_free(memory)
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#undef snprintf
#include "tap.h"
#include <stdint.h>
#if defined(__unix__) || defined(__APPLE__)
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

/* ---- Small helpers */

typedef struct file {
    unsigned char bytes[20000];
    size_t size;
} file;

/* A file of a header (as it is, not padded) and `data_size` bytes of numbers 1, 2, 3 ... as
   floats. */
static file make_file(const char *header, size_t floats) {
    file made;
    memset(&made, 0, sizeof made);
    const size_t length = strlen(header);
    made.bytes[0] = (unsigned char)(length & 255);
    made.bytes[1] = (unsigned char)(length >> 8);
    memcpy(made.bytes + 8, header, length);
    made.size = 8 + length;
    for (size_t i = 0; i < floats; i++) {
        const float number = (float)(i + 1);
        uint32_t bits;
        memcpy(&bits, &number, 4);
        for (int b = 0; b < 4; b++) made.bytes[made.size++] = (unsigned char)(bits >> (8 * b));
    }
    return made;
}

static file store(const dn_net *net) {
    file made;
    dn_error error = {{0}, DN_OK};
    memset(&made, 0, sizeof made);
    made.size = dn_net_store(net, made.bytes, sizeof made.bytes, &error);
    if (made.size == 0 || made.size > sizeof made.bytes) note("cannot store: %s", error.message);
    return made;
}

static bool same_parameters(const dn_net *a, const dn_net *b) {
    return a->parameter_count == b->parameter_count &&
           memcmp(a->parameters, b->parameters, a->parameter_count * sizeof(dn_real)) == 0;
}

static bool contains(const file *made, const char *text) {
    const size_t length = strlen(text);
    for (size_t i = 0; i + length <= made->size; i++)
        if (memcmp(made->bytes + i, text, length) == 0) return true;
    return false;
}

static dn_real swish(dn_real z) {
    return z > 0 ? z : z / 4;
}
static dn_real swish_slope(dn_real z, dn_real a) {
    (void)a;
    return z > 0 ? 1 : (dn_real)0.25;
}
static const dn_custom_activation swish_like = {"swish-like", swish, swish_slope};

static dn_net example_net(void) {
    dn_net net;
    dn_dense layer;
    dn_net_init(&net, 5, 18446744073709551615u);
    dn_net_dense(&net, 7, DN_RELU);
    dn_net_dropout(&net, (dn_real)0.25);
    dn_net_dense(&net, 4, DN_LINEAR);
    memset(&layer, 0, sizeof layer);
    layer.outputs = 6;
    layer.activation = DN_TANH;
    layer.freeze_biases = true;
    layer.biases.kind = DN_INITIALIZE_NORMAL;
    layer.biases.b = 1;
    dn_net_layer(&net, &layer);
    dn_net_dropout(&net, (dn_real)1 / 3);
    dn_net_dense(&net, 3, DN_SOFTMAX);
    dn_net_note(&net, "classes of flowers", "setosa, \"versicolor\", virg\\nica\n\t\x01");
    dn_net_note(&net, "caf\xc3\xa9", "\xf0\x9f\x98\x80 \xe2\x82\xac");
    return net;
}

/* ---- Chapter 13: writing and reading back */

static void test_round_trip(void) {
    dn_error error = {{0}, DN_OK};
    dn_net net = example_net(), back = {0};
    const file made = store(&net);
    ok(made.size > 8 && made.size <= sizeof made.bytes, "a net is stored");
    const size_t header = made.bytes[0] + 256u * made.bytes[1];
    ok(header % 8 == 0 && made.bytes[8] == '{',
       "the header's length is a multiple of 8, and it starts with {");
    ok(made.size == 8 + header + net.parameter_count * sizeof(dn_real),
       "behind it are the parameters and no more");
    ok(contains(&made,
                sizeof(dn_real) == 4
                    ? "\"0.weight\":{\"dtype\":\"F32\",\"shape\":[7,5],\"data_offsets\":[0,140]}"
                    : "\"0.weight\":{\"dtype\":\"F64\",\"shape\":[7,5],\"data_offsets\":[0,280]}"),
       "the first weights are [outputs, inputs]");
    ok(contains(&made, "\"3.weight\":") && contains(&made, "\"4.weight\":") &&
           contains(&made, "\"7.bias\":") && !contains(&made, "\"1.weight\":"),
       "layers are numbered as in nn.Sequential");
    ok(contains(&made,
                "5, 7 relu, dropout 0.25, 4 linear, 6 tanh frozen_biases, dropout 0.3333333"),
       "the layers stand in words");
    ok(contains(&made, "\"classes\":\"3\"") && contains(&made, "\"seed\":\"18446744073709551615\""),
       "classes and seed stand in the metadata");
    ok(dn_net_store(&net, NULL, 0, &error) == made.size, "the size can be asked");

    ok(dn_net_memory(&back, made.bytes, made.size, NULL, &error) == DN_OK, "and loaded: %s",
       error.message);
    ok(same_parameters(&net, &back), "all parameters are the same bits");
    ok(back.layer_count == net.layer_count && back.inputs == 5 && back.outputs == 3,
       "so are the sizes");
    bool same = true;
    for (size_t l = 0; l < net.layer_count && l < back.layer_count; l++) {
        const dn_layer *a = &net.layers[l], *b = &back.layers[l];
        same = same && a->kind == b->kind && a->inputs == b->inputs && a->outputs == b->outputs &&
               a->activation == b->activation && a->weights == b->weights &&
               a->biases == b->biases && memcmp(&a->dropout, &b->dropout, sizeof a->dropout) == 0 &&
               a->freeze_weights == b->freeze_weights && a->freeze_biases == b->freeze_biases;
    }
    ok(same, "so are the layers, dropout to the last bit");
    ok(back.seed == net.seed && back.random.state == net.random.state && back.loss == net.loss &&
           back.normalization == net.normalization,
       "so are seed, generator, loss, normalisation");
    const char *flowers = dn_net_get_note(&back, "classes of flowers");
    ok(flowers && strcmp(flowers, "setosa, \"versicolor\", virg\\nica\n\t\x01") == 0,
       "notes with quotes and control characters come back");
    const char *cafe = dn_net_get_note(&back, "caf\xc3\xa9");
    ok(cafe && strcmp(cafe, "\xf0\x9f\x98\x80 \xe2\x82\xac") == 0, "notes in UTF-8 come back");
    const file again = store(&back);
    ok(again.size == made.size && memcmp(again.bytes, made.bytes, made.size) == 0,
       "saved again, it is the same file");

    back.parameters[3] = 42;
    ok(dn_net_memory(&back, made.bytes, made.size, NULL, &error) == DN_OK &&
           same_parameters(&net, &back),
       "loading into the loaded net overwrites it");
    dn_net_free(&net);
    dn_net_free(&back);
}

static void test_notes(void) {
    dn_net net, copy;
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, DN_RELU);
    ok(dn_net_get_note(&net, "a") == NULL, "a net has no notes at first");
    dn_net_note(&net, "a", "1");
    dn_net_note(&net, "b", "2");
    dn_net_note(&net, "a", "3");
    ok(strcmp(dn_net_get_note(&net, "a"), "3") == 0 && strcmp(dn_net_get_note(&net, "b"), "2") == 0,
       "a note is replaced");
    dn_net_note(&net, "b", dn_net_get_note(&net, "b"));
    dn_net_note(&net, "b", dn_net_get_note(&net, "a"));
    ok(strcmp(dn_net_get_note(&net, "b"), "3") == 0, "by the text of another note");
    dn_net_note(&net, "a", NULL);
    ok(dn_net_get_note(&net, "a") == NULL && strcmp(dn_net_get_note(&net, "b"), "3") == 0,
       "and removed");
    ok(dn_net_copy(&copy, &net, NULL) == DN_OK && strcmp(dn_net_get_note(&copy, "b"), "3") == 0,
       "a copy of the net has a copy of them");
    dn_net_free(&copy);
    dn_net_note(&net, "layers", "mine");
    ok(net.error.status == DN_ERROR_ARGUMENT, "a key of the library is refused: %s",
       net.error.message);
    dn_net_free(&net);
    dn_net_init(&net, 2, 1);
    dn_net_note(&net, "x", "\xc0\x80");
    ok(net.error.status == DN_ERROR_ARGUMENT, "text that is no UTF-8 is refused: %s",
       net.error.message);
    dn_net_free(&net);
}

static void test_statistics(void) {
    static const dn_real values[12] = {1, 2,  (dn_real)1e-30, 4, (dn_real)5.1, 6, 7, 8,
                                       9, 10, (dn_real)1e20,  3};
    static const int32_t labels[4] = {0, 1, 1, 0};
    dn_error error = {{0}, DN_OK};
    dn_dataset data = {0};
    dn_training how = {0};
    dn_net net, back = {0};
    dn_dataset_arrays(&data, 4, 3, values, 2, labels, &error);
    ok(dn_dataset_standardize(&data, &error) == DN_OK, "features are standardised %s",
       error.message);
    dn_net_init(&net, 3, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    how.epochs = 1;
    how.ignore_divergence = true;
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_OK && net.mean != NULL &&
           net.mean != data.mean,
       "training gives the net the means %s", error.message);
    const file made = store(&net);
    ok(dn_net_memory(&back, made.bytes, made.size, NULL, &error) == DN_OK &&
           back.normalization == DN_NORMALIZE_FEATURE,
       "a net with means is loaded %s", error.message);
    ok(back.mean && memcmp(back.mean, data.mean, sizeof(dn_real) * 3) == 0 &&
           memcmp(back.deviation, data.deviation, sizeof(dn_real) * 3) == 0,
       "and they are the same bits");
    dn_net_free(&back);
    dn_net_free(&net);
    dn_dataset_free(&data);
}

static void test_numbers(void) {
    dn_random random = dn_random_seed(7);
    bool same = true, doubles = true;
    for (int i = 0; i < 200000 && same; i++) {
        const uint32_t bits = (uint32_t)dn_random_bits(&random);
        float number;
        double back = 0;
        char text[40];
        const char *at = text;
        memcpy(&number, &bits, 4);
        if (!(number - number == 0)) continue;
        dni_number_text((dn_real)number, text);
        same = dni_parse_number(&at, &back) && *at == '\0' && (float)back == number;

        if (!same) note("%.9g is written as %s, read as %.9g", (double)number, text, back);
    }
    ok(same, "200,000 floats are written as text and read back the same");
    for (int i = 0; i < 200000 && doubles; i++) {
        const double number = dn_random_uniform(&random) * (i % 2 == 0 ? 1 : 1e-4);
        double back = 0;
        char text[40];
        const char *at = text;
        if (number < 1e-5) continue;
        snprintf(text, sizeof text, "%.17g", number);
        doubles = dni_parse_number(&at, &back) && back == number;
        if (!doubles) note("%.17g is read as %.17g", number, back);
    }
    ok(doubles, "so are 200,000 doubles");
    double number = 0;
    const char *texts[] = {"0.1",
                           "1e22",
                           "-3.5",
                           "123456789012345678901234567890",
                           "1e-400",
                           "00.50e+1",
                           "123456789012345678e5",
                           "98765432109876543e9",
                           "72057594037927945e3"};
    const double values[] = {0.1,
                             1e22,
                             -3.5,
                             123456789012345678901234567890.0,
                             0,
                             5,
                             123456789012345678e5,
                             98765432109876543e9,
                             72057594037927945e3};
    for (int i = 0; i < 9; i++) {
        const char *at = texts[i];
        ok(dni_parse_number(&at, &number) && number == values[i], "%s is read", texts[i]);
    }
    const char *wrong[] = {"", ".", "-", "e5", "1e", "+1", "nan", "1e+"};
    for (int i = 0; i < 8; i++) {
        const char *at = wrong[i];
        ok(!dni_parse_number(&at, &number) || *at != '\0', "'%s' is no number", wrong[i]);
    }
}

static void test_locale(void) {
    dn_net net = example_net(), back = {0};
    dn_error error = {{0}, DN_OK};
    const file point = store(&net);
    commas = 1;
    const file comma = store(&net);
    ok(comma.size == point.size && memcmp(comma.bytes, point.bytes, point.size) == 0,
       "where printf writes 0,25 the file is the same");
    ok(dn_net_memory(&back, point.bytes, point.size, NULL, &error) == DN_OK &&
           back.layers[1].dropout == (dn_real)0.25,
       "and read the same");
    commas = 0;
    dn_net_free(&net);
    dn_net_free(&back);
}

/* Tensors larger than the buffer of the writer, and a writer that fails in each of its calls. */
typedef struct failing {
    int calls_left, calls;
} failing;
static bool write_until(void *user, const void *bytes, size_t size) {
    failing *to = (failing *)user;
    (void)bytes;
    (void)size;
    to->calls++;
    return to->calls_left-- > 0;
}

static void test_larger(void) {
    dn_error error = {{0}, DN_OK};
    dn_net net, back = {0};
    dn_net_init(&net, 90, 4);
    dn_net_dense(&net, 41, DN_RELU);
    dn_net_dense(&net, 2, DN_LINEAR);
    const size_t size = dn_net_store(&net, NULL, 0, &error);
    unsigned char *bytes = (unsigned char *)malloc(size);
    ok(bytes && dn_net_store(&net, bytes, size, &error) == size &&
           dn_net_memory(&back, bytes, size, NULL, &error) == DN_OK && same_parameters(&net, &back),
       "a net of %zu bytes goes out and in %s", size, error.message);
    free(bytes);
    failing all = {1000, 0};
    dn_writer writer = {write_until, &all, NULL};
    dn_net_write(&net, &writer, &error);
    int refused = 0;
    for (int most = 0; most < all.calls; most++) {
        failing some = {most, 0};
        writer.user = &some;
        refused += dn_net_write(&net, &writer, &error) == DN_ERROR_FILE && some.calls == most + 1;
    }
    ok(refused == all.calls && all.calls > 6,
       "a writer that fails in any of %d calls is not called again: %s", all.calls, error.message);
    dn_net_free(&net);
    dn_net_free(&back);
}

/* ---- Chapter 13: files of others */

#define W0 "\"0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"
#define B0 "\"0.bias\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[24,32]}"
#define W2 "\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[32,40]}"
#define B2 "\"2.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[40,44]}"

static dn_net described(dn_activation last) {
    dn_net net;
    dn_net_init(&net, 3, 1);
    dn_net_dense(&net, 2, DN_RELU);
    dn_net_dense(&net, 1, last);
    return net;
}

static dn_status load(dn_net *net, const char *header, size_t floats, const dn_loading *how,
                      dn_error *error) {
    const file made = make_file(header, floats);
    return dn_net_memory(net, made.bytes, made.size, how, error);
}

static void test_foreign(void) {
    dn_error error = {{0}, DN_OK};
    dn_loading how = {0};
    dn_net net = described(DN_SIGMOID), built = {0};
    static const dn_real expected[11] = {1, 4, 2, 5, 3, 6, 7, 8, 9, 10, 11};
    const char *plain = "{" W0 "," B0 "," W2 "," B2 "}";
    ok(load(&net, plain, 11, NULL, &error) == DN_OK,
       "a file without metadata is loaded into a described net %s", error.message);
    ok(memcmp(net.parameters, expected, sizeof expected) == 0, "with the weights transposed");
    ok(load(&built, plain, 11, NULL, &error) == DN_ERROR_FORMAT &&
           strstr(error.message, "describe the net"),
       "but not without a description: %s", error.message);
    how.infer = true;
    how.hidden = DN_TANH;
    how.last = DN_SIGMOID;
    ok(load(&built, plain, 11, &how, &error) == DN_OK && built.layer_count == 2 &&
           built.inputs == 3 && built.outputs == 1 && built.layers[0].activation == DN_TANH &&
           built.layers[1].activation == DN_SIGMOID,
       "the sizes are inferred when asked for");
    ok(built.parameters && memcmp(built.parameters, expected, sizeof expected) == 0,
       "with the same numbers");
    dn_net_free(&built);
    ok(load(&net, "{\"__metadata__\":{\"format\":\"pt\"}," B2 "," W2 "," B0 "," W0 "} ", 11, NULL,
            &error) == DN_OK &&
           memcmp(net.parameters, expected, sizeof expected) == 0,
       "in any order, with other metadata and blanks at the end");
    ok(load(&net,
            "{\"fc1.weight\":{\"shape\":[2,3],\"data_offsets\":[0,24],\"dtype\":\"F32\"},"
            "\"fc10.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[24,32]},"
            "\"fc10.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[32,36]}}",
            9, NULL, &error) == DN_OK &&
           net.parameters[6] == 0 && net.parameters[7] == 0 && net.parameters[8] == 7 &&
           net.parameters[10] == 9,
       "with a prefix, and without a bias, which is then zero %s", error.message);
    /* as strings, 10 stands before 2 */
    ok(load(&net,
            "{\"10.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
            "\"2.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[8,32]}}",
            8, NULL, &error) == DN_OK &&
           net.parameters[0] == 3 && net.parameters[8] == 1,
       "10.weight comes after 2.weight %s", error.message);
    ok(load(&net,
            "{\"extra\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[44,52]}," W0 "," B0 "," W2
            "," B2 "}",
            13, NULL, &error) == DN_ERROR_FORMAT &&
           strstr(error.message, "'extra'"),
       "an extra tensor is refused: %s", error.message);
    how.ignore_extra = true;
    ok(load(&net,
            "{\"extra\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[44,52]}," W0 "," B0 "," W2
            "," B2 "}",
            13, &how, &error) == DN_OK,
       "or ignored by choice");
    const char *two =
        "{\"a.0.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"b.0.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[24,32]}}";
    ok(load(&built, two, 8, &how, &error) == DN_ERROR_FORMAT && strstr(error.message, "prefix"),
       "two prefixes are refused: %s", error.message);
    how.prefix = "b.";
    ok(load(&built, two, 8, &how, &error) == DN_OK && built.inputs == 2 && built.parameters[0] == 7,
       "unless one is chosen");
    dn_net_free(&built);
    dn_net_free(&net);
}

static void test_types(void) {
    dn_error error = {{0}, DN_OK};
    dn_loading how = {0};
    dn_net net = {0};
    how.infer = true;
    /* F16: 1, -2, 65504 (largest), 2^-24 (smallest), infinity; BF16: 1, -3 */
    file made =
        make_file("{\"0.weight\":{\"dtype\":\"F16\",\"shape\":[5,1],\"data_offsets\":[0,10]},"
                  "\"1.weight\":{\"dtype\":\"BF16\",\"shape\":[1,5],\"data_offsets\":[10,20]}}",
                  0);
    static const unsigned char numbers[20] = {0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01,
                                              0x00, 0x00, 0x7c, 0x80, 0x3f, 0x40, 0xc0,
                                              0x00, 0x00, 0x80, 0xbf, 0x49, 0x40};
    memcpy(made.bytes + made.size, numbers, 20);
    made.size += 20;
    ok(dn_net_memory(&net, made.bytes, made.size, &how, &error) == DN_OK,
       "F16 and BF16 are read %s", error.message);
    const dn_real *w = net.parameters;
    ok(w && w[0] == 1 && w[1] == -2 && w[2] == 65504 && w[3] == (dn_real)5.9604644775390625e-8 &&
           isinf(w[4]),
       "F16: one, minus two, the largest, the smallest, infinity");
    ok(w && w[10] == 1 && w[11] == -3 && w[12] == 0 && w[13] == -1 && w[14] == (dn_real)3.140625,
       "BF16");
    dn_net_free(&net);
    made =
        make_file("{\"0.weight\":{\"dtype\":\"F64\",\"shape\":[1,1],\"data_offsets\":[0,8]}}", 0);
    static const unsigned char pi[8] = {0x18, 0x2d, 0x44, 0x54, 0xfb, 0x21, 0x09, 0x40};
    memcpy(made.bytes + made.size, pi, 8);
    made.size += 8;
    ok(dn_net_memory(&net, made.bytes, made.size, &how, &error) == DN_OK &&
           net.parameters[0] == (dn_real)3.141592653589793,
       "F64");
    dn_net_free(&net);
}

static void test_custom(void) {
    dn_error error = {{0}, DN_OK};
    dn_loading how = {0};
    dn_net net, back = {0}, other;
    dn_dense layer;
    memset(&layer, 0, sizeof layer);
    layer.outputs = 2;
    layer.activation = DN_CUSTOM;
    layer.custom = &swish_like;
    dn_net_init(&net, 3, 1);
    dn_net_layer(&net, &layer);
    const file made = store(&net);
    ok(dn_net_memory(&back, made.bytes, made.size, NULL, &error) == DN_ERROR_ARGUMENT &&
           strstr(error.message, "custom:swish-like"),
       "a custom activation must be given: %s", error.message);
    how.custom = &swish_like;
    how.custom_count = 1;
    ok(dn_net_memory(&back, made.bytes, made.size, &how, &error) == DN_OK &&
           back.layers[0].custom == &swish_like,
       "by its name");
    dn_net_free(&back);
    dn_net_init(&other, 3, 2);
    dn_net_layer(&other, &layer);
    ok(dn_net_memory(&other, made.bytes, made.size, NULL, &error) == DN_OK &&
           same_parameters(&net, &other),
       "or by describing the net");
    dn_net_free(&other);
    dn_net_init(&other, 3, 2);
    dn_net_dense(&other, 2, DN_TANH);
    ok(dn_net_memory(&other, made.bytes, made.size, NULL, &error) == DN_ERROR_ARGUMENT,
       "another activation is refused: %s", error.message);
    dn_net_free(&other);
    dn_custom_activation unfit = swish_like;
    unfit.name = "two words";
    dn_net_free(&net);
    layer.custom = &unfit;
    dn_net_init(&net, 3, 1);
    dn_net_layer(&net, &layer);
    ok(dn_net_store(&net, NULL, 0, &error) == 0 && error.status == DN_ERROR_ARGUMENT,
       "a name that cannot be stored is refused: %s", error.message);
    dn_net_free(&net);
}

/* ---- Chapter 13: hostile files */

static void test_hostile(void) {
    static const struct {
        const char *header;
        size_t floats;
        const char *why; /* must be in the message; NULL: the file is right */
    } files[] = {
        {"{" W0 "," B0 "," W2 "," B2 "}", 11, NULL},
        {"{" W0 "," B0 "," W2 "," B2 "}", 12, "4 bytes behind the last tensor"},
        {"{" W0 "," B0 "," W2 "," B2 "}", 10, "bytes 40 to 44, of 40"},
        {"{" W0 "," B0 "," W0 "," B2 "}", 11, "two tensors are called '0.weight'"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[28,36]}," B2 "}",
         11, "starts at byte 28, the one before it ends at 32"},
        {"{" W0 "," B0 "," B2 "}", 11, "starts at byte 40, the one before it ends at 32"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,3],\"data_offsets\":[32,40]}," B2 "}",
         11, "8 bytes for 3 elements"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[40,32]}," B2 "}",
         11, "bytes 40 to 32"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[32,40]}," B2 "}",
         11, "has shape [2, 1], layer 1 needs [1, 2]"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"I32\",\"shape\":[1,2],\"data_offsets\":[32,40]}," B2 "}",
         11, "type I32"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F99\",\"shape\":[1,2],\"data_offsets\":[32,40]}," B2 "}",
         11, "a known dtype"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],"
                       "\"data_offsets\":[32,40]}," B2 "}",
         11, "fewer numbers"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[4611686018427387905],\"data_"
                       "offsets\":[32,36]}," B2 "}",
         11, "4 bytes for 4611686018427387905"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[4611686018427387906],\"data_"
                       "offsets\":[32,40]}," B2 "}",
         11, "8 bytes for 4611686018427387906"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2,1,1,1,1,1,1,1],\"data_"
                       "offsets\":[32,40]}," B2 "}",
         11, "8 dimensions"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[32,"
                       "18446744073709551616]}," B2 "}",
         11, "a smaller number"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[32,"
                       "18446744073709551615]}," B2 "}",
         11, "bytes 32 to 18446744073709551615"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,-2],\"data_offsets\":[32,40]}," B2 "}",
         11, "a whole number, found '-'"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2.0],\"data_offsets\":[32,40]}," B2 "}",
         11, "the end of a whole number"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,02],\"data_offsets\":[32,40]}," B2 "}",
         11, "the end of a whole number"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[32]}," B2
         "}",
         11, "expected ','"},
        {"{" W0 "," B0
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[32,40,1]}," B2 "}",
         11, "expected ']'"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[1,2]}," B2 "}", 11,
         "dtype, shape and data_offsets"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1,2],\"data_"
                       "offsets\":[32,40]}," B2 "}",
         11, "each field of a tensor once"},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"more\":[[1,-2.5e3],{\"a\":null,\"b\":["
                       "true,false,\"c\"]}],\"shape\":[1,2],\"data_offsets\":[32,40]}," B2 "}",
         11, NULL},
        {"{" W0 "," B0 ",\"2.weight\":{\"dtype\":\"F32\",\"more\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]"
                       "]]]]]]]],\"shape\":[1,2],\"data_offsets\":[32,40]}," B2 "}",
         11, "no deeper nesting"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"1\"}," W0 "," B0 "," W2 "," B2 "}", 11,
         "not there already"},
        {"{\"__metadata__\":{},\"__metadata__\":{}," W0 "," B0 "," W2 "," B2 "}", 11,
         "only one __metadata__"},
        {"{\"__metadata__\":{\"a\":1}," W0 "," B0 "," W2 "," B2 "}", 11, "expected a string"},
        {"{\"__metadata__\":null," W0 "," B0 "," W2 "," B2 "}", 11, "expected '{'"},
        {"{" W0 "," B0 "," W2 "," B2 ",}", 11, "expected a string, found '}'"},
        {"{," W0 "," B0 "," W2 "," B2 "}", 11, "expected a string, found ','"},
        {"{" W0 "," B0 "," W2 "," B2 "}}", 11, "nothing but blanks"},
        {"{" W0 "," B0 "," W2 "," B2, 11, "expected ',', found its end"},
        {" {" W0 "," B0 "," W2 "," B2 "}", 11, "byte 0 of the header: expected '{'"},
        {"", 0, "byte 0 of the header: expected '{', found its end"},
        {"{}", 0, "no weights for layer 0"},
        {"[]", 0, "expected '{', found '['"},
        {"{\"a", 0, "at the end of the string"},
        {"{\"a\n\":{}}", 0, "found byte 0a"},
        {"{\"\\x\":{}}", 0, "after a backslash"},
        {"{\"\\u12g4\":{}}", 0, "a hexadecimal digit, found 'g'"},
        {"{\"\\u0000\":{}}", 0, "no character 0"},
        {"{\"\\udc00\":{}}", 0, "a first surrogate"},
        {"{\"\\ud800\":{}}", 0, "second surrogate"},
        {"{\"\\ud800\\n\":{}}", 0, "second surrogate"},
        {"{\"\\ud800\\u0041\":{}}", 0, "dc00 to dfff"},
        {"{\"\xc3(\":{}}", 0, "valid UTF-8"},
        {"{\"\xc0\xaf\":{}}", 0, "valid UTF-8"},
        {"{\"\xe0\x9f\xbf\":{}}", 0, "valid UTF-8"},
        {"{\"\xf0\x8f\xbf\xbf\":{}}", 0, "valid UTF-8"},
        {"{\"\xed\xa0\x80\":{}}", 0, "valid UTF-8"},
        {"{\"\xf4\x90\x80\x80\":{}}", 0, "valid UTF-8"},
        {"{\"\xe2\x82", 0, "valid UTF-8"},
        {"{" W0 "," B0 "," W2 "," B2
         ",\"4.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[44,48]}}",
         12, "one layer more"},
        {"{" W0 "," B0 "," W2
         ",\"3.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[40,44]}}",
         11, "'3.bias' is one layer more"},
        {"{" W0 "," B0 "," W2
         ",\"02.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[40,44]}}",
         11, "a number that is taken"},
        {"{" W0 "," B0 "," W2
         ",\"2.running_mean\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[40,44]}}",
         11, "belongs to no dense layer"},
        {"{" W0 "," B0 "," B2
         ",\"2.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[32,40]}}",
         11, "1 dimensions and 2 elements"},
    };
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        dn_error error = {{0}, DN_OK};
        dn_net net = described(DN_SIGMOID), before = described(DN_SIGMOID);
        const dn_status status = load(&net, files[i].header, files[i].floats, NULL, &error);
        if (files[i].why == NULL) {
            ok(status == DN_OK, "file %zu is loaded %s", i, error.message);
        } else if (!ok(status != DN_OK && status == error.status &&
                           strstr(error.message, files[i].why) && same_parameters(&net, &before),
                       "file %zu is refused: %s", i, error.message)) {
            note("expected: %s", files[i].why);
        }
        dn_net_free(&net);
        dn_net_free(&before);
    }

    /* Shapes that promise much, files whose first bytes are something else. */
    dn_error error = {{0}, DN_OK};
    dn_net net = {0};
    dn_loading how = {0};
    how.infer = true;
    ok(load(&net,
            "{\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1000000000000,0],\"data_offsets\":[0,0]}}",
            0, &how, &error) == DN_ERROR_SHAPE,
       "a layer of a million million outputs and no inputs: %s", error.message);
    ok(load(&net,
            "{\"__metadata__\":{\"densenet\":\"0\",\"layers\":\"1000000, 4000000000 "
            "relu\"},\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}",
            1, NULL, &error) == DN_ERROR_SHAPE,
       "words that promise more than the tensors hold: %s", error.message);
    static const char *const layers[] = {"",
                                         "0, 1 relu",
                                         "1",
                                         "1,1 relu",
                                         "1, 1 rel",
                                         "1, 0 relu",
                                         "1, 1 relu x",
                                         "1, dropout 1",
                                         "1, dropout -1, 1 relu",
                                         "1, 1 relu,",
                                         "99999999999999999999, 1 relu",
                                         "1, 1 custom",
                                         "1, 1 custom:x",
                                         "18446744073709551615, 18446744073709551615 relu"};
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        char header[300];
        snprintf(header, sizeof header,
                 "{\"__metadata__\":{\"densenet\":\"0\",\"layers\":\"%s\"},\"0.weight\":{\"dtype\":"
                 "\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}",
                 layers[i]);
        const dn_status status = load(&net, header, 1, NULL, &error);
        ok(status != DN_OK && net.layer_count == 0, "layers '%s' are refused: %s", layers[i],
           error.message);
    }
    static const char *const notes[] = {
        "\"normalization\":\"feature\"",
        "\"normalization\":\"feature\",\"mean\":\"1\",\"deviation\":\"x\"",
        "\"normalization\":\"feature\",\"mean\":\"1 2\",\"deviation\":\"1\"",
        "\"normalization\":\"feature\",\"mean\":\"1e39\",\"deviation\":\"1e999\"",
        "\"normalization\":\"256\"",
        "\"loss\":\"none\"",
        "\"seed\":\"-1\"",
        "\"seed\":\"18446744073709551616\"",
        "\"random\":\"1x\""};
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++) {
        char header[400];
        snprintf(
            header, sizeof header,
            "{\"__metadata__\":{\"densenet\":\"0\",\"layers\":\"1, 1 "
            "relu\",%s},\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_offsets\":[0,4]}}",
            notes[i]);
        ok(load(&net, header, 1, NULL, &error) == DN_ERROR_FORMAT && net.layer_count == 0,
           "%s is refused: %s", notes[i], error.message);
    }
    ok(load(&net,
            "{\"__metadata__\":{\"densenet\":\"0\",\"layers\":\"1, 1 "
            "relu\",\"\\ud83d\\uDE00\\/"
            "\":\"\\u20ac\\u00e9\\b\"},\"0.weight\":{\"dtype\":\"F32\",\"shape\":[1,1],\"data_"
            "offsets\":[0,4]}}",
            1, NULL, &error) == DN_OK &&
           dn_net_get_note(&net, "\xf0\x9f\x98\x80/") &&
           strcmp(dn_net_get_note(&net, "\xf0\x9f\x98\x80/"), "\xe2\x82\xac\xc3\xa9\b") == 0,
       "escapes are decoded, pairs of surrogates too %s", error.message);
    dn_net_free(&net);
    dn_net biased = described(DN_SIGMOID);
    ok(load(&biased,
            "{" W0 ","
            "\"0.bias\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[24,36]}}",
            9, NULL, &error) == DN_ERROR_SHAPE &&
           strstr(error.message, "needs [2]"),
       "biases of another length: %s", error.message);
    dn_net_free(&biased);
    static const struct {
        const char *bytes;
        size_t size;
        const char *why;
    } others[] = {
        {"", 0, "0 bytes are no safetensors"},
        {"\x02\0\0\0\0\0\0", 7, "7 bytes"},
        {"\x03\0\0\0\0\0\0\0{}", 10, "a header of 3 bytes, but only 2"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff{}", 10, "a header of 18446744073709551615 bytes"},
        {"\x01\0\x10\0\0\0\0\0{}", 10, "a header of 1048577 bytes (at most 1048576"},
        {"PK\x03\x04xxxxxxxx", 12, "safetensors.torch.save_file"},
        {"\x89HDF\r\n\x1a\n....", 12, "HDF5"},
        {"<!DOCTYPE html>", 15, "HTML"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ok(dn_net_memory(&net, others[i].bytes, others[i].size, NULL, &error) != DN_OK &&
               strstr(error.message, others[i].why),
           "other bytes are refused: %s", error.message);
    how.header_limit = 40;
    dn_net small = described(DN_SIGMOID);
    ok(load(&small, "{" W0 "," B0 "," W2 "," B2 "}", 11, &how, &error) == DN_ERROR_TOO_LARGE,
       "the limit of the header can be changed");
    dn_net_free(&small);
    ok(load(&net, "{}", 0, NULL, NULL) == DN_ERROR_FORMAT, "the error may be NULL");
}

/* A stream of a billion billion bytes of which only few may be read. */
typedef struct stream {
    const file *from;
    size_t at, most, read;
} stream;
static size_t read_stream(void *user, void *buffer, size_t size) {
    stream *in = (stream *)user;
    size_t count = 0;
    unsigned char *to = (unsigned char *)buffer;
    for (; count < size && count < in->most && in->at < in->from->size; count++)
        to[count] = in->from->bytes[in->at++];
    in->read += count;
    return count;
}
static size_t read_forever(void *user, void *buffer, size_t size) {
    *(size_t *)user += size;
    memset(buffer, 0xee, size);
    return size;
}

static void test_streams(void) {
    dn_error error = {{0}, DN_OK};
    dn_net net = example_net(), back = {0};
    const file made = store(&net);
    stream in = {&made, 0, SIZE_MAX, 0};
    dn_reader reader = {read_stream, &in, "stream"};
    ok(dn_net_read(&back, &reader, NULL, &error) == DN_OK && same_parameters(&net, &back),
       "a net is read from a stream %s", error.message);
    dn_net_free(&back);
    size_t taken = 0;
    dn_reader endless = {read_forever, &taken, "endless"};
    ok(dn_net_read(&back, &endless, NULL, &error) == DN_ERROR_TOO_LARGE && taken < 1000000,
       "an endless stream is left after %zu bytes: %s", taken, error.message);
    bool all_refused = true;
    for (size_t cut = 0; cut < made.size; cut++) {
        file part = made;
        unsigned char *exact =
            (unsigned char *)malloc(cut + 1); /* so that the sanitizer sees one byte too many */
        memcpy(exact, part.bytes, cut);
        if (dn_net_memory(&back, exact, cut, NULL, &error) == DN_OK || back.layer_count != 0)
            all_refused = false;
        free(exact);
    }
    ok(all_refused, "cut off at each of %zu bytes, it is refused", made.size);
    size_t accepted = 0, refused = 0;
    const size_t header = 8 + made.bytes[0] + 256u * made.bytes[1];
    for (size_t at = 0; at < header; at++)
        for (int change = 0; change < 5; change++) {
            file damaged = made;
            static const unsigned char with[5] = {'"', '}', '9', 0, 0};
            damaged.bytes[at] =
                change == 4 ? (unsigned char)(damaged.bytes[at] ^ 0x80) : with[change];
            if (dn_net_memory(&back, damaged.bytes, damaged.size, NULL, &error) == DN_OK)
                accepted++;
            else if (error.message[0] && error.status) refused++;
            dn_net_free(&back);
        }
    ok(accepted + refused == 5 * header && refused > 4 * header / 2,
       "each byte of the header replaced by five others: %zu refused, %zu loaded", refused,
       accepted);
    dn_net_free(&net);
}

static void test_memory(void) {
    dn_error error = {{0}, DN_OK};
    dn_net net = example_net(), back = {0};
    const file made = store(&net);
    const long before = blocks;
    long needed = 0;
    bool right = true;
    for (;; needed++) {
        allocations_left = needed;
        const dn_status status = dn_net_memory(&back, made.bytes, made.size, NULL, &error);
        allocations_left = -1;
        if (status == DN_OK) break;
        right = right && status == DN_ERROR_MEMORY && back.layer_count == 0 && blocks == before;
    }
    ok(right && needed > 5, "loading without memory fails at each of %ld allocations, cleanly",
       needed);
    for (needed = 0;; needed++) {
        allocations_left = needed;
        const size_t size = dn_net_store(&net, NULL, 0, &error);
        allocations_left = -1;
        if (size > 0) break;
        right = right && error.status == DN_ERROR_MEMORY;
    }
    ok(right && needed >= 2, "so does saving, at each of %ld", needed);
    dn_net_free(&back);
    dn_net_free(&net);
    ok(blocks == before - 3, "nothing is lost: %ld blocks", blocks);
}

/* ---- Chapter 13: saving without risk */

#if defined(__unix__) || defined(__APPLE__)
static size_t read_whole(const char *name, unsigned char *bytes, size_t capacity) {
    FILE *in = fopen(name, "rb");
    size_t size = 0;
    if (!in) return 0;
    size = fread(bytes, 1, capacity, in);
    fclose(in);
    return size;
}

static size_t files_in(const char *folder) {
    DIR *opened = opendir(folder);
    size_t count = 0;
    struct dirent *entry;
    while (opened && (entry = readdir(opened)) != NULL) count += entry->d_name[0] != '.';
    if (opened) closedir(opened);
    return count;
}

static void test_atomic(void) {
    static unsigned char bytes[20000];
    char folder[] = "/tmp/densenet-test-XXXXXX", name[64], missing[80];
    dn_error error = {{0}, DN_OK};
    dn_net old = example_net(), young = example_net(), back = {0};
    const char *made_folder = mkdtemp(folder);
    if (!ok(made_folder != NULL, "a folder is made")) return;
    snprintf(name, sizeof name, "%s/net.safetensors", folder);
    snprintf(missing, sizeof missing, "%s/no/such/folder", folder);
    for (size_t i = 0; i < young.parameter_count; i++) young.parameters[i] += 1;
    dn_net_note(&young, "remark", "longer than the old file");
    const file expected = store(&old), newer = store(&young);
    ok(dn_net_save(&old, name, &error) == DN_OK, "a net is saved %s", error.message);
    ok(read_whole(name, bytes, sizeof bytes) == expected.size &&
           memcmp(bytes, expected.bytes, expected.size) == 0,
       "the file is what is stored in memory");

    /* No file may become longer than the limit: so each write fails once. */
    struct rlimit limit, usual;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &usual);
    limit = usual;
    bool refused = true, whole = true, clean = true;
    char sample[sizeof error.message] = "";
    for (size_t most = 0; most < newer.size; most++) {
        limit.rlim_cur = most;
        fflush(stdout);
        setrlimit(RLIMIT_FSIZE, &limit);
        const dn_status status = dn_net_save(&young, name, &error);
        setrlimit(RLIMIT_FSIZE, &usual);
        refused = refused && status == DN_ERROR_FILE && error.status == DN_ERROR_FILE;
        whole = whole && read_whole(name, bytes, sizeof bytes) == expected.size &&
                memcmp(bytes, expected.bytes, expected.size) == 0;
        clean = clean && files_in(folder) == 1;
        memcpy(sample, error.message, sizeof sample);
    }
    signal(SIGXFSZ, handler);
    ok(refused, "saving fails at each of %zu bytes: %s", newer.size, sample);
    ok(whole, "and the old file is whole each time");
    ok(clean, "and nothing is left beside it");
    ok(dn_net_save(&young, name, &error) == DN_OK &&
           read_whole(name, bytes, sizeof bytes) == newer.size &&
           memcmp(bytes, newer.bytes, newer.size) == 0 && files_in(folder) == 1,
       "then it is replaced");
    ok(dn_net_load(&back, name, &error) == DN_OK && same_parameters(&back, &young), "and loaded %s",
       error.message);
    ok(dn_net_save(&young, missing, &error) == DN_ERROR_FILE, "a folder that is not there: %s",
       error.message);
    ok(dn_net_load(&back, missing, &error) == DN_ERROR_FILE, "a file that is not there: %s",
       error.message);
    ok(dn_net_load(&back, folder, &error) == DN_ERROR_FILE, "a folder instead of a file: %s",
       error.message);
    ok(same_parameters(&back, &young), "the net is as before");
    char occupied[100];
    snprintf(occupied, sizeof occupied, "%s.tmp-%ld-0", name, (long)getpid());
    FILE *left = fopen(occupied, "wb");
    if (left) fclose(left);
    ok(dn_net_save(&old, name, &error) == DN_OK,
       "a temporary file that was left behind does no harm");
    ok(remove(occupied) == 0, "nor is it touched");
    ok(files_in(folder) == 1, "and nothing else is left");
    remove(name);
    if (mkdir(name, 0777) == 0) {
        ok(dn_net_save(&old, name, &error) == DN_ERROR_FILE && files_in(folder) == 1,
           "a folder is not replaced: %s", error.message);
        rmdir(name);
    }
    rmdir(folder);
    dn_net_free(&old);
    dn_net_free(&young);
    dn_net_free(&back);
}
#else
static void test_atomic(void) {
    skip(1, "limits of file sizes are a matter of POSIX");
}
#endif

/* ---- Chapter 14: checkpoints */

enum { SAMPLES = 37, FEATURES = 4 };
static dn_real inputs[SAMPLES][FEATURES];
static int32_t labels[SAMPLES];

static void make_data(dn_dataset *train, dn_dataset *validation) {
    dn_random random = dn_random_seed(3);
    for (int s = 0; s < SAMPLES; s++) {
        for (int f = 0; f < FEATURES; f++) inputs[s][f] = (dn_real)dn_random_normal(&random);
        labels[s] = (inputs[s][0] > 0) + (inputs[s][1] * inputs[s][2] > 0);
    }
    dn_dataset_arrays(train, 25, FEATURES, &inputs[0][0], 3, labels, NULL);
    dn_dataset_arrays(validation, SAMPLES - 25, FEATURES, &inputs[25][0], 3, labels + 25, NULL);
}

static dn_net small_net(void) {
    dn_net net;
    dn_net_init(&net, FEATURES, 5);
    dn_net_dense(&net, 6, DN_TANH);
    dn_net_dropout(&net, (dn_real)0.3);
    dn_net_dense(&net, 3, DN_SOFTMAX);
    return net;
}

typedef struct buffer {
    unsigned char bytes[60000];
    size_t size;
} buffer;
static bool write_buffer(void *user, const void *bytes, size_t size) {
    buffer *to = (buffer *)user;
    if (size > sizeof to->bytes - to->size) return false;
    memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
    return true;
}
static dn_status checkpoint(const dn_trainer *trainer, buffer *to, dn_error *error) {
    dn_writer writer = {write_buffer, to, "buffer"};
    to->size = 0;
    return dn_trainer_write(trainer, &writer, error);
}
typedef struct view {
    const buffer *of;
    size_t at;
} view;
static size_t read_view(void *user, void *bytes, size_t size) {
    view *in = (view *)user;
    const size_t left = in->of->size - in->at, count = left < size ? left : size;
    memcpy(bytes, in->of->bytes + in->at, count);
    in->at += count;
    return count;
}
static dn_status restore(dn_trainer *trainer, const buffer *from, dn_error *error) {
    view in = {from, 0};
    dn_reader reader = {read_view, &in, "buffer"};
    return dn_trainer_read(trainer, &reader, error);
}

/* Replaces a text by one of the same length and makes the checksum right again. */
static void forge(buffer *saved, const char *from, const char *to) {
    const char *key = "\"crc32\":\"";
    unsigned char *place = NULL;
    char digits[16];
    dni_sum sum;
    for (size_t i = 0; i + 20 < saved->size; i++) {
        if (from && memcmp(saved->bytes + i, from, strlen(from)) == 0)
            memcpy(saved->bytes + i, to, strlen(from)), from = NULL;
        if (!place && memcmp(saved->bytes + i, key, strlen(key)) == 0)
            place = saved->bytes + i + strlen(key);
    }
    if (!place) return;
    memcpy(place, "00000000", 8);
    dni_sum_init(&sum);
    dni_sum_write(&sum, saved->bytes, saved->size);
    snprintf(digits, sizeof digits, "%08lx", (unsigned long)dni_sum_value(&sum));
    memcpy(place, digits, 8);
}

static bool same_history(const dn_history *a, const dn_history *b) {
    return a->count == b->count && memcmp(a->epochs, b->epochs, a->count * sizeof(dn_epoch)) == 0;
}

/* All that matters of two trainings that are at the same point. */
static bool same_state(const dn_trainer *a, const dn_trainer *b) {
    const size_t bytes = a->net->parameter_count * sizeof(dn_real);
    return same_parameters(a->net, b->net) && same_history(&a->history, &b->history) &&
           a->random.state == b->random.state && a->state.steps == b->state.steps &&
           memcmp(&a->state.momentum_power, &b->state.momentum_power, 2 * sizeof(double)) == 0 &&
           (!a->state.first || memcmp(a->state.first, b->state.first, bytes) == 0) &&
           (!a->state.second || memcmp(a->state.second, b->state.second, bytes) == 0) &&
           (!a->best || memcmp(a->best, b->best, bytes) == 0) && a->epoch == b->epoch &&
           a->position == b->position && a->finished == b->finished &&
           a->stopped_early == b->stopped_early && a->best_epoch == b->best_epoch &&
           a->net->random.state == b->net->random.state;
}

/* Trains to the end; then again and again, interrupted after each number of batches. */
static void interrupt_everywhere(const dn_training *how, const dn_dataset *train,
                                 const dn_dataset *validation, const char *what) {
    static buffer saved;
    dn_error error = {{0}, DN_OK};
    dn_net net = small_net();
    dn_trainer whole;
    size_t steps = 0, wrong = 0, tried = 0;
    if (!ok(dn_trainer_init(&whole, &net, train, validation, how, &error) == DN_OK,
            "%s: a training starts %s", what, error.message))
        return;
    while (dn_trainer_step(&whole)) steps++;
    for (size_t stop = 0; stop <= steps; stop++) {
        dn_net first = small_net(), second = small_net();
        dn_trainer before, after;
        for (size_t i = 0; i < second.parameter_count; i++) second.parameters[i] = 99;
        dn_trainer_init(&before, &first, train, validation, how, &error);
        for (size_t s = 0; s < stop; s++) dn_trainer_step(&before);
        if (checkpoint(&before, &saved, &error) != DN_OK) wrong++, note("%s", error.message);
        dn_trainer_init(&after, &second, train, validation, how, &error);
        if (restore(&after, &saved, &error) != DN_OK) wrong++, note("%s", error.message);
        if (!same_state(&before, &after)) wrong++;
        while (dn_trainer_step(&after)) continue;
        if (!same_state(&whole, &after)) wrong++;
        tried++;
        dn_trainer_free(&before);
        dn_trainer_free(&after);
        dn_net_free(&first);
        dn_net_free(&second);
    }
    ok(wrong == 0 && tried > 4, "%s: interrupted at %zu places, it ends with the same bits", what,
       tried);
    dn_trainer_free(&whole);
    dn_net_free(&net);
}

static void test_resume(void) {
    dn_dataset train = {0}, validation = {0};
    make_data(&train, &validation);
    const struct {
        dn_optimizer optimizer;
        const char *name;
    } optimizers[] = {{dn_sgd((dn_real)0.1), "SGD"},
                      {dn_momentum((dn_real)0.05, (dn_real)0.9), "momentum"},
                      {dn_weighted_momentum((dn_real)0.1, (dn_real)0.9), "weighted momentum"},
                      {dn_nesterov((dn_real)0.05, (dn_real)0.9), "Nesterov"},
                      {dn_rmsprop((dn_real)0.01), "RMSprop"},
                      {dn_adam((dn_real)0.01), "Adam"},
                      {dn_adamw((dn_real)0.01, (dn_real)0.1), "AdamW"}};
    dn_training how = {0};
    how.epochs = 4;
    how.batch = 4; /* the last batch has one sample */
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++) {
        how.optimizer = optimizers[i].optimizer;
        interrupt_everywhere(&how, &train, &validation, optimizers[i].name);
    }
    how.penalty.l2 = (dn_real)1e-3;
    how.schedule.kind = DN_SCHEDULE_COSINE;
    interrupt_everywhere(&how, &train, NULL, "cosine, no validation set");
    how.schedule.kind = DN_SCHEDULE_STEP;
    how.schedule.every = 2;
    interrupt_everywhere(&how, &train, &validation, "steps");
    how.schedule.kind = DN_SCHEDULE_PLATEAU;
    how.optimizer = dn_sgd((dn_real)2);
    how.epochs = 8;
    interrupt_everywhere(&how, &train, &validation, "plateau");
    how.schedule.kind = DN_SCHEDULE_CONSTANT;
    how.patience = 2;
    how.optimizer = dn_adam((dn_real)0.3);
    how.epochs = 12;
    interrupt_everywhere(&how, &train, &validation, "early stopping");
    how.keep_last = true;
    how.keep_order = true;
    interrupt_everywhere(&how, &train, &validation, "early stopping that keeps the last");
}

static void test_other_training(void) {
    static buffer saved;
    dn_error error = {{0}, DN_OK};
    dn_dataset train = {0}, validation = {0}, fewer = {0};
    make_data(&train, &validation);
    dn_dataset_range(&train, 0, 24, &fewer, NULL);
    dn_dataset scaled = train, relabelled = {0};
    scaled.normalization = DN_NORMALIZE_SAMPLE;
    dn_dataset_arrays(&relabelled, SAMPLES - 25, FEATURES, &inputs[25][0], 3, labels + 24, NULL);
    dn_training how = {0};
    how.epochs = 3;
    how.batch = 4;
    how.optimizer = dn_adam((dn_real)0.01);
    dn_net net = small_net();
    dn_trainer trainer;
    dn_trainer_init(&trainer, &net, &train, &validation, &how, NULL);
    while (dn_trainer_epoch(&trainer)) continue;
    ok(checkpoint(&trainer, &saved, &error) == DN_OK, "a finished training is saved");

    dn_net other = {0};
    ok(dn_net_memory(&other, saved.bytes, saved.size, NULL, &error) == DN_OK &&
           same_parameters(&net, &other),
       "a checkpoint is read as a model, too %s", error.message);
    dn_net_free(&other);

    for (int change = 0; change < 11; change++) {
        dn_training changed = how;
        const dn_dataset *data = &train, *held = &validation;
        dn_trainer next;
        const char *word = "?";
        other = small_net();
        switch (change) {
        case 0:
            changed.optimizer = dn_adam((dn_real)0.02), word = "learning_rate";
            break;
        case 1:
            changed.optimizer = dn_rmsprop((dn_real)0.01), word = "optimizer";
            break;
        case 2:
            changed.batch = 5, word = "batch";
            break;
        case 3:
            changed.schedule.kind = DN_SCHEDULE_COSINE, word = "schedule";
            break;
        case 4:
            changed.patience = 2, word = "patience";
            break;
        case 5:
            data = &fewer, word = "samples";
            break;
        case 6:
            held = NULL, word = "validation";
            break;
        case 7:
            changed.epochs = 2, word = "3 epochs";
            break;
        case 8:
            data = &scaled, word = "samples 25 (sum";
            break;
        case 9:
            held = &relabelled, word = "validation";
            break;
        default:
            dn_net_dense(&other, 3, DN_SOFTMAX), word = "another net";
            break;
        }
        dn_trainer_init(&next, &other, data, held, &changed, NULL);
        const dn_net *kept = next.net;
        dn_net copy;
        dn_net_copy(&copy, kept, NULL);
        ok(restore(&next, &saved, &error) == DN_ERROR_ARGUMENT && strstr(error.message, word) &&
               next.epoch == 0 && same_parameters(&copy, kept),
           "another training is refused: %s", error.message);
        dn_net_free(&copy);
        dn_trainer_free(&next);
        dn_net_free(&other);
    }

    /* fewer epochs: done at once, unless one more has begun */
    for (int begun = 0; begun < 2; begun++) {
        static buffer early;
        dn_training fewer_epochs = how;
        fewer_epochs.epochs = 2;
        dn_trainer whole, part;
        other = small_net();
        dn_net shorter = small_net();
        dn_trainer_init(&whole, &other, &train, &validation, &how, NULL);
        dn_trainer_epoch(&whole);
        dn_trainer_epoch(&whole);
        if (begun) dn_trainer_step(&whole);
        checkpoint(&whole, &early, NULL);
        dn_trainer_init(&part, &shorter, &train, &validation, &fewer_epochs, NULL);
        const dn_status status = restore(&part, &early, &error);
        if (begun)
            ok(status == DN_ERROR_ARGUMENT && strstr(error.message, "3 epochs"),
               "an epoch that has begun is not wanted: %s", error.message);
        else
            ok(status == DN_OK && part.finished && !dn_trainer_epoch(&part) &&
                   part.history.count == 2,
               "fewer epochs: the training is done");
        dn_trainer_free(&whole);
        dn_trainer_free(&part);
        dn_net_free(&other);
        dn_net_free(&shorter);
    }

    /* more epochs: as if they had been wanted from the beginning */
    dn_training longer = how;
    longer.epochs = 5;
    dn_net at_once = small_net(), extended = small_net();
    dn_trainer a, b;
    dn_trainer_init(&a, &at_once, &train, &validation, &longer, NULL);
    dn_trainer_init(&b, &extended, &train, &validation, &longer, NULL);
    ok(restore(&b, &saved, &error) == DN_OK && !b.finished, "a training is extended %s",
       error.message);
    while (dn_trainer_epoch(&a)) continue;
    while (dn_trainer_epoch(&b)) continue;
    ok(same_state(&a, &b), "and ends as if it had been as long from the beginning");
    dn_trainer_free(&a);
    dn_trainer_free(&b);
    dn_net_free(&at_once);

    /* damage */
    size_t refused = 0;
    bool reasons = true, unchanged = true;
    dn_net target = small_net();
    dn_trainer_init(&b, &target, &train, &validation, &how, NULL);
    dn_net copy;
    dn_net_copy(&copy, &target, NULL);
    for (size_t at = 0; at < saved.size; at++) {
        saved.bytes[at] ^= (unsigned char)(1u << (at % 8));
        if (restore(&b, &saved, &error) != DN_OK) refused++;
        reasons = reasons && error.status != DN_OK && strlen(error.message) > 10;
        unchanged = unchanged && b.epoch == 0 && b.history.count == 0;
        saved.bytes[at] ^= (unsigned char)(1u << (at % 8));
    }
    ok(refused == saved.size && reasons, "one bit wrong in any of %zu bytes is noticed: %s",
       saved.size, error.message);
    ok(unchanged && same_parameters(&copy, &target), "and changes nothing");
    static const struct {
        const char *from, *to, *why;
        size_t count;
        unsigned char value;
    } forged[] = {{"\"checkpoint\":\"1\"", "\"checkpoint\":\"2\"", "version '2'", 0, 3},
                  {"trainer.first", "trainer.fxrst", "'trainer.first', which is not there", 0, 3},
                  {"trainer.counts", "trainer.cxunts", "'trainer.counts'", 0, 3},
                  {"trainer.numbers", "trainer.nxmbers", "'trainer.numbers'", 0, 3},
                  {"trainer.history\":{\"dtype\":\"F64", "trainer.history\":{\"dtype\":\"I64",
                   "needs 18 numbers of type F64", 0, 3},
                  {NULL, NULL, "more than the 3", 0, 4},
                  {NULL, NULL, "make no sense", 0, 2},
                  {NULL, NULL, "make no sense", 1, 7},
                  {NULL, NULL, "make no sense", 4, 26},
                  {NULL, NULL, "make no sense", 5, 4}};
    for (size_t i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        static buffer copied;
        copied = saved;
        unsigned char *counts = copied.bytes + 8 + copied.bytes[0] + 256u * copied.bytes[1];
        counts[8 * forged[i].count] = forged[i].value;
        forge(&copied, forged[i].from, forged[i].to);
        ok(restore(&b, &copied, &error) != DN_OK && strstr(error.message, forged[i].why) &&
               b.epoch == 0,
           "forged, with the right checksum, it is refused: %s", error.message);
    }
    const size_t size = saved.size;
    refused = 0;
    for (saved.size = 0; saved.size < size; saved.size++)
        refused += restore(&b, &saved, NULL) != DN_OK;
    ok(refused == size, "so is every cut");
    const file model = store(&target);
    buffer plain;
    memcpy(plain.bytes, model.bytes, model.size);
    plain.size = model.size;
    ok(restore(&b, &plain, &error) == DN_ERROR_FORMAT, "a model is no checkpoint: %s",
       error.message);
    long needed = 0;
    bool right = true;
    for (;; needed++) {
        const long before = blocks;
        allocations_left = needed;
        const dn_status status = restore(&b, &saved, &error);
        allocations_left = -1;
        if (status == DN_OK) break;
        right = right && blocks == before && b.epoch == 0;
    }
    ok(right && needed > 5, "without memory it fails at each of %ld allocations, cleanly", needed);
    right = true;
    for (needed = 0;; needed++) {
        const long before = blocks;
        allocations_left = needed;
        const dn_status status = checkpoint(&b, &saved, &error);
        allocations_left = -1;
        if (status == DN_OK) break;
        right = right && blocks == before && status == DN_ERROR_MEMORY;
    }
    ok(right && needed > 4, "so does saving, at each of %ld", needed);
    const char *name = "build/test_files.checkpoint";
    if (dn_trainer_save(&b, name, &error) != DN_OK) name = "/tmp/densenet-test_files.checkpoint";
    dn_trainer named;
    dn_net loaded = small_net();
    dn_trainer_init(&named, &loaded, &train, &validation, &how, NULL);
    ok(dn_trainer_save(&b, name, &error) == DN_OK &&
           dn_trainer_load(&named, name, &error) == DN_OK && same_state(&b, &named),
       "a checkpoint is saved to a name and loaded from it %s", error.message);
    remove(name);
    ok(dn_trainer_load(&named, name, &error) == DN_ERROR_FILE,
       "and is not there after it is removed: %s", error.message);
    dn_trainer_free(&named);
    dn_net_free(&loaded);
    dn_trainer_free(&b);
    ok(checkpoint(&b, &saved, &error) == DN_ERROR_ARGUMENT &&
           restore(&b, &saved, &error) == DN_ERROR_ARGUMENT,
       "a trainer that was freed: %s", error.message);

    /* a training that failed */
    dn_training wild = how;
    wild.optimizer = dn_sgd((dn_real)1e30);
    wild.penalty.l2 = 1;
    dn_trainer_init(&b, &target, &train, &validation, &wild, NULL);
    while (dn_trainer_epoch(&b)) continue;
    ok(b.error.status == DN_ERROR_DIVERGED && checkpoint(&b, &saved, &error) == DN_ERROR_DIVERGED,
       "a training that diverged is not saved: %s", error.message);
    dn_trainer_free(&b);
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    dn_net_free(&copy);
    dn_net_free(&target);
    dn_net_free(&extended);
}

int main(void) {
    test_round_trip();
    test_notes();
    test_statistics();
    test_numbers();
    test_locale();
    test_larger();
    test_foreign();
    test_types();
    test_custom();
    test_hostile();
    test_streams();
    test_memory();
    test_atomic();
    test_resume();
    test_other_training();
    ok(blocks == 0, "all memory has been freed: %ld blocks", blocks);
    return done();
}
