/* Decoding of every block format against values computed by the `gguf` Python package
 * (tests/golden/quant/blocks.bin, written by tools/golden/quant_golden.py), and the exactness of
 * the conversions to and from half and bfloat16. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/sha256.h"
#include "quant/blocks.h"
#include "quant/quant.h"

enum { MANY = 512 };

struct reader {
    const uint8_t *p, *end;
};

static const void *take(struct reader *r, size_t n)
{
    assert_true((size_t)(r->end - r->p) >= n);
    r->p += n;
    return r->p - n;
}

static uint32_t take_u32(struct reader *r)
{
    return quant_load_u32(take(r, 4));
}

static uint32_t float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, 4);
    return u;
}

static float float_of(uint32_t u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* The same bytes as the script's stream(). */
static void stream(uint64_t seed, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        out[i] = (uint8_t)(seed >> 33);
    }
}

static void check_fixed_blocks(struct reader *r, const struct quant_traits *t, uint32_t n_blocks)
{
    size_t n = (size_t)n_blocks * t->block_elems, raw_size = (size_t)n_blocks * t->block_bytes;
    const uint8_t *raw = take(r, raw_size), *want = take(r, n * 4);
    float *got = malloc(n * sizeof *got);
    uint8_t *shifted = malloc(raw_size + 1);
    assert_non_null(got);
    assert_non_null(shifted);
    memcpy(shifted + 1, raw, raw_size); /* an odd address */
    for (int odd = 0; odd < 2; odd++) {
        memset(got, 0xAA, n * sizeof *got);
        t->decode(odd ? shifted + 1 : raw, got, n_blocks);
        for (size_t i = 0; i < n; i++)
            if (float_bits(got[i]) != quant_load_u32(want + 4 * i))
                fail_msg("%s element %zu: %a, expected %a", t->name, i, (double)got[i],
                         (double)float_of(quant_load_u32(want + 4 * i)));
    }
    free(shifted);
    free(got);
}

static void check_many_blocks(struct reader *r, const struct quant_traits *t)
{
    size_t n = (size_t)MANY * t->block_elems, raw_size = (size_t)MANY * t->block_bytes;
    uint8_t *raw = malloc(raw_size), digest[SHA256_BYTES];
    float *got = malloc(n * sizeof *got);
    assert_non_null(raw);
    assert_non_null(got);
    stream(t->id, raw, raw_size);
    t->decode(raw, got, MANY);
    uint32_t quiet = 0x7fc00000;
    for (size_t i = 0; i < n; i++)
        if (isnan(got[i])) memcpy(&got[i], &quiet, 4);
    assert_int_equal(sha256_of(got, n * sizeof *got, digest), OK);
    if (memcmp(digest, take(r, SHA256_BYTES), SHA256_BYTES) != 0)
        fail_msg("%s: some of %d random blocks decode to other values", t->name, MANY);
    free(got);
    free(raw);
}

static void check_narrowing(struct reader *r)
{
    uint32_t n = take_u32(r);
    assert_true(n > 700);
    for (uint32_t i = 0; i < n; i++) {
        float f = float_of(take_u32(r));
        uint16_t half = quant_load_u16(take(r, 2)), bfloat = quant_load_u16(take(r, 2));
        if (quant_f32_to_f16(f) != half)
            fail_msg("half of %a: %04x, expected %04x", (double)f, quant_f32_to_f16(f), half);
        if (quant_f32_to_bf16(f) != bfloat)
            fail_msg("bfloat of %a: %04x, expected %04x", (double)f, quant_f32_to_bf16(f), bfloat);
    }
}

static void equal_to_the_gguf_package(void **state)
{
    (void)state;
    struct file_map map;
    struct error err = {0};
    if (file_map_open(GOLDEN_DIR "/quant/blocks.bin", &map, &err) != OK) fail_msg("%s", err.msg);
    struct reader r = {map.data, map.data + map.size};
    assert_memory_equal(take(&r, 8), "QGOLD1\0\0", 8);
    uint32_t n_types = take_u32(&r), seen = 0;
    for (uint32_t i = 0; i < n_types; i++, seen++) {
        uint32_t id = take_u32(&r), n_blocks = take_u32(&r);
        const struct quant_traits *t = quant_find(id);
        assert_non_null(t);
        assert_int_equal(take_u32(&r), t->block_bytes);
        assert_int_equal(take_u32(&r), t->block_elems);
        check_fixed_blocks(&r, t, n_blocks);
        check_many_blocks(&r, t);
    }
    check_narrowing(&r);
    assert_true(r.p == r.end);
    uint32_t known = 0;
    while (quant_all()[known]) known++;
    assert_int_equal(seen, known);
    file_map_close(&map);
}

static void registry_is_consistent(void **state)
{
    (void)state;
    for (const struct quant_traits *const *t = quant_all(); *t; t++) {
        assert_ptr_equal(quant_find((*t)->id), *t);
        assert_true((*t)->block_elems > 0 && (*t)->block_bytes > 0);
        for (const struct quant_traits *const *u = quant_all(); u < t; u++) {
            assert_int_not_equal((*u)->id, (*t)->id);
            assert_string_not_equal((*u)->name, (*t)->name);
        }
        (*t)->decode(NULL, NULL, 0);
    }
    assert_null(quant_find(4)); /* retired from the format */
    assert_null(quant_find(9)); /* Q8_1: never in a file */
    assert_null(quant_find(UINT32_MAX));
}

static double half_value(uint16_t h)
{
    int e = h >> 10 & 31, m = h & 1023;
    double v = e == 31 ? (m ? NAN : INFINITY) : e ? ldexp(1024 + m, e - 25) : ldexp(m, -24);
    return h >> 15 ? -v : v;
}

static void every_half(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint16_t h = (uint16_t)i;
        float f = quant_f16_to_f32(h);
        if (isnan(half_value(h))) {
            assert_int_equal(float_bits(f), (uint32_t)(h & 0x8000) << 16 | 0x7fc00000 |
                                                (uint32_t)(h & 0x3ff) << 13);
            assert_int_equal(quant_f32_to_f16(f), h | 0x200);
            continue;
        }
        assert_true((double)f == half_value(h) && !signbit(f) == !(h >> 15));
        assert_int_equal(quant_f32_to_f16(f), h);
    }
}

/* Between each two neighbouring halves: the midpoint goes to the even one, its neighbours in f32
 * each to their own side. The step past the largest leads to infinity. */
static void rounding_to_half(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 0x7c00; i++) {
        uint16_t low = (uint16_t)i, high = (uint16_t)(i + 1);
        double top = high == 0x7c00 ? 65536.0 : half_value(high);
        float middle = (float)((half_value(low) + top) / 2);
        assert_int_equal(quant_f32_to_f16(middle), low & 1 ? high : low);
        assert_int_equal(quant_f32_to_f16(nextafterf(middle, 0)), low);
        assert_int_equal(quant_f32_to_f16(nextafterf(middle, INFINITY)), high);
        assert_int_equal(quant_f32_to_f16(-middle), 0x8000 | (low & 1 ? high : low));
    }
    assert_int_equal(quant_f32_to_f16(INFINITY), 0x7c00);
    assert_int_equal(quant_f32_to_f16(-INFINITY), 0xfc00);
    assert_int_equal(quant_f32_to_f16(3.4e38f), 0x7c00);
    assert_int_equal(quant_f32_to_f16(1e-45f), 0);
    assert_int_equal(quant_f32_to_f16(float_of(0x7f800001)), 0x7e00);
    assert_int_equal(quant_f32_to_f16(float_of(0xffc02000)), 0xfe01);
}

static void every_bfloat(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= 0xffff; i++) {
        uint16_t b = (uint16_t)i;
        assert_int_equal(float_bits(quant_bf16_to_f32(b)), i << 16);
        bool nan = (b & 0x7fff) > 0x7f80;
        assert_int_equal(quant_f32_to_bf16(float_of(i << 16)), nan ? b | 0x40 : b);
        if ((b & 0x7f80) == 0x7f80) continue;
        assert_int_equal(quant_f32_to_bf16(float_of(i << 16 | 0x7fff)), b);
        assert_int_equal(quant_f32_to_bf16(float_of(i << 16 | 0x8000)), b & 1 ? b + 1 : b);
        assert_int_equal(quant_f32_to_bf16(float_of(i << 16 | 0x8001)), b + 1);
    }
    assert_int_equal(quant_f32_to_bf16(float_of(0x7fffffff)), 0x7fff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_the_gguf_package),
        cmocka_unit_test(registry_is_consistent),
        cmocka_unit_test(every_half),
        cmocka_unit_test(rounding_to_half),
        cmocka_unit_test(every_bfloat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
