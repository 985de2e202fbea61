/* The principal components of examples/pca.h: against NumPy on a small matrix, against what they
   must satisfy on a large one. */
#include "../examples/pca.h"
#include "tap.h"

/* x[i, j] = (1 + j) sin(1 + 1.7 k) + 0.3 cos(k) with k = 5 i + j; its scores and variances by

       u, s, vt = numpy.linalg.svd(x - x.mean(0), full_matrices=False)
       variances, scores = s ** 2 / 6, (x - x.mean(0)) @ vt.T

   each component turned so that its largest element is positive. */
static void against_numpy(void) {
    static const double variances[3] = {20.090049041508255, 11.314885889927362, 0.1001890560289415};
    static const double scores[3][7] = {
        {5.07786475555975, -4.634717356410582, -2.6777675637977567, 4.906511544462303,
         -5.560830125899608, -0.4176354722034479, 3.3065742182893416},
        {-0.5286705460481351, 3.231965106599512, -4.2850877208030935, 1.6567088393309757,
         2.258797491189255, -4.924002357059305, 2.59028918679079},
        {0.3453660338524061, 0.06973825446733939, -0.4522258004618029, -0.39777410231523713,
         0.10507169295949978, 0.3211630941289096, 0.008660827368885526}};
    double x[7 * 5], found[7 * 3], variance[3];
    for (int k = 0; k < 35; k++) x[k] = (1 + k % 5) * sin(1 + 1.7 * k) + 0.3 * cos((double)k);
    ok(pca_scores(x, 7, 5, 3, found, variance), "three components of a [7, 5] matrix");
    for (int c = 0; c < 3; c++) {
        is_close(variance[c], variances[c], 1e-9, "variance %d", c + 1);
        for (int r = 0; r < 7; r++)
            ok(fabs(found[r * 3 + c] - scores[c][r]) < 1e-8, "score of row %d along %d", r, c + 1);
    }
}

/* 300 points in 40 dimensions: scores are uncorrelated, have the variances that are claimed,
   which fall, and no direction has more than the first. */
static void by_their_properties(void) {
    enum { ROWS = 300, COLUMNS = 40, COUNT = 3 };
    static double x[ROWS * COLUMNS], centred[ROWS * COLUMNS], scores[ROWS * COUNT];
    double variances[COUNT];
    unsigned seed = 7;
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        seed = seed * 1664525u + 1013904223u;
        const double noise = (double)(seed >> 8) / (1 << 24) - 0.5;
        x[i] = noise * (1 + 3.0 / (1 + i % COLUMNS)) + 5;
    }
    ok(pca_scores(x, ROWS, COLUMNS, COUNT, scores, variances), "three components of a [300, 40] matrix");
    memcpy(centred, x, sizeof x); /* pca_scores has moved it to mean 0 */
    for (int a = 0; a < COUNT; a++)
        for (int b = a; b < COUNT; b++) {
            double sum = 0;
            for (int r = 0; r < ROWS; r++) sum += scores[r * COUNT + a] * scores[r * COUNT + b];
            sum /= ROWS - 1;
            if (a == b) is_close(sum, variances[a], 1e-9, "variance along %d", a + 1);
            else ok(fabs(sum) < 1e-9 * variances[0], "%d and %d are not correlated", a + 1, b + 1);
        }
    ok(variances[0] >= variances[1] && variances[1] >= variances[2], "the variances fall");
    double most = 0;
    for (int c = 0; c < COLUMNS; c++) {
        double sum = 0;
        for (int r = 0; r < ROWS; r++) sum += centred[r * COLUMNS + c] * centred[r * COLUMNS + c];
        if (sum / (ROWS - 1) > most) most = sum / (ROWS - 1);
    }
    ok(variances[0] >= most, "no axis has more variance than the first component");
}

int main(void) {
    against_numpy();
    by_their_properties();
    return done();
}
