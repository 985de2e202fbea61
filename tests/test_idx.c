/* Chapter 12, streams and IDX: every type and rank, every way to deliver the bytes, cut at
   every byte; headers that lie; files that are something else; names. */
#define _POSIX_C_SOURCE 200809L
#include "counting.h"
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"

#include "tap.h"
#include <sys/stat.h>
#include <unistd.h>

static dn_error error;

/* An array as a file, written by hand. */
static unsigned char file[1 << 17];
static size_t file_size;

static void put(unsigned value) { file[file_size++] = (unsigned char)value; }

static void put_big(uint64_t value, int count) {
    while (count-- > 0) put((unsigned)(value >> 8 * count & 255));
}

static void begin(unsigned type, unsigned rank) {
    file_size = 0;
    put(0);
    put(0);
    put(type);
    put(rank);
}

static void fails(dn_status expected, const char *text, const char *what) {
    dn_idx array;
    counting_reset(0);
    memset(&error, 0, sizeof error);
    const size_t live = counting.live;
    const dn_status status = dn_idx_memory(&array, file, file_size, &error);
    const bool good = status == expected && error.status == expected &&
                      strstr(error.message, text) != NULL && strchr(error.message, '\n') == NULL;
    ok(good, "%s: %s", what, error.message);
    if (!good) note("status %d, expected %d, '%s'", (int)status, (int)expected, text);
    ok(array.data == NULL && array.owned == NULL && counting.live == live, "%s: nothing left",
       what);
    ok(counting.largest <= 32 * file_size + 1024, "%s: at most %zu bytes at once", what,
       counting.largest);
    dn_idx_free(&array);
}

/* ---- Readers. */

typedef struct source {
    const unsigned char *bytes;
    size_t size, position, fail_at; /* fail_at: SIZE_MAX for never */
    size_t asked;
} source;

static size_t source_read(void *user, void *buffer, size_t size) {
    source *from = (source *)user;
    size_t count = from->size - from->position;
    if (count > size) count = size;
    if (from->asked < size) from->asked = size;
    if (from->position + count > from->fail_at) return (size_t)-1;
    if (count > 0) memcpy(buffer, from->bytes + from->position, count);
    from->position += count;
    return count;
}

static dn_status read_source(dn_idx *array, const void *bytes, size_t size, size_t fail_at) {
    source from = {NULL, 0, 0, 0, 0};
    dn_reader reader = {source_read, NULL, "stream"};
    from.bytes = (const unsigned char *)bytes;
    from.size = size;
    from.fail_at = fail_at;
    reader.user = &from;
    memset(&error, 0, sizeof error);
    return dn_idx_read(array, &reader, &error);
}

/* ---- Types and ranks. */

static const unsigned types[6] = {DN_IDX_UINT8, DN_IDX_INT8,    DN_IDX_INT16,
                                  DN_IDX_INT32, DN_IDX_FLOAT32, DN_IDX_FLOAT64};
static const size_t element_sizes[6] = {1, 1, 2, 4, 4, 8};

/* Element i of the arrays below: a value that every type holds. */
static int element(unsigned type, size_t i) {
    const int value = (int)(i * 37 % 251) - (type == DN_IDX_UINT8 ? 0 : 125);
    return type == DN_IDX_INT8 ? value / 2 : value;
}

static void put_element(unsigned type, int value) {
    union { float real; uint32_t bits; } four;
    union { double real; uint64_t bits; } eight;
    switch (type) {
    case DN_IDX_UINT8:
    case DN_IDX_INT8: put_big((uint64_t)(int64_t)value, 1); break;
    case DN_IDX_INT16: put_big((uint64_t)(int64_t)value * 100, 2); break;
    case DN_IDX_INT32: put_big((uint64_t)(int64_t)value * 10000000, 4); break;
    case DN_IDX_FLOAT32:
        four.real = (float)value / 3;
        put_big(four.bits, 4);
        break;
    default:
        eight.real = (double)value / 3;
        put_big(eight.bits, 8);
    }
}

static bool is_element(unsigned type, const void *data, size_t i, int value) {
    const volatile float four = (float)value / 3; /* rounded, whatever the registers hold */
    const volatile double eight = (double)value / 3;
    switch (type) {
    case DN_IDX_UINT8: return ((const uint8_t *)data)[i] == value;
    case DN_IDX_INT8: return ((const int8_t *)data)[i] == value;
    case DN_IDX_INT16: return ((const int16_t *)data)[i] == value * 100;
    case DN_IDX_INT32: return ((const int32_t *)data)[i] == value * 10000000;
    case DN_IDX_FLOAT32: return ((const float *)data)[i] == four;
    default: return ((const double *)data)[i] == eight;
    }
}

static bool is_right(const dn_idx *array, unsigned kind, unsigned rank, const size_t *sizes) {
    size_t count = 1;
    if ((unsigned)array->type != types[kind] || array->element_size != element_sizes[kind] ||
        array->rank != rank)
        return false;
    for (unsigned r = 0; r < rank; r++) {
        if (array->sizes[r] != sizes[r]) return false;
        count *= sizes[r];
    }
    if (array->count != count) return false;
    if (array->element_size > 1 && (uintptr_t)array->data % array->element_size != 0) return false;
    for (size_t i = 0; i < count; i++)
        if (!is_element(types[kind], array->data, i, element(types[kind], i))) return false;
    return true;
}

static void test_types(void) {
    static const size_t sizes[8] = {3, 1, 4, 2, 1, 2, 3, 1};
    for (unsigned kind = 0; kind < 6; kind++) {
        for (unsigned rank = 0; rank <= 8; rank++) {
            dn_idx array;
            size_t count = 1, wrong = 0;
            begin(types[kind], rank);
            for (unsigned r = 0; r < rank; r++) {
                put_big(sizes[r], 4);
                count *= sizes[r];
            }
            for (size_t i = 0; i < count; i++)
                put_element(types[kind], element(types[kind], i));

            dn_status status = dn_idx_memory(&array, file, file_size, &error);
            ok(status == DN_OK && is_right(&array, kind, rank, sizes),
               "type %02x, rank %u, from memory", types[kind], rank);
            dn_idx_free(&array);
            status = read_source(&array, file, file_size, SIZE_MAX);
            ok(status == DN_OK && is_right(&array, kind, rank, sizes),
               "type %02x, rank %u, from a reader", types[kind], rank);
            dn_idx_free(&array);
            dn_idx_free(&array); /* twice is harmless */

            for (size_t cut = 0; cut < file_size; cut++) {
                unsigned char *part = (unsigned char *)malloc(cut + 1);
                memcpy(part, file, cut);
                memset(&error, 0, sizeof error);
                status = dn_idx_memory(&array, part, cut, &error);
                wrong += status != DN_ERROR_TRUNCATED || error.status != DN_ERROR_TRUNCATED ||
                         array.data != NULL;
                char position[24];
                (void)snprintf(position, sizeof position, cut == 0 ? "empty" : "byte %zu", cut);
                wrong += strstr(error.message, position) == NULL;
                wrong += read_source(&array, part, cut, SIZE_MAX) != DN_ERROR_TRUNCATED;
                wrong += read_source(&array, file, file_size, cut) != DN_ERROR_FILE;
                free(part);
            }
            put(0);
            status = dn_idx_memory(&array, file, file_size, &error);
            wrong += status != DN_ERROR_FORMAT || strstr(error.message, "garbage") == NULL;
            wrong += read_source(&array, file, file_size, SIZE_MAX) != DN_ERROR_FORMAT;
            ok(wrong == 0, "type %02x, rank %u: cut at every byte, failing at every byte, too long",
               types[kind], rank);
        }
    }
    ok(counting.live == 0, "nothing is left allocated (%zu bytes)", counting.live);
}

/* ---- Lies and mistakes. */

static void test_headers(void) {
    file_size = 0;
    fails(DN_ERROR_TRUNCATED, "empty", "nothing at all");

    begin(0x0a, 1);
    put_big(1, 4);
    put(0);
    fails(DN_ERROR_FORMAT, "byte 2: element type 0a", "a type that does not exist");

    begin(8, 9);
    for (int i = 0; i < 9; i++) put_big(1, 4);
    put(1);
    fails(DN_ERROR_TOO_LARGE, "byte 3: rank 9", "rank 9");

    begin(8, 255);
    fails(DN_ERROR_TOO_LARGE, "rank 255", "rank 255");

    begin(8, 3);
    put_big(UINT32_C(0x80000000), 4);
    put_big(UINT32_C(0x80000000), 4);
    put_big(UINT32_C(0x80000000), 4);
    fails(DN_ERROR_TOO_LARGE, "too large", "2^31 x 2^31 x 2^31");

    begin(8, 2);
    put_big(UINT32_C(0x80000000), 4);
    put_big(UINT32_C(0x80000000), 4);
    put_big(0, 8);
    fails(sizeof(size_t) > 4 ? DN_ERROR_TRUNCATED : DN_ERROR_TOO_LARGE,
          sizeof(size_t) > 4 ? "[2147483648, 2147483648]" : "too large", "2^31 x 2^31");

    begin(0x0e, 2); /* 2^61 elements of 8 bytes */
    put_big(UINT32_C(0x80000000), 4);
    put_big(UINT32_C(0x40000000), 4);
    put_big(0, 8);
    fails(DN_ERROR_TOO_LARGE, "too large", "2^61 doubles");

    begin(8, 4); /* the product is 2^64 = 0 */
    for (int i = 0; i < 4; i++) put_big(65536, 4);
    fails(DN_ERROR_TOO_LARGE, "too large", "65536^4, which wraps around to 0");

    begin(8, 8); /* 2^64 + 2^32, which would wrap around to 2^32 */
    put_big(UINT32_C(0xffffffff), 4);
    for (int i = 0; i < 7; i++) put_big(UINT32_C(0xffffffff), 4);
    fails(DN_ERROR_TOO_LARGE, "too large", "all sizes at their largest");

    begin(8, 1);
    put_big(UINT32_C(0xffffffff), 4);
    fails(sizeof(size_t) > 4 ? DN_ERROR_TRUNCATED : DN_ERROR_TOO_LARGE,
          sizeof(size_t) > 4 ? "[4294967295]" : "too large", "2^32 - 1 bytes promised, none given");

    begin(8, 2);
    put_big(0, 4);
    put_big(5, 4);
    dn_idx array;
    ok(dn_idx_memory(&array, file, file_size, &error) == DN_OK && array.count == 0,
       "an array of no elements is an array");
    dn_idx_free(&array);
    ok(dn_idx_memory(&array, NULL, 100, &error) == DN_ERROR_TRUNCATED, "no bytes at all");
    ok(dn_idx_memory(&array, file, 3, NULL) == DN_ERROR_TRUNCATED, "without an error struct");
}

static void looks_like(const char *start, size_t size, const char *text) {
    file_size = 0;
    for (size_t i = 0; i < size; i++) put((unsigned char)start[i]);
    while (file_size < 300) put('.');
    fails(DN_ERROR_FORMAT, text, text);
}

static void test_other_formats(void) {
    looks_like("<!DOCTYPE html><html>", 21, "an HTML page");
    looks_like("\n  <HTML lang=en>", 17, "an HTML page");
    looks_like("\xef\xbb\xbf<html>", 9, "an HTML page");
    looks_like("<?xml version='1.0'?><Error>", 28, "an XML page");
    looks_like("version https://git-lfs.github.com/spec/v1", 42, "Git LFS");
    looks_like("PK\3\4", 4, "zip");
    looks_like("\x93NUMPY\1\0", 8, "NumPy");
    looks_like("\x89PNG\r\n\x1a\n", 8, "PNG");
    looks_like("\xff\xd8\xff\xe0", 4, "JPEG");
    looks_like("BZh9", 4, "bzip2");
    looks_like("\xfd" "7zXZ\0", 6, "xz");
    looks_like("\x28\xb5\x2f\xfd", 4, "zstd");
    looks_like("\x89HDF\r\n", 6, "HDF5");
    looks_like("\3\x08\0\0", 4, "lowest byte first");
    looks_like("hello", 5, "68 65 6c 6c");
    looks_like("\0\1\x08\3", 4, "00 01 08 03");

    /* the same inside gzip: a stored block */
    static const unsigned char page[] = {0x1f, 0x8b, 8, 0, 0, 0,   0,   0,   0,   0xff, 1,    6,
                                         0,    0xf9, 0xff, '<', 'h', 't', 'm', 'l',  '>', 0, 0, 0,
                                         0,    6,    0,    0,   0};
    file_size = sizeof page;
    memcpy(file, page, sizeof page);
    dni_crc crc;
    dni_crc_init(&crc);
    const uint32_t sum = dni_crc_of(&crc, page + 15, 6);
    for (int i = 0; i < 4; i++) file[21 + i] = (unsigned char)(sum >> 8 * i & 255);
    fails(DN_ERROR_FORMAT, "an HTML page", "an HTML page inside gzip");
    file[15] = 0x1f;
    file[16] = 0x8b;
    const uint32_t other = dni_crc_of(&crc, file + 15, 6);
    for (int i = 0; i < 4; i++) file[21 + i] = (unsigned char)(other >> 8 * i & 255);
    fails(DN_ERROR_FORMAT, "gzip inside gzip", "gzip inside gzip");
    file_size = 1;
    put(0x8b);
    fails(DN_ERROR_TRUNCATED, "truncated", "nothing but gzip's magic");
}

/* ---- Streams. */

/* Zeroes or noise without end. */
typedef struct endless {
    const unsigned char *start;
    size_t size, delivered;
} endless;

static size_t endless_read(void *user, void *buffer, size_t size) {
    endless *from = (endless *)user;
    memset(buffer, 'z', size);
    for (size_t i = 0; i < size && from->delivered + i < from->size; i++)
        ((unsigned char *)buffer)[i] = from->start[from->delivered + i];
    from->delivered += size;
    return size;
}

static size_t greedy_read(void *user, void *buffer, size_t size) {
    (void)user;
    (void)buffer;
    return size + 1;
}

static void test_streams(void) {
    dn_idx array;
    endless from = {file, 0, 0};
    dn_reader reader = {endless_read, NULL, NULL};
    reader.user = &from;

    counting_reset(0);
    ok(dn_idx_read(&array, &reader, &error) == DN_ERROR_FORMAT, "an endless stream of z: %s",
       error.message);
    ok(from.delivered <= 65536 && counting.peak <= 66000, "is given up after %zu bytes",
       from.delivered);

    begin(8, 2);
    put_big(1000, 4);
    put_big(300, 4);
    from.size = file_size;
    from.delivered = 0;
    counting_reset(0);
    ok(dn_idx_read(&array, &reader, &error) == DN_ERROR_FORMAT &&
           strstr(error.message, "garbage behind byte 300012") != NULL,
       "an endless stream behind a header: %s", error.message);
    ok(from.delivered == 300013, "is given up one byte after the end (%zu)", from.delivered);

    reader.read = greedy_read;
    reader.name = "greedy";
    ok(dn_idx_read(&array, &reader, &error) == DN_ERROR_FILE, "a reader that returns too much: %s",
       error.message);

    /* Larger than the first read, so that the block has to grow. */
    begin(0x0b, 2);
    put_big(200, 4);
    put_big(250, 4);
    for (size_t i = 0; i < 50000; i++) put_element(0x0b, element(0x0b, i));
    const size_t sizes[2] = {200, 250};
    for (size_t fail_at = 1;; fail_at++) {
        counting_reset(fail_at);
        const dn_status status = read_source(&array, file, file_size, SIZE_MAX);
        if (status == DN_OK) {
            ok(is_right(&array, 2, 2, sizes), "100,012 bytes from a reader");
            ok(counting.largest <= 2 * file_size, "the largest request: %zu bytes",
               counting.largest);
            dn_idx_free(&array);
            break;
        }
        ok(status == DN_ERROR_MEMORY && counting.live == 0, "allocation %zu fails: %s", fail_at,
           error.message);
    }
    counting_reset(0);
    ok(read_source(&array, file, file_size, 70000) == DN_ERROR_FILE &&
           strstr(error.message, "byte 65536") != NULL && counting.live == 0,
       "a stream that fails later: %s", error.message);
    put(0);
    ok(read_source(&array, file, file_size, SIZE_MAX) == DN_ERROR_FORMAT && counting.live == 0,
       "and one byte too many: %s", error.message);
    file_size -= 2;
    ok(read_source(&array, file, file_size, SIZE_MAX) == DN_ERROR_TRUNCATED && counting.live == 0,
       "and one too few: %s", error.message);
}

/* A small file of 0.1 MB that unpacks to 100 MB, behind a header that says 1 KB. */
static void test_bomb(void) {
    size_t bit = 0;
    file_size = 0;
    memset(file, 0, sizeof file);
    static const unsigned char start[] = {0x1f, 0x8b, 8, 0, 0,    0,    0, 0, 0, 0xff, 0,
                                          12,   0,    0xf3, 0xff, 0, 0, 8, 2, 0, 0,    0,
                                          1,    0,    0,    4,    0};
    for (size_t i = 0; i < sizeof start; i++) put(start[i]);
    bit = 8 * file_size;
    /* one fixed block: last, type 1, then 258 zeroes (distance 1) over and over */
    const char *text = "110";
    for (int i = 0; i < 75000; i++, text = "1100010100000")
        for (const char *c = text; *c != '\0'; c++, bit++)
            if (*c == '1') file[bit / 8] = (unsigned char)(file[bit / 8] | 1 << bit % 8);
    file_size = bit / 8 + 1;
    counting_reset(0);
    dn_idx array;
    const dn_status status = dn_idx_memory(&array, file, file_size, &error);
    ok(status == DN_ERROR_FORMAT && strstr(error.message, "garbage behind byte 1036") != NULL,
       "a gzip bomb: %s", error.message);
    ok(counting.live == 0 && counting.peak <= 17 * file_size, "costs %zu bytes at most",
       counting.peak);
}

/* ---- Names. */

#ifndef DN_NO_STDIO
static char folder[] = "/tmp/densenet_idx_XXXXXX";

static const char *path(const char *name) {
    static char text[4][400];
    static int turn;
    turn = (turn + 1) % 4;
    (void)snprintf(text[turn], sizeof text[turn], "%s/%s", folder, name);
    return text[turn];
}

static void write_file(const char *name) {
    FILE *out = fopen(path(name), "wb");
    if (out == NULL || fwrite(file, 1, file_size, out) != file_size)
        note("cannot write %s", path(name));
    if (out != NULL) fclose(out);
}

static void test_names(void) {
    static const char *const forms[4] = {"a-images-idx3-ubyte", "a-images-idx3-ubyte.gz",
                                         "a-images.idx3-ubyte", "a-images.idx3-ubyte.gz"};
    dn_idx array;
    if (mkdtemp(folder) == NULL) {
        skip(1, "no folder for files in /tmp");
        return;
    }
    begin(8, 1);
    put_big(2, 4);
    put(7);
    put(9);
    for (int there = 0; there < 4; there++) {
        write_file(forms[there]);
        for (int wanted = 0; wanted < 4; wanted++) {
            const dn_status status = dn_idx_load(&array, path(forms[wanted]), &error);
            ok(status == DN_OK && array.count == 2 && ((unsigned char *)array.data)[1] == 9,
               "%s serves as %s", forms[there], forms[wanted]);
            dn_idx_free(&array);
        }
        (void)remove(path(forms[there]));
    }
    dn_status status = dn_idx_load(&array, path(forms[0]), &error);
    ok(status == DN_ERROR_FILE && strstr(error.message, "no such file") != NULL &&
           strstr(error.message, forms[1]) != NULL && strstr(error.message, forms[2]) != NULL &&
           strstr(error.message, forms[3]) != NULL,
       "a missing file: %s", error.message);
    status = dn_idx_load(&array, path("plain"), &error);
    ok(status == DN_ERROR_FILE && strstr(error.message, "plain.gz") != NULL,
       "a missing file without idx in its name: %s", error.message);
    status = dn_idx_load(&array, folder, &error);
    ok(status == DN_ERROR_FILE && strstr(error.message, "directory") != NULL, "a directory: %s",
       error.message);
    ok(dn_idx_load(&array, NULL, &error) == DN_ERROR_ARGUMENT, "no name: %s", error.message);
    status = dn_idx_load(&array, "", &error);
    ok(status == DN_ERROR_FILE, "an empty name: %s", error.message);
    char name[300];
    memset(name, 'n', sizeof name - 1);
    name[0] = '/';
    name[sizeof name - 1] = '\0';
    status = dn_idx_load(&array, name, &error);
    ok(status == DN_ERROR_FILE && strlen(error.message) < 248, "a long name: %s", error.message);
    if (geteuid() != 0) {
        write_file("secret");
        (void)chmod(path("secret"), 0);
        status = dn_idx_load(&array, path("secret"), &error);
        ok(status == DN_ERROR_FILE && strstr(error.message, "permission denied") != NULL,
           "a file that may not be read: %s", error.message);
        (void)remove(path("secret"));
    } else {
        skip(1, "root may read every file");
    }
    file_size = 0;
    write_file("empty");
    status = dn_idx_load(&array, path("empty"), &error);
    ok(status == DN_ERROR_TRUNCATED && strstr(error.message, "empty") != NULL, "an empty file: %s",
       error.message);
    (void)remove(path("empty"));

    /* Larger than the first read; every allocation fails once. */
    begin(0x0b, 2);
    put_big(200, 4);
    put_big(250, 4);
    for (size_t i = 0; i < 50000; i++) put_element(0x0b, element(0x0b, i));
    write_file("large");
    const size_t sizes[2] = {200, 250};
    for (size_t fail_at = 1;; fail_at++) {
        counting_reset(fail_at);
        status = dn_idx_load(&array, path("large"), &error);
        if (status == DN_OK) {
            ok(is_right(&array, 2, 2, sizes), "a file of 100,012 bytes");
            ok(counting.largest <= file_size + 128, "the largest request: %zu bytes",
               counting.largest);
            dn_idx_free(&array);
            break;
        }
        ok(status == DN_ERROR_MEMORY && counting.live == 0, "allocation %zu fails: %s", fail_at,
           error.message);
    }
    counting_reset(0);
    put(0);
    write_file("large");
    status = dn_idx_load(&array, path("large"), &error);
    ok(status == DN_ERROR_FORMAT && strstr(error.message, "large") != NULL, "too long: %s",
       error.message);
    (void)remove(path("large"));
    (void)rmdir(folder);
}
#endif

int main(void) {
    test_types();
    test_headers();
    test_other_formats();
    test_streams();
    test_bomb();
#ifndef DN_NO_STDIO
    test_names();
#endif
    ok(counting.live == 0, "nothing is left allocated (%zu bytes)", counting.live);
    return done();
}
