/*
# densenet.h

**Densely connected neural networks in one C file: to be dropped into a program,
and to be read as a book.** No dependency but the C99 library. (It has nothing to do
with the convolutional DenseNet of 2017.)

Put `densenet.h` beside your sources. In *one* C file write

```c
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
```

and in the others only the `#include`. Compile with `cc -O2 program.c -lm`. Adding
`-fopenmp` uses all cores, with the same result to the last bit. The licence, MIT or public
domain, stands at the end.

A complete program, which learns to read handwritten digits:

```c
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
#include <stdio.h>

int main(void) {
    dn_error error = {0};
    dn_dataset train = {0}, test = {0};
    dn_net net = {0};

    if (dn_dataset_load(&train, "data/mnist/train-images-idx3-ubyte",
                        "data/mnist/train-labels-idx1-ubyte", &error) ||
        dn_dataset_load(&test, "data/mnist/t10k-images-idx3-ubyte",
                        "data/mnist/t10k-labels-idx1-ubyte", &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    dn_net_init(&net, 784, 1);            // 784 pixels; the seed is 1
    dn_net_dense(&net, 256, DN_RELU);
    dn_net_dropout(&net, 0.25f);
    dn_net_dense(&net, 10, DN_SOFTMAX);

    dn_training how = {0};                // zero means: the sensible default
    how.optimizer = dn_adam(3e-3f);
    how.schedule.kind = DN_SCHEDULE_COSINE;
    how.epochs = 10;
    how.batch = 128;
    if (dn_train(&net, &train, &test, &how, &error)) {
        fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("test accuracy %.2f %%\n", 100 * dn_evaluate(&net, &test).accuracy);
    dn_net_free(&net);
    dn_dataset_free(&train);
    dn_dataset_free(&test);
    return 0;
}
```

## How to read this file

The first part, up to "The implementation", is the *interface*: all that a user needs,
contracts only. The second part is the implementation, in the order in which it can
be understood:

| chapter | |
|---|---|
| 1 Foundations | errors, sizes, memory, random numbers |
| 2 Arithmetic | exponential and logarithm; the matrix product, from three lines to full speed |
| 3 Layers | dense layers, dropout, the net as one vector of parameters |
| 4 Activations | ReLU, sigmoid, tanh, softmax, and their derivatives |
| 5 Losses | cross-entropy, squared error, and why they are computed from logits |
| 6 Backpropagation | the chain rule as three matrix products |
| 7 Checking gradients | how to find out that a gradient is wrong |
| 8 Initialisation | how large random weights should be |
| 9 Optimizers | from gradient descent to Adam |
| 10 Prediction and evaluation | probabilities, accuracy, confusion |
| 11 Training | the loop, schedules, early stopping, divergence |
| 12 Data | inflate, IDX files, data sets |
| 13 Model files | safetensors: JSON, Unicode, decimals; reading what cannot be trusted |
| 14 Checkpoints | interrupted trainings that end with the same bits |
| 15 Export | the trained net as one C file without any library |

A comment whose opening and closing marks stand alone on their lines, as this one's, is
Markdown; `make docs` weaves it with the code into pages to be read in a browser.

## What it does, and what it does not

It does: stacks of dense layers with dropout, for classification and regression, on
one computer, in single or double precision; training, evaluation, prediction.

It does not: convolutions, recurrence, attention, graphs of layers, automatic
differentiation of arbitrary code, graphics processors, 16-bit training.

## Words

| word | meaning |
|---|---|
| sample | one example: a row of numbers (features), and what it should give |
| label, class | the answer in classification: a number 0 .. classes-1 |
| target | the answer as a row of numbers |
| batch | the samples that are used for one step |
| epoch | one pass over all training samples |
| weight, bias | the numbers that are learned; together the *parameters* |
| logit | an output of the last layer before its activation |
| activation | the function after a layer's sum; also its values |
| loss | how wrong the outputs are: the number that training makes small |
| gradient | the derivative of the loss by each parameter |
| learning rate | how far a step goes along the gradient |
| inference | using a trained net |
| validation set | samples that are not trained on, used to watch the training |
| test set | samples that are used once, at the end |

**Shapes.** A matrix [R, C] has R rows of C numbers, row after row in memory. Rows are
samples: a batch is [B, I], the weights of a layer [I, O], its outputs [B, O]. The
gradient of a variable x is called dx and has the shape of x.

## Configuration

All of these are optional and are defined before the `#include`. `DN_REAL` and
`DN_STATIC` change the interface: every file of a program must define them alike.

| macro | effect |
|---|---|
| `DENSENET_IMPLEMENTATION` | this file also gets the implementation |
| `DN_STATIC` | all functions are static: a private copy for one file |
| `DN_REAL` | `float` (default) or `double` |
| `DN_NO_STDIO` | no file names: data from memory and through callbacks only |
| `DN_MALLOC(size)`, `DN_FREE(memory)` | replace `malloc` and `free` |
| `DN_ASSERT(condition)` | replaces `assert`; for errors of the programmer only |
| `DN_FILE` | the name of this file, if it is not `"densenet.h"`: it includes itself |
| `DN_INSTRUCTIONS` | `portable`, `avx2`, `avx512` or `neon`, instead of choosing at run time |
| `DN_KEEP_ZEROES` | multiplies by zero too; while all numbers are finite, only -0 may become 0 |
| `DN_USE_CBLAS` | products by the platform's BLAS (link it); bits then depend on the BLAS |
*/

/*
# The interface

All that a program has to know, subject by subject: what each function takes, what it
gives, who owns the memory, and how it can fail. The reasons stand in the implementation.
*/
#ifndef DENSENET_H
#define DENSENET_H

#define DN_VERSION "0.1.0"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef DN_REAL
#define DN_REAL float
#endif

#if defined(DN_STATIC) && defined(__GNUC__)
#define DN_API static __attribute__((unused))
#elif defined(DN_STATIC)
#define DN_API static
#elif defined(__cplusplus)
#define DN_API extern "C"
#else
#define DN_API extern
#endif

/*
### Errors

A function that can fail for a reason outside the program (a file, memory, the
user's data) returns a `dn_status` and, where the caller passes a `dn_error`,
explains itself there in one line: which file, which byte, what was expected,
what was found. `error` may always be `NULL`. Zero is success, so a call can
stand in an `if`:

```c
dn_dataset train = {0};
dn_error error;
if (dn_dataset_load(&train, "images.idx", "labels.idx.gz", &error)) {
    fprintf(stderr, "%s\n", error.message); // one line, beginning with the file's name
}
```

A function that fails has freed what it had half made; there is nothing to clean up.

The statuses and their texts stand in one list, so that neither can be forgotten.
*/
#define DN_STATUSES(ROW)                                                \
    ROW(DN_OK, "success")                                               \
    ROW(DN_ERROR_MEMORY, "out of memory")                               \
    ROW(DN_ERROR_FILE, "a file cannot be opened, read or written")      \
    ROW(DN_ERROR_TRUNCATED, "the data ends too early")                  \
    ROW(DN_ERROR_FORMAT, "the data is not in the expected format")      \
    ROW(DN_ERROR_CHECKSUM, "a checksum does not match")                 \
    ROW(DN_ERROR_TOO_LARGE, "a size is larger than can be represented") \
    ROW(DN_ERROR_SHAPE, "sizes do not fit together")                    \
    ROW(DN_ERROR_LABEL, "a label is outside the range of the classes")  \
    ROW(DN_ERROR_ARGUMENT, "an argument has no meaning here")           \
    ROW(DN_ERROR_DIVERGED, "training diverged to NaN or infinity")

typedef enum dn_status {
#define DNI_ROW(name, text) name,
    DN_STATUSES(DNI_ROW)
#undef DNI_ROW
} dn_status;

typedef struct dn_error {
    char message[248]; /* one line, no newline; empty when status is DN_OK */
    dn_status status;
} dn_error;

/* The text of a status as it stands in the list above. */
DN_API const char *dn_status_text(dn_status status);

/*
### Numbers and random numbers

`dn_real` is the type of every weight, activation and gradient. The generator is
SplitMix64 (Steele, Lea and Flood, 2014): its whole state is one integer, which
the caller owns. The same seed gives the same numbers on every machine.

There is no hidden generator. A function that needs chance takes a `dn_random *` and
moves its state on; a copy of the struct is a bookmark to which one can return.
`dn_random_permutation` fills `order[0 .. count-1]` with the numbers 0 .. count-1,
every arrangement being equally likely.
*/
typedef DN_REAL dn_real;

typedef struct dn_random {
    uint64_t state;
} dn_random;

DN_API dn_random dn_random_seed(uint64_t seed);
DN_API uint64_t dn_random_bits(dn_random *random);    /* uniform on 0 .. 2^64 - 1 */
DN_API double dn_random_uniform(dn_random *random);   /* uniform on [0, 1), 53 bits */
DN_API double dn_random_normal(dn_random *random);    /* mean 0, deviation 1 */
DN_API size_t dn_random_below(dn_random *random, size_t bound); /* 0 .. bound - 1, unbiased */
DN_API void dn_random_permutation(dn_random *random, size_t count, uint32_t *order);

/*
### Matrices

A matrix is a view: it owns nothing. Element (r, c) is `data[r * stride + c]`.
Rows are samples wherever a matrix holds data.
*/
typedef struct dn_matrix {
    size_t rows, columns;
    size_t stride; /* distance between the starts of two rows, in elements; >= columns */
    dn_real *data;
} dn_matrix;

/* A view of rows * columns contiguous numbers. */
DN_API dn_matrix dn_matrix_view(dn_real *data, size_t rows, size_t columns);

typedef enum dn_product {
    DN_A_B,  /* c[m,n] from a[m,k]   b[k,n]: forward,         Z  = X  W      */
    DN_AT_B, /* c[m,n] from a[k,m]^T b[k,n]: weight gradient, dW = X^T dZ    */
    DN_A_BT  /* c[m,n] from a[m,k]   b[n,k]^T: input gradient, dX = dZ W^T   */
} dn_product;

/*
`c = a b`, or `c = c + a b` when `add` is true, with a or b transposed as `which` says;
c must not overlap a or b. Every element is accumulated over k in ascending order by
fused multiply-adds, starting from zero or from c: so the result is the same to the last
bit on every machine and on any number of threads. Rows of a view may lie apart, which
makes a part of a matrix a matrix:

```c
dn_real numbers[6] = {1, 2, 3, 4, 5, 6};   // [2, 3]
dn_real two[2];
dn_matrix whole = dn_matrix_view(numbers, 2, 3);
dn_matrix right = {2, 1, whole.stride, numbers + 2};       // its last column, 3 and 6
dn_matrix_multiply(DN_A_B, dn_matrix_view(numbers, 1, 2), right, dn_matrix_view(two, 1, 1), false);
// two[0] is 1 * 3 + 2 * 6
```
*/
DN_API void dn_matrix_multiply(dn_product which, dn_matrix a, dn_matrix b, dn_matrix c, bool add);

/*
### Data sets

A data set is `count` samples of `features` numbers each, with a class label per
sample (classification), a row of target numbers per sample (regression, or any
distribution over classes), or neither. Pixels stay bytes in memory; a sample
becomes `dn_real` numbers, normalised as `normalization` says, only when it is
gathered into a batch.

A `dn_dataset` is either the owner of its memory (after `dn_dataset_load`,
`_read`, `_memory`, and `_one_hot` for what it adds) or a view that borrows from
another data set or from the user's arrays (`dn_dataset_arrays`, `_targets`,
`_split`, `_range`). `dn_dataset_free` frees what the data set owns, is harmless
on a view, on a zeroed struct and when called twice. A view must not outlive what
it borrows from.

Three ways to one:

```c
dn_error error;
dn_dataset images = {0}, train = {0}, validation = {0}, table = {0};
dn_random random = dn_random_seed(1);
static dn_real measured[150 * 4]; // 150 samples of 4 numbers, row after row
static int32_t species[150];      // each 0, 1 or 2

dn_dataset_load(&images, "images.idx.gz", "labels.idx.gz", &error);              // files
dn_dataset_split_fraction(&images, 0.9, &random, &train, &validation, &error);   // a part
dn_dataset_arrays(&table, 150, 4, measured, 3, species, &error);                 // arrays
```

The struct may be read freely: the label of sample s, for instance, is
`labels[order ? order[s] : s]`. It may be made by hand as well, being a view then. A
sample is normalised in one of four ways:
*/
typedef enum dn_normalization {
    DN_NORMALIZE_NONE,      /* the numbers as they are */
    DN_NORMALIZE_255,       /* x / 255: bytes to [0, 1] */
    DN_NORMALIZE_SAMPLE,    /* (x - mean) / deviation of each sample (image) by itself */
    DN_NORMALIZE_FEATURE    /* (x - mean[i]) / deviation[i], per feature over a data set */
} dn_normalization;

typedef struct dn_dataset {
    size_t count;               /* samples in this set or view */
    size_t features;            /* numbers per sample */
    size_t classes;             /* labels are 0 .. classes-1; 0 when there are none */
    size_t outputs;             /* numbers in a target row; 0 when there are none */
    size_t height, width;       /* of a picture: height * width == features; else 0 */
    const unsigned char *bytes; /* [rows, features], or NULL when values holds the samples */
    const dn_real *values;      /* [rows, features], or NULL when bytes holds the samples */
    const int32_t *labels;      /* [rows] or NULL */
    const dn_real *targets;     /* [rows, outputs] or NULL */
    const uint32_t *order;      /* sample s is row order[s]; NULL: sample s is row s */
    dn_normalization normalization;
    const dn_real *mean;        /* [features], for DN_NORMALIZE_FEATURE */
    const dn_real *deviation;   /* [features], for DN_NORMALIZE_FEATURE */
    void *owned[5];             /* private: what dn_dataset_free frees */
} dn_dataset;

#ifndef DN_NO_STDIO
/*
Reads two IDX files (plain or gzip): images (any rank >= 2, unsigned bytes; the
first size counts the samples) and their labels (rank 1; NULL for none).
Normalisation is set to DN_NORMALIZE_255 and may be changed afterwards; classes
is the largest label + 1, but at least 10 when the features are pictures' bytes
and no label exceeds 9.
*/
DN_API dn_status dn_dataset_load(dn_dataset *data, const char *images, const char *labels,
                                 dn_error *error);
#endif
/* The same from IDX or gzip bytes in memory; the data set keeps no pointer to them. */
DN_API dn_status dn_dataset_memory(dn_dataset *data, const void *images, size_t images_size,
                                   const void *labels, size_t labels_size, dn_error *error);

/*
Where bytes do not come from a file with a name, they come through a stream: from flash
memory, a socket, an archive. `read` delivers up to `size` bytes and returns how many;
less than `size` (0 included) means the end, `(size_t)-1` an error. A writer's `write`
returns false when it cannot take the bytes.
*/
typedef struct dn_reader {
    size_t (*read)(void *user, void *buffer, size_t size);
    void *user;
    const char *name; /* for messages; may be NULL */
} dn_reader;

typedef struct dn_writer {
    bool (*write)(void *user, const void *bytes, size_t size);
    void *user;
    const char *name; /* for messages; may be NULL */
} dn_writer;

DN_API dn_status dn_dataset_read(dn_dataset *data, const dn_reader *images,
                                 const dn_reader *labels, dn_error *error);

/*
Views of the user's own arrays: values [count, features] with labels [count]
(checked: each in 0 .. classes-1), or with target rows [count, outputs].
Nothing is copied.
*/
DN_API dn_status dn_dataset_arrays(dn_dataset *data, size_t count, size_t features,
                                   const dn_real *values, size_t classes, const int32_t *labels,
                                   dn_error *error);
DN_API dn_status dn_dataset_targets(dn_dataset *data, size_t count, size_t features,
                                    const dn_real *values, size_t outputs,
                                    const dn_real *targets, dn_error *error);

/* The samples first .. first+count-1 as a view (allocates nothing). */
DN_API dn_status dn_dataset_range(const dn_dataset *whole, size_t first, size_t count,
                                  dn_dataset *view, dn_error *error);
/*
Splits into the first `count` samples and the rest, after shuffling with
`random` unless it is NULL. `first` owns the order of both when shuffled, so it
must be freed after `second` is no longer used.
*/
DN_API dn_status dn_dataset_split(const dn_dataset *whole, size_t count, dn_random *random,
                                  dn_dataset *first, dn_dataset *second, dn_error *error);
/* The same with count = round(fraction * whole->count). */
DN_API dn_status dn_dataset_split_fraction(const dn_dataset *whole, double fraction,
                                           dn_random *random, dn_dataset *first,
                                           dn_dataset *second, dn_error *error);
/* A view of `data` whose labels also stand as one-hot target rows, which it owns. */
DN_API dn_status dn_dataset_one_hot(const dn_dataset *data, dn_dataset *view, dn_error *error);
/*
Sets DN_NORMALIZE_FEATURE: mean and deviation of each feature over `data`, which
owns the two arrays. A feature that never varies gets deviation 1. To normalise
another set (validation, test) by the same numbers, copy the three fields.
*/
DN_API dn_status dn_dataset_standardize(dn_dataset *data, dn_error *error);
/*
Gathers samples as normalised numbers: inputs [count, features]. Sample s of the
batch is samples[s], or first + s when samples is NULL.
*/
DN_API void dn_dataset_gather(const dn_dataset *data, const uint32_t *samples, size_t first,
                              size_t count, dn_real *inputs);
DN_API void dn_dataset_free(dn_dataset *data);

/*
### IDX arrays

The format of MNIST, of every element type and rank. `data` points at the
elements in the machine's byte order; the array owns its memory.
*/
typedef enum dn_idx_type {
    DN_IDX_UINT8 = 0x08, DN_IDX_INT8 = 0x09, DN_IDX_INT16 = 0x0b,
    DN_IDX_INT32 = 0x0c, DN_IDX_FLOAT32 = 0x0d, DN_IDX_FLOAT64 = 0x0e
} dn_idx_type;

enum { DN_IDX_MAX_RANK = 8 };

typedef struct dn_idx {
    size_t rank;
    size_t sizes[DN_IDX_MAX_RANK];
    size_t count;        /* the product of the sizes */
    size_t element_size; /* bytes of one element */
    dn_idx_type type;
    void *data;          /* count * element_size bytes */
    void *owned;         /* private */
} dn_idx;

#ifndef DN_NO_STDIO
DN_API dn_status dn_idx_load(dn_idx *array, const char *name, dn_error *error);
#endif
DN_API dn_status dn_idx_memory(dn_idx *array, const void *bytes, size_t size, dn_error *error);
DN_API dn_status dn_idx_read(dn_idx *array, const dn_reader *reader, dn_error *error);
DN_API void dn_idx_free(dn_idx *array);

/*
### Nets

A net is a stack of layers over `inputs` numbers. It is built by a sequence of
calls; the first call that fails leaves its reason in `net->error`, the later
ones do nothing, and whatever uses the net reports that reason: a chain needs one
check. All parameters stand in one block, `parameters[0 .. parameter_count-1]`:
for each dense layer in turn its weights [inputs, outputs], row-major, then its
biases [outputs].

```c
dn_net net = {0};
dn_net_init(&net, 784, 1);          // 784 inputs; all chance comes from seed 1
dn_net_dense(&net, 128, DN_RELU);
dn_net_dropout(&net, 0.25f);
dn_net_dense(&net, 10, DN_SOFTMAX);
if (net.error.status) fprintf(stderr, "%s\n", net.error.message);
```

#### Activations

| name | a = f(z) | da/dz |
|---|---|---|
| `DN_LINEAR` | z | 1 |
| `DN_RELU` | max(0, z) | 1 where a > 0, else 0 |
| `DN_LEAKY_RELU` | z where z > 0, else 0.01 z | 1 where a > 0, else 0.01 |
| `DN_SIGMOID` | 1 / (1 + exp(-z)) | a (1 - a) |
| `DN_TANH` | tanh(z) | 1 - a^2 |
| `DN_SOFTMAX` | exp(z_j) / sum_k exp(z_k), over a row | chapter 5; of the last layer |
| `DN_CUSTOM` | the user's | the user's |

In the program this table is the list below: name, text, value and derivative of each,
in the vocabulary of chapter 2. A new activation is one more row. Softmax mixes the
numbers of a row, and a custom activation is the user's: these two have no formula of
one number, and their last columns are not used.
*/
#define DN_ACTIVATIONS(ROW)                                                                  \
    ROW(DN_LINEAR, "linear", z, DNI_SET(1))                                                  \
    ROW(DN_RELU, "relu", DNI_MAX(DNI_SET(0), z), DNI_IF_POSITIVE(a, DNI_SET(1), DNI_SET(0))) \
    ROW(DN_LEAKY_RELU, "leaky_relu", DNI_IF_POSITIVE(z, z, DNI_MUL(DNI_SET(DN_LEAK), z)),    \
        DNI_IF_POSITIVE(a, DNI_SET(1), DNI_SET(DN_LEAK)))                                    \
    ROW(DN_SIGMOID, "sigmoid", DNI_SIGMOID(z), DNI_MUL(a, DNI_SUB(DNI_SET(1), a)))           \
    ROW(DN_TANH, "tanh", DNI_TANH(z), DNI_FNMA(a, a, DNI_SET(1)))                            \
    ROW(DN_SOFTMAX, "softmax", z, DNI_SET(1))                                                \
    ROW(DN_CUSTOM, "custom", z, DNI_SET(1))

#define DN_LEAK ((dn_real)0.01) /* slope of the leaky ReLU below zero (Maas et al., 2013) */

typedef enum dn_activation {
#define DNI_ROW(name, text, value, derivative) name,
    DN_ACTIVATIONS(DNI_ROW)
#undef DNI_ROW
    DN_ACTIVATION_COUNT
} dn_activation;

/*
An activation of the user's own is two functions: `a = value(z)`, and the derivative da/dz
given the input z and the output a. Both must be pure. The softplus (Dugas et al., 2001),
for instance:

```c
#include <math.h>
#define DENSENET_IMPLEMENTATION
#include "densenet.h"

static dn_real softplus(dn_real z) { return (dn_real)log1p(exp((double)z)); }
static dn_real softplus_derivative(dn_real z, dn_real a) {
    (void)a;
    return (dn_real)(1 / (1 + exp(-(double)z)));
}

int main(void) {
    dn_custom_activation custom = {"softplus", softplus, softplus_derivative};
    dn_dense hidden = {0};
    dn_net net = {0};
    hidden.outputs = 100;
    hidden.activation = DN_CUSTOM;
    hidden.custom = &custom;
    dn_net_init(&net, 784, 1);
    dn_net_layer(&net, &hidden);
    dn_net_dense(&net, 10, DN_SOFTMAX);
    dn_net_free(&net);
    return 0;
}
```
*/
typedef struct dn_custom_activation {
    const char *name;
    dn_real (*value)(dn_real z);
    dn_real (*derivative)(dn_real z, dn_real a);
} dn_custom_activation;

/*
#### How weights begin

Chapter 8 tells why the deviation of random weights has to fit the size of the layer.
The uniform forms have the deviation of the normal ones. Biases begin at zero unless
they are told otherwise.
*/
typedef enum dn_initialization {
    DN_INITIALIZE_DEFAULT,        /* weights: He normal before ReLU and leaky ReLU, else
                                     Glorot uniform; biases: zero */
    DN_INITIALIZE_ZERO,
    DN_INITIALIZE_HE_NORMAL,      /* deviation sqrt(2 / inputs) (He et al., 2015) */
    DN_INITIALIZE_HE_UNIFORM,     /* the same deviation, uniform */
    DN_INITIALIZE_GLOROT_NORMAL,  /* deviation sqrt(2 / (inputs + outputs))
                                     (Glorot, Bengio, 2010) */
    DN_INITIALIZE_GLOROT_UNIFORM,
    DN_INITIALIZE_LECUN_NORMAL,   /* deviation sqrt(1 / inputs) (LeCun et al., 1998) */
    DN_INITIALIZE_LECUN_UNIFORM,
    DN_INITIALIZE_NORMAL,         /* mean a, deviation b */
    DN_INITIALIZE_UNIFORM,        /* uniform on [a, b) */
    DN_INITIALIZE_GIVEN           /* copied from `given` */
} dn_initialization;

typedef struct dn_initializer {
    dn_initialization kind;
    dn_real a, b;         /* for DN_INITIALIZE_NORMAL and DN_INITIALIZE_UNIFORM */
    const dn_real *given; /* for DN_INITIALIZE_GIVEN: [inputs, outputs] or [outputs] */
} dn_initializer;

/*
Everything that can be said of a dense layer stands in one struct, for `dn_net_layer`;
zero means the default, so only what matters is set:

```c
dn_net net = {0};
dn_dense layer = {0};
layer.outputs = 128;
layer.activation = DN_TANH;
layer.weights.kind = DN_INITIALIZE_UNIFORM;
layer.weights.a = -0.05f;
layer.weights.b = 0.05f;
layer.freeze_biases = true; // they stay zero
dn_net_init(&net, 784, 1);
dn_net_layer(&net, &layer);
```
*/
typedef struct dn_dense {
    size_t outputs;
    dn_activation activation;
    const dn_custom_activation *custom; /* for DN_CUSTOM; must outlive the net */
    dn_initializer weights, biases;
    bool freeze_weights, freeze_biases; /* not changed by training */
} dn_dense;

typedef enum dn_layer_kind { DN_LAYER_DENSE, DN_LAYER_DROPOUT } dn_layer_kind;

typedef struct dn_layer {
    size_t inputs, outputs;
    dn_layer_kind kind;
    dn_activation activation;
    const dn_custom_activation *custom;
    dn_real dropout;             /* probability that a number is dropped */
    size_t weights, biases;      /* where they start in net->parameters */
    bool freeze_weights, freeze_biases;
} dn_layer;

/*
#### Losses

With outputs p and targets y (of a label: 1 for its class, 0 for the others), summed over
the outputs j and averaged over the samples of a batch:

| name | loss of a sample | behind |
|---|---|---|
| `DN_CROSS_ENTROPY` | -sum_j y_j log p_j | softmax, sigmoid |
| `DN_BINARY_CROSS_ENTROPY` | -sum_j (y_j log p_j + (1 - y_j) log(1 - p_j)) | sigmoid, softmax |
| `DN_MEAN_SQUARED_ERROR` | 1/2 sum_j (p_j - y_j)^2 | any |

Behind softmax and sigmoid the logarithms are computed from the logits (chapter 5), so that
no confident mistake becomes infinite. Labels and target rows are both possible
with each; `dn_loss_check` says whether a loss may follow an activation.
*/
typedef enum dn_loss {
    DN_LOSS_DEFAULT,         /* by the last activation: softmax: cross-entropy; sigmoid:
                                binary cross-entropy; otherwise mean squared error */
    DN_CROSS_ENTROPY,        /* -sum_j y_j log p_j */
    DN_BINARY_CROSS_ENTROPY, /* -sum_j (y_j log p_j + (1 - y_j) log(1 - p_j)) */
    DN_MEAN_SQUARED_ERROR    /* 1/2 sum_j (p_j - y_j)^2 */
} dn_loss;

/*
#### The net

The caller owns the struct and frees what is in it with `dn_net_free`, which is harmless on a zeroed
struct. All fields may be read. Of a trained net it is `loss`, `normalization`, `mean` and
`deviation` that tell how its inputs and outputs are meant; they are saved with it. To normalise
other data alike, copy the last three into their `dn_dataset`.
*/
typedef struct dn_net {
    size_t inputs, outputs;      /* outputs: of the last layer so far */
    size_t layer_count;
    size_t parameter_count;
    dn_layer *layers;
    dn_real *parameters;
    dn_random random;            /* initialises the weights, then drives training */
    uint64_t seed;
    dn_loss loss;                /* what dn_evaluate reports; training sets it */
    dn_normalization normalization; /* of the data it was trained on; training sets it, */
    dn_real *mean, *deviation;   /*   and these [inputs] for DN_NORMALIZE_FEATURE, else NULL */
    char *notes;                 /* private: see dn_net_note */
    size_t notes_size;
    dn_error error;              /* of the building calls */
} dn_net;

/*
The calls that build a net, and the ones that look into it. `dn_net_copy` makes a second,
independent net; `dn_net_weights` and `dn_net_biases` give the parameters of layer `layer`
(counted from 0, dropout layers included) as views [inputs, outputs] and [1, outputs] into
`net->parameters`.
*/
DN_API void dn_net_init(dn_net *net, size_t inputs, uint64_t seed);
DN_API void dn_net_dense(dn_net *net, size_t outputs, dn_activation activation);
DN_API void dn_net_layer(dn_net *net, const dn_dense *layer);
DN_API void dn_net_dropout(dn_net *net, dn_real probability); /* 0 <= probability < 1 */
DN_API dn_status dn_net_copy(dn_net *copy, const dn_net *net, dn_error *error);
DN_API void dn_net_free(dn_net *net);
DN_API dn_matrix dn_net_weights(const dn_net *net, size_t layer);
DN_API dn_matrix dn_net_biases(const dn_net *net, size_t layer);
/*
`dn_net_summary` writes a table (layer, output shape, parameters, bytes) as `snprintf`
would: at most `capacity` bytes, always terminated; it returns the length of the whole text.
*/
DN_API size_t dn_net_summary(const dn_net *net, char *text, size_t capacity);
DN_API const char *dn_activation_name(const dn_layer *layer);

/*
### Prediction

`dn_predict` is inference: dropout does nothing, the net is const, nothing is
allocated. It needs a buffer of `dn_predict_size` bytes, aligned for dn_real, or
NULL when that size is not wanted by hand (then it allocates one for the call).
Threads may share the net, each with its own buffer.

```c
static dn_real picture[784], probabilities[10];
dn_net net = {0};
dn_error error;
if (dn_net_load(&net, "digits.safetensors", &error) == DN_OK &&
    dn_predict(&net, picture, 1, probabilities, NULL, &error) == DN_OK)
    printf("this is a %d\n", (int)dn_largest(probabilities, 10));
dn_net_free(&net);
```

`dn_predict` takes numbers that are normalised already; `dn_predict_dataset` takes samples
first .. first+count-1 of a data set and normalises them as the data set says.
`dn_largest` gives the index of the largest of `count` numbers, the first if there are
several: the predicted class.
*/
DN_API size_t dn_predict_size(const dn_net *net, size_t count);
/* inputs [count, net->inputs] -> outputs [count, net->outputs]. */
DN_API dn_status dn_predict(const dn_net *net, const dn_real *inputs, size_t count,
                            dn_real *outputs, void *buffer, dn_error *error);
DN_API dn_status dn_predict_dataset(const dn_net *net, const dn_dataset *data, size_t first,
                                    size_t count, dn_real *outputs, dn_error *error);
DN_API size_t dn_largest(const dn_real *numbers, size_t count);

/*
### Evaluation

How good a net is on data that it has not seen: the loss and the accuracy, which
classes it takes for which, and the samples that it gets wrong. Like prediction, this is
inference: dropout does nothing, and the net is const. A net with several outputs predicts
the class of the largest; one with a single output predicts class 1 where that output is
above one half, else class 0.
*/
typedef struct dn_evaluation {
    double loss;     /* net->loss, mean over the samples, without penalties */
    double accuracy; /* share of samples whose largest output is their class; 0 for regression */
    size_t count, correct;
    dn_status status; /* when not DN_OK, loss and accuracy are NaN */
} dn_evaluation;

DN_API dn_evaluation dn_evaluate(const dn_net *net, const dn_dataset *data);
/*
The confusion matrix `confusion[classes, classes]` counts: row = true class, column =
predicted class. `classes` is `net->outputs`, or 2 where the net has a single output. From
it, `dn_class_accuracy` is the share of one class that was recognised; NaN if it has no sample.
*/
DN_API dn_status dn_confusion(const dn_net *net, const dn_dataset *data, size_t *confusion,
                              dn_error *error);
DN_API double dn_class_accuracy(const size_t *confusion, size_t classes, size_t which);

typedef struct dn_mistake {
    size_t sample;        /* index in the data set */
    int32_t label;        /* true class */
    int32_t predicted;    /* class with the largest output */
    dn_real probability;  /* that output */
} dn_mistake;

/*
Gives the first `capacity` misclassified samples in order of their index; `count` receives
how many there are in all.
*/
DN_API dn_status dn_mistakes(const dn_net *net, const dn_dataset *data, dn_mistake *mistakes,
                             size_t capacity, size_t *count, dn_error *error);

/*
### Gradients

For those who write their own training loop. A workspace holds the activations
and gradients of one batch of at most `batch` samples. With these three calls, a step is:

```c
static dn_real inputs[32 * 784];
static int32_t labels[32];
dn_net net = {0};
dn_workspace workspace = {0};
dn_optimizer optimizer = dn_sgd(0.1f);
dn_optimizer_state state = {0};
dn_penalty none = {0, 0};
dn_batch batch = {32, inputs, labels, NULL};
dn_error error;
dn_random dropout = dn_random_seed(2);

dn_net_init(&net, 784, 1);
dn_net_dense(&net, 10, DN_SOFTMAX);
dn_real *gradient = (dn_real *)malloc(net.parameter_count * sizeof(dn_real));
dn_workspace_init(&workspace, &net, 32, &error);
dn_optimizer_init(&state, &optimizer, &net, &error);

dn_forward(&net, &workspace, inputs, 32, &dropout);
printf("loss %g\n", dn_loss_value(&net, &workspace, DN_CROSS_ENTROPY, &batch));
dn_backward(&net, &workspace, DN_CROSS_ENTROPY, &batch, none, gradient);
dn_optimizer_step(&optimizer, &state, &net, gradient);
```
*/
typedef struct dn_workspace {
    size_t batch;        /* capacity in samples */
    size_t count;        /* samples of the last forward pass */
    dn_real **z;         /* [layer]: [batch, outputs] before the activation; of a dropout
                            layer the mask; the same as a where only a is needed */
    dn_real **a;         /* [layer]: [batch, outputs] after the activation */
    dn_real **delta;     /* private: [layer]: [batch, outputs], on the way back dL/da, then dL/dz;
                            of a dropout layer the array of the layer before */
    double *losses;      /* private: of each sample, where they are asked for */
    uint64_t *marks;     /* private: which inputs are not 0, a bit for each */
    bool marked;         /* private: they are those of the batch */
    bool dropped;        /* private: the last forward pass applied dropout */
    void *owned;         /* private */
} dn_workspace;

DN_API dn_status dn_workspace_init(dn_workspace *workspace, const dn_net *net, size_t batch,
                                   dn_error *error);
DN_API void dn_workspace_free(dn_workspace *workspace);

/*
One batch: `inputs[count, net->inputs]`, and `labels[count]` or
`targets[count, net->outputs]` (when both are given, the labels count the accuracy and the
targets make the loss).
*/
typedef struct dn_batch {
    size_t count;
    const dn_real *inputs;
    const int32_t *labels;
    const dn_real *targets;
} dn_batch;

/*
Penalties keep weights small: `l1 * sum |w| + l2 / 2 * sum w^2` is added to the loss, and its
derivative, `l1 * sign(w) + l2 * w`, to the gradient. Weights only: a bias does not make a
net more complicated.
*/
typedef struct dn_penalty {
    dn_real l1, l2;
} dn_penalty;

/*
The three steps. `dn_forward` is in training mode when `dropout` is given (whose state
advances), else in inference mode; it returns the outputs `[count, net->outputs]`, which stand
in the workspace. `dn_loss_value` is the mean loss of the batch that was passed forward last.
`dn_backward` fills `gradient[parameter_count]` with the derivative of that mean loss, laid out
as `net->parameters`, penalties included, zero where frozen.
*/
DN_API const dn_real *dn_forward(const dn_net *net, dn_workspace *workspace,
                                 const dn_real *inputs, size_t count, dn_random *dropout);
DN_API double dn_loss_value(const dn_net *net, const dn_workspace *workspace, dn_loss loss,
                            const dn_batch *batch);
DN_API void dn_backward(const dn_net *net, dn_workspace *workspace, dn_loss loss,
                        const dn_batch *batch, dn_penalty penalty, dn_real *gradient);
/* l1 * sum |w| + l2 / 2 * sum w^2. */
DN_API double dn_penalty_value(const dn_net *net, dn_penalty penalty);
/* Whether the mathematics allows the loss behind the last activation; says why not. */
DN_API dn_status dn_loss_check(const dn_net *net, dn_loss loss, dn_error *error);

typedef struct dn_gradient_report {
    size_t parameter;       /* index of the worst in net->parameters */
    size_t layer;           /* where it is: its layer, */
    bool is_bias;           /*   weight or bias, */
    size_t row, column;     /*   input and output; row is 0 for a bias */
    double backpropagated;  /* its two values */
    double numerical;
    double error;           /* |difference| / max(1e-8, |one| + |other|), the largest of all */
    size_t checked;         /* how many parameters were compared */
} dn_gradient_report;

/*
Compares backpropagation with the central difference
`(L(w + epsilon) - L(w - epsilon)) / (2 epsilon)` for every parameter that is not
frozen, and reports the worst. `gradient` may be NULL (then `dn_backward` computes it) or a
gradient of the caller's to be checked. A dropout mask is drawn once and kept. In double
precision an error above 1e-7 is a mistake; chapter 7 tells what single precision can show.
*/
DN_API dn_status dn_gradient_check(dn_net *net, dn_loss loss, const dn_batch *batch,
                                   dn_penalty penalty, const dn_real *gradient, dn_real epsilon,
                                   dn_gradient_report *report, dn_error *error);

/*
### Optimizers

How a gradient changes the parameters: the formulas, with their sources, are in chapter 9.
The learning rate is the size of a step. Momentum comes in the two forms that are in use:
`dn_momentum` adds up, v = mu v + g, as PyTorch does; `dn_weighted_momentum` averages,
v = mu v + (1 - mu) g, and wants a learning rate that is 1 / (1 - mu) times larger.
What an optimizer remembers from step to step is in a `dn_optimizer_state`, one or two
numbers for each parameter, which `dn_optimizer_init` allocates and `dn_optimizer_free` frees.
*/
typedef enum dn_optimizer_kind {
    DN_OPTIMIZER_DEFAULT, /* Adam with learning rate 0.001 */
    DN_SGD, DN_MOMENTUM, DN_WEIGHTED_MOMENTUM, DN_NESTEROV, DN_RMSPROP, DN_ADAM
} dn_optimizer_kind;

/* Made by the functions below; every field may be changed afterwards. */
typedef struct dn_optimizer {
    dn_optimizer_kind kind;
    dn_real learning_rate;
    dn_real momentum;      /* mu of the momentum methods, beta_1 of Adam */
    dn_real square_decay;  /* rho of RMSprop, beta_2 of Adam */
    dn_real epsilon;       /* added to the root of RMSprop and Adam */
    dn_real weight_decay;  /* decoupled: w -= learning_rate * weight_decay * w (weights only) */
    dn_real shrink;        /* decoupled from the learning rate too: w -= shrink * w */
} dn_optimizer;

DN_API dn_optimizer dn_sgd(dn_real learning_rate);
DN_API dn_optimizer dn_momentum(dn_real learning_rate, dn_real momentum);
DN_API dn_optimizer dn_weighted_momentum(dn_real learning_rate, dn_real momentum);
DN_API dn_optimizer dn_nesterov(dn_real learning_rate, dn_real momentum);
DN_API dn_optimizer dn_rmsprop(dn_real learning_rate);  /* rho 0.99, epsilon 1e-8 */
DN_API dn_optimizer dn_adam(dn_real learning_rate);     /* 0.9, 0.999, epsilon 1e-8 */
DN_API dn_optimizer dn_adamw(dn_real learning_rate, dn_real weight_decay);

typedef struct dn_optimizer_state {
    size_t count;          /* parameters */
    uint64_t steps;        /* steps done */
    double momentum_power; /* momentum^steps and square_decay^steps, for Adam's correction */
    double square_power;
    dn_real *first;        /* [count] velocity or first moment */
    dn_real *second;       /* [count] second moment */
} dn_optimizer_state;

DN_API dn_status dn_optimizer_init(dn_optimizer_state *state, const dn_optimizer *optimizer,
                                   const dn_net *net, dn_error *error);
DN_API void dn_optimizer_step(const dn_optimizer *optimizer, dn_optimizer_state *state,
                              dn_net *net, const dn_real *gradient);
DN_API void dn_optimizer_free(dn_optimizer_state *state);

/*
### Training

`dn_train` does it all: shuffled batches, dropout, the optimizer's steps, validation after
every epoch, the schedule of the learning rate, early stopping. The struct `dn_training`
says how; zero means the default everywhere.

```c
dn_net net = {0};
dn_dataset train = {0}, validation = {0};
dn_training how = {0};
dn_history history = {0};
dn_error error;
// ... load the data, describe the net ...
how.optimizer = dn_adam(1e-3f);
how.epochs = 50;
how.batch = 128;
how.patience = 3;        // stop when three epochs have not lowered the validation loss
how.history = &history;
if (dn_train(&net, &train, &validation, &how, &error)) fprintf(stderr, "%s\n", error.message);
else dn_history_save(&history, "run.tsv", "784-128-10, Adam", &error);
dn_history_free(&history);
```

The schedule sets the learning rate of each epoch:
*/
typedef enum dn_schedule_kind {
    DN_SCHEDULE_CONSTANT,
    DN_SCHEDULE_STEP,    /* learning rate times `factor` every `every` epochs */
    DN_SCHEDULE_COSINE,  /* half a cosine from the learning rate down towards `minimum`
                            (Loshchilov, Hutter, 2017) */
    DN_SCHEDULE_PLATEAU  /* times `factor` after an epoch whose validation accuracy is below
                            the epoch's before */
} dn_schedule_kind;

typedef struct dn_schedule {
    dn_schedule_kind kind;
    dn_real factor;  /* 0: one half */
    size_t every;    /* 0: 10 epochs */
    dn_real minimum; /* of the learning rate */
} dn_schedule;

/* What one epoch gave. Validation values are NaN without a validation set. */
typedef struct dn_epoch {
    size_t epoch;             /* 1, 2, ... */
    double learning_rate;
    double train_loss;        /* mean over the epoch's samples as they were trained on, plus
                                 the penalties at its end */
    double train_accuracy;    /* likewise */
    double validation_loss;   /* after the epoch, without penalties */
    double validation_accuracy;
} dn_epoch;

typedef struct dn_history {
    size_t count;
    dn_epoch *epochs; /* [count] */
    size_t capacity;  /* private */
} dn_history;

DN_API void dn_history_free(dn_history *history);

/* What the progress function is told after every batch and every epoch. */
typedef struct dn_progress {
    size_t epoch, epochs;    /* this one (from 1), and of how many at most */
    size_t batch, batches;   /* of this epoch */
    double loss, accuracy;   /* of this epoch so far */
    const dn_epoch *finished; /* the epoch's record when it is complete, else NULL */
} dn_progress;

typedef struct dn_training {
    size_t epochs;         /* 0: 10 */
    size_t batch;          /* samples per step; 0: 32 */
    dn_optimizer optimizer;
    dn_loss loss;
    dn_penalty penalty;
    dn_schedule schedule;
    size_t patience;       /* stop after so many epochs without a lower validation loss, and
                              restore the best parameters; 0: never */
    bool keep_last;        /* with patience: keep the last parameters instead of the best */
    bool keep_order;       /* do not shuffle the samples */
    bool ignore_divergence; /* go on when the loss is NaN or infinite */
    dn_history *history;   /* filled when given; the caller frees it */
    void (*progress)(void *user, const dn_progress *progress);
    void *user;            /* passed to progress */
} dn_training;

/*
Trains the net, which must have a layer at least and as many inputs as the data have features.
`validation` may be NULL, and `how`, for the defaults. The optimizer's state lives for this call; to
go on with it later, use a trainer and its checkpoints. On `DN_ERROR_DIVERGED` the error says in
which epoch and layer the first NaN or infinity stood.
*/
DN_API dn_status dn_train(dn_net *net, const dn_dataset *train, const dn_dataset *validation,
                          const dn_training *how, dn_error *error);

/*
The same as a loop that the caller writes, without callbacks; `dn_train` is written on it.

```c
dn_net net = {0};
dn_dataset train = {0}, validation = {0};
dn_training how = {0};
dn_trainer trainer;
dn_error error;
// ... load the data, describe the net ...
if (dn_trainer_init(&trainer, &net, &train, &validation, &how, &error) == DN_OK) {
    while (dn_trainer_epoch(&trainer))
        printf("epoch %d: loss %.4f\n", (int)trainer.last.epoch, trainer.last.train_loss);
    dn_trainer_free(&trainer);
}
```

Or batch by batch, `while (dn_trainer_step(&trainer)) ...`: the last batch of an epoch also
validates. Both give false when nothing is left to do: all epochs done, stopped early, or
failed (`trainer.error` says why).
*/
typedef struct dn_trainer {
    dn_net *net;
    const dn_dataset *train, *validation;
    dn_training how;            /* with defaults filled in */
    size_t batches;             /* per epoch */
    /* Where training stands: all that a checkpoint has to hold, with the net. */
    size_t epoch;               /* epochs finished */
    size_t position;            /* batches done in the running epoch */
    dn_random random;           /* shuffling and dropout */
    dn_random epoch_random;     /* its state at the start of the running epoch */
    double loss_sum;            /* over the samples of the running epoch so far */
    size_t correct;             /* likewise */
    dn_real learning_rate;      /* of the running epoch */
    double previous_accuracy;   /* validation accuracy of the epoch before */
    size_t best_epoch;          /* with the lowest validation loss; 0: none yet */
    double best_loss;
    bool finished;              /* nothing is left to do: all epochs, stopped, or failed */
    bool stopped_early;
    dn_optimizer_state state;
    dn_real *best;              /* [parameter_count] at the best epoch; NULL without patience */
    dn_history history;
    /* What the caller may want to see. */
    dn_epoch last;              /* the epoch that was finished last */
    dn_error error;             /* why training failed, if it did */
    /* Working memory. */
    dn_workspace workspace;
    dn_real *gradient;          /* [parameter_count] */
    dn_real *inputs;            /* [workspace.batch, features] */
    dn_real *targets;           /* [workspace.batch, outputs] */
    int32_t *labels;            /* [workspace.batch] */
    uint32_t *order;            /* [train->count] */
    struct dni_visit *visit;    /* private: for the validation set */
} dn_trainer;

DN_API dn_status dn_trainer_init(dn_trainer *trainer, dn_net *net, const dn_dataset *train,
                                 const dn_dataset *validation, const dn_training *how,
                                 dn_error *error);
/*
Trains to the end of the running epoch. False when there was nothing left to do:
all epochs done, stopped early, or failed (see trainer->error).
*/
DN_API bool dn_trainer_epoch(dn_trainer *trainer);
/* Trains one batch; validates after the last one of an epoch. False as above. */
DN_API bool dn_trainer_step(dn_trainer *trainer);
DN_API void dn_trainer_free(dn_trainer *trainer);

#ifndef DN_NO_STDIO
/*
Writes the history as tab-separated values: the lines of `comment` (may be NULL),
each behind "# ", a header row, a row per epoch. Decimal points, never commas.
*/
DN_API dn_status dn_history_save(const dn_history *history, const char *name,
                                 const char *comment, dn_error *error);
#endif

/*
### Model files

A net is saved as a *safetensors* file: a length, a header in JSON, then the bare
numbers. PyTorch, NumPy, JavaScript and others read it. The tensors have the names
and shapes that PyTorch gives to an `nn.Sequential` of the same stack, so that there

    net.load_state_dict(safetensors.torch.load_file("net.safetensors"))

is all it takes. What else a net is (activations, dropout, normalisation of the
inputs, loss, seed, notes) stands in the file's metadata, so that `dn_net_load` needs
nothing but the name.

Saving to a name is atomic: whatever happens, the name has either the old contents or
the new. Loading changes the net only when all went well.
*/

/*
A remark that travels with the net, into its file and out of it: the names of the classes, where the
data came from. Key and value are UTF-8; a second value for a key replaces the first, NULL removes
it. Fails like the building calls, into net->error: when the key is one of the library's own
(`classes`, `loss`, `seed` ...: `dni_own_keys`) or a text is no UTF-8.
*/
DN_API void dn_net_note(dn_net *net, const char *key, const char *value);
/* The value, or NULL. It is the net's; valid until the notes change. */
DN_API const char *dn_net_get_note(const dn_net *net, const char *key);

/* How to read a file that is not ours, or not only ours. Zero means the default. */
typedef struct dn_loading {
    bool infer;              /* when the file does not say what the net is: take the sizes
                                from the shapes, and as activations: */
    dn_activation hidden;    /*   of all dense layers but the last */
    dn_activation last;      /*   of the last */
    const char *prefix;      /* read only tensors called prefix + number + .weight or .bias;
                                NULL: the prefix that all of them have, often none */
    bool ignore_extra;       /* do not refuse tensors that belong to no layer */
    const dn_custom_activation *custom; /* [custom_count], found by their names; they must */
    size_t custom_count;                /* outlive the net */
    size_t header_limit;     /* largest header in bytes; 0: 1 MiB */
} dn_loading;

#ifndef DN_NO_STDIO
DN_API dn_status dn_net_save(const dn_net *net, const char *name, dn_error *error);

/*
Loads a net. `net` is either zeroed ({0}), then it is built as the file says; or it
has been described by the building calls, then its parameters are overwritten with
those of the file, whose shapes must be the same: so a file that PyTorch wrote can be
read. Dense layers are matched in order of the numbers in the tensors' names. F16, BF16,
F32 and F64 are converted; a bias that is not there is zero.
*/
DN_API dn_status dn_net_load(dn_net *net, const char *name, dn_error *error);
DN_API dn_status dn_net_load_as(dn_net *net, const char *name, const dn_loading *how,
                                dn_error *error);
#endif
/* The same through callbacks and in memory. `how` may be NULL. */
DN_API dn_status dn_net_write(const dn_net *net, const dn_writer *writer, dn_error *error);
DN_API dn_status dn_net_read(dn_net *net, const dn_reader *reader, const dn_loading *how,
                             dn_error *error);
DN_API dn_status dn_net_memory(dn_net *net, const void *bytes, size_t size,
                               const dn_loading *how, dn_error *error);
/*
Writes the file into `bytes` if `capacity` suffices. Returns the size that it needs, so
that it can be asked first with capacity 0; 0 on failure.
*/
DN_API size_t dn_net_store(const dn_net *net, void *bytes, size_t capacity, dn_error *error);

/*
### Checkpoints

All that a training needs to go on as if it had never been interrupted, to the last
bit, in the middle of an epoch too. To resume, make the trainer with `dn_trainer_init`
as the first time, then load:

```c
dn_dataset train = {0}, validation = {0};
dn_training how = {0};
dn_net net = {0};
dn_trainer trainer;
dn_error error = {0};
bool resume = true;
// ... load the data, describe the net and the training ...
dn_trainer_init(&trainer, &net, &train, &validation, &how, &error);
if (resume) dn_trainer_load(&trainer, "run.checkpoint", &error);
while (dn_trainer_epoch(&trainer)) dn_trainer_save(&trainer, "run.checkpoint", &error);
```

The file is a model file with more tensors in it: `dn_net_load` reads the net from it. Everything is
checked before the trainer is changed: the checksum, the net, and that `how` and the data are the
same as then. Only `epochs` may differ; a training that was done can so be extended.
*/
#ifndef DN_NO_STDIO
DN_API dn_status dn_trainer_save(const dn_trainer *trainer, const char *name, dn_error *error);
DN_API dn_status dn_trainer_load(dn_trainer *trainer, const char *name, dn_error *error);
#endif
DN_API dn_status dn_trainer_write(const dn_trainer *trainer, const dn_writer *writer,
                                  dn_error *error);
DN_API dn_status dn_trainer_read(dn_trainer *trainer, const dn_reader *reader, dn_error *error);

/*
### Export

Writes a trained net as one C99 file that needs nothing: no allocation, no math
library, no file, no header but `<stdint.h>`. The file defines, with NAME the name that
is given here,

| in the exported file | |
|---|---|
| `int NAME_predict(const uint8_t *pixels)` | the class of a sample of bytes |
| `void NAME_scores(const uint8_t *pixels, S *scores)` | the outputs, of type S |
| `NAME_FLASH`, `NAME_READ(pointer)` | may be defined to keep tables in flash memory |
| `-DNAME_SELFTEST` (NAME in capitals) | a `main` that tests: 0 if all is right |

S is `float`; in the 8-bit form it is `int32_t`, and the scores are logits times 65536. The macros
for flash memory are nothing and `*(pointer)` unless they are defined. The test compares stored
outputs with those of stored samples.

The bytes are normalised as the data the net was trained on (`net->normalization`).
Custom activations have no C text: only the 8-bit form, which tabulates them, takes them.
*/
typedef struct dn_export {
    const char *name;              /* a C identifier; NULL: "net" */
    bool int8;                     /* 8-bit weights and integer arithmetic instead of float */
    const dn_dataset *calibration; /* bytes; for int8: the ranges of the activations are measured
                                      on (at most the first 10,000 of) its samples */
    const dn_dataset *test;        /* bytes; may be NULL: its accuracy is written into the file, its
                                      first samples are the self-test */
    size_t selftest;               /* how many samples to store; 0: 8 */
} dn_export;

DN_API dn_status dn_export_c(const dn_net *net, const dn_export *how, const dn_writer *writer,
                             dn_error *error);

#endif /* DENSENET_H */

#if defined(DENSENET_IMPLEMENTATION) && !defined(DENSENET_IMPLEMENTATION_DONE)
#define DENSENET_IMPLEMENTATION_DONE
#define DNI_FIRST_PASS /* this time; not when the header includes itself, see chapter 2 */

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
# The implementation

From here on the header is a book: each chapter can be read with what the
chapters before it have explained, and each section says why, gives the formula,
shows the code and names the test that proves it.

## 1. Foundations

Three small things carry everything above them: errors that explain themselves,
memory whose sizes cannot overflow, and random numbers that can be repeated.

### Errors

A status alone says that a file is wrong; only a sentence says what is wrong with
it. Every failure in the library goes through `dni_fail`, so that a status is
never returned without its sentence.
*/
#ifndef DN_ASSERT
#include <assert.h>
#define DN_ASSERT(condition) assert(condition)
#endif

#if defined(__MINGW_PRINTF_FORMAT) /* Windows: the printf of C99, which knows %zu */
#define DNI_PRINTF_LIKE(text, first) __attribute__((format(__MINGW_PRINTF_FORMAT, text, first)))
#elif defined(__GNUC__)
#define DNI_PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
#else
#define DNI_PRINTF_LIKE(text, first)
#endif

static dn_status dni_fail(dn_error *error, dn_status status, const char *format, ...)
    DNI_PRINTF_LIKE(3, 4);

static dn_status dni_fail(dn_error *error, dn_status status, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        (void)vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        error->status = status;
    }
    return status;
}

DN_API const char *dn_status_text(dn_status status) {
    switch (status) {
#define DNI_ROW(name, text) \
    case name: return text;
        DN_STATUSES(DNI_ROW)
#undef DNI_ROW
    }
    return "unknown status";
}

/*
A function that fills a struct of the caller starts from zeroes, so that the
caller may free it whatever happened in between.

### Sizes and memory

A file that claims 2^32 images of 2^32 bytes must not make a product wrap around
and a small block be allocated for it. No size is multiplied or added without one
of these two functions.
*/
static bool dni_multiply_sizes(size_t a, size_t b, size_t *product) {
    if (b != 0 && a > SIZE_MAX / b) return false;
    *product = a * b;
    return true;
}

static bool dni_add_sizes(size_t a, size_t b, size_t *sum) {
    if (a > SIZE_MAX - b) return false;
    *sum = a + b;
    return true;
}

/*
Blocks start at a multiple of 64 bytes, the width of a cache line and of the
widest vectors. `malloc` promises less (16 bytes as a rule), so that a block is
taken larger than asked for, its start is moved up, and the byte before it says by
how much.

    malloc's block:  |<- 1..64 ->|<-------- count * size bytes -------->|
                                 ^ a multiple of 64; the byte before it
                                   holds the distance

`DN_MALLOC` and `DN_FREE` replace `malloc` and `free`; who defines one defines
both.
*/
#if defined(DN_MALLOC) != defined(DN_FREE)
#error "densenet.h: define both DN_MALLOC and DN_FREE, or neither"
#endif
#ifndef DN_MALLOC
#define DN_MALLOC(size) malloc(size)
#define DN_FREE(memory) free(memory)
#endif

enum { DNI_ALIGNMENT = 64 };

static void *dni_allocate(size_t count, size_t size) {
    size_t bytes, total;
    if (!dni_multiply_sizes(count, size, &bytes)) return NULL;
    if (!dni_add_sizes(bytes, DNI_ALIGNMENT, &total)) return NULL;
    unsigned char *block = (unsigned char *)DN_MALLOC(total);
    if (block == NULL) return NULL;
    size_t shift = DNI_ALIGNMENT - (size_t)((uintptr_t)block % DNI_ALIGNMENT);
    block += shift;
    block[-1] = (unsigned char)shift;
    return block;
}

static void *dni_allocate_zero(size_t count, size_t size) {
    void *memory = dni_allocate(count, size);
    if (memory != NULL) memset(memory, 0, count * size);
    return memory;
}

static void dni_release(void *memory) {
    if (memory == NULL) return;
    unsigned char *block = (unsigned char *)memory;
    DN_FREE(block - block[-1]);
}

/* A larger block with the same contents; NULL (and the old block as it was) if
   there is no memory. Growing from NULL allocates. */
static void *dni_grow(void *memory, size_t old_bytes, size_t new_bytes) {
    void *larger = dni_allocate(new_bytes, 1);
    if (larger == NULL) return NULL;
    if (memory != NULL) memcpy(larger, memory, old_bytes < new_bytes ? old_bytes : new_bytes);
    dni_release(memory);
    return larger;
}

/*
### One rounding at a time

A compiler that finds `a * b + c` may compute it with one rounding (a *fused
multiply-add*) or with two, as it likes and as the processor allows; gcc does so
by default on every processor that has the instruction. The last bit of a weight
would then depend on the compiler, and after some thousand steps so would the
whole net. Two habits prevent it: where a product is added to something, the
library asks for the fused operation by name, and nowhere does a product stand
directly beside a plus or minus. The fused operation is exact before its one
rounding, and C99 provides it on every machine:

$$ \operatorname{fma}(a, b, c) = \operatorname{round}(a \cdot b + c) $$

`tests/determinism` compiles with and without contraction and compares the trained parameters bit by
bit. With `-ffast-math` the habits are in vain, and no NaN is found. Nor do the bits agree where
each number of a 32-bit program goes through the x87 unit, whose roundings are its own: there,
`-msse2 -mfpmath=sse` is needed.
*/
#ifdef __FAST_MATH__
#error "densenet.h: compile its implementation without -ffast-math (-Ofast)"
#endif
#define DNI_IS_float 0
#define DNI_IS_double 1
#define DNI_JOIN_EXPANDED(a, b) a##b
#define DNI_JOIN(a, b) DNI_JOIN_EXPANDED(a, b)
#define DNI_REAL_IS_DOUBLE DNI_JOIN(DNI_IS_, DN_REAL)

#if DNI_REAL_IS_DOUBLE
#define DNI_REAL_MAX DBL_MAX
#else
#define DNI_REAL_MAX FLT_MAX
#endif

static double dni_fma(double a, double b, double c) { return fma(a, b, c); }

static dn_real dni_fma_real(dn_real a, dn_real b, dn_real c) {
#if DNI_REAL_IS_DOUBLE
    return fma(a, b, c);
#else
    return fmaf(a, b, c);
#endif
}

static dn_real dni_sqrt_real(dn_real x) {
#if DNI_REAL_IS_DOUBLE
    return sqrt(x);
#else
    return sqrtf(x);
#endif
}

static bool dni_is_finite(double x) { return x - x == 0; }

/*
### Random numbers

A net starts from random weights, sees its samples in random order and drops
random activations. For an experiment to be repeatable the generator must be
explicit: here it is one integer that the caller owns.

SplitMix64 (Steele, Lea and Flood, 2014) adds an odd constant to its state, the
golden ratio's fraction times 2^64, and scrambles a copy of the result. All 2^64
states lie on one cycle; a state n steps ahead is `state + n * constant`, so that
one can jump anywhere in the sequence in a single step. Each of the three lines of
the scrambler is invertible, hence no two states give the same number.
*/
#define DNI_RANDOM_STEP UINT64_C(0x9e3779b97f4a7c15)

DN_API dn_random dn_random_seed(uint64_t seed) {
    dn_random random;
    random.state = seed;
    return random;
}

/* The generator as it will be after so many calls of `dn_random_bits`. */
static dn_random dni_random_after(const dn_random *random, uint64_t calls) {
    return dn_random_seed(random->state + calls * DNI_RANDOM_STEP);
}

DN_API uint64_t dn_random_bits(dn_random *random) {
    uint64_t bits = (random->state += DNI_RANDOM_STEP);
    bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
    return bits ^ (bits >> 31);
}

/* A double holds 53 bits: the upper 53 of 64, divided by 2^53, exactly. */
DN_API double dn_random_uniform(dn_random *random) {
    return (double)(dn_random_bits(random) >> 11) * (1.0 / 9007199254740992.0);
}

/*
`bits % bound` alone favours small remainders, because 2^64 is in general no
multiple of `bound`. Rejecting the lowest `2^64 mod bound` values leaves a multiple
of it. (In 64-bit arithmetic `2^64 mod bound` is `(0 - bound) % bound`.)
*/
DN_API size_t dn_random_below(dn_random *random, size_t bound) {
    DN_ASSERT(bound > 0);
    uint64_t reject = (UINT64_C(0) - (uint64_t)bound) % (uint64_t)bound;
    uint64_t bits;
    do bits = dn_random_bits(random);
    while (bits < reject);
    return (size_t)(bits % (uint64_t)bound);
}

/*
Normal numbers come from Marsaglia's polar method (1964). A point (u, v) is drawn
uniformly from the unit disk by drawing from the square around it until it falls
inside (pi/4 of the draws do). With s = u^2 + v^2,

$$ x = u \, \sqrt{\frac{-2 \ln s}{s}} $$

is normal with mean 0 and deviation 1. (v in place of u would give a second,
independent one; dropping it keeps the state of the generator a single integer.)
The logarithm is the library's own, so that the numbers are the same everywhere.
*/
static double dni_log_double(double x); /* in chapter 2 */

DN_API double dn_random_normal(dn_random *random) {
    double u, v, s;
    do {
        u = dni_fma(2, dn_random_uniform(random), -1);
        v = dni_fma(2, dn_random_uniform(random), -1);
        s = dni_fma(u, u, v * v);
    } while (s >= 1 || s == 0);
    return u * sqrt(-2 * dni_log_double(s) / s);
}

/*
A permutation by Fisher and Yates (1938) in the form of Durstenfeld (1964): put a
random one of the first i numbers at place i, for i from the end. Each of the n!
permutations is equally likely, because step i chooses one of exactly i numbers.
*/
DN_API void dn_random_permutation(dn_random *random, size_t count, uint32_t *order) {
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    for (size_t i = count; i > 1; i--) {
        size_t chosen = dn_random_below(random, i);
        uint32_t last = order[i - 1];
        order[i - 1] = order[chosen];
        order[chosen] = last;
    }
}

/*
*How we know:* `tests/test_random.c` compares with numbers of the
published generator, computed by an independent program, and tests the moments of
the normal numbers and the uniformity of the permutations.
*/

/*
## 2. Arithmetic

Nearly all the time of training goes into one operation, the product of two matrices,
and most of the rest into exponentials. This chapter makes both fast, and makes them
give the same bits everywhere.

How much work is it? A net 784-1000-10, trained with batches of 40, does in one step

| product | multiply-adds | |
|---|---|---|
| forward, first layer: [40, 784] [784, 1000] | 31,360,000 | |
| weight gradient, first layer | 31,360,000 | the input gradient is not needed there |
| forward, weight and input gradient of the last layer | 3 x 400,000 | |
| activations, loss, biases, the update of the last layer | about 200,000 | |

Ninety-eight percent are two products of the same three sizes. An epoch of 50,000 samples has
1250 such steps: 80 thousand million multiply-adds. A core can do 16 to 110 thousand million in a
second; a program written without thought does one or two.

### One text, many instruction sets

A processor of today computes on *vectors*: 16 floats at once with AVX-512, 8 with AVX2,
4 with NEON. A program that must run on all of them cannot use the widest when it is
compiled; it contains a version for each, and chooses when it runs. We write each loop
once, in a small vocabulary, and compile that text once for every instruction set. In
portable C a "vector" is a single number, and the text becomes ordinary scalar code.

| word | meaning, for each lane |
|---|---|
| `DNI_VECTOR`, `DNI_LANES` | the type, and how many numbers it holds |
| `DNI_LOAD(p)`, `DNI_STORE(p, v)` | from and to memory, at any address |
| `DNI_LOAD_PART(p, n)` | the first n lanes from memory, the others 0 |
| `DNI_STORE_PART(p, v, n)` | the first n lanes to memory, which is left alone behind them |
| `DNI_BYTES(p)` | as many bytes as there are lanes, as numbers |
| `DNI_SET(x)` | the same number in all lanes |
| `DNI_ADD(a, b)`, `DNI_SUB`, `DNI_MUL`, `DNI_DIV` | rounded once, as IEEE 754 demands |
| `DNI_SQRT(a)` | the square root, rounded once |
| `DNI_FMA(a, b, c)` | a b + c, rounded once |
| `DNI_FNMA(a, b, c)` | c - a b, rounded once |
| `DNI_MAX(a, b)`, `DNI_MIN(a, b)` | a > b ? a : b and a < b ? a : b; a NaN in b passes |
| `DNI_IF_POSITIVE(v, a, b)` | v > 0 ? a : b |
| `DNI_ABSOLUTE(v)` | its absolute value |
| `DNI_MARK(v)` | bit i of the result is set where lane i is not 0 |
| `DNI_POWER(n)` | 2^n for whole numbers n from -126 to 127 (double: -1022 to 1023) |
| `DNI_TILE_VECTORS` | how many vectors wide a tile of 4 rows can be in the registers |
| `DNI_TILE_MASKS` | 1 if a part of a vector is stored as fast as a whole one, else 0 |

Every word is exact or rounded once, so that the lanes compute what scalar code computes,
and the result does not depend on the number of lanes. Two more rules make the bits the same
everywhere: a product is never added by itself (chapter 1), and sums run in a fixed order.

A dot product that is computed in 16 lanes, which are added at the end, has another order of
summation than one in 8 lanes, and another last bit: so lanes are always *different* elements of the
result, never parts of one sum.

C has no means to compile a text several times but to include it several times. So the header
includes *itself*: the part between `#ifdef DNI_INSTANCE` and its `#endif` is read once for each
instruction set, the rest only the first time.
*/
#ifndef DN_FILE
#define DN_FILE "densenet.h"
#endif

#if defined(__GNUC__) && defined(__x86_64__) && !defined(__TINYC__)
#define DNI_HAS_X86 1
#ifndef __clang__ /* gcc 12 takes the undefined vectors of its own header for a mistake */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#ifndef __clang__
#pragma GCC diagnostic pop
#endif
#elif defined(__GNUC__) && defined(__aarch64__) && !defined(__TINYC__)
#define DNI_HAS_NEON 1
#include <arm_neon.h>
#endif

#ifdef _OPENMP
#include <omp.h>
#endif

/* What an optimizer's step needs; made in chapter 9. */
typedef struct dni_step {
    dn_optimizer_kind kind;
    dn_real rate;       /* learning rate; for Adam divided by 1 - beta1^t */
    dn_real momentum;   /* mu, beta1 */
    dn_real fresh;      /* what the new gradient counts: 1, 1 - mu or 1 - beta1 */
    dn_real square_decay, square_fresh; /* rho and 1 - rho; beta2 and 1 - beta2 */
    dn_real root_scale; /* 1 / sqrt(1 - beta2^t) for Adam, else 1 */
    dn_real epsilon;
    dn_real decay;      /* the share of w that is taken away */
} dni_step;

/*
A factor of a product: element (r, c) is data[r * row_stride + c * column_stride]; one of the
strides is 1. `marks` says which elements are not 0, if that is known, else it is NULL: a bit for
each, 64 to a word, in the direction of the stride of 1. (Where both are 1, as with a single
feature, nobody can tell, and they are not used.)
*/
typedef struct dni_factor {
    const dn_real *data;
    size_t row_stride, column_stride;
    const uint64_t *marks;
    size_t marks_stride; /* words from one row of marks to the next */
    size_t first_mark;   /* the bit in its row that belongs to the first element */
} dni_factor;

/* Memory to call for during other work: so many rows, so many bytes apart. And where to copy b. */
typedef struct dni_beside {
    uintptr_t at;
    size_t stride, left;
    dn_real *copy;
} dni_beside;

/* The part of a factor from this row and column on. */
static inline dni_factor dni_from(dni_factor factor, size_t row, size_t column) {
    const bool in_rows = factor.column_stride == 1;
    if (factor.data == NULL) return factor;
    factor.data += row * factor.row_stride + column * factor.column_stride;
    if (factor.marks != NULL) factor.marks += (in_rows ? row : column) * factor.marks_stride;
    factor.first_mark += in_rows ? column : row;
    return factor;
}

/* Rows and columns exchanged. */
static inline dni_factor dni_turned(dni_factor factor) {
    const dni_factor turned = {factor.data,  factor.column_stride, factor.row_stride,
                               factor.marks, factor.marks_stride,  factor.first_mark};
    return turned;
}

/* The words that hold the marks of a row of so many numbers. */
static inline size_t dni_marks_size(size_t count) { return (count + 63) / 64; }

/* The place of the lowest bit that is set; one is. */
static inline size_t dni_lowest(uint64_t bits) {
#ifdef __GNUC__
    return (unsigned)__builtin_ctzll(bits);
#else
    size_t place = 0;
    for (unsigned half = 32; half > 0; half /= 2)
        if ((bits << (64 - half)) == 0) {
            bits >>= half;
            place += half;
        }
    return place;
#endif
}

/* How many bits are set: in pairs, in fours, in bytes. */
static inline unsigned dni_count(uint64_t bits) {
    bits -= bits >> 1 & 0x5555555555555555u;
    bits = (bits & 0x3333333333333333u) + (bits >> 2 & 0x3333333333333333u);
    return (unsigned)(((bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0fu) * 0x0101010101010101u >> 56);
}

/* Of four neighbouring bits: is any set? In the lowest of them. */
static inline uint64_t dni_any_of_four(uint64_t word) {
    const uint64_t ones = 0x7777777777777777u;
    return (((word & ones) + ones) | word) >> 3 & ~ones >> 3;
}

/* In squares of 2 half rows, upper right and lower left quarter change places. */
static inline void dni_exchange(uint64_t *words, size_t rows, size_t half, unsigned bits,
                                uint64_t mask) {
    for (; rows > 0; rows -= 2 * half, words += 2 * half)
        for (size_t r = 0; r < half; r++) {
            const uint64_t change = (words[r] >> bits ^ words[r + half]) & mask;
            words[r + half] ^= change;
            words[r] ^= change << bits;
        }
}

/* Transposes a square of 64 x 64 bits, or of 16 x 16 units of 4 bits (Eklundh, 1972). */
static inline void dni_transpose_bits(uint64_t *words, unsigned unit) {
    const size_t rows = 64 / unit;
    dni_exchange(words, rows, 32 / unit, 32, 0x00000000ffffffffu);
    dni_exchange(words, rows, 16 / unit, 16, 0x0000ffff0000ffffu);
    dni_exchange(words, rows, 8 / unit, 8, 0x00ff00ff00ff00ffu);
    dni_exchange(words, rows, 4 / unit, 4, 0x0f0f0f0f0f0f0f0fu);
    if (unit == 4) return;
    dni_exchange(words, rows, 2, 2, 0x3333333333333333u);
    dni_exchange(words, rows, 1, 1, 0x5555555555555555u);
}

/* Is none of these bits set? */
static inline bool dni_is_idle(const uint64_t *active, size_t k) {
    uint64_t any = 0;
    for (size_t i = 0; 64 * i < k; i++) any |= active[i];
    return any == 0;
}

/* to[c, r] = from[r, c]; where all processors can, 4 x 4 floats are turned in registers. */
static void dni_transpose(const dn_real *from, size_t from_stride, size_t rows, size_t columns,
                          dn_real *to, size_t to_stride) {
    size_t r = 0;
#if defined(DNI_HAS_X86) && !DNI_REAL_IS_DOUBLE
    for (; columns >= 4 && r + 4 <= rows; r += 4)
        for (size_t start = 0; start < columns; start += 4) {
            const size_t c = start + 4 <= columns ? start : columns - 4; /* some of them again */
            const dn_real *at = from + r * from_stride + c;
            dn_real *turned = to + c * to_stride + r;
            __m128 row0 = _mm_loadu_ps(at), row1 = _mm_loadu_ps(at + from_stride);
            __m128 row2 = _mm_loadu_ps(at + 2 * from_stride);
            __m128 row3 = _mm_loadu_ps(at + 3 * from_stride);
            _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
            _mm_storeu_ps(turned, row0);
            _mm_storeu_ps(turned + to_stride, row1);
            _mm_storeu_ps(turned + 2 * to_stride, row2);
            _mm_storeu_ps(turned + 3 * to_stride, row3);
        }
#endif
    for (; r < rows; r++)
        for (size_t c = 0; c < columns; c++) to[c * to_stride + r] = from[r * from_stride + c];
}

/* The functions that exist once per instruction set. */
typedef struct dni_arithmetic {
    const char *name;
    void (*divide_bytes)(const unsigned char *from, dn_real by, dn_real *to, size_t count,
                         uint64_t *marks);
    void (*mark)(const dn_real *numbers, size_t count, uint64_t *marks);
    void (*scale)(dn_real factor, dn_real *numbers, size_t count);
    void (*add_rows)(const dn_real *from, size_t rows, size_t columns, dn_real *sums);
    void (*multiply)(const dn_real *from, dn_real *to, size_t count);
    void (*penalize)(dn_penalty penalty, const dn_real *w, dn_real *dw, size_t count);
    void (*exponentials)(dn_real less, const dn_real *from, dn_real *to, size_t count);
    void (*softmax)(const dn_real *z, dn_real *a, size_t rows, size_t columns);
    double (*logarithm)(double x);
    void (*activate)(dn_activation f, const dn_real *from, dn_real *to, size_t count);
    void (*activate_backward)(dn_activation f, const dn_real *a, dn_real *delta, size_t count);
    void (*update)(const dni_step *step, size_t count, dn_real *w, const dn_real *gradient,
                   dn_real *first, dn_real *second);
    /* c[n] = from[n] + a[k] b[k, n] */
    void (*row)(size_t n, size_t k, const dn_real *a, size_t a_column, const dn_real *b,
                size_t b_row, const dn_real *from, dn_real *c, bool look_for_zeroes);
    /* c[m, n] = from[m, n] + a[m, k] b[k, n]; from: rows like c's, one for all, or NULL */
    void (*product)(size_t m, size_t n, size_t k, dni_factor a, dni_factor b, dni_factor from,
                    dn_real *c, size_t c_stride, bool look_for_zeroes);
} dni_arithmetic;

enum {
    DNI_PACKED = 98304 / (int)sizeof(dn_real), /* numbers that can be packed at a time */
    DNI_NEAR = 32768 / (int)sizeof(dn_real), /* of the first cache */
    DNI_DEEPEST = 1024, /* values of k in a block at most */
    DNI_WORDS = 1024, /* of 64 bits, that say what is not zero */
    DNI_FEW_WORDS = 4, /* the same for a single row, in parts */
    DNI_CHUNK = 4096  /* long arrays are dealt out to threads in chunks of so many */
};

#define DNI_MEETING 300000 /* multiplications: for less, threads do not meet */

static inline size_t dni_chunk(size_t left) { return left < DNI_CHUNK ? left : (size_t)DNI_CHUNK; }

/* How many threads may share some work here: one inside a parallel region of the caller's. */
static inline int dni_threads(void) {
#ifdef _OPENMP
    return omp_in_parallel() ? 1 : omp_get_max_threads();
#else
    return 1;
#endif
}

/* Calls for a line of memory, which may lie behind an array, into the first or second cache. */
#ifdef __GNUC__
#define DNI_CALL(address, cache) __builtin_prefetch((const void *)(address), 0, 4 - (cache))
#else
#define DNI_CALL(address, cache) (void)(address)
#endif

/* Calls for bytes that may be read soon, into the second cache. */
static inline void dni_prefetch(const void *bytes, size_t count) {
    for (size_t i = 0; i < count; i += 64) DNI_CALL((uintptr_t)bytes + i, 2);
}

#endif /* DNI_FIRST_PASS: what follows is read once for each instruction set */

#ifdef DNI_INSTANCE

#define DNI_NAME(function) DNI_JOIN(DNI_JOIN(dni_, function), DNI_JOIN(_, DNI_INSTANCE))

/*
### The exponential

exp(x) is brought to a short interval by taking powers of two out of it:

$$ e^x = 2^n \, e^r, \qquad n = \operatorname{round}(x / \ln 2), \qquad r = x - n \ln 2 $$

so that |r| <= ln(2)/2 = 0.347. There a polynomial suffices:

    exp(r) = 1 + r + r^2 (c0 + c1 r + c2 r^2 + ...)

Its coefficients are those of the best approximation of (exp(r) - 1 - r) / r^2 on the interval
(Chebyshev), with five of them for floats (exp(r) is wrong by 8e-9, an eighth of its last bit) and
eleven for doubles.

Example: for x = 10, x / ln 2 = 14.427, n = 14, r = 10 - 14 * 0.6931472 = 0.295939,
exp(r) = 1.3443888, and 2^14 * 1.3443888 = 22026.46.

The order of the last steps matters. 1 + (r + r^2 P) rounds the small terms among themselves
first; (1 + r) + r^2 P would round r to the precision of 1 before the rest is added, and be
wrong by 1.3 units in the last place instead of 1.0 (`tests/test_arithmetic.c` prints both the worst
error and where it was found). Details:

- *Rounding x/ln 2 to a whole number*: adding 1.5 * 2^23 to a float pushes the fraction
  out of its 24 bits; subtracting it again leaves the whole number. No special instruction.
- *r must be exact to the last bit*: ln 2 is split into 355 / 512, of which few bits make the
  product with n exact, and the rest (Cody, Waite, 1980).
- *2^n* is no normal number for n = -151, nor finite for 128: it is applied in two halves, the
  second of which may round the result to a subnormal number or to zero, once.
- x beyond +-105 (double: +-746) gives infinity or zero all the same, so it is clamped there. A NaN
  passes through `DNI_MIN` and `DNI_MAX` and comes out as NaN.
*/
DNI_TARGET static inline DNI_VECTOR DNI_NAME(exp)(DNI_VECTOR x) {
#if DNI_REAL_IS_DOUBLE
    const DNI_VECTOR shifter = DNI_SET(6755399441055744.0), limit = DNI_SET(746.0);
    const dn_real upper = 6.93147180369123816490e-01, rest = 1.90821492927058770002e-10;
    static const dn_real c[] = {
        2.09146869680868772e-9, 2.51052170047207452e-8, 2.75572736431102953e-7,
        2.75572554002064244e-6, 2.48015873255477412e-5, 1.98412698748206253e-4,
        1.38888888888837483e-3, 8.33333333332613513e-3, 4.16666666666666698e-2,
        1.6666666666666671e-1,  0.5};
#else
    const DNI_VECTOR shifter = DNI_SET(12582912.0f), limit = DNI_SET(105.0f);
    const dn_real upper = 0.693359375f, rest = -2.12194440e-4f;
    static const dn_real c[] = {1.39261836e-3f, 8.36317905e-3f, 4.16665546e-2f, 0.16666577f, 0.5f};
#endif
    x = DNI_MAX(DNI_SUB(DNI_SET(0), limit), DNI_MIN(limit, x));
    const DNI_VECTOR per_ln2 = DNI_SET((dn_real)1.4426950408889634);
    const DNI_VECTOR n = DNI_SUB(DNI_FMA(x, per_ln2, shifter), shifter);
    DNI_VECTOR r = DNI_FNMA(n, DNI_SET(upper), x);
    r = DNI_FNMA(n, DNI_SET(rest), r);
    DNI_VECTOR p = DNI_SET(c[0]);
    for (size_t i = 1; i < sizeof c / sizeof *c; i++) p = DNI_FMA(p, r, DNI_SET(c[i]));
    p = DNI_ADD(DNI_SET(1), DNI_FMA(DNI_MUL(r, r), p, r)); /* the small terms first */
    const DNI_VECTOR half =
        DNI_SUB(DNI_FMA(n, DNI_SET((dn_real)0.5), shifter), shifter); /* whole, near n / 2 */
    return DNI_MUL(DNI_MUL(p, DNI_POWER(half)), DNI_POWER(DNI_SUB(n, half)));
}

/*
### The logarithm

The loss needs one for each sample, a single number, so that it can afford double precision. With
x = 2^n m, m in [sqrt(1/2), sqrt(2)), f = m - 1 and s = f / (2 + f),

$$ \ln x = n \ln 2 + \ln(1 + f), \qquad
   \ln(1 + f) = 2 \Big( s + \frac{s^3}{3} + \frac{s^5}{5} + \dots \Big) $$

|s| is at most 0.172, so that each term adds a digit and a half; twelve terms behind 2 s suffice.
That is rounded, which costs a bit; since 2 s = f - s f and f is exact, the sum is better taken as
(Ng, 1993)

    log(1 + f) = f - (f^2/2 - s (f^2/2 + R)),   R = 2 s^2 (1/3 + s^2/5 + ...)

n and m are read off the bits of x: the constant added to them carries into the exponent from
sqrt(1/2) on. The function stands here, among the vectors, for its fifteen fused multiply-adds:
where the processor may be asked for them they are instructions, elsewhere calls of the C library,
three times as slow.
*/
DNI_TARGET static double DNI_NAME(logarithm)(double x) {
    if (!(x > 0)) return x == 0 ? -(double)INFINITY : (double)NAN;
    if (!dni_is_finite(x)) return x;
    const bool subnormal = x < 2.2250738585072014e-308;
    if (subnormal) x *= 18014398509481984.0; /* 2^54 */
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t biased = (bits + 0x00095f619980c433u) >> 52;
    bits -= (biased - 1023) << 52;
    double m;
    memcpy(&m, &bits, sizeof m);
    const double f = m - 1, s = f / (2 + f), square = s * s, half = 0.5 * f * f;
    const double n = (double)biased - (subnormal ? 1023 + 54 : 1023);
    static const double terms[] = {1. / 25, 1. / 23, 1. / 21, 1. / 19, 1. / 17, 1. / 15,
                                   1. / 13, 1. / 11, 1. / 9,  1. / 7,  1. / 5,  1. / 3};
    double sum = terms[0];
    for (size_t i = 1; i < sizeof terms / sizeof *terms; i++)
        sum = dni_fma(sum, square, terms[i]);
    double less = dni_fma(-s, dni_fma(2 * square, sum, half), half);
    less = dni_fma(-n, 1.90821492927058770002e-10, less);
    return dni_fma(n, 6.93147180369123816490e-01, f - less); /* n ln 2 in two parts, as above */
}

/*
### Sigmoid and hyperbolic tangent

Both are made of one exponential of a negative number, e = exp(-|x|) or exp(-2|x|), which
cannot overflow:

    sigmoid(x) = 1 / (1 + e) for x > 0,  e / (1 + e) otherwise
    tanh(x)    = (1 - e) / (1 + e), with the sign of x

Why not the textbook's 1 / (1 + exp(-x))? For x = -100 it computes exp(100), which a float
cannot hold: the quotient becomes 1 / infinity = 0 where 4e-44 is right. With e = exp(-100)
nothing overflows, e / (1 + e) = e.

Near 0 the difference 1 - e would lose all its digits: for x = 0.0001 a float has
e = 0.99980003, and 1 - e = 0.00019997 with four digits left. Below |x| = 0.625 tanh is therefore
computed as x + x^3 P(x^2) with a polynomial of its own, whose first coefficients are those of
the series, -1/3 and 2/15. Both branches are computed for all lanes, and one is chosen: a vector
cannot jump.

| function | worst error, float | double | allowed |
|---|---|---|---|
| exp | 1.04 | 0.96 | 2 |
| log, log1p | 0 (rounded right) | 1.42 | 2 |
| tanh | 1.49 | 1.50 | 2 |
| sigmoid | 2.08 | 2.21 | 2.5 |

The errors are in units in the last place, over all exponents and on fine grids, as
`tests/test_arithmetic.c` and `tests/test_arithmetic_double.c` measure and print them.
*/
DNI_TARGET static inline DNI_VECTOR DNI_NAME(sigmoid)(DNI_VECTOR x) {
    const DNI_VECTOR one = DNI_SET(1);
    const DNI_VECTOR e = DNI_NAME(exp)(DNI_SUB(DNI_SET(0), DNI_ABSOLUTE(x)));
    return DNI_DIV(DNI_IF_POSITIVE(x, one, e), DNI_ADD(one, e));
}

DNI_TARGET static inline DNI_VECTOR DNI_NAME(tanh)(DNI_VECTOR x) {
#if DNI_REAL_IS_DOUBLE
    static const dn_real c[] = {
        -2.4388316314720878e-6, 1.22099217901627817e-5, -3.70810692154423339e-5,
        9.60410915702626599e-5, -2.38889446367511739e-4, 5.89981815838823207e-4,
        -1.45582839983032459e-3, 3.59212750759925223e-3, -8.86323549980199257e-3,
        2.1869488535133222e-2, -5.39682539682359013e-2, 1.33333333333333208e-1,
        -3.33333333333333333e-1};
#else
    static const dn_real c[] = {2.29274482e-3f, -8.34394552e-3f, 2.17689187e-2f,
                                -5.39592596e-2f, 0.133333036f, -0.333333332f};
#endif
    const DNI_VECTOR one = DNI_SET(1), size = DNI_ABSOLUTE(x), square = DNI_MUL(x, x);
    DNI_VECTOR p = DNI_SET(c[0]);
    for (size_t i = 1; i < sizeof c / sizeof *c; i++) p = DNI_FMA(p, square, DNI_SET(c[i]));
    const DNI_VECTOR small = DNI_FMA(DNI_MUL(x, square), p, x);
    const DNI_VECTOR e = DNI_NAME(exp)(DNI_MUL(DNI_SET(-2), size));
    const DNI_VECTOR big = DNI_DIV(DNI_SUB(one, e), DNI_ADD(one, e));
    const DNI_VECTOR signed_big = DNI_IF_POSITIVE(x, big, DNI_SUB(DNI_SET(0), big));
    return DNI_IF_POSITIVE(DNI_SUB(DNI_SET((dn_real)0.625), size), small, signed_big);
}

/*
### Loops over arrays

Most of what is not a product goes over arrays, number by number: activations, their
derivatives, the optimizer's update. Each of these loops is worth a vector, and each has the same
nuisance: the count is seldom a multiple of the lanes. So the loop is written once.
`DNI_FOR_EACH` takes whole vectors as long as there are any, then the part of one that is left;
its body sees the vectors `x` (from `from`) and `y` (from `to`) and leaves its result in y.

The lanes that a part does not use hold 0, for which the body computes something too, which
is thrown away. It must only not be harmful: 1/0 is infinity, not a trap, in C's default mode.

`from` and `to` may be the same array, since each number is read before it is written.
*/
#define DNI_FOR_EACH(from, to, count, body)                              \
    do {                                                                 \
        size_t i = 0;                                                    \
        for (; i + DNI_LANES <= (count); i += DNI_LANES) {               \
            DNI_VECTOR x = DNI_LOAD((from) + i), y = DNI_LOAD((to) + i); \
            body;                                                        \
            (void)x;                                                     \
            DNI_STORE((to) + i, y);                                      \
        }                                                                \
        if (i < (count)) {                                               \
            const unsigned rest = (unsigned)((count) - i);               \
            DNI_VECTOR x = DNI_LOAD_PART((from) + i, rest);              \
            DNI_VECTOR y = DNI_LOAD_PART((to) + i, rest);                \
            body;                                                        \
            (void)x;                                                     \
            DNI_STORE_PART((to) + i, y, rest);                           \
        }                                                                \
    } while (0)

/*
Bytes become numbers, x / 255, each rounded once. A vector of quotients takes ten cycles, and
converting the pixels of a batch would cost as much as a product with ten outputs. Multiplying by
the rounded number 1/255 is fast, and wrong in the last bit for 126 of the 256 bytes. But what the
rounding of 1/255 took away can be known, and be given back before the product is rounded:

    inverse = 1 / by        rest = (1 - by * inverse) * inverse
    quotient = x * inverse + x * rest, the second product rounded, then the sum of both

which is the correctly rounded quotient for all 256 bytes, in both precisions: a finite
claim, that `tests/test_data.c` proves by trying them all.

On the way the numbers that are not 0 are marked, unless `marks` is NULL: see `mark`, below.
*/
DNI_TARGET static void DNI_NAME(divide_bytes)(const unsigned char *from, dn_real by, dn_real *to,
                                              size_t count, uint64_t *marks) {
    const DNI_VECTOR one = DNI_SET(1), inverse = DNI_SET(1 / by);
    const DNI_VECTOR rest = DNI_MUL(DNI_FNMA(DNI_SET(by), inverse, one), inverse);
    for (size_t i = 0, end; i < count; i = end) {
        end = count - i < 64 ? count : i + 64;
        uint64_t word = 0;
        for (; i + DNI_LANES <= end; i += DNI_LANES) {
            const DNI_VECTOR x = DNI_BYTES(from + i);
            DNI_STORE(to + i, DNI_FMA(x, inverse, DNI_MUL(x, rest)));
            word |= (uint64_t)DNI_MARK(x) << i % 64;
        }
        for (; i < end; i++) {
            to[i] = (dn_real)from[i] / by;
            word |= (uint64_t)(from[i] != 0) << i % 64;
        }
        if (marks != NULL) *marks++ = word;
    }
}

/* A bit for each number that is not 0: dni_marks_size(count) words. */
DNI_TARGET static void DNI_NAME(mark)(const dn_real *from, size_t count, uint64_t *marks) {
    for (size_t i = 0, end; i < count; i = end) {
        end = count - i < 64 ? count : i + 64;
        uint64_t word = 0;
        for (; i + DNI_LANES <= end; i += DNI_LANES)
            word |= (uint64_t)DNI_MARK(DNI_LOAD(from + i)) << i % 64;
        for (; i < end; i++) word |= (uint64_t)(from[i] != 0) << i % 64;
        *marks++ = word;
    }
}

DNI_TARGET static void DNI_NAME(scale)(dn_real factor, dn_real *numbers, size_t count) {
    DNI_FOR_EACH(numbers, numbers, count, y = DNI_MUL(DNI_SET(factor), x));
}

/* sums[j] += from[0, j], then from[1, j], and so on. */
DNI_TARGET static void DNI_NAME(add_rows)(const dn_real *from, size_t rows, size_t columns,
                                          dn_real *sums) {
    for (size_t j = 0; j < columns; j += DNI_LANES) {
        const bool whole = columns - j >= DNI_LANES;
        const unsigned rest = (unsigned)(columns - j);
        const dn_real *at = from + j;
        DNI_VECTOR sum = whole ? DNI_LOAD(sums + j) : DNI_LOAD_PART(sums + j, rest);
        for (size_t r = 0; r < rows; r++, at += columns)
            sum = DNI_ADD(sum, whole ? DNI_LOAD(at) : DNI_LOAD_PART(at, rest));
        if (whole) DNI_STORE(sums + j, sum);
        else DNI_STORE_PART(sums + j, sum, rest);
    }
}

DNI_TARGET static void DNI_NAME(multiply)(const dn_real *from, dn_real *to, size_t count) {
    DNI_FOR_EACH(from, to, count, y = DNI_MUL(y, x));
}

/* dw += l1 sign(w) + l2 w, as chapter 6 says. */
DNI_TARGET static void DNI_NAME(penalize)(dn_penalty penalty, const dn_real *w, dn_real *dw,
                                          size_t count) {
    const DNI_VECTOR zero = DNI_SET(0), one = DNI_SET(1), minus_one = DNI_SET(-1);
    const DNI_VECTOR l1 = DNI_SET(penalty.l1), l2 = DNI_SET(penalty.l2);
    DNI_FOR_EACH(w, dw, count,
                 const DNI_VECTOR below = DNI_IF_POSITIVE(DNI_SUB(zero, x), minus_one, zero);
                 y = DNI_FMA(l2, x, DNI_FMA(l1, DNI_IF_POSITIVE(x, one, below), y)));
}

/* exp(x - less) of each number. */
DNI_TARGET static void DNI_NAME(exponentials)(dn_real less, const dn_real *from, dn_real *to,
                                              size_t count) {
    DNI_FOR_EACH(from, to, count, y = DNI_NAME(exp)(DNI_SUB(x, DNI_SET(less))));
}

/* Of each row: see chapter 4. */
DNI_TARGET static void DNI_NAME(softmax)(const dn_real *z, dn_real *a, size_t rows,
                                         size_t columns) {
    for (size_t r = 0; r < rows; r++, z += columns, a += columns) {
        dn_real largest = z[0], sum = 0;
        for (size_t j = 1; j < columns; j++) largest = z[j] > largest ? z[j] : largest;
        if (columns <= DNI_LANES) { /* not through a: what a mask stores is slow to read back */
            dn_real own[DNI_LANES];
            const DNI_VECTOR x = DNI_LOAD_PART(z, (unsigned)columns);
            const DNI_VECTOR e = DNI_NAME(exp)(DNI_SUB(x, DNI_SET(largest)));
            DNI_STORE(own, e);
            for (size_t j = 0; j < columns; j++) sum += own[j];
            DNI_STORE(own, DNI_DIV(e, DNI_SET(sum)));
            memcpy(a, own, columns * sizeof *a);
            continue;
        }
        DNI_NAME(exponentials)(largest, z, a, columns);
        for (size_t j = 0; j < columns; j++) sum += a[j];
        DNI_FOR_EACH(a, a, columns, y = DNI_DIV(x, DNI_SET(sum)));
    }
}

/*
The activations are the rows of the list in the interface, `DN_ACTIVATIONS`. The macro
`DNI_ROW` turns each row into a loop of its own, so that the choice is made once for an array
and not for every number. The row for tanh, for example, becomes

    if (f == DN_TANH) DNI_FOR_EACH(from, to, count, const DNI_VECTOR z = x; y = DNI_TANH(z));

and on the way back, where x is a = tanh(z), y = DNI_MUL(y, DNI_FNMA(a, a, DNI_SET(1))).
*/
DNI_TARGET static void DNI_NAME(activate)(dn_activation f, const dn_real *from, dn_real *to,
                                          size_t count) {
#define DNI_SIGMOID(v) DNI_NAME(sigmoid)(v)
#define DNI_TANH(v) DNI_NAME(tanh)(v)
#define DNI_ROW(name, text, value, derivative) \
    if (f == name) DNI_FOR_EACH(from, to, count, const DNI_VECTOR z = x; y = value);
    DN_ACTIVATIONS(DNI_ROW)
#undef DNI_ROW
#undef DNI_TANH
#undef DNI_SIGMOID
}

DNI_TARGET static void DNI_NAME(activate_backward)(dn_activation f, const dn_real *a_of,
                                                   dn_real *delta, size_t count) {
#define DNI_ROW(name, text, value, derivative)                   \
    if (f == name)                                               \
        DNI_FOR_EACH(a_of, delta, count, const DNI_VECTOR a = x; \
                     (void)a; y = DNI_MUL(y, derivative));
    DN_ACTIVATIONS(DNI_ROW)
#undef DNI_ROW
}

/*
One optimizer step for a vector of parameters. All optimizers are one text: the moments that one
lacks are NULL, and the factors are in `step`, made in chapter 9, where the formulas are explained.
*/
DNI_TARGET static inline void DNI_NAME(update_some)(const dni_step *step, dn_real *w,
                                                    const dn_real *gradient, dn_real *first,
                                                    dn_real *second) {
    const DNI_VECTOR g = DNI_LOAD(gradient), old = DNI_LOAD(w);
    DNI_VECTOR direction = g;
    if (first != NULL) {
        const DNI_VECTOR fresh = DNI_MUL(DNI_SET(step->fresh), g);
        direction = DNI_FMA(DNI_SET(step->momentum), DNI_LOAD(first), fresh);
        DNI_STORE(first, direction);
    }
    if (step->kind == DN_NESTEROV) direction = DNI_FMA(DNI_SET(step->momentum), direction, g);
    if (second != NULL) {
        const DNI_VECTOR fresh = DNI_MUL(DNI_MUL(DNI_SET(step->square_fresh), g), g);
        const DNI_VECTOR s = DNI_FMA(DNI_SET(step->square_decay), DNI_LOAD(second), fresh);
        DNI_STORE(second, s);
        direction = DNI_DIV(direction, DNI_FMA(DNI_SQRT(s), DNI_SET(step->root_scale),
                                               DNI_SET(step->epsilon)));
    }
    const DNI_VECTOR kept = DNI_FNMA(DNI_SET(step->decay), old, old);
    DNI_STORE(w, DNI_FNMA(DNI_SET(step->rate), direction, kept));
}

DNI_TARGET static void DNI_NAME(update)(const dni_step *step, size_t count, dn_real *w,
                                        const dn_real *gradient, dn_real *first, dn_real *second) {
    size_t i = 0;
    for (; i + DNI_LANES <= count; i += DNI_LANES)
        DNI_NAME(update_some)(step, w + i, gradient + i, first != NULL ? first + i : NULL,
                              second != NULL ? second + i : NULL);
    if (i == count) return;
    const size_t bytes = (count - i) * sizeof(dn_real);
    dn_real part[4][DNI_LANES];
    memset(part, 0, sizeof part);
    memcpy(part[0], w + i, bytes);
    memcpy(part[1], gradient + i, bytes);
    if (first != NULL) memcpy(part[2], first + i, bytes);
    if (second != NULL) memcpy(part[3], second + i, bytes);
    DNI_NAME(update_some)(step, part[0], part[1], first != NULL ? part[2] : NULL,
                          second != NULL ? part[3] : NULL);
    memcpy(w + i, part[0], bytes);
    if (first != NULL) memcpy(first + i, part[2], bytes);
    if (second != NULL) memcpy(second + i, part[3], bytes);
}

/*
### The matrix product, the naive way

$$ c_{ij} = \sum_k a_{ik} \, b_{kj} $$

    for each i, j:  for each k:  c[i,j] = fma(a[i,k], b[k,j], c[i,j])

Short, and right; `tests/test_product.c` measures all below by it. Why is it slow?

1. *Each addition waits for the one before.* A fused multiply-add takes four cycles until its
   result can be used. One sum is one chain: an operation every four cycles, where the core
   could start two vectors of them in every cycle.
2. *Two numbers are read for one operation*, and b down a column, each from another line of
   the cache, of which 15 of 16 floats are not used.
3. *One number at a time.* The vector units stand still.

What the following steps bring is printed by `make bench` (`tests/bench/product.c`; GFLOP/s on one
core of a Xeon, whose peak in a loop of nothing but multiply-adds was 129 with vectors of 8, 214
with 16):

| forward product | naive, without fma | AVX2 | AVX-512 |
|---|---|---|---|
| 1024 x 1024 x 1024 | 0.3 | 114 | 154 |
| 512 x 784 x 128 | 2.3 | 122 | 172 |
| 40 x 784 x 1000 | 3.6 | 96 | 141 |
| 128 x 784 x 10 | 3.9 | 66 | 87 |

(Portable C comes to 1.2: it has to call the C library for each fused multiply-add. With `-mfma` it
is 14 times as fast.)

### Registers

The cure for 1 and 2 is to compute a *tile* of c at once: R rows of V vectors, kept in registers
while k runs. For each k, V vectors of b and R numbers of a are read and R V multiply-adds are done,
all independent of each other. With AVX-512 the tile is 6 rows of 4 vectors, 24 of the 32 registers:
10 reads for 24 times 16 multiply-adds.

    c[0..5, 0..63]    |<- 16 ->|<- 16 ->|<- 16 ->|<- 16 ->|
        row r:        | c r 0  | c r 1  | c r 2  | c r 3  |   +=   a[r, k] * b[k, 0..63]

How large should a tile be? Two operations may start per cycle and each takes four: at least eight
of the R V sums must run side by side, or the chains are waited for. The registers must hold the
sums, V vectors of b and one number of a. And R V operations need R + V reads, so that a square
shape reads least:

| vectors | registers | tile | operations per read |
|---|---|---|---|
| AVX-512: 16 floats | 32 | 6 x 4 | 24 / 10 |
| AVX2: 8 floats | 16 | 4 x 3 | 12 / 7 |
| NEON: 4 floats | 32 | 6 x 4 | 24 / 10 |

For fewer columns and for the rows that remain there are smaller tiles. Four sums are too few, and
eight just enough if none is ever late: one vector has tiles of 8 rows, two of 6.

Each element still sums over k in ascending order: the tile changes what is done at the
same time, not the order within an element.

Compilers often leave an array of sums in memory; named variables stay in registers. The macros
below write out a tile by name: `DNI_START(2, 1)` makes the variable `c21`, vector 1 of row 2,
`DNI_STEP(2, 1)` is its part of the step for one k, `DNI_VECTORS_3` says one of these for the three
vectors of a row, and `DNI_ROWS_4` does so for four rows. Without the macros, the inner loop of the
tile of 4 rows and one vector is:

    for (size_t i = 0; i < k; i++, at += a_column, b += b_row) {
        const DNI_VECTOR b0 = DNI_LOAD(b);
        c00 = DNI_FMA(DNI_SET(at[0]), b0, c00);
        c10 = DNI_FMA(DNI_SET(at[a_row]), b0, c10);
        c20 = DNI_FMA(DNI_SET(at[2 * a_row]), b0, c20);
        c30 = DNI_FMA(DNI_SET(at[3 * a_row]), b0, c30);
    }

The factor a is read by two strides, so that the same tile serves a and its transpose: for the
forward pass a is the batch, `a_row` its width and `a_column` 1; for the weight gradient vice versa.
*/

/* The last vector of a row of c: with masks, its first `last` lanes. */
#if DNI_TILE_MASKS
#define DNI_LOAD_LAST(p) DNI_LOAD_PART(p, last)
#define DNI_STORE_LAST(p, v) DNI_STORE_PART(p, v, last)
#else
#define DNI_LOAD_LAST(p) DNI_LOAD(p)
#define DNI_STORE_LAST(p, v) DNI_STORE(p, v)
#endif

#define DNI_START(r, v) \
    DNI_VECTOR c##r##v = \
        from == NULL ? DNI_SET(0) : DNI_LOAD(from + r * from_row + v * DNI_LANES);
#define DNI_START_LAST(r, v) \
    DNI_VECTOR c##r##v = \
        from == NULL ? DNI_SET(0) : DNI_LOAD_LAST(from + r * from_row + v * DNI_LANES);
#define DNI_READ(r, v) const DNI_VECTOR b##v = DNI_LOAD(b + v * DNI_LANES);
#define DNI_STEP(r, v) c##r##v = DNI_FMA(x, b##v, c##r##v);
#define DNI_END(r, v) DNI_STORE(c + r * c_row + v * DNI_LANES, c##r##v);
#define DNI_END_LAST(r, v) DNI_STORE_LAST(c + r * c_row + v * DNI_LANES, c##r##v);

#define DNI_VECTORS_1(DO, LAST, r) LAST(r, 0)
#define DNI_VECTORS_2(DO, LAST, r) DO(r, 0) LAST(r, 1)
#define DNI_VECTORS_3(DO, LAST, r) DO(r, 0) DO(r, 1) LAST(r, 2)
#define DNI_VECTORS_4(DO, LAST, r) DO(r, 0) DO(r, 1) DO(r, 2) LAST(r, 3)
#define DNI_VECTORS_5(DO, LAST, r) DNI_VECTORS_4(DO, DO, r) LAST(r, 4)
#define DNI_VECTORS_6(DO, LAST, r) DNI_VECTORS_5(DO, DO, r) LAST(r, 5)
#define DNI_VECTORS_7(DO, LAST, r) DNI_VECTORS_6(DO, DO, r) LAST(r, 6)
#define DNI_VECTORS_8(DO, LAST, r) DNI_VECTORS_7(DO, DO, r) LAST(r, 7)

#define DNI_ROW_START(r, VECTORS) VECTORS(DNI_START, DNI_START_LAST, r)
#define DNI_ROW_STEP(r, VECTORS)                     \
    {                                                \
        const DNI_VECTOR x = DNI_SET(at[r * a_row]); \
        VECTORS(DNI_STEP, DNI_STEP, r)               \
    }
#define DNI_ROW_END(r, VECTORS) VECTORS(DNI_END, DNI_END_LAST, r)
#define DNI_ROWS_1(DO, VECTORS) DO(0, VECTORS)
#define DNI_ROWS_2(DO, VECTORS) DO(0, VECTORS) DO(1, VECTORS)
#define DNI_ROWS_4(DO, VECTORS) DNI_ROWS_2(DO, VECTORS) DO(2, VECTORS) DO(3, VECTORS)
#define DNI_ROWS_6(DO, VECTORS) DNI_ROWS_4(DO, VECTORS) DO(4, VECTORS) DO(5, VECTORS)
#define DNI_ROWS_8(DO, VECTORS) DNI_ROWS_6(DO, VECTORS) DO(6, VECTORS) DO(7, VECTORS)

/*
A tile of `rows` rows and `vectors` vectors: c = from + a b over k, where `from` may be c; a by its
strides, b row by row. With `active`, only those values of k whose bit is set: see below. Four rows
then call for the line behind: of a transposed a, the next pixels, which may lie in another core's
cache: W4 of `make bench` takes 0.97 of the time, 0.92 on two threads. A wide dense tile calls for
the c of the tile below, else that would begin by waiting: 784 x 256 x 4096 takes 0.93 of the time.
It calls for a row with each of its first values of k; then, with every sixth, for one of the next
panel of a b that comes from memory: 784-4096-10 takes 0.92 of the time. The first tile of a panel
may have to copy it.
*/
#define DNI_CALL_BELOW(r, v) DNI_CALL(below + v * DNI_LANES * sizeof *c, 1);
#define DNI_CALL_BESIDE(r, v) DNI_CALL(beside->at + v * DNI_LANES * sizeof *c, 2);
#define DNI_COPY(r, v) DNI_STORE(copy, b##v), copy += DNI_LANES;
#define DNI_NO_COPY(r, v)
#define DNI_TILE_STEP(rows, vectors, MAYBE_COPY)         \
    DNI_VECTORS_##vectors(DNI_READ, DNI_READ, 0)         \
    DNI_VECTORS_##vectors(MAYBE_COPY, MAYBE_COPY, 0)     \
    DNI_ROWS_##rows(DNI_ROW_STEP, DNI_VECTORS_##vectors) \
    i++, at += a_column, b += b_row;
#define DNI_DEFINE_TILE(rows, vectors)                                     \
    DNI_TARGET static void DNI_NAME(DNI_JOIN(tile_##rows##x, vectors))(    \
        size_t k, const uint64_t *active, const dn_real *a, size_t a_row,  \
        size_t a_column, const dn_real *b_start, size_t b_row,             \
        const dn_real *from, size_t from_row, dn_real *c, size_t c_row,    \
        unsigned last, dni_beside *beside) {                               \
        const dn_real *at = a, *b = b_start;                               \
        const size_t calls = rows >= 4 && vectors >= 3 ? rows : 0;         \
        uintptr_t below = (uintptr_t)(c + (rows - 1) * c_row);             \
        size_t i = 0;                                                      \
        DNI_ROWS_##rows(DNI_ROW_START, DNI_VECTORS_##vectors)              \
        if (active == NULL) {                                              \
            dn_real *copy = calls > 0 ? beside->copy : NULL;               \
            while (copy != NULL && i < k) {                                \
                DNI_VECTORS_##vectors(DNI_CALL_BESIDE, DNI_CALL_BESIDE, 0) \
                beside->at += beside->stride;                              \
                beside->left -= beside->left > 0;                          \
                for (const size_t six = i + 6; i < six && i < k;) {        \
                    DNI_TILE_STEP(rows, vectors, DNI_COPY)                 \
                }                                                          \
            }                                                              \
            while (i < calls && i < k) {                                   \
                below += c_row * sizeof *c;                                \
                DNI_VECTORS_##vectors(DNI_CALL_BELOW, DNI_CALL_BELOW, 0)   \
                DNI_TILE_STEP(rows, vectors, DNI_NO_COPY)                  \
            }                                                              \
            while (calls > 0 && beside->left > 0 && i + 6 <= k) {          \
                DNI_VECTORS_##vectors(DNI_CALL_BESIDE, DNI_CALL_BESIDE, 0) \
                beside->at += beside->stride, beside->left--;              \
                for (const size_t six = i + 6; i < six;) {                 \
                    DNI_TILE_STEP(rows, vectors, DNI_NO_COPY)              \
                }                                                          \
            }                                                              \
            while (i < k) { DNI_TILE_STEP(rows, vectors, DNI_NO_COPY) }    \
        }                                                                  \
        for (size_t start = 0; active != NULL && start < k; start += 64)   \
            for (uint64_t bits = *active++; bits != 0; bits &= bits - 1) { \
                i = start + dni_lowest(bits);                              \
                at = a + i * a_column;                                     \
                b = b_start + i * b_row;                                   \
                if (rows == 4) DNI_CALL((uintptr_t)at + 64, 1);            \
                DNI_TILE_STEP(rows, vectors, DNI_NO_COPY)                  \
            }                                                              \
        DNI_ROWS_##rows(DNI_ROW_END, DNI_VECTORS_##vectors)                \
        (void)last;                                                        \
    }
#if DNI_TILE_VECTORS == 4
#ifdef __GNUC__
__attribute__((noinline)) /* inlined, it would take registers from the others */
#endif
DNI_DEFINE_TILE(6, 4)
DNI_DEFINE_TILE(6, 3)
DNI_DEFINE_TILE(4, 4)
#endif
DNI_DEFINE_TILE(4, 3)
DNI_DEFINE_TILE(4, 2)
DNI_DEFINE_TILE(4, 1)
DNI_DEFINE_TILE(6, 2)
DNI_DEFINE_TILE(2, 1)
DNI_DEFINE_TILE(8, 1)
DNI_DEFINE_TILE(1, 8)
DNI_DEFINE_TILE(1, 7)
DNI_DEFINE_TILE(1, 6)
DNI_DEFINE_TILE(1, 5)
DNI_DEFINE_TILE(1, 4)
DNI_DEFINE_TILE(1, 3)
DNI_DEFINE_TILE(1, 2)
DNI_DEFINE_TILE(1, 1)

/*
### Zeroes

Four of five pixels of a handwritten digit are 0, and a multiplication by 0 can be left out: adding
0 * w changes no finite sum (but that -0 becomes 0). A tile can leave out a value of k when a[r, k]
is 0 in all of its rows. How often is that not so? With MNIST as NumPy's x [60000, 784],
`(x != 0).reshape(-1, r, 784).any(1).mean()` for the forward product, and for the weight gradient,
of which pixels are the rows, `(x != 0).reshape(-1, r).any(1).mean()`:

| rows of a tile | 1 | 2 | 4 | 8 | 16 |
|---|---|---|---|---|---|
| forward product: r digits | 19 % | 29 % | 39 % | 46 % | 52 % |
| weight gradient: r neighbouring pixels | 19 % | 22 % | 28 % | 39 % | 58 % |

The fewer rows, the less is multiplied; but the fewer operations share each vector of b. With one
row it is one, for which only the first cache is fast enough: hence panels of eight vectors, as many
sums side by side, and blocks of 32 KB for few rows or a transposed a. Four rows remain where c has
no more columns than a wide tile, since the few sums of one row wait for themselves; forward, one
vector has eight (W4 takes 0.96 of the time). Four remain with AVX-512, which reads more slowly than
it multiplies, where more than a third is not 0: in Fashion-MNIST it is a half, and row by row W5 is
8 % slower with AVX-512, 15 % faster with AVX2.

`active_in_rows` and `active_in_columns` set a bit for each k where a tile has something to do. The
tile takes them in ascending order, so that no sum changes its order: `bits & (bits - 1)` is `bits`
without the lowest, whose place one instruction tells. Marking costs one pass over a, while its
bytes are made numbers, and serves both products. With as many zeroes as digits have, the forward
product of 40 x 784 x 1000 is 2.1 and the gradient 1.5 times as fast (`make bench`). Where under a
quarter is 0 (one vector: three fifths), all is multiplied.

Only finite numbers are promised the same result: 0 times infinity or NaN is NaN, and is not seen
where it is left out. What is left out depends on the processor, and so may the sign of a weight
that was given as -0.

### Cache blocks

A tile reads its part of b, a *panel* of up to eight vectors, again for every few rows. It should
come from a near cache each time, so that k is cut into blocks: of 32 KB for many rows, and where b
has more than 2 MB. Else 64 KB are better, which read and write c less often; 96 where b is
transposed, or c and k are large.

A c of more than a megabyte drives the others out of the second cache. So it is computed in parts of
256 rows, whose a stays there from panel to panel (but not where each part would have to transpose b
again). Of a transposed a, in which each k is another line, a part is copied, such as 192 rows of 96
values. 1024 x 1024 x 1024 takes 0.95 of the time by that, as a weight gradient 0.8. Panel and copy
share 96 KB, for the stack of a thread can be as small as 128.

For many rows it is worth copying the panel (*packing*) to where its rows lie behind each other,
unless they do; for few it is not. The first tile copies what it reads: a copy alone would wait for
memory (AVX2: 40 x 784 x 1000 takes 0.96 of the time, 1024 x 1024 x 1024 as a weight gradient 0.97).
Few are up to 64; 24 where rows of a panel begin within a cache line, as AVX2's of 96 bytes do; 12
where a row of b fills a page, or nearly, 4000 bytes (AVX2: 24 x 784 x 1024 takes 0.87). Where
zeroes are left out, no tile reads all of the panel, it is packed before, and for 12 stand 48 or 24.
Where they are four fifths, a row of b is used a fifth as often: few are five times as many. But
tiles of one row want b near, and its rows, if a multiple of 2048 bytes apart, share a quarter of
the first cache (1024: half): there few are 10 (24), times five. 784-512-10 in batches of 128 takes
0.88 of the time. Packing also serves a transposed b, and columns that do not fill a vector: the
rest is zero, with masks anything.
*/
enum {
    DNI_NAME(panel) = DNI_TILE_VECTORS * DNI_LANES, /* columns of a wide tile */
    DNI_NAME(warm) = 2097152 / (int)sizeof(dn_real) /* numbers: more come from memory */
};

/* What is the same for all tiles of a block of k. */
typedef struct DNI_NAME(block) {
    size_t k;
    dni_factor a, b, from;  /* c is from + a b */
    dn_real *c;
    size_t c_row, c_column; /* strides of c */
    bool at_end;            /* fewer rows of b lie behind than there are lanes */
    dn_real *packed;        /* room for a panel of b */
    double few;             /* for more rows of a, b is packed */
    dni_beside beside;      /* the next panel of b; stride 0 if it is near */
    size_t group;           /* rows that share their bits: 1, 4 or 8 */
    const uint64_t *active; /* [rows / group, dni_marks_size(k)], or NULL: every k counts */
} DNI_NAME(block);

/*
How many values of k a block has: what a panel and the bits have room for, in equal blocks; for over
24 rows of a transposed a 96 or 128; for a large c and k 384 (1000^3 takes 0.96 of the time).
*/
static size_t DNI_NAME(depth)(size_t m, size_t n, size_t k, const dni_factor *a,
                              const dni_factor *b, size_t group, bool looks) {
    const bool turned = a->column_stride != 1;
    const size_t vectors = (n + DNI_LANES - 1) / DNI_LANES;
    const size_t most = group == 1 ? 8 : DNI_TILE_VECTORS;
    const bool hot = /* should the panel stay in the first cache? */
        turned ? group == 1 : m > 64 ? !looks : group == 1 || k * n > DNI_NAME(warm);
    size_t room = b->column_stride != 1 ? DNI_PACKED : hot ? DNI_NEAR : 2 * DNI_NEAR;
    room = room / ((vectors < most ? vectors : most) * DNI_LANES) / 64 * 64;
    if (room > DNI_DEEPEST) room = DNI_DEEPEST;
    if (group != 1 && turned && m > 24) room = looks || DNI_TILE_VECTORS < 4 ? 128 : 96;
    if (!turned && !looks && b->column_stride == 1 && k > 800 && m * n > DNI_NAME(warm) / 2)
        room = 384;
    if (k <= room) return k > 0 ? k : 1;
    const size_t passes = (k + room - 1) / room, even = (k + passes - 1) / passes;
    return looks ? (even + 63) / 64 * 64 : even; /* a block begins with a word of bits */
}

/*
For each `group` of rows of a, a bit for each k where something is not zero. The rows lie behind
each other in memory: their marks are or-ed.
*/
DNI_TARGET static void DNI_NAME(active_in_rows)(size_t m, size_t k, dni_factor a, size_t group,
                                                uint64_t *active) {
    const size_t words = dni_marks_size(k), rest = group - 1;
    for (size_t row = 0; row < m; row++, active += (row & rest) == 0 ? words : 0) {
        uint64_t own[DNI_DEEPEST / 64];
        const uint64_t *marks = own;
        if (a.marks != NULL) marks = a.marks + row * a.marks_stride + a.first_mark / 64;
        else {
            DNI_NAME(mark)(a.data + row * a.row_stride, k, own);
            if (row + 8 < m) dni_prefetch(a.data + (row + 8) * a.row_stride, k * sizeof *a.data);
        }
        for (size_t i = 0; i < words; i++)
            active[i] = ((row & rest) == 0 ? 0 : active[i]) | marks[i];
    }
}

/*
In a transposed factor the rows stand beside each other: a word of marks has a bit for each of 64
rows, at one value of k. A square of 64 such words, transposed, is what is wanted.

Of four rows, all that is asked is whether their four neighbouring bits are 0. In a word stand 16
such fours, and `(word & 0x77..) + 0x77.. | word` answers for all of them, in the highest bit of
each. The answers for four values of k, each shifted to a place of its own, fit into one word; and
16 of these words are a square again, of 16 x 16 fours.
*/
DNI_TARGET static void DNI_NAME(active_in_columns)(size_t m, size_t k, dni_factor a, size_t group,
                                                   uint64_t *active) {
    const size_t words = dni_marks_size(k);
    for (size_t row = 0, rows; row < m; row += rows) { /* of those in the same words */
        const size_t place = a.first_mark + row, bit = place % 64;
        rows = m - row < 64 - bit ? m - row : 64 - bit;
        for (size_t start = 0; start < k; start += 64) {
            const uint64_t *marks = a.marks + start * a.marks_stride + place / 64;
            uint64_t square[64], *at = active + row / group * words + start / 64;
            const size_t some = k - start < 64 ? k - start : 64;
            for (size_t i = 0; i < some; i++) square[i] = marks[i * a.marks_stride];
            for (size_t i = some; i < 64; i++) square[i] = 0;
            if (group == 1) dni_transpose_bits(square, 1);
            else {
                for (size_t i = 0; i < 64; i++) square[i] = dni_any_of_four(square[i]);
                for (size_t i = 0; i < 16; i++)
                    square[i] = square[4 * i] | square[4 * i + 1] << 1 | square[4 * i + 2] << 2 |
                                square[4 * i + 3] << 3;
                dni_transpose_bits(square, 4);
            }
            const uint64_t *turned = square + bit / group;
            for (size_t r = 0; r < rows; r += group, at += words) *at = *turned++;
        }
    }
}

/* How much of a is not 0? Up to eight of its samples answer for all. */
DNI_TARGET static double DNI_NAME(density)(size_t m, size_t k, const dni_factor *a) {
    const bool in_rows = a->column_stride == 1;
    const size_t samples = in_rows ? m : k;
    size_t length = in_rows ? k : m, set = 0, seen = 0;
    if (length > DNI_DEEPEST) length = DNI_DEEPEST;
    for (size_t s = 0; s < samples; s += samples / 8 + 1, seen += length) {
        uint64_t own[DNI_DEEPEST / 64];
        const uint64_t *marks = own;
        if (a->marks != NULL) marks = a->marks + s * a->marks_stride + a->first_mark / 64;
        else DNI_NAME(mark)(a->data + s * a->row_stride, length, own);
        for (size_t i = 0; i < dni_marks_size(length); i++) set += dni_count(marks[i]);
    }
    return (double)set / (double)seen;
}

/*
Packing copies `columns` columns of b, one block of k deep:

    packed[i, j] = b[i, j] for j < columns, else 0        i < k, j < width (1 to 8 vectors)
*/
DNI_TARGET static void DNI_NAME(pack)(size_t k, size_t columns, size_t width, dni_factor b,
                                      dn_real *packed) {
    if (b.column_stride == 1) {
        const unsigned rest = (unsigned)(columns % DNI_LANES);
        for (size_t i = 0; i < k; i++, packed += width, b.data += b.row_stride) {
            size_t j = 0;
            for (; j + DNI_LANES <= columns; j += DNI_LANES)
                DNI_STORE(packed + j, DNI_LOAD(b.data + j));
            if (rest > 0) DNI_STORE(packed + j, DNI_LOAD_PART(b.data + j, rest));
        }
        return;
    }
    if (columns < width) memset(packed, 0, k * width * sizeof *packed);
    dni_transpose(b.data, b.column_stride, columns, k, packed, width);
}

/*
Some rows over `k` values of the index: as many tiles as it takes. A tile of 1 waits for its sums: 8
or 9 rows are not 6 and ones, but begin with two tiles of 4; one vector also has tiles of 2. Tiles
of fewer rows than a group share its bits. Of rows where nothing is to be done, as of pixels at the
edge, not even c is read.
*/
DNI_TARGET static void DNI_NAME(rows)(size_t rows, size_t vectors, size_t k,
                                      const uint64_t *active, size_t group, const dn_real *a,
                                      size_t a_row, size_t a_column, const dn_real *b,
                                      size_t b_row, const dn_real *from, size_t from_row,
                                      dn_real *c, size_t c_row, unsigned last,
                                      dni_beside *beside) {
#define DNI_TILES(count, width)                                                         \
    for (; rows >= count && (count != 6 || rows / 2 != 4);                              \
         rows -= count, a += count * a_row, c += count * c_row) {                       \
        if (active == NULL || from != c || !dni_is_idle(active, k))                     \
            DNI_NAME(DNI_JOIN(tile_##count##x, width))(                                 \
                k, active, a, a_row, a_column, b, b_row, from, from_row, c, c_row, last, \
                beside);                                                                \
        if (from != NULL) from += count * from_row;                                     \
        if (active != NULL) active += count / group * dni_marks_size(k);                \
    }
    switch (vectors) {
    case 8: DNI_TILES(1, 8) break;
    case 7: DNI_TILES(1, 7) break;
    case 6: DNI_TILES(1, 6) break;
    case 5: DNI_TILES(1, 5) break;
    case 4:
#if DNI_TILE_VECTORS == 4
        if (active == NULL) DNI_TILES(6, 4)
        if (group == 4) DNI_TILES(4, 4)
#endif
        DNI_TILES(1, 4)
        break;
    case 3:
#if DNI_TILE_VECTORS == 4
        if (active == NULL) DNI_TILES(6, 3)
#endif
        DNI_TILES(4, 3)
        DNI_TILES(1, 3)
        break;
    case 2:
        if (active == NULL) DNI_TILES(6, 2)
        DNI_TILES(4, 2)
        DNI_TILES(1, 2)
        break;
    default:
        if (active == NULL || group == 8) DNI_TILES(8, 1)
        DNI_TILES(4, 1)
        DNI_TILES(2, 1)
        DNI_TILES(1, 1)
    }
#undef DNI_TILES
}

/*
The rows from `row` on of a panel of `columns` columns, from `column` on. Where c is transposed the
tiles work on a copy of their part of it; and where the columns do not fill the vectors, unless
there are masks for the last of them, as AVX-512 has. (The tiles get numbers, not a structure:
copying one would wait for all stores before, with two threads an eighth of the time.)
*/
DNI_TARGET static void DNI_NAME(cells)(DNI_NAME(block) *block, size_t row, size_t m,
                                       size_t column, size_t columns, const dn_real *b,
                                       size_t b_row) {
    const size_t vectors = (columns + DNI_LANES - 1) / DNI_LANES, width = vectors * DNI_LANES;
    const unsigned last = (unsigned)(columns + DNI_LANES - width); /* lanes of the last vector */
    const size_t k = block->k;
    const size_t a_row = block->a.row_stride, a_column = block->a.column_stride;
    const bool copies = block->c_column != 1 || (columns < width && !DNI_TILE_MASKS);
    const size_t group = block->group;
    const size_t most = copies ? block->active != NULL ? group : DNI_NAME(panel) / width * 12 : m;
    for (size_t rows; row < m; row += rows) {
        rows = m - row < most ? m - row : most;
        const dn_real *a = block->a.data + row * a_row;
        const uint64_t *active = NULL;
        if (block->active != NULL) active = block->active + row / group * dni_marks_size(k);
        dn_real *c = block->c + row * block->c_row + column * block->c_column;
        const dni_factor from = dni_from(block->from, row, column);
        if (!copies) {
            DNI_NAME(rows)(rows, vectors, k, active, group, a, a_row, a_column, b, b_row,
                           from.data, from.row_stride, c, block->c_row, last, &block->beside);
            continue;
        }
        if (active != NULL && from.data == c && dni_is_idle(active, k)) continue;
        dn_real copy[12 * DNI_NAME(panel)];
        if (from.data != NULL) DNI_NAME(pack)(rows, columns, width, from, copy);
        DNI_NAME(rows)(rows, vectors, k, active, group, a, a_row, a_column, b, b_row,
                       from.data != NULL ? copy : NULL, width, copy, width, last, &block->beside);
        if (block->c_column != 1) dni_transpose(copy, width, rows, columns, c, block->c_column);
        for (size_t r = 0; block->c_column == 1 && r < rows; r++, c += block->c_row)
            for (size_t j = 0; j < columns; j += DNI_LANES) {
                const DNI_VECTOR sums = DNI_LOAD(copy + r * width + j);
                if (columns - j >= DNI_LANES) DNI_STORE(c + j, sums);
                else DNI_STORE_PART(c + j, sums, (unsigned)(columns - j));
            }
    }
}

/*
A single sample uses each weight once, so that what counts is to keep the loads going: eight vectors
of a row of weights at a time, for eight sums side by side. Of a digit only the rows of its lit
pixels are read, a fifth of 784 x 128 weights: the whole prediction takes 1.0 microseconds where
reading all weights once would take 2.3 (I2 of `make bench`). The sample itself comes from afar: in
parts of 256; after each, the same part of the next sample is called for.
*/
DNI_TARGET static void DNI_NAME(part_of_row)(size_t n, size_t k, const dn_real *a, size_t a_column,
                                             const dn_real *b, size_t b_row, const dn_real *from,
                                             dn_real *c, bool looks) {
    enum { WIDE = 8 * DNI_LANES };
    uint64_t own[DNI_FEW_WORDS], *active = looks ? own : NULL;
    if (looks) DNI_NAME(mark)(a, k, active);
    for (; n >= WIDE; n -= WIDE, b += WIDE, from += WIDE, c += WIDE)
        DNI_NAME(tile_1x8)(k, active, a, 0, a_column, b, b_row, from, 0, c, 0, DNI_LANES, NULL);
    const unsigned rest = (unsigned)(n % DNI_LANES);
    if (n >= DNI_LANES)
        DNI_NAME(rows)(1, n / DNI_LANES, k, active, 1, a, 0, a_column, b, b_row, from, 0, c, 0,
                       DNI_LANES, NULL);
    if (rest == 0) return;
    b += n - rest, from += n - rest, c += n - rest;
    DNI_VECTOR sum = DNI_LOAD_PART(from, rest);
    if (!looks)
        for (size_t i = 0; i < k; i++, a += a_column, b += b_row)
            sum = DNI_FMA(DNI_SET(*a), DNI_LOAD_PART(b, rest), sum);
    for (size_t start = 0; looks && start < k; start += 64)
        for (uint64_t bits = active[start / 64]; bits != 0; bits &= bits - 1) {
            const size_t i = start + dni_lowest(bits);
            sum = DNI_FMA(DNI_SET(a[i * a_column]), DNI_LOAD_PART(b + i * b_row, rest), sum);
        }
    DNI_STORE_PART(c, sum, rest);
}

DNI_TARGET static void DNI_NAME(row)(size_t n, size_t k, const dn_real *a, size_t a_column,
                                     const dn_real *b, size_t b_row, const dn_real *from,
                                     dn_real *c, bool looks) {
    const size_t depth = 64 * DNI_FEW_WORDS;
    if (from == NULL) from = (dn_real *)memset(c, 0, n * sizeof *c);
    const uintptr_t next = k * sizeof *a; /* the sample behind */
    do {
        const size_t part = k < depth ? k : depth;
        DNI_NAME(part_of_row)(n, part, a, a_column, b, b_row, from, c, looks);
        if (looks) dni_prefetch((const void *)((uintptr_t)a + next), part * sizeof *a);
        k -= part, a += part * a_column, b += part * b_row, from = c;
    } while (k > 0);
}

/*
All of c for one block of k, panel by panel, as even as whole vectors can be: 1000 columns are 63
vectors, 15 panels of four and one of three.
*/
DNI_TARGET static void DNI_NAME(block_product)(DNI_NAME(block) *block, size_t m, size_t n) {
    const size_t lanes = DNI_LANES, vectors = (n + lanes - 1) / lanes;
    const size_t most = block->group == 1 ? 8 : DNI_TILE_VECTORS;
    const size_t panels = (vectors + most - 1) / most;
    const size_t width_of_all = vectors / panels * lanes, wider = vectors % panels;
    for (size_t panel = 0, start = 0, width; panel < panels; panel++, start += width) {
        width = width_of_all + (panel < wider ? lanes : 0);
        const size_t columns = width < n - start ? width : n - start;
        const bool reaches_out = columns < width && (!DNI_TILE_MASKS || block->at_end);
        const bool packs = reaches_out || block->b.column_stride != 1 ||
                           ((double)m > block->few && block->b.row_stride != width);
        dni_factor b = block->b;
        b.data += start * b.column_stride;
        const bool by_tile = packs && !reaches_out && b.column_stride == 1 && width > 2 * lanes &&
                             block->active == NULL;
        const size_t first = !by_tile ? 0 : DNI_TILE_VECTORS == 4 ? 6 : 4; /* rows of the tile */
        block->beside.at = (uintptr_t)b.data + width * sizeof *b.data;
        block->beside.left = block->beside.stride == 0 || start + width >= n ? 0 : block->k;
        block->beside.copy = by_tile ? block->packed : NULL;
        if (by_tile) DNI_NAME(cells)(block, 0, first, start, columns, b.data, b.row_stride);
        else if (packs) DNI_NAME(pack)(block->k, columns, width, b, block->packed);
        block->beside.copy = NULL;
        DNI_NAME(cells)(block, first, m, start, columns, packs ? block->packed : b.data,
                        packs ? width : b.row_stride);
    }
}

/*
A product can be turned round, c^T = b^T a^T. When is that better?

In dX = dZ W^T the rows of W^T, the vectors to be, are columns of W. Either W^T is packed, which
turns k n numbers; or all is turned round: then the small dZ^T is packed, and the m n numbers of the
result are turned, once per block of k; they count 8/5.

In dW = X^T dZ with ten columns, six of 16 lanes are empty, and each number of X serves one vector.
Turned round, vectors are of neighbouring pixels, and full: 0.55 of the time. (A turned vector
counts 8/7; where a row is one vector, that counts 10/7 as it is.)
*/
DNI_TARGET static bool DNI_NAME(turns)(size_t m, size_t n, size_t k, dni_factor a, dni_factor b) {
    if (b.column_stride != 1) return 5 * k > (k + 383) / 384 * 8 * m; /* AVX-512's blocks */
    const size_t as_it_is = (n + DNI_LANES - 1) / DNI_LANES * m; /* vectors of sums */
    const size_t turned = (m + DNI_LANES - 1) / DNI_LANES * n;
    return a.column_stride != 1 && k >= 16 && as_it_is * (n <= DNI_LANES ? 10 : 7) > turned * 8;
}

/*
One thread's share of a product: a single row, or in blocks of k. A part of c that stays near gets
all blocks before the next part; else all parts get a block before the next block. Only the first
block starts from `from`; the others add to what the one before has left in c. A sum is a `dn_real`
in memory as in the register: storing it on its way rounds nothing.
*/
DNI_TARGET static void DNI_NAME(share)(size_t m, size_t n, size_t k, dni_factor a, dni_factor b,
                                       dni_factor from, dn_real *c, size_t c_stride,
                                       bool look_for_zeroes) {
    uint64_t active[DNI_WORDS];
    dn_real room[DNI_PACKED + 64 / sizeof(dn_real)];
    dn_real *packed = room + (64 - (uintptr_t)room % 64) / sizeof *room; /* whole cache lines */
    dni_factor sums = {c, c_stride, 1, NULL, 0, 0};
    if (m == 0 || n == 0) return;
    if (m == 1 && b.column_stride == 1) {
        DNI_NAME(row)(n, k, a.data, a.column_stride, b.data, b.row_stride, from.data, c,
                      look_for_zeroes && a.column_stride == 1);
        return;
    }
    const bool can_look = look_for_zeroes && a.row_stride != a.column_stride && /* which way? */
                          (a.marks != NULL || a.column_stride == 1);
    const double density = can_look ? DNI_NAME(density)(m, k, &a) : 1;
    const bool looks = density < (n > DNI_LANES ? 0.75 : 0.4);
    const bool by_one = n > DNI_TILE_VECTORS * DNI_LANES &&
                        (density < 0.35 || DNI_LANES * sizeof(dn_real) < 64);
    const size_t group = !looks ? 4 : by_one ? 1 : n <= DNI_LANES && a.column_stride == 1 ? 8 : 4;
    if (!looks && (from.data == NULL || from.row_stride > 0) && DNI_NAME(turns)(m, n, k, a, b)) {
        const dni_factor right = dni_turned(a);
        const size_t rows = m;
        a = dni_turned(b);
        b = right;
        from = dni_turned(from);
        sums = dni_turned(sums);
        m = n;
        n = rows;
    }
    const size_t depth = DNI_NAME(depth)(m, n, k, &a, &b, group, looks);
    const size_t b_row = b.row_stride * sizeof(dn_real);
    const bool in_lines = (DNI_NAME(panel) * sizeof(dn_real) | b_row) % 64 == 0;
    const double few = group == 1 && b_row % 1024 == 0 ? b_row % 2048 == 0 ? 10 : 24
                       : !looks && b_row >= 4000       ? 12
                       : !in_lines                     ? 24 : b_row < 4096 ? 64 : 48;
    const bool in_parts = !looks && m > 24 && m * n > DNI_NAME(warm) / 2;
    const bool copies = in_parts && a.column_stride != 1;
    const size_t width = (DNI_PACKED / depth - DNI_NAME(panel)) / 16 * 16; /* of a copy */
    const size_t most = looks    ? DNI_WORDS / dni_marks_size(depth) * group
                        : copies ? width
                                 : in_parts && b.column_stride == 1 ? 256 : m;
    const size_t parts = (m + most - 1) / most, passes = k > 0 ? (k + depth - 1) / depth : 1;
    const bool stays = most * n <= DNI_NAME(warm) / 2;
    for (size_t step = 0; step < parts * passes; step++) {
        const size_t row = (stays ? step / passes : step % parts) * most;
        const size_t start = (stays ? step % passes : step / parts) * depth;
        const size_t rows = m - row < most ? m - row : most;
        DNI_NAME(block) block = {
            k - start < depth ? k - start : depth, dni_from(a, row, start), dni_from(b, start, 0),
            dni_from(start == 0 ? from : sums, row, 0), c + row * sums.row_stride, sums.row_stride,
            sums.column_stride, k - start < depth + DNI_LANES, packed, few / density,
            {0, looks || b.column_stride != 1 || k * n <= DNI_NAME(warm) ? 0 : b_row, 0, NULL},
            group, looks ? active : NULL};
        if (copies) {
            DNI_NAME(pack)(block.k, rows, width, dni_turned(block.a), packed);
            block.a.data = packed;
            block.a.column_stride = width;
            block.packed += depth * width;
        }
        if (looks && a.column_stride == 1)
            DNI_NAME(active_in_rows)(rows, block.k, block.a, group, active);
        else if (looks)
            DNI_NAME(active_in_columns)(rows, block.k, block.a, group, active);
        DNI_NAME(block_product)(&block, rows, n);
    }
}

/*
### Threads

The elements of c do not depend on each other: its rows or its columns are dealt out to the
threads. No sum is split, so that the number of threads changes no bit.

The usual way to use several cores in training is another: each takes a part of the batch, and the
gradients are added at the end. That sum is in the order in which the batch was cut, so that two
threads give other last bits than one, and after some hundred steps visibly other weights. Cutting
the output instead costs nothing but that each thread reads all of the factor that is not cut.

Each thread gets one run of whole eights of rows, or of whole vectors. What is cut is what comes out
more even: of [40, 1000], 16 and 24 rows, but 31 and 32 vectors of columns. Of the weights [784,
1000] rows are a little more even than columns; but then the forward product, which is cut by
columns, finds half of its weights in the other core's cache: W1 took 1.1 times as long. A product
of less than 300,000 multiplications, some five microseconds, is finished sooner than two threads
have agreed about it.

Threads are OpenMP's: without `-fopenmp` everything runs in one. Inside a parallel region of the
caller's a product stays in its thread. `tests/test_threads.sh` has clang's ThreadSanitizer look for
two threads at the same number, and plants one.
*/
DNI_TARGET static void DNI_NAME(product)(size_t m, size_t n, size_t k, dni_factor a, dni_factor b,
                                         dni_factor from, dn_real *c, size_t c_stride,
                                         bool look_for_zeroes) {
#ifdef _OPENMP
    const int threads = (double)m * (double)n * (double)k > DNI_MEETING ? dni_threads() : 1;
    if (threads > 1) {
        const size_t count = (size_t)threads, lanes = (size_t)DNI_LANES;
        const size_t rows_each = ((m + 7) / 8 + count - 1) / count * 8; /* of the busiest thread */
        const size_t columns_each = ((n + lanes - 1) / lanes + count - 1) / count * lanes;
        const double of_rows = (double)rows_each * (double)n;
        const double of_columns = (double)columns_each * (double)m;
        const bool by_rows = of_rows * (columns_each < 16 * lanes ? 1 : 1.1) <= of_columns;
        const size_t unit = by_rows ? 8 : lanes, all = by_rows ? m : n;
        const size_t units = (all + unit - 1) / unit;
#pragma omp parallel for schedule(static) num_threads(threads)
        for (int thread = 0; thread < threads; thread++) {
            const size_t first = units * (size_t)thread / count * unit;
            const size_t end = units * ((size_t)thread + 1) / count * unit;
            const size_t size = (end < all ? end : all) - first;
            if (end <= first) continue;
            const size_t row = by_rows ? first : 0, column = by_rows ? 0 : first;
            DNI_NAME(share)(by_rows ? size : m, by_rows ? n : size, k, dni_from(a, row, 0),
                            dni_from(b, 0, column), dni_from(from, row, column),
                            c + row * c_stride + column, c_stride, look_for_zeroes);
        }
        return;
    }
#endif
    DNI_NAME(share)(m, n, k, a, b, from, c, c_stride, look_for_zeroes);
}

static const dni_arithmetic DNI_NAME(arithmetic) = {
    DNI_TEXT(DNI_INSTANCE), DNI_NAME(divide_bytes), DNI_NAME(mark), DNI_NAME(scale),
    DNI_NAME(add_rows),     DNI_NAME(multiply),     DNI_NAME(penalize), DNI_NAME(exponentials),
    DNI_NAME(softmax),      DNI_NAME(logarithm),    DNI_NAME(activate),
    DNI_NAME(activate_backward), DNI_NAME(update),  DNI_NAME(row),      DNI_NAME(product)};

/* What is different for the next instruction set. */
#undef DNI_TARGET
#undef DNI_VECTOR
#undef DNI_LANES
#undef DNI_TILE_VECTORS
#undef DNI_TILE_MASKS
#undef DNI_LOAD_LAST
#undef DNI_STORE_LAST
#undef DNI_LOAD
#undef DNI_STORE
#undef DNI_LOAD_PART
#undef DNI_STORE_PART
#undef DNI_SET
#undef DNI_BYTES
#undef DNI_ADD
#undef DNI_SUB
#undef DNI_MUL
#undef DNI_DIV
#undef DNI_SQRT
#undef DNI_FMA
#undef DNI_FNMA
#undef DNI_MAX
#undef DNI_MIN
#undef DNI_IF_POSITIVE
#undef DNI_ABSOLUTE
#undef DNI_POWER
#undef DNI_MARK
#endif /* DNI_INSTANCE */

#if defined(DNI_FIRST_PASS) && !defined(DNI_INSTANCE)

/*
### The vocabulary in portable C

A vector of one number. `fma` rounds once in every C99 library, if slow where the processor has no
such instruction. This instance serves three purposes: it runs on every machine; it is what the
vector instances are compared with, bit by bit; and its functions serve for single numbers.

Here the whole of the text above is read for the first time; the `#include` below is this file
itself.
*/
#define DNI_TEXT_EXPANDED(name) #name
#define DNI_TEXT(name) DNI_TEXT_EXPANDED(name)

/*
2^n, n whole: n is added to 1.5 * 2^23, whose last bits then hold it; with the bias of the
exponent added and moved to the exponent's place, these bits are 2^n.
*/
static dn_real dni_power_of_two(dn_real n) {
#if DNI_REAL_IS_DOUBLE
    uint64_t bits;
    n += 6755399441055744.0;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits + 1023) << 52;
#else
    uint32_t bits;
    n += 12582912.0f;
    memcpy(&bits, &n, sizeof bits);
    bits = (bits + 127) << 23;
#endif
    memcpy(&n, &bits, sizeof n);
    return n;
}

/* Four bytes as one number, the first lowest. */
static inline uint32_t dni_four_bytes(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static dn_real dni_absolute(dn_real x) {
#if DNI_REAL_IS_DOUBLE
    return fabs(x);
#else
    return fabsf(x);
#endif
}

#define DNI_INSTANCE portable
#define DNI_TARGET
#define DNI_VECTOR dn_real
#define DNI_LANES 1
#define DNI_TILE_VECTORS 3
#define DNI_TILE_MASKS 0
#define DNI_LOAD(p) (*(p))
#define DNI_STORE(p, v) (*(p) = (v))
#define DNI_LOAD_PART(p, n) ((void)(n), *(p))
#define DNI_STORE_PART(p, v, n) ((void)(n), *(p) = (v))
#define DNI_BYTES(p) ((dn_real)*(p))
#define DNI_SET(x) ((dn_real)(x))
#define DNI_ADD(a, b) ((a) + (b))
#define DNI_SUB(a, b) ((a) - (b))
#define DNI_MUL(a, b) ((a) * (b))
#define DNI_DIV(a, b) ((a) / (b))
#define DNI_SQRT(a) dni_sqrt_real(a)
#define DNI_FMA(a, b, c) dni_fma_real(a, b, c)
#define DNI_FNMA(a, b, c) dni_fma_real(-(a), b, c)
#define DNI_MAX(a, b) ((a) > (b) ? (a) : (b))
#define DNI_MIN(a, b) ((a) < (b) ? (a) : (b))
#define DNI_IF_POSITIVE(v, a, b) ((v) > 0 ? (a) : (b))
#define DNI_ABSOLUTE(v) dni_absolute(v)
#define DNI_POWER(n) dni_power_of_two(n)
#define DNI_MARK(v) ((v) != 0)
#include DN_FILE

/*
### The vocabulary of AVX2 and AVX-512

A function may use instructions that the rest of the program does not, when it says so:
that is what `target` does. `dni_arithmetic_of_this_machine` sees to it that it is only called where
the processor has them.
*/
#ifdef DNI_HAS_X86
#if DNI_REAL_IS_DOUBLE
#define DNI_256(word) _mm256_##word##_pd
#define DNI_512(word) _mm512_##word##_pd
#else
#define DNI_256(word) _mm256_##word##_ps
#define DNI_512(word) _mm512_##word##_ps
#endif

#define DNI_INSTANCE avx2
#define DNI_TARGET __attribute__((target("avx2,bmi,fma")))
#define DNI_TILE_VECTORS 3
#define DNI_TILE_MASKS 0
#define DNI_LOAD(p) DNI_256(loadu)(p)
#define DNI_STORE(p, v) DNI_256(storeu)(p, v)
#define DNI_LOAD_PART(p, n) DNI_256(maskload)(p, DNI_MASK(n))
#define DNI_STORE_PART(p, v, n) dni_avx2_store_part(p, v, n)
#define DNI_SET(x) DNI_256(set1)(x)
#define DNI_ADD(a, b) DNI_256(add)(a, b)
#define DNI_SUB(a, b) DNI_256(sub)(a, b)
#define DNI_MUL(a, b) DNI_256(mul)(a, b)
#define DNI_DIV(a, b) DNI_256(div)(a, b)
#define DNI_SQRT(a) DNI_256(sqrt)(a)
#define DNI_FMA(a, b, c) DNI_256(fmadd)(a, b, c)
#define DNI_FNMA(a, b, c) DNI_256(fnmadd)(a, b, c)
#define DNI_MAX(a, b) DNI_256(max)(a, b)
#define DNI_MIN(a, b) DNI_256(min)(a, b)
#define DNI_IF_POSITIVE(v, a, b) DNI_256(blendv)(b, a, DNI_256(cmp)(v, DNI_SET(0), _CMP_GT_OQ))
#define DNI_ABSOLUTE(v) DNI_256(andnot)(DNI_SET((dn_real)-0.0), v)
#define DNI_MARK(v) \
    ((unsigned)DNI_256(movemask)(DNI_256(cmp)(v, DNI_SET(0), _CMP_NEQ_UQ)))
#if DNI_REAL_IS_DOUBLE
#define DNI_VECTOR __m256d
#define DNI_LANES 4
#define DNI_MASK(n) \
    _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)(n)), _mm256_setr_epi64x(0, 1, 2, 3))
#define DNI_BYTES(p) \
    _mm256_cvtepi32_pd(_mm_cvtepu8_epi32(_mm_cvtsi32_si128((int)dni_four_bytes(p))))
#define DNI_POWER(n)                                                                   \
    _mm256_castsi256_pd(_mm256_slli_epi64(                                             \
        _mm256_add_epi64(_mm256_castpd_si256(DNI_ADD(n, DNI_SET(6755399441055744.0))), \
                         _mm256_set1_epi64x(1023)), 52))
#else
#define DNI_VECTOR __m256
#define DNI_LANES 8
#define DNI_MASK(n) \
    _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n)), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7))
#define DNI_BYTES(p) \
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define DNI_POWER(n)                                                            \
    _mm256_castsi256_ps(_mm256_slli_epi32(                                      \
        _mm256_add_epi32(_mm256_castps_si256(DNI_ADD(n, DNI_SET(12582912.0f))), \
                         _mm256_set1_epi32(127)), 23))
#endif

/* Number by number: the instruction for some lanes takes twenty cycles on some processors. */
DNI_TARGET static inline void dni_avx2_store_part(dn_real *p, DNI_VECTOR v, unsigned n) {
    dn_real part[DNI_LANES];
    DNI_STORE(part, v);
    for (unsigned i = 0; i < n; i++) p[i] = part[i];
}
#include DN_FILE
#undef DNI_MASK

#define DNI_INSTANCE avx512
#define DNI_TARGET __attribute__((target("avx512f,avx2,bmi")))
#define DNI_TILE_VECTORS 4
#define DNI_TILE_MASKS 1
#define DNI_LOAD(p) DNI_512(loadu)(p)
#define DNI_STORE(p, v) DNI_512(storeu)(p, v)
#define DNI_LOAD_PART(p, n) DNI_512(maskz_loadu)(DNI_MASK(n), p)
#define DNI_STORE_PART(p, v, n) DNI_512(mask_storeu)(p, DNI_MASK(n), v)
#define DNI_SET(x) DNI_512(set1)(x)
#define DNI_ADD(a, b) DNI_512(add)(a, b)
#define DNI_SUB(a, b) DNI_512(sub)(a, b)
#define DNI_MUL(a, b) DNI_512(mul)(a, b)
#define DNI_DIV(a, b) DNI_512(div)(a, b)
#define DNI_SQRT(a) DNI_512(sqrt)(a)
#define DNI_FMA(a, b, c) DNI_512(fmadd)(a, b, c)
#define DNI_FNMA(a, b, c) DNI_512(fnmadd)(a, b, c)
#define DNI_MAX(a, b) DNI_512(max)(a, b)
#define DNI_MIN(a, b) DNI_512(min)(a, b)
#define DNI_ABSOLUTE(v) DNI_512(abs)(v)
#if DNI_REAL_IS_DOUBLE
#define DNI_VECTOR __m512d
#define DNI_LANES 8
#define DNI_MARK(v) ((unsigned)_mm512_cmp_pd_mask(v, DNI_SET(0), _CMP_NEQ_UQ))
#define DNI_MASK(n) ((__mmask8)((1u << (n)) - 1))
#define DNI_BYTES(p) \
    _mm512_cvtepi32_pd(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)(p))))
#define DNI_IF_POSITIVE(v, a, b) \
    _mm512_mask_blend_pd(_mm512_cmp_pd_mask(v, DNI_SET(0), _CMP_GT_OQ), b, a)
#define DNI_POWER(n)                                                                   \
    _mm512_castsi512_pd(_mm512_slli_epi64(                                             \
        _mm512_add_epi64(_mm512_castpd_si512(DNI_ADD(n, DNI_SET(6755399441055744.0))), \
                         _mm512_set1_epi64(1023)), 52))
#else
#define DNI_VECTOR __m512
#define DNI_LANES 16
#define DNI_MARK(v) ((unsigned)_mm512_cmp_ps_mask(v, DNI_SET(0), _CMP_NEQ_UQ))
#define DNI_MASK(n) ((__mmask16)((1u << (n)) - 1))
#define DNI_BYTES(p) \
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))))
#define DNI_IF_POSITIVE(v, a, b) \
    _mm512_mask_blend_ps(_mm512_cmp_ps_mask(v, DNI_SET(0), _CMP_GT_OQ), b, a)
#define DNI_POWER(n)                                                            \
    _mm512_castsi512_ps(_mm512_slli_epi32(                                      \
        _mm512_add_epi32(_mm512_castps_si512(DNI_ADD(n, DNI_SET(12582912.0f))), \
                         _mm512_set1_epi32(127)), 23))
#endif
#include DN_FILE
#undef DNI_MASK
#endif /* DNI_HAS_X86 */

/*
### The vocabulary of NEON

Every 64-bit ARM processor has it. Its own maximum treats NaN otherwise, so ours is made of a
comparison and a choice.
*/
#ifdef DNI_HAS_NEON
#if DNI_REAL_IS_DOUBLE
#define DNI_NEON(word) v##word##q_f64
#define DNI_VECTOR float64x2_t
#define DNI_LANES 2
#define DNI_BYTES(p) ((float64x2_t){(double)(p)[0], (double)(p)[1]})
#define DNI_SET(x) vdupq_n_f64(x)
#define DNI_POWER(n)                                                              \
    vreinterpretq_f64_s64(vshlq_n_s64(                                            \
        vaddq_s64(vreinterpretq_s64_f64(DNI_ADD(n, DNI_SET(6755399441055744.0))), \
                  vdupq_n_s64(1023)), 52))
#define DNI_MARK(v) ((unsigned)((v)[0] != 0) | (unsigned)((v)[1] != 0) << 1)
#else
#define DNI_NEON(word) v##word##q_f32
#define DNI_VECTOR float32x4_t
#define DNI_LANES 4
#define DNI_BYTES(p) \
    vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vcreate_u8(dni_four_bytes(p))))))
#define DNI_SET(x) vdupq_n_f32(x)
#define DNI_POWER(n)                                                       \
    vreinterpretq_f32_s32(vshlq_n_s32(                                     \
        vaddq_s32(vreinterpretq_s32_f32(DNI_ADD(n, DNI_SET(12582912.0f))), \
                  vdupq_n_s32(127)), 23))
#define DNI_MARK(v) dni_neon_mark(v)
static inline unsigned dni_neon_mark(float32x4_t v) { /* a place for each lane, then all added */
    const uint32x4_t places = {1, 2, 4, 8};
    return vaddvq_u32(vbicq_u32(places, vceqzq_f32(v)));
}
#endif
static inline DNI_VECTOR dni_neon_load_part(const dn_real *p, unsigned n) {
    dn_real part[DNI_LANES] = {0};
    for (unsigned i = 0; i < n; i++) part[i] = p[i];
    return DNI_NEON(ld1)(part);
}

static inline void dni_neon_store_part(dn_real *p, DNI_VECTOR v, unsigned n) {
    dn_real part[DNI_LANES];
    DNI_NEON(st1)(part, v);
    for (unsigned i = 0; i < n; i++) p[i] = part[i];
}

#define DNI_INSTANCE neon
#define DNI_LOAD_PART(p, n) dni_neon_load_part(p, n)
#define DNI_STORE_PART(p, v, n) dni_neon_store_part(p, v, n)
#define DNI_TARGET
#define DNI_TILE_VECTORS 4
#define DNI_TILE_MASKS 0
#define DNI_LOAD(p) DNI_NEON(ld1)(p)
#define DNI_STORE(p, v) DNI_NEON(st1)(p, v)
#define DNI_ADD(a, b) DNI_NEON(add)(a, b)
#define DNI_SUB(a, b) DNI_NEON(sub)(a, b)
#define DNI_MUL(a, b) DNI_NEON(mul)(a, b)
#define DNI_DIV(a, b) DNI_NEON(div)(a, b)
#define DNI_SQRT(a) DNI_NEON(sqrt)(a)
#define DNI_FMA(a, b, c) DNI_NEON(fma)(c, a, b)
#define DNI_FNMA(a, b, c) DNI_NEON(fms)(c, a, b)
#define DNI_MAX(a, b) DNI_NEON(bsl)(DNI_NEON(cgt)(a, b), a, b)
#define DNI_MIN(a, b) DNI_NEON(bsl)(DNI_NEON(clt)(a, b), a, b)
#define DNI_IF_POSITIVE(v, a, b) DNI_NEON(bsl)(DNI_NEON(cgt)(v, DNI_SET(0)), a, b)
#define DNI_ABSOLUTE(v) DNI_NEON(abs)(v)
#include DN_FILE
#endif /* DNI_HAS_NEON */

/*
### Choosing

The compiler's run-time library has asked the processor once, before `main`. `DN_INSTRUCTIONS` fixes
the choice when the program is compiled, for measuring and tests.
*/
static const dni_arithmetic *dni_arithmetic_of_this_machine(void) {
#if defined(DN_INSTRUCTIONS)
    return &DNI_JOIN(dni_arithmetic_, DN_INSTRUCTIONS);
#elif defined(DNI_HAS_X86)
    const bool counts = __builtin_cpu_supports("bmi") != 0; /* as all of their kind can */
    if (counts && __builtin_cpu_supports("avx512f")) return &dni_arithmetic_avx512;
    if (counts && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &dni_arithmetic_avx2;
    return &dni_arithmetic_portable;
#elif defined(DNI_HAS_NEON)
    return &dni_arithmetic_neon;
#else
    return &dni_arithmetic_portable;
#endif
}

/*
### The product's door

The three uses become one by exchanging strides:

| use | left factor [m, k] | right factor [k, n] | result |
|---|---|---|---|
| `DN_A_B`, forward | a | b | c |
| `DN_AT_B`, weight gradient | a, strides exchanged | b | c |
| `DN_A_BT`, input gradient | a | b, strides exchanged | c |

A small product of one row goes straight to its loop.

`DN_USE_CBLAS` sends everything to the BLAS of the platform instead, which sums in an order of
its own: then the promise of equal bits ends, and `tests/test_cblas.sh` compares within
rounding.
*/
#ifdef DN_USE_CBLAS
#ifdef __cplusplus
extern "C" {
#endif
void cblas_sgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha,
                 const float *a, int a_stride, const float *b, int b_stride, float beta, float *c,
                 int c_stride);
void cblas_dgemm(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha,
                 const double *a, int a_stride, const double *b, int b_stride, double beta,
                 double *c, int c_stride);
#ifdef __cplusplus
}
#endif

static void dni_blas(dn_product which, dn_matrix a, dn_matrix b, dn_matrix c, size_t k, bool add) {
    enum { ROW_MAJOR = 101, AS_IT_IS = 111, TRANSPOSED = 112 };
#if DNI_REAL_IS_DOUBLE
    cblas_dgemm
#else
    cblas_sgemm
#endif
        (ROW_MAJOR, which == DN_AT_B ? TRANSPOSED : AS_IT_IS,
         which == DN_A_BT ? TRANSPOSED : AS_IT_IS, (int)c.rows, (int)c.columns, (int)k, 1, a.data,
         (int)a.stride, b.data, (int)b.stride, add ? 1 : 0, c.data, (int)c.stride);
}
#endif

/*
As dn_matrix_multiply. The sums start from zero if `from` is NULL, else from its rows, `from_row`
apart: 0 for biases. It is worth looking for zeroes where a holds many; `marks` are those of the
rows of a, if they are known.
*/
static void dni_multiply(dn_product which, const dn_matrix *a, const dn_matrix *b,
                         const dn_matrix *c, const dn_real *from, size_t from_row,
                         bool look_for_zeroes, const uint64_t *marks) {
    const size_t k = which == DN_AT_B ? a->rows : a->columns;
    DN_ASSERT(c->rows == (which == DN_AT_B ? a->columns : a->rows));
    DN_ASSERT(c->columns == (which == DN_A_BT ? b->rows : b->columns));
    DN_ASSERT(k == (which == DN_A_BT ? b->columns : b->rows));
#ifdef DN_USE_CBLAS
    (void)look_for_zeroes, (void)marks;
    for (size_t r = 0; from != NULL && from != c->data && r < c->rows; r++)
        memcpy(c->data + r * c->stride, from + r * from_row, c->columns * sizeof *from);
    dni_blas(which, *a, *b, *c, k, from != NULL);
#else
#ifdef DN_KEEP_ZEROES /* tests/determinism shows that it changes no bit */
    look_for_zeroes = false;
#endif
    const dni_arithmetic *arithmetic = dni_arithmetic_of_this_machine();
    if (which == DN_A_B && c->rows == 1 && c->columns * k <= DNI_MEETING) {
        arithmetic->row(c->columns, k, a->data, 1, b->data, b->stride, from, c->data,
                        look_for_zeroes);
        return;
    }
    dni_factor left = {a->data, a->stride, 1, marks, dni_marks_size(a->columns), 0};
    dni_factor right = {b->data, b->stride, 1, NULL, 0, 0};
    if (which == DN_AT_B) left = dni_turned(left);
    if (which == DN_A_BT) right = dni_turned(right);
    const dni_factor start = {from, from_row, 1, NULL, 0, 0};
    arithmetic->product(c->rows, c->columns, k, left, right, start, c->data, c->stride,
                        look_for_zeroes);
#endif
}

DN_API void dn_matrix_multiply(dn_product which, dn_matrix a, dn_matrix b, dn_matrix c, bool add) {
    dni_multiply(which, &a, &b, &c, add ? c.data : NULL, c.stride, false, NULL);
}

/*
### Rows for threads

[64, 128] times [128, 10] is too little for two threads to meet for. A batch of 64 rows on its way
through a whole net is not: the rows do not depend on each other, so that a thread can take its rows
through all layers, forward and back, and meet the others once. Only the gradients are sums over all
rows; those of the weights are cut as above. 784-128-10 took two threads that met at every product
and activation 0.86 of the time of one; in this way 0.71.

The rows are dealt out in eights. If one thread would get many more than its share (of a batch of
40, two threads would get 16 and 24), the batch stays with one thread, and its products are cut one
by one. So it does where a BLAS multiplies, which has threads of its own.
*/
/* In how many threads to work on so many rows, with so many multiplications each. */
static int dni_threads_for_rows(size_t rows, size_t multiplications) {
#ifdef DN_USE_CBLAS
    (void)rows;
    (void)multiplications;
    return 1;
#else
    if (rows < 16 || (double)rows * (double)multiplications <= DNI_MEETING) return 1;
    const size_t threads = (size_t)dni_threads(), tiles = (rows + 7) / 8;
    const size_t most = (tiles + threads - 1) / threads * 8; /* of the busiest thread */
    return most * threads <= rows + rows / 8 ? (int)threads : 1; /* an eighth may be lost */
#endif
}

/* Calls work(context, first, end) for all rows, in so many threads. */
static void dni_for_rows(int threads, size_t rows,
                         void (*work)(void *context, size_t first, size_t end), void *context) {
    if (threads <= 1) {
        work(context, 0, rows);
        return;
    }
#ifdef _OPENMP
    const size_t tiles = (rows + 7) / 8, count = (size_t)threads;
#pragma omp parallel for schedule(static) num_threads(threads)
    for (int thread = 0; thread < threads; thread++) {
        const size_t first = tiles * (size_t)thread / count * 8;
        const size_t end = tiles * ((size_t)thread + 1) / count * 8;
        if (first < end) work(context, first, end < rows ? end : rows); /* else there is no tile */
    }
#endif
}

/*
### Single numbers

The exponential of one number is the portable instance's; its logarithm, in double precision, that
of the machine.
*/
static dn_real dni_exp(dn_real x) { return dni_exp_portable(x); }

static double dni_log_double(double x) { return dni_arithmetic_of_this_machine()->logarithm(x); }

static dn_real dni_log(dn_real x) { return (dn_real)dni_log_double((double)x); }

/*
log(1 + x), accurate for small x too: what was lost when u = 1 + x was rounded, x - (u - 1), can be
computed exactly, and log(u + lost) = log(u) + lost / u nearly.
*/
static dn_real dni_log1p(dn_real x) {
    const double u = 1 + (double)x;
    if (u == 1) return x;
    if (!(u > 0) || !dni_is_finite(u)) return (dn_real)dni_log_double(u);
    return (dn_real)(dni_log_double(u) + ((double)x - (u - 1)) / u);
}

/* cos(x) for 0 <= x <= pi, by its series on [0, pi/2]; cos(x) = -cos(pi - x). */
static double dni_cos_double(double x) {
    const double pi = 3.14159265358979323846;
    const bool left = x > pi / 2;
    if (left) x = pi - x;
    const double square = x * x;
    double sum = 0;
    for (int n = 24; n >= 2; n -= 2) sum = dni_fma(-square / (n * (n - 1)), sum, 1);
    /* sum = 1 - x^2/2 (1 - x^2/12 (...)): each factor is the step from one term to the next */
    return left ? -sum : sum;
}

/*
*How we know:* `tests/test_arithmetic.c` compares exponential, logarithm, sigmoid and tanh with a
reference of higher precision, over all exponents; `tests/test_product.c` compares the product with
the naive one, bit by bit, for all small sizes, on every instruction set of the machine.
*/

/*
## 3. Layers

A dense layer turns I numbers into O numbers: every output is a weighted sum of
every input, plus a bias, bent by an activation function f.

$$ z_o = b_o + \sum_{i=1}^{I} x_i \, w_{io}, \qquad a_o = f(z_o) $$

    forward:  z[b,o] = bias[o] + sum over i of x[b,i] * w[i,o];   a[b,o] = f(z[b,o])

A batch of B samples goes through at once, as the rows of a matrix:

| what | shape | where |
|---|---|---|
| x, inputs | [B, I] | the batch, or the layer before |
| w, weights | [I, O] | `net->parameters + layer.weights` |
| b, biases | [O] | `net->parameters + layer.biases` |
| z, before the activation | [B, O] | the workspace |
| a, after it: the next layer's x | [B, O] | the workspace |

With two inputs x = (1, 10), the weights w = [[1, 2, 3], [4, 5, 6]] and the biases
(7, 8, 9), three linear outputs are z = (7 + 1 + 40, 8 + 2 + 50, 9 + 3 + 60) =
(48, 60, 72).

### Why [inputs, outputs]

Row i of w holds what input i sends to every output. In the plain loop over b, i and o,
the innermost runs over o, and z, w and their gradients are all read along a row:

    forward:   z[b, 0..O-1] += x[b,i] * w[i, 0..O-1]
    backward:  dw[i, 0..O-1] += x[b,i] * dz[b, 0..O-1]

An input of zero leaves out a whole row of both. Pictures of digits have many such inputs:
for the first layer the product of chapter 2 marks those that are not zero.
PyTorch stores [outputs, inputs]; chapter 13 transposes on the way to and from its files.

### All parameters are one vector

The weights and biases of all layers stand in one block, one layer behind the
other. An optimizer, a penalty, a checkpoint, a gradient check are then each a loop
over one vector, and the gradient is a vector of the same layout.

    parameters: | w of layer 0 [I,O] | b [O] | w of the next dense layer | b | ...

A layer does not point to its parameters: it knows where they start. In the net
784-128-10:

| part | shape | starts at | numbers |
|---|---|---|---|
| weights of layer 0 | [784, 128] | 0 | 100,352 |
| biases of layer 0 | [128] | 100,352 | 128 |
| weights of layer 1 | [128, 10] | 100,480 | 1,280 |
| biases of layer 1 | [10] | 101,760 | 10 |
| all | | | 101,770 |

In single precision these are 407,080 bytes. A weight is found through the view of its
layer or at its place in the vector:

```c
dn_net net = {0};
dn_net_init(&net, 784, 1);
dn_net_dense(&net, 128, DN_RELU);
dn_net_dense(&net, 10, DN_SOFTMAX);
dn_matrix w = dn_net_weights(&net, 1); // [128, 10]
// from hidden unit 5 to class 3, twice the same number
printf("%g %g\n", (double)w.data[5 * w.stride + 3], (double)net.parameters[100480 + 5 * 10 + 3]);
dn_net_free(&net);
```

The price is that adding a layer moves the block, and a view of weights that was taken
before is void. A net is built once, so the price is small. The copy is made before the old
block is freed; where there is no memory for it, the net keeps its layers and parameters.
*/
static void dni_initialize(dn_random *random, const dn_initializer *initializer, bool is_weight,
                           dn_activation activation, size_t inputs, size_t outputs,
                           dn_real *values); /* in chapter 8 */

DN_API void dn_net_init(dn_net *net, size_t inputs, uint64_t seed) {
    memset(net, 0, sizeof *net);
    net->inputs = inputs;
    net->outputs = inputs;
    net->seed = seed;
    net->random = dn_random_seed(seed);
    if (inputs == 0)
        (void)dni_fail(&net->error, DN_ERROR_SHAPE, "a net needs at least one input, got 0");
}

static const char *const dni_activation_names[] = {
#define DNI_ROW(name, text, value, derivative) text,
    DN_ACTIVATIONS(DNI_ROW)
#undef DNI_ROW
};

DN_API const char *dn_activation_name(const dn_layer *layer) {
    if (layer->activation == DN_CUSTOM && layer->custom != NULL && layer->custom->name != NULL)
        return layer->custom->name;
    return dni_activation_names[layer->activation];
}

/* Makes room for one more layer and `parameters` more parameters. */
static bool dni_net_extend(dn_net *net, const dn_layer *layer, size_t parameters) {
    size_t old_count = net->parameter_count, new_count, bytes;
    if (!dni_add_sizes(old_count, parameters, &new_count) ||
        !dni_multiply_sizes(new_count, sizeof(dn_real), &bytes)) {
        (void)dni_fail(&net->error, DN_ERROR_TOO_LARGE,
                       "layer %zu: its %zu x %zu weights are too many", net->layer_count,
                       layer->inputs, layer->outputs);
        return false;
    }
    dn_layer *layers = (dn_layer *)dni_grow(net->layers, net->layer_count * sizeof(dn_layer),
                                            (net->layer_count + 1) * sizeof(dn_layer));
    if (layers != NULL) net->layers = layers;
    dn_real *block = net->parameters;
    if (layers != NULL && parameters > 0) {
        block = (dn_real *)dni_grow(net->parameters, old_count * sizeof(dn_real), bytes);
        if (block != NULL) net->parameters = block;
    }
    if (layers == NULL || (parameters > 0 && block == NULL)) {
        (void)dni_fail(&net->error, DN_ERROR_MEMORY, "layer %zu: no memory for %zu parameters",
                       net->layer_count, parameters);
        return false;
    }
    net->layers[net->layer_count++] = *layer;
    net->parameter_count = new_count;
    net->outputs = layer->outputs;
    return true;
}

/*
### Building a stack

The calls that build a net return nothing. The first that fails leaves its reason
in `net->error`, and the ones after it do nothing, so that the chain is checked
once: by whatever uses the net. Training, prediction, evaluation, copying, a workspace: each
returns the first error of the chain as its own.

```c
dn_net net = {0};
dn_net_init(&net, 784, 1);
dn_net_dense(&net, 0, DN_RELU);     // refused
dn_net_dropout(&net, 7);            // wrong too, but no longer looked at
dn_net_dense(&net, 10, DN_SOFTMAX); // right, and not done either
if (net.error.status != DN_OK) fprintf(stderr, "%s\n", net.error.message);
// layer 0: a dense layer needs at least one output
dn_net_free(&net);
```

The first error is the one to keep, because later ones may be its consequences.
*/
static bool dni_dense_is_valid(dn_net *net, const dn_dense *dense) {
    const char *reason = NULL;
    if (net->outputs == 0) reason = "dn_net_init comes before the layers";
    else if (dense->outputs == 0) reason = "a dense layer needs at least one output";
    else if ((unsigned)dense->activation >= DN_ACTIVATION_COUNT) reason = "unknown activation";
    else if (dense->activation == DN_CUSTOM &&
             (dense->custom == NULL || dense->custom->value == NULL ||
              dense->custom->derivative == NULL))
        reason = "a custom activation needs its value and its derivative";
    else if ((dense->weights.kind == DN_INITIALIZE_GIVEN && dense->weights.given == NULL) ||
             (dense->biases.kind == DN_INITIALIZE_GIVEN && dense->biases.given == NULL))
        reason = "the given initial values are missing";
    if (reason != NULL)
        (void)dni_fail(&net->error, DN_ERROR_ARGUMENT, "layer %zu: %s", net->layer_count, reason);
    return reason == NULL;
}

/*
A dense layer has (I + 1) O parameters: I O weights and O biases. The sizes come from the
caller or from a file, so that the product is computed with a test for overflow; one that does
not fit becomes SIZE_MAX, which `dni_net_extend` refuses as too large.

The random weights are drawn here, from `net->random`, one layer after the other. The same seed
and the same calls give the same weights. A layer that is appended changes none of the layers
before it; one that is put between two changes the draws of those behind it, unless it is a
dropout layer, which draws nothing while the net is built.
*/
DN_API void dn_net_layer(dn_net *net, const dn_dense *dense) {
    if (net->error.status != DN_OK || !dni_dense_is_valid(net, dense)) return;
    dn_layer layer;
    memset(&layer, 0, sizeof layer);
    layer.kind = DN_LAYER_DENSE;
    layer.inputs = net->outputs;
    layer.outputs = dense->outputs;
    layer.activation = dense->activation;
    layer.custom = dense->activation == DN_CUSTOM ? dense->custom : NULL;
    layer.freeze_weights = dense->freeze_weights;
    layer.freeze_biases = dense->freeze_biases;
    layer.weights = net->parameter_count;

    size_t weights, parameters;
    if (!dni_multiply_sizes(layer.inputs, layer.outputs, &weights) ||
        !dni_add_sizes(weights, layer.outputs, &parameters))
        parameters = weights = SIZE_MAX; /* too many: dni_net_extend says so */
    layer.biases = layer.weights + weights;
    if (!dni_net_extend(net, &layer, parameters)) return;

    dni_initialize(&net->random, &dense->weights, true, layer.activation, layer.inputs,
                   layer.outputs, net->parameters + layer.weights);
    dni_initialize(&net->random, &dense->biases, false, layer.activation, layer.inputs,
                   layer.outputs, net->parameters + layer.biases);
}

DN_API void dn_net_dense(dn_net *net, size_t outputs, dn_activation activation) {
    dn_dense dense;
    memset(&dense, 0, sizeof dense);
    dense.outputs = outputs;
    dense.activation = activation;
    dn_net_layer(net, &dense);
}

/*
### Dropout

Dropout (Srivastava et al., 2014) sets each number to zero with probability p
during training, so that no unit can rely on a particular other one. In its
*inverted* form the survivors are divided by 1 - p:

$$ a = x \, m, \qquad m = \begin{cases} 0 & \text{with probability } p \\
1/(1-p) & \text{otherwise} \end{cases} $$

    training:   a[b,o] = x[b,o] * mask[b,o];     E[a] = x
    inference:  a = x

The expected value of a is then x, and inference needs no correction. With p = 0.25 a
number is dropped one time in four, and else multiplied by 1 / 0.75 = 4/3: 3 becomes 0 or 4, in the
mean 3.

Without the factor the mean of a unit would be 3/4 x in training and x in inference, and the
next layer would meet sums that it has not been trained on. What dropout adds is noise: the
variance of a is x^2 p / (1 - p), here x^2 / 3, for p = 0.5 as much as x^2.

In inference dropout is off, because the noise would only make the same question get another
answer each time. The forward pass knows which of the two is meant by its last argument: a
generator of random numbers, or NULL for inference. The trainer passes its own, which began as
a copy of `net->random`; evaluation passes NULL, and `dn_predict` leaves dropout layers out.

Dropout has no parameters. It is a layer of its own, so that it can stand anywhere in a stack,
also on the inputs, except at the end: a loss needs a dense layer before it (chapter 5).
*/
DN_API void dn_net_dropout(dn_net *net, dn_real probability) {
    if (net->error.status != DN_OK) return;
    if (!(probability >= 0 && probability < 1)) {
        (void)dni_fail(&net->error, DN_ERROR_ARGUMENT,
                       "layer %zu: dropout needs a probability in [0, 1), got %g", net->layer_count,
                       (double)probability);
        return;
    }
    dn_layer layer;
    memset(&layer, 0, sizeof layer);
    layer.kind = DN_LAYER_DROPOUT;
    layer.inputs = layer.outputs = net->outputs;
    layer.dropout = probability;
    layer.weights = layer.biases = net->parameter_count;
    (void)dni_net_extend(net, &layer, 0);
}

/*
The mask of a batch has the shape of its numbers, [B, O]: each sample has its own. One draw
decides one number, which is dropped when the draw, uniform on [0, 1), is below p. As 0 is the
smallest draw, p = 0 drops nothing. The mask is kept until the way back: the gradient is
multiplied by the same mask, so that what was dropped receives none.

A draw is a whole number of 53 bits divided by 2^53, so that it is below p exactly when the whole
number is below 2^53 p rounded up. That comparison needs no floating-point number, and no `if` that
would be guessed wrong every fourth time at p = 0.25: 0.9 nanoseconds a number instead of 5.3.
*/
static void dni_dropout_mask(dn_random *random, dn_real probability, size_t count, dn_real *mask) {
    const dn_real values[2] = {1 / (1 - probability), 0};
    const uint64_t below = (uint64_t)ceil((double)probability * 9007199254740992.0);
    for (size_t i = 0; i < count; i++) mask[i] = values[dn_random_bits(random) >> 11 < below];
}

/*
### The net as an object

A net owns five blocks: the layers, the parameters, and, where they are known, the means and
deviations of its inputs and its notes. It holds no activations: these belong to a workspace
(chapter 6), so that one net can serve several threads, each with a workspace of its own, as
long as nobody trains it. A copy shares nothing with its original, and either may be
freed first; only a custom activation is not copied, being a pointer to functions of the user.

A net with dropout layers alone has nothing to learn; it is refused like a net without layers.
*/

/* What every function that uses a net asks first. */
static dn_status dni_net_check(const dn_net *net, dn_error *error) {
    if (net->error.status != DN_OK) {
        if (error != NULL) *error = net->error;
        return net->error.status;
    }
    if (net->parameter_count == 0)
        return dni_fail(error, DN_ERROR_SHAPE, "the net has no dense layer");
    return DN_OK;
}

/* A copy of a block; NULL for NULL. Clears *ok when there is no memory. */
static void *dni_duplicate(const void *block, size_t bytes, bool *ok) {
    if (block == NULL) return NULL;
    void *copy = dni_allocate(bytes, 1);
    if (copy == NULL) *ok = false;
    else memcpy(copy, block, bytes);
    return copy;
}

DN_API dn_status dn_net_copy(dn_net *copy, const dn_net *net, dn_error *error) {
    memset(copy, 0, sizeof *copy);
    dn_status status = dni_net_check(net, error);
    if (status != DN_OK) return status;
    const size_t reals = net->inputs * sizeof(dn_real);
    bool ok = true;
    *copy = *net;
    copy->layers = (dn_layer *)dni_duplicate(net->layers, net->layer_count * sizeof(dn_layer), &ok);
    copy->parameters = (dn_real *)dni_duplicate(net->parameters,
                                                net->parameter_count * sizeof(dn_real), &ok);
    copy->mean = (dn_real *)dni_duplicate(net->mean, reals, &ok);
    copy->deviation = (dn_real *)dni_duplicate(net->deviation, reals, &ok);
    copy->notes = (char *)dni_duplicate(net->notes, net->notes_size, &ok);
    if (ok) return DN_OK;
    dn_net_free(copy);
    return dni_fail(error, DN_ERROR_MEMORY, "no memory to copy a net of %zu parameters",
                    net->parameter_count);
}

DN_API void dn_net_free(dn_net *net) {
    dni_release(net->layers);
    dni_release(net->parameters);
    dni_release(net->mean);
    dni_release(net->deviation);
    dni_release(net->notes);
    memset(net, 0, sizeof *net);
}

/*
### Views

What a layer has is shown as matrices that own nothing. The view points into the vector, so
that writing through it changes the net. For a dropout layer the views have no rows, and a loop
over all layers needs no exception.
*/
DN_API dn_matrix dn_matrix_view(dn_real *data, size_t rows, size_t columns) {
    dn_matrix view;
    view.rows = rows;
    view.columns = columns;
    view.stride = columns;
    view.data = data;
    return view;
}

DN_API dn_matrix dn_net_weights(const dn_net *net, size_t layer) {
    DN_ASSERT(layer < net->layer_count);
    const dn_layer *of = &net->layers[layer];
    size_t rows = of->kind == DN_LAYER_DENSE ? of->inputs : 0;
    return dn_matrix_view(net->parameters + of->weights, rows, of->outputs);
}

DN_API dn_matrix dn_net_biases(const dn_net *net, size_t layer) {
    DN_ASSERT(layer < net->layer_count);
    const dn_layer *of = &net->layers[layer];
    size_t rows = of->kind == DN_LAYER_DENSE ? 1 : 0;
    return dn_matrix_view(net->parameters + of->biases, rows, of->outputs);
}

static size_t dni_layer_parameters(const dn_layer *layer) {
    return layer->kind == DN_LAYER_DENSE ? (layer->inputs + 1) * layer->outputs : 0;
}

/*
### The summary

A table as other libraries print it: what the net looks like, layer by layer, and
where the parameters are. For 784-128-10 with dropout of a quarter between the two layers:

    Layer            Activation     Output shape     Parameters      Bytes
    ----------------------------------------------------------------------
    input                           (batch, 784)
    0 dense          relu           (batch, 128)        100,480    401,920
    1 dropout 25%                   (batch, 128)              0          0
    2 dense          softmax        (batch, 10)           1,290      5,160
    ----------------------------------------------------------------------
    Parameters: 101,770 (407,080 bytes)

The check by hand: (784 + 1) 128 = 100,480 and (128 + 1) 10 = 1,290. Where layers are frozen,
the last line tells how many parameters are.

The text is written as `snprintf` would write it: never more than the capacity, always terminated,
and the result is the length that the whole text has. It can be measured first, with a capacity of
0. `dni_text` appends to a buffer that may be too small and keeps counting.
*/
typedef struct dni_text {
    char *start;
    size_t capacity, length;
} dni_text;

static void dni_text_add(dni_text *text, const char *format, ...) DNI_PRINTF_LIKE(2, 3);

static void dni_text_add(dni_text *text, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    bool fits = text->length < text->capacity;
    int added = vsnprintf(fits ? text->start + text->length : NULL,
                          fits ? text->capacity - text->length : 0, format, arguments);
    va_end(arguments);
    if (added > 0) text->length += (size_t)added;
}

/*
Numbers of many digits are read in groups of three: 118282 as "118,282". A comma stands before
a digit when the count of those that are left, itself included, is a multiple of three. The
largest number of 64 bits has 20 digits and 6 commas; with the end, the text needs 27 characters.
*/
static const char *dni_grouped(size_t number, char *text) {
    char digits[24];
    int count = snprintf(digits, sizeof digits, "%zu", number);
    char *out = text;
    for (int i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return text;
}

DN_API size_t dn_net_summary(const dn_net *net, char *text, size_t capacity) {
    dni_text out;
    out.start = text;
    out.capacity = capacity;
    out.length = 0;
    char parameters[32], bytes[32];
    const char *rule = "----------------------------------------------------------------------\n";
    if (capacity > 0) text[0] = '\0';
    dni_text_add(&out, "%-16s %-14s %-16s %10s %10s\n%s", "Layer", "Activation", "Output shape",
                 "Parameters", "Bytes", rule);
    dni_text_add(&out, "%-16s %-14s (batch, %zu)\n", "input", "", net->inputs);
    size_t frozen = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        size_t count = dni_layer_parameters(layer);
        char name[32], shape[40];
        if (layer->kind == DN_LAYER_DENSE)
            (void)snprintf(name, sizeof name, "%zu dense", l);
        else
            (void)snprintf(name, sizeof name, "%zu dropout %d%%", l,
                           (int)(100 * (double)layer->dropout + 0.5));
        (void)snprintf(shape, sizeof shape, "(batch, %zu)", layer->outputs);
        dni_text_add(&out, "%-16s %-14s %-16s %10s %10s\n", name,
                     layer->kind == DN_LAYER_DENSE ? dn_activation_name(layer) : "", shape,
                     dni_grouped(count, parameters), dni_grouped(count * sizeof(dn_real), bytes));
        if (count > 0 && layer->freeze_weights) frozen += layer->inputs * layer->outputs;
        if (count > 0 && layer->freeze_biases) frozen += layer->outputs;
    }
    dni_text_add(&out, "%sParameters: %s (%s bytes)", rule,
                 dni_grouped(net->parameter_count, parameters),
                 dni_grouped(net->parameter_count * sizeof(dn_real), bytes));
    if (frozen > 0) dni_text_add(&out, ", %s of them frozen", dni_grouped(frozen, parameters));
    dni_text_add(&out, "\n");
    return out.length;
}

/*
### How we know that it is right

`tests/test_layers.c` has the sum by hand from the beginning of this chapter. It builds stacks,
right and wrong, and requires that all who use a net tell its first error. It reads the summary
into buffers of every size. Of dropout it tests the share of zeroes and the mean, that the same
seed makes the same mask and that each sample has its own, and that inference passes every bit.
It lets each allocation in turn fail: an error comes back, and nothing is leaked.
*/

/*
## 4. Activations

Without an activation function a stack of layers would be no more than one layer:
a product of matrices is a matrix. The bend between them is what lets a net
represent more than straight lines. Backpropagation needs the derivative as well;
for all of these it follows from the value a = f(z), so that z need not be kept.

| activation | a = f(z) | da/dz | range |
|---|---|---|---|
| linear | z | 1 | all numbers |
| ReLU (Nair, Hinton, 2010) | max(0, z) | 1 if a > 0, else 0 | [0, inf) |
| leaky ReLU (Maas et al., 2013) | z if z > 0, else 0.01 z | 1 if a > 0, else 0.01 | all numbers |
| sigmoid | 1 / (1 + exp(-z)) | a (1 - a) | (0, 1) |
| tanh | (exp(z) - exp(-z)) / (exp(z) + exp(-z)) | 1 - a^2 | (-1, 1) |
| softmax | exp(z_j) / sum of exp(z_k) | see below | (0, 1), sum 1 |

The formulas stand in the list `DN_ACTIVATIONS` of the interface and nowhere else; chapter 2
makes a loop over vectors of each. At 0 ReLU has no derivative; the value 0 taken here is
the usual choice. A NaN passes through all of them, so that it is noticed.

### Softmax

Softmax turns O numbers into a distribution over O classes.

$$ a_j = \frac{e^{z_j}}{\sum_k e^{z_k}} $$

    a[b,j] = exp(z[b,j] - m) / sum over k of exp(z[b,k] - m),   m = max over k of z[b,k]

Subtracting the largest z cancels out of the fraction and leaves exponents that are
at most 0, one of them exactly 0: nothing overflows and the sum is at least 1.

### Forward

`from` and `to` may be the same array.
*/
static void dni_activate(const dn_layer *layer, const dn_real *from, dn_real *to, size_t rows) {
    const dni_arithmetic *arithmetic = dni_arithmetic_of_this_machine();
    const size_t count = rows * layer->outputs;
    if (layer->activation == DN_SOFTMAX) {
        arithmetic->softmax(from, to, rows, layer->outputs);
        return;
    }
    if (layer->activation == DN_CUSTOM) {
        for (size_t i = 0; i < count; i++) to[i] = layer->custom->value(from[i]);
        return;
    }
    if (count <= 2 * (size_t)DNI_CHUNK || dni_threads() == 1) { /* a parallel loop is not free */
        arithmetic->activate(layer->activation, from, to, count);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
    for (size_t at = 0; at < count; at += DNI_CHUNK)
        arithmetic->activate(layer->activation, from + at, to + at, dni_chunk(count - at));
}

/*
### Backward

Given `delta` = dL/da, the chain rule gives dL/dz in its place.

    elementwise: in the forward pass  a = f(z);   so now:  dz = da * f'(z)

In softmax every output depends on every input: da_k/dz_j = a_k ((j = k) - a_j).
Summing over k,

$$ \frac{\partial L}{\partial z_j}
   = \sum_k \frac{\partial L}{\partial a_k} \, a_k \, (\delta_{jk} - a_j)
   = a_j \left( \frac{\partial L}{\partial a_j}
     - \sum_k a_k \frac{\partial L}{\partial a_k} \right) $$

    dz[j] = a[j] * (da[j] - sum over k of a[k] * da[k])
*/
static void dni_softmax_backward(const dn_real *a, dn_real *delta, size_t rows, size_t columns) {
    for (size_t r = 0; r < rows; r++, a += columns, delta += columns) {
        dn_real mean = 0;
        for (size_t k = 0; k < columns; k++) mean = dni_fma_real(a[k], delta[k], mean);
        for (size_t j = 0; j < columns; j++) delta[j] = a[j] * (delta[j] - mean);
    }
}

static void dni_activate_backward(const dn_layer *layer, const dn_real *z, const dn_real *a,
                                  dn_real *delta, size_t rows) {
    const dni_arithmetic *arithmetic = dni_arithmetic_of_this_machine();
    const size_t count = rows * layer->outputs;
    if (layer->activation == DN_SOFTMAX) {
        dni_softmax_backward(a, delta, rows, layer->outputs);
        return;
    }
    if (layer->activation == DN_CUSTOM) {
        for (size_t i = 0; i < count; i++) delta[i] *= layer->custom->derivative(z[i], a[i]);
        return;
    }
    if (count <= 2 * (size_t)DNI_CHUNK || dni_threads() == 1) {
        arithmetic->activate_backward(layer->activation, a, delta, count);
        return;
    }
#ifdef _OPENMP
#pragma omp parallel for schedule(static)
#endif
    for (size_t at = 0; at < count; at += DNI_CHUNK)
        arithmetic->activate_backward(layer->activation, a + at, delta + at, dni_chunk(count - at));
}

/*
*How we know:* `tests/test_layers.c` compares each activation with
its definition in double precision, out to z = +-1e4; `tests/test_gradients.c`
compares each derivative with central differences.
*/

/*
## 5. Losses

A loss says how wrong the outputs p are, given the targets y. Training makes its
mean over a batch small.

| loss | of one sample | targets y |
|---|---|---|
| cross-entropy | -sum_j y_j log p_j | a class, or any distribution |
| binary cross-entropy | -sum_j (y_j log p_j + (1 - y_j) log(1 - p_j)) | each y_j in [0, 1] |
| mean squared error | 1/2 sum_j (p_j - y_j)^2 | any numbers |

The sum runs over the O outputs of a sample; the loss of a batch is the mean over
its B samples. (Some libraries average over the outputs as well: their mean squared
error is ours times 2/O.) A class label c stands for the one-hot row with y_c = 1; a
net with a single output takes labels 0 and 1 as y itself.

### Canonical pairs

log p is inaccurate where p is small and infinite where p has been rounded to 0. But
p is itself made of exponentials of z (here called *logits*), and the logarithm
undoes them. With m = max_k z_k,

$$ \log p_j = z_j - \Big( m + \log \sum_k e^{z_k - m} \Big) \quad \text{(softmax)}, \qquad
   \log p_j = -\log(1 + e^{-z_j}) \quad \text{(sigmoid)} $$

so that the loss is computed from z, without rounding p first. And the derivatives
collapse: behind softmax, cross-entropy has

$$ \frac{\partial L}{\partial z_j} = p_j - y_j $$

when the y_j of a row add up to 1, and the same holds for binary cross-entropy behind sigmoid. All
vanishing factors have cancelled: a net that is certain and wrong still learns. This is what is
computed for one row, with s(z) the sigmoid and plus(z) = log(1 + exp(z)):

| loss, activation | loss of a row | dL/dz_j |
|---|---|---|
| cross-entropy, softmax | sum_j y_j (logsumexp(z) - z_j) | p_j sum_k y_k - y_j |
| binary, sigmoid | sum_j (y_j plus(-z_j) + (1 - y_j) plus(z_j)) | p_j - y_j |
| cross-entropy, sigmoid | sum_j y_j plus(-z_j) | -y_j s(-z_j) |
| binary, softmax | see below | see below |
| squared, any | 1/2 sum_j (p_j - y_j)^2 | (p_j - y_j), then the activation's derivative |

By hand, softmax and cross-entropy: z = (2, 1, 0) and class 0. The exponentials 7.389, 2.718
and 1 add up to 11.107, so that p = (0.665, 0.245, 0.090). The loss is log(11.107) - 2 =
0.408, which is -log 0.665, and the derivatives are (-0.335, 0.245, 0.090); their sum is 0.

Cross-entropy behind a sigmoid looks at the true class alone: nothing pushes the
other outputs down. It is the formula of a published report and stands here so that
one can see what it does.

*plus* without overflow: log(1 + exp(z)) = max(z, 0) + log(1 + exp(-|z|)).
*/
static double dni_softplus(dn_real z) {
    return (double)(z > 0 ? z : 0) + (double)dni_log1p(dni_exp(z > 0 ? -z : z));
}

/* log of the sum of exp(z[k]) over k, leaving out k = without. The result is a double, so
   that the difference to a large z keeps its digits. */
static double dni_log_sum_exp(const dn_real *z, size_t count, size_t without) {
    dn_real largest = -DNI_REAL_MAX, sum = 0, part[64];
    for (size_t k = 0; k < count; k++)
        if (k != without && !(z[k] <= largest)) largest = z[k];
    for (size_t k = 0; k < count; k += 64) {
        const size_t end = count - k < 64 ? count - k : 64;
        dni_arithmetic_of_this_machine()->exponentials(largest, z + k, part, end);
        for (size_t j = 0; j < end; j++)
            if (k + j != without) sum += part[j];
    }
    return (double)largest + (double)dni_log(sum);
}

/*
### Targets

`dni_target` reads y_j from whatever the batch has. Rows win over labels, so that a
batch may carry both: rows for the loss, labels for counting the accuracy.
*/
static dn_real dni_target(const dn_batch *batch, size_t outputs, size_t row, size_t j) {
    if (batch->targets != NULL) return batch->targets[row * outputs + j];
    const int32_t label = batch->labels[row];
    if (outputs == 1) return (dn_real)label;
    return (size_t)label == j ? 1 : 0;
}

/* Is there one label for each row, the number of its class, and nothing else? */
static bool dni_has_classes(const dn_batch *batch, size_t outputs) {
    return batch->targets == NULL && outputs > 1;
}

/*
### Binary cross-entropy behind softmax

An unusual pair, but sound: each class is asked "this one or not?". The delicate
term is 1 - p_j when p_j is close to 1. It is the share of all the others,

$$ 1 - p_j = \frac{\sum_{k \ne j} e^{z_k}}{\sum_k e^{z_k}}, \qquad
   \log(1 - p_j) = \operatorname{logsumexp}_{k \ne j}(z) - \operatorname{logsumexp}(z) $$

Only the largest p can exceed 1/2; for the others log1p(-p_j) is accurate. For the
gradient write g_j = p_j dL/dp_j = (1 - y_j) r_j - y_j, with the odds r_j = p_j / (1 - p_j).
The formula of chapter 4 gives dz_j = g_j - p_j sum_k g_k. The odds of the largest, m,
may overflow, so its terms are multiplied out. With G = sum over k != m of g_k:

    dz[m] = (1 - y[m]) p[m] - y[m] (1 - p[m]) - p[m] G
    dz[j] = g[j] - (1 - y[m]) p[m] s[j] + y[m] p[j] - p[j] G

where s_j = p_j / (1 - p_m) is the softmax among the others, and never overflows.
*/
static double dni_binary_softmax_loss(const dn_real *z, const dn_real *p, size_t outputs,
                                      const dn_batch *batch, size_t row) {
    const size_t top = dn_largest(p, outputs);
    const double all = dni_log_sum_exp(z, outputs, outputs);
    double loss = 0;
    for (size_t j = 0; j < outputs; j++) {
        const double y = (double)dni_target(batch, outputs, row, j);
        const double log_not = outputs == 1 ? -(double)DNI_REAL_MAX
                               : j == top   ? dni_log_sum_exp(z, outputs, top) - all
                                            : (double)dni_log1p(-p[j]);
        if (y != 0) loss = dni_fma(-y, (double)z[j] - all, loss);
        if (y != 1) loss = dni_fma(y - 1, log_not, loss);
    }
    return loss;
}

static void dni_binary_softmax_gradient(const dn_real *z, const dn_real *p, size_t outputs,
                                        const dn_batch *batch, size_t row, dn_real *dz) {
    const size_t top = dn_largest(p, outputs);
    const double others = dni_log_sum_exp(z, outputs, top);
    const dn_real y_top = dni_target(batch, outputs, row, top);
    const dn_real not_top = dni_exp((dn_real)(others - dni_log_sum_exp(z, outputs, outputs)));
    const dn_real against = (1 - y_top) * p[top];
    dn_real sum = 0;
    for (size_t j = 0; j < outputs; j++) {
        if (j == top) continue;
        const dn_real y = dni_target(batch, outputs, row, j);
        dz[j] = dni_fma_real(1 - y, p[j] / (1 - p[j]), -y);
        sum += dz[j];
    }
    for (size_t j = 0; j < outputs; j++) {
        if (j == top) continue;
        dz[j] = dni_fma_real(-against, dni_exp((dn_real)((double)z[j] - others)), dz[j]);
        dz[j] = dni_fma_real(y_top - sum, p[j], dz[j]);
    }
    dz[top] = dni_fma_real(-y_top, not_top, dni_fma_real(-p[top], sum, against));
}

/*
### The loss of a row

Behind a custom activation there is no known logit; p is then kept away from 0 and 1
by 1e-7 (as other libraries do) and the definition is used as it stands. The sum is
kept in double precision and runs in the order of samples and outputs, so that it
does not depend on how a data set is cut into batches.
*/
static dn_real dni_clipped(dn_real p) {
    const dn_real margin = (dn_real)1e-7;
    return p < margin ? margin : p > 1 - margin ? 1 - margin : p;
}

static dn_loss dni_loss_of(const dn_net *net, dn_loss loss) {
    if (loss != DN_LOSS_DEFAULT) return loss;
    const dn_activation last = net->layers[net->layer_count - 1].activation;
    if (last == DN_SOFTMAX) return DN_CROSS_ENTROPY;
    return last == DN_SIGMOID ? DN_BINARY_CROSS_ENTROPY : DN_MEAN_SQUARED_ERROR;
}

static double dni_row_loss(dn_activation activation, dn_loss loss, const dn_real *z,
                           const dn_real *p, size_t outputs, const dn_batch *batch, size_t row) {
    if (loss == DN_BINARY_CROSS_ENTROPY && activation == DN_SOFTMAX)
        return dni_binary_softmax_loss(z, p, outputs, batch, row);
    const bool from_softmax = loss == DN_CROSS_ENTROPY && activation == DN_SOFTMAX;
    const size_t top = from_softmax ? dn_largest(p, outputs) : 0;
    const double log_sum = from_softmax ? (double)z[top] - dni_log_double((double)p[top]) : 0;
    if (from_softmax && dni_has_classes(batch, outputs)) { /* the sum has one term */
        const size_t label = (size_t)batch->labels[row];
        return label < outputs ? log_sum - (double)z[label] : 0;
    }
    double sum = 0;
    for (size_t j = 0; j < outputs; j++) {
        const double y = (double)dni_target(batch, outputs, row, j);
        if (loss == DN_MEAN_SQUARED_ERROR) {
            const double difference = (double)p[j] - y;
            sum = dni_fma(0.5 * difference, difference, sum);
            continue;
        }
        double log_p = 0, log_not = 0;
        if (from_softmax) {
            log_p = (double)z[j] - log_sum;
        } else if (activation == DN_SIGMOID) {
            log_p = y != 0 ? -dni_softplus(-z[j]) : 0;
            if (loss == DN_BINARY_CROSS_ENTROPY && y != 1) log_not = -dni_softplus(z[j]);
        } else {
            log_p = (double)dni_log(dni_clipped(p[j]));
            log_not = (double)dni_log(1 - dni_clipped(p[j]));
        }
        if (y != 0) sum = dni_fma(-y, log_p, sum);
        if (y != 1 && loss == DN_BINARY_CROSS_ENTROPY) sum = dni_fma(y - 1, log_not, sum);
    }
    return sum;
}

/* The losses of some rows of the last forward pass, from `first` to before `end`. */
static void dni_row_losses(const dn_net *net, const dn_workspace *workspace, dn_loss loss,
                           const dn_batch *batch, size_t first, size_t end, double *losses) {
    const size_t last = net->layer_count - 1, outputs = net->outputs;
    loss = dni_loss_of(net, loss);
    for (size_t row = first; row < end; row++)
        losses[row - first] =
            dni_row_loss(net->layers[last].activation, loss, workspace->z[last] + row * outputs,
                         workspace->a[last] + row * outputs, outputs, batch, row);
}

DN_API double dn_loss_value(const dn_net *net, const dn_workspace *workspace, dn_loss loss,
                            const dn_batch *batch) {
    DN_ASSERT(batch->count > 0 && batch->count == workspace->count);
    double sum = 0, loss_of_row;
    for (size_t row = 0; row < batch->count; row++) {
        dni_row_losses(net, workspace, loss, batch, row, row + 1, &loss_of_row);
        sum += loss_of_row;
    }
    return sum / (double)batch->count;
}

/*
### Its gradient

The gradient of the *mean* loss, hence the division by B, which happens once, here:
from this point backwards every gradient is already that of the mean.

| what | shape |
|---|---|
| z, p, delta | [B, O] |
*/
static void dni_row_gradient(dn_activation activation, dn_loss loss, const dn_real *z,
                             const dn_real *p, size_t outputs, const dn_batch *batch, size_t row,
                             dn_real *delta) {
    if (loss == DN_BINARY_CROSS_ENTROPY && activation == DN_SOFTMAX) {
        dni_binary_softmax_gradient(z, p, outputs, batch, row, delta);
        return;
    }
    dn_real y_sum = 1; /* of a label's row */
    if (activation == DN_SOFTMAX && batch->targets != NULL) {
        y_sum = 0;
        for (size_t j = 0; j < outputs; j++) y_sum += dni_target(batch, outputs, row, j);
    }
    for (size_t j = 0; j < outputs; j++) {
        const dn_real y = dni_target(batch, outputs, row, j);
        if (loss == DN_MEAN_SQUARED_ERROR) delta[j] = p[j] - y;
        else if (activation == DN_SOFTMAX)
            delta[j] = y_sum == 1 ? p[j] - y : dni_fma_real(p[j], y_sum, -y);
        else if (activation == DN_SIGMOID)
            delta[j] = loss == DN_CROSS_ENTROPY ? -y * dni_sigmoid_portable(-z[j]) : p[j] - y;
        else if (loss == DN_CROSS_ENTROPY) delta[j] = -y / dni_clipped(p[j]);
        else delta[j] = (1 - y) / (1 - dni_clipped(p[j])) - y / dni_clipped(p[j]);
    }
}

/* Is the gradient above already dL/dz (true), or dL/da, to be sent through the activation? */
static bool dni_loss_reaches_z(dn_activation activation, dn_loss loss) {
    return loss != DN_MEAN_SQUARED_ERROR && activation != DN_CUSTOM;
}

/* Of some rows, into the last layer's delta. The mean is over `all` samples. */
static void dni_loss_gradient(const dn_net *net, const dn_workspace *workspace, dn_loss loss,
                              const dn_batch *batch, size_t all, size_t first, size_t end) {
    const size_t last = net->layer_count - 1, outputs = net->outputs, at = first * outputs;
    const dn_layer *layer = &net->layers[last];
    const dn_real *z = workspace->z[last] + at, *p = workspace->a[last] + at;
    dn_real *delta = workspace->delta[last] + at;
    const dn_real share = 1 / (dn_real)all;
    loss = dni_loss_of(net, loss);
    if (layer->activation == DN_SOFTMAX && loss == DN_CROSS_ENTROPY &&
        dni_has_classes(batch, outputs)) { /* p - y, where y is mostly 0 */
        memcpy(delta, p, (end - first) * outputs * sizeof *delta);
        for (size_t row = first; row < end; row++)
            if ((size_t)batch->labels[row] < outputs)
                delta[(row - first) * outputs + (size_t)batch->labels[row]] -= 1;
    } else {
        for (size_t row = 0; row < end - first; row++)
            dni_row_gradient(layer->activation, loss, z + row * outputs, p + row * outputs,
                             outputs, batch, first + row, delta + row * outputs);
    }
    if (!dni_loss_reaches_z(layer->activation, loss))
        dni_activate_backward(layer, z, p, delta, end - first);
    dni_arithmetic_of_this_machine()->scale(share, delta, (end - first) * outputs);
}

/*
### What does not fit together

Cross-entropy takes the logarithm of its inputs: they must be probabilities. Behind
a linear, ReLU or tanh layer it has no meaning, and the library says so instead of
training on NaN. And the softmax of a single number is 1 whatever the number: such a net
cannot learn.
*/
DN_API dn_status dn_loss_check(const dn_net *net, dn_loss loss, dn_error *error) {
    dn_status status = dni_net_check(net, error);
    if (status != DN_OK) return status;
    const dn_layer *last = &net->layers[net->layer_count - 1];
    if (last->kind != DN_LAYER_DENSE)
        return dni_fail(error, DN_ERROR_ARGUMENT, "the last layer must be dense, not dropout");
    if ((unsigned)loss > DN_MEAN_SQUARED_ERROR)
        return dni_fail(error, DN_ERROR_ARGUMENT, "unknown loss %d", (int)loss);
    if (last->activation == DN_SOFTMAX && last->outputs == 1)
        return dni_fail(error, DN_ERROR_ARGUMENT,
                        "softmax of a single output is always 1: end the net with DN_SIGMOID, or "
                        "with two outputs");
    loss = dni_loss_of(net, loss);
    if (loss != DN_MEAN_SQUARED_ERROR && last->activation != DN_SIGMOID &&
        last->activation != DN_SOFTMAX && last->activation != DN_CUSTOM)
        return dni_fail(error, DN_ERROR_ARGUMENT,
                        "%s needs probabilities: end the net with DN_SOFTMAX or DN_SIGMOID "
                        "instead of %s",
                        loss == DN_CROSS_ENTROPY ? "cross-entropy" : "binary cross-entropy",
                        dn_activation_name(last));
    return DN_OK;
}

/*
*How we know:* `tests/test_losses.c` compares each pair with the
definition, and at z = +-1e4 with the limits; `tests/test_gradients.c` compares the
gradients with central differences.
*/

/*
## 6. Backpropagation

How much does the loss change when one weight changes? Asked for each of a hundred
thousand weights separately, the question would cost a hundred thousand forward
passes. Backpropagation (Rumelhart, Hinton and Williams, 1986) answers it for all of
them at the price of about two: it applies the chain rule from the loss backwards,
and every layer reuses what the layer behind it has found.

Counted in multiplications with addition, for one sample and the net 784-128-10:

| pass | products | layer 0 | layer 1 | sum |
|---|---|---|---|---|
| forward | Z = X W | 100,352 | 1,280 | 101,632 |
| backward | dW = X^T dZ | 100,352 | 1,280 | 101,632 |
| backward | dX = dZ W^T | not computed | 1,280 | 1,280 |

Forward and backward together are 204,544: 2.01 forward passes, for 101,770 derivatives. The
input gradient of the first layer would be another 100,352; nobody needs it.

### The workspace

Going back needs the numbers of the way forward: x of every layer. The workspace
keeps them for one batch, in one block of memory.

    layer 0: a [B,O], delta [B,O]   layer 1: a [B,O], delta [B,O]   ...
    last layer: z [B,O], a [B,O], delta [B,O]
    the losses of the samples [B], in double precision; the marks of the inputs (chapter 2)

The z of a layer is kept apart from its a only where both are wanted: in the last
layer, whose loss is computed from logits, and for a custom activation, whose
derivative may ask for z. A dropout layer keeps its mask in the place of z. Elsewhere
z and a are the same array: the activation is done in place. delta is dL/da of a layer and then,
in its place, dL/dz. Dropout works on the delta of the layer before it, and what stands before the
first dense layer has none.

The memory for 784-128-10 and a batch of 128, in numbers:

| array | shape | numbers |
|---|---|---|
| a of layer 0 | [128, 128] | 16,384 |
| z of layer 1 | [128, 10] | 1,280 |
| a of layer 1 | [128, 10] | 1,280 |
| delta of layer 0 | [128, 128] | 16,384 |
| delta of layer 1 | [128, 10] | 1,280 |
| losses | [128], doubles | 256 |
| marks | [128, 13], words of 64 bits | 3,328 |
| all | | 40,192 |

That is 160,768 bytes in single precision.

Every array begins at a multiple of 64 bytes, that is, of 16 floats: the size of each is
rounded up to that. All sizes are computed with tests for overflow before anything is allocated, and
nothing is allocated afterwards.
*/
static bool dni_keeps_z(const dn_net *net, size_t layer) {
    const dn_layer *of = &net->layers[layer];
    return layer + 1 == net->layer_count || of->kind == DN_LAYER_DROPOUT ||
           of->activation == DN_CUSTOM;
}

static size_t dni_widest(const dn_net *net) {
    size_t widest = 0;
    for (size_t l = 0; l < net->layer_count; l++)
        if (net->layers[l].outputs > widest) widest = net->layers[l].outputs;
    return widest;
}

/* `batch` rows of `columns` numbers, rounded up so that the next array is aligned too. */
static bool dni_rounded_size(size_t batch, size_t columns, size_t *count) {
    const size_t unit = DNI_ALIGNMENT / sizeof(dn_real);
    size_t bytes;
    if (!dni_multiply_sizes(batch, columns, count)) return false;
    if (!dni_add_sizes(*count, unit - 1, count)) return false;
    *count -= *count % unit;
    return dni_multiply_sizes(*count, sizeof(dn_real), &bytes);
}

static bool dni_workspace_count(const dn_net *net, size_t batch, size_t *count) {
    size_t part;
    if (!dni_rounded_size(batch, sizeof(double) / sizeof(dn_real), count)) return false;
    if (!dni_rounded_size(batch, 8 * dni_marks_size(net->inputs) / sizeof(dn_real), &part) ||
        !dni_add_sizes(*count, part, count))
        return false;
    for (size_t l = 0; l < net->layer_count; l++) {
        if (!dni_rounded_size(batch, net->layers[l].outputs, &part)) return false;
        if (!dni_add_sizes(*count, part, count)) return false;
        if (dni_keeps_z(net, l) && !dni_add_sizes(*count, part, count)) return false;
        if (net->layers[l].kind == DN_LAYER_DENSE && !dni_add_sizes(*count, part, count))
            return false;
    }
    return true;
}

DN_API dn_status dn_workspace_init(dn_workspace *workspace, const dn_net *net, size_t batch,
                                   dn_error *error) {
    memset(workspace, 0, sizeof *workspace);
    dn_status status = dni_net_check(net, error);
    if (status != DN_OK) return status;
    size_t count = 0;
    if (batch == 0) return dni_fail(error, DN_ERROR_ARGUMENT, "a workspace needs a batch of >= 1");
    if (!dni_workspace_count(net, batch, &count))
        return dni_fail(error, DN_ERROR_TOO_LARGE, "a batch of %zu samples is too large", batch);

    dn_real **pointers = (dn_real **)dni_allocate_zero(3 * net->layer_count, sizeof *pointers);
    dn_real *numbers = (dn_real *)dni_allocate_zero(count, sizeof *numbers);
    if (pointers == NULL || numbers == NULL) {
        dni_release(pointers);
        dni_release(numbers);
        return dni_fail(error, DN_ERROR_MEMORY, "no memory for the activations of %zu samples",
                        batch);
    }
    workspace->owned = numbers;
    workspace->batch = batch;
    workspace->z = pointers;
    workspace->a = pointers + net->layer_count;
    workspace->delta = pointers + 2 * net->layer_count;
    size_t part = 0;
    workspace->losses = (double *)(void *)numbers;
    (void)dni_rounded_size(batch, sizeof(double) / sizeof(dn_real), &part);
    numbers += part;
    workspace->marks = (uint64_t *)(void *)numbers;
    (void)dni_rounded_size(batch, 8 * dni_marks_size(net->inputs) / sizeof(dn_real), &part);
    numbers += part;
    for (size_t l = 0; l < net->layer_count; l++) {
        (void)dni_rounded_size(batch, net->layers[l].outputs, &part);
        workspace->a[l] = workspace->z[l] = numbers;
        numbers += part;
        if (dni_keeps_z(net, l)) {
            workspace->a[l] = numbers;
            numbers += part;
        }
        if (net->layers[l].kind == DN_LAYER_DENSE) {
            workspace->delta[l] = numbers;
            numbers += part;
        } else if (l > 0) {
            workspace->delta[l] = workspace->delta[l - 1];
        }
    }
    return DN_OK;
}

DN_API void dn_workspace_free(dn_workspace *workspace) {
    dni_release(workspace->z); /* and a and delta, in the same block */
    dni_release(workspace->owned);
    memset(workspace, 0, sizeof *workspace);
}

/*
### Forward

The sums of the product start from the biases. Layer after layer, the a of one is the x of the next:

| step | reads | writes |
|---|---|---|
| dense, product | x [B,I], w [I,O], bias [O] | z [B,O] |
| dense, activation | z [B,O] | a [B,O] |
| dropout, training | x [B,O] and draws | mask [B,O], a = x mask |
| dropout, inference | x [B,O] | a = x |

The first layer is told to look for zeroes among its x: inputs have them where a picture is black.
So is a layer behind ReLU, for a single sample: 784-512-512-10 takes 0.65 of the time. A forward
pass may have fewer rows than the workspace has room for, as the last batch of an epoch does;
`count` remembers how many, and `dropped` whether there are masks: the way back needs both.

No sample's way depends on another's, so that the rows of a batch can be dealt out to threads, and
each thread takes its rows through all layers. What all of them need to know is a `dni_pass`. Only
dropout looks beyond its own rows: it takes its draws one after the other, those of a layer for all
rows before those of the next layer. The generator of chapter 1 can jump, and each thread begins
where its rows' draws are.
*/
typedef struct dni_pass {
    const dn_net *net;
    dn_workspace *workspace;
    size_t all, before;       /* samples of the batch; those before this portion of it */
    const dn_random *dropout; /* at the first draw of the batch; NULL: no dropout */
    dn_loss loss;
    const dn_real *inputs;    /* [workspace->count, net->inputs] */
    const dn_batch *batch;    /* for the way back: the answers */
} dni_pass;

/* A function of the user's was never promised that it would be called by two threads. */
static int dni_row_threads(const dn_net *net, size_t rows) {
    for (size_t l = 0; l < net->layer_count; l++)
        if (net->layers[l].activation == DN_CUSTOM) return 1;
    return dni_threads_for_rows(rows, net->parameter_count);
}

/* `marks` of the inputs, for the first layer, if they are known. */
static void dni_affine(const dn_net *net, const dn_layer *layer, const dn_real *inputs,
                       const uint64_t *marks, size_t rows, dn_real *z) {
    const size_t in = layer->inputs, out = layer->outputs;
    const dn_matrix x = dn_matrix_view((dn_real *)(uintptr_t)inputs, rows, in);
    const dn_matrix w = dn_matrix_view(net->parameters + layer->weights, in, out);
    const dn_matrix to = dn_matrix_view(z, rows, out);
    const bool looks = layer == net->layers || (rows == 1 && layer[-1].activation == DN_RELU);
    dni_multiply(DN_A_B, &x, &w, &to, net->parameters + layer->biases, 0, looks, marks);
}

static void dni_dense_forward(const dn_net *net, const dn_layer *layer, const dn_real *inputs,
                              const uint64_t *marks, size_t rows, dn_real *z, dn_real *a) {
    dni_affine(net, layer, inputs, marks, rows, z);
    dni_activate(layer, z, a, rows);
}

/* `draws`: where the draws of these numbers begin, counted from the first of the batch. */
static void dni_dropout_forward(const dn_layer *layer, const dn_real *inputs, size_t count,
                                dn_real *mask, dn_real *a, const dn_random *dropout,
                                uint64_t draws) {
    if (dropout == NULL) {
        memcpy(a, inputs, count * sizeof *a);
        return;
    }
    dn_random random = dni_random_after(dropout, draws);
    dni_dropout_mask(&random, layer->dropout, count, mask);
    memcpy(a, inputs, count * sizeof *a);
    dni_arithmetic_of_this_machine()->multiply(mask, a, count);
}

/* How many numbers of a batch's forward pass are drawn for. */
static uint64_t dni_draws(const dn_net *net, uint64_t count) {
    uint64_t draws = 0;
    for (size_t l = 0; l < net->layer_count; l++)
        if (net->layers[l].kind == DN_LAYER_DROPOUT) draws += count * net->layers[l].outputs;
    return draws;
}

/* The marks of a layer's inputs, from this row of the batch on, if there are any. */
static const uint64_t *dni_marks_of(const dn_net *net, const dn_workspace *workspace, size_t layer,
                                    size_t row) {
    if (layer != 0 || !workspace->marked) return NULL;
    return workspace->marks + row * dni_marks_size(net->inputs);
}

static void dni_forward_rows(void *of, size_t first, size_t end) {
    const dni_pass *pass = (const dni_pass *)of;
    const dn_workspace *workspace = pass->workspace;
    const dn_real *inputs = pass->inputs + first * pass->net->inputs;
    const uint64_t *marks = dni_marks_of(pass->net, workspace, 0, first);
    uint64_t draws = 0;
    for (size_t l = 0; l < pass->net->layer_count; l++) {
        const dn_layer *layer = &pass->net->layers[l];
        const size_t at = first * layer->outputs;
        dn_real *z = workspace->z[l] + at, *a = workspace->a[l] + at;
        if (layer->kind == DN_LAYER_DENSE) {
            dni_dense_forward(pass->net, layer, inputs, marks, end - first, z, a);
        } else {
            dni_dropout_forward(layer, inputs, (end - first) * layer->outputs, z, a, pass->dropout,
                                draws + (uint64_t)pass->before * layer->outputs + at);
            draws += (uint64_t)pass->all * layer->outputs;
        }
        inputs = a;
        marks = NULL;
    }
}

DN_API const dn_real *dn_forward(const dn_net *net, dn_workspace *workspace,
                                 const dn_real *inputs, size_t count, dn_random *dropout) {
    DN_ASSERT(net->layer_count > 0 && count <= workspace->batch);
    dni_pass pass = {net, workspace, count, 0, dropout, DN_LOSS_DEFAULT, inputs, NULL};
    workspace->count = count;
    workspace->marked = false;
    workspace->dropped = dropout != NULL;
    dni_for_rows(dni_row_threads(net, count), count, dni_forward_rows, &pass);
    if (dropout != NULL) *dropout = dni_random_after(dropout, dni_draws(net, count));
    return workspace->a[net->layer_count - 1];
}

/*
### Penalties

A penalty keeps weights small, so that no single input decides too much. L2 (*weight
decay*, *ridge*) shrinks every weight in proportion; L1 (*lasso*; Tibshirani, 1996)
pulls every weight towards zero with the same force and leaves many of them at zero.

$$ P(w) = \lambda_1 \sum |w| + \frac{\lambda_2}{2} \sum w^2, \qquad
   \frac{\partial P}{\partial w} = \lambda_1 \operatorname{sign}(w) + \lambda_2 w $$

    loss += l1 * |w| + l2/2 * w * w;   so now:  dw += l1 * sign(w) + l2 * w

With l1 = 0.01 and l2 = 0.1, the weight -2 adds 0.02 + 0.05 * 4 = 0.22 to the loss and
-0.01 - 0.2 = -0.21 to its gradient, so that a step downhill makes it larger, towards zero. The
weight 0.001 gets 0.01 + 0.0001: of small weights, almost all the pull is that of L1. At w = 0,
where |w| has no derivative, the sign is taken as 0.

Biases are not penalised: they move a unit's threshold and cannot blow up a sum. The value of
the penalty counts the weights of all dense layers, frozen ones included; the gradient is added
only where it can have an effect. Like the loss, the value is summed in double precision.
*/
DN_API double dn_penalty_value(const dn_net *net, dn_penalty penalty) {
    double absolute = 0, square = 0;
    if (penalty.l1 == 0 && penalty.l2 == 0) return 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_matrix w = dn_net_weights(net, l);
        for (size_t i = 0; i < w.rows * w.columns; i++) {
            absolute += fabs((double)w.data[i]);
            square = dni_fma((double)w.data[i], (double)w.data[i], square);
        }
    }
    return dni_fma((double)penalty.l1, absolute, 0.5 * (double)penalty.l2 * square);
}

static void dni_add_penalty(const dn_net *net, dn_penalty penalty, dn_real *gradient) {
    if (penalty.l1 == 0 && penalty.l2 == 0) return;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_matrix w = dn_net_weights(net, l);
        if (!net->layers[l].freeze_weights)
            dni_arithmetic_of_this_machine()->penalize(
                penalty, w.data, gradient + net->layers[l].weights, w.rows * w.columns);
    }
}

/*
### Backward, one layer

For one dense layer, with dz = dL/dz given:

$$ \frac{\partial L}{\partial w_{io}} = \sum_b x_{bi} \, \frac{\partial L}{\partial z_{bo}}, \qquad
   \frac{\partial L}{\partial b_o} = \sum_b \frac{\partial L}{\partial z_{bo}}, \qquad
   \frac{\partial L}{\partial x_{bi}} = \sum_o \frac{\partial L}{\partial z_{bo}} \, w_{io} $$

    forward: z[b,o] += x[b,i] * w[i,o];   so now:  dw[i,o] += x[b,i] * dz[b,o]
                                                   dx[b,i] += dz[b,o] * w[i,o]
    forward: z[b,o] += bias[o];           so now:  dbias[o] += dz[b,o]

All three follow from one rule: where x, w enter z as a product, the gradient of one
factor is the other factor times dz, and where a value was used several times, its
gradients are added. The weight w[i,o] was used once per sample: its gradient is a sum over b.
The input x[b,i] was used once per output: its gradient is a sum over o. As products of
matrices:

| what | product | shapes |
|---|---|---|
| forward | Z = X W | [B,O] = [B,I] [I,O] |
| weight gradient | dW = X^T dZ | [I,O] = [I,B] [B,O] |
| bias gradient | sums of the columns of dZ | [O] from [B,O] |
| input gradient | dX = dZ W^T | [B,I] = [B,O] [O,I] |

dX is what the layer before needs as its da.

A net small enough for the hand has 2 inputs, 2 ReLU units and 1 linear output, no biases
other than zero, one sample x = (1, 2) with the target 1, and the loss (y - 1)^2 / 2:

    w0 = | 1  -1   |    z0 = x w0 = (1 + 2, -1 - 1) = (3, -2)    a0 = ReLU(z0) = (3, 0)
         | 1  -0.5 |
    w1 = | 0.5 |        y = 3 * 0.5 + 0 * 2 = 1.5                L = 0.5^2 / 2 = 0.125
         | 2   |

Backwards, each line made from the line before:

    dz1 = y - 1 = 0.5
    dw1 = a0^T dz1 = (1.5, 0)        dbias1 = 0.5
    da0 = dz1 w1^T = (0.25, 1)
    dz0 = (0.25, 0)                  the second unit is off: z < 0
    dw0 = x^T dz0 = | 0.25  0 |      dbias0 = (0.25, 0)
                    | 0.5   0 |

Is it right? With w0[0,0] = 1.01 the output is 1.505 and the loss 0.505^2 / 2 = 0.1275125: it has
grown by 0.0025125, and 0.0025125 / 0.01 = 0.25125, near 0.25.

In the code, the bias gradient is the sum of the rows of dz, added one after the other. The sums
start from zero, and what is frozen gets a gradient of zero; or they start from `from`, and frozen
weights are left alone.
*/
static void dni_dense_learn(const dn_net *net, const dn_layer *layer, const dn_real *inputs,
                            const uint64_t *marks, size_t rows, dn_real *dz, const dn_real *from,
                            dn_real *to) {
    const size_t in = layer->inputs, out = layer->outputs, w = layer->weights, b = layer->biases;
    if (!layer->freeze_weights) {
        const dn_matrix x = dn_matrix_view((dn_real *)(uintptr_t)inputs, rows, in);
        const dn_matrix of_sums = dn_matrix_view(dz, rows, out);
        const dn_matrix sums = dn_matrix_view(to + w, in, out);
        dni_multiply(DN_AT_B, &x, &of_sums, &sums, from != NULL ? from + w : NULL, out,
                     layer == net->layers, marks);
    } else if (from == NULL) memset(to + w, 0, in * out * sizeof *to);
    if (from == NULL) memset(to + b, 0, out * sizeof *to);
    else if (from != to) memcpy(to + b, from + b, out * sizeof *to);
    if (!layer->freeze_biases)
        dni_arithmetic_of_this_machine()->add_rows(dz, rows, out, to + b);
}

/*
### The walk back

The loop goes from the last layer to the first. When it arrives at a layer, the layer's delta holds
dL/da; when it leaves, dL/dz.

| layer | its delta at first | then | what the layer before receives |
|---|---|---|---|
| the last | dz, from the loss (chapter 5) | dz | dx, as its da |
| dense, hidden | da | dz, in its place | dx, as its da |
| dropout | da | da times mask, in its place | the same array |
| the first dense | da | dz, in its place | nothing |

The loop ends at the first *dense* layer: nothing before it could learn. Like the way forward, all
this is done for some rows, and threads can share the batch.
*/
static void dni_back_rows(void *of, size_t first, size_t end) {
    const dni_pass *pass = (const dni_pass *)of;
    const dn_net *net = pass->net;
    const dn_workspace *workspace = pass->workspace;
    const size_t rows = end - first, last = net->layer_count - 1;
    size_t first_dense = 0;
    while (net->layers[first_dense].kind != DN_LAYER_DENSE) first_dense++;
    dni_loss_gradient(net, workspace, pass->loss, pass->batch, pass->all, first, end);
    for (size_t l = last + 1; l-- > first_dense;) {
        const dn_layer *layer = &net->layers[l];
        const size_t at = first * layer->outputs;
        const dn_real *z = workspace->z[l] + at, *a = workspace->a[l] + at;
        dn_real *delta = workspace->delta[l] + at;
        if (layer->kind == DN_LAYER_DROPOUT) {
            if (workspace->dropped)
                dni_arithmetic_of_this_machine()->multiply(z, delta, rows * layer->outputs);
            continue;
        }
        if (l != last) dni_activate_backward(layer, z, a, delta, rows);
        if (l != first_dense)
            dn_matrix_multiply(DN_A_BT, dn_matrix_view(delta, rows, layer->outputs),
                               dn_net_weights(net, l),
                               dn_matrix_view(workspace->delta[l - 1] + first * layer->inputs,
                                              rows, layer->inputs), false);
    }
}

/*
### The fused step

When all deltas are there, each dense layer's weights can have their gradient. These sums run over
all rows: here it is the weights that are dealt out, inside the product.

Plain gradient descent needs the gradient only to subtract it: `w -= eta dw`. With
`dw[i,o]` = sum over b of `x[b,i] dz[b,o]` this is one more product that *adds* to what stands
in memory,

    dz[b,o] = -eta * dz[b,o];    w[i,o] += x[b,i] * dz[b,o]

The gradient is never written down: of the two passes over the weights one is left, and for 784 x
1000 weights, which fill no near cache, that is a tenth of the time of a step. The trainer takes
this way for SGD without penalties or decay (large batches: chapter 11). (The sum starts from w
instead of zero, so that the last bit can differ from `dn_backward` and `dn_optimizer_step` one
after the other.)

In the example above with eta = 0.1, `dz1` becomes -0.05, and w1 = (0.5, 2) receives
3 * -0.05 = -0.15 and 0: it is (0.35, 2), as 0.5 - 0.1 * 1.5 says. A penalty would
need the weights a second time, and momentum and Adam need the gradient itself for their
averages: they take the way over the vector.
*/
/* to = from, or 0, + `factor` times the gradient of what is not frozen. Scales the deltas. */
static void dni_learn(const dni_pass *pass, dn_real factor, const dn_real *from, dn_real *to) {
    const dn_workspace *workspace = pass->workspace;
    const size_t rows = workspace->count;
    for (size_t l = pass->net->layer_count; l-- > 0;) {
        const dn_layer *layer = &pass->net->layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        dn_real *dz = workspace->delta[l];
        if (factor != 1)
            dni_arithmetic_of_this_machine()->scale(factor, dz, rows * layer->outputs);
        dni_dense_learn(pass->net, layer, l == 0 ? pass->inputs : workspace->a[l - 1],
                        dni_marks_of(pass->net, workspace, l, 0), rows, dz, from, to);
    }
}

DN_API void dn_backward(const dn_net *net, dn_workspace *workspace, dn_loss loss,
                        const dn_batch *batch, dn_penalty penalty, dn_real *gradient) {
    DN_ASSERT(batch->count > 0 && batch->count == workspace->count);
    dni_pass pass = {net, workspace, batch->count, 0, NULL, loss, batch->inputs, batch};
    workspace->marked = net->layers[0].kind == DN_LAYER_DENSE && !net->layers[0].freeze_weights;
    for (size_t b = 0; workspace->marked && b < batch->count; b++)
        dni_arithmetic_of_this_machine()->mark(batch->inputs + b * net->inputs, net->inputs,
                                               workspace->marks + b * dni_marks_size(net->inputs));
    dni_for_rows(dni_row_threads(net, batch->count), batch->count, dni_back_rows, &pass);
    dni_learn(&pass, 1, NULL, gradient);
    dni_add_penalty(net, penalty, gradient);
}

/*
### How we know that it is right

By the definition of the derivative: the next chapter, and `tests/test_gradients.c`. By another
implementation: `tests/test_golden.c` compares the activations of every layer, losses, penalties and
gradients with those of PyTorch, to 1e-5. By hand: `tests/test_layers.c` has a gradient through a
custom activation, and one through dropout, where a dropped input leaves its weight alone. That
frozen parts get a gradient of zero is in `tests/test_gradients.c`, that they do not move in
`tests/test_layers.c`.
*/

/*
## 7. Checking gradients

A wrong gradient does not crash. It trains, a little worse, and nobody notices: in
published programs biases were never trained, a derivative was taken at the wrong
place, a hidden layer received its neighbour's errors, and the reports on them drew
conclusions. The cure is to compare with the definition of the derivative:

$$ \frac{\partial L}{\partial w} \approx \frac{L(w + \epsilon) - L(w - \epsilon)}{2 \epsilon} $$

    numerical = (loss at w + epsilon  -  loss at w - epsilon) / (2 epsilon)

### Which step

Taylor's series of L(w + epsilon) has terms in epsilon, epsilon^2, epsilon^3 and so on. In the
difference of the two sides those of even order cancel; the rest is divided by epsilon, so that
the central difference has an error of order epsilon^2. A one-sided difference,
`(L(w + epsilon) - L(w)) / epsilon`, keeps the second term and with it an error of order epsilon.

Rounding adds an error of order u/epsilon, u being the precision of the numbers: two losses that
agree in all but their last digits are subtracted. A large step has the one error, a small step
the other. For the derivative of exp at 1, in double precision, the relative errors are:

| epsilon | 1e-1 | 1e-2 | 1e-3 | 1e-4 | 1e-5 | 1e-8 | 1e-10 | 1e-12 |
|---|---|---|---|---|---|---|---|---|
| central | 2e-3 | 2e-5 | 2e-7 | 2e-9 | 2e-11 | 2e-9 | 3e-7 | 4e-5 |
| one-sided | 5e-2 | 5e-3 | 5e-4 | 5e-5 | 5e-6 | 4e-9 | 5e-7 | 7e-5 |

On logarithmic axes the central error is a V: two digits better for each digit of the step,
until rounding takes over, then one digit worse. The sum of both is smallest near
epsilon = u^(1/3): about 1e-5 in double and 5e-3 in single precision. A check worth its name is
done in double precision, where the two agree to about 1e-9; in single precision three digits
are all one can expect.

The code divides by the step as it was rounded, not by 2 epsilon. In single precision and at
w = 1, a step of 1e-7 becomes 1.19e-7 on each side, because the numbers lie 2^-23 = 1.19e-7
apart above 1 and half as far below: to divide by 2e-7 would alone be an error of 19 percent.

### Two traps

Dropout must use the *same* mask on both sides: the generator is copied
before each pass. And at a kink (ReLU at z = 0, L1 at w = 0) the two sides have
different slopes; the check is then right to disagree. With z = w = 3e-6 and epsilon = 1e-5, a
ReLU gives 1.3e-5 above and 0 below: a slope of 0.65 where the derivative is 1. The cure is
another point: `tests/test_gradients.c` looks for nets whose z are all 0.02 or more from 0.
*/
typedef struct dni_check {
    dn_net *net;
    dn_workspace *workspace;
    const dn_batch *batch;
    dn_loss loss;
    dn_penalty penalty;
} dni_check;

static double dni_check_loss(const dni_check *check) {
    dn_random mask = check->net->random;
    (void)dn_forward(check->net, check->workspace, check->batch->inputs, check->batch->count,
                     &mask);
    return dn_loss_value(check->net, check->workspace, check->loss, check->batch) +
           dn_penalty_value(check->net, check->penalty);
}

static double dni_numerical_derivative(const dni_check *check, size_t parameter, dn_real epsilon) {
    dn_real *w = &check->net->parameters[parameter];
    const dn_real start = *w;
    *w = start + epsilon;
    const double above = (double)*w, loss_above = dni_check_loss(check);
    *w = start - epsilon;
    const double below = (double)*w, loss_below = dni_check_loss(check);
    *w = start;
    return (loss_above - loss_below) / (above - below); /* the step as it was rounded */
}

/*
### Comparing

The error is relative, |one - other| / (|one| + |other|): an absolute bound would call
any two small numbers equal, even when they have opposite signs. It lies between 0 and 1:

| error, in double precision | what it may mean |
|---|---|
| below 1e-7 | the gradient is right |
| 1e-6 to 1e-2 | a kink, a step that is too large or too small, or a gradient near zero |
| 5e-4 | one of the two is 1.001 times the other |
| 1/3 | one of the two is twice the other: a forgotten factor |
| 0.6 | a sum over 4 samples instead of their mean: (4 - 1) / (4 + 1) |
| 1 | the signs differ, or one of the two is zero: a part that is never trained |

The divisor is at least 1e-8, so that two gradients of rounding size, say 1e-14 and 0, are not
called different: their error is 1e-6, not 1. A NaN is the worst error of all and is reported
as infinity. The report names the worst parameter, because one place tells where to look: a layer,
weight or bias, row and column.
*/
static void dni_check_range(const dni_check *check, size_t layer, bool is_bias,
                            const dn_real *gradient, dn_real epsilon, dn_gradient_report *report) {
    const dn_layer *of = &check->net->layers[layer];
    const size_t first = is_bias ? of->biases : of->weights;
    const size_t count = is_bias ? of->outputs : of->inputs * of->outputs;
    for (size_t i = 0; i < count; i++) {
        const double one = (double)gradient[first + i];
        const double other = dni_numerical_derivative(check, first + i, epsilon);
        const double size = fabs(one) + fabs(other);
        const double error = fabs(one - other) / (size > 1e-8 ? size : 1e-8);
        report->checked++;
        if (error <= report->error) continue; /* a NaN goes on: it is the worst of all */
        report->parameter = first + i;
        report->layer = layer;
        report->is_bias = is_bias;
        report->row = i / of->outputs;
        report->column = i % of->outputs;
        report->backpropagated = one;
        report->numerical = other;
        report->error = error == error ? error : (double)INFINITY;
    }
}

/*
### The whole check

Each parameter costs two forward passes. For the 101,770 parameters of 784-128-10 these would be
203,540, each over the whole batch: check a net of a few dozen parameters, which has the same
code in it, with a batch of a few samples. The forward passes are those of training, dropout
included, with the mask that a copy of `net->random` draws. The net is lent and given back as it
was: each parameter is set to its old value, not moved back by epsilon.
*/
DN_API dn_status dn_gradient_check(dn_net *net, dn_loss loss, const dn_batch *batch,
                                   dn_penalty penalty, const dn_real *gradient, dn_real epsilon,
                                   dn_gradient_report *report, dn_error *error) {
    memset(report, 0, sizeof *report);
    report->error = -1;
    dn_status status = dn_loss_check(net, loss, error);
    if (status != DN_OK) return status;
    if (!(epsilon > 0) || batch->count == 0)
        return dni_fail(error, DN_ERROR_ARGUMENT,
                        "a gradient check needs epsilon > 0 and a sample, got %g and %zu",
                        (double)epsilon, batch->count);
    dn_workspace workspace;
    status = dn_workspace_init(&workspace, net, batch->count, error);
    if (status != DN_OK) return status;
    dn_real *own = (dn_real *)dni_allocate(net->parameter_count, sizeof *own);
    if (own == NULL) {
        dn_workspace_free(&workspace);
        return dni_fail(error, DN_ERROR_MEMORY, "no memory for a gradient of %zu numbers",
                        net->parameter_count);
    }
    dni_check check;
    check.net = net;
    check.workspace = &workspace;
    check.batch = batch;
    check.loss = loss;
    check.penalty = penalty;
    if (gradient == NULL) {
        (void)dni_check_loss(&check);
        dn_backward(net, &workspace, loss, batch, penalty, own);
        gradient = own;
    }
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        if (!layer->freeze_weights)
            dni_check_range(&check, l, false, gradient, epsilon, report);
        if (!layer->freeze_biases) dni_check_range(&check, l, true, gradient, epsilon, report);
    }
    dni_release(own);
    dn_workspace_free(&workspace);
    return DN_OK;
}

/*
### How we know that it is right

`tests/test_gradients.c` checks every activation with every loss that may follow it, at depths 1
to 3, with and without penalties and dropout, to 1e-7. A second numerical derivative, by four
points, of order epsilon^4 and with none of this code, must agree to 1e-8. Then it hands over
gradients that have been made wrong on purpose: each parameter in turn a thousandth too large,
which the check must catch and locate, and seven mistakes of published programs.
`tests/test_gradients_float.c` does what can be done in single precision.

## 8. Initialisation

If all weights of a layer started equal, all its units would compute the same and
receive the same gradient for ever: they must start different, hence random. Biases start at
zero: the weights already break the symmetry, and no unit has a reason to lean to one side.

### How large

Take inputs x_i that are independent of the weights, and weights that are independent of each
other, with mean 0 and variance v. In the sum the variances add up:

$$ \operatorname{E}[z^2] = \sum_{i=1}^{I} \operatorname{E}[w_i^2] \, \operatorname{E}[x_i^2]
   = I \, v \, \operatorname{E}[x^2] $$

    mean square of z  =  I * v * mean square of x;   unchanged for v = 1 / I

A ReLU sets one half of a symmetric distribution to zero and so halves the mean square: v must
be twice as large. On the way back the same sum goes over the O outputs, and asks for v = 1 / O.
Through many layers the factor multiplies. If each layer changes the deviation of its numbers by
a factor of 0.5, ten layers make 1/1024 of a deviation of 1; if by 2, 1024. With 0.5 the signal
dies and with it the gradient; with 2 it explodes, and sigmoid and tanh stand at their ends,
where their derivative is nearly zero. Hence three schemes:

| scheme | variance of a weight | made for |
|---|---|---|
| LeCun et al. (1998) | 1 / I | linear, tanh near zero |
| Glorot, Bengio (2010) | 2 / (I + O), between forward and backward | tanh, sigmoid, softmax |
| He et al. (2015) | 2 / I: a ReLU halves the mean square | ReLU and its kin |

Each comes normal or uniform. A uniform number on [-r, r) has variance r^2 / 3, so
that r = sqrt(3 v). For a layer of 784 inputs and 128 outputs the deviations are, after LeCun,
sqrt(1 / 784) = 0.0357, after Glorot sqrt(2 / 912) = 0.0468, and after He sqrt(2 / 784) = 0.0505;
the bounds of the uniform forms are 0.0619, 0.0811 and 0.0875.
*/
static double dni_variance(dn_initialization kind, size_t inputs, size_t outputs) {
    switch (kind) {
    case DN_INITIALIZE_HE_NORMAL:
    case DN_INITIALIZE_HE_UNIFORM: return 2 / (double)inputs;
    case DN_INITIALIZE_GLOROT_NORMAL:
    case DN_INITIALIZE_GLOROT_UNIFORM: return 2 / ((double)inputs + (double)outputs);
    default: return 1 / (double)inputs; /* LeCun */
    }
}

/*
### Drawing

Where nothing is said, weights before ReLU and leaky ReLU are drawn by He's scheme, normal, all
others by Glorot's, uniform. They are drawn in the order of memory, row by row, in
double precision, and rounded to `dn_real` at the end. Zeroes and given values draw nothing. The
same schemes are open to biases, with the I and O of their layer.
*/
static void dni_initialize(dn_random *random, const dn_initializer *initializer, bool is_weight,
                           dn_activation activation, size_t inputs, size_t outputs,
                           dn_real *values) {
    const size_t count = is_weight ? inputs * outputs : outputs;
    dn_initialization kind = initializer->kind;
    if (kind == DN_INITIALIZE_DEFAULT) {
        const bool rectified = activation == DN_RELU || activation == DN_LEAKY_RELU;
        kind = !is_weight  ? DN_INITIALIZE_ZERO
               : rectified ? DN_INITIALIZE_HE_NORMAL
                           : DN_INITIALIZE_GLOROT_UNIFORM;
    }
    const double deviation = sqrt(dni_variance(kind, inputs, outputs));
    double a = (double)initializer->a, b = (double)initializer->b;
    bool normal = false;
    switch (kind) {
    case DN_INITIALIZE_GIVEN:
        memcpy(values, initializer->given, count * sizeof *values);
        return;
    case DN_INITIALIZE_NORMAL:
        normal = true;
        break;
    case DN_INITIALIZE_UNIFORM:
        break;
    case DN_INITIALIZE_HE_NORMAL:
    case DN_INITIALIZE_GLOROT_NORMAL:
    case DN_INITIALIZE_LECUN_NORMAL:
        a = 0;
        b = deviation;
        normal = true;
        break;
    case DN_INITIALIZE_HE_UNIFORM:
    case DN_INITIALIZE_GLOROT_UNIFORM:
    case DN_INITIALIZE_LECUN_UNIFORM:
        b = sqrt(3.0) * deviation;
        a = -b;
        break;
    default:
        memset(values, 0, count * sizeof *values);
        return;
    }
    for (size_t i = 0; i < count; i++)
        values[i] = (dn_real)(normal ? dni_fma(b, dn_random_normal(random), a)
                                     : dni_fma(b - a, dn_random_uniform(random), a));
}

/*
### How we know that it is right

`tests/test_layers.c` draws 300 x 200 weights by each scheme. Their mean and variance must be
within five standard deviations of what 60,000 draws can show; the fourth moment tells normal
from uniform; and a uniform scheme must fill its bounds and keep them. It compares the defaults
with the schemes they stand for, bit for bit, and another seed must give other weights.
*/

/*
## 9. Optimizers

The gradient says in which direction the loss grows fastest *here*. An optimizer
makes a step the other way, and remembers something of the steps before. With g the
gradient, w a parameter, eta the learning rate:

| optimizer | memory | step |
|---|---|---|
| SGD (Robbins, Monro, 1951) | none | `w -= eta g` |
| momentum (Polyak, 1964) | `v = mu v + g` | `w -= eta v` |
| weighted momentum | `v = mu v + (1 - mu) g` | `w -= eta v` |
| Nesterov (1983) | `v = mu v + g` | `w -= eta (g + mu v)` |
| RMSprop (Tieleman, Hinton, 2012) | s, see below | `w -= eta g / (sqrt(s) + epsilon)` |
| Adam (Kingma, Ba, 2015) | m and s, see below | `w -= eta m' / (sqrt(s') + epsilon)` |

### Momentum

Momentum averages the direction: what points the same way step after step adds up, what
oscillates cancels. With mu = 0.9 and a gradient that is always 1, or 1 and -1 by turns:

| step | 1 | 2 | 3 | 4 | 5 | in the end |
|---|---|---|---|---|---|---|
| v, g = 1 | 1 | 1.9 | 2.71 | 3.439 | 4.0951 | 1 / (1 - mu) = 10 |
| v, g = 1, -1, 1, ... | 1 | -0.1 | 0.91 | -0.181 | 0.8371 | +-1 / (1 + mu) = +-0.53 |

The weighted form has the same steps with another learning rate: its v is 0.1, 0.19, 0.271, ...,
towards 1. So `dn_momentum(0.01, 0.9)` and `dn_weighted_momentum(0.1, 0.9)` do the same, up to
rounding. A rate that was tuned for one form is wrong for the other by a factor of ten.

Nesterov's method looks ahead: it takes the gradient not at the point p where it stands but at
w = p - eta mu v, where the old v will carry it anyway. That w is what the net holds and what
the gradient is taken at. From `p = p - eta v` with the new v follows, for two look-ahead
points in succession, the step of the table (in this form in Sutskever et al., 2013, and
Bengio et al., 2013):

    w_new - w = (p - eta v_new - eta mu v_new) - (p - eta mu v)
              = -eta (v_new - mu v) - eta mu v_new  =  -eta (g + mu v_new)

With the gradient 1 its steps are 1.9, 2.71, 3.439, ...: those of momentum, one step earlier.

### Steps that fit each parameter

RMSprop and Adam divide by the recent size of the gradient, parameter by parameter, so that
rarely used weights take steps as large as busy ones. Gradients that are 100 times as large at
every step give the same steps, but for the part of epsilon, which is there to keep a gradient
of zero from being divided by zero.

RMSprop's memory is an average of g^2, `s = rho s + (1 - rho) g^2`. Adam has two averages:
`m = beta1 m + (1 - beta1) g` and `s = beta2 s + (1 - beta2) g^2`. Both start at zero and are
too small at first. After t steps they hold the fraction 1 - beta^t of their final weight, so
that they are divided by it:

$$ m' = \frac{m}{1 - \beta_1^t}, \qquad s' = \frac{s}{1 - \beta_2^t} $$

    m' = m / (1 - beta1^t);   s' = s / (1 - beta2^t)

At t = 1 the averages are m = 0.1 g and s = 0.001 g^2, corrected to g and g^2: the first step is
eta times the sign of g. Without the correction it would be 0.1 / sqrt(0.001) = 3.2 times as
long. RMSprop has no correction. With rho = 0.99 and a constant gradient s is (1 - 0.99^t) g^2, so
that step 1 is 1 / sqrt(0.01) = 10 times eta, step 10 is 3.2 times and step 100 1.26 times.

### Decay

*Decoupled weight decay* (AdamW; Loshchilov, Hutter, 2019) shrinks the weights directly,
`w -= eta lambda w`, instead of adding lambda w to the gradient as an L2 penalty does. For SGD
the two are the same. Adam would divide lambda w by the gradient's size again. Take w = 1,
eta = 0.001 and a loss that does not depend on w, so that all of g is the penalty:

| lambda | first step of Adam, L2 penalty | first step of AdamW |
|---|---|---|
| 0.01 | 0.001 | 0.00001 |
| 0.0001 | 0.001 | 0.0000001 |

`shrink` is decoupled decay without the factor eta, as some published programs do. Both may be set
for any optimizer. Like penalties, both leave biases alone.

### Making one

Every field may be changed after one of these functions has filled it in.
*/
static dn_optimizer dni_optimizer(dn_optimizer_kind kind, dn_real learning_rate) {
    dn_optimizer optimizer;
    memset(&optimizer, 0, sizeof optimizer);
    optimizer.kind = kind;
    optimizer.learning_rate = learning_rate;
    return optimizer;
}

static dn_optimizer dni_momentum_optimizer(dn_optimizer_kind kind, dn_real learning_rate,
                                           dn_real momentum) {
    dn_optimizer optimizer = dni_optimizer(kind, learning_rate);
    optimizer.momentum = momentum;
    return optimizer;
}

DN_API dn_optimizer dn_sgd(dn_real learning_rate) { return dni_optimizer(DN_SGD, learning_rate); }

DN_API dn_optimizer dn_momentum(dn_real learning_rate, dn_real momentum) {
    return dni_momentum_optimizer(DN_MOMENTUM, learning_rate, momentum);
}

DN_API dn_optimizer dn_weighted_momentum(dn_real learning_rate, dn_real momentum) {
    return dni_momentum_optimizer(DN_WEIGHTED_MOMENTUM, learning_rate, momentum);
}

DN_API dn_optimizer dn_nesterov(dn_real learning_rate, dn_real momentum) {
    return dni_momentum_optimizer(DN_NESTEROV, learning_rate, momentum);
}

DN_API dn_optimizer dn_rmsprop(dn_real learning_rate) {
    dn_optimizer optimizer = dni_optimizer(DN_RMSPROP, learning_rate);
    optimizer.square_decay = (dn_real)0.99;
    optimizer.epsilon = (dn_real)1e-8;
    return optimizer;
}

DN_API dn_optimizer dn_adam(dn_real learning_rate) {
    dn_optimizer optimizer = dni_optimizer(DN_ADAM, learning_rate);
    optimizer.momentum = (dn_real)0.9;
    optimizer.square_decay = (dn_real)0.999;
    optimizer.epsilon = (dn_real)1e-8;
    return optimizer;
}

DN_API dn_optimizer dn_adamw(dn_real learning_rate, dn_real weight_decay) {
    dn_optimizer optimizer = dn_adam(learning_rate);
    optimizer.weight_decay = weight_decay;
    return optimizer;
}

/*
### The memory of an optimizer

Laid out as the parameters are, so that one index serves w, g, v and s:

| optimizer | `first` | `second` | for 101,770 parameters, in floats |
|---|---|---|---|
| SGD | none | none | 0 |
| momentum, weighted, Nesterov | v | none | 407,080 bytes |
| RMSprop | none | s | 407,080 bytes |
| Adam | m | s | 814,160 bytes |

The powers beta1^t and beta2^t are kept beside them in double precision, multiplied once a step:
no `pow`, and a checkpoint that stores them goes on with the same bits.
*/
DN_API dn_status dn_optimizer_init(dn_optimizer_state *state, const dn_optimizer *optimizer,
                                   const dn_net *net, dn_error *error) {
    const dn_optimizer_kind kind = optimizer->kind;
    const bool first = kind == DN_MOMENTUM || kind == DN_WEIGHTED_MOMENTUM || kind == DN_NESTEROV ||
                       kind == DN_ADAM;
    const bool second = kind == DN_RMSPROP || kind == DN_ADAM;
    memset(state, 0, sizeof *state);
    if (kind == DN_OPTIMIZER_DEFAULT || kind > DN_ADAM)
        return dni_fail(error, DN_ERROR_ARGUMENT,
                        "make the optimizer with dn_sgd, dn_adam or another of their kind");
    state->count = net->parameter_count;
    state->momentum_power = state->square_power = 1;
    if (first) state->first = (dn_real *)dni_allocate_zero(state->count, sizeof(dn_real));
    if (second) state->second = (dn_real *)dni_allocate_zero(state->count, sizeof(dn_real));
    if ((first && state->first == NULL) || (second && state->second == NULL)) {
        dn_optimizer_free(state);
        return dni_fail(error, DN_ERROR_MEMORY,
                        "no memory for the optimizer's state of %zu numbers",
                        net->parameter_count);
    }
    return DN_OK;
}

DN_API void dn_optimizer_free(dn_optimizer_state *state) {
    dni_release(state->first);
    dni_release(state->second);
    memset(state, 0, sizeof *state);
}

/*
### One step

The same few operations for each parameter; chapter 2 has them as a loop over vectors, `update`:

    v = momentum v + fresh g                            where there is a first memory
    d = v, g, or for Nesterov  g + momentum v
    s = square_decay s + square_fresh g g               where there is a second memory
    d = d / (root_scale sqrt(s) + epsilon)              likewise
    w = (w - decay w) - rate d

What does not depend on the parameter is computed once per step, here. Adam's two corrections
are among it: m' is m with the rate eta / (1 - beta1^t), and sqrt(s') is sqrt(s) times
`root_scale` = 1 / sqrt(1 - beta2^t). `decay` is eta lambda + shrink. The decay reads the w from
before the step.

It runs over one range of the vector at a time: the weights of a layer, which decay, then its
biases, which do not. What is frozen is left out, its memory too.
*/
static dni_step dni_step_begin(const dn_optimizer *optimizer, dn_optimizer_state *state) {
    dni_step step;
    state->steps++;
    state->momentum_power *= (double)optimizer->momentum;
    state->square_power *= (double)optimizer->square_decay;
    step.kind = optimizer->kind;
    step.rate = optimizer->learning_rate;
    step.momentum = optimizer->momentum;
    step.fresh = 1;
    step.square_decay = optimizer->square_decay;
    step.square_fresh = 1 - optimizer->square_decay;
    step.root_scale = 1;
    step.epsilon = optimizer->epsilon;
    step.decay = dni_fma_real(optimizer->learning_rate, optimizer->weight_decay, optimizer->shrink);
    if (step.kind == DN_WEIGHTED_MOMENTUM || step.kind == DN_ADAM) step.fresh = 1 - step.momentum;
    if (step.kind == DN_ADAM) {
        step.rate = (dn_real)((double)step.rate / (1 - state->momentum_power));
        step.root_scale = (dn_real)(1 / sqrt(1 - state->square_power));
    }
    return step;
}

static void dni_update_range(const dni_step *step, dn_optimizer_state *state, dn_net *net,
                             const dn_real *gradient, size_t start, size_t count) {
    const dni_arithmetic *arithmetic = dni_arithmetic_of_this_machine();
#ifdef _OPENMP
#pragma omp parallel for schedule(static) if (count > 2 * (size_t)DNI_CHUNK)
#endif
    for (size_t at = start; at < start + count; at += DNI_CHUNK)
        arithmetic->update(step, dni_chunk(start + count - at), net->parameters + at, gradient + at,
                           state->first != NULL ? state->first + at : NULL,
                           state->second != NULL ? state->second + at : NULL);
}

DN_API void dn_optimizer_step(const dn_optimizer *optimizer, dn_optimizer_state *state,
                              dn_net *net, const dn_real *gradient) {
    DN_ASSERT(state->count == net->parameter_count);
    dni_step step = dni_step_begin(optimizer, state);
    dni_step step_of_biases = step;
    step_of_biases.decay = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        if (!layer->freeze_weights)
            dni_update_range(&step, state, net, gradient, layer->weights,
                             layer->inputs * layer->outputs);
        if (!layer->freeze_biases)
            dni_update_range(&step_of_biases, state, net, gradient, layer->biases, layer->outputs);
    }
}

/*
### How we know that it is right

`tests/test_golden.c` follows every optimizer for ten steps and compares all parameters with
PyTorch's after each. The decays are checked there by hand: with a rate of 0.5 and a decay of
0.25, a weight keeps 0.875 of itself, and with a `shrink` of 0.25, 0.75; biases keep all.
*/

/*
## 10. Prediction and evaluation

### Prediction

Inference is the forward pass without memory: only the last layer's result is
wanted, so that two buffers suffice, read and written by turns. The net is const and
nothing is allocated when the caller brings the buffer; threads can share one net.

    inputs -> buffer[0] -> buffer[1] -> buffer[0] -> ... -> outputs

Many samples go through in portions of at most 512 rows, which keeps the buffers in
the cache. No sample's result depends on the others in its portion.

How much memory is that? For the net 784-128-10 the widest layer behind the inputs has 128
units. One picture takes two buffers of 128 numbers, 1 KB; ten thousand pictures take two of
512 x 128, 512 KB, and never more. For one sample at a time the stack has room:

```c
dn_net net = {0};
static dn_real picture[784], probabilities[10];
static dn_real buffer[2 * 128];
dn_net_init(&net, 784, 1);
dn_net_dense(&net, 128, DN_RELU);
dn_net_dense(&net, 10, DN_SOFTMAX);
if (dn_predict_size(&net, 1) <= sizeof buffer)
    dn_predict(&net, picture, 1, probabilities, buffer, NULL);
```

The second buffer is used from three dense layers on; it is counted always, so that the size is a
simple rule. Each of the two is rounded up to whole cache lines (chapter 6).

Dropout layers are passed over: in inference they do nothing (chapter 3). The last dense layer
writes straight to the caller's `outputs`.

*How we know:* `tests/test_evaluation.c` predicts 700 samples at once and one by
one and compares the bits; it counts the allocations of `dn_predict` with the caller's buffer,
which are none, looks whether a byte behind that buffer has changed, and lets four threads
share a net.
*/
enum { DNI_PORTION = 512 };

static size_t dni_portion(size_t count) {
    return count < DNI_PORTION ? count : (size_t)DNI_PORTION;
}

DN_API size_t dn_predict_size(const dn_net *net, size_t count) {
    size_t numbers;
    if (!dni_rounded_size(dni_portion(count), dni_widest(net), &numbers)) return SIZE_MAX;
    return 2 * numbers * sizeof(dn_real);
}

typedef struct dni_prediction {
    const dn_net *net;
    const dn_real *inputs;
    dn_real *outputs, *buffer[2];
} dni_prediction;

static void dni_predict_rows(void *of, size_t first, size_t end) {
    const dni_prediction *prediction = (const dni_prediction *)of;
    const dn_net *net = prediction->net;
    const dn_real *inputs = prediction->inputs + first * net->inputs;
    size_t last = net->layer_count - 1, turn = 0;
    while (net->layers[last].kind != DN_LAYER_DENSE) last--;
    for (size_t l = 0; l <= last; l++) {
        const dn_layer *layer = &net->layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        dn_real *to = l == last ? prediction->outputs : prediction->buffer[turn++ % 2];
        to += first * (l == last ? layer->outputs : dni_widest(net)); /* apart in every layer */
        dni_dense_forward(net, layer, inputs, NULL, end - first, to, to);
        inputs = to;
    }
}

DN_API dn_status dn_predict(const dn_net *net, const dn_real *inputs, size_t count,
                            dn_real *outputs, void *buffer, dn_error *error) {
    dn_status status = dni_net_check(net, error);
    if (status != DN_OK || count == 0) return status;
    void *own = NULL;
    if (buffer == NULL) {
        buffer = own = dni_allocate(dn_predict_size(net, count), 1);
        if (own == NULL)
            return dni_fail(error, DN_ERROR_MEMORY, "no memory to predict %zu samples", count);
    }
    for (size_t done = 0; done < count;) {
        const size_t portion = dni_portion(count - done);
        size_t half = 0;
        (void)dni_rounded_size(portion, dni_widest(net), &half);
        dni_prediction prediction = {net, inputs + done * net->inputs,
                                     outputs + done * net->outputs,
                                     {(dn_real *)buffer, (dn_real *)buffer + half}};
        dni_for_rows(dni_row_threads(net, portion), portion, dni_predict_rows, &prediction);
        done += portion;
    }
    dni_release(own);
    return DN_OK;
}

/*
### From outputs to a class

The net gives a number for each class; the answer is the class of the largest. Only the order
counts, so that softmax could be left out: exp is increasing, and the division is the same for
all. Two outputs that are exactly equal are rare, but a rule must decide, or two machines would
answer differently: the first of them wins.

    outputs    0.02  0.90  0.08        class 1
    outputs    0.45  0.10  0.45        class 0, the first of two
    outputs    NaN   0.30  0.70        class 0: no comparison with NaN is true
*/
DN_API size_t dn_largest(const dn_real *numbers, size_t count) {
    size_t largest = 0;
    dn_real most = count > 0 ? numbers[0] : 0;
    for (size_t i = 1; i < count; i++) {
        largest = numbers[i] > most ? i : largest; /* a choice, not a jump that is guessed */
        most = numbers[i] > most ? numbers[i] : most;
    }
    return largest;
}

/*
### Does the data fit the net?

Asked once, before anything is computed; the answer says which two numbers disagree.

| what must agree | of the data | of the net |
|---|---|---|
| numbers per sample | `features` | `inputs` |
| numbers per target row, where there are any | `outputs` | `outputs` |
| classes, where there are labels | at most | `outputs`, or 2 for a single output |

A data set with fewer classes than the net has outputs is accepted: of the digits, somebody may want
to test the net on zeroes and ones alone. Labels or targets are asked for only where they are
needed: a prediction needs neither.
*/
static dn_status dni_data_check(const dn_net *net, const dn_dataset *data, const char *role,
                                bool needs_answers, dn_error *error) {
    dn_status status = dni_net_check(net, error);
    if (status != DN_OK) return status;
    if (data->count == 0 || (data->bytes == NULL && data->values == NULL))
        return dni_fail(error, DN_ERROR_ARGUMENT, "the %s set is empty", role);
    if (data->features != net->inputs)
        return dni_fail(error, DN_ERROR_SHAPE,
                        "the %s set has %zu numbers per sample, the net takes %zu", role,
                        data->features, net->inputs);
    if (!needs_answers) return DN_OK;
    if (data->targets == NULL && data->labels == NULL)
        return dni_fail(error, DN_ERROR_ARGUMENT, "the %s set has neither labels nor targets",
                        role);
    if (data->targets != NULL && data->outputs != net->outputs)
        return dni_fail(error, DN_ERROR_SHAPE,
                        "the %s set has %zu targets per sample, the net gives %zu outputs", role,
                        data->outputs, net->outputs);
    const size_t room = net->outputs == 1 ? 2 : net->outputs;
    if (data->labels != NULL && data->classes > room)
        return dni_fail(error, DN_ERROR_SHAPE,
                        "the %s set has %zu classes, the net tells %zu apart", role,
                        data->classes, room);
    return DN_OK;
}

static size_t dni_row_of(const dn_dataset *data, size_t sample) {
    return data->order != NULL ? data->order[sample] : sample;
}

/*
### A batch

A batch is gathered: its samples, wherever they lie in the data set, become rows of a matrix, one
behind the other, normalised; and beside them their labels, and their target rows, where the data
set has them. A `dni_look` says which samples, where to, and what is to be done with them next: that
follows below.

| array | shape | from |
|---|---|---|
| inputs | [count, features] | bytes or numbers of the data set, normalised |
| labels | [count] | copied |
| targets | [count, outputs] | copied |
*/
typedef struct dni_gathering { /* how it is done: chapter 12 */
    const dn_dataset *data;
    const uint32_t *samples; /* which samples of it; or NULL: */
    size_t first;            /* from this one on */
    dn_real *inputs;
    uint64_t *marks;         /* of what is not 0, or NULL */
} dni_gathering;

typedef struct dni_look {
    dni_pass pass;           /* of the batch below */
    dn_batch batch;
    const dn_dataset *data;
    const uint32_t *samples; /* which samples of it; or NULL: */
    size_t first;            /* from this one on */
    dn_real *inputs, *targets;
    int32_t *labels;
    bool measures;           /* the losses of the samples, and which were recognised */
    bool goes_back;          /* to all deltas */
    size_t correct;          /* how many were recognised */
} dni_look;

static void dni_gather(void *of, size_t begin, size_t end);

static void dni_gather_rows(const dni_look *look, size_t first, size_t end) {
    const dn_dataset *data = look->data;
    const uint32_t *samples = look->samples;
    dni_gathering gathering = {data, samples, look->first, look->inputs,
                               look->pass.workspace->marks};
    dni_gather(&gathering, first, end);
    for (size_t s = first; s < end; s++) {
        const size_t row = dni_row_of(data, samples != NULL ? samples[s] : look->first + s);
        if (data->labels != NULL) look->labels[s] = data->labels[row];
        if (data->targets != NULL)
            memcpy(look->targets + s * data->outputs, data->targets + row * data->outputs,
                   data->outputs * sizeof *look->targets);
    }
}

/*
### Counting what is right

With a single output p, as behind a sigmoid, the question is yes or no: class 1 when p > 1/2. With
several, it is the largest. Where there are no labels but target rows, the largest target is the
class, for one-hot rows and for other distributions; but a row of measurements is not a class,
and a regression (squared error, no labels) has no accuracy.

| outputs | class | why |
|---|---|---|
| 0.51 | 1 | above one half |
| 0.50 | 0 | not above it |
| 0.20, 0.70, 0.10 | 1 | the largest |
| 0.40, 0.20, 0.40 | 0 | the first of the largest |

The threshold 1/2 errs least often when p is the true probability. Where one error is dearer than
the other, another threshold is better, and the caller puts it to the outputs of `dn_predict`.

Where a data set has both, the labels count here, and the target rows make the loss.
*/
static int32_t dni_predicted_class(const dn_real *outputs, size_t count) {
    if (count == 1) return outputs[0] > (dn_real)0.5 ? 1 : 0;
    return (int32_t)dn_largest(outputs, count);
}

/* How many samples of some rows were recognised. */
static size_t dni_count_correct(const dni_pass *pass, size_t first, size_t end) {
    const dn_batch *batch = pass->batch;
    const size_t outputs = pass->net->outputs;
    const dn_real *results = pass->workspace->a[pass->net->layer_count - 1];
    size_t correct = 0;
    if (batch->labels == NULL && dni_loss_of(pass->net, pass->loss) == DN_MEAN_SQUARED_ERROR)
        return 0;
    for (size_t s = first; s < end; s++) {
        const int32_t label = batch->labels != NULL
                                  ? batch->labels[s]
                                  : dni_predicted_class(batch->targets + s * outputs, outputs);
        correct += dni_predicted_class(results + s * outputs, outputs) == label;
    }
    return correct;
}

/*
### A look at a batch

Some rows are gathered, go forward, are measured, and go back: whatever of it is asked for. All that
concerns a sample alone is done by one thread in one go; what follows sums over the rows, the losses
in their order.
*/
static void dni_look_rows(void *of, size_t first, size_t end) {
    dni_look *look = (dni_look *)of;
    dni_pass *pass = &look->pass;
    dni_gather_rows(look, first, end);
    dni_forward_rows(pass, first, end);
    if (look->measures) {
        const size_t correct = dni_count_correct(pass, first, end);
        dni_row_losses(pass->net, pass->workspace, pass->loss, pass->batch, first, end,
                       pass->workspace->losses + first);
#ifdef _OPENMP
#pragma omp atomic
#endif
        look->correct += correct;
    }
    if (look->goes_back) dni_back_rows(pass, first, end);
}

/* Looks at `count` samples. Returns `sum` with the loss of each added, if it measures. */
static double dni_look_at(dni_look *look, size_t count, double sum) {
    dni_pass *pass = &look->pass;
    dn_workspace *workspace = pass->workspace;
    look->batch.count = workspace->count = count;
    look->batch.inputs = pass->inputs = look->inputs;
    look->batch.labels = look->data->labels != NULL ? look->labels : NULL;
    look->batch.targets = look->data->targets != NULL ? look->targets : NULL;
    look->correct = 0;
    workspace->marked = true;
    workspace->dropped = pass->dropout != NULL;
    pass->batch = &look->batch;
    dni_for_rows(dni_row_threads(pass->net, count), count, dni_look_rows, look);
    for (size_t row = 0; look->measures && row < count; row++) sum += workspace->losses[row];
    return sum;
}

/*
### Evaluation

Accuracy is what one wants to know, and loss is what training makes small. Why both? Two nets look
at two pictures, of a 3 and of a 7:

| net | p of the right class | correct | loss -log p, mean |
|---|---|---|---|
| first | 0.51, 0.51 | 2 of 2 | 0.673 |
| second | 0.99, 0.40 (another class has 0.45) | 1 of 2 | 0.463 |

The first is more accurate, the second has the lower loss: it is certain where it is right, and
nearly right where it is wrong. Accuracy jumps when a sample crosses the border between two
classes, so that it has no useful derivative; the loss moves with every weight. A validation loss
that rises while the accuracy stands still is the first sign of overfitting: the
net is wrong as often as before, and more certain of it.

How exact is an accuracy? Each of n test samples is right with probability a, so that the share of
right ones has the standard error

$$ \sqrt{a (1 - a) / n} $$

For a = 0.98 and n = 10,000 that is sqrt(0.98 * 0.02 / 10000) = 0.0014: fourteen pictures. The
difference of two such nets, each measured on a set of its own, has sqrt(2) times this error, 0.2
percentage points. Below 0.3 points a difference between two runs says next to nothing.

### A walk through the data

Evaluation wants the outputs of all samples, but not all at once. The activations of 10,000 pictures
in 784-128-10, with their inputs, would be 10,000 * 1,072 numbers, 43 MB, and each would come back
from the main memory. So the data go through in portions of 512.

The workspace is the one of training (chapter 6), its deltas unused: it keeps the logits, from which
the loss is computed.

A `dni_visit` walks through a data set in portions: gather, forward, look. What is done with each
differs: loss and accuracy, a confusion matrix, a list of mistakes. Its memory is taken once; the
trainer keeps one for the validation set, and no epoch allocates anything.
*/
typedef struct dni_visit {
    dn_workspace workspace;
    dni_look look;          /* the portion being looked at, from sample `look.first` on */
    const dn_real *outputs; /* [look.batch.count, net->outputs] */
    double loss;            /* the sum of the losses so far, if they are measured */
} dni_visit;

static void dni_visit_end(dni_visit *visit) {
    dni_look *look = &visit->look;
    dn_workspace_free(&visit->workspace);
    dni_release(look->inputs);
    dni_release(look->targets);
    dni_release(look->labels);
    look->inputs = look->targets = NULL; /* a second end is harmless */
    look->labels = NULL;
}

static dn_status dni_visit_begin(dni_visit *visit, const dn_net *net, const dn_dataset *data,
                                 bool needs_answers, dn_error *error) {
    memset(visit, 0, sizeof *visit);
    dn_status status = dni_data_check(net, data, "evaluated", needs_answers, error);
    if (status != DN_OK) return status;
    const size_t portion = dni_portion(data->count);
    dni_look *look = &visit->look;
    look->pass.net = net;
    look->pass.workspace = &visit->workspace;
    look->data = data;
    status = dn_workspace_init(&visit->workspace, net, portion, error);
    if (status != DN_OK) return status;
    look->inputs = (dn_real *)dni_allocate(portion, net->inputs * sizeof(dn_real));
    look->targets = (dn_real *)dni_allocate(portion, net->outputs * sizeof(dn_real));
    look->labels = (int32_t *)dni_allocate(portion, sizeof(int32_t));
    if (look->inputs == NULL || look->targets == NULL || look->labels == NULL) {
        dni_visit_end(visit);
        return dni_fail(error, DN_ERROR_MEMORY, "no memory to evaluate %zu samples at a time",
                        portion);
    }
    return DN_OK;
}

static bool dni_visit_next(dni_visit *visit, dn_loss loss) {
    dni_look *look = &visit->look;
    look->first += look->batch.count;
    if (look->first >= look->data->count) return false;
    look->pass.loss = loss;
    visit->loss = dni_look_at(look, dni_portion(look->data->count - look->first), visit->loss);
    visit->outputs = visit->workspace.a[look->pass.net->layer_count - 1];
    return true;
}

/*
The loss is summed in double precision over all samples in their order, and divided once. So the
size of a portion does not show in the result.
*/
static dn_evaluation dni_evaluate(dni_visit *visit, dn_loss loss) {
    dn_evaluation result;
    memset(&result, 0, sizeof result);
    visit->look.first = visit->look.batch.count = 0;
    visit->look.measures = true;
    visit->loss = 0;
    while (dni_visit_next(visit, loss)) {
        result.correct += visit->look.correct;
        result.count += visit->look.batch.count;
    }
    result.loss = visit->loss / (double)result.count;
    /* with the standard error sqrt(accuracy (1 - accuracy) / count) */
    result.accuracy = (double)result.correct / (double)result.count;
    return result;
}

DN_API dn_evaluation dn_evaluate(const dn_net *net, const dn_dataset *data) {
    dn_evaluation result;
    memset(&result, 0, sizeof result);
    dni_visit visit;
    result.status = dni_visit_begin(&visit, net, data, true, NULL);
    if (result.status == DN_OK) {
        result.status = dn_loss_check(net, net->loss, NULL);
        if (result.status == DN_OK) result = dni_evaluate(&visit, net->loss);
        dni_visit_end(&visit);
    }
    if (result.status != DN_OK) result.loss = result.accuracy = (double)NAN;
    return result;
}

/*
### Predicting a data set

`dn_predict` takes numbers, and it is the caller who normalised them. A data set knows how its
bytes become numbers, so that here nothing can be forgotten. The samples first .. first+count-1
are a view of the data set, hence neither copied nor asked for labels, and row r of the outputs
belongs to sample first + r.

*How we know:* `tests/test_evaluation.c` compares samples 250 .. 549 of a data
set with the same rows of `dn_predict`, bit for bit, and asks for samples behind the end, which
is an error.
*/
DN_API dn_status dn_predict_dataset(const dn_net *net, const dn_dataset *data, size_t first,
                                    size_t count, dn_real *outputs, dn_error *error) {
    dn_dataset part;
    dn_status status = dn_dataset_range(data, first, count, &part, error);
    if (status != DN_OK || count == 0) return status;
    part.labels = NULL; /* answers are not asked for, and need not fit the net */
    part.targets = NULL;
    dni_visit visit;
    status = dni_visit_begin(&visit, net, &part, false, error);
    if (status != DN_OK) return status;
    while (dni_visit_next(&visit, net->loss))
        memcpy(outputs + visit.look.first * net->outputs, visit.outputs,
               visit.look.batch.count * net->outputs * sizeof *outputs);
    dni_visit_end(&visit);
    return DN_OK;
}

/*
### Where a net is wrong

The confusion matrix counts, for each true class, what it was taken for. Its diagonal
is what was recognised; a large number beside it names two classes that look alike. For three
classes and 30 samples:

| true class | taken for 0 | for 1 | for 2 | its accuracy |
|---|---|---|---|---|
| 0 | 9 | 0 | 1 | 0.9 |
| 1 | 0 | 10 | 0 | 1.0 |
| 2 | 4 | 0 | 6 | 0.6 |

25 of 30 are right. Of class 2, four are taken for 0: the *recall* of class 2, the share of it
that was found, is 6/10, which `dn_class_accuracy` gives; the *precision* of class 0, the share of
what was called 0 and is it, is 9/13, a column's business. Accuracy hides such things where
classes are of different size: where one person in 100 is ill, who always says "healthy" is right in
99 of 100 cases, and has recall 0 for the ill.

With the counts c[true, predicted]:

$$ \mathrm{recall}_k = \frac{c_{kk}}{\sum_j c_{kj}}, \qquad
   \mathrm{precision}_k = \frac{c_{kk}}{\sum_j c_{jk}} $$

A column is summed by the caller:

```c
static const size_t confusion[9] = {9, 0, 1, 0, 10, 0, 4, 0, 6}; // [3, 3], as dn_confusion gives it
size_t called = 0;
for (size_t k = 0; k < 3; k++) called += confusion[k * 3 + 0];
printf("recall of 2: %.2f\n", dn_class_accuracy(confusion, 3, 2));           // 0.60
printf("precision of 0: %.2f\n", (double)confusion[0] / (double)called);     // 0.69
```
*/
static dn_status dni_visit_labelled(dni_visit *visit, const dn_net *net, const dn_dataset *data,
                                    dn_error *error) {
    if (data->labels == NULL)
        return dni_fail(error, DN_ERROR_ARGUMENT, "the data set has no labels to compare with");
    return dni_visit_begin(visit, net, data, true, error);
}

DN_API dn_status dn_confusion(const dn_net *net, const dn_dataset *data, size_t *confusion,
                              dn_error *error) {
    dni_visit visit;
    dn_status status = dni_visit_labelled(&visit, net, data, error);
    if (status != DN_OK) return status;
    const size_t classes = net->outputs == 1 ? 2 : net->outputs;
    memset(confusion, 0, classes * classes * sizeof *confusion);
    while (dni_visit_next(&visit, net->loss))
        for (size_t s = 0; s < visit.look.batch.count; s++) {
            const size_t label = (size_t)visit.look.batch.labels[s];
            DN_ASSERT(label < classes);
            const int32_t predicted =
                dni_predicted_class(visit.outputs + s * net->outputs, net->outputs);
            confusion[label * classes + (size_t)predicted]++;
        }
    dni_visit_end(&visit);
    return DN_OK;
}

/* recall: c[k,k] / sum over j of c[k,j]; a class without samples has none. */
DN_API double dn_class_accuracy(const size_t *confusion, size_t classes, size_t which) {
    size_t total = 0;
    for (size_t predicted = 0; predicted < classes; predicted++)
        total += confusion[which * classes + predicted];
    return total == 0 ? (double)NAN : (double)confusion[which * classes + which] / (double)total;
}

/*
### The mistakes themselves

The samples say more than any number. `dn_mistakes` lists the misclassified ones in the order of
the data set, with the class that was predicted and how certain the net was of it. With one
output p the certainty of class 1 is p, and that of class 0 is 1 - p: an output of 0.1 for a
sample of class 1 is a mistake of probability 0.9.

All mistakes are counted, also those for which the caller's array has no room; with a capacity
of 0 it is a mere count, and the array may be NULL. At 98 % of 10,000 samples there are 200. It
pays to look at the most certain first: in most data sets some of them are wrong labels
(Northcutt et al., 2021, found some in the test sets of MNIST and of ImageNet).
*/
DN_API dn_status dn_mistakes(const dn_net *net, const dn_dataset *data, dn_mistake *mistakes,
                             size_t capacity, size_t *count, dn_error *error) {
    dni_visit visit;
    *count = 0;
    dn_status status = dni_visit_labelled(&visit, net, data, error);
    if (status != DN_OK) return status;
    while (dni_visit_next(&visit, net->loss))
        for (size_t s = 0; s < visit.look.batch.count; s++) {
            const dn_real *outputs = visit.outputs + s * net->outputs;
            dn_mistake mistake;
            mistake.sample = visit.look.first + s;
            mistake.label = visit.look.batch.labels[s];
            mistake.predicted = dni_predicted_class(outputs, net->outputs);
            mistake.probability =
                net->outputs > 1 ? outputs[mistake.predicted]
                                 : mistake.predicted == 1 ? outputs[0] : 1 - outputs[0];
            if (mistake.predicted == mistake.label) continue;
            if (*count < capacity) mistakes[*count] = mistake;
            ++*count;
        }
    dni_visit_end(&visit);
    return DN_OK;
}

/*
*How we know:* `tests/test_evaluation.c` has seven samples with accuracy, confusion
matrix and mistakes counted by hand, with several outputs and with one. On 700 samples the three
must agree: the sum of the diagonal is the number of correct samples, and the list has
all the others. The loss equals that of one forward pass over all 700, bit for bit.
*/

/*
## 11. Training

Training repeats one step: take a batch, compute the gradient of its loss, let the
optimizer change the parameters. One pass over all samples is an *epoch*.

    for each epoch:
        shuffle the samples
        for each batch of B samples (the last may be smaller):
            forward, loss, backward, optimizer step
        measure loss and accuracy on the validation set
        adapt the learning rate; remember the best parameters; stop early?

The samples are shuffled because neighbours in a file are often alike, and a batch
should be a fair sample of the whole. The last, smaller batch is used like any other:
its gradient is the mean over the samples that it has. 60,000 samples in batches of 128 are
468 whole batches and one of 96: 469 steps.

Why batches at all? The gradient over all samples is exact, and costs 60,000 forward and backward
passes for one step. Over 128 of them it is an estimate, whose error is about 1/sqrt(128) of
the spread between samples, for 1/469 of the work; and 469 rough steps lead further than one
exact one (Bottou, 1998). Larger batches use the machine better (chapter 2), smaller ones make more
steps; between 32 and 256 both are content.

The trainer holds everything that this needs. All memory is taken when it is made; a step allocates
nothing.

### Preparing

What the caller leaves out is filled in; what does not fit together is refused; then all memory is
taken at once. For 784-128-10 with Adam, batches of 128 and early
stopping, in numbers of 4 bytes:

| block | numbers |
|---|---|
| gradient | 101,770 |
| first and second moments of Adam | 203,540 |
| the best parameters so far | 101,770 |
| inputs of a batch | 128 * 784 = 100,352 |
| the workspace of a batch (chapter 6) | 40,192 |
| the order of 60,000 samples | 60,000 |
| the validation set's portion of 512: inputs and workspace | 401,408 + 160,768 |

That is 4.7 MB, against 47 MB for the pictures of MNIST as bytes. What zero stands for:

| field | default |
|---|---|
| `epochs` | 10 |
| `batch` | 32; never more than there are samples |
| `optimizer` | Adam with learning rate 0.001 |
| `loss` | the one that belongs to the last activation (chapter 5) |
| `schedule` | constant; where a kind is chosen, factor 1/2, every 10 epochs, minimum 0 |
| `patience` | no early stopping |
*/
static dn_training dni_with_defaults(const dn_training *how) {
    dn_training full;
    memset(&full, 0, sizeof full);
    if (how != NULL) full = *how;
    if (full.epochs == 0) full.epochs = 10;
    if (full.batch == 0) full.batch = 32;
    if (full.optimizer.kind == DN_OPTIMIZER_DEFAULT)
        full.optimizer = dn_adam((dn_real)0.001);
    if (full.schedule.factor <= 0) full.schedule.factor = (dn_real)0.5;
    if (full.schedule.every == 0) full.schedule.every = 10;
    return full;
}

/*
Each refusal names what is wrong.

| refused | status |
|---|---|
| a loss that the last activation does not allow (chapter 5) | `DN_ERROR_ARGUMENT` |
| data without labels and targets, or empty | `DN_ERROR_ARGUMENT` |
| data whose sizes are not those of the net (chapter 10) | `DN_ERROR_SHAPE` |
| patience or plateau without a validation set | `DN_ERROR_ARGUMENT` |
| a learning rate that is negative or NaN | `DN_ERROR_ARGUMENT` |
| more than 2^32 - 1 samples: their order has 32 bits each | `DN_ERROR_TOO_LARGE` |

The test of the learning rate is `!(rate >= 0)` and not `rate < 0`, because every comparison with a
NaN is false. A rate of 0 is allowed: it measures without learning.
*/
static dn_status dni_trainer_check(const dn_net *net, const dn_dataset *train,
                                   const dn_dataset *validation, const dn_training *how,
                                   dn_error *error) {
    dn_status status = dn_loss_check(net, how->loss, error);
    if (status == DN_OK) status = dni_data_check(net, train, "training", true, error);
    if (status == DN_OK && validation != NULL)
        status = dni_data_check(net, validation, "validation", true, error);
    if (status != DN_OK) return status;
    if (train->count > UINT32_MAX)
        return dni_fail(error, DN_ERROR_TOO_LARGE, "%zu samples are too many to shuffle",
                        train->count);
    if (validation == NULL && (how->patience > 0 || how->schedule.kind == DN_SCHEDULE_PLATEAU))
        return dni_fail(error, DN_ERROR_ARGUMENT, "%s needs a validation set",
                        how->patience > 0 ? "early stopping" : "the plateau schedule");
    if ((unsigned)how->schedule.kind > DN_SCHEDULE_PLATEAU)
        return dni_fail(error, DN_ERROR_ARGUMENT, "unknown schedule");
    if (!(how->optimizer.learning_rate >= 0))
        return dni_fail(error, DN_ERROR_ARGUMENT, "the learning rate must not be negative, got %g",
                        (double)how->optimizer.learning_rate);
    return DN_OK;
}

enum { DNI_BATCH = 256 }; /* of each thread; more samples come in portions */

static dn_status dni_trainer_allocate(dn_trainer *trainer, dn_error *error) {
    const dn_net *net = trainer->net;
    const size_t most = DNI_BATCH * (size_t)dni_threads(), all = trainer->how.batch - 1;
    const size_t batch = all / (all / most + 1) + 1; /* as even as can be */
    dn_status status = dn_workspace_init(&trainer->workspace, net, batch, error);
    if (status == DN_OK)
        status = dn_optimizer_init(&trainer->state, &trainer->how.optimizer, net, error);
    if (status == DN_OK && trainer->validation != NULL) {
        trainer->visit = (struct dni_visit *)dni_allocate_zero(1, sizeof(dni_visit));
        if (trainer->visit != NULL)
            status = dni_visit_begin(trainer->visit, net, trainer->validation, true, error);
    }
    if (status != DN_OK) return status;
    const bool keeps_best = trainer->how.patience > 0;
    trainer->gradient = (dn_real *)dni_allocate_zero(net->parameter_count, sizeof(dn_real));
    if (keeps_best)
        trainer->best = (dn_real *)dni_allocate_zero(net->parameter_count, sizeof(dn_real));
    trainer->inputs = (dn_real *)dni_allocate(batch, net->inputs * sizeof(dn_real));
    trainer->targets = (dn_real *)dni_allocate(batch, net->outputs * sizeof(dn_real));
    trainer->labels = (int32_t *)dni_allocate(batch, sizeof(int32_t));
    trainer->order = (uint32_t *)dni_allocate(trainer->train->count, sizeof(uint32_t));
    trainer->history.epochs = (dn_epoch *)dni_allocate(trainer->how.epochs, sizeof(dn_epoch));
    trainer->history.capacity = trainer->how.epochs;
    if (trainer->gradient == NULL || (keeps_best && trainer->best == NULL) ||
        (trainer->validation != NULL && trainer->visit == NULL) || trainer->inputs == NULL ||
        trainer->targets == NULL || trainer->labels == NULL || trainer->order == NULL ||
        trainer->history.epochs == NULL)
        return dni_fail(error, DN_ERROR_MEMORY,
                        "no memory to train %zu parameters in batches of %zu",
                        net->parameter_count, trainer->how.batch);
    return DN_OK;
}

/*
The net keeps how its inputs are normalised, for prediction later, in its file too. A net that was
trained on pixels divided by 255 and is asked about pixels from 0 to 255 gives nonsense with great
certainty.
*/
static dn_status dni_keep_normalization(dn_net *net, const dn_dataset *train, dn_error *error) {
    const bool by_feature = train->normalization == DN_NORMALIZE_FEATURE;
    const size_t bytes = net->inputs * sizeof(dn_real);
    bool ok = true;
    dn_real *mean = (dn_real *)dni_duplicate(by_feature ? train->mean : NULL, bytes, &ok);
    dn_real *deviation = (dn_real *)dni_duplicate(by_feature ? train->deviation : NULL, bytes, &ok);
    if (ok) {
        dni_release(net->mean);
        dni_release(net->deviation);
        net->mean = mean;
        net->deviation = deviation;
        net->normalization = train->normalization;
        return DN_OK;
    }
    dni_release(mean);
    dni_release(deviation);
    return dni_fail(error, DN_ERROR_MEMORY, "no memory for the means of %zu inputs", net->inputs);
}

/*
After the checks the trainer is put at its start: no epoch finished, no best loss yet (infinity,
so that any number is lower), the net's own generator for everything random. The net is told
which loss it is trained with, for `dn_evaluate`.

With n samples in batches of B there are ceil(n / B) steps in an epoch, in whole numbers
(n - 1) / B + 1:

| n | B | steps | in the last batch |
|---|---|---|---|
| 60,000 | 128 | 469 | 96 |
| 54,000 | 100 | 540 | 100 |
| 50 | 10,000, cut to 50 | 1 | 50 |

A trainer whose preparation failed owns nothing and is finished; to free it is harmless.

*How we know:* `tests/test_training.c` provokes refusals and reads their messages,
counts allocations while six epochs are trained (none), and finds at the end that all is given
back.
*/
DN_API dn_status dn_trainer_init(dn_trainer *trainer, dn_net *net, const dn_dataset *train,
                                 const dn_dataset *validation, const dn_training *how,
                                 dn_error *error) {
    memset(trainer, 0, sizeof *trainer);
    trainer->finished = true;
    const dn_training full = dni_with_defaults(how);
    dn_status status = dni_trainer_check(net, train, validation, &full, &trainer->error);
    if (status == DN_OK) {
        trainer->net = net;
        trainer->train = train;
        trainer->validation = validation;
        trainer->how = full;
        if (trainer->how.batch > train->count) trainer->how.batch = train->count;
        trainer->batches = (train->count - 1) / trainer->how.batch + 1;
        trainer->random = net->random;
        trainer->learning_rate = full.optimizer.learning_rate;
        trainer->best_loss = (double)INFINITY;
        net->loss = dni_loss_of(net, full.loss);
        status = dni_keep_normalization(net, train, &trainer->error);
        if (status == DN_OK) status = dni_trainer_allocate(trainer, &trainer->error);
    }
    trainer->finished = status != DN_OK;
    if (status != DN_OK) {
        const dn_error why = trainer->error;
        dn_trainer_free(trainer);
        trainer->error = why;
        trainer->finished = true;
        if (error != NULL) *error = why;
    }
    return status;
}

DN_API void dn_trainer_free(dn_trainer *trainer) {
    if (trainer->visit != NULL) dni_visit_end(trainer->visit);
    dni_release(trainer->visit);
    dn_workspace_free(&trainer->workspace);
    dn_optimizer_free(&trainer->state);
    dni_release(trainer->gradient);
    dni_release(trainer->best);
    dni_release(trainer->inputs);
    dni_release(trainer->targets);
    dni_release(trainer->labels);
    dni_release(trainer->order);
    dn_history_free(&trainer->history);
    memset(trainer, 0, sizeof *trainer);
    trainer->finished = true;
}

DN_API void dn_history_free(dn_history *history) {
    dni_release(history->epochs);
    memset(history, 0, sizeof *history);
}

/*
### Schedules

A large learning rate travels far, a small one arrives. A schedule starts with the
first and ends with the second. With eta_0 the optimizer's rate and e = 1, 2, ... E the
epoch:

| schedule | learning rate in epoch e |
|---|---|
| constant | eta_0 |
| step | eta_0 factor^floor((e - 1) / every) |
| cosine | minimum + (eta_0 - minimum) (1 + cos(pi (e - 1)/E)) / 2 |
| plateau | times factor after an epoch whose validation accuracy is below the epoch's before |

The cosine (Loshchilov and Hutter, 2017) begins flat, falls fastest in the middle, and ends flat;
its last epoch still has a rate above the minimum, or it would be an epoch for nothing. With
eta_0 = 0.1, a factor of one half every 2 epochs, and E = 6:

| epoch | 1 | 2 | 3 | 4 | 5 | 6 |
|---|---|---|---|---|---|---|
| step | 0.1 | 0.1 | 0.05 | 0.05 | 0.025 | 0.025 |
| cosine | 0.1 | 0.0933 | 0.075 | 0.05 | 0.025 | 0.0067 |
| plateau, accuracies 0.90, 0.93, 0.92, 0.94, 0.95, 0.95 | 0.1 | 0.1 | 0.1 | 0.05 | 0.05 | 0.05 |

The plateau asks the net itself: when an epoch has made it worse on the validation set, the steps
were too long. One bad epoch suffices, by chance too; a rate that was halved ten times for nothing
is as good as zero, which is what `minimum` is for.
*/
static dn_real dni_scheduled_rate(const dn_trainer *trainer) {
    const dn_schedule *schedule = &trainer->how.schedule;
    const double start = (double)trainer->how.optimizer.learning_rate;
    const double minimum = (double)schedule->minimum;
    double rate = start;
    switch (schedule->kind) {
    case DN_SCHEDULE_STEP:
        for (size_t drops = trainer->epoch / schedule->every; drops > 0; drops--)
            rate *= (double)schedule->factor;
        break;
    case DN_SCHEDULE_COSINE:
        rate = (double)trainer->epoch / (double)trainer->how.epochs; /* epochs done: e - 1 */
        rate = 0.5 * (1 + dni_cos_double(3.14159265358979323846 * rate));
        rate = dni_fma(start - minimum, rate, minimum);
        break;
    default:
        return trainer->learning_rate;
    }
    return (dn_real)(rate > minimum ? rate : minimum);
}

/*
The plateau remembers one number, the accuracy of the epoch before. It starts at 0, so that the
first epoch cannot be worse than it. An equal accuracy is no reason to slow down; nor does the
best so far count: after 0.95, 0.90, 0.92 the rate has fallen once, since 0.92 is above 0.90.

*How we know:* `tests/test_training.c` computes the rates of step and cosine
anew, and follows the plateau through a training in which accuracies fall, rise and stay.
*/
static void dni_plateau(dn_trainer *trainer, double accuracy) {
    const dn_schedule *schedule = &trainer->how.schedule;
    if (schedule->kind == DN_SCHEDULE_PLATEAU && accuracy < trainer->previous_accuracy) {
        trainer->learning_rate *= schedule->factor;
        if (trainer->learning_rate < schedule->minimum) trainer->learning_rate = schedule->minimum;
    }
    trainer->previous_accuracy = accuracy;
}

/*
### Divergence

With too large a learning rate every step overshoots more than the one before, and
after some steps a number overflows. From then on everything is NaN, and a training
loop that does not look reports nonsense for hours. The trainer looks at the loss of
every batch, and at the end of an epoch (there may be no later loss) at the parameters.
When it finds a number that is not finite it searches for the first culprit: the samples
themselves, then layer by layer. What it says looks like this, in one line:

    training diverged in epoch 1, batch 7: the parameters of layer 0 (relu) hold NaN;
    lower the learning rate (now 5)

With one weight w, sample 1, target 0 and squared error, a step makes w <- (1 - eta) w. For eta = 3
that is 1, -2, 4, -8, and after 128 steps more than any float can hold.

The search begins at the samples and goes upwards, because a NaN below makes everything above it
NaN as well:

| found in | what it means |
|---|---|
| the samples or their targets | the data are broken; no learning rate would help |
| the parameters of layer l | an earlier step went too far |
| the outputs of layer l, parameters sound | numbers overflowed on their way through the net |
| the loss alone | all of these are finite: the losses are too large to be added |

The first layer with a bad number need not be the cause: its parameters were changed by a gradient
that came from above. Who wants to see how the training goes on from there sets
`ignore_divergence`. Where patience has kept the best parameters, the net goes back to them also
after a divergence.

*How we know:* `tests/test_training.c` puts NaN and infinity into chosen layers
and into a sample and reads which place the message names; it also lets the very last step
overflow, after which there is no loss to tell.
*/
static const char *dni_kind_of_not_finite(const dn_real *numbers, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (numbers[i] != numbers[i]) return "NaN";
        if (!dni_is_finite((double)numbers[i])) return "infinity";
    }
    return NULL;
}

static dn_status dni_diverged(dn_trainer *trainer) {
    const dn_net *net = trainer->net;
    const dn_dataset *data = trainer->train;
    const char *place = NULL, *found = NULL;
    const size_t rows = trainer->workspace.count;
    const size_t first = (trainer->position - 1) * trainer->how.batch;
    for (size_t s = first; !found && s < data->count && s - first < trainer->how.batch; s++) {
        dn_dataset_gather(data, trainer->order + s, 0, 1, trainer->inputs);
        found = dni_kind_of_not_finite(trainer->inputs, net->inputs);
        if (found == NULL && data->targets != NULL)
            found = dni_kind_of_not_finite(
                data->targets + dni_row_of(data, trainer->order[s]) * net->outputs, net->outputs);
    }
    if (found != NULL)
        return dni_fail(&trainer->error, DN_ERROR_DIVERGED,
                        "training diverged in epoch %zu, batch %zu: the samples themselves hold %s",
                        trainer->epoch + 1, trainer->position, found);
    size_t l = 0;
    for (; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        place = "the parameters of layer";
        found = dni_kind_of_not_finite(net->parameters + layer->weights,
                                       dni_layer_parameters(layer));
        if (found != NULL) break;
        place = "the outputs of layer";
        found = dni_kind_of_not_finite(trainer->workspace.z[l], rows * layer->outputs);
        if (found == NULL)
            found = dni_kind_of_not_finite(trainer->workspace.a[l], rows * layer->outputs);
        if (found != NULL) break;
    }
    if (found == NULL)
        return dni_fail(&trainer->error, DN_ERROR_DIVERGED,
                        "training diverged in epoch %zu, batch %zu: the loss is not finite, though "
                        "all outputs are; lower the learning rate (now %g)",
                        trainer->epoch + 1, trainer->position, (double)trainer->learning_rate);
    return dni_fail(&trainer->error, DN_ERROR_DIVERGED,
                    "training diverged in epoch %zu, batch %zu: %s %zu (%s) hold %s; "
                    "lower the learning rate (now %g)",
                    trainer->epoch + 1, trainer->position, place, l,
                    net->layers[l].kind == DN_LAYER_DENSE ? dn_activation_name(&net->layers[l])
                                                          : "dropout",
                    found, (double)trainer->learning_rate);
}

/*
### The end of an epoch

The losses of the batches were measured while the net was changing, with dropout on:
the mean is a little worse than the net at the end of the epoch. (Keras reports the
same.) The validation loss is measured afterwards, with dropout off, and without
penalties: it says how well the net predicts, not how it is trained.

*Early stopping* (Prechelt, 1998): the validation loss falls while the net learns what
is general, and rises again when it learns the training samples by heart. The trainer
remembers the parameters of the lowest point; after `patience` epochs without a lower
one it stops and goes back to them. With a patience of 2:

| epoch | 1 | 2 | 3 | 4 | 5 | 6 |
|---|---|---|---|---|---|---|
| validation loss | 0.31 | 0.24 | 0.25 | 0.22 | 0.23 | 0.24 |
| best epoch | 1 | 2 | 2 | 4 | 4 | 4 |
| epochs since | 0 | 0 | 1 | 0 | 1 | 2: stop |

An equal loss is not a lower one. A training that ends by itself goes back too, unless `keep_last`
is set. Without patience no parameters are kept, and the net is as its last step has left it.

The net then has the parameters of epoch 4. The validation set has thereby taken part in the
training: it chose among six nets the one that suits it best. An honest figure comes from a third
set, the *test set*, that was used for nothing else.

| set | of MNIST, for instance | used for |
|---|---|---|
| training | 54,000 | the gradient |
| validation | 6,000 | when to stop, the plateau, every choice of settings |
| test | 10,000 | one number, at the end |

*How we know:* `tests/test_training.c` stops with a patience of 7, looks that the
best epoch was seven epochs ago, and evaluates the net again: it has the lowest loss of the
history, bit for bit.
*/
static void dni_trainer_finish(dn_trainer *trainer) {
    trainer->finished = true;
    trainer->net->random = trainer->random;
    if (trainer->best != NULL && trainer->best_epoch > 0 && !trainer->how.keep_last)
        memcpy(trainer->net->parameters, trainer->best,
               trainer->net->parameter_count * sizeof(dn_real));
}

static void dni_watch_validation(dn_trainer *trainer) {
    if (trainer->last.validation_loss < trainer->best_loss) {
        trainer->best_loss = trainer->last.validation_loss;
        trainer->best_epoch = trainer->epoch;
        if (trainer->best != NULL)
            memcpy(trainer->best, trainer->net->parameters,
                   trainer->net->parameter_count * sizeof(dn_real));
    }
    if (trainer->how.patience > 0 &&
        trainer->epoch - trainer->best_epoch >= trainer->how.patience)
        trainer->stopped_early = true;
    dni_plateau(trainer, trainer->last.validation_accuracy);
}

/*
While an epoch runs, the progress function is told the mean over the samples so far, after every
batch; and once more when the epoch is complete, then with its record. With 3 batches an epoch that
is four calls.

The mean of the epoch is the sum of all losses over all samples, not the mean of the batches' means.
With 50 samples in batches of 16, and mean losses of 0.5, 0.5, 0.5 and, in the last batch of 2, 0.9:

    sum over samples   (16 * 0.5 + 16 * 0.5 + 16 * 0.5 + 2 * 0.9) / 50 = 0.516
    mean of means      (0.5 + 0.5 + 0.5 + 0.9) / 4                     = 0.6

In the mean of means a sample of the last batch would count eight times as much as another.
The penalties are added to the training loss once, as they are at the end of the epoch. The record
goes to the history, whose memory was taken for all epochs in advance.
*/
static void dni_report_progress(const dn_trainer *trainer, size_t samples,
                                const dn_epoch *finished) {
    if (trainer->how.progress == NULL) return;
    dn_progress progress;
    progress.epoch = trainer->epoch + (finished == NULL);
    progress.epochs = trainer->how.epochs;
    progress.batch = finished != NULL ? trainer->batches : trainer->position;
    progress.batches = trainer->batches;
    progress.loss = trainer->loss_sum / (double)samples;
    progress.accuracy = (double)trainer->correct / (double)samples;
    progress.finished = finished;
    trainer->how.progress(trainer->how.user, &progress);
}

static void dni_epoch_end(dn_trainer *trainer) {
    const double count = (double)trainer->train->count;
    dn_epoch *last = &trainer->last;
    last->epoch = ++trainer->epoch;
    last->learning_rate = (double)trainer->learning_rate;
    last->train_loss =
        trainer->loss_sum / count + dn_penalty_value(trainer->net, trainer->how.penalty);
    last->train_accuracy = (double)trainer->correct / count;
    last->validation_loss = last->validation_accuracy = (double)NAN;
    if (trainer->validation != NULL) {
        const dn_evaluation seen = dni_evaluate(trainer->visit, trainer->net->loss);
        last->validation_loss = seen.loss;
        last->validation_accuracy = seen.accuracy;
        dni_watch_validation(trainer);
    }
    trainer->history.epochs[trainer->history.count++] = *last;
    dni_report_progress(trainer, trainer->train->count, last);
    trainer->position = 0;
    if (trainer->epoch == trainer->how.epochs || trainer->stopped_early)
        dni_trainer_finish(trainer);
}

/*
### One step

Forward, loss, backward, update. Everything before is preparation for these lines,
and everything around them is bookkeeping.

Where is chance in it? In the order of the samples, and in dropout. Both come from one
generator, that the net brought along: the order of an epoch is drawn from its state at the start of
the epoch, the masks from where that left it. The state at the start is kept, so that a training
that is resumed in the middle of an epoch can make the same order again (chapter 14).
*/
static void dni_epoch_begin(dn_trainer *trainer) {
    trainer->epoch_random = trainer->random;
    trainer->loss_sum = 0;
    trainer->correct = 0;
    trainer->learning_rate = dni_scheduled_rate(trainer);
}

/*
`epoch_random` is a bookmark, and the order is drawn from a copy of it; only at the first batch
does the trainer's generator move on to where the copy has arrived. So the function may be called in
the middle of an epoch: it makes the same order and disturbs nothing.

*How we know:* `tests/test_training.c` finds every sample once in each epoch, in
another order each time, and the same bits for the same seed.
*/
static void dni_epoch_order(dn_trainer *trainer) {
    const size_t count = trainer->train->count;
    dn_random random = trainer->epoch_random;
    if (trainer->how.keep_order)
        for (size_t i = 0; i < count; i++) trainer->order[i] = (uint32_t)i;
    else
        dn_random_permutation(&random, count, trainer->order);
    if (trainer->position == 0) trainer->random = random;
}

/*
A batch of more than 256 samples for each thread comes in portions: forward, back, and on with its
sums before the next is gathered in the same memory, which has not left the near caches: on one
thread 784-1024-10 with batches of 4096 takes 0.8 of the time. No bit changes: the sums go on where
the portion before has left them.

Plain gradient descent without penalties takes the short way of chapter 6. As later portions still
need the old weights, its sums start from them in the first portion, wait in the gradient vector,
and arrive in the net with the last.

*How we know:* `tests/test_training.c` writes three epochs out by hand, from `dn_forward`,
`dn_backward` and `dn_optimizer_step`, and compares the parameters: the same bits with ten
optimizers, and a difference below 2e-6 on the short way, which rounds once less. Batches of 600
give the bits of one piece.
*/
static void dni_train_portion(dn_trainer *trainer, const dni_pass *pass) {
    dn_net *net = trainer->net;
    dn_real *gradient = trainer->gradient;
    const dn_penalty penalty = trainer->how.penalty;
    dn_optimizer optimizer = trainer->how.optimizer;
    const bool first = pass->before == 0, last = pass->before + pass->batch->count == pass->all;
    optimizer.learning_rate = trainer->learning_rate;
    const bool is_short = optimizer.kind == DN_SGD && penalty.l1 == 0 && penalty.l2 == 0 &&
                          optimizer.weight_decay == 0 && optimizer.shrink == 0;
    dni_learn(pass, is_short ? -optimizer.learning_rate : 1,
              !first ? gradient : is_short ? net->parameters : NULL,
              last && is_short ? net->parameters : gradient);
    if (!last) return;
    if (is_short) {
        trainer->state.steps++;
        return;
    }
    dni_add_penalty(net, penalty, gradient);
    dn_optimizer_step(&optimizer, &trainer->state, net, gradient);
}

/*
The step as the caller sees it. `position` counts the batches of the running epoch; `loss_sum` and
`correct` add up over its samples, each measured by the net as it was when its turn came. The
loss is looked at before the weights are changed, so that a batch that has gone wrong changes
nothing more.
*/
DN_API bool dn_trainer_step(dn_trainer *trainer) {
    if (trainer->finished) return false;
    if (trainer->position == 0) {
        dni_epoch_begin(trainer);
        dni_epoch_order(trainer);
    }
    const size_t first = trainer->position * trainer->how.batch;
    const size_t left = trainer->train->count - first;
    const size_t count = left < trainer->how.batch ? left : trainer->how.batch;
    dni_look look;
    memset(&look, 0, sizeof look);
    look.pass.net = trainer->net;
    look.pass.workspace = &trainer->workspace;
    look.pass.all = count;
    look.pass.dropout = &trainer->random;
    look.pass.loss = trainer->net->loss;
    look.data = trainer->train;
    look.inputs = trainer->inputs;
    look.targets = trainer->targets;
    look.labels = trainer->labels;
    look.measures = look.goes_back = true;
    bool finite = true, goes_on = true;
    for (size_t rows; goes_on && look.pass.before < count; look.pass.before += rows) {
        rows = count - look.pass.before;
        if (rows > trainer->workspace.batch) rows = trainer->workspace.batch;
        look.samples = trainer->order + first + look.pass.before;
        trainer->loss_sum = dni_look_at(&look, rows, trainer->loss_sum);
        trainer->correct += look.correct;
        finite = dni_is_finite(trainer->loss_sum);
        goes_on = finite || trainer->how.ignore_divergence;
        if (goes_on) dni_train_portion(trainer, &look.pass);
    }
    trainer->random = dni_random_after(&trainer->random, dni_draws(trainer->net, count));
    trainer->position++;
    const bool last = trainer->position == trainer->batches;
    if (goes_on && last)
        finite = finite && dni_kind_of_not_finite(trainer->net->parameters,
                                                  trainer->net->parameter_count) == NULL;
    if (!finite && !trainer->how.ignore_divergence) {
        (void)dni_diverged(trainer);
        dni_trainer_finish(trainer);
        return false;
    }
    dni_report_progress(trainer, first + count, NULL);
    if (last) dni_epoch_end(trainer);
    return true;
}

/*
### The loop

There is no callback that a caller must use: whoever wants to do something in between writes the
loop,

```c
dn_trainer trainer;
dn_net net = {0};
dn_dataset train = {0}, validation = {0};
dn_training how = {0};
dn_error error;
if (dn_trainer_init(&trainer, &net, &train, &validation, &how, &error) == DN_OK)
    while (dn_trainer_epoch(&trainer))
        if (trainer.last.validation_accuracy > 0.98) break; // good enough
dn_trainer_free(&trainer);
```

A loop that is left early keeps the parameters as they are, the last ones, not the best ones:
going back to the best is what the end of a training does. `dn_trainer_epoch` after some steps
finishes the epoch that is running; and between two calls the trainer can be saved (chapter 14).

*How we know:* `tests/test_training.c` trains in one call, by epochs and by steps:
three times the same history and the same parameters, bit for bit.
*/
DN_API bool dn_trainer_epoch(dn_trainer *trainer) {
    const size_t epoch = trainer->epoch;
    while (trainer->epoch == epoch)
        if (!dn_trainer_step(trainer)) return false;
    return true;
}

/*
`dn_train` is this loop with nothing in it. The history changes hands at the end, whether the
training succeeded or diverged, so that the epochs before a divergence can be looked at; only if the
preparation fails, `how->history` is left as it was.
*/
DN_API dn_status dn_train(dn_net *net, const dn_dataset *train, const dn_dataset *validation,
                          const dn_training *how, dn_error *error) {
    dn_trainer trainer;
    dn_status status = dn_trainer_init(&trainer, net, train, validation, how, error);
    if (status != DN_OK) return status;
    while (dn_trainer_epoch(&trainer)) continue;
    status = trainer.error.status;
    if (error != NULL && status != DN_OK) *error = trainer.error;
    if (how != NULL && how->history != NULL) {
        *how->history = trainer.history;
        memset(&trainer.history, 0, sizeof trainer.history);
    }
    dn_trainer_free(&trainer);
    return status;
}

/*
### The log

A text file of tab-separated values: remarks behind `#`, a line of names, a line of
numbers per epoch with nine digits, which is what it takes to tell any two floats
apart. `printf` writes the decimal comma of the user's country, which no plotting
program expects: it is put right here. Two epochs, the second with a smaller rate, without a
validation set (the gaps are tabs):

    # 784-128-10
    epoch  learning_rate  train_loss   train_accuracy  validation_loss  validation_accuracy
    1      0.5            0.333333333  0.25            nan              nan
    2      0.0625         0.25         0.75            nan              nan
*/
static int dni_format_number(char *text, size_t capacity, double number) {
    int length = snprintf(text, capacity, "%.9g", number);
    for (char *c = text; *c != '\0'; c++)
        if (*c == ',') *c = '.';
    return length;
}

#ifndef DN_NO_STDIO
static bool dni_write_log(FILE *file, const dn_history *history, const char *comment) {
    bool ok = true;
    while (comment != NULL && *comment != '\0') {
        const size_t length = strcspn(comment, "\n");
        ok = fprintf(file, "# %.*s\n", (int)length, comment) > 0 && ok;
        comment += length + (comment[length] == '\n');
    }
    ok = fprintf(file, "epoch\tlearning_rate\ttrain_loss\ttrain_accuracy\tvalidation_loss\t"
                       "validation_accuracy\n") > 0 && ok;
    for (size_t i = 0; i < history->count; i++) {
        const dn_epoch *epoch = &history->epochs[i];
        const double numbers[5] = {epoch->learning_rate, epoch->train_loss, epoch->train_accuracy,
                                   epoch->validation_loss, epoch->validation_accuracy};
        ok = fprintf(file, "%zu", epoch->epoch) > 0 && ok;
        for (size_t n = 0; n < 5; n++) {
            char text[40];
            (void)dni_format_number(text, sizeof text, numbers[n]);
            ok = fprintf(file, "\t%s", text) > 0 && ok;
        }
        ok = fputc('\n', file) != EOF && ok;
    }
    return ok;
}

DN_API dn_status dn_history_save(const dn_history *history, const char *name,
                                 const char *comment, dn_error *error) {
    FILE *file = fopen(name, "wb");
    if (file == NULL) return dni_fail(error, DN_ERROR_FILE, "%s: cannot be written", name);
    bool ok = dni_write_log(file, history, comment);
    ok = fclose(file) == 0 && ok;
    return ok ? DN_OK : dni_fail(error, DN_ERROR_FILE, "%s: writing failed", name);
}
#endif

/*
*How we know:* `tests/test_training.c` compares a log with the expected text, in a
country of decimal commas where one is installed. Of the whole chapter it asks what no part can
show alone, that nets learn: XOR with a hundred seeds and three kinds of nets, all of
which must converge, and 32 random samples, which must be learned by heart.
*/

/*
## 12. Data

A data set comes from files more often than from anywhere else, and more training
runs fail at their files than at their mathematics: a download that broke off, an
error page that was saved under the name of the data, a header that lies. This
chapter reads files and believes nothing that they say before it has been checked.

    reader --> all bytes --> inflate, if gzip --> IDX array --> data set --> batch
    file, memory                                                bytes        dn_real
    or callback

Each arrow is a section. One rule holds from the first to the last: **memory is taken
for what is there, not for what a header promises.** A file that declares 2^31 pictures
of 2^31 pixels and ends after 16 bytes costs one small block and one message.

A message names the file and the byte, what was expected and what was found.

### Streams and files

A stream is a function that delivers the next bytes (`dn_reader`). A file is one kind of
stream, a network connection or an archive another. Data that is in memory already needs
none:

```c
const unsigned char idx[] = {0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 10, 20, 30};
dn_dataset data = {0};
dn_error error = {0};
if (dn_dataset_memory(&data, idx, sizeof idx, NULL, 0, &error) != DN_OK) return 1;
dn_dataset_free(&data); // it had 1 sample of 3 features
```

A reader of one's own is a function and whatever it has to remember between two calls.
It may deliver less than it is asked for only at the end, as `fread` does. This one
computes the same 15 bytes instead of storing them:

```c
#define DENSENET_IMPLEMENTATION
#include "densenet.h"

static size_t next_bytes(void *user, void *buffer, size_t size) {
    static const unsigned char header[12] = {0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3};
    size_t *position = (size_t *)user;
    size_t count = 0;
    for (; count < size && *position < 15; count++, ++*position)
        ((unsigned char *)buffer)[count] =
            *position < 12 ? header[*position] : (unsigned char)(10 * (*position - 11));
    return count;
}

int main(void) {
    size_t position = 0;
    dn_reader reader = {next_bytes, &position, "computed pictures"};
    dn_dataset data = {0};
    if (dn_dataset_read(&data, &reader, NULL, NULL) != DN_OK) return 1;
    dn_dataset_free(&data);
    return 0;
}
```

Names appear in messages, and a message has one line of 247 bytes. Of a long path only
the end is shown: it is the part by which its owner recognises it.
*/
#ifndef DN_NO_STDIO
#include <errno.h>
#endif

enum { DNI_FIRST_READ = 65536 };

static const char *dni_short_name(const char *name) {
    const size_t shown = 72;
    if (name == NULL) return "the data";
    const size_t length = strlen(name);
    if (length <= shown) return name;
    const char *tail = name + length - shown;
    const char *slash = strchr(tail, '/');
    return slash != NULL ? slash + 1 : tail;
}

/*
What has been read is a `dni_content`: bytes, how many, and the name for messages. The
bytes stand either in a block that was taken for them, or in the caller's memory; then
`owned` is NULL, and nothing is freed.
*/
typedef struct dni_content {
    const char *name; /* for messages */
    const unsigned char *bytes;
    size_t size;
    unsigned char *owned; /* the block that holds the bytes */
} dni_content;

/*
The data is read as a whole into one block, where the numbers will stay: MNIST's 47
million pixels are never copied. The first attempt asks for 64 KiB. If more comes, and
the size is known (most files tell it), the second block has this size and one byte, so
that the end is seen in the same read. It is not taken at once, because a directory, too,
can be opened on some systems, and gives an absurd size.

When the size is unknown, the block is doubled whenever it is full. A block of n bytes is only asked
for when n/2 bytes have been delivered, and the copying costs less than two copies of the data.

Reading on after the first block is of no use when that block shows that the data is
something else, or that it must end earlier. The reader of a format may therefore give
an *extent* function: from the first bytes it tells how many there can be at most. One
byte more than that is read, to see whether the data ends where it should. So an endless
stream of anything else is given up after 64 KiB, and one that begins with an IDX header
one byte behind the end of the array.
*/
typedef size_t (*dni_extent)(const unsigned char *bytes, size_t size);

static dn_status dni_read_all(const dn_reader *reader, size_t expected, dni_extent extent,
                              dni_content *content, dn_error *error) {
    size_t size = 0, limit = SIZE_MAX;
    size_t capacity = DNI_FIRST_READ;
    if (expected > 0 && expected < capacity) capacity = expected + 1;
    unsigned char *bytes = NULL;
    memset(content, 0, sizeof *content);
    content->name = dni_short_name(reader->name);
    for (;;) {
        unsigned char *larger = (unsigned char *)dni_grow(bytes, size, capacity);
        if (larger == NULL) {
            dni_release(bytes);
            return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for %zu bytes", content->name,
                            capacity);
        }
        bytes = larger;
        const size_t wanted = capacity - size;
        const size_t got = reader->read(reader->user, bytes + size, wanted);
        if (got > wanted) { /* (size_t)-1, or a reader that is wrong itself */
            dni_release(bytes);
            return dni_fail(error, DN_ERROR_FILE, "%s: cannot be read at byte %zu%s",
                            content->name, size, size == 0 ? " (is it a directory?)" : "");
        }
        size += got;
        if (extent != NULL && limit == SIZE_MAX) limit = extent(bytes, size);
        if (got < wanted || size > limit) break;
        capacity = size <= SIZE_MAX / 2 ? 2 * size : SIZE_MAX;
        if (size < expected) capacity = expected < SIZE_MAX ? expected + 1 : expected;
        if (capacity > limit) capacity = limit + 1;
    }
    content->bytes = content->owned = bytes;
    content->size = size;
    return DN_OK;
}

/*
MNIST is found under four names. The files were published packed, as `train-images-idx3-ubyte.gz`;
unpacking removes the `.gz`; and some programs replaced the `-` before `idx` by a dot. Whoever asks
for one means the data, so the others are tried when it is missing. Whether the bytes are packed is
decided by the bytes, never by the name: browsers unpack a file and keep its `.gz`.

Of a form's number, bit 0 exchanges the ending, bit 1 the mark. The mark is looked for in the last
part of the path only; a name without it has the first two forms.

Two functions make a stream of a file. `fread` returns a short count both at the end and
on failure; a stream must tell these apart.
*/
#ifndef DN_NO_STDIO
static size_t dni_file_read(void *user, void *buffer, size_t size) {
    FILE *file = (FILE *)user;
    const size_t got = fread(buffer, 1, size, file);
    return got < size && ferror(file) ? (size_t)-1 : got;
}

/* 0 when the file does not tell (a pipe). Only a hint. */
static size_t dni_file_size(FILE *file) {
    long size = 0;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    rewind(file);
    return size > 0 ? (size_t)size : 0;
}

/* The n-th form of a name; false when it has no such form. `other` has room for
   strlen(name) + 4. */
static bool dni_name_form(const char *name, unsigned n, char *other) {
    const size_t length = strlen(name);
    char *mark = NULL; /* the '-' or '.' before "idx" in the last part of the name */
    memcpy(other, name, length + 1);
    for (char *found = strstr(other, "idx"); found != NULL; found = strstr(found + 1, "idx"))
        if (found > other && (found[-1] == '-' || found[-1] == '.')) mark = found - 1;
    if (mark != NULL && strchr(mark, '/') != NULL) mark = NULL;
    if ((n & 2) != 0 && mark == NULL) return false;
    if ((n & 2) != 0) *mark = *mark == '-' ? '.' : '-';
    if ((n & 1) == 0) return true;
    if (length > 3 && strcmp(other + length - 3, ".gz") == 0)
        other[length - 3] = '\0';
    else
        memcpy(other + length, ".gz", 4);
    return true;
}

/*
The first form that exists is opened, and later messages name it. A file that exists but
cannot be opened ends the search: its owner should learn that, not get another file. When
there is none, the message lists what was looked for.
*/
static dn_status dni_file_open(const char *name, char *opened, FILE **file, dn_error *error) {
    char tried[120] = "";
    for (unsigned n = 0; n < 4; n++) {
        if (!dni_name_form(name, n, opened)) continue;
        errno = 0;
        *file = fopen(opened, "rb");
        if (*file != NULL) return DN_OK;
        if (errno != ENOENT)
            return dni_fail(error, DN_ERROR_FILE, "%s: cannot be opened%s", dni_short_name(opened),
                            errno == EACCES ? ": permission denied" : "");
        if (n == 0) continue;
        const char *slash = strrchr(opened, '/');
        const size_t used = strlen(tried);
        (void)snprintf(tried + used, sizeof tried - used, "%s%s", n == 1 ? "" : ", ",
                       slash != NULL ? slash + 1 : opened);
    }
    return dni_fail(error, DN_ERROR_FILE, "%s: no such file (nor %s beside it)",
                    dni_short_name(name), tried);
}
#endif

/*
*How we know:* `tests/test_idx.c` reads every kind of file through
readers that deliver all at once, end at each byte, fail at each byte, never end, or
return more than they were asked for; it asks for each of the four names while only one
of them exists. A counting allocator checks that nothing is lost, and that no request
exceeds what the data can justify.

### Inflate: the bits

gzip files hold data in the *deflate* format (RFC 1951, Deutsch, 1996). It removes two
kinds of redundancy. A string that occurred before is replaced by a *match*, the pair
(length, distance): copy so many bytes from so far back (Lempel and Ziv, 1977). And
frequent symbols, be they bytes, lengths or distances, get short codes (Huffman, 1952).
This section and the next three undo both. Mark Adler's *puff* showed that the decoder
can be short enough to be read in an evening; his program is the model of this one.

Deflate is a stream of bits, taken from each byte from the lowest to the highest. Up to
64 of them are held in one integer: `held`, of which the lowest `count` have not been
taken yet. Taking n bits is a mask and a shift.

    bytes:  b0 = 7 6 5 4 3 2 1 0    b1 = 15 14 13 12 11 10 9 8    ...
    held:   ... 10 9 8 7 6 5 4 3 2 1 0      the next bit is the lowest

For example, the bytes 4b 4c hold the bits 1101 0010 0011 0010 in the order of their
being taken. Taking 1 gives the number 1; taking 2 more gives the bits 1 and 0, which are
the number 1 again, because a number's lowest bit comes first:

    held = 0x4c4b, count = 16    take 1:  0x4c4b & 1 = 1,   held = 0x2625, count = 15
                                 take 2:  0x2625 & 3 = 1,   held = 0x0989, count = 13

One `fill` before each symbol is enough for all that belongs to it: at most 15 bits of a
length's code, 5 extra bits, 15 bits of a distance's code and 13 extra bits, 48 together,
and after a fill there are at least 56 unless the data ends. When it ends too early,
`count` becomes negative; that is looked at once per symbol, before the symbol is used.

While eight bytes are left, a fill is one load: the bytes that do not fit are shifted out
at the top, and will be loaded once more into the same place. How many bytes have been
used follows from `count`, which the new bytes bring to between 56 and 63; being a
multiple of 8 away from what it was, it keeps its lowest three bits.
*/
typedef struct dni_bits {
    const unsigned char *next, *end;
    uint64_t held;
    int count; /* negative: more was taken than there is */
} dni_bits;

static void dni_bits_fill(dni_bits *bits) {
    if (bits->end - bits->next >= 8) {
        const unsigned char *b = bits->next;
        const uint64_t eight = dni_four_bytes(b) | (uint64_t)dni_four_bytes(b + 4) << 32;
        bits->held |= eight << bits->count;
        bits->next += (63 - bits->count) >> 3;
        bits->count |= 56; /* count + 8 * ((63 - count) / 8) */
        return;
    }
    while (bits->count <= 56 && bits->next < bits->end) {
        bits->held |= (uint64_t)*bits->next++ << bits->count;
        bits->count += 8;
    }
}

static unsigned dni_bits_take(dni_bits *bits, int count) {
    const unsigned value = (unsigned)(bits->held & ((UINT64_C(1) << count) - 1));
    bits->held >>= count;
    bits->count -= count;
    return value;
}

/*
Some parts of a file begin at a whole byte. The rest of the current byte is dropped, and
the whole bytes that are held are given back to the stream.
*/
static void dni_bits_align(dni_bits *bits) {
    bits->next -= bits->count >> 3;
    bits->held = 0;
    bits->count = 0;
}

/*
### Inflate: canonical Huffman codes

A Huffman code gives symbol s a code word of l(s) bits, and no word is the beginning of
another: so the words need no separator. A symbol of probability p should have -log2 p bits;
Huffman's construction comes as near to this as whole bits allow. How the packer found the
lengths does not matter to the unpacker: deflate sends the lengths alone. Many codes have the same
lengths; sender and receiver mean the *canonical* one, in which the words of one length
are consecutive numbers in the order of the symbols, and all of them follow those of the
shorter lengths. With N_l words of length l, the first of each length is

$$ f_1 = 0, \qquad f_{l+1} = 2 \, (f_l + N_l) $$

    first = 0;  for each length:  first = (first + count[length]) << 1

For example, lengths 2, 2, 2, 3, 3 of the symbols A to E give N_2 = 3, N_3 = 2:

| symbol | length | word | how |
|---|---|---|---|
| A | 2 | 00 | f_2 = 2 (0 + 0) = 0 |
| B | 2 | 01 | the next of length 2 |
| C | 2 | 10 | |
| D | 3 | 110 | f_3 = 2 (0 + 3) = 6 |
| E | 3 | 111 | |

Such a code exists when the words do not need more room than there is (Kraft, 1949):

$$ \sum_l N_l \, 2^{-l} \le 1 $$

    left = 1;  for each length:  left = 2 * left - count[length];  must stay >= 0

`left` counts the words of the current length that are still free. Equality, `left = 0`
at the end, means that every sequence of bits has a meaning. Deflate demands it, with one
exception: a single symbol gets one bit, and the other value of that bit is unused.

The symbols, sorted by length and then by number, are the words in ascending order. With
`count` and this list a word is found by counting along. In the example the list is
A B C D E, and the bits 1 1 0 are read so:

| length l | word | f_l | N_l | word - f_l < N_l? | symbols passed |
|---|---|---|---|---|---|
| 1 | 1 | 0 | 0 | 1 < 0, no | 0 |
| 2 | 11 = 3 | 0 | 3 | 3 < 3, no | 3 |
| 3 | 110 = 6 | 6 | 2 | 0 < 2, yes: number 0 after the 3 passed, D | |

That takes a step per bit. Most words are short, so a table answers for all of up to 10
bits at once: its index is the next 10 bits of the stream, and each entry holds a symbol
and its length. A word of l bits stands in 2^(10-l) entries, one for each way in which the
stream may go on. Words come with their highest bit first, in a stream whose lowest bit is
the next: hence the reversal. With a table for 3 bits, the example would be

    index   000 001 010 011 100 101 110 111      (its lowest bit is the next in the stream)
    symbol   A   C   B   D   A   C   B   E
    length   2   2   2   3   2   2   2   3

An entry is 0 where a longer word begins; then the bits are counted.
*/
enum { DNI_WORD_MAX = 15, DNI_WORD_SHORT = 10, DNI_SYMBOLS = 288 };

typedef struct dni_huffman {
    uint16_t count[DNI_WORD_MAX + 1];     /* N_l: words of each length */
    uint16_t symbol[DNI_SYMBOLS];         /* in the order of their words */
    uint16_t table[1 << DNI_WORD_SHORT];  /* symbol * 16 + length; 0: a longer word */
} dni_huffman;

static unsigned dni_reverse_bits(unsigned word, unsigned length) {
    unsigned reversed = 0;
    for (; length > 0; length--, word >>= 1) reversed = reversed << 1 | (word & 1);
    return reversed;
}

static void dni_huffman_table(dni_huffman *code) {
    unsigned word = 0, index = 0;
    memset(code->table, 0, sizeof code->table);
    for (unsigned length = 1; length <= DNI_WORD_SHORT; length++, word <<= 1) {
        for (unsigned n = 0; n < code->count[length]; n++, word++, index++) {
            const unsigned entry = (unsigned)code->symbol[index] << 4 | length;
            for (unsigned i = dni_reverse_bits(word, length); i < 1u << DNI_WORD_SHORT;
                 i += 1u << length)
                code->table[i] = (uint16_t)entry;
        }
    }
}

/*
Building a code counts the lengths, checks that there are not too many words, and sorts
the symbols: `place[l]` is where the next symbol of length l goes. The result is `left`: 0
for a complete code, more for an incomplete one, less for lengths that no code has.
*/
static int dni_huffman_build(dni_huffman *code, const unsigned char *lengths, unsigned symbols) {
    unsigned place[DNI_WORD_MAX + 2];
    int left = 1;
    memset(code->count, 0, sizeof code->count);
    for (unsigned s = 0; s < symbols; s++) code->count[lengths[s]]++;
    code->count[0] = 0; /* symbols that do not occur */
    place[1] = 0;
    for (unsigned l = 1; l <= DNI_WORD_MAX; l++) {
        left = 2 * left - code->count[l];
        if (left < 0) return left;
        place[l + 1] = place[l] + code->count[l];
    }
    for (unsigned s = 0; s < symbols; s++)
        if (lengths[s] != 0) code->symbol[place[lengths[s]]++] = (uint16_t)s;
    dni_huffman_table(code);
    return left;
}

/*
Usable is a code that is complete; or has a single word, of one bit, so that half of all
words are left; or no word at all, as the distances of a block without matches.
*/
static bool dni_huffman_is_usable(const dni_huffman *code, int left) {
    const int all = 1 << DNI_WORD_MAX;
    return left == 0 || left == all || (left == all / 2 && code->count[1] == 1);
}

/*
Decoding is one look into the table, or the counting shown above. It returns -1 for bits
that are no word, which only an incomplete code can meet.
*/
static int dni_huffman_decode(const dni_huffman *code, dni_bits *bits) {
    const unsigned entry = code->table[bits->held & ((1u << DNI_WORD_SHORT) - 1)];
    if (entry != 0) {
        (void)dni_bits_take(bits, (int)(entry & 15));
        return (int)(entry >> 4);
    }
    unsigned word = 0, first = 0, index = 0;
    for (int length = 1; length <= DNI_WORD_MAX; length++) {
        const unsigned count = code->count[length];
        word |= (unsigned)(bits->held >> (length - 1)) & 1;
        if (word - first < count) {
            (void)dni_bits_take(bits, length);
            return code->symbol[index + word - first];
        }
        index += count;
        first = (first + count) << 1;
        word <<= 1;
    }
    return -1;
}

/*
### Inflate: the output

What is unpacked goes straight into the block in which the data will live; that block is also the
memory into which matches point back, up to 32 KiB. How large must it be? The last four bytes of a
gzip file state the unpacked size (modulo 2^32). They are a hint: the first block has at most 16
times the size of the packed data, and if really more comes out, it is doubled. Deflate cannot
exceed a ratio of 1032, 258 bytes from 2 bits; but a small file can still unpack to gigabytes of
zeroes. Whenever the block is full, the extent function is asked about what stands in it, so that
unpacking stops one block after the data has become longer than its own header says. With P packed
bytes, U bytes unpacked so far, and H what the header says, no request is larger than

$$ \max \bigl( 16 P, \; \min(2 U, H) \bigr) + \text{one block} $$

and both P and U are bytes that exist. An honest file needs one request, of the right size.

All of a match is written without looking at the size of the block again: 258 bytes of room
are made before each symbol.
*/
enum { DNI_MATCH_MAX = 258, DNI_USUAL_RATIO = 16 };

typedef struct dni_inflate {
    dni_bits bits;
    const dni_content *packed;
    unsigned char *output;
    size_t size, capacity; /* bytes unpacked, and room for them */
    size_t member;         /* where the output of this member of the file starts */
    dni_extent extent;
    bool enough;           /* longer than it may be: the rest is of no interest */
    dn_error *error;
    dni_huffman symbols;   /* of bytes, lengths, and the end of a block */
    dni_huffman distances;
} dni_inflate;

static dn_status dni_inflate_fail(const dni_inflate *inflate, dn_status status, const char *why) {
    const dni_bits *bits = &inflate->bits;
    const size_t held = bits->count > 0 ? (size_t)bits->count / 8 : 0;
    const size_t position = (size_t)(bits->next - inflate->packed->bytes) - held;
    return dni_fail(inflate->error, status, "%s: %s at byte %zu, %s", inflate->packed->name,
                    status == DN_ERROR_TRUNCATED ? "truncated: the gzip data ends"
                                                 : "broken gzip data",
                    position, why);
}

/*
Growing stops where the data is known to end, plus the room that the next symbol or block
may need. `enough` tells the caller that it was not a failure of the decoder.
*/
static dn_status dni_inflate_room(dni_inflate *inflate, size_t more) {
    if (inflate->capacity - inflate->size >= more) return DN_OK;
    const size_t limit =
        inflate->extent != NULL ? inflate->extent(inflate->output, inflate->size) : SIZE_MAX;
    inflate->enough = inflate->size > limit;
    if (inflate->enough) return DN_ERROR_FORMAT;
    size_t capacity = 0;
    unsigned char *larger = NULL;
    if (dni_add_sizes(inflate->size, inflate->size, &capacity)) {
        if (capacity > limit) capacity = limit;
        if (dni_add_sizes(capacity, more, &capacity))
            larger = (unsigned char *)dni_grow(inflate->output, inflate->size, capacity);
    }
    if (larger == NULL)
        return dni_fail(inflate->error, DN_ERROR_MEMORY, "%s: no memory to unpack %zu bytes",
                        inflate->packed->name, capacity);
    inflate->output = larger;
    inflate->capacity = capacity;
    return DN_OK;
}

/*
### Inflate: the blocks

The data is a sequence of blocks. One bit says whether a block is the last, two bits say
what it is:

| type | block | contents |
|---|---|---|
| 0 | stored | at a byte boundary: size, its complement (16 bits each), the bytes |
| 1 | fixed | symbols in a code that both sides know |
| 2 | dynamic | the lengths of two codes, then symbols in these |

A symbol below 256 is a byte, 256 ends the block, and 257 to 285 begin a match. Lengths
and distances are written like small floating-point numbers: n, the symbol minus the
first of its kind, holds two bits of mantissa for a length and one for a distance; the
exponent is the number of extra bits that follow. For n large enough that there are any,

$$ \text{length} = 3 + (4 + n \bmod 4) \, 2^e + x, \quad e = \lfloor n/4 \rfloor - 1; \qquad
   \text{distance} = 1 + (2 + n \bmod 2) \, 2^e + x, \quad e = \lfloor n/2 \rfloor - 1 $$

    mantissa bits m:  value = smallest + ((2^m + n % 2^m) << e) + x,  e = (n >> m) - 1,
                      x = the next e bits;   value = smallest + n where e would be < 0

One length is an exception: the last symbol, 285, means 258 (the longest) without extra
bits.

| symbol | n | mantissa bits | e | extra bits | value |
|---|---|---|---|---|---|
| length 257 | 0 | 2 | none | | 3 |
| length 265 | 8 | 2 | 1 | x | 3 + (4 + 0) 2 + x = 11 or 12 |
| length 280 | 23 | 2 | 4 | xxxx | 3 + (4 + 3) 16 + x = 115 .. 130 |
| distance 4 | 4 | 1 | 1 | x | 1 + (2 + 0) 2 + x = 5 or 6 |
| distance 29 | 29 | 1 | 13 | 13 | 1 + (2 + 1) 8192 + x = 24577 .. 32768 |
*/
static unsigned dni_inflate_number(dni_bits *bits, unsigned n, unsigned mantissa,
                                   unsigned smallest) {
    if (n < 2u << mantissa) return smallest + n;
    const unsigned exponent = (n >> mantissa) - 1;
    const unsigned leading = (1u << mantissa) + (n & ((1u << mantissa) - 1));
    return smallest + (leading << exponent) + dni_bits_take(bits, (int)exponent);
}

/*
A distance smaller than the length repeats what is being written: the match (5, 2) after
"ab" appends "ababa". So the bytes go one by one, unless there is a quicker way. The dark
margins of MNIST's digits are long matches of distance 1.
*/
static void dni_inflate_copy(unsigned char *to, size_t distance, size_t length) {
    const unsigned char *from = to - distance;
    if (distance >= length)
        memcpy(to, from, length);
    else if (distance == 1)
        memset(to, *from, length);
    else
        while (length-- > 0) *to++ = *from++;
}

/*
Here is a whole block, made by hand: "abababa" in the fixed code, in which the bytes up to
143 have the eight-bit words 0x30 + byte, the length symbols to 279 the seven-bit words from
0 on, and all distances five bits.

| bits, in the order of the stream | meaning |
|---|---|
| 1 | this is the last block |
| 1 0 | type 1 (lowest bit first): fixed |
| 1 0 0 1 0 0 0 1 | 0x30 + 97: "a" |
| 1 0 0 1 0 0 1 0 | 0x30 + 98: "b" |
| 0 0 0 0 0 1 1 | symbol 256 + 3 = 259: n = 2, length 5 |
| 0 0 0 0 1 | distance symbol 1: distance 2, so "ababa" |
| 0 0 0 0 0 0 0 | symbol 256: the end |

Eight at a time, each byte from its lowest bit, they are 4b 4c 02 43 00.

The loop below is where the time goes. The bits are worked on in a local copy, which a
compiler can keep in registers while bytes are written. Whether the bits sufficed is
asked once for a literal and twice for a match, always before anything is done with
what was read.
*/
static dn_status dni_inflate_symbols(dni_inflate *inflate) {
    static const char ends[] = "inside a block; fetch the file again";
    dni_bits bits = inflate->bits;
    for (;;) {
        dn_status status = dni_inflate_room(inflate, DNI_MATCH_MAX);
        if (status != DN_OK) return status;
        dni_bits_fill(&bits);
        const int symbol = dni_huffman_decode(&inflate->symbols, &bits);
        if (symbol >= 0 && symbol < 256 && bits.count >= 0) {
            inflate->output[inflate->size++] = (unsigned char)symbol;
            continue;
        }
        inflate->bits = bits;
        if (bits.count < 0) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
        if (symbol == 256) return DN_OK;
        if (symbol < 0 || symbol > 285)
            return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "no code has these bits");
        unsigned length = DNI_MATCH_MAX;
        if (symbol < 285) length = dni_inflate_number(&bits, (unsigned)symbol - 257, 2, 3);
        const int far_symbol = dni_huffman_decode(&inflate->distances, &bits);
        if (bits.count >= 0 && far_symbol < 0)
            return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "no distance has these bits");
        const unsigned distance =
            bits.count < 0 ? 0 : dni_inflate_number(&bits, (unsigned)far_symbol, 1, 1);
        inflate->bits = bits;
        if (bits.count < 0) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
        if (distance > inflate->size - inflate->member)
            return dni_inflate_fail(inflate, DN_ERROR_FORMAT,
                                    "a match points before the beginning of the data");
        dni_inflate_copy(inflate->output + inflate->size, distance, length);
        inflate->size += length;
    }
}

/*
A dynamic block sends the lengths of its two codes as one sequence, which is itself
packed: a third code, of at most 19 symbols, spells it. The lengths of the third code come
first, in 3 bits each, those first that are used most.

| symbol of the third code | stands for | extra bits |
|---|---|---|
| 0 .. 15 | this length | |
| 16 | the length before, 3 to 6 times | 2 |
| 17 | 3 to 10 zeroes | 3 |
| 18 | 11 to 138 zeroes | 7 |

A repetition may run from the first code's lengths into those of the second, but not
beyond their end. The third code stands where the first will be built: it is not
needed any more when the lengths are known.
*/
static dn_status dni_inflate_lengths(dni_inflate *inflate, const dni_huffman *code,
                                     unsigned char *lengths, unsigned wanted) {
    dni_bits *bits = &inflate->bits;
    unsigned done = 0;
    while (done < wanted) {
        dni_bits_fill(bits);
        const int symbol = dni_huffman_decode(code, bits);
        unsigned char length = symbol < 16 ? (unsigned char)symbol : 0;
        unsigned times = 1;
        if (symbol == 16) {
            if (done == 0)
                return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "nothing to repeat at the start");
            length = lengths[done - 1];
            times = 3 + dni_bits_take(bits, 2);
        } else if (symbol == 17) {
            times = 3 + dni_bits_take(bits, 3);
        } else if (symbol == 18) {
            times = 11 + dni_bits_take(bits, 7);
        }
        if (bits->count < 0)
            return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, "inside a block's codes");
        if (times > wanted - done)
            return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "more code lengths than announced");
        memset(lengths + done, length, times);
        done += times;
    }
    return DN_OK;
}

/*
The header of a dynamic block is three small numbers: how many lengths the first code has
(257 to 286), the second (1 to 30), and the third (4 to 19). All three codes are checked
before a symbol is read with them, so that the loop above needs no check of its tables. A
block that has no word for its own end would never end.
*/
static dn_status dni_inflate_dynamic(dni_inflate *inflate) {
    static const unsigned char order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                            11, 4,  12, 3, 13, 2, 14, 1, 15};
    dni_bits *bits = &inflate->bits;
    unsigned char lengths[286 + 30];
    dni_bits_fill(bits);
    const unsigned symbols = 257 + dni_bits_take(bits, 5);
    const unsigned distances = 1 + dni_bits_take(bits, 5);
    const unsigned sent = 4 + dni_bits_take(bits, 4);
    if (bits->count >= 0 && (symbols > 286 || distances > 30))
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "more symbols than there are");
    memset(lengths, 0, sizeof lengths);
    for (unsigned i = 0; i < sent && bits->count >= 0; i++) {
        dni_bits_fill(bits);
        lengths[order[i]] = (unsigned char)dni_bits_take(bits, 3);
    }
    if (bits->count < 0)
        return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, "at the start of a block");
    if (dni_huffman_build(&inflate->symbols, lengths, 19) != 0)
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "the code of the lengths is no code");
    dn_status status =
        dni_inflate_lengths(inflate, &inflate->symbols, lengths, symbols + distances);
    if (status != DN_OK) return status;
    if (lengths[256] == 0)
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "a block that has no code for its end");
    int left = dni_huffman_build(&inflate->symbols, lengths, symbols);
    if (!dni_huffman_is_usable(&inflate->symbols, left))
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "the code of the symbols is no code");
    left = dni_huffman_build(&inflate->distances, lengths + symbols, distances);
    if (!dni_huffman_is_usable(&inflate->distances, left))
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "the code of the distances is no code");
    return dni_inflate_symbols(inflate);
}

/*
The fixed code is defined by its lengths, like any other: 8 bits for the bytes to 143, 9
for the others, 7 for the end and the short lengths, 8 for the long ones. Two of its 288
symbols and two of the 32 distances mean nothing. It is built anew for every such
block; packers use it for short data only.
*/
static dn_status dni_inflate_fixed(dni_inflate *inflate) {
    unsigned char lengths[DNI_SYMBOLS];
    memset(lengths, 8, 144);
    memset(lengths + 144, 9, 256 - 144);
    memset(lengths + 256, 7, 280 - 256);
    memset(lengths + 280, 8, DNI_SYMBOLS - 280);
    (void)dni_huffman_build(&inflate->symbols, lengths, DNI_SYMBOLS);
    memset(lengths, 5, 30);
    (void)dni_huffman_build(&inflate->distances, lengths, 30);
    return dni_inflate_symbols(inflate);
}

/*
What does not shrink is stored. Its size comes twice, the second time with all bits
inverted, so that a decoder that has lost its way finds out. The bytes may be fewer than
announced; they are counted before room is made for them.
*/
static dn_status dni_inflate_stored(dni_inflate *inflate) {
    dni_bits *bits = &inflate->bits;
    dni_bits_align(bits);
    dni_bits_fill(bits);
    const unsigned size = dni_bits_take(bits, 16), complement = dni_bits_take(bits, 16);
    if (bits->count >= 0 && size + complement != 0xffff)
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "a stored block contradicts its size");
    if (bits->count >= 0) dni_bits_align(bits);
    if (bits->count < 0 || size > (size_t)(bits->end - bits->next))
        return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, "inside a stored block");
    dn_status status = dni_inflate_room(inflate, size);
    if (status != DN_OK) return status;
    memcpy(inflate->output + inflate->size, bits->next, size);
    inflate->size += size;
    bits->next += size;
    return DN_OK;
}

/* One block after the other, up to the one that says that it is the last. */
static dn_status dni_inflate_blocks(dni_inflate *inflate) {
    dni_bits *bits = &inflate->bits;
    dn_status status = DN_OK;
    bool last = false;
    while (!last && status == DN_OK) {
        dni_bits_fill(bits);
        last = dni_bits_take(bits, 1) != 0;
        const unsigned type = dni_bits_take(bits, 2);
        if (bits->count < 0)
            return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, "at the start of a block");
        switch (type) {
        case 0: status = dni_inflate_stored(inflate); break;
        case 1: status = dni_inflate_fixed(inflate); break;
        case 2: status = dni_inflate_dynamic(inflate); break;
        default: return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "a block of type 3");
        }
    }
    return status;
}

/*
### gzip: wrapping and checksum

A gzip file (RFC 1952, Deutsch, 1996) is one or more *members*, one behind the other;
unpacked, they are joined. All numbers have their lowest byte first.

| bytes | what |
|---|---|
| 2 | magic, 1f 8b |
| 1 | method, 8 = deflate |
| 1 | flags: 1 text, 2 header checksum, 4 extra field, 8 name, 16 comment |
| 6 | time, level, system |
| 2 + n | with flag 4: n and the extra field |
| to a zero byte | with flag 8: the name of the file; with flag 16: a comment |
| 2 | with flag 2: the lower half of the CRC-32 of all header bytes so far |
| ... | deflate blocks |
| 4, 4 | CRC-32 of the unpacked bytes, and their number modulo 2^32 |

The block made by hand above, as a file:

    1f 8b 08 00  00 00 00 00  00 ff    magic, method, no flags, no time, level, any system
    4b 4c 02 43  00                    "abababa"
    f7 ae 87 e4  07 00 00 00           CRC-32 e487aef7, 7 bytes

The checksum treats the bytes as one long polynomial over the field of two elements (bits
are coefficients, plus is exclusive or) and is its remainder on division by a fixed
polynomial of degree 32 (Peterson and Brown, 1961). It finds every damage that is confined
to 32 neighbouring bits, and others but for one in 2^32.

$$ r(x) = M(x) \cdot x^{32} \bmod P(x) $$

    per bit:  r = r & 1 ? r >> 1 ^ 0xedb88320 : r >> 1     (the lowest bit is x^31)

It is the long division of school without carries: a bit that leaves at the low end is a
term of degree 32, and P is subtracted (exclusive or) to remove it. The number 0xedb88320 is
P without its highest term, its coefficients written from the lowest degree to the highest.
The remainder starts from all ones, so that zeroes at the beginning count, and is inverted
at the end.

Division is linear: the remainder of a sum is the sum of the remainders, so that what 8 bits do to
the remainder can be looked up, and that of four bytes independently: `table[k][b]` is what the
byte b does when k more bytes follow it. From
`table[k - 1]` to `table[k]` one more zero byte is divided.

    r ^= four bytes;
    r = table[3][first] ^ table[2][second] ^ table[1][third] ^ table[0][fourth]

Four independent looks instead of four that wait for each other. The tables are made for each file:
the library keeps nothing global.
*/
typedef struct dni_crc {
    uint32_t table[4][256];
} dni_crc;

static void dni_crc_init(dni_crc *crc) {
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t r = byte;
        for (int bit = 0; bit < 8; bit++) r = (r & 1) != 0 ? r >> 1 ^ UINT32_C(0xedb88320) : r >> 1;
        crc->table[0][byte] = r;
    }
    for (int k = 1; k < 4; k++)
        for (int byte = 0; byte < 256; byte++) {
            const uint32_t before = crc->table[k - 1][byte];
            crc->table[k][byte] = before >> 8 ^ crc->table[0][before & 255];
        }
}

/* The CRC of what `before` is the CRC of (0: of nothing), followed by these bytes. */
static uint32_t dni_crc_add(const dni_crc *crc, uint32_t before, const unsigned char *bytes,
                            size_t size) {
    uint32_t r = before ^ UINT32_C(0xffffffff);
    for (; size >= 4; size -= 4, bytes += 4) {
        r ^= dni_four_bytes(bytes);
        r = crc->table[3][r & 255] ^ crc->table[2][r >> 8 & 255] ^ crc->table[1][r >> 16 & 255] ^
            crc->table[0][r >> 24];
    }
    for (; size > 0; size--, bytes++) r = r >> 8 ^ crc->table[0][(r ^ *bytes) & 255];
    return r ^ UINT32_C(0xffffffff);
}

static uint32_t dni_crc_of(const dni_crc *crc, const unsigned char *bytes, size_t size) {
    return dni_crc_add(crc, 0, bytes, size);
}

/*
The header has up to four optional fields, in the order of the table. Only the header
checksum means something to us; the others are stepped over. Undefined flags may announce
fields of unknown length, so that nothing behind them could be found: they are an error.
*/
static dn_status dni_gzip_header(dni_inflate *inflate, const dni_crc *crc) {
    const unsigned char *start = inflate->bits.next, *next = start, *end = inflate->bits.end;
    const char *ends = "inside the gzip header";
    if (end - start < 10) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
    const unsigned flags = start[3];
    if (start[2] != 8)
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "its method is not 8 (deflate)");
    if ((flags & 0xe0) != 0)
        return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "flags that nobody has defined");
    next += 10;
    if ((flags & 4) != 0) {
        if (end - next < 2) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
        const ptrdiff_t extra = next[0] + 256 * next[1];
        if (end - next < 2 + extra) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
        next += 2 + extra;
    }
    for (unsigned flag = 8; flag <= 16; flag *= 2) {
        if ((flags & flag) == 0) continue;
        while (next < end && *next != 0) next++;
        if (next == end) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
        next++;
    }
    if ((flags & 2) != 0) {
        if (end - next < 2) return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, ends);
        const uint32_t stated = (uint32_t)next[0] | (uint32_t)next[1] << 8;
        if ((dni_crc_of(crc, start, (size_t)(next - start)) & 0xffff) != stated)
            return dni_inflate_fail(inflate, DN_ERROR_CHECKSUM, "wrong checksum of the header");
        next += 2;
    }
    inflate->bits.next = next;
    return DN_OK;
}

/*
The trailer is compared with what was unpacked. The checksum comes first: it catches all that
the length would catch, and it is the better explanation of a file that was damaged on its
way.
*/
static dn_status dni_gzip_trailer(dni_inflate *inflate, const dni_crc *crc) {
    const size_t size = inflate->size - inflate->member;
    dni_bits_align(&inflate->bits);
    if (inflate->bits.end - inflate->bits.next < 8)
        return dni_inflate_fail(inflate, DN_ERROR_TRUNCATED, "inside the final checksum");
    const uint32_t stated_crc = dni_four_bytes(inflate->bits.next);
    const uint32_t stated_size = dni_four_bytes(inflate->bits.next + 4);
    const uint32_t real_crc = dni_crc_of(crc, inflate->output + inflate->member, size);
    const char *name = inflate->packed->name;
    if (real_crc != stated_crc)
        return dni_fail(inflate->error, DN_ERROR_CHECKSUM,
                        "%s: damaged: CRC-32 of the unpacked data is %08lx, expected %08lx", name,
                        (unsigned long)real_crc, (unsigned long)stated_crc);
    if ((uint32_t)size != stated_size)
        return dni_fail(inflate->error, DN_ERROR_CHECKSUM,
                        "%s: damaged: unpacked to %zu bytes, expected %lu (modulo 2^32)", name,
                        size, (unsigned long)stated_size);
    inflate->bits.next += 8;
    return DN_OK;
}

/*
Behind a trailer the file ends or the next member begins; each is checked by itself, and its matches
must not reach into the one before. Some programs fill the last block of a medium with zeroes. We do
not accept them: whoever has something behind the data should know.
*/
static bool dni_is_gzip(const unsigned char *bytes, size_t size) {
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

static dn_status dni_gzip_members(dni_inflate *inflate, const dni_crc *crc) {
    dn_status status = DN_OK;
    const dni_bits *bits = &inflate->bits;
    while (status == DN_OK && bits->next < bits->end) {
        if (!dni_is_gzip(bits->next, (size_t)(bits->end - bits->next)))
            return dni_inflate_fail(inflate, DN_ERROR_FORMAT, "garbage behind the end of the data");
        inflate->member = inflate->size;
        status = dni_gzip_header(inflate, crc);
        if (status == DN_OK) status = dni_inflate_blocks(inflate);
        if (status == DN_OK) status = dni_gzip_trailer(inflate, crc);
    }
    return status;
}

/*
All together: gzip data is replaced by what it unpacks to. On failure the content stays as
it was. When unpacking was stopped because there was more than the header allows, that is no
failure of gzip; the reader of the format will find the surplus and say it better.

The decoder's state, tables included, is 10 KB on the stack.
*/
static dn_status dni_gzip_unpack(dni_content *content, dni_extent extent, dn_error *error) {
    dni_inflate inflate;
    dni_crc crc;
    memset(&inflate, 0, sizeof inflate);
    dni_crc_init(&crc);
    inflate.packed = content;
    inflate.bits.next = content->bytes;
    inflate.bits.end = content->bytes + content->size;
    inflate.extent = extent;
    inflate.error = error;
    size_t most = SIZE_MAX, first = 0;
    if (content->size >= 4) first = dni_four_bytes(inflate.bits.end - 4);
    if (dni_multiply_sizes(content->size, DNI_USUAL_RATIO, &most) && first > most) first = most;
    inflate.capacity = first + DNI_MATCH_MAX;
    inflate.output = (unsigned char *)dni_allocate(inflate.capacity, 1);
    if (inflate.output == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory to unpack %zu bytes", content->name,
                        inflate.capacity);
    dn_status status = dni_gzip_members(&inflate, &crc);
    if (inflate.enough) status = DN_OK; /* the reader of the format will say what is wrong */
    if (status != DN_OK) {
        dni_release(inflate.output);
        return status;
    }
    dni_release(content->owned);
    content->bytes = content->owned = inflate.output;
    content->size = inflate.size;
    return DN_OK;
}

/*
*How we know:* `tests/test_gzip.c` holds small streams, written by hand
bit by bit, for each kind of block and for each error; it cuts and damages a file at every
byte, unpacks what the system's gzip packed at each of its levels (a few megabytes, some of
them incompressible) and compares. `tests/fuzz/fuzz_idx.c` is a target for libFuzzer.
*/

/*
### IDX: an array in a file

LeCun's format for MNIST (1998) is the plainest way to write an array down. All numbers
have their highest byte first.

| bytes | what | MNIST's training images |
|---|---|---|
| 2 | zero | 00 00 |
| 1 | type of the elements | 08, unsigned byte |
| 1 | rank: how many sizes follow | 03 |
| 4 each | sizes, the slowest index first | 60000, 28, 28 |
| the rest | the elements, row-major | 47,040,000 bytes |

| code | element | bytes |
|---|---|---|
| 08, 09 | unsigned and signed byte | 1 |
| 0b, 0c | signed integer | 2, 4 |
| 0d, 0e | IEEE 754 number | 4, 8 |

The matrix with rows (1, 2, 3) and (4, 5, 500), as 16-bit integers, is these 24 bytes:

    00 00 0b 02                   type 0b, rank 2
    00 00 00 02  00 00 00 03      2 x 3
    00 01 00 02  00 03 00 04  00 05 01 f4

A file that is no IDX file is most often a known other thing: an error page, an archive
that has not been unpacked, another format of arrays. To name it saves its owner an hour.
HTML may begin with blank lines or a byte order mark, and may be in capitals: these are
skipped, and case is ignored.
*/
static const char *dni_recognise(const unsigned char *bytes, size_t size) {
    static const struct {
        const char *start, *what;
    } known[] = {
        {"<!doctype", "an HTML page; the download went wrong"},
        {"<html", "an HTML page; the download went wrong"},
        {"<?xml", "an XML page; the download went wrong"},
        {"version https://git-lfs", "a Git LFS pointer; fetch the file itself"},
        {"\x93NUMPY", "a NumPy array; save it as IDX"},
        {"PK\x03\x04", "a zip archive; unpack it first"},
        {"BZh", "bzip2 data; unpack it first"},
        {"\xfd\x37zXZ", "xz data; unpack it first"},
        {"\x28\xb5\x2f\xfd", "zstd data; unpack it first"},
        {"\x1f\x8b", "gzip inside gzip; unpack it once"},
        {"\x89PNG", "a PNG picture"},
        {"\xff\xd8\xff", "a JPEG picture"},
        {"\x89HDF", "an HDF5 file"},
    };
    while (size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) bytes += 3, size -= 3; /* UTF-8 */
    while (size > 0 && (*bytes == ' ' || (*bytes >= '\t' && *bytes <= '\r'))) bytes++, size--;
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        const char *start = known[k].start;
        size_t i = 0;
        for (; start[i] != '\0' && i < size; i++) {
            const unsigned char wanted = (unsigned char)start[i];
            const bool letter = bytes[i] >= 'A' && bytes[i] <= 'Z'; /* case is ignored */
            if (bytes[i] != wanted && !(letter && bytes[i] + ('a' - 'A') == wanted)) break;
        }
        if (start[i] == '\0') return known[k].what;
    }
    return NULL;
}

static dn_status dni_not_idx(const dni_content *content, dn_error *error) {
    const unsigned char *bytes = content->bytes;
    const char *what = dni_recognise(bytes, content->size);
    char start[4 * 3 + 1] = "";
    for (size_t i = 0; i < 4 && i < content->size; i++)
        (void)snprintf(start + 3 * i, 4, " %02x", (unsigned)bytes[i]);
    if (what == NULL && content->size >= 4 && bytes[1] == 8 && bytes[2] == 0 && bytes[3] == 0)
        what = "IDX with the lowest byte first; it must be the highest";
    return dni_fail(error, DN_ERROR_FORMAT, "%s: no IDX file: it starts with%s, %s%s",
                    content->name, start, what != NULL ? "like " : "expected 00 00, type, rank",
                    what != NULL ? what : "");
}

/*
The header is read in full before any of it is used. The product of the sizes is formed
with the overflow check of chapter 1:

$$ \text{bytes} = 4 + 4 r + s \prod_{i=1}^{r} n_i $$

    whole = 4 + 4 * rank + element_size * sizes[0] * sizes[1] * ...

65536^4 elements are 2^64, which in 64 bits is 0: an unchecked product would be content
with an empty file, and whoever then trusts the sizes reads far beyond it. Rank 0 is one
element, the empty product.
*/
static uint32_t dni_big_endian_32(const unsigned char *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | (uint32_t)b[3];
}

static size_t dni_idx_element_size(unsigned type) {
    switch (type) {
    case DN_IDX_UINT8: case DN_IDX_INT8: return 1;
    case DN_IDX_INT16: return 2;
    case DN_IDX_INT32: case DN_IDX_FLOAT32: return 4;
    case DN_IDX_FLOAT64: return 8;
    default: return 0;
    }
}

/*
A header may be cut at every byte; what is there is checked in the order of the table, so
that a short file of another format is named rather than called truncated.
*/
static dn_status dni_idx_header(const dni_content *content, dn_idx *array, size_t *whole,
                                dn_error *error) {
    const unsigned char *bytes = content->bytes;
    const size_t size = content->size;
    memset(array, 0, sizeof *array);
    if (size == 0)
        return dni_fail(error, DN_ERROR_TRUNCATED, "%s: empty, expected IDX data", content->name);
    if (bytes[0] != 0 || (size > 1 && bytes[1] != 0)) return dni_not_idx(content, error);
    if (size > 2 && dni_idx_element_size(bytes[2]) == 0)
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: byte 2: element type %02x, expected 08, 09, 0b, 0c, 0d or 0e",
                        content->name, (unsigned)bytes[2]);
    if (size > 3 && bytes[3] > DN_IDX_MAX_RANK)
        return dni_fail(error, DN_ERROR_TOO_LARGE, "%s: byte 3: rank %u, expected at most %d",
                        content->name, (unsigned)bytes[3], DN_IDX_MAX_RANK);
    const size_t header = size > 3 ? 4 + 4 * (size_t)bytes[3] : 4;
    if (size < header)
        return dni_fail(error, DN_ERROR_TRUNCATED,
                        "%s: truncated: ends at byte %zu, inside the %zu bytes of the header",
                        content->name, size, header);
    array->type = (dn_idx_type)bytes[2];
    array->element_size = dni_idx_element_size(bytes[2]);
    array->rank = bytes[3];
    array->count = 1;
    bool fits = true;
    for (size_t i = 0; i < array->rank; i++) {
        array->sizes[i] = dni_big_endian_32(bytes + 4 + 4 * i);
        fits = fits && dni_multiply_sizes(array->count, array->sizes[i], &array->count);
    }
    if (!fits || !dni_multiply_sizes(array->count, array->element_size, whole) ||
        !dni_add_sizes(*whole, header, whole))
        return dni_fail(error, DN_ERROR_TOO_LARGE, "%s: the product of the sizes is too large",
                        content->name);
    return DN_OK;
}

/*
The extent function of this format answers "any number" while the header is not complete, and
for gzip, whose extent is not known before it is unpacked; 0 for what is no IDX file; else the
length of the file.
*/
static size_t dni_idx_extent(const unsigned char *bytes, size_t size) {
    dni_content content;
    dn_idx array;
    size_t whole = 0;
    if (size < 4 || dni_is_gzip(bytes, size)) return SIZE_MAX;
    memset(&content, 0, sizeof content);
    content.bytes = bytes;
    content.size = size;
    content.name = ""; /* nobody is told */
    const dn_status status = dni_idx_header(&content, &array, &whole, NULL);
    if (status == DN_ERROR_TRUNCATED) return SIZE_MAX;
    return status == DN_OK ? whole : 0;
}

/*
Elements of one byte stay where they are, behind the header; the array points into the
file's bytes. Larger ones are put into the order of this machine. Each is assembled from
its bytes by shifts, which mean the same everywhere, and stored at the front of the same
block, where it is also aligned.

    file's bytes:  | header, h bytes | e0 | e1 | e2 | ...
    the array:     | e0 | e1 | e2 | ...

Element i of s bytes is written to is .. is + s, while the elements that have not been read
begin at h + (i + 1) s: nothing is overwritten before it was read.
*/
static void dni_idx_elements(const unsigned char *from, size_t count, size_t element_size,
                             unsigned char *to) {
    for (size_t i = 0; i < count; i++, from += element_size, to += element_size) {
        const uint32_t high = element_size == 2 ? 0 : dni_big_endian_32(from);
        if (element_size == 2) {
            const uint16_t element = (uint16_t)(from[0] << 8 | from[1]);
            memcpy(to, &element, 2);
        } else if (element_size == 4) {
            memcpy(to, &high, 4);
        } else {
            const uint64_t element = (uint64_t)high << 32 | dni_big_endian_32(from + 4);
            memcpy(to, &element, 8);
        }
    }
}

/* Too few bytes and too many are different mistakes; both messages show the sizes. */
static dn_status dni_idx_check_size(const dni_content *content, const dn_idx *array, size_t whole,
                                    dn_error *error) {
    char shape[DN_IDX_MAX_RANK * 12 + 3] = "[";
    for (size_t i = 0; i < array->rank; i++) {
        const size_t used = strlen(shape);
        (void)snprintf(shape + used, sizeof shape - used, "%s%zu", i == 0 ? "" : ", ",
                       array->sizes[i]);
    }
    if (content->size < whole)
        return dni_fail(error, DN_ERROR_TRUNCATED,
                        "%s: truncated: ends at byte %zu of the %zu that its header %s] needs",
                        content->name, content->size, whole, shape);
    if (content->size > whole)
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: garbage behind byte %zu, where its header %s] ends",
                        content->name, whole, shape);
    return DN_OK;
}

/*
An array is made of a file's contents in four steps: unpack, read the header, compare with
the size, put the elements in order. It takes over the content's block, or frees it when a
step fails; if the bytes are the caller's, it takes a block of its own, now that the
size is known to be true.
*/
static dn_status dni_idx_take(dni_content *content, dn_idx *array, dn_error *error) {
    dn_status status = DN_OK;
    size_t whole = 0;
    memset(array, 0, sizeof *array);
    if (dni_is_gzip(content->bytes, content->size))
        status = dni_gzip_unpack(content, dni_idx_extent, error);
    if (status == DN_OK) status = dni_idx_header(content, array, &whole, error);
    if (status == DN_OK) status = dni_idx_check_size(content, array, whole, error);
    unsigned char *block = content->owned;
    const size_t bytes = status == DN_OK ? array->count * array->element_size : 0;
    if (status == DN_OK && block == NULL) {
        block = (unsigned char *)dni_allocate(bytes, 1);
        if (block == NULL)
            status = dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for %zu bytes", content->name,
                              bytes);
    }
    if (status != DN_OK) {
        dni_release(content->owned);
        memset(array, 0, sizeof *array);
        return status;
    }
    const unsigned char *from = content->bytes + (whole - bytes);
    array->data = array->owned = block;
    if (array->element_size > 1)
        dni_idx_elements(from, array->count, array->element_size, block);
    else if (content->owned == NULL)
        memcpy(block, from, bytes);
    else
        array->data = block + (whole - bytes);
    return DN_OK;
}

static dn_status dni_idx_from_memory(dn_idx *array, const void *bytes, size_t size,
                                     const char *name, dn_error *error) {
    dni_content content;
    memset(&content, 0, sizeof content);
    content.name = name;
    content.bytes = (const unsigned char *)bytes;
    content.size = bytes != NULL ? size : 0;
    return dni_idx_take(&content, array, error);
}

static dn_status dni_idx_from_reader(dn_idx *array, const dn_reader *reader, size_t expected,
                                     dn_error *error) {
    dni_content content;
    memset(array, 0, sizeof *array);
    const dn_status status = dni_read_all(reader, expected, dni_idx_extent, &content, error);
    return status == DN_OK ? dni_idx_take(&content, array, error) : status;
}

DN_API dn_status dn_idx_memory(dn_idx *array, const void *bytes, size_t size, dn_error *error) {
    return dni_idx_from_memory(array, bytes, size, "the array in memory", error);
}

DN_API dn_status dn_idx_read(dn_idx *array, const dn_reader *reader, dn_error *error) {
    return dni_idx_from_reader(array, reader, 0, error);
}

DN_API void dn_idx_free(dn_idx *array) {
    dni_release(array->owned);
    memset(array, 0, sizeof *array);
}

#ifndef DN_NO_STDIO
DN_API dn_status dn_idx_load(dn_idx *array, const char *name, dn_error *error) {
    memset(array, 0, sizeof *array);
    if (name == NULL) return dni_fail(error, DN_ERROR_ARGUMENT, "no file name was given");
    char *opened = (char *)dni_allocate(strlen(name) + 4, 1);
    if (opened == NULL) return dni_fail(error, DN_ERROR_MEMORY, "no memory for a file name");
    FILE *file = NULL;
    dn_status status = dni_file_open(name, opened, &file, error);
    if (status == DN_OK) {
        dn_reader reader;
        reader.read = dni_file_read;
        reader.user = file;
        reader.name = opened;
        status = dni_idx_from_reader(array, &reader, dni_file_size(file), error);
        (void)fclose(file);
    }
    dni_release(opened);
    return status;
}
#endif

/*
*How we know:* `tests/test_idx.c` reads arrays of every type and of rank
0 to 8, compares each element, and reads each file cut at every byte. Headers that lie
(sizes whose product overflows, 2^31 x 2^31 pictures, a rank of 255) must fail without one
allocation larger than what was really delivered.

### Data sets that own, and views

A data set is a description: pointers to samples, labels and targets, and how to read
them. Copying the description is cheap, so a part of a data set, or the same set in another
order, is a *view*: the same pointers, moved or with an order, and nothing to free. What a
data set owns is remembered apart from what it points at, in a slot for each kind; a view
has empty slots.

    train:       bytes --> [ 60,000 rows of 784 bytes ]    owned: samples, labels
                              ^
    validation:  bytes -------+ (row 50,000)               owned: nothing

An operation may also be done in place (the result is the data set itself): then it keeps
its slots, and what is replaced is freed.

| slot | filled by |
|---|---|
| samples, labels | load, memory, read |
| order | split, when shuffled |
| targets | one_hot |
| scale: mean, then deviation | standardize |
*/
enum { DNI_OWN_SAMPLES, DNI_OWN_LABELS, DNI_OWN_ORDER, DNI_OWN_TARGETS, DNI_OWN_SCALE };

DN_API void dn_dataset_free(dn_dataset *data) {
    for (size_t slot = 0; slot < sizeof data->owned / sizeof data->owned[0]; slot++)
        dni_release(data->owned[slot]);
    memset(data, 0, sizeof *data);
}

/*
To borrow is to copy the description without the slots. To own is to put a block into a slot,
where it takes the place of the one before.
*/
static void dni_dataset_borrow(const dn_dataset *data, dn_dataset *view) {
    if (view == data) return;
    *view = *data;
    memset(view->owned, 0, sizeof view->owned);
}

static void dni_dataset_own(dn_dataset *data, int slot, void *memory) {
    dni_release(data->owned[slot]);
    data->owned[slot] = memory;
}

/*
### Data sets from files

Images and labels are two arrays that must fit together. What can be wrong with each file
by itself has been seen above; here remain the mistakes of putting them together: other
numbers of images and labels, the two interchanged, labels that are no classes. The
largest label says how many classes there are, except that ten are assumed for pictures
whose labels do not exceed nine: a subset of MNIST without a nine still has its class.

| images | labels | verdict |
|---|---|---|
| [60000, 28, 28] bytes | [60000] integers | pictures with classes |
| [60000, 784] bytes | [60000] integers | rows of features with classes |
| [60000, 28, 28] bytes | [10000] integers | different numbers of samples |
| [60000] bytes | [60000, 28, 28] bytes | swapped? |
| [60000, 28, 28] floats | any | not bytes: read them with `dn_idx_load` |
| [0, 28, 28] bytes | any | no samples |
*/
static dn_status dni_check_images(const dn_idx *images, const char *name, dn_error *error) {
    if (images->rank < 2)
        return dni_fail(error, DN_ERROR_SHAPE,
                        "%s: rank %zu, expected images of rank 2 or more; are images and labels "
                        "swapped?", name, images->rank);
    if (images->type != DN_IDX_UINT8)
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: element type %02x, expected 08 (unsigned bytes); dn_idx_load reads "
                        "the others", name, (unsigned)images->type);
    if (images->count == 0)
        return dni_fail(error, DN_ERROR_SHAPE, "%s: no samples: a size in its header is 0", name);
    return DN_OK;
}

/*
Labels are bytes in MNIST, but 16 and 32 bits are used where there are more classes. They are
copied into the 32-bit integers that training uses; the smallest and the largest decide
whether all are classes.
*/
static int32_t dni_idx_integer(const dn_idx *array, size_t i) {
    const unsigned char *element = (const unsigned char *)array->data + i * array->element_size;
    int16_t two;
    int32_t four;
    switch (array->type) {
    case DN_IDX_UINT8: return *element;
    case DN_IDX_INT8: return *element < 128 ? *element : *element - 256;
    case DN_IDX_INT16: memcpy(&two, element, 2); return two;
    default: memcpy(&four, element, 4); return four;
    }
}

static dn_status dni_take_labels(dn_dataset *data, const dn_idx *labels, const char *images_name,
                                 const char *name, dn_error *error) {
    if (labels->rank != 1)
        return dni_fail(error, DN_ERROR_SHAPE,
                        "%s: rank %zu, expected labels of rank 1; are images and labels swapped?",
                        name, labels->rank);
    if (labels->type == DN_IDX_FLOAT32 || labels->type == DN_IDX_FLOAT64)
        return dni_fail(error, DN_ERROR_FORMAT, "%s: element type %02x, expected integer labels",
                        name, (unsigned)labels->type);
    if (labels->count != data->count)
        return dni_fail(error, DN_ERROR_SHAPE, "%s has %zu samples, but %s has %zu labels",
                        images_name, data->count, name, labels->count);
    int32_t *copy = (int32_t *)dni_allocate(labels->count, sizeof *copy);
    if (copy == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for %zu labels", name,
                        labels->count);
    dni_dataset_own(data, DNI_OWN_LABELS, copy);
    data->labels = copy;
    int32_t largest = 0;
    for (size_t i = 0; i < labels->count; i++) {
        copy[i] = dni_idx_integer(labels, i);
        if (copy[i] < 0)
            return dni_fail(error, DN_ERROR_LABEL, "%s: label %ld of sample %zu is negative", name,
                            (long)copy[i], i);
        if (copy[i] > largest) largest = copy[i];
    }
    data->classes = (size_t)largest + 1;
    if (data->height > 0 && data->classes < 10) data->classes = 10;
    return DN_OK;
}

/*
The data set takes the block of the images over and points into it; the array that is left is
an empty shell. `height` and `width` are set for rank 3 alone: in rank 4 the last size may be
colours, and the features are no longer a picture row by row.
*/
static dn_status dni_dataset_take(dn_dataset *data, dn_idx *images, const char *images_name,
                                  dn_idx *labels, const char *labels_name, dn_error *error) {
    images_name = dni_short_name(images_name);
    dn_status status = dni_check_images(images, images_name, error);
    if (status == DN_OK) {
        data->count = images->sizes[0];
        data->features = images->count / images->sizes[0];
        data->bytes = (const unsigned char *)images->data;
        data->normalization = DN_NORMALIZE_255;
        dni_dataset_own(data, DNI_OWN_SAMPLES, images->owned);
        images->owned = NULL;
        if (images->rank == 3) {
            data->height = images->sizes[1];
            data->width = images->sizes[2];
        }
        if (labels != NULL)
            status = dni_take_labels(data, labels, images_name, dni_short_name(labels_name), error);
    }
    dn_idx_free(images);
    if (labels != NULL) dn_idx_free(labels);
    if (status != DN_OK) dn_dataset_free(data);
    return status;
}

/*
The three ways to come to the two arrays differ in one line each.
*/
#ifndef DN_NO_STDIO
DN_API dn_status dn_dataset_load(dn_dataset *data, const char *images, const char *labels,
                                 dn_error *error) {
    dn_idx array, classes;
    memset(data, 0, sizeof *data);
    memset(&classes, 0, sizeof classes);
    dn_status status = dn_idx_load(&array, images, error);
    if (status == DN_OK && labels != NULL) status = dn_idx_load(&classes, labels, error);
    if (status == DN_OK)
        return dni_dataset_take(data, &array, images, labels != NULL ? &classes : NULL, labels,
                                error);
    dn_idx_free(&array);
    return status;
}
#endif

DN_API dn_status dn_dataset_read(dn_dataset *data, const dn_reader *images,
                                 const dn_reader *labels, dn_error *error) {
    dn_idx array, classes;
    memset(data, 0, sizeof *data);
    memset(&classes, 0, sizeof classes);
    dn_status status = dn_idx_read(&array, images, error);
    if (status == DN_OK && labels != NULL) status = dn_idx_read(&classes, labels, error);
    if (status == DN_OK)
        return dni_dataset_take(data, &array, images->name, labels != NULL ? &classes : NULL,
                                labels != NULL ? labels->name : NULL, error);
    dn_idx_free(&array);
    return status;
}

DN_API dn_status dn_dataset_memory(dn_dataset *data, const void *images, size_t images_size,
                                   const void *labels, size_t labels_size, dn_error *error) {
    static const char images_name[] = "the images in memory";
    static const char labels_name[] = "the labels in memory";
    dn_idx array, classes;
    memset(data, 0, sizeof *data);
    memset(&classes, 0, sizeof classes);
    dn_status status = dni_idx_from_memory(&array, images, images_size, images_name, error);
    if (status == DN_OK && labels != NULL)
        status = dni_idx_from_memory(&classes, labels, labels_size, labels_name, error);
    if (status == DN_OK)
        return dni_dataset_take(data, &array, images_name, labels != NULL ? &classes : NULL,
                                labels_name, error);
    dn_idx_free(&array);
    return status;
}

/*
### Data sets from the user's arrays

Numbers that are already in memory are described, not copied. The four points of XOR as a
classification, and a line y = 2x as a regression:

```c
static const dn_real points[4][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 1}};
static const int32_t classes[4] = {0, 1, 1, 0};
static const dn_real x[3] = {1, 2, 3}, y[3] = {2, 4, 6};
dn_dataset xor_data, line;
if (dn_dataset_arrays(&xor_data, 4, 2, &points[0][0], 2, classes, NULL) != DN_OK) return 1;
if (dn_dataset_targets(&line, 3, 1, x, 1, y, NULL) != DN_OK) return 1;
```

Labels are checked here, once, so that training may use them as indices.
*/
static dn_status dni_dataset_describe(dn_dataset *data, size_t count, size_t features,
                                      const dn_real *values, dn_error *error) {
    size_t numbers, bytes;
    memset(data, 0, sizeof *data);
    if (values == NULL || count == 0 || features == 0)
        return dni_fail(error, DN_ERROR_ARGUMENT, "a data set of %zu samples of %zu numbers%s",
                        count, features, values == NULL ? " without numbers" : "");
    if (count > UINT32_MAX || !dni_multiply_sizes(count, features, &numbers) ||
        !dni_multiply_sizes(numbers, sizeof(dn_real), &bytes))
        return dni_fail(error, DN_ERROR_TOO_LARGE, "%zu samples of %zu numbers are too many", count,
                        features);
    data->count = count;
    data->features = features;
    data->values = values;
    return DN_OK;
}

DN_API dn_status dn_dataset_arrays(dn_dataset *data, size_t count, size_t features,
                                   const dn_real *values, size_t classes, const int32_t *labels,
                                   dn_error *error) {
    const dn_status status = dni_dataset_describe(data, count, features, values, error);
    if (status != DN_OK || labels == NULL) return status;
    if (classes == 0) {
        memset(data, 0, sizeof *data);
        return dni_fail(error, DN_ERROR_ARGUMENT, "labels need a number of classes, got 0");
    }
    for (size_t i = 0; i < count; i++) {
        if (labels[i] >= 0 && (size_t)labels[i] < classes) continue;
        memset(data, 0, sizeof *data);
        return dni_fail(error, DN_ERROR_LABEL, "label %ld of sample %zu is not in 0 .. %zu",
                        (long)labels[i], i, classes - 1);
    }
    data->classes = classes;
    data->labels = labels;
    return DN_OK;
}

DN_API dn_status dn_dataset_targets(dn_dataset *data, size_t count, size_t features,
                                    const dn_real *values, size_t outputs,
                                    const dn_real *targets, dn_error *error) {
    dn_status status = dni_dataset_describe(data, count, outputs, targets, error);
    if (status == DN_OK) status = dni_dataset_describe(data, count, features, values, error);
    if (status != DN_OK) return status;
    data->outputs = outputs;
    data->targets = targets;
    return DN_OK;
}

/*
### Parts of a data set

What a net has learned is measured on samples that it has not been trained on. A part of
the training samples is therefore held back for validation. It should be a fair sample of
the whole, and files are often sorted; hence the shuffle.

```c
dn_dataset all = {0}, train, validation;
dn_random random = dn_random_seed(1);
dn_error error = {0};
if (dn_dataset_load(&all, "data/mnist/train-images-idx3-ubyte",
                    "data/mnist/train-labels-idx1-ubyte", &error) == DN_OK &&
    dn_dataset_split_fraction(&all, 0.8, &random, &train, &validation, &error) == DN_OK) {
    // 48,000 and 12,000 samples, in random order; all three share one set of pixels
    dn_dataset_free(&train); // owns the order of both
}
dn_dataset_free(&all);
```

A range moves the pointers. A shuffled split draws one permutation and gives its first
entries to one part and the rest to the other: no sample is in both, and none is lost. A
view of a view composes: sample i of the new set is row `old[new[i]]`.

    whole:   rows 0 .. 9
    order:   7 2 9 0 4 | 1 8 3 6 5
    first:   samples 0..4 = rows 7 2 9 0 4;   second: samples 0..4 = rows 1 8 3 6 5
*/
/* A set in some order is narrowed by moving in the order; its rows stay where they are. */
static void dni_dataset_narrow(dn_dataset *view, size_t first, size_t count) {
    if (view->order != NULL) {
        view->order += first;
    } else {
        if (view->bytes != NULL) view->bytes += first * view->features;
        if (view->values != NULL) view->values += first * view->features;
        if (view->labels != NULL) view->labels += first;
        if (view->targets != NULL) view->targets += first * view->outputs;
    }
    view->count = count;
}

DN_API dn_status dn_dataset_range(const dn_dataset *whole, size_t first, size_t count,
                                  dn_dataset *view, dn_error *error) {
    if (first > whole->count || count > whole->count - first)
        return dni_fail(error, DN_ERROR_ARGUMENT, "%zu samples from sample %zu on, of %zu", count,
                        first, whole->count);
    dni_dataset_borrow(whole, view);
    dni_dataset_narrow(view, first, count);
    return DN_OK;
}

DN_API dn_status dn_dataset_split(const dn_dataset *whole, size_t count, dn_random *random,
                                  dn_dataset *first, dn_dataset *second, dn_error *error) {
    const size_t all = whole->count;
    uint32_t *order = NULL;
    if (count > all || first == second)
        return dni_fail(error, DN_ERROR_ARGUMENT, "a split of %zu samples into %zu and the rest%s",
                        all, count, first == second ? ", both in the same place" : "");
    if (random != NULL) {
        if (all <= UINT32_MAX) order = (uint32_t *)dni_allocate(all, sizeof *order);
        if (order == NULL)
            return dni_fail(error, DN_ERROR_MEMORY, "no memory to shuffle %zu samples", all);
        dn_random_permutation(random, all, order);
        for (size_t i = 0; i < all; i++) order[i] = (uint32_t)dni_row_of(whole, order[i]);
    }
    /* The one that may be `whole` itself is changed last. */
    dn_dataset *other = first == whole ? second : first;
    dni_dataset_borrow(whole, other);
    dni_dataset_borrow(whole, other == first ? second : first);
    if (order != NULL) {
        dni_dataset_own(first, DNI_OWN_ORDER, order);
        first->order = second->order = order;
    }
    dni_dataset_narrow(first, 0, count);
    dni_dataset_narrow(second, count, all - count);
    return DN_OK;
}

DN_API dn_status dn_dataset_split_fraction(const dn_dataset *whole, double fraction,
                                           dn_random *random, dn_dataset *first,
                                           dn_dataset *second, dn_error *error) {
    if (!(fraction >= 0 && fraction <= 1))
        return dni_fail(error, DN_ERROR_ARGUMENT, "a fraction of %g, expected 0 to 1", fraction);
    const size_t count = (size_t)floor(dni_fma(fraction, (double)whole->count, 0.5));
    return dn_dataset_split(whole, count, random, first, second, error);
}

/*
### One-hot targets

A label says which class; a target row says how much of each. Class c of C is the row with
all its mass on c.

$$ y_j = \begin{cases} 1 & j = c \\ 0 & \text{otherwise} \end{cases} $$

| what | shape |
|---|---|
| labels | [rows] integers |
| targets | [rows, classes] |

Cross-entropy needs no such rows: of its sum only the term of the class is left, and it takes
the labels. They are for losses that compare whole rows, the mean squared error above all. A
view in some order has targets for all rows up to the largest that it uses, because samples
find their targets, like their labels, by the number of their row.
*/
DN_API dn_status dn_dataset_one_hot(const dn_dataset *data, dn_dataset *view, dn_error *error) {
    const size_t classes = data->classes;
    size_t rows = data->order == NULL ? data->count : 0, numbers = 0;
    if (data->labels == NULL || classes == 0)
        return dni_fail(error, DN_ERROR_ARGUMENT, "one-hot targets of a data set without labels");
    for (size_t s = 0; s < data->count; s++) {
        const size_t row = dni_row_of(data, s);
        const int32_t label = data->labels[row];
        if (label < 0 || (size_t)label >= classes)
            return dni_fail(error, DN_ERROR_LABEL, "label %ld of sample %zu is not in 0 .. %zu",
                            (long)label, s, classes - 1);
        if (row >= rows) rows = row + 1;
    }
    dn_real *targets = NULL;
    if (dni_multiply_sizes(rows, classes, &numbers))
        targets = (dn_real *)dni_allocate_zero(numbers, sizeof *targets);
    if (targets == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "no memory for %zu rows of %zu targets", rows,
                        classes);
    for (size_t s = 0; s < data->count; s++) {
        const size_t row = dni_row_of(data, s);
        targets[row * classes + (size_t)data->labels[row]] = 1;
    }
    dni_dataset_borrow(data, view);
    dni_dataset_own(view, DNI_OWN_TARGETS, targets);
    view->targets = targets;
    view->outputs = classes;
    return DN_OK;
}

/*
*How we know:* `tests/test_data.c` loads real and made-up pictures, labels of
every integer type, each pair of files that does not fit; splits, splits of splits and splits
in place are checked to hold every sample exactly once; each allocation of each function
is made to fail in turn.

### Mean and deviation

Gradient descent goes fastest when all inputs have mean 0 and deviation 1 (LeCun et al.,
1998). Over n numbers,

$$ \mu = \frac{1}{n} \sum_i x_i, \qquad \sigma = \sqrt{\frac{1}{n} \sum_i (x_i - \mu)^2} $$

The numbers are those of a picture (per sample) or those of a feature over all samples (per
feature). What never varies has deviation 0; it is divided by 1 instead, and becomes 0.

Per feature, mean and deviation are found on the training set and used for the others. Validation
samples normalised by their own mean would tell the net something about them, and be other numbers
for the same picture:

```c
dn_dataset train = {0}, validation = {0};
// ... both are loaded ...
if (train.count > 0 && dn_dataset_standardize(&train, NULL) == DN_OK) {
    validation.normalization = train.normalization;
    validation.mean = train.mean; // borrowed
    validation.deviation = train.deviation;
}
dn_dataset_free(&validation);
dn_dataset_free(&train);
```

Bytes are integers, and their sums S of x and Q of x^2 are exact in 64 bits, in whatever
order they are taken. The textbook's Q / n - mu^2 subtracts two numbers that may be large
and close. In a set of 60,000 pictures, a pixel of the margin is 255 everywhere but once, and
six of sixteen digits of its variance would be lost. It is better to shift all numbers by m,
the integer nearest to the mean. Then only the fraction f = (S - nm) / n is left to be
subtracted, |f| <= 1/2, and the shifted sum of squares is an integer too:

$$ \sigma^2 = \frac{1}{n} \sum_i (x_i - m)^2 - f^2, \qquad
   \sum_i (x_i - m)^2 = Q - m S - m \, (S - n m) $$

    m = (S + n / 2) / n;   rest = S - n * m;   squares = Q - m * S - m * rest
    variance = squares / n - (rest / n)^2

An integer's square is at least its absolute value, hence squares / n >= |f| >= 2 f^2: the
subtraction leaves at least half, and costs one bit at most. (`rest` may be negative; unsigned
numbers count modulo 2^64, and `squares` comes out right all the same.)
*/
typedef struct dni_scale {
    double mean, deviation;
} dni_scale;

static dni_scale dni_scale_make(double mean, double variance) {
    dni_scale scale;
    scale.mean = mean;
    scale.deviation = variance > 0 ? sqrt(variance) : 1;
    return scale;
}

static dni_scale dni_scale_of_sums(uint64_t count, uint64_t sum, uint64_t square_sum) {
    const uint64_t nearest = (sum + count / 2) / count, shift = nearest * count;
    const uint64_t product = nearest * sum, correction = nearest * (sum - shift);
    const uint64_t squares = square_sum - product - correction;
    const double rest = sum >= shift ? (double)(sum - shift) : -(double)(shift - sum);
    const double fraction = rest / (double)count;
    return dni_scale_make((double)nearest + fraction,
                          dni_fma(-fraction, fraction, (double)squares / (double)count));
}

/*
The squares of 65,536 bytes add up to less than 2^32, since 255^2 is less than 2^16. So up to
that many are summed in 32 bits, of which a vector holds more than of 64.
*/
static dni_scale dni_scale_of_bytes(const unsigned char *bytes, size_t count) {
    uint64_t sum = 0, square_sum = 0;
    for (size_t start = 0; start < count; start += 65536) {
        const size_t end = count - start > 65536 ? start + 65536 : count;
        uint32_t part = 0, square_part = 0;
        for (size_t i = start; i < end; i++) {
            const uint32_t x = bytes[i], square = x * x;
            part += x;
            square_part += square;
        }
        sum += part;
        square_sum += square_part;
    }
    return dni_scale_of_sums(count, sum, square_sum);
}

/*
For other numbers the mean is taken first, then the squares around it. They are shifted too,
by the first number: then what never varies has sums of zeroes, and its deviation is exactly
0 even where the sum of its numbers, like forty times 0.1, is not exactly n times the number.

The order of the additions matters to the last bit. Number i is added to sum i mod 8, and the
eight sums are added at the end: an order that suits vectors, and the same on every machine.
*/
static double dni_sum_of_eight(const double *sums) {
    const double left = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    const double right = (sums[4] + sums[5]) + (sums[6] + sums[7]);
    return left + right;
}

static dni_scale dni_scale_of_values(const dn_real *values, size_t count) {
    const double shift = (double)values[0];
    double sums[8] = {0}, squares[8] = {0};
    for (size_t i = 0; i < count; i++) sums[i % 8] += (double)values[i] - shift;
    const double mean = shift + dni_sum_of_eight(sums) / (double)count;
    for (size_t i = 0; i < count; i++) {
        const double difference = (double)values[i] - mean;
        squares[i % 8] = dni_fma(difference, difference, squares[i % 8]);
    }
    return dni_scale_make(mean, dni_sum_of_eight(squares) / (double)count);
}

/*
Per feature the numbers of one sum lie a whole row apart. Reading the data column by column
would touch every row once for each feature. So all columns are summed together, row by row,
into two arrays of sums.
*/
static void dni_standardize_bytes(const dn_dataset *data, uint64_t *sums, uint64_t *squares,
                                  dn_real *mean, dn_real *deviation) {
    for (size_t s = 0; s < data->count; s++) {
        const unsigned char *row = data->bytes + dni_row_of(data, s) * data->features;
        for (size_t i = 0; i < data->features; i++) {
            const uint32_t x = row[i], square = x * x;
            sums[i] += x;
            squares[i] += square;
        }
    }
    for (size_t i = 0; i < data->features; i++) {
        const dni_scale scale = dni_scale_of_sums(data->count, sums[i], squares[i]);
        mean[i] = (dn_real)scale.mean;
        deviation[i] = (dn_real)scale.deviation;
    }
}

static void dni_standardize_values(const dn_dataset *data, double *means, double *squares,
                                   dn_real *mean, dn_real *deviation) {
    const size_t features = data->features;
    const dn_real *shift = data->values + dni_row_of(data, 0) * features;
    for (size_t s = 0; s < data->count; s++) {
        const dn_real *row = data->values + dni_row_of(data, s) * features;
        for (size_t i = 0; i < features; i++) means[i] += (double)row[i] - (double)shift[i];
    }
    for (size_t i = 0; i < features; i++)
        means[i] = (double)shift[i] + means[i] / (double)data->count;
    for (size_t s = 0; s < data->count; s++) {
        const dn_real *row = data->values + dni_row_of(data, s) * features;
        for (size_t i = 0; i < features; i++) {
            const double difference = (double)row[i] - means[i];
            squares[i] = dni_fma(difference, difference, squares[i]);
        }
    }
    for (size_t i = 0; i < features; i++) {
        const dni_scale scale = dni_scale_make(means[i], squares[i] / (double)data->count);
        mean[i] = (dn_real)scale.mean;
        deviation[i] = (dn_real)scale.deviation;
        if (!(deviation[i] > 0)) deviation[i] = 1; /* too small for dn_real */
    }
}

DN_API dn_status dn_dataset_standardize(dn_dataset *data, dn_error *error) {
    const size_t features = data->features;
    if (data->count == 0 || features == 0 || (data->bytes == NULL && data->values == NULL))
        return dni_fail(error, DN_ERROR_ARGUMENT, "an empty data set has no mean");
    dn_real *mean = (dn_real *)dni_allocate(features, 2 * sizeof *mean);
    void *sums = dni_allocate_zero(features, 2 * sizeof(uint64_t)); /* as large as double */
    if (mean == NULL || sums == NULL) {
        dni_release(mean);
        dni_release(sums);
        return dni_fail(error, DN_ERROR_MEMORY, "no memory for %zu means", features);
    }
    if (data->bytes != NULL)
        dni_standardize_bytes(data, (uint64_t *)sums, (uint64_t *)sums + features, mean,
                              mean + features);
    else
        dni_standardize_values(data, (double *)sums, (double *)sums + features, mean,
                               mean + features);
    dni_release(sums);
    dni_dataset_own(data, DNI_OWN_SCALE, mean);
    data->normalization = DN_NORMALIZE_FEATURE;
    data->mean = mean;
    data->deviation = mean + features;
    return DN_OK;
}

/*
### Gathering a batch

The training step asks for some rows, in the order of the shuffle, as normalised numbers.

| what | shape |
|---|---|
| samples, numbers of samples in the set or view | [count] |
| bytes or values | [rows, features] |
| inputs | [count, features] |

For bytes, each normalisation but the last is a function of the byte and two numbers that
hold for the whole row:

$$ \text{input} = \frac{x - \mu}{\sigma}, \qquad
   (\mu, \sigma) = (0, 1), \; (0, 255) \text{ or those of the picture} $$

    input[s,i] = (bytes[row(s),i] - mean) / deviation

Two of the three pairs are the same for all rows. There the quotient is formed eight or
sixteen bytes at a time by the vector units (chapter 2), rounded correctly: x / 255 is the float
next to the exact quotient, and the same on every machine.

With the picture's own mean the table is quicker: a byte has only 256 values, so 256
divisions in double precision serve all of a row, and a pixel costs one look.
*/
static void dni_fill_table(dn_real *table, dni_scale scale) {
    for (int x = 0; x < 256; x++) table[x] = (dn_real)((x - scale.mean) / scale.deviation);
}

/*
For a feature's own mean there is neither table nor constant, since each column has
another.
*/
static void dni_gather_bytes(const dn_dataset *data, const unsigned char *row, dn_real *table,
                             dn_real *input, uint64_t *marks) {
    const size_t features = data->features;
    if (data->normalization == DN_NORMALIZE_FEATURE) {
        const dn_real *mean = data->mean, *deviation = data->deviation;
        for (size_t i = 0; i < features; i++) input[i] = ((dn_real)row[i] - mean[i]) / deviation[i];
        return;
    }
    if (data->normalization == DN_NORMALIZE_SAMPLE) {
        dni_fill_table(table, dni_scale_of_bytes(row, features));
        for (size_t i = 0; i < features; i++) input[i] = table[row[i]];
        return;
    }
    dni_arithmetic_of_this_machine()->divide_bytes(
        row, data->normalization == DN_NORMALIZE_255 ? 255 : 1, input, features, marks);
}

/* Numbers that are no bytes are divided one by one. */
static void dni_gather_values(const dn_dataset *data, const dn_real *row, dn_real *input) {
    const size_t features = data->features;
    const dn_real *mean = data->mean, *deviation = data->deviation;
    dni_scale scale;
    switch (data->normalization) {
    case DN_NORMALIZE_255:
        for (size_t i = 0; i < features; i++) input[i] = row[i] / 255;
        break;
    case DN_NORMALIZE_SAMPLE:
        scale = dni_scale_of_values(row, features);
        for (size_t i = 0; i < features; i++)
            input[i] = (dn_real)(((double)row[i] - scale.mean) / scale.deviation);
        break;
    case DN_NORMALIZE_FEATURE:
        for (size_t i = 0; i < features; i++) input[i] = (row[i] - mean[i]) / deviation[i];
        break;
    default:
        memcpy(input, row, features * sizeof *input);
    }
}

/*
In a shuffled order each row lies somewhere else, where no cache has it: the first eight rows of
bytes are called for at once, and while eight are converted the next eight, into the second cache.
On MNIST that saves half of the time. Of longer rows of numbers it is two and two.
*/
static void dni_gather(void *of, size_t begin, size_t end) {
    const dni_gathering *gathering = (const dni_gathering *)of;
    const dn_dataset *data = gathering->data;
    const uint32_t *samples = gathering->samples;
    const size_t features = data->features, ahead = data->bytes != NULL ? 8 : 2;
    const size_t row_bytes = features * (data->bytes != NULL ? 1 : sizeof(dn_real));
    const char *rows = data->bytes != NULL ? (const char *)data->bytes : (const char *)data->values;
    for (size_t s = begin; s < end; s++) {
        dn_real table[256], *input = gathering->inputs + s * features;
        const size_t row = dni_row_of(data, samples != NULL ? samples[s] : gathering->first + s);
        const bool calls = samples != NULL && (s - begin) % ahead == 0;
        size_t next = s == begin ? s : s + ahead;
        for (; calls && next < s + 2 * ahead && next < end; next++)
            dni_prefetch(rows + dni_row_of(data, samples[next]) * row_bytes, row_bytes);
        uint64_t *marks = gathering->marks;
        if (marks != NULL) marks += s * dni_marks_size(features);
        if (data->bytes != NULL)
            dni_gather_bytes(data, data->bytes + row * features, table, input, marks);
        else
            dni_gather_values(data, data->values + row * features, input);
        if (marks != NULL && (data->bytes == NULL || data->normalization > DN_NORMALIZE_255))
            dni_arithmetic_of_this_machine()->mark(input, features, marks); /* not done yet */
    }
}

DN_API void dn_dataset_gather(const dn_dataset *data, const uint32_t *samples, size_t first,
                              size_t count, dn_real *inputs) {
    DN_ASSERT(data->normalization != DN_NORMALIZE_FEATURE ||
              (data->mean != NULL && data->deviation != NULL));
    dni_gathering gathering = {data, samples, first, inputs, NULL};
    dni_for_rows(count * data->features > 16384 ? dni_threads() : 1, count, dni_gather,
                 &gathering);
}

/*
*How we know:* `tests/test_data.c` compares every normalisation, of bytes
and of values, with the formulas computed in another way in long double, checks that x / 255
is the correctly rounded quotient for all 256 bytes, that a constant picture gives zeroes, and
that views, orders and lists of samples pick the rows that they should.
*/

/*
## 13. Model files

A trained net is a few arrays of numbers, and a little to say about them. This chapter
writes both into one file that other programs can read, and reads such files, whoever
wrote them, without trusting a byte.

```c
dn_error error = {0};
dn_net net = {0};
if (dn_net_load(&net, "digits.safetensors", &error) != DN_OK) {
    fprintf(stderr, "%s\n", error.message); // which tensor, and why
    return 1;
}
dn_net_note(&net, "tested on", "10,000 images");
if (dn_net_save(&net, "digits.safetensors", &error) != DN_OK) return 1;
dn_net_free(&net);
```

### The format

*safetensors* (Hugging Face, 2022) is the simplest of the formats in wide use. A file has
three parts:

| bytes | |
|---|---|
| 8 | N, the length of the header, lowest byte first |
| N | the header, JSON, filled up with blanks to a multiple of 8 |
| the rest | the numbers of all tensors, lowest byte first, one tensor behind the other |

The header of a net 784-256-10 is, with line breaks added,

    {"__metadata__": {"format": "pt", "densenet": "0.1.0",
                      "layers": "784, 256 relu, dropout 0.25, 10 softmax", ...},
     "0.weight": {"dtype": "F32", "shape": [256, 784], "data_offsets": [0, 802816]},
     "0.bias":   {"dtype": "F32", "shape": [256],      "data_offsets": [802816, 803840]},
     "3.weight": {"dtype": "F32", "shape": [10, 256],  "data_offsets": [803840, 814080]},
     "3.bias":   {"dtype": "F32", "shape": [10],       "data_offsets": [814080, 814120]}}

There is nothing in it to be executed, nothing to be unpacked, and no number in it that
the length of the file does not check. The alternatives have more of each:
PyTorch's .pt is a program for a Python interpreter, Keras' .h5 needs a library of several hundred
thousand lines, and a kilobyte of NumPy's .npz may unpack to a gigabyte.

In Python, without any library but NumPy, a file is read by

```python
data = open("net.safetensors", "rb").read()
size = int.from_bytes(data[:8], "little")
header = json.loads(data[8:8 + size])
start, end = header["0.weight"]["data_offsets"]
weights = numpy.frombuffer(data[8 + size:][start:end], "<f4").reshape(header["0.weight"]["shape"])
```

The names are those of PyTorch: in an `nn.Sequential` every module has a number, and
activations and dropout are modules like any other. So the net above has its dense layers
at 0 and 3, with the ReLU at 1, the dropout at 2 and the softmax at 4. A linear
activation is no module. PyTorch keeps the weights of a layer as [outputs, inputs], this
library as [inputs, outputs]: they are transposed on the way.

| metadata | meaning | example |
|---|---|---|
| format | how other libraries should take the tensors | pt |
| densenet | version of this library; marks the file as ours | 0.1.0 |
| layers | inputs, then each layer | 784, 256 relu, dropout 0.25, 10 softmax |
| classes | how many classes the outputs tell apart, if they do | 10 |
| normalization | of the inputs: none, 255, sample, feature | 255 |
| mean, deviation | of each input, when that is feature | 0.5 1.25 |
| loss | that it was trained with | cross_entropy |
| seed, random | seed, and state of the generator | 1 |
| checkpoint, training, crc32 | in checkpoints: chapter 14 | |
| any other | the user's notes | |

### Numbers as bytes

A number is its bits, and bits are shifted into bytes, so that the order of the bytes in this
machine's memory does not matter. `dni_put_bits` and `dni_get_bits` are here the only places where
memory becomes a number or a number memory. The lowest 8 bits come first.
*/
static void dni_put_bits(unsigned char *to, uint64_t bits, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) to[i] = (unsigned char)(bits >> (8 * i) & 255);
}

static uint64_t dni_get_bits(const unsigned char *from, size_t bytes) {
    uint64_t bits = 0;
    for (size_t i = 0; i < bytes; i++) bits |= (uint64_t)from[i] << (8 * i);
    return bits;
}

/*
What the bits mean is IEEE 754 on every machine that the library knows, and `memcpy` is
the way in which C and C++ both allow to look at a number as bits.

| type | sign | exponent | mantissa | 1.0 is | -0.75 is |
|---|---|---|---|---|---|
| F64 | 1 | 11 | 52 | 3ff0000000000000 | bfe8000000000000 |
| F32 | 1 | 8 | 23 | 3f800000 | bf400000 |
| BF16 | 1 | 8 | 7 | 3f80 | bf40 |
| F16 | 1 | 5 | 10 | 3c00 | ba00 |

A BF16 is a float of which the lower half was cut off: to widen it, 16 zero bits are put behind it.
*/
static double dni_float_of(uint64_t bits) {
    const uint32_t word = (uint32_t)bits;
    float number;
    memcpy(&number, &word, sizeof number);
    return (double)number;
}

static double dni_double_of(uint64_t bits) {
    double number;
    memcpy(&number, &bits, sizeof number);
    return number;
}

static uint64_t dni_bits_of(double number) {
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
}

/*
The other way, only the library's own type is needed: F32, or F64 where `DN_REAL` is
`double`. A NaN keeps its bits, because no arithmetic touches it on the way.
*/
static uint64_t dni_real_bits(dn_real number) {
#if DNI_REAL_IS_DOUBLE
    return dni_bits_of(number);
#else
    uint32_t bits;
    memcpy(&bits, &number, sizeof bits);
    return bits;
#endif
}

/*
F16 is read as well. It has a sign, 5 bits of exponent e and 10 of mantissa m:

| e | value |
|---|---|
| 0 | m 2^-24 |
| 1 .. 30 | (1024 + m) 2^(e - 25) |
| 31 | infinity if m = 0, else NaN |
*/
static double dni_half_of(uint64_t bits) {
    const int exponent = (int)(bits >> 10 & 31), mantissa = (int)(bits & 1023);
    double size = exponent == 0 ? ldexp((double)mantissa, -24)
                                : ldexp((double)(1024 + mantissa), exponent - 25);
    if (exponent == 31) size = mantissa == 0 ? (double)INFINITY : (double)NAN;
    return (bits >> 15 & 1) != 0 ? -size : size;
}

/*
By hand: ba00 has a sign, e = 14 and m = 512: -1536 * 2^-11 = -0.75. The largest is 7bff, e = 30 and
m = 1023: 2047 * 2^5 = 65504.

F16 has more digits, BF16 the range of a float. All numbers of both are floats, so that
a net in either is loaded without a rounding; its file is half as long.

*How we know:* `tests/test_files.c` reads one, minus two, the largest,
the smallest and an infinite F16, some BF16 and an F64, written down as bytes;
`tests/test_files_torch.py` reads whole nets in all four types.

### Numbers as text

The metadata has decimal numbers: probabilities of dropout, means. `strtod` and `printf`
use the decimal sign of the user's country, so that a file written in Berlin would not
load in Boston; and the text must give back the very same number. To read m times 10^e,
with m below 2^64, powers up to 10^22 are exact in a double. The quotient of m and such
a power has one rounding, whose error the fused multiply-add delivers:

$$ q = \operatorname{round}(m / p), \qquad m / p = q + \frac{m - q p}{p} $$

    q + fma(-q, p, m) / p

(Beyond 10^22 more than one step is needed, and the last bit of a double may be lost;
that of a float never is.)

One step scales the number `high + low`, of which `low` is the part of a large m that
a double cannot hold: m has up to 64 bits, a double 53.
*/
static double dni_scale_step(double high, double low, double power, bool divide) {
    if (divide) {
        const double q = high / power;
        return q + (dni_fma(-q, power, high) + low) / power;
    }
    const double q = high * power;
    return q + dni_fma(low, power, dni_fma(high, power, -q));
}

/*
A step covers powers up to 10^22, which is 5^22 times a power of two, and 5^22 is the
last power of five below 2^53. All float exponents need at most three steps.
*/
static double dni_scale_decimal(uint64_t mantissa, int exponent) {
    double number = (double)mantissa;
    double low = (double)(int64_t)(mantissa - (uint64_t)number);
    while (exponent != 0 && number != 0 && dni_is_finite(number)) {
        int step = exponent < 0 ? -exponent : exponent;
        if (step > 22) step = 22;
        double power = 1;
        for (int i = 0; i < step; i++) power *= 10;
        number = dni_scale_step(number, low, power, exponent < 0);
        low = 0;
        exponent += exponent < 0 ? step : -step;
    }
    return number;
}

/*
The text is an optional minus sign, digits with at most one point, and an optional
exponent. By hand, -12.50e1: the digits give m = 1250; the two behind the point make the
exponent -2, and e1 makes it -1. So the number is 1250 / 10 = 125, one division, and the sign
comes last.

| text | m | exponent | number |
|---|---|---|---|
| -12.50e1 | 1250 | -2 + 1 | -125 |
| 0.001 | 1 | -3 | 1 / 1000, rounded once |
| 3e22 | 3 | 22 | 3 * 10^22 |
| . | | | refused: no digit |
| 1e | | | refused: an exponent has a digit |

Eighteen digits go into m; more have no effect on a float or a double but for
their number. Each pointer to a text moves behind what was read, so that parsers can be
called one after the other; false leaves it where it was.
*/
static bool dni_parse_number(const char **text, double *number) {
    const char *at = *text;
    const bool negative = *at == '-';
    uint64_t mantissa = 0;
    int exponent = 0, digits = 0;
    bool point = false;
    if (negative) at++;
    for (; (*at >= '0' && *at <= '9') || (*at == '.' && !point); at++) {
        if (*at == '.') {
            point = true;
            continue;
        }
        if (++digits > 400) return false;
        if (mantissa <= UINT64_C(99999999999999999)) { /* else the digit has no effect */
            mantissa = 10 * mantissa + (uint64_t)(*at - '0');
            exponent -= point;
        } else {
            exponent += !point;
        }
    }
    if (digits == 0) return false;
    if (*at == 'e' || *at == 'E') {
        int given = 0;
        const bool down = *++at == '-';
        if (*at == '-' || *at == '+') at++;
        if (*at < '0' || *at > '9') return false;
        for (; *at >= '0' && *at <= '9'; at++)
            if (given < 1000) given = 10 * given + (*at - '0');
        exponent += down ? -given : given;
    }
    *number = dni_scale_decimal(mantissa, exponent);
    if (negative) *number = -*number;
    *text = at;
    return true;
}

/*
To write a number, ask for one digit, then two, and so on until what is written reads
back as the same number. 0.25 needs two digits, one third as a float eight, and 17
suffice for every double. People read `dropout 0.1` in the file, not 0.100000001.
*/
static const char *dni_number_text(dn_real number, char text[40]) {
    for (int digits = 1; digits <= 17; digits++) {
        double back = 0;
        const char *at = text;
        (void)snprintf(text, 40, "%.*g", digits, (double)number);
        for (char *c = text; *c != '\0'; c++)
            if (*c == ',') *c = '.';
        if (dni_parse_number(&at, &back) && *at == '\0' && (dn_real)back == number) break;
    }
    return text;
}

/*
Seeds and states are whole numbers up to 2^64 - 1, which a double cannot hold. The sum
grows digit by digit, and the check stands before the multiplication that could overflow.
*/
static bool dni_parse_count(const char **text, uint64_t *count) {
    const char *at = *text;
    uint64_t sum = 0;
    if (*at < '0' || *at > '9') return false;
    for (; *at >= '0' && *at <= '9'; at++) {
        const uint64_t digit = (uint64_t)(*at - '0');
        if (sum > (UINT64_MAX - digit) / 10) return false;
        sum = 10 * sum + digit;
    }
    *count = sum;
    *text = at;
    return true;
}

/*
*How we know:* 200,000 floats of random bits go through text and come back,
and so do 200,000 doubles of 17 digits; a file is written and read with a `printf` that
writes decimal commas.

### UTF-8

A code point takes one to four bytes; the first tells how many, and each byte after it
starts with the bits 10.

| code point | bytes |
|---|---|
| 0 .. 7f | 0xxxxxxx |
| 80 .. 7ff | 110xxxxx 10xxxxxx |
| 800 .. ffff | 1110xxxx 10xxxxxx 10xxxxxx |
| 10000 .. 10ffff | 11110xxx 10xxxxxx 10xxxxxx 10xxxxxx |

Two names that look alike must not be two different strings of bytes. So a code point
must have its shortest form, and the surrogates d800 .. dfff, which only UTF-16 uses, must
not occur.

| bytes | would be | refused because |
|---|---|---|
| c0 af | 2f, a slash | one byte is enough; a filter for slashes would not see it |
| ed a0 80 | d800 | a surrogate |

`dni_utf8_length` looks at one sequence: the number of its bytes, or 0 if there is no
valid one. The mask of the first byte's own bits is a shift, 1f for two bytes, 0f for
three, 07 for four.

A first byte 80 to bf would be the middle of a sequence; c0, c1 could only begin a code
point that needs one byte, and f5 to ff one beyond 10ffff.
*/
static size_t dni_utf8_length(const char *text, size_t left) {
    static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *bytes = (const unsigned char *)text;
    if (left == 0) return 0;
    if (bytes[0] < 0x80) return 1;
    const size_t length = bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
    if (bytes[0] < 0xc0 || bytes[0] > 0xf4 || length > left) return 0;
    uint32_t code = (uint32_t)bytes[0] & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((bytes[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (bytes[i] & 0x3fu);
    }
    const bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < smallest[length] || code > 0x10ffff || surrogate ? 0 : length;
}

/*
The reverse, for code points that JSON spells as numbers. The caller has made sure that
they are valid.
*/
static char *dni_utf8_put(char *to, uint32_t code) {
    const int more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint32_t marks[4] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(marks[more] | code >> (6 * more));
    for (int i = more - 1; i >= 0; i--) *to++ = (char)(0x80 | (code >> (6 * i) & 0x3f));
    return to;
}

/*
Notes come from the user and go into a header that others must be able to read, so they
are checked, too.
*/
static bool dni_is_utf8(const char *text) {
    size_t left = strlen(text);
    while (left > 0) {
        const size_t length = dni_utf8_length(text, left);
        if (length == 0) return false;
        text += length;
        left -= length;
    }
    return true;
}

/*
### JSON

JSON (RFC 8259, Bray, 2017) has six kinds of values, and a parser for it is a set of
functions that look at the next byte and know from it what must follow:

    value   = object | array | string | number | true | false | null
    object  = { string : value , string : value ... }
    array   = [ value , value ... ]

There is no tree here. The reader of the header knows which value must stand where, asks
for it, and gets it or an error with the place and what was expected there.

| call | text, the next byte marked | result |
|---|---|---|
| key | {^"shape":[2,3]} | "shape", and the colon is taken |
| item, size | {"shape":[2^,3]} | true, 3: the comma is taken by item |
| key | {"shape":[2,3]^} | NULL: the brace is taken |

Only a value that the reader does not know is passed over, and there arrays may be nested in
arrays: it is the one function that calls itself, to a depth of 16, so that a megabyte of
`[[[[` cannot exhaust the stack.

Strings are decoded where they stand, in a copy of the header that the parser owns. It is
always possible, because no escape is shorter than the bytes it stands for (`\u00e9` has
six and gives two), and the closing quote leaves room for the final zero.
*/
enum { DNI_JSON_DEPTH = 16 };

typedef struct dni_json {
    char *text;       /* the parser's copy */
    size_t size, at;  /* its length, and the next byte */
    const char *name; /* of the file */
    dn_error *error;
    bool failed;      /* the error has been filled; nothing more is read */
} dni_json;

/*
The first failure is the one that is reported: those after it are its consequences.
After it `dni_json_peek` sees the end of the text, whatever is left of it, so that every
loop below ends by itself and no caller needs to ask after each character.
*/
static bool dni_json_fail(dni_json *json, const char *expected) {
    if (!json->failed) {
        const unsigned char found = json->at < json->size ? (unsigned char)json->text[json->at] : 0;
        char shown[24];
        if (json->at >= json->size) (void)snprintf(shown, sizeof shown, "its end");
        else if (found > ' ' && found < 127) (void)snprintf(shown, sizeof shown, "'%c'", found);
        else (void)snprintf(shown, sizeof shown, "byte %02x", found);
        (void)dni_fail(json->error, DN_ERROR_FORMAT,
                       "%s: byte %zu of the header: expected %s, found %s", json->name, json->at,
                       expected, shown);
    }
    json->failed = true;
    return false;
}

/*
All other functions see the text through this one. It knows the end, so that nothing
reads beyond it; -1 is no character, so that comparing with it is always false.
*/
static int dni_json_peek(const dni_json *json) {
    return json->at < json->size && !json->failed ? (unsigned char)json->text[json->at] : -1;
}

static int dni_json_after_space(dni_json *json) {
    int c = dni_json_peek(json);
    for (; c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = dni_json_peek(json)) json->at++;
    return c;
}

/*
Two words make the grammar readable: `take` takes a character if it is the next, and
says whether it was; `expect` makes it an error if it is not. Blanks may stand before
both.
*/
static bool dni_json_take(dni_json *json, char wanted) {
    if (dni_json_after_space(json) != wanted) return false;
    json->at++;
    return true;
}

static bool dni_json_expect(dni_json *json, char wanted) {
    char shown[4] = {'\'', wanted, '\'', '\0'};
    return dni_json_take(json, wanted) || dni_json_fail(json, shown);
}

/*
Escapes. Four hexadecimal digits are 16 bits, but Unicode has more: beyond ffff two
escapes, a pair of *surrogates*, stand for one code point, ten bits in each.

$$ c = \mathrm{10000}_{16} + (h - \mathrm{d800}_{16}) \cdot 2^{10} + (l - \mathrm{dc00}_{16}) $$

    code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)

| text | high | low | code point |
|---|---|---|---|
| \u00e9 | | | e9, e with acute |
| \ud83d\ude00 | d83d | de00 | 1f600, a smiling face |
| \ud83d alone, \ude00 alone | | | refused |
| \u0000 | | | refused: for C it would end the string |
*/
static bool dni_json_hex(dni_json *json, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        const int c = dni_json_peek(json);
        const int letter = c | 0x20;
        if (c >= '0' && c <= '9') *code = *code << 4 | (uint32_t)(c - '0');
        else if (letter >= 'a' && letter <= 'f') *code = *code << 4 | (uint32_t)(letter - 'a' + 10);
        else return dni_json_fail(json, "a hexadecimal digit");
    }
    return true;
}

/*
`dni_json_code_point` has taken the backslash and the u already.
*/
static bool dni_json_code_point(dni_json *json, uint32_t *code) {
    if (!dni_json_hex(json, code)) return false;
    if (*code >= 0xd800 && *code <= 0xdbff) {
        uint32_t low = 0;
        if (dni_json_peek(json) != '\\') return dni_json_fail(json, "\\u of the second surrogate");
        json->at++;
        if (dni_json_peek(json) != 'u') return dni_json_fail(json, "\\u of the second surrogate");
        json->at++;
        if (!dni_json_hex(json, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return dni_json_fail(json, "dc00 to dfff before this");
        *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    } else if (*code >= 0xdc00 && *code <= 0xdfff) {
        return dni_json_fail(json, "a first surrogate before this second one");
    }
    return *code != 0 || dni_json_fail(json, "no character 0 before this");
}

/*
The other escapes are one letter each. The two strings below are a table: what is written,
and, at the same place, what it means.
*/
static bool dni_json_escape(dni_json *json, char **to) {
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const int c = dni_json_peek(json);
    const char *found = c > 0 ? strchr(letters, c) : NULL;
    uint32_t code = 0;
    if (c != 'u' && found == NULL)
        return dni_json_fail(json, "one of \"\\/bfnrtu after a backslash");
    json->at++;
    if (c == 'u') {
        if (!dni_json_code_point(json, &code)) return false;
        *to = dni_utf8_put(*to, code);
    } else {
        *(*to)++ = meant[found - letters];
    }
    return true;
}

/*
A string is read sequence by sequence, each checked as UTF-8, and moved down to where the
result ends. `to` can never overtake the reading, so that nothing is overwritten that was
not read. Control characters must be escaped in JSON, a line break most of all: a string
that lost its closing quote ends there.
*/
static const char *dni_json_string(dni_json *json) {
    if (!dni_json_take(json, '"')) {
        (void)dni_json_fail(json, "a string");
        return NULL;
    }
    char *start = json->text + json->at, *to = start;
    for (int c = dni_json_peek(json); c != '"'; c = dni_json_peek(json)) {
        const size_t length = dni_utf8_length(json->text + json->at, json->size - json->at);
        if (c < 0x20) (void)dni_json_fail(json, "'\"' at the end of the string");
        else if (length == 0) (void)dni_json_fail(json, "valid UTF-8");
        if (json->failed) return NULL;
        if (c == '\\') {
            json->at++;
            if (!dni_json_escape(json, &to)) return NULL;
        } else {
            memmove(to, json->text + json->at, length);
            to += length;
            json->at += length;
        }
    }
    json->at++;
    *to = '\0';
    return start;
}

/*
Objects and arrays are read by loops of their users. `first` remembers whether a comma has
to come before the next member.

    bool first = true;
    while ((key = dni_json_key(json, &first)) != NULL)   { ... the value of key ... }
    while (dni_json_item(json, &first))                  { ... the item ... }

Both end at the closing bracket and on failure, which the user finds in `json->failed`.
*/
static const char *dni_json_key(dni_json *json, bool *first) {
    if (dni_json_take(json, '}')) return NULL;
    if (!*first && !dni_json_expect(json, ',')) return NULL;
    *first = false;
    const char *key = dni_json_string(json);
    return key != NULL && dni_json_expect(json, ':') ? key : NULL;
}

/*
The same for an array, whose items have no keys.
*/
static bool dni_json_item(dni_json *json, bool *first) {
    if (dni_json_take(json, ']')) return false;
    if (!*first && !dni_json_expect(json, ',')) return false;
    *first = false;
    return !json->failed;
}

/*
Shapes and offsets are whole numbers, not negative, that fit a `size_t`. JSON allows
`1e3` and `2.0`, too, but no writer of safetensors uses them, so that they are refused,
as is a leading zero, which JSON itself forbids.
*/
static bool dni_json_size(dni_json *json, size_t *size) {
    const int first = dni_json_after_space(json);
    size_t sum = 0;
    if (first < '0' || first > '9') return dni_json_fail(json, "a whole number");
    for (int c = first; c >= '0' && c <= '9'; c = dni_json_peek(json)) {
        const size_t digit = (size_t)(c - '0');
        if (sum > (SIZE_MAX - digit) / 10) return dni_json_fail(json, "a smaller number");
        sum = 10 * sum + digit;
        json->at++;
        if (first == '0') break;
    }
    const int next = dni_json_peek(json);
    if (next == '.' || next == 'e' || next == 'E' || (next >= '0' && next <= '9'))
        return dni_json_fail(json, "the end of a whole number");
    *size = sum;
    return true;
}

/*
What is passed over must still be JSON, or two programs could disagree on where it ends.
*/
static size_t dni_json_digits(dni_json *json) {
    const size_t start = json->at;
    while (dni_json_peek(json) >= '0' && dni_json_peek(json) <= '9') json->at++;
    return json->at - start;
}

/*
A number: an optional minus sign, digits without a leading zero, an optional fraction, an
optional exponent.
*/
static bool dni_json_skip_number(dni_json *json) {
    if (dni_json_peek(json) == '-') json->at++;
    const bool zero = dni_json_peek(json) == '0';
    const size_t digits = dni_json_digits(json);
    if (digits == 0 || (zero && digits > 1)) return dni_json_fail(json, "a value");
    if (dni_json_peek(json) == '.') {
        json->at++;
        if (dni_json_digits(json) == 0) return dni_json_fail(json, "a digit");
    }
    if (dni_json_peek(json) == 'e' || dni_json_peek(json) == 'E') {
        json->at++;
        if (dni_json_peek(json) == '+' || dni_json_peek(json) == '-') json->at++;
        if (dni_json_digits(json) == 0) return dni_json_fail(json, "a digit");
    }
    return true;
}

/* And any value. Each level of nesting is one call deeper. */
static bool dni_json_skip(dni_json *json, int depth) {
    static const char *const words[3] = {"true", "false", "null"};
    const int c = dni_json_after_space(json);
    bool first = true;
    if (depth > DNI_JSON_DEPTH) return dni_json_fail(json, "no deeper nesting");
    if (c == '"') return dni_json_string(json) != NULL;
    if (c == '{') {
        json->at++;
        while (dni_json_key(json, &first) != NULL)
            if (!dni_json_skip(json, depth + 1)) return false;
        return !json->failed;
    }
    if (c == '[') {
        json->at++;
        while (dni_json_item(json, &first))
            if (!dni_json_skip(json, depth + 1)) return false;
        return !json->failed;
    }
    for (int i = 0; i < 3; i++) {
        const size_t length = strlen(words[i]);
        if (json->size - json->at < length) continue;
        if (memcmp(json->text + json->at, words[i], length) != 0) continue;
        json->at += length;
        return true;
    }
    return dni_json_skip_number(json);
}

/*
*How we know:* forty headers of `tests/test_files.c` are wrong in one place
each, and the message must name the place and what was expected. `tests/test_files_hub.sh`
lets another parser read what the library writes.

### Reading the header

The header gives for each tensor its type, its shape and where its bytes begin and end,
counted from the end of the header.

The types are those of the format. Of most only the size matters, for checking that
the file is whole; a layer is read from the four floating-point types.

An opened file is three lists that point into it: its tensors, the pairs of its metadata,
and the bytes of all numbers. Names and texts are those that the parser decoded in
its copy of the header; the numbers stay where they are until a layer wants them.
*/
enum { DNI_TENSOR_RANK = 8 };

#define DNI_TENSOR_TYPES(ROW)                                                            \
    ROW("F32", 4) ROW("F64", 8) ROW("F16", 2) ROW("BF16", 2) ROW("I64", 8) ROW("I32", 4) \
    ROW("I16", 2) ROW("I8", 1) ROW("U64", 8) ROW("U32", 4) ROW("U16", 2) ROW("U8", 1)    \
    ROW("BOOL", 1) ROW("F8_E4M3", 1) ROW("F8_E5M2", 1)

typedef struct dni_tensor {
    const char *name, *type;
    size_t element_size;
    size_t rank, shape[DNI_TENSOR_RANK];
    size_t count;      /* of elements */
    size_t start, end; /* of its bytes */
} dni_tensor;

typedef struct dni_note {
    const char *key, *value;
} dni_note;

typedef struct dni_model_file {
    dni_content content;
    char *text;                /* the parser's copy of the header */
    size_t header_size;
    const unsigned char *data; /* behind the header */
    size_t data_size;
    dni_tensor *tensors;
    size_t tensor_count, tensor_capacity;
    dni_note *notes;
    size_t note_count, note_capacity;
    bool has_metadata;
} dni_model_file;

static void dni_model_file_free(dni_model_file *file) {
    dni_release(file->content.owned);
    dni_release(file->text);
    dni_release(file->tensors);
    dni_release(file->notes);
    memset(file, 0, sizeof *file);
}

/*
Names from a file appear in messages. A hostile one could be a megabyte long, or hold
line breaks and the codes that move a terminal's cursor. Only 60 bytes are shown,
control characters as question marks, and no sequence of UTF-8 is cut in the middle.
*/
static const char *dni_printable(const char *name, char shown[64]) {
    size_t i = 0;
    for (; name[i] != '\0' && i < 60; i++)
        shown[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f ? '?' : name[i];
    while (i > 0 && name[i] != '\0' && ((unsigned char)name[i] & 0xc0) == 0x80) i--;
    shown[i] = '\0';
    if (name[i] != '\0') memcpy(shown + i, "...", 4);
    return shown;
}

/*
The lists grow by doubling: 16 places, then 32, 64 and so on. All copies
on the way to n items are 16 + 32 + ... of items, a sum below 2 n, and nobody had to count
the items before. A header of N bytes cannot describe more than N / 50 tensors,
so that the memory for them is bounded by the header that is really there.
*/
static void *dni_list_room(void *list, size_t count, size_t *capacity, size_t item) {
    size_t larger, bytes;
    if (count < *capacity) return list;
    larger = *capacity < 8 ? 16 : 2 * *capacity;
    if (!dni_multiply_sizes(larger, item, &bytes)) return NULL;
    list = dni_grow(list, count * item, bytes);
    if (list != NULL) *capacity = larger;
    return list;
}

static bool dni_no_memory(dni_json *json) {
    (void)dni_fail(json->error, DN_ERROR_MEMORY, "%s: no memory to read the header", json->name);
    json->failed = true;
    return false;
}

/*
`__metadata__` maps texts to texts. Two values for one key would leave open which of them
counts, and different programs would choose differently.
*/
static bool dni_read_metadata(dni_json *json, dni_model_file *file) {
    bool first = true;
    const char *key, *value;
    if (file->has_metadata) return dni_json_fail(json, "only one __metadata__ before this");
    file->has_metadata = true;
    if (!dni_json_expect(json, '{')) return false;
    while ((key = dni_json_key(json, &first)) != NULL) {
        dni_note *notes;
        for (size_t i = 0; i < file->note_count; i++)
            if (strcmp(file->notes[i].key, key) == 0)
                return dni_json_fail(json, "a key in __metadata__ that is not there already");
        value = dni_json_string(json);
        if (value == NULL) return false;
        notes = (dni_note *)dni_list_room(file->notes, file->note_count, &file->note_capacity,
                                          sizeof *notes);
        if (notes == NULL) return dni_no_memory(json);
        file->notes = notes;
        notes[file->note_count].key = key;
        notes[file->note_count++].value = value;
    }
    return !json->failed;
}

/*
A shape is a list of sizes; an empty one is a single number. The product of the sizes is
made with the overflow check of chapter 1, for it will be compared with a number of bytes.
*/
static bool dni_read_shape(dni_json *json, dni_tensor *tensor) {
    bool first = true;
    tensor->count = 1;
    if (!dni_json_expect(json, '[')) return false;
    while (dni_json_item(json, &first)) {
        size_t size = 0;
        if (tensor->rank == DNI_TENSOR_RANK) return dni_json_fail(json, "at most 8 dimensions");
        if (!dni_json_size(json, &size)) return false;
        if (!dni_multiply_sizes(tensor->count, size, &tensor->count))
            return dni_json_fail(json, "a shape of fewer numbers");
        tensor->shape[tensor->rank++] = size;
    }
    return !json->failed;
}

/*
The offsets are a pair: first byte, and the byte behind the last.
*/
static bool dni_read_offsets(dni_json *json, dni_tensor *tensor) {
    return dni_json_expect(json, '[') && dni_json_size(json, &tensor->start) &&
           dni_json_expect(json, ',') && dni_json_size(json, &tensor->end) &&
           dni_json_expect(json, ']');
}

/*
The type must be a known one, because without its size the tensor could not be checked.
*/
static bool dni_read_type(dni_json *json, dni_tensor *tensor) {
    static const struct {
        const char *type;
        size_t size;
    } known[] = {
#define DNI_ROW(type, size) {type, size},
        DNI_TENSOR_TYPES(DNI_ROW)
#undef DNI_ROW
    };
    const char *type = dni_json_string(json);
    if (type == NULL) return false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].type, type) == 0) {
            tensor->type = known[i].type;
            tensor->element_size = known[i].size;
            return true;
        }
    return dni_json_fail(json, "a known dtype before this");
}

/*
A tensor has three fields, in any order, each once. Fields that a later version of the
format may add are passed over.
*/
static bool dni_read_tensor(dni_json *json, dni_tensor *tensor) {
    static const char *const fields[3] = {"dtype", "shape", "data_offsets"};
    bool seen[3] = {false, false, false}, first = true;
    const char *key;
    if (!dni_json_expect(json, '{')) return false;
    while ((key = dni_json_key(json, &first)) != NULL) {
        int field = 0;
        while (field < 3 && strcmp(key, fields[field]) != 0) field++;
        if (field < 3 && seen[field]) return dni_json_fail(json, "each field of a tensor once");
        if (field < 3) seen[field] = true;
        if (field == 0 && !dni_read_type(json, tensor)) return false;
        if (field == 1 && !dni_read_shape(json, tensor)) return false;
        if (field == 2 && !dni_read_offsets(json, tensor)) return false;
        if (field == 3 && !dni_json_skip(json, 0)) return false;
    }
    if (json->failed) return false;
    if (!seen[0] || !seen[1] || !seen[2])
        return dni_json_fail(json, "dtype, shape and data_offsets before this");
    return true;
}

/*
The header is one object, and its first byte the opening brace: the format says so, so
that the kind of file can be seen without parsing. Behind the closing brace there is only
padding.

Of all JSON, this is what a header may be; blanks may stand between any two of its parts,
but not before the first brace:

    header  = "{" [ member { "," member } ] "}"
    member  = "__metadata__" ":" "{" [ string ":" string { "," ... } ] "}"     at most once
            | name ":" "{" field { "," field } "}"
    field   = "dtype" ":" string
            | "shape" ":" "[" [ size { "," size } ] "]"
            | "data_offsets" ":" "[" size "," size "]"
            | string ":" value                                  anything else: passed over

A small one, of 54 bytes, and where its bytes are:

    {"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}
    ^0   ^5       ^14   ^20     ^28 ^32            ^47   ^53

In a file it is filled up to 56 bytes, so that the number itself is at byte 8 + 56 = 64. Wrong
in one place it gives one of these messages, behind "byte ... of the header":

| the text has | byte | expected | found |
|---|---|---|---|
| `[0,4}}}` at the end | 51 | ']' | '}' |
| `"shape":[1.0]` | 30 | the end of a whole number | '.' |
| `"shape":[01]` | 30 | the end of a whole number | '1' |
| `"dtype":"F31"` | 19 | a known dtype before this | ',' |
| no data_offsets | 32 | dtype, shape and data_offsets before this | '}' |
*/
static bool dni_read_header(dni_json *json, dni_model_file *file) {
    bool first = true;
    const char *key;
    if (dni_json_peek(json) != '{') return dni_json_fail(json, "'{'");
    json->at++;
    while ((key = dni_json_key(json, &first)) != NULL) {
        if (strcmp(key, "__metadata__") == 0) {
            if (!dni_read_metadata(json, file)) return false;
            continue;
        }
        dni_tensor *tensors = (dni_tensor *)dni_list_room(
            file->tensors, file->tensor_count, &file->tensor_capacity, sizeof *tensors);
        if (tensors == NULL) return dni_no_memory(json);
        file->tensors = tensors;
        dni_tensor *tensor = &tensors[file->tensor_count++];
        memset(tensor, 0, sizeof *tensor);
        tensor->name = key;
        if (!dni_read_tensor(json, tensor)) return false;
    }
    if (!json->failed && dni_json_after_space(json) >= 0)
        return dni_json_fail(json, "nothing but blanks behind the last '}'");
    return !json->failed;
}

/*
### Checking the layout

A file may be damaged, or made to do damage. What it can try, and what stops it:

| the file says | a careless reader | stopped by |
|---|---|---|
| a header of 2^63 bytes | allocates it, or overflows | the comparison with the file's length |
| 10,000 opening brackets | runs out of stack | the bound on the depth |
| shape [2^32, 2^32] and 0 bytes | computes a product of 0, writes 2^64 numbers | checked products |
| offsets beyond the end | reads other memory, and saves it in the next file | comparison |
| start behind end | a length of nearly 2^64 | comparison |
| overlapping tensors | two layers that change together | sorting by place |
| a hole | hides bytes from every check | sorting by place |
| two tensors of one name | which one counts? | sorting by name |
| "layers": "1, 999999999 relu" | allocates gigabytes | tensors are compared first |
| a name with line breaks | writes lines of its own into a log | `dni_printable` |

This section checks the layout. Sorted by where they begin, the tensors must join without
a gap from the first byte to the last; sorted by name, no two neighbours may be equal.

Two orders for `qsort`. Both are total: where two tensors begin at the same place (one of
them must then be empty), their ends and names decide, so that the result does not
depend on the order in the file.
*/
static int dni_by_name(const void *a, const void *b) {
    return strcmp(((const dni_tensor *)a)->name, ((const dni_tensor *)b)->name);
}

static int dni_by_place(const void *a, const void *b) {
    const dni_tensor *x = (const dni_tensor *)a, *y = (const dni_tensor *)b;
    if (x->start != y->start) return x->start < y->start ? -1 : 1;
    if (x->end != y->end) return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

/*
For one tensor by itself: its end is in the file, and its bytes are what type and shape
make. Bytes beyond the end are reported as a truncated file, which is what it nearly
always is: an interrupted download, a full disk.

    0 <= start <= end <= data_size,   end - start = size of an element * product of the shape
*/
static dn_status dni_check_tensor(const dni_model_file *file, const dni_tensor *tensor,
                                  dn_error *error) {
    char shown[64];
    size_t bytes = 0;
    const bool fits = dni_multiply_sizes(tensor->count, tensor->element_size, &bytes);
    if (tensor->start > tensor->end || tensor->end > file->data_size)
        return dni_fail(error, tensor->start > tensor->end ? DN_ERROR_FORMAT : DN_ERROR_TRUNCATED,
                        "%s: tensor '%s' has bytes %zu to %zu, of %zu that are there",
                        file->content.name, dni_printable(tensor->name, shown), tensor->start,
                        tensor->end, file->data_size);
    if (!fits || bytes != tensor->end - tensor->start)
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: tensor '%s' has %zu bytes for %zu elements of type %s",
                        file->content.name, dni_printable(tensor->name, shown),
                        tensor->end - tensor->start, tensor->count, tensor->type);
    return DN_OK;
}

/*
And for all of them together.

    bytes   0        802816 803840        814080 814120
            |0.weight|0.bias|  3.weight   |3.bias|      reached: 0, 802816, 803840, ...

| found at a start | means |
|---|---|
| start = reached | right: the tensor begins where the one before it ended |
| start > reached | a hole of bytes that nobody would look at |
| start < reached | two tensors share bytes |
| reached < data_size at the end | bytes behind the last tensor |

Why no holes? A hole is bytes that no tensor names. A loader would not look at them, and
neither would a person who prints the tensors: but they travel with the file, and another
program may read them. A file could be a model for one reader and an archive or a
script for another. Where every byte is a number of a tensor, what is shown is all there is.
Overlaps are the opposite trick: ten names for one piece of data make a short file claim
ten times its length.

The small net with 0.weight at [0, 8] and 0.bias at [8, 12], changed in one place:

| 0.bias at | bytes there | message |
|---|---|---|
| [8, 12] | 12 | none |
| [12, 16] | 16 | tensor '0.bias' starts at byte 12, the one before it ends at 8 |
| [4, 8] | 8 | tensor '0.bias' starts at byte 4, the one before it ends at 8 |
| [8, 12] | 20 | 8 bytes behind the last tensor |
| [8, 12] | 10 | tensor '0.bias' has bytes 8 to 12, of 10 that are there |

With n tensors the two sorts take about n log n comparisons; to compare each with each
would let a header of a megabyte, with 20,000 tensors, cost 200 million.
*/
static dn_status dni_check_layout(dni_model_file *file, dn_error *error) {
    char shown[64];
    size_t reached = 0;
    const size_t count = file->tensor_count;
    dni_tensor *tensors = file->tensors;
    if (count > 1) qsort(tensors, count, sizeof *tensors, dni_by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp(tensors[i - 1].name, tensors[i].name) == 0)
            return dni_fail(error, DN_ERROR_FORMAT, "%s: two tensors are called '%s'",
                            file->content.name, dni_printable(tensors[i].name, shown));
    if (count > 1) qsort(tensors, count, sizeof *tensors, dni_by_place);
    for (size_t i = 0; i < count; i++) {
        const dn_status status = dni_check_tensor(file, &tensors[i], error);
        if (status != DN_OK) return status;
        if (tensors[i].start != reached)
            return dni_fail(error, DN_ERROR_FORMAT,
                            "%s: tensor '%s' starts at byte %zu, the one before it ends at %zu",
                            file->content.name, dni_printable(tensors[i].name, shown),
                            tensors[i].start, reached);
        reached = tensors[i].end;
    }
    if (reached != file->data_size)
        return dni_fail(error, DN_ERROR_FORMAT, "%s: %zu bytes behind the last tensor",
                        file->content.name, file->data_size - reached);
    return DN_OK;
}

/*
### Opening a file

The length of the header is compared with what is there, and with a limit, before a byte
is allocated for it. The length's lowest byte comes first; a file of another kind would
nearly always give an absurd length, so that one is met with a guess at what the file is.
*/
enum { DNI_HEADER_LIMIT = 1 << 20 };

/*
While a stream is read, nothing is known of its length. But its first 8 bytes tell whether
reading on makes sense: this function (see `dni_read_all` in chapter 12) stops it when
they cannot be a header's length, so that a film of 30 gigabytes is left after 64
kilobytes.
*/
static size_t dni_model_extent(const unsigned char *bytes, size_t size) {
    return size >= 8 && dni_get_bits(bytes, 8) > 100000000 ? 8 : SIZE_MAX;
}

/*
A file that is something else gets a sentence that says so. The commonest are PyTorch's own
`.pt` archives: they are zip files with pickled Python objects inside, which a program in C
cannot read and no program should.
*/
static dn_status dni_not_model(const dni_content *content, uint64_t length, size_t limit,
                               dn_error *error) {
    const char *what = dni_recognise(content->bytes, content->size);
    if (content->size >= 4 && memcmp(content->bytes, "PK\x03\x04", 4) == 0)
        what = "a .pt, .npz or .keras archive: save it with safetensors.torch.save_file instead";
    if (what != NULL)
        return dni_fail(error, DN_ERROR_FORMAT, "%s: no safetensors file, but %s", content->name,
                        what);
    if (content->size < 8)
        return dni_fail(error, DN_ERROR_TRUNCATED, "%s: %zu bytes are no safetensors file",
                        content->name, content->size);
    if (length > limit)
        return dni_fail(error, DN_ERROR_TOO_LARGE,
                        "%s: no safetensors file, or a header of %llu bytes (at most %zu are read)",
                        content->name, (unsigned long long)length, limit);
    return dni_fail(error, DN_ERROR_TRUNCATED, "%s: a header of %llu bytes, but only %zu are there",
                    content->name, (unsigned long long)length, content->size - 8);
}

/*
Opening, then, is: compare the length, copy the header for the parser, read it, check the
layout. After it every offset and every size in `file` can be relied on, and the functions
below do not check them again.
*/
static dn_status dni_model_file_open(dni_model_file *file, size_t limit, dn_error *error) {
    const dni_content *content = &file->content;
    const uint64_t length = content->size < 8 ? 0 : dni_get_bits(content->bytes, 8);
    if (limit == 0) limit = DNI_HEADER_LIMIT;
    if (content->size < 8 || length > limit || length > content->size - 8)
        return dni_not_model(content, length, limit, error);
    file->header_size = (size_t)length;
    file->data = content->bytes + 8 + file->header_size;
    file->data_size = content->size - 8 - file->header_size;
    file->text = (char *)dni_allocate(file->header_size + 1, 1);
    dni_json json;
    memset(&json, 0, sizeof json);
    json.text = file->text;
    json.size = file->header_size;
    json.name = content->name;
    json.error = error;
    dn_error unseen;
    if (error == NULL) json.error = &unseen;
    if (file->text == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for its header", content->name);
    memcpy(file->text, content->bytes + 8, file->header_size);
    if (!dni_read_header(&json, file)) return json.error->status;
    return dni_check_layout(file, error);
}

static const char *dni_metadata(const dni_model_file *file, const char *key) {
    for (size_t i = 0; i < file->note_count; i++)
        if (strcmp(file->notes[i].key, key) == 0) return file->notes[i].value;
    return NULL;
}

static const dni_tensor *dni_find_tensor(const dni_model_file *file, const char *name) {
    for (size_t i = 0; i < file->tensor_count; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}

/*
*How we know:* `tests/test_files.c` damages a file in every way of the
list above and some more, cuts it off at every byte, replaces every byte of its header,
and checks that each refusal says why. `tests/fuzz/fuzz_safetensors.c` invents files by the
million, guided by which branches they reach, under the sanitizers for memory and
undefined behaviour; the test suite replays its seeds.

### What a net is, in words

The metadata describes the layers in a line that people can read as well:

    784, 256 relu, dropout 0.25, 10 softmax

The first number counts the inputs; a dense layer has its outputs and its activation, a
custom one as `custom:NAME`; `frozen`, `frozen_weights` or `frozen_biases` may follow.

    net        = inputs { ", " layer }
    layer      = outputs " " activation [ " frozen" | " frozen_weights" | " frozen_biases" ]
               | "dropout " probability
    activation = "linear" | "relu" | ... | "custom" [ ":" name ]

The name of a custom activation becomes a word of this line, so that it must be one: no
blank, no comma. The same rule serves for reading: what is not a word ends it.
*/
static bool dni_is_word(const char *name) {
    size_t length = 0;
    for (; name[length] != '\0'; length++) {
        const char c = name[length];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && strchr("_-+.", c) == NULL) return false;
    }
    return length > 0 && length < 64;
}

static void dni_activation_text(dni_text *text, const dn_layer *layer) {
    dni_text_add(text, "%s", dni_activation_names[layer->activation]);
    if (layer->activation == DN_CUSTOM && layer->custom->name != NULL)
        dni_text_add(text, ":%s", layer->custom->name);
}

static void dni_layers_text(dni_text *text, const dn_net *net) {
    dni_text_add(text, "%zu", net->inputs);
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        char number[40];
        if (layer->kind == DN_LAYER_DROPOUT) {
            dni_text_add(text, ", dropout %s", dni_number_text(layer->dropout, number));
            continue;
        }
        dni_text_add(text, ", %zu ", layer->outputs);
        dni_activation_text(text, layer);
        if (layer->freeze_weights || layer->freeze_biases)
            dni_text_add(text, " frozen%s", !layer->freeze_biases    ? "_weights"
                                            : !layer->freeze_weights ? "_biases"
                                                                     : "");
    }
}

/*
The parser of that line makes a *plan*: a net with layers but without parameters. Memory
for parameters is taken only when the tensors of the file have been compared with the
plan, so that a line that promises a billion weights costs nothing.

    text:  "784, 256 relu, dropout 0.25, 10 softmax"
    plan:  inputs 784 | dense 784 x 256, at 0 | dropout | dense 256 x 10, at 200960

Each of the parsers below moves `*at` behind what it has read.
*/
static bool dni_take_word(const char **at, const char *word) {
    const size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0) return false;
    *at += length;
    return true;
}

/*
A layer of a plan gets the places of its weights and biases in the vector of parameters, as
`dn_net_layer` would give them; all products and sums are checked. A dropout layer takes no place,
and hands on the number of outputs.

| layer | inputs | outputs | weights at | biases at | numbers so far |
|---|---|---|---|---|---|
| 256 relu | 784 | 256 | 0 | 200,704 | 200,960 |
| dropout 0.25 | 256 | 256 | 200,960 | 200,960 | 200,960 |
| 10 softmax | 256 | 10 | 200,960 | 203,520 | 203,530 |

Four bytes for each of 203,530 numbers are 814,120, the last offset in that header.
*/
static dn_status dni_plan_add(dn_net *plan, const dn_layer *layer, dn_error *error) {
    size_t weights, parameters, total;
    dn_layer *layers = (dn_layer *)dni_grow(plan->layers, plan->layer_count * sizeof *layers,
                                            (plan->layer_count + 1) * sizeof *layers);
    if (layers == NULL) return dni_fail(error, DN_ERROR_MEMORY, "no memory for the layers");
    plan->layers = layers;
    dn_layer *added = &layers[plan->layer_count++];
    *added = *layer;
    added->inputs = plan->outputs;
    plan->outputs = added->outputs;
    added->weights = added->biases = plan->parameter_count;
    if (added->kind != DN_LAYER_DENSE) return DN_OK;
    if (!dni_multiply_sizes(added->inputs, added->outputs, &weights) ||
        !dni_add_sizes(weights, added->outputs, &parameters) ||
        !dni_add_sizes(plan->parameter_count, parameters, &total))
        return dni_fail(error, DN_ERROR_TOO_LARGE, "layer %zu: its %zu x %zu weights are too many",
                        plan->layer_count - 1, added->inputs, added->outputs);
    added->biases = added->weights + weights;
    plan->parameter_count = total;
    return DN_OK;
}

/*
An activation is looked up among the library's, and if it is a custom one, by its name among
those that the caller gave: a function cannot be stored in a file.
*/
static bool dni_parse_activation(const char **at, const dn_loading *how, dn_layer *layer) {
    char word[80];
    size_t length = strcspn(*at, " ,");
    if (length >= sizeof word) return false;
    memcpy(word, *at, length);
    word[length] = '\0';
    *at += length;
    for (int a = 0; a < DN_CUSTOM; a++)
        if (strcmp(word, dni_activation_names[a]) == 0) {
            layer->activation = (dn_activation)a;
            return true;
        }
    for (size_t c = 0; c < how->custom_count; c++) {
        const char *name = how->custom[c].name;
        if (strncmp(word, "custom:", 7) == 0 && name != NULL && strcmp(word + 7, name) == 0) {
            layer->activation = DN_CUSTOM;
            layer->custom = &how->custom[c];
            return true;
        }
    }
    return false;
}

/*
One layer, from its comma on. `frozen` is the beginning of `frozen_weights`, so that the
longer words are tried first.

| text | result |
|---|---|
| `, 256 relu` | 256 outputs, ReLU |
| `, 10 softmax frozen_biases` | 10 outputs, softmax, its biases are not trained |
| `, dropout 0.25` | dropout; as many outputs as the layer before |
| `, 0 relu` | refused: no outputs |
| `, dropout 1` | refused: nothing would be left |
| `,256 relu` | refused: the blank is part of the grammar |
*/
static bool dni_parse_layer(const char **at, size_t outputs_before, const dn_loading *how,
                            dn_layer *layer) {
    uint64_t outputs = 0;
    double probability = 0;
    memset(layer, 0, sizeof *layer);
    if (!dni_take_word(at, ", ")) return false;
    if (dni_take_word(at, "dropout ")) {
        if (!dni_parse_number(at, &probability) || !(probability <= 1)) return false;
        layer->kind = DN_LAYER_DROPOUT;
        layer->outputs = outputs_before;
        layer->dropout = (dn_real)probability;
        return layer->dropout >= 0 && layer->dropout < 1;
    }
    if (!dni_parse_count(at, &outputs) || outputs == 0 || outputs > SIZE_MAX) return false;
    layer->outputs = (size_t)outputs;
    if (!dni_take_word(at, " ") || !dni_parse_activation(at, how, layer)) return false;
    const bool weights = dni_take_word(at, " frozen_weights");
    const bool biases = !weights && dni_take_word(at, " frozen_biases");
    const bool both = !weights && !biases && dni_take_word(at, " frozen");
    layer->freeze_weights = weights || both;
    layer->freeze_biases = biases || both;
    return true;
}

/*
And the whole line. A custom activation that is not known is the one error here that is
nobody's fault, so that it has its own sentence.
*/
static dn_status dni_plan_from_text(dn_net *plan, const char *text, const char *name,
                                    const dn_loading *how, dn_error *error) {
    const char *at = text;
    uint64_t inputs = 0;
    char shown[64];
    bool ok = dni_parse_count(&at, &inputs) && inputs > 0 && inputs <= SIZE_MAX;
    plan->inputs = plan->outputs = (size_t)inputs;
    while (ok && *at != '\0') {
        const char *before = at;
        dn_layer layer;
        ok = dni_parse_layer(&at, plan->outputs, how, &layer);
        if (!ok && strstr(before, " custom") != NULL) {
            const char *custom = strstr(before, " custom") + 1;
            char word[64];
            (void)snprintf(word, sizeof word, "%.*s", (int)strcspn(custom, " ,"), custom);
            return dni_fail(error, DN_ERROR_ARGUMENT,
                            "%s: layer %zu has the activation '%s': give it in dn_loading, or "
                            "describe the net before loading", name, plan->layer_count,
                            dni_printable(word, shown));
        }
        dn_status status = ok ? dni_plan_add(plan, &layer, error) : DN_OK;
        if (status != DN_OK) return status;
    }
    if (ok && plan->parameter_count > 0) return DN_OK;
    return dni_fail(error, DN_ERROR_FORMAT,
                    "%s: the layers in its metadata make no sense from '%s'", name,
                    dni_printable(at, shown));
}

/*
*How we know:* `tests/test_files.c` writes a net of all kinds of layers
and gets the same back, the probability of dropout to the last bit, and gives fourteen
lines that make no sense.

### Which tensor belongs to which layer

The tensors of a net have the names prefix + number + `.weight` or `.bias`. The prefix is
empty when an `nn.Sequential` was saved by itself, and for example `body.` when it is a part of a
module, or `fc` when the layers are called fc1, fc2, fc3. Layers are matched with tensors
in the order of the *numbers*: as text, `10.weight` would come before `2.weight`.
*/
typedef struct dni_part {
    const dni_tensor *tensor;
    size_t prefix;   /* length of the prefix */
    uint64_t number;
    bool is_bias;
} dni_part;

/*
| name | prefix | number | |
|---|---|---|---|
| 0.weight | | 0 | weights |
| 10.bias | | 10 | biases |
| body.3.weight | body. | 3 | weights |
| fc2.weight | fc | 2 | weights |
| 1.running_mean, embedding.weight | | | none of a dense layer |
*/
static bool dni_is_part(const dni_tensor *tensor, dni_part *part) {
    const char *name = tensor->name, *dot = strrchr(name, '.');
    if (dot == NULL || (strcmp(dot, ".weight") != 0 && strcmp(dot, ".bias") != 0)) return false;
    const char *digits = dot;
    while (digits > name && digits[-1] >= '0' && digits[-1] <= '9') digits--;
    part->tensor = tensor;
    part->prefix = (size_t)(digits - name);
    part->is_bias = dot[1] == 'b';
    return dot > digits && dni_parse_count(&digits, &part->number);
}

/*
The order of the layers; of one layer, weights come before biases.
*/
static int dni_by_number(const void *a, const void *b) {
    const dni_part *x = (const dni_part *)a, *y = (const dni_part *)b;
    if (x->number != y->number) return x->number < y->number ? -1 : 1;
    if (x->is_bias != y->is_bias) return x->is_bias ? 1 : -1;
    return strcmp(x->tensor->name, y->tensor->name); /* 2.weight and 02.weight */
}

/*
When a file holds two nets, an encoder and a decoder for example, the caller chooses one
by its prefix.
*/
static bool dni_has_prefix(const dni_part *part, const char *prefix) {
    return prefix == NULL || (strlen(prefix) == part->prefix &&
                              strncmp(part->tensor->name, prefix, part->prefix) == 0);
}

/*
All parts are collected, then sorted. What is not a part is an *extra* tensor. To ignore
it silently would be wrong as a rule: the running means of a batch normalisation belong to
a net that this library cannot compute. So it is refused unless the caller says
otherwise. (`trainer.` marks the tensors of chapter 14.)
*/
static dn_status dni_find_parts(const dni_model_file *file, const dn_loading *how,
                                bool is_checkpoint, dni_part *parts, size_t *count,
                                dn_error *error) {
    char shown[64];
    *count = 0;
    for (size_t i = 0; i < file->tensor_count; i++) {
        const dni_tensor *tensor = &file->tensors[i];
        dni_part *part = &parts[*count];
        if (dni_is_part(tensor, part) && dni_has_prefix(part, how->prefix)) {
            const dni_part *one = &parts[0];
            if (part->prefix != one->prefix ||
                strncmp(tensor->name, one->tensor->name, one->prefix) != 0)
                return dni_fail(error, DN_ERROR_FORMAT,
                                "%s: the tensors of layers have more than one prefix, as '%s'; "
                                "choose one in dn_loading", file->content.name,
                                dni_printable(tensor->name, shown));
            ++*count;
        } else if (!how->ignore_extra &&
                   !(is_checkpoint && strncmp(tensor->name, "trainer.", 8) == 0)) {
            return dni_fail(error, DN_ERROR_FORMAT,
                            "%s: tensor '%s' belongs to no dense layer (dn_loading can ignore it)",
                            file->content.name, dni_printable(tensor->name, shown));
        }
    }
    if (*count > 1) qsort(parts, *count, sizeof *parts, dni_by_number);
    for (size_t i = 1; i < *count; i++)
        if (parts[i].number == parts[i - 1].number && parts[i].is_bias == parts[i - 1].is_bias)
            return dni_fail(error, DN_ERROR_FORMAT, "%s: tensor '%s' has a number that is taken",
                            file->content.name, dni_printable(parts[i].tensor->name, shown));
    return DN_OK;
}

/*
When a file has neither metadata nor a described net to go by, the shapes alone tell the
sizes: weights of [256, 784] are a layer from 784 to 256. Only the activations cannot be
seen; the caller gives them in `dn_loading`.
*/
static dn_status dni_plan_from_shapes(dn_net *plan, const char *name, const dn_loading *how,
                                      const dni_part *parts, size_t count, dn_error *error) {
    char shown[64];
    const dni_tensor *last = NULL;
    for (size_t i = 0; i < count; i++)
        if (!parts[i].is_bias) last = parts[i].tensor;
    for (size_t i = 0; i < count; i++) {
        const dni_tensor *tensor = parts[i].tensor;
        if (parts[i].is_bias) continue;
        if (tensor->rank != 2 || tensor->count == 0)
            return dni_fail(error, DN_ERROR_SHAPE,
                            "%s: tensor '%s' is not the weights of a dense layer", name,
                            dni_printable(tensor->name, shown));
        dn_layer layer;
        memset(&layer, 0, sizeof layer);
        layer.kind = DN_LAYER_DENSE;
        layer.outputs = tensor->shape[0];
        layer.activation = tensor == last ? how->last : how->hidden;
        if (plan->layer_count == 0) plan->inputs = plan->outputs = tensor->shape[1];
        const dn_status status = dni_plan_add(plan, &layer, error);
        if (status != DN_OK) return status;
    }
    return last != NULL ? DN_OK
                        : dni_fail(error, DN_ERROR_FORMAT,
                                   "%s: no tensor is called NUMBER.weight", name);
}

/*
*How we know:* files of fourteen layers, of a prefix, of two prefixes, of
numbers that occur twice, without a bias, without a weight, with a tensor too many.

### Filling in the numbers

Here the bytes of the file become parameters, after every check of shape and type.

`dni_unpack` takes a tensor [rows, columns] out of the file, from whichever type, to where
the element (r, c) is `to[r * row_step + c * column_step]`: with the steps exchanged, it
transposes.

    plain:       row_step = columns, column_step = 1
    transposed:  row_step = 1,       column_step = rows

By hand, a layer with 3 inputs and 2 outputs. The file has [2, 3], a row for each output;
the net wants [3, 2], a row for each input. Element (r, c) goes to place r + 2 c:

    file:   1 2 3 | 4 5 6            (0,0) 1 -> 0   (0,1) 2 -> 2   (0,2) 3 -> 4
                                     (1,0) 4 -> 1   (1,1) 5 -> 3   (1,2) 6 -> 5
    net:    1 4 | 2 5 | 3 6

The file is read in order and the parameters are written in strides: the file may be much
larger than the cache, and each of its bytes is looked at once.
*/
static bool dni_is_float_type(const dni_tensor *tensor) {
    const char *type = tensor->type;
    return strcmp(type, "F32") == 0 || strcmp(type, "F64") == 0 || strcmp(type, "F16") == 0 ||
           strcmp(type, "BF16") == 0;
}

static void dni_unpack(const dni_model_file *file, const dni_tensor *tensor, size_t rows,
                       size_t columns, dn_real *to, size_t row_step, size_t column_step) {
    const unsigned char *at = file->data + tensor->start;
    const size_t bytes = tensor->element_size;
    const bool is_brain = tensor->type[0] == 'B';
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < columns; c++, at += bytes) {
            const uint64_t bits = dni_get_bits(at, bytes);
            const double number = bytes == 8   ? dni_double_of(bits)
                                  : bytes == 4 ? dni_float_of(bits)
                                  : is_brain   ? dni_float_of(bits << 16)
                                               : dni_half_of(bits);
            to[r * row_step + c * column_step] = (dn_real)number;
        }
}

/*
A layer's weights are [outputs, inputs] in the file, its biases [outputs]. When they are
not, the message has both shapes: most often it is another net's file.
*/
static dn_status dni_check_shape(const dni_model_file *file, const dni_tensor *tensor, size_t layer,
                                 size_t rows, size_t columns, dn_error *error) {
    char shown[64], needs[60];
    const size_t rank = columns > 0 ? 2 : 1;
    if (!dni_is_float_type(tensor))
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: tensor '%s' has type %s, expected F32 (or F64, F16, BF16)",
                        file->content.name, dni_printable(tensor->name, shown), tensor->type);
    if (tensor->rank == rank && tensor->shape[0] == rows &&
        (rank == 1 || tensor->shape[1] == columns))
        return DN_OK;
    if (rank == 2) (void)snprintf(needs, sizeof needs, "[%zu, %zu]", rows, columns);
    else (void)snprintf(needs, sizeof needs, "[%zu]", rows);
    if (tensor->rank == 2)
        return dni_fail(error, DN_ERROR_SHAPE,
                        "%s: tensor '%s' has shape [%zu, %zu], layer %zu needs %s",
                        file->content.name, dni_printable(tensor->name, shown), tensor->shape[0],
                        tensor->shape[1], layer, needs);
    return dni_fail(error, DN_ERROR_SHAPE,
                    "%s: tensor '%s' has %zu dimensions and %zu elements, layer %zu needs %s",
                    file->content.name, dni_printable(tensor->name, shown), tensor->rank,
                    tensor->count, layer, needs);
}

/*
Plan and parts are walked side by side, twice: the first time, with `parameters` NULL, only
to compare; the second time to fill in. Memory for the parameters is taken in between.

| in the plan | in the parts | then |
|---|---|---|
| dense | weight, bias | both are compared, or copied |
| dense | weight | the biases are zero (`bias=False` in PyTorch) |
| dense | nothing, or a bias alone | refused: the layer is missing |
| dropout | | passed over: it has no parameters |
| nothing | weight | refused: a layer too many |
*/
static dn_status dni_match(const dni_model_file *file, const dn_net *plan, const dni_part *parts,
                           size_t count, dn_real *parameters, dn_error *error) {
    size_t next = 0;
    dn_status status;
    char shown[64];
    for (size_t l = 0; l < plan->layer_count; l++) {
        const dn_layer *layer = &plan->layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        if (next == count || parts[next].is_bias)
            return dni_fail(error, DN_ERROR_FORMAT,
                            "%s: there are no weights for layer %zu (%zu x %zu)",
                            file->content.name, l, layer->inputs, layer->outputs);
        const dni_part *weight = &parts[next++];
        const bool biased = next < count && parts[next].number == weight->number;
        status = dni_check_shape(file, weight->tensor, l, layer->outputs, layer->inputs, error);
        if (status == DN_OK && biased)
            status = dni_check_shape(file, parts[next].tensor, l, layer->outputs, 0, error);
        if (status != DN_OK) return status;
        if (parameters != NULL) {
            dni_unpack(file, weight->tensor, layer->outputs, layer->inputs,
                       parameters + layer->weights, 1, layer->outputs);
            if (biased)
                dni_unpack(file, parts[next].tensor, 1, layer->outputs,
                           parameters + layer->biases, 0, 1);
            else
                memset(parameters + layer->biases, 0, layer->outputs * sizeof(dn_real));
        }
        next += biased;
    }
    if (next < count)
        return dni_fail(error, DN_ERROR_SHAPE, "%s: tensor '%s' is one layer more than the net has",
                        file->content.name, dni_printable(parts[next].tensor->name, shown));
    return DN_OK;
}

/*
*How we know:* a file of the numbers 1, 2, 3 ... is loaded, and the parameters
must be them in the transposed order; in `tests/test_files_torch.py` the outputs of whole
nets agree to a millionth, in both directions.

### What else the metadata says

Loss, normalisation and seed are words and numbers of one line each. They do not change
what the net computes from its inputs, but what has to be done to the inputs before, and
what `dn_evaluate` measures.

Words for the enumerations, in their order, and the keys that the library keeps for
itself. A word that is not in the list is an error and no default: a file of a later version
may mean something that this one does not know.
*/
static const char *const dni_normalization_names[] = {"none", "255", "sample", "feature"};
static const char *const dni_loss_names[] = {"default", "cross_entropy", "binary_cross_entropy",
                                             "mean_squared_error"};
static const char *const dni_own_keys[] = {
    "format", "densenet", "layers", "classes", "normalization", "mean", "deviation",
    "loss", "seed", "random", "checkpoint", "training", "crc32", "__metadata__"};

/*
Looking up a word gives its place, which is the value of the enumeration, or the length of
the list.
*/
static size_t dni_find_word(const char *const *list, size_t count, const char *word) {
    size_t i = 0;
    while (i < count && (word == NULL || strcmp(list[i], word) != 0)) i++;
    return i;
}

static bool dni_is_own_key(const char *key) {
    const size_t count = sizeof dni_own_keys / sizeof dni_own_keys[0];
    return dni_find_word(dni_own_keys, count, key) < count;
}

/*
Notes are kept in the net as they would stand in the header: key, zero, value, zero, and
so on, in one block.

    notes:  d a t a 0 M N I S T 0 n a m e s 0 z e r o , o n e 0
            key       value       key         value

Notes are few: a search from the beginning is good enough, and one block is easy to copy and to
free.
*/
static const char *dni_find_note(const dn_net *net, const char *key) {
    for (const char *at = net->notes; at != NULL && at < net->notes + net->notes_size;) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, key) == 0) return at;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

DN_API const char *dn_net_get_note(const dn_net *net, const char *key) {
    const char *found = dni_find_note(net, key);
    return found != NULL ? found + strlen(found) + 1 : NULL;
}

static bool dni_add_note(dn_net *net, const char *key, const char *value) {
    const size_t key_size = strlen(key) + 1, value_size = strlen(value) + 1;
    char *notes = (char *)dni_allocate(net->notes_size + key_size + value_size, 1);
    if (notes == NULL) return false;
    if (net->notes != NULL) memcpy(notes, net->notes, net->notes_size);
    memcpy(notes + net->notes_size, key, key_size);
    memcpy(notes + net->notes_size + key_size, value, value_size);
    dni_release(net->notes); /* not before: `value` may be in it */
    net->notes = notes;
    net->notes_size += key_size + value_size;
    return true;
}

/*
`dn_net_note` is one of the building calls: it leaves its error in the net. It refuses
the library's own keys, because the file has one metadata for both.
*/
DN_API void dn_net_note(dn_net *net, const char *key, const char *value) {
    if (net->error.status != DN_OK) return;
    if (!dni_is_utf8(key) || (value != NULL && !dni_is_utf8(value)) || dni_is_own_key(key)) {
        (void)dni_fail(&net->error, DN_ERROR_ARGUMENT, "a note for '%.60s': %s", key,
                       dni_is_own_key(key) ? "the library uses this key itself"
                                           : "key and value must be UTF-8");
        return;
    }
    /* Added first and the old one removed afterwards: `value` may be the old one itself. */
    if (value != NULL && !dni_add_note(net, key, value)) {
        (void)dni_fail(&net->error, DN_ERROR_MEMORY, "no memory for a note");
        return;
    }
    const char *old = dni_find_note(net, key);
    if (old == NULL) return;
    const char *old_value = old + strlen(old) + 1;
    const size_t start = (size_t)(old - net->notes);
    const size_t size = (size_t)(old_value - old) + strlen(old_value) + 1;
    if (value != NULL && start + size == net->notes_size) return; /* the new one itself */
    memmove(net->notes + start, net->notes + start + size, net->notes_size - start - size);
    net->notes_size -= size;
}

/*
The means and deviations of `DN_NORMALIZE_FEATURE` are lists of decimals, separated by a
blank. They stand in the metadata and not among the tensors, so that the tensors of the file
are exactly those that PyTorch's net expects.
*/
static bool dni_parse_list(const char *text, size_t count, dn_real *numbers) {
    for (size_t i = 0; i < count; i++) {
        double number = 0;
        if (i > 0 && !dni_take_word(&text, " ")) return false;
        if (!dni_parse_number(&text, &number)) return false;
        if (!(fabs(number) <= (double)DNI_REAL_MAX)) return false;
        numbers[i] = (dn_real)number;
    }
    return *text == '\0';
}

/*
Without them the net would be useless, so that their absence is an error.
*/
static dn_status dni_read_statistics(dn_net *plan, const dni_model_file *file, dn_error *error) {
    const char *mean = dni_metadata(file, "mean"), *deviation = dni_metadata(file, "deviation");
    /* Two bytes at least for each number: no more is allocated than the header justifies. */
    const bool plausible =
        mean != NULL && deviation != NULL && strlen(mean) / 2 + 1 >= plan->inputs;
    if (plausible) {
        plan->mean = (dn_real *)dni_allocate(plan->inputs, sizeof(dn_real));
        plan->deviation = (dn_real *)dni_allocate(plan->inputs, sizeof(dn_real));
        if (plan->mean == NULL || plan->deviation == NULL)
            return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for the means",
                            file->content.name);
    }
    if (plausible && dni_parse_list(mean, plan->inputs, plan->mean) &&
        dni_parse_list(deviation, plan->inputs, plan->deviation))
        return DN_OK;
    return dni_fail(error, DN_ERROR_FORMAT,
                    "%s: the metadata has no %zu numbers each for mean and deviation of the inputs",
                    file->content.name, plan->inputs);
}

/*
The rest of the metadata. What is not the library's is a note of the user's, and goes into
the net, to be saved with it again.
*/
static dn_status dni_read_notes(dn_net *plan, const dni_model_file *file, dn_error *error) {
    const char *seed = dni_metadata(file, "seed"), *random = dni_metadata(file, "random");
    const char *loss = dni_metadata(file, "loss");
    const char *normalization = dni_metadata(file, "normalization");
    const size_t loss_found = dni_find_word(dni_loss_names, 4, loss);
    const size_t normalization_found = dni_find_word(dni_normalization_names, 4, normalization);
    bool ok = loss == NULL || loss_found < 4;
    ok = ok && (normalization == NULL || normalization_found < 4);
    if (ok && loss != NULL) plan->loss = (dn_loss)loss_found;
    if (ok && normalization != NULL) plan->normalization = (dn_normalization)normalization_found;
    ok = ok && (seed == NULL || (dni_parse_count(&seed, &plan->seed) && *seed == '\0'));
    ok = ok && (random == NULL ||
                (dni_parse_count(&random, &plan->random.state) && *random == '\0'));
    if (!ok)
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: loss, normalization, seed or random in its metadata make no sense",
                        file->content.name);
    for (size_t i = 0; i < file->note_count; i++)
        if (!dni_is_own_key(file->notes[i].key) &&
            !dni_add_note(plan, file->notes[i].key, file->notes[i].value))
            return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for its notes",
                            file->content.name);
    return plan->normalization == DN_NORMALIZE_FEATURE ? dni_read_statistics(plan, file, error)
                                                       : DN_OK;
}

/*
### Loading

Three sources for the plan: the net that the caller has described; the file's metadata;
the shapes. Then the same steps for all of them: find the tensors, compare, take memory,
fill in, and only when nothing can fail any more, change the caller's net.

A file of PyTorch's says nothing of activations. So the caller describes the net, and the
file has to fit:

```c
dn_net net = {0};
dn_error error = {0};
dn_net_init(&net, 784, 1);
dn_net_dense(&net, 256, DN_RELU);
dn_net_dropout(&net, (dn_real)0.25);
dn_net_dense(&net, 10, DN_SOFTMAX);
if (dn_net_load(&net, "from_pytorch.safetensors", &error) != DN_OK) puts(error.message);
dn_net_free(&net);
```

or only its activations, and the shapes tell the rest:

```c
dn_loading how = {0};
dn_net net = {0};
dn_error error = {0};
how.infer = true;
how.hidden = DN_RELU;
how.last = DN_SOFTMAX;
if (dn_net_load_as(&net, "from_pytorch.safetensors", &how, &error) != DN_OK) puts(error.message);
dn_net_free(&net);
```

A net that PyTorch trained to be followed by `CrossEntropyLoss` has no softmax of its own:
its last layer gives logits. Loaded with `DN_SOFTMAX`, it gives probabilities; the
largest is the same.

When a net was described *and* the file has our metadata, their activations must agree:
the wrong activation gives plausible nonsense.
*/
static bool dni_same_activations(const dn_net *net, const char *described) {
    const char *at = described;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        char word[160];
        dni_text text;
        if (layer->kind != DN_LAYER_DENSE) continue;
        do { /* to the next dense layer in the text */
            at = strstr(at, ", ");
            if (at == NULL) return true; /* too few layers: the shapes will tell */
            at += 2;
        } while (*at == 'd');
        at += strspn(at, "0123456789");
        text.start = word;
        text.capacity = sizeof word;
        text.length = 0;
        dni_text_add(&text, " ");
        dni_activation_text(&text, layer);
        const size_t length = strcspn(at + (*at == ' '), " ,") + (*at == ' ');
        if (text.length != length || strncmp(at, word, length) != 0) return false;
    }
    return true;
}

/*
The net's own layers are the plan when they have been described; its loss, and how its
inputs are normalised, stay as they are unless the file is ours and says otherwise.
*/
static dn_status dni_make_plan(dn_net *plan, const dn_net *net, const dni_model_file *file,
                               const dn_loading *how, const dni_part *parts, size_t count,
                               dn_error *error) {
    const char *name = file->content.name, *layers = dni_metadata(file, "layers");
    const bool ours = dni_metadata(file, "densenet") != NULL && layers != NULL;
    dn_status status = DN_OK;
    char shown[64];
    if (net->layer_count > 0) {
        if (ours && !dni_same_activations(net, layers))
            return dni_fail(error, DN_ERROR_ARGUMENT,
                            "%s: its net is '%s'; the one to be loaded has other activations", name,
                            dni_printable(layers, shown));
        plan->inputs = plan->outputs = net->inputs;
        for (size_t l = 0; l < net->layer_count && status == DN_OK; l++)
            status = dni_plan_add(plan, &net->layers[l], error);
        plan->loss = net->loss;
        plan->normalization = net->normalization;
    } else if (ours) {
        status = dni_plan_from_text(plan, layers, name, how, error);
    } else if (how->infer) {
        status = dni_plan_from_shapes(plan, name, how, parts, count, error);
    } else {
        status = dni_fail(error, DN_ERROR_FORMAT,
                          "%s: does not say what the net is: describe the net before loading, or "
                          "set infer in dn_loading", name);
    }
    if (status == DN_OK) status = dni_match(file, plan, parts, count, NULL, error);
    return status == DN_OK && ours ? dni_read_notes(plan, file, error) : status;
}

/*
At last the net is changed. A described one keeps its layers and its block of parameters, to
which a workspace or a trainer may point; the new parameters are copied into it. One
that was empty becomes the plan. What is replaced goes into `plan`, to be freed with it.
*/
static void dni_adopt(dn_net *net, dn_net *plan, bool ours) {
    if (net->layer_count == 0) {
        dn_net_free(net);
        *net = *plan;
        memset(plan, 0, sizeof *plan);
        return;
    }
    memcpy(net->parameters, plan->parameters, net->parameter_count * sizeof(dn_real));
    if (!ours) return;
    dn_net old = *net;
    *net = *plan;
    net->layers = old.layers;
    net->parameters = old.parameters;
    old.layers = plan->layers;
    old.parameters = plan->parameters;
    *plan = old; /* so that freeing the plan frees what was replaced */
}

/*
    parts    find the tensors of layers           nothing allocated but the list
    plan     net, metadata or shapes              checked against the parts
    memory   parameters, as many as the plan has  all of them are in the file
    fill     dni_match once more                  cannot fail now
    adopt    the caller's net                     the only change to it
*/
static dn_status dni_net_from_file(dn_net *net, const dni_model_file *file, const dn_loading *how,
                                   dn_error *error) {
    const bool is_checkpoint = dni_metadata(file, "checkpoint") != NULL;
    const bool ours =
        dni_metadata(file, "densenet") != NULL && dni_metadata(file, "layers") != NULL;
    size_t count = 0;
    dn_net plan;
    memset(&plan, 0, sizeof plan);
    dni_part *parts = (dni_part *)dni_allocate(file->tensor_count + 1, sizeof *parts);
    if (parts == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory to load it", file->content.name);
    dn_status status = dni_find_parts(file, how, is_checkpoint, parts, &count, error);
    if (status == DN_OK) status = dni_make_plan(&plan, net, file, how, parts, count, error);
    if (status == DN_OK) {
        plan.parameters = (dn_real *)dni_allocate(plan.parameter_count, sizeof(dn_real));
        if (plan.parameters == NULL)
            status = dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for %zu parameters",
                              file->content.name, plan.parameter_count);
    }
    if (status == DN_OK) status = dni_match(file, &plan, parts, count, plan.parameters, error);
    if (status == DN_OK) dni_adopt(net, &plan, ours);
    dni_release(parts);
    dn_net_free(&plan);
    return status;
}

/*
The bytes of the file end their life here, whatever happened.
*/
static dn_status dni_load_content(dn_net *net, dni_content content, const dn_loading *how,
                                  dn_error *error) {
    dn_loading usual;
    dni_model_file file;
    memset(&usual, 0, sizeof usual);
    memset(&file, 0, sizeof file);
    file.content = content;
    if (how == NULL) how = &usual;
    dn_status status = net->layer_count > 0 ? dni_net_check(net, error) : DN_OK;
    if (status == DN_OK) status = dni_model_file_open(&file, how->header_limit, error);
    if (status == DN_OK) status = dni_net_from_file(net, &file, how, error);
    dni_model_file_free(&file);
    return status;
}

/*
Three doors lead to it: bytes in memory, a stream, a name.
*/
DN_API dn_status dn_net_memory(dn_net *net, const void *bytes, size_t size, const dn_loading *how,
                               dn_error *error) {
    dni_content content;
    memset(&content, 0, sizeof content);
    content.name = "the model in memory";
    content.bytes = (const unsigned char *)bytes;
    content.size = size;
    return dni_load_content(net, content, how, error);
}

DN_API dn_status dn_net_read(dn_net *net, const dn_reader *reader, const dn_loading *how,
                             dn_error *error) {
    dni_content content;
    dn_status status = dni_read_all(reader, 0, dni_model_extent, &content, error);
    return status == DN_OK ? dni_load_content(net, content, how, error) : status;
}

#ifndef DN_NO_STDIO
static dn_status dni_read_named(const char *name, dni_content *content, dn_error *error) {
    dn_reader reader;
    FILE *file = fopen(name, "rb");
    if (file == NULL)
        return dni_fail(error, DN_ERROR_FILE, "%s: cannot be opened: %s", dni_short_name(name),
                        strerror(errno));
    reader.read = dni_file_read;
    reader.user = file;
    reader.name = name;
    const size_t size = dni_file_size(file);
    dn_status status = dni_read_all(&reader, size, dni_model_extent, content, error);
    (void)fclose(file);
    return status;
}

DN_API dn_status dn_net_load_as(dn_net *net, const char *name, const dn_loading *how,
                                dn_error *error) {
    dni_content content;
    dn_status status = dni_read_named(name, &content, error);
    return status == DN_OK ? dni_load_content(net, content, how, error) : status;
}

DN_API dn_status dn_net_load(dn_net *net, const char *name, dn_error *error) {
    return dn_net_load_as(net, name, NULL, error);
}
#endif

/*
### Writing

A file is written from a list of *sources*: arrays in memory, with the steps from one
element to the next, so that a transposed matrix needs no copy. The list makes the header;
then the elements follow in the same order through a small buffer.
*/
typedef enum dni_element { DNI_ELEMENT_REAL, DNI_ELEMENT_F64, DNI_ELEMENT_I64 } dni_element;

typedef struct dni_source {
    char name[32];
    const void *data;
    dni_element type;
    size_t rows, columns;          /* columns is 0 for a vector */
    size_t row_step, column_step;
} dni_source;

/*
Two kinds of numbers besides weights occur, both in checkpoints: doubles, and whole
numbers of 64 bits, whose sign nobody looks at.
*/
static const char *dni_source_type(const dni_source *source) {
    if (source->type == DNI_ELEMENT_I64) return "I64";
    return source->type == DNI_ELEMENT_F64 || DNI_REAL_IS_DOUBLE ? "F64" : "F32";
}

static size_t dni_source_element(const dni_source *source) {
    return source->type == DNI_ELEMENT_REAL ? sizeof(dn_real) : 8;
}

static size_t dni_source_bytes(const dni_source *source) {
    return source->rows * (source->columns > 0 ? source->columns : 1) * dni_source_element(source);
}

static dni_source dni_vector_source(const char *name, dni_element type, const void *data,
                                    size_t count) {
    dni_source source;
    memset(&source, 0, sizeof source);
    (void)snprintf(source.name, sizeof source.name, "%s", name);
    source.data = data;
    source.type = type;
    source.rows = count;
    source.row_step = 1;
    return source;
}

/*
The tensors of a net, two for each dense layer. `module` counts as PyTorch does:

| layer here | modules there | counts |
|---|---|---|
| dense, linear | Linear | 1 |
| dense with another activation | Linear, ReLU (or another) | 2 |
| dropout | Dropout | 1 |
*/
static size_t dni_net_sources(const dn_net *net, dni_source *sources) {
    size_t module = 0, count = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        char name[32];
        if (layer->kind == DN_LAYER_DENSE) {
            dni_source *weight = &sources[count++];
            (void)snprintf(name, sizeof name, "%zu.weight", module);
            *weight = dni_vector_source(name, DNI_ELEMENT_REAL, net->parameters + layer->weights,
                                        layer->outputs);
            weight->columns = layer->inputs;
            weight->column_step = layer->outputs;
            (void)snprintf(name, sizeof name, "%zu.bias", module);
            sources[count++] = dni_vector_source(name, DNI_ELEMENT_REAL,
                                                 net->parameters + layer->biases, layer->outputs);
            module += layer->activation != DN_LINEAR;
        }
        module++;
    }
    return count;
}

/*
What a file is made of: the net for the metadata, the sources for the tensors, and, for a
checkpoint (chapter 14), two texts more.
*/
typedef struct dni_plan_of_file {
    const dn_net *net;
    dni_source *sources;
    size_t source_count;
    const char *training; /* a checkpoint's settings, or NULL */
    uint32_t crc;         /* a checkpoint's checksum */
} dni_plan_of_file;

/*
JSON is easier to write than to read. In a string, quote and backslash get a backslash,
control characters become `\u` and four digits, and everything else is UTF-8 as it is.
*/
static void dni_json_text(dni_text *text, const char *string) {
    dni_text_add(text, "\"");
    for (; *string != '\0'; string++) {
        const unsigned char c = (unsigned char)*string;
        if (c == '"' || c == '\\') dni_text_add(text, "\\%c", c);
        else if (c < 0x20) dni_text_add(text, "\\u%04x", c);
        else dni_text_add(text, "%c", c);
    }
    dni_text_add(text, "\"");
}

static void dni_pair_text(dni_text *text, const char *key, const char *value) {
    dni_text_add(text, ",");
    dni_json_text(text, key);
    dni_text_add(text, ":");
    dni_json_text(text, value);
}

static void dni_list_text(dni_text *text, const char *key, const dn_real *numbers, size_t count) {
    char number[40];
    dni_text_add(text, ",\"%s\":\"", key);
    for (size_t i = 0; i < count; i++)
        dni_text_add(text, "%s%s", i > 0 ? " " : "", dni_number_text(numbers[i], number));
    dni_text_add(text, "\"");
}

/*
How many classes the outputs tell apart is a service to other programs; this library knows
it from the layers.
*/
static size_t dni_classes_of(const dn_net *net) {
    const dn_loss loss = dni_loss_of(net, net->loss);
    if (loss != DN_CROSS_ENTROPY && loss != DN_BINARY_CROSS_ENTROPY) return 0;
    return net->outputs == 1 ? 2 : net->outputs;
}

/*
The metadata, in the order of the table above.
*/
static void dni_metadata_text(dni_text *text, const dni_plan_of_file *plan) {
    const dn_net *net = plan->net;
    dni_text_add(text, "{\"__metadata__\":{\"format\":\"pt\",\"densenet\":\"%s\",\"layers\":\"",
                 DN_VERSION);
    dni_layers_text(text, net);
    dni_text_add(text, "\"");
    if (dni_classes_of(net) > 0) dni_text_add(text, ",\"classes\":\"%zu\"", dni_classes_of(net));
    dni_pair_text(text, "normalization", dni_normalization_names[net->normalization]);
    if (net->normalization == DN_NORMALIZE_FEATURE) {
        dni_list_text(text, "mean", net->mean, net->inputs);
        dni_list_text(text, "deviation", net->deviation, net->inputs);
    }
    dni_pair_text(text, "loss", dni_loss_names[net->loss]);
    dni_text_add(text, ",\"seed\":\"%llu\",\"random\":\"%llu\"", (unsigned long long)net->seed,
                 (unsigned long long)net->random.state);
    for (const char *key = net->notes; key != NULL && key < net->notes + net->notes_size;) {
        const char *value = key + strlen(key) + 1;
        dni_pair_text(text, key, value);
        key = value + strlen(value) + 1;
    }
    if (plan->training != NULL) {
        dni_text_add(text, ",\"checkpoint\":\"1\"");
        dni_pair_text(text, "training", plan->training);
        dni_text_add(text, ",\"crc32\":\"%08lx\"", (unsigned long)plan->crc);
    }
    dni_text_add(text, "}");
}

/*
And the whole header. Each tensor begins where the one before it ended, so that the
layout is right by construction. Blanks fill it up to a multiple of 8: the data then
begins at such a place in the file (8 + N), and a program that maps the file into its memory
can use the numbers where they are.
*/
static void dni_header_text(dni_text *text, const dni_plan_of_file *plan) {
    size_t start = 0;
    dni_metadata_text(text, plan);
    for (size_t i = 0; i < plan->source_count; i++) {
        const dni_source *source = &plan->sources[i];
        const size_t end = start + dni_source_bytes(source);
        dni_text_add(text, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[%zu", source->name,
                     dni_source_type(source), source->rows);
        if (source->columns > 0) dni_text_add(text, ",%zu", source->columns);
        dni_text_add(text, "],\"data_offsets\":[%zu,%zu]}", start, end);
        start = end;
    }
    dni_text_add(text, "}");
    while (text->length % 8 != 0) dni_text_add(text, " ");
}

/*
The numbers follow, element by element, through a buffer of 4 KiB, so that a writer is not
called for every four bytes.
*/
static uint64_t dni_source_bits(const dni_source *source, size_t index) {
    if (source->type == DNI_ELEMENT_I64) return ((const uint64_t *)source->data)[index];
    if (source->type == DNI_ELEMENT_F64) return dni_bits_of(((const double *)source->data)[index]);
    return dni_real_bits(((const dn_real *)source->data)[index]);
}

static bool dni_write_source(const dn_writer *writer, const dni_source *source) {
    unsigned char buffer[4096];
    size_t used = 0;
    const size_t bytes = dni_source_element(source);
    const size_t columns = source->columns > 0 ? source->columns : 1;
    for (size_t r = 0; r < source->rows; r++)
        for (size_t c = 0; c < columns; c++) {
            dni_put_bits(buffer + used,
                         dni_source_bits(source, r * source->row_step + c * source->column_step),
                         bytes);
            used += bytes;
            if (used + 8 > sizeof buffer) {
                if (!writer->write(writer->user, buffer, used)) return false;
                used = 0;
            }
        }
    return used == 0 || writer->write(writer->user, buffer, used);
}

/*
The header is made twice, as `snprintf` is often called twice: once to learn its length,
once to have it.
*/
static dn_status dni_write_file(const dni_plan_of_file *plan, const dn_writer *writer,
                                dn_error *error) {
    const char *name = writer->name != NULL ? dni_short_name(writer->name) : "the model";
    unsigned char length[8];
    dni_text text;
    text.start = NULL;
    text.capacity = text.length = 0;
    dni_header_text(&text, plan);
    text.capacity = text.length + 1;
    text.start = (char *)dni_allocate(text.capacity, 1);
    if (text.start == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory for its header", name);
    text.length = 0;
    dni_header_text(&text, plan);
    dni_put_bits(length, text.length, 8);
    bool ok = writer->write(writer->user, length, 8) &&
              writer->write(writer->user, text.start, text.length);
    for (size_t i = 0; i < plan->source_count && ok; i++)
        ok = dni_write_source(writer, &plan->sources[i]);
    dni_release(text.start);
    return ok ? DN_OK : dni_fail(error, DN_ERROR_FILE, "%s: writing failed", name);
}

/*
Before the first byte is written, one question: can all that the net is be said in a
file?
*/
static dn_status dni_savable(const dn_net *net, dn_error *error) {
    dn_status status = dni_net_check(net, error);
    for (size_t l = 0; l < net->layer_count && status == DN_OK; l++) {
        const dn_layer *layer = &net->layers[l];
        if (layer->activation == DN_CUSTOM && layer->custom->name != NULL &&
            !dni_is_word(layer->custom->name))
            status = dni_fail(error, DN_ERROR_ARGUMENT,
                              "layer %zu: to be saved, the name of its activation must be of "
                              "letters, digits, _ - + .", l);
    }
    if (status != DN_OK || net->normalization != DN_NORMALIZE_FEATURE) return status;
    bool ok = net->mean != NULL && net->deviation != NULL;
    for (size_t i = 0; i < net->inputs && ok; i++)
        ok = dni_is_finite((double)net->mean[i]) && dni_is_finite((double)net->deviation[i]);
    return ok ? DN_OK
              : dni_fail(error, DN_ERROR_ARGUMENT,
                         "the net needs the mean and deviation that normalise its inputs");
}

/*
The three doors again: a writer, memory, and, in the next section, a name.
*/
DN_API dn_status dn_net_write(const dn_net *net, const dn_writer *writer, dn_error *error) {
    dn_status status = dni_savable(net, error);
    dni_plan_of_file plan;
    if (status != DN_OK) return status;
    memset(&plan, 0, sizeof plan);
    plan.net = net;
    plan.sources = (dni_source *)dni_allocate(net->layer_count, 2 * sizeof(dni_source));
    if (plan.sources == NULL) return dni_fail(error, DN_ERROR_MEMORY, "no memory to save the net");
    plan.source_count = dni_net_sources(net, plan.sources);
    status = dni_write_file(&plan, writer, error);
    dni_release(plan.sources);
    return status;
}

/*
The writer into memory goes on counting when its memory is full, so that the size can be
asked for with none at all:

```c
dn_net net = {0};
dn_error error = {0};
size_t size = dn_net_store(&net, NULL, 0, &error);
void *bytes = malloc(size);
if (bytes == NULL || dn_net_store(&net, bytes, size, &error) != size) return 1;
free(bytes);
```
*/
typedef struct dni_store {
    unsigned char *bytes;
    size_t capacity, size;
} dni_store;

static bool dni_store_write(void *user, const void *bytes, size_t size) {
    dni_store *store = (dni_store *)user;
    if (store->size <= store->capacity && size <= store->capacity - store->size && size > 0)
        memcpy(store->bytes + store->size, bytes, size);
    store->size += size;
    return true;
}

DN_API size_t dn_net_store(const dn_net *net, void *bytes, size_t capacity, dn_error *error) {
    dni_store store;
    dn_writer writer;
    store.bytes = (unsigned char *)bytes;
    store.capacity = capacity;
    store.size = 0;
    writer.write = dni_store_write;
    writer.user = &store;
    writer.name = NULL;
    return dn_net_write(net, &writer, error) == DN_OK ? store.size : 0;
}

/*
### Saving without risk

Writing over the old file would destroy it with the first byte; if then the disk is full
or the power fails, neither the old net nor the new one is left. So the new contents go
to a temporary name in the same directory; when they are all there and flushed to the
disk, the file is renamed, which the system does as a whole or not at all.

    write NAME.tmp-123-0      a crash here leaves NAME as it was (and the temporary file)
    fsync                     the bytes are on the disk, not only on their way
    rename to NAME            NAME is the new file, whole

| what happens | while writing | after fsync | after rename |
|---|---|---|---|
| disk full, quota, limit | error, NAME is the old file | | |
| the process is killed | NAME is the old file | NAME is the old file | NAME is the new file |
| the power fails | NAME is the old file | NAME is the old file | the old or the new file |

*Why this order.* File systems differ in the order in which they bring writes and renames to the
disk (Pillai et al., 2014): without fsync, the new name may stand for contents that never reached
it. And rename works within one file system only, so that the temporary file stands beside NAME. One
that is left behind, with `.tmp-` in its name, is never read by the library and may be deleted.

On POSIX systems this uses `open`, `write` and `fsync`; on Windows the C library's files and
`MoveFileEx`; elsewhere the C library alone. The temporary name contains the number
of the process, so that two programs do not write into one file.
*/
#ifndef DN_NO_STDIO
#if defined(_WIN32)
#include <io.h>
#include <process.h>
#ifdef __cplusplus
extern "C"
#endif
__declspec(dllimport) int __stdcall MoveFileExA(const char *from, const char *to,
                                                unsigned long how);
#elif defined(__unix__) || defined(__APPLE__)
#define DNI_POSIX_FILES
#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>
#ifdef __cplusplus
extern "C"
#else
extern /* strict C99 hides this declaration */
#endif
int fsync(int file);
#endif

/*
The object of this section is a file that is being saved. The first `errno` is kept: it
says "No space left on device" where a later one would say something else.
*/
typedef struct dni_saving {
    const char *name; /* the final name */
    char *temporary;
    int reason;       /* errno of the first failure; -1 if it gave none */
#ifdef DNI_POSIX_FILES
    int file;
#else
    FILE *file;
#endif
} dni_saving;

static bool dni_saving_fails(dni_saving *saving) {
    if (saving->reason == 0) saving->reason = errno != 0 ? errno : -1;
    return false;
}

/*
Writing, as a `dn_writer`. The system may take fewer bytes than it is given, or be
interrupted by a signal before it took any; both are normal, and the loop goes on.
*/
static bool dni_saving_write(void *user, const void *bytes, size_t size) {
    dni_saving *saving = (dni_saving *)user;
    errno = 0;
#ifdef DNI_POSIX_FILES
    const unsigned char *at = (const unsigned char *)bytes;
    while (size > 0) { /* write may take less than it is given, or be interrupted */
        const ssize_t taken = write(saving->file, at, size);
        if (taken < 0 && errno == EINTR) continue;
        if (taken <= 0) return dni_saving_fails(saving);
        at += taken;
        size -= (size_t)taken;
    }
    return true;
#else
    return fwrite(bytes, 1, size, saving->file) == size || dni_saving_fails(saving);
#endif
}

/*
The temporary name must be new: `O_EXCL` makes the system refuse one that exists, for
example left behind by a program of the same number that was killed. Then the next is
tried.
*/
static bool dni_saving_open(dni_saving *saving, size_t room) {
    for (int attempt = 0; attempt < 100; attempt++) {
        errno = 0;
#ifdef DNI_POSIX_FILES
        (void)snprintf(saving->temporary, room, "%s.tmp-%ld-%d", saving->name, (long)getpid(),
                       attempt);
        saving->file = open(saving->temporary, O_WRONLY | O_CREAT | O_EXCL, 0666);
        if (saving->file >= 0) return true;
#else
#ifdef _WIN32
        (void)snprintf(saving->temporary, room, "%s.tmp-%d-%d", saving->name, _getpid(), attempt);
#else
        (void)snprintf(saving->temporary, room, "%s.tmp-%d", saving->name, attempt);
#endif
        saving->file = fopen(saving->temporary, "rb");
        if (saving->file == NULL) {
            saving->file = fopen(saving->temporary, "wb");
            return saving->file != NULL || dni_saving_fails(saving);
        }
        (void)fclose(saving->file);
        errno = EEXIST;
#endif
        if (errno != EEXIST) break;
    }
    return dni_saving_fails(saving);
}

/*
After the last byte: flush, close, rename, in this order, and each can fail. A full disk may
show itself only here, because the system collects bytes in its memory before it writes
them. The directory itself is not flushed: after a power failure the name may still have
the old file, but never half of one.
*/
static bool dni_saving_close(dni_saving *saving) {
    errno = 0;
#ifdef DNI_POSIX_FILES
    /* Some file systems have no fsync and say EINVAL; that is no failure of the data. */
    if (saving->reason == 0 && fsync(saving->file) != 0 && errno != EINVAL)
        (void)dni_saving_fails(saving);
    if (close(saving->file) != 0) (void)dni_saving_fails(saving);
#else
    if (fflush(saving->file) != 0) (void)dni_saving_fails(saving);
#ifdef _WIN32
    if (saving->reason == 0 && _commit(_fileno(saving->file)) != 0) (void)dni_saving_fails(saving);
#endif
    if (fclose(saving->file) != 0) (void)dni_saving_fails(saving);
#endif
    if (saving->reason != 0) return false;
#ifdef _WIN32
    return MoveFileExA(saving->temporary, saving->name, 1 | 8) != 0 || dni_saving_fails(saving);
#else
    return rename(saving->temporary, saving->name) == 0 || dni_saving_fails(saving);
#endif
}

/*
These are the steps for any contents; `write_to` is the function that writes the object,
a net or a trainer. If anything fails, the temporary file is removed.

    open temporary -> write -> fsync -> close -> rename
          |             |        |        |        |
          +-------------+--------+--------+--------+--> remove it, report the first reason
*/
typedef dn_status (*dni_write_to)(const void *object, const dn_writer *writer, dn_error *error);

static dn_status dni_save(const char *name, dni_write_to write_to, const void *object,
                          dn_error *error) {
    const size_t room = strlen(name) + 48;
    dni_saving saving;
    dn_writer writer;
    memset(&saving, 0, sizeof saving);
    saving.name = name;
    saving.temporary = (char *)dni_allocate(room, 1);
    if (saving.temporary == NULL)
        return dni_fail(error, DN_ERROR_MEMORY, "%s: no memory to save it", dni_short_name(name));
    dn_status status = DN_OK;
    if (dni_saving_open(&saving, room)) {
        writer.write = dni_saving_write;
        writer.user = &saving;
        writer.name = name;
        status = write_to(object, &writer, error);
        if (status != DN_OK && saving.reason == 0) saving.reason = -1;
        if (!dni_saving_close(&saving)) (void)remove(saving.temporary);
    }
    if (saving.reason != 0 && (status == DN_OK || status == DN_ERROR_FILE))
        status = dni_fail(error, DN_ERROR_FILE, "%s: cannot be saved: %s", dni_short_name(name),
                          saving.reason > 0 ? strerror(saving.reason) : "writing failed");
    dni_release(saving.temporary);
    return status;
}

static dn_status dni_write_net(const void *object, const dn_writer *writer, dn_error *error) {
    return dn_net_write((const dn_net *)object, writer, error);
}

DN_API dn_status dn_net_save(const dn_net *net, const char *name, dn_error *error) {
    return dni_save(name, dni_write_net, net, error);
}
#endif

/*
*How we know:* `tests/test_files.c` saves over an old file with the size
of files limited to each number of bytes in turn, so that every single write fails once,
and finds the old file whole each time and no other beside it. `tests/test_files_torch.py`
loads our files in PyTorch, and PyTorch's files here, and compares the outputs of the two
nets; `tests/test_files_hub.sh` asks an independent program to judge our headers.

## 14. Checkpoints

A training of hours must survive a power cut, and going on must be more than starting
again from the last weights: Adam's two averages, the generator of random numbers, the
place in the running epoch, the learning rate, the best weights so far all belong to it.
The trainer holds them in plain fields; a checkpoint is these fields.

It is a model file as in chapter 13 with more tensors, so that one reader and one writer do for
both, any program that reads safetensors can look inside, and `dn_net_load` takes
the net out of it.

| tensor | type | what |
|---|---|---|
| trainer.counts | I64 [9] | epoch, position, both states of the generator ... |
| trainer.numbers | F64 [6] | sums, learning rate, best loss ... |
| trainer.history | F64 [epochs, 6] | one row per epoch done |
| trainer.first, trainer.second | [parameters] | the memory of the optimizer, if it has any |
| trainer.best | [parameters] | the best parameters so far, with early stopping |

Every number is stored as its bits. What is *not* stored is what can be made again: the
order of the samples follows from the state of the generator at the start of the epoch.

When to save is the program's decision: after every epoch, every minute, on a signal. What
a kill can cost is the time since then, never the training: it ends with the same bits as if it had
not been killed.

### The same training

To go on with another learning rate, another batch, other data would be another
training. Therefore the settings stand in the metadata in words, and are compared, word
for word, with those of the trainer that wants to go on:

    samples 60000 (sum 5be0cd19), validation 0, batch 128, loss cross_entropy, optimizer adam, ...

The number of epochs is not among them: it may grow. The sum is over the first sample, normalised,
and the labels of all (or their first targets): another file, another split, another normalisation
have another.

The text is made by the writer and made again by the reader; nothing parses it. Numbers are
their shortest decimals, which differ when the numbers do.
*/
static void dni_data_setting(dni_text *text, const char *name, const dn_dataset *data,
                             dn_real *first) {
    const uint64_t prime = UINT64_C(0x100000001b3); /* of Fowler, Noll and Vo (1991) */
    uint64_t sum = 1;
    dni_text_add(text, "%s %zu", name, data != NULL ? data->count : 0);
    if (data == NULL) return;
    dn_dataset_gather(data, NULL, 0, 1, first);
    for (size_t i = 0; i < data->features; i++) sum = (sum ^ dni_real_bits(first[i])) * prime;
    for (size_t s = 0; s < data->count; s++) {
        const size_t row = dni_row_of(data, s);
        sum ^= data->labels != NULL ? (uint64_t)data->labels[row]
                                    : dni_real_bits(data->targets[row * data->outputs]);
        sum *= prime;
    }
    dni_text_add(text, " (sum %08lx)", (unsigned long)(sum >> 32));
}

static void dni_setting(dni_text *text, const char *name, dn_real value) {
    char number[40];
    dni_text_add(text, ", %s %s", name, dni_number_text(value, number));
}

static void dni_training_text(dni_text *text, const dn_trainer *trainer) {
    static const char *const optimizers[] = {"default", "sgd", "momentum", "weighted_momentum",
                                             "nesterov", "rmsprop", "adam"};
    static const char *const schedules[] = {"constant", "step", "cosine", "plateau"};
    const dn_training *how = &trainer->how;
    const dn_optimizer *optimizer = &how->optimizer;
    dni_data_setting(text, "samples", trainer->train, trainer->inputs);
    dni_data_setting(text, ", validation", trainer->validation, trainer->inputs);
    dni_text_add(text, ", batch %zu, loss %s, optimizer %s", how->batch,
                 dni_loss_names[trainer->net->loss], optimizers[optimizer->kind]);
    dni_setting(text, "learning_rate", optimizer->learning_rate);
    dni_setting(text, "momentum", optimizer->momentum);
    dni_setting(text, "square_decay", optimizer->square_decay);
    dni_setting(text, "epsilon", optimizer->epsilon);
    dni_setting(text, "weight_decay", optimizer->weight_decay);
    dni_setting(text, "shrink", optimizer->shrink);
    dni_setting(text, "l1", how->penalty.l1);
    dni_setting(text, "l2", how->penalty.l2);
    dni_text_add(text, ", schedule %s", schedules[how->schedule.kind]);
    dni_setting(text, "factor", how->schedule.factor);
    dni_text_add(text, ", every %zu", how->schedule.every);
    dni_setting(text, "minimum", how->schedule.minimum);
    dni_text_add(text, ", patience %zu, keep_last %d, keep_order %d, ignore_divergence %d",
                 how->patience, how->keep_last, how->keep_order, how->ignore_divergence);
}

/*
Both texts, this one and the layers of chapter 13, are made in two passes, the first of
which only measures.
*/
static char *dni_words(const dn_trainer *trainer, bool of_training) {
    dni_text text;
    memset(&text, 0, sizeof text);
    for (int pass = 0; pass < 2; pass++) {
        text.length = 0;
        if (of_training) dni_training_text(&text, trainer);
        else dni_layers_text(&text, trainer->net);
        if (pass == 1) break;
        text.capacity = text.length + 1;
        text.start = (char *)dni_allocate(text.capacity, 1);
        if (text.start == NULL) break;
    }
    return text.start;
}

/*
When two texts differ, the message shows the first item in which they do: `'learning_rate
0.001' there, 'learning_rate 0.01' here`. Items are separated by a comma, and the loop
remembers where the last item began that was reached with all characters alike.
*/
static dn_status dni_compare_words(const char *name, const char *what, const char *stored,
                                   const char *own, dn_error *error) {
    size_t start = 0;
    if (strcmp(stored, own) == 0) return DN_OK;
    for (size_t i = 0; stored[i] == own[i]; i++)
        if (stored[i] == ',') start = i + 2;
    char there[64], here[64], shown[64], shown_too[64];
    (void)snprintf(there, sizeof there, "%.*s", (int)strcspn(stored + start, ","), stored + start);
    (void)snprintf(here, sizeof here, "%.*s", (int)strcspn(own + start, ","), own + start);
    return dni_fail(error, DN_ERROR_ARGUMENT,
                    "%s: is of another %s: '%s' there, '%s' here", name, what,
                    dni_printable(there, shown), dni_printable(here, shown_too));
}

/*
### The fields as vectors

Whole numbers and fractions go into two small tensors, in an order that is part of the
format and must not change without a new version:

| place | counts | numbers |
|---|---|---|
| 0 | epochs finished | loss summed over the running epoch |
| 1 | batches done in the running epoch | learning rate of the running epoch |
| 2 | state of the generator | validation accuracy of the epoch before |
| 3 | its state at the start of the epoch | lowest validation loss |
| 4 | right answers in the running epoch | momentum^steps |
| 5 | epoch of the lowest validation loss | square_decay^steps |
| 6 | steps of the optimizer | |
| 7 | 1 when nothing is left to do | |
| 8 | 1 when it was stopped early | |

The two powers could be computed from the steps, but not to the last bit: they are made by
repeated multiplication, and each product was rounded.

    epoch 3:   | batch 0 | batch 1 | batch 2 | batch 3 | ...
               ^                   ^
       counts[3]: the order        counts[2]: the dropout masks of the batches to come
       of all samples              position = 2
*/
enum { DNI_COUNTS = 9, DNI_NUMBERS = 6, DNI_HISTORY_COLUMNS = 6 };

static void dni_trainer_counts(const dn_trainer *trainer, uint64_t counts[DNI_COUNTS]) {
    counts[0] = trainer->epoch;
    counts[1] = trainer->position;
    counts[2] = trainer->random.state;
    counts[3] = trainer->epoch_random.state;
    counts[4] = trainer->correct;
    counts[5] = trainer->best_epoch;
    counts[6] = trainer->state.steps;
    counts[7] = trainer->finished;
    counts[8] = trainer->stopped_early;
}

static void dni_trainer_numbers(const dn_trainer *trainer, double numbers[DNI_NUMBERS]) {
    numbers[0] = trainer->loss_sum;
    numbers[1] = (double)trainer->learning_rate;
    numbers[2] = trainer->previous_accuracy;
    numbers[3] = trainer->best_loss;
    numbers[4] = trainer->state.momentum_power;
    numbers[5] = trainer->state.square_power;
}

/*
A training that was finished is not finished any more when more epochs are wanted than then,
unless it was stopped early. It goes on from the parameters it ended with.
*/
static void dni_trainer_restore(dn_trainer *trainer, const uint64_t *counts,
                                const double *numbers) {
    trainer->epoch = (size_t)counts[0];
    trainer->position = (size_t)counts[1];
    trainer->random.state = counts[2];
    trainer->epoch_random.state = counts[3];
    trainer->correct = (size_t)counts[4];
    trainer->best_epoch = (size_t)counts[5];
    trainer->state.steps = counts[6];
    trainer->stopped_early = counts[8] != 0;
    trainer->finished = trainer->stopped_early || trainer->epoch >= trainer->how.epochs;
    trainer->loss_sum = numbers[0];
    trainer->learning_rate = (dn_real)numbers[1];
    trainer->previous_accuracy = numbers[2];
    trainer->best_loss = numbers[3];
    trainer->state.momentum_power = numbers[4];
    trainer->state.square_power = numbers[5];
}

/*
The history is a table of doubles, a row per epoch. What is NaN, because there was no
validation set, stays NaN.
*/
static void dni_epoch_numbers(const dn_epoch *epoch, double row[DNI_HISTORY_COLUMNS]) {
    row[0] = (double)epoch->epoch;
    row[1] = epoch->learning_rate;
    row[2] = epoch->train_loss;
    row[3] = epoch->train_accuracy;
    row[4] = epoch->validation_loss;
    row[5] = epoch->validation_accuracy;
}

static dn_epoch dni_epoch_restored(size_t number, const double row[DNI_HISTORY_COLUMNS]) {
    dn_epoch epoch;
    epoch.epoch = number;
    epoch.learning_rate = row[1];
    epoch.train_loss = row[2];
    epoch.train_accuracy = row[3];
    epoch.validation_loss = row[4];
    epoch.validation_accuracy = row[5];
    return epoch;
}

/*
### The checksum

safetensors has none. A checkpoint has one over the whole file, in its own metadata: it
is computed with zeroes in the place of its eight digits. To know it before the first
byte is written, the file is written twice, the first time into a writer that only
counts.

The polynomial and its table are those of gzip in chapter 12. Here the bytes come in pieces,
so that the remainder is kept from one to the next.

    file:      length | {"__metadata__":{ ... "crc32":"7bb4032b"}, ... } | numbers
    summed:    length | {"__metadata__":{ ... "crc32":"00000000"}, ... } | numbers
*/
typedef struct dni_sum {
    dni_crc crc;
    uint32_t remainder;
} dni_sum;

static void dni_sum_init(dni_sum *sum) {
    dni_crc_init(&sum->crc);
    sum->remainder = UINT32_C(0xffffffff);
}

static bool dni_sum_write(void *user, const void *bytes, size_t size) {
    dni_sum *sum = (dni_sum *)user;
    const unsigned char *at = (const unsigned char *)bytes;
    uint32_t r = sum->remainder;
    for (size_t i = 0; i < size; i++) r = r >> 8 ^ sum->crc.table[0][(r ^ at[i]) & 255];
    sum->remainder = r;
    return true;
}

static uint32_t dni_sum_value(const dni_sum *sum) { return sum->remainder ^ UINT32_C(0xffffffff); }

/*
The place of the digits in the file is the place of the decoded string in the parser's copy:
a string is decoded where it stands.
*/
static dn_status dni_check_sum(const dni_model_file *file, dn_error *error) {
    const char *digits = dni_metadata(file, "crc32");
    const size_t place = digits != NULL ? 8 + (size_t)(digits - file->text) : 0;
    char expected[16] = "";
    if (digits != NULL && strlen(digits) == 8) {
        dni_sum sum;
        dni_sum_init(&sum);
        (void)dni_sum_write(&sum, file->content.bytes, place);
        (void)dni_sum_write(&sum, "00000000", 8);
        (void)dni_sum_write(&sum, file->content.bytes + place + 8, file->content.size - place - 8);
        (void)snprintf(expected, sizeof expected, "%08lx", (unsigned long)dni_sum_value(&sum));
        if (strcmp(expected, digits) == 0) return DN_OK;
    }
    return dni_fail(error, DN_ERROR_CHECKSUM, "%s: damaged: its checksum is not what it says",
                    file->content.name);
}

/*
### Writing

Two passes over the same sources: the sum of the first is that of the second.
*/
static dn_status dni_write_checkpoint(dni_plan_of_file *plan, const dn_writer *writer,
                                      dn_error *error) {
    dni_sum sum;
    dn_writer counter;
    dni_sum_init(&sum);
    counter.write = dni_sum_write;
    counter.user = &sum;
    counter.name = writer->name;
    dn_status status = dni_write_file(plan, &counter, error);
    plan->crc = dni_sum_value(&sum);
    return status == DN_OK ? dni_write_file(plan, writer, error) : status;
}

/*
All sources in one list, those of eight bytes first, so that each tensor begins at a multiple
of its size. A training that failed is not saved: it would replace the last checkpoint that
can be used by one full of NaN.
*/
DN_API dn_status dn_trainer_write(const dn_trainer *trainer, const dn_writer *writer,
                                  dn_error *error) {
    uint64_t counts[DNI_COUNTS];
    double numbers[DNI_NUMBERS];
    dni_plan_of_file plan;
    if (trainer->net == NULL || trainer->error.status != DN_OK) {
        if (error != NULL) *error = trainer->error;
        return trainer->error.status != DN_OK
                   ? trainer->error.status
                   : dni_fail(error, DN_ERROR_ARGUMENT, "the trainer is not initialised");
    }
    const dn_net *net = trainer->net;
    const size_t epochs = trainer->history.count;
    dn_status status = dni_savable(net, error);
    if (status != DN_OK) return status;
    memset(&plan, 0, sizeof plan);
    plan.net = net;
    double *history = (double *)dni_allocate(epochs, DNI_HISTORY_COLUMNS * sizeof(double));
    char *training = dni_words(trainer, true);
    dni_source *s = (dni_source *)dni_allocate(2 * net->layer_count + 6, sizeof *s);
    if (history == NULL || training == NULL || s == NULL) {
        status = dni_fail(error, DN_ERROR_MEMORY, "no memory to save a checkpoint");
    } else {
        size_t n = 0;
        dni_trainer_counts(trainer, counts);
        dni_trainer_numbers(trainer, numbers);
        for (size_t e = 0; e < epochs; e++)
            dni_epoch_numbers(&trainer->history.epochs[e], history + e * DNI_HISTORY_COLUMNS);
        s[n++] = dni_vector_source("trainer.counts", DNI_ELEMENT_I64, counts, DNI_COUNTS);
        s[n++] = dni_vector_source("trainer.numbers", DNI_ELEMENT_F64, numbers, DNI_NUMBERS);
        s[n] = dni_vector_source("trainer.history", DNI_ELEMENT_F64, history, epochs);
        s[n].columns = s[n].row_step = DNI_HISTORY_COLUMNS;
        s[n++].column_step = 1;
        n += dni_net_sources(net, s + n);
        const struct {
            const char *name;
            const dn_real *vector;
        } vectors[3] = {{"trainer.first", trainer->state.first},
                        {"trainer.second", trainer->state.second},
                        {"trainer.best", trainer->best}};
        for (int v = 0; v < 3; v++)
            if (vectors[v].vector != NULL)
                s[n++] = dni_vector_source(vectors[v].name, DNI_ELEMENT_REAL, vectors[v].vector,
                                           net->parameter_count);
        plan.training = training;
        plan.sources = s;
        plan.source_count = n;
        status = dni_write_checkpoint(&plan, writer, error);
    }
    dni_release(history);
    dni_release(training);
    dni_release(s);
    return status;
}

/*
### Reading

All checks come first. Then the net's parameters are replaced, which can fail only for
want of memory and then changes nothing; what follows is copying.

A tensor must be there with the very type and number that this training has: a float of a
build with `DN_REAL` `double` would not be the same bits.
*/
static const dni_tensor *dni_need_tensor(const dni_model_file *file, const char *name,
                                         const char *type, size_t count, dn_error *error) {
    const dni_tensor *tensor = dni_find_tensor(file, name);
    if (tensor != NULL && strcmp(tensor->type, type) == 0 && tensor->count == count) return tensor;
    (void)dni_fail(error, DN_ERROR_FORMAT, "%s: needs %zu numbers of type %s as tensor '%s'%s",
                   file->content.name, count, type, name,
                   tensor == NULL ? ", which is not there" : "");
    return NULL;
}

/*
What the checks have found, for the copying that follows.
*/
typedef struct dni_checkpoint {
    uint64_t counts[DNI_COUNTS];
    double numbers[DNI_NUMBERS];
    const dni_tensor *history, *first, *second, *best;
} dni_checkpoint;

/*
The order of the questions is the order of what a person wants to know: is it a checkpoint
at all, is it undamaged, do I know this version, is it of this net, of this training?

| found | answer |
|---|---|
| a file without `checkpoint` | "is a model, not a checkpoint of a training" |
| another checksum | "damaged" |
| version 2 | "a checkpoint of version '2', expected '1'" |
| other layers | "is of another net: '256 relu' there, '128 relu' here" |
| other settings | "is of another training: 'batch 128' there, 'batch 64' here" |
| more epochs than wanted | "has begun 20 epochs, more than the 10 wanted" |
*/
static dn_status dni_check_training(const dn_trainer *trainer, const dni_model_file *file,
                                    dn_error *error) {
    const char *version = dni_metadata(file, "checkpoint"), *name = file->content.name;
    const char *layers = dni_metadata(file, "layers"), *training = dni_metadata(file, "training");
    if (version == NULL)
        return dni_fail(error, DN_ERROR_FORMAT, "%s: is a model, not a checkpoint of a training",
                        name);
    dn_status status = dni_check_sum(file, error);
    if (status != DN_OK) return status;
    if (strcmp(version, "1") != 0 || layers == NULL || training == NULL)
        return dni_fail(error, DN_ERROR_FORMAT, "%s: a checkpoint of version '%.20s', expected '1'",
                        name, version);
    char *own_layers = dni_words(trainer, false), *own_training = dni_words(trainer, true);
    if (own_layers == NULL || own_training == NULL)
        status = dni_fail(error, DN_ERROR_MEMORY, "%s: no memory to load it", name);
    if (status == DN_OK) status = dni_compare_words(name, "net", layers, own_layers, error);
    if (status == DN_OK)
        status = dni_compare_words(name, "training", training, own_training, error);
    dni_release(own_layers);
    dni_release(own_training);
    return status;
}

/*
The checksum shows that the file is as it was written, not that it was written by us: the
numbers are used as places in arrays, so that they are checked like any others.
*/
static dn_status dni_checkpoint_open(const dn_trainer *trainer, const dni_model_file *file,
                                     dni_checkpoint *saved, dn_error *error) {
    dn_error unseen;
    if (error == NULL) error = &unseen;
    dn_status status = dni_check_training(trainer, file, error);
    if (status != DN_OK) return status;
    const char *real = DNI_REAL_IS_DOUBLE ? "F64" : "F32";
    const size_t parameters = trainer->net->parameter_count;
    const dni_tensor *counts = dni_need_tensor(file, "trainer.counts", "I64", DNI_COUNTS, error);
    if (counts == NULL) return error->status;
    const dni_tensor *numbers = dni_need_tensor(file, "trainer.numbers", "F64", DNI_NUMBERS, error);
    if (numbers == NULL) return error->status;
    for (size_t i = 0; i < DNI_COUNTS; i++)
        saved->counts[i] = dni_get_bits(file->data + counts->start + 8 * i, 8);
    for (size_t i = 0; i < DNI_NUMBERS; i++)
        saved->numbers[i] = dni_double_of(dni_get_bits(file->data + numbers->start + 8 * i, 8));
    const uint64_t epochs = saved->counts[0];
    if (saved->counts[1] >= trainer->batches || saved->counts[5] > epochs ||
        saved->counts[4] > trainer->train->count)
        return dni_fail(error, DN_ERROR_FORMAT,
                        "%s: its counts of batches and epochs make no sense", file->content.name);
    const bool begun = saved->counts[1] > 0; /* one more */
    if (epochs > trainer->how.epochs - begun)
        return dni_fail(error, DN_ERROR_ARGUMENT,
                        "%s: has begun %llu epochs, more than the %zu wanted", file->content.name,
                        (unsigned long long)epochs + begun, trainer->how.epochs);
    saved->history = dni_need_tensor(file, "trainer.history", "F64",
                                     (size_t)epochs * DNI_HISTORY_COLUMNS, error);
    if (saved->history == NULL) return error->status;
    const struct {
        const char *name;
        const dn_real *vector;
        const dni_tensor **tensor;
    } vectors[3] = {{"trainer.first", trainer->state.first, &saved->first},
                    {"trainer.second", trainer->state.second, &saved->second},
                    {"trainer.best", trainer->best, &saved->best}};
    for (int v = 0; v < 3; v++) {
        if (vectors[v].vector == NULL) continue;
        *vectors[v].tensor = dni_need_tensor(file, vectors[v].name, real, parameters, error);
        if (*vectors[v].tensor == NULL) return error->status;
    }
    return DN_OK;
}

/*
From here on nothing fails. The order of the samples is made again when the epoch had
begun; at position 0 the next step will make it anyway.
*/
static void dni_checkpoint_apply(dn_trainer *trainer, const dni_model_file *file,
                                 const dni_checkpoint *saved) {
    const size_t parameters = trainer->net->parameter_count;
    dni_trainer_restore(trainer, saved->counts, saved->numbers);
    trainer->history.count = trainer->epoch;
    for (size_t e = 0; e < trainer->epoch; e++) {
        double row[DNI_HISTORY_COLUMNS];
        const unsigned char *at = file->data + saved->history->start + e * sizeof row;
        for (size_t i = 0; i < DNI_HISTORY_COLUMNS; i++)
            row[i] = dni_double_of(dni_get_bits(at + 8 * i, 8));
        trainer->history.epochs[e] = dni_epoch_restored(e + 1, row);
    }
    if (trainer->epoch > 0) trainer->last = trainer->history.epochs[trainer->epoch - 1];
    if (trainer->state.first != NULL)
        dni_unpack(file, saved->first, 1, parameters, trainer->state.first, 0, 1);
    if (trainer->state.second != NULL)
        dni_unpack(file, saved->second, 1, parameters, trainer->state.second, 0, 1);
    if (trainer->best != NULL)
        dni_unpack(file, saved->best, 1, parameters, trainer->best, 0, 1);
    if (trainer->position > 0) dni_epoch_order(trainer);
}

/*
Read, check, replace the parameters, copy the rest. A program around it:

```c
dn_trainer trainer;
dn_error error = {0};
dn_net net = {0};
dn_dataset train = {0};
dn_training how = {0};
if (dn_trainer_init(&trainer, &net, &train, NULL, &how, &error) != DN_OK) return 1;
if (dn_trainer_load(&trainer, "run.checkpoint", &error) == DN_ERROR_FILE) puts("a new training");
while (dn_trainer_step(&trainer)) // a batch at a time, so that a signal is noticed soon
    if (trainer.position == 0) dn_trainer_save(&trainer, "run.checkpoint", &error);
dn_net_save(&net, "net.safetensors", &error);
```

`examples/train.c` is such a program, with Ctrl-C and a clock.
*/
static dn_status dni_trainer_content(dn_trainer *trainer, dni_content content, dn_error *error) {
    dni_model_file file;
    dni_checkpoint saved;
    dn_loading how;
    memset(&file, 0, sizeof file);
    memset(&saved, 0, sizeof saved);
    memset(&how, 0, sizeof how);
    file.content = content;
    dn_status status = DN_OK;
    if (trainer->net == NULL)
        status = dni_fail(error, DN_ERROR_ARGUMENT, "the trainer is not initialised");
    if (status == DN_OK) status = dni_model_file_open(&file, 100000000, error);
    if (status == DN_OK) status = dni_checkpoint_open(trainer, &file, &saved, error);
    if (status == DN_OK) status = dni_net_from_file(trainer->net, &file, &how, error);
    if (status == DN_OK) dni_checkpoint_apply(trainer, &file, &saved);
    dni_model_file_free(&file);
    return status;
}

DN_API dn_status dn_trainer_read(dn_trainer *trainer, const dn_reader *reader, dn_error *error) {
    dni_content content;
    dn_status status = dni_read_all(reader, 0, dni_model_extent, &content, error);
    return status == DN_OK ? dni_trainer_content(trainer, content, error) : status;
}

#ifndef DN_NO_STDIO
static dn_status dni_write_trainer(const void *object, const dn_writer *writer, dn_error *error) {
    return dn_trainer_write((const dn_trainer *)object, writer, error);
}

DN_API dn_status dn_trainer_save(const dn_trainer *trainer, const char *name, dn_error *error) {
    return dni_save(name, dni_write_trainer, trainer, error);
}

DN_API dn_status dn_trainer_load(dn_trainer *trainer, const char *name, dn_error *error) {
    dni_content content;
    dn_status status = dni_read_named(name, &content, error);
    return status == DN_OK ? dni_trainer_content(trainer, content, error) : status;
}
#endif

/*
*How we know:* `tests/test_files.c` interrupts trainings after every
single batch and goes on with a new trainer, for every optimizer and schedule, with
dropout and early stopping, and compares all bits with those of the training that was
left alone. `tests/test_files_kill.sh` does it with `kill -9` at random moments.
*/

/*
## 15. Export: a net as one C file

A microcontroller has no file system, perhaps no floating point, and 32 kilobytes for
everything. What it needs of a net is its numbers and one function. Both fit into one
C file, which this chapter writes.

What the file does without, and what replaces it:

| not there | in its place |
|---|---|
| `malloc` | one static array, of a size that is known when the file is written |
| the math library | a series for exp, Newton's method for the square root, or integers only |
| a file system | the numbers are initialised constants: the linker puts them into memory |
| headers of this library | `<stdint.h>`, which C99 promises even to freestanding compilers |

### The written file

A net of 784 inputs, 128 ReLU and 10 softmax in 8 bits gives a file of this shape, from top
to bottom, shortened:

    (title)     Net:      784 - 128 relu - 10 softmax, 8-bit integers
                Flash:    102736 bytes of tables
                RAM:      128 bytes
    (macros)    #include <stdint.h>
                #ifndef NET_FLASH ...    #ifndef NET_READ ...
    (tables)    static const int8_t NET_FLASH net_weights_0[100352] = { 10,-9,23,-2, ... };
                static const int32_t NET_FLASH net_biases_0[128] = { ... };
                static const int32_t NET_FLASH net_multipliers_0[128] = { ... };
                static const int8_t NET_FLASH net_weights_1[1280] ...       the same for layer 1
    (scratch)   static uint8_t net_scratch[128];
    (code)      void net_scores(const uint8_t *pixels, int32_t *scores) { a loop per layer }
                int net_predict(const uint8_t *pixels) { the largest score }
    (self-test) #ifdef NET_SELFTEST
                static const uint8_t net_samples[6272] = { ... };     8 samples of 784 bytes
                static const int32_t net_expected[80] = { ... };      8 times 10 scores
                int main(void) { ... }
                #endif

The two forms differ in the types of the tables and in the loops:

| | float | int8 |
|---|---|---|
| a weight | 4 bytes | 1 byte |
| an output besides its weights | 4 bytes: bias | 8 bytes: bias and multiplier |
| tables of 784-128-10 | 407,080 bytes | 102,736 bytes |
| scratch of 784-128-10 | 512 bytes | 128 bytes |
| scores | outputs of the last activation | logits times 65536 |
| the same bits on every machine | no | yes |

### Writing text

All text leaves through `dni_export_text`, a `printf` to the caller's writer. The first failed write
is remembered and nothing is written after it, so that the functions below need not test each call:
they run to their end and the status is asked for once.

The writer is a function and a pointer, so that the target may be a file, a buffer or
a serial line:

```c
#include "densenet.h"
#include <stdio.h>

static bool to_file(void *file, const void *bytes, size_t size) {
    return fwrite(bytes, 1, size, (FILE *)file) == size;
}

dn_status export_digits(const dn_net *net, FILE *file, dn_error *error) {
    const dn_writer writer = {to_file, file, "digits.c"};
    dn_export how = {0};
    how.name = "digits"; // float form, no self-test: nothing else is needed
    return dn_export_c(net, &how, &writer, error);
}
```
*/
typedef struct dni_export {
    const dn_net *net;
    const dn_export *how;
    char name[64], capitals[64];
    const dn_writer *writer;
    dn_error *error;
    dn_status status; /* of the first write that failed */
} dni_export;

/*
The title of the file names the net that it was made of by a checksum: the CRC-32 of all
parameters as 32-bit floats, lowest byte first, in the order of `net->parameters`. It is
taken of the net as it was trained, before anything is folded or rounded, so that the
float file and the 8-bit file of one net carry the same number.
*/
static uint32_t dni_parameters_checksum(const dn_net *net) {
    dni_crc table;
    dni_crc_init(&table);
    uint32_t crc = 0;
    for (size_t i = 0; i < net->parameter_count; i++) {
        const float value = (float)net->parameters[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        const unsigned char bytes[4] = {
            (unsigned char)(bits & 255), (unsigned char)(bits >> 8 & 255),
            (unsigned char)(bits >> 16 & 255), (unsigned char)(bits >> 24)};
        crc = dni_crc_add(&table, crc, bytes, sizeof bytes);
    }
    return crc;
}

/*
One call writes at most 1023 characters; the assertion is for whoever lengthens a text
below. Numbers are written one call each, so that tables may have any length.
*/
static void dni_export_text(dni_export *out, const char *format, ...) DNI_PRINTF_LIKE(2, 3);

static void dni_export_text(dni_export *out, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    DN_ASSERT(length >= 0 && (size_t)length < sizeof text);
    if (out->status == DN_OK && !out->writer->write(out->writer->user, text, (size_t)length))
        out->status = dni_fail(out->error, DN_ERROR_FILE, "%s: cannot be written",
                               out->writer->name != NULL ? out->writer->name : "export");
}

/*
A float in C has a point or an exponent, and an f behind it: 1 becomes `1.0f`, since `1f`
is an error, and 0.1 becomes `0.100000001f`. Nine significant digits are enough to read back
the same float. Two neighbouring numbers of nine digits differ by at most 10^-8 of their
size, two neighbouring floats by at least 2^-24, which is 6 * 10^-8; eight digits, up to
10^-7 apart, would not do. `dni_format_number` also replaces the comma that `printf` writes
for the point in some countries.
*/
static void dni_export_float(dni_export *out, double value) {
    char text[40];
    (void)dni_format_number(text, sizeof text, (double)(float)value);
    const bool whole = strcspn(text, ".en") == strlen(text);
    dni_export_text(out, "%s%sf", text, whole ? ".0" : "");
}

/*
### Normalisation folded in

The exported function takes the bytes of a sample. The net was trained on normalised
numbers, so that normalisation must be part of the file; most of it costs nothing,
because the first layer is linear in its inputs:

$$ z_o = b_o + \sum_i \frac{x_i - m_i}{d_i} \, w_{io}
       = \Big( b_o - \sum_i \frac{m_i}{d_i} w_{io} \Big) + \sum_i x_i \, \frac{w_{io}}{d_i} $$

    w'[i,o] = w[i,o] / d[i];    b'[o] = b[o] - sum over i of m[i] * w'[i,o]

| normalisation | m_i | d_i |
|---|---|---|
| none | 0 | 1 |
| by 255 | 0 | 255 |
| per feature | mean[i] | deviation[i] (in the 8-bit form computed, too: see below) |
| per sample | of each sample: computed by the exported function | |

By hand, for two inputs with means 100 and 50, deviations 20 and 10, weights 0.4 and -0.3
and bias 0.1. Folded, the weights are 0.4 / 20 = 0.02 and -0.3 / 10 = -0.03, and the bias
is 0.1 - 100 * 0.02 - 50 * -0.03 = -0.4. The sample (140, 60) then gives the same sum in
both ways:

    normalised first:   0.1 + 2 * 0.4 + 1 * -0.3             = 0.6
    folded:            -0.4 + 140 * 0.02 + 60 * -0.03        = 0.6

The next two functions are the two columns of the table. A net whose normalisation is not
folded has m = 0 and d = 1 here.
*/
static bool dni_folds_features(const dni_export *out) {
    return out->net->normalization == DN_NORMALIZE_FEATURE && !out->how->int8;
}

static double dni_input_mean(const dni_export *out, size_t i) {
    return dni_folds_features(out) ? (double)out->net->mean[i] : 0;
}

static double dni_input_deviation(const dni_export *out, size_t i) {
    if (dni_folds_features(out)) return (double)out->net->deviation[i];
    return out->net->normalization == DN_NORMALIZE_255 ? 255 : 1;
}

/*
Weight and bias of a layer; of the first layer with the normalisation folded in. All later
code, in both forms, sees the net through these two functions. The bias is summed in double
precision with one rounding per term: with 784 terms of both signs it is the small
difference of large numbers, and a sum in float would lose digits that the trained net had.
*/
static double dni_folded_weight(const dni_export *out, const dn_layer *layer, bool is_first,
                                size_t i, size_t o) {
    const double w = (double)out->net->parameters[layer->weights + i * layer->outputs + o];
    return is_first ? w / dni_input_deviation(out, i) : w;
}

static double dni_folded_bias(const dni_export *out, const dn_layer *layer, bool is_first,
                              size_t o) {
    double bias = (double)out->net->parameters[layer->biases + o];
    for (size_t i = 0; is_first && i < layer->inputs; i++)
        bias = dni_fma(-dni_input_mean(out, i), dni_folded_weight(out, layer, true, i, o), bias);
    return bias;
}

/*
*How we know:* `tests/export/nets.c` trains small nets on each of the four
normalisations and exports them; `tests/test_export.sh` compiles the files and runs their
self-tests. The answers in a float file come from the library, which normalises the sample
and folds nothing.

### Eight bits

A weight in 8 bits takes a quarter of the space, and integer arithmetic gives the same
answer on every machine. A real number r is stored as an integer q with a scale s:

$$ r \approx s \, (q - z) $$

    q = round(r / s) + z, clamped to what 8 bits hold;     r is about s * (q - z)

where z, the *zero point*, is the integer that stands for 0. (Jacob et al., 2018, is the
source of the scheme.)

| numbers | stored as | zero point | scale |
|---|---|---|---|
| weights | -127 .. 127 | 0 | largest absolute weight into the output, over 127 |
| outputs of ReLU, sigmoid | 0 .. 255 | 0 | largest output seen, over 255 |
| outputs of other activations | 0 .. 255 | 128 | largest absolute output seen, over 127 |
| biases | 32 bits | 0 | scale of the weights times scale of the inputs |

With zero point 0 the scheme is *symmetric*. The integer -128 is left out of the weights: it
would have no counterpart, and 127 * 255 = 32,385 fits 16 bits with a sign.

By hand: of four weights the largest is 1.27, so that the scale is 1.27 / 127 = 0.01:

    weights (0.5, -1.27, 0.254, 0.9)   over the scale (50, -127, 25.4, 90)
    stored  (50, -127, 25, 90)         back           (0.50, -1.27, 0.25, 0.90)

*Why every output has a scale of its own.* Suppose the layer has a second output, whose weights are
a hundred times smaller: (0.005, -0.0127, 0.00254, 0.009). At the scale 0.01 they become 1 (0.5 is
rounded up), -1, 0 and 1: the direction of the row is lost. At its own scale, 0.0001, they are 50,
-127, 25 and 90 again. The inputs, which are added up in one sum, must share one scale.

### Sums

With q_w, q_x the stored weight and input, the sum before the activation is

$$ z_o = s_w[o] \, s_x \Big( \sum_i q_w[i,o] \, (q_x[i] - z_x) + q_b[o] \Big), \qquad
   q_b[o] = \operatorname{round}\frac{b_o}{s_w[o] \, s_x} $$

    sum = q_b[o] - z_x * (sum over i of q_w[i,o]) + sum over i of q_w[i,o] * q_x[i]

The zero point is taken out of the loop, into the stored bias: the sum of the weights is
known when the file is written. What is left in the loop is one product of two bytes and
one addition.

Let the row above have the inputs (100, 20, 10, 40) at scale s_x = 0.02 and zero point 0,
that is (2, 0.4, 0.2, 0.8), and the bias 0.3. The stored bias is 0.3 / (0.01 * 0.02) = 1500:

    integers:  50 * 100 - 127 * 20 + 25 * 10 + 90 * 40 + 1500  = 7810,   7810 * 0.0002 = 1.562
    reals:     0.5 * 2 - 1.27 * 0.4 + 0.254 * 0.2 + 0.9 * 0.8 + 0.3               = 1.5628

*Does it overflow?* A product is at most 127 * 255 = 32,385 in size. 784 of them are at most
25,389,840, which is 1.2 % of 2^31 - 1 = 2,147,483,647. Without a bias 66,310 inputs fit. The
bias counts, too, and it can be large where a scale is tiny; therefore each output is
checked when the file is written,

    |stored bias| + 127 * 255 * inputs < 2^31 - 1

and the export fails rather than write a file that may overflow. The bound holds for the sum
after every single term, whatever the bytes are.

### Requantisation

The sum is in units of s_w s_x; the next layer wants bytes in units of its own scale s_y.
So the sum is multiplied by the ratio

$$ \frac{s_w[o] \, s_x}{s_y} \approx \frac{M_o}{2^{\text{shift}}} $$

    ratio[o] = s_w[o] * s_x / s_y;    M[o] = round(ratio[o] * 2^shift)

a multiplier M of 30 bits for each output, and one shift for the layer. That is one
multiplication in 64 bits for each output, not for each weight: 138 of them in the net
784-128-10, against 101,632 products of bytes.

    q_y = clamp((sum * M + half + zero * 2^shift) >> shift, 0, 255),   half = 2^(shift - 1)

`half` makes the shift round to nearest instead of down. The sum is made non-negative before
it is shifted, since C leaves the shift of negative numbers to the compiler.

The example goes on. Let s_y be 0.02: the ratio is 0.0002 / 0.02 = 0.01, and

    0.01 = 0.64 * 2^-6,  so that shift = 30 + 6 = 36,  M = round(0.01 * 2^36) = 687194767
    7810 * 687194767           = 5366991130270
    + half = 2^35              = 5401350868638
    >> 36                      = 78,  and 78 * 0.02 = 1.56

The real number was 1.5628: the error 0.0028 is below half a step of the output, 0.01,
plus what the rounded weights add.

| form | used for | what is done with sum * M |
|---|---|---|
| `DNI_TO_BYTE` | ReLU, linear | as above; with zero = 0 the clamp at 0 is ReLU itself |
| `DNI_TO_LEAKY_BYTE` | leaky ReLU | a negative one is divided by 100 first |
| `DNI_TO_TABLE` | sigmoid, tanh, custom | clamped to 0 .. 1023, the index of a table of bytes |
| `DNI_TO_SCORE` | the last layer | not clamped: logits times 65536 in 32 bits |

Sigmoid and tanh would need exp. Their table has 1024 values over the range of z that the
calibration has seen; index 512 is z = 0. The last layer needs no activation at all to name
the class: softmax and sigmoid grow with z, so that the largest logit is the largest output.
With one output, sigmoid(z) > 1/2 is z > 0.
*/
enum { DNI_TABLE = 1024, DNI_CALIBRATION = 10000, DNI_SCORE_ONE = 65536 };

typedef enum dni_requantize { DNI_TO_BYTE, DNI_TO_LEAKY_BYTE, DNI_TO_TABLE, DNI_TO_SCORE }
    dni_requantize;

typedef struct dni_int8_layer {
    const dn_layer *layer;
    dni_requantize form;
    int zero;             /* zero point of the layer's output */
    unsigned shift;
    double scale;         /* of its output */
    int8_t *weights;      /* [outputs, inputs] */
    int32_t *biases;      /* [outputs], zero point of the input included */
    int32_t *multipliers; /* [outputs] */
    uint8_t *table;       /* [DNI_TABLE] or NULL */
} dni_int8_layer;

typedef struct dni_int8_net {
    size_t count;
    dni_int8_layer *layers;
    double input_scale;
    int input_zero;
    int32_t input_multiplier; /* per-sample normalisation: bytes per deviation, times 65536 */
    int32_t *input_means;       /* per-feature normalisation: times 256 */
    int32_t *input_multipliers; /* and the same as above divided by the deviation */
    uint8_t *scratch[2];      /* for the simulation */
} dni_int8_net;

/*
### Normalisation in integers

Per-sample normalisation stays a computation. With N features, S the sum of the bytes
and Q the sum of their squares, mean and deviation are m = S/N and
d = sqrt(Q/N - m^2), and the fraction needs one square root of an integer:

$$ \frac{x - m}{d} = \frac{N x - S}{\sqrt{N Q - S^2}} $$

    q = (N * x - S) * multiplier / root(N * Q - S * S),  rounded, + 128

By hand, for the four bytes 0, 100, 200, 100: S = 400, Q = 60,000, N Q - S^2 = 80,000, whose root is
282 (282^2 = 79,524; 283^2 = 80,089). Byte 200 has N x - S = 400, and 400 / 282 is 1.418 instead of
100 / 70.71 = 1.414, for the root is rounded down; of an image of 784 bytes the error is 1 in some
60,000.

The root is found bit by bit, from the highest: a bit stays if the square does not become
too large. For 10, bits 8 and 4 are (squares 64 and 16); 2 and 1 stay (3^2 = 9).
Here it starts at 2^31, so that the squares fit 64 bits.
*/
static uint64_t dni_integer_root(uint64_t square) {
    uint64_t root = 0;
    for (uint64_t bit = UINT64_C(1) << 31; bit > 0; bit >>= 1)
        if ((root + bit) * (root + bit) <= square) root += bit;
    return root;
}

/*
One byte of a sample, normalised by the sample's own mean and deviation. The multiplier is
65536 / s_x, so that the quotient has 16 bits behind the point. C rounds a division towards
zero, which for negative numbers is up: therefore 128 (the zero point) is added before the
second division, after which negative numbers are clamped to 0 anyway. An image of one
grey has the root 0, and all its pixels become the zero point.
*/
static uint8_t dni_int8_normalized(int64_t centred, int64_t root, int32_t multiplier) {
    int64_t q = root == 0 ? 0 : centred * multiplier / root; /* times 65536, towards zero */
    q = (q + INT64_C(128) * 65536 + 32768) / 65536;
    return (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
}

/* The other normalisations were folded into the weights. */
static bool dni_int8_normalizes(const dni_int8_net *net) {
    return net->input_multiplier != 0 || net->input_means != NULL;
}

/*
Per-feature normalisation is not folded into 8-bit weights: a pixel that is rarely lit has a
tiny deviation, w / d is then hundreds of times larger than the other weights, and one scale
cannot serve both (measured on MNIST: 11 % accuracy). The bytes are normalised before the
first layer instead, to at most 8 deviations, with two small tables. The mean is stored
times 256 and the multiplier as 65536 / (s_x d), so that the product has 24 bits behind the
point:

    q = ((256 * x - mean) * multiplier + 128.5 * 2^24) >> 24,   128.5 * 2^24 = 257 * 2^23

The half in 128.5 rounds to nearest. With mean 30 and deviation 10 the byte 255 would be 22.5
deviations; it is clamped to 255, which stands for 8.
*/
static uint8_t dni_int8_feature(int64_t centred, int32_t multiplier) {
    const int64_t q = centred * multiplier + (INT64_C(257) << 23); /* 128.5 * 2^24 */
    return (uint8_t)(q < 0 ? 0 : q >> 24 > 255 ? 255 : q >> 24);
}

/*
Both kinds of normalisation, for a whole sample. S and Q of an image of 784 bytes are at
most 784 * 255 = 199,920 and 784 * 255^2 = 50,979,600; N times Q is 4 * 10^10, which needs
64 bits, as does everything here.
*/
static void dni_int8_input(const dni_int8_net *net, const uint8_t *pixels, size_t count,
                           uint8_t *to) {
    for (size_t i = 0; net->input_means != NULL && i < count; i++)
        to[i] = dni_int8_feature(256 * pixels[i] - net->input_means[i], net->input_multipliers[i]);
    if (net->input_means != NULL) return;
    int64_t sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) {
        sum += pixels[i];
        squares += pixels[i] * pixels[i];
    }
    const int64_t n = (int64_t)count;
    const int64_t root = (int64_t)dni_integer_root((uint64_t)(n * squares - sum * sum));
    for (size_t i = 0; i < count; i++)
        to[i] = dni_int8_normalized(n * pixels[i] - sum, root, net->input_multiplier);
}

/*
### The exported file, simulated

The library computes what the exported file will compute, integer by integer. It needs that
twice: for the answers in the self-test, and for the accuracy in the title, which is that of
the integers and not of the net in floats.

The first function is the requantisation of the section above. It works in 64 bits: the sum
has 31 bits and a sign, the multiplier at most 31, their product 62; the zero point adds at
most 512 * 2^52 = 2^61. So nothing overflows.

A score may be negative and is not clamped. Its size is rounded and shifted, and the sign is
put back, so that only numbers that are not negative are ever shifted. In the example of
the four weights, as a last layer: the ratio is 0.0002 * 65536 = 13.1072 = 0.8192 * 2^4,
the shift 26, the multiplier 879,609,302, and the sum 7,810 gives the score
102,367, that is 102367 / 65536 = 1.562.
*/
static int64_t dni_int8_requantize(const dni_int8_layer *layer, size_t o, int64_t sum) {
    const int64_t half = INT64_C(1) << (layer->shift - 1);
    int64_t scaled = sum * layer->multipliers[o];
    if (layer->form == DNI_TO_SCORE)
        return scaled < 0 ? -((-scaled + half) >> layer->shift) : (scaled + half) >> layer->shift;
    if (layer->form == DNI_TO_LEAKY_BYTE && sum < 0) scaled /= 100;
    const int64_t zero = layer->form == DNI_TO_TABLE ? DNI_TABLE / 2 : layer->zero;
    const int64_t top = layer->form == DNI_TO_TABLE ? DNI_TABLE - 1 : 255;
    scaled += (zero << layer->shift) + half;
    scaled = scaled < 0 ? 0 : scaled >> layer->shift;
    return scaled > top ? top : scaled;
}

/*
A layer after the other: the outputs of one are the inputs of the next, and two buffers take turns.
The order of the additions does not matter, as integers have no rounding; that is why a compiler may
use vector instructions in this loop, and the result is still the same to the last bit.
*/
static void dni_int8_scores(const dni_int8_net *net, const uint8_t *pixels, int32_t *scores) {
    const uint8_t *x = pixels;
    size_t turn = 0;
    if (dni_int8_normalizes(net)) {
        dni_int8_input(net, pixels, net->layers[0].layer->inputs, net->scratch[turn]);
        x = net->scratch[turn++];
    }
    for (size_t l = 0; l < net->count; l++) {
        const dni_int8_layer *layer = &net->layers[l];
        const size_t in = layer->layer->inputs, out = layer->layer->outputs;
        uint8_t *y = net->scratch[turn++ % 2];
        for (size_t o = 0; o < out; o++) {
            int32_t sum = layer->biases[o];
            for (size_t i = 0; i < in; i++) sum += layer->weights[o * in + i] * x[i];
            const int64_t q = dni_int8_requantize(layer, o, sum);
            if (layer->form == DNI_TO_SCORE) scores[o] = (int32_t)q;
            else y[o] = layer->table != NULL ? layer->table[q] : (uint8_t)q;
        }
        x = y;
    }
}

/*
*How we know:* `tests/test_export.sh` runs the self-test of every small net
in 8 bits: each score must be the one of this simulation to the last bit, with gcc, clang
and tcc, as far as they are there. It also counts the right answers on 10,000 images on an
emulated big-endian s390x or on aarch64, if the tools are there; the count must be the same.

### Calibration

What numbers come out of a layer cannot be seen from its weights. It is measured: at most
10,000 samples go through the float net, and of each layer the largest |z| and |a|, before
and after the activation, are kept.

| kept | gives |
|---|---|
| largest absolute normalised input | s_x of the first layer, if it is normalised in integers |
| largest absolute z of a layer | the range of its table, for sigmoid, tanh and custom |
| largest absolute a of a layer | s_y: over 255 behind ReLU and sigmoid, over 127 behind others |

Say the largest output of a ReLU layer is 10.2: one step of its bytes is 10.2 / 255 = 0.04, and no
output of the calibration is off by more than 0.02 for that rounding.

A single outlier of 102 would make the step 0.4 for all other samples; some quantisers look for the
range with the least error instead. The calibration data should be training data: the test set must
not have a part in making the net that it judges.
*/
typedef struct dni_range {
    double z, a; /* largest absolute values before and after the activation */
} dni_range;

static double dni_largest_absolute(const dn_real *numbers, size_t count, double largest) {
    for (size_t i = 0; i < count; i++)
        if (fabs((double)numbers[i]) > largest) largest = fabs((double)numbers[i]);
    return largest;
}

/*
The forward pass is the library's own, in portions of the samples and with the
normalisation of the net, whatever that of the data is. Dropout layers are passed by: they
do nothing when a net is used.
*/
static dn_status dni_calibrate(const dni_export *out, dni_range *input, dni_range *ranges) {
    const dn_net *net = out->net;
    const dn_dataset *data = out->how->calibration;
    const size_t samples = data->count < DNI_CALIBRATION ? data->count : (size_t)DNI_CALIBRATION;
    const size_t portion = dni_portion(samples), widest = dni_widest(net);
    const size_t width = widest > net->inputs ? widest : net->inputs;
    dn_real *x = (dn_real *)dni_allocate(portion, width * sizeof *x);
    dn_real *z = (dn_real *)dni_allocate(portion, width * sizeof *z);
    dn_dataset view = *data;
    view.normalization = net->normalization;
    view.mean = net->mean;
    view.deviation = net->deviation;
    for (size_t first = 0; x != NULL && z != NULL && first < samples; first += portion) {
        const size_t rows = dni_portion(samples - first);
        dn_dataset_gather(&view, NULL, first, rows, x);
        input->a = dni_largest_absolute(x, rows * net->inputs, input->a);
        for (size_t l = 0; l < net->layer_count; l++) {
            const dn_layer *layer = &net->layers[l];
            if (layer->kind != DN_LAYER_DENSE) continue;
            const size_t count = rows * layer->outputs;
            dni_affine(net, layer, x, NULL, rows, z);
            dni_activate(layer, z, x, rows);
            ranges[l].z = dni_largest_absolute(z, count, ranges[l].z);
            ranges[l].a = dni_largest_absolute(x, count, ranges[l].a);
        }
    }
    const bool ok = x != NULL && z != NULL;
    dni_release(x);
    dni_release(z);
    return ok ? DN_OK : dni_fail(out->error, DN_ERROR_MEMORY, "no memory to calibrate the export");
}

/*
### Quantising

Now the scales become integers. Rounding to nearest is floor(x + 0.5), which takes halves
up on both sides of 0: 2.5 becomes 3, and -2.5 becomes -2.
*/
static int64_t dni_rounded(double x) { return (int64_t)floor(x + 0.5); }

/*
The tables of activations ask for f of one number, which the function for whole rows gives
for a layer of one output. No activation is written down a second time here.
*/
static dn_real dni_activate_one(const dn_layer *layer, double z) {
    dn_layer one = *layer;
    one.outputs = 1;
    dn_real value = (dn_real)z;
    dni_activate(&one, &value, &value, 1);
    return value;
}

/*
`frexp` gives the exponent e with largest ratio = f * 2^e and f in [1/2, 1). With shift =
30 - e the largest multiplier lies in [2^29, 2^30]. The others share its shift and are
smaller: an output whose weights are a thousandth has a multiplier of 20 bits, whose
rounding error is below one in a million.

| ratio | f * 2^e | shift | multiplier |
|---|---|---|---|
| 0.01 | 0.64 * 2^-6 | 36 | 687,194,767 |
| 0.0001, in the same layer | | 36 | 6,871,948 |

The shift is kept between 1, as half of 2^shift must be an integer, and 52, as the zero
point moved by the shift must fit 64 bits. Where the largest ratio is so small that the
shift would be larger, the multipliers have fewer bits.
*/
static void dni_int8_multipliers(dni_int8_layer *layer, const double *ratios, size_t count) {
    double largest = 0;
    for (size_t o = 0; o < count; o++)
        if (ratios[o] > largest) largest = ratios[o];
    int exponent = 0;
    (void)frexp(largest, &exponent);
    const int shift = 30 - exponent;
    layer->shift = (unsigned)(shift < 1 ? 1 : shift > 52 ? 52 : shift);
    for (size_t o = 0; o < count; o++) {
        const int64_t multiplier = dni_rounded(ldexp(ratios[o], (int)layer->shift));
        layer->multipliers[o] = (int32_t)(multiplier > INT32_MAX ? INT32_MAX : multiplier);
    }
}

/*
What the outputs of a layer become, and the unit to which its sums are brought: one step of
a byte, one step of a table, or 1/65536.

The table of an activation covers z from -512 to 511 steps, of which 511 reach the largest
|z| of the calibration. By hand, for a sigmoid with |z| up to 5.11: a step is 0.01; index 712
is z = 2, f(2) = 0.8808. If the largest output seen was 0.994, the scale is 0.994 / 255 =
0.003898, and the byte at 712 is 0.8808 / 0.003898 = 225.96, rounded 226. Between two
entries the sigmoid moves by at most 0.01 / 4 = 0.0025, its largest slope being 1/4: that is
less than a step of the byte.
*/
static void dni_int8_output(dni_int8_layer *layer, bool is_last, const dni_range *range,
                            double *unit) {
    const dn_activation activation = layer->layer->activation;
    const double z = range->z > 0 ? range->z : 1, a = range->a > 0 ? range->a : 1;
    layer->zero = activation == DN_RELU || activation == DN_SIGMOID ? 0 : 128;
    layer->scale = layer->zero == 0 ? a / 255 : a / 127;
    *unit = layer->scale;
    if (is_last) {
        layer->form = DNI_TO_SCORE;
        *unit = 1.0 / (double)DNI_SCORE_ONE;
    } else if (activation == DN_RELU || activation == DN_LINEAR) {
        layer->form = DNI_TO_BYTE;
    } else if (activation == DN_LEAKY_RELU) {
        layer->form = DNI_TO_LEAKY_BYTE;
    } else {
        layer->form = DNI_TO_TABLE;
        *unit = z / (double)(DNI_TABLE / 2 - 1);
        for (size_t i = 0; i < DNI_TABLE; i++) {
            const double at = ((double)i - (double)(DNI_TABLE / 2)) * *unit;
            const double value = (double)dni_activate_one(layer->layer, at) / layer->scale;
            const int64_t q = dni_rounded(value) + layer->zero;
            layer->table[i] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
        }
    }
}

/*
The weights of one layer, output by output, as in the example above: the largest weight,
the scale, the integers, their sum, the bias with the zero point taken out, the check
of the bound, and the ratio. An output whose weights are all zero has scale 1, so that
nothing is divided by zero; its bias is then a whole number of units s_x.

With the zero point 128 the stored bias grows. The row (50, -127, 25, 90) has the sum 38:
for inputs with zero point 128 the bias 1500 becomes 1500 - 128 * 38 = -3364.
*/
static dn_status dni_int8_weights(const dni_export *out, dni_int8_layer *layer, bool is_first,
                                  double input_scale, int input_zero, double unit,
                                  double *ratios) {
    const size_t in = layer->layer->inputs, outputs = layer->layer->outputs;
    for (size_t o = 0; o < outputs; o++) {
        double largest = 0;
        for (size_t i = 0; i < in; i++) {
            const double w = fabs(dni_folded_weight(out, layer->layer, is_first, i, o));
            if (w > largest) largest = w;
        }
        const double scale = largest > 0 ? largest / 127 : 1;
        int64_t sum = 0;
        for (size_t i = 0; i < in; i++) {
            const double w = dni_folded_weight(out, layer->layer, is_first, i, o);
            layer->weights[o * in + i] = (int8_t)dni_rounded(w / scale);
            sum += layer->weights[o * in + i];
        }
        const double bias = dni_folded_bias(out, layer->layer, is_first, o);
        const double rounded = floor(bias / (scale * input_scale) + 0.5);
        const double stored = rounded - (double)(input_zero * sum);
        if (!(fabs(stored) + 127.0 * 255.0 * (double)in < (double)INT32_MAX))
            return dni_fail(out->error, DN_ERROR_TOO_LARGE,
                            "output %zu of a layer with %zu inputs does not fit 32-bit sums", o,
                            in);
        layer->biases[o] = (int32_t)stored;
        ratios[o] = scale * input_scale / unit;
    }
    dni_int8_multipliers(layer, ratios, outputs);
    return DN_OK;
}

/*
All arrays of a layer are its own, and a pointer that was not filled is NULL: a net that
ran out of memory half way is released by the same function.
*/
static void dni_int8_free(dni_int8_net *net) {
    for (size_t l = 0; net->layers != NULL && l < net->count; l++) {
        dni_release(net->layers[l].weights);
        dni_release(net->layers[l].biases);
        dni_release(net->layers[l].multipliers);
        dni_release(net->layers[l].table);
    }
    dni_release(net->layers);
    dni_release(net->input_means);
    dni_release(net->input_multipliers);
    dni_release(net->scratch[0]);
    dni_release(net->scratch[1]);
    memset(net, 0, sizeof *net);
}

/*
The layers that have numbers are the dense ones. Two buffers for the simulation, each as
wide as the widest layer or the input, and a table for the activations that need one:
not for the last layer, whose scores come before the activation.
*/
static bool dni_int8_allocate(dni_int8_net *net, const dn_net *from, size_t dense_layers) {
    const size_t widest = dni_widest(from) > from->inputs ? dni_widest(from) : from->inputs;
    net->layers = (dni_int8_layer *)dni_allocate_zero(dense_layers, sizeof *net->layers);
    net->scratch[0] = (uint8_t *)dni_allocate(widest, 1);
    net->scratch[1] = (uint8_t *)dni_allocate(widest, 1);
    if (net->layers == NULL || net->scratch[0] == NULL || net->scratch[1] == NULL) return false;
    for (size_t l = 0; l < from->layer_count; l++) {
        const dn_layer *layer = &from->layers[l];
        if (layer->kind != DN_LAYER_DENSE) continue;
        dni_int8_layer *to = &net->layers[net->count++];
        to->layer = layer;
        to->weights = (int8_t *)dni_allocate(layer->inputs, layer->outputs);
        to->biases = (int32_t *)dni_allocate(layer->outputs, sizeof *to->biases);
        to->multipliers = (int32_t *)dni_allocate(layer->outputs, sizeof *to->multipliers);
        if (to->weights == NULL || to->biases == NULL || to->multipliers == NULL) return false;
        const dn_activation f = layer->activation;
        if (net->count == dense_layers || f == DN_RELU || f == DN_LINEAR || f == DN_LEAKY_RELU)
            continue;
        to->table = (uint8_t *)dni_allocate(DNI_TABLE, 1);
        if (to->table == NULL) return false;
    }
    return true;
}

/*
The two tables of per-feature normalisation. A feature with a tiny deviation would have an
enormous multiplier; it is bounded by 10^9, and any byte that is not the mean is then far
beyond the clamp.
*/
static dn_status dni_int8_features(const dni_export *out, dni_int8_net *net, double range) {
    const size_t inputs = out->net->inputs;
    net->input_zero = 128;
    net->input_scale = (range > 8 ? 8 : range) / 127;
    net->input_means = (int32_t *)dni_allocate(inputs, sizeof *net->input_means);
    net->input_multipliers = (int32_t *)dni_allocate(inputs, sizeof *net->input_multipliers);
    if (net->input_means == NULL || net->input_multipliers == NULL)
        return dni_fail(out->error, DN_ERROR_MEMORY, "no memory for the means of %zu inputs",
                        inputs);
    for (size_t i = 0; i < inputs; i++) {
        const double mean = 256 * (double)out->net->mean[i];
        const double multiplier =
            65536 / (net->input_scale * (double)out->net->deviation[i]);
        net->input_means[i] = (int32_t)dni_rounded(mean);
        net->input_multipliers[i] =
            multiplier < 1e9 ? (int32_t)dni_rounded(multiplier) : (int32_t)1000000000;
    }
    return DN_OK;
}

/*
The whole of it, from the first layer to the last. Scale and zero point are handed on: what
a layer writes is what the next one reads. The first layer reads bytes as they are, with
scale 1 and zero point 0, or normalised ones with 128.
*/
static dn_status dni_int8_quantize(const dni_export *out, dni_int8_net *net, size_t dense_layers) {
    const dn_net *from = out->net;
    memset(net, 0, sizeof *net);
    dni_range input = {0, 0};
    dni_range *ranges = (dni_range *)dni_allocate_zero(from->layer_count, sizeof *ranges);
    double *ratios = (double *)dni_allocate(dni_widest(from), sizeof *ratios);
    dn_status status = DN_OK;
    if (ranges == NULL || ratios == NULL || !dni_int8_allocate(net, from, dense_layers))
        status = dni_fail(out->error, DN_ERROR_MEMORY, "no memory to quantise the net");
    if (status == DN_OK) status = dni_calibrate(out, &input, ranges);
    net->input_scale = 1;
    if (status == DN_OK && from->normalization == DN_NORMALIZE_SAMPLE) {
        const double range = input.a > 0 ? input.a : 1;
        net->input_zero = 128;
        net->input_scale = range / 127;
        net->input_multiplier = (int32_t)dni_rounded(65536 / net->input_scale);
    }
    if (status == DN_OK && from->normalization == DN_NORMALIZE_FEATURE)
        status = dni_int8_features(out, net, input.a > 0 ? input.a : 1);
    double scale = net->input_scale;
    int zero = net->input_zero;
    for (size_t l = 0; l < net->count && status == DN_OK; l++) {
        dni_int8_layer *layer = &net->layers[l];
        double unit;
        dni_int8_output(layer, l + 1 == net->count, &ranges[layer->layer - from->layers], &unit);
        status = dni_int8_weights(out, layer, l == 0, scale, zero, unit, ratios);
        scale = layer->scale;
        zero = layer->zero;
    }
    dni_release(ranges);
    dni_release(ratios);
    if (status != DN_OK) dni_int8_free(net);
    return status;
}

/*
*How we know:* on MNIST and Fashion-MNIST `tests/test_export.sh` trains a
net 784-128-10 for three epochs, exports it in both forms, and counts right answers on the
10,000 test images. One run gave, on x86-64:

| set | library | float file | int8 file | allowed loss of int8 |
|---|---|---|---|---|
| MNIST | 9,668 | 9,668 | 9,669 | 20 |
| Fashion-MNIST | 8,597 | 8,597 | 8,598 | 40 |

Eight bits cost nothing here: the errors of rounding are small against the distance between
the two largest logits of nearly every image, and the few images where they are not go
either way.

### Tables and macros

The library keeps weights as [inputs, outputs]; in the file they stand with one row per
output, so that the sum of an output reads memory in order. The file is C99 without the
library and compiles under `-Wall -Wextra -Wpedantic -Wconversion`.

A table of integers has 16 numbers to a line. One of the three pointers is not NULL, and
tells the type of the numbers.
*/
static void dni_export_integers(dni_export *out, const char *type, const char *what, size_t layer,
                                size_t count, const int8_t *bytes, const int32_t *words,
                                const uint8_t *table) {
    dni_export_text(out, "static const %s %s_FLASH %s_%s_%zu[%zu] = {", type, out->capitals,
                    out->name, what, layer, count);
    for (size_t i = 0; i < count; i++)
        dni_export_text(out, "%s%ld%s", i % 16 == 0 ? "\n" : "",
                        bytes != NULL   ? (long)bytes[i]
                        : table != NULL ? (long)table[i]
                                        : (long)words[i],
                        i + 1 < count ? "," : "");
    dni_export_text(out, "};\n\n");
}

/*
On ARM, RISC-V and other processors with one address space a linker puts constants into
flash memory by itself, and nothing is to be defined: the defaults are empty, and `*(pointer)`.
Others keep flash memory apart. For them two macros may be defined on the command line:

| macro | stands | may be |
|---|---|---|
| NAME_FLASH | before the name of each table and the star of a pointer | a qualifier |
| NAME_READ | around each access to a table | a function or macro of a pointer |

A named address space such as `__flash` (ISO/IEC TR 18037) stands in both places. `NAME_READ`
reads `int8_t`, `uint8_t`, `int32_t` and `float`, so that it has to look at the type of what the
pointer points to, for example with `sizeof`.

On processors whose `int` has 16 bits a product of weight and byte, at most 32,385 in size,
still fits; larger ones are computed in `int32_t`.
*/
static void dni_export_macros(dni_export *out) {
    dni_export_text(out,
                    "#include <stdint.h>\n\n"
                    "#ifndef %s_FLASH /* where the tables go, for example __flash */\n"
                    "#define %s_FLASH\n#endif\n"
                    "#ifndef %s_READ /* how they are read there */\n"
                    "#define %s_READ(pointer) (*(pointer))\n#endif\n\n",
                    out->capitals, out->capitals, out->capitals, out->capitals);
}

/*
`NAME_predict` is the index of the largest score, the first of them if several are equal.
A single score is compared with the middle of its range:

| form, last activation | score | class 1 if |
|---|---|---|
| float | the output | score > 0.5 |
| int8, sigmoid | z times 65536 | score > 0, that is sigmoid(z) > 1/2 |
| int8, others | z times 65536 | score > 32768, that is z > 1/2 |
*/
static void dni_export_predict(dni_export *out, const char *type, const char *middle) {
    const size_t outputs = out->net->outputs;
    dni_export_text(out,
                    "int %s_predict(const uint8_t *pixels) {\n"
                    "    %s scores[%zu];\n",
                    out->name, type, outputs);
    dni_export_text(out, "    %s_scores(pixels, scores);\n", out->name);
    if (outputs == 1)
        dni_export_text(out, "    return scores[0] > %s;\n}\n", middle);
    else
        dni_export_text(out,
                        "    int largest = 0;\n"
                        "    for (int j = 1; j < %zu; j++)\n"
                        "        if (scores[j] > scores[largest]) largest = j;\n"
                        "    return largest;\n}\n",
                        outputs);
}

/*
### The title

The comment on top says what the file is, what it takes of the machine, and how good it is,
so that the three questions of whoever finds the file in a project are answered by the file.
The accuracy is that of the form that is written: for 8 bits, of the simulated integers. It
is left out if no test set with labels was given. Seed and checksum lead back to the net.

The static buffer makes the function not reentrant: an interrupt must not call it while the
main program does. It is static because a small controller's stack is small, and because the
linker can then report its size.
*/
static void dni_export_title(dni_export *out, size_t flash, size_t ram, double accuracy) {
    const dn_net *net = out->net;
    dni_export_text(out,
                    "/* A trained neural network, written by densenet.h %s.\n\n"
                    "   Net:      %zu",
                    DN_VERSION, net->inputs);
    for (size_t l = 0; l < net->layer_count; l++)
        if (net->layers[l].kind == DN_LAYER_DENSE)
            dni_export_text(out, " - %zu %s", net->layers[l].outputs,
                            net->layers[l].activation == DN_CUSTOM
                                ? "custom"
                                : dn_activation_name(&net->layers[l]));
    dni_export_text(out, ", %s\n   Flash:    %zu bytes of tables\n   RAM:      %zu bytes\n",
                    out->how->int8 ? "8-bit integers" : "32-bit floats", flash, ram);
    if (accuracy >= 0) {
        char text[40];
        (void)dni_format_number(text, sizeof text, 100 * accuracy);
        dni_export_text(out, "   Accuracy: %s %% of %zu test samples\n", text,
                        out->how->test->count);
    }
    dni_export_text(out, "   Seed:     %llu\n   Checksum: %08lx (CRC-32 of the parameters)\n\n",
                    (unsigned long long)net->seed,
                    (unsigned long)dni_parameters_checksum(net));
    dni_export_text(out, "   int %s_predict(const uint8_t *pixels)\n", out->name);
    dni_export_text(out, "       takes %zu bytes, returns the class.\n", net->inputs);
    dni_export_text(out, "   void %s_scores(const uint8_t *pixels, %s *scores)\n", out->name,
                    out->how->int8 ? "int32_t" : "float");
    dni_export_text(out,
                    "       writes %zu scores%s.\n"
                    "   Not reentrant: both use one static buffer. */\n",
                    net->outputs, out->how->int8 ? ": logits times 65536" : "");
}

/*
### The self-test

A file that is carried to another processor and another compiler should be able to say
whether it arrived. With `-DNAME_SELFTEST` (NAME in capitals) it has a `main` that
compares stored outputs with computed ones and returns 0 if all agree.

The samples are the first of the test set, 8 if the caller does not ask for another number,
and fewer if there are fewer; the answers are what the library computes for them when the
file is written. In integers they must agree to the last bit; in float, where the compiler
may round differently or fuse a product with a sum, to 1e-4.

For an image of MNIST a sample has 784 numbers of text and ten answers; none of it takes
memory in the controller, since the `#ifdef` leaves it out of the normal build.
*/
static void dni_export_samples(dni_export *out, size_t count) {
    const dn_dataset *test = out->how->test;
    dni_export_text(out, "\n#ifdef %s_SELFTEST\nstatic const uint8_t %s_samples[%zu] = {",
                    out->capitals, out->name, count * test->features);
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < test->features; i++)
            dni_export_text(out, "%s%d,", (s * test->features + i) % 24 == 0 ? "\n" : "",
                            test->bytes[dni_row_of(test, s) * test->features + i]);
    dni_export_text(out, "};\n\n");
}

/*
The loop is the same for both forms; they differ in the type of the scores and in what
counts as a difference.
*/
static void dni_export_selftest_main(dni_export *out, size_t count, const char *type,
                                     const char *differs) {
    const size_t outputs = out->net->outputs;
    dni_export_text(out,
                    "int main(void) {\n"
                    "    int wrong = 0;\n"
                    "    for (int s = 0; s < %zu; s++) {\n"
                    "        %s scores[%zu];\n",
                    count, type, outputs);
    dni_export_text(out,
                    "        %s_scores(%s_samples + %zu * s, scores);\n"
                    "        for (int j = 0; j < %zu; j++) {\n"
                    "            %s d = scores[j] - %s_expected[%zu * s + j];\n"
                    "            wrong += %s;\n"
                    "        }\n"
                    "    }\n"
                    "    return wrong != 0;\n}\n#endif\n",
                    out->name, out->name, out->net->inputs, outputs, type, out->name, outputs,
                    differs);
}

/*
*How we know:* `tests/test_export.sh` adds a million to the first bias of
a table in one exported file; its self-test must then fail.

### The float form

Sigmoid, tanh and softmax need exp, and a freestanding compiler has no math library. So the
file brings its own, if one of its layers needs it: that of chapter 2, but by the series,

    n = (int)(x * 1.44269504 +- 0.5);   r = x - n * 0.693359375 + n * 0.000212194440

which up to r^7 / 5040 leaves out r^8 / 40320 and less, with |r| at most 0.347 5 * 10^-9: below the
rounding of a float, 6 * 10^-8.

2^n is made of its bits: a float with exponent field n + 127 and no mantissa. Between the
bounds -87 and 88 that field lies in 1 .. 254, which are the normal numbers. A smaller
x gives 0, a larger one is taken as 88; sigmoid and softmax come out right in both cases.
*/
static void dni_export_exp(dni_export *out) {
    dni_export_text(out,
                    "/* exp(x) = 2^n exp(r), |r| <= ln(2)/2, by the series of exp(r). */\n"
                    "static float %s_exp(float x) {\n"
                    "    union { uint32_t bits; float value; } power;\n"
                    "    if (x < -87.0f) return 0.0f;\n"
                    "    if (x > 88.0f) x = 88.0f;\n"
                    "    int32_t n = (int32_t)(x * 1.44269504f + (x < 0.0f ? -0.5f : 0.5f));\n"
                    "    float r = x - (float)n * 0.693359375f + (float)n * 2.12194440e-4f;\n",
                    out->name);
    dni_export_text(out,
                    "    float sum = 1.0f / 5040.0f;\n"
                    "    sum = sum * r + 1.0f / 720.0f;\n"
                    "    sum = sum * r + 1.0f / 120.0f;\n"
                    "    sum = sum * r + 1.0f / 24.0f;\n"
                    "    sum = sum * r + 1.0f / 6.0f;\n"
                    "    sum = sum * r + 0.5f;\n"
                    "    sum = sum * r + 1.0f;\n"
                    "    sum = sum * r + 1.0f;\n"
                    "    power.bits = (uint32_t)(n + 127) << 23;\n"
                    "    return sum * power.value;\n}\n\n");
}

/*
The tables of a layer: row by row the folded weights of an output, then the folded biases.
*/
static void dni_export_float_tables(dni_export *out, const dn_layer *layer, size_t number) {
    const bool is_first = number == 0;
    dni_export_text(out, "static const float %s_FLASH %s_weights_%zu[%zu] = {", out->capitals,
                    out->name, number, layer->inputs * layer->outputs);
    for (size_t o = 0; o < layer->outputs; o++)
        for (size_t i = 0; i < layer->inputs; i++) {
            dni_export_text(out, "%s", (o * layer->inputs + i) % 8 == 0 ? "\n" : "");
            dni_export_float(out, dni_folded_weight(out, layer, is_first, i, o));
            dni_export_text(out, ",");
        }
    dni_export_text(out, "};\n\nstatic const float %s_FLASH %s_biases_%zu[%zu] = {", out->capitals,
                    out->name, number, layer->outputs);
    for (size_t o = 0; o < layer->outputs; o++) {
        dni_export_text(out, "%s", o % 8 == 0 ? "\n" : "");
        dni_export_float(out, dni_folded_bias(out, layer, is_first, o));
        dni_export_text(out, ",");
    }
    dni_export_text(out, "};\n\n");
}

/*
The code of one layer, from one array of the exported function to another. It is the
formula of the layer and nothing else: a bias, a loop of products, an activation.

The activation is an expression of `sum`. Sigmoid is 1 / (1 + exp(-z)), tanh is
1 - 2 / (1 + exp(2 z)); at large |z| exp is 0 or about 10^38, and both formulas give their
limits. Softmax needs all sums of its layer and has a second block, which subtracts the
largest first, as in chapter 4.
*/
static void dni_export_float_layer(dni_export *out, const dn_layer *layer, size_t number,
                                   const char *from, const char *to) {
    const bool per_sample = number == 0 && out->net->normalization == DN_NORMALIZE_SAMPLE;
    const char *value = "sum";
    dni_export_text(out,
                    "    for (int o = 0; o < %zu; o++) { /* layer %zu: %s */\n"
                    "        const float %s_FLASH *w = %s_weights_%zu + %zu * (long)o;\n"
                    "        float sum = %s_READ(%s_biases_%zu + o);\n",
                    layer->outputs, number, dn_activation_name(layer), out->capitals, out->name,
                    number, layer->inputs, out->capitals, out->name, number);
    dni_export_text(out,
                    per_sample ? "        for (int i = 0; i < %zu; i++)\n"
                                 "            sum += ((float)%s[i] - mean) * scale * "
                                 "%s_READ(w + i);\n"
                               : "        for (int i = 0; i < %zu; i++)\n"
                                 "            sum += (float)%s[i] * %s_READ(w + i);\n",
                    layer->inputs, from, out->capitals);
    switch (layer->activation) {
    case DN_RELU: value = "sum > 0.0f ? sum : 0.0f"; break;
    case DN_LEAKY_RELU: value = "sum > 0.0f ? sum : 0.01f * sum"; break;
    case DN_SIGMOID: value = "1.0f / (1.0f + NAME_exp(-sum))"; break;
    case DN_TANH: value = "1.0f - 2.0f / (1.0f + NAME_exp(2.0f * sum))"; break;
    default: break;
    }
    const char *name = strstr(value, "NAME");
    if (name != NULL)
        dni_export_text(out, "        %s[o] = %.*s%s%s;\n", to, (int)(name - value), value,
                        out->name, name + 4);
    else
        dni_export_text(out, "        %s[o] = %s;\n", to, value);
    dni_export_text(out, "    }\n");
    if (layer->activation == DN_SOFTMAX)
        dni_export_text(out,
                        "    {\n"
                        "        float top = %s[0], total = 0.0f;\n"
                        "        for (int j = 1; j < %zu; j++)\n"
                        "            if (%s[j] > top) top = %s[j];\n"
                        "        for (int j = 0; j < %zu; j++)\n"
                        "            total += %s[j] = %s_exp(%s[j] - top);\n"
                        "        for (int j = 0; j < %zu; j++) %s[j] /= total;\n"
                        "    }\n",
                        to, layer->outputs, to, to, layer->outputs, to, out->name, to,
                        layer->outputs, to);
}

/*
Per-sample normalisation in floats: mean and variance of the bytes, and one over the root of
the variance by Newton's method,

    root = (root + v / root) / 2

It begins at the larger of v and 1, which is at or above the root, and comes down. The largest
variance of bytes is 127.5^2 = 16,256: from there each of the first steps about halves the
number, the eighth gives 132, and each one after it doubles the number of right digits. Forty
are always enough. In an image of one grey the variance is 0, the scale stays 0, and all
inputs are 0.
*/
static void dni_export_float_normalization(dni_export *out) {
    dni_export_text(out,
                    "    float mean = 0.0f, scale = 0.0f;\n"
                    "    for (int i = 0; i < %zu; i++) mean += (float)pixels[i];\n"
                    "    mean /= %zu.0f;\n"
                    "    for (int i = 0; i < %zu; i++)\n"
                    "        scale += ((float)pixels[i] - mean) * ((float)pixels[i] - mean);\n"
                    "    scale /= %zu.0f;\n",
                    out->net->inputs, out->net->inputs, out->net->inputs, out->net->inputs);
    dni_export_text(out,
                    "    if (scale > 0.0f) { /* 1 / square root of the variance, by Newton */\n"
                    "        float root = scale > 1.0f ? scale : 1.0f;\n"
                    "        for (int n = 0; n < 40; n++) root = 0.5f * (root + scale / root);\n"
                    "        scale = 1.0f / root;\n"
                    "    }\n");
}

/*
The function of the whole net. The layers read and write alternately: layer 0 writes to
`even`, layer 1 reads it and writes to `odd`, layer 2 writes to `even` again; the last one
writes to the caller's `scores`. Both lie in one static array, each as long as the widest of
its layers. A net 784-128-64-32-10 has 128 numbers in `even` (layers 0 and 2: 128 and 32)
and 64 in `odd` (layer 1): 192 numbers, where one buffer per layer would take 224.
*/
static void dni_export_float_code(dni_export *out, size_t dense_layers, size_t widest_even,
                                  size_t widest_odd) {
    const dn_net *net = out->net;
    if (dense_layers > 1)
        dni_export_text(out, "static float %s_scratch[%zu];\n\n", out->name,
                        widest_even + widest_odd);
    dni_export_text(out, "void %s_scores(const uint8_t *pixels, float *scores);\n"
                         "int %s_predict(const uint8_t *pixels);\n\n", out->name, out->name);
    dni_export_text(out, "void %s_scores(const uint8_t *pixels, float *scores) {\n", out->name);
    if (net->normalization == DN_NORMALIZE_SAMPLE) dni_export_float_normalization(out);
    if (dense_layers > 1)
        dni_export_text(out, "    float *even = %s_scratch;\n", out->name);
    if (dense_layers > 2)
        dni_export_text(out, "    float *odd = %s_scratch + %zu;\n", out->name, widest_even);
    const char *from = "pixels";
    size_t number = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        if (net->layers[l].kind != DN_LAYER_DENSE) continue;
        const char *to = number + 1 == dense_layers ? "scores" : number % 2 == 0 ? "even" : "odd";
        dni_export_float_layer(out, &net->layers[l], number++, from, to);
        from = to;
    }
    dni_export_text(out, "}\n\n");
    dni_export_predict(out, "float", "0.5f");
}

static bool dni_export_needs_exp(const dn_net *net) {
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_activation f = net->layers[l].activation;
        if (f == DN_SIGMOID || f == DN_TANH || f == DN_SOFTMAX) return true;
    }
    return false;
}

/*
The widest of the hidden layers 0, 2, 4 ... (odd = 0) or 1, 3, 5 ... (odd = 1); 0 if there
is none.
*/
static size_t dni_export_widest(const dn_net *net, size_t dense_layers, size_t odd) {
    size_t widest = 0, number = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        if (net->layers[l].kind != DN_LAYER_DENSE) continue;
        if (number + 1 < dense_layers && number % 2 == odd && net->layers[l].outputs > widest)
            widest = net->layers[l].outputs;
        number++;
    }
    return widest;
}

/*
The answers of the float form are those of `dn_predict_dataset`, which knows nothing of
folded weights or of this file's exp: the self-test compares two computations.
*/
static void dni_export_float_selftest(dni_export *out, size_t count, const dn_real *expected) {
    const size_t total = count * out->net->outputs;
    dni_export_samples(out, count);
    dni_export_text(out, "static const float %s_expected[%zu] = {", out->name, total);
    for (size_t i = 0; i < total; i++) {
        dni_export_text(out, "%s", i % 8 == 0 ? "\n" : "");
        dni_export_float(out, (double)expected[i]);
        dni_export_text(out, ",");
    }
    dni_export_text(out, "};\n\n");
    dni_export_selftest_main(out, count, "float", "d > 1e-4f || d < -1e-4f");
}

/*
The file from top to bottom, in the order in which it was shown at the beginning.
*/
static dn_status dni_export_as_float(dni_export *out, size_t dense_layers, size_t selftest) {
    const dn_net *net = out->net;
    const size_t even = dni_export_widest(net, dense_layers, 0);
    const size_t odd = dni_export_widest(net, dense_layers, 1);
    double accuracy = -1;
    dn_real *expected = NULL;
    if (selftest > 0) {
        if (out->how->test->labels != NULL) {
            const dn_evaluation seen = dn_evaluate(net, out->how->test);
            if (seen.status != DN_OK)
                return dni_fail(out->error, seen.status, "the test set cannot be evaluated");
            accuracy = seen.accuracy;
        }
        expected = (dn_real *)dni_allocate(selftest, net->outputs * sizeof *expected);
        dn_status status = expected == NULL
                     ? dni_fail(out->error, DN_ERROR_MEMORY, "no memory for the self-test")
                     : dn_predict_dataset(net, out->how->test, 0, selftest, expected, out->error);
        if (status != DN_OK) {
            dni_release(expected);
            return status;
        }
    }
    dni_export_title(out, net->parameter_count * sizeof(float), (even + odd) * sizeof(float),
                     accuracy);
    dni_export_macros(out);
    size_t number = 0;
    for (size_t l = 0; l < net->layer_count; l++)
        if (net->layers[l].kind == DN_LAYER_DENSE)
            dni_export_float_tables(out, &net->layers[l], number++);
    if (dni_export_needs_exp(net)) dni_export_exp(out);
    dni_export_float_code(out, dense_layers, even, odd);
    if (selftest > 0) dni_export_float_selftest(out, selftest, expected);
    dni_release(expected);
    return out->status;
}

/*
*How we know:* `tests/test_export.sh` compiles 80 small float files, of five
activations, one to four layers and four normalisations, with `-ffreestanding -Werror` and
runs their self-tests; and the float file of a net trained on MNIST must be right on as
many test images as the library.

### The 8-bit form

The same steps for every layer, with its own tables: sum, requantise, clamp. A hidden ReLU
layer is in the file, with shift 41,

    for (int o = 0; o < 128; o++) {
        const int8_t NET_FLASH *w = net_weights_0 + 784 * (long)o;
        int32_t sum = NET_READ(net_biases_0 + o);
        for (int i = 0; i < 784; i++) sum += NET_READ(w + i) * pixels[i];
        int64_t q = (int64_t)sum * NET_READ(net_multipliers_0 + o);
        q += 1099511627776;
        q = q < 0 ? 0 : q >> 41;
        even[o] = (uint8_t)(q > 255 ? 255 : q);
    }

Zero point and half are one constant: here the zero point is 0, and 2^40 = 1,099,511,627,776.
With the zero point 128 it is 128 * 2^41 + 2^40 = 257 * 2^40.
*/
static void dni_export_int8_layer(dni_export *out, const dni_int8_layer *layer, size_t number,
                                  const char *from, const char *to) {
    const size_t in = layer->layer->inputs, outputs = layer->layer->outputs;
    const long long half = 1LL << (layer->shift - 1);
    const bool is_score = layer->form == DNI_TO_SCORE, is_table = layer->form == DNI_TO_TABLE;
    const int zero = is_table ? DNI_TABLE / 2 : layer->zero;
    dni_export_text(out,
                    "    for (int o = 0; o < %zu; o++) { /* layer %zu: %s */\n"
                    "        const int8_t %s_FLASH *w = %s_weights_%zu + %zu * (long)o;\n"
                    "        int32_t sum = %s_READ(%s_biases_%zu + o);\n"
                    "        for (int i = 0; i < %zu; i++) sum += %s_READ(w + i) * %s[i];\n",
                    outputs, number, dn_activation_name(layer->layer), out->capitals, out->name,
                    number, in, out->capitals, out->name, number, in, out->capitals, from);
    dni_export_text(out, "        int64_t q = (int64_t)sum * %s_READ(%s_multipliers_%zu + o);\n",
                    out->capitals, out->name, number);
    if (is_score) {
        dni_export_text(out,
                        "        %s[o] = (int32_t)(q < 0 ? -((-q + %lld) >> %u) : "
                        "(q + %lld) >> %u);\n"
                        "    }\n",
                        to, half, layer->shift, half, layer->shift);
        return;
    }
    if (layer->form == DNI_TO_LEAKY_BYTE) dni_export_text(out, "        if (sum < 0) q /= 100;\n");
    dni_export_text(out, "        q += %lld;\n        q = q < 0 ? 0 : q >> %u;\n",
                    ((long long)zero << layer->shift) + half, layer->shift);
    if (is_table)
        dni_export_text(out, "        %s[o] = %s_READ(%s_table_%zu + (q > %d ? %d : q));\n    }\n",
                        to, out->capitals, out->name, number, DNI_TABLE - 1, DNI_TABLE - 1);
    else
        dni_export_text(out, "        %s[o] = (uint8_t)(q > 255 ? 255 : q);\n    }\n", to);
}

/*
Normalisation in integers: the text of `dni_int8_input` and of the functions that it calls.
What must stay alike is compared by the self-test: its answers are those of the functions.
*/
static void dni_export_int8_input(dni_export *out, const dni_int8_net *net) {
    const size_t inputs = out->net->inputs;
    if (net->input_means != NULL) {
        dni_export_text(out,
                        "    for (int i = 0; i < %zu; i++) {\n"
                        "        int64_t q = (int64_t)((int32_t)256 * pixels[i] - "
                        "%s_READ(%s_means_0 + i)) *\n"
                        "                    %s_READ(%s_scales_0 + i) + ((int64_t)257 << 23);\n"
                        "        q = q < 0 ? 0 : q >> 24;\n"
                        "        input[i] = (uint8_t)(q > 255 ? 255 : q);\n"
                        "    }\n",
                        inputs, out->capitals, out->name, out->capitals, out->name);
        return;
    }
    dni_export_text(out,
                    "    int64_t total = 0, squares = 0, root = 0;\n"
                    "    for (int i = 0; i < %zu; i++) {\n"
                    "        total += pixels[i];\n"
                    "        squares += (int32_t)pixels[i] * pixels[i];\n"
                    "    }\n"
                    "    squares = %zu * squares - total * total;\n"
                    "    for (int64_t bit = (int64_t)1 << 30; bit > 0; bit >>= 1)\n"
                    "        if ((root + bit) * (root + bit) <= squares) root += bit;\n",
                    inputs, inputs);
    dni_export_text(out,
                    "    for (int i = 0; i < %zu; i++) {\n"
                    "        int64_t q = root == 0 ? 0 : "
                    "(%zu * (int64_t)pixels[i] - total) * %ld / root;\n"
                    "        q = (q + 8421376) / 65536; /* 128.5 * 65536 */\n"
                    "        input[i] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);\n"
                    "    }\n",
                    inputs, inputs, (long)net->input_multiplier);
}

/*
The same function as in the float form, with bytes between the layers, and one more part of
the scratch if the input is normalised: `even`, `odd`, `input`.
*/
static void dni_export_int8_code(dni_export *out, const dni_int8_net *net, size_t even,
                                 size_t odd) {
    const bool normalizes = dni_int8_normalizes(net);
    const size_t input = normalizes ? out->net->inputs : 0;
    if (even + odd + input > 0)
        dni_export_text(out, "static uint8_t %s_scratch[%zu];\n\n", out->name, even + odd + input);
    dni_export_text(out,
                    "void %s_scores(const uint8_t *pixels, int32_t *scores);\n"
                    "int %s_predict(const uint8_t *pixels);\n\n"
                    "void %s_scores(const uint8_t *pixels, int32_t *scores) {\n",
                    out->name, out->name, out->name);
    if (net->count > 1) dni_export_text(out, "    uint8_t *even = %s_scratch;\n", out->name);
    if (net->count > 2)
        dni_export_text(out, "    uint8_t *odd = %s_scratch + %zu;\n", out->name, even);
    if (normalizes) {
        dni_export_text(out, "    uint8_t *input = %s_scratch + %zu;\n", out->name, even + odd);
        dni_export_int8_input(out, net);
    }
    const char *from = normalizes ? "input" : "pixels";
    for (size_t l = 0; l < net->count; l++) {
        const char *to = l + 1 == net->count ? "scores" : l % 2 == 0 ? "even" : "odd";
        dni_export_int8_layer(out, &net->layers[l], l, from, to);
        from = to;
    }
    dni_export_text(out, "}\n\n");
    const bool sigmoid = net->layers[net->count - 1].layer->activation == DN_SIGMOID;
    dni_export_predict(out, "int32_t", sigmoid ? "0" : "32768");
}

static void dni_export_int8_selftest(dni_export *out, const dni_int8_net *net, size_t count,
                                     int32_t *scores) {
    const dn_dataset *test = out->how->test;
    const size_t outputs = out->net->outputs;
    dni_export_samples(out, count);
    dni_export_text(out, "static const int32_t %s_expected[%zu] = {", out->name, count * outputs);
    for (size_t s = 0; s < count; s++) {
        dni_int8_scores(net, test->bytes + dni_row_of(test, s) * test->features, scores);
        dni_export_text(out, "\n");
        for (size_t j = 0; j < outputs; j++) dni_export_text(out, "%ld,", (long)scores[j]);
    }
    dni_export_text(out, "};\n\n");
    dni_export_selftest_main(out, count, "int32_t", "d != 0");
}

/*
The accuracy of the integers over the whole test set, by the rules of `NAME_predict`.
*/
static double dni_int8_accuracy(const dni_export *out, const dni_int8_net *net, int32_t *scores) {
    const dn_dataset *test = out->how->test;
    const size_t outputs = out->net->outputs;
    const bool sigmoid = net->layers[net->count - 1].layer->activation == DN_SIGMOID;
    size_t correct = 0;
    for (size_t s = 0; s < test->count; s++) {
        const size_t row = dni_row_of(test, s);
        int32_t largest = 0;
        dni_int8_scores(net, test->bytes + row * test->features, scores);
        for (size_t j = 1; j < outputs; j++)
            if (scores[j] > scores[largest]) largest = (int32_t)j;
        if (outputs == 1) largest = scores[0] > (sigmoid ? 0 : DNI_SCORE_ONE / 2);
        correct += largest == test->labels[row];
    }
    return (double)correct / (double)test->count;
}

/*
The size that the title gives is added up here: for each output its weights and two 32-bit
numbers, a table of 1024 bytes where there is one, and 8 bytes for each input that is
normalised by feature.
*/
static dn_status dni_export_as_int8(dni_export *out, size_t dense_layers, size_t selftest) {
    const dn_net *net = out->net;
    dni_int8_net quantized;
    dn_status status = dni_int8_quantize(out, &quantized, dense_layers);
    if (status != DN_OK) return status;
    int32_t *scores = (int32_t *)dni_allocate(net->outputs, sizeof *scores);
    if (scores == NULL) {
        dni_int8_free(&quantized);
        return dni_fail(out->error, DN_ERROR_MEMORY, "no memory for %zu scores", net->outputs);
    }
    const size_t even = dni_export_widest(net, dense_layers, 0);
    const size_t odd = dni_export_widest(net, dense_layers, 1);
    size_t flash = 0, tables = 0;
    for (size_t l = 0; l < quantized.count; l++) {
        const dn_layer *layer = quantized.layers[l].layer;
        flash += layer->outputs * (layer->inputs + 2 * sizeof(int32_t));
        tables += quantized.layers[l].table != NULL;
    }
    const bool has_labels = selftest > 0 && out->how->test->labels != NULL;
    if (quantized.input_means != NULL) flash += 2 * sizeof(int32_t) * net->inputs;
    dni_export_title(out, flash + tables * DNI_TABLE,
                     even + odd + (dni_int8_normalizes(&quantized) ? net->inputs : 0),
                     has_labels ? dni_int8_accuracy(out, &quantized, scores) : -1);
    dni_export_macros(out);
    if (quantized.input_means != NULL) {
        dni_export_integers(out, "int32_t", "means", 0, net->inputs, NULL, quantized.input_means,
                            NULL);
        dni_export_integers(out, "int32_t", "scales", 0, net->inputs, NULL,
                            quantized.input_multipliers, NULL);
    }
    for (size_t l = 0; l < quantized.count; l++) {
        const dni_int8_layer *layer = &quantized.layers[l];
        const size_t outputs = layer->layer->outputs, weights = outputs * layer->layer->inputs;
        dni_export_integers(out, "int8_t", "weights", l, weights, layer->weights, NULL, NULL);
        dni_export_integers(out, "int32_t", "biases", l, outputs, NULL, layer->biases, NULL);
        dni_export_integers(out, "int32_t", "multipliers", l, outputs, NULL, layer->multipliers,
                            NULL);
        if (layer->table != NULL)
            dni_export_integers(out, "uint8_t", "table", l, DNI_TABLE, NULL, NULL, layer->table);
    }
    dni_export_int8_code(out, &quantized, even, odd);
    if (selftest > 0) dni_export_int8_selftest(out, &quantized, selftest, scores);
    dni_release(scores);
    dni_int8_free(&quantized);
    return out->status;
}

/*
*How we know:* `tests/test_export.sh` does with 96 small files in 8 bits what
it does with those in floats (custom activations are among them), and checks that the tables
of the net for MNIST take less than 3/10 of those of the float file.

### The door

`dn_export_c` checks before it writes, so that a refusal leaves no half of a file. The
name becomes part of identifiers: letters, digits and underscores, no digit in front, at most
59 characters.

| refused | because |
|---|---|
| a net without layers, a name such as `my net` | nothing could be compiled |
| 8 bits without calibration samples | the scales would be guesses |
| a custom activation in the float form, or in the last layer | it has no C text here |
| softmax in a hidden layer, in 8 bits | it needs all outputs of its layer, not a table |
| sets that hold floats | the exported function takes bytes |
| per feature, but means unknown | there is nothing to fold |

The bound of the 32-bit sums and a lack of memory are found later, but still before any
text is written. After that only the writer can fail.
*/
static bool dni_is_identifier(const char *name) {
    size_t i = 0;
    for (; name[i] != '\0'; i++) {
        const char c = name[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(i > 0 && c >= '0' && c <= '9')) return false;
    }
    return i > 0 && i < 60;
}

static dn_status dni_export_check_data(const dni_export *out, const dn_dataset *data,
                                       const char *role) {
    dn_status status = dni_data_check(out->net, data, role, false, out->error);
    if (status == DN_OK && data->bytes == NULL)
        status = dni_fail(out->error, DN_ERROR_ARGUMENT,
                          "the %s set must hold bytes: the exported function takes bytes", role);
    return status;
}

static dn_status dni_export_check(dni_export *out, size_t *dense_layers) {
    const dn_net *net = out->net;
    const dn_export *how = out->how;
    dn_status status = dn_loss_check(net, DN_MEAN_SQUARED_ERROR, out->error);
    if (status == DN_OK && how->test != NULL)
        status = dni_export_check_data(out, how->test, "test");
    if (status == DN_OK && how->calibration != NULL)
        status = dni_export_check_data(out, how->calibration, "calibration");
    if (status != DN_OK) return status;
    if (!dni_is_identifier(how->name != NULL ? how->name : "net"))
        return dni_fail(out->error, DN_ERROR_ARGUMENT, "'%.60s' is no C identifier", how->name);
    if (how->int8 && how->calibration == NULL)
        return dni_fail(out->error, DN_ERROR_ARGUMENT, "the 8-bit form needs calibration samples");
    *dense_layers = 0;
    for (size_t l = 0; l < net->layer_count; l++) {
        const dn_layer *layer = &net->layers[l];
        const bool is_last = l + 1 == net->layer_count;
        *dense_layers += layer->kind == DN_LAYER_DENSE;
        if (layer->activation == DN_CUSTOM && (!how->int8 || is_last))
            return dni_fail(out->error, DN_ERROR_ARGUMENT,
                            "layer %zu: a custom activation cannot be exported here", l);
        if (layer->activation == DN_SOFTMAX && how->int8 && !is_last)
            return dni_fail(out->error, DN_ERROR_ARGUMENT,
                            "layer %zu: softmax inside the net has no 8-bit form", l);
    }
    for (size_t i = 0; i < net->parameter_count; i++)
        if (!dni_is_finite((double)net->parameters[i]))
            return dni_fail(out->error, DN_ERROR_ARGUMENT, "parameter %zu is not finite", i);
    if (net->normalization == DN_NORMALIZE_FEATURE && net->mean == NULL)
        return dni_fail(out->error, DN_ERROR_ARGUMENT,
                        "the net does not know the mean and deviation of its features");
    return DN_OK;
}

DN_API dn_status dn_export_c(const dn_net *net, const dn_export *how, const dn_writer *writer,
                             dn_error *error) {
    dni_export out;
    size_t dense_layers = 0;
    memset(&out, 0, sizeof out);
    out.net = net;
    out.how = how;
    out.writer = writer;
    out.error = error;
    dn_status status = dni_export_check(&out, &dense_layers);
    if (status != DN_OK) return status;
    (void)snprintf(out.name, sizeof out.name, "%s", how->name != NULL ? how->name : "net");
    for (size_t i = 0; i < sizeof out.name; i++) {
        const char c = out.name[i];
        out.capitals[i] = c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
    }
    size_t selftest = how->selftest > 0 ? how->selftest : 8;
    if (how->test == NULL) selftest = 0;
    else if (selftest > how->test->count) selftest = how->test->count;
    return how->int8 ? dni_export_as_int8(&out, dense_layers, selftest)
                     : dni_export_as_float(&out, dense_layers, selftest);
}

/*
*How we know:* `tests/export/nets.c` exports small nets of every
activation, depth and normalisation, and nets trained on MNIST and Fashion-MNIST;
`tests/test_export.sh` compiles the files freestanding with every compiler that is there,
runs their self-tests, and runs `tests/export/count.c` with them over all test images,
the 8-bit form also under an emulator of another processor.
*/

#endif /* DNI_FIRST_PASS */

#ifdef DNI_INSTANCE
#undef DNI_INSTANCE /* one more instruction set is done */
#else
#undef DNI_FIRST_PASS
#endif

/*
# Licence

This file is available under two licences; choose whichever you prefer.

### A: MIT licence

Copyright (c) 2026 the densenet.h authors

Permission is hereby granted, free of charge, to any person obtaining a copy of
this software and associated documentation files (the "Software"), to deal in
the Software without restriction, including without limitation the rights to
use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of
the Software, and to permit persons to whom the Software is furnished to do so,
subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER
IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.

### B: public domain (www.unlicense.org)

This is free and unencumbered software released into the public domain.

Anyone is free to copy, modify, publish, use, compile, sell, or distribute this
software, either in source code form or as a compiled binary, for any purpose,
commercial or non-commercial, and by any means.

In jurisdictions that recognize copyright laws, the author or authors of this
software dedicate any and all copyright interest in the software to the public
domain. We make this dedication for the benefit of the public at large and to
the detriment of our heirs and successors. We intend this dedication to be an
overt act of relinquishment in perpetuity of all present and future rights to
this software under copyright law.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS
FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS BE
LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF
CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE
SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
*/

