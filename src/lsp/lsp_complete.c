/* Completions: from a request to the suggester, and from its answer to an item. */
#include <stdlib.h>
#include <string.h>

#include "assist/cursor.h"
#include "base/clock.h"
#include "lsp/lsp_int.h"

enum { LSP_CONTEXT_ITEMS = 32, LSP_MAX_PATH = 4096 };

/* A request that has no answer yet. */
struct fill {
    struct lsp *l;
    json_t *id;   /* NULL: answered; what the suggester still says is of no use */
    json_t *work; /* workDoneToken while the model is waited for; or NULL */
    char *uri, *language;
    char *text; /* the document as it was, a selected completion put in */
    size_t len, offset;
    size_t start, end; /* of the document: what the item replaces */
    char *head;        /* what its text begins with, before the suggestion */
    json_t *range;
    bool plain, automatic;
    bool asked; /* the suggester has it and will call back */
    uint64_t ask_id;
    double since;
    struct fill *next;
};

/* ---- which files -------------------------------------------------------------------------------
 */

bool lsp_path_allowed(void *lsp, const char *path)
{
    struct lsp *l = lsp;
    if (cursor_is_secret(path)) return false;
    /* One byte that only the server's thread writes. */
    return __atomic_load_n(&l->set.ignored, __ATOMIC_RELAXED) || !lsp_ignore_is(l->ignore, path);
}

const char *lsp_refused(struct lsp *l, const struct lsp_doc *d)
{
    if (!l->set.enable) return "disabled";
    if (json_is_false(json_object_get(l->set.languages, d->language))) return "language";
    if (cursor_is_secret(d->path)) return "secret";
    return lsp_path_allowed(l, d->path) ? "" : "ignored";
}

/* ---- life --------------------------------------------------------------------------------------
 */

static void fill_free(struct fill *f)
{
    json_decref(f->id);
    json_decref(f->work);
    json_decref(f->range);
    free(f->uri);
    free(f->language);
    free(f->text);
    free(f->head);
    free(f);
}

static void unlink_fill(struct lsp *l, struct fill *f)
{
    for (struct fill **p = &l->fills; *p; p = &(*p)->next) {
        if (*p != f) continue;
        *p = f->next;
        return;
    }
}

static void answered(struct fill *f)
{
    if (f->work) lsp_progress(f->l, f->work, json_pack("{s:s}", "kind", "end"));
    json_decref(f->work);
    json_decref(f->id);
    f->work = f->id = NULL;
}

static json_t *no_items(bool plain)
{
    return plain ? json_pack("{s:b, s:[]}", "isIncomplete", 1, "items")
                 : json_pack("{s:[]}", "items");
}

/* ---- the answer --------------------------------------------------------------------------------
 */

struct filled { /* a suggestion on its way to the server's thread */
    struct fill *f;
    char *text;
    size_t len;
    enum suggest_source source;
    bool superseded;
    double ms, first_ms;
    struct error err;
};

static json_t *inline_item(struct fill *f, const struct filled *s, const char *id,
                           const char *model)
{
    size_t head = strlen(f->head);
    char *text = malloc(head + s->len + 1);
    if (!text) return NULL;
    memcpy(text, f->head, head);
    memcpy(text + head, s->text, s->len);
    json_t *item = json_pack("{s:s%, s:O, s:{s:s, s:s, s:[s]}, s:{s:s, s:s, s:s, s:f, s:f}}",
                             "insertText", text, head + s->len, "range", f->range, "command",
                             "title", "Accepted", "command", "hearth.accepted", "arguments", id,
                             "data", "id", id, "source", suggest_source_name(s->source), "model",
                             model, "ms", s->ms, "firstMs", s->first_ms);
    /* Editors compare this with what stands in the range. */
    if (item && head) json_object_set_new(item, "filterText", json_stringn(text, head + s->len));
    free(text);
    return item;
}

static bool is_word(unsigned char c)
{
    return c >= 0x80 || c == '_' || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* Editors filter by the word in front of the cursor, so the item replaces it by itself and more. */
static json_t *plain_item(struct fill *f, const struct filled *s, const char *id, const char *model)
{
    size_t word = f->offset;
    while (word && f->offset - word < 256 && is_word((unsigned char)f->text[word - 1])) word--;
    while (word < f->offset && ((unsigned char)f->text[word] & 0xC0) == 0x80) word++;
    size_t head = f->offset - word, line = strcspn(s->text, "\r\n");
    struct lsp_doc *d = lsp_docs_find(&f->l->docs, f->uri);
    json_t *range = d ? lsp_doc_range_json(&f->l->docs, d, word, f->offset) : NULL;
    char *text = malloc(head + s->len + 1);
    json_t *item = NULL;
    if (range && text) {
        memcpy(text, f->text + word, head);
        memcpy(text + head, s->text, s->len);
        item = json_pack("{s:s%, s:i, s:s, s:s%, s:s, s:b, s:{s:O, s:s%}, s:{s:s, s:s, s:[s]}, "
                         "s:{s:s, s:s, s:s, s:f, s:f}}",
                         "label", text, head + line, "kind", 1, "detail", "Hearth", "filterText",
                         text, head + line, "sortText", "\x01", "preselect", 1, "textEdit", "range",
                         range, "newText", text, head + s->len, "command", "title", "Accepted",
                         "command", "hearth.accepted", "arguments", id, "data", "id", id, "source",
                         suggest_source_name(s->source), "model", model, "ms", s->ms, "firstMs",
                         s->first_ms);
    }
    json_decref(range);
    free(text);
    return item;
}

static void give_item(struct lsp *l, struct fill *f, const struct filled *s)
{
    char id[24];
    snprintf(id, sizeof id, "%lld", ++l->next_id);
    const char *model = l->fim.model && l->fim.model->label ? l->fim.model->label : "";
    json_t *item = f->plain ? plain_item(f, s, id, model) : inline_item(f, s, id, model);
    if (item) {
        struct shown_item shown = {.id = id,
                                   .uri = f->uri,
                                   .language = f->language,
                                   .model = model,
                                   .text = s->text,
                                   .len = s->len,
                                   .offset = f->start + strlen(f->head),
                                   .ms = s->ms,
                                   .cached = s->source != SUGGEST_COMPUTED};
        lsp_shown_answered(l, &shown);
    }
    json_t *list = no_items(f->plain);
    if (item) json_array_append_new(json_object_get(list, "items"), item);
    lsp_respond(l, f->id, list);
}

static void finished(struct lsp *l, void *data)
{
    struct filled *s = data;
    struct fill *f = s->f;
    if (f->id && !l->ending) {
        if (s->superseded)
            lsp_fail(l, f->id, LSP_CONTENT_MODIFIED, "a newer request took its place");
        else if (s->err.code || !s->len || !s->text)
            lsp_respond(l, f->id, no_items(f->plain));
        else
            give_item(l, f, s);
        if (s->err.code) lsp_log(l, "no completion: %s", s->err.msg);
        answered(f);
    }
    unlink_fill(l, f);
    fill_free(f);
    free(s->text);
    free(s);
}

/* The suggester's thread, or within suggester_ask. */
static void on_suggestion(void *ctx, const struct suggestion *g)
{
    struct fill *f = ctx;
    if (!g->final) return;
    struct filled *s = calloc(1, sizeof *s);
    if (!s) return; /* nothing else can be said without memory */
    s->f = f;
    s->text = malloc(g->len + 1);
    if (s->text) {
        memcpy(s->text, g->text, g->len);
        s->text[g->len] = 0;
        s->len = g->len;
    }
    s->source = g->source;
    s->ms = (double)(long long)(g->total_ms * 100) / 100;
    s->first_ms = (double)(long long)(g->first_ms * 100) / 100;
    s->superseded = g->stopped_by && strcmp(g->stopped_by, "superseded") == 0;
    if (g->status && g->error) s->err = *g->error;
    lsp_post(f->l, finished, s);
}

/* ---- the request -------------------------------------------------------------------------------
 */

/* What the workspace folder's index knows of; files that are ignored or hold secrets by now are left out. */
static size_t take_context(struct lsp *l, const struct fill *f, const char *path, struct context_item *items,
                           const char **name)
{
    char folder[LSP_MAX_PATH], full[LSP_MAX_PATH];
    if (!l->opt.context || !l->set.project_context || !path || !lsp_ignore_root(l->ignore, path, folder, sizeof folder))
        return 0;
    size_t n_ctx = l->set.n_ctx ? l->set.n_ctx : 4096, kept = 0;
    struct lsp_place at = {.folder = folder, .path = path, .text = f->text, .len = f->len, .offset = f->offset,
                           .max_tokens = n_ctx > l->set.max_tokens ? (n_ctx - l->set.max_tokens) / 8 : 0};
    size_t n = l->opt.context(l->opt.ctx, &at, items, LSP_CONTEXT_ITEMS, name);
    for (size_t i = 0; i < n; i++)
        if (snprintf(full, sizeof full, "%s/%s", folder, items[i].path) < (int)sizeof full && lsp_path_allowed(l, full))
            items[kept++] = items[i];
    return kept;
}

static void ask(struct lsp *l, struct fill *f)
{
    struct context_item items[LSP_CONTEXT_ITEMS];
    const struct lsp_doc *d = lsp_docs_find(&l->docs, f->uri);
    const char *name = NULL;
    double since = clock_now();
    size_t n = l->context_files = take_context(l, f, d ? d->path : NULL, items, &name);
    l->context_ms = (double)(long long)((clock_now() - since) * 1e5) / 100;
    struct suggest_request req = {.path = d ? d->path : NULL,
                                  .name = name,
                                  .more = items,
                                  .n_more = n,
                                  .language = *f->language ? f->language : NULL,
                                  .text = f->text,
                                  .len = f->len,
                                  .offset = f->offset,
                                  .mode = l->set.mode,
                                  .automatic = f->automatic,
                                  .max_tokens = l->set.max_tokens,
                                  .deadline_ms = f->automatic ? l->set.automatic_ms : l->set.deadline_ms,
                                  .on_suggestion = on_suggestion,
                                  .ctx = f};
    struct error err = {0};
    f->asked = true;
    if (suggester_ask(l->suggester, &req, &f->ask_id, &err) == OK) return;
    lsp_log(l, "no completion: %s", err.msg);
    lsp_respond(l, f->id, no_items(f->plain));
    answered(f);
    unlink_fill(l, f);
    fill_free(f);
}

void lsp_fills_ready(struct lsp *l)
{
    if (!l->suggester && l->fim.state != LSP_FAILED) return;
    for (struct fill *f = l->fills, *next; f; f = next) {
        next = f->next;
        if (f->asked) continue;
        if (l->suggester) {
            ask(l, f);
            continue;
        }
        lsp_respond(l, f->id, no_items(f->plain));
        answered(f);
        unlink_fill(l, f);
        fill_free(f);
    }
}

/* The newest request waits for the model, those before it do not any more. */
static void wait_for_model(struct lsp *l, struct fill *f, const json_t *work)
{
    for (struct fill *o = l->fills, *next; o; o = next) {
        next = o->next;
        if (o == f || o->asked) continue;
        lsp_fail(l, o->id, LSP_CONTENT_MODIFIED, "a newer request took its place");
        answered(o);
        unlink_fill(l, o);
        fill_free(o);
    }
    if (work) {
        f->work = json_incref((json_t *)work);
        lsp_progress(
            l, work,
            json_pack("{s:s, s:s}", "kind", "begin", "title", "Hearth: loading the model"));
    }
    if (l->fim.state == LSP_STARTING) lsp_slot_load(l, &l->fim);
    lsp_fills_ready(l);
}

/* The document's text with `head` in place of [start, end). */
static bool take_text(struct fill *f, const struct lsp_doc *d)
{
    size_t head = strlen(f->head), tail = d->text.len - f->end;
    f->len = f->start + head + tail;
    f->text = malloc(f->len + 1);
    if (!f->text) return false;
    if (f->start) memcpy(f->text, d->text.data, f->start);
    memcpy(f->text + f->start, f->head, head);
    if (tail) memcpy(f->text + f->start + head, d->text.data + f->end, tail);
    f->text[f->len] = 0;
    f->offset = f->start + head;
    return true;
}

static void start(struct lsp *l, const json_t *id, const json_t *params, const struct lsp_doc *d,
                  size_t offset, bool plain)
{
    const json_t *selected = lsp_json_at(params, "context.selectedCompletionInfo");
    const char *text = lsp_json_text(selected, "text");
    struct fill *f = calloc(1, sizeof *f);
    if (!f) {
        lsp_fail(l, id, LSP_INTERNAL_ERROR, "no memory");
        return;
    }
    f->l = l;
    f->plain = plain;
    f->automatic = lsp_json_int(params, "context.triggerKind", 1) == 2;
    if (plain) f->automatic = lsp_json_int(params, "context.triggerKind", 1) != 1;
    f->since = clock_now();
    f->start = f->end = offset;
    if (!text || plain ||
        !lsp_doc_range(&l->docs, d, json_object_get(selected, "range"), &f->start, &f->end)) {
        f->start = f->end = offset;
        text = "";
    }
    f->id = json_incref((json_t *)id);
    f->uri = strdup(d->uri);
    f->language = strdup(d->language);
    f->head = strdup(text);
    f->range = lsp_doc_range_json(&l->docs, d, f->start, f->end);
    f->next = l->fills;
    l->fills = f;
    if (!f->uri || !f->language || !f->head || !f->range || !take_text(f, d)) {
        lsp_fail(l, id, LSP_INTERNAL_ERROR, "no memory");
        unlink_fill(l, f);
        fill_free(f);
    } else if (l->suggester) {
        ask(l, f);
    } else {
        wait_for_model(l, f, json_object_get(params, "workDoneToken"));
    }
}

static void complete(struct lsp *l, const json_t *id, const json_t *params, bool plain)
{
    const struct lsp_doc *d = lsp_docs_find(&l->docs, lsp_json_text(params, "textDocument.uri"));
    size_t offset;
    if (!d) {
        lsp_fail(l, id, LSP_INVALID_PARAMS, "the document is not open");
        return;
    }
    if (!lsp_doc_offset(&l->docs, d, json_object_get(params, "position"), &offset)) {
        lsp_fail(l, id, LSP_INVALID_PARAMS, "the position is none");
        return;
    }
    bool unasked = plain && lsp_json_int(params, "context.triggerKind", 1) != 1;
    if (*lsp_refused(l, d) || (plain && l->set.completion == LSP_WHEN_OFF) ||
        (unasked && l->set.completion != LSP_WHEN_ALWAYS))
        lsp_respond(l, id, no_items(plain));
    else
        start(l, id, params, d, offset, plain);
}

void lsp_inline(struct lsp *l, const json_t *id, const json_t *params)
{
    complete(l, id, params, false);
}

void lsp_completion(struct lsp *l, const json_t *id, const json_t *params)
{
    complete(l, id, params, true);
}

bool lsp_fill_cancel(struct lsp *l, const json_t *id)
{
    for (struct fill *f = l->fills; f; f = f->next) {
        if (!f->id || !json_equal(f->id, id)) continue;
        lsp_fail(l, f->id, LSP_CANCELLED, "cancelled");
        answered(f);
        if (f->asked) {
            suggester_cancel(l->suggester, f->ask_id);
        } else {
            unlink_fill(l, f);
            fill_free(f);
        }
        return true;
    }
    return false;
}

void lsp_fills_fini(struct lsp *l)
{
    while (l->fills) {
        struct fill *f = l->fills;
        l->fills = f->next;
        fill_free(f);
    }
}
