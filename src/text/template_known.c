#include "text/template_known.h"

#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/glob.h"
#include "base/sha256.h"
#include "text/jinja.h"

extern const unsigned char templates_builtin[];
extern const unsigned long templates_builtin_len;

enum { MAX_OUTPUT = 1 << 16, LEAST_WORDS = 12, MAX_TEMPLATE = 1 << 20, MAX_LOOKED_AT = 5000 };

const char *template_state_name(enum template_state s)
{
    static const char *const names[] = {"none",        "no family", "known",
                                        "same output", "other",     "broken"};
    return names[s];
}

/* ---- what is known ------------------------------------------------------------------------- */

static void plain_name(const char *name, char *dst, size_t cap)
{
    size_t i = 0;
    for (; name[i] && i + 1 < cap; i++)
        dst[i] = name[i] == ' ' ? '-' : (char)tolower((unsigned char)name[i]);
    dst[i] = 0;
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    json_t *j;
    json_array_foreach(list, i, j) if (text && strcmp(json_string_value(j), text) == 0) return true;
    return false;
}

/* The family with the most specific pattern that fits one of the names; NULL. */
static const json_t *find_family(const json_t *root, const struct template_subject *s)
{
    const json_t *best = NULL;
    size_t most = 0, i, k;
    json_t *family, *pattern;
    json_array_foreach(json_object_get(root, "families"), i, family)
    {
        if (!has_text(json_object_get(family, "architectures"), s->architecture)) continue;
        json_array_foreach(json_object_get(family, "names"), k, pattern)
        {
            const char *p = json_string_value(pattern);
            for (size_t n = 0; n < 3; n++) {
                char name[160];
                if (!s->names[n]) continue;
                plain_name(s->names[n], name, sizeof name);
                if (!glob_fits(p, name, strlen(name)) || glob_literals(p) <= most) continue;
                most = glob_literals(p);
                best = family;
            }
        }
    }
    return best;
}

/* ---- what it makes ------------------------------------------------------------------------- */

/* malloc'd; *made false: it refused, in its words. NULL: no memory. */
static char *render(const struct jinja_template *t, const json_t *messages, int64_t now, bool *made)
{
    struct buf out;
    struct error why = {0};
    struct jinja_options opt = {.now = now};
    json_t *vars = json_pack("{s:O, s:b, s:s, s:s}", "messages", messages, "add_generation_prompt",
                             1, "bos_token", "<BOS>", "eos_token", "<EOS>");
    buf_init(&out, MAX_OUTPUT);
    enum status st = vars ? jinja_render(t, vars, &opt, &out, NULL, &why) : ERR_NOMEM;
    json_decref(vars);
    *made = st == OK;
    for (size_t i = 0; i < out.len; i++) /* what follows a NUL is not to go unseen */
        if (!out.data[i]) out.data[i] = '\1';
    char *text = st == OK ? strndup(out.data ? out.data : "", out.len)
                 : vars   ? strdup(why.msg)
                          : NULL;
    buf_fini(&out);
    return text;
}

static bool is_due(const json_t *due, const char *text, bool made)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    const char *whole = json_string_value(json_object_get(due, "text")),
               *sha = json_string_value(json_object_get(due, "sha256"));
    if (!json_is_object(due)) return !made; /* the published one refuses this conversation */
    if (!made) return false;
    if (whole) return strcmp(whole, text) == 0;
    if (!sha || sha256_of(text, strlen(text), digest) != OK) return false;
    sha256_hex(digest, hex);
    return strcmp(sha, hex) == 0;
}

/* Fills the cases' `made`; `did` tells which it did not refuse. */
static enum status render_all(const json_t *root, const struct jinja_template *t,
                              struct template_check *out, bool did[TEMPLATE_MAX_CASES])
{
    const char *name;
    json_t *messages;
    json_object_foreach(json_object_get(root, "conversations"), name, messages)
    {
        if (out->n_cases == TEMPLATE_MAX_CASES) break;
        struct template_case *c = &out->cases[out->n_cases];
        snprintf(c->name, sizeof c->name, "%s", name);
        c->made = render(t, messages, json_integer_value(json_object_get(root, "now")),
                         &did[out->n_cases]);
        if (!c->made) return ERR_NOMEM;
        out->n_cases++;
    }
    return OK;
}

static size_t count_same(const struct template_check *out, const json_t *known,
                         const bool did[TEMPLATE_MAX_CASES])
{
    const json_t *emits = json_object_get(known, "emits");
    size_t n = 0;
    for (size_t i = 0; i < out->n_cases; i++)
        n += is_due(json_object_get(emits, out->cases[i].name), out->cases[i].made, did[i]);
    return n;
}

/* Against the published template that most of it fits. */
static enum status compare(const json_t *family, struct template_check *out,
                           const bool did[TEMPLATE_MAX_CASES])
{
    const json_t *best = NULL;
    size_t most = 0, i;
    json_t *known;
    json_array_foreach(json_object_get(family, "templates"), i, known)
    {
        size_t n = count_same(out, known, did);
        if (best && n <= most) continue;
        best = known;
        most = n;
    }
    const char *from = json_string_value(json_object_get(best, "from"));
    snprintf(out->from, sizeof out->from, "%.90s", from ? from : "");
    out->state = most == out->n_cases ? TEMPLATE_SAME : TEMPLATE_OTHER;
    for (i = 0; i < out->n_cases; i++) {
        struct template_case *c = &out->cases[i];
        const json_t *due = json_object_get(json_object_get(best, "emits"), c->name);
        const char *text = json_string_value(json_object_get(due, "text"));
        c->same = is_due(due, c->made, did[i]);
        if (text && !(c->due = strdup(text))) return ERR_NOMEM;
    }
    return OK;
}

/* ---- what stays hidden --------------------------------------------------------------------- */

/* The text with \n, \t and other escapes of quoted strings resolved; malloc'd. */
static char *unescaped(const char *text, size_t len)
{
    char *out = malloc(len + 1);
    size_t n = 0;
    for (size_t i = 0; out && i < len; i++) {
        char c = text[i];
        if (c == '\\' && i + 1 < len) {
            c = text[++i];
            c = c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c;
        }
        out[n++] = c;
    }
    if (out) out[n] = 0;
    return out;
}

struct hidden {
    struct template_check *check;
    size_t looked_at;
};

static void keep_hidden(void *ctx, const char *text, size_t len)
{
    static const char too_many[] = "(and more texts than are looked at)";
    struct hidden *h = ctx;
    struct template_check *c = h->check;
    if (c->n_words == TEMPLATE_MAX_WORDS || h->looked_at > MAX_LOOKED_AT) return;
    if (h->looked_at++ == MAX_LOOKED_AT) text = too_many, len = sizeof too_many - 1;
    char *plain = unescaped(text, len);
    bool seen = !plain;
    for (size_t i = 0; !seen && i < c->n_cases; i++)
        seen = memmem(c->cases[i].made, strlen(c->cases[i].made), text, len) ||
               strstr(c->cases[i].made, plain);
    for (size_t i = 0; !seen && i < c->n_words; i++)
        seen = strlen(c->words[i]) == len && memcmp(c->words[i], text, len) == 0;
    free(plain);
    char *copy = seen ? NULL : strndup(text, len);
    if (copy) c->words[c->n_words++] = copy;
}

/* ---- all of it ----------------------------------------------------------------------------- */

/* Ends of lines made alike, no white space at the ends; malloc'd. */
static char *normal_form(const struct template_subject *s, size_t *len)
{
    char *text = malloc(s->len + 1);
    size_t n = 0, from = 0;
    if (!text) return NULL;
    for (size_t i = 0; i < s->len; i++)
        if (s->text[i] != '\r' || i + 1 == s->len || s->text[i + 1] != '\n') text[n++] = s->text[i];
    while (n && strchr(" \t\n", text[n - 1]) && text[n - 1]) n--;
    while (from < n && strchr(" \t\n", text[from]) && text[from]) from++;
    memmove(text, text + from, n - from);
    *len = n - from;
    return text;
}

static enum status take_digest(const struct template_subject *s, struct template_check *out)
{
    uint8_t digest[SHA256_BYTES];
    size_t len;
    char *text = normal_form(s, &len);
    enum status st = text ? sha256_of(text, len, digest) : ERR_NOMEM;
    if (st == OK) sha256_hex(digest, out->sha256);
    free(text);
    return st;
}

static bool is_known(const json_t *family, struct template_check *out)
{
    size_t i;
    json_t *known;
    json_array_foreach(json_object_get(family, "templates"), i, known)
    {
        const char *sha = json_string_value(json_object_get(known, "sha256")),
                   *from = json_string_value(json_object_get(known, "from"));
        if (!sha || strcmp(sha, out->sha256) != 0) continue;
        snprintf(out->from, sizeof out->from, "%.90s", from ? from : "");
        out->state = TEMPLATE_KNOWN;
        return true;
    }
    return false;
}

static enum status check_in_family(const json_t *root, const json_t *family,
                                   const struct template_subject *s, struct template_check *out)
{
    struct jinja_template *t;
    struct error why = {0};
    bool did[TEMPLATE_MAX_CASES] = {false};
    const char *name = json_string_value(json_object_get(family, "family"));
    snprintf(out->family, sizeof out->family, "%.90s", name ? name : "");
    if (is_known(family, out)) return OK;
    enum status st = jinja_compile(s->text, s->len, &t, &why);
    if (st == ERR_NOMEM) return st;
    if (st) {
        out->state = TEMPLATE_BROKEN;
        return OK;
    }
    st = render_all(root, t, out, did);
    if (st == OK) st = compare(family, out, did);
    if (st == OK)
        template_words_each(s->text, s->len, LEAST_WORDS, keep_hidden,
                            &(struct hidden){.check = out});
    jinja_destroy(t);
    return st;
}

enum status template_check_run(const struct template_subject *s, struct template_check *out,
                               struct error *err)
{
    *out = (struct template_check){.state = TEMPLATE_NONE};
    if (!s->text || s->len == 0) return OK;
    if (s->len > MAX_TEMPLATE) {
        out->state = TEMPLATE_BROKEN;
        return OK;
    }
    json_t *root = json_loadb((const char *)templates_builtin, templates_builtin_len, 0, NULL);
    enum status st = root ? take_digest(s, out) : ERR_NOMEM;
    const json_t *family = root ? find_family(root, s) : NULL;
    out->state = TEMPLATE_NO_FAMILY;
    if (st == OK && family) st = check_in_family(root, family, s, out);
    json_decref(root);
    if (st) template_check_fini(out);
    return st ? error_set(err, st, "no memory to look at the chat template") : OK;
}

void template_check_fini(struct template_check *c)
{
    for (size_t i = 0; i < TEMPLATE_MAX_CASES; i++) {
        free(c->cases[i].due);
        free(c->cases[i].made);
    }
    for (size_t i = 0; i < c->n_words; i++) free(c->words[i]);
    *c = (struct template_check){0};
}
