/* Holes: which there are, that prefix, hole and suffix make the text, and that they stay the same.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "eval/holes.h"

extern const struct eval_bench eval_fim;

static const char problems[] =
    "{\"task_id\":\"T/0\",\"prompt\":\"def f():\\n\",\"entry_point\":\"f\",\"canonical_solution\":"
    "\"    a = 1\\n\\n    if a:\\n        return 2\\n    return 3\\n\",\"test\":\"t\"}\n"
    "\n"
    "{\"task_id\":\"T/1\",\"prompt\":\"def g():\",\"entry_point\":\"g\",\"canonical_solution\":"
    "\"\\n    return '\\u00e9\\u20ac\\ud83d\\ude00'\",\"test\":\"t\"}\n";

static char folder[64], tasks[96];

static void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/hearth_holes_XXXXXX");
    if (!mkdtemp(folder)) return -1;
    snprintf(tasks, sizeof tasks, "%s/tasks.jsonl", folder);
    write_text(tasks, problems);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char path[128];
    unlink(tasks);
    snprintf(path, sizeof path, "%s/a.c", folder);
    unlink(path);
    return rmdir(folder);
}

static struct eval_set make(struct eval_request rq)
{
    struct eval_set s = {0};
    struct error err = {0};
    if (eval_fim.make(&rq, &s, &err) != OK) fail_msg("%s", err.msg);
    return s;
}

static void assert_hole(const struct eval_set *s, const char *id, const char *content)
{
    const struct eval_hole *h = eval_set_find(s, id);
    if (!h) fail_msg("no hole %s", id);
    if (h->end - h->start != strlen(content) ||
        memcmp(h->text + h->start, content, h->end - h->start) != 0)
        fail_msg("%s is '%.*s'", id, (int)(h->end - h->start), h->text + h->start);
}

static void lines(void **state)
{
    (void)state;
    struct eval_set s = make((struct eval_request){.tasks = tasks, .kinds = "single-line"});
    assert_int_equal(s.n_holes, 5); /* four of the first, one of the second */
    assert_hole(&s, "single-line/T/0/0", "    a = 1");
    assert_hole(&s, "single-line/T/0/3", "        return 2");
    assert_hole(&s, "single-line/T/1/1", "    return 'é€😀'");
    assert_null(eval_set_find(&s, "single-line/T/0/1"));
    const struct eval_hole *h = eval_set_find(&s, "single-line/T/0/2");
    assert_int_equal(h->from, 0);
    assert_int_equal(h->to, strlen(h->text));
    assert_int_equal(h->text[h->end], '\n'); /* the line end is the suffix's */
    assert_int_equal(h->text[h->start - 1], '\n');
    assert_string_equal(h->problem->entry, "f");
    eval_set_fini(&s);
    s = make((struct eval_request){.tasks = tasks, .kinds = "multi-line"});
    assert_int_equal(s.n_holes, 4 * 5 / 2 + 1); /* as the paper counts: 5,815 of HumanEval's */
    assert_hole(&s, "multi-line/T/0/0-2", "    a = 1\n\n    if a:");
    assert_hole(&s, "multi-line/T/0/3-3", "        return 2");
    eval_set_fini(&s);
}

static void spans(void **state)
{
    (void)state;
    struct eval_request rq = {.tasks = tasks, .kinds = "random-span", .seed = 1};
    struct eval_set a = make(rq), b = make(rq);
    rq.seed = 2;
    struct eval_set other = make(rq);
    rq = (struct eval_request){.tasks = tasks, .kinds = "random-span", .seed = 1, .half = EVAL_ODD};
    struct eval_set half = make(rq);
    assert_int_equal(a.n_holes, 20);
    assert_int_equal(half.n_holes, 10);
    size_t same = 0;
    for (size_t i = 0; i < a.n_holes; i++) {
        const struct eval_hole *h = &a.holes[i];
        assert_string_equal(h->id, b.holes[i].id);
        same += strcmp(h->id, other.holes[i].id) == 0;
        assert_true(h->start < h->end && h->end <= h->to && h->start >= h->problem->solution_at);
        assert_true(((unsigned char)h->text[h->start] & 0xc0) != 0x80);
        assert_true(((unsigned char)h->text[h->end] & 0xc0) != 0x80);
    }
    assert_true(same < 3);
    /* A problem's spans do not depend on which others are there. */
    for (size_t i = 0; i < half.n_holes; i++) assert_non_null(eval_set_find(&a, half.holes[i].id));
    eval_set_fini(&a);
    eval_set_fini(&b);
    eval_set_fini(&other);
    eval_set_fini(&half);
}

static void halves_and_limits(void **state)
{
    (void)state;
    struct eval_request rq = {.tasks = tasks, .half = EVAL_EVEN, .seed = 1};
    struct eval_set s = make(rq);
    for (size_t i = 0; i < s.n_holes; i++) assert_string_equal(s.holes[i].problem->id, "T/0");
    assert_int_equal(s.n_holes, 4 + 10 + 10);
    eval_set_fini(&s);
    rq.limit = 3;
    s = make(rq);
    struct eval_set t = make(rq);
    assert_int_equal(s.n_holes, 9);
    for (size_t i = 0; i < 9; i++) assert_string_equal(s.holes[i].id, t.holes[i].id);
    eval_set_fini(&s);
    eval_set_fini(&t);
}

static void files(void **state)
{
    (void)state;
    struct buf_text {
        char text[8192];
        size_t len;
    } b = {.len = 0};
    for (int i = 0; i < 12; i++)
        b.len += (size_t)snprintf(b.text + b.len, sizeof b.text - b.len,
                                  "int function_%d(int value) {\n    int total = value + %d;\n"
                                  "    total += other_function(total, %d);\n"
                                  "    total += another_function(total, %d);\n"
                                  "    return total + value * %d;\n}\n\n",
                                  i, i, i, i, i);
    char path[128];
    snprintf(path, sizeof path, "%s/a.c", folder);
    write_text(path, b.text);
    static const char *const kinds[] = {"line", "column1", "rest", "word", "mid", "block", "lines"};
    for (size_t k = 0; k < 7; k++) {
        struct eval_request rq = {.repo = folder, .kinds = kinds[k], .limit = 5, .seed = 3};
        struct eval_set s = make(rq), again = make(rq);
        assert_int_equal(s.n_holes, 5);
        for (size_t i = 0; i < 5; i++) {
            const struct eval_hole *h = &s.holes[i];
            assert_string_equal(h->id, again.holes[i].id);
            assert_string_equal(h->path, "a.c");
            assert_null(h->problem);
            assert_true(h->from <= h->start && h->start < h->end && h->end <= h->to);
            assert_true(h->from == 0 || h->text[h->from - 1] == '\n');
            bool several = memchr(h->text + h->start, '\n', h->end - h->start) != NULL;
            assert_int_equal(several, k >= 5);
            if (k == 0 || k >= 5) {
                size_t at = h->start;
                while (h->text[at - 1] == ' ') at--;
                assert_int_equal(h->text[at - 1], '\n');
                assert_int_not_equal(h->text[h->start], ' ');
            }
            if (k == 1) assert_int_equal(h->text[h->start - 1], '\n');
            if (k == 4) assert_true(h->text[h->end] != '\n');
            if (k != 4) assert_int_equal(h->text[h->end], '\n');
        }
        eval_set_fini(&s);
        eval_set_fini(&again);
    }
}

static void damage(void **state)
{
    (void)state;
    static const char number[] =
        "{\"task_id\":1,\"prompt\":\"\",\"entry_point\":\"\",\"canonical_solution\":\"\","
        "\"test\":\"\"}\n";
    static const char *const broken[] = {"{", "[]\n", "{\"task_id\":\"T/0\"}\n", number};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        struct eval_set s = {0};
        struct error err = {0};
        write_text(tasks, broken[i]);
        assert_int_equal(eval_fim.make(&(struct eval_request){.tasks = tasks}, &s, &err),
                         ERR_FORMAT);
        assert_non_null(strstr(err.msg, "line 1"));
        eval_set_fini(&s);
    }
    write_text(tasks, problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines), cmocka_unit_test(spans),  cmocka_unit_test(halves_and_limits),
        cmocka_unit_test(files), cmocka_unit_test(damage),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
