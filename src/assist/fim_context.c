#include "assist/fim_context.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"

enum { MAX_ITEM = 64 << 10, MAX_ITEMS = 128 };

static const struct {
    const char *comment, *names; /* endings, each with a blank in front and behind */
} comments[] = {
    {"#", " py pyi sh bash zsh rb pl pm r jl yaml yml toml cmake mk nix tcl ex exs cfg conf "},
    {"--", " sql lua hs elm ada adb ads vhd "},
    {";", " lisp el clj scm asm ini "},
    {"%", " tex erl hrl m "},
};

const char *fim_comment(const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    char key[16] = " ";
    size_t n = dot ? strlen(dot + 1) : 0;
    if (n == 0 || n > 8) return "//";
    for (size_t i = 0; i < n; i++)
        key[i + 1] = dot[i + 1] >= 'A' && dot[i + 1] <= 'Z' ? (char)(dot[i + 1] + 32) : dot[i + 1];
    memcpy(key + n + 1, " ", 2);
    for (size_t i = 0; i < sizeof comments / sizeof *comments; i++)
        if (strstr(comments[i].names, key)) return comments[i].comment;
    return "//";
}

/* An item as a file, or as a comment. */
static enum status item_text(const struct context_item *item, const char *comment, struct buf *b)
{
    size_t len = item->len < MAX_ITEM ? item->len : MAX_ITEM;
    enum status st = OK;
    if (!comment) {
        if (item->path) st = buf_printf(b, "%s\n", item->path);
        if (!st) st = buf_append(b, item->text, len);
        if (!st && len && item->text[len - 1] != '\n') st = buf_append(b, "\n", 1);
        return st;
    }
    if (item->path) st = buf_printf(b, "%s Path: %s\n", comment, item->path);
    for (size_t at = 0; at < len && !st;) {
        const char *end = memchr(item->text + at, '\n', len - at);
        size_t n = (end ? (size_t)(end - item->text) : len) - at;
        st = buf_printf(b, "%s ", comment);
        if (!st) st = buf_append(b, item->text + at, n);
        if (!st) st = buf_append(b, "\n", 1);
        at += n + 1;
    }
    return st;
}

static enum status encode_item(const struct fim_template *f, const struct tokenizer *t,
                               const struct fim_input *in, size_t i, struct token_list *out,
                               struct error *err)
{
    struct buf b;
    buf_init(&b, 16 * MAX_ITEM);
    enum status st =
        item_text(&in->context[i], f->file == TOKEN_NONE ? fim_comment(in->file_name) : NULL, &b);
    if (st) error_set(err, st, "no memory for the context");
    if (!st && f->file != TOKEN_NONE) st = token_list_push(out, f->file);
    if (!st && b.len) st = fim_encode(f, t, b.data, b.len, out, err);
    buf_fini(&b);
    return st;
}

static enum status push_list(struct token_list *out, const struct token_list *from)
{
    enum status st = OK;
    for (size_t i = 0; i < from->len && !st; i++) st = token_list_push(out, from->ids[i]);
    return st;
}

enum status fim_context_encode(const struct fim_template *f, const struct tokenizer *t,
                               const struct fim_input *in, struct token_list *out,
                               struct error *err)
{
    struct token_list lists[MAX_ITEMS] = {0};
    size_t from = in->n_context > MAX_ITEMS ? in->n_context - MAX_ITEMS : 0, used = 0;
    size_t n = in->context ? in->n_context - from : 0;
    enum status st = OK;
    if (in->repository && f->repo != TOKEN_NONE) {
        st = token_list_push(out, f->repo);
        if (!st) st = fim_encode(f, t, in->repository, strlen(in->repository), out, err);
        if (!st) st = fim_encode(f, t, "\n", 1, out, err);
    }
    for (size_t i = n; i-- > 0 && !st;) {
        st = encode_item(f, t, in, from + i, &lists[i], err);
        if (used + lists[i].len > in->context_tokens)
            lists[i].len = 0; /* a smaller one may still fit */
        else
            used += lists[i].len;
    }
    for (size_t i = 0; i < n && !st; i++) st = push_list(out, &lists[i]);
    for (size_t i = 0; i < n; i++) token_list_fini(&lists[i]);
    return st;
}
