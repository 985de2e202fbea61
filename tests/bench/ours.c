/* densenet.h on one workload: bench_ours NAME DATA EPOCHS prints the seconds of each epoch (of
   I1 per 10,000 images, of I2 per image). */
#define DENSENET_IMPLEMENTATION
#include "../../densenet.h"
#include "workloads.h"

static void load(dn_dataset *data, const char *folder, const char *set, const char *kind) {
    char images[1000], labels[1000];
    dn_error error = {0};
    snprintf(images, sizeof images, "%s/%s/%s-images-idx3-ubyte", folder, set, kind);
    snprintf(labels, sizeof labels, "%s/%s/%s-labels-idx1-ubyte", folder, set, kind);
    if (dn_dataset_load(data, images, labels, &error)) {
        fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
}

static void describe(const char *name, dn_net *net, dn_training *how) {
    memset(how, 0, sizeof *how);
    dn_net_init(net, 784, 1);
    const int which = name[0] == 'W' ? name[1] - '0' : name[1] == '1' ? 1 : 2;
    switch (which) {
    case 1:
        dn_net_dense(net, 1000, DN_RELU);
        dn_net_dense(net, 10, DN_SIGMOID);
        how->loss = DN_CROSS_ENTROPY;
        how->optimizer = dn_sgd(0.03f);
        break;
    case 2:
        dn_net_dense(net, 128, DN_TANH);
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_momentum(0.01f, 0.9f);
        break;
    case 3:
        dn_net_dense(net, 128, DN_RELU);
        dn_net_dense(net, 128, DN_RELU);
        dn_net_dropout(net, 0.25f);
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_adam(1e-3f);
        break;
    case 4:
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_sgd(0.05f);
        break;
    default:
        dn_net_dense(net, 256, DN_RELU);
        dn_net_dense(net, 128, DN_RELU);
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_sgd(0.05f);
    }
}

static void predict(const workload *work, const dn_net *net, const dn_dataset *test, int rounds) {
    static float pixels[10000 * 784], outputs[10000 * 10];
    void *buffer = malloc(dn_predict_size(net, 10000));
    dn_dataset_gather(test, NULL, 0, 10000, pixels);
    for (int round = 0; round < rounds; round++) {
        const double start = seconds();
        for (size_t first = 0; first < 10000; first += (size_t)work->batch)
            dn_predict(net, pixels + 784 * first, (size_t)work->batch, outputs + 10 * first, buffer, NULL);
        printf("%.9f\n", (seconds() - start) / (work->batch == 1 ? 10000 : 1));
    }
    free(buffer);
}

int main(int argc, char **argv) {
    dn_dataset all = {0}, train = {0};
    dn_net net;
    dn_training how;
    if (argc != 4) return 2;
    const workload *work = find_workload(argv[1]);
    describe(work->name, &net, &how);
    how.batch = (size_t)work->batch;
    how.epochs = (size_t)atoi(argv[3]);
    load(&all, argv[2], work->data, work->name[0] == 'I' ? "t10k" : "train");
    if (work->name[0] == 'I') {
        predict(work, &net, &all, atoi(argv[3]));
    } else {
        dn_trainer trainer;
        dn_error error = {0};
        dn_dataset_range(&all, 0, (size_t)work->samples, &train, NULL);
        if (dn_trainer_init(&trainer, &net, &train, NULL, &how, &error)) {
            fprintf(stderr, "%s\n", error.message);
            return 1;
        }
        for (double start = seconds(); dn_trainer_epoch(&trainer); start = seconds())
            printf("%.9f\n", seconds() - start);
        fprintf(stderr, "%s: accuracy of the last epoch %.4f\n", work->name, trainer.last.train_accuracy);
        dn_trainer_free(&trainer);
    }
    dn_net_free(&net);
    dn_dataset_free(&all);
    return 0;
}
