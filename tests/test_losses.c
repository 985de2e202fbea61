/* Losses against their definitions, computed here in long double from the logits; and where
   the definition overflows, against the limit. */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

enum { MOST = 6 };

/* A net of one linear layer with weights 1 on the diagonal: its logits are its inputs. */
static void make_identity(dn_net *net, size_t size, dn_activation activation) {
    static dn_real diagonal[MOST * MOST];
    dn_dense dense;
    memset(&dense, 0, sizeof dense);
    memset(diagonal, 0, sizeof diagonal);
    for (size_t i = 0; i < size; i++) diagonal[i * size + i] = 1;
    dense.outputs = size;
    dense.activation = activation;
    dense.weights.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = diagonal;
    dn_net_init(net, size, 1);
    dn_net_layer(net, &dense);
}

/* Loss, and gradient by the biases, which is dL/dz summed over the batch. */
static double loss_of(dn_activation activation, dn_loss loss, size_t size, const dn_batch *batch,
                      dn_real *dz) {
    dn_net net;
    dn_workspace workspace;
    dn_real gradient[MOST * MOST + MOST];
    const dn_penalty none = {0, 0};
    make_identity(&net, size, activation);
    dn_workspace_init(&workspace, &net, batch->count, NULL);
    dn_forward(&net, &workspace, batch->inputs, batch->count, NULL);
    const double value = dn_loss_value(&net, &workspace, loss, batch);
    dn_backward(&net, &workspace, loss, batch, none, gradient);
    memcpy(dz, gradient + size * size, size * sizeof *dz);
    dn_workspace_free(&workspace);
    dn_net_free(&net);
    return value;
}

static void probabilities(dn_activation activation, const dn_real *z, size_t size, long double *p,
                          long double *not_p) {
    long double sum = 0, largest = z[0];
    for (size_t j = 1; j < size; j++)
        if (z[j] > largest) largest = z[j];
    for (size_t j = 0; j < size; j++) sum += expl(z[j] - largest);
    for (size_t j = 0; j < size; j++) {
        if (activation == DN_SIGMOID) {
            p[j] = 1 / (1 + expl(-(long double)z[j]));
            not_p[j] = 1 / (1 + expl((long double)z[j]));
            continue;
        }
        long double others = 0;
        for (size_t k = 0; k < size; k++)
            if (k != j) others += expl(z[k] - largest);
        p[j] = expl(z[j] - largest) / sum;
        not_p[j] = others / sum;
    }
}

static double definition(dn_activation activation, dn_loss loss, const dn_real *z, const dn_real *y,
                         size_t size) {
    long double p[MOST], not_p[MOST], sum = 0;
    probabilities(activation, z, size, p, not_p);
    for (size_t j = 0; j < size; j++) {
        if (loss == DN_MEAN_SQUARED_ERROR) sum += 0.5L * (p[j] - y[j]) * (p[j] - y[j]);
        else if (y[j] != 0) sum -= y[j] * logl(p[j]);
        if (loss == DN_BINARY_CROSS_ENTROPY && y[j] != 1) sum -= (1 - y[j]) * logl(not_p[j]);
    }
    return (double)sum;
}

static void against_definitions(void) {
    static const dn_activation activations[2] = {DN_SIGMOID, DN_SOFTMAX};
    dn_random random = dn_random_seed(2);
    for (int a = 0; a < 2; a++)
        for (int loss = DN_CROSS_ENTROPY; loss <= DN_MEAN_SQUARED_ERROR; loss++) {
            double worst = 0;
            for (int round = 0; round < 3000; round++) {
                const size_t size = 2 + (size_t)round % 4;
                const double spread = ldexp(1, round % 8 - 2);
                dn_real z[MOST], y[MOST], dz[MOST];
                for (size_t j = 0; j < size; j++) {
                    z[j] = (dn_real)(spread * dn_random_normal(&random));
                    y[j] = (dn_real)(round % 3 == 0 ? dn_random_uniform(&random) : j == 1);
                }
                dn_batch batch = {1, z, NULL, y};
                const double exact = definition(activations[a], (dn_loss)loss, z, y, size);
                const double error =
                    fabs(loss_of(activations[a], (dn_loss)loss, size, &batch, dz) - exact) /
                    (fabs(exact) + 1e-2);
                if (!(error <= worst)) worst = error;
            }
            ok(worst < 2e-5, "loss %d behind %s: error of at most 2e-5 (%.2g)", loss,
               dni_activation_names[activations[a]], worst);
        }
}

static bool all_finite(const dn_real *numbers, size_t count) {
    return dni_kind_of_not_finite(numbers, count) == NULL;
}

static void extremes(void) {
    static const double sizes[] = {1e4, -1e4, 100, -100, 88.8, -103.9, 1e-30, 0};
    for (int a = 0; a < 2; a++)
        for (int loss = DN_CROSS_ENTROPY; loss <= DN_MEAN_SQUARED_ERROR; loss++) {
            const dn_activation activation = a == 0 ? DN_SIGMOID : DN_SOFTMAX;
            bool finite = true, right = true;
            for (size_t i = 0; i < 8; i++)
                for (size_t j = 0; j < 8; j++)
                    for (int32_t label = 0; label < 3; label++) {
                        dn_real z[3] = {(dn_real)sizes[i], (dn_real)sizes[j], 0}, dz[3];
                        dn_batch batch = {1, z, &label, NULL};
                        const double value = loss_of(activation, (dn_loss)loss, 3, &batch, dz);
                        finite = finite && dni_is_finite(value) && value >= 0 && all_finite(dz, 3);
                        for (size_t k = 0; k < 3; k++) /* no logit is pushed the wrong way */
                            if (loss != DN_MEAN_SQUARED_ERROR && activation == DN_SIGMOID)
                                right = right && ((size_t)label == k ? dz[k] <= 0 : dz[k] >= 0);
                        right = right && !(dz[label] > 0);
                    }
            ok(finite && right, "loss %d behind %s: logits up to 1e4 give finite, sensible numbers",
               loss, dni_activation_names[activation]);
        }
    int32_t wrong = 1;
    dn_real z[2] = {10000, 0}, dz[2];
    dn_batch batch = {1, z, &wrong, NULL};
    is_close(loss_of(DN_SOFTMAX, DN_CROSS_ENTROPY, 2, &batch, dz), 10000, 1e-7, "certain and wrong: 1e4");
    ok(dz[0] == 1 && dz[1] == -1, "and the gradient is still 1, not vanished");
    is_close(loss_of(DN_SOFTMAX, DN_BINARY_CROSS_ENTROPY, 2, &batch, dz), 20000, 1e-7,
             "binary cross-entropy behind softmax, certain and wrong: 2e4");
    is_close((double)dz[0], 2, 1e-6, "its gradient is 2");
    is_close(loss_of(DN_SIGMOID, DN_BINARY_CROSS_ENTROPY, 2, &batch, dz), 10000 + log(2), 1e-7,
             "binary cross-entropy behind sigmoid, certain and wrong");
}

static void labels_and_rows(void) {
    dn_random random = dn_random_seed(4);
    for (int a = 0; a < 2; a++)
        for (int loss = DN_CROSS_ENTROPY; loss <= DN_MEAN_SQUARED_ERROR; loss++) {
            bool same = true;
            for (int round = 0; round < 200; round++) {
                dn_real z[4 * 5], y[4 * 5] = {0}, one[5], other[5];
                int32_t labels[4];
                for (size_t i = 0; i < 20; i++) z[i] = (dn_real)(5 * dn_random_normal(&random));
                for (size_t s = 0; s < 4; s++) {
                    labels[s] = (int32_t)dn_random_below(&random, 5);
                    y[5 * s + (size_t)labels[s]] = 1;
                }
                dn_batch sparse = {4, z, labels, NULL}, rows = {4, z, NULL, y};
                const dn_activation activation = a == 0 ? DN_SIGMOID : DN_SOFTMAX;
                const double first = loss_of(activation, (dn_loss)loss, 5, &sparse, one);
                const double second = loss_of(activation, (dn_loss)loss, 5, &rows, other);
                same = same && first == second && memcmp(one, other, sizeof one) == 0;
            }
            ok(same, "loss %d behind %s: labels and one-hot rows give the same bits", loss,
               a == 0 ? "sigmoid" : "softmax");
        }
}

static void by_hand(void) {
    dn_real z[2] = {0, 0}, dz[2], y[2] = {1, 0};
    dn_batch batch = {1, z, NULL, y};
    is_close(loss_of(DN_SOFTMAX, DN_CROSS_ENTROPY, 2, &batch, dz), log(2), 1e-7, "log 2");
    is_close((double)dz[0], -0.5, 1e-7, "p - y");
    is_close(loss_of(DN_SIGMOID, DN_BINARY_CROSS_ENTROPY, 2, &batch, dz), 2 * log(2), 1e-7, "2 log 2");
    is_close(loss_of(DN_SIGMOID, DN_CROSS_ENTROPY, 2, &batch, dz), log(2), 1e-7,
             "-sum y log p behind sigmoid: log 2");
    ok(dz[0] == (dn_real)-0.5 && dz[1] == 0, "and only the true class is moved");
    is_close(loss_of(DN_LINEAR, DN_MEAN_SQUARED_ERROR, 2, &batch, dz), 0.5, 1e-7, "half a square");
    dn_real two[4] = {3, 0, 1, 0}, targets[4] = {1, 0, 0, 0};
    dn_batch pair = {2, two, NULL, targets};
    is_close(loss_of(DN_LINEAR, DN_MEAN_SQUARED_ERROR, 2, &pair, dz), (2.0 + 0.5) / 2, 1e-7,
             "the mean over the batch");
    is_close((double)dz[0], (2.0 + 1.0) / 2, 1e-7, "and of its gradient");
}

static void refused(void) {
    static const dn_activation no[] = {DN_LINEAR, DN_RELU, DN_LEAKY_RELU, DN_TANH};
    for (size_t i = 0; i < 4; i++)
        for (int loss = DN_CROSS_ENTROPY; loss <= DN_BINARY_CROSS_ENTROPY; loss++) {
            dn_net net;
            dn_error error = {0};
            make_identity(&net, 2, no[i]);
            ok(dn_loss_check(&net, (dn_loss)loss, &error) == DN_ERROR_ARGUMENT &&
                   strstr(error.message, "probabilities") != NULL,
               "refused: loss %d behind %s", loss, dni_activation_names[no[i]]);
            dn_net_free(&net);
        }
    for (int which = 0; which < 3; which++) {
        dn_net net;
        dn_error error = {0};
        make_identity(&net, which == 0 ? 1 : 2, DN_SOFTMAX);
        if (which == 2) dn_net_dropout(&net, (dn_real)0.5);
        ok(dn_loss_check(&net, which == 1 ? (dn_loss)77 : DN_LOSS_DEFAULT, &error) ==
                   DN_ERROR_ARGUMENT && error.message[0] != '\0',
           "refused: %s", error.message);
        dn_net_free(&net);
    }
    static const dn_loss defaults[] = {DN_MEAN_SQUARED_ERROR, DN_MEAN_SQUARED_ERROR,
                                       DN_MEAN_SQUARED_ERROR, DN_BINARY_CROSS_ENTROPY,
                                       DN_MEAN_SQUARED_ERROR, DN_CROSS_ENTROPY};
    for (int a = DN_LINEAR; a <= DN_SOFTMAX; a++) {
        dn_net net;
        make_identity(&net, 2, (dn_activation)a);
        ok(dni_loss_of(&net, DN_LOSS_DEFAULT) == defaults[a], "the default loss behind %s",
           dni_activation_names[a]);
        dn_net_free(&net);
    }
}

int main(void) {
    by_hand();
    against_definitions();
    extremes();
    labels_and_rows();
    refused();
    return done();
}
