/* "Basic Neural Networks: MNIST" (A. Chu, 2023), redone: nets as Keras builds them by default,
   dropout, and two names for one loss.

       keras_dropout --help
       keras_dropout --only tables --seeds 3

   From the repository's root: cc -O2 examples/keras_dropout.c -o build/keras_dropout -lm */
#define DENSENET_IMPLEMENTATION
#include "pictures.h"

/* Methodology: batches of 512, 20 epochs, all 60,000 images, shuffled each epoch; ReLU, softmax.
   Keras' defaults: Glorot's uniform weights, zero biases; SGD with rate 0.01; Adam with rate 0.001,
   0.9, 0.999 and epsilon 1e-7; pixels divided by 255, where the program does so. Dropout stands
   once, before the output layer. Tested on the 10,000 test images. */
enum { BATCH = 512, EPOCHS = 20 };

static setting net_of(size_t first, size_t second, size_t third, double dropout) {
    setting s;
    memset(&s, 0, sizeof s);
    s.how = "described";
    s.hidden[0] = first, s.hidden[1] = second, s.hidden[2] = third;
    s.activation = DN_RELU;
    s.loss = DN_CROSS_ENTROPY;
    s.rate = 0.001;
    s.dropout = dropout;
    s.epochs = EPOCHS;
    s.samples = 60000;
    return s;
}

static void add_dense(dn_net *net, size_t units, dn_activation activation) {
    dn_dense layer;
    memset(&layer, 0, sizeof layer);
    layer.outputs = units;
    layer.activation = activation;
    layer.weights.kind = DN_INITIALIZE_GLOROT_UNIFORM;
    dn_net_layer(net, &layer);
}

static bool is(const setting *s, const char *how) {
    return strcmp(s->how, how) == 0;
}

static void build(dn_net *net, const setting *s, int seed) {
    dn_net_init(net, 784, (uint64_t)seed);
    for (int l = 0; l < 3 && s->hidden[l] > 0; l++) {
        add_dense(net, s->hidden[l], DN_RELU);
        if (is(s, "dropout after each") || (s->dropout > 0 && (l == 2 || s->hidden[l + 1] == 0)))
            dn_net_dropout(net, (dn_real)s->dropout);
    }
    add_dense(net, 10, DN_SOFTMAX);
}

/* The test images, with their pixels 0 to 255 where the program forgot to divide. */
static dn_dataset with_raw_pixels(const dn_dataset *data) {
    dn_dataset raw = *data;
    raw.normalization = DN_NORMALIZE_NONE;
    memset(raw.owned, 0, sizeof raw.owned);
    return raw;
}

static void train(experiment *e, const setting *s, int seed, result *r) {
    const bool basic = s->hidden[0] == 300, one_hot = is(s, "one-hot rows");
    const dn_dataset raw_images = with_raw_pixels(&e->images), raw_test = with_raw_pixels(&e->test);
    dn_dataset rows, training = is(s, "raw, tested raw") ? raw_images : e->images;
    const dn_dataset test = is(s, "raw, tested raw") || is(s, "coded") ? raw_test : e->test;
    dn_error error = {{0}, DN_OK};
    dn_net net;
    dn_training how;
    memset(&how, 0, sizeof how);
    memset(&rows, 0, sizeof rows);
    if (one_hot) { /* categorical cross-entropy takes rows, the sparse one takes labels */
        must(dn_dataset_one_hot(&e->images, &rows, &error), &error);
        training = rows;
    }
    build(&net, s, seed);
    how.batch = BATCH;
    how.loss = s->loss;
    how.optimizer = basic ? dn_sgd((dn_real)s->rate) : dn_adam((dn_real)s->rate);
    how.optimizer.epsilon = (dn_real)1e-7;
    train_and_measure(e, s, seed, &net, &training, &test, &test, how, NULL, r);
    dn_dataset_free(&rows);
    dn_net_free(&net);
}

static setting basic_net(const char *how) {
    setting s = with_how(net_of(300, 100, 0, 0), how);
    s.rate = 0.01;
    return s;
}

static void print_summary(experiment *e, setting s) {
    char text[2000];
    dn_net net;
    if (!e->report) return;
    build(&net, &s, 1);
    dn_net_summary(&net, text, sizeof text);
    say_as_it_is(e, text);
    dn_net_free(&net);
}

static void predictions(experiment *e, setting s) {
    dn_real p[30];
    dn_error error = {{0}, DN_OK};
    dn_net net;
    if (!kept_net(e, s, "end", &net)) return;
    must(dn_predict_dataset(&net, &e->test, 0, 3, p, &error), &error);
    cell(e, "test image");
    for (int j = 0; j < 10; j++) cell(e, "%d", j);
    cell(e, "true class"), end_row(e);
    for (int i = 0; i < 3; i++) {
        cell(e, "%d", i);
        for (int j = 0; j < 10; j++) cell(e, "%.4f", (double)p[10 * i + j]);
        cell(e, "%d", (int)e->test.labels[i]), end_row(e);
    }
    end_table(e);
    dn_net_free(&net);
}

/* (1)  784-300-100-10, SGD. "The high loss was a result in not applying one-hot encoding." */
static void basic(experiment *e) {
    const char *const hows[] = {"described", "coded", "raw, tested raw"};
    const char *const names[] = {"/255, tested /255", "/255, tested 0 to 255", "0 to 255, both"};
    summary loss[3], accuracy[3];
    print_summary(e, basic_net("described"));
    head(e, "pixels|test loss|test accuracy|runs");
    head(e, "reported|35.08|0.91|1");
    for (int i = 0; i < 3; i++) {
        loss[i] = summary_of(e, basic_net(hows[i]), TEST_LOSS);
        accuracy[i] = summary_of(e, basic_net(hows[i]), TEST_ACCURACY);
        cell(e, "%s", names[i]);
        cell_of(e, loss[i]);
        cell_of(e, accuracy[i]);
        cell(e, "%d", loss[i].count), end_row(e);
    }
    end_table(e);
    const bool reproduced = loss[1].mean >= 33 && loss[1].mean <= 36 && accuracy[1].mean >= .91 &&
                            accuracy[1].mean <= .93;
    if (loss[0].count > 0 && loss[1].count > 0)
        say(e,
            "**Where does a loss of 35 come from?** From test pixels that were not divided by "
            "255: the logits are 255 times as large, so that every mistake costs hundreds. Loss "
            "%.2f, accuracy %.4f: within tolerance (33 to 36, 0.91 to 0.93)? %s. With pixels "
            "divided on both sides the same net has a loss of %.4f. One-hot labels have nothing "
            "to do with it.",
            loss[1].mean, accuracy[1].mean, verdict(e, reproduced, "yes"), loss[0].mean);
    const curve figure[] = {{"784-300-100-10, SGD", basic_net("described")},
                            {"784-128-128-10, Adam, dropout", net_of(128, 128, 0, .25)}};
    show_curves(e, "basic", "the basic model and the baseline",
                "The basic model and the baseline (validated on the test set)", figure, 2);
}

/* (2)  784-128-128-10, dropout 25 %, Adam: the baseline */
static void baseline(experiment *e) {
    const setting s = net_of(128, 128, 0, .25);
    dn_net net;
    print_summary(e, s);
    say(e, "What it makes of the first three test images:");
    predictions(e, s);
    if (!kept_net(e, s, "end", &net)) return;
    show_mistakes(e, "mistakes", &net, &e->test, NULL, "Test images (baseline)");
    show_confusion(e, "confusion", &net, &e->test, NULL, "confusion on the test set");
    dn_net_free(&net);
}

/* (3), (4)  Eleven nets, each with two losses */
typedef struct keras_row {
    const char *name;
    size_t units[3];
    double dropout, loss[2], accuracy[2]; /* reported: categorical, sparse */
} keras_row;

static const keras_row rows[] = {
    {"baseline 128-128, 25 %", {128, 128, 0}, .25, {.073, .079}, {.979, .977}},
    {"128-100", {128, 100, 0}, .25, {.071, .076}, {.979, .978}},
    {"128-156", {128, 156, 0}, .25, {.073, .077}, {.979, .979}},
    {"156-128", {156, 128, 0}, .25, {.074, .079}, {.979, .978}},
    {"100-156", {100, 156, 0}, .25, {.073, .067}, {.979, .979}},
    {"156-156", {156, 156, 0}, .25, {.070, .071}, {.980, .981}},
    {"156-100", {156, 100, 0}, .25, {.072, .078}, {.979, .979}},
    {"dropout 50 %", {128, 128, 0}, .5, {.071, .072}, {.980, .979}},
    {"156-156, 50 %", {156, 156, 0}, .5, {.073, .068}, {.980, .981}},
    {"128-128-128", {128, 128, 128}, .25, {.089, .084}, {.978, .979}},
    {"128-128-128, 50 %", {128, 128, 128}, .5, {.092, .081}, {.978, .980}},
};
enum { ROWS = sizeof rows / sizeof rows[0] };

static setting setting_of(const keras_row *row) {
    return net_of(row->units[0], row->units[1], row->units[2], row->dropout);
}

static void show_losses(experiment *e, const summary *losses) {
    if (!e->report || losses[0].count == 0) return;
    FILE *file = open_numbers(e, "rows");
    fprintf(file, "label\tloss\tdeviation\tcategorical\tsparse\n");
    for (int i = 0; i < ROWS; i++)
        fprintf(file, "\"%s\"\t%g\t%g\t%g\t%g\n", rows[i].name, losses[i].mean, losses[i].deviation,
                rows[i].loss[0], rows[i].loss[1]);
    fclose(file);
    draw(e, "rows", "rows", "loss on the test set",
         "test loss of each row, with the deviation over seeds, and as reported");
}

static void tables(experiment *e) {
    summary losses[ROWS], accuracies[ROWS];
    head(e, "net|categorical: loss|accuracy|sparse: loss|accuracy|here: loss|accuracy|within "
            "tolerance?");
    for (int i = 0; i < ROWS; i++) {
        const setting s = setting_of(&rows[i]);
        losses[i] = summary_of(e, s, TEST_LOSS);
        accuracies[i] = summary_of(e, s, TEST_ACCURACY);
        cell(e, "%s", rows[i].name);
        for (int k = 0; k < 2; k++)
            cell(e, "%.3f", rows[i].loss[k]), cell(e, "%.3f", rows[i].accuracy[k]);
        cell_of(e, losses[i]);
        cell_of(e, accuracies[i]);
        cell(e, "%s",
             losses[i].count == 0 ? "-"
                                  : verdict(e,
                                            fabs(losses[i].mean - rows[i].loss[0]) <= .015 &&
                                                fabs(accuracies[i].mean - .979) <= .004,
                                            "yes"));
        end_row(e);
    }
    end_table(e);
    say(e,
        "Test set, mean " PLUS_MINUS
        " deviation over %d seeds; tolerance: 0.015 of the categorical loss, 0.979 " PLUS_MINUS
        " 0.004.",
        losses[0].count);
    show_losses(e, losses);

    int same = 0, compared = 0;
    for (int i = 0; i < ROWS; i++) {
        const setting s = setting_of(&rows[i]), one_hot = with_how(s, "one-hot rows");
        (void)summary_of_seeds(e, one_hot, 1, TEST_LOSS);
        const result *a = e->report ? result_of(e, s, 1) : NULL,
                     *b = e->report ? result_of(e, one_hot, 1) : NULL;
        compared += a && b;
        same += a && b && a->values[CHECKSUM] == b->values[CHECKSUM] &&
                a->values[TEST_LOSS] == b->values[TEST_LOSS];
    }
    say(e,
        "**Do categorical and sparse cross-entropy differ?** They are one function, of one-hot "
        "rows or of labels. Trained from the same seed, %d of %d rows ended with the same bits in "
        "every weight. What differs between the report's two tables is the seed.",
        same, compared);
    char text[120];
    snprintf(text, sizeof text, "%d of %d nets: the same bits in every weight", same, compared);
    answer_with(e, "Do categorical and sparse cross-entropy differ?", text, "-");
    int better = 0, worse = 0, wide = 0;
    char which[300] = "";
    for (int i = 1; i < ROWS; i++) {
        const difference d = difference_of(losses[i], losses[0]),
                         of_accuracy = difference_of(accuracies[i], accuracies[0]);
        better += d.real && d.value < 0;
        worse += d.real && d.value > 0;
        wide += of_accuracy.real;
        if (d.real)
            snprintf(which + strlen(which), sizeof which - strlen(which), "%s%s (%+.4f)",
                     which[0] ? ", " : "", rows[i].name, d.value);
    }
    say(e,
        "**Does any row differ from the baseline?** In loss by more than the seeds' spread: %d "
        "better, %d worse%s%s. In accuracy: %d. The report's differences in loss between its own "
        "two tables reach 0.012.",
        better, worse, which[0] ? ": " : "", which, wide);
    snprintf(text, sizeof text, "in loss %d better, %d worse; in accuracy %d", better, worse, wide);
    answer_with(e, "Does any of the ten other rows differ from the baseline?", text, "-");
    char first[400];
    setting each = with_how(setting_of(&rows[9]), "dropout after each");
    const summary after_each = summary_of(e, each, TEST_LOSS);
    each.dropout = 0.5;
    say(e,
        "Three layers with dropout after each instead of after the last: %s With 50 %%: loss %.4f.",
        comparison(first, "25 % after each", after_each, "after the last", losses[9]),
        summary_of(e, each, TEST_LOSS).mean);
}

int main(int count, char **words) {
    static const section sections[] = {
        {"basic", "(1) Basic MNIST model", basic},
        {"baseline", "(2) MNIST baseline model", baseline},
        {"tables", "(3), (4) Categorical and sparse categorical cross-entropy (figures 4 and 5)",
         tables},
        {NULL, NULL, NULL}};
    static experiment e = {.name = "keras_dropout",
                           .title = "Basic Neural Networks: MNIST",
                           .source = "A. Chu, 2023",
                           .sections = sections,
                           .train = train,
                           .data_folder = "data/mnist",
                           .effort = 0.2};
    return experiment_main(&e, count, words);
}
