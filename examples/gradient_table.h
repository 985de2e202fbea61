/* gradient_table.h: the section "Gradient Experiments" of softmax_to_hidden_layer.c, which it is
   a part of.

   dE/dw is compared with (E(w + epsilon) - E(w - epsilon)) / (2 epsilon). The difference of the
   two falls with epsilon^2 as long as rounding does not matter, and grows with 1/epsilon when it
   does: a V. A gradient that is wrong shows no V. */
#ifndef GRADIENT_TABLE_H
#define GRADIENT_TABLE_H

static const char *program_name; /* as it was called: its double stands beside it */

enum { CHECKED = 6, CHECK_SAMPLES = 10, EPSILONS = 6 };

typedef struct checked_weight {
    const char *name;
    size_t layer;
    bool is_bias;
    size_t row, column;
    double numerical, backpropagated, difference; /* as the report has them */
} checked_weight;

static const checked_weight checked[CHECKED] = {
    {"output bias 9", 1, true, 0, 9, -0.001305, -0.001309, 4e-6},
    {"hidden bias 127", 0, true, 0, 127, -9.77e-5, 0.000229, 3.27e-4},
    {"input 700 to hidden 20", 0, false, 700, 20, -6.390e-5, 0.0002208, 2.8e-4},
    {"input 614 to hidden 121", 0, false, 614, 121, -0.000137, 0.000221, 3.585e-4},
    {"hidden 102 to output 3", 1, false, 102, 3, -0.0021, -0.00208, 2.08e-5},
    {"hidden 92 to output 7", 1, false, 92, 7, 0.0204, 0.02035, 1.02e-4},
};

static size_t place_of(const dn_net *net, const checked_weight *c) {
    const dn_layer *layer = &net->layers[c->layer];
    return c->is_bias ? layer->biases + c->column
                      : layer->weights + c->row * layer->outputs + c->column;
}

static double numerical_derivative(dn_net *net, dn_workspace *workspace, const dn_batch *batch,
                                   size_t place, double epsilon) {
    const dn_real w = net->parameters[place];
    double loss[2], at[2];
    for (int side = 0; side < 2; side++) {
        net->parameters[place] = (dn_real)((double)w + (side ? -epsilon : epsilon));
        at[side] = (double)net->parameters[place];
        dn_forward(net, workspace, batch->inputs, batch->count, NULL);
        loss[side] = dn_loss_value(net, workspace, DN_CROSS_ENTROPY, batch);
    }
    net->parameters[place] = w;
    return (loss[0] - loss[1]) / (at[0] - at[1]);
}

static double relative_error(double a, double b) {
    return fabs(a - b) / (fabs(a) + fabs(b) + 1e-300);
}

/* Reads the file NAME.tsv of this experiment as one text; empty when it is not there. */
static const char *text_of(const experiment *e, const char *name, char text[2000]) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s.tsv", e->out, name);
    FILE *from = fopen(path, "r");
    text[from ? fread(text, 1, 1999, from) : 0] = '\0';
    if (from) fclose(from);
    return text;
}

/* A small net of the same kind, checked with every parameter: the right gradient must pass, the
   shifted one must not. Single precision leaves the smallest derivatives no correct digit, so
   the sentence that is shown is the one of the program in double precision, where it is there. */
static void check_all(experiment *e, const dn_batch *batch) {
    const dn_penalty none = {0, 0};
    const bool in_double = sizeof(dn_real) == 8;
    dn_net net, shifted;
    dn_workspace workspace;
    dn_gradient_report right, wrong;
    dn_error error = {{0}, DN_OK};
    dn_net_init(&net, 784, 1);
    dn_net_dense(&net, 8, DN_TANH);
    dn_net_dense(&net, 10, DN_SOFTMAX);
    must(dn_net_copy(&shifted, &net, &error), &error);
    must(dn_workspace_init(&workspace, &net, batch->count, &error), &error);
    dn_real *gradient = (dn_real *)malloc(net.parameter_count * sizeof *gradient);
    if (!gradient) fail("out of memory");
    dn_forward(&net, &workspace, batch->inputs, batch->count, NULL);
    shifted_gradient(&net, &shifted, &workspace, batch, gradient);
    const dn_real epsilon = (dn_real)(in_double ? 1e-4 : 1e-2);
    must(dn_gradient_check(&net, DN_CROSS_ENTROPY, batch, none, NULL, epsilon, &right, &error),
         &error);
    must(dn_gradient_check(&net, DN_CROSS_ENTROPY, batch, none, gradient, epsilon, &wrong, &error),
         &error);
    const double bound = in_double ? 1e-4 : 0.5;
    FILE *file = open_numbers(e, "check-all");
    fprintf(file,
            "`dn_gradient_check` on all %zu parameters of 784-8-10 in %s precision, epsilon %g: "
            "the right gradient has a largest relative error of %.2g (%s). The shifted one: %.2g, "
            "at the %s of layer %zu from input %zu to unit %zu, %+.3g instead of %+.3g (%s).",
            right.checked, in_double ? "double" : "single", (double)epsilon, right.error,
            right.error < bound ? "passes" : "FAILS", wrong.error,
            wrong.is_bias ? "bias" : "weight", wrong.layer, wrong.row, wrong.column,
            wrong.backpropagated, wrong.numerical,
            wrong.error < bound ? "passes: this must not be" : "fails, as it must");
    fclose(file);
    free(gradient);
    dn_workspace_free(&workspace);
    dn_net_free(&net);
    dn_net_free(&shifted);
}

static void gradients(experiment *e) {
    static dn_real inputs[CHECK_SAMPLES * 784];
    const bool in_double = sizeof(dn_real) == 8;
    const setting s = net_of(DN_TANH, 0.1);
    const dn_penalty none = {0, 0};
    dn_net net, shifted;
    dn_workspace workspace;
    dn_error error = {{0}, DN_OK};
    if (!e->report) return;
    load_data(e);
    e->images.normalization = DN_NORMALIZE_SAMPLE;
    dn_dataset_gather(&e->images, NULL, 0, CHECK_SAMPLES, inputs);
    const dn_batch batch = {CHECK_SAMPLES, inputs, e->images.labels, NULL};
    build(&net, &s, 1);
    initialize_as_coded(&net, 1);
    must(dn_net_copy(&shifted, &net, &error), &error);
    must(dn_workspace_init(&workspace, &net, CHECK_SAMPLES, &error), &error);
    dn_real *right = (dn_real *)malloc(2 * net.parameter_count * sizeof *right),
            *wrong = right + net.parameter_count;
    if (!right) fail("out of memory");
    dn_forward(&net, &workspace, inputs, CHECK_SAMPLES, NULL);
    dn_backward(&net, &workspace, DN_CROSS_ENTROPY, &batch, none, right);
    shifted_gradient(&net, &shifted, &workspace, &batch, wrong);

    head(e, "weight|reported: numerical|backpropagation|here: "
            "numerical|backpropagation|difference|as coded|difference");
    int opposite = 0, beyond = 0, opposite_reported = 0, beyond_reported = 0;
    double largest = 0;
    for (int i = 0; i < CHECKED; i++) {
        const size_t place = place_of(&net, &checked[i]);
        const double numerical = numerical_derivative(&net, &workspace, &batch, place, 1e-2);
        const double here = fabs(numerical - (double)right[place]),
                     as_coded = fabs(numerical - (double)wrong[place]);
        cell(e, "%s", checked[i].name), cell(e, "%.3g", checked[i].numerical),
            cell(e, "%.3g", checked[i].backpropagated);
        cell(e, "%.4g", numerical), cell(e, "%.4g", (double)right[place]), cell(e, "%.1g", here);
        cell(e, "%.4g", (double)wrong[place]), cell(e, "%.1g", as_coded), end_row(e);
        opposite += numerical * (double)wrong[place] < 0;
        beyond += as_coded > 1e-4;
        opposite_reported += checked[i].numerical * checked[i].backpropagated < 0;
        beyond_reported += checked[i].difference > 1e-4;
        if (here > largest) largest = here;
    }
    end_table(e);
    say(e,
        "Ten images, a net that starts as theirs did (uniform in [0, 0.01)) from another "
        "generator, epsilon 0.01, %s precision.",
        in_double ? "double" : "single");
    say(e,
        "**Does the report's table affirm its gradient?** Its text says that all differences are "
        "within 1e-4. In its own table %d of 6 exceed that bound, and %d have the opposite sign: "
        "those of the hidden layer. Here the right gradient differs by at most %.1g; the shifted "
        "one has the wrong sign in %d of 6 and exceeds 1e-4 in %d. (The two values that are called "
        "biases there stand in the last row of their matrices; the biases are in row 0.)",
        beyond_reported, opposite_reported, largest, opposite, beyond);
    check_all(e, &batch);

    FILE *file = open_numbers(e, in_double ? "check-double" : "check-single");
    for (int shift = 0; shift < 2; shift++) {
        const dn_real *gradient = shift ? wrong : right;
        fprintf(file, "\"%s%s precision\"\n", shift ? "shifted gradient, " : "",
                in_double ? "double" : "single");
        for (int k = 1; k <= EPSILONS; k++) {
            double worst = 0;
            for (int i = 0; i < CHECKED; i++) {
                const size_t place = place_of(&net, &checked[i]);
                const double one = relative_error(
                    numerical_derivative(&net, &workspace, &batch, place, pow(10, -k)),
                    (double)gradient[place]);
                if (one > worst) worst = one;
            }
            fprintf(file, "%g\t%.3g\n", pow(10, -k), worst);
        }
        fprintf(file, "\n\n");
    }
    fclose(file);
    if (!in_double) {
        char command[3 * PATH];
        snprintf(
            command, sizeof command,
            "\"%s_double\" --only gradients --data \"%s\" --out \"%s/double\"%s >/dev/null 2>&1",
            program_name, e->data_folder, e->out, e->quick ? " --quick" : "");
        if (system(command) != 0) fprintf(stderr, "(%s_double is not there)\n", program_name);
    }
    char text[2000];
    say(e, "%s", *text_of(e, "double/check-all", text) ? text : text_of(e, "check-all", text));
    file = open_numbers(e, "check");
    fputs(text_of(e, in_double ? "check-double" : "check-single", text), file);
    fputs(text_of(e, "double/check-double", text), file);
    fclose(file);
    draw(e, "gradient_check", "check", "central differences against backpropagation",
         "the V of the gradient check: right, and shifted by one");
    free(right);
    dn_workspace_free(&workspace);
    dn_net_free(&net);
    dn_net_free(&shifted);
}

#endif
