/* The state of a rendering: its budgets, its output and its scopes. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "text/jinja_int.h"

struct jinja_value jinja_fail(struct jinja *in, enum status st, const char *fmt, ...)
{
    if (in->st == OK) {
        char text[512];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        in->st = error_set(in->err, st, "chat template, line %u: %s", in->line, text);
    }
    return jinja_undefined("", 0);
}

bool jinja_step(struct jinja *in, uint64_t cost)
{
    if (in->st != OK) return false;
    in->steps += cost;
    if (in->steps <= in->limits.steps) return true;
    jinja_fail(in, ERR_LIMIT, "it takes more than %llu steps",
               (unsigned long long)in->limits.steps);
    return false;
}

bool jinja_enter(struct jinja *in)
{
    if (!jinja_step(in, 1)) return false;
    if (in->depth >= in->limits.depth) {
        jinja_fail(in, ERR_LIMIT, "more than %u calls and blocks inside each other",
                   in->limits.depth);
        return false;
    }
    in->depth++;
    return true;
}

void jinja_leave(struct jinja *in)
{
    in->depth--;
}

static void *alloc(struct jinja *in, size_t bytes, size_t align)
{
    if (in->st != OK || !jinja_step(in, bytes / 32)) return NULL;
    void *p = jinja_alloc_raw(&in->arena, bytes, align);
    if (!p) jinja_fail(in, ERR_LIMIT, "it needs more than %zu bytes of memory", in->limits.memory);
    return p;
}

void *jinja_alloc(struct jinja *in, size_t bytes)
{
    return alloc(in, bytes, _Alignof(max_align_t) < 16 ? _Alignof(max_align_t) : 16);
}

void jinja_out_add(struct jinja *in, struct jinja_out *o, const char *s, size_t len)
{
    if (in->st != OK || len == 0) return;
    if (len > o->cap - o->len) {
        size_t cap = o->cap ? 2 * o->cap : 256;
        if (cap < o->len + len) cap = o->len + len;
        char *p = alloc(in, cap, 1);
        if (!p) return;
        if (o->len) memcpy(p, o->data, o->len);
        jinja_marks_copy(&in->arena, p, o->data, o->len);
        o->data = p;
        o->cap = cap;
    }
    memcpy(o->data + o->len, s, len);
    jinja_marks_copy(&in->arena, o->data + o->len, s, len);
    o->len += len;
}

void jinja_out_like(struct jinja *in, struct jinja_out *o, const char *s, size_t len, const char *like)
{
    bool marked = jinja_marked(&in->arena, like);
    jinja_out_add(in, o, s, len);
    if (marked && in->st == OK) jinja_marks_set(&in->arena, o->data + o->len - len, len);
}

void jinja_out_str(struct jinja *in, struct jinja_out *o, const char *s)
{
    jinja_out_add(in, o, s, strlen(s));
}

void jinja_write(struct jinja *in, const char *s, size_t len)
{
    if (len > in->limits.output - in->written) {
        jinja_fail(in, ERR_LIMIT, "it writes more than %zu bytes", in->limits.output);
        return;
    }
    if (!jinja_step(in, len / 32)) return;
    in->written += len;
    jinja_out_add(in, in->out, s, len);
}

struct jinja_value jinja_out_value(const struct jinja_out *o)
{
    return jinja_str(o->len ? o->data : "", o->len);
}

struct jinja_value jinja_copy(struct jinja *in, const char *s, size_t len)
{
    char *p = alloc(in, len, 1);
    if (!p) return jinja_str("", 0);
    if (len) memcpy(p, s, len);
    jinja_marks_copy(&in->arena, p, s, len);
    return jinja_str(p, len);
}

/* Texts do not change, so a text that ends where the free memory begins can grow in place: loops that
 * collect a text piece by piece take linear memory. */
struct jinja_value jinja_join2(struct jinja *in, struct jinja_value a, struct jinja_value b)
{
    if (b.len == 0) return jinja_str(a.s, a.len);
    if (a.len == 0) return jinja_str(b.s, b.len);
    struct jinja_arena *ar = &in->arena;
    if (a.s + a.len == ar->at && (size_t)(ar->end - ar->at) >= b.len) {
        if (!jinja_step(in, b.len / 32)) return jinja_str("", 0);
        memcpy(ar->at, b.s, b.len);
        jinja_marks_copy(ar, ar->at, b.s, b.len);
        ar->at += b.len;
        return jinja_str(a.s, (size_t)a.len + b.len);
    }
    size_t len = (size_t)a.len + b.len;
    /* Room behind a long text, for what is likely to be added next. */
    size_t room = len > 4096 ? len : 0;
    char *p = alloc(in, len + room, 1);
    if (!p) return jinja_str("", 0);
    memcpy(p, a.s, a.len);
    memcpy(p + a.len, b.s, b.len);
    jinja_marks_copy(ar, p, a.s, a.len);
    jinja_marks_copy(ar, p + a.len, b.s, b.len);
    if (p + len + room == ar->at) ar->at -= room;
    return jinja_str(p, len);
}

struct jinja_scope *jinja_scope_push(struct jinja *in)
{
    struct jinja_scope *old = in->scope;
    struct jinja_scope *s = jinja_alloc(in, sizeof *s);
    if (s) {
        *s = (struct jinja_scope){.parent = old};
        in->scope = s;
    }
    return old;
}

void jinja_scope_set(struct jinja *in, struct jinja_scope *s, const char *name, size_t len,
                     struct jinja_value v)
{
    for (uint32_t i = 0; i < s->len; i++)
        if (s->vars[i].len == len && memcmp(s->vars[i].name, name, len) == 0) {
            s->vars[i].value = v;
            return;
        }
    if (!jinja_step(in, s->len / 16)) return;
    if (s->len == s->cap) {
        uint32_t cap = s->cap ? 2 * s->cap : 4;
        struct jinja_var *p = jinja_alloc(in, cap * sizeof *p);
        if (!p) return;
        if (s->len) memcpy(p, s->vars, s->len * sizeof *p);
        s->vars = p;
        s->cap = cap;
    }
    s->vars[s->len++] = (struct jinja_var){name, (uint32_t)len, v};
}

struct jinja_value jinja_scope_get(const struct jinja_scope *s, const char *name, size_t len)
{
    for (; s; s = s->parent)
        for (uint32_t i = 0; i < s->len; i++)
            if (s->vars[i].len == len && memcmp(s->vars[i].name, name, len) == 0)
                return s->vars[i].value;
    return (struct jinja_value){.kind = JINJA_MISSING};
}
