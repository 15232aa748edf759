/* The rules that decide what belongs in the hole. "⟦⟧" stands for the cursor in comments. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "assist/trim.h"

struct example {
    const char *name;
    const char *prefix, *suffix, *generated;
    bool ended; /* the model said it was done */
    enum trim_rule rule;
    const char *kept;
};

/* As complete_run does it: look after every few bytes, then finish. */
static struct trim_cut run(const struct trim_hole *h, const char *text, size_t len, size_t step,
                           bool ended)
{
    size_t n = 0;
    while (n < len) {
        n = len - n < step ? len : n + step;
        if (trim_scan(h, text, n).rule != TRIM_NONE) return trim_finish(h, text, n, false);
    }
    return trim_finish(h, text, len, ended);
}

static void check_hole(const struct example *e, const struct trim_hole *h)
{
    size_t len = strlen(e->generated);
    for (size_t step = 1; step <= len + 1; step++) {
        struct trim_cut c = run(h, e->generated, len, step, e->ended);
        size_t kept = c.keep - c.skip;
        bool same = kept == strlen(e->kept) && memcmp(e->generated + c.skip, e->kept, kept) == 0;
        if (!same || c.rule != e->rule)
            fail_msg("%s (step %zu): rule %s, kept <%.*s>, wanted %s, <%s>", e->name, step,
                     trim_rule_name(c.rule), (int)kept, e->generated + c.skip,
                     trim_rule_name(e->rule), e->kept);
    }
}

static void check(const struct example *e, enum trim_mode mode)
{
    struct trim_hole h;
    trim_hole_init(&h, e->prefix, strlen(e->prefix), e->suffix, strlen(e->suffix), mode);
    check_hole(e, &h);
}

static void check_all(const struct example *list, size_t n)
{
    for (size_t i = 0; i < n; i++) check(&list[i], TRIM_AUTO);
}
#define CHECK_ALL(list) check_all(list, sizeof(list) / sizeof *(list))

/* The longer look: where the text below comes again, its next line included, or where a line lies
 * clearly outside. */
static void looks_far(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"over a statement", "def f():\n    a = 1\n", "\n    d = 4\n    return d\n",
         "    b = 2\n    c = 3\n    e = 5\n    d = 4\n    return d\n    x = 1\n", false,
         TRIM_SUFFIX_LINE, "    b = 2\n    c = 3\n    e = 5"},
        {"the line below alone is not the text below", "def f(a):\n",
         "\n        return 1\n    return 2\n",
         "    if a:\n        return 1\n    if not a:\n        return 1\n    return 2\n", false,
         TRIM_SUFFIX_LINE, "    if a:\n        return 1\n    if not a:"},
        {"a rest of the line that comes later", "x = [", "]\nprint(x)\n",
         "a[0]\n    for a in b]\nprint(x)\n", false, TRIM_SUFFIX_OVERLAP, "a[0]\n    for a in b"},
        {"inside a word", "    r", "se\n    return True\n", "eturn False\n    return True\n\n",
         false, TRIM_SUFFIX_OVERLAP, "eturn Fal"},
        {"over the end of a block", "for a in b:\n", "\nprint(c)\nprint(d)\n",
         "    c = a\nd = c\nprint(c)\nprint(d)\n", false, TRIM_SUFFIX_LINE, "    c = a\nd = c"},
        {"not out of the text below", "def f():\n    if a:\n", "\n    c\n    d\n",
         "        b\n    e\nx = 1\n", false, TRIM_DEDENT, "        b\n    e"},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        const struct example *e = &list[i];
        struct trim_hole near, h;
        trim_hole_init(&near, e->prefix, strlen(e->prefix), e->suffix, strlen(e->suffix),
                       TRIM_AUTO);
        trim_look_far(&near, &h);
        check_hole(e, &h);
    }
}

/* Nothing stands below: the function goes to its end, over the blocks in it. */
static void goes_to_the_end_of_the_function(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"out of a block in it", "def f():\n    for a in b:\n", "\n",
         "        c += a\n    return c\n\nprint(f())\n", false, TRIM_BLOCK_END,
         "        c += a\n    return c"},
        {"not into the next method", "class C:\n    def f(self):\n        if a:\n", "",
         "            b\n        return 1\n    def g(self):\n", false, TRIM_BLOCK_END,
         "            b\n        return 1"},
        {"its closing brace", "int f(void)\n{\n    for (;;) {\n", "\n",
         "        b();\n    }\n    return 1;\n}\nint g(void)\n", false, TRIM_BLOCK_END,
         "        b();\n    }\n    return 1;\n}"},
    };
    CHECK_ALL(list);
}

static void ends_with_the_line(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"rest of a line", "x = 1\ny = ", "\nz = 3\n", "2\nz = 3\n", false, TRIM_LINE_END, "2"},
        {"end of the file", "x = 1\ny = ", "", "2\nz = 3", false, TRIM_LINE_END, "2"},
        {"ended by the model", "y = ", "\nz = 3\n", "2", true, TRIM_NONE, "2"},
        {"blanks at the end", "y = ", "\nz = 3\n", "2  \nz", false, TRIM_LINE_END, "2"},
        {"nothing", "y = ", "\n", "", true, TRIM_NONE, ""},
        {"only a line end before more", "foo()", "\n", "\nbar()\nbaz()\n", false, TRIM_LINE_END,
         "\nbar()"},
        {"text after the cursor", "foo(", ")\n", "\nbar", false, TRIM_LINE_END, ""},
        {"behind an opener with its block", "if x:", "\n    a()\n", "  # why\n    b()\n", false,
         TRIM_LINE_END, "  # why"},
        {"opens the block below", "for (;;)\n    ", "\n        go();\n",
         "if (x)\n        stop();\n", false, TRIM_LINE_END, "if (x)"},
    };
    CHECK_ALL(list);
}

static void drops_what_only_a_chat_would_say(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"fence", "int f()\n{\n", "\n}\n", "    return 1;\n```\nThis", false, TRIM_RUN_ON,
         "    return 1;"},
        {"its own fences", "```c\nint a;\n", "\n", "int b;\n```\nx\n", false, TRIM_NONE,
         "int b;\n```\nx"},
        {"tests", "x = 1\n\n", "", "y = 2\n# Test cases\nassert f\n", false, TRIM_RUN_ON, "y = 2"},
        {"its own comment", "# Test case: a\nx = 1\n\n", "", "y = 2\n# Test case: b\nz = 1\n",
         false, TRIM_NONE, "y = 2\n# Test case: b\nz = 1"},
        {"the line below but for blanks", "a = 1\n", "\nresult = compute(a, b)\n",
         "b = 2\nresult = compute( a,b )\nc", false, TRIM_SUFFIX_LINE, "b = 2"},
        {"another line", "a = 1\n\n", "\n\nresult = compute(a, b)\n",
         "b = 2\nresult = compare(q, z)\nc = 1\n", false, TRIM_NONE,
         "b = 2\nresult = compare(q, z)\nc = 1"},
    };
    CHECK_ALL(list);
}

static void drops_what_the_line_has_already(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"bracket", "foo(", ")\n", "a, b)\nbar()\n", false, TRIM_SUFFIX_OVERLAP, "a, b"},
        {"bracket, ended", "foo(", ")\n", "a, b)", true, TRIM_SUFFIX_OVERLAP, "a, b"},
        {"its own bracket", "foo(", ")\n", "bar()", true, TRIM_NONE, "bar()"},
        {"its own bracket at the line's end", "foo(", ")\n", "bar()\n", true, TRIM_LINE_END,
         "bar()"},
        {"its own and one too many", "foo(", ")\n", "bar())\n", false, TRIM_SUFFIX_OVERLAP,
         "bar()"},
        {"quote and bracket", "print(\"", "\")\n", "hello\")\n", false, TRIM_SUFFIX_OVERLAP,
         "hello"},
        {"a bracket inside a string", "f(", ")\n", "\")\"", true, TRIM_NONE, "\")\""},
        {"and punctuation", "foo(", ")\n", "x);\nbar();\n", false, TRIM_SUFFIX_OVERLAP, "x"},
        {"all of a long rest", "x = ", " + offset[i];\n", "base + offset[i];\ny", false,
         TRIM_SUFFIX_OVERLAP, "base"},
        {"part of the rest", "f(", ") + g(x)\n", "a)\n", false, TRIM_SUFFIX_OVERLAP, "a"},
        {"a blank on both sides", "x = ", " + 1\n", "y ", true, TRIM_NONE, "y"},
        {"comma", "{\"a\": ", ",\n", "1,\n", false, TRIM_SUFFIX_OVERLAP, "1"},
        {"the same end", "if task ", "not None:\n", "is None:\n    go()", false,
         TRIM_SUFFIX_OVERLAP, "is "},
        {"the same closing", "def f", ", b=None):\n", "(self):\n", false, TRIM_SUFFIX_OVERLAP,
         "(self"},
        {"the same start", "# memory is ", "the byte 0xCB, then\n", "filled with the byte 0xDB.\n",
         false, TRIM_SUFFIX_OVERLAP, "filled with "},
        {"too little in common", "x = ", "2;\n", "a * 4;\n", false, TRIM_LINE_END, "a * 4;"},
        {"a comment behind it", "print(add(", "))\n", "2, 3))  # Output: 5\n", false,
         TRIM_SUFFIX_OVERLAP, "2, 3"},
        {"its own among others", "print(", ")\n", "f(a) + f(b))  # c\n", false, TRIM_SUFFIX_OVERLAP,
         "f(a) + f(b)"},
        {"a block behind it", "if (", ") {\n", "x) { go(); }\n", false, TRIM_SUFFIX_OVERLAP, "x"},
        {"comma, ended", "{\"a\": ", ",\n", "1,", true, TRIM_SUFFIX_OVERLAP, "1"},
        {"nested closers", "a[f(", ")];\n", "i)];\nb", false, TRIM_SUFFIX_OVERLAP, "i"},
        {"a middle that must close first", "f(a", ", c)\n", "[0]", true, TRIM_NONE, "[0]"},
    };
    CHECK_ALL(list);
}

static void stops_at_the_text_below(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"the next line", "def f():\n    a = 1\n    ", "\n    return total\n",
         "b = 2\n    return total\n\ndef g():", false, TRIM_SUFFIX_LINE, "b = 2"},
        {"blank lines between", "def f():\n    a = 1\n    ", "\n\n    return total\n",
         "b = 2\n\n    return total\n", false, TRIM_SUFFIX_LINE, "b = 2"},
        {"several lines before it", "def f():\n    a = 1\n    ", "\n    return total\n",
         "b = 2\n    c = 3\n    return total", false, TRIM_SUFFIX_LINE, "b = 2\n    c = 3"},
        {"at once", "a = 1\n", "\nreturn_total(a)\n", "return_total(a)\n", false, TRIM_SUFFIX_LINE,
         ""},
        {"a closing bracket in its place", "struct a {\n    ", "\n};\n",
         "int x;\n    int y;\n};\n\nstruct b {", false, TRIM_SUFFIX_LINE, "int x;\n    int y;"},
        {"a short line elsewhere is no evidence", "if a:\n    if b:\n        ", "\n    pass\n",
         "c()\n        pass", true, TRIM_NONE, "c()\n        pass"},
    };
    CHECK_ALL(list);
}

static void leaves_no_block(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"next method", "class A:\n    def f(self):\n        ", "\n\n    def h(self):\n",
         "return 1\n\n    def g(self):\n        pass", false, TRIM_BLOCK_END, "return 1"},
        {"body behind the opener", "def f():", "\n\ndef h():\n", "\n    return 1\n\ndef g():\n",
         false, TRIM_BLOCK_END, "\n    return 1"},
        {"nothing deeper came", "def f():", "\n\ndef h():\n", "\ndef g():\n", false, TRIM_BLOCK_END,
         ""},
        {"a brace that nobody else writes", "int main(void)\n{\n    ", "",
         "return 0;\n}\n\nint other(void)\n", false, TRIM_BLOCK_END, "return 0;\n}"},
        {"a brace that follows", "int main(void)\n{\n    ", "\n}\n", "go();\n    return 0;\n}\n",
         false, TRIM_SUFFIX_LINE, "go();\n    return 0;"},
        {"a brace that follows differently", "static int v[] = {\n    ", "\n}, *w;\n",
         "1,\n    2,\n};\n", false, TRIM_BLOCK_END, "1,\n    2,"},
        {"between braces", "if (x) {", "}\n", "\n    y();\n}\nz();", false, TRIM_BLOCK_END,
         "\n    y();"},
        {"dedent", "    if x:\n        a()\n        ", "\n\n    b()\n", "c()\n    return\n", false,
         TRIM_DEDENT, "c()"},
        {"dedent below column 1's guess", "class A:\n    x = 1\n", "\n\nclass B:\n",
         "    y = 2\n\nclass C:\n", false, TRIM_DEDENT, "    y = 2"},
        {"tabs", "\tif x {\n\t\t", "\n\t}\n", "a()\n\t\tb()\n\tc()\n", false, TRIM_BLOCK_END,
         "a()\n\t\tb()"},
    };
    CHECK_ALL(list);
}

static void keeps_one_statement(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"a wandering model", "def f():\n    a = 1\n    ", "\n    return a\n",
         "b = 2\n    c = 3\n    d = 4\n    e = 5\n    g = 6\n    h = 7\n", false, TRIM_STATEMENT,
         "b = 2"},
        {"with its block", "def f():\n    a = 1\n    ", "\n    return a\n",
         "if a:\n        b()\n    c = 3\n    d = 4\n    e = 5\n    g = 6\n    h = 7\n", false,
         TRIM_STATEMENT, "if a:\n        b()"},
        {"with its braces", "{\n    int a;\n    ", "\n    return a;\n}\n",
         "if (a) {\n        b();\n    }\n    c();\n", false, TRIM_STATEMENT,
         "if (a) {\n        b();\n    }"},
        {"all where the model ended", "def f():\n    a = 1\n    ", "\n    return a\n",
         "b = 2\n    c = 3", true, TRIM_NONE, "b = 2\n    c = 3"},
    };
    CHECK_ALL(list);
}

static void stops_repetition(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"one line", "def f():\n    ", "", "a += 1\n    a += 1\n    a += 1\n    a += 1\n", false,
         TRIM_REPEAT, "a += 1"},
        {"two lines", "def f():\n    ", "",
         "xa()\n    ya()\n    xa()\n    ya()\n    xa()\n    ya()\n", false, TRIM_REPEAT,
         "xa()\n    ya()"},
        {"two are fine", "def f():\n    ", "", "a += 1\n    a += 1", true, TRIM_NONE,
         "a += 1\n    a += 1"},
        {"other indentation is another line", "if a then\n    ", "",
         "for b do\n        for c do\n            d()\n            end\n        end\n    end", true,
         TRIM_NONE,
         "for b do\n        for c do\n            d()\n            end\n        end\n    end"},
        {"closing brackets are not counted", "f(\n    ", "", "[\n    {\n    }\n    }\n    }\n",
         true, TRIM_NONE, "[\n    {\n    }\n    }\n    }"},
    };
    CHECK_ALL(list);
    char line[2048] = "x = [";
    for (int i = 0; i < 200; i++) strcat(line, "abc, ");
    struct trim_hole h;
    trim_hole_init(&h, "", 0, "", 0, TRIM_AUTO);
    struct trim_cut c = run(&h, line, strlen(line), 7, false);
    assert_int_equal(c.rule, TRIM_REPEAT);
    assert_int_equal(c.keep, strlen("x = [abc,"));
    /* A ruler in a comment is none. */
    memset(line + 2, '-', 76);
    memcpy(line, "# ", 2);
    line[78] = 0;
    c = run(&h, line, 78, 7, true);
    assert_int_equal(c.rule, TRIM_NONE);
    assert_int_equal(c.keep, 78);
    /* A ruler without an end is. */
    memset(line + 2, '-', 2000);
    line[2002] = 0;
    c = run(&h, line, 2002, 7, false);
    assert_int_equal(c.rule, TRIM_REPEAT);
    assert_in_range(c.keep, 60, 100);
}

static void stops_at_blank_lines_and_doubled_brackets(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"two blank lines", "import os\n\n", "", "def f():\n    return 1\n\n\ndef g():\n", false,
         TRIM_BLANK_LINES, "def f():\n    return 1"},
        {"between definitions", "import os\n\n", "\n\ndef g():\n    pass\n",
         "A = 1\nB = 2\nC = 3\nD = 4\nE = 5\nF = 6\n\n\nclass X:\n", false, TRIM_BLANK_LINES,
         "A = 1\nB = 2\nC = 3\nD = 4\nE = 5\nF = 6"},
        {"blank lines first", "import os\n", "", "\n\ndef f():\n    return 1", true, TRIM_NONE,
         "\n\ndef f():\n    return 1"},
        {"closed below", "foo(a,\n    b", "\n)\n", ", c)\n", false, TRIM_BRACKETS, ", c"},
        {"opened on this line, closed below", "foo(", "\n)\n", "a)", true, TRIM_BRACKETS, "a"},
        {"an inner one is its own", "foo(\n    bar(", "\n)\n", "a)", true, TRIM_NONE, "a)"},
        {"not closed below", "foo(a,\n    b", "\nbar()\n", ", c)\n", false, TRIM_LINE_END, ", c)"},
    };
    CHECK_ALL(list);
}

static void blanks_in_front(void **state)
{
    (void)state;
    static const struct example list[] = {
        {"indented by the editor", "def f():\n    a = 1\n    ", "\n", "    b = 2", true, TRIM_NONE,
         "b = 2"},
        {"indented twice", "def f():\n    ", "\n", "    if b:\n        c()\n    d()", true,
         TRIM_NONE, "if b:\n        c()\n    d()"},
        {"not yet deep enough", "    def f():\n    ", "\n", "    a()", true, TRIM_NONE, "    a()"},
        {"column 1", "def f():\n    a = 1\n", "\n", "    b = 2", true, TRIM_NONE, "    b = 2"},
        {"after an equals sign", "x = ", "\n", " 1", true, TRIM_NONE, "1"},
        {"none there yet", "x =", "\n", " 1", true, TRIM_NONE, " 1"},
        {"only blanks", "x = ", "\n", "    ", true, TRIM_NONE, ""},
        {"a blank line", "x()\n    ", "", "  \n    y()", true, TRIM_NONE, "\n    y()"},
    };
    CHECK_ALL(list);
}

static void modes_override(void **state)
{
    (void)state;
    const struct example multi = {"multi", "y = ",    "\nz = 3\n",    "[\n  1,\n]\nx",
                                  false,   TRIM_NONE, "[\n  1,\n]\nx"};
    check(&multi, TRIM_MULTI);
    const struct example single = {"single", "def f():\n    ", "\n", "a()\n    b()",
                                   false,    TRIM_LINE_END,    "a()"};
    check(&single, TRIM_SINGLE);
    const struct example raw = {"raw", "f(",      ")\n",          "a)\n)\n\n\n\n",
                                false, TRIM_NONE, "a)\n)\n\n\n\n"};
    check(&raw, TRIM_RAW);
}

static void utf8_prefix(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len, valid;
    } list[] = {
        {"", 0, 0},
        {"abc", 3, 3},
        {"\xC3\xA9", 2, 2},
        {"a\xC3", 2, 1},
        {"\xE2\x82\xAC", 3, 3},
        {"\xE2\x82", 2, 0},
        {"\xF0\x9F\x98\x80", 4, 4},
        {"x\xF0\x9F\x98", 4, 1},
        {"\x80", 1, 0},
        {"\xC0\x80", 2, 0},
        {"\xC1\xBF", 2, 0},
        {"\xE0\x9F\xBF", 3, 0},
        {"\xED\xA0\x80", 3, 0},
        {"\xED\x9F\xBF", 3, 3},
        {"\xF0\x8F\xBF\xBF", 4, 0},
        {"\xF4\x8F\xBF\xBF", 4, 4},
        {"\xF4\x90\x80\x80", 4, 0},
        {"\xF5\x80\x80\x80", 4, 0},
        {"a\0b", 3, 3},
        {"\xFF", 1, 0},
    };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        assert_int_equal(trim_utf8_prefix(list[i].text, list[i].len), list[i].valid);
}

static void never_cuts_a_character(void **state)
{
    (void)state;
    struct trim_hole h;
    trim_hole_init(&h, "s = '", 5, "'\n", 2, TRIM_AUTO);
    const char *euro = "\xE2\x82\xAC";
    for (size_t n = 0; n <= 3; n++) {
        struct trim_cut c = trim_finish(&h, euro, n, false);
        assert_int_equal(c.keep, n == 3 ? 3 : 0);
        assert_int_equal(trim_scan(&h, euro, n).rule, TRIM_NONE);
    }
    struct trim_cut c = trim_scan(&h, "ab\xFFzzzzz", 8);
    assert_int_equal(c.rule, TRIM_BAD_BYTES);
    assert_int_equal(c.keep, 2);
}

/* Any text: what is kept is a valid part of it, looking in steps ends like looking once, and more
 * text after a cut changes nothing. */
static void random_texts(void **state)
{
    (void)state;
    static const char *const pieces[] = {
        "\n", "\n",       "    ",     "  ",   "\t",       "a",     "foo(",    ")",  "}",
        "{",  "]",        "[",        ":",    "return x", "\"",    "'",       "\\", ";",
        ",",  "\xC3\xA9", "\xE2\x82", "\xFF", "\r\n",     "x = 1", "def f():"};
    const size_t n_pieces = sizeof pieces / sizeof *pieces;
    uint32_t seed = 12345;
    char part[3][512];
    for (int round = 0; round < 20000; round++) {
        for (int p = 0; p < 3; p++) {
            part[p][0] = 0;
            seed = seed * 1664525 + 1013904223;
            size_t n = seed >> 16 & 15;
            for (size_t i = 0; i < n; i++) {
                seed = seed * 1664525 + 1013904223;
                strcat(part[p], pieces[(seed >> 16) % n_pieces]);
            }
        }
        struct trim_hole h;
        trim_hole_init(&h, part[0], strlen(part[0]), part[1], strlen(part[1]),
                       (enum trim_mode)(round % 4));
        const char *text = part[2];
        size_t len = strlen(text);
        struct trim_cut once = trim_finish(&h, text, len, false);
        struct trim_cut steps = run(&h, text, len, 1 + (size_t)round % 5, false);
        assert_true(once.keep <= len && once.skip <= once.keep);
        assert_int_equal(steps.skip, once.skip);
        assert_int_equal(trim_utf8_prefix(text, once.keep), once.keep);
        assert_int_equal(steps.keep, once.keep);
        assert_int_equal(steps.rule, once.rule);
        for (size_t n = 0; n < len; n++) {
            struct trim_cut early = trim_scan(&h, text, n);
            if (early.rule == TRIM_NONE) continue;
            struct trim_cut late = trim_scan(&h, text, len);
            assert_int_equal(late.rule, early.rule);
            assert_int_equal(late.keep, early.keep);
            break;
        }
    }
}

static void hostile_sizes(void **state)
{
    (void)state;
    size_t len = 1 << 20;
    char *text = malloc(len);
    assert_non_null(text);
    struct trim_hole h;
    static const char fill[] = {'\n', ' ', '(', ')', '"', 'a', '\t', '\0'};
    for (size_t i = 0; i < sizeof fill; i++) {
        memset(text, fill[i], len);
        trim_hole_init(&h, text, len, text, len, TRIM_AUTO);
        struct trim_cut c = trim_finish(&h, text, len, false);
        assert_true(c.keep <= len);
        trim_hole_init(&h, "f(", 2, text, len, TRIM_AUTO);
        assert_true(trim_finish(&h, "a)b", 3, false).keep <= 3);
        assert_true(trim_finish(&h, text, len, true).keep <= len);
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_with_the_line),
        cmocka_unit_test(looks_far),
        cmocka_unit_test(goes_to_the_end_of_the_function),
        cmocka_unit_test(drops_what_only_a_chat_would_say),
        cmocka_unit_test(drops_what_the_line_has_already),
        cmocka_unit_test(stops_at_the_text_below),
        cmocka_unit_test(leaves_no_block),
        cmocka_unit_test(keeps_one_statement),
        cmocka_unit_test(stops_repetition),
        cmocka_unit_test(stops_at_blank_lines_and_doubled_brackets),
        cmocka_unit_test(blanks_in_front),
        cmocka_unit_test(modes_override),
        cmocka_unit_test(utf8_prefix),
        cmocka_unit_test(never_cuts_a_character),
        cmocka_unit_test(random_texts),
        cmocka_unit_test(hostile_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
