#!/bin/sh
# DN_USE_CBLAS: the products of a platform's BLAS against ours: equal within rounding, in single
# and double precision, and a net that trains as well.
# shellcheck source=tests/tap.sh disable=SC2317
. "$(dirname "$0")/tap.sh"
cat >"$work/blas.c" <<'END'
#define DENSENET_IMPLEMENTATION
#include "densenet.h"
#include <stdio.h>

int main(void) {
    static dn_real a[200 * 300], b[200 * 300], c[200 * 300], expected[200 * 300];
    static const size_t sizes[][3] = {{1, 1, 1}, {40, 100, 78}, {3, 10, 128}, {128, 10, 3}, {33, 65, 200}};
    dn_random random = dn_random_seed(1);
    double worst = 0;
    for (size_t i = 0; i < 200 * 300; i++) {
        a[i] = (dn_real)dn_random_normal(&random);
        b[i] = (dn_real)dn_random_normal(&random);
    }
    for (size_t s = 0; s < 5; s++)
        for (int use = 0; use < 3; use++)
            for (int add = 0; add < 2; add++) {
                const size_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
                const dn_matrix left = use == DN_AT_B ? dn_matrix_view(a, k, m) : dn_matrix_view(a, m, k);
                const dn_matrix right = use == DN_A_BT ? dn_matrix_view(b, n, k) : dn_matrix_view(b, k, n);
                for (size_t i = 0; i < m; i++)
                    for (size_t j = 0; j < n; j++) {
                        double sum = add ? 1 : 0;
                        for (size_t l = 0; l < k; l++)
                            sum += (double)(use == DN_AT_B ? a[l * m + i] : a[i * k + l]) *
                                   (double)(use == DN_A_BT ? b[j * k + l] : b[l * n + j]);
                        expected[i * n + j] = (dn_real)sum;
                        c[i * n + j] = 1;
                    }
                dn_matrix_multiply((dn_product)use, left, right, dn_matrix_view(c, m, n), add);
                for (size_t i = 0; i < m * n; i++) {
                    const double error = fabs((double)(c[i] - expected[i]));
                    if (!(error <= worst)) worst = error;
                }
            }
    printf("%.3g\n", worst);
    return !(worst < (sizeof(dn_real) == 8 ? 1e-12 : 1e-4));
}
END
if ! "${CC:-cc}" -x c - -o "$work/probe" -lopenblas 2>/dev/null <<'END'
void cblas_sgemm(void);
int main(void) { return cblas_sgemm == 0; }
END
then
    skip 3 "no OpenBLAS (Debian package libopenblas-dev)"
    done_testing
fi
for real in float double; do
    check "$real: built with DN_USE_CBLAS" "${CC:-cc}" -O2 -I "$root" -DDN_USE_CBLAS -DDN_REAL=$real \
        "$work/blas.c" -o "$work/$real" -lopenblas -lm
    check "$real: all three products agree with a sum in double" "$work/$real"
done
check "the core's tests pass with it" "${CC:-cc}" -O1 -DDN_USE_CBLAS -I "$root" \
    "$root/tests/test_gradients.c" -o "$work/gradients" -lopenblas -lm
check "gradients through BLAS are right" "$work/gradients"
done_testing
