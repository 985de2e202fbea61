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

/* Can a numerical derivative judge this problem? Not near a kink, where the two sides
   differ; and not where a gradient is so small that the rounding of the loss, about
   1e-16 / epsilon, is more than its 1e-7th part. (Exactly zero is fine: a dead unit.) */
static bool is_fit(problem *p, dn_workspace *workspace) {
    (void)loss_at(p, workspace);
    for (size_t l = 0; l < p->net.layer_count; l++) {
        const dn_layer *layer = &p->net.layers[l];
        if (layer->activation != DN_RELU && layer->activation != DN_LEAKY_RELU) continue;
        for (size_t i = 0; i < SAMPLES * layer->outputs; i++) {
            const double z = workspace->z[l][i]; /* of a hidden layer a: z, or 0.01 z below 0 */
            const bool is_a = l + 1 < p->net.layer_count;
            if (z > 0 && z < 3e-3) return false;
            if (z < 0 && z > (is_a ? -3e-5 : -3e-3)) return false;
        }
    }
    dn_backward(&p->net, workspace, p->loss, &p->batch, p->penalty, p->gradient);
    for (size_t i = 0; i < p->net.parameter_count; i++)
        if (p->gradient[i] != 0 && fabs(p->gradient[i]) < 2e-5) return false;
    return true;
}

/* The worst relative error over all parameters, against the four-point derivative. */
static double worst_error(problem *p, dn_workspace *workspace) {
    double worst = 0;
    (void)loss_at(p, workspace);
    dn_backward(&p->net, workspace, p->loss, &p->batch, p->penalty, p->gradient);
    for (size_t i = 0; i < p->net.parameter_count; i++) {
        const double one = p->gradient[i], other = derivative(p, workspace, i);
        const double size = fabs(one) + fabs(other);
        const double error = size < 1e-9 ? 0 : fabs(one - other) / size;
        if (!(error <= worst)) worst = error;
    }
    return worst;
}

/* One combination: the first seeds that make a problem which numbers can judge. */
static double combination(size_t depth, dn_activation hidden, ending end, bool penalized,
                          bool dropped, int *judged) {
    const dn_activation both[2] = {hidden, hidden};
    double worst = 0;
    int found = 0;
    for (uint64_t seed = 1; seed < 400 && found < 2; seed++) {
        problem p;
        dn_workspace workspace;
        make(&p, seed, depth, both, end, penalized, dropped);
        if (dn_workspace_init(&workspace, &p.net, SAMPLES, NULL) == DN_OK) {
            if (is_fit(&p, &workspace)) {
                const double error = worst_error(&p, &workspace);
                if (!(error <= worst)) worst = error;
                found++;
            }
            dn_workspace_free(&workspace);
        }
        dn_net_free(&p.net);
    }
    *judged += found;
    return found > 0 ? worst : INFINITY;
}

static void all_combinations(void) {
    for (size_t depth = 1; depth <= 3; depth++)
        for (size_t e = 0; e < ENDINGS; e++) {
            double worst = 0;
            int judged = 0;
            for (int hidden = DN_LINEAR; hidden <= DN_CUSTOM; hidden++) {
                if (depth == 1 && hidden > DN_LINEAR) break;
                for (int options = 0; options < 4; options++) {
                    const double error = combination(depth, (dn_activation)hidden, endings[e],
                                                     options % 2 != 0, options / 2 != 0, &judged);
                    if (!(error <= worst)) {
                        worst = error;
                        if (!(error <= 1e-7))
                            note("hidden %d, penalties %d, dropout %d: %.3g", hidden, options % 2,
                                 options / 2, error);
                    }
                }
            }
            ok(worst <= 1e-7, "depth %zu, %s behind %s: relative error at most 1e-7 (%.2g, %d nets)",
               depth, loss_names[endings[e].loss], dni_activation_names[endings[e].activation],
               worst, judged);
        }
}

/* The library's own check: agrees with a right gradient, and finds a wrong one. */
static void own_check(void) {
    static const ending end = {DN_SOFTMAX, DN_CROSS_ENTROPY};
    const dn_activation hidden[2] = {DN_TANH, DN_SIGMOID};
    problem p;
    dn_gradient_report report;
    dn_workspace workspace;
    make(&p, 3, 3, hidden, end, true, true);
    dn_status status = dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 1e-5, &report,
                                         NULL);
    ok(status == DN_OK && report.checked == p.net.parameter_count && report.error < 1e-7,
       "dn_gradient_check: all %zu parameters agree (%.2g)", report.checked, report.error);

    dn_workspace_init(&workspace, &p.net, SAMPLES, NULL);
    (void)loss_at(&p, &workspace);
    dn_backward(&p.net, &workspace, p.loss, &p.batch, p.penalty, p.gradient);
    for (size_t l = 0; l < p.net.layer_count; l++) {
        const dn_layer *layer = &p.net.layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        const size_t weight = layer->weights + 1 * layer->outputs + 2, bias = layer->biases + 1;
        const double right = p.gradient[weight];
        p.gradient[weight] = right + 0.1 + fabs(right);
        dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, p.gradient, 1e-5, &report, NULL);
        ok(report.error > 1e-2 && report.parameter == weight && report.layer == l &&
               !report.is_bias && report.row == 1 && report.column == 2,
           "a wrong gradient of weight (1, 2) of layer %zu is found", l);
        is_close(report.numerical, right, 1e-5, "its right value");
        p.gradient[weight] = right;
        const double right_bias = p.gradient[bias];
        p.gradient[bias] = NAN;
        dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, p.gradient, 1e-5, &report, NULL);
        ok(report.parameter == bias && report.is_bias && report.column == 1,
           "a NaN in the gradient of bias 1 of layer %zu is found", l);
        p.gradient[bias] = right_bias;
    }
    dn_workspace_free(&workspace);
    ok(dn_gradient_check(&p.net, p.loss, &p.batch, p.penalty, NULL, 0, &report, NULL) ==
           DN_ERROR_ARGUMENT, "epsilon 0 is refused");
    dn_net_free(&p.net);
}

int main(void) {
    all_combinations();
    own_check();
    return done();
}
