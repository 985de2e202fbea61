/* shifted_gradient.h: how the program that softmax_to_hidden_layer.c redoes was trained; a part of
   it. All weights are positive at the start, each hidden unit gets its neighbour's error, penalties
   have the wrong sign, early stopping looks at the epoch before. Not part of the library. */
#ifndef SHIFTED_GRADIENT_H
#define SHIFTED_GRADIENT_H

/* Weights and biases uniform in [0, 0.01), every layer from the same seed; a matrix has the biases
   as its row 0. */
static void initialize_as_coded(dn_net *net, int seed) {
    for (size_t l = 0; l < net->layer_count; l++) {
        dn_random random = dn_random_seed((uint64_t)seed);
        const dn_matrix w = dn_net_weights(net, l), b = dn_net_biases(net, l);
        for (size_t i = 0; i < b.columns; i++)
            b.data[i] = (dn_real)(0.01 * dn_random_uniform(&random));
        for (size_t i = 0; i < w.rows * w.columns; i++)
            w.data[i] = (dn_real)(0.01 * dn_random_uniform(&random));
    }
}

/* The error goes back through rows 0 ... 127 of the output matrix [129, 10], whose row 0 is the
   biases, instead of rows 1 ... 128: each hidden unit receives its neighbour's. `shifted` is a copy
   of the net with these rows in the place of the output weights. */
static void shift_output_weights(const dn_net *net, dn_net *shifted) {
    const dn_matrix from = dn_net_weights(net, 1), to = dn_net_weights(shifted, 1);
    memcpy(to.data, dn_net_biases(net, 1).data, to.columns * sizeof(dn_real));
    memcpy(to.data + to.columns, from.data, (to.rows - 1) * to.columns * sizeof(dn_real));
}

/* Backpropagation after dn_forward, with the hidden layer's gradient as coded. */
static void shifted_gradient(const dn_net *net, dn_net *shifted, dn_workspace *workspace,
                             const dn_batch *batch, dn_real *gradient) {
    const dn_penalty none = {0, 0};
    shift_output_weights(net, shifted);
    /* The output layer's gradient does not depend on its weights. */
    dn_backward(shifted, workspace, DN_CROSS_ENTROPY, batch, none, gradient);
}

/* Delta w = gamma Delta w + (1 - gamma) alpha dE/dw (5); the penalty pushes w away from zero. */
static void step_as_coded(const setting *s, dn_net *net, const dn_real *gradient, dn_real *velocity,
                          size_t first, size_t end) {
    const double gamma = s->hidden[0] > 0 ? momentum : 0;
    for (size_t i = first; i < end; i++) {
        const double w = (double)net->parameters[i];
        const double g = (double)gradient[i] - s->l2 * w - s->l1 * (w > 0);
        velocity[i] = (dn_real)(gamma * (double)velocity[i] + (1 - gamma) * s->rate * g);
        net->parameters[i] -= velocity[i];
    }
}

static void epoch_as_coded(const setting *s, dn_net *net, dn_net *shifted, dn_workspace *workspace,
                           const dn_dataset *training, dn_real *gradient, dn_real *velocity,
                           dn_epoch *record, FILE *log) {
    static dn_real inputs[BATCH * 784];
    static int32_t labels[BATCH];
    const size_t output_layer = net->layers[net->layer_count - 1].weights,
                 tenth = training->count / 10;
    double loss = 0, correct = 0, logged = 0; /* the loss at the last tenth of the epoch */
    for (size_t first = 0; first < training->count; first += BATCH) { /* always in the same order */
        const size_t count = training->count - first < BATCH ? training->count - first : BATCH;
        const dn_batch batch = {count, inputs, labels, NULL};
        dn_dataset_gather(training, NULL, first, count, inputs);
        for (size_t b = 0; b < count; b++) labels[b] = training->labels[training->order[first + b]];
        const dn_real *p = dn_forward(net, workspace, inputs, count, NULL);
        loss += dn_loss_value(net, workspace, DN_CROSS_ENTROPY, &batch) * (double)count;
        for (size_t b = 0; b < count; b++)
            correct += dn_largest(p + 10 * b, 10) == (size_t)labels[b];
        if ((first + count) / tenth != first / tenth) {
            fprintf(log, "%.4f\t%.9g\n",
                    (double)record->epoch - 1 + (double)(first + count) / (double)training->count,
                    (loss - logged) / (double)tenth);
            logged = loss;
        }
        const dn_penalty none = {0, 0};
        dn_backward(net, workspace, DN_CROSS_ENTROPY, &batch, none, gradient);
        step_as_coded(s, net, gradient, velocity, output_layer, net->parameter_count);
        if (net->layer_count == 1) continue;
        /* By now the output weights are new ones. */
        shifted_gradient(net, shifted, workspace, &batch, gradient);
        step_as_coded(s, net, gradient, velocity, 0, output_layer);
    }
    record->train_loss = loss / (double)training->count;
    record->train_accuracy = correct / (double)training->count;
}

/* Stops at the fourth epoch in a row whose validation loss is not below that of the epoch before,
   and returns the last net that improved on its predecessor. */
static void train_as_coded(experiment *e, const setting *s, int seed, const dn_dataset *training,
                           const dn_dataset *validation, result *r) {
    dn_net net, shifted, best;
    dn_workspace workspace;
    dn_error error = {{0}, DN_OK};
    dn_epoch epochs[EPOCHS];
    dn_history history = {0, epochs, 0};
    double before = (double)INFINITY;
    char path[PATH];
    build(&net, s, seed);
    initialize_as_coded(&net, seed);
    must(dn_net_copy(&shifted, &net, &error), &error);
    must(dn_net_copy(&best, &net, &error), &error);
    must(dn_workspace_init(&workspace, &net, BATCH, &error), &error);
    dn_real *gradient = (dn_real *)calloc(2 * net.parameter_count, sizeof *gradient);
    if (!gradient) fail("out of memory");
    file_of(e, "steps", s, seed, ".tsv", path);
    FILE *log = fopen(path, "w");
    if (!log) fail("the folder of --out cannot be written to");
    fprintf(log, "epoch\ttrain_loss\n");
    for (int worse = 0; history.count < s->epochs && worse <= PATIENCE;) {
        dn_epoch *now = &epochs[history.count++];
        now->epoch = history.count;
        epoch_as_coded(s, &net, &shifted, &workspace, training, gradient,
                       gradient + net.parameter_count, now, log);
        const dn_evaluation seen = dn_evaluate(&net, validation);
        now->learning_rate = s->rate;
        now->validation_loss = seen.loss;
        now->validation_accuracy = seen.accuracy;
        worse = seen.loss < before ? 0 : worse + 1;
        before = seen.loss;
        if (worse == 0) {
            memcpy(best.parameters, net.parameters, net.parameter_count * sizeof(dn_real));
            r->values[BEST_EPOCH] = (double)history.count;
        }
        show_run(e, r->key, history.count, s->epochs, seen.accuracy, 0, false);
    }
    fclose(log);
    file_of(e, "log", s, seed, ".tsv", path);
    must(dn_history_save(&history, path, r->key, &error), &error);
    measure(&best, training, validation, &e->test, false, r);
    dn_net_free(&net), dn_net_free(&shifted), dn_net_free(&best);
    dn_workspace_free(&workspace);
    free(gradient);
}

#endif
