#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "syntax/syntax_int.h"

#ifdef HEARTH_GRAMMARS
#include <tree_sitter/api.h>
#endif

static void is(const char *path, const char *head, const char *name)
{
    const struct syntax_language *l = syntax_language_of(path, head, head ? strlen(head) : 0);
    if (!name) {
        assert_null(l);
        return;
    }
    assert_non_null(l);
    assert_string_equal(syntax_language_name(l), name);
}

static void test_of(void **state)
{
    (void)state;
    is("a/b.c", NULL, "c");
    is("x.HPP", NULL, "cpp");
    is("x.d.ts", NULL, "typescript");
    is("x.tsx", NULL, "tsx");
    is("dir.py/readme", NULL, NULL);
    is(".bashrc", NULL, "bash");
    is(".py", NULL, NULL);
    is("Rakefile", NULL, "ruby");
    is("run", "#!/usr/bin/env python3\n", "python");
    is("run", "#! /usr/bin/env -S node --x\n", "javascript");
    is("run", "#!/bin/sh", "bash");
    is("run", "#!/usr/bin/perl\n", NULL);
    is("run", "#!", NULL);
    is("run", "python", NULL);
}

static void test_find(void **state)
{
    (void)state;
    assert_string_equal(syntax_language_name(syntax_language_find("C++", 3)), "cpp");
    assert_string_equal(syntax_language_name(syntax_language_find("js", 2)), "javascript");
    assert_null(syntax_language_find("cobol", 5));
}

#ifdef HEARTH_GRAMMARS
static bool has_kind(const TSLanguage *g, const char *name, size_t len)
{
    return ts_language_symbol_for_name(g, name, (uint32_t)len, true) != 0;
}

/* A path's steps are fields or kinds that the grammar has. */
static void check_path(const TSLanguage *g, const char *path, const char *language)
{
    while (path && *path) {
        size_t n = strcspn(path, "/|");
        bool kind = path[0] == '<';
        bool known = kind ? has_kind(g, path + 1, n - 2)
                          : ts_language_field_id_for_name(g, path, (uint32_t)n) != 0;
        if (!known) fail_msg("%s has no %.*s", language, (int)n, path);
        path += n + (path[n] != '\0');
    }
}

/* A rule whose node no grammar knows does nothing, and nobody would notice. */
static void test_rules(void **state)
{
    (void)state;
    for (size_t i = 0; syntax_language_at(i); i++) {
        const struct syntax_language *l = syntax_language_at(i);
        const TSLanguage *g = l->grammar();
        assert_non_null(g);
        for (const struct syntax_rule *r = l->rules; r->node; r++) {
            if (!has_kind(g, r->node, strlen(r->node))) fail_msg("%s has no %s", l->name, r->node);
            check_path(g, r->name, l->name);
            check_path(g, r->body, l->name);
            check_path(g, r->owner, l->name);
            for (const struct syntax_rule *o = l->rules; o != r; o++)
                if (strcmp(o->node, r->node) == 0) fail_msg("%s: %s twice", l->name, r->node);
        }
    }
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of),
        cmocka_unit_test(test_find),
#ifdef HEARTH_GRAMMARS
        cmocka_unit_test(test_rules),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
