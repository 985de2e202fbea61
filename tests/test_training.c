/* Training: XOR with a hundred seeds, one batch by heart, the last small batch, schedules, early
   stopping, divergence, the history, and that a step allocates nothing. */
#include "counting.h"
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

static void exclusive_or(void) {
    static const dn_real x[8] = {0, 0, 0, 1, 1, 0, 1, 1};
    static const int32_t y[4] = {0, 1, 1, 0};
    dn_dataset data;
    dn_training how;
    int learned = 0;
    dn_dataset_arrays(&data, 4, 2, x, 2, y, NULL);
    memset(&how, 0, sizeof how);
    how.optimizer = dn_adam((dn_real)0.05);
    how.epochs = 300;
    how.batch = 4;
    for (uint64_t seed = 0; seed < 100; seed++) {
        dn_net net;
        dn_net_init(&net, 2, seed);
        dn_net_dense(&net, 8, DN_TANH);
        dn_net_dense(&net, 1, DN_SIGMOID);
        const dn_status status = dn_train(&net, &data, NULL, &how, NULL);
        const dn_evaluation seen = dn_evaluate(&net, &data);
        learned += status == DN_OK && seen.accuracy == 1 && seen.loss < 0.05;
        dn_net_free(&net);
    }
    ok(learned == 100, "XOR converges for %d seeds of 100", learned);
}

/* Samples of `classes` clouds in `features` dimensions. */
static void make_clouds(dn_dataset *data, dn_real *x, int32_t *y, size_t count, size_t features,
                        size_t classes, double spread, uint64_t seed) {
    dn_random random = dn_random_seed(seed);
    for (size_t s = 0; s < count; s++) {
        y[s] = (int32_t)(s % classes);
        for (size_t i = 0; i < features; i++)
            x[s * features + i] = (dn_real)(spread * dn_random_normal(&random) +
                                            (i % classes == s % classes ? 1 : 0));
    }
    dn_dataset_arrays(data, count, features, x, classes, y, NULL);
}

static void by_heart(void) {
    static dn_real x[32 * 10];
    static int32_t y[32];
    dn_dataset data;
    dn_net net;
    dn_training how;
    dn_random random = dn_random_seed(8);
    make_clouds(&data, x, y, 32, 10, 5, 1, 1);
    for (size_t s = 0; s < 32; s++) y[s] = (int32_t)dn_random_below(&random, 5); /* no rule in it */
    memset(&how, 0, sizeof how);
    how.batch = 32;
    how.epochs = 400;
    how.optimizer = dn_adam((dn_real)0.01);
    dn_net_init(&net, 10, 1);
    dn_net_dense(&net, 64, DN_RELU);
    dn_net_dense(&net, 5, DN_SOFTMAX);
    ok(dn_train(&net, &data, NULL, &how, NULL) == DN_OK, "one batch of random labels");
    const dn_evaluation seen = dn_evaluate(&net, &data);
    ok(seen.accuracy == 1 && seen.loss < 1e-3, "is learned by heart: loss %.2g", seen.loss);
    dn_net_free(&net);
}

static void last_batch(void) {
    static dn_real x[10 * 2];
    static int32_t y[10];
    dn_dataset data;
    dn_net net, other;
    dn_training how;
    dn_trainer trainer;
    make_clouds(&data, x, y, 10, 2, 2, 0.3, 2);
    memset(&how, 0, sizeof how);
    how.batch = 4;
    how.epochs = 1;
    how.keep_order = true;
    how.optimizer = dn_momentum((dn_real)0.1, (dn_real)0.9);
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 3, DN_TANH);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    dn_net_copy(&other, &net, NULL);
    dn_trainer_init(&trainer, &net, &data, NULL, &how, NULL);
    int steps = 0;
    while (dn_trainer_step(&trainer)) steps++;
    ok(steps == 3 && trainer.batches == 3, "ten samples in batches of four: three steps");
    dn_trainer_free(&trainer);

    /* The same by hand: 4, 4 and 2 samples, the mean over each. */
    dn_workspace workspace;
    dn_optimizer_state state;
    dn_real gradient[32];
    dn_penalty none;
    memset(&none, 0, sizeof none);
    dn_workspace_init(&workspace, &other, 4, NULL);
    dn_optimizer_init(&state, &how.optimizer, &other, NULL);
    for (size_t first = 0; first < 10; first += 4) {
        dn_batch batch;
        batch.count = first < 8 ? 4 : 2;
        batch.inputs = x + 2 * first;
        batch.labels = y + first;
        batch.targets = NULL;
        dn_forward(&other, &workspace, batch.inputs, batch.count, NULL);
        dn_backward(&other, &workspace, DN_CROSS_ENTROPY, &batch, none, gradient);
        dn_optimizer_step(&how.optimizer, &state, &other, gradient);
    }
    ok(memcmp(net.parameters, other.parameters, net.parameter_count * sizeof(dn_real)) == 0,
       "the last one has two, and counts with its own mean");
    dn_workspace_free(&workspace);
    dn_optimizer_free(&state);
    dn_net_free(&net);
    dn_net_free(&other);
}

static void fused_step(void) {
    static dn_real x[12 * 20];
    static int32_t y[12];
    dn_dataset data;
    dn_net net, other;
    dn_training how;
    make_clouds(&data, x, y, 12, 20, 3, 0.5, 3);
    memset(&how, 0, sizeof how);
    how.batch = 12;
    how.epochs = 1;
    how.keep_order = true;
    how.optimizer = dn_sgd((dn_real)0.1);
    dn_net_init(&net, 20, 1);
    dn_net_dense(&net, 7, DN_RELU);
    dn_net_dense(&net, 3, DN_SOFTMAX);
    dn_net_copy(&other, &net, NULL);
    dn_train(&net, &data, NULL, &how, NULL); /* takes the fused way */
    how.optimizer = dn_momentum((dn_real)0.1, 0);
    dn_train(&other, &data, NULL, &how, NULL); /* the same step by way of the gradient */
    double worst = 0;
    for (size_t i = 0; i < net.parameter_count; i++)
        worst = fmax(worst, fabs((double)net.parameters[i] - (double)other.parameters[i]));
    ok(worst < 1e-7, "the fused step of SGD is the step by way of the gradient (%.2g)", worst);
    dn_net_free(&net);
    dn_net_free(&other);
}

static void schedules(void) {
    static dn_real x[8];
    static int32_t y[4];
    dn_dataset data;
    dn_net net;
    make_clouds(&data, x, y, 4, 2, 2, 0.1, 4);
    static const double expected[3][6] = {
        {0.4, 0.4, 0.4, 0.4, 0.4, 0.4},
        {0.4, 0.4, 0.1, 0.1, 0.025, 0.025},
        {0.4, 0.363713229, 0.268713229, 0.151286771, 0.056286771, 0.02}};
    static const dn_schedule_kind kinds[3] = {DN_SCHEDULE_CONSTANT, DN_SCHEDULE_STEP,
                                              DN_SCHEDULE_COSINE};
    for (int k = 0; k < 3; k++) {
        dn_history history;
        dn_training how;
        memset(&how, 0, sizeof how);
        memset(&history, 0, sizeof history);
        how.optimizer = dn_sgd((dn_real)0.4);
        how.schedule.kind = kinds[k];
        how.schedule.factor = (dn_real)0.25;
        how.schedule.every = 2;
        how.schedule.minimum = k == 2 ? (dn_real)0.02 : 0;
        how.epochs = 6;
        how.history = &history;
        dn_net_init(&net, 2, 1);
        dn_net_dense(&net, 2, DN_SOFTMAX);
        dn_train(&net, &data, NULL, &how, NULL);
        bool right = history.count == 6;
        for (size_t e = 0; e < 6 && right; e++) {
            right = fabs(history.epochs[e].learning_rate - expected[k][e]) < 1e-7 &&
                    history.epochs[e].epoch == e + 1;
            if (!right) note("epoch %zu: %.9g", e + 1, history.epochs[e].learning_rate);
        }
        ok(right, "schedule %d: the learning rate of each epoch", k);
        dn_history_free(&history);
        dn_net_free(&net);
    }
}

static void plateau(void) {
    static dn_real x[2 * 60], v[2 * 40];
    static int32_t y[60], w[40];
    dn_dataset train, validation;
    dn_net net;
    dn_training how;
    dn_history history;
    make_clouds(&train, x, y, 60, 2, 2, 1.5, 5);
    make_clouds(&validation, v, w, 40, 2, 2, 1.5, 6);
    memset(&how, 0, sizeof how);
    memset(&history, 0, sizeof history);
    how.optimizer = dn_sgd(1);
    how.schedule.kind = DN_SCHEDULE_PLATEAU;
    how.epochs = 20;
    how.batch = 5;
    how.history = &history;
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 8, DN_RELU);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    ok(dn_train(&net, &train, &validation, &how, NULL) == DN_OK, "the plateau schedule");
    bool right = history.count == 20;
    int drops = 0;
    double rate = 1;
    for (size_t e = 1; e < history.count; e++) {
        if (history.epochs[e - 1].validation_accuracy <
            (e > 1 ? history.epochs[e - 2].validation_accuracy : 0)) {
            rate *= 0.5;
            drops++;
        }
        right = right && history.epochs[e].learning_rate == rate;
    }
    ok(right && drops > 1, "halves the rate after each of the %d epochs that got worse, and only then",
       drops);
    dn_error error = {0};
    how.history = NULL;
    ok(dn_train(&net, &train, NULL, &how, &error) == DN_ERROR_ARGUMENT, "without a validation set: %s",
       error.message);
    dn_history_free(&history);
    dn_net_free(&net);
}

static void early_stopping(void) {
    static dn_real x[5 * 40], v[5 * 200];
    static int32_t y[40], w[200];
    dn_dataset train, validation;
    dn_net net, last;
    dn_training how;
    dn_trainer trainer;
    make_clouds(&train, x, y, 40, 5, 2, 1.2, 7);
    make_clouds(&validation, v, w, 200, 5, 2, 1.2, 8);
    memset(&how, 0, sizeof how);
    how.optimizer = dn_adam((dn_real)0.02);
    how.epochs = 200;
    how.batch = 10;
    how.patience = 3;
    dn_net_init(&net, 5, 1);
    dn_net_dense(&net, 40, DN_RELU);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    dn_net_copy(&last, &net, NULL);
    dn_trainer_init(&trainer, &net, &train, &validation, &how, NULL);
    while (dn_trainer_epoch(&trainer)) continue;
    size_t best = 0;
    for (size_t e = 1; e < trainer.history.count; e++)
        if (trainer.history.epochs[e].validation_loss < trainer.history.epochs[best].validation_loss)
            best = e;
    ok(trainer.stopped_early && trainer.best_epoch == best + 1 &&
           trainer.history.count == best + 1 + 3,
       "stops three epochs after the best, which was epoch %zu", trainer.best_epoch);
    ok(dn_evaluate(&net, &validation).loss == trainer.best_loss &&
           trainer.best_loss == trainer.history.epochs[best].validation_loss,
       "and goes back to its parameters");
    dn_trainer_free(&trainer);
    how.keep_last = true;
    dn_train(&last, &train, &validation, &how, NULL);
    ok(dn_evaluate(&last, &validation).loss > dn_evaluate(&net, &validation).loss,
       "unless the last are to be kept");
    dn_net_free(&net);
    dn_net_free(&last);
}

static void divergence(void) {
    static dn_real x[4 * 100];
    static int32_t y[100];
    dn_dataset data;
    dn_net net;
    dn_training how;
    dn_history history;
    dn_error error = {0};
    make_clouds(&data, x, y, 100, 4, 2, 1, 9);
    memset(&how, 0, sizeof how);
    memset(&history, 0, sizeof history);
    how.optimizer = dn_sgd((dn_real)1e18);
    how.loss = DN_MEAN_SQUARED_ERROR;
    how.history = &history;
    how.epochs = 5;
    how.batch = 50;
    dn_net_init(&net, 4, 1);
    dn_net_dense(&net, 8, DN_RELU);
    dn_net_dense(&net, 2, DN_LINEAR);
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_ERROR_DIVERGED &&
           strstr(error.message, "epoch ") && strstr(error.message, "layer ") &&
           (strstr(error.message, "NaN") || strstr(error.message, "infinity")) &&
           strstr(error.message, "lower the learning rate") && history.count < 5,
       "%s", error.message);
    dn_history_free(&history);
    dn_net_free(&net);

    how.ignore_divergence = true;
    dn_net_init(&net, 4, 1);
    dn_net_dense(&net, 8, DN_RELU);
    dn_net_dense(&net, 2, DN_LINEAR);
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_OK && history.count == 5 &&
           !dni_is_finite(history.epochs[4].train_loss), "or it goes on, if asked to");
    dn_history_free(&history);
    dn_net_free(&net);

    x[17] = (dn_real)NAN;
    how.ignore_divergence = false;
    how.optimizer = dn_sgd((dn_real)0.1);
    how.history = NULL;
    dn_net_init(&net, 4, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_ERROR_DIVERGED && strstr(error.message, "NaN"),
       "a NaN among the data: %s", error.message);
    dn_net_free(&net);
}

static void same_bits(void) {
    static dn_real x[6 * 50], v[6 * 30];
    static int32_t y[50], w[30];
    dn_dataset train, validation;
    dn_net nets[3];
    dn_training how;
    make_clouds(&train, x, y, 50, 6, 3, 1, 10);
    make_clouds(&validation, v, w, 30, 6, 3, 1, 11);
    memset(&how, 0, sizeof how);
    how.epochs = 3;
    how.batch = 7;
    for (int n = 0; n < 3; n++) {
        dn_net_init(&nets[n], 6, n < 2 ? 5 : 6);
        dn_net_dense(&nets[n], 9, DN_SIGMOID);
        dn_net_dropout(&nets[n], (dn_real)0.2);
        dn_net_dense(&nets[n], 3, DN_SOFTMAX);
    }
    const size_t bytes = nets[0].parameter_count * sizeof(dn_real);
    dn_train(&nets[0], &train, &validation, &how, NULL);
    dn_trainer trainer;
    dn_trainer_init(&trainer, &nets[1], &train, &validation, &how, NULL);
    const size_t calls = counting.calls;
    while (dn_trainer_epoch(&trainer)) continue;
    ok(counting.calls == calls, "after its beginning, training allocates nothing");
    dn_trainer_free(&trainer);
    dn_train(&nets[2], &train, &validation, &how, NULL);
    ok(memcmp(nets[0].parameters, nets[1].parameters, bytes) == 0, "the loop and dn_train: the same bits");
    ok(memcmp(nets[0].parameters, nets[2].parameters, bytes) != 0, "another seed, other bits");
    for (int n = 0; n < 3; n++) dn_net_free(&nets[n]);
}

static int told, finished;
static void listen(void *user, const dn_progress *progress) {
    ok(user == &told && progress->epochs == 2 && progress->batches == 3 && progress->batch >= 1 &&
           progress->batch <= 3 && (progress->finished == NULL || progress->batch == 3),
       "progress: epoch %zu, batch %zu%s", progress->epoch, progress->batch,
       progress->finished != NULL ? ", finished" : "");
    told++;
    finished += progress->finished != NULL;
}

static void progress_and_penalty(void) {
    static dn_real x[2 * 12];
    static int32_t y[12];
    dn_dataset data;
    dn_net net;
    dn_training how;
    dn_history history;
    make_clouds(&data, x, y, 12, 2, 2, 0.5, 12);
    memset(&how, 0, sizeof how);
    memset(&history, 0, sizeof history);
    how.epochs = 2;
    how.batch = 5;
    how.progress = listen;
    how.user = &told;
    how.history = &history;
    how.penalty.l1 = (dn_real)0.5;
    how.penalty.l2 = 2;
    how.optimizer = dn_sgd((dn_real)1e-30); /* the parameters stay as they are */
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    double penalty = 0;
    for (size_t i = 0; i < 4; i++) {
        const double weight = (double)net.parameters[i];
        penalty += 0.5 * fabs(weight) + weight * weight;
    }
    dn_train(&net, &data, NULL, &how, NULL);
    ok(told == 8 && finished == 2, "told of six batches and two epochs");
    is_close(history.epochs[1].train_loss, dn_evaluate(&net, &data).loss + penalty, 1e-6,
             "the training loss has the penalties in it");
    ok(history.epochs[0].validation_loss != history.epochs[0].validation_loss,
       "no validation set: NaN");
    dn_history_free(&history);
    dn_net_free(&net);
}

static void bad_input(void) {
    static dn_real x[8];
    static int32_t y[4];
    dn_dataset data, wrong;
    dn_net net;
    dn_training how;
    dn_error error = {0};
    make_clouds(&data, x, y, 4, 2, 2, 0.1, 13);
    memset(&how, 0, sizeof how);
    dn_net_init(&net, 3, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_ERROR_SHAPE && strstr(error.message, "2") &&
           strstr(error.message, "3"), "the wrong width: %s", error.message);
    dn_net_free(&net);
    dn_net_init(&net, 2, 1);
    dn_net_dense(&net, 2, DN_SOFTMAX);
    memset(&wrong, 0, sizeof wrong);
    ok(dn_train(&net, &wrong, NULL, &how, &error) == DN_ERROR_ARGUMENT, "no data: %s", error.message);
    ok(dn_train(&net, &data, &wrong, &how, &error) == DN_ERROR_ARGUMENT, "no validation data: %s",
       error.message);
    how.patience = 1;
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_ERROR_ARGUMENT, "patience for nothing: %s",
       error.message);
    how.patience = 0;
    how.optimizer = dn_sgd((dn_real)NAN);
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_ERROR_ARGUMENT, "a rate of NaN: %s",
       error.message);
    how.optimizer = dn_adam((dn_real)0.1);
    const size_t live = counting.live;
    bool clean = true;
    size_t fail = 1;
    for (;; fail++) {
        counting_reset(fail);
        const dn_status status = dn_train(&net, &data, &data, &how, &error);
        counting.fail_at = 0;
        clean = clean && counting.live == live;
        if (status == DN_OK) break;
        clean = clean && status == DN_ERROR_MEMORY;
    }
    ok(clean && fail > 10, "each of %zu allocations may fail: out of memory, nothing leaked", fail - 1);
    dn_net_free(&net);
}

int main(void) {
    counting_reset(0);
    exclusive_or();
    by_heart();
    last_batch();
    fused_step();
    schedules();
    plateau();
    early_stopping();
    divergence();
    same_bits();
    progress_and_penalty();
    bad_input();
    ok(counting.live == 0, "nothing is left");
    return done();
}
