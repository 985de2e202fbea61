/* Trains one of five nets and writes its parameters to standard output, four bytes each, lowest
   first: for tests/determinism, which compares their SHA-256 over machines and compilers.

       determinism DATA NET SAMPLES EPOCHS      DATA: a folder with the four IDX files; NET: 1 .. 5 */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"

static void describe(int which, dn_net *net, dn_training *how) {
    memset(how, 0, sizeof *how);
    dn_net_init(net, 784, 1);
    switch (which) {
    case 1:
        dn_net_dense(net, 1000, DN_RELU);
        dn_net_dense(net, 10, DN_SIGMOID);
        how->loss = DN_CROSS_ENTROPY;
        how->optimizer = dn_sgd(0.03f);
        how->batch = 40;
        break;
    case 2:
        dn_net_dense(net, 128, DN_TANH);
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_momentum(0.01f, 0.9f);
        how->batch = 128;
        break;
    case 3:
        dn_net_dense(net, 128, DN_RELU);
        dn_net_dense(net, 128, DN_RELU);
        dn_net_dropout(net, 0.25f);
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_adam(1e-3f);
        how->batch = 512;
        break;
    case 4:
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_sgd(0.05f);
        how->batch = 128;
        break;
    default:
        dn_net_dense(net, 256, DN_RELU);
        dn_net_dense(net, 128, DN_RELU);
        dn_net_dense(net, 10, DN_SOFTMAX);
        how->optimizer = dn_sgd(0.05f);
        how->batch = 64;
    }
}

int main(int argc, char **argv) {
    char images[1000], labels[1000];
    dn_error error = {0};
    dn_dataset all = {0}, train = {0};
    dn_net net;
    dn_training how;
    if (argc != 5) return 2;
    describe(atoi(argv[2]), &net, &how);
    how.epochs = (size_t)atoi(argv[4]);
    snprintf(images, sizeof images, "%s/train-images-idx3-ubyte", argv[1]);
    snprintf(labels, sizeof labels, "%s/train-labels-idx1-ubyte", argv[1]);
    if (dn_dataset_load(&all, images, labels, &error) ||
        dn_dataset_range(&all, 0, (size_t)atoi(argv[3]), &train, &error) ||
        dn_train(&net, &train, NULL, &how, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    for (size_t i = 0; i < net.parameter_count; i++) {
        uint32_t bits;
        memcpy(&bits, &net.parameters[i], sizeof bits);
        for (int shift = 0; shift < 32; shift += 8) putchar((int)(bits >> shift & 255));
    }
    dn_net_free(&net);
    dn_dataset_free(&all);
    return fflush(stdout) != 0;
}
