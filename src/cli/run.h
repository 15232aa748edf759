/* What the files of `hearth run` share: one conversation with one model, in this process or in a running
 * server. */
#ifndef HEARTH_CLI_RUN_H
#define HEARTH_CLI_RUN_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"
#include "infer/engine.h"
#include "text/tokenizer.h"

struct chat;
struct client;

enum { RUN_MAX_TEXT = 64 << 20, RUN_MAX_FILE = 256 << 10, RUN_MAX_FILES = 1 << 20 };

struct run_settings {
    double temperature, top_p, min_p, repeat_penalty; /* NAN: not said */
    int64_t top_k, seed, max_tokens; /* seed -1: another each time; max_tokens 0: as many as fit */
    struct text_str stops[16];       /* of the model's name; borrowed from `run.own` */
    size_t n_stops;
    bool think, show_thinking;
};

struct run {
    const char *model;     /* NULL: the default one */
    struct client *client; /* a server's model answers, and the next three are NULL; or NULL */
    char *remote_name;     /* owned: what `model` is then */
    struct engine *engine;
    struct session *session;
    struct chat *chat;
    struct run_settings set;
    json_t *own;      /* owned: what goes with the model's name (store/settings.h), of a server's the numbers; or NULL */
    json_t *messages; /* owned; a system message, where there is one, is the first */
    bool interactive, json, history;
    /* Takes an answer's text as it comes, in place of standard output; or NULL. An error ends the answer. */
    enum status (*on_text)(void *ctx, const char *text, size_t len, struct error *err);
    void *on_text_ctx;
    struct generate_result res; /* of the last answer */
    struct buf reasoning;       /* of the last answer */
};

/* run_own.c: fills what is NAN, or -1 of top_k and seed, or 0 of max_tokens and *ctx: from what goes with the model's name
 * (r->own), else with the usual values; sets the system message where there is none. */
enum status run_fill_settings(struct run *r, int64_t *ctx, struct error *err);
/* The conversation with the messages that go with the model's name; a new reference, NULL without memory. */
json_t *run_all_messages(const struct run *r);

/* Opens model and chat template. ctx 0 = the usual one. */
enum status run_open(struct run *r, int threads, const char *kv_type, int64_t ctx, struct error *err);
void run_close(struct run *r);

/* Sets, replaces or (NULL, empty) removes the system message. */
enum status run_set_system(struct run *r, const char *text, struct error *err);
/* Adds the user's message and the model's answer, which is printed as it comes unless r->json. Where it
 * fails the conversation is as it was before; an interrupted answer stays, as far as it came. */
enum status run_say(struct run *r, const char *text, struct error *err);

/* Appends `text` to `out`, and behind it, as fenced blocks, the files that @path names in it. A file that
 * holds secrets by its name (.env, keys), is no text or is too large is an error that says which. */
enum status run_expand_files(const char *text, struct buf *out, struct error *err);

/* Handles a line that begins with /. *leave is set by /bye. Problems are told on standard error. */
void run_command(struct run *r, const char *line, bool *leave);

/* The conversation on a terminal until its end; returns the exit code. */
int run_interactive(struct run *r);

/* From here on Ctrl-C ends an answer and not the program; the flag is set while one is wanted. */
volatile int *run_interrupt_flag(void);
/* The flag alone. */
volatile int *run_interrupt_flag_now(void);
/* Blocks Ctrl-C, or lets it come, for this thread and those that it starts. */
void run_interrupt_block(bool block);

/* $HEARTH_HOME/history and the like; malloc'd, NULL with a reason. The folder is made. */
char *run_home_file(const char *name, struct error *err);

#endif
