/* The generator against an independent implementation of SplitMix64 (in Python, whole numbers
   of any size), and the distributions that are made of it. */
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"
#include "tap.h"

static void golden_bits(void) {
    static const struct {
        uint64_t seed, bits[5];
    } golden[] = {
        {0, {UINT64_C(0xe220a8397b1dcdaf), UINT64_C(0x6e789e6aa1b965f4), UINT64_C(0x06c45d188009454f),
             UINT64_C(0xf88bb8a8724c81ec), UINT64_C(0x1b39896a51a8749b)}},
        {1, {UINT64_C(0x910a2dec89025cc1), UINT64_C(0xbeeb8da1658eec67), UINT64_C(0xf893a2eefb32555e),
             UINT64_C(0x71c18690ee42c90b), UINT64_C(0x71bb54d8d101b5b9)}},
        {1234567, {UINT64_C(0x599ed017fb08fc85), UINT64_C(0x2c73f08458540fa5),
                   UINT64_C(0x883ebce5a3f27c77), UINT64_C(0x3fbef740e9177b3f),
                   UINT64_C(0xe3b8346708cb5ecd)}},
        {UINT64_MAX, {UINT64_C(0xe4d971771b652c20), UINT64_C(0xe99ff867dbf682c9),
                      UINT64_C(0x382ff84cb27281e9), UINT64_C(0x6d1db36ccba982d2),
                      UINT64_C(0xb4a0472e578069ae)}}};
    for (size_t i = 0; i < sizeof golden / sizeof *golden; i++) {
        dn_random random = dn_random_seed(golden[i].seed);
        bool same = true;
        for (size_t n = 0; n < 5; n++) same = same && dn_random_bits(&random) == golden[i].bits[n];
        ok(same, "seed %llu: five numbers as published", (unsigned long long)golden[i].seed);
    }
    dn_random walked = dn_random_seed(9), jumped = dn_random_seed(9);
    for (int n = 0; n < 1000; n++) (void)dn_random_bits(&walked);
    jumped.state += 1000 * DNI_RANDOM_STEP;
    ok(dn_random_bits(&walked) == dn_random_bits(&jumped), "a thousand steps are one jump");
}

static void golden_distributions(void) {
    static const double uniform[] = {0.7415648787718233, 0.1599103928769201, 0.27860113025513866,
                                     0.34419071652363753};
    static const double normal[] = {0.49295065581737485, -1.2810773478777024, -0.6018779810957331,
                                    -1.5423606818352653, -1.4515103855695575};
    static const size_t below[] = {3, 1, 8, 4, 0, 2, 5, 8, 5, 4, 7, 6};
    static const uint32_t permutation[] = {0, 9, 5, 8, 6, 4, 7, 2, 1, 3};
    dn_random random = dn_random_seed(42);
    for (size_t i = 0; i < 4; i++)
        ok(dn_random_uniform(&random) == uniform[i], "uniform number %zu of seed 42", i);
    random = dn_random_seed(42);
    for (size_t i = 0; i < 5; i++)
        is_close(dn_random_normal(&random), normal[i], 4e-16, "normal number %zu of seed 42", i);
    random = dn_random_seed(42);
    bool same = true;
    for (size_t i = 0; i < 12; i++) same = same && dn_random_below(&random, 10) == below[i];
    ok(same, "twelve numbers below ten of seed 42");
    uint32_t order[10];
    random = dn_random_seed(42);
    dn_random_permutation(&random, 10, order);
    ok(memcmp(order, permutation, sizeof order) == 0, "a permutation of ten of seed 42");
}

static void moments(void) {
    enum { COUNT = 1000000 };
    dn_random random = dn_random_seed(7);
    double sum = 0, square = 0, third = 0, fourth = 0, smallest = 1, largest = 0;
    for (int i = 0; i < COUNT; i++) {
        const double u = dn_random_uniform(&random);
        if (u < smallest) smallest = u;
        if (u > largest) largest = u;
        sum += u;
        square += u * u;
    }
    ok(smallest >= 0 && largest < 1, "uniform numbers lie in [0, 1)");
    /* five standard deviations of each mean */
    ok(fabs(sum / COUNT - 0.5) < 5 * 0.2887 / 1000, "uniform mean %.5f", sum / COUNT);
    ok(fabs(square / COUNT - 1.0 / 3) < 5 * 0.2981 / 1000, "uniform mean square %.5f", square / COUNT);
    sum = square = 0;
    for (int i = 0; i < COUNT; i++) {
        const double x = dn_random_normal(&random);
        sum += x;
        square += x * x;
        third += x * x * x;
        fourth += x * x * x * x;
    }
    ok(fabs(sum / COUNT) < 5e-3, "normal mean %.5f", sum / COUNT);
    ok(fabs(square / COUNT - 1) < 5 * 1.4143e-3, "normal variance %.5f", square / COUNT);
    ok(fabs(third / COUNT) < 5 * 3.873e-3, "normal third moment %.5f", third / COUNT);
    ok(fabs(fourth / COUNT - 3) < 5 * 9.798e-3, "normal fourth moment %.5f", fourth / COUNT);
}

static void permutations(void) {
    enum { SIZE = 4, ALL = 24, ROUNDS = 240000 };
    static unsigned seen[256];
    dn_random random = dn_random_seed(3);
    double chi_square = 0;
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t order[SIZE];
        dn_random_permutation(&random, SIZE, order);
        seen[order[0] << 6 | order[1] << 4 | order[2] << 2 | order[3]]++;
    }
    int kinds = 0;
    for (int code = 0; code < 256; code++) {
        if (seen[code] == 0) continue;
        const double expected = (double)ROUNDS / ALL;
        kinds++;
        chi_square += (seen[code] - expected) * (seen[code] - expected) / expected;
    }
    ok(kinds == ALL, "all %d permutations of four appear, and nothing else", ALL);
    ok(chi_square < 58, "and equally often: chi square %.1f with 23 degrees of freedom", chi_square);

    static uint32_t large[60000];
    static unsigned char found[60000];
    dn_random_permutation(&random, 60000, large);
    size_t different = 0;
    for (size_t i = 0; i < 60000; i++) {
        if (large[i] < 60000 && !found[large[i]]++) different++;
    }
    ok(different == 60000, "a permutation of 60,000 has each number once");
    dn_random_permutation(&random, 0, NULL);
    uint32_t one = 9;
    dn_random_permutation(&random, 1, &one);
    ok(one == 0, "permutations of none and of one");
}

static void bounds(void) {
    dn_random random = dn_random_seed(1);
    bool right = true;
    for (int i = 0; i < 1000; i++) right = right && dn_random_below(&random, 1) == 0;
    ok(right, "below 1 there is only 0");
    /* Three quarters of 2^64: without rejection the lowest third would come twice as often. */
    const size_t large = SIZE_MAX / 4 * 3;
    double sum = 0;
    for (int i = 0; i < 20000; i++) {
        const size_t number = dn_random_below(&random, large);
        right = right && number < large;
        sum += (double)number / (double)large;
    }
    ok(right && fabs(sum / 20000 - 0.5) < 0.0103, "a bound of three quarters of all numbers: mean %.4f",
       sum / 20000);
}

int main(void) {
    golden_bits();
    golden_distributions();
    moments();
    permutations();
    bounds();
    return done();
}
