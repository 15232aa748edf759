#include "cli/serve_config.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

static size_t field_size(enum option_kind kind)
{
    switch (kind) {
    case OPTION_FLAG:
        return sizeof(bool);
    case OPTION_STRING:
        return sizeof(char *);
    case OPTION_INT:
        return sizeof(int64_t);
    case OPTION_FLOAT:
        return sizeof(double);
    case OPTION_LIST:
        return sizeof(struct string_list);
    }
    return 0;
}

static const struct option *find(const struct command *cmd, const char *name)
{
    for (const struct option *o = cmd->options; o->name; o++)
        if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

/* One option from outside of the command line, through the command line's own parser. */
static enum status set_option(const struct command *cmd, const char *name, char *value,
                              void *options, struct error *err)
{
    const struct option *o = find(cmd, name);
    if (!o || strcmp(name, "config") == 0)
        return error_set(err, ERR_INVALID,
                         "there is no option '%.80s'; `hearth help serve` lists them", name);
    char flag[96];
    snprintf(flag, sizeof flag, "--%s", name);
    if (o->kind == OPTION_FLAG) {
        bool on = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
        if (!on && strcmp(value, "false") != 0 && strcmp(value, "0") != 0)
            return error_set(err, ERR_INVALID, "'%.80s' is true or false, not '%.80s'", name,
                             value);
        *(bool *)((char *)options + o->offset) = on;
        return OK;
    }
    /* The parser starts from the beginning at each call, so that it gets options of its own. */
    char *argv[] = {flag, value, NULL}, *field = (char *)options + o->offset;
    int argc = 2;
    void *alone = calloc(1, cmd->options_size);
    if (!alone) return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = cli_parse(cmd, &argc, argv, alone, err);
    const char *got = (const char *)alone + o->offset;
    struct string_list *list = (struct string_list *)(void *)field;
    if (st == OK && o->kind != OPTION_LIST)
        memcpy(field, got, field_size(o->kind));
    else if (st == OK && list->len == sizeof list->items / sizeof *list->items)
        st = error_set(err, ERR_LIMIT, "'%.80s' is there too often", name);
    else if (st == OK)
        list->items[list->len++] = ((const struct string_list *)(const void *)got)->items[0];
    free(alone);
    return st;
}

static char *trim(char *s)
{
    while (isspace((unsigned char)*s)) s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1])) s[--n] = 0;
    return s;
}

static enum status from_file(const struct command *cmd, const char *path, void *options,
                             struct buf *text, struct error *err)
{
    enum status st = file_read_all(path, text, err);
    char *next = text->data;
    for (int line = 1; st == OK && next && *next; line++) {
        char *at = next, *end = strchr(next, '\n');
        next = end ? end + 1 : at + strlen(at);
        if (end) *end = 0;
        at = trim(at);
        if (!*at || *at == '#') continue;
        char *equals = strchr(at, '=');
        if (!equals)
            return error_set(err, ERR_FORMAT, "%s line %d: expected name = value", path, line);
        *equals = 0;
        st = set_option(cmd, trim(at), trim(equals + 1), options, err);
        if (st != OK) error_prefix(err, "%s line %d", path, line);
    }
    return st;
}

static enum status from_environment(const struct command *cmd, void *options, struct error *err)
{
    for (const struct option *o = cmd->options; o->name; o++) {
        char name[96] = "HEARTH_SERVE_";
        size_t n = strlen(name);
        for (size_t i = 0; o->name[i] && n + 1 < sizeof name; i++)
            name[n++] = o->name[i] == '-' ? '_' : (char)toupper((unsigned char)o->name[i]);
        char *value = getenv(name);
        if (!value || strcmp(o->name, "config") == 0) continue;
        enum status st = set_option(cmd, o->name, value, options, err);
        if (st != OK) {
            error_prefix(err, "the environment's %s", name);
            return st;
        }
    }
    return OK;
}

enum status serve_config_apply(const struct command *cmd, const char *path, void *options,
                               struct buf *text, struct error *err)
{
    char *initial = calloc(2, cmd->options_size);
    if (!initial) return error_set(err, ERR_NOMEM, "out of memory");
    char *lower = initial + cmd->options_size;
    cmd->init(initial);
    cmd->init(lower);
    enum status st = path ? from_file(cmd, path, lower, text, err) : OK;
    if (st == OK) st = from_environment(cmd, lower, err);
    for (const struct option *o = cmd->options; st == OK && o->name; o++) {
        char *field = (char *)options + o->offset;
        size_t size = field_size(o->kind);
        if (memcmp(field, initial + o->offset, size) == 0) memcpy(field, lower + o->offset, size);
    }
    free(initial);
    return st;
}
