/* Ignore rules against git itself: the same tree, the same files, `git check-ignore` as the judge. */
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
#include "index/ignore.h"
#include "index/walk_tree.h"

static void test_wildmatch(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool path, want;
    } cases[] = {
        {"foo", "foo", true, true},         {"foo", "bar", true, false},
        {"*f", "foo", true, false},         {"*ob*a*r*", "foobar", true, true},
        {"a[c-c]st", "acrt", true, false},  {"[a-z]*", "b", true, true},
        {"**/foo", "foo", true, true},      {"**/foo", "bar/baz/foo", true, true},
        {"*/foo", "bar/baz/foo", true, false}, {"**/bar/*", "deep/foo/bar/baz", true, true},
        {"**/bar/*", "deep/foo/bar/baz/x", true, false}, {"foo/**/bar", "foo/bar", true, true},
        {"foo/**/bar", "foo/a/b/bar", true, true}, {"foo/**", "foo", true, false},
        {"foo/**", "foo/x/y", true, true},  {"foo**bar", "foo/bar", true, false},
        {"foo**bar", "fooxbar", true, true}, {"[!a]b", "ab", true, false},
        {"[]]", "]", true, true},           {"[[:digit:]]x", "7x", true, true},
        {"[a/]b", "/b", true, false},       {"\\*", "*", true, true},
        {"\\", "\\", true, false},          {"a?c", "a/c", true, false},
        {"[", "[", true, false},            {"*", "a/b", false, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (ignore_wildmatch(cases[i].pattern, cases[i].text, cases[i].path) != cases[i].want)
            fail_msg("%s against %s", cases[i].pattern, cases[i].text);
}

/* Exponential for a matcher that tries everything. */
static void test_ends_on_hostile_patterns(void **state)
{
    (void)state;
    char pattern[400], text[4001];
    for (int i = 0; i < 133; i++) memcpy(pattern + 3 * i, "*a*", 3);
    pattern[399] = 0;
    memset(text, 'a', 4000);
    text[4000] = 0;
    pattern[398] = 'b';
    assert_false(ignore_wildmatch(pattern, text, true));
    for (int i = 0; i < 99; i++) memcpy(pattern + 4 * i, "**/a", 4);
    pattern[396] = 0;
    assert_false(ignore_wildmatch(pattern, text, true));
}

/* ---- against git ------------------------------------------------------------------------------ */

static char root[64];

static void run(const char *command)
{
    char line[4096];
    snprintf(line, sizeof line, "cd '%s' && { %s; } >/dev/null 2>&1", root, command);
    if (system(line) != 0) fail_msg("%s", command);
}

static void put(const char *path, const char *text)
{
    char full[512];
    struct error err = {0};
    snprintf(full, sizeof full, "%s/%s", root, path);
    char *slash = strrchr(full, '/');
    *slash = 0;
    assert_int_equal(file_make_dirs(full, &err), OK);
    *slash = '/';
    assert_int_equal(file_replace(full, text, strlen(text), &err), OK);
}

struct seen {
    char *paths[4096];
    size_t n;
};

static enum status see(void *ctx, const char *path, const struct stat *st)
{
    (void)st;
    struct seen *s = ctx;
    s->paths[s->n++] = strdup(path);
    return OK;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/hearth-ignore-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -rf '%s'", root);
    return system(line);
}

/* Files that git would add, in the order of their names. */
static void git_files(struct seen *s)
{
    char line[256];
    snprintf(line, sizeof line, "cd '%s' && git ls-files -co --exclude-per-directory=.gitignore "
                                "--exclude-from=.git/info/exclude -z", root);
    FILE *p = popen(line, "r");
    assert_non_null(p);
    char *name = NULL;
    size_t cap = 0;
    while (getdelim(&name, &cap, 0, p) > 0) s->paths[s->n++] = strdup(name);
    free(name);
    assert_int_equal(pclose(p), 0);
}

static void compare(const char *what)
{
    struct seen git = {0}, ours = {0};
    struct error err = {0};
    git_files(&git);
    assert_int_equal(walk_files(root, NULL, see, &ours, NULL, &err), OK);
    qsort(git.paths, git.n, sizeof *git.paths, by_name);
    qsort(ours.paths, ours.n, sizeof *ours.paths, by_name);
    for (size_t i = 0; i < git.n || i < ours.n; i++)
        if (i >= git.n || i >= ours.n || strcmp(git.paths[i], ours.paths[i]) != 0)
            fail_msg("%s: git has %s, we have %s", what, i < git.n ? git.paths[i] : "nothing",
                     i < ours.n ? ours.paths[i] : "nothing");
    struct stat st;
    for (size_t i = 0; i < ours.n; i++) assert_true(walk_has(root, NULL, ours.paths[i], &st));
    for (size_t i = 0; i < git.n; i++) free(git.paths[i]);
    for (size_t i = 0; i < ours.n; i++) free(ours.paths[i]);
}

static void test_as_git(void **state)
{
    (void)state;
    run("git init -q .");
    static const char *const paths[] = {
        "a.c", "a.o", "b.o", "keep.o", "build/x", "build/keep", "src/build/x", "src/a.o", "src/deep/keep.o",
        "src/deep/er/t.tmp", "doc/x.txt", "doc/sub/y.txt", "doc/z.md", "logs/1.log", "logs/deep/2.log", "foo/bar/baz",
        "foo/x/bar/baz", "trail ", "trail", "#hash", "!bang", "w[x]", "w\\y", "sp ace", "node_modules/m/i.js",
        "pkg/node_modules/m/i.js", "a/b/c/d/e", "a/b/keep/f", "\xff\xfe.bin", "new\nline", "Ünï.c", "abc1", "abc2",
        "abd1", "dir/only", "only", "nested/x/only", "excluded.me", "inner/.hidden", "inner/z",
    };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) put(paths[i], "x");
    put(".git/info/exclude", "excluded.me\n");
    static const char *const rules[] = {
        "*.o\n!keep.o\n/build/\n", "build\n!build/keep\n", "build/*\n!build/keep\n", "doc/**/*.txt\n", "**/logs\n",
        "logs/**\n!logs/deep/\n", "foo/**/baz\n", "foo/*/baz\n", "trail \n", "trail\\ \n", "\\#hash\n\\!bang\n",
        "w\\[x\\]\nw\\\\y\n", "node_modules/\n", "/a/**\n!/a/b/\n!/a/b/keep/\n", "a/*\n!a/b\na/b/*\n!a/b/keep\n",
        "ab[cd]1\n", "ab[!c]1\n", "only/\n", "/only\n", "*\n!*/\n!*.c\n", "new*\n", "\xEF\xBB\xBF*.c\r\n",
        "# comment\n\n   \n*.md   \n", "**\n!a.c\n", "/*\n!/src\n", "src/**/keep.o\n**/er/\n", "sp ace\n",
        "**/**/x\n", "a/**/e\n", "abc?\n", "[[:alpha:]]bc[[:digit:]]\n", "/doc/sub\n!/doc/sub/y.txt\n", "inner/.*\n",
        "doc/\n!doc/z.md\n", "*/x\n", "!\n/\n//\n*.log\n", "foo/bar/\n", "b*/\n", "\\\n*.tmp\n", "[a-c].?\n",
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        put(".gitignore", rules[i]);
        compare(rules[i]);
        put("src/.gitignore", "!a.o\n/deep/er/*.tmp\n");
        put("doc/.gitignore", "sub/*\n!*.txt\n");
        compare(rules[i]);
        run("rm src/.gitignore doc/.gitignore");
    }
}

static void test_hearthignore_has_the_last_word(void **state)
{
    (void)state;
    struct stat st;
    put(".gitignore", "*.gen\n");
    put(".hearthignore", "!use.gen\n*.big\n");
    put("use.gen", "x");
    put("no.gen", "x");
    put("a.big", "x");
    assert_true(walk_has(root, NULL, "use.gen", &st));
    assert_false(walk_has(root, NULL, "no.gen", &st));
    assert_false(walk_has(root, NULL, "a.big", &st));
}

static void test_what_never_comes(void **state)
{
    (void)state;
    struct stat st;
    static const char *const never[] = {".env", "server.pem", "id_rsa", ".git/config", "loop", "link.c", "large.c", "pipe"};
    put(".env", "KEY=1");
    put("server.pem", "x");
    put("id_rsa", "x");
    put("id_rsa.pub", "x");
    put("deep/a.c", "x");
    run("ln -s . loop; ln -s ../.. deep/up; ln -s /etc/passwd link.c; mkfifo pipe; truncate -s 2M large.c; mkdir -p .git;"
        "echo x > .git/config");
    struct seen s = {0};
    struct walk_counts c;
    assert_int_equal(walk_files(root, NULL, see, &s, &c, NULL), OK);
    for (size_t i = 0; i < s.n; i++) {
        for (size_t k = 0; k < sizeof never / sizeof *never; k++) assert_string_not_equal(s.paths[i], never[k]);
        free(s.paths[i]);
    }
    assert_int_equal(s.n, 2); /* id_rsa.pub, deep/a.c */
    assert_int_equal(c.secret, 3);
    assert_int_equal(c.large, 1);
    assert_int_equal(c.special, 4);
    for (size_t k = 0; k < sizeof never / sizeof *never; k++) assert_false(walk_has(root, NULL, never[k], &st));
    assert_false(walk_has(root, NULL, "loop/deep/a.c", &st));
    assert_false(walk_has(root, NULL, "../x", &st));
    assert_true(walk_has(root, NULL, "deep/a.c", &st));
}

/* A folder inside a repository: the rules above it hold, too. */
static void test_rules_from_above(void **state)
{
    (void)state;
    char sub[128];
    struct stat st;
    run("git init -q .");
    put(".gitignore", "*.o\n/sub/gen/\n");
    put("sub/a.o", "x");
    put("sub/gen/a.c", "x");
    put("sub/other/gen/a.c", "x");
    snprintf(sub, sizeof sub, "%s/sub", root);
    assert_false(walk_has(sub, NULL, "a.o", &st));
    assert_false(walk_has(sub, NULL, "gen/a.c", &st));
    assert_true(walk_has(sub, NULL, "other/gen/a.c", &st));
}

static void test_deep_and_long(void **state)
{
    (void)state;
    run("d=.; for i in $(seq 200); do d=$d/d; mkdir $d; done; echo x > $d/f");
    struct seen s = {0};
    struct walk_counts c;
    assert_int_equal(walk_files(root, NULL, see, &s, &c, NULL), OK);
    assert_int_equal(s.n, 0);
    assert_int_equal(c.unreadable, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wildmatch),
        cmocka_unit_test(test_ends_on_hostile_patterns),
        cmocka_unit_test_setup_teardown(test_as_git, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_hearthignore_has_the_last_word, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_what_never_comes, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_rules_from_above, make_root, remove_root),
        cmocka_unit_test_setup_teardown(test_deep_and_long, make_root, remove_root),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
