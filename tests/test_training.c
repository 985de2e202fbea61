/* The training loop: what it does in which order, when it stops, and what it says. */
#include "counting.h"

#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

#include <locale.h>

static const dn_real xor_inputs[8] = {0, 0, 0, 1, 1, 0, 1, 1};
static const int32_t xor_labels[4] = {0, 1, 1, 0};

/* Clouds around points on a circle, one for each class: easy, but not without mistakes. */
enum { COUNT = 90, WIDTH = 2, CLASSES = 3, MANY = 700 };
static dn_real points[COUNT * WIDTH];
static int32_t classes[COUNT];
static dn_dataset clouds, few, others; /* all; the first 50; the last 40 */

static void make_clouds(void) {
    static const double centres[CLASSES][WIDTH] = {{1, 0}, {-0.5, 0.87}, {-0.5, -0.87}};
    dn_random random = dn_random_seed(12);
    for (int s = 0; s < COUNT; s++) {
        classes[s] = s % CLASSES;
        for (int i = 0; i < WIDTH; i++)
            points[s * WIDTH + i] =
                (dn_real)(centres[classes[s]][i] + 0.6 * dn_random_normal(&random));
    }
    dn_dataset_arrays(&clouds, COUNT, WIDTH, points, CLASSES, classes, NULL);
    dn_dataset_arrays(&few, 50, WIDTH, points, CLASSES, classes, NULL);
    dn_dataset_arrays(&others, 40, WIDTH, points + 50 * WIDTH, CLASSES, classes + 50, NULL);
}

static void make_net(dn_net *net, uint64_t seed, bool dropout) {
    dn_net_init(net, WIDTH, seed);
    dn_net_dense(net, 8, DN_TANH);
    if (dropout) dn_net_dropout(net, (dn_real)0.25);
    dn_net_dense(net, CLASSES, DN_SOFTMAX);
}

static dn_training zero_training(void) {
    dn_training how;
    memset(&how, 0, sizeof how);
    return how;
}

static bool same_parameters(const dn_net *one, const dn_net *other) {
    return one->parameter_count == other->parameter_count &&
           memcmp(one->parameters, other->parameters, one->parameter_count * sizeof(dn_real)) == 0;
}

static bool same_history(const dn_history *one, const dn_history *other) {
    bool same = one->count == other->count;
    for (size_t e = 0; same && e < one->count; e++) {
        const dn_epoch *a = &one->epochs[e], *b = &other->epochs[e];
        same = a->epoch == b->epoch && a->learning_rate == b->learning_rate &&
               a->train_loss == b->train_loss && a->train_accuracy == b->train_accuracy &&
               (a->validation_loss == b->validation_loss ||
                (isnan(a->validation_loss) && isnan(b->validation_loss)));
    }
    return same;
}

/* ---- It learns. */

static void learns_xor(void) {
    static const struct {
        const char *name;
        dn_activation hidden, last;
    } kinds[] = {{"8 tanh, sigmoid", DN_TANH, DN_SIGMOID},
                 {"8 tanh, softmax", DN_TANH, DN_SOFTMAX},
                 {"8 leaky ReLU, sigmoid", DN_LEAKY_RELU, DN_SIGMOID}};
    for (int kind = 0; kind < 3; kind++) {
        int converged = 0;
        double worst = 0;
        for (uint64_t seed = 1; seed <= 100; seed++) {
            dn_net net;
            dn_dataset data;
            dn_training how = zero_training();
            how.epochs = 500;
            how.optimizer = dn_adam((dn_real)0.05);
            dn_dataset_arrays(&data, 4, 2, xor_inputs, 2, xor_labels, NULL);
            dn_net_init(&net, 2, seed);
            dn_net_dense(&net, 8, kinds[kind].hidden);
            dn_net_dense(&net, kinds[kind].last == DN_SOFTMAX ? 2 : 1, kinds[kind].last);
            const dn_status status = dn_train(&net, &data, NULL, &how, NULL);
            const dn_evaluation seen = dn_evaluate(&net, &data);
            if (status == DN_OK && seen.correct == 4 && seen.loss < 0.05) converged++;
            if (!(seen.loss <= worst)) worst = seen.loss;
            dn_net_free(&net);
        }
        ok(converged == 100, "XOR with %s: %d seeds of 100 converge (worst loss %.4f)",
           kinds[kind].name, converged, worst);
    }
}

static void overfits_one_batch(void) {
    enum { SAMPLES = 32, FEATURES = 20, OUTPUTS = 10 };
    static dn_real x[SAMPLES * FEATURES], y[SAMPLES * OUTPUTS];
    static int32_t labels[SAMPLES];
    dn_random random = dn_random_seed(5);
    for (int i = 0; i < SAMPLES * FEATURES; i++) x[i] = (dn_real)dn_random_normal(&random);
    for (int i = 0; i < SAMPLES * OUTPUTS; i++) y[i] = (dn_real)dn_random_normal(&random);
    for (int s = 0; s < SAMPLES; s++) labels[s] = (int32_t)dn_random_below(&random, OUTPUTS);
    for (int kind = 0; kind < 3; kind++) {
        dn_net net;
        dn_dataset data;
        dn_training how = zero_training();
        how.batch = SAMPLES;
        how.epochs = 1500;
        how.optimizer = dn_adam((dn_real)0.02);
        how.schedule.kind = DN_SCHEDULE_COSINE;
        if (kind == 2) dn_dataset_targets(&data, SAMPLES, FEATURES, x, OUTPUTS, y, NULL);
        else dn_dataset_arrays(&data, SAMPLES, FEATURES, x, OUTPUTS, labels, NULL);
        dn_net_init(&net, FEATURES, 2);
        dn_net_dense(&net, 64, DN_RELU);
        dn_net_dense(&net, OUTPUTS, kind == 0 ? DN_SOFTMAX : kind == 1 ? DN_SIGMOID : DN_LINEAR);
        const dn_status status = dn_train(&net, &data, NULL, &how, NULL);
        const dn_evaluation seen = dn_evaluate(&net, &data);
        ok(status == DN_OK && seen.loss < 1e-3 && (kind == 2 || seen.correct == SAMPLES),
           "32 random samples are learned by heart, %s: loss %.1e",
           dn_activation_name(&net.layers[1]), seen.loss);
        dn_net_free(&net);
    }
}

/* ---- One step after the other, written out by hand from the parts. */

typedef struct by_hand {
    dn_workspace workspace;
    dn_optimizer_state state;
    dn_real gradient[128], inputs[MANY * WIDTH];
    int32_t labels[MANY];
    uint32_t order[MANY];
} by_hand;

/* Trains as chapter 11 says; returns the last epoch's mean loss, penalties included. The short
   way of plain SGD: the sums of a whole batch start from the parameters. */
static double train_by_hand(dn_net *net, const dn_dataset *data, const dn_training *how,
                            const double *rates, bool short_way) {
    static by_hand my;
    dn_random random = net->random;
    dn_optimizer optimizer = how->optimizer;
    double loss = 0;
    dn_workspace_init(&my.workspace, net, how->batch, NULL);
    dn_optimizer_init(&my.state, &optimizer, net, NULL);
    for (size_t epoch = 0; epoch < how->epochs; epoch++) {
        for (size_t s = 0; s < data->count; s++) my.order[s] = (uint32_t)s;
        if (!how->keep_order) dn_random_permutation(&random, data->count, my.order);
        optimizer.learning_rate = (dn_real)rates[epoch];
        loss = 0;
        for (size_t first = 0; first < data->count; first += how->batch) {
            const size_t left = data->count - first, count = left < how->batch ? left : how->batch;
            for (size_t s = 0; s < count; s++) {
                const size_t from = my.order[first + s];
                memcpy(my.inputs + s * WIDTH, data->values + from * WIDTH, WIDTH * sizeof(dn_real));
                my.labels[s] = data->labels[from];
            }
            const dn_batch batch = {count, my.inputs, my.labels, NULL};
            dn_forward(net, &my.workspace, my.inputs, count, &random);
            loss += (double)count * dn_loss_value(net, &my.workspace, how->loss, &batch);
            dn_backward(net, &my.workspace, how->loss, &batch, how->penalty, my.gradient);
            const dni_pass pass = {net, &my.workspace, count,     0,
                                   NULL, how->loss,    my.inputs, &batch};
            if (short_way)
                dni_learn(&pass, -optimizer.learning_rate, net->parameters, net->parameters);
            else dn_optimizer_step(&optimizer, &my.state, net, my.gradient);
        }
    }
    loss = loss / (double)data->count + dn_penalty_value(net, how->penalty);
    dn_optimizer_free(&my.state);
    dn_workspace_free(&my.workspace);
    return loss;
}

static void same_as_by_hand(void) {
    static const char *const names[] = {
        "SGD and L1", "momentum", "weighted momentum", "Nesterov",        "RMSprop",       "Adam",
        "AdamW",      "plain SGD", "SGD and L2",       "SGD that decays", "SGD that shrinks"};
    for (int which = 0; which < 11; which++)
        for (int variant = 0; variant < 4; variant++) {
            const bool dropout = variant % 2 == 1, keep_order = variant >= 2;
            dn_net net, hand;
            dn_history history = {0};
            double rates[3];
            dn_training how = zero_training();
            how.loss = DN_CROSS_ENTROPY;
            how.epochs = 3;
            how.batch = 16; /* 50 samples: three full batches, and one of two */
            how.keep_order = keep_order;
            how.optimizer = which == 0 || which >= 7 ? dn_sgd((dn_real)0.25)
                            : which == 1 ? dn_momentum((dn_real)0.1, (dn_real)0.9)
                            : which == 2 ? dn_weighted_momentum((dn_real)0.5, (dn_real)0.9)
                            : which == 3 ? dn_nesterov((dn_real)0.1, (dn_real)0.9)
                            : which == 4 ? dn_rmsprop((dn_real)0.01)
                            : which == 5 ? dn_adam((dn_real)0.01)
                                         : dn_adamw((dn_real)0.01, (dn_real)0.1);
            if (which == 0) how.penalty.l1 = (dn_real)0.01;
            if (which == 8) how.penalty.l2 = (dn_real)0.01;
            if (which == 9) how.optimizer.weight_decay = (dn_real)0.01;
            if (which == 10) how.optimizer.shrink = (dn_real)0.01;
            how.schedule.kind = DN_SCHEDULE_STEP; /* a new rate in every epoch */
            how.schedule.every = 1;
            how.history = &history;
            for (int e = 0; e < 3; e++) rates[e] = ldexp((double)how.optimizer.learning_rate, -e);
            make_net(&net, 3, dropout);
            dn_net_copy(&hand, &net, NULL);
            const dn_status status = dn_train(&net, &few, NULL, &how, NULL);
            const double loss = train_by_hand(&hand, &few, &how, rates, false);
            double difference = 0;
            for (size_t i = 0; i < net.parameter_count; i++)
                difference = fmax(difference, fabs((double)(net.parameters[i] - hand.parameters[i])));
            /* plain SGD is fused with the gradient: rounded once less */
            ok(status == DN_OK && (which == 7 ? difference < 2e-6 : same_parameters(&net, &hand)),
               "%s%s%s: as by hand%s", names[which], dropout ? ", dropout" : "",
               keep_order ? ", in order" : "", which == 7 ? " (to 2e-6)" : ", bit for bit");
            ok(history.count == 3 && fabs(history.epochs[2].train_loss - loss) <= 1e-6 * loss,
               "its training loss is the mean over the samples, with penalties");
            dn_history_free(&history);
            dn_net_free(&net);
            dn_net_free(&hand);
        }
}

/* Batches of 600 and 100, which the trainer cuts into portions: by hand they are not cut. */
static void large_batches(void) {
    static const char *const names[] = {"Adam and L2", "plain SGD", "plain SGD, half frozen",
                                        "momentum, half frozen"};
    static dn_real x[MANY * WIDTH];
    static int32_t labels[MANY];
    const double rates[3] = {0.1, 0.1, 0.1};
    dn_random random = dn_random_seed(8);
    dn_dataset many;
    for (int i = 0; i < MANY * WIDTH; i++)
        x[i] = i % 5 < 2 ? 0 : (dn_real)dn_random_normal(&random);
    for (int s = 0; s < MANY; s++) labels[s] = (int32_t)dn_random_below(&random, CLASSES);
    dn_dataset_arrays(&many, MANY, WIDTH, x, CLASSES, labels, NULL);
    for (int which = 0; which < 4; which++)
        for (int dropout = 0; dropout < 2; dropout++) {
            dn_net net, hand;
            dn_history history = {0};
            dn_training how = zero_training();
            how.loss = DN_CROSS_ENTROPY;
            how.epochs = 3;
            how.batch = 600;
            how.history = &history;
            how.optimizer = which == 0   ? dn_adam((dn_real)0.1)
                            : which == 3 ? dn_momentum((dn_real)0.1, (dn_real)0.9)
                                         : dn_sgd((dn_real)0.1);
            if (which == 0) how.penalty.l2 = (dn_real)0.01;
            dn_net_init(&net, WIDTH, 3);
            dn_net_dense(&net, 8, DN_TANH);
            if (dropout) dn_net_dropout(&net, (dn_real)0.25);
            dn_net_dense(&net, 5, DN_RELU);
            if (dropout) dn_net_dropout(&net, (dn_real)0.5);
            dn_net_dense(&net, CLASSES, DN_SOFTMAX);
            if (which >= 2) {
                net.layers[0].freeze_weights = true;
                net.layers[net.layer_count - 1].freeze_biases = true;
            }
            dn_net_copy(&hand, &net, NULL);
            const dn_status status = dn_train(&net, &many, NULL, &how, NULL);
            const double loss =
                train_by_hand(&hand, &many, &how, rates, which == 1 || which == 2);
            ok(status == DN_OK && same_parameters(&net, &hand),
               "%s%s, a batch of 600: as in one piece, bit for bit", names[which],
               dropout ? ", dropout" : "");
            ok(history.count == 3 && fabs(history.epochs[2].train_loss - loss) <= 1e-6 * loss,
               "its training loss is the mean over the samples, with penalties");
            dn_history_free(&history);
            dn_net_free(&net);
            dn_net_free(&hand);
        }
    x[550 * WIDTH] = (dn_real)NAN; /* the third portion */
    for (int which = 0; which < 2; which++) {
        dn_net net, before;
        dn_training how = zero_training();
        how.batch = 600;
        how.keep_order = true;
        how.optimizer = which == 0 ? dn_sgd((dn_real)0.1) : dn_adam((dn_real)0.1);
        make_net(&net, 3, false);
        dn_net_copy(&before, &net, NULL);
        ok(dn_train(&net, &many, NULL, &how, NULL) == DN_ERROR_DIVERGED &&
               same_parameters(&net, &before),
           "%s: NaN in a batch's last portion, and none of the batch is learnt", names[1 - which]);
        dn_net_free(&net);
        dn_net_free(&before);
    }
    x[550 * WIDTH] = 0;
    x[10 * WIDTH] = (dn_real)INFINITY; /* the loss is finite, but not the gradient */
    dn_net net;
    dn_error error = {"", DN_OK};
    dn_training how = zero_training();
    how.batch = MANY;
    how.epochs = 1;
    how.keep_order = true;
    make_net(&net, 3, false);
    ok(dn_train(&net, &many, NULL, &how, &error) == DN_ERROR_DIVERGED &&
           strstr(error.message, "the samples themselves hold infinity") != NULL,
       "infinity in the first portion: %s", error.message);
    dn_net_free(&net);
}

/* dn_train, epochs, and single steps are one and the same. */
static void three_ways(void) {
    dn_net nets[3];
    dn_history histories[3] = {{0, NULL, 0}, {0, NULL, 0}, {0, NULL, 0}};
    dn_trainer trainer;
    dn_training how = zero_training();
    how.epochs = 6;
    how.batch = 16;
    how.optimizer = dn_adam((dn_real)0.02);
    how.penalty.l2 = (dn_real)0.001;
    for (int n = 0; n < 3; n++) make_net(&nets[n], 5, true);
    how.history = &histories[0];
    ok(dn_train(&nets[0], &few, &others, &how, NULL) == DN_OK, "in one call");
    how.history = NULL;
    size_t epochs = 0, steps = 0;
    ok(dn_trainer_init(&trainer, &nets[1], &few, &others, &how, NULL) == DN_OK, "by epochs");
    counting_reset(0);
    while (dn_trainer_epoch(&trainer)) {
        epochs++;
        if (trainer.last.epoch != epochs) epochs = 99;
    }
    ok(epochs == 6 && trainer.finished && trainer.error.status == DN_OK, "six of them");
    ok(counting.calls == 0, "no memory is taken while training");
    ok(!dn_trainer_epoch(&trainer) && !dn_trainer_step(&trainer), "then nothing is left to do");
    histories[1] = trainer.history;
    memset(&trainer.history, 0, sizeof trainer.history);
    dn_trainer_free(&trainer);
    ok(dn_trainer_init(&trainer, &nets[2], &few, &others, &how, NULL) == DN_OK, "by steps");
    ok(trainer.batches == 4, "50 samples in batches of 16 are 4 batches");
    while (dn_trainer_step(&trainer)) steps++;
    ok(steps == 24, "24 steps, the partial batches among them");
    ok(same_history(&histories[0], &trainer.history) && same_history(&histories[0], &histories[1]),
       "the same history, bit for bit");
    ok(same_parameters(&nets[0], &nets[1]) && same_parameters(&nets[0], &nets[2]) &&
           nets[0].random.state == nets[2].random.state,
       "the same parameters, bit for bit");
    dn_trainer_free(&trainer);
    dn_trainer_free(&trainer); /* twice is harmless */
    for (int n = 0; n < 3; n++) {
        if (n < 2) dn_history_free(&histories[n]);
        dn_net_free(&nets[n]);
    }
}

static void seeds(void) {
    dn_net nets[3];
    dn_training how = zero_training();
    how.epochs = 3;
    for (int n = 0; n < 3; n++) {
        make_net(&nets[n], n < 2 ? 4 : 40, true);
        dn_train(&nets[n], &clouds, NULL, &how, NULL);
    }
    ok(same_parameters(&nets[0], &nets[1]), "the same seed, the same bits");
    ok(!same_parameters(&nets[0], &nets[2]), "another seed, others");
    for (int n = 0; n < 3; n++) dn_net_free(&nets[n]);

    /* SGD has no memory, and the generator goes on where it stood. */
    make_net(&nets[0], 4, true);
    make_net(&nets[1], 4, true);
    how.optimizer = dn_sgd((dn_real)0.1);
    how.epochs = 4;
    dn_train(&nets[0], &clouds, NULL, &how, NULL);
    how.epochs = 2;
    dn_train(&nets[1], &clouds, NULL, &how, NULL);
    dn_train(&nets[1], &clouds, NULL, &how, NULL);
    ok(same_parameters(&nets[0], &nets[1]), "SGD: four epochs are two and two");
    for (int n = 0; n < 2; n++) dn_net_free(&nets[n]);
}

/* Each epoch sees every sample once, in an order of its own. */
static void shuffling(void) {
    dn_net net;
    dn_trainer trainer;
    dn_training how = zero_training();
    uint32_t before[COUNT] = {0};
    bool complete = true, different = true;
    how.epochs = 5;
    make_net(&net, 1, false);
    if (!ok(dn_trainer_init(&trainer, &net, &clouds, NULL, &how, NULL) == DN_OK, "a trainer")) return;
    while (dn_trainer_epoch(&trainer)) {
        unsigned char seen[COUNT] = {0};
        for (int s = 0; s < COUNT; s++)
            complete = complete && trainer.order[s] < COUNT && seen[trainer.order[s]]++ == 0;
        different = different && memcmp(before, trainer.order, sizeof before) != 0;
        memcpy(before, trainer.order, sizeof before);
    }
    ok(complete, "each epoch has every sample once");
    ok(different, "in another order each time");
    dn_trainer_free(&trainer);
    dn_net_free(&net);
}

/* Labels, one-hot rows, or both: one training. */
static void answers(void) {
    static dn_real rows[COUNT * CLASSES];
    dn_net nets[3];
    dn_dataset data[3];
    dn_training how = zero_training();
    how.epochs = 3;
    for (int s = 0; s < COUNT; s++) rows[s * CLASSES + classes[s]] = 1;
    data[0] = clouds;
    dn_dataset_targets(&data[1], COUNT, WIDTH, points, CLASSES, rows, NULL);
    data[2] = data[1];
    data[2].labels = classes;
    data[2].classes = CLASSES;
    for (int n = 0; n < 3; n++) {
        make_net(&nets[n], 4, false);
        dn_train(&nets[n], &data[n], NULL, &how, NULL);
    }
    ok(same_parameters(&nets[0], &nets[1]) && same_parameters(&nets[0], &nets[2]),
       "labels, one-hot rows, both: the same bits");
    for (int n = 0; n < 3; n++) dn_net_free(&nets[n]);
}

/* ---- Schedules. */

static bool train_with(dn_schedule schedule, size_t epochs, double rate, dn_history *history) {
    dn_net net;
    dn_training how = zero_training();
    how.epochs = epochs;
    how.optimizer = dn_sgd((dn_real)rate);
    how.schedule = schedule;
    how.history = history;
    memset(history, 0, sizeof *history);
    make_net(&net, 6, false);
    const dn_status status = dn_train(&net, &few, &others, &how, NULL);
    dn_net_free(&net);
    return status == DN_OK && history->count == epochs;
}

static void schedules(void) {
    dn_history history;
    dn_schedule schedule;
    bool right = true;
    memset(&schedule, 0, sizeof schedule);
    right = train_with(schedule, 12, 0.25, &history);
    for (size_t e = 0; right && e < 12; e++) right = history.epochs[e].learning_rate == 0.25;
    ok(right, "constant");
    dn_history_free(&history);

    schedule.kind = DN_SCHEDULE_STEP;
    right = train_with(schedule, 22, 0.5, &history);
    for (size_t e = 0; right && e < 22; e++)
        right = history.epochs[e].learning_rate == (e < 10 ? 0.5 : e < 20 ? 0.25 : 0.125);
    ok(right, "step: by default, halved every ten epochs");
    dn_history_free(&history);

    schedule.every = 3;
    schedule.factor = (dn_real)0.25;
    schedule.minimum = (dn_real)0.01;
    right = train_with(schedule, 11, 0.5, &history);
    for (size_t e = 0; right && e < 11; e++)
        right = history.epochs[e].learning_rate ==
                (e < 3 ? 0.5 : e < 6 ? 0.125 : e < 9 ? 0.03125 : (double)(dn_real)0.01);
    ok(right, "step: a quarter every three, down to the minimum");
    dn_history_free(&history);

    schedule.kind = DN_SCHEDULE_COSINE;
    schedule.minimum = (dn_real)0.125;
    right = train_with(schedule, 9, 0.5, &history);
    for (size_t e = 0; right && e < 9; e++) {
        const double share = (double)e / 9, pi = 3.14159265358979323846;
        const double expected = 0.125 + 0.375 * 0.5 * (1 + cos(pi * share));
        right = fabs(history.epochs[e].learning_rate - expected) < 1e-7;
        if (!right) note("epoch %zu: %.9g, expected %.9g", e + 1, history.epochs[e].learning_rate, expected);
    }
    ok(right && history.epochs[0].learning_rate == 0.5 && history.epochs[8].learning_rate > 0.125,
       "cosine: from the first rate towards the minimum");
    dn_history_free(&history);
    ok(train_with(schedule, 1, 0.5, &history) && history.epochs[0].learning_rate == 0.5,
       "cosine over a single epoch");
    dn_history_free(&history);
}

static void plateau(void) {
    dn_history history;
    dn_schedule schedule;
    int drops = 0, rises = 0, equal = 0;
    memset(&schedule, 0, sizeof schedule);
    schedule.kind = DN_SCHEDULE_PLATEAU;
    schedule.factor = (dn_real)0.75;
    schedule.minimum = (dn_real)0.5;
    bool right = train_with(schedule, 40, 4, &history);
    dn_real rate = 4;
    for (size_t e = 0; right && e < 40; e++) {
        if (e >= 2) {
            const double change = history.epochs[e - 1].validation_accuracy -
                                  history.epochs[e - 2].validation_accuracy;
            if (change < 0) rate *= schedule.factor;
            if (rate < schedule.minimum) rate = schedule.minimum;
            drops += change < 0;
            rises += change > 0;
            equal += !(change < 0 || change > 0);
        }
        right = history.epochs[e].learning_rate == (double)rate;
    }
    ok(right && drops > 3 && rises > 3 && equal > 0 && rate == schedule.minimum,
       "plateau: lower after each of %d falls, not after %d rises nor %d ties; down to the minimum",
       drops, rises, equal);
    dn_history_free(&history);
}

/* ---- Early stopping. */

static void early_stopping(void) {
    for (int keep_last = 0; keep_last < 2; keep_last++) {
        dn_net net;
        dn_trainer trainer;
        dn_training how = zero_training();
        how.epochs = 1000;
        how.patience = 7;
        how.keep_last = keep_last == 1;
        how.optimizer = dn_adam((dn_real)0.05);
        dn_net_init(&net, WIDTH, 8);
        dn_net_dense(&net, 40, DN_RELU);
        dn_net_dense(&net, CLASSES, DN_SOFTMAX);
        if (!ok(dn_trainer_init(&trainer, &net, &few, &others, &how, NULL) == DN_OK, "a trainer"))
            return;
        while (dn_trainer_epoch(&trainer)) continue;
        double lowest = INFINITY;
        size_t at = 0;
        for (size_t e = 0; e < trainer.history.count; e++)
            if (trainer.history.epochs[e].validation_loss < lowest) {
                lowest = trainer.history.epochs[e].validation_loss;
                at = e + 1;
            }
        ok(trainer.stopped_early && trainer.history.count < 1000, "stopped after %zu epochs",
           trainer.history.count);
        ok(trainer.best_epoch == at && trainer.best_loss == lowest && at > 1 &&
               trainer.history.count == at + 7,
           "seven epochs after the best one, %zu", at);
        const double now = dn_evaluate(&net, &others).loss;
        ok(keep_last ? now == trainer.last.validation_loss && now > lowest : now == lowest,
           keep_last ? "the last parameters are kept" : "the best parameters are restored, bit for bit");
        dn_trainer_free(&trainer);
        dn_net_free(&net);
    }
    /* A loss that stays the same is not a lower one. */
    dn_net net;
    dn_history history = {0};
    dn_training how = zero_training();
    how.epochs = 50;
    how.patience = 4;
    how.optimizer = dn_sgd(0);
    how.history = &history;
    make_net(&net, 8, false);
    dn_status status = dn_train(&net, &few, &others, &how, NULL);
    ok(status == DN_OK && history.count == 5, "the same loss in all of %zu epochs: stopped",
       history.count);
    dn_history_free(&history);
    dn_net_free(&net);
    /* Where patience is not exhausted, the best is restored all the same. */
    how.epochs = 5;
    how.patience = 100;
    how.optimizer = dn_sgd((dn_real)30);
    make_net(&net, 8, false);
    status = dn_train(&net, &few, &others, &how, NULL);
    ok(status == DN_OK && history.count == 5, "all epochs done");
    double lowest = INFINITY;
    for (size_t e = 0; e < history.count; e++) lowest = fmin(lowest, history.epochs[e].validation_loss);
    ok(dn_evaluate(&net, &others).loss == lowest && lowest < history.epochs[4].validation_loss,
       "the best parameters are restored without a stop, too");
    dn_history_free(&history);
    dn_net_free(&net);
}

/* ---- Divergence. */

static dn_real root_of(dn_real z) { return (dn_real)sqrt((double)z); }
static dn_real slope_of(dn_real z, dn_real a) { return (void)z, 1 / (2 * a); }

static void diverges(void) {
    static const dn_real y[COUNT * CLASSES] = {0};
    dn_net net;
    dn_dataset data;
    dn_error error = {"", DN_OK};
    dn_history history = {0};
    dn_training how = zero_training();
    how.epochs = 20;
    how.optimizer = dn_sgd((dn_real)1e4);
    how.history = &history;
    dn_dataset_targets(&data, COUNT, WIDTH, points, CLASSES, y, NULL);
    for (int plain = 0; plain < 2; plain++) {
        how.penalty.l2 = plain ? 0 : (dn_real)1e-9; /* the fused step, and the other */
        dn_net_init(&net, WIDTH, 1);
        dn_net_dense(&net, 8, DN_RELU);
        dn_net_dense(&net, CLASSES, DN_LINEAR);
        const dn_status status = dn_train(&net, &data, NULL, &how, &error);
        ok(status == DN_ERROR_DIVERGED && error.status == status, "too large a rate: %s",
           error.message);
        ok(strstr(error.message, "epoch") != NULL && strstr(error.message, "layer") != NULL &&
               (strstr(error.message, "NaN") != NULL || strstr(error.message, "infinity") != NULL) &&
               strstr(error.message, "lower the learning rate") != NULL &&
               strstr(error.message, "10000") != NULL,
           "the epoch, the layer, NaN or infinity, and what to do");
        ok(history.count < 20, "it stops at once, after %zu epochs", history.count);
        dn_history_free(&history);
        dn_net_free(&net);
    }
    how.ignore_divergence = true;
    dn_net_init(&net, WIDTH, 1);
    dn_net_dense(&net, 8, DN_RELU);
    dn_net_dense(&net, CLASSES, DN_LINEAR);
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_OK && history.count == 20 &&
           !(history.epochs[19].train_loss < 1e30),
       "or goes on, if one insists");
    dn_history_free(&history);
    dn_net_free(&net);
    how.ignore_divergence = false;

    /* Where it is: in the weights of layer 1, or in what layer 2 makes of large numbers. */
    static const struct {
        double value;
        size_t layer;
        const char *where, *what;
    } cases[] = {{NAN, 0, "layer 0", "NaN"},          {INFINITY, 1, "layer 1", "infinity"},
                 {-INFINITY, 2, "layer 2", "infinity"}, {3e38, 2, "layer 2", "infinity"}};
    how.history = NULL;
    how.optimizer = dn_adam((dn_real)0.001);
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        dn_net_init(&net, WIDTH, 1);
        dn_net_dense(&net, 8, DN_RELU);
        dn_net_dense(&net, 4, DN_RELU);
        dn_net_dense(&net, CLASSES, DN_LINEAR);
        dn_matrix w = dn_net_weights(&net, cases[c].layer);
        w.data[0] = (dn_real)cases[c].value;
        if (cases[c].value == 3e38)
            for (size_t i = 0; i < 12; i++) w.data[i] = (dn_real)3e38;
        if (cases[c].value == 3e38)
            for (size_t i = 0; i < 4; i++) dn_net_biases(&net, 1).data[i] = 10;
        const dn_status told = dn_train(&net, &data, NULL, &how, &error);
        ok(told == DN_ERROR_DIVERGED && strstr(error.message, cases[c].where) != NULL &&
               strstr(error.message, cases[c].what) != NULL &&
               strstr(error.message, "epoch 1") != NULL,
           "%g in %s: %s", cases[c].value, cases[c].where, error.message);
        dn_net_free(&net);
    }

    /* In the very last step: no later loss would tell. */
    how.optimizer = dn_sgd((dn_real)1e38);
    how.epochs = 1;
    how.batch = COUNT;
    dn_net_init(&net, WIDTH, 1);
    dn_net_dense(&net, 8, DN_RELU);
    dn_net_dense(&net, CLASSES, DN_LINEAR);
    for (size_t i = 0; i < net.parameter_count; i++) net.parameters[i] *= 100;
    error.message[0] = '\0';
    dn_status status = dn_train(&net, &data, NULL, &how, &error);
    ok(status == DN_ERROR_DIVERGED && strstr(error.message, "epoch 1") != NULL,
       "in the last step of all: %s", error.message);
    how.ignore_divergence = true;
    for (size_t i = 0; i < net.parameter_count; i++) net.parameters[i] = 100;
    ok(dn_train(&net, &data, NULL, &how, &error) == DN_OK, "or not, if one insists");
    how.ignore_divergence = false;
    dn_net_free(&net);

    /* Data that cannot be learned from: no learning rate would help. */
    dn_real broken[COUNT * WIDTH];
    memcpy(broken, points, sizeof broken);
    broken[41] = (dn_real)NAN;
    data.values = broken;
    make_net(&net, 1, false);
    status = dn_train(&net, &data, NULL, &how, &error);
    ok(status == DN_ERROR_DIVERGED && strstr(error.message, "samples themselves hold NaN") != NULL &&
           strstr(error.message, "learning rate") == NULL,
       "a NaN in the data: %s", error.message);
    dn_net_free(&net);

    dn_real rows[COUNT * CLASSES] = {0};
    rows[7] = (dn_real)NAN;
    data.values = points;
    const dn_dataset sound = data;
    data.labels = NULL;
    data.targets = rows;
    data.outputs = CLASSES;
    make_net(&net, 1, false);
    status = dn_train(&net, &data, NULL, &how, &error);
    ok(status == DN_ERROR_DIVERGED && strstr(error.message, "samples themselves hold NaN") != NULL,
       "a NaN in the targets: %s", error.message);
    dn_net_free(&net);

    /* An activation of the user's own that makes them. */
    const dn_custom_activation root = {"root", root_of, slope_of};
    dn_dense layer;
    memset(&layer, 0, sizeof layer);
    layer.outputs = 8;
    layer.activation = DN_CUSTOM;
    layer.custom = &root;
    dn_net_init(&net, WIDTH, 1);
    dn_net_layer(&net, &layer);
    dn_net_dense(&net, CLASSES, DN_LINEAR);
    data = sound;
    status = dn_train(&net, &data, NULL, &how, &error);
    ok(status == DN_ERROR_DIVERGED && strstr(error.message, "outputs of layer 0 (root)") != NULL,
       "an activation that makes NaN: %s", error.message);
    dn_net_free(&net);
}

/* ---- History, progress, defaults, refusals. */

typedef struct seen {
    size_t calls, finished, last_batch;
    bool right;
    double last_loss;
} seen;

static void look(void *user, const dn_progress *progress) {
    seen *my = (seen *)user;
    my->calls++;
    my->right = my->right && progress->epochs == 2 && progress->batches == 3 &&
                dni_is_finite(progress->loss) && progress->accuracy >= 0 && progress->accuracy <= 1;
    if (progress->finished != NULL) {
        my->finished++;
        my->right = my->right && progress->finished->epoch == my->finished &&
                    progress->epoch == my->finished && my->last_batch == 3;
        my->last_loss = progress->finished->train_loss;
        my->last_batch = 0;
    } else {
        my->right = my->right && progress->batch == my->last_batch + 1 &&
                    progress->epoch == my->finished + 1;
        my->last_batch = progress->batch;
    }
}

static void reports(void) {
    dn_net net;
    seen my = {0, 0, 0, true, 0};
    dn_history history = {0};
    dn_training how = zero_training();
    how.history = &history;
    how.epochs = 2;
    how.progress = look;
    how.user = &my;
    make_net(&net, 2, false);
    ok(dn_train(&net, &clouds, NULL, &how, NULL) == DN_OK && my.right && my.calls == 8 &&
           my.finished == 2,
       "progress: after each of 2 x 3 batches, and after each epoch");
    ok(history.count == 2 && history.epochs[0].epoch == 1 && history.epochs[1].epoch == 2 &&
           history.epochs[1].train_loss == my.last_loss && isnan(history.epochs[0].validation_loss) &&
           isnan(history.epochs[0].validation_accuracy),
       "history: a row per epoch; NaN where there was no validation");
    ok(net.loss == DN_CROSS_ENTROPY, "the net remembers what it was trained for");
    dn_history_free(&history);
    dn_net_free(&net);

    make_net(&net, 2, false);
    how = zero_training();
    how.history = &history;
    ok(dn_train(&net, &clouds, &clouds, &how, NULL) == DN_OK && history.count == 10 &&
           history.epochs[0].learning_rate == (double)(dn_real)0.001,
       "by default: ten epochs of Adam with 0.001");
    const dn_evaluation end = dn_evaluate(&net, &clouds);
    ok(history.epochs[9].validation_loss == end.loss &&
           history.epochs[9].validation_accuracy == end.accuracy,
       "validation is dn_evaluate at the end of the epoch, bit for bit");
    dn_history_free(&history);
    dn_net_free(&net);

    /* With a rate of 0 the training values are those of dn_evaluate, in every epoch. */
    make_net(&net, 2, false);
    how.epochs = 3;
    how.optimizer = dn_sgd(0);
    const dn_evaluation start = dn_evaluate(&net, &clouds);
    bool right = dn_train(&net, &clouds, NULL, &how, NULL) == DN_OK && history.count == 3;
    for (size_t e = 0; right && e < 3; e++)
        right = history.epochs[e].train_accuracy == start.accuracy &&
                fabs(history.epochs[e].train_loss - start.loss) < 1e-12;
    ok(right && start.accuracy > 0, "training loss and accuracy are of their own epoch");
    dn_history_free(&history);
    dn_net_free(&net);
}

static void saved_history(void) {
    static const char *const name = "test_training.tsv~";
    dn_epoch epochs[2] = {{1, 0.5, 1.0 / 3, 0.25, (double)NAN, (double)NAN},
                          {2, 0.0625, 1e-12, 1, 12345.678901, 0.75}};
    const dn_history history = {2, epochs, 2};
    static const char *const expected =
        "# made by a test\n# seed 1\n"
        "epoch\tlearning_rate\ttrain_loss\ttrain_accuracy\tvalidation_loss\tvalidation_accuracy\n"
        "1\t0.5\t0.333333333\t0.25\tnan\tnan\n"
        "2\t0.0625\t1e-12\t1\t12345.6789\t0.75\n";
    const bool comma = setlocale(LC_ALL, "de_DE.UTF-8") != NULL || setlocale(LC_ALL, "de_DE") != NULL ||
                       setlocale(LC_ALL, "fr_FR.UTF-8") != NULL;
    dn_error error = {"", DN_OK};
    ok(dn_history_save(&history, name, "made by a test\nseed 1\n", &error) == DN_OK, "a log is saved");
    setlocale(LC_ALL, "C");
    char text[1000] = {0};
    FILE *file = fopen(name, "rb");
    if (file != NULL) {
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        fclose(file);
    }
    if (!ok(strcmp(text, expected) == 0, "as it should be%s",
            comma ? ", in a country of decimal commas" : "")) note("%s", text);
    if (!comma) skip(1, "no locale with decimal commas is installed");
    remove(name);
    ok(dn_history_save(&history, "no/such/folder/log.tsv", NULL, &error) == DN_ERROR_FILE &&
           strstr(error.message, "no/such/folder/log.tsv") != NULL,
       "a file that cannot be written: %s", error.message);
}

static void refused(void) {
    dn_net net;
    dn_error error = {"", DN_OK};
    make_net(&net, 1, false);
    for (int which = 0; which < 7; which++) {
        dn_training how = zero_training();
        if (which == 0) how.patience = 3;
        if (which == 1) how.schedule.kind = DN_SCHEDULE_PLATEAU;
        if (which == 2) how.optimizer = dn_sgd((dn_real)-1);
        if (which == 3) how.optimizer = dn_sgd((dn_real)NAN);
        if (which == 4) how.loss = (dn_loss)77;
        if (which == 5) how.optimizer.kind = (dn_optimizer_kind)77;
        if (which == 6) how.schedule.kind = (dn_schedule_kind)77;
        error.message[0] = '\0';
        ok(dn_train(&net, &few, NULL, &how, &error) == DN_ERROR_ARGUMENT && error.message[0] != '\0',
           "refused: %s", error.message);
    }
    dn_net_free(&net);
    dn_net_init(&net, WIDTH, 1);
    dn_net_dense(&net, CLASSES, DN_SOFTMAX);
    dn_net_dropout(&net, (dn_real)0.5);
    dn_training how = zero_training();
    ok(dn_train(&net, &few, NULL, &how, &error) == DN_ERROR_ARGUMENT,
       "refused: %s", error.message);
    dn_net_free(&net);
    /* A batch that is larger than the data is all of it. */
    dn_trainer trainer;
    how.batch = 10000;
    make_net(&net, 1, false);
    ok(dn_trainer_init(&trainer, &net, &few, NULL, &how, NULL) == DN_OK && trainer.batches == 1 &&
           dn_trainer_epoch(&trainer),
       "a batch larger than the data");
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    /* no wishes at all */
    make_net(&net, 1, false);
    ok(dn_trainer_init(&trainer, &net, &few, NULL, NULL, NULL) == DN_OK &&
           trainer.how.epochs == 10 && trainer.how.batch == (few.count < 32 ? few.count : 32),
       "all defaults");
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    make_net(&net, 1, false);
    ok(dn_train(&net, &few, NULL, NULL, NULL) == DN_OK, "all defaults, in one call");
    dn_net_free(&net);
}

int main(void) {
    make_clouds();
    learns_xor();
    overfits_one_batch();
    same_as_by_hand();
    large_batches();
    three_ways();
    seeds();
    shuffling();
    answers();
    schedules();
    plateau();
    early_stopping();
    diverges();
    reports();
    saved_history();
    refused();
    ok(counting.live == 0, "everything is given back");
    return done();
}
