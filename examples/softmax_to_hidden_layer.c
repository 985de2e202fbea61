/* "Implementing a Multi-Layer Neural Network for MNIST Classification" (D. Shi, 2024), redone:
   softmax regression, a check of gradients, one hidden layer, momentum, L1 and L2, activations.

       softmax_to_hidden_layer --help
       softmax_to_hidden_layer --only gradients

   From the repository's root:
       cc -O2 examples/softmax_to_hidden_layer.c -o build/softmax_to_hidden_layer -lm
   softmax_to_hidden_layer_double.c is the same program in double precision; where it stands
   beside this one, the section on gradients calls it for its second curve. */
#define DENSENET_IMPLEMENTATION
#include "pictures.h"

enum { BATCH = 128, PATIENCE = 3, EPOCHS = 100, HIDDEN = 128 };
static const double momentum = 0.9;

/* 1  Data Loading. 48,000 images to train on, 12,000 to validate; every image is normalised by
   its own mean and deviation. */
static void split(experiment *e, int seed, dn_dataset *training, dn_dataset *validation) {
    dn_random random = dn_random_seed((uint64_t)seed);
    dn_error error = {{0}, DN_OK};
    e->images.normalization = e->test.normalization = DN_NORMALIZE_SAMPLE;
    must(dn_dataset_split_fraction(&e->images, 0.8, &random, training, validation, &error), &error);
}

static setting net_of(dn_activation activation, double rate) {
    setting s;
    memset(&s, 0, sizeof s);
    s.how = "described";
    s.hidden[0] = HIDDEN;
    s.activation = activation;
    s.loss = DN_CROSS_ENTROPY;
    s.rate = rate;
    s.epochs = EPOCHS;
    s.samples = 48000;
    return s;
}

static setting softmax_regression(void) {
    setting s = net_of(DN_LINEAR, 0.05);
    s.hidden[0] = 0;
    return s;
}

static setting with_penalty(setting s, double l1, double l2) {
    s.l1 = l1;
    s.l2 = l2;
    return s;
}

static void build(dn_net *net, const setting *s, int seed) {
    dn_net_init(net, 784, (uint64_t)seed);
    if (s->hidden[0] > 0) dn_net_dense(net, s->hidden[0], s->activation);
    dn_net_dense(net, 10, DN_SOFTMAX);
}

#include "shifted_gradient.h" /* as coded */

/* As described: shuffled, the right gradient, patience 3, the net with the lowest validation loss.
   "no stopping" goes on to the end: what would early stopping have saved? */
static void train(experiment *e, const setting *s, int seed, result *r) {
    dn_dataset training, validation;
    dn_net net;
    dn_training how;
    split(e, seed, &training, &validation);
    if (is_coded(s)) {
        train_as_coded(e, s, seed, &training, &validation, r);
    } else {
        memset(&how, 0, sizeof how);
        build(&net, s, seed);
        how.batch = BATCH;
        how.loss = s->loss;
        how.optimizer = s->hidden[0] > 0 ? dn_weighted_momentum((dn_real)s->rate, (dn_real)momentum)
                                         : dn_sgd((dn_real)s->rate);
        how.penalty.l1 = (dn_real)s->l1;
        how.penalty.l2 = (dn_real)s->l2;
        how.patience = strcmp(s->how, "no stopping") != 0 ? PATIENCE : 0;
        if (strcmp(s->how, "their start") == 0) initialize_as_coded(&net, seed);
        train_and_measure(e, s, seed, &net, &training, &validation, &e->test, how, NULL, r);
        dn_net_free(&net);
    }
    dn_dataset_free(&training);
}

/* ---- Sections: each setting's test accuracy and loss, and where it stopped (counted from 0). */

typedef struct reported {
    const char *name;
    setting what;
    double accuracy, loss, stopped;
    range expected; /* of the accuracy as described; no_range(): none is stated */
} reported;

static void cell_of_three(experiment *e, const setting *s) {
    const summary stopped = summary_of(e, *s, BEST_EPOCH);
    cell_of(e, summary_of(e, *s, TEST_ACCURACY));
    cell_of(e, summary_of(e, *s, TEST_LOSS));
    if (stopped.count == 0) cell(e, "-");
    else cell(e, "%.0f " PLUS_MINUS " %.0f", stopped.mean - 1, stopped.deviation);
}

static bool close_to(summary s, double value, double tolerance) {
    return fabs(s.mean - value) <= tolerance;
}

static void show(experiment *e, const char *name, const char *title, const char *caption,
                 const reported *rows, int count) {
    curve curves[8];
    char titles[4][60];
    for (int i = 0; i < count; i++) {
        curves[2 * i].title = rows[i].name;
        curves[2 * i].what = rows[i].what;
        snprintf(titles[i], sizeof titles[i], "%s, as coded", rows[i].name);
        curves[2 * i + 1].title = titles[i];
        curves[2 * i + 1].what = with_how(rows[i].what, "coded");
    }
    show_curves(e, name, title, caption, curves, 2 * (size_t)count);
    head(e, "test set|way|accuracy|loss|best epoch|within tolerance?");
    for (int i = 0; i < count; i++) {
        const setting as_coded = with_how(rows[i].what, "coded");
        cell(e, "%s", rows[i].name), cell(e, "reported"), cell(e, "%.4f", rows[i].accuracy),
            cell(e, "%.4f", rows[i].loss);
        cell(e, rows[i].stopped < 0 ? "-" : "%.0f", rows[i].stopped), end_row(e);
        cell(e, " "), cell(e, "as described"), cell_of_three(e, &rows[i].what);
        cell(e, "%s", judgement(e, summary_of(e, rows[i].what, TEST_ACCURACY), rows[i].expected)),
            end_row(e);
        const summary accuracy = summary_of(e, as_coded, TEST_ACCURACY),
                      loss = summary_of(e, as_coded, TEST_LOSS);
        cell(e, " "), cell(e, "as coded"), cell_of_three(e, &as_coded);
        cell(e, "%s",
             accuracy.count == 0 ? "-"
                                 : verdict(e,
                                           close_to(accuracy, rows[i].accuracy, 0.003) &&
                                               close_to(loss, rows[i].loss, 0.005),
                                           "yes"));
        end_row(e);
    }
    end_table(e);
}

/* 2  y_k = exp(a_k) / sum exp(a_k'),  a = w^T x,  E = -sum t ln y,  -dE/dw_jk = (t_k - y_k) x_j */
static void softmax_section(experiment *e) {
    const reported row = {"softmax regression", softmax_regression(), .9251, .27, 20,
                          within(.925, .002)};
    show(e, "softmax", "softmax regression, rate 0.05", "Figure 1: softmax regression", &row, 1);
}

#include "gradient_table.h" /* 3  Gradient Experiments */

/* 4  Delta w_t = gamma Delta w_(t-1) + (1 - gamma) alpha dE/dw */
static void momentum_section(experiment *e) {
    const reported row = {"tanh, momentum",  net_of(DN_TANH, 0.1), .9745, .08, 31,
                          within(.978, .003)};
    show(e, "momentum", "784-128-10, tanh, rate 0.1, momentum 0.9", "Figure 2: momentum", &row, 1);
}

/* 5  lambda/2 d/dw w^2 = lambda w (6), and for L1 lambda sign(w) (7) */
static void regularization(experiment *e) {
    const setting tanh_net = net_of(DN_TANH, 0.05);
    const reported rows[] = {
        {"L2, lambda 0.01", with_penalty(tanh_net, 0, 0.01), .9579, .155, 5, within(.96, .003)},
        {"L1, lambda 0.01", with_penalty(tanh_net, 0.01, 0), .9518, .1649, -1, no_range()}};
    show(e, "penalties", "784-128-10, tanh, rate 0.05, lambda 0.01", "Figure 3: L2, and L1", rows,
         2);
    const setting from_theirs = with_how(rows[1].what, "their start");
    const summary theirs = summary_of(e, from_theirs, TEST_ACCURACY),
                  default_start = summary_of(e, rows[1].what, TEST_ACCURACY);
    say(e,
        "As coded, the penalties have the wrong sign: they push the weights away from zero, and "
        "training ends early because the validation loss soon rises. With the right sign, lambda = "
        "0.01 is far too much for L1: %.4f from the library's start, %.4f from theirs, where all "
        "weights are within [0, 0.01) and the first step's penalty is as large as they are: %s. So "
        "here are other strengths, with the share of weights that are zero (|w| < 0.001), since "
        "the report speaks of sparsity:",
        default_start.mean, theirs.mean, theirs.mean <= 0.25 ? "a collapse" : "no collapse");
    head(e, "lambda|L2: accuracy|zeros|L1: accuracy|zeros");
    const double strengths[] = {1e-2, 1e-3, 1e-4, 1e-5, 0};
    summary sparse = {0, 0, 0, 0}, none = sparse, best = sparse;
    for (int i = 0; i < 5; i++) {
        cell(e, "%g", strengths[i]);
        for (int l1 = 0; l1 < 2; l1++) {
            const setting s = with_penalty(tanh_net, l1 * strengths[i], (1 - l1) * strengths[i]);
            const summary accuracy = summary_of(e, s, TEST_ACCURACY);
            const summary zeros = summary_of(e, s, ZEROS);
            cell_of(e, accuracy);
            if (zeros.count == 0) cell(e, "-");
            else cell(e, "%.1f %%", 100 * zeros.mean);
            if (l1 && i == 2) sparse = zeros;
            if (i == 4) none = accuracy;
            if (accuracy.count > 0 && (best.count == 0 || accuracy.mean > best.mean))
                best = accuracy;
        }
        end_row(e);
    }
    end_table(e);
    char text[400];
    say(e, "**Do the penalties help?** %s L1 at 1e-4 makes %.0f %% of the weights zero.",
        comparison(text, "The best strength", best, "none", none), 100 * sparse.mean);
}

/* 6  f(x) = 1/(1 + e^-x) (8),  f(x) = max(0, x) (9) */
static void activations(experiment *e) {
    const reported rows[] = {
        {"sigmoid, rate 0.5", net_of(DN_SIGMOID, 0.5), .9743, .0823, 27, within(.978, .003)},
        {"ReLU, rate 0.1", net_of(DN_RELU, 0.1), .9769, .0794, 17, within(.978, .003)}};
    show(e, "activations", "784-128-10: sigmoid (rate 0.5), ReLU (rate 0.1)",
         "Figures 4 and 5: sigmoid and ReLU", rows, 2);
    const summary relu = summary_of(e, rows[1].what, TEST_ACCURACY);
    const summary tanh_net = summary_of(e, net_of(DN_TANH, 0.1), TEST_ACCURACY);
    answer(e, "Is ReLU better than tanh?", relu, tanh_net,
           summary_of(e, with_how(rows[1].what, "coded"), TEST_ACCURACY),
           summary_of(e, with_how(net_of(DN_TANH, 0.1), "coded"), TEST_ACCURACY));
    char first[400], second[400];
    say(e, "**Is ReLU best?** %s %s", comparison(first, "ReLU", relu, "tanh", tanh_net),
        comparison(second, "ReLU", relu, "sigmoid", summary_of(e, rows[0].what, TEST_ACCURACY)));
    const setting stopped = rows[1].what, on = with_how(stopped, "no stopping");
    const summary loss = summary_of(e, on, TEST_LOSS), epochs = summary_of(e, stopped, BEST_EPOCH);
    char early[120];
    snprintf(early, sizeof early,
             "test loss %.4f instead of %.4f, after about %.0f epochs instead of %d",
             summary_of(e, stopped, TEST_LOSS).mean, loss.mean, epochs.mean + PATIENCE,
             (int)adapted(e, stopped).epochs);
    answer_with(e, "What does early stopping buy?", early, "-");
    say(e,
        "**What does early stopping buy?** ReLU, stopped after about %.0f epochs, or trained for "
        "%d. Test loss: %s Accuracy: %s The net goes on to become more certain of its mistakes "
        "(the loss grows), not to make more of them.",
        epochs.mean + PATIENCE, (int)adapted(e, stopped).epochs,
        comparison(first, "to the end", loss, "stopped", summary_of(e, stopped, TEST_LOSS)),
        comparison(second, "to the end", summary_of(e, on, TEST_ACCURACY), "stopped", relu));
}

int main(int count, char **words) {
    static const section sections[] = {
        {"softmax", "2 Softmax regression (figure 1)", softmax_section},
        {"gradients", "3 Gradient experiments (table 1)", gradients},
        {"momentum", "4 Momentum experiments (figure 2)", momentum_section},
        {"penalties", "5 Regularization experiments (figure 3)", regularization},
        {"activations", "6 Activation experiments (figures 4 and 5)", activations},
        {NULL, NULL, NULL}};
    static experiment e = {.name = "softmax_to_hidden_layer",
                           .title =
                               "Implementing a Multi-Layer Neural Network for MNIST Classification",
                           .source = "D. Shi, University of California San Diego",
                           .sections = sections,
                           .train = train,
                           .data_folder = "data/mnist",
                           .effort = 0.5}; /* most runs stop early */
    program_name = words[0];
    return experiment_main(&e, count, words);
}
