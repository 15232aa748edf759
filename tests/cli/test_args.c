/* Option parsing, hostile numbers included. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

struct values {
    bool json, quiet;
    const char *model;
    int64_t tokens, seed;
    double temperature, any;
    struct string_list stops;
};

static const struct option options[] = {
    {"json", 'j', OPTION_FLAG, NULL, "", offsetof(struct values, json), 0, 0},
    {"quiet", 'q', OPTION_FLAG, NULL, "", offsetof(struct values, quiet), 0, 0},
    {"model", 'm', OPTION_STRING, "MODEL", "", offsetof(struct values, model), 0, 0},
    {"max-tokens", 'n', OPTION_INT, "N", "", offsetof(struct values, tokens), 1, 4096},
    {"seed", 0, OPTION_INT, "N", "", offsetof(struct values, seed), 0, 0},
    {"temperature", 't', OPTION_FLOAT, "T", "", offsetof(struct values, temperature), 0, 2},
    {"any", 0, OPTION_FLOAT, "X", "", offsetof(struct values, any), 0, 0},
    {"stop", 0, OPTION_LIST, "TEXT", "", offsetof(struct values, stops), 0, 0},
    {NULL},
};

static void set_defaults(void *p)
{
    struct values *v = p;
    v->tokens = 128;
    v->temperature = 0.5;
}

static const struct command command = {
    .name = "test",
    .summary = "",
    .usage = "test FILE [FILE]",
    .options = options,
    .options_size = sizeof(struct values),
    .init = set_defaults,
    .min_args = 1,
    .max_args = 2,
    .arg_metavar = "FILE",
};

/* A parse's inputs and results; argv is writable, as in main. */
struct parse {
    struct values v;
    struct error err;
    enum status st;
    int argc;
    char *argv[200];
};

static void parse_words(struct parse *p, size_t n, const char *const *words)
{
    memset(p, 0xA5, sizeof *p); /* cli_parse has to clear what it fills */
    p->err.msg[0] = 0;
    p->argc = (int)n;
    for (size_t i = 0; i < n; i++) p->argv[i] = (char *)(uintptr_t)words[i];
    p->st = cli_parse(&command, &p->argc, p->argv, &p->v, &p->err);
}

#define PARSE(p, ...)                                                                              \
    do {                                                                                           \
        const char *const words_[] = {__VA_ARGS__};                                                \
        parse_words(p, sizeof words_ / sizeof words_[0], words_);                                  \
    } while (0)

#define REFUSED(p, text, ...)                                                                      \
    do {                                                                                           \
        PARSE(p, __VA_ARGS__);                                                                     \
        assert_int_equal((p)->st, ERR_INVALID);                                                    \
        if (!strstr((p)->err.msg, text)) fail_msg("'%s' lacks '%s'", (p)->err.msg, text);          \
    } while (0)

static void defaults_hold_where_nothing_is_given(void **state)
{
    (void)state;
    struct parse p;
    PARSE(&p, "file.c");
    assert_int_equal(p.st, OK);
    assert_int_equal(p.argc, 1);
    assert_string_equal(p.argv[0], "file.c");
    assert_false(p.v.json);
    assert_null(p.v.model);
    assert_int_equal(p.v.tokens, 128);
    assert_true(p.v.temperature == 0.5);
    assert_int_equal(p.v.stops.len, 0);
}

static void every_way_to_write_an_option(void **state)
{
    (void)state;
    struct parse p;
    PARSE(&p, "--model", "m1", "a", "--max-tokens=7", "-t1.5", "-jq", "b", "--seed", "-5");
    assert_int_equal(p.st, OK);
    assert_string_equal(p.v.model, "m1");
    assert_int_equal(p.v.tokens, 7);
    assert_true(p.v.temperature == 1.5);
    assert_true(p.v.json && p.v.quiet);
    assert_int_equal(p.v.seed, -5);
    assert_int_equal(p.argc, 2);
    assert_string_equal(p.argv[0], "a");
    assert_string_equal(p.argv[1], "b");

    PARSE(&p, "-jmname", "-n", "9", "-t", "0", "x");
    assert_int_equal(p.st, OK);
    assert_true(p.v.json);
    assert_string_equal(p.v.model, "name");
    assert_int_equal(p.v.tokens, 9);
    assert_true(p.v.temperature == 0);

    PARSE(&p, "--model=", "x"); /* an empty value is a value */
    assert_int_equal(p.st, OK);
    assert_string_equal(p.v.model, "");
    PARSE(&p, "--model=a=b", "x");
    assert_string_equal(p.v.model, "a=b");
    PARSE(&p, "-m", "one", "x", "-m", "two"); /* the last one counts */
    assert_string_equal(p.v.model, "two");
}

static void dashes_that_are_no_options(void **state)
{
    (void)state;
    struct parse p;
    PARSE(&p, "-", "--", "--json");
    assert_int_equal(p.st, OK);
    assert_int_equal(p.argc, 2);
    assert_string_equal(p.argv[0], "-");
    assert_string_equal(p.argv[1], "--json");
    assert_false(p.v.json);
    PARSE(&p, "--", "--", "-x");
    assert_int_equal(p.argc, 2);
    assert_string_equal(p.argv[0], "--");
    PARSE(&p, "x", "-m", "-"); /* as a value */
    assert_string_equal(p.v.model, "-");
    PARSE(&p, "x", "-m", "--other"); /* no option of this command */
    assert_string_equal(p.v.model, "--other");
}

static void lists_collect_and_are_bounded(void **state)
{
    (void)state;
    struct parse p;
    PARSE(&p, "--stop", "a", "x", "--stop=", "--stop", "b");
    assert_int_equal(p.st, OK);
    assert_int_equal(p.v.stops.len, 3);
    assert_string_equal(p.v.stops.items[0], "a");
    assert_string_equal(p.v.stops.items[1], "");
    assert_string_equal(p.v.stops.items[2], "b");

    const char *words[131] = {"x"};
    for (int i = 0; i < 130; i++) words[1 + i] = i % 2 ? "s" : "--stop";
    parse_words(&p, 129, words);
    assert_int_equal(p.st, OK);
    assert_int_equal(p.v.stops.len, 64);
    parse_words(&p, 131, words);
    assert_int_equal(p.st, ERR_LIMIT);
    assert_non_null(strstr(p.err.msg, "--stop"));
}

static void whole_numbers_are_whole_and_in_range(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",     " 5",   "5 ",   "+",     "-",    "5x",  "x5",  "0x10", "1e3", "5.0", "1_000",
        "99999999999999999999", "-99999999999999999999", "9223372036854775808", "five", "--5", "5-",
        "\xEF\xBC\x95", /* a full-width five */
    };
    struct parse p;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        REFUSED(&p, "--seed", "x", "--seed", bad[i]);
        REFUSED(&p, "--max-tokens", "x", "--max-tokens", bad[i]);
    }
    static const char *const outside[] = {"0", "-1", "4097", "9223372036854775807"};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        REFUSED(&p, "from 1 to 4096", "x", "-n", outside[i]);
    PARSE(&p, "x", "-n", "4096", "--seed", "9223372036854775807");
    assert_int_equal(p.v.tokens, 4096);
    assert_true(p.v.seed == INT64_MAX);
    PARSE(&p, "x", "--seed", "-9223372036854775808");
    assert_true(p.v.seed == INT64_MIN);
    PARSE(&p, "x", "--seed", "+007");
    assert_int_equal(p.v.seed, 7);
}

static void fractions_are_finite_and_in_range(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", " 1", "1 ", "nan", "inf", "-inf", "infinity", "0x1p3", "1e999", "-1e999", "1,5", ".", "e5",
        "1e", "1.2.3", "--1", "1-", "NAN(1)",
    };
    struct parse p;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        REFUSED(&p, "--any", "x", "--any", bad[i]);
        REFUSED(&p, "--temperature", "x", "-t", bad[i]);
    }
    REFUSED(&p, "from 0 to 2", "x", "-t", "2.0001");
    REFUSED(&p, "from 0 to 2", "x", "-t", "-0.5");
    PARSE(&p, "x", "--any", "-1.5e-3", "-t", "2");
    assert_int_equal(p.st, OK);
    assert_true(p.v.any == -1.5e-3);
    assert_true(p.v.temperature == 2);
    PARSE(&p, "x", "--any", "1e-400"); /* underflows to zero: harmless */
    assert_int_equal(p.st, OK);
}

static void mistakes_name_the_option(void **state)
{
    (void)state;
    struct parse p;
    REFUSED(&p, "--josn; did you mean --json?", "x", "--josn");
    REFUSED(&p, "unknown option --completely-else", "x", "--completely-else");
    assert_null(strstr(p.err.msg, "did you mean"));
    REFUSED(&p, "unknown option -z", "x", "-z");
    REFUSED(&p, "unknown option -z", "x", "-jz");
    REFUSED(&p, "--model needs a value", "x", "--model");
    REFUSED(&p, "--model needs a value", "x", "-m");
    REFUSED(&p, "--max-tokens needs a value", "x", "-n");
    REFUSED(&p, "write --model=--json", "x", "--model", "--json");
    REFUSED(&p, "--json takes no value", "x", "--json=yes");
    REFUSED(&p, "unknown option --mod", "x", "--mod", "y"); /* no guessing from a beginning */
    REFUSED(&p, "missing FILE", "--json");
    REFUSED(&p, "unexpected argument 'c'", "a", "b", "c");
}

static void long_and_odd_words_stay_one_line(void **state)
{
    (void)state;
    struct parse p;
    static char big[100000];
    memset(big, 'y', sizeof big - 1);
    REFUSED(&p, "--max-tokens", "x", "-n", big);
    big[0] = big[1] = '-';
    REFUSED(&p, "unknown option", "x", big);
    REFUSED(&p, "unexpected argument", "a", "b", "line\nbreak\x1b[2J");
    assert_null(strchr(p.err.msg, '\n'));
    assert_null(strchr(p.err.msg, '\x1b'));
}

static void names_that_are_near(void **state)
{
    (void)state;
    assert_int_equal(cli_edit_distance("pull", "pull"), 0);
    assert_int_equal(cli_edit_distance("plul", "pull"), 1);
    assert_int_equal(cli_edit_distance("", "pull"), 4);
    assert_int_equal(cli_edit_distance("kitten", "sitting"), 3);
    char big[200];
    memset(big, 'a', sizeof big - 1);
    big[sizeof big - 1] = 0;
    assert_true(cli_edit_distance(big, "pull") > 60);
    assert_string_equal(cli_command_suggest("hlep")->name, "help");
    assert_string_equal(cli_command_suggest("completio")->name, "completion");
    assert_null(cli_command_suggest("xyzzy"));
    assert_null(cli_command_suggest(""));
    assert_null(cli_command_suggest(big));
}

/* What completion and help rely on, for every command there is. */
static void check_command(const struct command *cmd, void *ctx)
{
    size_t *count = ctx;
    (*count)++;
    assert_non_null(cmd->name);
    assert_true(cmd->summary && *cmd->summary);
    assert_null(strchr(cmd->summary, '\n'));
    assert_true(cmd->usage && strncmp(cmd->usage, cmd->name, strlen(cmd->name)) == 0);
    assert_non_null(cmd->run);
    assert_ptr_equal(cli_command_find(cmd->name), cmd);
    if (cmd->max_args != 0) assert_non_null(cmd->arg_metavar);
    char letters[64] = "";
    for (const struct option *o = cmd->options; o && o->name; o++) {
        static const size_t sizes[] = {sizeof(bool), sizeof(char *), sizeof(int64_t),
                                       sizeof(double), sizeof(struct string_list)};
        assert_true(o->help && *o->help);
        /* A phrase has no full stop; two sentences have theirs. */
        bool stops = o->help[strlen(o->help) - 1] == '.';
        if (stops != (strstr(o->help, ". ") != NULL)) fail_msg("%s: --%s", cmd->name, o->name);
        assert_true(o->offset + sizes[o->kind] <= cmd->options_size);
        assert_true(o->min <= o->max);
        if (o->letter) {
            if (strchr(letters, o->letter)) fail_msg("%s: -%c twice", cmd->name, o->letter);
            letters[strlen(letters)] = o->letter;
        }
        for (const struct option *other = cmd->options; other != o; other++)
            if (strcmp(other->name, o->name) == 0) fail_msg("%s: --%s twice", cmd->name, o->name);
    }
}

static void every_command_describes_itself(void **state)
{
    (void)state;
    size_t count = 0;
    cli_command_each(check_command, &count);
    assert_true(count >= 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_hold_where_nothing_is_given),
        cmocka_unit_test(every_way_to_write_an_option),
        cmocka_unit_test(dashes_that_are_no_options),
        cmocka_unit_test(lists_collect_and_are_bounded),
        cmocka_unit_test(whole_numbers_are_whole_and_in_range),
        cmocka_unit_test(fractions_are_finite_and_in_range),
        cmocka_unit_test(mistakes_name_the_option),
        cmocka_unit_test(long_and_odd_words_stay_one_line),
        cmocka_unit_test(names_that_are_near),
        cmocka_unit_test(every_command_describes_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
