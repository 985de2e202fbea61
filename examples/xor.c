/* The smallest problem that one layer cannot solve: exclusive or.

       x0 x1 | y        A single layer draws one straight line through the plane of
        0  0 | 0        x0 and x1, and no line has (0,1) and (1,0) on one side and
        0  1 | 1        (0,0) and (1,1) on the other (Minsky and Papert, 1969). Four
        1  0 | 1        hidden tanh units draw four lines; the output unit combines
        1  1 | 0        them.

       cc -O2 examples/xor.c -o build/xor -lm && build/xor */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include <stdio.h>

int main(void) {
    const dn_real inputs[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
    const dn_real targets[4] = {0, 1, 1, 0};
    dn_real outputs[4];
    dn_error error = {0};
    dn_dataset table = {0};
    dn_net net = {0};
    dn_training how = {0};

    dn_dataset_targets(&table, 4, 2, &inputs[0][0], 1, targets, &error);
    dn_net_init(&net, 2, /* seed */ 1);
    dn_net_dense(&net, 4, DN_TANH);
    dn_net_dense(&net, 1, DN_SIGMOID);

    how.loss = DN_BINARY_CROSS_ENTROPY;
    how.optimizer = dn_adam((dn_real)0.05);
    how.epochs = 500;
    how.batch = 4; /* all four rows in each step */
    if (dn_train(&net, &table, NULL, &how, &error) ||
        dn_predict(&net, &inputs[0][0], 4, outputs, NULL, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("x0 x1 | y  net\n");
    for (int row = 0; row < 4; row++) {
        printf("%2g %2g | %g  %.4f\n", (double)inputs[row][0], (double)inputs[row][1],
               (double)targets[row], (double)outputs[row]);
    }
    dn_net_free(&net);
    dn_dataset_free(&table);
    return 0;
}
