/* Code actions, commands and edits: the local chat model's answer, applied or shown. */
#include <string.h>

#include "lsp/lsp_int.h"

static const struct {
    const char *command, *title, *kind;
    bool edits;
} actions[] = {
    {"hearth.explain", "Explain", "hearth", false},
    {"hearth.fix", "Fix", "quickfix", true},
    {"hearth.document", "Document", "refactor.rewrite", true},
    {"hearth.writeTests", "Write tests", "hearth", false},
    {"hearth.edit", "Edit with instruction...", "refactor.rewrite", true},
};
enum { N_ACTIONS = sizeof actions / sizeof *actions };

void lsp_code_actions(struct lsp *l, const json_t *id, const json_t *params)
{
    const struct lsp_doc *d = lsp_docs_find(&l->docs, lsp_json_text(params, "textDocument.uri"));
    const json_t *range = json_object_get(params, "range");
    size_t start, end;
    json_t *list = json_array();
    if (d && !*lsp_refused(l, d) && lsp_doc_range(&l->docs, d, range, &start, &end)) {
        const json_t *diagnostics = lsp_json_at(params, "context.diagnostics");
        for (int i = 0; i < N_ACTIONS; i++) {
            bool edit = strcmp(actions[i].command, "hearth.edit") == 0;
            bool fix = strcmp(actions[i].command, "hearth.fix") == 0;
            if (edit && !l->set.edit_prompt) continue;
            if (start == end && !(fix && json_array_size(diagnostics))) continue;
            json_t *arg = json_pack("{s:s, s:O, s:I}", "uri", d->uri, "range", range, "version",
                                    (json_int_t)d->version);
            if (fix && diagnostics) json_object_set(arg, "diagnostics", (json_t *)diagnostics);
            json_array_append_new(
                list, json_pack("{s:s, s:s, s:{s:s, s:s, s:[o]}}", "title", actions[i].title, "kind",
                                actions[i].kind, "command", "title", actions[i].title, "command",
                                actions[i].command, "arguments", arg));
        }
    }
    lsp_respond(l, id, list);
}

/* ---- answers -----------------------------------------------------------------------------------
 */

static void tell_answer(struct chat_job *j, const char *text, size_t len, bool done)
{
    if (j->l->set.answers && !j->as_edit)
        lsp_notify(j->l, "hearth/answer",
                   json_pack("{s:I, s:s, s:s, s:s%, s:b}", "id", (json_int_t)j->answer_id, "title",
                             j->title, "uri", j->uri, "text", text, len, "done", done));
}

static void on_text(struct chat_job *j, const char *text, size_t len)
{
    if (j->token)
        lsp_notify(j->l, "hearth/chatDelta",
                   json_pack("{s:O, s:s%}", "token", j->token, "text", text, len));
    tell_answer(j, text, len, false);
}

static void apply(struct chat_job *j, const struct lsp_doc *d, const struct buf *code)
{
    struct lsp *l = j->l;
    json_t *range = lsp_doc_range_json(&l->docs, d, j->start, j->end);
    const char *text = code->data ? code->data : "";
    if (j->own_request) {
        lsp_respond(l, j->id, json_pack("{s:s%, s:o, s:I}", "newText", text, code->len, "range",
                                        range, "version", (json_int_t)d->version));
        return;
    }
    json_t *edits = json_pack("[{s:o, s:s%}]", "range", range, "newText", text, code->len);
    json_t *edit =
        l->client.document_changes
            ? json_pack("{s:[{s:{s:s, s:I}, s:o}]}", "documentChanges", "textDocument", "uri", d->uri,
                        "version", (json_int_t)d->version, "edits", edits)
            : json_pack("{s:{s:o}}", "changes", d->uri, edits);
    lsp_call(l, "workspace/applyEdit", json_pack("{s:s, s:o}", "label", j->title, "edit", edit), NULL);
    lsp_respond(l, j->id, json_pack("{s:b}", "applied", 1));
}

static void on_done(struct chat_job *j)
{
    struct lsp *l = j->l;
    const char *text = j->text.data ? j->text.data : "";
    const struct lsp_doc *d = lsp_docs_find(&l->docs, j->uri);
    if (!j->as_edit) {
        tell_answer(j, "", 0, true);
        if (!l->set.answers)
            lsp_notify(l, "window/showMessage",
                       json_pack("{s:i, s:s%}", "type", 3, "message", text, j->text.len));
        lsp_respond(l, j->id, json_pack("{s:s%}", "text", text, j->text.len));
        return;
    }
    if (!d || d->version != j->version || j->end > d->text.len) {
        lsp_fail(l, j->id, LSP_CONTENT_MODIFIED, "the document has changed meanwhile");
        return;
    }
    struct buf code;
    buf_init(&code, LSP_MAX_DOC);
    if (lsp_prompt_code(text, j->text.len, d->text.data ? d->text.data + j->start : "",
                        j->end - j->start, &code) == OK)
        apply(j, d, &code);
    else
        lsp_fail(l, j->id, LSP_INTERNAL_ERROR, "no memory for the new text");
    buf_fini(&code);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

static void begin(struct lsp *l, const json_t *id, int action, const char *uri, const json_t *arg,
                  const json_t *params, bool own)
{
    const struct lsp_doc *d = lsp_docs_find(&l->docs, uri);
    size_t start, end;
    if (!d || !lsp_doc_range(&l->docs, d, json_object_get(arg, "range"), &start, &end)) {
        lsp_fail(l, id, LSP_INVALID_PARAMS, "the document is not open, or the range is none");
        return;
    }
    const char *why = lsp_refused(l, d), *instruction = lsp_json_text(arg, "instruction");
    if (*why) {
        lsp_fail(l, id, LSP_REQUEST_FAILED, "the file is left alone: %s", why);
        return;
    }
    if (strcmp(actions[action].command, "hearth.edit") == 0 && (!instruction || !*instruction)) {
        lsp_fail(l, id, LSP_INVALID_PARAMS, "\"instruction\" is missing");
        return;
    }
    lsp_whole_lines(d, &start, &end);
    struct chat_job *j = lsp_job_new(l, id);
    if (j) {
        j->messages = lsp_prompt_make(actions[action].command, d, start, end, instruction,
                                      json_object_get(arg, "diagnostics"));
        j->uri = strdup(d->uri);
        j->title = strdup(actions[action].title);
    }
    if (!j || !j->messages || !j->uri || !j->title) {
        if (j) lsp_job_free(j);
        lsp_fail(l, id, LSP_INTERNAL_ERROR, "no memory");
        return;
    }
    j->token = json_incref(json_object_get(params, "token"));
    j->work = json_incref(json_object_get(params, "workDoneToken"));
    j->start = start;
    j->end = end;
    j->version = d->version;
    j->as_edit = actions[action].edits;
    j->own_request = own;
    j->temperature = 0;
    j->answer_id = ++l->next_id;
    j->on_text = on_text;
    j->on_done = on_done;
    lsp_job_start(l, j);
}

void lsp_edit(struct lsp *l, const json_t *id, const json_t *params)
{
    begin(l, id, N_ACTIONS - 1, lsp_json_text(params, "textDocument.uri"), params, params, true);
}

void lsp_execute(struct lsp *l, const json_t *id, const json_t *params)
{
    const char *command = lsp_json_text(params, "command");
    const json_t *arg = json_array_get(json_object_get(params, "arguments"), 0);
    if (command && strcmp(command, "hearth.accepted") == 0) {
        lsp_shown_accept(l, json_string_value(arg));
        lsp_respond(l, id, NULL);
        return;
    }
    if (command && strcmp(command, "hearth.setModel") == 0) {
        lsp_model_set(l, arg);
        lsp_respond(l, id, NULL);
        return;
    }
    for (int i = 0; i < N_ACTIONS; i++) {
        if (!command || strcmp(actions[i].command, command) != 0) continue;
        begin(l, id, i, lsp_json_text(arg, "uri"), arg, params, false);
        return;
    }
    lsp_fail(l, id, LSP_INVALID_PARAMS, "there is no command %.80s", command ? command : "");
}
