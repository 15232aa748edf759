/* Catalogue files, sound and hostile, and the one that comes with Hearth. */
#include "kit.h"

#include "store/source.h"

#define SHA "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"

/* All of a shape but its layers. */
#define DIMS                                                                                       \
    "\"width\": 64, \"feed_forward\": 128, \"heads\": 4, \"kv_heads\": 2, \"head_dim\": 16,"         \
    " \"vocabulary\": 100"

static const char sound[] =
    "{\"version\": 1, \"models\": [{\"name\": \"a:1\", \"aliases\": [\"a\", \"b:2\"],"
    " \"title\": \"A\", \"architecture\": \"llama\", \"parameters\": \"1B\","
    " \"quantization\": \"Q4_K_M\", \"license\": \"MIT\", \"context\": 4096, \"fim\": true,"
    " \"shape\": {" DIMS ", \"layers\": 3, \"gated\": true, \"experts\": 8,"
    " \"experts_used\": 2, \"expert_ff\": 32}, \"quality\": 61.5,"
    " \"default\": true, \"bytes\": 123, \"sha256\": \"" SHA "\", \"tags\": [\"code\"],"
    " \"sources\": [{\"type\": \"hub\", \"repo\": \"o/r\", \"file\": \"d/f.gguf\"},"
    "  {\"type\": \"url\", \"url\": \"https://x.example/f.gguf\"},"
    "  {\"type\": \"packages\", \"packages\": [\"p1\", \"p2\"], \"version\": \"1.0\","
    "   \"member\": \"p*/*.bin\", \"part_bytes\": 100},"
    "  {\"type\": \"file\", \"path\": \"/m.gguf\"}], \"later\": {\"unknown\": 1}},"
    " {\"name\": \"c:1\", \"sha256\": null, \"bytes\": null}]}";

static enum status add(const char *text, struct catalogue **out, struct error *err)
{
    assert_int_equal(catalogue_create(out, NULL), OK);
    return catalogue_add(*out, text, strlen(text), "test.json", NULL, err);
}

static void a_sound_file(void **state)
{
    (void)state;
    struct catalogue *c;
    struct error err = {0};
    if (add(sound, &c, &err) != OK) fail_msg("%s", err.msg);
    assert_int_equal(catalogue_n_models(c), 2);
    const struct catalogue_model *m = catalogue_find(c, "a:1");
    assert_non_null(m);
    assert_ptr_equal(m, catalogue_default(c));
    assert_ptr_equal(m, catalogue_find(c, "a"));
    assert_ptr_equal(m, catalogue_find(c, "b:2"));
    assert_null(catalogue_find(c, "b"));
    assert_string_equal(m->title, "A");
    assert_string_equal(m->license, "MIT");
    assert_string_equal(m->sha256, SHA);
    assert_int_equal(m->bytes, 123);
    assert_int_equal(m->context, 4096);
    assert_true(m->fim);
    assert_true(m->has_shape && m->shape.gated && !m->shape.tied && m->quality == 61.5);
    assert_int_equal(m->shape.layers, 3);
    assert_int_equal(m->shape.vocabulary, 100);
    assert_int_equal(m->shape.experts_used, 2);
    assert_int_equal(m->n_tags, 1);
    assert_int_equal(m->n_sources, 4);
    assert_ptr_equal(m->sources[0].type, &source_hub);
    assert_ptr_equal(m->sources[2].type, &source_packages);
    m = catalogue_find(c, "c:1");
    assert_null(m->sha256);
    assert_null(m->title);
    assert_false(m->has_shape || m->quality != 0);
    assert_int_equal(m->bytes, 0);
    assert_int_equal(m->n_sources, 0);
    catalogue_destroy(c);
}

/* Each model's text, and what the message must name. */
static void faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *model, *said;
    } cases[] = {
        {"{}", "name"},
        {"[]", "must hold objects"},
        {"7", "must hold objects"},
        {"null", "must hold objects"},
        {"{\"name\": 7}", "name"},
        {"{\"name\": \"\"}", "name"},
        {"{\"name\": \"a\"}", "name"},
        {"{\"name\": \"../a:1\"}", "name"},
        {"{\"name\": \"a:1/../../b\"}", "name"},
        {"{\"name\": \"a:1\", \"sha256\": \"xyz\"}", "sha256"},
        {"{\"name\": \"a:1\", \"sha256\": \"../../../../../../etc/passwd\"}", "sha256"},
        {"{\"name\": \"a:1\", \"sha256\": 5}", "sha256"},
        {"{\"name\": \"a:1\", \"bytes\": -1}", "bytes"},
        {"{\"name\": \"a:1\", \"bytes\": 0}", "bytes"},
        {"{\"name\": \"a:1\", \"bytes\": 1e3}", "bytes"},
        {"{\"name\": \"a:1\", \"bytes\": 9223372036854775807}", "bytes"},
        {"{\"name\": \"a:1\", \"bytes\": \"12\"}", "bytes"},
        {"{\"name\": \"a:1\", \"context\": true}", "context"},
        {"{\"name\": \"a:1\", \"fim\": \"yes\"}", "fim"},
        {"{\"name\": \"a:1\", \"default\": 1}", "default"},
        {"{\"name\": \"a:1\", \"title\": \"x\\ny\"}", "title"},
        {"{\"name\": \"a:1\", \"title\": \"x\\u001b[31my\"}", "title"},
        {"{\"name\": \"a:1\", \"title\": []}", "title"},
        {"{\"name\": \"a:1\", \"aliases\": \"a\"}", "aliases"},
        {"{\"name\": \"a:1\", \"aliases\": [\"A B\"]}", "aliases"},
        {"{\"name\": \"a:1\", \"aliases\": [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}",
         "aliases"},
        {"{\"name\": \"a:1\", \"tags\": [null]}", "tags"},
        {"{\"name\": \"a:1\", \"quality\": 101}", "quality"},
        {"{\"name\": \"a:1\", \"quality\": \"good\"}", "quality"},
        {"{\"name\": \"a:1\", \"shape\": 7}", "shape"},
        {"{\"name\": \"a:1\", \"shape\": {}}", "layers"},
        {"{\"name\": \"a:1\", \"shape\": {" DIMS ", \"layers\": 4194305}}", "layers"},
        {"{\"name\": \"a:1\", \"shape\": {" DIMS ", \"layers\": 2, \"experts\": 4}}",
         "experts_used"},
        {"{\"name\": \"a:1\", \"shape\": {" DIMS ", \"layers\": 2, \"experts\": 4,"
         " \"experts_used\": 5, \"expert_ff\": 6}}",
         "experts_used"},
        {"{\"name\": \"a:1\", \"shape\": {" DIMS ", \"layers\": 2, \"tied\": 1}}", "tied"},
        {"{\"name\": \"a:1\", \"sources\": {}}", "sources"},
        {"{\"name\": \"a:1\", \"sources\": [5]}", "type"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"ftp\"}]}", "unknown source type 'ftp'"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"hub\"}]}", "repo"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"hub\", \"repo\": \"o/../r\","
         " \"file\": \"f\"}]}",
         "repo"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"hub\", \"repo\": \"o/r\","
         " \"file\": \"../../x\"}]}",
         "file"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"hub\", \"repo\": \"o/r\","
         " \"file\": \"a?b\"}]}",
         "file"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"hub\", \"repo\": \"o/r\", \"file\": \"f\","
         " \"revision\": \"..\"}]}",
         "revision"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"url\"}]}", "url"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"url\", \"url\": \"file:///etc/passwd\"}]}",
         "not an https URL"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"url\", \"url\": \"ftp://x.example/f\"}]}",
         "only https"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"url\", \"url\": \"http://x.example/f\"}]}",
         "plain http"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"url\","
         " \"url\": \"https://user:pw@x.example/f\"}]}",
         "password"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"packages\", \"packages\": [\"p\"],"
         " \"version\": \"1\", \"member\": \"*\"}]}",
         "sha256"},
        {"{\"name\": \"a:1\", \"sha256\": \"" SHA "\", \"sources\": [{\"type\": \"packages\","
         " \"packages\": [\"--index-url=http://evil\"], \"version\": \"1\", \"member\": \"*\"}]}",
         "packages"},
        {"{\"name\": \"a:1\", \"sha256\": \"" SHA "\", \"sources\": [{\"type\": \"packages\","
         " \"packages\": [\"p @ http://evil\"], \"version\": \"1\", \"member\": \"*\"}]}",
         "packages"},
        {"{\"name\": \"a:1\", \"sha256\": \"" SHA "\", \"sources\": [{\"type\": \"packages\","
         " \"packages\": [\"p\"], \"version\": \"1 --pre\", \"member\": \"*\"}]}",
         "version"},
        {"{\"name\": \"a:1\", \"sha256\": \"" SHA "\", \"sources\": [{\"type\": \"packages\","
         " \"packages\": [\"p\", \"q\"], \"version\": \"1\", \"member\": \"*\"}]}",
         "part_bytes"},
        {"{\"name\": \"a:1\", \"sha256\": \"" SHA "\", \"sources\": [{\"type\": \"packages\","
         " \"packages\": [\"p\"], \"version\": \"1\", \"member\": \"*\", \"part_bytes\": -5}]}",
         "part_bytes"},
        {"{\"name\": \"a:1\", \"sources\": [{\"type\": \"file\"}]}", "path"},
        {"{\"name\": \"a:1\"}, {\"name\": \"a:1\"}", "twice"},
        {"{\"name\": \"a:1\", \"name\": \"b:1\"}", "duplicate"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[1024];
        struct catalogue *c;
        struct error err = {0};
        snprintf(text, sizeof text, "{\"version\": 1, \"models\": [%s]}", cases[i].model);
        if (add(text, &c, &err) == OK) fail_msg("accepted: %s", cases[i].model);
        if (!strstr(err.msg, cases[i].said) || !strstr(err.msg, "test.json"))
            fail_msg("%s: said \"%s\"", cases[i].model, err.msg);
        assert_int_equal(catalogue_n_models(c), 0);
        catalogue_destroy(c);
    }
}

static void broken_files(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "null",
        "{}",
        "{\"version\": 2, \"models\": []}",
        "{\"version\": 1}",
        "{\"version\": 1, \"models\": {}}",
        "{\"version\": 1, \"models\": [}",
        "{\"version\": 1, \"models\": []} trailing",
        "{\"version\": 1, \"models\": [\"\xff\"]}",
        "{\"version\": 1, \"models\": [{\"name\": \"a:1\\u0000b\"}]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct catalogue *c;
        struct error err = {0};
        if (add(texts[i], &c, &err) == OK) fail_msg("accepted: %s", texts[i]);
        assert_non_null(strstr(err.msg, "test.json"));
        catalogue_destroy(c);
    }
    /* Cut anywhere, a sound file is never read in part. */
    for (size_t n = 0; n + 1 < sizeof sound - 1; n++) {
        struct catalogue *c;
        assert_int_equal(catalogue_create(&c, NULL), OK);
        assert_int_not_equal(catalogue_add(c, sound, n, "cut", NULL, NULL), OK);
        assert_int_equal(catalogue_n_models(c), 0);
        catalogue_destroy(c);
    }
}

static void deep_nesting(void **state)
{
    (void)state;
    enum { DEPTH = 200000 };
    char *text = malloc(DEPTH + 1);
    assert_non_null(text);
    memset(text, '[', DEPTH);
    text[DEPTH] = 0;
    struct catalogue *c;
    struct error err;
    assert_int_equal(add(text, &c, &err), ERR_FORMAT);
    catalogue_destroy(c);
    free(text);
}

static void earlier_files_win(void **state)
{
    (void)state;
    static const char mine[] =
        "{\"version\": 1, \"models\": [{\"name\": \"a:1\", \"title\": \"Mine\"},"
        " {\"name\": \"d:1\", \"aliases\": [\"a\"], \"default\": true}]}";
    struct catalogue *c;
    bool alone = true;
    assert_int_equal(catalogue_create(&c, NULL), OK);
    assert_int_equal(catalogue_add(c, mine, strlen(mine), "mine", &alone, NULL), OK);
    assert_false(alone);
    assert_int_equal(catalogue_add(c, sound, strlen(sound), "theirs", NULL, NULL), OK);
    assert_int_equal(catalogue_n_models(c), 3);
    assert_string_equal(catalogue_find(c, "a:1")->title, "Mine");
    assert_string_equal(catalogue_find(c, "a")->name, "d:1");
    assert_string_equal(catalogue_default(c)->name, "d:1");
    /* A faulty addition takes nothing away. */
    assert_int_not_equal(catalogue_add(c, "{}", 2, "bad", NULL, NULL), OK);
    assert_int_equal(catalogue_n_models(c), 3);
    catalogue_destroy(c);
}

static void the_built_in_one(void **state)
{
    (void)state;
    static const char *const names[] = {
        "qwen2.5-coder:1.5b",  "qwen2.5-coder:0.5b", "smollm2:135m",   "deepseek-coder:1.3b",
        "deepseek-coder:6.7b", "deepseek-coder:33b", "codellama:7b",   "codellama:13b",
        "starcoder2:3b",       "starcoder2:7b",      "starcoder2:15b",
    };
    struct catalogue *c;
    struct error err = {0};
    if (catalogue_load(NULL, &c, &err) != OK) fail_msg("%s", err.msg);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct catalogue_model *m = catalogue_find(c, names[i]);
        if (!m) fail_msg("%s is missing", names[i]);
        assert_true(m->title && m->architecture && m->parameters && m->quantization && m->license);
        assert_true(m->context > 0 && m->n_sources > 0 && (m->bytes || m->approx_bytes));
        /* A size is exact only where the file was seen, and then its digest is known. */
        assert_int_equal(m->sha256 != NULL, m->bytes != 0);
        assert_int_equal(m->n_sources, m->sha256 ? 2 : 1);
        assert_ptr_equal(m->sources[0].type, &source_hub);
    }
    assert_string_equal(catalogue_default(c)->name, "qwen2.5-coder:1.5b");
    assert_string_equal(catalogue_find(c, "qwen2.5-coder")->name, "qwen2.5-coder:1.5b");
    for (size_t i = 0; i < catalogue_n_models(c); i++) {
        const struct catalogue_model *m = catalogue_at(c, i);
        for (size_t k = 0; k < m->n_aliases; k++)
            assert_ptr_equal(catalogue_find(c, m->aliases[k]), m);
    }
    catalogue_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_file),      cmocka_unit_test(faults_are_named),
        cmocka_unit_test(broken_files),      cmocka_unit_test(deep_nesting),
        cmocka_unit_test(earlier_files_win), cmocka_unit_test(the_built_in_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
