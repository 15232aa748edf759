/* One answer: from the conversation to a prompt, and from tokens to what is printed and kept. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/load.h"
#include "cli/run.h"
#include "cli/run_remote.h"
#include "gguf/gguf.h"
#include "infer/text_io.h"
#include "model/model.h"
#include "text/chat.h"
#include "text/chat_parse.h"

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

volatile int *run_interrupt_flag_now(void)
{
    return (volatile int *)&interrupted;
}

volatile int *run_interrupt_flag(void)
{
    struct sigaction sa = {.sa_handler = on_interrupt};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    return (volatile int *)&interrupted;
}

static struct text_str key_text(const struct gguf *g, const char *key)
{
    struct gguf_str s;
    if (gguf_get_str(g, key, &s, NULL) != OK) return (struct text_str){0};
    return (struct text_str){s.data, s.len};
}

enum status run_open(struct run *r, int threads, const char *kv_type, int64_t ctx, struct error *err)
{
    enum status st = cli_load_engine_kv(r->model, threads, kv_type, &r->engine, err);
    if (st != OK) return st;
    const struct gguf *g = engine_gguf(r->engine);
    struct text_str arch = key_text(g, "general.architecture");
    char name[64];
    snprintf(name, sizeof name, "%.*s", arch.len < 63 ? (int)arch.len : 63, arch.len ? arch.data : "");
    struct chat_source src = {.plain = key_text(g, "tokenizer.chat_template"),
                              .with_tools = key_text(g, "tokenizer.chat_template.tool_use"),
                              .vocab = engine_tokenizer(r->engine), .architecture = name};
    const json_t *own = json_object_get(r->own, "template");
    if (json_string_length(own)) {
        src.plain = src.with_tools = (struct text_str){0};
        chat_source_set(&src, json_string_value(own), json_string_length(own));
    }
    st = chat_create(&src, &r->chat, err);
    if (st != OK) return st;
    if (chat_fallback(r->chat) && r->interactive)
        fprintf(stderr, "hearth: this model has no chat template; '%s' is used, and it may not fit\n",
                chat_fallback(r->chat));
    return session_create(r->engine, (size_t)ctx, &r->session, err);
}

void run_close(struct run *r)
{
    client_close(r->client);
    free(r->remote_name);
    json_decref(r->own);
    chat_destroy(r->chat);
    session_destroy(r->session);
    engine_close(r->engine);
    json_decref(r->messages);
    buf_fini(&r->reasoning);
}

static enum status add_message(struct run *r, size_t at, const char *role, const char *text, size_t len,
                               struct error *err)
{
    struct buf valid;
    buf_init(&valid, (size_t)3 * RUN_MAX_TEXT);
    enum status st = text_append_valid(&valid, text, len);
    json_t *m = st == OK ? json_pack("{s:s, s:s%}", "role", role, "content", valid.len ? valid.data : "", valid.len) : NULL;
    buf_fini(&valid);
    if (m && json_array_insert_new(r->messages, at, m) == 0) return OK;
    return error_set(err, ERR_NOMEM, "no memory for the conversation");
}

enum status run_set_system(struct run *r, const char *text, struct error *err)
{
    const char *role = json_string_value(json_object_get(json_array_get(r->messages, 0), "role"));
    if (role && strcmp(role, "system") == 0) json_array_remove(r->messages, 0);
    return text && *text ? add_message(r, 0, "system", text, strlen(text), err) : OK;
}

/* ---- one answer ---- */

struct answer {
    struct run *r;
    struct chat_parser *parser;
    struct text_stream stream;
    struct buf piece, text; /* the next bytes; what the answer says */
    const char *stop;
    bool thinking, stopped;
    char last; /* byte printed */
    enum status st;
    struct error *err;
};

static enum status show(struct answer *a, const char *s, size_t len)
{
    if (len == 0) return OK;
    if (a->r->on_text) return a->r->on_text(a->r->on_text_ctx, s, len, a->err);
    if (a->r->json) return OK;
    a->last = s[len - 1];
    return cli_write(s, len, a->err);
}

/* Reasoning is dim on a terminal and left out elsewhere. */
static enum status show_reasoning(struct answer *a, const char *s, size_t len, bool on)
{
    if (!a->r->interactive || !a->r->set.show_thinking) return OK;
    enum status st = OK;
    if (on != a->thinking && cli_color(STDOUT_FILENO))
        st = on ? cli_write("\033[2m", 4, a->err) : cli_write("\033[0m", 4, a->err);
    a->thinking = on;
    return st == OK ? show(a, s, len) : st;
}

static enum status on_event(void *ctx, const struct chat_event *e)
{
    struct answer *a = ctx;
    enum status st;
    if (e->kind == CHAT_REASONING) {
        st = buf_append(&a->r->reasoning, e->text, e->text_len);
        return st == OK ? show_reasoning(a, e->text, e->text_len, true) : st;
    }
    st = show_reasoning(a, "", 0, false);
    if (st != OK || e->kind != CHAT_TEXT) return st;
    const char *s = e->text;
    size_t len = e->text_len;
    while (a->text.len == 0 && len && strchr("\n\r ", *s) && *s) s++, len--; /* what </think> leaves behind */
    st = buf_append(&a->text, s, len);
    return st == OK ? show(a, s, len) : st;
}

/* Where the first text that ends the answer begins; SIZE_MAX: none is there. */
static size_t stop_at(const struct answer *a)
{
    const struct run_settings *s = &a->r->set;
    size_t first = SIZE_MAX;
    for (size_t i = 0; a->text.len && i <= s->n_stops; i++) {
        struct text_str stop = i < s->n_stops ? s->stops[i] : (struct text_str){a->stop, a->stop ? strlen(a->stop) : 0};
        const char *found = stop.len ? memmem(a->text.data, a->text.len, stop.data, stop.len) : NULL;
        if (found && (size_t)(found - a->text.data) < first) first = (size_t)(found - a->text.data);
    }
    return first;
}

static bool on_token(void *ctx, int32_t token)
{
    struct answer *a = ctx;
    buf_clear(&a->piece);
    a->st = text_stream_push(&a->stream, token, &a->piece);
    if (a->st == OK && a->piece.len) a->st = chat_parser_feed(a->parser, a->piece.data, a->piece.len);
    a->stopped = stop_at(a) != SIZE_MAX;
    return a->st == OK && !a->stopped;
}

static enum status make_prompt(struct run *r, struct buf *text, struct token_list *ids, struct error *err)
{
    json_t *request = json_pack("{s:o}", "messages", run_all_messages(r));
    if (!request) return error_set(err, ERR_NOMEM, "no memory for the conversation");
    if (chat_uses(r->chat, "enable_thinking"))
        json_object_set_new(request, "enable_thinking", json_boolean(r->set.think));
    struct buf marks;
    buf_init(&marks, text->max);
    enum status st = chat_render(r->chat, request, text, &marks, err);
    json_decref(request);
    if (st == OK)
        st = prompt_encode_marked(engine_tokenizer(r->engine), text->data ? text->data : "", text->len, marks.data, ids,
                                  err);
    buf_fini(&marks);
    if (st != OK) return st;
    size_t n_ctx = session_n_ctx(r->session);
    if (ids->len == 0) return error_set(err, ERR_INVALID, "the chat template makes an empty prompt of this");
    if (ids->len >= n_ctx)
        return error_set(err, ERR_LIMIT,
                         "the conversation has %zu tokens, but the context holds %zu: start anew with /clear, or run "
                         "with a larger --ctx (the model's own is %zu)",
                         ids->len, n_ctx, (size_t)engine_model_info(r->engine)->n_ctx_train);
    return OK;
}

static uint64_t next_seed(const struct run *r)
{
    uint64_t seed = 0;
    if (r->set.seed >= 0) return (uint64_t)r->set.seed;
    return getrandom(&seed, 4, 0) == 4 ? seed : 1;
}

/* What follows an answer's text. */
static enum status finish_answer(struct answer *a)
{
    struct run *r = a->r;
    enum status st = show_reasoning(a, "", 0, false);
    if (st == OK && !r->json && !r->on_text && (a->last != '\n' || r->interactive)) st = cli_write("\n", 1, a->err);
    if (st != OK && !a->err->code) error_set(a->err, st, "no memory for the answer");
    return st;
}

static enum status generate(struct answer *a, const struct token_list *ids)
{
    struct run *r = a->r;
    volatile int *cancel = run_interrupt_flag();
    size_t room = session_n_ctx(r->session) - ids->len;
    size_t max = r->set.max_tokens && (size_t)r->set.max_tokens < room ? (size_t)r->set.max_tokens : room;
    struct sample_params s = sample_params_default();
    s.temperature = (float)r->set.temperature;
    s.top_k = (int32_t)r->set.top_k;
    s.top_p = (float)r->set.top_p;
    s.min_p = (float)r->set.min_p;
    s.repeat_penalty = (float)r->set.repeat_penalty;
    s.penalty_last_n = 64;
    s.seed = next_seed(r);
    struct generate_request req = {.prompt = ids->ids, .n_prompt = ids->len, .max_tokens = max, .sample = s,
                                   .speculate = {.mode = SPECULATE_AUTO}, .cancel = cancel, .on_token = on_token, .ctx = a};
    enum status st = session_generate(r->session, &req, &r->res, a->err);
    if (st == OK && a->st != OK) st = a->err->code ? a->err->code : error_set(a->err, a->st, "no memory for the answer");
    if (st != OK) return st;
    buf_clear(&a->piece);
    st = text_stream_end(&a->stream, &a->piece);
    if (st == OK && a->piece.len) st = chat_parser_feed(a->parser, a->piece.data, a->piece.len);
    if (st == OK) st = chat_parser_end(a->parser);
    return st == OK ? finish_answer(a) : st;
}

static enum status on_remote_text(void *ctx, bool reasoning, const char *text, size_t len)
{
    struct chat_event e = {.kind = reasoning ? CHAT_REASONING : CHAT_TEXT, .text = text, .text_len = len};
    return on_event(ctx, &e);
}

static enum status ask_server(struct answer *a)
{
    volatile int *cancel = run_interrupt_flag();
    enum status st = run_remote_answer(a->r, cancel, next_seed(a->r), on_remote_text, a, a->err);
    return st == OK ? finish_answer(a) : st;
}

/* The model of this process answers. */
static enum status answer_here(struct answer *a, struct buf *prompt, struct token_list *ids)
{
    struct run *r = a->r;
    const struct chat_syntax *syntax = chat_syntax_of(r->chat);
    enum status st = make_prompt(r, prompt, ids, a->err);
    if (st != OK) return st;
    st = chat_parser_create(syntax, false, prompt->data, prompt->len, on_event, a, &a->parser);
    if (st != OK) return error_set(a->err, st, "no memory for the answer");
    text_stream_init(&a->stream, engine_tokenizer(r->engine), strcmp(chat_syntax_name(syntax), "harmony") == 0);
    return generate(a, ids);
}

enum status run_say(struct run *r, const char *text, struct error *err)
{
    struct answer a = {.r = r, .stop = r->client ? NULL : chat_stop(r->chat), .err = err};
    struct buf prompt;
    struct token_list ids = {0};
    size_t before = json_array_size(r->messages);
    buf_init(&prompt, (size_t)4 * RUN_MAX_TEXT);
    buf_init(&a.piece, RUN_MAX_TEXT);
    buf_init(&a.text, RUN_MAX_TEXT);
    buf_clear(&r->reasoning);
    *err = (struct error){0};
    enum status st = add_message(r, before, "user", text, strlen(text), err);
    if (st == OK) st = r->client ? ask_server(&a) : answer_here(&a, &prompt, &ids);
    if (a.stopped) a.text.len = stop_at(&a);
    if (st == OK) st = add_message(r, before + 1, "assistant", a.text.len ? a.text.data : "", a.text.len, err);
    while (st != OK && json_array_size(r->messages) > before) json_array_remove(r->messages, before);
    chat_parser_destroy(a.parser);
    token_list_fini(&ids);
    buf_fini(&prompt);
    buf_fini(&a.piece);
    buf_fini(&a.text);
    return st;
}
