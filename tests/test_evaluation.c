/* Prediction, loss and accuracy, confusion, mistakes: on cases that can be counted by hand. */
#define _POSIX_C_SOURCE 200809L /* for threads */
#include "counting.h"

#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

#if defined(__unix__) || defined(__APPLE__)
#define HAS_THREADS 1
#include <pthread.h>
#else
#define HAS_THREADS 0
#endif

/* A net that passes its inputs to the last activation unchanged: its logits are the data. */
static void pass_through(dn_net *net, size_t size, dn_activation activation) {
    dn_real ones[16] = {0};
    dn_dense dense = {0};
    for (size_t i = 0; i < size; i++) ones[i * size + i] = 1;
    dense.outputs = size;
    dense.activation = activation;
    dense.weights.kind = DN_INITIALIZE_GIVEN;
    dense.weights.given = ones;
    dn_net_init(net, size, 1);
    dn_net_layer(net, &dense);
}

/* Seven samples of three classes. The largest logit is at 0 1 2 0 0 2 1; the labels are
   0 1 1 0 2 2 0, so that samples 2, 4 and 6 are mistakes. */
enum { SEVEN = 7 };
static const dn_real logits[SEVEN * 3] = {3, 1, 0, 0,  2, 1, -1, 0, 1, 2, 2,
                                          1, 4, 0, -4, 0, 0, 1,  1, 3, 2};
static const int32_t labels[SEVEN] = {0, 1, 1, 0, 2, 2, 0};

/* -log softmax(z)[label] */
static double cross_entropy(const dn_real *z, size_t count, size_t label) {
    double sum = 0;
    for (size_t j = 0; j < count; j++) sum += exp((double)z[j]);
    return log(sum) - (double)z[label];
}

static void by_hand(void) {
    dn_net net;
    dn_dataset data;
    pass_through(&net, 3, DN_SOFTMAX);
    dn_dataset_arrays(&data, SEVEN, 3, logits, 3, labels, NULL);
    double loss = 0;
    for (int s = 0; s < SEVEN; s++) loss += cross_entropy(logits + 3 * s, 3, (size_t)labels[s]);
    dn_evaluation seen = dn_evaluate(&net, &data);
    ok(seen.status == DN_OK && seen.count == 7 && seen.correct == 4, "4 of 7 are correct");
    is_close(seen.accuracy, 4.0 / 7, 1e-15, "the accuracy is 4/7");
    is_close(seen.loss, loss / 7, 1e-6, "the loss is the mean cross-entropy");
    net.loss = DN_MEAN_SQUARED_ERROR;
    loss = 0;
    for (int s = 0; s < SEVEN; s++)
        for (int j = 0; j < 3; j++) {
            const double p = exp(-cross_entropy(logits + 3 * s, 3, (size_t)j));
            loss += 0.5 * (p - (labels[s] == j)) * (p - (labels[s] == j));
        }
    seen = dn_evaluate(&net, &data);
    is_close(seen.loss, loss / 7, 1e-6, "net->loss says which loss");
    ok(seen.correct == 4, "the accuracy does not depend on it");
    net.loss = DN_LOSS_DEFAULT;

    static const size_t expected[9] = {2, 1, 0, 0, 1, 1, 1, 0, 1};
    size_t confusion[9];
    memset(confusion, 0xff, sizeof confusion);
    ok(dn_confusion(&net, &data, confusion, NULL) == DN_OK &&
           memcmp(confusion, expected, sizeof expected) == 0,
       "the confusion matrix: rows are true classes, columns predicted ones");
    is_close(dn_class_accuracy(confusion, 3, 0), 2.0 / 3, 1e-15, "class 0: 2 of 3");
    is_close(dn_class_accuracy(confusion, 3, 1), 0.5, 1e-15, "class 1: 1 of 2");
    is_close(dn_class_accuracy(confusion, 3, 2), 0.5, 1e-15, "class 2: 1 of 2");
    static const size_t empty[4] = {0, 0, 1, 2};
    ok(isnan(dn_class_accuracy(empty, 2, 0)), "a class without samples has no accuracy");

    dn_mistake mistakes[4];
    size_t count = 99;
    memset(mistakes, 0, sizeof mistakes);
    ok(dn_mistakes(&net, &data, mistakes, 4, &count, NULL) == DN_OK && count == 3, "three mistakes");
    ok(mistakes[0].sample == 2 && mistakes[0].label == 1 && mistakes[0].predicted == 2 &&
           mistakes[1].sample == 4 && mistakes[1].label == 2 && mistakes[1].predicted == 0 &&
           mistakes[2].sample == 6 && mistakes[2].label == 0 && mistakes[2].predicted == 1,
       "in order: samples 2, 4, 6");
    is_close((double)mistakes[1].probability, exp(-cross_entropy(logits + 12, 3, 0)), 1e-6,
             "with the probability of what was predicted");
    mistakes[2].sample = 77;
    ok(dn_mistakes(&net, &data, mistakes, 2, &count, NULL) == DN_OK && count == 3 &&
           mistakes[1].sample == 4 && mistakes[2].sample == 77,
       "no more are written than fit, but all are counted");
    ok(dn_mistakes(&net, &data, NULL, 0, &count, NULL) == DN_OK && count == 3,
       "or only counted");

    /* A view counts its own samples; the order of a shuffled view is followed. */
    static const uint32_t order[3] = {4, 0, 6};
    dn_dataset view = data;
    view.count = 3;
    view.order = order;
    dn_mistakes(&net, &view, mistakes, 4, &count, NULL);
    ok(count == 2 && mistakes[0].sample == 0 && mistakes[0].label == 2 && mistakes[1].sample == 2 &&
           mistakes[1].label == 0,
       "in a view, samples have the view's numbers");
    ok(dn_evaluate(&net, &view).correct == 1, "and its own accuracy");
    dn_real out[9], all[SEVEN * 3];
    dn_predict(&net, logits, SEVEN, all, NULL, NULL);
    ok(dn_predict_dataset(&net, &view, 1, 2, out, NULL) == DN_OK &&
           memcmp(out, all, 3 * sizeof *out) == 0 && memcmp(out + 3, all + 18, 3 * sizeof *out) == 0,
       "samples 1 and 2 of the view are samples 0 and 6 of the whole");
    dn_error error = {"", DN_OK};
    ok(dn_predict_dataset(&net, &view, 2, 2, out, &error) != DN_OK && error.message[0] != '\0',
       "past the end: %s", error.message);
    ok(dn_predict_dataset(&net, &data, 3, 0, out, NULL) == DN_OK, "none at all is none at all");
    static const dn_real wide[SEVEN * 500] = {0};
    view = data;
    view.targets = wide;
    view.outputs = 500;
    dn_real whole[SEVEN * 3];
    ok(dn_predict_dataset(&net, &view, 0, SEVEN, whole, NULL) == DN_OK &&
           memcmp(whole, all, sizeof whole) == 0,
       "answers that do not fit the net do not matter");
    dn_net_free(&net);
}

static void ties(void) {
    const dn_real numbers[5] = {1, 3, 3, -1, 3}, one[1] = {-7};
    ok(dn_largest(numbers, 5) == 1 && dn_largest(one, 1) == 0, "the first of equal numbers wins");
    ok(dn_largest(NULL, 0) == 0, "of none, the first");
}

/* What the classes are when there is one output, or when the answers are rows. */
static void other_answers(void) {
    static const dn_real z[4] = {2, -1, (dn_real)0.5, -3};
    static const int32_t of_z[4] = {1, 0, 0, 1};
    dn_net net;
    dn_dataset data;
    pass_through(&net, 1, DN_SIGMOID);
    dn_dataset_arrays(&data, 4, 1, z, 2, of_z, NULL);
    dn_evaluation seen = dn_evaluate(&net, &data);
    double loss = 0;
    for (int s = 0; s < 4; s++) loss += log1p(exp(of_z[s] == 1 ? -(double)z[s] : (double)z[s]));
    ok(seen.correct == 2, "one output: above 1/2 is class 1");
    is_close(seen.loss, loss / 4, 1e-6, "and the loss is binary cross-entropy");
    static const size_t expected[4] = {1, 1, 1, 1};
    size_t confusion[4] = {9, 9, 9, 9}, count;
    ok(dn_confusion(&net, &data, confusion, NULL) == DN_OK &&
           memcmp(confusion, expected, sizeof expected) == 0,
       "its confusion matrix has two classes");
    dn_mistake mistake;
    dn_mistakes(&net, &data, &mistake, 1, &count, NULL);
    ok(count == 2 && mistake.sample == 2 && mistake.predicted == 1, "its mistakes");
    is_close((double)mistake.probability, 1 / (1 + exp(-0.5)), 1e-6, "and their probability");
    dn_net_free(&net);

    /* Regression: no accuracy. */
    static const dn_real x[4] = {1, 2, 3, 4}, y[4] = {1, 0, 0, 4};
    pass_through(&net, 2, DN_LINEAR);
    dn_dataset_targets(&data, 2, 2, x, 2, y, NULL);
    seen = dn_evaluate(&net, &data);
    ok(seen.accuracy == 0 && seen.correct == 0, "regression has no accuracy");
    is_close(seen.loss, (0.5 * 4 + 0.5 * 9) / 2, 1e-6, "its loss is half the square, per sample");
    dn_error error = {"", DN_OK};
    ok(dn_confusion(&net, &data, confusion, &error) == DN_ERROR_ARGUMENT &&
           dn_mistakes(&net, &data, NULL, 0, &count, NULL) == DN_ERROR_ARGUMENT,
       "and no confusion: %s", error.message);
    dn_net_free(&net);

    /* Rows over classes: the largest is the class, unless there are labels. */
    static const dn_real rows[4] = {(dn_real)0.75, (dn_real)0.25, (dn_real)0.25, (dn_real)0.75};
    static const int32_t both[2] = {1, 1};
    pass_through(&net, 2, DN_SOFTMAX);
    dn_dataset_targets(&data, 2, 2, x, 2, rows, NULL);
    seen = dn_evaluate(&net, &data);
    loss = (0.75 * cross_entropy(x, 2, 0) + 0.25 * cross_entropy(x, 2, 1) +
            0.25 * cross_entropy(x + 2, 2, 0) + 0.75 * cross_entropy(x + 2, 2, 1)) / 2;
    ok(seen.correct == 1, "rows: the largest target is the class");
    is_close(seen.loss, loss, 1e-6, "and the loss takes the whole row");
    data.labels = both;
    data.classes = 2;
    seen = dn_evaluate(&net, &data);
    ok(seen.correct == 2, "labels beside the rows count the accuracy");
    is_close(seen.loss, loss, 1e-6, "and the rows still make the loss");
    dn_net_free(&net);
}

/* ---- Many samples, in portions: no sample's result depends on the others. */

enum { MANY = 700, INPUTS = 9, OUTPUTS = 5 };
static unsigned char pixels[MANY * INPUTS];
static int32_t classes[MANY];
static dn_real values[MANY * INPUTS];

static void make_net(dn_net *net) {
    dn_net_init(net, INPUTS, 4);
    dn_net_dropout(net, (dn_real)0.25);
    dn_net_dense(net, 33, DN_RELU);
    dn_net_dropout(net, (dn_real)0.5);
    dn_net_dense(net, 17, DN_TANH);
    dn_net_dense(net, OUTPUTS, DN_SOFTMAX);
}

static void make_data(dn_dataset *data) {
    dn_random random = dn_random_seed(6);
    for (int i = 0; i < MANY * INPUTS; i++) {
        pixels[i] = (unsigned char)(dn_random_bits(&random) >> 56);
        values[i] = (dn_real)pixels[i] / 255;
    }
    for (int s = 0; s < MANY; s++) classes[s] = (int32_t)dn_random_below(&random, OUTPUTS);
    memset(data, 0, sizeof *data);
    data->count = MANY;
    data->features = INPUTS;
    data->classes = OUTPUTS;
    data->bytes = pixels;
    data->labels = classes;
    data->normalization = DN_NORMALIZE_255;
}

/* Are the outputs of all samples, predicted one by one, these? */
static bool one_by_one(const dn_net *net, const dn_real *inputs, size_t count,
                       const dn_real *all) {
    dn_real single[OUTPUTS];
    bool same = true;
    for (size_t s = 0; s < count; s++) {
        dn_predict(net, inputs + s * net->inputs, 1, single, NULL, NULL);
        same = same && memcmp(single, all + s * OUTPUTS, sizeof single) == 0;
    }
    return same;
}

static void portions(void) {
    static dn_real all[MANY * OUTPUTS], of_data[MANY * OUTPUTS];
    dn_net net;
    dn_dataset data;
    make_net(&net);
    make_data(&data);
    dn_predict(&net, values, MANY, all, NULL, NULL);
    ok(one_by_one(&net, values, MANY, all), "700 samples at once or one by one: the same bits");
    ok(dn_predict_dataset(&net, &data, 0, MANY, of_data, NULL) == DN_OK &&
           memcmp(all, of_data, sizeof all) == 0,
       "from bytes of a data set, normalised: the same bits");
    ok(dn_predict_dataset(&net, &data, 250, 300, of_data, NULL) == DN_OK &&
           memcmp(all + 250 * OUTPUTS, of_data, 300 * OUTPUTS * sizeof *all) == 0,
       "and from its middle");

    dn_workspace workspace;
    dn_batch batch = {MANY, values, classes, NULL};
    if (!ok(dn_workspace_init(&workspace, &net, MANY, NULL) == DN_OK, "a workspace")) return;
    const dn_real *outputs = dn_forward(&net, &workspace, values, MANY, NULL);
    ok(memcmp(outputs, all, sizeof all) == 0, "dn_forward in inference: the same bits");
    size_t correct = 0;
    for (size_t s = 0; s < MANY; s++)
        correct += dn_largest(all + s * OUTPUTS, OUTPUTS) == (size_t)classes[s];
    const dn_evaluation seen = dn_evaluate(&net, &data);
    ok(seen.loss == dn_loss_value(&net, &workspace, DN_LOSS_DEFAULT, &batch) &&
           seen.correct == correct && seen.count == MANY,
       "the loss of the data set is that of one large batch, bit for bit");
    size_t confusion[OUTPUTS * OUTPUTS], total = 0, diagonal = 0, mistakes = 0;
    dn_confusion(&net, &data, confusion, NULL);
    static dn_mistake list[MANY];
    dn_mistakes(&net, &data, list, MANY, &mistakes, NULL);
    bool listed = mistakes == MANY - correct;
    for (size_t s = 0, next = 0; s < MANY; s++) {
        const size_t predicted = dn_largest(all + s * OUTPUTS, OUTPUTS);
        if (predicted == (size_t)classes[s]) continue;
        listed = listed && list[next].sample == s && list[next].label == classes[s] &&
                 (size_t)list[next].predicted == predicted &&
                 list[next].probability == all[s * OUTPUTS + predicted];
        next++;
    }
    ok(listed, "all %zu mistakes are listed, in order", mistakes);
    for (size_t i = 0; i < OUTPUTS * OUTPUTS; i++) {
        total += confusion[i];
        if (i % (OUTPUTS + 1) == 0) diagonal += confusion[i];
    }
    ok(total == MANY && diagonal == correct && mistakes == MANY - correct,
       "confusion, accuracy and mistakes count the same: %zu of %d", correct, MANY);
    dn_workspace_free(&workspace);
    dn_net_free(&net);
}

/* ---- Dark pictures, whose zeroes are left out: one by one, in portions, and in training. */

static void dark_pictures(void) {
    enum { PICTURES = 530, SIDE = 150, UNITS = 83 }; /* wide, and no whole vectors */
    const size_t count = (size_t)PICTURES * SIDE;
    dn_real *dark = (dn_real *)calloc(count, sizeof *dark);
    int32_t *answers = (int32_t *)calloc(PICTURES, sizeof *answers);
    dn_real *all = (dn_real *)calloc((size_t)PICTURES * OUTPUTS, sizeof *all);
    dn_random random = dn_random_seed(8);
    for (size_t s = 0; s < PICTURES; s++) { /* the class is where most of the light is */
        answers[s] = (int32_t)dn_random_below(&random, OUTPUTS);
        for (size_t i = 0; i < SIDE; i++)
            if (dn_random_uniform(&random) < (i % OUTPUTS == (size_t)answers[s] ? 0.4 : 0.1))
                dark[s * SIDE + i] = (dn_real)dn_random_uniform(&random);
    }
    dn_net net;
    dn_dataset data;
    dn_training how;
    dn_history history = {0};
    memset(&how, 0, sizeof how);
    how.epochs = 5;
    how.batch = 100; /* two words of marks in a gradient */
    how.optimizer = dn_sgd((dn_real)0.1);
    how.history = &history;
    dn_net_init(&net, SIDE, 1);
    dn_net_dense(&net, UNITS, DN_RELU);
    dn_net_dense(&net, OUTPUTS, DN_SOFTMAX);
    ok(dn_dataset_arrays(&data, PICTURES, SIDE, dark, OUTPUTS, answers, NULL) == DN_OK &&
           dn_train(&net, &data, NULL, &how, NULL) == DN_OK && history.count == 5 &&
           history.epochs[4].train_accuracy > history.epochs[0].train_accuracy + 0.2,
       "dark pictures are learned");
    dn_predict(&net, dark, PICTURES, all, NULL, NULL);
    ok(one_by_one(&net, dark, PICTURES, all), "all at once or one by one: the same bits");
    dn_history_free(&history);
    dn_dataset_free(&data);
    dn_net_free(&net);
    free(dark);
    free(answers);
    free(all);
}

/* ---- Prediction allocates nothing, when it has a buffer; it writes nowhere else. */

static void caller_buffer(void) {
    enum { GUARD = 64 };
    static dn_real expected[MANY * OUTPUTS], outputs[MANY * OUTPUTS];
    static const size_t counts[] = {1, 2, 511, 512, 513, MANY};
    dn_net net;
    make_net(&net);
    dn_predict(&net, values, MANY, expected, NULL, NULL);
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const size_t count = counts[i], size = dn_predict_size(&net, count);
        /* aligned for a number, and for nothing larger */
        unsigned char *block = (unsigned char *)malloc(size + sizeof(dn_real) + GUARD);
        unsigned char *buffer = block + sizeof(dn_real);
        memset(block, 0x5a, size + sizeof(dn_real) + GUARD);
        memset(outputs, 0, sizeof outputs);
        counting_reset(0);
        const dn_status status = dn_predict(&net, values, count, outputs, buffer, NULL);
        const size_t calls = counting.calls;
        bool untouched = true;
        for (size_t g = 0; g < GUARD; g++) untouched = untouched && buffer[size + g] == 0x5a;
        ok(status == DN_OK && calls == 0, "%zu samples, the caller's buffer: no allocation", count);
        ok(untouched && memcmp(outputs, expected, count * OUTPUTS * sizeof *outputs) == 0 &&
               (count == MANY || outputs[count * OUTPUTS] == 0),
           "the same bits, and nothing written beside the buffer of %zu bytes", size);
        free(block);
    }
    counting_reset(0);
    const size_t live = counting.live;
    ok(dn_predict(&net, values, 3, outputs, NULL, NULL) == DN_OK && counting.calls == 1 &&
           counting.live == live,
       "without a buffer: one allocation, given back");
    ok(dn_predict_size(&net, MANY) == dn_predict_size(&net, 100000),
       "the buffer does not grow with the samples");
    ok(dn_predict(&net, values, 0, outputs, NULL, NULL) == DN_OK, "no samples are no work");
    dn_net_free(&net);
}

/* ---- A net is shared by threads. */

#if HAS_THREADS
typedef struct task {
    const dn_net *net;
    dn_real outputs[MANY * OUTPUTS];
    dn_status status;
} task;

static void *work(void *argument) {
    task *mine = (task *)argument;
    void *buffer = malloc(dn_predict_size(mine->net, MANY));
    mine->status = DN_OK;
    for (int round = 0; round < 5; round++) {
        memset(mine->outputs, 0, sizeof mine->outputs);
        const dn_status status =
            dn_predict(mine->net, values, MANY, mine->outputs, buffer, NULL);
        if (status != DN_OK) mine->status = status;
    }
    free(buffer);
    return NULL;
}

static void threads(void) {
    enum { THREADS = 4 };
    static task tasks[THREADS];
    static dn_real expected[MANY * OUTPUTS];
    pthread_t thread[THREADS];
    bool started[THREADS], same = true;
    dn_net net;
    make_net(&net);
    dn_predict(&net, values, MANY, expected, NULL, NULL);
    for (int t = 0; t < THREADS; t++) {
        tasks[t].net = &net;
        started[t] = pthread_create(&thread[t], NULL, work, &tasks[t]) == 0;
    }
    for (int t = 0; t < THREADS; t++) {
        if (started[t]) pthread_join(thread[t], NULL);
        same = same && started[t] && tasks[t].status == DN_OK &&
               memcmp(tasks[t].outputs, expected, sizeof expected) == 0;
    }
    ok(same, "four threads share a net and get the same bits");
    dn_net_free(&net);
}
#else
static void threads(void) { skip(1, "no POSIX threads here"); }
#endif

/* Nothing of a net changes by looking at it. */
static void only_looks(void) {
    dn_net net, copy;
    dn_dataset data;
    size_t confusion[OUTPUTS * OUTPUTS], count;
    make_net(&net);
    make_data(&data);
    dn_net_copy(&copy, &net, NULL);
    const dn_net before = net;
    (void)dn_evaluate(&net, &data);
    dn_confusion(&net, &data, confusion, NULL);
    dn_mistakes(&net, &data, NULL, 0, &count, NULL);
    ok(net.random.state == before.random.state && net.loss == before.loss &&
           net.parameters == before.parameters &&
           memcmp(net.parameters, copy.parameters, net.parameter_count * sizeof(dn_real)) == 0,
       "evaluation changes nothing, not even the generator");
    net.loss = DN_CROSS_ENTROPY;
    net.layers[net.layer_count - 1].activation = DN_LINEAR;
    ok(dn_evaluate(&net, &data).status == DN_ERROR_ARGUMENT && isnan(dn_evaluate(&net, &data).loss),
       "a loss that does not fit the net: a status, and NaN");
    dn_net_free(&net);
    dn_net_free(&copy);
}

static bool swallow(void *user, const void *bytes, size_t size) {
    *(size_t *)user += bytes != NULL ? size : 0;
    return true;
}

/* An export that cannot be made says so, whatever is wanting. */
static void export_refused(void) {
    static unsigned char bytes[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static int32_t answers[4] = {0, 1, 0, 1};
    dn_dataset data = {0};
    dn_net net = {0};
    dn_error error = {{0}, DN_OK};
    dn_export how = {0};
    dn_writer writer = {0};
    size_t written = 0, wrong = 0, needed = 0;
    data.count = 4;
    data.features = 2;
    data.classes = 2;
    data.bytes = bytes;
    data.labels = answers;
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    how.test = how.calibration = &data;
    writer.write = swallow;
    writer.user = &written;
    for (int form = 0; form < 2; form++) {
        how.int8 = form == 1;
        counting_reset(0);
        ok(dn_export_c(&net, &how, &writer, &error) == DN_OK && written > 1000, "exported %s",
           error.message);
        needed = counting.calls;
        const size_t live = counting.live;
        for (size_t n = 1; n <= needed; n++) {
            counting_reset(n);
            wrong += dn_export_c(&net, &how, &writer, &error) != DN_ERROR_MEMORY ||
                     counting.live != live;
        }
        counting_reset(0);
        ok(wrong == 0 && needed > 0, "without the memory for any of %zu blocks it says so", needed);
        net.parameters[1] = (dn_real)NAN;
        ok(dn_export_c(&net, &how, &writer, &error) == DN_ERROR_ARGUMENT &&
               strstr(error.message, "parameter 1"),
           "no number is no number in C either: %s", error.message);
        net.parameters[1] = 0;
    }
    dn_net_free(&net);
}

int main(void) {
    by_hand();
    ties();
    other_answers();
    portions();
    dark_pictures();
    caller_buffer();
    threads();
    only_looks();
    export_refused();
    ok(counting.live == 0, "everything is given back");
    return done();
}
