/* What the language server's files share. Everything but the functions that say so belongs to the
 * thread of lsp_serve. */
#ifndef HEARTH_LSP_LSP_INT_H
#define HEARTH_LSP_LSP_INT_H

#include <jansson.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>

#include "assist/suggest.h"
#include "lsp/lsp.h"
#include "lsp/lsp_docs.h"
#include "lsp/lsp_ignore.h"
#include "lsp/lsp_json.h"
#include "lsp/lsp_out.h"
#include "stats/stats.h"

enum {
    LSP_PARSE_ERROR = -32700,
    LSP_INVALID_REQUEST = -32600,
    LSP_METHOD_NOT_FOUND = -32601,
    LSP_INVALID_PARAMS = -32602,
    LSP_INTERNAL_ERROR = -32603,
    LSP_NOT_INITIALIZED = -32002,
    LSP_REQUEST_FAILED = -32803,
    LSP_CONTENT_MODIFIED = -32801,
    LSP_CANCELLED = -32800
};

enum lsp_when { LSP_WHEN_OFF, LSP_WHEN_ASKED, LSP_WHEN_ALWAYS };

struct lsp_settings {
    char *model, *chat_model, *endpoint; /* owned; NULL = not set */
    bool allow_remote, statistics, enable, ignored, context, project_context, edit_prompt, answers;
    int threads;
    size_t n_ctx, max_tokens;
    enum trim_mode mode;
    double deadline_ms, automatic_ms, kept_seconds;
    enum lsp_when completion;
    json_t *languages; /* owned; or NULL */
};

/* What the client can do. */
struct lsp_client {
    bool configuration, dynamic_configuration, progress, document_changes, apply_edit;
};

/* ---- models (lsp_model.c); loaded on a thread of its own */

struct lsp_model {
    int refs; /* atomic */
    char *name, *label; /* owned: as asked for or NULL; as shown */
    struct engine *engine;
    struct session *session; /* the completer's; NULL where the model cannot fill in */
    struct completer completer;
    struct error why_no_fim;
    pthread_mutex_t chat_lock; /* of the two below */
    struct chat *chat;
    struct session *chat_session;
};

enum lsp_load { LSP_STARTING, LSP_LOADING, LSP_READY, LSP_FAILED };

struct lsp_slot {
    struct lsp_model *model; /* a reference; the one in use, also while another is loaded */
    enum lsp_load state;
    char *name;          /* owned; wanted; NULL = the default */
    struct loading *job; /* or NULL */
    bool again;          /* another name was wanted meanwhile */
    char message[768];
};

/* ---- chat (lsp_chat.c) */

struct chat_job {
    struct lsp *l;
    json_t *id;     /* of the request; NULL once it is answered */
    json_t *token;  /* of deltas; or NULL */
    json_t *work;   /* workDoneToken; or NULL */
    json_t *messages;
    size_t max_tokens, n_ctx;
    double temperature;
    int cancel; /* atomic */
    /* The text grew by [from, text.len), or (done) it is over. */
    void (*on_text)(struct chat_job *j, const char *text, size_t len);
    void (*on_done)(struct chat_job *j);
    /* For lsp_act.c: what the answer is for. */
    char *uri, *title; /* owned */
    size_t start, end;
    long long version, answer_id;
    bool as_edit, own_request;
    /* Filled by the worker. */
    struct lsp_model *model; /* a reference; NULL: remote */
    char *endpoint, *remote_model; /* owned */
    bool allow_remote, may_fall_back;
    struct buf text;
    const char *finish;
    size_t n_prompt, n_generated;
    enum status status;
    struct error err;
    bool fell_back;
    struct chat_job *next;
};

struct lsp_task {
    void (*run)(struct lsp *l, void *data); /* owns data; also called at the end, to free it */
    void *data;
    struct lsp_task *next;
};

struct lsp_call { /* a request of ours that the client has not answered */
    long long id;
    void (*answer)(struct lsp *l, const json_t *result); /* NULL result: an error */
    struct lsp_call *next;
};

struct lsp {
    struct lsp_options opt;
    struct lsp_out *out;
    int wake_fd;
    pthread_mutex_t task_lock;
    struct lsp_task *tasks, **last_task; /* under task_lock */
    enum { LSP_NEW, LSP_RUNNING, LSP_SHUTDOWN } state;
    bool exit, ending;
    struct lsp_docs docs;
    struct lsp_client client;
    struct lsp_settings set;
    json_t *user; /* initializationOptions: laid over by the workspace's */
    struct lsp_ignore *ignore;
    long long next_id;
    struct lsp_call *calls;
    struct lsp_slot fim, chat;
    struct suggester *suggester;
    struct fill *fills;
    size_t context_files; /* of the workspace, that the last completion was told of */
    double context_ms;    /* that finding them took */
    struct shown *shown;
    struct stats *stats;
    struct chat_job *jobs; /* waiting, the first is next */
    struct chat_job *job;  /* running */
    pthread_t job_thread;
    json_t *load_token;
    FILE *log;
};

/* Any thread: runs `run` on the server's. Without memory `data` is lost. */
void lsp_post(struct lsp *l, void (*run)(struct lsp *l, void *data), void *data);

/* ---- messages (lsp_rpc.c). `result` and `params` are stolen; NULL: no memory, or null. */
void lsp_respond(struct lsp *l, const json_t *id, json_t *result);
void lsp_fail(struct lsp *l, const json_t *id, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void lsp_notify(struct lsp *l, const char *method, json_t *params);
void lsp_call(struct lsp *l, const char *method, json_t *params,
              void (*answer)(struct lsp *l, const json_t *result));
void lsp_answered(struct lsp *l, const json_t *message);
void lsp_progress(struct lsp *l, const json_t *token, json_t *value);
void lsp_log(struct lsp *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- lsp_dispatch.c */
void lsp_message(struct lsp *l, char *data, size_t len);

/* ---- settings (lsp_config.c) */
void lsp_config_init(struct lsp *l, const json_t *options);
void lsp_config_workspace(struct lsp *l, const json_t *settings); /* NULL: the user's alone */
void lsp_config_pull(struct lsp *l);
void lsp_config_fini(struct lsp *l);

/* ---- models (lsp_model.c) */
void lsp_slot_load(struct lsp *l, struct lsp_slot *s);
void lsp_slot_fini(struct lsp_slot *s);
void lsp_model_unref(struct lsp_model *m);
/* The slot that chat uses: the completions' where both name the same model. */
struct lsp_slot *lsp_chat_slot(struct lsp *l);
void lsp_model_set(struct lsp *l, const json_t *wanted);
json_t *lsp_status_json(struct lsp *l, const char *uri);
void lsp_status_changed(struct lsp *l);

/* ---- completions (lsp_complete.c) */
/* "" or why a document is not completed: "disabled", "language", "secret", "ignored". */
const char *lsp_refused(struct lsp *l, const struct lsp_doc *d);
bool lsp_path_allowed(void *lsp, const char *path); /* any thread */
void lsp_inline(struct lsp *l, const json_t *id, const json_t *params);
void lsp_completion(struct lsp *l, const json_t *id, const json_t *params);
void lsp_fills_ready(struct lsp *l); /* the model is there, or will not come */
bool lsp_fill_cancel(struct lsp *l, const json_t *id);
void lsp_fills_fini(struct lsp *l);

/* ---- what became of them (lsp_shown.c) */
struct shown_item {
    const char *id, *uri, *language, *model, *text;
    size_t offset, len;
    double ms;
    bool cached;
};
void lsp_shown_answered(struct lsp *l, const struct shown_item *item);
void lsp_shown_event(struct lsp *l, const char *method, const json_t *params);
void lsp_shown_accept(struct lsp *l, const char *id);
void lsp_shown_edit(void *lsp, const struct lsp_doc *d, size_t start, size_t end, size_t len);
/* Seconds until something is to be done, < 0: nothing is; does what is due. */
double lsp_shown_tick(struct lsp *l);
void lsp_shown_fini(struct lsp *l);

/* ---- chat (lsp_chat.c) */
struct chat_job *lsp_job_new(struct lsp *l, const json_t *id);
void lsp_job_free(struct chat_job *j);
void lsp_job_start(struct lsp *l, struct chat_job *j); /* takes it */
void lsp_jobs_pump(struct lsp *l);
bool lsp_job_cancel(struct lsp *l, const json_t *id);
void lsp_jobs_fini(struct lsp *l);
void lsp_chat(struct lsp *l, const json_t *id, const json_t *params);
/* On the worker's thread: text that came. */
void lsp_job_text(struct chat_job *j, const char *text, size_t len);
enum status lsp_chat_local(struct chat_job *j, struct error *err);  /* lsp_answer.c */
enum status lsp_chat_remote(struct chat_job *j, struct error *err); /* lsp_remote.c */
/* Whether an endpoint may be used; ERR_INVALID says why not. */
enum status lsp_endpoint_check(const char *endpoint, bool allow_remote, struct error *err);
/* ERR_NETWORK where nothing answers there. */
enum status lsp_endpoint_reach(const char *endpoint, struct error *err);

/* ---- actions (lsp_act.c, lsp_prompt.c) */
void lsp_code_actions(struct lsp *l, const json_t *id, const json_t *params);
void lsp_execute(struct lsp *l, const json_t *id, const json_t *params);
void lsp_edit(struct lsp *l, const json_t *id, const json_t *params);
/* What the model is asked for a command: a list of messages; NULL without memory. */
json_t *lsp_prompt_make(const char *command, const struct lsp_doc *d, size_t start, size_t end,
                        const char *instruction, const json_t *diagnostics);
/* A fence with a piece of a document, appended. */
enum status lsp_prompt_fence(struct buf *b, const struct lsp_doc *d, size_t start, size_t end);
/* The code of an answer: its first fence's content, else all; indented as `old`, and with its line
 * end. ERR_NOMEM. */
enum status lsp_prompt_code(const char *answer, size_t len, const char *old, size_t old_len,
                            struct buf *out);
void lsp_whole_lines(const struct lsp_doc *d, size_t *start, size_t *end);

#endif
