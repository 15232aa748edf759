/* Names and digests: what may become a file name, and what a typing mistake is near to. */
#include "kit.h"

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"a",    "qwen2.5-coder:1.5b", "0:0",
                                       "a..b", "a_b-c.d:x",          "smollm2"};
    static const char *const bad[] = {
        "",    ":",    "a:",     ":a",   "a:b:c", ".a",        "-a",    "_a",  "A",    "a b",
        "a/b", "../a", "a:../b", "a\nb", "a:.b",  "a\xC3\xA4", "a:b/c", "a@b", "a\\b", "a:-b",
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!store_name_valid(good[i])) fail_msg("%s is valid", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (store_name_valid(bad[i])) fail_msg("%s is not valid", bad[i]);
}

static void name_lengths(void **state)
{
    (void)state;
    char s[140];
    memset(s, 'a', sizeof s);
    s[64] = 0;
    assert_true(store_name_valid(s));
    s[64] = 'a';
    s[65] = 0;
    assert_false(store_name_valid(s));
    s[64] = ':';
    s[65] = 'a';
    s[129] = 0; /* 64 : 64 */
    assert_true(store_name_valid(s));
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    assert_int_equal(store_name_split(s, family, tag, NULL), OK);
    assert_int_equal(strlen(family), 64);
    assert_int_equal(strlen(tag), 64);
    s[129] = 'a';
    s[130] = 0;
    assert_false(store_name_valid(s));
}

static void splitting(void **state)
{
    (void)state;
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    assert_int_equal(store_name_split("qwen2.5-coder:1.5b", family, tag, NULL), OK);
    assert_string_equal(family, "qwen2.5-coder");
    assert_string_equal(tag, "1.5b");
    assert_int_equal(store_name_split("smollm2", family, tag, NULL), OK);
    assert_string_equal(tag, "");
    struct error err;
    assert_int_equal(store_name_split("../x", family, tag, &err), ERR_INVALID);
    assert_non_null(strstr(err.msg, "../x"));
}

static void digests(void **state)
{
    (void)state;
    char hex[66];
    kit_digest("x", hex);
    assert_true(store_digest_valid(hex));
    hex[63] = 0;
    assert_false(store_digest_valid(hex));
    kit_digest("x", hex);
    hex[64] = '0';
    hex[65] = 0;
    assert_false(store_digest_valid(hex));
    static const char *const places[] = {"G", "A", "/", ".", " "};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        kit_digest("x", hex);
        hex[5 + i] = places[i][0];
        assert_false(store_digest_valid(hex));
    }
    assert_false(store_digest_valid(""));
    assert_false(
        store_digest_valid("../../../../../../../../../../../../../../../../../etc/passwd00"));
}

static void names_of_files(void **state)
{
    (void)state;
    static const struct {
        const char *path, *name;
    } cases[] = {
        {"/a/b/Qwen2.5-Coder-7B-Q4_K_M.gguf", "qwen2.5-coder-7b-q4_k_m"},
        {"https://x.example/d/m.gguf?download=true", "m"},
        {"my model (1).gguf", "my-model--1-"},
        {".hidden.gguf", "hidden"},
        {"---", NULL},
        {"https://x.example/", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[STORE_NAME_SIZE];
        bool ok = store_name_from_file(cases[i].path, name);
        assert_int_equal(ok, cases[i].name != NULL);
        if (!ok) continue;
        assert_string_equal(name, cases[i].name);
        assert_true(store_name_valid(name));
    }
}

static void nearness(void **state)
{
    (void)state;
    assert_int_equal(store_name_distance("smollm2:135m", "smollm2:135m"), 0);
    assert_int_equal(store_name_distance("smollm2", "smollm2:135m"), 1); /* a beginning */
    assert_true(store_name_distance("smolllm2:135m", "smollm2:135m") <= 2);
    assert_true(store_name_distance("qwen-coder:1.5b", "qwen2.5-coder:1.5b") != SIZE_MAX);
    assert_int_equal(store_name_distance("ab", "ba"), 1); /* neighbours swapped */
    assert_int_equal(store_name_distance("xyzzy", "smollm2:135m"), SIZE_MAX);
    assert_int_equal(store_name_distance("", "a"), SIZE_MAX);
    char longest[300];
    memset(longest, 'a', sizeof longest);
    longest[299] = 0;
    assert_int_equal(store_name_distance(longest, "a"), SIZE_MAX);
}

/* No key can leave the store's folder, whatever it is. */
static void paths(void **state)
{
    (void)state;
    struct store *s = kit_store();
    static const char *const bad[] = {"",     "..",          "../x",       "a/b",
                                      "a:..", "/etc/passwd", "a:b/../../c"};
    char *path, hex[65];
    for (int place = STORE_BLOB; place <= STORE_LOCK_NAME; place++) {
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
            assert_int_equal(store_path(s, (enum store_place)place, bad[i], &path, NULL),
                             ERR_INVALID);
            assert_null(path);
        }
        assert_int_equal(store_path(s, (enum store_place)place, NULL, &path, NULL), ERR_INVALID);
    }
    assert_int_equal(store_path(s, STORE_MANIFEST, "family", &path, NULL), ERR_INVALID);
    assert_int_equal(store_path(s, STORE_MANIFEST, "a:b", &path, NULL), OK);
    assert_string_equal(path + strlen(store_root(s)), "/manifests/a/b.json");
    free(path);
    assert_int_equal(store_path(s, STORE_BLOB, kit_digest("x", hex), &path, NULL), OK);
    assert_string_equal(path + strlen(path) - 64, hex);
    free(path);
    /* Different names never share a lock. */
    char *one, *two;
    assert_int_equal(store_path(s, STORE_LOCK_NAME, "a:b-c", &one, NULL), OK);
    assert_int_equal(store_path(s, STORE_LOCK_NAME, "a-b:c", &two, NULL), OK);
    assert_string_not_equal(one, two);
    free(one);
    free(two);
    kit_drop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),   cmocka_unit_test(name_lengths),   cmocka_unit_test(splitting),
        cmocka_unit_test(digests), cmocka_unit_test(names_of_files), cmocka_unit_test(nearness),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
