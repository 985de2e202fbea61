/* Chapter 12, inflate and gzip: streams written by hand, bit by bit, for each kind of
   block and each error; a file cut and damaged at every byte; a comparison with gzip. */
#define _POSIX_C_SOURCE 200809L
#include "counting.h"
#define DENSENET_IMPLEMENTATION
#include "../densenet.h"

#include "tap.h"
#include <unistd.h>

/* ---- Writing bits. */

static unsigned char stream[1 << 16];
static size_t bits;

static void bit(unsigned value) {
    if (bits % 8 == 0) stream[bits / 8] = 0;
    stream[bits / 8] = (unsigned char)(stream[bits / 8] | value << bits % 8);
    bits++;
}

/* A number: its lowest bit first. */
static void number(unsigned value, int count) {
    for (int i = 0; i < count; i++) bit(value >> i & 1);
}

/* A Huffman word, as it is written on paper: its first bit first; blanks are ignored. */
static void word(const char *text) {
    for (; *text != '\0'; text++)
        if (*text != ' ') bit(*text == '1');
}

static void align(void) {
    while (bits % 8 != 0) bit(0);
}

static void byte(unsigned value) { number(value, 8); }

static void bytes(const char *text, size_t size) {
    for (size_t i = 0; i < size; i++) byte((unsigned char)text[i]);
}

static void block(unsigned last, unsigned type) {
    number(last, 1);
    number(type, 2);
}

static void stored(unsigned last, const char *text, unsigned size) {
    block(last, 0);
    align();
    number(size, 16);
    number(~size & 0xffff, 16);
    bytes(text, size);
}

/* A literal in the fixed code. */
static void literal(unsigned char c) {
    const int length = c < 144 ? 8 : 9;
    const unsigned value = c < 144 ? 0x30u + c : 0x190u + c - 144u;
    for (int i = length - 1; i >= 0; i--) bit(value >> i & 1);
}

/* The checksum bit by bit, in another form than the library's. */
static uint32_t slow_crc(const unsigned char *data, size_t size) {
    uint32_t remainder = UINT32_C(0xffffffff);
    for (size_t i = 0; i < 8 * size; i++) {
        const unsigned next = (data[i / 8] >> i % 8 & 1) ^ (remainder & 1);
        remainder >>= 1;
        if (next) remainder ^= UINT32_C(0xedb88320);
    }
    return ~remainder;
}

static void begin(void) {
    bits = 0;
    bytes("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
}

static void end(const char *text, size_t size) {
    const uint32_t crc = slow_crc((const unsigned char *)text, size);
    align();
    number(crc & 0xffff, 16);
    number(crc >> 16, 16);
    number((unsigned)size & 0xffff, 16);
    number((unsigned)(size >> 16), 16);
}

/* ---- Reading. */

static dn_error error;

/* Unpacks into *content, which is to be released when the status is DN_OK. */
static dn_status unpack(const unsigned char *packed, size_t size, dni_content *content) {
    memset(content, 0, sizeof *content);
    memset(&error, 0, sizeof error);
    content->name = "test";
    content->bytes = packed;
    content->size = size;
    return dni_gzip_unpack(content, NULL, &error);
}

static void gives(const char *text, size_t size, const char *what) {
    dni_content content;
    /* a copy of exactly that size, so that a sanitizer sees each byte read too far */
    unsigned char *packed = (unsigned char *)malloc(bits / 8 + 1);
    memcpy(packed, stream, bits / 8);
    const dn_status status = unpack(packed, bits / 8, &content);
    ok(status == DN_OK && content.size == size && memcmp(content.bytes, text, size) == 0, "%s",
       what);
    if (status != DN_OK) note("%s", error.message);
    dni_release(content.owned);

    size_t wrong = 0;
    for (size_t cut = 2; cut < bits / 8; cut++) {
        unsigned char *part = (unsigned char *)malloc(cut);
        memcpy(part, packed, cut);
        const dn_status found = unpack(part, cut, &content);
        if (found != DN_ERROR_TRUNCATED || strstr(error.message, "truncated") == NULL) {
            note("cut at %zu: %s: %s", cut, dn_status_text(found), error.message);
            wrong++;
        }
        dni_release(content.owned);
        free(part);
    }
    ok(wrong == 0, "%s: truncated at every byte", what);
    free(packed);
}

static void fails(dn_status expected, const char *text, const char *what) {
    dni_content content;
    align();
    const dn_status status = unpack(stream, bits / 8, &content);
    const bool good = status == expected && strstr(error.message, text) != NULL;
    ok(good, "%s", what);
    if (!good) note("got %d: %s", (int)status, error.message);
    if (status == DN_OK) dni_release(content.owned);
}

/* ---- The blocks. */

static void test_blocks(void) {
    char text[1000];
    begin();
    stored(1, "", 0);
    end("", 0);
    gives("", 0, "stored, empty");

    begin();
    stored(0, "Huff", 4);
    stored(1, "man", 3);
    end("Huffman", 7);
    gives("Huffman", 7, "two stored blocks");

    begin();
    block(1, 1);
    word("0000000");
    end("", 0);
    gives("", 0, "fixed, empty");

    /* The example of the chapter. */
    static const unsigned char example[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00,
                                            0x00, 0xff, 0x4b, 0x4c, 0x02, 0x43, 0x00};
    begin();
    block(1, 1);
    word("10010001 10010010 0000011 00001 0000000"); /* a b (5, 2) end */
    align();
    ok(bits / 8 == sizeof example && memcmp(stream, example, sizeof example) == 0,
       "the bytes of the chapter's example");
    end("abababa", 7);
    gives("abababa", 7, "fixed: two literals and an overlapping match");

    begin();
    block(1, 1);
    for (unsigned i = 0; i < 256; i++) literal((unsigned char)i);
    for (unsigned i = 0; i < 256; i++) text[i] = (char)i;
    word("0000000");
    end(text, 256);
    gives(text, 256, "fixed: every byte as a literal");

    begin();
    block(1, 1);
    literal('x');
    word("11000101 00000"); /* 285: 258 bytes, distance 1 */
    word("11000100 11111"); /* 284: 227 + 31, the same length another way */
    word("00000");
    word("0000000");
    memset(text, 'x', 517);
    end(text, 517);
    gives(text, 517, "fixed: length 258 in both its forms");

    begin(); /* a = 0 and end = 1; no distances */
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(14, 4); /* 18 lengths of lengths: 18 needs the third, 1 the 18th */
    for (int i = 0; i < 18; i++) number(i == 2 || i == 17 || i == 3 ? (i == 2 ? 1 : 2) : 0, 3);
    /* words: 18: 0; symbol 0: 10; symbol 1: 11 */
    word("0");
    number(97 - 11, 7); /* 97 zeroes */
    word("11");         /* 'a' has one bit */
    word("0");
    number(138 - 11, 7);
    word("0");
    number(256 - 98 - 138 - 11, 7);
    word("11"); /* 256 has one bit */
    word("10"); /* the only distance has none */
    word("0 0 0 1");
    end("aaa", 3);
    gives("aaa", 3, "dynamic: two symbols, no distances");

    begin(); /* a = 0, end = 10, 257 = 11; one distance, 1, as 0 */
    block(1, 2);
    number(1, 5);
    number(0, 5);
    number(14, 4);
    for (int i = 0; i < 18; i++) { /* lengths of: 18, 1, 2, 17: two bits each */
        const bool used = i == 2 || i == 17 || i == 15 || i == 1;
        number(used ? 2 : 0, 3);
    }
    /* canonical words: 1: 00, 2: 01, 17: 10, 18: 11 */
    word("11");
    number(97 - 11, 7);
    word("00");
    word("11");
    number(138 - 11, 7);
    word("11");
    number(17 - 11, 7);
    word("10");
    number(0, 3); /* 3 zeroes: up to 255 */
    word("01 01 00");
    word("0 11 0 11 0 10"); /* a, (3, 1), (3, 1), end */
    end("aaaaaaa", 7);
    gives("aaaaaaa", 7, "dynamic: one distance of one bit, symbols 17 and 18");
}

/* Words of up to 15 bits: bytes 0 to 13 have lengths 1 to 14, 14 and the end 15. */
static void test_long_words(void) {
    char text[15];
    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(15, 4);
    for (int i = 0; i < 19; i++) number(i == 0 ? 0 : i < 3 ? 5 : 4, 3);
    /* 16 words of 4 bits are complete; two of 5 bits are too many. */
    fails(DN_ERROR_FORMAT, "the code of the lengths", "dynamic: an over-subscribed code");

    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(15, 4);
    /* 15 words of 4 bits (1 to 14, 18) and two of 5 (0, 15) */
    static const unsigned char order[19] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                            11, 4,  12, 3, 13, 2, 14, 1, 15};
    for (int i = 0; i < 19; i++)
        number(order[i] == 16 || order[i] == 17 ? 0 : order[i] == 0 || order[i] == 15 ? 5 : 4, 3);
    /* words of 4 bits: 1 .. 14 are 0000 .. 1101, 18 is 1110; of 5 bits: 0 11110, 15 11111 */
    for (unsigned length = 1; length <= 14; length++)
        for (int i = 3; i >= 0; i--) bit((length - 1) >> i & 1);
    word("11111"); /* byte 14 */
    word("1110");
    number(138 - 11, 7);
    word("1110");
    number(241 - 138 - 11, 7);
    word("11111"); /* 256 */
    word("11110"); /* no distance */
    for (int symbol = 0; symbol < 15; symbol++) {
        text[symbol] = (char)symbol;
        for (int i = 0; i < symbol; i++) bit(1);
        bit(0);
    }
    word("111111111111111");
    end(text, 15);
    gives(text, 15, "dynamic: words of 1 to 15 bits");
}

/* Each distance symbol and each length symbol, at both ends of its range. */
static void test_numbers(void) {
    static const unsigned lengths[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,
                                         15, 17, 19, 23, 27, 31, 35, 43, 51,  59,
                                         67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const unsigned distances[31] = {
        1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,  193,
        257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577, 32769};
    size_t wrong = 0;
    for (unsigned s = 0; s < 30; s++) {
        dni_bits none, ones;
        static const unsigned char zero_bytes[8] = {0},
                                   one_bytes[8] = {255, 255, 255, 255, 255, 255, 255, 255};
        memset(&none, 0, sizeof none);
        none.next = zero_bytes;
        none.end = zero_bytes + 8;
        ones = none;
        ones.next = one_bytes;
        ones.end = one_bytes + 8;
        dni_bits_fill(&none);
        dni_bits_fill(&ones);
        if (s < 28) wrong += dni_inflate_number(&none, s, 2, 3) != lengths[s];
        /* 284 with all extra bits set is 258 again */
        if (s < 28) wrong += dni_inflate_number(&ones, s, 2, 3) != lengths[s + 1] - (s < 27);
        wrong += dni_inflate_number(&none, s, 1, 1) != distances[s];
        dni_bits_fill(&ones);
        wrong += dni_inflate_number(&ones, s, 1, 1) != distances[s + 1] - 1;
    }
    ok(wrong == 0, "lengths and distances at both ends of every range");
}

static void test_errors(void) {
    begin();
    block(1, 3);
    fails(DN_ERROR_FORMAT, "type 3", "a block of type 3");

    begin();
    block(1, 0);
    align();
    number(4, 16);
    number(4, 16);
    bytes("abcdabcd", 8);
    fails(DN_ERROR_FORMAT, "contradicts", "a stored block whose sizes disagree");

    begin();
    block(1, 1);
    word("11000110"); /* 286 */
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "no code has these bits", "fixed: symbol 286");

    begin();
    block(1, 1);
    literal('a');
    word("0000001 11110"); /* distance 30 */
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "no distance has these bits", "fixed: distance symbol 30");

    begin();
    block(1, 1);
    literal('a');
    word("0000001 00001");
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "before the beginning", "a distance of 2 after one byte");

    begin();
    block(1, 1);
    word("0000001 00000");
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "before the beginning", "a match at the very beginning");

    begin(); /* the first member has a byte, but a match must not reach into it */
    stored(1, "a", 1);
    end("a", 1);
    bytes("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    block(1, 1);
    word("0000001 00000");
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "before the beginning", "a match into the member before");

    begin();
    block(1, 2);
    number(30, 5);
    number(0, 5);
    number(0, 4);
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "more symbols", "dynamic: 287 symbols");

    begin();
    block(1, 2);
    number(0, 5);
    number(30, 5);
    number(0, 4);
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "more symbols", "dynamic: 31 distances");

    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(0, 4);
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "the code of the lengths", "dynamic: a code without words");

    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(0, 4);
    number(1, 3); /* 16: 0 */
    number(0, 3);
    number(0, 3);
    number(2, 3); /* 0: 10; 11 is unused */
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "the code of the lengths", "dynamic: an incomplete code of lengths");

    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(0, 4);
    number(1, 3); /* 16: 1 */
    number(0, 3);
    number(0, 3);
    number(1, 3); /* 0: 0 */
    word("1");
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "nothing to repeat", "dynamic: a repetition at the start");

    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(0, 4);
    number(0, 3);
    number(0, 3);
    number(1, 3); /* 18: 1 */
    number(1, 3); /* 0: 0 */
    word("1");
    number(127, 7);
    word("1");
    number(127, 7);
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "more code lengths", "dynamic: a repetition beyond the end");

    begin();
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(0, 4);
    number(0, 3);
    number(0, 3);
    number(1, 3);
    number(1, 3);
    word("1");
    number(127, 7); /* 138 */
    word("1");
    number(121 - 11, 7); /* 259 */
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "more code lengths", "dynamic: a repetition one beyond the end");

    begin(); /* 257 + 1 zeroes: exactly filled, but there is no end */
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(0, 4);
    number(0, 3);
    number(0, 3);
    number(1, 3);
    number(1, 3);
    word("1");
    number(127, 7); /* 138 */
    word("1");
    number(120 - 11, 7); /* 258 */
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "no code for its end", "dynamic: no end of the block");

    for (int kind = 0; kind < 4; kind++) {
        begin();
        block(1, 2);
        number(0, 5);
        number(1, 5); /* two distances */
        number(15, 4);
        for (int i = 0; i < 19; i++) { /* lengths of 18: 1; of 0, 1, 2 and 3: 3 */
            const int length = i == 2 ? 1 : i == 3 || i == 17 || i == 15 || i == 13 ? 3 : 0;
            number((unsigned)length, 3);
        }
        /* words: 18 0, 0 100, 1 101, 2 110, 3 111 */
        word("0");
        number(138 - 11, 7);
        word("0");
        number(117 - 11, 7); /* 255 zeroes */
        if (kind == 0) word("111 101 100 100"); /* byte 255: 3 bits, end: 1 */
        if (kind == 1) word("110 110 100 100"); /* 2 and 2: half of the words are missing */
        if (kind == 2) word("101 101 101 110"); /* distances 1 and 2 */
        if (kind == 3) word("101 101 110 110"); /* distances 2 and 2 */
        bytes("\0\0\0\0\0\0\0\0", 8);
        fails(DN_ERROR_FORMAT, kind < 2 ? "the code of the symbols" : "the code of the distances",
              kind == 0   ? "dynamic: symbols incomplete, a word of one bit among them"
              : kind == 1 ? "dynamic: symbols incomplete, without a word of one bit"
              : kind == 2 ? "dynamic: distances incomplete, a word of one bit among them"
                          : "dynamic: distances incomplete, without a word of one bit");
    }

    begin(); /* the end has the word 0; 1 means nothing */
    block(1, 2);
    number(0, 5);
    number(0, 5);
    number(14, 4);
    for (int i = 0; i < 18; i++) number(i == 2 ? 1 : i == 17 || i == 3 ? 2 : 0, 3);
    word("0");
    number(127, 7);
    word("0");
    number(118 - 11, 7);
    word("11 10"); /* 256 has one bit, the distance none */
    word("1");
    bytes("\0\0\0\0\0\0\0\0", 8);
    fails(DN_ERROR_FORMAT, "no code has these bits", "dynamic: the unused word of one bit");
}

/* ---- The wrapping. */

static void test_wrapping(void) {
    /* All fields: flags 2 + 4 + 8 + 16 + 1. */
    for (unsigned flags = 0; flags < 32; flags++) {
        char what[40];
        bits = 0;
        bytes("\x1f\x8b\x08", 3);
        byte(flags);
        bytes("\1\2\3\4\2\3", 6);
        if (flags & 4) bytes("\5\0abcde", 7);
        if (flags & 8) bytes("name", 5);
        if (flags & 16) bytes("comment", 8);
        if (flags & 2) number(slow_crc(stream, bits / 8) & 0xffff, 16);
        stored(1, "data", 4);
        end("data", 4);
        (void)snprintf(what, sizeof what, "header flags %u", flags);
        gives("data", 4, what);
    }
    begin();
    stream[3] = 2;
    byte(1);
    byte(2);
    stored(1, "data", 4);
    end("data", 4);
    fails(DN_ERROR_CHECKSUM, "checksum of the header", "a wrong header checksum");

    begin();
    stream[3] = 32;
    stored(1, "data", 4);
    end("data", 4);
    fails(DN_ERROR_FORMAT, "flags", "an undefined flag");

    begin();
    stream[2] = 7;
    stored(1, "data", 4);
    end("data", 4);
    fails(DN_ERROR_FORMAT, "method", "another method");

    begin();
    stored(1, "data", 4);
    end("data", 4);
    stream[bits / 8 - 8] ^= 1;
    fails(DN_ERROR_CHECKSUM, "CRC-32", "a wrong CRC-32");

    begin();
    stored(1, "data", 4);
    end("data", 4);
    stream[bits / 8 - 4] ^= 1;
    fails(DN_ERROR_CHECKSUM, "unpacked to 4 bytes, expected 5", "a wrong length");

    begin();
    stored(1, "data", 4);
    end("data", 4);
    byte(0);
    fails(DN_ERROR_FORMAT, "garbage behind", "a byte behind the end");

    begin();
    stored(1, "one ", 4);
    end("one ", 4);
    bytes("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    stored(1, "", 0);
    end("", 0);
    bytes("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    block(1, 1);
    literal('x');
    word("0000001 00000 0000000"); /* (3, 1): xxxx */
    end("xxxx", 4);
    dni_content content;
    const dn_status status = unpack(stream, bits / 8, &content);
    ok(status == DN_OK && content.size == 8 && memcmp(content.bytes, "one xxxx", 8) == 0,
       "three members are joined");
    if (status == DN_OK) dni_release(content.owned);
}

/* ---- Real gzip. */

static char folder[] = "/tmp/densenet_gzip_XXXXXX";

static unsigned char *read_file(const char *name, size_t *size) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) return NULL;
    unsigned char *contents = NULL;
    (void)fseek(file, 0, SEEK_END);
    const long end_at = ftell(file);
    rewind(file);
    *size = end_at > 0 ? (size_t)end_at : 0;
    contents = (unsigned char *)malloc(*size + 1);
    if (contents != NULL && fread(contents, 1, *size, file) != *size) {
        free(contents);
        contents = NULL;
    }
    fclose(file);
    return contents;
}

static bool write_file(const char *name, const unsigned char *contents, size_t size) {
    FILE *file = fopen(name, "wb");
    if (file == NULL) return false;
    const bool good = fwrite(contents, 1, size, file) == size;
    return fclose(file) == 0 && good;
}

/* Packs with gzip at levels 1 to `levels`, unpacks here. */
static void round_trip(const unsigned char *data, size_t size, int levels, const char *what) {
    char name[64], command[160];
    (void)snprintf(name, sizeof name, "%s/data", folder);
    if (!write_file(name, data, size)) {
        ok(false, "%s: cannot write %s", what, name);
        return;
    }
    for (int level = 1; level <= levels; level++) {
        size_t packed_size = 0;
        dni_content content;
        (void)snprintf(command, sizeof command, "gzip -%d -c %s >%s.gz", level, name, name);
        if (system(command) != 0) note("cannot run: %s", command);
        (void)snprintf(command, sizeof command, "%s.gz", name);
        unsigned char *packed = read_file(command, &packed_size);
        counting_reset(0);
        const dn_status status = unpack(packed, packed_size, &content);
        ok(status == DN_OK && content.size == size && memcmp(content.bytes, data, size) == 0,
           "%s, gzip -%d (%zu bytes to %zu)", what, level, size, packed_size);
        if (status != DN_OK) note("%s", error.message);
        ok(counting.largest <= 2 * (size + 1024) || counting.largest <= 16 * packed_size + 1024,
           "%s, gzip -%d: the largest request was %zu bytes", what, level, counting.largest);
        if (status == DN_OK) dni_release(content.owned);
        free(packed);
    }
}

static void test_gzip(void) {
    enum { SIZE = 600000 };
    unsigned char *data = (unsigned char *)malloc(SIZE);
    dn_random random = dn_random_seed(1);
    if (system("gzip --version >/dev/null 2>&1") != 0 || mkdtemp(folder) == NULL) {
        skip(1, "no gzip, or no folder for files in /tmp");
        free(data);
        return;
    }
    for (size_t i = 0; i < SIZE; i++) data[i] = (unsigned char)dn_random_bits(&random);
    round_trip(data, SIZE, 9, "noise");
    for (size_t i = 0; i < SIZE; i++)
        data[i] = (unsigned char)(dn_random_below(&random, 5) ? 0 : dn_random_bits(&random));
    round_trip(data, SIZE, 9, "sparse noise");
    for (size_t i = 0; i < SIZE; i++) /* many lengths and distances */
        data[i] = i > 300 && dn_random_below(&random, 40)
                      ? data[i - 1 - (i >> 9) % (i < 32768 ? i - 1 : 32767)]
                      : (unsigned char)dn_random_below(&random, 30);
    round_trip(data, SIZE, 9, "copies from everywhere");
    memset(data, 7, SIZE);
    round_trip(data, SIZE, 9, "one value");
    for (size_t i = 0; i < SIZE; i++) { /* very unequal frequencies: long words */
        size_t power = 0;
        while (power < 200 && dn_random_below(&random, 2) == 0) power++;
        data[i] = (unsigned char)(power * 7);
    }
    round_trip(data, SIZE, 9, "geometric frequencies");
    round_trip(data, 0, 9, "nothing");
    round_trip(data, 1, 9, "one byte");
    free(data);

    const char *real = getenv("DENSENET_DATA");
    char name[512];
    size_t size = 0;
    (void)snprintf(name, sizeof name, "%s/mnist/t10k-images-idx3-ubyte",
                   real != NULL ? real : "data");
    data = read_file(name, &size);
    if (data != NULL)
        round_trip(data, size, 6, "MNIST's test images");
    else
        skip(1, "no MNIST here ('make' gets it)");
    free(data);
    (void)snprintf(name, sizeof name, "rm -r %s", folder);
    if (system(name) != 0) note("cannot remove %s", folder);
}

/* ---- Damage. Whatever is changed: an error or (in a field without meaning) the data. */

static void test_damage(void) {
    char text[600];
    dn_random random = dn_random_seed(3);
    for (size_t i = 0; i < sizeof text; i++) text[i] = (char)('a' + dn_random_below(&random, 4));
    begin();
    block(0, 1);
    for (size_t i = 0; i < 300; i++) literal((unsigned char)text[i]);
    word("0000000");
    stored(0, text + 300, 200);
    block(1, 1);
    for (size_t i = 500; i < 600; i++) literal((unsigned char)text[i]);
    word("0000000");
    end(text, sizeof text);
    gives(text, sizeof text, "fixed, stored, fixed");
    const size_t size = bits / 8;
    size_t missed = 0, silent = 0;
    for (size_t at = 0; at < size * 8; at++) {
        dni_content content;
        stream[at / 8] = (unsigned char)(stream[at / 8] ^ 1 << at % 8);
        const dn_status status = unpack(stream, size, &content);
        if (status == DN_OK) {
            if (content.size != sizeof text || memcmp(content.bytes, text, sizeof text) != 0)
                missed++;
            dni_release(content.owned);
        } else if (error.message[0] == '\0' || error.status != status) {
            silent++;
        }
        stream[at / 8] = (unsigned char)(stream[at / 8] ^ 1 << at % 8);
    }
    ok(missed == 0, "%zu flipped bits, one by one: none gives other data", size * 8);
    ok(silent == 0, "each with a message");
}

static void test_memory(void) {
    enum { SIZE = 1000000 };
    begin(); /* a trailer that promises 4 GB */
    stored(1, "data", 4);
    end("data", 4);
    memset(stream + bits / 8 - 4, 0xff, 4);
    counting_reset(0);
    fails(DN_ERROR_CHECKSUM, "expected 4294967295", "a trailer that lies");
    ok(counting.largest <= 16 * bits / 8 + 1024, "and costs no more than %zu bytes",
       counting.largest);

    begin(); /* a million bytes from six thousand: the block must grow */
    block(1, 1);
    literal('x');
    for (int i = 0; i < SIZE / 258; i++) word("11000101 00000");
    word("0000000");
    const size_t size = 1 + SIZE / 258 * 258;
    unsigned char *text = (unsigned char *)malloc(size);
    memset(text, 'x', size);
    end((char *)text, size);
    for (size_t fail_at = 1;; fail_at++) {
        dni_content content;
        counting_reset(fail_at);
        const dn_status status = unpack(stream, bits / 8, &content);
        if (status == DN_OK) {
            ok(content.size == size && memcmp(content.bytes, text, size) == 0,
               "%zu bytes from %zu, in %zu allocations", size, bits / 8, counting.calls);
            ok(counting.largest <= 2 * size + 1024, "the largest of %zu bytes", counting.largest);
            ok(counting.calls > 3, "so that it did grow");
            dni_release(content.owned);
            break;
        }
        ok(status == DN_ERROR_MEMORY && counting.live == 0, "allocation %zu fails: %s", fail_at,
           error.message);
    }
    free(text);

    /* The same with a header in front: the block does not grow beyond what that says. */
    enum { RUNS = 2400, WHOLE = 8 + 1 + 258 * RUNS };
    static unsigned char array_bytes[WHOLE] = {0, 0, 8, 1, 0, 0, 0, 0, 'x'};
    for (int i = 0; i < 4; i++) array_bytes[4 + i] = (unsigned char)((WHOLE - 8) >> (24 - 8 * i));
    memset(array_bytes + 9, 'x', WHOLE - 9);
    begin();
    block(1, 1);
    for (int i = 0; i < 9; i++) literal(array_bytes[i]);
    for (int i = 0; i < RUNS; i++) word("11000101 00000");
    word("0000000");
    end((const char *)array_bytes, WHOLE);
    counting_reset(0);
    dn_idx array;
    ok(dn_idx_memory(&array, stream, bits / 8, &error) == DN_OK && array.count == WHOLE - 8 &&
           memcmp(array.data, array_bytes + 8, array.count) == 0,
       "an array of %d bytes from %zu", WHOLE, bits / 8);
    ok(counting.calls > 2 && counting.largest <= WHOLE + 258 + 64,
       "the largest of %zu requests is %zu bytes", counting.calls, counting.largest);
    dn_idx_free(&array);
}

int main(void) {
    test_blocks();
    test_long_words();
    test_numbers();
    test_errors();
    test_wrapping();
    test_damage();
    test_memory();
    test_gzip();
    ok(counting.live == 0, "nothing is left allocated (%zu bytes)", counting.live);
    return done();
}
