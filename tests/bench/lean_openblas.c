/* The hardest peer: a C loop around OpenBLAS, as one who knows both would write it for just these
   nets. Nothing is allocated or copied in a step but the gathered batch; for plain descent the
   gradient is never formed (sgemm adds -rate/B X^T dZ to the weights itself), with momentum sgemm
   does v = 0.9 v + X^T dZ / B; the rest is one vectorised pass each. To be compiled with
   -O3 -march=native -ffast-math -fopenmp, so that the C library's vector exp and tanh are used. */
#include "peer.h"
#include <cblas.h>
void openblas_set_num_threads(int);
int omp_get_max_threads(void);

enum { MOST_LAYERS = 3, MOST_BATCH = 1000, MOST_WIDTH = 1000 };

/* A narrow layer keeps its weights as [outputs][inputs]: OpenBLAS is up to twice as fast so. */
typedef struct layer {
    int inputs, outputs;
    bool narrow;
    enum function function;
    float *w, *b;             /* [inputs, outputs] or [outputs, inputs]; [outputs] */
    float *dw, *db;           /* gradient (Adam) or velocity (momentum) */
    float *first, *second;    /* Adam; of weights and biases, which lie behind each other */
    float *a, *delta, *mask;  /* [batch, outputs] */
} layer;

static layer layers[MOST_LAYERS];
static int layer_count;
static images train, test;
static float *train_numbers, *test_numbers, *batch, *test_outputs;
static unsigned char *batch_labels;
static int order[60000];
static bool from_bytes;
static uint64_t state;
static double power1, power2;

#define BIG 32768 /* loops over more numbers than this are shared among the threads */
#define SHARED(count) _Pragma("omp parallel for if ((count) > BIG)")

static float *room(size_t count) {
    const size_t bytes = (count * sizeof(float) + 63) / 64 * 64;
    float *numbers = (float *)aligned_alloc(64, bytes);
    memset(numbers, 0, bytes);
    return numbers;
}

/* ---- Forward. */

static void gather(const int *samples, int count) {
#pragma omp parallel for if (count *PIXELS > BIG)
    for (int s = 0; s < count; s++) {
        const size_t from = (size_t)samples[s] * PIXELS;
        float *to = batch + s * PIXELS;
        if (from_bytes)
            for (int i = 0; i < PIXELS; i++) to[i] = (float)train.bytes[from + i] * (1.0f / 255);
        else
            memcpy(to, train_numbers + from, PIXELS * sizeof *to);
        batch_labels[s] = train.labels[samples[s]];
    }
}

/* The exponentials of all rows in one vectorised loop: a row of ten does not fill vectors. */
static void softmax(const layer *l, int count) {
    float *restrict a = l->a;
    const float *restrict b = l->b;
    for (int s = 0; s < count; s++) {
        float *row = a + s * CLASSES, largest = -1e30f;
        for (int j = 0; j < CLASSES; j++) {
            row[j] += b[j];
            largest = row[j] > largest ? row[j] : largest;
        }
        for (int j = 0; j < CLASSES; j++) row[j] -= largest;
    }
    for (int i = 0; i < count * CLASSES; i++) a[i] = expf(a[i]);
    for (int s = 0; s < count; s++) {
        float *row = a + s * CLASSES, sum = 0;
        for (int j = 0; j < CLASSES; j++) sum += row[j];
        for (int j = 0; j < CLASSES; j++) row[j] *= 1 / sum;
    }
}

/* a = f(a + b), row by row */
static void activate(const layer *l, int count) {
    const int width = l->outputs;
    if (l->function == SOFTMAX) {
        softmax(l, count);
        return;
    }
#pragma omp parallel for if (count *width > BIG)
    for (int s = 0; s < count; s++) {
        float *restrict a = l->a + (size_t)s * width;
        const float *restrict b = l->b;
        switch (l->function) {
        case RELU:
            for (int j = 0; j < width; j++) a[j] = a[j] + b[j] > 0 ? a[j] + b[j] : 0;
            break;
        case TANH:
            for (int j = 0; j < width; j++) a[j] = tanhf(a[j] + b[j]);
            break;
        case SIGMOID:
            for (int j = 0; j < width; j++) a[j] = 1 / (1 + expf(-(a[j] + b[j])));
            break;
        default:
            for (int j = 0; j < width; j++) a[j] += b[j];
        }
    }
}

/* Random bits for dropout: 16 generators xorshift32 side by side, which vectorise. */
static void drop(const layer *l, int count, float probability) {
    enum { LANES = 16 };
    static uint32_t x[LANES];
    const uint32_t limit = (uint32_t)(probability * 4294967296.0);
    const float keep = 1 / (1 - probability);
    const int all = count * l->outputs;
    if (x[0] == 0)
        for (int i = 0; i < LANES; i++) x[i] = (uint32_t)random_bits(&state) | 1;
    for (int i = 0; i < all; i += LANES)
        for (int j = 0; j < LANES; j++) {
            uint32_t r = x[j];
            r ^= r << 13;
            r ^= r >> 17;
            r ^= r << 5;
            x[j] = r;
            l->mask[i + j] = r < limit ? 0 : keep;
            l->a[i + j] *= l->mask[i + j];
        }
}

static void forward(const float *inputs, int count, float dropout) {
    for (int i = 0; i < layer_count; i++) {
        const layer *l = &layers[i];
        if (count == 1)
            cblas_sgemv(CblasRowMajor, l->narrow ? CblasNoTrans : CblasTrans,
                        l->narrow ? l->outputs : l->inputs, l->narrow ? l->inputs : l->outputs, 1,
                        l->w, l->narrow ? l->inputs : l->outputs, inputs, 1, 0, l->a, 1);
        else
            cblas_sgemm(CblasRowMajor, CblasNoTrans, l->narrow ? CblasTrans : CblasNoTrans, count,
                        l->outputs, l->inputs, 1, inputs, l->inputs, l->w,
                        l->narrow ? l->inputs : l->outputs, 0, l->a, l->outputs);
        activate(l, count);
        if (dropout > 0 && i == layer_count - 2) drop(l, count, dropout);
        inputs = l->a;
    }
}

/* ---- Backward and update. */

/* to = beta to + alpha X^T dZ, in the layer's layout */
static void product_of_gradient(const layer *l, const float *x, int count, float alpha, float beta,
                                float *to) {
    const int m = l->narrow ? l->outputs : l->inputs, n = l->narrow ? l->inputs : l->outputs;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, count, alpha,
                l->narrow ? l->delta : x, m, l->narrow ? x : l->delta, n, beta, to, n);
}

static void sum_of_columns(const layer *l, int count, float alpha, float beta, float *to) {
    const int width = l->outputs;
    float sums[MOST_WIDTH] = {0};
    for (int s = 0; s < count; s++)
        for (int j = 0; j < width; j++) sums[j] += l->delta[(size_t)s * width + j];
    for (int j = 0; j < width; j++) to[j] = beta * to[j] + alpha * sums[j];
}

static void adam(const layer *l, float rate) {
    const int count = l->inputs * l->outputs + l->outputs; /* w and b lie behind each other */
    const float step = (float)(rate / (1 - power1)), scale = (float)(1 / sqrt(1 - power2));
    float *restrict w = l->w, *restrict g = l->dw, *restrict m = l->first, *restrict v = l->second;
    SHARED(count)
    for (int i = 0; i < count; i++) {
        m[i] = 0.9f * m[i] + 0.1f * g[i];
        v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
        w[i] -= step * m[i] / (sqrtf(v[i]) * scale + 1e-8f);
    }
}

static void follow(const layer *l, float rate) { /* w -= rate v */
    const int count = l->inputs * l->outputs + l->outputs;
    float *restrict w = l->w, *restrict v = l->dw;
    SHARED(count)
    for (int i = 0; i < count; i++) w[i] -= rate * v[i];
}

/* delta of the layer below = (delta W^T) f'(a) */
static void pass_down(const layer *l, const layer *below, int count, float dropout) {
    const int all = count * below->outputs;
    const float *restrict a = below->a, *restrict mask = below->mask;
    float *restrict delta = below->delta;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, l->narrow ? CblasNoTrans : CblasTrans, count,
                l->inputs, l->outputs, 1, l->delta, l->outputs, l->w,
                l->narrow ? l->inputs : l->outputs, 0, delta, l->inputs);
    if (below->function == TANH) {
        SHARED(all)
        for (int i = 0; i < all; i++) delta[i] *= 1 - a[i] * a[i];
    } else if (dropout > 0) { /* ReLU: a dropped one is 0, and so is its mask */
        SHARED(all)
        for (int i = 0; i < all; i++) delta[i] = a[i] > 0 ? delta[i] * mask[i] : 0;
    } else {
        SHARED(all)
        for (int i = 0; i < all; i++) delta[i] = a[i] > 0 ? delta[i] : 0;
    }
}

static void step(const workload *w, int count) {
    const layer *last = &layers[layer_count - 1];
    const float share = 1.0f / (float)count;
    forward(batch, count, w->dropout);
    for (int s = 0; s < count; s++) {
        float *p = last->a + s * CLASSES, *dz = last->delta + s * CLASSES;
        const int y = batch_labels[s];
        memcpy(dz, p, CLASSES * sizeof *dz);
        dz[y] -= 1;
        if (w->output == SIGMOID) /* mean squared error */
            for (int j = 0; j < CLASSES; j++) dz[j] *= p[j] * (1 - p[j]);
    }
    power1 *= 0.9;
    power2 *= 0.999;
    for (int i = layer_count - 1; i >= 0; i--) {
        const layer *l = &layers[i];
        const float *x = i > 0 ? layers[i - 1].a : batch;
        if (i > 0) pass_down(l, &layers[i - 1], count, i == layer_count - 1 ? w->dropout : 0);
        if (w->method == SGD) {
            product_of_gradient(l, x, count, -w->rate * share, 1, l->w);
            sum_of_columns(l, count, -w->rate * share, 1, l->b);
        } else {
            const float beta = w->method == MOMENTUM ? 0.9f : 0;
            product_of_gradient(l, x, count, share, beta, l->dw);
            sum_of_columns(l, count, share, beta, l->db);
            if (w->method == MOMENTUM) follow(l, w->rate);
            else adam(l, w->rate);
        }
    }
}

static void epoch(const workload *w, int batch_size, int samples) {
    for (int i = 0; i < samples; i++) order[i] = i;
    shuffle(&state, samples, order);
    for (int first = 0; first < samples; first += batch_size) {
        const int count = samples - first < batch_size ? samples - first : batch_size;
        gather(order + first, count);
        step(w, count);
    }
}

/* ---- The contender. */

static double time_of_gathering(int samples) {
    for (int i = 0; i < samples; i++) order[i] = i;
    shuffle(&state, samples, order);
    const double start = seconds_of(CLOCK_PROCESS_CPUTIME_ID);
    for (int first = 0; first + 40 <= samples; first += 40) gather(order + first, 40);
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID) - start;
}

/* Bytes take a conversion, floats four times the memory traffic: whichever is faster. The floats
   are given up when the bytes win. */
static void choose_how_to_gather(int samples) {
    double time[2] = {1e9, 1e9};
    for (int round = 0; round < 6; round++) {
        from_bytes = round % 2;
        const double t = time_of_gathering(samples);
        if (t < time[from_bytes]) time[from_bytes] = t;
    }
    from_bytes = time[1] < time[0];
    if (from_bytes) {
        free(train_numbers);
        train_numbers = NULL;
    }
}

static const char *prepare(const workload *w, const char *data) {
    static const char *set;
    openblas_set_num_threads(omp_get_max_threads());
    if (!batch) {
        batch = room(MOST_BATCH * PIXELS);
        batch_labels = (unsigned char *)room(MOST_BATCH);
        test_outputs = room(TESTS * CLASSES);
    }
    if (set != w->set) {
        free_images(&train);
        free_images(&test);
        free(train_numbers);
        free(test_numbers);
        train = read_images(data, w->set, false);
        test = read_images(data, w->set, true);
        train_numbers = scaled(train.bytes, (size_t)60000 * PIXELS);
        choose_how_to_gather(60000);
        test_numbers = NULL;
        set = w->set;
    }
    for (int i = 0; i < layer_count; i++) {
        const layer *l = &layers[i];
        free(l->w), free(l->dw), free(l->first), free(l->second);
        free(l->a), free(l->delta), free(l->mask);
    }
    layer_count = w->hidden_layers + 1;
    state = 1;
    power1 = power2 = 1;
    for (int i = 0, inputs = PIXELS; i < layer_count; i++) {
        layer *l = &layers[i];
        const bool last = i == layer_count - 1;
        l->inputs = inputs;
        inputs = l->outputs = last ? CLASSES : w->hidden[i];
        l->narrow = last;
        l->function = last ? w->output : w->function;
        const size_t count = (size_t)l->inputs * (size_t)l->outputs;
        const bool gradient = w->method != SGD && !is_inference(w), moments = w->method == ADAM;
        l->w = room(count + (size_t)l->outputs);
        l->b = l->w + count;
        l->dw = gradient || is_inference(w) ? room(count + (size_t)l->outputs) : NULL;
        l->db = l->dw + count;
        l->first = moments ? room(count + (size_t)l->outputs) : NULL;
        l->second = moments ? room(count + (size_t)l->outputs) : NULL;
        const size_t all = (size_t)(w->batch > 40 ? w->batch : 40) * (size_t)l->outputs + 16;
        l->a = room(all);
        l->delta = room(all);
        l->mask = room(all);
        const float limit = sqrtf(6.0f / (float)(l->function == RELU ? l->inputs
                                                                     : l->inputs + l->outputs));
        for (size_t j = 0; j < count; j++) l->w[j] = limit * (2 * random_uniform(&state) - 1);
    }
    if (is_inference(w)) {
        if (!test_numbers) test_numbers = scaled(test.bytes, (size_t)TESTS * PIXELS);
        epoch(w, 40, SHORT_TRAINING);
    }
    return NULL;
}

static double run(const workload *w) {
    if (!is_inference(w)) {
        epoch(w, w->batch, w->samples);
        return 1;
    }
    for (int first = 0; first < TESTS; first += w->batch) {
        forward(test_numbers + (size_t)first * PIXELS, w->batch, 0);
        memcpy(test_outputs + first * CLASSES, layers[layer_count - 1].a,
               (size_t)(w->batch * CLASSES) * sizeof(float));
    }
    return 1;
}

static double accuracy(const workload *w) {
    int correct = 0;
    if (!is_inference(w)) {
        const int portion = 40;
        for (int first = 0; first < TESTS; first += portion) {
            float *numbers = scaled(test.bytes + (size_t)first * PIXELS, (size_t)portion * PIXELS);
            forward(numbers, portion, 0);
            memcpy(test_outputs + first * CLASSES, layers[layer_count - 1].a,
                   (size_t)(portion * CLASSES) * sizeof(float));
            free(numbers);
        }
    }
    for (int s = 0; s < TESTS; s++) {
        const float *p = test_outputs + s * CLASSES;
        int best = 0;
        for (int j = 1; j < CLASSES; j++)
            if (p[j] > p[best]) best = j;
        correct += best == test.labels[s];
    }
    return (double)correct / TESTS;
}

int main(int argc, char **argv) { return serve(argc, argv); }
