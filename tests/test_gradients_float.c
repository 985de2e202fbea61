/* The gradient check in single precision, with the step of a published report: epsilon 1e-2,
   differences of at most epsilon^2 = 1e-4, on a net of 784 inputs. */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

int main(void) {
    enum { INPUTS = 784, SAMPLES = 10 };
    static float inputs[SAMPLES * INPUTS];
    int32_t labels[SAMPLES];
    dn_random random = dn_random_seed(1);
    for (size_t i = 0; i < SAMPLES * INPUTS; i++)
        inputs[i] = dn_random_uniform(&random) < 0.8 ? 0 : (float)dn_random_uniform(&random);
    for (size_t s = 0; s < SAMPLES; s++) labels[s] = (int32_t)s;
    dn_net net;
    dn_net_init(&net, INPUTS, 1);
    dn_net_dense(&net, 8, DN_TANH);
    dn_net_dense(&net, 10, DN_SOFTMAX);
    dn_batch batch;
    batch.count = SAMPLES;
    batch.inputs = inputs;
    batch.labels = labels;
    batch.targets = NULL;
    const dn_penalty none = {0, 0};
    dn_workspace workspace;
    float *gradient = (float *)dni_allocate(net.parameter_count, sizeof *gradient);
    dn_workspace_init(&workspace, &net, SAMPLES, NULL);
    dn_forward(&net, &workspace, inputs, SAMPLES, NULL);
    dn_backward(&net, &workspace, DN_CROSS_ENTROPY, &batch, none, gradient);
    double largest = 0;
    size_t checked = 0;
    for (size_t i = 0; i < net.parameter_count; i += 7) {
        const float start = net.parameters[i], epsilon = 1e-2f;
        double loss[2];
        for (int side = 0; side < 2; side++) {
            net.parameters[i] = side == 0 ? start - epsilon : start + epsilon;
            dn_forward(&net, &workspace, inputs, SAMPLES, NULL);
            loss[side] = dn_loss_value(&net, &workspace, DN_CROSS_ENTROPY, &batch);
        }
        net.parameters[i] = start;
        const double difference = fabs((loss[1] - loss[0]) / 2e-2 - (double)gradient[i]);
        if (!(difference <= largest)) largest = difference;
        checked++;
    }
    ok(largest <= 1e-4, "%zu parameters: differences of at most 1e-4 (%.3g)", checked, largest);
    dn_gradient_report report;
    dn_gradient_check(&net, DN_CROSS_ENTROPY, &batch, none, NULL, 1e-2f, &report, NULL);
    ok(report.checked == net.parameter_count &&
           fabs(report.backpropagated - report.numerical) <= 1e-4,
       "dn_gradient_check: the worst of %zu differs by %.3g", report.checked,
       fabs(report.backpropagated - report.numerical));
    dn_workspace_free(&workspace);
    dni_release(gradient);
    dn_net_free(&net);
    return done();
}
