/* A choice's text, taken apart into what is said, thought and called, as pieces of whole
 * characters. */
#include <stdlib.h>
#include <string.h>

#include "api/fill.h"
#include "api/job.h"
#include "infer/text_io.h"
#include "text/chat_parse.h"

enum { MAX_ARGUMENTS = 16 << 20, MAX_PIECE = 64 << 20 };

static enum status give(struct job *j, struct job_choice *ch, enum piece_kind kind,
                        const char *text, size_t len)
{
    bool spoken = kind == PIECE_TEXT || kind == PIECE_REASONING;
    struct job_piece piece = {.choice = (size_t)(ch - j->choices),
                              .kind = kind,
                              .text = text,
                              .len = len,
                              .tool = ch->n_tools ? ch->n_tools - 1 : 0};
    if (spoken && j->keep_tokens) {
        piece.tokens = ch->tokens + ch->given_tokens;
        piece.n_tokens = ch->n_tokens - ch->given_tokens;
        ch->given_tokens = ch->n_tokens;
    }
    if (j->stream && (len || piece.n_tokens || kind == PIECE_TOOL_BEGIN))
        j->format->piece(j, &piece);
    return OK;
}

/* Appends valid text to where it belongs, and gives it. */
static enum status put(struct job *j, struct job_choice *ch, enum piece_kind kind, const char *text,
                       size_t len)
{
    struct buf *to = kind == PIECE_TEXT        ? &ch->text
                     : kind == PIECE_REASONING ? &ch->reasoning
                                               : &ch->tools[ch->n_tools - 1].arguments;
    size_t at = to->len;
    enum status st = text_append_valid(to, text, len);
    if (st == OK) st = give(j, ch, kind, to->len > at ? to->data + at : "", to->len - at);
    return st;
}

/* Bytes at the end of a text that begin a character which is not whole. */
static size_t open_end(const char *text, size_t len)
{
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        unsigned char c = (unsigned char)text[len - back];
        if ((c & 0xC0) == 0x80) continue;
        size_t need = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
        return need > back ? back : 0;
    }
    return 0;
}

static enum status flush_held(struct job *j, struct job_choice *ch)
{
    size_t n = ch->n_held;
    ch->n_held = 0;
    return n ? put(j, ch, ch->held_kind, ch->held, n) : OK;
}

/* What is held back comes in front; a character's beginning is held back. */
static enum status put_whole(struct job *j, struct job_choice *ch, enum piece_kind kind,
                             const char *text, size_t len)
{
    if (ch->n_held && ch->held_kind != kind) {
        enum status st = flush_held(j, ch);
        if (st != OK) return st;
    }
    struct buf b;
    buf_init(&b, MAX_PIECE);
    enum status st = buf_append(&b, ch->held, ch->n_held);
    if (st == OK) st = buf_append(&b, text, len);
    if (st == OK) {
        ch->n_held = open_end(b.data, b.len);
        ch->held_kind = kind;
        memcpy(ch->held, b.data + b.len - ch->n_held, ch->n_held);
        st = put(j, ch, kind, b.data, b.len - ch->n_held);
    }
    buf_fini(&b);
    return st;
}

static enum status begin_call(struct job *j, struct job_choice *ch, const char *name, size_t len)
{
    if (ch->n_tools == JOB_MAX_TOOLS) return ERR_LIMIT;
    struct job_tool *p = realloc(ch->tools, (ch->n_tools + 1) * sizeof *p);
    if (!p) return ERR_NOMEM;
    ch->tools = p;
    struct job_tool *t = &p[ch->n_tools];
    struct buf valid;
    buf_init(&valid, 1 << 20);
    enum status st = text_append_valid(&valid, name, len);
    if (st == OK) st = buf_reserve(&valid, 0);
    if (st != OK) {
        buf_fini(&valid);
        return st;
    }
    api_make_id("call_", t->id, sizeof t->id);
    t->id[5 + 24] = 0;
    t->name = valid.data; /* the choice's from here on */
    buf_init(&t->arguments, MAX_ARGUMENTS);
    ch->n_tools++;
    return give(j, ch, PIECE_TOOL_BEGIN, "", 0);
}

static enum status on_event(void *ctx, const struct chat_event *e)
{
    struct job_choice *ch = ctx;
    struct job *j = ch->job;
    switch (e->kind) {
    case CHAT_TEXT:
        return put_whole(j, ch, PIECE_TEXT, e->text, e->text_len);
    case CHAT_REASONING:
        return put_whole(j, ch, PIECE_REASONING, e->text, e->text_len);
    case CHAT_CALL_BEGIN: {
        enum status st = flush_held(j, ch);
        return st ? st : begin_call(j, ch, e->text, e->text_len);
    }
    case CHAT_CALL_ARGUMENTS:
        return put_whole(j, ch, PIECE_TOOL_ARGS, e->text, e->text_len);
    case CHAT_CALL_END:
    case CHAT_MARKUP:
        break;
    }
    return OK;
}

enum status job_make_parsers(struct job *j)
{
    enum status st = OK;
    for (size_t i = 0; j->syntax && i < j->n_choices && st == OK; i++)
        st = chat_parser_create(j->syntax, j->tools, j->prompt_end.data ? j->prompt_end.data : "",
                                j->prompt_end.len, on_event, &j->choices[i], &j->choices[i].parser);
    return st;
}

static enum status lead(struct job *j, struct job_choice *ch)
{
    if (ch->led || !j->lead.len) return OK;
    ch->led = true;
    return chat_parser_feed(ch->parser, j->lead.data, j->lead.len);
}

enum status job_put_text(struct job *j, struct job_choice *ch, const char *text, size_t len)
{
    return put(j, ch, PIECE_TEXT, text, len);
}

enum status job_take_text(struct job *j, struct job_choice *ch, const char *text, size_t len)
{
    if (j->hole) return fill_take(j, ch, text, len);
    if (!ch->parser) return put(j, ch, PIECE_TEXT, text, len);
    enum status st = lead(j, ch);
    return st == OK && len ? chat_parser_feed(ch->parser, text, len) : st;
}

enum status job_end_text(struct job *j, struct job_choice *ch)
{
    enum status st = ch->parser ? lead(j, ch) : OK;
    if (j->hole) st = fill_end(j, ch);
    if (st == OK && ch->parser) st = chat_parser_end(ch->parser);
    if (st == OK) st = flush_held(j, ch);
    if (st == OK && j->keep_tokens && ch->given_tokens < ch->n_tokens && j->q.logprobs)
        st = give(j, ch, PIECE_TEXT, "", 0);
    return st;
}
