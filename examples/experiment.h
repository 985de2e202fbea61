/* experiment.h: what the programs that redo a report share: options, settings, runs, results.
   Not part of the library.

   A program is a list of sections. Each is a function that asks for what it shows,

       const summary wide = summary_of(e, with_hidden(basic, 1000), VALIDATION_ACCURACY);

   and every section is called twice. The first time, `summary_of` notes which runs (a setting
   and a seed) it needs; then all of them are trained, except those whose results the folder
   --out already holds; the second time the sections see the results, and print. So nothing is
   trained twice, whoever asks for it, the time that is left is known from the start, and an
   interrupted program goes on where it was. tables.h prints, pictures.h draws. */
#ifndef EXPERIMENT_H
#define EXPERIMENT_H

#include "../densenet.h"
#include "options.h"
#include "progress.h"
#ifdef _WIN32
#include <direct.h>
#define make_folder(name) _mkdir(name)
#else
#include <sys/stat.h>
#define make_folder(name) mkdir(name, 0777)
#endif

/* ---- Settings: all that distinguishes one run from another, except its seed. */

typedef struct setting {
    const char *how;          /* "described", "coded", or what else the program knows */
    size_t hidden[3];         /* units of the hidden layers, 0: none */
    dn_activation activation; /* of the hidden layers */
    dn_loss loss;
    double rate, l1, l2, dropout;
    size_t epochs, samples; /* samples to train on */
} setting;

/* What a run leaves behind: a column of results.tsv each. */
#define EXPERIMENT_METRICS(ROW)                                                                    \
    ROW(TRAIN_ACCURACY, "train_accuracy") /* of the whole set, at the end */                       \
    ROW(VALIDATION_LOSS, "validation_loss")                                                        \
    ROW(VALIDATION_ACCURACY, "validation_accuracy")                                                \
    ROW(TEST_LOSS, "test_loss")                                                                    \
    ROW(TEST_ACCURACY, "test_accuracy")                                                            \
    ROW(BEST_EPOCH, "best_epoch") /* counted from 1 */                                             \
    ROW(SILENT, "silent")         /* share of the first layer's units that are 0 everywhere */     \
    ROW(ZEROS, "zeros")           /* share of the weights with |w| < 0.001 */                      \
    ROW(CHECKSUM, "checksum")     /* of the parameters, 32 bits */                                 \
    ROW(SECONDS, "seconds")

typedef enum metric {
#define METRIC(name, text) name,
    EXPERIMENT_METRICS(METRIC)
#undef METRIC
        METRICS
} metric;

enum { KEY = 160, PATH = 400, MAX_RUNS = 2000 };

typedef struct result {
    char key[KEY]; /* the setting and the seed, as the first columns of results.tsv */
    double values[METRICS];
} result;

typedef struct run {
    setting what;
    int seed;
    bool keep; /* the nets: at the start, after one epoch, at the end */
} run;

typedef struct experiment experiment;

typedef struct section {
    const char *name, *title;
    void (*show)(experiment *e);
} section;

enum { MAX_CELLS = 24, CELL = 48 };

struct experiment {
    const char *name, *title, *source; /* the program, the report, its author and year */
    const section *sections;
    /* Builds, trains and measures one net; it calls `train_and_measure`. */
    void (*train)(experiment *e, const setting *s, int seed, result *r);
    const char *data_folder, *only, *out;
    double effort; /* of its runs, against what `cost_of` says; 0: 1 */
    int seeds, seeds_of_figures;
    bool quick, only_train, described, coded;
    double minutes; /* start no run after so many */
    bool collecting, loaded;
    dn_dataset images, test; /* 60,000 and 10,000; with --quick views of a tenth */
    dn_dataset all_images, all_test;
    run *runs;
    size_t run_count, run_done;
    double cost, cost_done, started;
    result *results;
    size_t result_count;
    bool keep;              /* of the run that is being trained */
    dn_loading loading;     /* which activations of its own the program knows */
    FILE *report, *answers; /* report.md, and the verdicts in short: answers.md */
    int judged, within;     /* rows with a stated tolerance, and those that are within */
    char cells[MAX_CELLS + 2][MAX_CELLS][CELL];
    size_t rows, columns;
};

static void fail(const char *what) {
    fprintf(stderr, "\n%s\n", what);
    exit(1);
}

static void must(dn_status status, const dn_error *error) {
    if (status != DN_OK) fail(error->message);
}

static const char *loss_name(dn_loss loss) {
    static const char *const names[] = {"default", "cross-entropy", "binary", "squared"};
    return names[loss];
}

static const char *activation_name(dn_activation activation) {
    dn_layer layer;
    memset(&layer, 0, sizeof layer);
    layer.activation = activation;
    return dn_activation_name(&layer);
}

/* "256-64", or "none". */
static const char *hidden_name(const setting *s, char text[40]) {
    size_t used = 0;
    snprintf(text, 40, "none");
    for (int l = 0; l < 3 && s->hidden[l] > 0; l++)
        used += (size_t)snprintf(text + used, 40 - used, l > 0 ? "-%zu" : "%zu", s->hidden[l]);
    return text;
}

/* --quick trains on a tenth of the samples, once over. */
static setting adapted(const experiment *e, setting s) {
    if (e->quick) {
        s.samples /= 10;
        s.epochs = 1;
    }
    return s;
}

static const char *const key_columns =
    "how\thidden\tactivation\tloss\trate\tl1\tl2\tdropout\tepochs\tsamples\tseed";

static void key_of(const setting *s, int seed, char key[KEY]) {
    char hidden[40];
    snprintf(key, KEY, "%s\t%s\t%s\t%s\t%.6g\t%g\t%g\t%g\t%zu\t%zu\t%d", s->how,
             hidden_name(s, hidden), activation_name(s->activation), loss_name(s->loss), s->rate,
             s->l1, s->l2, s->dropout, s->epochs, s->samples, seed);
}

/* A file of the run in the folder of the experiment: "log-KEY.tsv", "net-KEY-2.safetensors". */
static void file_of(const experiment *e, const char *kind, const setting *s, int seed,
                    const char *end, char path[PATH]) {
    char key[KEY];
    key_of(s, seed, key);
    for (char *c = key; *c; c++)
        if (*c == '\t') *c = '_';
    snprintf(path, PATH, "%s/%s-%s%s", e->out, kind, key, end);
}

/* Double precision has results of its own. */
static const char *const results_name = sizeof(dn_real) == 8 ? "results-double.tsv" : "results.tsv";

/* A file of the whole experiment: "results.tsv". */
static void path_in(const char *folder, const char *name, char path[PATH]) {
    if (strlen(folder) + strlen(name) + 2 > PATH) fail("the name of the folder is too long");
    strcpy(path, folder);
    strcat(path, "/");
    strcat(path, name);
}

static bool exists(const char *path) {
    FILE *file = fopen(path, "rb");
    if (file) fclose(file);
    return file != NULL;
}

/* ---- Results: a row is appended when its run is done. */

static const result *find_result(const experiment *e, const char *key) {
    for (size_t i = 0; i < e->result_count; i++)
        if (strcmp(e->results[i].key, key) == 0) return &e->results[i];
    return NULL;
}

/* Splits one line of results.tsv; false if it is not whole. */
static bool read_result(char *line, result *r) {
    char *at = line;
    int columns = 1;
    for (const char *c = key_columns; *c; c++) columns += *c == '\t';
    for (; columns > 0 && at; columns--) at = strchr(at + (at > line), '\t');
    if (!at || at - line >= KEY || !strchr(line, '\n')) return false;
    memcpy(r->key, line, (size_t)(at - line));
    r->key[at - line] = '\0';
    for (int m = 0; m < METRICS; m++) {
        char *end;
        r->values[m] = strtod(at, &end);
        if (end == at) return false;
        at = end;
    }
    return *at == '\n' || *at == '\r';
}

static void load_results(experiment *e) {
    char path[PATH], line[600];
    long good = 0;
    path_in(e->out, results_name, path);
    e->results = (result *)calloc(MAX_RUNS, sizeof *e->results);
    if (!e->results) fail("out of memory");
    FILE *file = fopen(path, "r");
    while (file && e->result_count < MAX_RUNS && fgets(line, sizeof line, file)) {
        if (strncmp(line, "how\t", 4) != 0 && read_result(line, &e->results[e->result_count]))
            e->result_count++;
        good = strchr(line, '\n') ? 1 : 2;
    }
    if (file) fclose(file);
    file = fopen(path, "a");
    if (!file) fail("the folder of --out cannot be written to");
    if (good == 0) {
        fprintf(file, "%s", key_columns);
#define METRIC(name, text) fprintf(file, "\t%s", text);
        EXPERIMENT_METRICS(METRIC)
#undef METRIC
    }
    if (good != 1) fprintf(file, "\n"); /* ends the header, or a line that was cut off */
    fclose(file);
}

static void append_result(experiment *e, const result *r) {
    char path[PATH];
    path_in(e->out, results_name, path);
    if (e->result_count < MAX_RUNS) e->results[e->result_count++] = *r;
    FILE *file = fopen(path, "a");
    if (!file) fail("results.tsv cannot be written");
    fputs(r->key, file);
    for (int m = 0; m < METRICS; m++) fprintf(file, "\t%.17g", r->values[m]); /* every bit */
    fputc('\n', file);
    if (fclose(file) != 0) fail("results.tsv cannot be written");
}

/* How much work a run is, in multiplications, roughly: for the time that is left. */
static double cost_of(const experiment *e, const setting *s) {
    double weights = 0, inputs = 784;
    for (int l = 0; l < 3 && s->hidden[l] > 0; inputs = (double)s->hidden[l++])
        weights += inputs * (double)s->hidden[l];
    return (weights + inputs * 10 + 20000) * (double)s->epochs * (double)s->samples *
           (e->effort > 0 ? e->effort : 1);
}

/* ---- Asking for runs. */

static bool nets_are_kept(const experiment *e, const setting *s, int seed) {
    char path[PATH];
    file_of(e, "net", s, seed, "-end.safetensors", path);
    return exists(path);
}

static void want(experiment *e, const setting *s, int seed, bool keep) {
    char key[KEY], other[KEY];
    key_of(s, seed, key);
    if (find_result(e, key) && (!keep || nets_are_kept(e, s, seed))) return;
    for (size_t i = 0; i < e->run_count; i++) {
        key_of(&e->runs[i].what, e->runs[i].seed, other);
        if (strcmp(key, other) != 0) continue;
        e->runs[i].keep = e->runs[i].keep || keep;
        return;
    }
    if (e->run_count == MAX_RUNS) fail("too many runs");
    run *new_run = &e->runs[e->run_count++];
    new_run->what = *s;
    new_run->seed = seed;
    new_run->keep = keep;
}

/* Mean and deviation of a metric over the seeds; count is 0 when there is none (yet). */
typedef struct summary {
    int count, collapsed; /* collapsed: how many are no better than guessing (0.25) */
    double mean, deviation;
} summary;

static summary summarize(const double *values, int count) {
    summary s = {0, 0, 0, 0};
    double square = 0;
    s.count = count;
    for (int i = 0; i < count; i++) s.mean += values[i] / count;
    for (int i = 0; i < count; i++) {
        square += (values[i] - s.mean) * (values[i] - s.mean);
        s.collapsed += values[i] <= 0.25;
    }
    s.deviation = count > 1 ? sqrt(square / (count - 1)) : 0;
    if (count == 0) s.mean = (double)NAN;
    return s;
}

static bool is_coded(const setting *s) {
    return strcmp(s->how, "coded") == 0;
}

/* Is this side of the comparison wanted (--as-coded, --as-described)? */
static bool is_wanted(const experiment *e, const setting *s) {
    return is_coded(s) ? e->coded : e->described;
}

enum { MAX_SEEDS = 20 };

/* The metric of every seed that has been run, in order; how many. */
static int values_of(experiment *e, setting s, int seeds, metric m, double values[MAX_SEEDS]) {
    int count = 0;
    char key[KEY];
    s = adapted(e, s);
    for (int seed = 1; seed <= MAX_SEEDS; seed++) {
        if (e->collecting && seed <= seeds && is_wanted(e, &s)) want(e, &s, seed, false);
        key_of(&s, seed, key);
        const result *r = e->collecting ? NULL : find_result(e, key);
        /* The training accuracy is measured only of nets that are kept. */
        const bool is_measured = r && r->values[m] == r->values[m]; /* not NaN */
        if (r && (m != TRAIN_ACCURACY || is_measured)) values[count++] = r->values[m];
    }
    return count;
}

/* The result of one seed, or NULL. */
static inline const result *result_of(const experiment *e, setting s, int seed) {
    char key[KEY];
    s = adapted(e, s);
    key_of(&s, seed, key);
    return find_result(e, key);
}

static summary summary_of_seeds(experiment *e, setting s, int seeds, metric m) {
    double values[MAX_SEEDS];
    const int count = values_of(e, s, seeds, m, values);
    summary of = summarize(values, count);
    if (m != TRAIN_ACCURACY && m != VALIDATION_ACCURACY && m != TEST_ACCURACY) of.collapsed = 0;
    return of;
}

static summary summary_of(experiment *e, setting s, metric m) {
    return summary_of_seeds(e, s, e->seeds, m);
}

/* ---- Data. */

static void load_data(experiment *e) {
    char images[PATH], labels[PATH];
    dn_error error = {{0}, DN_OK};
    if (e->loaded) return;
    for (int i = 0; i < 2; i++) {
        snprintf(images, PATH, "%s/%s-images-idx3-ubyte", e->data_folder, i ? "t10k" : "train");
        snprintf(labels, PATH, "%s/%s-labels-idx1-ubyte", e->data_folder, i ? "t10k" : "train");
        if (dn_dataset_load(i ? &e->all_test : &e->all_images, images, labels, &error) != DN_OK) {
            fprintf(stderr, "('make data' gets the data)\n");
            fail(error.message);
        }
    }
    const size_t share = e->quick ? 10 : 1;
    must(dn_dataset_range(&e->all_images, 0, e->all_images.count / share, &e->images, &error),
         &error);
    must(dn_dataset_range(&e->all_test, 0, e->all_test.count / share, &e->test, &error), &error);
    e->loaded = true;
}

static inline dn_dataset range_of(const dn_dataset *whole, size_t first, size_t count) {
    dn_error error = {{0}, DN_OK};
    dn_dataset view;
    must(dn_dataset_range(whole, first, count, &view, &error), &error);
    return view;
}

/* The kept net of seed 1: at the "start", after epoch "1", or at the "end". False while
   collecting, or when there is none. */
static bool kept_net(experiment *e, setting s, const char *when, dn_net *net) {
    char path[PATH], end[40];
    dn_error error = {{0}, DN_OK};
    s = adapted(e, s);
    if (e->collecting && is_wanted(e, &s)) want(e, &s, 1, true);
    snprintf(end, sizeof end, "-%s.safetensors", when);
    file_of(e, "net", &s, 1, end, path);
    memset(net, 0, sizeof *net);
    if (e->collecting || !exists(path)) return false;
    load_data(e);
    must(dn_net_load_as(net, path, &e->loading, &error), &error);
    return true;
}

/* ---- One run: training with a log and a line of progress, then measuring. */

static void show_run(const experiment *e, const char *key, size_t epoch, size_t epochs,
                     double accuracy, double share, bool last) {
    const double now = wall_seconds(), done = e->cost_done + share * (e->cost - e->cost_done);
    const double left = done > 0 ? (now - e->started) * (e->cost - done) / done : 0;
    char line[KEY];
    size_t used = 0;
    for (int column = 0; *key && used < sizeof line - 1; key++) {
        column += *key == '\t';
        line[used++] = *key == '\t' ? ' ' : *key;
        if (column < 0) break;
    }
    line[used] = '\0';
    if (output_is_terminal()) printf("\r%119s\r", "");
    else if (!last) return;
    printf("%3zu/%zu  %s  epoch %zu/%zu  %.2f %%  %.0f %s left", e->run_done + last, e->run_count,
           line, epoch, epochs, 100 * accuracy, left < 100 ? left : left / 60,
           left < 100 ? "s" : "min");
    if (last) printf("\n");
    fflush(stdout);
}

static double share_of_zeros(const dn_net *net) {
    double zeros = 0, all = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_matrix w = dn_net_weights(net, l);
        for (size_t i = 0; i < w.rows * w.columns; i++) zeros += fabs((double)w.data[i]) < 1e-3;
        all += (double)(w.rows * w.columns);
    }
    return zeros / all;
}

/* The share of the first hidden layer's units that give 0 for all of up to 1000 samples. */
static double share_of_silent(const dn_net *net, const dn_dataset *data) {
    enum { SAMPLES = 1000 };
    const size_t count = data->count < SAMPLES ? data->count : SAMPLES,
                 units = net->layers[0].outputs;
    dn_real *inputs = (dn_real *)malloc(count * net->inputs * sizeof *inputs);
    dn_workspace workspace;
    dn_error error = {{0}, DN_OK};
    size_t silent = 0;
    must(dn_workspace_init(&workspace, net, count, &error), &error);
    if (!inputs) fail("out of memory");
    dn_dataset_gather(data, NULL, 0, count, inputs);
    dn_forward(net, &workspace, inputs, count, NULL);
    for (size_t u = 0; u < units; u++) {
        size_t b = 0;
        while (b < count && workspace.a[0][b * units + u] == 0) b++;
        silent += b == count;
    }
    dn_workspace_free(&workspace);
    free(inputs);
    return (double)silent / (double)units;
}

/* FNV-1a over the bytes of the parameters (Fowler, Noll, Vo). */
static double checksum_of(const dn_net *net) {
    const unsigned char *bytes = (const unsigned char *)net->parameters;
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < net->parameter_count * sizeof(dn_real); i++)
        hash = (hash ^ bytes[i]) * 16777619u;
    return (double)hash;
}

static void keep_net(const experiment *e, const setting *s, int seed, const dn_net *net,
                     const char *end) {
    char path[PATH];
    dn_error error = {{0}, DN_OK};
    if (!e->keep) return;
    file_of(e, "net", s, seed, end, path);
    must(dn_net_save(net, path, &error), &error);
}

/* What is measured on a net that has been trained; `r->key` is there already. */
static void measure(const dn_net *net, const dn_dataset *train, const dn_dataset *validation,
                    const dn_dataset *test, bool of_train, result *r) {
    const dn_evaluation seen = dn_evaluate(net, validation), new_ones = dn_evaluate(net, test);
    r->values[TRAIN_ACCURACY] = of_train ? dn_evaluate(net, train).accuracy : (double)NAN;
    r->values[VALIDATION_LOSS] = seen.loss;
    r->values[VALIDATION_ACCURACY] = seen.accuracy;
    r->values[TEST_LOSS] = new_ones.loss;
    r->values[TEST_ACCURACY] = new_ones.accuracy;
    r->values[SILENT] = share_of_silent(net, validation);
    r->values[ZEROS] = share_of_zeros(net);
    r->values[CHECKSUM] = checksum_of(net);
}

/* The training loss of each tenth of an epoch, for the curves. */
typedef struct steps {
    FILE *file;
    double sum; /* of the running epoch at the last tenth */
    size_t position;
} steps;

static void log_step(steps *log, const dn_trainer *t) {
    const size_t tenth = t->batches / 10 ? t->batches / 10 : 1;
    const bool at_end = t->position == 0; /* of an epoch: the sum is in t->last, per sample */
    if (!at_end && t->position % tenth != 0) return;
    const size_t position = at_end ? t->batches : t->position;
    const double samples = (double)((position - log->position) * t->how.batch);
    if (position > log->position)
        fprintf(log->file, "%.4f\t%.9g\n",
                (double)(t->epoch - at_end) + (double)position / (double)t->batches,
                (t->loss_sum - log->sum) / samples);
    log->sum = at_end ? 0 : t->loss_sum;
    log->position = at_end ? 0 : position;
}

/* Trains as `how` says, calling `after_step` (may be NULL) after every step, and measures. */
static void train_and_measure(experiment *e, const setting *s, int seed, dn_net *net,
                              const dn_dataset *train, const dn_dataset *validation,
                              const dn_dataset *test, dn_training how,
                              void (*after_step)(dn_trainer *t, const setting *s), result *r) {
    dn_trainer trainer;
    dn_error error = {{0}, DN_OK};
    steps log = {NULL, 0, 0};
    char path[PATH];
    must(net->error.status, &net->error);
    how.epochs = s->epochs;
    how.ignore_divergence = true; /* a collapse is a result */
    must(dn_trainer_init(&trainer, net, train, validation, &how, &error), &error);
    file_of(e, "steps", s, seed, ".tsv", path);
    log.file = fopen(path, "w");
    if (!log.file) fail("the folder of --out cannot be written to");
    fprintf(log.file, "epoch\ttrain_loss\n");
    keep_net(e, s, seed, net, "-start.safetensors");
    while (dn_trainer_step(&trainer)) {
        if (after_step) after_step(&trainer, s);
        log_step(&log, &trainer);
        if (trainer.position != 0) continue;
        show_run(e, r->key, trainer.epoch, s->epochs, trainer.last.validation_accuracy,
                 cost_of(e, s) * (double)trainer.epoch / (double)s->epochs /
                     (e->cost - e->cost_done + 1),
                 false);
        if (trainer.epoch == 1) keep_net(e, s, seed, net, "-1.safetensors");
    }
    fclose(log.file);
    r->values[BEST_EPOCH] = (double)trainer.best_epoch;
    file_of(e, "log", s, seed, ".tsv", path);
    must(dn_history_save(&trainer.history, path, r->key, &error), &error);
    dn_trainer_free(&trainer);
    measure(net, train, validation, test, e->keep, r);
    keep_net(e, s, seed, net, "-end.safetensors");
}

/* ---- The program. */

static void execute_runs(experiment *e) {
    double spent = 0;
    for (size_t i = 0; i < e->run_count; i++) e->cost += cost_of(e, &e->runs[i].what);
    e->started = wall_seconds();
    for (int seed = 1; seed <= MAX_SEEDS;
         seed++) { /* all of seed 1 first: a table soon has all its rows */
        for (size_t i = 0; i < e->run_count; i++) {
            const run *next = &e->runs[i];
            if (next->seed != seed) continue;
            if (wall_seconds() - e->started >= 60 * e->minutes) {
                printf("%zu runs are missing\n\n", e->run_count - e->run_done);
                return;
            }
            result r;
            const clock_t start = clock(); /* of the processor: other work does not count */
            memset(&r, 0, sizeof r);
            key_of(&next->what, seed, r.key);
            e->keep = next->keep;
            load_data(e);
            e->train(e, &next->what, seed, &r);
            r.values[SECONDS] = (double)(clock() - start) / CLOCKS_PER_SEC;
            append_result(e, &r);
            e->cost_done += cost_of(e, &next->what);
            show_run(e, r.key, next->what.epochs, next->what.epochs, r.values[VALIDATION_ACCURACY],
                     0, true);
            e->run_done++;
            spent += r.values[SECONDS];
        }
    }
    if (e->run_count > 0)
        printf("%zu runs in %.1f minutes of one core\n\n", e->run_count, spent / 60);
}

static void print_help(const experiment *e) {
    printf("usage: %s [options]\n\nRedoes \"%s\" (%s).\n\n"
           "  --only SECTION   one section alone:\n",
           e->name, e->title, e->source);
    for (const section *s = e->sections; s->name; s++)
        printf("                     %-14s %s\n", s->name, s->title);
    printf("  --seeds N        runs per row of a table (default 5) and per curve of a figure\n"
           "                   (default 1)\n"
           "  --as-described   only the right mathematics with the report's numbers\n"
           "  --as-coded       only what the report's own program did\n"
           "  --quick          a tenth of the data, one epoch, one seed\n"
           "  --minutes N      start no new run after N minutes (0: show what is there)\n"
           "  --train          train what is missing, print no tables\n"
           "  --data DIR       the four IDX files (default %s)\n"
           "  --out DIR        results.tsv, logs, tables, pictures (default build/reports/%s);\n"
           "                   a run that results.tsv has is not made again\n"
           "  --help           this text\n",
           e->data_folder, e->name);
}

static void make_folders(char *path) {
    for (char *c = path + 1; *c; c++) {
        if (*c != '/') continue;
        *c = '\0';
        make_folder(path);
        *c = '/';
    }
    make_folder(path);
}

static int wrong_option(const experiment *e, const char *what, const char *word) {
    fprintf(stderr, "%s: %s '%s' (--help lists all options)\n", e->name, what, word);
    return 2;
}

/* 0 when the options are right, -1 after --help, else the exit status. */
static int read_options(experiment *e, int count, char **words) {
    for (int i = 1; i < count; i++) {
        const char *option = words[i];
        if (strcmp(option, "--help") == 0) return print_help(e), -1;
        else if (strcmp(option, "--quick") == 0) e->quick = true;
        else if (strcmp(option, "--train") == 0) e->only_train = true;
        else if (strcmp(option, "--as-coded") == 0) e->described = false;
        else if (strcmp(option, "--as-described") == 0) e->coded = false;
        else if (option[0] != '-' || option[1] != '-')
            return wrong_option(e, "there is no option", option);
        else if (i + 1 == count)
            return wrong_option(e, "a value is missing behind, or there is no", option);
        else if (strcmp(option, "--only") == 0) e->only = words[++i];
        else if (strcmp(option, "--out") == 0) e->out = words[++i];
        else if (strcmp(option, "--data") == 0) e->data_folder = words[++i];
        else if (strcmp(option, "--minutes") == 0) {
            char *end;
            e->minutes = strtod(words[++i], &end);
            if (end == words[i] || *end || !(e->minutes >= 0))
                return wrong_option(e, "--minutes takes a number, not", words[i]);
        } else if (strcmp(option, "--seeds") == 0) {
            size_t seeds;
            if (!read_size(words[++i], 1, &seeds) || seeds > MAX_SEEDS)
                return wrong_option(e, "--seeds takes 1 to 20, not", words[i]);
            e->seeds = e->seeds_of_figures = (int)seeds;
        } else return wrong_option(e, "there is no option", option);
    }
    if (!e->described && !e->coded) e->described = e->coded = true;
    if (e->quick) e->seeds = e->seeds_of_figures = 1;
    const section *s = e->sections;
    while (e->only && s->name && strcmp(s->name, e->only) != 0) s++;
    return s->name ? 0 : wrong_option(e, "there is no section", e->only);
}

static void call_sections(experiment *e) {
    for (const section *s = e->sections; s->name; s++) {
        if (e->only && strcmp(e->only, s->name) != 0) continue;
        if (e->report) {
            printf("### %s\n\n", s->title);
            fprintf(e->report, "### %s\n\n", s->title);
        }
        s->show(e);
    }
}

/* Shows every section on the terminal and in report.md, its verdicts in answers.md. */
static void print_report(experiment *e) {
    char path[PATH];
    path_in(e->out, "report.md", path);
    e->report = fopen(path, "w");
    if (!e->report) fail("report.md cannot be written");
    fprintf(e->report, "## %s\n\n%s%s\n\n", e->title, e->source,
            e->quick ? "\n\nA quick test on a tenth of the data: no number here can be compared."
                     : "");
    path_in(e->out, "answers.md", path);
    e->answers = fopen(path, "w");
    if (!e->answers) fail("answers.md cannot be written");
    call_sections(e);
    fprintf(e->answers, "within tolerance: %d of %d\n", e->within, e->judged);
    if (ferror(e->report) | fclose(e->report) | ferror(e->answers) | fclose(e->answers))
        fail("report.md or answers.md cannot be written");
    path_in(e->out, "report.md", path);
    printf("tables: %s\n", path);
}

static int experiment_main(experiment *e, int count, char **words) {
    static char folder[PATH];
    e->seeds = 5;
    e->seeds_of_figures = 1;
    e->minutes = (double)INFINITY;
    e->described = e->coded = true;
    const int status = read_options(e, count, words);
    if (status != 0) return status < 0 ? 0 : status;
    if (e->out) snprintf(folder, sizeof folder, "%s", e->out);
    else snprintf(folder, sizeof folder, "build/reports/%s%s", e->name, e->quick ? "-quick" : "");
    make_folders(folder);
    e->out = folder;
    load_results(e);
    e->runs = (run *)calloc(MAX_RUNS, sizeof *e->runs);
    if (!e->runs) fail("out of memory");

    e->collecting = true;
    call_sections(e);
    e->collecting = false;
    execute_runs(e);
    if (!e->only_train) print_report(e);
    dn_dataset_free(&e->all_images);
    dn_dataset_free(&e->all_test);
    free(e->results);
    free(e->runs);
    return 0;
}

#endif
