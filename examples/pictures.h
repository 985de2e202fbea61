/* pictures.h: what the programs that redo a report draw. Each picture is a file of numbers
   NAME.tsv in the folder of the experiment, drawn by a script of plots/ as NAME.png and
   NAME.svg. Not part of the library. */
#ifndef PICTURES_H
#define PICTURES_H

#include "pca.h"
#include "tables.h"

static FILE *open_numbers(const experiment *e, const char *name) {
    char path[PATH];
    snprintf(path, sizeof path, "%s/%s.tsv", e->out, name);
    FILE *file = fopen(path, "w");
    if (!file) fail("the folder of --out cannot be written to");
    return file;
}

/* Draws NAME.tsv with a script of plots/, and shows it in the report. */
static inline void draw(experiment *e, const char *script, const char *name, const char *title,
                        const char *caption) {
    char command[4 * PATH];
    const char *const ends[] = {"png", "svg"};
    for (int i = 0; i < 2; i++) {
        snprintf(command, sizeof command,
                 "sh plots/gnuplot.sh -c plots/%s.gp \"%s/%s.tsv\" \"%s/%s.%s\" \"%s\" "
                 "2>>\"%s/gnuplot.log\"",
                 script, e->out, name, e->out, name, ends[i], title, e->out);
        if (system(command) != 0)
            fprintf(stderr, "(%s.%s was not drawn: see gnuplot.log)\n", name, ends[i]);
    }
    fprintf(e->report, "![%s](%s.png)\n\n", caption, name);
}

/* ---- Learning curves: a band of seeds for each of several settings. */

typedef struct curve {
    const char *title;
    setting what;
} curve;

enum { MAX_POINTS = 1100 };

/* Reads columns of numbers from a log; returns how many rows, at most MAX_POINTS. */
static inline size_t read_columns(const char *path, int columns, double *numbers) {
    char line[400];
    size_t rows = 0;
    FILE *file = fopen(path, "r");
    while (file && rows < MAX_POINTS && fgets(line, sizeof line, file)) {
        char *at = line, *end;
        int c = 0;
        if (line[0] == '#' || line[0] == 'e') continue; /* remarks; the head, "epoch..." */
        for (; c < columns; c++, at = end) {
            numbers[rows * (size_t)columns + (size_t)c] = strtod(at, &end);
            if (end == at) break;
        }
        rows += c == columns;
    }
    if (file) fclose(file);
    return rows;
}

/* A block of the figure: the title, then rows "x mean deviation mean deviation ...". */
static inline void put_band(experiment *e, FILE *file, const curve *one, const char *kind,
                            int columns) {
    const size_t width = (size_t)columns, size = MAX_POINTS * width;
    double *numbers = (double *)malloc(MAX_SEEDS * size * sizeof *numbers);
    size_t rows[MAX_SEEDS], longest = 0;
    const setting s = adapted(e, one->what);
    if (!numbers) fail("out of memory");
    for (int seed = 0; seed < MAX_SEEDS; seed++) {
        char path[PATH];
        file_of(e, kind, &s, seed + 1, ".tsv", path);
        rows[seed] = read_columns(path, columns, numbers + (size_t)seed * size);
        if (rows[seed] > longest) longest = rows[seed];
    }
    fprintf(file, "\"%s\"\n", one->title);
    for (size_t row = 0; row < longest; row++) {
        double values[MAX_SEEDS];
        for (size_t c = 0; c < width; c++) {
            int count = 0;
            for (int seed = 0; seed < MAX_SEEDS; seed++)
                if (row < rows[seed])
                    values[count++] = numbers[(size_t)seed * size + row * width + c];
            const summary of_seeds = summarize(values, count);
            if (c == 0) fprintf(file, "%g", of_seeds.mean);
            else fprintf(file, "\t%.6g\t%.6g", of_seeds.mean, of_seeds.deviation);
        }
        fputc('\n', file);
    }
    fprintf(file, "\n\n");
    free(numbers);
}

/* Loss on the left, accuracy on the right. */
static void show_curves(experiment *e, const char *name, const char *title, const char *caption,
                        const curve *curves, size_t count) {
    int runs = 0;
    for (size_t i = 0; i < count; i++)
        runs += summary_of_seeds(e, curves[i].what, e->seeds_of_figures, VALIDATION_ACCURACY).count;
    if (!e->report || runs == 0) return;
    FILE *file = open_numbers(e, name);
    for (size_t i = 0; i < count; i++) {
        put_band(e, file, &curves[i], "steps", 2);
        put_band(e, file, &curves[i], "log", 6);
    }
    fclose(file);
    draw(e, "bands", name, title, caption);
}

/* ---- A value table as a picture: accuracy against the hyperparameter, on a logarithmic axis;
   a 0 stands one step left of the smallest. */

static inline void draw_values(experiment *e, const value_table *t) {
    double smallest = (double)INFINITY;
    char title[100];
    if (!e->report) return;
    FILE *file = open_numbers(e, t->name);
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].x > 0 && t->rows[i].x < smallest) smallest = t->rows[i].x;
    fprintf(file, "label\tx\treported\tdescribed\tdeviation\tother\tdeviation\tcoded\tdeviation\n");
    for (size_t i = 0; i < t->count; i++) {
        const value_row *row = &t->rows[i];
        fprintf(file, "%s\t%g\t%g", row->label, log10(row->x > 0 ? row->x : smallest / 10),
                row->reported);
        fprintf(file, "\t%g\t%g\t%g\t%g\t%g\t%g\n", row->described.mean, row->described.deviation,
                row->other.count > 0 ? row->other.mean : (double)NAN, row->other.deviation,
                row->coded.mean, row->coded.deviation);
    }
    fclose(file);
    snprintf(title, sizeof title, "%s|%s", t->value, t->other ? t->other : "");
    draw(e, "values", t->name, title,
         "accuracy against the hyperparameter, with the deviation over seeds");
}

/* ---- Tiles of pixels: TSV rows "x y red green blue", and behind two empty lines the labels. */

enum { TILE = 28, GAP = 4, LABEL = 8, MAX_ACROSS = 4, MAX_TILES = 12 };

typedef struct tiles {
    size_t count, across;
    double pixels[MAX_TILES][TILE * TILE * 3]; /* red, green, blue from 0 to 1 */
    char labels[MAX_TILES][40];
} tiles;

/* A tile of 28 x 28 pixels with 3 colours, or with 1, a grey. */
static inline void put_tile(tiles *t, const double *pixels, size_t colours, const char *label) {
    for (size_t p = 0; p < TILE * TILE; p++)
        for (size_t c = 0; c < 3; c++)
            t->pixels[t->count][3 * p + c] = pixels[p * colours + c % colours];
    snprintf(t->labels[t->count++], sizeof t->labels[0], "%s", label);
}

static inline void save_tiles(const experiment *e, const tiles *t, const char *name) {
    const size_t down = (t->count + t->across - 1) / t->across;
    FILE *file = open_numbers(e, name);
    for (size_t y = 0; y < down * (TILE + LABEL); y++)
        for (size_t x = 0; x < t->across * (TILE + GAP); x++) {
            const size_t tile = y / (TILE + LABEL) * t->across + x / (TILE + GAP);
            const size_t row = y % (TILE + LABEL), column = x % (TILE + GAP);
            const bool inside = tile < t->count && row < TILE && column < TILE;
            fprintf(file, "%zu\t%zu", x, y);
            for (size_t c = 0; c < 3; c++)
                fprintf(file, "\t%d",
                        inside ? (int)(255 * t->pixels[tile][3 * (row * TILE + column) + c] + 0.5)
                               : 255);
            fputc('\n', file);
        }
    fprintf(file, "\n\n");
    for (size_t i = 0; i < t->count; i++)
        fprintf(file, "%zu\t%zu\t\"%s\"\n", i % t->across * (TILE + GAP) + TILE / 2,
                i / t->across * (TILE + LABEL) + TILE + 3, t->labels[i]);
    fclose(file);
}

/* The first 12 mistakes of a net, 3 x 4, and how many there are. */
static inline void show_mistakes(experiment *e, const char *name, const dn_net *net,
                                 const dn_dataset *data, const char *const *names,
                                 const char *caption) {
    dn_mistake mistakes[12];
    dn_error error = {{0}, DN_OK};
    size_t count = 0;
    dn_real inputs[TILE * TILE];
    double pixels[TILE * TILE];
    static tiles t;
    memset(&t, 0, sizeof t);
    must(dn_mistakes(net, data, mistakes, 12, &count, &error), &error);
    t.across = MAX_ACROSS;
    for (size_t i = 0; i < 12 && i < count; i++) {
        const dn_mistake *m = &mistakes[i];
        char label[40];
        const uint32_t sample = (uint32_t)m->sample;
        dn_dataset_gather(data, &sample, 0, 1, inputs);
        for (size_t p = 0; p < TILE * TILE; p++) pixels[p] = 1 - (double)inputs[p];
        if (names)
            snprintf(label, sizeof label, "%s: %s %.2f", names[m->label], names[m->predicted],
                     (double)m->probability);
        else
            snprintf(label, sizeof label, "%d: %d %.2f", (int)m->label, (int)m->predicted,
                     (double)m->probability);
        put_tile(&t, pixels, 1, label);
    }
    save_tiles(e, &t, name);
    say(e,
        "%s: %zu of %zu are mistaken; the first twelve, each with its true class, the predicted "
        "one, and how sure the net was.",
        caption, count, data->count);
    draw(e, "tiles", name, "true class: predicted, probability", caption);
}

/* The weights of the first layer [784, H] as 784 points, their scores along three principal
   components as red, green and blue: clipped to [-1, 1], mapped to [0, 1]. */
static inline void put_weights(tiles *t, const dn_net *net, const char *label) {
    const dn_matrix w = dn_net_weights(net, 0);
    double *x = (double *)malloc((w.rows * w.columns + 3 * w.rows) * sizeof *x);
    double variances[3];
    if (!x) fail("out of memory");
    double *scores = x + w.rows * w.columns;
    for (size_t i = 0; i < w.rows * w.columns; i++) x[i] = (double)w.data[i];
    if (!pca_scores(x, w.rows, w.columns, 3, scores, variances)) fail("out of memory");
    for (size_t i = 0; i < 3 * w.rows; i++)
        scores[i] = ((scores[i] < -1 ? -1 : scores[i] > 1 ? 1 : scores[i]) + 1) / 2;
    put_tile(t, scores, 3, label);
    free(x);
}

static inline void show_weights(experiment *e, const char *name, setting s, const char *caption) {
    static const char *const when[] = {"start", "1", "end"};
    static const char *const labels[] = {"before training", "after one epoch", "at the end"};
    static tiles t;
    memset(&t, 0, sizeof t);
    t.across = 3;
    for (int i = 0; i < 3; i++) {
        dn_net net;
        if (!kept_net(e, s, when[i], &net)) continue;
        put_weights(&t, &net, labels[i]);
        dn_net_free(&net);
    }
    if (t.count < 3) return;
    save_tiles(e, &t, name);
    draw(e, "tiles", name, "the three largest principal components as red, green and blue",
         caption);
}

/* ---- The confusion matrix: rows "true predicted count", names behind two empty lines. */

static inline void show_confusion(experiment *e, const char *name, const dn_net *net,
                                  const dn_dataset *data, const char *const *names,
                                  const char *caption) {
    size_t confusion[100], worst = 0;
    dn_error error = {{0}, DN_OK};
    must(dn_confusion(net, data, confusion, &error), &error);
    FILE *file = open_numbers(e, name);
    for (size_t i = 0; i < 100; i++) {
        fprintf(file, "%zu\t%zu\t%zu\n%s", i % 10, i / 10, confusion[i], i % 10 == 9 ? "\n" : "");
        if (i % 11 != 0 && (worst == 0 || confusion[i] > confusion[worst])) worst = i;
    }
    fprintf(file, "\n");
    for (size_t i = 0; i < 10; i++) {
        if (names) fprintf(file, "%zu\t\"%s\"\n", i, names[i]);
        else fprintf(file, "%zu\t\"%zu\"\n", i, i);
    }
    fclose(file);
    draw(e, "confusion", name, caption, caption);
    if (names)
        say(e, "The most frequent mistake: %s taken for %s, %zu times.", names[worst / 10],
            names[worst % 10], confusion[worst]);
    else
        say(e, "The most frequent mistake: %zu taken for %zu, %zu times.", worst / 10, worst % 10,
            confusion[worst]);
}

#endif
