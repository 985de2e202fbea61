/* Counts how many samples an exported net classifies rightly: count IMAGES LABELS, IDX files.
   NET is defined by the compiler's command line: the name of the exported net. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define JOIN(a, b) a##b
#define PREDICT(name) JOIN(name, _predict)
int PREDICT(NET)(const uint8_t *pixels);

int main(int argc, char **argv) {
    static uint8_t pixels[784], label, skipped[16];
    int count = 0, right = 0;
    FILE *images = argc == 3 ? fopen(argv[1], "rb") : NULL;
    FILE *labels = argc == 3 ? fopen(argv[2], "rb") : NULL;
    if (images == NULL || labels == NULL) return 2;
    if (fread(skipped, 1, 16, images) != 16 || fread(skipped, 1, 8, labels) != 8) return 2;
    while (fread(pixels, 1, sizeof pixels, images) == sizeof pixels && fread(&label, 1, 1, labels) == 1) {
        right += PREDICT(NET)(pixels) == label;
        count++;
    }
    printf("%d\n", right);
    return count == 10000 ? 0 : 1;
}
