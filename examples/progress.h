/* progress.h: what the example programs share: a progress line while a net trains,
   and the log of its training with what made it. Not part of the library.

       how.progress = show_progress;
       how.history = &history;
       ...
       save_log("build/run.tsv", &net, &how, "MNIST", &error);
*/
#ifndef PROGRESS_H
#define PROGRESS_H

#include "../densenet.h"
#include <stdio.h>
#include <time.h>
#ifdef _WIN32
#include <io.h>
#else
#include <sys/time.h>
#include <unistd.h>
#endif

/* Is there a person before the standard output, or a file? */
static inline bool output_is_terminal(void) {
#ifdef _WIN32
    return _isatty(1) != 0;
#else
    return isatty(1) != 0;
#endif
}

/* Seconds of the clock on the wall. */
static inline double wall_seconds(void) {
#ifdef _WIN32
    return (double)clock() / CLOCKS_PER_SEC; /* wall time there, not processor time */
#else
    struct timeval now;
    gettimeofday(&now, NULL);
    return (double)now.tv_sec + 1e-6 * (double)now.tv_usec;
#endif
}

/* For dn_training.progress: one line per epoch, and on a terminal, at most ten times
   a second, how far the running epoch is and how long the whole training will take:

       epoch  3/10  1.2 s  loss 0.0812  accuracy 97.52 %  validation 0.0795  97.60 %
       epoch  4/10 [========>           ]  loss 0.0633  accuracy 98.03 %  8 s left

   It trains one net at a time, so it may keep its clock in a static variable. */
static inline void show_progress(void *user, const dn_progress *progress) {
    static double start, started, epoch_start, shown; /* started: the share that was done then */
    const double now = wall_seconds();
    const double of_epoch = (double)progress->batch / (double)progress->batches;
    const double done = ((double)(progress->epoch - 1) + of_epoch) / (double)progress->epochs;
    (void)user;
    if ((progress->batch <= 1 && !progress->finished) || start <= 0) {
        epoch_start = now;
        if (progress->epoch == 1 || start <= 0) { /* a training that is resumed starts later */
            start = shown = now;
            started = done;
        }
    }
    if (progress->finished) {
        const dn_epoch *epoch = progress->finished;
        if (output_is_terminal()) printf("\r%79s\r", "");
        printf("epoch %2zu/%zu  %.1f s  loss %.4f  accuracy %.2f %%", progress->epoch,
               progress->epochs, now - epoch_start, epoch->train_loss,
               100 * epoch->train_accuracy);
        if (epoch->validation_loss == epoch->validation_loss) { /* not NaN: there is a set */
            printf("  validation %.4f  %.2f %%", epoch->validation_loss,
                   100 * epoch->validation_accuracy);
        }
        printf("\n");
    } else if (output_is_terminal() && (now - shown >= 0.1 || now < shown)) {
        const char bar[] = "====================>                   "; /* 20 of it are shown */
        const int filled = (int)(19 * of_epoch);
        const double left = done > started ? (now - start) * (1 - done) / (done - started) : 0;
        printf("\repoch %2zu/%zu [%.20s]  loss %.4f  accuracy %.2f %%  %.0f %s left  ",
               progress->epoch, progress->epochs, bar + 20 - filled, progress->loss,
               100 * progress->accuracy, left < 100 ? left : left / 60, left < 100 ? "s" : "min");
        shown = now;
    }
    fflush(stdout);
}

/* Appends to a text as printf would, as far as there is room. */
#define APPEND(...) (used += (size_t)snprintf(text + used, used < size ? size - used : 0, __VA_ARGS__))

/* A net in one line: "784-256 relu-dropout 0.25-10 softmax". */
static inline size_t describe_net(char *text, size_t size, const dn_net *net) {
    size_t used = 0;
    APPEND("%zu", net->inputs);
    for (size_t i = 0; i < net->layer_count && used < size; i++) {
        const dn_layer *layer = &net->layers[i];
        if (layer->kind == DN_LAYER_DROPOUT) APPEND("-dropout %g", (double)layer->dropout);
        else APPEND("-%zu %s", layer->outputs, dn_activation_name(layer));
    }
    return used < size ? used : size - 1;
}

/* Writes how->history as tab-separated values; the lines on top say what made them. */
static inline dn_status save_log(const char *name, const dn_net *net, const dn_training *how,
                                 const char *data, dn_error *error) {
    static const char *optimizers[] = {"adam", "sgd", "momentum", "weighted momentum",
                                       "nesterov", "rmsprop", "adam"};
    const time_t now = time(NULL);
    const struct tm *date = gmtime(&now);
    char text[1000];
    const size_t size = sizeof text - 40;
    size_t used = 0;
    APPEND("densenet.h %s\nseed %llu\nnet ", DN_VERSION, (unsigned long long)net->seed);
    used += describe_net(text + used, size - used, net);
    APPEND("\noptimizer %s, learning rate %g, batch %zu\ndata %s\ndate ",
           optimizers[how->optimizer.kind], (double)how->optimizer.learning_rate, how->batch, data);
    if (used > size) used = size;
    if (date) strftime(text + used, 40, "%Y-%m-%d %H:%M:%S UTC", date);
    return dn_history_save(how->history, name, text, error);
}

#undef APPEND

#endif
