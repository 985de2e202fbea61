/* pca.h: principal components of the rows of a matrix, for pictures of weights. Not part of
   the library. tests/test_pca.c compares it with NumPy.

   The rows x_1 ... x_n (n points in d dimensions) are moved so that their mean is 0. The first
   principal component is the direction v in which they vary most: the unit vector for which
   sum_i (x_i . v)^2 is largest. It is the eigenvector of the covariance C = X^T X / (n - 1)
   with the largest eigenvalue; the second is the one with the next, and so on. The scores
   x_i . v are the points seen in these directions.

   X X^T (n x n) has the same eigenvalues as X^T X (d x d), and for its unit eigenvector u the
   scores are simply u * sqrt(eigenvalue). So the smaller matrix is enough: 784 x 784 for the
   weights of a layer on 28 x 28 pixels, however many units it has.

   The eigenvectors come from subspace iteration: a block of BLOCK vectors is multiplied by the
   matrix again and again, made orthogonal, and turned to the axes of the small matrix
   Q^T A Q, whose eigenvectors Jacobi's rotations find (Golub, Van Loan, Matrix Computations).
   The error falls by the factor eigenvalue[BLOCK] / eigenvalue[k] in each round. */
#ifndef PCA_H
#define PCA_H

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { PCA_BLOCK = 24, PCA_ROUNDS = 3000 };

/* Eigenvalues of the symmetric matrix a [n, n] on its diagonal, eigenvectors in the columns of
   v [n, n], by Jacobi's rotations: each makes one pair of elements zero. */
static inline void pca_jacobi(double *a, double *v, size_t n) {
    for (size_t i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0, on = 0;
        for (size_t i = 0; i < n * n; i++) *(i % (n + 1) == 0 ? &on : &off) += a[i] * a[i];
        if (off <= 1e-30 * on) return;
        for (size_t p = 0; p < n; p++) {
            for (size_t q = p + 1; q < n; q++) {
                if (a[p * n + q] == 0) continue;
                const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), s = t * c;
                for (size_t k = 0; k < n; k++) { /* columns p and q of a and v */
                    const double x = a[k * n + p], y = a[k * n + q], vx = v[k * n + p],
                                 vy = v[k * n + q];
                    a[k * n + p] = c * x - s * y;
                    a[k * n + q] = s * x + c * y;
                    v[k * n + p] = c * vx - s * vy;
                    v[k * n + q] = s * vx + c * vy;
                }
                for (size_t k = 0; k < n; k++) { /* rows p and q of a */
                    const double x = a[p * n + k], y = a[q * n + k];
                    a[p * n + k] = c * x - s * y;
                    a[q * n + k] = s * x + c * y;
                }
            }
        }
    }
}

/* Makes the rows of q [b, n] orthogonal unit vectors (Gram and Schmidt, twice for accuracy). */
static inline void pca_orthogonalize(double *q, size_t b, size_t n) {
    for (size_t i = 0; i < b; i++) {
        for (int twice = 0; twice < 2; twice++) {
            double length = 0;
            for (size_t j = 0; j < i; j++) {
                double dot = 0;
                for (size_t k = 0; k < n; k++) dot += q[i * n + k] * q[j * n + k];
                for (size_t k = 0; k < n; k++) q[i * n + k] -= dot * q[j * n + k];
            }
            for (size_t k = 0; k < n; k++) length += q[i * n + k] * q[i * n + k];
            length = length > 0 ? 1 / sqrt(length) : 0;
            for (size_t k = 0; k < n; k++) q[i * n + k] *= length;
        }
    }
}

/* to [b, n] = from [b, n] times the symmetric a [n, n]. */
static inline void pca_multiply(const double *a, const double *from, double *to, size_t b,
                                size_t n) {
    memset(to, 0, b * n * sizeof *to);
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < b; i++) {
            const double x = from[i * n + k];
            for (size_t j = 0; j < n; j++) to[i * n + j] += x * a[k * n + j];
        }
}

/* The `count` largest eigenvalues of a symmetric matrix without negative ones, and their unit
   vectors [count, n]; count <= PCA_BLOCK. False without memory. */
static inline bool pca_eigenvectors(const double *a, size_t n, size_t count, double *values,
                                    double *vectors) {
    const size_t b = n < PCA_BLOCK ? n : PCA_BLOCK;
    double *q = (double *)calloc(3 * b * n + 2 * b * b, sizeof *q);
    double *aq = q + b * n, *turned = aq + b * n, *small = turned + b * n, *v = small + b * b;
    double error = 1;
    if (!q) return false;
    unsigned seed = 1;
    for (size_t i = 0; i < b * n; i++)
        q[i] = (double)((seed = seed * 1664525u + 1013904223u) >> 8) / (1 << 24) - 0.5;
    pca_orthogonalize(q, b, n);
    for (int round = 0; round < PCA_ROUNDS && error > 1e-18; round++) {
        size_t order[PCA_BLOCK];
        pca_multiply(a, q, aq, b, n);
        for (size_t i = 0; i < b; i++)
            for (size_t j = 0; j < b; j++) {
                small[i * b + j] = 0;
                for (size_t k = 0; k < n; k++) small[i * b + j] += q[i * n + k] * aq[j * n + k];
            }
        for (size_t i = 0; i < b; i++) /* exactly symmetric */
            for (size_t j = 0; j < i; j++)
                small[i * b + j] = small[j * b + i] = (small[i * b + j] + small[j * b + i]) / 2;
        pca_jacobi(small, v, b);
        for (size_t i = 0; i < b; i++) { /* largest first */
            size_t j = i;
            for (; j > 0 && small[order[j - 1] * (b + 1)] < small[i * (b + 1)]; j--)
                order[j] = order[j - 1];
            order[j] = i;
        }
        error = 0;
        memset(turned, 0, b * n * sizeof *turned);
        for (size_t i = 0; i < b; i++) {
            double *to = turned + i * n, residual = 0;
            const double value = small[order[i] * (b + 1)];
            for (size_t j = 0; j < b; j++)
                for (size_t k = 0; k < n; k++) to[k] += v[j * b + order[i]] * aq[j * n + k];
            if (i < count) { /* how far is A v from value v? */
                for (size_t k = 0; k < n; k++) {
                    double along = 0;
                    for (size_t j = 0; j < b; j++) along += v[j * b + order[i]] * q[j * n + k];
                    vectors[i * n + k] = along;
                    residual += (to[k] - value * along) * (to[k] - value * along);
                }
                values[i] = value;
                if (value > 0 && residual / (value * value) > error)
                    error = residual / (value * value);
            }
        }
        memcpy(q, turned, b * n * sizeof *q);
        pca_orthogonalize(q, b, n);
    }
    free(q);
    return true;
}

/* Scores [rows, count] of the rows of x [rows, columns] (which is moved to mean 0) along the
   first `count` principal components, and the variance along each. The sign of an eigenvector
   is arbitrary: the largest component of each is made positive. False without memory. */
static inline bool pca_scores(double *x, size_t rows, size_t columns, size_t count, double *scores,
                              double *variances) {
    double *gram = (double *)calloc(rows * rows + count * rows, sizeof *gram);
    double *vectors = gram + rows * rows;
    if (!gram) return false;
    for (size_t c = 0; c < columns; c++) {
        double mean = 0;
        for (size_t r = 0; r < rows; r++) mean += x[r * columns + c] / (double)rows;
        for (size_t r = 0; r < rows; r++) x[r * columns + c] -= mean;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j <= i; j++) {
            double dot = 0;
            for (size_t c = 0; c < columns; c++) dot += x[i * columns + c] * x[j * columns + c];
            gram[i * rows + j] = gram[j * rows + i] = dot;
        }
    const bool found = pca_eigenvectors(gram, rows, count, variances, vectors);
    for (size_t i = 0; found && i < count; i++) {
        double largest = 0;
        for (size_t c = 0; c < columns;
             c++) { /* the component itself: v = X^T u, up to its length */
            double component = 0;
            for (size_t r = 0; r < rows; r++)
                component += x[r * columns + c] * vectors[i * rows + r];
            if (fabs(component) > fabs(largest)) largest = component;
        }
        const double scale = (largest < 0 ? -1 : 1) * sqrt(variances[i] > 0 ? variances[i] : 0);
        for (size_t r = 0; r < rows; r++) scores[r * count + i] = scale * vectors[i * rows + r];
        variances[i] /= (double)(rows - 1);
    }
    free(gram);
    return found;
}

#endif
