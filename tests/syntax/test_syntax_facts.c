/* What is read out of a small file of each language, against a listing that the program wrote: read it anew when it
 * changes.
 *
 * HEARTH_WRITE_GOLDEN=1 writes the listings anew; read the difference before committing it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/file.h"
#include "syntax/syntax_facts.h"

static void list(const struct syntax_facts *f, struct buf *out)
{
    for (size_t i = 0; i < f->n_chunks; i++) {
        const struct syntax_chunk *c = &f->chunks[i];
        buf_printf(out, "chunk %u-%u %s", c->begin_line, c->end_line, syntax_kind_name(c->kind));
        if (c->name[0]) buf_printf(out, " %s", c->name);
        if (c->scope[0]) buf_printf(out, " in %s", c->scope);
        if (c->n_parts > 1) buf_printf(out, " part %u of %u", c->part + 1, c->n_parts);
        if (c->signature[0]) buf_printf(out, " | %s", c->signature);
        if (c->doc[0]) buf_printf(out, " | %s", c->doc);
        buf_append_str(out, "\n");
    }
    for (size_t i = 0; i < f->n_definitions; i++) {
        const struct syntax_definition *d = &f->definitions[i];
        buf_printf(out, "def %u:%u-%u %s %s", d->line, d->column, d->end_line,
                   syntax_kind_name(d->kind), d->name);
        if (d->scope[0]) buf_printf(out, " in %s", d->scope);
        buf_append_str(out, "\n");
    }
    static const char *const kinds[] = {"call", "type", "other"};
    for (size_t i = 0; i < f->n_references; i++)
        buf_printf(out, "%s %u:%u %s\n", kinds[f->references[i].kind], f->references[i].line,
                   f->references[i].column, f->references[i].name);
    for (size_t i = 0; i < f->n_imports; i++) {
        const struct syntax_import *m = &f->imports[i];
        buf_printf(out, "import %u %s", m->line, m->target);
        if (m->name[0]) buf_printf(out, " %s", m->name);
        if (m->alias[0]) buf_printf(out, " as %s", m->alias);
        buf_append_str(out, "\n");
    }
}

/* Chunks are in order, apart, and leave out nothing but white space. */
static void check_cover(const struct syntax_facts *f, const struct buf *text)
{
    uint32_t at = 0;
    for (size_t i = 0; i <= f->n_chunks; i++) {
        uint32_t begin = i < f->n_chunks ? f->chunks[i].begin : (uint32_t)text->len;
        assert_true(begin >= at);
        for (uint32_t k = at; k < begin; k++) assert_non_null(strchr(" \t\r\n", text->data[k]));
        if (i < f->n_chunks) at = f->chunks[i].end;
    }
}

static void check_sample(const char *extension)
{
    char path[512], expected_path[520];
    snprintf(path, sizeof path, GOLDEN_DIR "/syntax/sample.%s", extension);
    snprintf(expected_path, sizeof expected_path, "%s.txt", path);
    struct buf text, expected, got;
    struct error err = {0};
    struct syntax_parser *p;
    struct syntax_facts *f;
    buf_init(&text, 1 << 20);
    buf_init(&expected, 1 << 20);
    buf_init(&got, 1 << 20);
    assert_int_equal(file_read_all(path, &text, &err), OK);
    const struct syntax_language *l = syntax_language_of(path, text.data, text.len);
    assert_non_null(l);
    if (!syntax_language_has_grammar(l)) skip();
    assert_int_equal(syntax_parser_create(&p, &err), OK);
    assert_int_equal(syntax_facts_read(p, l, text.data, text.len, NULL, &f, &err), OK);
    assert_true(f->parsed);
    assert_int_equal(f->n_errors, 0);
    list(f, &got);
    check_cover(f, &text);
    if (getenv("HEARTH_WRITE_GOLDEN"))
        assert_int_equal(file_replace(expected_path, got.data, got.len, &err), OK);
    assert_int_equal(file_read_all(expected_path, &expected, &err), OK);
    assert_string_equal(got.data, expected.data);
    syntax_facts_destroy(f);
    syntax_parser_destroy(p);
    buf_fini(&text);
    buf_fini(&expected);
    buf_fini(&got);
}

static void test_sample(void **state)
{
    check_sample(*state);
}

/* A class and a function that are too large are cut between members and statements. */
static void test_large(void **state)
{
    (void)state;
    struct buf text;
    struct error err = {0};
    struct syntax_parser *p;
    struct syntax_facts *f;
    buf_init(&text, 1 << 20);
    buf_append_str(&text, "class Big:\n    \"\"\"Much.\"\"\"\n    size = 0\n\n");
    for (int i = 0; i < 12; i++)
        buf_printf(&text, "    # The %d.\n    def method_%d(self):\n        return %d * 100000 + self.size + 1000000\n\n", i, i, i);
    buf_append_str(&text, "def long_one():\n");
    for (int i = 0; i < 120; i++)
        buf_printf(&text, "    if check(%d):\n        do_something_with(%d, 'and a text')\n", i, i);
    const struct syntax_language *l = syntax_language_find("python", 6);
    if (!syntax_language_has_grammar(l)) skip();
    assert_int_equal(syntax_parser_create(&p, &err), OK);
    assert_int_equal(syntax_facts_read(p, l, text.data, text.len, NULL, &f, &err), OK);
    check_cover(f, &text);
    assert_string_equal(f->chunks[0].name, "Big");
    assert_int_equal(f->chunks[0].kind, SYNTAX_KIND_CLASS);
    for (int i = 0; i < 12; i++) {
        char name[32], doc[32];
        snprintf(name, sizeof name, "method_%d", i);
        snprintf(doc, sizeof doc, "The %d.", i);
        assert_string_equal(f->chunks[1 + i].name, name);
        assert_string_equal(f->chunks[1 + i].scope, "Big");
        assert_string_equal(f->chunks[1 + i].doc, doc);
        assert_int_equal(f->chunks[1 + i].kind, SYNTAX_KIND_METHOD);
        assert_int_equal(f->chunks[1 + i].n_parts, 1);
    }
    size_t parts = f->n_chunks - 13;
    assert_true(parts >= 4);
    for (size_t i = 0; i < parts; i++) {
        const struct syntax_chunk *c = &f->chunks[13 + i];
        assert_string_equal(c->name, "long_one");
        assert_int_equal(c->part, i);
        assert_int_equal(c->n_parts, parts);
        assert_true(c->end - c->begin <= 2048);
        /* Never between an if and what it does. */
        if (i) assert_memory_equal(text.data + c->begin, "    if check", 12);
    }
    syntax_facts_destroy(f);
    syntax_parser_destroy(p);
    buf_fini(&text);
}

static void test_plain(void **state)
{
    (void)state;
    struct buf text;
    struct error err = {0};
    struct syntax_parser *p;
    struct syntax_facts *f;
    buf_init(&text, 1 << 20);
    for (int i = 0; i < 40; i++)
        buf_printf(&text, "paragraph %d begins here and\n  goes on for some time, so that it fills\n  a few lines of text.\n\n", i);
    assert_int_equal(syntax_parser_create(&p, &err), OK);
    assert_int_equal(syntax_facts_read(p, NULL, text.data, text.len, NULL, &f, &err), OK);
    assert_false(f->parsed);
    assert_true(f->n_chunks >= 2);
    check_cover(f, &text);
    for (size_t i = 0; i < f->n_chunks; i++)
        assert_memory_equal(text.data + f->chunks[i].begin, "paragraph", 9);
    syntax_facts_destroy(f);
    syntax_parser_destroy(p);
    buf_fini(&text);
}

#define SAMPLE(x) {"sample." x, test_sample, NULL, NULL, (void *)(uintptr_t)x}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SAMPLE("c"),   SAMPLE("cpp"), SAMPLE("py"),   SAMPLE("js"),  SAMPLE("ts"),   SAMPLE("tsx"),
        SAMPLE("go"),  SAMPLE("rs"),  SAMPLE("java"), SAMPLE("cs"),  SAMPLE("rb"),   SAMPLE("php"),
        SAMPLE("sh"),  SAMPLE("lua"), SAMPLE("sql"),  SAMPLE("html"), SAMPLE("css"), SAMPLE("json"),
        SAMPLE("yaml"), SAMPLE("toml"), SAMPLE("md"),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
