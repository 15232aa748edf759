/* Folders of every family, imported, against what llama.cpp's converter made of the same weights:
 * see tools/golden/hf_golden.py. Keys, and names, types, shapes and bytes of the tensors. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"
#include "convert/import.h"
#include "gguf/gguf.h"
#include "hf_kit.h"
#include "quant/quant.h"

static void write_folder(const struct files *f, const json_t *golden)
{
    char *config = json_dumps(json_object_get(golden, "config"), 0);
    struct st_build b;
    const char *name;
    json_t *entry;
    assert_true(files_write(f, "config.json", config, strlen(config)));
    free(config);
    st_begin(&b);
    json_object_foreach(json_object_get(golden, "source"), name, entry)
    {
        uint64_t shape[8];
        const json_t *dims = json_array_get(entry, 1);
        for (size_t i = 0; i < json_array_size(dims); i++)
            shape[i] = (uint64_t)json_integer_value(json_array_get(dims, i));
        st_add_weight(&b, name, json_string_value(json_array_get(entry, 0)), json_array_size(dims),
                      shape);
    }
    st_write(&b, f, "model.safetensors");
}

static int check_texts(const struct gguf *g, const char *name, const json_t *want)
{
    struct gguf_array a;
    struct gguf_str s;
    uint64_t cursor = 0;
    size_t n = 0;
    if (gguf_get_array(g, name, &a, NULL) != OK || a.type != GGUF_STRING) return 0;
    for (; gguf_array_next_str(&a, &cursor, &s); n++)
        if (!gguf_str_eq(s, json_string_value(json_array_get(want, n)))) return 0;
    return n == json_array_size(want);
}

static int check_key(const struct gguf *g, const char *name, const json_t *want)
{
    struct gguf_str s;
    double d;
    bool b;
    if (json_is_array(want)) return check_texts(g, name, want);
    if (json_is_string(want))
        return gguf_get_str(g, name, &s, NULL) == OK && gguf_str_eq(s, json_string_value(want));
    if (json_is_boolean(want))
        return gguf_get_bool(g, name, &b, NULL) == OK && b == json_is_true(want);
    /* Floats are written as 32 bits; their decimal forms differ in the last of them at most. */
    return gguf_get_f64(g, name, &d, NULL) == OK &&
           fabs(d - json_number_value(want)) <= 1e-6 * fabs(json_number_value(want));
}

/* Computed numbers, whose last bits depend on the library. */
static int check_values(const struct gguf_tensor *t, const json_t *want)
{
    for (size_t i = 0; i < json_array_size(want); i++) {
        float f;
        double w = json_number_value(json_array_get(want, i));
        memcpy(&f, t->data + 4 * i, sizeof f);
        if (fabs((double)f - w) > 1e-6 * fabs(w)) return 0;
    }
    return json_array_size(want) == t->ne[0];
}

static int check_tensor(const struct gguf *g, const char *name, const json_t *want)
{
    const struct gguf_tensor *t = gguf_tensor_find(g, name);
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    if (!t) {
        print_error("tensor %s is missing\n", name);
        return 0;
    }
    const char *type = quant_find(t->type)->name;
    bool same = strcmp(type, json_string_value(json_array_get(want, 0))) == 0;
    const json_t *shape = json_array_get(want, 1);
    same = same && t->n_dims == json_array_size(shape);
    for (size_t i = 0; i < t->n_dims && same; i++)
        same = t->ne[i] == (uint64_t)json_integer_value(json_array_get(shape, i));
    if (!same) {
        print_error("tensor %s has type %s, %u dimensions, or another shape\n", name, type,
                    t->n_dims);
        return 0;
    }
    if (json_array_size(want) > 3) return check_values(t, json_array_get(want, 3));
    assert_int_equal(sha256_of(t->data, (size_t)t->size, digest), OK);
    sha256_hex(digest, hex);
    same = strcmp(hex, json_string_value(json_array_get(want, 2))) == 0;
    if (!same) print_error("tensor %s has other bytes\n", name);
    return same;
}

/* Returns the number of differences. */
static int compare(const struct gguf *g, const json_t *golden)
{
    const char *name;
    json_t *want;
    int wrong = 0;
    json_object_foreach(json_object_get(golden, "keys"), name, want)
    {
        if (check_key(g, name, json_array_get(want, 1))) continue;
        print_error("key %s differs\n", name);
        wrong++;
    }
    json_object_foreach(json_object_get(golden, "tensors"), name, want) wrong +=
        !check_tensor(g, name, want);
    if (gguf_n_tensors(g) != json_object_size(json_object_get(golden, "tensors"))) {
        print_error("%zu tensors\n", gguf_n_tensors(g));
        wrong++;
    }
    return wrong;
}

static int check_case(const char *path)
{
    struct files f;
    json_error_t je;
    struct error err = {0};
    struct import_options o = {.n_threads = 2};
    struct import_report report;
    struct gguf *g = NULL;
    json_t *golden = json_load_file(path, 0, &je);
    assert_non_null(golden);
    assert_true(files_init(&f));
    write_folder(&f, golden);
    char *out = strdup(files_path(&f, "out.gguf"));
    enum status st = import_folder(f.dir, out, &o, &report, &err);
    if (st) print_error("%s\n", err.msg);
    if (!st && gguf_open(out, &g, &err)) print_error("%s\n", err.msg);
    int wrong = g ? compare(g, golden) : 1;
    gguf_close(g);
    free(out);
    files_fini(&f);
    json_decref(golden);
    return wrong;
}

static void test_every_family(void **state)
{
    (void)state;
    struct dirent **list = NULL;
    int n = scandir(GOLDEN_DIR "/import", &list, NULL, alphasort), seen = 0, wrong = 0;
    assert_true(n > 0);
    for (int i = 0; i < n; i++) {
        char path[512];
        size_t len = strlen(list[i]->d_name);
        snprintf(path, sizeof path, "%s/import/%s", GOLDEN_DIR, list[i]->d_name);
        bool json = len > 5 && strcmp(list[i]->d_name + len - 5, ".json") == 0;
        free(list[i]);
        if (!json) continue;
        int bad = check_case(path);
        if (bad) print_error("%s: %d differences\n", path, bad);
        wrong += bad;
        seen++;
    }
    free(list);
    assert_true(seen >= 30);
    assert_int_equal(wrong, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_family)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
