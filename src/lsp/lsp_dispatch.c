/* Lifecycle, and which message goes where. */
#include <stdlib.h>
#include <string.h>

#include "lsp/lsp_int.h"

/* ---- lifecycle ---------------------------------------------------------------------------------
 */

static void take_folders(struct lsp *l, const json_t *list, bool add)
{
    size_t i;
    const json_t *f;
    json_array_foreach(list, i, f)
    {
        const char *uri = lsp_json_text(f, "uri");
        char *path = uri ? lsp_uri_path(uri) : NULL;
        if (path && add) lsp_ignore_add_root(l->ignore, path);
        if (path && !add) lsp_ignore_remove_root(l->ignore, path);
        free(path);
    }
}

static void choose_encoding(struct lsp *l, const json_t *list)
{
    size_t i;
    const json_t *v;
    json_array_foreach(list, i, v)
    {
        const char *name = json_string_value(v);
        for (int e = LSP_UTF16; name && e <= LSP_UTF32; e++) {
            if (strcmp(name, lsp_encoding_name((enum lsp_encoding)e)) != 0) continue;
            l->docs.encoding = (enum lsp_encoding)e;
            return;
        }
    }
}

static json_t *capabilities(struct lsp *l)
{
    return json_pack(
        "{s:{s:s, s:s}, s:{s:s, s:{s:b, s:i, s:{s:b}}, s:b, s:{}, s:{s:[s,s,s]},"
        " s:{s:[s,s,s,s,s,s,s]}, s:{s:{s:b, s:b}}, s:{s:{s:b, s:b, s:b}}}}",
        "serverInfo", "name", "hearth", "version", HEARTH_VERSION, "capabilities",
        "positionEncoding", lsp_encoding_name(l->docs.encoding), "textDocumentSync", "openClose", 1,
        "change", 2, "save", "includeText", 0, "inlineCompletionProvider", 1, "completionProvider",
        "codeActionProvider", "codeActionKinds", "quickfix", "refactor.rewrite", "hearth",
        "executeCommandProvider", "commands", "hearth.accepted", "hearth.setModel",
        "hearth.explain", "hearth.fix", "hearth.document", "hearth.writeTests", "hearth.edit",
        "workspace", "workspaceFolders", "supported", 1, "changeNotifications", 1, "experimental",
        "hearth", "chat", 1, "edit", 1, "status", 1);
}

static void initialize(struct lsp *l, const json_t *id, const json_t *params)
{
    if (l->state != LSP_NEW) {
        lsp_fail(l, id, LSP_INVALID_REQUEST, "initialize came a second time");
        return;
    }
    const json_t *c = json_object_get(params, "capabilities");
    l->client.configuration = lsp_json_true(c, "workspace.configuration");
    l->client.dynamic_configuration =
        lsp_json_true(c, "workspace.didChangeConfiguration.dynamicRegistration");
    l->client.progress = lsp_json_true(c, "window.workDoneProgress");
    l->client.document_changes = lsp_json_true(c, "workspace.workspaceEdit.documentChanges");
    l->client.apply_edit = lsp_json_true(c, "workspace.applyEdit");
    choose_encoding(l, lsp_json_at(c, "general.positionEncodings"));
    const json_t *folders = json_object_get(params, "workspaceFolders");
    take_folders(l, folders, true);
    const char *root = lsp_json_text(params, "rootUri");
    char *path = root && !json_array_size(folders) ? lsp_uri_path(root) : NULL;
    if (path) lsp_ignore_add_root(l->ignore, path);
    free(path);
    lsp_config_init(l, json_object_get(params, "initializationOptions"));
    l->state = LSP_RUNNING;
    lsp_respond(l, id, capabilities(l));
}

static void initialized(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    (void)params;
    if (l->client.dynamic_configuration)
        lsp_call(l, "client/registerCapability",
                 json_pack("{s:[{s:s, s:s, s:{s:s}}]}", "registrations", "id", "hearth-configuration",
                           "method", "workspace/didChangeConfiguration", "registerOptions",
                           "section", "hearth"),
                 NULL);
    lsp_config_pull(l);
    if (l->set.enable && l->fim.state == LSP_STARTING) lsp_slot_load(l, &l->fim);
}

static void shut_down(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)params;
    l->state = LSP_SHUTDOWN;
    lsp_respond(l, id, NULL);
}

static void cancel(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    const json_t *which = json_object_get(params, "id");
    if (which && !lsp_fill_cancel(l, which)) lsp_job_cancel(l, which);
}

/* ---- documents ---------------------------------------------------------------------------------
 */

static void note(struct lsp *l, enum ring_event event, const struct lsp_doc *d, size_t line)
{
    if (l->suggester && l->set.context && d && !*lsp_refused(l, d))
        suggester_note(l->suggester, event, d->path, d->text.data ? d->text.data : "", d->text.len,
                       line);
}

static void did_open(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    const json_t *text = lsp_json_at(params, "textDocument.text");
    const char *uri = lsp_json_text(params, "textDocument.uri");
    struct lsp_doc *d;
    if (!uri || !json_is_string(text)) return;
    enum status st = lsp_docs_open(&l->docs, uri, lsp_json_text(params, "textDocument.languageId"),
                                   lsp_json_int(params, "textDocument.version", 0),
                                   json_string_value(text), json_string_length(text), &d);
    if (st)
        lsp_log(l, "a document was not taken: %s", status_name(st));
    else
        note(l, RING_OPENED, d, 0);
}

static struct lsp_doc *doc_of(struct lsp *l, const json_t *params)
{
    return lsp_docs_find(&l->docs, lsp_json_text(params, "textDocument.uri"));
}

static void did_change(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    struct lsp_doc *d = doc_of(l, params);
    size_t line;
    if (!d) return;
    enum status st = lsp_docs_change(&l->docs, d, json_object_get(params, "contentChanges"), &line);
    d->version = lsp_json_int(params, "textDocument.version", d->version);
    if (st) {
        /* A text that is not the client's would be worse than none. */
        lsp_log(l, "a change could not be applied (%s): the document is closed", status_name(st));
        lsp_docs_close(&l->docs, d->uri);
    }
}

static void did_save(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    note(l, RING_SAVED, doc_of(l, params), 0);
}

static void did_close(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    struct lsp_doc *d = doc_of(l, params);
    if (!d) return;
    note(l, RING_EDITED, d, 0);
    lsp_docs_close(&l->docs, d->uri);
}

static void document_text(struct lsp *l, const json_t *id, const json_t *params)
{
    const struct lsp_doc *d = doc_of(l, params);
    if (!d) {
        lsp_fail(l, id, LSP_INVALID_PARAMS, "the document is not open");
        return;
    }
    lsp_respond(l, id,
                json_pack("{s:s%, s:I, s:s}", "text", d->text.data ? d->text.data : "",
                          d->text.len, "version", (json_int_t)d->version, "languageId",
                          d->language));
}

/* ---- workspace ---------------------------------------------------------------------------------
 */

static void folders_changed(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    take_folders(l, lsp_json_at(params, "event.removed"), false);
    take_folders(l, lsp_json_at(params, "event.added"), true);
}

static void config_changed(struct lsp *l, const json_t *id, const json_t *params)
{
    (void)id;
    const json_t *h = lsp_json_at(params, "settings.hearth");
    if (json_is_object(h)) lsp_config_workspace(l, h);
    lsp_config_pull(l);
}

static void status(struct lsp *l, const json_t *id, const json_t *params)
{
    lsp_respond(l, id, lsp_status_json(l, lsp_json_text(params, "uri")));
}

/* ---- dispatch ----------------------------------------------------------------------------------
 */

static const struct method {
    const char *name;
    bool request;
    void (*run)(struct lsp *l, const json_t *id, const json_t *params);
} methods[] = {
    {"initialized", false, initialized},
    {"shutdown", true, shut_down},
    {"$/cancelRequest", false, cancel},
    {"textDocument/didOpen", false, did_open},
    {"textDocument/didChange", false, did_change},
    {"textDocument/didSave", false, did_save},
    {"textDocument/didClose", false, did_close},
    {"textDocument/inlineCompletion", true, lsp_inline},
    {"textDocument/completion", true, lsp_completion},
    {"textDocument/codeAction", true, lsp_code_actions},
    {"workspace/executeCommand", true, lsp_execute},
    {"workspace/didChangeConfiguration", false, config_changed},
    {"workspace/didChangeWorkspaceFolders", false, folders_changed},
    {"hearth/status", true, status},
    {"hearth/chat", true, lsp_chat},
    {"hearth/edit", true, lsp_edit},
    {"hearth/documentText", true, document_text},
};

static void notified(struct lsp *l, const char *method, const json_t *params)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (methods[i].request || strcmp(methods[i].name, method) != 0) continue;
        methods[i].run(l, NULL, params);
        return;
    }
    lsp_shown_event(l, method, params); /* others are none of ours, and may be ignored */
}

static void requested(struct lsp *l, const json_t *id, const char *method, const json_t *params)
{
    if (strcmp(method, "initialize") == 0) {
        initialize(l, id, params);
        return;
    }
    if (l->state == LSP_NEW) {
        lsp_fail(l, id, LSP_NOT_INITIALIZED, "%.80s came before initialize", method);
        return;
    }
    if (l->state == LSP_SHUTDOWN) {
        lsp_fail(l, id, LSP_INVALID_REQUEST, "%.80s came after shutdown", method);
        return;
    }
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (!methods[i].request || strcmp(methods[i].name, method) != 0) continue;
        methods[i].run(l, id, params);
        return;
    }
    lsp_fail(l, id, LSP_METHOD_NOT_FOUND, "there is no method %.80s", method);
}

static void handle(struct lsp *l, const json_t *m)
{
    const json_t *id = json_object_get(m, "id"), *params = json_object_get(m, "params");
    const char *method = lsp_json_text(m, "method");
    bool good_id = !id || json_is_string(id) || json_is_integer(id);
    if (!json_is_object(m) || !good_id || (json_object_get(m, "method") && !method) ||
        (!method && !json_object_get(m, "result") && !json_object_get(m, "error"))) {
        json_t *null = json_null();
        lsp_fail(l, id && good_id ? id : null, LSP_INVALID_REQUEST, "not a request of JSON-RPC");
    } else if (!method) {
        lsp_answered(l, m);
    } else if (id) {
        requested(l, id, method, params);
    } else if (strcmp(method, "exit") == 0) {
        l->exit = true;
    } else if (l->state == LSP_RUNNING) {
        notified(l, method, params);
    }
}

void lsp_message(struct lsp *l, char *data, size_t len)
{
    json_t *m = lsp_json_parse(data, len);
    if (!m) {
        json_t *null = json_null();
        lsp_fail(l, null, LSP_PARSE_ERROR, "a message is no JSON, or nested deeper than %d",
                 LSP_MAX_DEPTH);
        return;
    }
    handle(l, m);
    json_decref(m);
}
