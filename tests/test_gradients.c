/* Backpropagation against numerical derivatives, in double precision: every activation
   before every loss that may follow it, at depths 1 to 3, with and without penalties and
   dropout. */
#define DN_REAL double
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

enum { INPUTS = 3, OUTPUTS = 3, SAMPLES = 4, MOST = 64 };

/* Two activations of the user's own: one for hidden layers, whose derivative is told from
   z, and one with values in (0, 1), for losses that take logarithms. */
static double bent(double z) { return z / sqrt(1 + z * z); }
static double bent_derivative(double z, double a) {
    (void)a;
    return 1 / ((1 + z * z) * sqrt(1 + z * z));
}
static double share(double z) { return 0.5 + 0.5 * bent(z); }
static double share_derivative(double z, double a) { return 0.5 * bent_derivative(z, a); }
static const dn_custom_activation custom_bent = {"bent", bent, bent_derivative};
static const dn_custom_activation custom_share = {"share", share, share_derivative};

/* What may stand last, and which losses may follow. */
typedef struct ending {
    dn_activation activation;
    dn_loss loss;
} ending;

static const ending endings[] = {
    {DN_LINEAR, DN_MEAN_SQUARED_ERROR},     {DN_RELU, DN_MEAN_SQUARED_ERROR},
    {DN_LEAKY_RELU, DN_MEAN_SQUARED_ERROR}, {DN_SIGMOID, DN_MEAN_SQUARED_ERROR},
    {DN_TANH, DN_MEAN_SQUARED_ERROR},       {DN_SOFTMAX, DN_MEAN_SQUARED_ERROR},
    {DN_CUSTOM, DN_MEAN_SQUARED_ERROR},     {DN_SOFTMAX, DN_CROSS_ENTROPY},
    {DN_SIGMOID, DN_CROSS_ENTROPY},         {DN_CUSTOM, DN_CROSS_ENTROPY},
    {DN_SIGMOID, DN_BINARY_CROSS_ENTROPY},  {DN_SOFTMAX, DN_BINARY_CROSS_ENTROPY},
    {DN_CUSTOM, DN_BINARY_CROSS_ENTROPY},
};
enum { ENDINGS = sizeof endings / sizeof *endings };

static const char *const loss_names[] = {"default", "cross-entropy", "binary cross-entropy",
                                         "squared error"};

typedef struct problem {
    dn_net net;
    dn_loss loss;
    dn_penalty penalty;
    dn_batch batch;
    double inputs[SAMPLES * INPUTS], targets[SAMPLES * OUTPUTS];
    int32_t labels[SAMPLES];
    double gradient[MOST];
} problem;

static double between(dn_random *random, double low, double high) {
    return low + (high - low) * dn_random_uniform(random);
}

static void add_layer(problem *p, dn_random *random, size_t outputs, dn_activation activation,
                      bool last) {
    double weights[MOST], biases[MOST];
    dn_dense dense;
    memset(&dense, 0, sizeof dense);
    for (size_t i = 0; i < p->net.outputs * outputs; i++)
        weights[i] = (dn_random_uniform(random) < 0.5 ? -1 : 1) * between(random, 0.2, 1.2);
    for (size_t o = 0; o < outputs; o++) biases[o] = between(random, -0.5, 0.5);
    dense.outputs = outputs;
    dense.activation = activation;
    dense.custom = activation != DN_CUSTOM ? NULL : last ? &custom_share : &custom_bent;
    dense.weights.kind = dense.biases.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = weights;
    dense.biases.given = biases;
    dn_net_layer(&p->net, &dense);
}

/* depth 1: only the ending; hidden[0 .. depth-2] stand before it. */
static void make(problem *p, uint64_t seed, size_t depth, const dn_activation *hidden, ending end,
                 bool penalized, bool dropped) {
    dn_random random = dn_random_seed(seed);
    memset(p, 0, sizeof *p);
    dn_net_init(&p->net, INPUTS, seed);
    if (dropped && depth == 1) dn_net_dropout(&p->net, 0.3);
    for (size_t l = 0; l + 1 < depth; l++) {
        add_layer(p, &random, 3, hidden[l], false);
        if (dropped) dn_net_dropout(&p->net, 0.3);
    }
    add_layer(p, &random, OUTPUTS, end.activation, true);
    for (size_t i = 0; i < SAMPLES * INPUTS; i++) p->inputs[i] = between(&random, -2, 2);
    for (size_t i = 0; i < SAMPLES * OUTPUTS; i++) p->targets[i] = between(&random, 0, 1);
    for (size_t i = 0; i < SAMPLES; i++)
        p->labels[i] = (int32_t)dn_random_below(&random, OUTPUTS);
    p->batch.count = SAMPLES;
    p->batch.inputs = p->inputs;
    if (seed % 2 == 0) p->batch.targets = p->targets; /* any rows: they need not add to 1 */
    else p->batch.labels = p->labels;
    p->loss = end.loss;
    p->penalty.l1 = penalized ? 0.03 : 0;
    p->penalty.l2 = penalized ? 0.07 : 0;
}

static double loss_at(problem *p, dn_workspace *workspace) {
    dn_random mask = p->net.random;
    dn_forward(&p->net, workspace, p->inputs, SAMPLES, &mask);
    return dn_loss_value(&p->net, workspace, p->loss, &p->batch) +
           dn_penalty_value(&p->net, p->penalty);
}

/* The numerical derivative by four points, with an error of order h^4: independent of the
   library's own check, and a thousand times sharper. */
static double derivative(problem *p, dn_workspace *workspace, size_t parameter) {
    const double h = 5e-4, start = p->net.parameters[parameter];
    double loss[4];
    for (int i = 0; i < 4; i++) {
        static const double steps[4] = {-2, -1, 1, 2};
        p->net.parameters[parameter] = start + steps[i] * h;
        loss[i] = loss_at(p, workspace);
    }
    p->net.parameters[parameter] = start;
    return (8 * (loss[2] - loss[1]) - (loss[3] - loss[0])) / (12 * h);
}

/* The distance of a rectifier's nearest z from its kink at 0. */
static double distance_from_kink(const problem *p, const dn_workspace *workspace) {
    double nearest = 1;
    for (size_t l = 0; l < p->net.layer_count; l++) {
        const dn_layer *layer = &p->net.layers[l];
        if (layer->activation != DN_RELU && layer->activation != DN_LEAKY_RELU) continue;
        const double *x = l == 0 ? p->inputs : workspace->a[l - 1];
        const double *w = p->net.parameters + layer->weights;
        for (size_t i = 0; i < SAMPLES * layer->outputs; i++) {
            const size_t b = i / layer->outputs, o = i % layer->outputs;
            double z = p->net.parameters[layer->biases + o];
            for (size_t k = 0; k < layer->inputs; k++)
                z += x[b * layer->inputs + k] * w[k * layer->outputs + o];
            if (fabs(z) < nearest) nearest = fabs(z);
        }
    }
    return nearest;
}

/* Can a central difference judge this problem? Not near a kink, where the two sides
   differ; and not where a gradient is so small that the rounding of the loss, about
   1e-16 / epsilon, is more than its 1e-7th part. (Exactly zero is fine: a dead unit.) */
static bool is_fit(problem *p, dn_workspace *workspace) {
    (void)loss_at(p, workspace);
    if (distance_from_kink(p, workspace) < 0.02) return false;
    dn_backward(&p->net, workspace, p->loss, &p->batch, p->penalty, p->gradient);
    for (size_t i = 0; i < p->net.parameter_count; i++)
        if (p->gradient[i] != 0 && fabs(p->gradient[i]) < 1e-3) return false;
    return true;
}

static double relative_error(double one, double other) {
    const double size = fabs(one) + fabs(other);
    return fabs(one - other) / (size > 1e-8 ? size : 1e-8);
}

/* Both checks of one problem: the first even seed (target rows) or odd one (labels) that is
   fit. Returns the worst error of the library's check, and that of the four points in *sharp;
   NaN where none was fit. */
static double check(uint64_t first_seed, size_t depth, const dn_activation *hidden, ending end,
                    bool penalized, bool dropped, double *sharp) {
    static problem p;
    double worst = (double)NAN;
    *sharp = (double)NAN;
    for (uint64_t seed = first_seed; seed < 1000 && isnan(worst); seed += 2) {
        dn_workspace workspace;
        make(&p, seed, depth, hidden, end, penalized, dropped);
        if (dn_workspace_init(&workspace, &p.net, SAMPLES, NULL) != DN_OK) break;
        if (is_fit(&p, &workspace)) {
            dn_gradient_report report;
            const dn_status status = dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL,
                                                       5e-6, &report, NULL);
            worst = status == DN_OK && report.checked == p.net.parameter_count
                        ? report.error
                        : (double)INFINITY;
            *sharp = 0;
            for (size_t i = 0; i < p.net.parameter_count; i++) {
                const double error =
                    relative_error(p.gradient[i], derivative(&p, &workspace, i));
                if (!(error <= *sharp)) *sharp = error;
            }
        }
        dn_workspace_free(&workspace);
        dn_net_free(&p.net);
    }
    return worst;
}

static void test_all(ending end, size_t depth, bool penalized, bool dropped) {
    const int firsts = depth > 1 ? DN_ACTIVATION_COUNT : 1;
    const int seconds = depth > 2 ? DN_ACTIVATION_COUNT : 1;
    double worst = 0, worst_sharp = 0;
    int nets = 0;
    for (int first = 0; first < firsts; first++)
        for (int second = 0; second < seconds; second++)
            for (uint64_t seed = 0; seed < 2; seed++) {
                dn_activation hidden[2];
                double sharp;
                hidden[0] = (dn_activation)first;
                hidden[1] = (dn_activation)second;
                const double error = check(seed, depth, hidden, end, penalized, dropped, &sharp);
                nets++;
                if (!(error <= 1e-7 && sharp <= 1e-8))
                    note("hidden activations %d and %d, %s: %g and %g", first, second,
                         seed == 0 ? "rows" : "labels", error, sharp);
                worst = error <= worst ? worst : isnan(error) ? INFINITY : error;
                worst_sharp = sharp <= worst_sharp ? worst_sharp : isnan(sharp) ? INFINITY : sharp;
            }
    ok(worst <= 1e-7 && worst_sharp <= 1e-8,
       "%s behind %s, depth %zu%s%s: %d nets, relative error %.1e (%.1e by four points)",
       loss_names[end.loss], dni_activation_names[end.activation], depth,
       penalized ? ", penalties" : "", dropped ? ", dropout" : "", nets, worst, worst_sharp);
}

/* ---- A wrong gradient is caught, and found. */

static const dn_activation two_tanh[2] = {DN_TANH, DN_TANH};
static const ending softmax_end = {DN_SOFTMAX, DN_CROSS_ENTROPY};

static void test_corrupted(void) {
    static problem p;
    dn_workspace workspace;
    dn_gradient_report report;
    size_t caught = 0, located = 0, values = 0;
    make(&p, 3, 3, two_tanh, softmax_end, true, true);
    if (!ok(dn_workspace_init(&workspace, &p.net, SAMPLES, NULL) == DN_OK, "memory")) return;
    (void)loss_at(&p, &workspace);
    dn_backward(&p.net, &workspace, p.loss, &p.batch, p.penalty, p.gradient);
    for (size_t l = 0; l < p.net.layer_count; l++) {
        const dn_layer *layer = &p.net.layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        for (size_t i = 0; i < (layer->inputs + 1) * layer->outputs; i++) {
            const bool is_bias = i >= layer->inputs * layer->outputs;
            const size_t at = layer->weights + i;
            const double right = p.gradient[at], wrong = right * 1.001 + 1e-5;
            p.gradient[at] = wrong;
            dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, p.gradient, 1e-5, &report, NULL);
            p.gradient[at] = right;
            caught += report.error > 1e-5;
            located += report.parameter == at && report.layer == l && report.is_bias == is_bias &&
                       report.row == (is_bias ? 0 : i / layer->outputs) &&
                       report.column == i % layer->outputs;
            values += report.backpropagated == wrong && fabs(report.numerical - right) < 1e-8;
        }
    }
    ok(caught == p.net.parameter_count, "a thousandth too much is caught: %zu of %zu parameters",
       caught, p.net.parameter_count);
    ok(located == p.net.parameter_count, "and located: layer, weight or bias, row, column");
    ok(values == p.net.parameter_count, "and both values are told");

    const double right = p.gradient[5];
    p.gradient[5] = (double)NAN;
    dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, p.gradient, 1e-5, &report, NULL);
    ok(!(report.error <= 1) && report.parameter == 5, "NaN is the worst error of all");
    p.gradient[5] = right;
    dn_workspace_free(&workspace);
    dn_net_free(&p.net);
}

/* The mistakes that have been made in published programs. */
static void test_classics(void) {
    static const char *const names[] = {
        "biases are never trained",          "the gradient of a sum instead of the mean",
        "the penalty is forgotten",          "the penalty is on biases too",
        "the sign is wrong",                 "another dropout mask",
        "weights and their transpose mixed", "nothing is wrong"};
    for (int which = 0; which < 8; which++) {
        static problem p;
        dn_workspace workspace;
        dn_gradient_report report;
        make(&p, 5, 2, two_tanh, softmax_end, true, true);
        const dn_layer *last = &p.net.layers[p.net.layer_count - 1];
        if (!ok(dn_workspace_init(&workspace, &p.net, SAMPLES, NULL) == DN_OK, "memory")) return;
        if (which == 5) (void)dn_random_bits(&p.net.random);
        (void)loss_at(&p, &workspace);
        if (which == 5) p.net.random = dn_random_seed(99);
        const dn_penalty none = {0, 0};
        dn_backward(&p.net, &workspace, p.loss, &p.batch, which == 2 ? none : p.penalty,
                    p.gradient);
        double *g = p.gradient + last->weights;
        for (size_t i = 0; i < last->outputs; i++) {
            if (which == 0) p.gradient[last->biases + i] = 0;
            if (which == 3)
                p.gradient[last->biases + i] += p.penalty.l2 * p.net.parameters[last->biases + i];
            for (size_t j = 0; which == 6 && j < i; j++) {
                const double swap = g[i * 3 + j];
                g[i * 3 + j] = g[j * 3 + i];
                g[j * 3 + i] = swap;
            }
        }
        for (size_t i = 0; i < p.net.parameter_count; i++)
            p.gradient[i] *= which == 1 ? SAMPLES : which == 4 ? -1 : 1;
        dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, p.gradient, 1e-5, &report, NULL);
        ok(which < 7 ? report.error > 1e-3 : report.error <= 1e-6, "%s: error %.1e", names[which],
           report.error);
        dn_workspace_free(&workspace);
        dn_net_free(&p.net);
    }
}

/* The check leaves the net as it was, leaves frozen parts out, and refuses nonsense. */
static void test_manners(void) {
    static problem p;
    dn_gradient_report report;
    dn_error error = {"", DN_OK};
    double before[MOST];
    make(&p, 3, 3, two_tanh, softmax_end, true, true);
    const uint64_t state = p.net.random.state;
    memcpy(before, p.net.parameters, p.net.parameter_count * sizeof *before);
    dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 1e-5, &report, NULL);
    ok(memcmp(before, p.net.parameters, p.net.parameter_count * sizeof *before) == 0 &&
           state == p.net.random.state,
       "the net is the same after the check, bit for bit");

    p.net.layers[0].freeze_weights = true;
    p.net.layers[2].freeze_biases = true;
    dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 1e-5, &report, NULL);
    ok(report.checked == p.net.parameter_count - INPUTS * 3 - 3 && report.error < 1e-6,
       "frozen parts are left out");
    dn_workspace workspace;
    if (!ok(dn_workspace_init(&workspace, &p.net, SAMPLES, NULL) == DN_OK, "memory")) return;
    (void)loss_at(&p, &workspace);
    memset(p.gradient, 0x7f, sizeof p.gradient);
    dn_backward(&p.net, &workspace, p.loss, &p.batch, p.penalty, p.gradient);
    double sum = 0;
    for (size_t i = 0; i < INPUTS * 3; i++) sum += fabs(p.gradient[i]);
    for (size_t i = 0; i < 3; i++) sum += fabs(p.gradient[p.net.layers[2].biases + i]);
    ok(sum == 0, "and their gradient is zero");
    dn_workspace_free(&workspace);

    ok(dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 0, &report, &error) ==
               DN_ERROR_ARGUMENT &&
           error.message[0] != '\0',
       "epsilon 0 is refused: %s", error.message);
    p.batch.count = 0;
    ok(dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 1e-5, &report, &error) ==
           DN_ERROR_ARGUMENT,
       "an empty batch is refused: %s", error.message);
    dn_net_free(&p.net);
    const ending unfit = {DN_TANH, DN_CROSS_ENTROPY};
    make(&p, 3, 1, NULL, unfit, false, false);
    ok(dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 1e-5, &report, &error) ==
           DN_ERROR_ARGUMENT,
       "a loss that does not fit is refused: %s", error.message);
    dn_net_free(&p.net);
}

/* A net of the usual size, with one output and labels 0 and 1. */
static void test_single_output(void) {
    static problem p;
    dn_gradient_report report;
    memset(&p, 0, sizeof p);
    dn_net_init(&p.net, INPUTS, 4);
    dn_net_dense(&p.net, 4, DN_TANH);
    dn_net_dense(&p.net, 1, DN_SIGMOID);
    dn_random random = dn_random_seed(8);
    for (size_t i = 0; i < SAMPLES * INPUTS; i++) p.inputs[i] = between(&random, -2, 2);
    for (int i = 0; i < SAMPLES; i++) p.labels[i] = i % 2;
    p.batch.count = SAMPLES;
    p.batch.inputs = p.inputs;
    p.batch.labels = p.labels;
    dn_gradient_check(&p.net, DN_LOSS_DEFAULT, &p.batch, p.penalty, NULL, 1e-5, &report, NULL);
    ok(report.error <= 1e-7, "one sigmoid output from labels 0 and 1: %.1e", report.error);
    dn_net_free(&p.net);
}

int main(void) {
    for (size_t e = 0; e < ENDINGS; e++)
        for (size_t depth = 1; depth <= 3; depth++)
            for (int variant = 0; variant < 4; variant++)
                test_all(endings[e], depth, variant % 2 == 1, variant >= 2);
    test_single_output();
    test_corrupted();
    test_classics();
    test_manners();
    return done();
}
