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
            const double z = workspace->z[l][i]; /* or a: z or 0.01 z of a hidden layer */
            if (z != 0 && fabs(z) < 1e-4) return false;
            if (layer->activation == DN_LEAKY_RELU && z < 0 && z > -1e-2) return false;
        }
    }
    /* A hidden ReLU keeps no negative z: move each weight and see that nothing changes sides. */
    dn_backward(&p->net, workspace, p->loss, &p->batch, p->penalty, p->gradient);
    for (size_t i = 0; i < p->net.parameter_count; i++)
        if (p->gradient[i] != 0 && fabs(p->gradient[i]) < 2e-4) return false;
    return true;
}
