/* tables.h: what the programs that redo a report print, on the screen and in report.md:
   tables, sentences, verdicts. Not part of the library. */
#ifndef TABLES_H
#define TABLES_H

#include "experiment.h"
#include <stdarg.h>

#define PLUS_MINUS "\xc2\xb1"

#if defined(__GNUC__)
#define TEXT_LIKE_PRINTF __attribute__((format(printf, 2, 3)))
#else
#define TEXT_LIKE_PRINTF
#endif

/* A paragraph, broken into lines of at most 96 columns. Nothing while runs are collected. */
TEXT_LIKE_PRINTF static void say(experiment *e, const char *format, ...) {
    char text[3000];
    va_list arguments;
    if (!e->report) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char *line = text, *blank = NULL;
    for (char *c = text; *c; c++) {
        if (*c == ' ') blank = c;
        if (c - line >= 96 && blank) {
            *blank = '\n';
            line = blank + 1;
            blank = NULL;
        }
    }
    printf("%s\n\n", text);
    fprintf(e->report, "%s\n\n", text);
}

/* Text in a fixed width, as it is. */
static inline void say_as_it_is(experiment *e, const char *text) {
    if (!e->report) return;
    printf("%s\n", text);
    fprintf(e->report, "```\n%s```\n\n", text);
}

/* ---- Tables of cells: the first row is the head. */

TEXT_LIKE_PRINTF static void cell(experiment *e, const char *format, ...) {
    va_list arguments;
    if (!e->report || e->rows > MAX_CELLS || e->columns == MAX_CELLS) return;
    va_start(arguments, format);
    vsnprintf(e->cells[e->rows][e->columns++], CELL, format, arguments);
    va_end(arguments);
}

static inline void end_row(experiment *e) {
    while (e->report && e->columns < MAX_CELLS) e->cells[e->rows][e->columns++][0] = '\0';
    e->columns = 0;
    if (e->report && e->rows <= MAX_CELLS) e->rows++;
}

/* The head of a table: its columns, with '|' between them. */
static inline void head(experiment *e, const char *columns) {
    for (size_t length; *columns; columns += length + (columns[length] == '|')) {
        length = strcspn(columns, "|");
        cell(e, "%.*s", (int)length, columns);
    }
    end_row(e);
}

/* Columns on the screen: the bytes that do not go on with a character in UTF-8. */
static inline size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text; text++) width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static inline void put_row(FILE *file, char row[MAX_CELLS][CELL], const size_t *widths) {
    for (size_t c = 0; widths[c] > 0; c++) {
        const int blanks = (int)(widths[c] - width_of(row[c]));
        if (c == 0) fprintf(file, "| %s%*s |", row[c], blanks, "");
        else fprintf(file, " %*s%s |", blanks, "", row[c]);
    }
    fputc('\n', file);
}

/* Prints the table, aligned, and forgets it. Columns without a head are left out. */
static inline void end_table(experiment *e) {
    size_t widths[MAX_CELLS + 1] = {0};
    if (!e->report) return;
    for (size_t c = 0; c < MAX_CELLS && e->cells[0][c][0]; c++)
        for (size_t r = 0; r < e->rows; r++)
            if (width_of(e->cells[r][c]) > widths[c]) widths[c] = width_of(e->cells[r][c]);
    for (int out = 0; out < 2; out++) {
        FILE *file = out ? e->report : stdout;
        for (size_t r = 0; r < e->rows; r++) {
            put_row(file, e->cells[r], widths);
            for (size_t c = 0; r == 0 && widths[c] > 0; c++) {
                fprintf(file, c == 0 ? "|" : "");
                for (size_t i = 0; i < widths[c] + 2; i++)
                    fputc(c > 0 && i == widths[c] + 1 ? ':' : '-', file);
                fputc('|', file);
            }
            if (r == 0) fputc('\n', file);
        }
        fputc('\n', file);
    }
    e->rows = 0;
}

static inline bool collapses_at_times(summary s) {
    return s.collapsed > 0 && s.collapsed < s.count;
}

/* "0.9825 +- 0.0004 (5)": mean, deviation, runs; "(5, 1 collapsed)" if some did; "0.9825" from
   one run; or "-" when there is nothing. */
static inline const char *number_text(char text[CELL], summary s) {
    if (s.count == 0) snprintf(text, CELL, "-");
    else if (s.mean != s.mean) snprintf(text, CELL, "diverged");
    else if (s.count == 1) snprintf(text, CELL, "%.4f", s.mean);
    else if (collapses_at_times(s) &&
             snprintf(text, CELL, "%.4f " PLUS_MINUS " %.4f (%d, %d collapsed)", s.mean,
                      s.deviation, s.count, s.collapsed) < CELL)
        return text;
    else snprintf(text, CELL, "%.4f " PLUS_MINUS " %.4f (%d)", s.mean, s.deviation, s.count);
    return text;
}

static inline void cell_of(experiment *e, summary s) {
    char text[CELL];
    cell(e, "%s", number_text(text, s));
}

/* ---- Is it what was reported? */

typedef struct range {
    double low, high; /* NaN: no tolerance is stated */
} range;

static inline range within(double value, double tolerance) {
    range r;
    r.low = value - tolerance;
    r.high = value + tolerance;
    return r;
}

static inline range between(double low, double high) {
    range r;
    r.low = low;
    r.high = high;
    return r;
}

static inline range collapse(void) {
    return between(0, 0.25);
} /* on most seeds */
static inline range no_range(void) {
    return between((double)NAN, (double)NAN);
}

/* Counts the row, and says whether it is within its tolerance. */
static inline const char *verdict(experiment *e, bool within_it, const char *yes) {
    if (e->report) e->judged++, e->within += within_it;
    return within_it ? yes : "no";
}

static inline const char *judgement(experiment *e, summary s, range r) {
    if (s.count == 0) return "-";
    if (r.low != r.low) return "(edge)";
    if (r.low == 0) return verdict(e, 2 * s.collapsed > s.count, "yes, collapsed");
    return verdict(e, s.mean >= r.low - 1e-9 && s.mean <= r.high + 1e-9, "yes");
}

/* ---- A table of one metric against one hyperparameter: reported, as described, as coded,
   and where the report needs it, a third setting of ours. */

typedef struct value_row {
    char label[20];
    double x, reported;
    range allowed; /* for the value as coded */
    summary described, other, coded;
} value_row;

typedef struct value_table {
    const char *name, *value, *other; /* file, what varies, title of the third column or NULL */
    metric what;
    value_row rows[MAX_CELLS];
    size_t count;
} value_table;

static inline value_table value_table_of(const char *name, const char *value, metric what,
                                         const char *other) {
    value_table t;
    memset(&t, 0, sizeof t);
    t.name = name;
    t.value = value;
    t.what = what;
    t.other = other;
    return t;
}

static inline setting with_how(setting s, const char *how) {
    s.how = how;
    return s;
}

/* A row; `described` may be without a name (how == NULL), then that column stays empty. */
static inline value_row *add_row(experiment *e, value_table *t, double x, double reported,
                                 range allowed, setting described, setting other, setting coded) {
    value_row *row = &t->rows[t->count++];
    snprintf(row->label, sizeof row->label, "%g", x);
    row->x = x;
    row->reported = reported;
    row->allowed = allowed;
    if (described.how) row->described = summary_of(e, described, t->what);
    if (t->other) row->other = summary_of(e, other, t->what);
    row->coded = summary_of(e, coded, t->what);
    return row;
}

static inline void show_values(experiment *e, const value_table *t, const char *measured_on) {
    if (!e->report) return;
    cell(e, "%s", t->value);
    cell(e, "reported");
    cell(e, "as described");
    if (t->other) cell(e, "%s", t->other);
    head(e, "as coded|as coded within tolerance?");
    for (size_t i = 0; i < t->count; i++) {
        const value_row *row = &t->rows[i];
        cell(e, "%s", row->label);
        cell(e, row->reported == row->reported ? "%.4f" : "-", row->reported);
        cell_of(e, row->described);
        if (t->other) cell_of(e, row->other);
        cell_of(e, row->coded);
        cell(e, "%s", judgement(e, row->coded, row->allowed));
        end_row(e);
    }
    end_table(e);
    say(e, "%s. Mean " PLUS_MINUS " deviation (over so many seeds); without brackets: one.",
        measured_on);
}

/* ---- Verdicts, computed. */

/* The difference a - b with its standard error; "real" when it exceeds both twice that error
   and the deviation of a single seed. */
typedef struct difference {
    double value, error, spread;
    bool known, real;
} difference;

static inline difference difference_of(summary a, summary b) {
    difference d = {0, 0, 0, false, false};
    if (a.count == 0 || b.count == 0) return d;
    const double va = a.deviation * a.deviation, vb = b.deviation * b.deviation;
    d.value = a.mean - b.mean;
    d.error = sqrt(va / a.count + vb / b.count);
    d.spread = sqrt((va + vb) / 2);
    d.known = a.count > 1 && b.count > 1;
    d.real = d.known && fabs(d.value) > 2 * d.error && fabs(d.value) > d.spread;
    return d;
}

/* "A 0.9843, B 0.9836: a difference of +0.0007 +- 0.0004, within what seeds do (0.0009)." */
static inline const char *comparison(char text[400], const char *a_name, summary a,
                                     const char *b_name, summary b) {
    const difference d = difference_of(a, b);
    char collapsed[60] = "";
    if (collapses_at_times(a) || collapses_at_times(b))
        snprintf(collapsed, sizeof collapsed, " (Collapsed: %d of %d, and %d of %d.)", a.collapsed,
                 a.count, b.collapsed, b.count);
    if (a.count == 0 || b.count == 0)
        snprintf(text, 400, "%s against %s: not run.", a_name, b_name);
    else if (!d.known)
        snprintf(text, 400, "%s %.4f, %s %.4f: a difference of %+.4f, from one seed alone.", a_name,
                 a.mean, b_name, b.mean, d.value);
    else
        snprintf(text, 400,
                 "%s %.4f, %s %.4f: a difference of %+.4f " PLUS_MINUS " %.4f, %s (%.4f).%s", a_name,
                 a.mean, b_name, b.mean, d.value, d.error,
                 d.real                     ? "larger than the seeds' spread"
                 : fabs(d.value) > d.spread ? "hardly more than the seeds' spread"
                                            : "within the seeds' spread",
                 d.spread, collapsed);
    return text;
}

/* "a is better than b" in a few words. */
static inline const char *in_short(char text[120], difference d) {
    if (!d.known) snprintf(text, 120, "%+.4f, from one run", d.value);
    else
        snprintf(text, 120, "%s: %+.4f " PLUS_MINUS " %.4f",
                 !d.real       ? "no difference"
                 : d.value > 0 ? "yes"
                               : "no, worse",
                 d.value, d.error);
    return text;
}

/* A row of the list of verdicts: the question, and two short answers. */
static inline void answer_with(experiment *e, const char *question, const char *described,
                               const char *as_coded) {
    if (e->answers) fprintf(e->answers, "| %s | %s | %s |\n", question, described, as_coded);
}

static inline bool have_collapsed(summary a, summary b) {
    return a.count > 0 && b.count > 0 && a.mean <= 0.25 && b.mean <= 0.25;
}

/* Of two accuracies. */
static inline const char *short_answer(char text[120], summary a, summary b) {
    if (a.count == 0 || b.count == 0) return "-";
    if (have_collapsed(a, b)) return "both collapse";
    in_short(text, difference_of(a, b));
    const size_t used = strlen(text);
    if (collapses_at_times(a) || collapses_at_times(b))
        snprintf(text + used, 120 - used, " (collapsed: %d of %d, and %d of %d)", a.collapsed,
                 a.count, b.collapsed, b.count);
    return text;
}

static inline void answer(experiment *e, const char *question, summary a, summary b,
                          summary a_coded, summary b_coded) {
    char one[120], two[120];
    answer_with(e, question, short_answer(one, a, b), short_answer(two, a_coded, b_coded));
}

/* The row with the highest mean of a column (0 described, 1 other, 2 coded). */
static inline const value_row *best_row(const value_table *t, int which) {
    const value_row *best = NULL;
    double highest = -1;
    for (size_t i = 0; i < t->count; i++) {
        const summary s = which == 0   ? t->rows[i].described
                          : which == 1 ? t->rows[i].other
                                       : t->rows[i].coded;
        if (s.count == 0 || !(s.mean > highest)) continue;
        highest = s.mean;
        best = &t->rows[i];
    }
    return best;
}

static inline const value_row *row_at(const value_table *t, double x) {
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].x == x) return &t->rows[i];
    return &t->rows[0];
}

/* "as coded, a is best (...)": the verdict on "x is best" against another value. */
static inline void verdict_on_best(experiment *e, const value_table *t, const char *claim, double x,
                                   double other) {
    char first[400], second[400], a[60], b[60];
    if (!e->report) return;
    const value_row *one = row_at(t, x), *two = row_at(t, other);
    snprintf(a, sizeof a, "%s %s", t->value, one->label);
    snprintf(b, sizeof b, "%s", two->label);
    difference described = difference_of(one->described, two->described);
    if (have_collapsed(one->described, two->described)) described.known = described.real = false;
    const difference coded = difference_of(one->coded, two->coded);
    answer(e, claim, one->described, two->described, one->coded, two->coded);
    say(e, "**%s** As described: %s As coded: %s So the claim %s.", claim,
        comparison(first, a, one->described, b, two->described),
        comparison(second, a, one->coded, b, two->coded),
        !described.known && !coded.known ? "cannot be judged from one seed"
        : (described.real && described.value > 0) ||
                (!described.known && coded.real && coded.value > 0)
            ? "holds"
        : coded.real && coded.value > 0 ? "holds for their program only"
                                        : "does not stand out from chance");
}

#endif
