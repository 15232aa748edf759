/* Command-line parsing. One pass moves options into the command's struct and positionals to the
 * front of argv. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/cli_int.h"

struct parser {
    const struct command *cmd;
    unsigned char *values; /* the command's options struct */
    struct error *err;
};

static const struct option *find_long(const struct command *cmd, const char *name, size_t len)
{
    for (const struct option *o = cmd->options; o && o->name; o++)
        if (strlen(o->name) == len && memcmp(o->name, name, len) == 0) return o;
    return NULL;
}

static const struct option *find_letter(const struct command *cmd, char letter)
{
    for (const struct option *o = cmd->options; o && o->name; o++)
        if (o->letter && o->letter == letter) return o;
    return NULL;
}

static enum status unknown_long(struct parser *p, const char *name, size_t len)
{
    char typed[64];
    const char *best = NULL;
    if (len < sizeof typed) {
        memcpy(typed, name, len);
        typed[len] = 0;
        size_t best_distance = len < 5 ? 2 : 3; /* "--josn" is near "--json", "--x" to nothing */
        for (const struct option *o = p->cmd->options; o && o->name; o++) {
            size_t d = cli_edit_distance(typed, o->name);
            if (d < best_distance) {
                best_distance = d;
                best = o->name;
            }
        }
    }
    int shown = len > 200 ? 200 : (int)len;
    if (best)
        return error_set(p->err, ERR_INVALID, "unknown option --%.*s; did you mean --%s?", shown, name,
                         best);
    return error_set(p->err, ERR_INVALID, "unknown option --%.*s", shown, name);
}

/* Says what a number option takes, for the message about one that is wrong. */
static enum status bad_number(struct parser *p, const struct option *o, const char *text)
{
    const char *kind = o->kind == OPTION_INT ? "a whole number" : "a number";
    if (o->min == 0 && o->max == 0)
        return error_set(p->err, ERR_INVALID, "option --%s takes %s, not '%.200s'", o->name, kind,
                         text);
    return error_set(p->err, ERR_INVALID, "option --%s takes %s from %.10g to %.10g, not '%.200s'",
                     o->name, kind, o->min, o->max, text);
}

static bool in_range(const struct option *o, double v)
{
    return (o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max);
}

/* strtoll and strtod also take leading spaces, hexadecimal, "nan" and "inf". */
static bool looks_decimal(const char *s, bool fraction)
{
    size_t digits = 0;
    if (*s == '-' || *s == '+') s++;
    for (; *s; s++) {
        if (*s >= '0' && *s <= '9')
            digits++;
        else if (!fraction || !strchr(".eE+-", *s))
            return false;
    }
    return digits > 0;
}

static enum status store_value(struct parser *p, const struct option *o, const char *text)
{
    void *field = p->values + o->offset;
    char *end;
    errno = 0;
    switch (o->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return OK;
    case OPTION_STRING:
        *(const char **)field = text;
        return OK;
    case OPTION_INT: {
        if (!looks_decimal(text, false)) return bad_number(p, o, text);
        long long v = strtoll(text, &end, 10);
        if (errno || *end || !in_range(o, (double)v)) return bad_number(p, o, text);
        *(int64_t *)field = v;
        return OK;
    }
    case OPTION_FLOAT: {
        if (!looks_decimal(text, true)) return bad_number(p, o, text);
        double v = strtod(text, &end);
        if (*end || !isfinite(v) || !in_range(o, v)) return bad_number(p, o, text);
        *(double *)field = v;
        return OK;
    }
    case OPTION_LIST: {
        struct string_list *list = field;
        size_t room = sizeof list->items / sizeof list->items[0];
        if (list->len == room)
            return error_set(p->err, ERR_LIMIT, "option --%s may be given at most %zu times",
                             o->name, room);
        list->items[list->len++] = text;
        return OK;
    }
    }
    return error_set(p->err, ERR_INVALID, "option --%s has an unknown kind", o->name);
}

/* The value of an option that takes one: `joined` if it came in the same word, else the next word.
 * A word that is itself an option of this command was more likely meant as that. */
static enum status take_value(struct parser *p, const struct option *o, const char *joined,
                              int argc, char **argv, int *i)
{
    if (joined) return store_value(p, o, joined);
    if (*i + 1 >= argc)
        return error_set(p->err, ERR_INVALID, "option --%s needs a value: --%s %s", o->name, o->name,
                         o->metavar ? o->metavar : "VALUE");
    const char *next = argv[*i + 1];
    if (strncmp(next, "--", 2) == 0 && find_long(p->cmd, next + 2, strlen(next + 2)))
        return error_set(p->err, ERR_INVALID,
                         "option --%s needs a value: --%s %s (to pass '%s' itself, write --%s=%s)",
                         o->name, o->name, o->metavar ? o->metavar : "VALUE", next, o->name, next);
    (*i)++;
    return store_value(p, o, next);
}

static enum status parse_long(struct parser *p, int argc, char **argv, int *i)
{
    const char *name = argv[*i] + 2;
    const char *equals = strchr(name, '=');
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    const struct option *o = find_long(p->cmd, name, len);
    if (!o) return unknown_long(p, name, len);
    if (o->kind != OPTION_FLAG)
        return take_value(p, o, equals ? equals + 1 : NULL, argc, argv, i);
    if (equals) return error_set(p->err, ERR_INVALID, "option --%s takes no value", o->name);
    return store_value(p, o, NULL);
}

/* "-x", "-xVALUE", and flags run together as in "-ab". */
static enum status parse_letters(struct parser *p, int argc, char **argv, int *i)
{
    for (const char *s = argv[*i] + 1; *s; s++) {
        const struct option *o = find_letter(p->cmd, *s);
        if (!o) return error_set(p->err, ERR_INVALID, "unknown option -%c", *s);
        if (o->kind != OPTION_FLAG) return take_value(p, o, s[1] ? s + 1 : NULL, argc, argv, i);
        enum status st = store_value(p, o, NULL);
        if (st) return st;
    }
    return OK;
}

static enum status check_count(struct parser *p, int count, char **argv)
{
    if (count < p->cmd->min_args)
        return error_set(p->err, ERR_INVALID, "missing %s; usage: hearth %s",
                         p->cmd->arg_metavar ? p->cmd->arg_metavar : "argument", p->cmd->usage);
    if (p->cmd->max_args >= 0 && count > p->cmd->max_args)
        return error_set(p->err, ERR_INVALID, "unexpected argument '%.200s'",
                         argv[p->cmd->max_args]);
    return OK;
}

enum status cli_parse(const struct command *cmd, int *argc, char **argv, void *options,
                      struct error *err)
{
    struct parser p = {.cmd = cmd, .values = options, .err = err};
    if (cmd->options_size) memset(options, 0, cmd->options_size);
    if (cmd->init) cmd->init(options);
    int count = 0;
    bool options_ended = false;
    for (int i = 0; i < *argc; i++) {
        char *word = argv[i];
        enum status st = OK;
        if (options_ended || word[0] != '-' || word[1] == 0)
            argv[count++] = word;
        else if (strcmp(word, "--") == 0)
            options_ended = true;
        else if (word[1] == '-')
            st = parse_long(&p, *argc, argv, &i);
        else
            st = parse_letters(&p, *argc, argv, &i);
        if (st) return st;
    }
    *argc = count;
    return check_count(&p, count, argv);
}
