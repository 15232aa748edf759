/* What the model is asked for, and the code in what it says. */
#include <string.h>

#include "lsp/lsp_int.h"

enum { MAX_PROMPT = 16 << 20 };

static const struct {
    const char *command, *ask;
} asks[] = {
    {"hearth.explain", "Explain briefly what this code does."},
    {"hearth.fix", "Fix the mistakes in this code. Answer with the whole corrected code only, in one fence."},
    {"hearth.document",
     "Add documentation comments to this code. Answer with the whole code only, in one fence."},
    {"hearth.writeTests", "Write unit tests for this code. Answer with the tests only, in one fence."},
    {"hearth.edit", "Change this code as follows. Answer with the whole changed code only, in one fence."},
};

void lsp_whole_lines(const struct lsp_doc *d, size_t *start, size_t *end)
{
    const char *t = d->text.data;
    if (!t) return;
    while (*start && t[*start - 1] != '\n') --*start;
    if (*end > *start && t[*end - 1] == '\n') return;
    while (*end < d->text.len && t[*end] != '\n') ++*end;
    if (*end < d->text.len) ++*end;
}

enum status lsp_prompt_fence(struct buf *b, const struct lsp_doc *d, size_t start, size_t end)
{
    const char *name = strrchr(d->path, '/');
    enum status st = buf_printf(b, "%s:\n```%s\n", name ? name + 1 : d->path, d->language);
    if (!st && end > start) st = buf_append(b, d->text.data + start, end - start);
    if (!st && b->data[b->len - 1] != '\n') st = buf_append_str(b, "\n");
    return st ? st : buf_append_str(b, "```\n\n");
}

json_t *lsp_prompt_make(const char *command, const struct lsp_doc *d, size_t start, size_t end,
                        const char *instruction, const json_t *diagnostics)
{
    struct buf b;
    size_t i;
    const json_t *v;
    json_t *out = NULL;
    buf_init(&b, MAX_PROMPT);
    enum status st = lsp_prompt_fence(&b, d, start, end);
    for (i = 0; i < sizeof asks / sizeof *asks && !st; i++)
        if (strcmp(asks[i].command, command) == 0) st = buf_append_str(&b, asks[i].ask);
    if (!st && instruction) st = buf_printf(&b, "\n\n%s", instruction);
    json_array_foreach(diagnostics, i, v)
    {
        const char *message = lsp_json_text(v, "message");
        if (!st && message && i < 20) st = buf_printf(&b, "\n- %.500s", message);
    }
    b.len = b.data ? trim_utf8_prefix(b.data, b.len) : 0;
    if (!st) out = json_pack("[{s:s, s:s%}]", "role", "user", "content", b.data, b.len);
    buf_fini(&b);
    return out;
}

static size_t indent_of(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (p[i] == ' ' || p[i] == '\t')) i++;
    return i;
}

enum status lsp_prompt_code(const char *answer, size_t len, const char *old, size_t old_len,
                            struct buf *out)
{
    const char *code = answer, *fence = memmem(answer, len, "```", 3);
    size_t n = len;
    const char *nl = fence ? memchr(fence, '\n', len - (size_t)(fence - answer)) : NULL;
    if (nl) {
        code = nl + 1;
        n = len - (size_t)(code - answer);
        const char *close = memmem(code, n, "```", 3);
        if (close) n = (size_t)(close - code);
    }
    while (n && code[n - 1] == '\n') n--;
    /* Models often drop the indentation that all lines have. */
    size_t want = indent_of(old, old_len), have = indent_of(code, n);
    const char *p = code, *end = code + n;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t line = stop ? (size_t)(stop - p) + 1 : (size_t)(end - p);
        enum status st = !have && want && line > (stop ? 1u : 0u) ? buf_append(out, old, want) : OK;
        if (!st) st = buf_append(out, p, line);
        if (st) return st;
        p += line;
    }
    return old_len && old[old_len - 1] == '\n' ? buf_append_str(out, "\n") : OK;
}
