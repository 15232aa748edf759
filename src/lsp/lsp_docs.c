#include "lsp/lsp_docs.h"

#include <stdlib.h>
#include <string.h>

#include "lsp/lsp_json.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

char *lsp_uri_path(const char *uri)
{
    const char *from = uri, *colon = strchr(uri, ':');
    if (strncmp(uri, "file://", 7) == 0) {
        from = strchr(uri + 7, '/'); /* a host's name is of no use here */
        if (!from) from = uri + 7;
    } else if (colon) {
        from = colon + 1;
    }
    char *out = malloc(strlen(from) + 1), *p = out;
    if (!out) return NULL;
    while (*from) {
        int a = from[0] == '%' ? hex(from[1]) : -1, b = a >= 0 ? hex(from[2]) : -1;
        bool escaped = b >= 0 && (a | b) != 0;
        *p++ = escaped ? (char)(a * 16 + b) : *from;
        from += escaped ? 3 : 1;
    }
    *p = 0;
    return out;
}

static void doc_free(struct lsp_doc *d)
{
    free(d->uri);
    free(d->path);
    free(d->language);
    buf_fini(&d->text);
    free(d);
}

void lsp_docs_fini(struct lsp_docs *d)
{
    while (d->first) {
        struct lsp_doc *doc = d->first;
        d->first = doc->next;
        doc_free(doc);
    }
    d->n = 0;
}

struct lsp_doc *lsp_docs_find(const struct lsp_docs *d, const char *uri)
{
    struct lsp_doc *doc = uri ? d->first : NULL;
    while (doc && strcmp(doc->uri, uri) != 0) doc = doc->next;
    return doc;
}

void lsp_docs_close(struct lsp_docs *d, const char *uri)
{
    for (struct lsp_doc **p = &d->first; *p; p = &(*p)->next) {
        if (strcmp((*p)->uri, uri) != 0) continue;
        struct lsp_doc *gone = *p;
        *p = gone->next;
        doc_free(gone);
        d->n--;
        return;
    }
}

enum status lsp_docs_open(struct lsp_docs *d, const char *uri, const char *language,
                          long long version, const char *text, size_t len, struct lsp_doc **out)
{
    *out = NULL;
    lsp_docs_close(d, uri);
    if (d->n >= LSP_MAX_DOCS) return ERR_LIMIT;
    struct lsp_doc *doc = calloc(1, sizeof *doc);
    if (!doc) return ERR_NOMEM;
    buf_init(&doc->text, LSP_MAX_DOC);
    doc->uri = strdup(uri);
    doc->path = lsp_uri_path(uri);
    doc->language = strdup(language ? language : "");
    doc->version = version;
    enum status st = doc->uri && doc->path && doc->language ? OK : ERR_NOMEM;
    if (!st) st = buf_append(&doc->text, text, len);
    if (st) {
        doc_free(doc);
        return st;
    }
    doc->next = d->first;
    d->first = doc;
    d->n++;
    *out = doc;
    return OK;
}

/* ---- positions ---------------------------------------------------------------------------------
 */

static const char *text_of(const struct lsp_doc *doc)
{
    return doc->text.data ? doc->text.data : "";
}

bool lsp_doc_offset(const struct lsp_docs *d, const struct lsp_doc *doc, const json_t *position,
                    size_t *offset)
{
    long long line = lsp_json_int(position, "line", -1);
    long long character = lsp_json_int(position, "character", -1);
    if (line < 0 || character < 0) return false;
    struct lsp_position at = {(size_t)line, (size_t)character};
    *offset = lsp_position_offset(text_of(doc), doc->text.len, d->encoding, at);
    return true;
}

bool lsp_doc_range(const struct lsp_docs *d, const struct lsp_doc *doc, const json_t *range,
                   size_t *start, size_t *end)
{
    if (!lsp_doc_offset(d, doc, json_object_get(range, "start"), start) ||
        !lsp_doc_offset(d, doc, json_object_get(range, "end"), end))
        return false;
    if (*start > *end) {
        size_t t = *start;
        *start = *end;
        *end = t;
    }
    return true;
}

json_t *lsp_doc_range_json(const struct lsp_docs *d, const struct lsp_doc *doc, size_t start,
                           size_t end)
{
    struct lsp_position a = lsp_position_of(text_of(doc), doc->text.len, d->encoding, start);
    struct lsp_position b = lsp_position_of(text_of(doc), doc->text.len, d->encoding, end);
    return json_pack("{s:{s:I,s:I},s:{s:I,s:I}}", "start", "line", (json_int_t)a.line, "character",
                     (json_int_t)a.character, "end", "line", (json_int_t)b.line, "character",
                     (json_int_t)b.character);
}

/* ---- edits -------------------------------------------------------------------------------------
 */

static enum status replace(struct lsp_docs *d, struct lsp_doc *doc, size_t start, size_t end,
                           const char *text, size_t len)
{
    struct buf *b = &doc->text;
    size_t tail = b->len - end;
    if (len > LSP_MAX_DOC - (b->len - (end - start))) return ERR_LIMIT;
    if (d->on_edit) d->on_edit(d->ctx, doc, start, end, len);
    enum status st = len > end - start ? buf_reserve(b, len - (end - start)) : OK;
    if (st || !b->data) return st; /* no data: nothing was there, and nothing comes */
    memmove(b->data + start + len, b->data + end, tail);
    if (len) memcpy(b->data + start, text, len);
    b->len = start + len + tail;
    b->data[b->len] = 0;
    return OK;
}

enum status lsp_docs_change(struct lsp_docs *d, struct lsp_doc *doc, const json_t *changes,
                            size_t *line)
{
    size_t i;
    const json_t *c;
    *line = 0;
    if (!json_is_array(changes)) return ERR_INVALID;
    json_array_foreach(changes, i, c)
    {
        const json_t *text = json_object_get(c, "text"), *range = json_object_get(c, "range");
        size_t start = 0, end = doc->text.len;
        if (!json_is_string(text)) return ERR_INVALID;
        if (range && !lsp_doc_range(d, doc, range, &start, &end)) return ERR_INVALID;
        enum status st =
            replace(d, doc, start, end, json_string_value(text), json_string_length(text));
        if (st) return st;
        *line = range ? (size_t)lsp_json_int(range, "start.line", 0) : 0;
    }
    return OK;
}
