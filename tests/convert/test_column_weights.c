/* Importance matrices in both formats, sound and hostile. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "convert/column_weights.h"
#include "convert/column_weights_int.h"
#include "gguf/gguf_write.h"

static char folder[] = "/tmp/hearth-imatrix-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* ---- .dat -------------------------------------------------------------------------------------
 */

struct bytes {
    uint8_t v[1024];
    size_t n;
};

static void put(struct bytes *b, const void *data, size_t n)
{
    assert_true(b->n + n <= sizeof b->v);
    memcpy(b->v + b->n, data, n);
    b->n += n;
}

static void put_i32(struct bytes *b, int32_t v)
{
    put(b, &v, 4);
}

static void put_entry(struct bytes *b, const char *name, int32_t calls, int32_t n, const float *v)
{
    put_i32(b, (int32_t)strlen(name));
    put(b, name, strlen(name));
    put_i32(b, calls);
    put_i32(b, n);
    put(b, v, 4 * (size_t)n);
}

static void sound_dat(struct bytes *b)
{
    b->n = 0;
    put_i32(b, 2);
    put_entry(b, "blk.1.ffn_up.weight", 4, 3, (const float[]){4, 8, 0});
    put_entry(b, "blk.0.ffn_up.weight", 0, 2, (const float[]){1.5f, 2});
    put_i32(b, 17);
    put_i32(b, 8);
    put(b, "code.txt", 8);
}

static enum status read_dat(const struct bytes *b, size_t n, struct column_weights *im, struct error *err)
{
    /* A copy of exactly this length: a sanitizer sees a read beyond it. */
    uint8_t *exact = malloc(n + 1);
    assert_non_null(exact);
    uint8_t *end = memcpy(exact, b->v, n);
    *im = (struct column_weights){0};
    enum status st = column_weights_from_dat(end, n, "x.dat", im, err);
    if (!st) st = column_weights_finish(im, "x.dat", err);
    free(exact);
    return st;
}

static void clear(struct column_weights *im)
{
    for (size_t i = 0; i < im->n; i++) {
        free(im->entries[i].name);
        free(im->entries[i].values);
    }
    free(im->entries);
    free(im->dataset);
}

static void dat(void **state)
{
    (void)state;
    struct bytes b;
    struct column_weights im;
    struct error err = {0};
    sound_dat(&b);
    assert_int_equal(read_dat(&b, b.n, &im, &err), OK);
    assert_int_equal(column_weights_n_entries(&im), 2);
    assert_int_equal(column_weights_n_chunks(&im), 17);
    assert_string_equal(column_weights_dataset(&im), "code.txt");
    const struct column_weight *e = column_weights_find(&im, "blk.1.ffn_up.weight");
    assert_non_null(e);
    assert_int_equal(e->n, 3);
    assert_true(e->values[0] == 1 && e->values[1] == 2 && e->values[2] == 0);
    e = column_weights_find(&im, "blk.0.ffn_up.weight");
    assert_true(e && e->n == 2 && e->values[0] == 1.5f);
    assert_null(column_weights_find(&im, "blk.0.ffn_up.weigh"));
    assert_null(column_weights_find(&im, ""));
    clear(&im);
}

/* Cut off anywhere before the optional end, it is refused; the end may be missing. */
static void dat_cut_off(void **state)
{
    (void)state;
    struct bytes b;
    struct column_weights im;
    sound_dat(&b);
    for (size_t n = 0; n < b.n; n++) {
        struct error err = {0};
        enum status st = read_dat(&b, n, &im, &err);
        if (n < b.n - 16) {
            assert_int_equal(st, ERR_FORMAT);
            assert_non_null(strstr(err.msg, "x.dat"));
        } else {
            assert_int_equal(st, OK);
            assert_string_equal(column_weights_dataset(&im), "");
        }
        clear(&im);
    }
}

static void expect_refusal(const struct bytes *b, const char *why)
{
    struct column_weights im;
    struct error err = {0};
    assert_int_equal(read_dat(b, b->n, &im, &err), ERR_FORMAT);
    if (!strstr(err.msg, why)) fail_msg("'%s' lacks '%s'", err.msg, why);
    clear(&im);
}

static void hostile_dat(void **state)
{
    (void)state;
    struct bytes b = {.n = 0};
    static const float one[] = {1};
    put_i32(&b, 1);
    put_i32(&b, INT32_MAX);
    put(&b, "name", 4);
    expect_refusal(&b, "impossible lengths");
    b.n = 0;
    put_i32(&b, 1);
    put_i32(&b, -4);
    put(&b, "name", 4);
    expect_refusal(&b, "impossible lengths");
    b.n = 0;
    put_i32(&b, 1);
    put_i32(&b, 4);
    put(&b, "name", 4);
    put_i32(&b, 1);
    put_i32(&b, INT32_MAX);
    put(&b, one, 4);
    expect_refusal(&b, "impossible lengths");
    b.n = 0;
    put_i32(&b, INT32_MAX);
    put_entry(&b, "a", 1, 1, one);
    expect_refusal(&b, "entry 1 is cut off");
    b.n = 0;
    put_i32(&b, -1);
    expect_refusal(&b, "neither GGUF nor .dat");
    b.n = 0;
    put_i32(&b, 2);
    put_entry(&b, "a", 1, 1, one);
    put_entry(&b, "a", 1, 1, one);
    expect_refusal(&b, "'a' occurs twice");
    b.n = 0;
    put_i32(&b, 1);
    put_entry(&b, "a", 1, 1, (const float[]){NAN});
    expect_refusal(&b, "no mean square");
    b.n = 0;
    put_i32(&b, 1);
    put_entry(&b, "a", 1, 1, (const float[]){-1});
    expect_refusal(&b, "no mean square");
}

/* ---- GGUF -------------------------------------------------------------------------------------
 */

struct part {
    const char *name;
    uint32_t type;
    uint64_t ne[2];
    float v[8];
};

static const char *write_gguf(const struct part *parts, size_t n)
{
    const char *path = path_of("m.gguf");
    struct gguf_writer *w;
    struct error err = {0};
    struct gguf_str names[] = {{"a.txt", 5}, {"b.txt", 5}};
    assert_int_equal(gguf_writer_begin(path, 0, &w, &err), OK);
    gguf_writer_str(w, "general.type", "imatrix");
    gguf_writer_strings(w, "imatrix.datasets", names, 2);
    gguf_writer_u64(w, "imatrix.chunk_count", GGUF_U32, 5);
    for (size_t i = 0; i < n; i++)
        gguf_writer_tensor(w, parts[i].name, parts[i].type, 2, parts[i].ne);
    if (gguf_writer_start(w, &err)) fail_msg("%s", err.msg);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(gguf_writer_put(w, i, 0, parts[i].v, gguf_writer_tensor_bytes(w, i), &err),
                         OK);
    assert_int_equal(gguf_writer_commit(w, &err), OK);
    return path;
}

static void gguf_with_experts(void **state)
{
    (void)state;
    static const struct part parts[] = {
        {"blk.0.ffn_down_exps.weight.in_sum2", 0, {2, 3}, {2, 4, 9, 9, 10, 30}},
        {"blk.0.ffn_down_exps.weight.counts", 0, {1, 3}, {2, 0, 10}},
        {"output.weight.in_sum2", 0, {4, 1}, {1, 2, 3, 4}},
        {"output.weight.counts", 0, {1, 1}, {2}},
    };
    struct column_weights *im;
    struct error err = {0};
    if (column_weights_open(write_gguf(parts, 4), &im, &err)) fail_msg("%s", err.msg);
    assert_int_equal(column_weights_n_entries(im), 2);
    assert_int_equal(column_weights_n_chunks(im), 5);
    assert_string_equal(column_weights_dataset(im), "a.txt");
    const struct column_weight *e = column_weights_find(im, "blk.0.ffn_down_exps.weight");
    static const float want[] = {1, 2, 1, 1, 1, 3}; /* no token reached the second expert */
    assert_true(e && e->n == 6 && e->columns == 2);
    assert_memory_equal(e->values, want, sizeof want);
    e = column_weights_find(im, "output.weight");
    assert_true(e && e->n == 4 && e->columns == 4 && e->values[3] == 2);
    column_weights_close(im);
}

static void broken_gguf(void **state)
{
    (void)state;
    static const struct {
        struct part parts[2];
        size_t n;
        const char *why;
    } cases[] = {
        {{{"a.in_sum2", 0, {2, 1}, {1, 1}}}, 1, "a.counts"},
        {{{"a.counts", 0, {2, 1}, {1, 1}}}, 1, ""},
        {{{"a.in_sum2", 0, {3, 1}, {1, 1, 1}}, {"a.counts", 0, {1, 2}, {1, 1}}}, 2, "counts"},
        {{{"a.in_sum2", 1, {2, 1}, {1}}, {"a.counts", 0, {1, 1}, {1}}}, 2, "a.in_sum2"},
        {{{"a.in_sum2", 0, {1, 1}, {INFINITY}}, {"a.counts", 0, {1, 1}, {1}}}, 2, "a"},
        {{{"a.in_sum2", 0, {1, 1}, {1}}, {"a.counts", 0, {1, 1}, {NAN}}}, 2, "a"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct column_weights *im;
        struct error err = {0};
        enum status st = column_weights_open(write_gguf(cases[i].parts, cases[i].n), &im, &err);
        assert_int_equal(st, cases[i].why ? ERR_FORMAT : OK);
        if (cases[i].why && !strstr(err.msg, cases[i].why))
            fail_msg("'%s' lacks '%s'", err.msg, cases[i].why);
        assert_true(!im == (st != OK));
        column_weights_close(im);
    }
}

static void files(void **state)
{
    (void)state;
    struct column_weights *im;
    struct error err = {0};
    struct bytes b;
    assert_int_equal(column_weights_open(path_of("missing"), &im, &err), ERR_NOT_FOUND);
    assert_int_equal(file_replace(path_of("empty"), "", 0, &err), OK);
    assert_int_equal(column_weights_open(path_of("empty"), &im, &err), ERR_FORMAT);
    sound_dat(&b);
    assert_int_equal(file_replace(path_of("x.dat"), b.v, b.n, &err), OK);
    assert_int_equal(column_weights_open(path_of("x.dat"), &im, &err), OK);
    assert_string_equal(column_weights_at(im, 0)->name, "blk.0.ffn_up.weight");
    column_weights_close(im);
    column_weights_close(NULL);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"m.gguf", "empty", "x.dat"};
    for (size_t i = 0; i < 3; i++) unlink(path_of(names[i]));
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dat),         cmocka_unit_test(dat_cut_off),
        cmocka_unit_test(hostile_dat), cmocka_unit_test(gguf_with_experts),
        cmocka_unit_test(broken_gguf), cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
