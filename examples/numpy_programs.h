/* numpy_programs.h: what three of the reports share. Their programs, in NumPy, grew from one
   another: nets with sigmoid outputs, gradient descent in batches of 40, the learning rate
   halved when validation accuracy falls. Not part of the library.

   Three ways to train such a net stand beside each other:

   described   The formulas of the report. Their rates mean nothing unless the gradient is
               *summed* over the batch, as their programs do: the library's mean needs 40 times
               the rate. Biases are trained. The penalty is part of the gradient.
   coded       What the program did: the derivative of the sigmoid, s(z)(1 - s(z)), is taken at
               its output h = s(z) instead of its input, s(h)(1 - s(h)), which lies between 0.197
               and 0.25 wherever z is; the biases keep their random start; the penalty lambda is a
               decay w <- w - lambda w before each step, outside the learning rate.
   matched     Behind a sigmoid, 0.22 (p - y) is close to what "coded" sends back from the squared
               error, and p - y is the exact gradient of binary cross-entropy: so this is binary
               cross-entropy at 0.22 of the rate, biases trained. The right mathematics that is
               nearest to what was done. */
#ifndef NUMPY_PROGRAMS_H
#define NUMPY_PROGRAMS_H

#include "pictures.h"

enum { NUMPY_BATCH = 40 };

typedef struct numpy_program {
    double l2_factor;  /* the penalty is l2_factor * lambda / 2 * w^2 */
    bool biases_decay; /* as coded */
} numpy_program;

static dn_real logistic(dn_real z) {
    return (dn_real)(1 / (1 + exp(-(double)z)));
}

/* The derivative at the wrong place: at the output a = s(z). */
static inline dn_real derivative_at_output(dn_real z, dn_real a) {
    const dn_real s = logistic(a);
    (void)z;
    return s * (1 - s);
}

static const dn_custom_activation sigmoid_as_coded = {"sigmoid_as_coded", logistic,
                                                      derivative_at_output};

static inline setting numpy_setting(size_t hidden, double rate, size_t epochs, dn_loss loss) {
    setting s;
    memset(&s, 0, sizeof s);
    s.how = "described";
    s.hidden[0] = hidden;
    s.activation = DN_RELU;
    s.loss = loss;
    s.rate = rate;
    s.epochs = epochs;
    s.samples = 50000;
    return s;
}

static inline setting matched(setting s) {
    s.how = "matched";
    s.loss = DN_BINARY_CROSS_ENTROPY;
    return s;
}

/* As coded, the loss that is printed has no influence: all send p - y back, times the wrong
   derivative. (Binary cross-entropy, where it is asked for by itself, does not come here.) */
static inline setting coded(setting s) {
    s.how = "coded";
    s.loss = DN_MEAN_SQUARED_ERROR;
    return s;
}

static bool decays_biases(const setting *s) {
    return is_coded(s) && s->l2 > 0;
}

static inline void decay_biases(dn_trainer *t, const setting *s) {
    for (size_t l = 0; decays_biases(s) && l < t->net->layer_count; l++) {
        const dn_matrix biases = dn_net_biases(t->net, l);
        for (size_t i = 0; i < biases.columns; i++) biases.data[i] *= (dn_real)(1 - s->l2);
    }
}

static inline void numpy_layer(dn_net *net, size_t units, dn_activation activation, bool as_coded) {
    dn_dense layer;
    memset(&layer, 0, sizeof layer);
    layer.outputs = units;
    layer.activation = as_coded && activation == DN_SIGMOID ? DN_CUSTOM : activation;
    layer.custom = &sigmoid_as_coded;
    layer.weights.kind = layer.biases.kind = DN_INITIALIZE_NORMAL;
    layer.weights.b = layer.biases.b = (dn_real)0.1;
    layer.freeze_biases = as_coded;
    dn_net_layer(net, &layer);
}

/* Trains one net of the family on the given samples. */
static void numpy_train(experiment *e, const setting *s, int seed, const numpy_program *program,
                        const dn_dataset *train, const dn_dataset *validation, result *r) {
    const bool as_coded = is_coded(s);
    const double share = strcmp(s->how, "matched") == 0 ? 0.22 : 1;
    dn_net net;
    dn_training how;
    memset(&how, 0, sizeof how);
    dn_net_init(&net, 784, (uint64_t)seed);
    for (int l = 0; l < 3 && s->hidden[l] > 0; l++)
        numpy_layer(&net, s->hidden[l], s->activation, as_coded);
    numpy_layer(&net, 10, DN_SIGMOID, as_coded);

    how.loss = s->loss;
    how.batch = NUMPY_BATCH;
    how.optimizer = dn_sgd((dn_real)(NUMPY_BATCH * share * s->rate)); /* the sum over the batch */
    how.schedule.kind = DN_SCHEDULE_PLATEAU;                          /* factor 1/2 */
    /* In plain gradient descent w <- w - eta (g + c w) is a decay by eta c beside the step. */
    if (as_coded) how.optimizer.shrink = (dn_real)s->l2;
    else how.optimizer.weight_decay = (dn_real)(program->l2_factor * s->l2 / NUMPY_BATCH);
    train_and_measure(e, s, seed, &net, train, validation, &e->test, how,
                      program->biases_decay ? decay_biases : NULL, r);
    dn_net_free(&net);
}

/* What became of the collapsed rows: how many units of the hidden layer are silent. */
static inline void explain_collapse(experiment *e, setting s, const char *value) {
    const summary accuracy = summary_of(e, s, VALIDATION_ACCURACY),
                  silent = summary_of(e, s, SILENT);
    if (!e->report || accuracy.count == 0) return;
    if (2 * accuracy.collapsed <= accuracy.count)
        say(e, "%s %s: no collapse (%.4f).",
            is_coded(&s) ? "As coded," : "With the right gradient,", value, accuracy.mean);
    else if (silent.mean > 0.9)
        say(e,
            "%s %s: %.1f %% of the hidden units are 0 for every image. The first steps were so "
            "large that no ReLU is ever active again; what is left are the output biases, one and "
            "the same answer for all.",
            is_coded(&s) ? "As coded," : "With the right gradient,", value, 100 * silent.mean);
    else
        say(e,
            "%s %s: a collapse (%.4f) with %.1f %% of the hidden units silent. So it is the "
            "outputs "
            "that are lost: %s.",
            is_coded(&s) ? "As coded," : "With the right gradient,", value, accuracy.mean,
            100 * silent.mean,
            s.loss == DN_MEAN_SQUARED_ERROR && !is_coded(&s)
                ? "the first steps drive the sigmoids to 0 or 1, where the squared error has no "
                  "gradient left, p (1 - p) = 0"
                : "the steps are too large for them to settle");
}

#endif
