/* Chapter 12: replays what the fuzzer has learned (tests/fuzz/corpus_idx), as it is, and
   with each byte of it changed. */
#define _POSIX_C_SOURCE 200809L
#include "fuzz/fuzz_idx.c"

#include "tap.h"
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

static const char folder[] = "tests/fuzz/corpus_idx";

/* In a child, so that a crash is a failed check and not the end of all checks. */
static bool survives(unsigned char *input, size_t size) {
    fflush(stdout);
    const pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
        (void)LLVMFuzzerTestOneInput(input, size);
        for (size_t i = 0; i < size; i++) {
            const unsigned char keep = input[i];
            for (unsigned change = 1; change < 256; change = change * 2 + 1) {
                input[i] = (unsigned char)(keep ^ change);
                (void)LLVMFuzzerTestOneInput(input, size);
            }
            input[i] = keep;
            (void)LLVMFuzzerTestOneInput(input, i);
        }
        _exit(0);
    }
    int status = 1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(void) {
    static unsigned char input[1 << 16];
    DIR *directory = opendir(folder);
    if (directory == NULL) {
        ok(false, "%s is there (the tests run in the folder above tests/)", folder);
        return done();
    }
    int seeds = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char name[512];
        if (entry->d_name[0] == '.') continue;
        (void)snprintf(name, sizeof name, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(name, "rb");
        if (file == NULL) continue;
        const size_t size = fread(input, 1, sizeof input, file);
        fclose(file);
        ok(survives(input, size), "%s and its neighbours (%zu bytes)", entry->d_name, size);
        seeds++;
    }
    closedir(directory);
    ok(seeds >= 12, "%d seeds", seeds);
    return done();
}
