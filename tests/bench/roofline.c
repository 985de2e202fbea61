/* The machine's limits, measured in turn with the contenders (see peer.h for the conversation).
   `run` answers six numbers: GFLOP/s of multiply-adds, GB/s read from memory, and GB/s read from
   as many bytes as the weights of I2 have; first by the clock, then by processor time.

       roofline DATA [INSTRUCTIONS]      avx512, avx2, neon or portable; default: the widest */
#include "peak.h"

int main(int argc, char **argv) {
    const size_t large = (size_t)192 << 20, small = (784 * 128 + 128 * 10) * 4 / 1024 * 1024;
    const char *instructions = peak_instructions(argc > 2 ? argv[2] : NULL);
    char line[100], *memory = memory_to_read(large);
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "prepare", 7) == 0) {
            printf("ready\n");
        } else {
            double rate[3], cpu[3];
            rate[0] = peak_gflops(instructions, 0.1, &cpu[0]);
            rate[1] = read_rate(instructions, memory, large, 1, &cpu[1]);
            rate[2] = read_rate(instructions, memory, small, 20000, &cpu[2]);
            for (int i = 0; i < 6; i++) printf("%.6g ", i < 3 ? rate[i] : cpu[i - 3]);
            printf("%s\n", instructions);
        }
        fflush(stdout);
    }
    return 0;
}
