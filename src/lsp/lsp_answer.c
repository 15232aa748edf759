/* An answer of the model in this process; the worker's thread. */
#include <stdlib.h>
#include <string.h>

#include "gguf/gguf.h"
#include "infer/text_io.h"
#include "lsp/lsp_int.h"
#include "text/chat.h"
#include "text/chat_parse.h"

enum { MAX_TEXT = 64 << 20 };

static struct text_str key_text(const struct gguf *g, const char *key)
{
    struct gguf_str s;
    if (gguf_get_str(g, key, &s, NULL) != OK) return (struct text_str){0};
    return (struct text_str){s.data, s.len};
}

/* Under the model's chat_lock. */
static enum status open_chat(struct lsp_model *m, size_t n_ctx, struct error *err)
{
    if (m->chat && m->chat_session) return OK;
    const struct gguf *g = engine_gguf(m->engine);
    struct text_str arch = key_text(g, "general.architecture");
    char name[64];
    snprintf(name, sizeof name, "%.*s", arch.len < 63 ? (int)arch.len : 63,
             arch.len ? arch.data : "");
    struct chat_source src = {.plain = key_text(g, "tokenizer.chat_template"),
                              .with_tools = key_text(g, "tokenizer.chat_template.tool_use"),
                              .vocab = engine_tokenizer(m->engine),
                              .architecture = name};
    enum status st = m->chat ? OK : chat_create(&src, &m->chat, err);
    return st ? st : session_create(m->engine, n_ctx, &m->chat_session, err);
}

struct answer {
    struct chat_job *j;
    struct chat_parser *parser;
    struct text_stream stream;
    struct buf piece;
    const char *stop;
    bool stopped;
    enum status st;
};

static enum status on_event(void *ctx, const struct chat_event *e)
{
    struct answer *a = ctx;
    if (e->kind != CHAT_TEXT || !e->text_len) return OK;
    struct buf *b = &a->j->text;
    size_t before = b->len;
    enum status st = text_append_valid(b, e->text, e->text_len);
    const char *found = !st && a->stop ? memmem(b->data, b->len, a->stop, strlen(a->stop)) : NULL;
    if (found) {
        a->stopped = true;
        b->len = (size_t)(found - b->data);
        b->data[b->len] = 0;
    }
    if (!st && b->len > before) lsp_job_text(a->j, b->data + before, b->len - before);
    return st;
}

static bool on_token(void *ctx, int32_t token)
{
    struct answer *a = ctx;
    buf_clear(&a->piece);
    a->st = text_stream_push(&a->stream, token, &a->piece);
    if (!a->st && a->piece.len) a->st = chat_parser_feed(a->parser, a->piece.data, a->piece.len);
    return !a->st && !a->stopped;
}

static enum status generate(struct answer *a, struct lsp_model *m, const struct token_list *ids,
                            struct error *err)
{
    struct chat_job *j = a->j;
    size_t n_ctx = session_n_ctx(m->chat_session);
    if (!ids->len || ids->len >= n_ctx)
        return error_set(err, ERR_LIMIT,
                         "the question has %zu tokens, but the context holds %zu: ask about less text, "
                         "or raise \"contextTokens\"",
                         ids->len, n_ctx);
    size_t room = n_ctx - ids->len;
    struct sample_params s = sample_params_default();
    struct generate_result res;
    s.temperature = (float)j->temperature;
    struct generate_request req = {.prompt = ids->ids,
                                   .n_prompt = ids->len,
                                   .max_tokens = j->max_tokens < room ? j->max_tokens : room,
                                   .sample = s,
                                   .speculate = {.mode = SPECULATE_AUTO},
                                   .cancel = &j->cancel,
                                   .on_token = on_token,
                                   .ctx = a};
    enum status st = session_generate(m->chat_session, &req, &res, err);
    if (!st && a->st) st = error_set(err, a->st, "the answer could not be taken: %s", status_name(a->st));
    if (st) return st;
    buf_clear(&a->piece);
    st = text_stream_end(&a->stream, &a->piece);
    if (!st && a->piece.len) st = chat_parser_feed(a->parser, a->piece.data, a->piece.len);
    if (!st) st = chat_parser_end(a->parser);
    j->finish = res.finish == FINISH_LENGTH      ? "length"
                : res.finish == FINISH_CANCELLED ? "cancelled"
                                                 : "stop";
    j->n_prompt = res.n_prompt;
    j->n_generated = res.n_generated;
    return st ? error_set(err, st, "no memory for the answer") : OK;
}

enum status lsp_chat_local(struct chat_job *j, struct error *err)
{
    struct lsp_model *m = j->model;
    struct answer a = {.j = j};
    struct token_list ids = {0};
    struct buf prompt, marks;
    buf_init(&prompt, MAX_TEXT);
    buf_init(&marks, MAX_TEXT);
    buf_init(&a.piece, MAX_TEXT);
    pthread_mutex_lock(&m->chat_lock);
    enum status st = open_chat(m, j->n_ctx, err);
    json_t *request = st ? NULL : json_pack("{s:O}", "messages", j->messages);
    if (!st && chat_uses(m->chat, "enable_thinking"))
        json_object_set_new(request, "enable_thinking", json_false());
    if (!st) st = chat_render(m->chat, request, &prompt, &marks, err);
    json_decref(request);
    if (!st)
        st = prompt_encode_marked(engine_tokenizer(m->engine), prompt.data ? prompt.data : "",
                                  prompt.len, marks.data, &ids, err);
    if (!st) {
        a.stop = chat_stop(m->chat);
        const struct chat_syntax *syntax = chat_syntax_of(m->chat);
        text_stream_init(&a.stream, engine_tokenizer(m->engine),
                         strcmp(chat_syntax_name(syntax), "harmony") == 0);
        st = chat_parser_create(syntax, false, prompt.data, prompt.len, on_event, &a, &a.parser);
        st = st ? error_set(err, st, "no memory for the answer") : generate(&a, m, &ids, err);
    }
    chat_parser_destroy(a.parser);
    pthread_mutex_unlock(&m->chat_lock);
    token_list_fini(&ids);
    buf_fini(&prompt);
    buf_fini(&marks);
    buf_fini(&a.piece);
    return st;
}
