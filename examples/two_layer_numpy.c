/* "Neural Network: Two Layers Classifier via Numpy" (X. Shi, 2023), redone: one hidden layer,
   sigmoid outputs, gradient descent; the best model is trained, saved, loaded again and tested.

       two_layer_numpy --help
       two_layer_numpy --only rate --seeds 3

   From the repository's root: cc -O2 examples/two_layer_numpy.c -o build/two_layer_numpy -lm */
#define DENSENET_IMPLEMENTATION
#include "numpy_programs.h"

/* 2  Algorithms. The loss contains lambda/2 ||delta||^2; delta <- delta - eta dL/ddelta in batches
   of 40; eta is halved when validation accuracy falls. 50,000 images are trained on, the last
   10,000 validate. As coded, the decay takes the biases along. */
static const numpy_program program = {1, true};

static void train(experiment *e, const setting *s, int seed, result *r) {
    const size_t sixth = e->images.count / 6;
    const dn_dataset training = range_of(&e->images, 0, 5 * sixth);
    const dn_dataset validation = range_of(&e->images, 5 * sixth, sixth);
    numpy_train(e, s, seed, &program, &training, &validation, r);
}

/* Squared error, ReLU, 10 epochs, unless a section says otherwise. */
static setting net(size_t hidden, double rate) {
    return numpy_setting(hidden, rate, 10, DN_MEAN_SQUARED_ERROR);
}

static setting with_sigmoid(setting s) {
    s.activation = DN_SIGMOID;
    return s;
}

/* Binary cross-entropy as coded: (p - y) / (p (1 - p)) times the wrong factor. */
static setting binary_as_coded(setting s) {
    s.how = "coded";
    s.loss = DN_BINARY_CROSS_ENTROPY;
    return s;
}

/* A table of nets by loss and activation: validation and test accuracy, each way. */
static void compare_nets(experiment *e, const char *kind, const char *const *names,
                         const setting *settings, int count) {
    cell(e, "%s", kind), head(e, "validation accuracy|test accuracy|runs");
    for (int i = 0; i < count; i++) {
        const summary accuracy = summary_of(e, settings[i], VALIDATION_ACCURACY);
        cell(e, "%s", names[i]);
        cell_of(e, accuracy);
        cell_of(e, summary_of(e, settings[i], TEST_ACCURACY));
        cell(e, "%d", accuracy.count);
        end_row(e);
    }
    end_table(e);
}

/* 3.1  L_MSE = 1/(2n) sum (y - y')^2,  L_BCE = -1/N sum (y ln y' + (1 - y) ln(1 - y')),
   hidden 500, rate 0.01 */
static void loss_function(experiment *e) {
    const setting s = net(500, 0.01);
    setting binary = s;
    binary.loss = DN_BINARY_CROSS_ENTROPY;
    const curve figure[] = {{"MSE", s},
                            {"BCE from logits", binary},
                            {"MSE as coded", coded(s)},
                            {"BCE as coded", binary_as_coded(s)}};
    const char *const names[] = {"MSE", "BCE, from logits", "MSE, as coded", "BCE, as coded"};
    const setting settings[] = {s, binary, coded(s), binary_as_coded(s)};
    show_curves(e, "loss", "MSE and BCE, 784-500-10, rate 0.01",
                "Figure 1: squared error and binary cross-entropy", figure, 4);
    compare_nets(e, "loss", names, settings, 4);
    answer(e, "Is MSE better than BCE, both at 0.01?", summary_of(e, s, VALIDATION_ACCURACY),
           summary_of(e, binary, VALIDATION_ACCURACY),
           summary_of(e, settings[2], VALIDATION_ACCURACY),
           summary_of(e, settings[3], VALIDATION_ACCURACY));
    char first[400], second[400];
    say(e,
        "**Is MSE better than BCE?** As coded: %s With the right gradient, p - y: %s The "
        "derivative of BCE with respect to an output is (p - y) / (p (1 - p)). Times the sigmoid's "
        "own derivative p (1 - p) that is p - y; times the one taken at the wrong place it grows "
        "without bound where the net is certain.",
        comparison(first, "MSE", summary_of(e, settings[2], VALIDATION_ACCURACY), "BCE",
                   summary_of(e, settings[3], VALIDATION_ACCURACY)),
        comparison(second, "MSE", summary_of(e, s, VALIDATION_ACCURACY), "BCE",
                   summary_of(e, binary, VALIDATION_ACCURACY)));
}

/* 3.2  ReLU or sigmoid in the hidden layer, MSE, hidden 500, rate 0.01 */
static void activation(experiment *e) {
    const setting s = net(500, 0.01), sigmoid = with_sigmoid(s);
    const curve figure[] = {{"ReLU", s},
                            {"sigmoid", sigmoid},
                            {"ReLU as coded", coded(s)},
                            {"sigmoid as coded", coded(sigmoid)}};
    const char *const names[] = {"ReLU",           "sigmoid",
                                 "ReLU, matched",  "sigmoid, matched",
                                 "ReLU, as coded", "sigmoid, as coded"};
    const setting settings[] = {s, sigmoid, matched(s), matched(sigmoid), coded(s), coded(sigmoid)};
    show_curves(e, "activation", "ReLU and sigmoid, 784-500-10, rate 0.01",
                "Figure 2: ReLU and sigmoid", figure, 4);
    compare_nets(e, "hidden activation", names, settings, 6);
    answer(e, "Is ReLU better than sigmoid, both at 0.01?", summary_of(e, s, VALIDATION_ACCURACY),
           summary_of(e, sigmoid, VALIDATION_ACCURACY),
           summary_of(e, settings[4], VALIDATION_ACCURACY),
           summary_of(e, settings[5], VALIDATION_ACCURACY));
    char first[400], second[400], third[400];
    say(e, "**Is ReLU better than sigmoid?** As coded: %s As described: %s Matched: %s",
        comparison(first, "ReLU", summary_of(e, settings[4], VALIDATION_ACCURACY), "sigmoid",
                   summary_of(e, settings[5], VALIDATION_ACCURACY)),
        comparison(second, "ReLU", summary_of(e, s, VALIDATION_ACCURACY), "sigmoid",
                   summary_of(e, sigmoid, VALIDATION_ACCURACY)),
        comparison(third, "ReLU", summary_of(e, settings[2], VALIDATION_ACCURACY), "sigmoid",
                   summary_of(e, settings[3], VALIDATION_ACCURACY)));
}

static void add(experiment *e, value_table *t, double x, double reported, range allowed,
                setting s) {
    add_row(e, t, x, reported, allowed, s, matched(s), coded(s));
}

/* 3.3  Table 1: hidden 500 */
static const double rates[] = {1, 1. / 2, 1. / 4, 1. / 8, 1. / 16, 1. / 32, 1. / 64, 1. / 128};

static void learning_rate(experiment *e) {
    const double reported[] = {.0991, .0991, .0991, .9729, .9813, .9815, .9815, .9787};
    value_table t = value_table_of("rate", "rate", VALIDATION_ACCURACY, "matched");
    for (int i = 0; i < 8; i++) {
        const range allowed = i < 3    ? collapse()
                              : i == 3 ? between(.92, .98)
                                       : within(reported[i], 0.004);
        add(e, &t, rates[i], reported[i], allowed, net(500, rates[i]));
        snprintf(t.rows[i].label, sizeof t.rows[i].label, i == 0 ? "1" : "1/%.0f", 1 / rates[i]);
    }
    show_values(e, &t, "Accuracy on the validation set after the last epoch, 500 units");
    draw_values(e, &t);
    explain_collapse(e, coded(net(500, 0.25)), "rate 1/4");
    explain_collapse(e, net(500, 0.25), "rate 1/4");
    explain_collapse(e, matched(net(500, 0.25)), "rate 1/4 x 0.22");
    verdict_on_best(e, &t, "Is 1/32 the best rate?", 1. / 32, 1. / 16);
}

/* What the report could not compare: each loss and each activation at the rate that suits it. */
static void fair(experiment *e) {
    const char *const names[] = {"ReLU, MSE", "ReLU, BCE", "sigmoid, MSE", "sigmoid, BCE"};
    summary validation[4], test[4];
    head(e, "net|best rate|validation accuracy|test accuracy|runs");
    for (int n = 0; n < 4; n++) {
        double best_rate = 0;
        validation[n].mean = test[n].mean = -1;
        validation[n].count = test[n].count = 0;
        for (int i = 0; i < 8; i++) {
            setting s = net(500, rates[i]);
            if (n >= 2) s = with_sigmoid(s);
            if (n % 2) s = matched(s);
            if (n >= 2 && (n % 2 ? i < 1 || i > 5 : i > 5))
                continue; /* the best is inside of these */
            const summary v = summary_of(e, s, VALIDATION_ACCURACY);
            if (v.count == 0 || !(v.mean > validation[n].mean)) continue;
            validation[n] = v;
            test[n] = summary_of(e, s, TEST_ACCURACY);
            best_rate = n % 2 ? 0.22 * rates[i] : rates[i];
        }
        cell(e, "%s", names[n]), cell(e, "%.4g", best_rate);
        cell_of(e, validation[n]);
        cell_of(e, test[n]);
        cell(e, "%d", validation[n].count);
        end_row(e);
    }
    end_table(e);
    const summary none = {0, 0, 0, 0};
    answer(e, "Is MSE better than BCE, each at its own rate? (ReLU)", test[0], test[1], none, none);
    answer(e, "Is ReLU better than sigmoid, each at its own rate? (BCE)", test[1], test[3], none,
           none);
    char first[400], second[400];
    say(e, "The rate is the best on the validation set of eight (for sigmoid, five or six), each "
           "half of the one before.");
    say(e,
        "**Is MSE better than BCE, each at its own rate?** On the test set: %s **Is ReLU better "
        "than sigmoid, each at its own rate?** %s",
        comparison(first, "MSE", test[0], "BCE", test[1]),
        comparison(second, "ReLU (BCE)", test[1], "sigmoid (BCE)", test[3]));
}

/* 3.4  Table 2: rate 1/32. Twelve sizes are named, the table prints eleven columns, shifted. */
static void hidden_size(experiment *e) {
    const double rows[][2] = {{10, .9391},  {50, .9744},  {100, .9793}, {200, .9802},
                              {300, .9825}, {400, .9829}, {500, .9815}, {600, .9826},
                              {700, .9821}, {800, .9821}, {900, .9834}, {1000, .9833}};
    value_table t = value_table_of("hidden", "units", VALIDATION_ACCURACY, NULL);
    for (int i = 0; i < 12; i++)
        add(e, &t, rows[i][0], rows[i][1], within(rows[i][1], i == 0 ? 0.02 : 0.004),
            net((size_t)rows[i][0], 1. / 32));
    show_values(e, &t, "Accuracy on the validation set after the last epoch, rate 1/32");
    draw_values(e, &t);
    say(e, "The report's table has eleven columns, 50 to 1000, for twelve sizes from 10 on: its "
           "values are one column off. Here they stand where they belong (its 0.9391 for 50 units "
           "is the value of 10).");
    verdict_on_best(e, &t, "Is 900 hidden units better than 500?", 900, 500);
}

/* 3.5  Table 3: lambda/2 ||delta||^2, hidden 900, rate 1/32 */
static void regularization(experiment *e) {
    const double rows[][2] = {{.1, .0967},   {.01, .0989}, {.001, .7724}, {1e-4, .9803},
                              {1e-5, .9832}, {1e-6, .982}, {1e-7, .9829}, {0, .9834}};
    value_table t = value_table_of("l2", "lambda", VALIDATION_ACCURACY, NULL);
    for (int i = 0; i < 8; i++) {
        setting s = net(900, 1. / 32);
        s.l2 = rows[i][0];
        add(e, &t, rows[i][0], rows[i][1],
            i < 2    ? collapse()
            : i == 2 ? between(.70, .93)
                     : within(rows[i][1], 0.004),
            s);
    }
    show_values(e, &t, "Accuracy on the validation set after the last epoch, 900 units, rate 1/32");
    draw_values(e, &t);
    say(e, "As coded, the decay stands outside the learning rate: its lambda is 32 lambda in the "
           "formula.");
    verdict_on_best(e, &t, "Is no regularization better than lambda = 1e-6?", 0, 1e-6);
}

/* 4  Visualization: hidden 900, rate 1/32, no regularization */
static void best_model(experiment *e) {
    const setting s = net(900, 1. / 32), ways[3] = {s, matched(s), coded(s)};
    const curve figure[] = {{"as described", s}, {"matched", matched(s)}, {"as coded", coded(s)}};
    const double reported[] = {.99996, .9834, .9838};
    const metric metrics[] = {TRAIN_ACCURACY, VALIDATION_ACCURACY, TEST_ACCURACY};
    const char *const sets[] = {"train", "validation", "test"};
    dn_net loaded;
    show_curves(e, "best", "784-900-10, rate 1/32", "Figure 3: the model of optimal parameters",
                figure, 3);
    for (int w = 0; w < 3; w++) {
        if (!kept_net(e, ways[w], "end", &loaded)) continue;
        const dn_evaluation again = dn_evaluate(&loaded, &e->test);
        const result *r = result_of(e, ways[w], 1);
        say(e, "%s: saved after training, loaded again, tested: %.4f, %s.", ways[w].how,
            again.accuracy,
            r && again.accuracy == r->values[TEST_ACCURACY] &&
                    checksum_of(&loaded) == r->values[CHECKSUM]
                ? "the same bits as before it was saved"
                : "NOT the same as before it was saved");
        if (w == 1) {
            show_mistakes(e, "mistakes", &loaded, &e->test, NULL, "Test images (matched net)");
            show_confusion(e, "confusion", &loaded, &e->test, NULL, "confusion on the test set");
        }
        dn_net_free(&loaded);
    }
    head(e, "set|reported|as described|matched|as coded|as coded within 0.002?");
    for (int i = 0; i < 3; i++) {
        cell(e, "%s", sets[i]), cell(e, "%.5g", reported[i]);
        for (int w = 0; w < 3; w++) {
            const summary of = summary_of(e, ways[w], metrics[i]);
            cell_of(e, of);
            if (w == 2) cell(e, "%s", judgement(e, of, within(reported[i], 0.002)));
        }
        end_row(e);
    }
    end_table(e);
}

int main(int count, char **words) {
    static const section sections[] = {
        {"loss", "3.1 Loss function (figure 1)", loss_function},
        {"activation", "3.2 Activation function (figure 2)", activation},
        {"rate", "3.3 Learn rate (table 1)", learning_rate},
        {"fair", "Each loss and activation at its own rate", fair},
        {"hidden", "3.4 Hidden layer size (table 2)", hidden_size},
        {"l2", "3.5 Regularization strength (table 3)", regularization},
        {"best", "4 Visualization (figure 3)", best_model},
        {NULL, NULL, NULL}};
    static experiment e = {.name = "two_layer_numpy",
                           .title = "Neural Network: Two Layers Classifier via Numpy",
                           .source = "X. Shi, 2023",
                           .sections = sections,
                           .train = train,
                           .data_folder = "data/mnist",
                           .loading = {.custom = &sigmoid_as_coded, .custom_count = 1}};
    return experiment_main(&e, count, words);
}
