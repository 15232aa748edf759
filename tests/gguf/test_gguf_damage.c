/* Damaged and hostile files: an error that names the file and the culprit, never a crash. The bytes
 * end at a page that may not be read, so that any step past them is caught in every build. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "gguf/gguf_int.h"
#include "gguf_build.h"
#include "gguf_exercise.h"

struct guarded {
    uint8_t *map, *end;
    size_t map_size;
};

static struct guarded guarded_new(size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t body = (size + page - 1) / page * page;
    struct guarded g = {.map_size = body + page};
    g.map = mmap(NULL, g.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    g.end = g.map + body;
    assert_int_equal(mprotect(g.end, page, PROT_NONE), 0);
    return g;
}

/* Copies bytes up to the guard page and opens them; what opens is exercised and closed. */
static enum status try_open(const struct guarded *area, const void *bytes, size_t size,
                            struct error *err)
{
    uint8_t *at = area->end - size;
    if (bytes != at) memcpy(at, bytes, size);
    struct gguf *g = (struct gguf *)area;
    *err = (struct error){0};
    enum status st = gguf_open_memory(at, size, "bad.gguf", &g, err);
    if (st) {
        assert_null(g);
        assert_int_equal(err->code, st);
        if (!strstr(err->msg, "bad.gguf")) fail_msg("no file name: %s", err->msg);
        return st;
    }
    const char *wrong = gguf_exercise(g, at, size);
    gguf_close(g);
    if (wrong) fail_msg("%s", wrong);
    return OK;
}

static void expect(const struct gguf_build *b, enum status want, const char *part1,
                   const char *part2)
{
    struct buf out;
    struct error err;
    buf_init(&out, 1 << 24);
    build_finish(b, &out);
    struct guarded area = guarded_new(out.len);
    enum status st = try_open(&area, out.data, out.len, &err);
    if (st != want || !strstr(err.msg, part1) || !strstr(err.msg, part2))
        fail_msg("status %d (wanted %d), message: %s (wanted: %s ... %s)", st, want, err.msg, part1,
                 part2);
    munmap(area.map, area.map_size);
    buf_fini(&out);
}

static void every_truncation(void **state)
{
    (void)state;
    for (uint32_t version = 2; version <= 3; version++) {
        struct buf b;
        struct error err;
        buf_init(&b, 1 << 20);
        build_sample(version, &b);
        struct guarded area = guarded_new(b.len);
        assert_int_equal(try_open(&area, b.data, b.len, &err), OK);
        for (size_t len = 0; len < b.len; len++)
            if (try_open(&area, b.data, len, &err) != ERR_FORMAT)
                fail_msg("%zu of %zu bytes: %s", len, b.len, err.msg);
        munmap(area.map, area.map_size);
        buf_fini(&b);
    }
}

static void every_changed_byte(void **state)
{
    (void)state;
    struct buf b;
    struct error err;
    buf_init(&b, 1 << 20);
    build_sample(3, &b);
    struct guarded area = guarded_new(b.len);
    uint8_t *at = area.end - b.len;
    memcpy(at, b.data, b.len);
    struct gguf *g;
    assert_int_equal(gguf_open_memory(at, b.len, "whole", &g, &err), OK);
    size_t header = (size_t)(gguf_tensor_at(g, 0)->data - at);
    gguf_close(g);
    size_t opened = 0, refused = 0;
    for (size_t i = 0; i < b.len; i++) {
        uint8_t was = at[i];
        for (int v = 0; v < 256; v += i < header ? 1 : 51) {
            at[i] = (uint8_t)v;
            if (try_open(&area, at, b.len, &err) == OK)
                opened++;
            else
                refused++;
        }
        at[i] = was;
    }
    /* Names and values may change freely; lengths, counts and types may not. */
    assert_true(opened > 20000 && refused > 50000);
    munmap(area.map, area.map_size);
    buf_fini(&b);
}

/* Two bytes at once reach what a single one cannot; the same pairs in every run. */
static void pairs_of_changed_bytes(void **state)
{
    (void)state;
    struct buf b;
    struct error err;
    buf_init(&b, 1 << 20);
    build_sample(2, &b);
    struct guarded area = guarded_new(b.len);
    uint8_t *at = area.end - b.len;
    memcpy(at, b.data, b.len);
    uint64_t s = 1;
    for (int round = 0; round < 30000; round++) {
        size_t where[2];
        uint8_t was[2];
        for (int k = 0; k < 2; k++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            where[k] = (size_t)(s >> 33) % b.len;
            was[k] = at[where[k]];
            at[where[k]] = (uint8_t)(s >> 24);
        }
        try_open(&area, at, b.len, &err);
        at[where[1]] = was[1];
        at[where[0]] = was[0];
    }
    munmap(area.map, area.map_size);
    buf_fini(&b);
}

static void versions(void **state)
{
    (void)state;
    const struct {
        uint32_t version;
        const char *text;
    } cases[] = {{0, "version 0"},
                 {1, "version 1 is no longer read"},
                 {4, "version 4"},
                 {0x03000000, "byte-swapped"},
                 {0x02000000, "byte-swapped"},
                 {77777, "77777"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct gguf_build b;
        build_init(&b, cases[i].version);
        expect(&b, ERR_UNSUPPORTED, cases[i].text, "");
        build_fini(&b);
    }
    struct error err;
    struct guarded area = guarded_new(24);
    assert_int_equal(try_open(&area, "FUGG\3\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 24, &err),
                     ERR_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "byte-swapped"));
    munmap(area.map, area.map_size);
}

static void hostile_counts(void **state)
{
    (void)state;
    const uint64_t counts[] = {1,          2,          65536,           65537,
                               1u << 20,   1u << 31,   1ull << 32,      1ull << 61,
                               1ull << 63, UINT64_MAX, UINT64_MAX / 14, UINT64_MAX / 56 + 1};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct gguf_build b;
        build_init(&b, 3);
        b.n_keys = counts[i];
        expect(&b, ERR_FORMAT, "keys", "");
        b.n_keys = 0;
        b.n_tensors = counts[i];
        expect(&b, ERR_FORMAT, "tensors", "");
        build_fini(&b);
        if (counts[i] <= 2) continue;
        for (uint32_t elem = GGUF_U8; elem <= GGUF_F64; elem++) {
            if (elem == GGUF_ARRAY) continue;
            build_init(&b, 3);
            build_array(&b, "long.array", elem, counts[i], "\0\0\0\0\0\0\0\0", 8);
            expect(&b, ERR_FORMAT, "'long.array'", "");
            build_fini(&b);
        }
    }
}

/* Counts that the file does have room for, above what a model can need. */
static void counts_above_the_limits(void **state)
{
    (void)state;
    size_t size = (size_t)40 << 20; /* never touched but for the header */
    uint8_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(p != MAP_FAILED);
    const struct {
        uint32_t keys, tensors;
        const char *text;
    } cases[] = {{65537, 0, "claims 65537 keys"}, {0, (1 << 20) + 1, "claims 1048577 tensors"}};
    for (size_t i = 0; i < 2; i++) {
        struct gguf *g;
        struct error err;
        memcpy(p, "GGUF\3\0\0\0", 8);
        memcpy(p + 8, (const uint64_t[]){cases[i].tensors, cases[i].keys}, 16);
        assert_int_equal(gguf_open_memory(p, size, "bad.gguf", &g, &err), ERR_FORMAT);
        assert_non_null(strstr(err.msg, cases[i].text));
    }
    munmap(p, size);
}

static void hostile_lengths(void **state)
{
    (void)state;
    const uint64_t lengths[] = {5, 1u << 31, 1ull << 32, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct gguf_build b;
        uint8_t bytes[12];
        for (int k = 0; k < 8; k++) bytes[k] = (uint8_t)(lengths[i] >> 8 * k);
        memcpy(bytes + 8, "abcd", 4);
        build_init(&b, 3);
        build_raw_key(&b, "text", 4, GGUF_STRING, bytes, sizeof bytes);
        expect(&b, ERR_FORMAT, "'text'", "bytes of text");
        build_fini(&b);
        build_init(&b, 3);
        build_array(&b, "list", GGUF_STRING, 1, bytes, sizeof bytes);
        expect(&b, ERR_FORMAT, "'list'", "bytes of text");
        build_fini(&b);
        build_init(&b, 3);
        b.n_keys = 1;
        if (buf_append(&b.keys, bytes, sizeof bytes) || buf_append(&b.keys, "12345", 5)) fail();
        if (lengths[i] > 9) expect(&b, ERR_FORMAT, "key 1 of 1", "");
        build_fini(&b);
    }
}

static void keys_that_are_refused(void **state)
{
    (void)state;
    struct gguf_build b;
    build_init(&b, 3);
    build_raw_key(&b, "", 0, GGUF_U32, "\1\0\0\0", 4);
    expect(&b, ERR_FORMAT, "key 1 of 1", "empty name");
    build_fini(&b);

    build_init(&b, 3);
    char *name = malloc(65536);
    assert_non_null(name);
    memset(name, 'k', 65536);
    build_raw_key(&b, name, 65535, GGUF_U8, "\1", 1);
    struct buf out;
    struct error err;
    buf_init(&out, 1 << 20);
    build_finish(&b, &out);
    struct guarded area = guarded_new(out.len);
    assert_int_equal(try_open(&area, out.data, out.len, &err), OK);
    munmap(area.map, area.map_size);
    buf_fini(&out);
    build_fini(&b);
    build_init(&b, 3);
    build_raw_key(&b, name, 65536, GGUF_U8, "\1", 1);
    expect(&b, ERR_FORMAT, "65536 bytes", "at most 65535");
    build_fini(&b);
    free(name);

    build_init(&b, 3);
    build_number(&b, "twin", GGUF_U32, 1);
    build_number(&b, "between", GGUF_U32, 1);
    build_str(&b, "twin", "x");
    expect(&b, ERR_FORMAT, "key 'twin' occurs twice", "");
    build_fini(&b);

    const uint32_t types[] = {13, 14, 255, 0x80000000, UINT32_MAX};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        build_init(&b, 3);
        build_raw_key(&b, "odd", 3, types[i], "\0\0\0\0\0\0\0\0", 8);
        expect(&b, ERR_FORMAT, "'odd'", "unknown value type");
        build_fini(&b);
        build_init(&b, 3);
        build_array(&b, "odd", types[i], 0, "", 0);
        expect(&b, ERR_FORMAT, "'odd'", "unknown value type");
        build_fini(&b);
    }

    build_init(&b, 3);
    build_array(&b, "nested", GGUF_ARRAY, 1, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    expect(&b, ERR_FORMAT, "'nested'", "array of arrays");
    build_fini(&b);

    for (int v = 2; v < 256; v++) {
        build_init(&b, 3);
        build_number(&b, "flag", GGUF_BOOL, (uint64_t)v);
        expect(&b, ERR_FORMAT, "'flag'", "truth value");
        build_fini(&b);
    }
    build_init(&b, 3);
    build_array(&b, "flags", GGUF_BOOL, 3, "\1\0\2", 3);
    expect(&b, ERR_FORMAT, "'flags'", "truth value of 2");
    build_fini(&b);
}

static void names_in_messages_are_made_harmless(void **state)
{
    (void)state;
    struct gguf_build b;
    char name[300];
    memset(name, 'n', sizeof name);
    memcpy(name, "\x1b[31m\n\xff", 7);
    build_init(&b, 3);
    build_raw_key(&b, name, sizeof name, 99, "", 0);
    expect(&b, ERR_FORMAT, "key '?[31m??nnnn", "n...' has");
    build_fini(&b);
}

static void alignments(void **state)
{
    (void)state;
    const uint32_t bad[] = {0, 1, 2, 4, 3, 7, 24, 33, 0x7fffffff, UINT32_MAX};
    struct gguf_build b;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        build_init(&b, 3);
        build_number(&b, "general.alignment", GGUF_U32, bad[i]);
        build_tensor(&b, "t", 0, (const uint64_t[]){1, 0}, 4);
        expect(&b, ERR_FORMAT, "'general.alignment'", "power of two");
        build_fini(&b);
    }
    build_init(&b, 3);
    build_number(&b, "general.alignment", GGUF_U32, 0x80000000);
    build_tensor(&b, "t", 0, (const uint64_t[]){1, 0}, 4);
    expect(&b, ERR_FORMAT, "file ends at byte", "'t'");
    build_fini(&b);
    build_init(&b, 3);
    build_str(&b, "general.alignment", "32");
    expect(&b, ERR_FORMAT, "'general.alignment'", "is a string");
    build_fini(&b);
}

static void expect_tensor(uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset,
                          enum status want, const char *part)
{
    struct gguf_build b;
    build_init(&b, 3);
    build_tensor(&b, "good", 0, (const uint64_t[]){256, 0}, 1024);
    build_raw_tensor(&b, "bad.weight", n_dims, ne, type, offset);
    expect(&b, want, "'bad.weight'", part);
    build_fini(&b);
}

static void tensors_that_are_refused(void **state)
{
    (void)state;
    const uint64_t one[] = {1, 1, 1, 1, 1}, row[] = {256, 1, 1, 1};
    expect_tensor(0, one, 0, 0, ERR_FORMAT, "0 dimensions");
    expect_tensor(5, one, 0, 0, ERR_FORMAT, "5 dimensions");
    expect_tensor(2, (const uint64_t[]){4, 0}, 0, 0, ERR_FORMAT, "dimension 2 is 0");
    expect_tensor(1, (const uint64_t[]){0}, 0, 0, ERR_FORMAT, "dimension 1 is 0");
    expect_tensor(1, row, 4, 0, ERR_UNSUPPORTED, "type 4 (Q4_2, long retired)");
    expect_tensor(1, row, 5, 0, ERR_UNSUPPORTED, "type 5 (Q4_3, long retired)");
    expect_tensor(1, row, 4096, 0, ERR_UNSUPPORTED, "type 4096 (unknown");
    expect_tensor(1, row, UINT32_MAX, 0, ERR_UNSUPPORTED, "type 4294967295");
    expect_tensor(1, (const uint64_t[]){33}, 2, 0, ERR_FORMAT, "rows of 33");
    expect_tensor(1, (const uint64_t[]){128}, 12, 0, ERR_FORMAT, "256 in a block of Q4_K");
    expect_tensor(2, (const uint64_t[]){1ull << 32, 1ull << 32}, 0, 0, ERR_FORMAT,
                  "can be counted");
    expect_tensor(1, (const uint64_t[]){1ull << 62}, 0, 0, ERR_FORMAT, "can be counted");
    expect_tensor(1, (const uint64_t[]){1ull << 63}, 12, 0, ERR_FORMAT, "can be counted");
    expect_tensor(1, (const uint64_t[]){UINT64_MAX}, 0, 0, ERR_FORMAT, "can be counted");
    expect_tensor(4, (const uint64_t[]){65536, 65536, 65536, 65536}, 0, 0, ERR_FORMAT,
                  "can be counted");
    expect_tensor(1, row, 0, 4, ERR_FORMAT, "multiple of the alignment 32");
    expect_tensor(1, row, 0, 1024, ERR_FORMAT, "file ends at byte");
    expect_tensor(1, row, 0, 32, ERR_FORMAT, "file ends at byte");
    expect_tensor(1, (const uint64_t[]){1ull << 60}, 0, 0, ERR_FORMAT, "file ends at byte");
    expect_tensor(1, row, 0, 1ull << 62, ERR_FORMAT, "file ends at byte");
    expect_tensor(1, row, 0, UINT64_MAX - 31, ERR_FORMAT, "beyond any file");
    expect_tensor(1, row, 0, UINT64_MAX - 1023, ERR_FORMAT, "beyond any file");

    struct gguf_build b;
    build_init(&b, 3);
    build_tensor(&b, "twin", 0, (const uint64_t[]){1, 0}, 4);
    build_tensor(&b, "twin", 0, (const uint64_t[]){1, 0}, 4);
    expect(&b, ERR_FORMAT, "tensor 'twin' occurs twice", "");
    build_fini(&b);
    build_init(&b, 3);
    build_tensor(&b, "", 0, (const uint64_t[]){1, 0}, 4);
    expect(&b, ERR_FORMAT, "tensor 1 of 1", "empty name");
    build_fini(&b);
    char name[1026];
    memset(name, 't', sizeof name - 1);
    name[sizeof name - 1] = 0;
    build_init(&b, 3);
    build_tensor(&b, name, 0, (const uint64_t[]){1, 0}, 4);
    expect(&b, ERR_FORMAT, "1025 bytes", "at most 1024");
    build_fini(&b);
}

static void a_tensor_may_end_with_the_file(void **state)
{
    (void)state;
    struct gguf_build b;
    struct buf out;
    struct error err;
    build_init(&b, 3);
    buf_init(&out, 1 << 20);
    build_tensor(&b, "last", 1, (const uint64_t[]){5, 0}, 10);
    build_finish(&b, &out);
    struct guarded area = guarded_new(out.len);
    assert_int_equal(try_open(&area, out.data, out.len, &err), OK);
    assert_int_equal(try_open(&area, out.data, out.len - 1, &err), ERR_FORMAT);
    assert_non_null(strstr(err.msg, "tensor 'last' needs bytes"));
    assert_non_null(strstr(err.msg, "download it again"));
    munmap(area.map, area.map_size);
    buf_fini(&out);
    build_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_truncation),
        cmocka_unit_test(every_changed_byte),
        cmocka_unit_test(pairs_of_changed_bytes),
        cmocka_unit_test(versions),
        cmocka_unit_test(hostile_counts),
        cmocka_unit_test(counts_above_the_limits),
        cmocka_unit_test(hostile_lengths),
        cmocka_unit_test(keys_that_are_refused),
        cmocka_unit_test(names_in_messages_are_made_harmless),
        cmocka_unit_test(alignments),
        cmocka_unit_test(tensors_that_are_refused),
        cmocka_unit_test(a_tensor_may_end_with_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
