/* Trains a net that reads handwritten digits, tests it, and saves it.
   From the repository's root:

       cc -O2 examples/quickstart.c -o build/quickstart -lm && build/quickstart */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "progress.h"
#include <stdio.h>

int main(void) {
    dn_error error = {0};
    dn_dataset train = {0}, test = {0};
    dn_net net = {0};
    dn_history history = {0};
    dn_training how = {0}; /* zero means: the sensible default */

    if (dn_dataset_load(&train, "data/mnist/train-images-idx3-ubyte",
                        "data/mnist/train-labels-idx1-ubyte", &error) ||
        dn_dataset_load(&test, "data/mnist/t10k-images-idx3-ubyte",
                        "data/mnist/t10k-labels-idx1-ubyte", &error)) {
        fprintf(stderr, "%s\n('make data' gets it)\n", error.message);
        return 1;
    }
    dn_net_init(&net, 784, /* seed */ 1);
    dn_net_dense(&net, 256, DN_RELU);
    dn_net_dropout(&net, 0.25f);
    dn_net_dense(&net, 10, DN_SOFTMAX);

    how.loss = DN_CROSS_ENTROPY;
    how.optimizer = dn_adam(3e-3f);
    how.schedule.kind = DN_SCHEDULE_COSINE;
    how.epochs = 10;
    how.batch = 128;
    how.history = &history;
    how.progress = show_progress;
    if (dn_train(&net, &train, &test, &how, &error) ||
        save_log("build/quickstart.tsv", &net, &how, "MNIST", &error) ||
        dn_net_save(&net, "build/quickstart.safetensors", &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("test accuracy %.2f %%\n", 100 * dn_evaluate(&net, &test).accuracy);

    dn_history_free(&history);
    dn_net_free(&net);
    dn_dataset_free(&test);
    dn_dataset_free(&train);
    return 0;
}
