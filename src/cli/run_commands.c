/* What begins with / in a conversation: each command one row of a table. */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/confined.h"
#include "cli/run.h"
#include "infer/text_io.h"
#include "model/model.h"
#include "text/chat.h"

struct parameter {
    const char *name, *help;
    enum option_kind kind;
    size_t offset;
    double min, max;
};

#define PARAMETER(name, kind, min, max, help) {#name, help, kind, offsetof(struct run_settings, name), min, max}

static const struct parameter parameters[] = {
    PARAMETER(temperature, OPTION_FLOAT, 0, 100, "0: always the likeliest token; 1: as the model predicts"),
    PARAMETER(top_p, OPTION_FLOAT, 0, 1, "draw from the fewest tokens that reach this probability; 1: off"),
    PARAMETER(top_k, OPTION_INT, 0, 1e9, "draw from this many tokens; 0: off"),
    PARAMETER(min_p, OPTION_FLOAT, 0, 1, "drop tokens this much less likely than the first; 0: off"),
    PARAMETER(repeat_penalty, OPTION_FLOAT, 0.01, 100, "against repetition; 1: off"),
    PARAMETER(seed, OPTION_INT, -1, 9e18, "the same seed gives the same answer; -1: another each time"),
    PARAMETER(max_tokens, OPTION_INT, 0, 1e9, "length of an answer; 0: as much as fits"),
    PARAMETER(think, OPTION_FLAG, 0, 1, "whether a model that can reason does"),
    PARAMETER(show_thinking, OPTION_FLAG, 0, 1, "whether its reasoning is shown"),
};
enum { N_PARAMETERS = sizeof parameters / sizeof parameters[0] };

static void show_value(const struct run *r, const struct parameter *p)
{
    const char *at = (const char *)&r->set + p->offset;
    if (p->kind == OPTION_FLAG)
        printf("  %-15s %-8s %s\n", p->name, *(const bool *)at ? "true" : "false", p->help);
    else if (p->kind == OPTION_INT)
        printf("  %-15s %-8lld %s\n", p->name, (long long)*(const int64_t *)at, p->help);
    else
        printf("  %-15s %-8g %s\n", p->name, *(const double *)at, p->help);
}

static enum status parse_flag(const char *s, bool *out)
{
    bool yes = !strcmp(s, "true") || !strcmp(s, "on") || !strcmp(s, "1") || !strcmp(s, "yes");
    bool no = !strcmp(s, "false") || !strcmp(s, "off") || !strcmp(s, "0") || !strcmp(s, "no");
    *out = yes;
    return yes || no ? OK : ERR_INVALID;
}

static enum status set_parameter(struct run *r, const struct parameter *p, const char *value, struct error *err)
{
    char *at = (char *)&r->set + p->offset, *end;
    errno = 0;
    if (p->kind == OPTION_FLAG)
        return parse_flag(value, (bool *)at) == OK ? OK : error_set(err, ERR_INVALID, "/set %s: true or false", p->name);
    double d = strtod(value, &end);
    if (!*value || *end || errno || isnan(d) || d < p->min || d > p->max || (p->kind == OPTION_INT && d != floor(d)))
        return error_set(err, ERR_INVALID, "/set %s: a%s from %g to %g", p->name,
                         p->kind == OPTION_INT ? " whole number" : " number", p->min, p->max);
    if (p->kind == OPTION_INT)
        *(int64_t *)at = strtoll(value, NULL, 10);
    else
        *(double *)at = d;
    return OK;
}

/* "/set temperature 0.5", "/set parameter temperature 0.5" */
static enum status do_set(struct run *r, char *args, struct error *err)
{
    char *save, *name = strtok_r(args, " \t=", &save), *value;
    if (name && strcmp(name, "parameter") == 0) name = strtok_r(NULL, " \t=", &save);
    if (!name) {
        for (size_t i = 0; i < N_PARAMETERS; i++) show_value(r, &parameters[i]);
        return OK;
    }
    if (strcmp(name, "system") == 0) return run_set_system(r, strtok_r(NULL, "", &save), err);
    value = strtok_r(NULL, " \t=", &save);
    for (size_t i = 0; i < N_PARAMETERS; i++)
        if (strcmp(parameters[i].name, name) == 0) {
            if (value) return set_parameter(r, &parameters[i], value, err);
            show_value(r, &parameters[i]);
            return OK;
        }
    return error_set(err, ERR_INVALID, "/set %s: there is no such parameter; /set lists them", name);
}

static enum status do_system(struct run *r, char *args, struct error *err)
{
    if (*args) return run_set_system(r, args, err);
    const json_t *m = json_array_get(r->messages, 0);
    const char *role = json_string_value(json_object_get(m, "role"));
    bool has = role && strcmp(role, "system") == 0;
    printf("%s\n", has ? json_string_value(json_object_get(m, "content")) : "There is no system message.");
    return OK;
}

static enum status do_clear(struct run *r, char *args, struct error *err)
{
    (void)args;
    (void)err;
    const char *role = json_string_value(json_object_get(json_array_get(r->messages, 0), "role"));
    size_t keep = role && strcmp(role, "system") == 0;
    while (json_array_size(r->messages) > keep) json_array_remove(r->messages, keep);
    printf("The conversation is empty%s.\n", keep ? " but for the system message" : "");
    return OK;
}

/* A name alone is a file of Hearth's own folder; a path is a path. */
static char *chat_path(const char *name, struct error *err)
{
    if (!*name) {
        error_set(err, ERR_INVALID, "a name is missing: /save NAME, /load NAME");
        return NULL;
    }
    if (strchr(name, '/') || strstr(name, ".json")) {
        char *copy = strdup(name);
        if (!copy) error_set(err, ERR_NOMEM, "out of memory");
        return copy;
    }
    char file[300];
    if (*name == '.' || snprintf(file, sizeof file, "chats/%s.json", name) >= (int)sizeof file) {
        error_set(err, ERR_INVALID, "%s is no name for a conversation", name);
        return NULL;
    }
    return run_home_file(file, err);
}

static enum status do_save(struct run *r, char *args, struct error *err)
{
    char *path = chat_path(args, err);
    if (!path) return err->code;
    json_t *root = json_pack("{s:s, s:O}", "model", r->model ? r->model : "", "messages", r->messages);
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    mode_t old = umask(077); /* what was said is for its owner's eyes */
    enum status st = text ? file_replace(path, text, strlen(text), err) : error_set(err, ERR_NOMEM, "out of memory");
    umask(old);
    if (st == OK && chmod(path, 0600) != 0) st = error_set(err, ERR_IO, "cannot make %s private", path);
    if (st == ERR_IO && confined_state()->files)
        error_prefix(err, "the sandbox lets /save write below the working folder and in Hearth's own, "
                          "--no-sandbox anywhere");
    if (st == OK) printf("Saved %zu messages to %s.\n", json_array_size(r->messages), path);
    free(text);
    json_decref(root);
    free(path);
    return st;
}

static enum status check_messages(const json_t *messages, const char *path, struct error *err)
{
    bool ok = json_is_array(messages);
    for (size_t i = 0; ok && i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        ok = json_is_string(json_object_get(m, "role")) && json_object_get(m, "content");
    }
    return ok ? OK : error_set(err, ERR_FORMAT, "%s holds no conversation: \"messages\" with role and content", path);
}

static enum status do_load(struct run *r, char *args, struct error *err)
{
    char *path = chat_path(args, err);
    if (!path) return err->code;
    struct buf text;
    buf_init(&text, RUN_MAX_TEXT);
    json_error_t why;
    json_t *root = NULL, *messages;
    enum status st = file_read_all(path, &text, err);
    if (st != OK) goto out;
    root = json_loadb(text.data ? text.data : "", text.len, 0, &why);
    messages = json_is_array(root) ? root : json_object_get(root, "messages");
    st = root ? check_messages(messages, path, err)
              : error_set(err, ERR_FORMAT, "%s, line %d: %s", path, why.line, why.text);
    if (st != OK) goto out;
    json_decref(r->messages);
    r->messages = json_incref(messages);
    printf("Loaded %zu messages.\n", json_array_size(messages));
out:
    json_decref(root);
    buf_fini(&text);
    free(path);
    return st;
}

static enum status do_show(struct run *r, char *args, struct error *err)
{
    (void)args;
    (void)err;
    printf("  model           %s\n", r->model ? r->model : "the default one");
    if (r->client) {
        printf("  server          %s\n", client_url(r->client));
    } else {
        const struct model_info *info = engine_model_info(r->engine);
        const char *builtin = chat_fallback(r->chat);
        printf("  chat template   %s%s\n", builtin ? "built in: " : "the model's own", builtin ? builtin : "");
        printf("  context         %zu tokens here, %zu at most\n", session_n_ctx(r->session), (size_t)info->n_ctx_train);
    }
    printf("  messages        %zu\n", json_array_size(r->messages));
    printf("  last answer     %zu tokens, behind %zu of prompt, %zu of them known already\n", r->res.n_generated,
           r->res.n_prompt, r->res.n_cached);
    for (size_t i = 0; i < N_PARAMETERS; i++) show_value(r, &parameters[i]);
    return OK;
}

static enum status do_help(struct run *r, char *args, struct error *err);

static enum status do_bye(struct run *r, char *args, struct error *err)
{
    (void)r;
    (void)args;
    (void)err;
    return ERR_CANCELLED;
}

static const struct {
    const char *name, *args, *help;
    enum status (*run)(struct run *r, char *args, struct error *err);
} commands[] = {
    {"help", "", "this list", do_help},
    {"set", "[PARAMETER [VALUE]]", "shows or changes how answers are drawn", do_set},
    {"system", "[TEXT]", "shows or changes the system message", do_system},
    {"clear", "", "forgets the conversation", do_clear},
    {"save", "NAME", "keeps the conversation", do_save},
    {"load", "NAME", "goes on with one that was kept", do_load},
    {"show", "", "the model, the context, the parameters", do_show},
    {"bye", "", "ends; so does Ctrl-D", do_bye},
    {"?", "", "/help", do_help},
    {"exit", "", "/bye", do_bye},
    {"quit", "", "/bye", do_bye},
};

static enum status do_help(struct run *r, char *args, struct error *err)
{
    (void)r;
    (void)args;
    (void)err;
    for (size_t i = 0; i < 8; i++) printf("  /%-7s%-20s %s\n", commands[i].name, commands[i].args, commands[i].help);
    printf("\n  \"\"\"          begins and ends a text of several lines\n"
           "  @PATH        puts a file into the message\n"
           "  Ctrl-C       stops an answer; on an empty line it does nothing\n");
    return OK;
}

void run_command(struct run *r, const char *line, bool *leave)
{
    struct error err = {0};
    char *copy = strdup(line + 1);
    if (!copy) return;
    size_t n = strcspn(copy, " \t\n");
    char *args = copy + n + strspn(copy + n, " \t\n");
    for (char *end = args + strlen(args); end > args && strchr(" \t\n", end[-1]);) *--end = 0;
    copy[n] = 0;
    enum status st = error_set(&err, ERR_INVALID, "/%s is no command; /help lists them", copy);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, copy) == 0) {
            err = (struct error){0};
            st = commands[i].run(r, args, &err);
            break;
        }
    *leave = st == ERR_CANCELLED;
    fflush(stdout);
    if (st != OK && !*leave) cli_fail(&err);
    free(copy);
}
