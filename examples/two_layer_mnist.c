/* "Two-layer neural network for classification on MNIST dataset" (Y. Li, 2023), redone: one
   hidden layer, sigmoid outputs, gradient descent.

       two_layer_mnist --help
       two_layer_mnist --only learning-rate --seeds 3

   From the repository's root: cc -O2 examples/two_layer_mnist.c -o build/two_layer_mnist -lm */
#define DENSENET_IMPLEMENTATION
#include "numpy_programs.h"

/* 2  Method. x_{k+1} = f_k(x_k; theta_k), theta_k <- theta_k - eta dL/dtheta_k, in batches of 40;
   eta is halved when validation accuracy falls below the epoch before. The first 50,000 images
   are trained on, the last 10,000 validate. The regularization gradient of Algorithm 1 is
   lambda d/dtheta ||theta||^2 = 2 lambda theta. */
static const numpy_program program = {2, false};

static void train(experiment *e, const setting *s, int seed, result *r) {
    const size_t fifth = e->images.count / 6;
    const dn_dataset training = range_of(&e->images, 0, 5 * fifth);
    const dn_dataset validation = range_of(&e->images, 5 * fifth, fifth);
    numpy_train(e, s, seed, &program, &training, &validation, r);
}

/* Cross-entropy from here on: for ten sigmoid outputs that is the binary one, of each output. */
enum { TABLE_EPOCHS = 15, FIGURE_EPOCHS = 20 }; /* the text says 20 of both; the tables ran 15 */

static setting table_setting(void) {
    return numpy_setting(600, 0.03, TABLE_EPOCHS, DN_BINARY_CROSS_ENTROPY);
}
static setting figure_setting(void) {
    return numpy_setting(1000, 0.03, FIGURE_EPOCHS, DN_BINARY_CROSS_ENTROPY);
}

static setting with_loss(setting s, dn_loss loss) {
    s.loss = loss;
    return s;
}

static setting for_short(setting s) {
    s.epochs = 5;
    return s;
}

static void add(experiment *e, value_table *t, double x, double reported, range allowed,
                setting s) {
    add_row(e, t, x, reported, allowed, s, matched(s), coded(s));
}

/* 3.1  L_MSE = 1/(2N) sum_j (y_j - p_j)^2,   L_CE = -1/N sum_j y_j log p_j   (2), (3) */
static void loss_function(experiment *e) {
    const setting s = figure_setting();
    const struct {
        const char *name;
        setting what;
    } rows[] = {
        {"MSE", with_loss(s, DN_MEAN_SQUARED_ERROR)},
        {"CE, all outputs (binary)", s},
        {"CE, formula (3) as it stands, 5 epochs", for_short(with_loss(s, DN_CROSS_ENTROPY))},
        {"CE, binary, 0.22 of the rate", matched(s)},
        {"as coded, MSE and CE alike", coded(s)},
    };
    const curve figure[] = {
        {"MSE", rows[0].what}, {"CE", rows[1].what}, {"as coded", rows[4].what}};
    show_curves(e, "loss", "MSE and CE, 784-1000-10, rate 0.03",
                "Figures 1 and 2: squared error and cross-entropy", figure, 3);
    head(e, "loss|validation accuracy|test accuracy|runs");
    summary accuracy[5];
    for (int i = 0; i < 5; i++) {
        accuracy[i] = summary_of(e, rows[i].what, VALIDATION_ACCURACY);
        cell(e, "%s", rows[i].name);
        cell_of(e, accuracy[i]);
        cell_of(e, summary_of(e, rows[i].what, TEST_ACCURACY));
        cell(e, "%d", accuracy[i].count);
        end_row(e);
    }
    end_table(e);
    const summary none = {0, 0, 0, 0};
    answer(e, "Is cross-entropy better than MSE, both at 0.03?", accuracy[1], accuracy[0], none,
           none);
    char text[400];
    say(e,
        "**Is cross-entropy better than the squared error?** %s In the report's program both send "
        "back p - y: its figures 1 and 2 are one training, printed with two losses. With a rate "
        "found for each the two are compared in the section on learning rates.",
        comparison(text, "As described: CE", accuracy[1], "MSE", accuracy[0]));
    say(e,
        "Formula (3) looks at the output of the true class alone: nothing pushes the others down, "
        "%s (%.4f). It has to be read as the sum over all outputs, y log p + (1 - y) log(1 - p).",
        accuracy[2].mean < 0.5 ? "and it does not classify" : "and yet it classifies",
        accuracy[2].mean);
}

/* 3.2  ReLU or sigmoid in the hidden layer; the outputs are sigmoids. */
static void activation(experiment *e) {
    setting relu = figure_setting(), sigmoid = relu;
    sigmoid.activation = DN_SIGMOID;
    const curve figure[] = {
        {"ReLU", relu}, {"sigmoid", sigmoid}, {"sigmoid as coded", coded(sigmoid)}};
    show_curves(e, "activation", "ReLU and sigmoid, 784-1000-10, rate 0.03",
                "Figure 3: sigmoid in both layers", figure, 3);
    head(e, "hidden activation|as described|matched|as coded");
    summary all[2][3];
    for (int i = 0; i < 2; i++) {
        const setting ways[3] = {i ? sigmoid : relu, matched(i ? sigmoid : relu),
                                 coded(i ? sigmoid : relu)};
        cell(e, i ? "sigmoid" : "ReLU");
        for (int w = 0; w < 3; w++) {
            all[i][w] = summary_of(e, ways[w], VALIDATION_ACCURACY);
            cell_of(e, all[i][w]);
        }
        end_row(e);
    }
    end_table(e);
    answer(e, "Is ReLU better than sigmoid? (right gradient at 0.22 of the rate)", all[0][1],
           all[1][1], all[0][2], all[1][2]);
    char first[400], second[400], third[400];
    say(e,
        "**Is ReLU better than sigmoid?** As coded: %s With the right derivative: %s At the "
        "matched rate: %s",
        comparison(first, "ReLU", all[0][2], "sigmoid", all[1][2]),
        comparison(second, "ReLU", all[0][0], "sigmoid", all[1][0]),
        comparison(third, "ReLU", all[0][1], "sigmoid", all[1][1]));
    if (all[0][2].mean - all[1][2].mean > 2 * (all[0][1].mean - all[1][1].mean))
        say(e, "Most of the gap as coded comes from the wrong derivative in the hidden layer: the "
               "sigmoid's is nearly constant there, so that saturated units are pushed as hard as "
               "undecided ones.");
}

/* 3.3  Table 1 */
static void hidden_size(experiment *e) {
    const double rows[][2] = {{50, .9743},  {100, .9779}, {200, .9811}, {500, .9822},
                              {600, .9825}, {800, .9831}, {1000, .9843}};
    value_table t = value_table_of("hidden", "units", VALIDATION_ACCURACY, NULL);
    for (int i = 0; i < 7; i++) {
        setting s = table_setting();
        s.hidden[0] = (size_t)rows[i][0];
        add(e, &t, rows[i][0], rows[i][1], within(rows[i][1], 0.005), s);
    }
    show_values(e, &t, "Accuracy on the validation set after the last epoch, rate 0.03");
    draw_values(e, &t);
    const setting s = table_setting();
    say(e,
        "The right gradient is about 1/0.22 of theirs: at this rate its first steps leave %.0f %% "
        "of 600 units silent for good (as coded %.0f %%), and accuracy is lower. The section on "
        "learning rates shows it at others.",
        100 * summary_of(e, s, SILENT).mean, 100 * summary_of(e, coded(s), SILENT).mean);
    verdict_on_best(e, &t, "Is 1000 hidden units better than 500?", 1000, 500);
}

/* 3.4  Table 2 */
static void learning_rate(experiment *e) {
    const double rows[][2] = {{3, .103},    {.3, .103},    {.03, .9825},
                              {.003, .975}, {3e-4, .9426}, {3e-5, .8869}};
    value_table t = value_table_of("rate", "rate", VALIDATION_ACCURACY, "matched");
    for (int i = 0; i < 6; i++) {
        setting s = table_setting();
        s.rate = rows[i][0];
        add(e, &t, rows[i][0], rows[i][1],
            i < 2 ? collapse() : within(rows[i][1], i < 5 ? 0.005 : 0.01), s);
    }
    show_values(e, &t, "Accuracy on the validation set after the last epoch, 600 units");
    draw_values(e, &t);
    setting s = table_setting();
    s.rate = 0.3;
    explain_collapse(e, coded(s), "rate 0.3");
    explain_collapse(e, s, "rate 0.3");
    explain_collapse(e, matched(s), "rate 0.3 x 0.22");
    if (e->report && best_row(&t, 0) && best_row(&t, 1))
        say(e,
            "**Where do large rates collapse?** A collapsed value is the share of one class among "
            "the validation images, the one whose output bias happens to be largest. Best as "
            "described: rate %s (%.4f); matched: rate %s x 0.22 (%.4f).",
            best_row(&t, 0)->label, best_row(&t, 0)->described.mean, best_row(&t, 1)->label,
            best_row(&t, 1)->other.mean);
}

/* 3.5  Table 3: theta <- theta - eta (dL/dtheta + 2 lambda theta) */
static void regularization(experiment *e) {
    const double rows[][2] = {{.01, .103},   {.001, .1038}, {1e-4, .9693}, {1e-5, .982},
                              {1e-6, .9826}, {1e-7, .9824}, {0, .9825}};
    value_table t = value_table_of("l2", "lambda", VALIDATION_ACCURACY, NULL);
    for (int i = 0; i < 7; i++) {
        setting s = table_setting();
        s.l2 = rows[i][0];
        add(e, &t, rows[i][0], rows[i][1],
            i == 0  ? collapse()
            : i < 3 ? no_range()
                    : within(rows[i][1], 0.005),
            s);
    }
    show_values(e, &t, "Accuracy on the validation set after the last epoch, 600 units, rate 0.03");
    draw_values(e, &t);
    if (e->report)
        say(e,
            "As coded, w <- w - lambda w stands outside the learning rate: lambda there is a "
            "coefficient of lambda / 0.03 in the formula. The two rows on the edge differ from "
            "seed to seed; the order %s.",
            t.rows[0].coded.mean <= t.rows[1].coded.mean + 0.02 &&
                    t.rows[1].coded.mean <= t.rows[2].coded.mean &&
                    t.rows[2].coded.mean <= t.rows[3].coded.mean
                ? "holds"
                : "does not hold");
    verdict_on_best(e, &t, "Is lambda = 1e-6 better than 0?", 1e-6, 0);
}

/* 4  The best model: 1000 units, ReLU, CE, rate 0.03, 20 epochs, no regularization */
static void best_model(experiment *e) {
    const setting s = figure_setting(), ways[3] = {s, matched(s), coded(s)};
    const char *const sets[] = {"train", "validation", "test"};
    const metric metrics[] = {TRAIN_ACCURACY, VALIDATION_ACCURACY, TEST_ACCURACY};
    const double reported[] = {.99998, .9839, .9837};
    dn_net net;
    for (int w = 0; w < 3; w++)
        if (kept_net(e, ways[w], "end", &net)) dn_net_free(&net);
    head(e, "set|reported|as described|matched|as coded|as coded within 0.003?");
    for (int i = 0; i < 3; i++) {
        cell(e, "%s", sets[i]), cell(e, "%.5g", reported[i]);
        for (int w = 0; w < 3; w++) {
            const summary of = summary_of(e, ways[w], metrics[i]);
            cell_of(e, of);
            if (w == 2) cell(e, "%s", judgement(e, of, within(reported[i], 0.003)));
        }
        end_row(e);
    }
    end_table(e);
    if (kept_net(e, ways[1], "end", &net)) {
        show_mistakes(e, "mistakes", &net, &e->test, NULL, "Figure 4: test images (matched net)");
        show_confusion(e, "confusion", &net, &e->test, NULL, "confusion on the test set");
        dn_net_free(&net);
    }
    show_weights(e, "weights", ways[1], "Figure 5: weights of the first layer by PCA");
}

int main(int count, char **words) {
    static const section sections[] = {
        {"loss", "3.1 Loss function (figures 1 and 2)", loss_function},
        {"activation", "3.2 Activation function (figure 3)", activation},
        {"hidden", "3.3 Hidden size (table 1)", hidden_size},
        {"rate", "3.4 Learning rate (table 2)", learning_rate},
        {"l2", "3.5 Regularization (table 3)", regularization},
        {"best", "4 Result and visualization (figures 4 and 5)", best_model},
        {NULL, NULL, NULL}};
    static experiment e = {.name = "two_layer_mnist",
                           .title = "Two-layer neural network for classification on MNIST dataset",
                           .source = "Y. Li, Fudan University, 2023",
                           .sections = sections,
                           .train = train,
                           .data_folder = "data/mnist",
                           .loading = {.custom = &sigmoid_as_coded, .custom_count = 1}};
    return experiment_main(&e, count, words);
}
