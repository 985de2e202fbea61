/* Trains a net on IDX files, for people who don't want to write C. `train --help` says
   all; this trains, can be interrupted at any moment, and goes on:

       train --layers 784,256,128,10 --dropout 0.25 --epochs 20 --save digits.safetensors
       train --layers 784,256,128,10 --dropout 0.25 --epochs 20 --save digits.safetensors \
             --resume digits.checkpoint

   From the repository's root: cc -O2 examples/train.c -o build/train -lm */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "options.h"
#include "progress.h"
#include <signal.h>

#ifdef _WIN32
#define popen _popen
#define pclose _pclose
#endif

/* ---- Options: name, what follows it (NULL: nothing), default, help. */

typedef struct option {
    const char *name, *argument, *value, *help;
} option;

static option options[] = {
    {NULL, NULL, NULL, "Data"},
    {"images", "FILE", "data/mnist/train-images-idx3-ubyte",
     "samples to train on: IDX, plain or gzip"},
    {"labels", "FILE", "data/mnist/train-labels-idx1-ubyte", "their classes"},
    {"test-images", "FILE", "", "samples to test the finished net on"},
    {"test-labels", "FILE", "", "their classes"},
    {"validate", "SHARE", "0.1",
     "share of the training samples that is held out to watch the training"},
    {"normalize", "HOW", "255", "255 (bytes to 0..1), sample, feature or none"},
    {NULL, NULL, NULL, "Net"},
    {"layers", "SIZES", "", "inputs, hidden layers, outputs; otherwise inputs,128,classes"},
    {"activation", "NAME", "relu", "of the hidden layers: relu, leaky_relu, sigmoid, tanh, linear"},
    {"output", "NAME", "", "of the last: softmax for cross-entropy, otherwise sigmoid"},
    {"dropout", "SHARE", "0", "dropped behind each hidden layer"},
    {"seed", "N", "1", "of all randomness: the same seed gives the same net"},
    {NULL, NULL, NULL, "Training"},
    {"loss", "NAME", "cross-entropy", "cross-entropy, binary-cross-entropy or squared-error"},
    {"optimizer", "NAME", "adam",
     "sgd, momentum, weighted-momentum, nesterov, rmsprop, adam, adamw"},
    {"lr", "NUMBER", "1e-3", "learning rate"},
    {"momentum", "NUMBER", "0.9", "of the momentum methods"},
    {"weight-decay", "NUMBER", "0.01", "of adamw"},
    {"l1", "NUMBER", "0", "penalty on the weights' sizes"},
    {"l2", "NUMBER", "0", "penalty on their squares"},
    {"schedule", "NAME", "constant", "of the learning rate: constant, step, cosine or plateau"},
    {"epochs", "N", "10", "passes over the training samples"},
    {"batch", "N", "128", "samples per step"},
    {"early-stop", "N", "0", "stop after N epochs without a lower validation loss; 0: never"},
    {NULL, NULL, NULL, "Files"},
    {"save", "FILE", "net.safetensors", "the trained net"},
    {"names", "LIST", "", "names of the classes, to be kept with the net: zero,one,..."},
    {"log", "FILE", "", "the history as tab-separated values, after every epoch"},
    {"checkpoint", "FILE", "",
     "where the training stands; otherwise the name of the net, .checkpoint"},
    {"every", "SECONDS", "60", "how often it is saved within an epoch (it is after each)"},
    {"resume", "FILE", "", "go on from this checkpoint, with otherwise the same options"},
    {"plot", NULL, "", "draw the curves while training, with gnuplot"},
    {"quiet", NULL, "", "no lines about the progress"},
    {"help", NULL, "", "this text"},
};
enum { OPTIONS = sizeof options / sizeof options[0] };
static bool chosen[OPTIONS]; /* by the user */

static option *find_option(const char *name) {
    for (int i = 0; i < OPTIONS; i++)
        if (options[i].name && strcmp(options[i].name, name) == 0) return &options[i];
    return NULL;
}

static const char *text_of(const char *name) {
    return find_option(name)->value;
}
static bool is_given(const char *name) {
    return text_of(name)[0] != '\0';
}

static bool is_chosen(const char *name) {
    return chosen[find_option(name) - options];
}

static void print_help(void) {
    printf("usage: train [options]\n\n"
           "Trains a net of dense layers on the samples of IDX files, the format of MNIST.\n"
           "Ctrl-C saves where the training stands and says how to go on.\n");
    for (int i = 0; i < OPTIONS; i++) {
        const option *one = &options[i];
        char left[40];
        if (!one->name) {
            printf("\n%s\n", one->help);
            continue;
        }
        snprintf(left, sizeof left, "--%s %s", one->name, one->argument ? one->argument : "");
        const bool has_default = one->argument && one->value[0];
        printf("  %-21s %s%s%s%s\n", left, one->help, has_default ? " (" : "",
               has_default ? one->value : "", has_default ? ")" : "");
    }
}

static int wrong(const char *format, const char *a, const char *b) {
    fprintf(stderr, "train: ");
    fprintf(stderr, format, a, b);
    fprintf(stderr, "\n(train --help lists all options)\n");
    return 2;
}

/* 0 when the options are right, else the exit status. */
static int read_options(int count, char **words) {
    for (int i = 1; i < count; i++) {
        const bool is_h = strcmp(words[i], "-h") == 0;
        option *one = is_h                              ? find_option("help")
                      : strncmp(words[i], "--", 2) == 0 ? find_option(words[i] + 2)
                                                        : NULL;
        if (!one) return wrong("there is no option '%s'%s", words[i], "");
        if (!one->argument) one->value = "yes";
        else if (++i == count) return wrong("--%s needs a value: %s", one->name, one->argument);
        else one->value = words[i];
        chosen[one - options] = true;
    }
    return 0;
}

/* The numbers of the options; the first that is none is remembered. */
static const char *not_a_number;

static double number_of(const char *name) {
    char *end;
    const double number = strtod(text_of(name), &end);
    if (*end || end == text_of(name) || !(number >= 0)) not_a_number = name;
    return number;
}

static size_t count_of(const char *name, size_t least) {
    size_t number;
    if (!read_size(text_of(name), least, &number)) not_a_number = name;
    return number;
}

static double share_of(const char *name) {
    const double share = number_of(name);
    if (share >= 1) not_a_number = name;
    return share;
}

/* The place of an option's value in a list of words, or -1. */
static int choice_of(const char *name, const char *const *list) {
    for (int i = 0; list[i]; i++)
        if (strcmp(list[i], text_of(name)) == 0) return i;
    return -1;
}

static int wrong_choice(const char *name) {
    fprintf(stderr, "train: --%s: there is no '%s'; %s\n(train --help lists all options)\n", name,
            text_of(name), find_option(name)->help);
    return 2;
}

/* ---- From words to the library's structs */

static const char *const activations[] = {"linear", "relu",    "leaky_relu", "sigmoid",
                                          "tanh",   "softmax", NULL};
static const char *const losses[] = {"", "cross-entropy", "binary-cross-entropy", "squared-error",
                                     NULL};
static const char *const optimizers[] = {
    "", "sgd", "momentum", "weighted-momentum", "nesterov", "rmsprop", "adam", "adamw", NULL};
static const char *const schedules[] = {"constant", "step", "cosine", "plateau", NULL};
static const char *const normalizations[] = {"none", "255", "sample", "feature", NULL};

static dn_optimizer make_optimizer(void) {
    const dn_real rate = (dn_real)number_of("lr"), momentum = (dn_real)number_of("momentum");
    switch (choice_of("optimizer", optimizers)) {
    case 1:
        return dn_sgd(rate);
    case 2:
        return dn_momentum(rate, momentum);
    case 3:
        return dn_weighted_momentum(rate, momentum);
    case 4:
        return dn_nesterov(rate, momentum);
    case 5:
        return dn_rmsprop(rate);
    case 7:
        return dn_adamw(rate, (dn_real)number_of("weight-decay"));
    default:
        return dn_adam(rate);
    }
}

static int make_training(dn_training *how) {
    const int loss = choice_of("loss", losses), schedule = choice_of("schedule", schedules);
    const int optimizer = choice_of("optimizer", optimizers);
    if (loss < 1) return wrong_choice("loss");
    if (optimizer < 1) return wrong_choice("optimizer");
    if (schedule < 0) return wrong_choice("schedule");
    if (is_chosen("momentum") && (optimizer < 2 || optimizer > 4))
        return wrong("--momentum does nothing with --optimizer %s%s", text_of("optimizer"), "");
    if (is_chosen("weight-decay") && optimizer != 7)
        return wrong("--weight-decay does nothing with --optimizer %s%s", text_of("optimizer"), "");
    if (is_given("test-images") != is_given("test-labels"))
        return wrong("--test-images and --test-labels need each other%s%s", "", "");
    how->loss = (dn_loss)loss;
    how->schedule.kind = (dn_schedule_kind)schedule;
    how->optimizer = make_optimizer();
    how->penalty.l1 = (dn_real)number_of("l1");
    how->penalty.l2 = (dn_real)number_of("l2");
    how->epochs = count_of("epochs", 1);
    how->batch = count_of("batch", 1);
    how->patience = count_of("early-stop", 0);
    if (!is_given("quiet")) how->progress = show_progress;
    (void)number_of("every");
    (void)share_of("validate");
    (void)share_of("dropout");
    (void)count_of("seed", 0);
    return not_a_number
               ? wrong("--%s: '%s' is not a number that fits", not_a_number, text_of(not_a_number))
               : 0;
}

static int make_net(dn_net *net, const dn_dataset *train) {
    const int hidden = choice_of("activation", activations);
    const bool to_softmax = !is_given("output") && strcmp(text_of("loss"), "cross-entropy") == 0;
    const int last = is_given("output") ? choice_of("output", activations)
                     : to_softmax       ? DN_SOFTMAX
                                        : DN_SIGMOID;
    const dn_real dropout = (dn_real)number_of("dropout");
    char usual[60];
    if (hidden < 0) return wrong_choice("activation");
    if (last < 0) return wrong_choice("output");
    snprintf(usual, sizeof usual, "%zu,128,%zu", train->features, train->classes);
    const char *sizes = is_given("layers") ? text_of("layers") : usual, *at = sizes;
    for (int layer = 0;; layer++) {
        char *end;
        const unsigned long long size = strtoull(at, &end, 10);
        if (end == at || *at == '-' || (*end && *end != ','))
            return wrong("--layers: '%s' is not a list like 784,128,10%s", sizes, "");
        if (layer == 0) dn_net_init(net, (size_t)size, count_of("seed", 0));
        else dn_net_dense(net, (size_t)size, (dn_activation)(*end ? hidden : last));
        if (!*end) break;
        if (layer > 0 && dropout > 0) dn_net_dropout(net, dropout);
        at = end + 1;
    }
    dn_net_note(net, "data", text_of("images"));
    if (!is_given("names")) return 0;
    size_t names = 1;
    for (const char *c = text_of("names"); *c; c++) names += *c == ',';
    if (names != net->outputs)
        return wrong("--names: '%s' are not as many as the outputs%s", text_of("names"), "");
    dn_net_note(net, "names", text_of("names"));
    return 0;
}

/* The library assumes at least ten classes, as in MNIST, when labels are bytes. Who says how
   many outputs there are may have fewer. */
static void count_classes(dn_dataset *data) {
    int32_t largest = 0;
    if (!is_given("layers") || !data->labels) return;
    for (size_t i = 0; i < data->count; i++)
        if (data->labels[i] > largest) largest = data->labels[i];
    data->classes = (size_t)largest + 1;
}

/* The training samples in two parts, with the same normalisation. */
static dn_status make_data(dn_dataset *all, dn_dataset *train, dn_dataset *held, dn_dataset *test,
                           dn_error *error) {
    dn_random random = dn_random_seed(count_of("seed", 0));
    const double share = number_of("validate");
    dn_status status = dn_dataset_load(all, text_of("images"), text_of("labels"), error);
    if (status) return status;
    count_classes(all);
    all->normalization = (dn_normalization)choice_of("normalize", normalizations);
    if (all->normalization == DN_NORMALIZE_FEATURE && (status = dn_dataset_standardize(all, error)))
        return status;
    status = dn_dataset_split_fraction(all, 1 - share, &random, train, held, error);
    if (status || !is_given("test-images")) return status;
    status = dn_dataset_load(test, text_of("test-images"), text_of("test-labels"), error);
    if (!status) count_classes(test);
    test->normalization = all->normalization;
    test->mean = all->mean;
    test->deviation = all->deviation;
    return status;
}

/* ---- The curves, live */

/* Sends the history to gnuplot, which draws a window where there is a screen, else text. */
static void plot(FILE *gnuplot, const dn_history *history) {
    const bool screen = getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");
    if (!screen) fprintf(gnuplot, "set terminal dumb nofeed mono size 100, 20\n");
    fprintf(gnuplot, "set datafile missing \"nan\"\n$history << END\n");
    for (size_t i = 0; i < history->count; i++) {
        const dn_epoch *epoch = &history->epochs[i];
        fprintf(gnuplot, "%zu %.6g %.6g %.6g %.6g\n", epoch->epoch, epoch->train_loss,
                epoch->validation_loss, 100 * epoch->train_accuracy,
                100 * epoch->validation_accuracy);
    }
    fprintf(gnuplot,
            "END\nset xrange [0.5:%zu.5]\nset xtics ceil(%zu / 10.0)\nset multiplot layout 1, "
            "2\nset xlabel 'epoch'\n"
            "set title 'loss'\nset key top right\n"
            "plot $history using 1:2 with lines title 'train', $history using 1:3 with points "
            "title 'validation'\n"
            "set title 'accuracy (%%)'\nset key bottom right\n"
            "plot $history using 1:4 with lines title 'train', $history using 1:5 with points "
            "title 'validation'\n"
            "unset multiplot\n",
            history->count, history->count);
    fflush(gnuplot);
}

/* ---- Being interrupted */

static volatile sig_atomic_t stopped_by;

static void stop(int number) {
    stopped_by = number;
    signal(number, SIG_DFL); /* the second time at once */
}

/* A word as the shell takes it. */
static void print_word(const char *word) {
    if (word[0] &&
        !word[strspn(word,
                     "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=.,/:")]) {
        fprintf(stderr, " %s", word);
        return;
    }
    fprintf(stderr, " '");
    for (; *word; word++) fprintf(stderr, *word == '\'' ? "'\\''" : "%c", *word);
    fprintf(stderr, "'");
}

static void say_how_to_resume(int count, char **words, const dn_trainer *trainer,
                              const char *checkpoint) {
    fprintf(stderr, "\nstopped in epoch %zu of %zu, after batch %zu of %zu; saved %s; to go on:\n ",
            trainer->epoch + 1, trainer->how.epochs, trainer->position, trainer->batches,
            checkpoint);
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], "--resume") == 0) i++;
        else print_word(words[i]);
    }
    print_word("--resume");
    print_word(checkpoint);
    fprintf(stderr, "\n");
}

/* ---- The training */

/* The name of the net with another ending. */
static const char *checkpoint_name(char *name, size_t size) {
    if (is_given("checkpoint")) return text_of("checkpoint");
    if (is_given("resume")) return text_of("resume");
    const char *net = text_of("save"), *dot = strrchr(net, '.'), *slash = strrchr(net, '/');
    const size_t length = dot && (!slash || dot > slash) ? (size_t)(dot - net) : strlen(net);
    snprintf(name, size, "%.*s.checkpoint", (int)length, net);
    return name;
}

/* Is there a place for this file? What is there stays as it is. */
static bool can_write(const char *name) {
    FILE *old = fopen(name, "rb"), *file = fopen(name, "ab");
    if (old) fclose(old);
    if (!file) return false;
    fclose(file);
    if (!old) remove(name);
    return true;
}

static dn_status train_to_the_end(dn_trainer *trainer, const char *checkpoint, dn_error *error) {
    FILE *gnuplot = is_given("plot") ? popen("gnuplot", "w") : NULL;
    double saved = wall_seconds();
    dn_status status = DN_OK;
    while (status == DN_OK && !stopped_by && dn_trainer_step(trainer)) {
        const bool epoch_done = trainer->position == 0;
        if (!epoch_done && wall_seconds() - saved < number_of("every")) continue;
        status = dn_trainer_save(trainer, checkpoint, error);
        saved = wall_seconds();
        if (epoch_done && is_given("log") && status == DN_OK) {
            trainer->how.history = &trainer->history;
            status =
                save_log(text_of("log"), trainer->net, &trainer->how, text_of("images"), error);
        }
        if (epoch_done && gnuplot) plot(gnuplot, &trainer->history);
    }
    if (status == DN_OK && stopped_by && !trainer->finished)
        status = dn_trainer_save(trainer, checkpoint, error);
    if (gnuplot && pclose(gnuplot) == 0) printf("\n");
    if (status == DN_OK && trainer->error.status) *error = trainer->error;
    return status ? status : trainer->error.status;
}

int main(int count, char **words) {
    dn_error error = {0};
    dn_dataset all = {0}, train = {0}, held = {0}, test = {0};
    dn_training how = {0};
    dn_trainer trainer = {0};
    dn_net net = {0};
    char name[1000];
    int status = read_options(count, words);
    if (status) return status;
    if (is_given("help")) return print_help(), 0;
    if ((status = make_training(&how))) return status;
    if (choice_of("normalize", normalizations) < 0)
        return wrong_choice("normalize");
    const char *checkpoint = checkpoint_name(name, sizeof name);
    if (strcmp(checkpoint, text_of("save")) == 0)
        return wrong("--save: '%s' is the checkpoint's name%s", checkpoint, "");
    for (int i = 0; i < 3; i++) { /* better now than after hours */
        const char *file = i == 0 ? checkpoint : i == 1 ? text_of("save") : text_of("log");
        if (*file && !can_write(file))
            return fprintf(stderr, "train: %s: cannot be written\n", file), 1;
    }

    bool failed = make_data(&all, &train, &held, &test, &error) != DN_OK;
    if (!failed) status = make_net(&net, &train);
    failed = failed || status ||
             dn_trainer_init(&trainer, &net, &train, held.count > 0 ? &held : NULL, &how, &error) ||
             (is_given("resume") && dn_trainer_load(&trainer, text_of("resume"), &error));
    if (!failed) {
        signal(SIGINT, stop);
        signal(SIGTERM, stop);
#ifdef SIGPIPE
        signal(SIGPIPE, SIG_IGN); /* gnuplot may not be there */
#endif
        failed = train_to_the_end(&trainer, checkpoint, &error) != DN_OK;
        if (!failed && stopped_by && !trainer.finished) {
            status = 128 + stopped_by;
            say_how_to_resume(count, words, &trainer, checkpoint);
        } else if (!failed) {
            failed = dn_net_save(&net, text_of("save"), &error) != DN_OK;
            if (!failed) printf("saved %s\n", text_of("save"));
            if (trainer.stopped_early)
                printf("stopped early; epoch %zu was the best\n", trainer.best_epoch);
        }
    }
    if (!failed && !status && test.count > 0) {
        const dn_evaluation seen = dn_evaluate(&net, &test);
        printf("test: loss %.4f, accuracy %.2f %%\n", seen.loss, 100 * seen.accuracy);
    }
    if (failed && !status) {
        fprintf(stderr, "train: %s\n", error.message);
        status = 1;
    }
    dn_trainer_free(&trainer);
    dn_net_free(&net);
    dn_dataset_free(&held);
    dn_dataset_free(&train);
    dn_dataset_free(&test);
    dn_dataset_free(&all);
    return status;
}
