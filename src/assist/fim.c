#include "assist/fim.h"

#include <stdlib.h>
#include <string.h>

#include "assist/fim_context.h"

static int32_t find_text(const struct tokenizer *t, const char *text)
{
    return text ? tokenizer_find(t, text, strlen(text)) : TOKEN_NONE;
}

static void add_stop(struct fim_template *f, int32_t id)
{
    if (id == TOKEN_NONE || f->n_stop == FIM_MAX_STOP) return;
    for (size_t i = 0; i < f->n_stop; i++) {
        if (f->stop[i] == id) return;
    }
    f->stop[f->n_stop++] = id;
}

static bool present(const struct tokenizer *t, const char *text)
{
    return !text || find_text(t, text) != TOKEN_NONE;
}

static void bind_family(struct fim_template *f, const struct fim_family *fam,
                        const struct tokenizer *t)
{
    const struct vocab_source *v = tokenizer_source(t);
    *f = (struct fim_template){
        .name = fam->name,
        .order = fam->order,
        .bos = fam->always_bos || v->add_bos ? v->bos : TOKEN_NONE,
        .prefix = find_text(t, fam->prefix),
        .suffix = find_text(t, fam->suffix),
        .middle = find_text(t, fam->middle),
        .repo = find_text(t, fam->repo),
        .file = find_text(t, fam->file),
    };
    for (size_t i = 0; i < FIM_MAX_STOP_TEXTS; i++) add_stop(f, find_text(t, fam->stop[i]));
}

enum status fim_detect(const struct tokenizer *t, const char *model_name, struct fim_template *out,
                       struct error *err)
{
    const struct vocab_source *v = tokenizer_source(t);
    const struct fim_family *fam = fim_families;
    while (fam->name && !(present(t, fam->prefix) && present(t, fam->suffix) &&
                          present(t, fam->middle) && present(t, fam->mark)))
        fam++;
    if (fam->name) {
        bind_family(out, fam, t);
    } else if (v->fim_pre != TOKEN_NONE && v->fim_suf != TOKEN_NONE && v->fim_mid != TOKEN_NONE) {
        *out = (struct fim_template){
            .name = "metadata",
            .order = FIM_PSM,
            .bos = v->add_bos ? v->bos : TOKEN_NONE,
            .prefix = v->fim_pre,
            .suffix = v->fim_suf,
            .middle = v->fim_mid,
            .repo = v->fim_rep,
            .file = v->fim_sep,
        };
    } else {
        return error_set(err, ERR_UNSUPPORTED,
                         "%s cannot fill in code: its vocabulary has no fill-in-the-middle tokens; "
                         "use a code model such as qwen2.5-coder:1.5b",
                         model_name && *model_name ? model_name : "this model");
    }
    const int32_t own[] = {out->prefix, out->suffix, out->middle, out->repo,  out->file,
                           v->fim_pre,  v->fim_suf,  v->fim_mid,  v->fim_pad, v->fim_rep,
                           v->fim_sep,  v->eos,      v->eot};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) add_stop(out, own[i]);
    return OK;
}

/* ---- encoding the user's text -----------------------------------------------------------------
 */

static bool is_control(const struct fim_template *f, int32_t id)
{
    if (id == f->bos) return true;
    for (size_t i = 0; i < f->n_stop; i++) {
        if (f->stop[i] == id) return true;
    }
    return false;
}

static bool has_control(const struct fim_template *f, const int32_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (is_control(f, ids[i])) return true;
    }
    return false;
}

/* Encodes a part; `raw`: without the space that SentencePiece models put in front. */
static enum status encode_part(const struct tokenizer *t, const char *text, size_t len, bool raw,
                               struct token_list *out, struct error *err)
{
    return raw ? tokenizer_encode_raw(t, text, len, false, out, err)
               : tokenizer_encode(t, text, len, false, out, err);
}

/* Tokenizers match user-defined tokens in any text, and some models (DeepSeek-Coder) declare their
 * FIM tokens so. Where that happened the text is encoded again in pieces that end inside each
 * spelled-out token, after its first character, so that none can match. */
static enum status encode_user(const struct fim_template *f, const struct tokenizer *t,
                               const char *text, size_t len, bool raw, struct token_list *out,
                               struct error *err)
{
    size_t start = out->len;
    enum status st = encode_part(t, text, len, raw, out, err);
    if (st || out->len == start) return st;
    if (!has_control(f, out->ids + start, out->len - start)) return OK;
    out->len = start;
    size_t from = 0;
    for (size_t i = 0; i < len && !st; i++) {
        if (text[i] != '<' && text[i] != '[') continue;
        st = encode_part(t, text + from, i + 1 - from, raw || from, out, err);
        from = i + 1;
    }
    if (!st && from < len) st = encode_part(t, text + from, len - from, raw || from, out, err);
    if (st || out->len == start) return st;
    if (!has_control(f, out->ids + start, out->len - start)) return OK;
    /* A token with another shape: no token but a single character's can match then. */
    out->len = start;
    for (from = 0; from < len && !st;) {
        size_t n = 1;
        while (from + n < len && ((unsigned char)text[from + n] & 0xC0) == 0x80) n++;
        st = encode_part(t, text + from, n, raw || from, out, err);
        from += n;
    }
    if (!st && has_control(f, out->ids + start, out->len - start))
        st = error_set(err, ERR_INVALID, "the text contains a character that is a control token");
    return st;
}

enum status fim_encode(const struct fim_template *f, const struct tokenizer *t, const char *text,
                       size_t len, struct token_list *out, struct error *err)
{
    return encode_user(f, t, text, len, true, out, err);
}

/* ---- fitting a side into its share -------------------------------------------------------------
 */

/* One side of the hole. `cut` is the far end of what is kept: the prefix keeps [cut, len), the
 * suffix [0, cut). */
struct side {
    const char *text;
    size_t len;
    bool is_prefix;
    size_t cut;
    struct token_list ids;
};

static bool side_whole(const struct side *s)
{
    return s->cut == (s->is_prefix ? 0 : s->len);
}

static bool is_char_start(const struct side *s, size_t i)
{
    return i >= s->len || ((unsigned char)s->text[i] & 0xC0) != 0x80;
}

/* Moves a cut towards the hole to the next line boundary, or, where that would lose more than half
 * of what is kept, to the next character boundary. */
static size_t align_cut(const struct side *s, size_t cut)
{
    if (s->is_prefix) {
        size_t line = cut;
        while (line < s->len && !(line > 0 && s->text[line - 1] == '\n')) line++;
        if (cut == 0 || (line < s->len && line - cut <= (s->len - cut) / 2)) return cut ? line : 0;
        while (!is_char_start(s, cut)) cut++;
        return cut;
    }
    size_t line = cut;
    while (line > 0 && s->text[line - 1] != '\n') line--;
    if (cut == s->len || (line > 0 && cut - line <= cut / 2)) return cut == s->len ? cut : line;
    while (cut > 0 && !is_char_start(s, cut)) cut--;
    return cut;
}

static enum status side_encode(const struct fim_template *f, const struct tokenizer *t,
                               struct side *s, struct error *err)
{
    s->ids.len = 0;
    if (s->is_prefix)
        return encode_user(f, t, s->text + s->cut, s->len - s->cut, false, &s->ids, err);
    return encode_user(f, t, s->text, s->cut, true, &s->ids, err);
}

/* Bytes of the tokens that are too many, at the far end. */
static size_t excess_bytes(const struct tokenizer *t, const struct side *s, size_t budget)
{
    size_t n = s->ids.len - budget, bytes = 0;
    size_t first = s->is_prefix ? 0 : budget;
    for (size_t i = first; i < first + n; i++)
        bytes += tokenizer_piece(t, s->ids.ids[i], true, NULL, 0);
    size_t kept = s->is_prefix ? s->len - s->cut : s->cut;
    if (bytes == 0) bytes = 1;
    return bytes < kept ? bytes : kept;
}

/* Keeps as much of the side as fits in `budget` tokens. Only a window beside the hole is encoded:
 * it is doubled until it holds more than fits or the whole text. */
static enum status side_fit(const struct fim_template *f, const struct tokenizer *t, struct side *s,
                            size_t budget, struct error *err)
{
    size_t window = budget * 8 + 256;
    for (;;) {
        size_t cut = window >= s->len ? (s->is_prefix ? 0 : s->len)
                                      : (s->is_prefix ? s->len - window : window);
        s->cut = align_cut(s, cut);
        enum status st = side_encode(f, t, s, err);
        if (st) return st;
        if (side_whole(s) || s->ids.len > budget) break;
        window *= 2;
    }
    while (s->ids.len > budget) {
        size_t drop = excess_bytes(t, s, budget);
        s->cut = align_cut(s, s->is_prefix ? s->cut + drop : s->cut - drop);
        enum status st = side_encode(f, t, s, err);
        if (st) return st;
    }
    return OK;
}

static enum status fit_both(const struct fim_template *f, const struct tokenizer *t,
                            struct side *pre, struct side *suf, size_t budget, struct error *err)
{
    enum status st = side_fit(f, t, pre, budget, err);
    if (st) return st;
    size_t left = budget - pre->ids.len;
    st = side_fit(f, t, suf, left > budget / 4 ? left : budget / 4, err);
    if (st) return st;
    if (pre->ids.len + suf->ids.len > budget) st = side_fit(f, t, pre, budget - suf->ids.len, err);
    return st;
}

static size_t count_lines(const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) n += text[i] == '\n';
    return n;
}

/* ---- the prompt --------------------------------------------------------------------------------
 */

static enum status push(struct token_list *l, int32_t id)
{
    return id == TOKEN_NONE ? OK : token_list_push(l, id);
}

static enum status push_all(struct token_list *l, const struct token_list *from)
{
    enum status st = OK;
    for (size_t i = 0; i < from->len && !st; i++) st = token_list_push(l, from->ids[i]);
    return st;
}

static enum status file_header(const struct fim_template *f, const struct tokenizer *t,
                               const struct fim_input *in, struct token_list *out,
                               struct error *err)
{
    if (f->file == TOKEN_NONE || !in->file_name) return OK;
    enum status st = token_list_push(out, f->file);
    if (!st) st = encode_user(f, t, in->file_name, strlen(in->file_name), true, out, err);
    if (!st) st = encode_user(f, t, "\n", 1, true, out, err);
    return st;
}

/* Context stands in front of all: as files before the hole's own file, as comments in its prefix.
 */
static enum status assemble(const struct fim_template *f, const struct side *pre,
                            const struct side *suf, const struct token_list *context,
                            const struct token_list *header, struct token_list *out,
                            size_t *prefix_at)
{
    static const struct token_list none;
    const struct token_list *files = f->file == TOKEN_NONE ? &none : context;
    const struct token_list *comments = f->file == TOKEN_NONE ? context : &none;
    enum status st = push(out, f->bos);
    if (!st) st = push_all(out, files);
    if (!st) st = push_all(out, header);
    if (f->order == FIM_SPM) {
        if (!st) st = push(out, f->suffix);
        if (!st) st = push_all(out, &suf->ids);
        if (!st) st = push(out, f->prefix);
        if (!st) st = push_all(out, comments);
        if (!st) st = push_all(out, &pre->ids);
        *prefix_at = out->len;
    } else {
        if (!st) st = push(out, f->prefix);
        if (!st) st = push_all(out, comments);
        if (!st) st = push_all(out, &pre->ids);
        *prefix_at = out->len;
        if (!st) st = push(out, f->suffix);
        if (!st) st = push_all(out, &suf->ids);
    }
    if (!st) st = push(out, f->middle);
    return st;
}

enum status fim_build(const struct fim_template *f, const struct tokenizer *t,
                      const struct fim_input *in, struct fim_prompt *out, struct error *err)
{
    struct side pre = {.text = in->prefix, .len = in->prefix_len, .is_prefix = true};
    struct side suf = {.text = in->suffix, .len = in->suffix_len};
    struct token_list header = {0}, context = {0};
    enum status st = file_header(f, t, in, &header, err);
    if (!st) st = fim_context_encode(f, t, in, &context, err);
    if (st) goto out;
    if (header.len + context.len + 4 + FIM_MIN_TEXT > in->max_tokens) context.len = 0;
    size_t overhead = header.len + context.len + 4;
    if (in->max_tokens < overhead + FIM_MIN_TEXT) {
        st =
            error_set(err, ERR_LIMIT,
                      "%zu tokens are too few for a completion's prompt, which takes at least %zu; "
                      "raise the context size or lower the number of tokens to generate",
                      in->max_tokens, overhead + FIM_MIN_TEXT);
        goto out;
    }
    st = fit_both(f, t, &pre, &suf, in->max_tokens - overhead, err);
    if (st) goto out;
    st = assemble(f, &pre, &suf, &context, &header, &out->tokens, &out->prefix_at);
    if (st) {
        error_set(err, st, "out of memory for a prompt of %zu tokens", pre.ids.len + suf.ids.len);
        goto out;
    }
    out->context_tokens = context.len;
    out->prefix_tokens = pre.ids.len;
    out->suffix_tokens = suf.ids.len;
    out->prefix_start = pre.cut;
    out->suffix_end = suf.cut;
    out->truncated = !side_whole(&pre) || !side_whole(&suf);
    out->prefix_lines_dropped = count_lines(pre.text, pre.cut);
    out->suffix_lines_dropped = count_lines(suf.text + suf.cut, suf.len - suf.cut);
out:
    token_list_fini(&header);
    token_list_fini(&context);
    token_list_fini(&pre.ids);
    token_list_fini(&suf.ids);
    return st;
}

void fim_prompt_fini(struct fim_prompt *p)
{
    token_list_fini(&p->tokens);
    *p = (struct fim_prompt){0};
}

static enum status count_tokens(const struct fim_template *f, const struct tokenizer *t,
                                const char *text, size_t len, size_t *out, struct error *err)
{
    const size_t most = (size_t)1 << 20;
    size_t part = len < most ? len : most;
    struct token_list ids = {0};
    enum status st = encode_user(f, t, text, part, true, &ids, err);
    if (!st) *out = part == len ? ids.len : (size_t)((double)ids.len * (double)len / (double)part);
    token_list_fini(&ids);
    return st;
}

enum status fim_count_dropped(const struct fim_template *f, const struct tokenizer *t,
                              const struct fim_input *in, const struct fim_prompt *p,
                              size_t *prefix_tokens, size_t *suffix_tokens, struct error *err)
{
    enum status st = count_tokens(f, t, in->prefix, p->prefix_start, prefix_tokens, err);
    if (!st)
        st = count_tokens(f, t, in->suffix + p->suffix_end, in->suffix_len - p->suffix_end,
                          suffix_tokens, err);
    return st;
}
