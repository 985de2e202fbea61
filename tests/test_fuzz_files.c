/* Chapters 13 and 14: replays the seeds of the two fuzzers (tests/fuzz), as they are, and
   with each byte changed, and cut off at each byte. */
#define _POSIX_C_SOURCE 200809L
#define LLVMFuzzerTestOneInput fuzz_safetensors
#include "fuzz/fuzz_safetensors.c"
#undef LLVMFuzzerTestOneInput
#define LLVMFuzzerTestOneInput fuzz_checkpoint
#include "fuzz/fuzz_checkpoint.c"

#include "tap.h"
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int (*fuzzed)(const uint8_t *bytes, size_t size);

/* In a child, so that a crash is a failed check and not the end of all checks. */
static bool survives(fuzzed run, unsigned char *input, size_t size) {
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
        (void)run(input, size);
        for (size_t i = 0; i < size; i++) {
            static const unsigned char changes[] = {1, 2, 4, 8, 16, 32, 64, 128, 255};
            const unsigned char keep = input[i];
            for (size_t c = 0; c < sizeof changes; c++) {
                input[i] = (unsigned char)(keep ^ changes[c]);
                (void)run(input, size);
            }
            input[i] = keep;
            (void)run(input, i);
        }
        _exit(0);
    }
    int status = 1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void replay(const char *folder, fuzzed run, int at_least) {
    static unsigned char input[1 << 16];
    DIR *directory = opendir(folder);
    int seeds = 0;
    if (directory == NULL) {
        ok(false, "%s is there (the tests run in the folder above tests/)", folder);
        return;
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[512];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(name, "rb");
        if (file == NULL) continue;
        const size_t size = fread(input, 1, sizeof input, file);
        fclose(file);
        ok(survives(run, input, size), "%s and its neighbours (%zu bytes)", entry->d_name, size);
        seeds++;
    }
    closedir(directory);
    ok(seeds >= at_least, "%d seeds in %s", seeds, folder);
}

int main(void) {
    replay("tests/fuzz/corpus_safetensors", fuzz_safetensors, 6);
    replay("tests/fuzz/corpus_checkpoint", fuzz_checkpoint, 3);
    return done();
}
