/* Activations, losses, gradients and ten steps of every optimizer against PyTorch.
   golden.h was made by golden.py, in double precision; a float result agrees to 1e-5. */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

typedef struct golden_layer {
    size_t outputs;
    dn_activation activation;
} golden_layer;

typedef struct golden_case {
    size_t layer_count;
    golden_layer layers[3];
    dn_loss loss;
    const double *targets; /* NULL: the labels */
    dn_real l1, l2;
    double loss_value, penalty_value;
    const double *parameters, *gradient, *activations;
} golden_case;

typedef struct golden_run {
    const char *name;
    int optimizer;
    dn_real l1, l2;
    const double *parameters; /* [GOLDEN_STEPS, parameter_count] */
    const double *losses;     /* [GOLDEN_STEPS] */
} golden_run;

#include "golden.h"

enum { MOST = 64 };

static dn_real inputs[GOLDEN_SAMPLES * GOLDEN_INPUTS];
static dn_real targets[GOLDEN_SAMPLES * GOLDEN_CLASSES];

static void convert(dn_real *to, const double *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] = (dn_real)from[i];
}

/* Every number to 1e-5 of itself. A number that is small beside its neighbours is a
   difference of larger ones and carries their rounding: it may be off by 2e-7 of the
   largest of the array (three roundings of a float) whatever its own size. */
static bool agree(const dn_real *actual, const double *expected, size_t count, const char *what) {
    double largest = 0, worst = 0;
    bool good = true;
    for (size_t i = 0; i < count; i++)
        if (fabs(expected[i]) > largest) largest = fabs(expected[i]);
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)actual[i] - expected[i]);
        const double allowed = 1e-5 * fabs(expected[i]) + 2e-7 * largest;
        if (!(difference <= allowed)) {
            if (good)
                note("%s[%zu]: got %.9g, expected %.9g", what, i, (double)actual[i], expected[i]);
            good = false;
        }
        if (difference / allowed > worst) worst = difference / allowed;
    }
    return ok(good, "%s: %zu numbers as PyTorch's (worst: %.2f of what is allowed)", what, count,
              worst);
}

static void build(dn_net *net, const golden_layer *layers, size_t count, const double *parameters) {
    dn_net_init(net, GOLDEN_INPUTS, 1);
    for (size_t l = 0; l < count; l++)
        dn_net_dense(net, layers[l].outputs, layers[l].activation);
    convert(net->parameters, parameters, net->parameter_count);
}

static void test_case(int index) {
    const golden_case *golden = &golden_cases[index];
    char what[96];
    dn_net net;
    dn_workspace workspace;
    dn_real gradient[2 * MOST];
    dn_batch batch = {GOLDEN_SAMPLES, inputs, golden_labels, NULL};
    dn_penalty penalty;
    penalty.l1 = golden->l1;
    penalty.l2 = golden->l2;
    build(&net, golden->layers, golden->layer_count, golden->parameters);
    if (golden->targets != NULL) {
        convert(targets, golden->targets, GOLDEN_SAMPLES * GOLDEN_CLASSES);
        batch.targets = targets;
        batch.labels = NULL;
    }
    if (!ok(net.error.status == DN_OK && net.parameter_count <= 2 * MOST &&
                dn_workspace_init(&workspace, &net, GOLDEN_SAMPLES, NULL) == DN_OK,
            "case %d: a net", index))
        return;
    dn_forward(&net, &workspace, inputs, GOLDEN_SAMPLES, NULL);
    const double *activations = golden->activations;
    for (size_t l = 0; l < net.layer_count; l++) {
        const size_t count = GOLDEN_SAMPLES * net.layers[l].outputs;
        snprintf(what, sizeof what, "case %d: %s of layer %zu", index,
                 dn_activation_name(&net.layers[l]), l);
        agree(workspace.a[l], activations, count, what);
        activations += count;
    }
    is_close(dn_loss_value(&net, &workspace, golden->loss, &batch), golden->loss_value, 1e-5,
             "case %d: loss", index);
    is_close(dn_penalty_value(&net, penalty), golden->penalty_value, 1e-5, "case %d: penalty",
             index);
    dn_backward(&net, &workspace, golden->loss, &batch, penalty, gradient);
    snprintf(what, sizeof what, "case %d: gradient", index);
    agree(gradient, golden->gradient, net.parameter_count, what);
    dn_workspace_free(&workspace);
    dn_net_free(&net);
}

/* The same ten steps from the parts: forward, backward, step. */
static void test_run(const golden_run *run) {
    static const golden_layer layers[2] = {{4, DN_TANH}, {3, DN_SOFTMAX}};
    char what[96];
    dn_net net;
    dn_workspace workspace;
    dn_optimizer optimizer = golden_optimizer(run->optimizer);
    dn_optimizer_state state;
    dn_real gradient[MOST], trace[GOLDEN_STEPS * MOST], losses[GOLDEN_STEPS];
    dn_penalty penalty;
    penalty.l1 = run->l1;
    penalty.l2 = run->l2;
    build(&net, layers, 2, golden_start);
    if (!ok(dn_workspace_init(&workspace, &net, 4, NULL) == DN_OK &&
                dn_optimizer_init(&state, &optimizer, &net, NULL) == DN_OK,
            "%s: memory", run->name))
        return;
    for (int step = 0; step < GOLDEN_STEPS; step++) {
        const size_t first = (size_t)(step % 3) * 4, count = step % 3 == 2 ? 2 : 4;
        dn_batch batch = {count, inputs + first * GOLDEN_INPUTS, golden_labels + first, NULL};
        dn_forward(&net, &workspace, batch.inputs, count, NULL);
        losses[step] = (dn_real)dn_loss_value(&net, &workspace, DN_CROSS_ENTROPY, &batch);
        dn_backward(&net, &workspace, DN_CROSS_ENTROPY, &batch, penalty, gradient);
        dn_optimizer_step(&optimizer, &state, &net, gradient);
        memcpy(trace + (size_t)step * net.parameter_count, net.parameters,
               net.parameter_count * sizeof(dn_real));
    }
    snprintf(what, sizeof what, "%s, l1 %g, l2 %g: losses", run->name, (double)run->l1,
             (double)run->l2);
    agree(losses, run->losses, GOLDEN_STEPS, what);
    snprintf(what, sizeof what, "%s, l1 %g, l2 %g: parameters", run->name, (double)run->l1,
             (double)run->l2);
    agree(trace, run->parameters, GOLDEN_STEPS * net.parameter_count, what);
    dn_optimizer_free(&state);
    dn_workspace_free(&workspace);
    dn_net_free(&net);
}

/* What PyTorch does not have: both kinds of decay behind any optimizer, by hand. */
static void test_decay(void) {
    static const dn_real weights[4] = {1, -2, 3, -4}, biases[2] = {5, -6};
    const dn_real gradient[6] = {1, 1, -1, -1, 2, -2};
    dn_dense dense = {0};
    dense.outputs = 2;
    dense.weights.kind = dense.biases.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = weights;
    dense.biases.given = biases;
    for (int which = 0; which < 2; which++) {
        dn_net net;
        dn_optimizer_state state;
        dn_optimizer optimizer = dn_sgd((dn_real)0.5);
        if (which == 0) optimizer.weight_decay = (dn_real)0.25; /* w -= 0.5 * 0.25 * w */
        else optimizer.shrink = (dn_real)0.25;                  /* w -= 0.25 * w */
        const double keep = which == 0 ? 0.875 : 0.75;
        dn_net_init(&net, 2, 1);
        dn_net_layer(&net, &dense);
        ok(dn_optimizer_init(&state, &optimizer, &net, NULL) == DN_OK, "an optimizer");
        dn_optimizer_step(&optimizer, &state, &net, gradient);
        for (int i = 0; i < 4; i++)
            is_close((double)net.parameters[i], keep * (double)weights[i] - 0.5 * (double)gradient[i],
                     1e-6, "%s shrinks weight %d", which == 0 ? "weight_decay" : "shrink", i);
        for (int i = 0; i < 2; i++)
            is_close((double)net.parameters[4 + i],
                     (double)biases[i] - 0.5 * (double)gradient[4 + i], 1e-6,
                     "%s leaves bias %d alone", which == 0 ? "weight_decay" : "shrink", i);
        ok(state.steps == 1, "the state counts its steps");
        dn_optimizer_free(&state);
        dn_net_free(&net);
    }
}

/* Zero is no optimizer until a trainer has filled in the default. */
static void test_refused(void) {
    dn_net net;
    dn_error error = {0};
    dn_optimizer optimizer;
    dn_optimizer_state state;
    memset(&optimizer, 0, sizeof optimizer);
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 1, DN_LINEAR);
    ok(dn_optimizer_init(&state, &optimizer, &net, &error) == DN_ERROR_ARGUMENT &&
           error.message[0] != '\0',
       "an optimizer of zeroes is refused: %s", error.message);
    dn_optimizer_free(&state);
    dn_net_free(&net);
}

int main(void) {
    convert(inputs, golden_inputs, GOLDEN_SAMPLES * GOLDEN_INPUTS);
    for (size_t i = 0; i < sizeof golden_cases / sizeof *golden_cases; i++) test_case((int)i);
    for (size_t i = 0; i < sizeof golden_runs / sizeof *golden_runs; i++)
        test_run(&golden_runs[i]);
    test_decay();
    test_refused();
    return done();
}
