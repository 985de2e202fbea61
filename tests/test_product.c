/* The fast matrix product against the three naive lines, bit by bit: all sizes from 1 to 40
   in each dimension, the three uses, strides, sums that go on, zeroes left out, on every
   instruction set of this machine. test flags: -O2 */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

enum { LIMIT = 40, ROOM = 1100 * 1100 };
static dn_real a_plain[ROOM], a_turned[ROOM], b_plain[ROOM], b_turned[ROOM], c_fast[ROOM];
static dn_real c_start[ROOM], c_from_zero[ROOM], c_from_itself[ROOM], c_from_row[ROOM];
static uint64_t marks[1100 * 18]; /* of the left factor */
static const dni_factor nothing = {NULL, 0, 0, NULL, 0, 0};

/* c[i,j] = fma over k in ascending order, from zero, from c_start and from its first row. */
enum { FROM_ZERO, FROM_ITSELF, FROM_ROW };
static void naive(size_t m, size_t n, size_t k) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            dn_real zero = 0, start = c_start[i * n + j], row = c_start[j];
            for (size_t l = 0; l < k; l++) {
                zero = dni_fma_real(a_plain[i * k + l], b_plain[l * n + j], zero);
                start = dni_fma_real(a_plain[i * k + l], b_plain[l * n + j], start);
                row = dni_fma_real(a_plain[i * k + l], b_plain[l * n + j], row);
            }
            c_from_zero[i * n + j] = zero;
            c_from_itself[i * n + j] = start;
            c_from_row[i * n + j] = row;
        }
}

/* Normal numbers; of a, the share `zeroes` is 0, whole columns and single numbers. */
static void fill(size_t m, size_t n, size_t k, double zeroes, uint64_t seed) {
    dn_random random = dn_random_seed(seed);
    for (size_t l = 0; l < k; l++) {
        const bool dark = dn_random_uniform(&random) < zeroes;
        for (size_t i = 0; i < m; i++) {
            const bool zero = dark || dn_random_uniform(&random) < zeroes / 2;
            a_plain[i * k + l] = a_turned[l * m + i] =
                zero ? 0 : (dn_real)dn_random_normal(&random);
        }
        for (size_t j = 0; j < n; j++)
            b_plain[l * n + j] = b_turned[j * k + l] = (dn_real)dn_random_normal(&random);
    }
    for (size_t i = 0; i < m * n; i++) c_start[i] = (dn_real)dn_random_normal(&random);
}

/* One product by one instruction set; c has a stride of n + gap, and the gap must not change. */
static bool same(const dni_arithmetic *by, dn_product use, size_t m, size_t n, size_t k, int start,
                 bool look, size_t gap) {
    const dn_real mark = 12345;
    const dn_real *expected = start == FROM_ZERO     ? c_from_zero
                              : start == FROM_ITSELF ? c_from_itself
                                                     : c_from_row;
    dni_factor a = nothing, b = nothing, from = nothing;
    a.data = use == DN_AT_B ? a_turned : a_plain;
    a.row_stride = use == DN_AT_B ? 1 : k;
    a.column_stride = use == DN_AT_B ? m : 1;
    if (look && (use == DN_AT_B || n % 2 == 0)) { /* else it has to look for itself */
        const size_t rows = use == DN_AT_B ? k : m, columns = use == DN_AT_B ? m : k;
        a.marks = marks;
        a.marks_stride = dni_marks_size(columns);
        for (size_t r = 0; r < rows; r++)
            by->mark(a.data + r * columns, columns, marks + r * a.marks_stride);
    }
    b.data = use == DN_A_BT ? b_turned : b_plain;
    b.row_stride = use == DN_A_BT ? 1 : n;
    b.column_stride = use == DN_A_BT ? k : 1;
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) c_fast[i * (n + gap) + j] = c_start[i * n + j];
        for (size_t j = n; j < n + gap; j++) c_fast[i * (n + gap) + j] = mark;
    }
    if (start != FROM_ZERO) {
        from.data = start == FROM_ITSELF ? c_fast : c_start;
        from.row_stride = start == FROM_ITSELF ? n + gap : 0;
        from.column_stride = 1;
    }
    by->product(m, n, k, a, b, from, c_fast, n + gap, look);
    for (size_t i = 0; i < m; i++) {
        if (memcmp(c_fast + i * (n + gap), expected + i * n, n * sizeof(dn_real)) != 0) {
            note("%s, use %d, %zu x %zu x %zu, from %d, look %d, gap %zu: row %zu differs", by->name,
                 (int)use, m, n, k, start, look, gap, i);
            return false;
        }
        for (size_t j = n; j < n + gap; j++)
            if (c_fast[i * (n + gap) + j] != mark) return false;
    }
    return true;
}

static size_t machines(const dni_arithmetic **all) {
    size_t count = 0;
    all[count++] = &dni_arithmetic_portable;
#ifdef DNI_HAS_X86
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        all[count++] = &dni_arithmetic_avx2;
    if (__builtin_cpu_supports("avx512f")) all[count++] = &dni_arithmetic_avx512;
#endif
#ifdef DNI_HAS_NEON
    all[count++] = &dni_arithmetic_neon;
#endif
    return count;
}

/* A bit for each number, or byte, that is not 0; and no bit behind the last. */
static void marking(const dni_arithmetic **all, size_t count) {
    unsigned char bytes[200];
    bool right = true;
    dn_random random = dn_random_seed(9);
    for (size_t i = 0; i < 200; i++) {
        bytes[i] = dn_random_uniform(&random) < 0.5 ? 0 : (unsigned char)(i + 1);
        a_plain[i] = (dn_real)bytes[i] * (i % 3 == 0 ? (dn_real)-1e-30 : (dn_real)NAN);
        if (bytes[i] == 0) a_plain[i] = i % 2 ? 0 : (dn_real)-0.0;
    }
    for (size_t s = 0; s < count; s++)
        for (size_t n = 1; n <= 200; n++) {
            memset(marks, 255, 100);
            all[s]->mark(a_plain, n, marks);
            all[s]->divide_bytes(bytes, 255, c_fast, n, marks + 5);
            for (size_t i = 0; i < 64 * dni_marks_size(n); i++) {
                const uint64_t expected = i < n && bytes[i] != 0;
                right = right && (marks[i / 64] >> i % 64 & 1) == expected &&
                        (marks[5 + i / 64] >> i % 64 & 1) == expected;
            }
            right = right && marks[dni_marks_size(n)] == ~(uint64_t)0;
        }
    ok(right, "what is not 0 is marked, in numbers and while bytes become numbers");
}

static void small_sizes(const dni_arithmetic **all, size_t count) {
    bool right[3][4]; /* [use][instruction set] */
    for (size_t i = 0; i < 12; i++) right[i / 4][i % 4] = true;
    for (size_t m = 1; m <= LIMIT; m++)
        for (size_t n = 1; n <= LIMIT; n++)
            for (size_t k = 1; k <= LIMIT; k++) {
                const size_t turn = m + n + k;
                fill(m, n, k, turn % 3 != 0 ? 0 : turn % 2 == 0 ? 0.5 : 0.7, 1000 * m + 50 * n + k);
                naive(m, n, k);
                for (size_t s = 0; s < count; s++)
                    for (int use = 0; use < 3; use++) /* portable C is slow: one use at a time */
                        if (s > 0 || (size_t)use == turn % 3)
                            right[use][s] = same(all[s], (dn_product)use, m, n, k,
                                                 (int)(turn + (size_t)use) % 3, turn % 4 != 1,
                                                 turn % 5) && right[use][s];
            }
    const char *const uses[3] = {"a b", "a^T b", "a b^T"};
    for (size_t s = 0; s < count; s++)
        for (int use = 0; use < 3; use++)
            ok(right[use][s], "%s: %s, all sizes up to %d", all[s]->name, uses[use], LIMIT);
}

static void large_sizes(const dni_arithmetic **all, size_t count) {
    /* The last number: tenths of a's columns that are 0. At 7 a wide c is made row by row, at 4 by
       four rows with AVX-512, at 0 nothing is left out. */
    static const size_t sizes[][4] = {{40, 1000, 784, 7}, {784, 1000, 40, 7},  {40, 784, 1000, 0},
                                      {512, 128, 784, 0}, {784, 128, 512, 7},  {128, 10, 784, 7},
                                      {784, 10, 128, 4},  {1, 128, 784, 7},    {1030, 50, 300, 4},
                                      {65, 700, 600, 7},  {300, 300, 1025, 0}, {7, 48, 257, 7},
                                      {1, 1001, 300, 0},  {1, 10, 128, 7},     {2, 100, 1030, 4},
                                      {530, 9, 1050, 7},  {90, 140, 800, 7},   {22, 2000, 380, 4},
                                      {1030, 80, 70, 7},  {70, 300, 1025, 7},
                                      {300, 1100, 200, 0},  /* c in parts, k in blocks: both orders */
                                      {330, 803, 900, 0}};  /* and deep blocks */
#ifdef _OPENMP
    const int threads = omp_get_max_threads();
#endif
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
#ifdef _OPENMP
        omp_set_num_threads(i % 2 == 0 ? 1 : threads); /* the first has 2 MB of b for one thread */
#endif
        bool right = true;
        fill(m, n, k, (double)sizes[i][3] / 10, i);
        naive(m, n, k);
        for (size_t s = 0; s < count; s++)
            for (int use = 0; use < 3; use++)
                for (int start = 0; start < 3; start++)
                    for (int look = 0; look < 2; look++)
                        if (s > 0 || (use + start + look) % 3 == 0)
                            right = same(all[s], (dn_product)use, m, n, k, start, look, 0) && right;
        ok(right, "%zu x %zu x %zu, all uses and instruction sets", m, n, k);
    }
#ifdef _OPENMP
    omp_set_num_threads(threads);
#endif
}

/* NaN and infinity in either factor reach exactly the elements they belong to. */
static void not_finite(const dni_arithmetic **all, size_t count) {
    bool right = true;
    for (size_t s = 0; s < count; s++)
        for (int look = 0; look < 2; look++) {
            const size_t m = 13, n = 35, k = 40;
            fill(m, n, k, 0, 3);
            a_plain[4 * k + 7] = (dn_real)NAN;
            b_plain[9 * n + 20] = (dn_real)INFINITY;
            naive(m, n, k);
            dni_factor a = {a_plain, k, 1, NULL, 0, 0}, b = {b_plain, n, 1, NULL, 0, 0};
            all[s]->product(m, n, k, a, b, nothing, c_fast, n, look);
            for (size_t i = 0; i < m * n; i++) {
                const dn_real got = c_fast[i], expected = c_from_zero[i];
                const bool nan = expected != expected;
                right = right && (nan ? got != got : got == expected);
                right = right && nan == (i / n == 4) &&
                        (i % n == 20) == (nan ? i % n == 20 : !dni_is_finite((double)got));
            }
        }
    ok(right, "NaN and infinity reach the elements they belong to, and no others");

    static const size_t widths[] = {3, 20, 140}; /* by eight rows, by four, and row by row */
    bool seen = true;
    for (size_t w = 0; w < 3; w++)
        for (size_t s = 0; s < count; s++) {
            const size_t n = widths[w];
            fill(8, n, 16, 0.7, 5);
            a_plain[5 * 16 + 9] = (dn_real)NAN;
            dni_factor a = {a_plain, 16, 1, NULL, 0, 0}, b = {b_plain, n, 1, NULL, 0, 0};
            all[s]->product(8, n, 16, a, b, nothing, c_fast, n, true);
            for (size_t i = 0; i < 8 * n; i++)
                seen = seen && (c_fast[i] != c_fast[i]) == (i / n == 5);
        }
    ok(seen, "a NaN among the inputs is not taken for a zero");
}

/* A single row of a, which lies in memory as a column among others. */
static void row_from_column(const dni_arithmetic **all, size_t count) {
    const size_t m = 3, n = 70, k = 300;
    bool right = true;
    fill(m, n, k, 0.6, 7);
    naive(m, n, k);
    for (size_t s = 0; s < count; s++)
        for (size_t i = 0; i < m; i++) {
            const dni_factor a = {a_turned + i, 1, m, NULL, 0, 0};
            const dni_factor b = {b_plain, n, 1, NULL, 0, 0};
            all[s]->product(1, n, k, a, b, nothing, c_fast, n, true);
            right = right && memcmp(c_fast, c_from_zero + i * n, n * sizeof *c_fast) == 0;
        }
    ok(right, "a row that lies as a column is not searched for zeroes as if it were a row");
}

/* Through the doors, which choose a way: a single row, or all. */
static void doors(void) {
    static const size_t sizes[][3] = {{30, 20, 25}, {5, 20, 25}, {1, 20, 25}, {1, 700, 600}};
    const char *const uses[3] = {"a b", "a^T b", "a b^T"};
    for (int use = 0; use < 3; use++) {
        bool right = true, private_right = true, elsewhere = true;
        for (size_t i = 0; i < 4; i++) {
            const size_t m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
            const dn_matrix a = use == DN_AT_B ? dn_matrix_view(a_turned, k, m)
                                               : dn_matrix_view(a_plain, m, k);
            const dn_matrix b = use == DN_A_BT ? dn_matrix_view(b_turned, n, k)
                                               : dn_matrix_view(b_plain, k, n);
            const dn_matrix c = dn_matrix_view(c_fast, m, n);
            const size_t size = m * n * sizeof *c_fast;
            fill(m, n, k, 0, 1);
            naive(m, n, k);
            dn_matrix_multiply((dn_product)use, a, b, c, false);
            right = right && memcmp(c_fast, c_from_zero, size) == 0;
            memcpy(c_fast, c_start, size);
            dn_matrix_multiply((dn_product)use, a, b, c, true);
            right = right && memcmp(c_fast, c_from_itself, size) == 0;
            dni_multiply((dn_product)use, &a, &b, &c, c_start, 0, false, NULL);
            private_right = private_right && memcmp(c_fast, c_from_row, size) == 0;
            dni_multiply((dn_product)use, &a, &b, &c, c_start, n, false, NULL);
            elsewhere = elsewhere && memcmp(c_fast, c_from_itself, size) == 0;
        }
        ok(right, "dn_matrix_multiply: %s and c + %s", uses[use], uses[use]);
        ok(private_right, "dni_multiply: biases + %s", uses[use]);
        ok(elsewhere, "dni_multiply: another matrix + %s", uses[use]);
    }
    fill(4, 3, 0, 0, 1);
    dn_matrix_multiply(DN_A_B, dn_matrix_view(a_plain, 4, 0), dn_matrix_view(b_plain, 0, 3),
                       dn_matrix_view(c_fast, 4, 3), false);
    bool zero = true;
    for (size_t i = 0; i < 12; i++) zero = zero && c_fast[i] == 0;
    ok(zero, "an empty sum is zero");
    bool biases = true;
    for (size_t m = 1; m <= 4; m += 3) { /* a single row, and several */
        const dn_matrix a = dn_matrix_view(a_plain, m, 0), b = dn_matrix_view(b_plain, 0, 3);
        const dn_matrix c = dn_matrix_view(c_fast, m, 3);
        memset(c_fast, 0, m * 3 * sizeof *c_fast);
        dni_multiply(DN_A_B, &a, &b, &c, c_start, 0, false, NULL);
        for (size_t r = 0; r < m; r++)
            biases = biases && memcmp(c_fast + r * 3, c_start, 3 * sizeof *c_fast) == 0;
    }
    ok(biases, "biases and an empty sum are the biases");
    c_fast[0] = 7;
    for (size_t m = 0; m < 2; m++) /* none of these three has an element */
        for (size_t n = 0; m + n < 2; n++) {
            const dn_matrix a = dn_matrix_view(a_plain, m, 2), b = dn_matrix_view(b_plain, 2, n);
            const dn_matrix turned = dn_matrix_view(b_plain, n, 2);
            dn_matrix_multiply(DN_A_B, a, b, dn_matrix_view(c_fast, m, n), false);
            dn_matrix_multiply(DN_A_BT, a, turned, dn_matrix_view(c_fast, m, n), false);
        }
    ok(c_fast[0] == 7, "a product without elements touches nothing");
}

int main(void) {
    const dni_arithmetic *all[4];
    const size_t count = machines(all);
    for (size_t s = 0; s < count; s++) note("instruction set: %s", all[s]->name);
    marking(all, count);
    small_sizes(all, count);
    large_sizes(all, count);
    not_finite(all, count);
    row_from_column(all, count);
    doors();
    return done();
}
