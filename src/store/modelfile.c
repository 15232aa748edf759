#include "store/modelfile.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "store/settings.h"

struct slice {
    const char *s;
    size_t len;
};

struct parser {
    const char *at, *end, *where;
    size_t line;     /* of `at` */
    size_t cmd_line; /* where the command began, for errors */
    size_t n_commands;
    struct modelfile *out;
    struct error *err;
};

static enum status fail(const struct parser *p, enum status st, const char *what)
{
    return error_set(p->err, st, "%s, line %zu: %s", p->where, p->cmd_line, what);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool is_newline(char c)
{
    return c == '\n' || c == '\r';
}

static struct slice trim(const char *s, const char *end)
{
    while (s < end && isspace((unsigned char)*s)) s++;
    while (end > s && isspace((unsigned char)end[-1])) end--;
    return (struct slice){s, (size_t)(end - s)};
}

/* False: the quote that it begins with is not closed yet. */
static bool unquote(struct slice *v)
{
    size_t n = v->len >= 3 && memcmp(v->s, "\"\"\"", 3) == 0 ? 3 : v->len && v->s[0] == '"' ? 1 : 0;
    if (n == 0) return true;
    if (v->len < 2 * n || memcmp(v->s + v->len - n, "\"\"\"", n) != 0) return false;
    *v = (struct slice){v->s + n, v->len - 2 * n};
    return true;
}

static void count_line(struct parser *p)
{
    /* "\r\n" is one line's end. */
    if (*p->at == '\n' || p->at + 1 == p->end || p->at[1] != '\n') p->line++;
}

/* Up to the first line's end at which no quote is open. */
static enum status read_value(struct parser *p, struct slice *out)
{
    const char *from = p->at;
    for (;; p->at++) {
        if (p->at < p->end && !is_newline(*p->at)) continue;
        *out = trim(from, p->at);
        if (unquote(out)) return OK;
        if (p->at == p->end)
            return fail(p, ERR_FORMAT, "the quote that begins here is never closed");
        count_line(p);
    }
}

static struct slice read_word(struct parser *p, bool underscore)
{
    const char *from = p->at;
    while (p->at < p->end && (isalpha((unsigned char)*p->at) ||
                              (underscore && (isdigit((unsigned char)*p->at) || *p->at == '_'))))
        p->at++;
    return (struct slice){from, (size_t)(p->at - from)};
}

static bool word_is(struct slice w, const char *name)
{
    return w.len == strlen(name) && strncasecmp(w.s, name, w.len) == 0;
}

static json_t *text_of(const struct parser *p, struct slice v)
{
    json_t *t = json_stringn(v.s, v.len);
    if (!t) fail(p, ERR_FORMAT, "the value is no UTF-8 text");
    return t;
}

static enum status add_to_list(const struct parser *p, json_t *owner, const char *key, json_t *item)
{
    json_t *list = json_object_get(owner, key);
    if (!list && json_object_set_new(owner, key, list = json_array()) != 0) list = NULL;
    if (item && list && json_array_append_new(list, item) == 0) return OK;
    if (!list) json_decref(item);
    return p->err && p->err->code ? p->err->code : fail(p, ERR_NOMEM, "out of memory");
}

/* ---- commands ---------------------------------------------------------------------------------
 */

static enum status take_from(struct parser *p, struct slice v)
{
    if (p->out->from) return fail(p, ERR_UNSUPPORTED, "a second FROM: a model has one file here");
    if (!v.len) return fail(p, ERR_FORMAT, "FROM needs a model's name, a file or a folder");
    p->out->from = strndup(v.s, v.len);
    return p->out->from ? OK : fail(p, ERR_NOMEM, "out of memory");
}

static enum status take_parameter(struct parser *p, struct slice name, struct slice v)
{
    struct error why = {0};
    char key[64];
    snprintf(key, sizeof key, "%.*s", name.len < sizeof key ? (int)name.len : 0, name.s);
    const struct parameter *known = parameter_find(key);
    if (!known)
        return error_set(p->err, ERR_FORMAT, "%s, line %zu: there is no parameter '%.*s'", p->where,
                         p->cmd_line, name.len < 60 ? (int)name.len : 60, name.s);
    json_t *value = parameter_parse(known, v.s, v.len, &why);
    if (!value) return fail(p, ERR_FORMAT, why.msg);
    if (known->ignored)
        buf_printf(&p->out->notes, "line %zu: PARAMETER %s has no effect here\n", p->cmd_line, key);
    json_t *all = json_object_get(p->out->settings, "parameters");
    if (!all && json_object_set_new(p->out->settings, "parameters", all = json_object()) != 0)
        all = NULL;
    if (all && known->kind == PARAMETER_TEXTS) return add_to_list(p, all, key, value);
    if (all && json_object_set_new(all, key, value) == 0) return OK;
    if (!all) json_decref(value);
    return fail(p, ERR_NOMEM, "out of memory");
}

static enum status take_message(struct parser *p, struct slice role, struct slice v)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    const char *known = NULL;
    for (size_t i = 0; i < 3; i++)
        if (word_is(role, roles[i])) known = roles[i];
    if (!known)
        return fail(p, ERR_FORMAT,
                    "MESSAGE takes a role of system, user and assistant, then the text");
    json_t *text = text_of(p, v);
    if (!text) return p->err->code;
    return add_to_list(p, p->out->settings, "messages",
                       json_pack("{s:s, s:o}", "role", known, "content", text));
}

/* Digits and dots, perhaps behind a v and before a suffix: 0.14.0. */
static bool is_version(struct slice v)
{
    if (v.len && v.s[0] == 'v') v.s++, v.len--;
    size_t i = 0, parts = 0;
    while (i < v.len && parts < 3) {
        size_t from = i;
        while (i < v.len && isdigit((unsigned char)v.s[i])) i++;
        if (i == from) return false;
        parts++;
        if (i < v.len && v.s[i] == '.' && parts < 3)
            i++;
        else
            break;
    }
    return parts > 0 && (i == v.len || v.s[i] == '-' || v.s[i] == '+');
}

static enum status take_text(struct parser *p, const char *key, struct slice v)
{
    json_t *text = text_of(p, v);
    if (!text) return p->err->code;
    return json_object_set_new(p->out->settings, key, text) == 0
               ? OK
               : fail(p, ERR_NOMEM, "out of memory");
}

static enum status take_command(struct parser *p, struct slice cmd, struct slice first,
                                struct slice v)
{
    if (word_is(cmd, "from")) return take_from(p, v);
    if (word_is(cmd, "parameter")) return take_parameter(p, first, v);
    if (word_is(cmd, "message")) return take_message(p, first, v);
    if (word_is(cmd, "template")) return take_text(p, "template", v);
    if (word_is(cmd, "system")) return take_text(p, "system", v);
    if (word_is(cmd, "requires")) {
        if (!is_version(v)) return fail(p, ERR_FORMAT, "REQUIRES takes a version such as 0.14.0");
        if (v.s[0] == 'v') v.s++, v.len--;
        return take_text(p, "requires", v);
    }
    bool license = word_is(cmd, "license");
    if (license || word_is(cmd, "adapter")) {
        if (!license && !v.len) return fail(p, ERR_FORMAT, "ADAPTER needs a file or a folder");
        json_t *text = text_of(p, v);
        return text ? add_to_list(p, p->out->settings, license ? "license" : "adapters", text)
                    : p->err->code;
    }
    if (word_is(cmd, "renderer") || word_is(cmd, "parser")) {
        buf_printf(
            &p->out->notes,
            "line %zu: %.*s has no effect here: the model file's own chat template is used\n",
            p->cmd_line, (int)cmd.len, cmd.s);
        return OK;
    }
    if (word_is(cmd, "draft"))
        return fail(p, ERR_UNSUPPORTED,
                    "DRAFT is not implemented; speculation needs no second model here");
    return fail(p, ERR_FORMAT,
                "a line begins with FROM, PARAMETER, TEMPLATE, SYSTEM, ADAPTER, LICENSE, MESSAGE, "
                "REQUIRES or #");
}

static enum status read_command(struct parser *p)
{
    p->cmd_line = p->line;
    if (++p->n_commands > MODELFILE_MAX_COMMANDS) return fail(p, ERR_LIMIT, "too many lines");
    struct slice cmd = read_word(p, false), first = {0}, v;
    bool two = word_is(cmd, "parameter") || word_is(cmd, "message");
    if (!cmd.len || p->at == p->end || !is_blank(*p->at))
        return cmd.len && (p->at == p->end || is_newline(*p->at))
                   ? fail(p, ERR_FORMAT, "the command has no value")
                   : take_command(p, (struct slice){0}, first, first);
    while (two && p->at < p->end && is_blank(*p->at)) p->at++;
    if (two) {
        first = read_word(p, true);
        if (!first.len || p->at == p->end || !is_blank(*p->at))
            return fail(p, ERR_FORMAT,
                        word_is(cmd, "message") ? "MESSAGE takes a role and a text"
                                                : "PARAMETER takes a name and a value");
    }
    enum status st = read_value(p, &v);
    return st == OK ? take_command(p, cmd, first, v) : st;
}

static enum status read_all(struct parser *p)
{
    while (p->at < p->end) {
        if (is_newline(*p->at)) {
            count_line(p);
            p->at++;
        } else if (is_blank(*p->at)) {
            p->at++;
        } else if (*p->at == '#') {
            while (p->at < p->end && !is_newline(*p->at)) p->at++;
        } else {
            enum status st = read_command(p);
            if (st != OK) return st;
        }
    }
    return OK;
}

enum status modelfile_parse(const char *text, size_t len, const char *where, struct modelfile *out,
                            struct error *err)
{
    struct error unwanted = {0};
    if (!err) err = &unwanted;
    *err = (struct error){0};
    *out = (struct modelfile){0};
    struct parser p = {.at = text,
                       .end = text + len,
                       .where = where,
                       .line = 1,
                       .cmd_line = 1,
                       .out = out,
                       .err = err};
    buf_init(&out->notes, 1 << 20);
    out->settings = json_object();
    enum status st = out->settings ? OK : fail(&p, ERR_NOMEM, "out of memory");
    if (st == OK && len > MODELFILE_MAX_BYTES)
        st = error_set(err, ERR_LIMIT, "%s has more than %d bytes", where, MODELFILE_MAX_BYTES);
    if (st == OK && len >= 2 &&
        (memcmp(text, "\xff\xfe", 2) == 0 || memcmp(text, "\xfe\xff", 2) == 0))
        st = error_set(err, ERR_FORMAT, "%s is UTF-16; save it as UTF-8", where);
    if (st == OK && len && memchr(text, 0, len))
        st = error_set(err, ERR_FORMAT, "%s is no text: it has NUL bytes", where);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) p.at += 3; /* a byte order mark */
    if (st == OK) st = read_all(&p);
    if (st == OK && !out->from) st = error_set(err, ERR_FORMAT, "%s has no FROM line", where);
    if (st != OK) modelfile_fini(out);
    return st;
}

void modelfile_fini(struct modelfile *m)
{
    free(m->from);
    json_decref(m->settings);
    buf_fini(&m->notes);
    *m = (struct modelfile){0};
}

/* ---- printing ---------------------------------------------------------------------------------
 */

/* Whether a value so written reads back as `v`. */
static bool reads_back(const char *text, size_t len, struct slice v)
{
    struct modelfile none = {0};
    struct error ignored = {0};
    struct parser p = {.at = text, .end = text + len, .where = "", .out = &none, .err = &ignored};
    struct slice got;
    return read_value(&p, &got) == OK && p.at == p.end && got.len == v.len &&
           memcmp(got.s, v.s, v.len) == 0;
}

static enum status print_value(struct buf *out, const char *head, const char *name, const char *s,
                               size_t len, struct error *err)
{
    static const char *const quotes[] = {"", "\"", "\"\"\""};
    enum status st = buf_printf(out, "%s%s%s ", head, *name ? " " : "", name);
    size_t from = out->len;
    /* One line reads best without quotes, several with three. */
    bool lines = memchr(s, '\n', len) || memchr(s, '\r', len);
    for (size_t i = 0; i < 3 && st == OK; i++) {
        const char *q = quotes[lines ? 2 - i : i];
        st = buf_append_str(out, q);
        if (st == OK) st = buf_append(out, s, len);
        if (st == OK) st = buf_append_str(out, q);
        if (st != OK) break;
        if (reads_back(out->data + from, out->len - from, (struct slice){s, len}))
            return buf_append_str(out, "\n");
        out->len = from;
    }
    if (st != OK) return error_set(err, st, "no memory for the Modelfile");
    return error_set(err, ERR_UNSUPPORTED, "%s %s: a Modelfile has no way to quote this text", head,
                     name);
}

static enum status print_text(struct buf *out, const char *head, const char *name, const json_t *v,
                              struct error *err)
{
    return print_value(out, head, name, json_string_value(v), json_string_length(v), err);
}

static enum status print_list(struct buf *out, const char *head, const char *name,
                              const json_t *list, struct error *err)
{
    size_t i;
    json_t *v;
    json_array_foreach(list, i, v)
    {
        enum status st = json_is_string(v) ? print_text(out, head, name, v, err) : OK;
        if (st != OK) return st;
    }
    return OK;
}

static enum status print_parameter(struct buf *out, const char *name, const json_t *v,
                                   struct error *err)
{
    if (json_is_array(v)) return print_list(out, "PARAMETER", name, v, err);
    if (json_is_string(v)) return print_text(out, "PARAMETER", name, v, err);
    char number[40];
    snprintf(number, sizeof number, "%.15g", json_number_value(v));
    if (strtod(number, NULL) != json_number_value(v))
        snprintf(number, sizeof number, "%.17g", json_number_value(v));
    enum status st =
        json_is_boolean(v)
            ? buf_printf(out, "PARAMETER %s %s\n", name, json_is_true(v) ? "true" : "false")
        : json_is_integer(v)
            ? buf_printf(out, "PARAMETER %s %lld\n", name, (long long)json_integer_value(v))
            : buf_printf(out, "PARAMETER %s %s\n", name, number);
    return st == OK ? OK : error_set(err, st, "no memory for the Modelfile");
}

enum status modelfile_print(const char *from, const json_t *settings, struct buf *out,
                            struct error *err)
{
    static const struct {
        const char *key, *command;
    } texts[] = {{"template", "TEMPLATE"}, {"system", "SYSTEM"}, {"requires", "REQUIRES"}};
    const char *name;
    json_t *v;
    size_t i, before = out->len;
    enum status st = print_value(out, "FROM", "", from, strlen(from), err);
    if (st == OK) st = print_list(out, "ADAPTER", "", json_object_get(settings, "adapters"), err);
    for (i = 0; i < 3 && st == OK; i++) {
        v = json_object_get(settings, texts[i].key);
        if (json_is_string(v)) st = print_text(out, texts[i].command, "", v, err);
    }
    json_object_foreach(json_object_get(settings, "parameters"), name, v)
    {
        if (st == OK) st = print_parameter(out, name, v, err);
    }
    json_array_foreach(json_object_get(settings, "messages"), i, v)
    {
        const char *role = json_string_value(json_object_get(v, "role"));
        const json_t *text = json_object_get(v, "content");
        if (st == OK && role && json_is_string(text))
            st = print_text(out, "MESSAGE", role, text, err);
    }
    if (st == OK) st = print_list(out, "LICENSE", "", json_object_get(settings, "license"), err);
    if (st != OK) out->len = before;
    return st;
}
