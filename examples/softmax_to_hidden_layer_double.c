/* softmax_to_hidden_layer in double precision: `--only gradients` adds its curve to the V of
   the gradient check. */
#define DN_REAL double
#include "softmax_to_hidden_layer.c"
