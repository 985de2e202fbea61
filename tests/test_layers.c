/* Building nets, activations, initialisation, dropout, frozen parts, the summary, copies. */
#include "counting.h"

#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

/* ---- Activations, against their definitions in double precision. */

static double defined(dn_activation activation, double z) {
    switch (activation) {
    case DN_RELU: return z > 0 ? z : 0;
    case DN_LEAKY_RELU: return z > 0 ? z : 0.01 * z;
    case DN_SIGMOID: return 1 / (1 + exp(-z));
    case DN_TANH: return tanh(z);
    default: return z;
    }
}

/* A net of one layer that passes its inputs to the activation unchanged. */
static void pass_through(dn_net *net, size_t size, dn_activation activation) {
    dn_dense dense = {0};
    dn_real *ones = (dn_real *)calloc(size * size, sizeof *ones);
    for (size_t i = 0; i < size; i++) ones[i * size + i] = 1;
    dense.outputs = size;
    dense.activation = activation;
    dense.weights.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = ones;
    dn_net_init(net, size, 1);
    dn_net_layer(net, &dense);
    free(ones);
}

static void activations(void) {
    static const double limits[] = {0,    1e4,   -1e4, 100,   -100,  88.7, -88.7, 87.4, -87.4,
                                    16.7, -16.7, 1e-6, -1e-6, 1e-30, -1e-30, 0.5, -0.5, 9.1, -9.1};
    enum { LIMITS = sizeof limits / sizeof *limits, COUNT = 20000 };
    static dn_real z[COUNT], a[COUNT];
    for (int i = 0; i < COUNT; i++)
        z[i] = i < LIMITS ? (dn_real)limits[i]
                          : (dn_real)((i % 2 == 0 ? 1 : -1) * 20.0 * i / COUNT);
    for (int activation = DN_LINEAR; activation <= DN_TANH; activation++) {
        dn_net net;
        double worst = 0;
        pass_through(&net, 1, (dn_activation)activation);
        dn_predict(&net, z, COUNT, a, NULL, NULL);
        for (int i = 0; i < COUNT; i++) {
            /* half a unit of the smallest float is the best that can be had near zero */
            const double expected = defined((dn_activation)activation, (double)z[i]);
            const double error = fabs((double)a[i] - expected) / (fabs(expected) + 1e-37);
            if (!(error <= worst)) worst = error;
        }
        ok(worst <= 4e-7, "%s as defined, out to +-1e4: relative error at most %.1e",
           dn_activation_name(&net.layers[0]), worst);
        dn_net_free(&net);
    }
}

static void softmax(void) {
    enum { SIZE = 7, ROWS = 500 };
    static dn_real z[ROWS * SIZE], a[ROWS * SIZE];
    dn_random random = dn_random_seed(1);
    double worst = 0, worst_sum = 0;
    for (int i = 0; i < ROWS * SIZE; i++) {
        z[i] = (dn_real)((i / SIZE % 3 == 0 ? 1 : i / SIZE % 3 == 1 ? 20 : 10000) *
                         dn_random_normal(&random));
    }
    for (int i = 0; i < SIZE; i++) z[i] = (i % 2 == 0 ? 1 : -1) * (dn_real)1e4;
    dn_net net;
    pass_through(&net, SIZE, DN_SOFTMAX);
    dn_predict(&net, z, ROWS, a, NULL, NULL);
    for (int r = 0; r < ROWS; r++) {
        double largest = -1e30, sum = 0, of_outputs = 0;
        for (int j = 0; j < SIZE; j++) largest = fmax(largest, (double)z[r * SIZE + j]);
        for (int j = 0; j < SIZE; j++) sum += exp((double)z[r * SIZE + j] - largest);
        for (int j = 0; j < SIZE; j++) {
            const double expected = exp((double)z[r * SIZE + j] - largest) / sum;
            const double error = fabs((double)a[r * SIZE + j] - expected) / (expected + 1e-30);
            if (!(error <= worst)) worst = error;
            of_outputs += (double)a[r * SIZE + j];
        }
        if (!(fabs(of_outputs - 1) <= worst_sum)) worst_sum = fabs(of_outputs - 1);
    }
    /* z - largest is rounded before the exponential: 6e-8 of up to 100 */
    ok(worst <= 8e-6, "softmax as defined, out to +-1e4: relative error at most %.1e", worst);
    ok(worst_sum <= 1e-6, "its rows add to 1 within %.1e", worst_sum);
    dn_net_free(&net);
}

/* A NaN must not be hidden by an activation, at any place of a vector. */
static void nan_passes(void) {
    enum { SIZE = 19 };
    for (int activation = DN_LINEAR; activation <= DN_SOFTMAX; activation++) {
        dn_net net;
        bool passes = true;
        pass_through(&net, SIZE, (dn_activation)activation);
        for (int at = 0; at < SIZE; at++) {
            dn_real z[SIZE] = {0}, a[SIZE];
            for (int i = 0; i < SIZE; i++) net.parameters[SIZE * SIZE + i] = i == at ? (dn_real)NAN : 1;
            dn_predict(&net, z, 1, a, NULL, NULL);
            passes = passes && isnan(a[at]);
        }
        ok(passes, "a NaN passes through %s", dn_activation_name(&net.layers[0]));
        dn_net_free(&net);
    }
}

static dn_real cube(dn_real z) { return z * z * z; }
static dn_real cube_slope(dn_real z, dn_real a) {
    (void)a;
    return 3 * z * z;
}

static void custom(void) {
    const dn_custom_activation own = {"cube", cube, cube_slope};
    const dn_custom_activation nameless = {NULL, cube, cube_slope};
    const dn_custom_activation broken = {"broken", cube, NULL};
    const dn_real weight = 2, bias = 1, x[2] = {1, -3};
    dn_dense dense = {0};
    dense.outputs = 1;
    dense.activation = DN_CUSTOM;
    dense.custom = &own;
    dense.weights.kind = dense.biases.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = &weight;
    dense.biases.given = &bias;
    dn_net net;
    dn_real a[2], gradient[2];
    dn_net_init(&net, 1, 1);
    dn_net_layer(&net, &dense);
    ok(dn_predict(&net, x, 2, a, NULL, NULL) == DN_OK && a[0] == 27 && a[1] == -125,
       "a custom activation: 27, -125");
    ok(strcmp(dn_activation_name(&net.layers[0]), "cube") == 0, "has its own name");
    dn_workspace workspace;
    const dn_real targets[2] = {26, -124};
    const dn_batch batch = {2, x, NULL, targets};
    const dn_penalty none = {0, 0};
    if (dn_workspace_init(&workspace, &net, 2, NULL) == DN_OK) {
        dn_forward(&net, &workspace, x, 2, NULL);
        dn_backward(&net, &workspace, DN_MEAN_SQUARED_ERROR, &batch, none, gradient);
        dn_workspace_free(&workspace);
    }
    /* dz = (a - y) 3 z^2 / 2: 13.5 and -37.5 */
    ok(gradient[0] == (dn_real)(13.5 * 1 + -37.5 * -3) && gradient[1] == (dn_real)(13.5 - 37.5),
       "and its own derivative: %g, %g", (double)gradient[0], (double)gradient[1]);
    dn_net_free(&net);

    dense.custom = &nameless;
    dn_net_init(&net, 1, 1);
    dn_net_layer(&net, &dense);
    ok(strcmp(dn_activation_name(&net.layers[0]), "custom") == 0, "or is called custom");
    dn_net_free(&net);
    for (int which = 0; which < 2; which++) {
        dense.custom = which == 0 ? &broken : NULL;
        dn_net_init(&net, 1, 1);
        dn_net_layer(&net, &dense);
        ok(net.error.status == DN_ERROR_ARGUMENT, "without its functions it is refused: %s",
           net.error.message);
        dn_net_free(&net);
    }
}

/* ---- Initialisation: mean, variance, and the shape of the distribution. */

static void moments(const dn_real *numbers, size_t count, double mean, double variance,
                    bool is_normal, const char *what) {
    double sum = 0, square = 0, fourth = 0, largest = 0;
    for (size_t i = 0; i < count; i++) sum += (double)numbers[i];
    for (size_t i = 0; i < count; i++) {
        const double d = (double)numbers[i] - mean;
        square += d * d;
        fourth += d * d * d * d;
        if (fabs(d) > largest) largest = fabs(d);
    }
    const double n = (double)count, kurtosis = is_normal ? 3 : 1.8;
    /* five standard deviations of each estimate */
    ok(fabs(sum / n - mean) < 5 * sqrt(variance / n), "%s: mean %.2e", what, sum / n);
    ok(fabs(square / n / variance - 1) < 5 * sqrt((kurtosis - 1) / n), "%s: variance %.4e for %.4e",
       what, square / n, variance);
    ok(fabs(fourth / n / (variance * variance) - kurtosis) < (is_normal ? 0.3 : 0.03),
       "%s: kurtosis of a %s distribution", what, is_normal ? "normal" : "uniform");
    const double bound = sqrt(3 * variance);
    ok(is_normal ? largest > 3.5 * sqrt(variance)
                 : largest <= bound * (1 + 1e-7) && largest > 0.999 * bound,
       "%s: %s", what, is_normal ? "has its tails" : "fills its bounds and keeps them");
}

static void initialization(void) {
    enum { INPUTS = 300, OUTPUTS = 200, COUNT = INPUTS * OUTPUTS };
    static const struct {
        dn_initialization kind;
        const char *name;
        double mean, variance;
        bool is_normal;
    } schemes[] = {
        {DN_INITIALIZE_HE_NORMAL, "He normal", 0, 2.0 / INPUTS, true},
        {DN_INITIALIZE_HE_UNIFORM, "He uniform", 0, 2.0 / INPUTS, false},
        {DN_INITIALIZE_GLOROT_NORMAL, "Glorot normal", 0, 2.0 / (INPUTS + OUTPUTS), true},
        {DN_INITIALIZE_GLOROT_UNIFORM, "Glorot uniform", 0, 2.0 / (INPUTS + OUTPUTS), false},
        {DN_INITIALIZE_LECUN_NORMAL, "LeCun normal", 0, 1.0 / INPUTS, true},
        {DN_INITIALIZE_LECUN_UNIFORM, "LeCun uniform", 0, 1.0 / INPUTS, false},
        {DN_INITIALIZE_NORMAL, "normal (2, 0.5)", 2, 0.25, true},
        {DN_INITIALIZE_UNIFORM, "uniform [2, 5)", 3.5, 0.75, false},
    };
    for (size_t s = 0; s < sizeof schemes / sizeof *schemes; s++) {
        dn_dense dense = {0};
        dn_net net;
        dense.outputs = OUTPUTS;
        dense.weights.kind = schemes[s].kind;
        dense.weights.a = 2;
        dense.weights.b = schemes[s].kind == DN_INITIALIZE_NORMAL ? (dn_real)0.5 : 5;
        dn_net_init(&net, INPUTS, 11);
        dn_net_layer(&net, &dense);
        moments(net.parameters, COUNT, schemes[s].mean, schemes[s].variance, schemes[s].is_normal,
                schemes[s].name);
        double biases = 0;
        for (size_t i = COUNT; i < net.parameter_count; i++) biases += fabs((double)net.parameters[i]);
        ok(biases == 0, "%s: the biases are zero", schemes[s].name);
        dn_net_free(&net);
    }
}

/* Two nets of one layer: the same bits? */
static bool same_weights(const dn_dense *one, const dn_dense *other, uint64_t seed,
                         uint64_t other_seed) {
    dn_net first, second;
    dn_net_init(&first, 20, seed);
    dn_net_layer(&first, one);
    dn_net_init(&second, 20, other_seed);
    dn_net_layer(&second, other);
    const bool same = memcmp(first.parameters, second.parameters,
                             first.parameter_count * sizeof(dn_real)) == 0;
    dn_net_free(&first);
    dn_net_free(&second);
    return same;
}

static void defaults(void) {
    for (int activation = DN_LINEAR; activation <= DN_SOFTMAX; activation++) {
        dn_dense plain = {0}, said = {0};
        const bool rectified = activation == DN_RELU || activation == DN_LEAKY_RELU;
        plain.outputs = said.outputs = 10;
        plain.activation = said.activation = (dn_activation)activation;
        said.weights.kind = rectified ? DN_INITIALIZE_HE_NORMAL : DN_INITIALIZE_GLOROT_UNIFORM;
        ok(same_weights(&plain, &said, 5, 5) && !same_weights(&plain, &plain, 5, 6),
           "%s starts by %s; another seed starts elsewhere", dni_activation_names[activation],
           rectified ? "He" : "Glorot");
    }
    dn_real weights[6] = {1, 2, 3, 4, 5, 6}, biases[3] = {7, 8, 9};
    dn_dense given = {0};
    dn_net net;
    given.outputs = 3;
    given.weights.kind = given.biases.kind = DN_INITIALIZE_GIVEN;
    given.weights.given = weights;
    given.biases.given = biases;
    dn_net_init(&net, 2, 1);
    dn_net_layer(&net, &given);
    const dn_matrix w = dn_net_weights(&net, 0), b = dn_net_biases(&net, 0);
    ok(w.rows == 2 && w.columns == 3 && w.stride == 3 && w.data[1 * 3 + 0] == 4,
       "given weights, as [inputs, outputs]");
    ok(b.rows == 1 && b.columns == 3 && b.data[2] == 9, "given biases");
    const dn_real x[2] = {1, 10};
    dn_real a[3];
    dn_predict(&net, x, 1, a, NULL, NULL);
    ok(a[0] == 48 && a[1] == 60 && a[2] == 72, "x W + b, by hand");
    given.weights.kind = DN_INITIALIZE_ZERO;
    given.biases.kind = DN_INITIALIZE_UNIFORM;
    given.biases.a = 1;
    given.biases.b = 2;
    dn_net_layer(&net, &given);
    double zero = 0;
    const dn_matrix second = dn_net_weights(&net, 1), bias = dn_net_biases(&net, 1);
    for (size_t i = 0; i < 9; i++) zero += fabs((double)second.data[i]);
    ok(zero == 0 && bias.data[0] >= 1 && bias.data[2] < 2 && bias.data[0] != bias.data[1],
       "zero weights, random biases");
    ok(dn_net_weights(&net, 0).data[5] == 6, "the first layer has moved with its values");
    dn_net_free(&net);
}

/* ---- Dropout. */

static void dropout(void) {
    enum { SIZE = 1000, ROWS = 50 };
    static dn_real x[ROWS * SIZE];
    const dn_real p = (dn_real)0.3;
    dn_net net;
    dn_workspace workspace;
    for (int i = 0; i < ROWS * SIZE; i++) x[i] = 2;
    dn_net_init(&net, SIZE, 3);
    dn_net_dropout(&net, p);
    dn_net_dense(&net, 1, DN_LINEAR);
    if (!ok(dn_workspace_init(&workspace, &net, ROWS, NULL) == DN_OK, "a workspace")) return;
    const dn_real *a = workspace.a[0];

    dn_random random = dn_random_seed(8);
    dn_forward(&net, &workspace, x, ROWS, &random);
    double zeroes = 0, others = 0, sum = 0;
    for (int i = 0; i < ROWS * SIZE; i++) {
        zeroes += a[i] == 0;
        others += fabs((double)a[i] - 2 / 0.7) < 1e-6;
        sum += (double)a[i];
    }
    const double count = ROWS * SIZE;
    ok(zeroes + others == count, "an activation is dropped, or divided by 1 - p");
    ok(fabs(zeroes / count - 0.3) < 5 * sqrt(0.21 / count), "%.4f of them are dropped",
       zeroes / count);
    ok(fabs(sum / count - 2) < 0.05, "the mean is kept: %.4f", sum / count);

    dn_real *first = (dn_real *)malloc(ROWS * SIZE * sizeof *first);
    memcpy(first, a, ROWS * SIZE * sizeof *first);
    dn_forward(&net, &workspace, x, ROWS, &random);
    ok(memcmp(first, a, ROWS * SIZE * sizeof *first) != 0, "the next mask is another");
    random = dn_random_seed(8);
    dn_forward(&net, &workspace, x, ROWS, &random);
    ok(memcmp(first, a, ROWS * SIZE * sizeof *first) == 0, "the same seed makes the same mask");
    bool different = false;
    for (int i = 0; i < SIZE; i++) different = different || a[i] != a[SIZE + i];
    ok(different, "each sample has its own");

    /* y = a w, loss = (y - t)^2 / 2: the gradient of w[i] is the sum of a[i] (y - t) / B, so
       that one sample's dropped inputs leave their weights alone. */
    dn_real target = 5, *gradient = (dn_real *)malloc(net.parameter_count * sizeof *gradient);
    const dn_batch batch = {1, x, NULL, &target};
    const dn_penalty none = {0, 0};
    const dn_real *y = dn_forward(&net, &workspace, x, 1, &random);
    dn_backward(&net, &workspace, DN_MEAN_SQUARED_ERROR, &batch, none, gradient);
    double worst = 0;
    for (int i = 0; i < SIZE; i++)
        worst = fmax(worst, fabs((double)gradient[i] - (double)a[i] * ((double)y[0] - 5)));
    ok(worst < 1e-5, "a dropped input leaves its weight alone");
    free(gradient);
    free(first);

    dn_forward(&net, &workspace, x, ROWS, NULL);
    ok(memcmp(a, x, sizeof x) == 0, "inference passes everything, unscaled");
    dn_real out[ROWS];
    dn_predict(&net, x, ROWS, out, NULL, NULL);
    ok(memcmp(out, workspace.a[1], sizeof out) == 0, "and dn_predict agrees with it bit for bit");
    dn_workspace_free(&workspace);
    dn_net_free(&net);

    dn_net_init(&net, 3, 3);
    dn_net_dense(&net, 3, DN_TANH);
    dn_net_dropout(&net, 0);
    dn_net_dense(&net, 3, DN_TANH);
    if (ok(dn_workspace_init(&workspace, &net, 1, NULL) == DN_OK, "a workspace")) {
        dn_forward(&net, &workspace, x, 1, &random);
        ok(memcmp(workspace.a[0], workspace.a[1], 3 * sizeof *x) == 0, "probability 0 drops nothing");
        dn_workspace_free(&workspace);
    }
    const dn_matrix none_here = dn_net_weights(&net, 1);
    ok(none_here.rows * none_here.columns == 0 && dn_net_biases(&net, 1).rows == 0,
       "a dropout layer has no parameters");
    dn_net_free(&net);

    const double nonsense[] = {1, -0.1, 1.5, (double)NAN};
    for (int i = 0; i < 4; i++) {
        dn_net_init(&net, 3, 3);
        dn_net_dropout(&net, (dn_real)nonsense[i]);
        ok(net.error.status == DN_ERROR_ARGUMENT, "refused: %s", net.error.message);
        dn_net_free(&net);
    }
}

/* ---- Frozen parts. */

static void frozen(void) {
    const dn_real x[8] = {0, 0, 0, 1, 1, 0, 1, 1};
    const int32_t labels[4] = {0, 1, 1, 0};
    for (int which = 0; which < 8; which++) {
        const bool weights = which % 2 == 1, biases = which / 2 % 2 == 1;
        dn_net net, before;
        dn_dataset data;
        dn_dense dense = {0};
        dn_training how;
        memset(&how, 0, sizeof how);
        how.epochs = 5;
        how.optimizer = which < 4 ? dn_sgd((dn_real)0.5) : dn_adamw((dn_real)0.1, (dn_real)0.1);
        dense.outputs = 3;
        dense.activation = DN_TANH;
        dense.freeze_weights = weights;
        dense.freeze_biases = biases;
        dn_net_init(&net, 2, 7);
        dn_net_layer(&net, &dense);
        dn_net_dense(&net, 2, DN_SOFTMAX);
        dn_dataset_arrays(&data, 4, 2, x, 2, labels, NULL);
        dn_net_copy(&before, &net, NULL);
        const dn_status status = dn_train(&net, &data, NULL, &how, NULL);
        const bool w = memcmp(net.parameters, before.parameters, 6 * sizeof(dn_real)) == 0;
        const bool b = memcmp(net.parameters + 6, before.parameters + 6, 3 * sizeof(dn_real)) == 0;
        const bool rest = memcmp(net.parameters + 9, before.parameters + 9, 8 * sizeof(dn_real)) == 0;
        ok(status == DN_OK && w == weights && b == biases && !rest,
           "%s: weights %s, biases %s, the rest is trained", which < 4 ? "SGD" : "AdamW",
           weights ? "frozen" : "trained", biases ? "frozen" : "trained");
        dn_net_free(&net);
        dn_net_free(&before);
    }
}

/* ---- A chain of calls keeps its first error, and whatever uses the net tells it. */

static void tells(dn_net *net, dn_status expected, const char *what) {
    const dn_real x[4] = {0};
    dn_real out[64];
    const int32_t labels[1] = {0};
    const dn_batch batch = {1, x, labels, NULL};
    const dn_penalty none = {0, 0};
    dn_dataset data;
    dn_training how;
    dn_workspace workspace;
    dn_gradient_report report;
    dn_trainer trainer;
    dn_net copy;
    dn_error error = {"", DN_OK};
    size_t confusion[64];
    memset(&how, 0, sizeof how);
    dn_dataset_arrays(&data, 1, 2, x, 2, labels, NULL);
    bool all = dn_train(net, &data, NULL, &how, &error) == expected;
    all = all && strcmp(error.message, net->error.message) == 0 && error.status == expected;
    all = all && dn_trainer_init(&trainer, net, &data, NULL, &how, NULL) == expected;
    all = all && !dn_trainer_epoch(&trainer) && !dn_trainer_step(&trainer);
    dn_trainer_free(&trainer);
    all = all && dn_predict(net, x, 1, out, NULL, NULL) == expected;
    all = all && dn_predict_dataset(net, &data, 0, 1, out, NULL) == expected;
    const dn_evaluation evaluation = dn_evaluate(net, &data);
    all = all && evaluation.status == expected && isnan(evaluation.loss) && isnan(evaluation.accuracy);
    all = all && dn_confusion(net, &data, confusion, NULL) == expected;
    all = all && dn_net_copy(&copy, net, NULL) == expected;
    dn_net_free(&copy);
    all = all && dn_workspace_init(&workspace, net, 1, NULL) == expected;
    dn_workspace_free(&workspace);
    all = all && dn_loss_check(net, DN_LOSS_DEFAULT, NULL) == expected;
    all = all && dn_gradient_check(net, DN_LOSS_DEFAULT, &batch, none, NULL, (dn_real)1e-2, &report,
                                   NULL) == expected;
    ok(all, "%s: all who use the net say so: %s", what, net->error.message);
}

static void first_error(void) {
    dn_net net;
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 3, DN_RELU);
    dn_net_dense(&net, 0, DN_RELU);
    dn_net_dropout(&net, 7);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    ok(net.layer_count == 1 && net.parameter_count == 9 && net.outputs == 3,
       "after an error the chain does nothing more");
    ok(strstr(net.error.message, "layer 1") != NULL && strstr(net.error.message, "output") != NULL,
       "the first error is kept: %s", net.error.message);
    tells(&net, DN_ERROR_ARGUMENT, "no outputs");
    dn_net_free(&net);

    memset(&net, 0, sizeof net);
    dn_net_dense(&net, 3, DN_RELU);
    tells(&net, DN_ERROR_ARGUMENT, "never initialised");
    dn_net_init(&net, 0, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    tells(&net, DN_ERROR_SHAPE, "no inputs");
    dn_net_free(&net);

    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, SIZE_MAX / 4, DN_RELU);
    tells(&net, DN_ERROR_TOO_LARGE, "too large");
    dn_net_free(&net);

    dn_net_init(&net, SIZE_MAX, 1);
    dn_net_dense(&net, SIZE_MAX, DN_RELU);
    tells(&net, DN_ERROR_TOO_LARGE, "a product that overflows");
    dn_net_free(&net);

    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, (size_t)1 << 27, DN_RELU); /* the allocator gives no such block */
    tells(&net, DN_ERROR_MEMORY, "no memory");
    dn_net_free(&net);

    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, (dn_activation)77);
    tells(&net, DN_ERROR_ARGUMENT, "an unknown activation");
    dn_net_free(&net);

    dn_dense dense = {0};
    dense.outputs = 2;
    dense.weights.kind = DN_INITIALIZE_GIVEN;
    dn_net_init(&net, 2, 1);
    dn_net_layer(&net, &dense);
    tells(&net, DN_ERROR_ARGUMENT, "given, but not there");
    dn_net_free(&net);

    dn_net_init(&net, 2, 1);
    ok(dn_predict(&net, net.parameters, 1, NULL, NULL, &net.error) == DN_ERROR_SHAPE,
       "a net without layers: %s", net.error.message);
    dn_net_free(&net);
    dn_net_free(&net); /* twice is harmless */
}

/* ---- Data that does not fit. */

static void wrong_width(void) {
    const dn_real x[12] = {0}, y[12] = {0};
    const int32_t labels[4] = {0, 1, 2, 1};
    dn_real out[12];
    dn_net net;
    dn_dataset wide, classes, rows, empty;
    dn_error error = {"", DN_OK};
    dn_training how;
    memset(&how, 0, sizeof how);
    memset(&empty, 0, sizeof empty);
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    dn_dataset_arrays(&wide, 1, 3, x, 2, labels, NULL);
    dn_dataset_arrays(&classes, 4, 2, x, 3, labels, NULL);
    dn_dataset_targets(&rows, 4, 2, x, 3, y, NULL);
    ok(dn_train(&net, &wide, NULL, &how, &error) == DN_ERROR_SHAPE &&
           strchr(error.message, '3') != NULL && strchr(error.message, '2') != NULL,
       "wrong width: %s", error.message);
    ok(dn_evaluate(&net, &wide).status == DN_ERROR_SHAPE, "in evaluation too");
    ok(dn_predict_dataset(&net, &wide, 0, 1, out, &error) == DN_ERROR_SHAPE, "and in prediction: %s",
       error.message);
    ok(dn_train(&net, &classes, NULL, &how, &error) != DN_OK, "more classes than outputs: %s",
       error.message);
    ok(dn_train(&net, &rows, NULL, &how, &error) == DN_ERROR_SHAPE, "wrong targets: %s",
       error.message);
    ok(dn_train(&net, &empty, NULL, &how, &error) != DN_OK, "no samples: %s", error.message);
    classes.classes = 2;
    classes.count = 2;
    ok(dn_train(&net, &classes, &wide, &how, &error) == DN_ERROR_SHAPE &&
           strstr(error.message, "validation") != NULL,
       "validation data of the wrong width: %s", error.message);
    classes.labels = NULL;
    ok(dn_train(&net, &classes, NULL, &how, &error) == DN_ERROR_ARGUMENT, "no answers: %s",
       error.message);
    dn_net_free(&net);
}

/* ---- Copies and the summary. */

static void copies(void) {
    dn_net net, copy;
    dn_net_init(&net, 4, 9);
    dn_net_dense(&net, 5, DN_TANH);
    dn_net_dropout(&net, (dn_real)0.5);
    dn_net_dense(&net, 3, DN_SOFTMAX);
    net.loss = DN_BINARY_CROSS_ENTROPY;
    ok(dn_net_copy(&copy, &net, NULL) == DN_OK && copy.parameter_count == net.parameter_count &&
           copy.layer_count == 3 && copy.loss == net.loss && copy.seed == 9 &&
           copy.random.state == net.random.state &&
           memcmp(copy.parameters, net.parameters, net.parameter_count * sizeof(dn_real)) == 0,
       "a copy is equal");
    const dn_real first = net.parameters[0];
    copy.parameters[0] = first + 1;
    copy.layers[0].activation = DN_RELU;
    ok(net.parameters[0] == first && net.layers[0].activation == DN_TANH, "and independent");
    dn_net_free(&net);
    const dn_real x[4] = {1, 2, 3, 4};
    dn_real a[3];
    ok(dn_predict(&copy, x, 1, a, NULL, NULL) == DN_OK && fabs((double)(a[0] + a[1] + a[2]) - 1) < 1e-6,
       "and outlives its original");
    dn_net_free(&copy);
}

static void summary(void) {
    dn_net net;
    dn_dense dense = {0};
    char text[2048], part[64];
    dn_net_init(&net, 784, 1);
    dn_net_dense(&net, 128, DN_RELU);
    dn_net_dropout(&net, (dn_real)0.25);
    dense.outputs = 10;
    dense.activation = DN_SOFTMAX;
    dense.freeze_biases = true;
    dn_net_layer(&net, &dense);
    const size_t length = dn_net_summary(&net, text, sizeof text);
    ok(length == strlen(text), "the summary is %zu characters long", length);
    static const char *const words[] = {"dense",     "relu",   "dropout", "25%",   "softmax",
                                        "(batch, 128)", "(batch, 10)", "100,480", "401,920", "1,290",
                                        "101,770",   "407,080", "10 of them frozen"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        ok(strstr(text, words[i]) != NULL, "it says '%s'", words[i]);
    ok(text[length - 1] == '\n', "and ends with a line");
    ok(dn_net_summary(&net, NULL, 0) == length, "without a buffer it is measured");
    bool right = true;
    for (size_t capacity = 1; capacity <= length + 2; capacity++) {
        char *small = (char *)malloc(capacity);
        right = right && dn_net_summary(&net, small, capacity) == length &&
                strlen(small) == (capacity - 1 < length ? capacity - 1 : length) &&
                strncmp(small, text, strlen(small)) == 0;
        free(small);
    }
    ok(right, "a buffer of any size is filled as far as it goes, and terminated");
    memset(part, 'x', sizeof part);
    (void)dn_net_summary(&net, part, 1);
    ok(part[0] == '\0' && part[1] == 'x', "a buffer of one byte holds the end");
    dn_net_free(&net);
}

/* ---- No memory, at every single allocation: an error, and nothing leaked. */

static void no_memory(void) {
    size_t failures = 0;
    bool told = true;
    const dn_real x[8] = {0, 0, 0, 1, 1, 0, 1, 1};
    const int32_t labels[4] = {0, 1, 1, 0};
    dn_dataset data;
    dn_dataset_arrays(&data, 4, 2, x, 2, labels, NULL);
    const size_t live = counting.live;
    for (size_t fail_at = 1; fail_at < 100; fail_at++) {
        dn_net net, copy;
        dn_real out[8];
        dn_training how;
        memset(&how, 0, sizeof how);
        how.epochs = 1;
        how.patience = 1;
        memset(&copy, 0, sizeof copy);
        counting_reset(fail_at);
        dn_net_init(&net, 2, 1);
        dn_net_dense(&net, 3, DN_TANH);
        dn_net_dropout(&net, (dn_real)0.5);
        dn_net_dense(&net, 2, DN_SOFTMAX);
        dn_status status = dn_net_copy(&copy, &net, NULL);
        if (status == DN_OK) status = dn_train(&copy, &data, &data, &how, NULL);
        if (status == DN_OK) status = dn_evaluate(&copy, &data).status;
        if (status == DN_OK) status = dn_predict(&copy, x, 4, out, NULL, NULL);
        if (status == DN_OK) status = dn_predict_dataset(&copy, &data, 0, 4, out, NULL);
        const size_t calls = counting.calls;
        dn_net_free(&net);
        dn_net_free(&copy);
        counting.fail_at = 0;
        if (calls < fail_at) break;
        failures++;
        told = told && status == DN_ERROR_MEMORY && counting.live == live;
    }
    ok(told && failures > 20, "each of %zu allocations may fail: an error, and no leak", failures);
}

int main(void) {
    activations();
    softmax();
    nan_passes();
    custom();
    initialization();
    defaults();
    dropout();
    frozen();
    first_error();
    wrong_width();
    copies();
    summary();
    no_memory();
    ok(counting.live == 0, "everything is given back");
    return done();
}
