/* Holes in real source files, filled by a double that writes what the file has there and runs on as
 * models do. What is kept of it must leave the file parsing where it did, repeat no line of the
 * suffix and close no bracket twice.
 *
 * The files: those given in HEARTH_HOLES_FILES (paths, one a line in the file that it names), else
 * this repository's own. HEARTH_HOLES says how many holes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/parse.h"
#include "assist/trim.h"
#include "base/file.h"

enum { MAX_FILES = 4096, HOLES = 300 };

static uint64_t state = 88172645463325252u;

/* Marsaglia 2003, xorshift64. */
static size_t below(size_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % n);
}

static const char *const own[] = {
    "src/assist/trim.c",      "src/assist/fim.c",     "src/infer/session.c",
    "src/cli/cmd_complete.c", "tools/check.py",       "tools/demo.py",
    "src/base/buf.c",         "src/text/tokenizer.h", "tools/check_layers.py",
    "tests/e2e/conftest.py",
};

static size_t list_files(char paths[][512])
{
    const char *name = getenv("HEARTH_HOLES_FILES");
    size_t n = 0;
    if (!name) {
        for (; n < sizeof own / sizeof *own; n++)
            snprintf(paths[n], 512, "%s/%s", HEARTH_SOURCE, own[n]);
        return n;
    }
    FILE *f = fopen(name, "r");
    assert_non_null(f);
    while (n < MAX_FILES && fgets(paths[n], 512, f)) {
        paths[n][strcspn(paths[n], "\n")] = 0;
        n++;
    }
    fclose(f);
    return n;
}

struct figures {
    size_t holes, parsed_before, parsed_after, repeated, doubled, exact;
};

/* A hole: rest of a line, a whole line, or a few lines. */
static bool pick(const struct buf *file, size_t *start, size_t *end)
{
    size_t at = below(file->len), lines = 1 + (below(3) == 0 ? below(4) : 0);
    while (at > 0 && file->data[at - 1] != '\n') at--;
    *start = at;
    for (size_t i = 0; i < lines; i++) {
        const char *stop = memchr(file->data + at, '\n', file->len - at);
        if (!stop) return false;
        at = (size_t)(stop - file->data) + 1;
    }
    *end = at - 1;
    size_t len = *end - *start, text = 0;
    for (size_t i = 0; i < len; i++) text += !strchr(" \t", file->data[*start + i]);
    if (len < 4 || text < 4) return false;
    switch (below(3)) {
    case 0:
        while (strchr(" \t", file->data[*start])) ++*start; /* as an editor indents */
        break;
    case 1:
        *start += below(len - 1) + 1;
        break;
    default:
        break;
    }
    while (*start < *end && ((unsigned char)file->data[*start] & 0xC0) == 0x80) ++*start;
    return *start < *end;
}

/* What a model says: the hole's text, more or less, and then what it should not. */
static void answer(const struct buf *file, size_t start, size_t end, struct buf *out)
{
    size_t suffix = file->len - end,
           more = below(6) == 0 ? 0 : 1 + below(suffix < 400 ? suffix : 400);
    if (more > suffix) more = suffix;
    assert_int_equal(buf_append(out, file->data + start, end - start), OK);
    if (below(4) == 0) assert_int_equal(buf_append_str(out, ")}"), OK);
    assert_int_equal(buf_append(out, file->data + end, more), OK);
    if (below(5) == 0) assert_int_equal(buf_append_str(out, "\n```\nThis code does it.\n"), OK);
}

/* The kept text's last line is the next line of the suffix, of some length. */
static bool repeats_suffix(const char *kept, size_t n, const char *suffix, size_t n_suffix)
{
    while (n_suffix && strchr(" \t\n", *suffix)) {
        suffix++;
        n_suffix--;
    }
    const char *stop = memchr(suffix, '\n', n_suffix);
    size_t line = stop ? (size_t)(stop - suffix) : n_suffix;
    return line > 12 && n >= line && memcmp(kept + n - line, suffix, line) == 0;
}

static void fill_one(const struct buf *file, const char *path, struct figures *f)
{
    size_t start, end;
    if (!pick(file, &start, &end)) return;
    struct buf text;
    buf_init(&text, 1 << 20);
    answer(file, start, end, &text);
    struct trim_hole h;
    const char *suffix = file->data + end;
    size_t n_suffix = file->len - end;
    trim_hole_init(&h, file->data, start, suffix, n_suffix, TRIM_AUTO);
    struct trim_cut c = {.keep = 0};
    size_t n = 0;
    do { /* as tokens come in; a completion reads a few lines on where this does not parse */
        n = text.len - n < 6 ? text.len : n + 6;
        c = trim_scan(&h, text.data, n);
    } while (c.rule == TRIM_NONE && n < text.len);
    c = trim_finish(&h, text.data, n, false);
    const char *kept = text.data + c.skip;
    size_t len = c.keep - c.skip;
    struct parse whole, p;
    parse_init(&whole, path, file->data, start, file->data + start, file->len - start);
    parse_init(&p, path, file->data, start, suffix, n_suffix);
    /* The errors that count are those of the file as it was. */
    size_t before = whole.errors;
    bool known = parse_knows(&whole) && parse_knows(&p);
    /* A parse may run out of time on a busy machine: what it says then is asked again. */
    for (int i = 0; known && i < 3; i++) {
        size_t from = c.keep - c.skip;
        len = parse_extend(&p, kept, text.len - c.skip, parse_longest(&p, kept, from));
        if (parse_errors(&p, kept, len) == 0) break;
    }
    f->holes++;
    if (known && before == 0) {
        f->parsed_before++;
        bool fine = parse_errors(&p, kept, len) == 0;
        f->parsed_after += fine;
        if (!fine && getenv("HEARTH_HOLES_SHOW"))
            print_message("%s: ...%.*s<%.*s|%.*s>%.40s\n  kept by rules: <%.*s> %s\n", path,
                          (int)(start < 60 ? start : 60),
                          file->data + start - (start < 60 ? start : 60), (int)len, kept,
                          (int)(end - start), file->data + start, suffix, (int)(c.keep - c.skip),
                          text.data + c.skip, trim_rule_name(c.rule));
        /* A bracket that the file itself has there is none too many, whatever else is missing. */
        bool files = len <= end - start && memcmp(kept, file->data + start, len) == 0;
        bool twice = !fine && !files && len && strchr(")]}", kept[len - 1]) &&
                     parse_errors(&p, kept, len - 1) == 0;
        f->doubled += twice;
    }
    bool same = len == end - start && memcmp(kept, file->data + start, len) == 0;
    f->exact += same;
    f->repeated += !same && repeats_suffix(kept, len, suffix, n_suffix);
    parse_fini(&whole);
    parse_fini(&p);
    buf_fini(&text);
}

static void what_is_kept_parses_and_repeats_nothing(void **unused)
{
    (void)unused;
    static char paths[MAX_FILES][512];
    size_t n = list_files(paths),
           want = getenv("HEARTH_HOLES") ? strtoul(getenv("HEARTH_HOLES"), NULL, 10) : HOLES;
    struct figures f = {0};
    struct error err;
    assert_true(n > 0);
    for (size_t tries = 0; f.holes < want && tries < 4 * want; tries++) {
        const char *path = paths[below(n)];
        struct buf file;
        buf_init(&file, 256 << 10);
        if (file_read_all(path, &file, &err) == OK && file.len > 200) fill_one(&file, path, &f);
        buf_fini(&file);
    }
    print_message(
        "%zu holes: parse %zu of %zu, repeated lines %zu, doubled brackets %zu, exact %zu\n",
        f.holes, f.parsed_after, f.parsed_before, f.repeated, f.doubled, f.exact);
    assert_int_equal(f.holes, want);
    assert_int_equal(f.repeated, 0);
    assert_int_equal(f.doubled, 0);
    assert_true(f.parsed_after * 100 >= f.parsed_before * 95);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_kept_parses_and_repeats_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
