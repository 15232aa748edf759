/* The parser behind all syntaxes: it holds back what may still become a tag or the head of a call, and
 * lets everything else through at once. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/chat_json_int.h"
#include "text/chat_syntax_int.h"

enum { MAX_HEAD = 1 << 20, MAX_NAME_HEAD = 1024 };

struct chat_parser {
    const struct chat_syntax *syntax;
    bool tools, ended;
    bool at_start; /* nothing but white space so far: a bare call may begin */
    bool bare;     /* the call at hand had no tag */
    bool fenced;   /* it stands in a code fence, whose end belongs to it */
    bool first;    /* XML: no parameter yet */
    enum chat_mode mode;
    struct buf held; /* bytes not yet given out, from `at` */
    size_t at;
    size_t opened;   /* bytes of `held` that are the tag in front of a call's head, given back as text
                      * where it turns out to be none */
    struct chat_json json;
    unsigned tail_depth;
    enum status (*on_event)(void *ctx, const struct chat_event *e);
    void *ctx;
};

static const char *rest(const struct chat_parser *p, size_t *n)
{
    *n = p->held.len - p->at;
    return p->held.data + p->at;
}

/* Gives out the next `raw` bytes as an event. */
static enum status emit(struct chat_parser *p, enum chat_event_kind kind, const char *text, size_t len,
                        size_t raw)
{
    struct chat_event e = {.kind = kind, .text = text, .text_len = len, .raw = p->held.data + p->at,
                           .raw_len = raw, .complete = true};
    p->at += raw;
    return p->on_event(p->ctx, &e);
}

static enum status plain(struct chat_parser *p, size_t n)
{
    if (n == 0) return OK;
    const char *s = p->held.data + p->at;
    if (p->mode == CHAT_BETWEEN) p->mode = CHAT_IN_TEXT;
    for (size_t i = 0; i < n && p->at_start && p->mode == CHAT_IN_TEXT; i++) p->at_start = strchr(" \t\r\n", s[i]) && s[i];
    return emit(p, p->mode == CHAT_IN_REASONING ? CHAT_REASONING : CHAT_TEXT, s, n, n);
}

/* The first tag of this mode in the rest; *where is its place, or how much surely holds none. */
static const struct chat_tag *find_tag(const struct chat_parser *p, size_t *where)
{
    size_t n, first = SIZE_MAX;
    const char *s = rest(p, &n);
    const struct chat_tag *found = NULL;
    for (const struct chat_tag *t = p->syntax->tags; t->text; t++) {
        if (!(t->modes & 1u << p->mode) || (t->call && !p->tools)) continue;
        size_t len = strlen(t->text);
        const char *hit = n ? memmem(s, n, t->text, len) : NULL;
        if (hit && (size_t)(hit - s) < first) {
            first = (size_t)(hit - s);
            found = t;
        }
        /* The beginning of a tag at the very end. */
        for (size_t k = len - 1 < n ? len - 1 : n; !p->ended && !hit && k > 0; k--)
            if (memcmp(s + n - k, t->text, k) == 0) {
                if (n - k < first) {
                    first = n - k;
                    found = NULL;
                }
                break;
            }
    }
    *where = first == SIZE_MAX ? n : first;
    return found;
}

/* What was taken for a call is none. Its tag, or its first byte, is text; what stands behind that is
 * looked at anew, so that the result does not depend on how much of it has come. */
static enum status no_call(struct chat_parser *p)
{
    size_t n = p->opened ? p->opened : 1;
    p->mode = CHAT_IN_TEXT;
    p->at_start = p->fenced = false;
    p->opened = 0;
    return plain(p, n);
}

static enum status take_tag(struct chat_parser *p, const struct chat_tag *t)
{
    size_t len = strlen(t->text);
    p->mode = t->next;
    p->bare = p->fenced = false;
    p->opened = 0;
    if (t->next == CHAT_IN_TEXT || t->next == CHAT_IN_REASONING || t->next == CHAT_BETWEEN ||
        t->next == CHAT_IN_HEADER)
        return emit(p, CHAT_MARKUP, "", 0, len);
    p->opened = len;
    p->first = true;
    return OK;
}

/* The bytes of the fence that `s` begins with, up to the { of an object; 0 where there is none. *more:
 * what is there may yet become one. */
static size_t json_fence(const char *s, size_t n, bool *more)
{
    static const char *const marks[] = {"```json", "```"};
    *more = false;
    for (size_t k = 0; k < 2; k++) {
        size_t len = strlen(marks[k]), i = len;
        if (memcmp(s, marks[k], n < len ? n : len) != 0) continue;
        while (i < n && strchr(" \t\r\n", s[i]) && s[i]) i++;
        if (i < n && s[i] == '{') return i;
        *more = *more || i >= n;
    }
    return 0;
}

/* Where a message may begin with a call that has no tag, as models write it that are too small to hold
 * to their template. true: it does, or more input is needed (*wait). */
static bool begin_bare(struct chat_parser *p, size_t limit, bool *wait, enum status *st)
{
    size_t n, i = 0;
    const char *s = rest(p, &n);
    *wait = false;
    while (i < n && strchr(" \t\r\n", s[i]) && s[i]) i++;
    if (i >= n || limit < i) return false;
    size_t fence = json_fence(s + i, n - i, wait);
    *wait = *wait && !p->ended;
    if (*wait) return true;
    if (s[i] != '{' && !fence) return false;
    *st = plain(p, i);
    p->mode = CHAT_IN_CALL;
    p->bare = true;
    p->fenced = fence != 0;
    p->opened = fence;
    return true;
}

/* The end of a fenced call's fence: its bytes, or 0. *more as in json_fence. */
static size_t fence_end(const struct chat_parser *p, const char *s, size_t n, bool *more)
{
    *more = p->fenced && !p->ended && n < 3 && memcmp(s, "```", n) == 0;
    return p->fenced && n >= 3 && memcmp(s, "```", 3) == 0 ? 3 : 0;
}

/* Whether a bare object's first key is none that a call has: then it is an answer in JSON, which must
 * not wait for its end. */
static bool is_other_object(const char *s, size_t n)
{
    static const char *const keys[] = {"name", "arguments", "parameters", "function", "type", "id"};
    size_t i = 1;
    while (i < n && strchr(" \t\r\n", s[i]) && s[i]) i++;
    if (i >= n) return false;
    const char *end = s[i] == '"' ? memchr(s + i + 1, '"', n - i - 1) : s + i;
    if (!end) return n - i > 16;
    for (size_t k = 0; s[i] == '"' && k < sizeof keys / sizeof *keys; k++)
        if (strlen(keys[k]) == (size_t)(end - s) - i - 1 && memcmp(s + i + 1, keys[k], strlen(keys[k])) == 0)
            return false;
    return true;
}

/* In text, in reasoning, between calls. false: more input is needed. */
static bool step_text(struct chat_parser *p, enum status *st)
{
    size_t n, where;
    const char *s = rest(p, &n);
    const struct chat_tag *t = find_tag(p, &where);
    bool wait;
    if (p->mode == CHAT_IN_TEXT && p->at_start && p->tools && p->syntax->bare_json &&
        begin_bare(p, where, &wait, st))
        return *st == OK && !wait;
    if (p->mode == CHAT_BETWEEN) {
        size_t i = 0;
        while (i < where && strchr(" \t\r\n,;]", s[i]) && s[i]) i++;
        if (i) {
            *st = emit(p, CHAT_MARKUP, "", 0, i);
            return *st == OK;
        }
        size_t fence = fence_end(p, s, n, &wait);
        if (wait) return false;
        if (fence) {
            p->fenced = false;
            *st = emit(p, CHAT_MARKUP, "", 0, fence);
            return *st == OK;
        }
        if (where && s[0] == '{' && p->tools) { /* the next of a list */
            p->mode = CHAT_IN_CALL;
            p->opened = 0;
            return true;
        }
        if (where) { /* the answer goes on, and other tags count */
            p->mode = CHAT_IN_TEXT;
            return true;
        }
    }
    *st = plain(p, where);
    if (*st != OK || !t) return false;
    *st = take_tag(p, t);
    return *st == OK;
}

static enum status begin_call(struct chat_parser *p, const char *name, size_t len, size_t raw)
{
    p->opened = 0;
    p->at_start = false;
    return emit(p, CHAT_CALL_BEGIN, name, len, raw);
}

/* JSON with the name in it. */
static bool step_call(struct chat_parser *p, enum status *st)
{
    size_t n;
    const char *s = rest(p, &n);
    size_t i = p->opened;
    while (i < n && (strchr(" \t\r\n[", s[i]) && s[i])) i++;
    if (i == n && !p->ended) return false;
    if (i < n && s[i] == '<') { /* a tag inside of the tag */
        for (const struct chat_tag *t = p->syntax->tags; t->text; t++) {
            size_t len = strlen(t->text);
            if (t->next != CHAT_IN_XML && t->next != CHAT_IN_HEAD) continue;
            if (n - i < len && !p->ended && memcmp(s + i, t->text, n - i) == 0) return false;
            if (n - i >= len && memcmp(s + i, t->text, len) == 0) {
                p->mode = t->next;
                p->opened = i + len;
                return true;
            }
        }
    }
    if (i < n && s[i] != '{' && p->syntax->name_in) {
        p->mode = CHAT_IN_HEAD;
        return true;
    }
    struct chat_json_head head;
    enum chat_json_result r = i < n ? chat_json_head(s + i, n - i, &head) : CHAT_JSON_BAD;
    if (p->bare && r == CHAT_JSON_MORE && is_other_object(s + i, n - i)) r = CHAT_JSON_BAD;
    if (r == CHAT_JSON_MORE && !p->ended) {
        if (n > MAX_HEAD) *st = ERR_LIMIT;
        return false;
    }
    if (r != CHAT_JSON_DONE || (p->bare && !head.has_arguments)) {
        *st = no_call(p);
        return *st == OK;
    }
    /* The name is raw JSON text: names have no escapes worth the trouble. */
    *st = begin_call(p, head.name.data, head.name.len, i + head.used);
    p->tail_depth = head.depth;
    if (*st == OK && head.buffered.len)
        *st = emit(p, CHAT_CALL_ARGUMENTS, head.buffered.data, head.buffered.len, 0);
    p->mode = head.streams ? CHAT_IN_ARGUMENTS : CHAT_IN_TAIL;
    if (*st == OK && !head.has_arguments) *st = emit(p, CHAT_CALL_ARGUMENTS, "{}", 2, 0);
    chat_json_init(&p->json);
    if (!head.streams && p->tail_depth == 0) {
        p->mode = CHAT_BETWEEN;
        if (*st == OK) *st = emit(p, CHAT_CALL_END, "", 0, 0);
    }
    return *st == OK;
}

/* A name, and then the arguments' {. */
static bool step_head(struct chat_parser *p, enum status *st)
{
    size_t n;
    const char *s = rest(p, &n), *brace = n > p->opened ? memchr(s + p->opened, '{', n - p->opened) : NULL;
    if (!brace) {
        if (n - p->opened <= MAX_NAME_HEAD && !p->ended) return false;
        *st = no_call(p);
        return *st == OK;
    }
    struct text_str head = {s + p->opened, (size_t)(brace - s) - p->opened};
    struct text_str name = p->syntax->name_in ? p->syntax->name_in(head) : chat_trim(head);
    if (name.len == 0 || head.len > MAX_NAME_HEAD) {
        *st = no_call(p);
        return *st == OK;
    }
    *st = begin_call(p, name.data, name.len, (size_t)(brace - s));
    p->mode = CHAT_IN_ARGUMENTS;
    p->tail_depth = 0;
    chat_json_init(&p->json);
    return *st == OK;
}

/* Up to header_end: which channel follows. */
static bool step_header(struct chat_parser *p, enum status *st)
{
    size_t n;
    const char *s = rest(p, &n), *end = n ? memmem(s, n, p->syntax->header_end, strlen(p->syntax->header_end)) : NULL;
    if (!end) {
        if (n <= MAX_NAME_HEAD && !p->ended) return false;
        p->mode = CHAT_IN_TEXT;
        p->at_start = false;
        return true;
    }
    struct text_str h = {s, (size_t)(end - s)}, name = {0};
    size_t raw = h.len + strlen(p->syntax->header_end);
    p->mode = p->syntax->header(h, &name);
    if (p->mode != CHAT_IN_HEAD || !p->tools) {
        if (p->mode == CHAT_IN_HEAD) p->mode = CHAT_IN_TEXT;
        *st = emit(p, CHAT_MARKUP, "", 0, raw);
        return *st == OK;
    }
    *st = begin_call(p, name.data, name.len, raw);
    p->mode = CHAT_IN_ARGUMENTS;
    p->tail_depth = 0;
    chat_json_init(&p->json);
    return *st == OK;
}

/* One JSON value, as it comes. */
static bool step_arguments(struct chat_parser *p, enum status *st)
{
    size_t n;
    const char *s = rest(p, &n);
    bool done = false;
    size_t used = chat_json_scan(&p->json, s, n, &done);
    if (used) *st = emit(p, CHAT_CALL_ARGUMENTS, s, used, used);
    if (*st != OK || !done) return false;
    p->mode = p->tail_depth ? CHAT_IN_TAIL : CHAT_BETWEEN;
    chat_json_init(&p->json);
    if (!p->tail_depth) *st = emit(p, CHAT_CALL_END, "", 0, 0);
    return *st == OK;
}

/* What an object has behind its arguments, up to its closing brace. */
static bool step_tail(struct chat_parser *p, enum status *st)
{
    size_t n;
    const char *s = rest(p, &n);
    bool done = false;
    size_t used = chat_json_tail(&p->json, &p->tail_depth, s, n, &done);
    if (used) *st = emit(p, done ? CHAT_CALL_END : CHAT_MARKUP, "", 0, used);
    if (done) p->mode = CHAT_BETWEEN;
    return *st == OK && done;
}

/* <function=NAME> and then parameters, each of which comes out when it is whole. */
static bool step_xml(struct chat_parser *p, enum status *st)
{
    static const char open[] = "<parameter=", close[] = "</parameter>", end[] = "</function>";
    size_t n;
    const char *s = rest(p, &n);
    if (p->opened) {
        const char *gt = memchr(s + p->opened, '>', n - p->opened);
        if (!gt) {
            if (n - p->opened <= MAX_NAME_HEAD && !p->ended) return false;
            *st = no_call(p);
            return *st == OK;
        }
        struct text_str name = chat_trim((struct text_str){s + p->opened, (size_t)(gt - s) - p->opened});
        *st = begin_call(p, name.data, name.len, (size_t)(gt - s) + 1);
        return *st == OK;
    }
    size_t i = 0;
    while (i < n && strchr(" \t\r\n", s[i]) && s[i]) i++;
    if (n - i >= sizeof open - 1 && memcmp(s + i, open, sizeof open - 1) == 0) {
        const char *gt = memchr(s + i, '>', n - i);
        const char *stop = gt ? memmem(gt, n - (size_t)(gt - s), close, sizeof close - 1) : NULL;
        if (!stop) {
            if (n > MAX_HEAD) *st = ERR_LIMIT;
            return false;
        }
        struct buf json;
        buf_init(&json, (size_t)8 * MAX_HEAD);
        const char *key = s + i + sizeof open - 1;
        *st = chat_json_member(&json, p->first, (struct text_str){key, (size_t)(gt - key)},
                               (struct text_str){gt + 1, (size_t)(stop - gt - 1)});
        p->first = false;
        if (*st == OK)
            *st = emit(p, CHAT_CALL_ARGUMENTS, json.data, json.len, (size_t)(stop - s) + sizeof close - 1);
        buf_fini(&json);
        return *st == OK;
    }
    bool is_end = n - i >= sizeof end - 1 && memcmp(s + i, end, sizeof end - 1) == 0;
    bool may_grow = n - i < sizeof end - 1 && (memcmp(s + i, end, n - i) == 0 || memcmp(s + i, open, n - i) == 0);
    if (may_grow && !p->ended) return false;
    if (p->ended && !is_end) return false; /* the end of the input says that the call is not complete */
    *st = emit(p, CHAT_CALL_ARGUMENTS, p->first ? "{}" : "}", p->first ? 2 : 1, 0);
    if (*st == OK) *st = emit(p, CHAT_CALL_END, "", 0, is_end ? i + sizeof end - 1 : i);
    p->mode = CHAT_BETWEEN;
    return *st == OK;
}

static enum status run(struct chat_parser *p)
{
    enum status st = OK;
    bool (*const steps[])(struct chat_parser *p, enum status *st) = {
        [CHAT_IN_TEXT] = step_text,           [CHAT_IN_REASONING] = step_text, [CHAT_BETWEEN] = step_text,
        [CHAT_IN_CALL] = step_call,           [CHAT_IN_HEAD] = step_head,      [CHAT_IN_HEADER] = step_header,
        [CHAT_IN_ARGUMENTS] = step_arguments, [CHAT_IN_TAIL] = step_tail,      [CHAT_IN_XML] = step_xml,
    };
    /* In text a bare { may still be waited for: an empty rest needs no further step. */
    while (p->at < p->held.len && steps[p->mode](p, &st)) {}
    if (p->at) {
        memmove(p->held.data, p->held.data + p->at, p->held.len - p->at);
        p->held.len -= p->at;
        p->at = 0;
    }
    return st;
}

enum status chat_parser_create(const struct chat_syntax *syntax, bool tools, const char *prompt,
                               size_t prompt_len,
                               enum status (*on_event)(void *ctx, const struct chat_event *e), void *ctx,
                               struct chat_parser **out)
{
    struct chat_parser *p = calloc(1, sizeof *p);
    *out = p;
    if (!p) return ERR_NOMEM;
    *p = (struct chat_parser){.syntax = syntax, .tools = tools, .at_start = true, .on_event = on_event, .ctx = ctx};
    buf_init(&p->held, (size_t)64 << 20);
    /* A prompt that ends with an opened block of reasoning, as that of DeepSeek R1 does. */
    struct text_str end = chat_trim((struct text_str){prompt, prompt_len});
    for (const struct chat_tag *t = syntax->tags; t->text; t++) {
        size_t n = strlen(t->text);
        if (t->next == CHAT_IN_REASONING && end.len >= n && memcmp(end.data + end.len - n, t->text, n) == 0)
            p->mode = CHAT_IN_REASONING;
    }
    return OK;
}

void chat_parser_destroy(struct chat_parser *p)
{
    if (!p) return;
    buf_fini(&p->held);
    free(p);
}

enum status chat_parser_feed(struct chat_parser *p, const char *data, size_t len)
{
    enum status st = buf_append(&p->held, data, len);
    return st == OK ? run(p) : st;
}

enum status chat_parser_end(struct chat_parser *p)
{
    p->ended = true;
    enum status st = run(p);
    size_t n = p->held.len;
    if (st != OK) return st;
    if (p->mode == CHAT_IN_ARGUMENTS || p->mode == CHAT_IN_TAIL || (p->mode == CHAT_IN_XML && !p->opened)) {
        struct chat_event e = {.kind = CHAT_CALL_END, .text = "", .raw = n ? p->held.data : "", .raw_len = n};
        p->held.len = 0;
        p->mode = CHAT_BETWEEN;
        return p->on_event(p->ctx, &e);
    }
    if (n) st = plain(p, n);
    p->held.len = p->at = 0;
    return st;
}
