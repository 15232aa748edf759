#include "index/answer_json.h"

#include <stdlib.h>
#include <string.h>

/* JSON is UTF-8: other bytes become U+FFFD. */
json_t *index_json_text(const char *s, size_t n)
{
    json_t *whole = json_stringn(s, n);
    if (whole) return whole;
    char *out = malloc(3 * n + 1);
    size_t len = 0;
    for (size_t i = 0; out && i < n;) {
        unsigned char c = (unsigned char)s[i];
        size_t want = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
        json_t *one = want && i + want <= n ? json_stringn(s + i, want) : NULL;
        if (one) {
            memcpy(out + len, s + i, want);
            len += want;
            i += want;
        } else {
            memcpy(out + len, "\xEF\xBF\xBD", 3);
            len += 3;
            i++;
        }
        json_decref(one);
    }
    json_t *j = out ? json_stringn(out, len) : NULL;
    free(out);
    return j;
}

json_t *index_json_hits(const struct index_hits *h)
{
    json_t *list = json_array();
    for (size_t i = 0; i < h->n; i++) {
        const struct index_hit *x = &h->list[i];
        json_array_append_new(
            list, json_pack("{s:o,s:I,s:I,s:s,s:o,s:o,s:s,s:f,s:f,s:f,s:[iii],s:o}", "path", index_json_text(x->path, strlen(x->path)),
                            "line", (json_int_t)x->line, "end_line", (json_int_t)x->end_line, "kind",
                            syntax_kind_name(x->kind), "name", index_json_text(x->name, strlen(x->name)), "scope",
                            index_json_text(x->scope, strlen(x->scope)), "language", x->language, "score", (double)x->score,
                            "text_score", (double)x->text_score, "vector_score", (double)x->vector_score, "ranks",
                            x->text_rank, x->vector_rank, x->name_rank, "text",
                            index_json_text(x->text, x->text_len)));
    }
    json_t *out = json_pack("{s:o,s:b}", "hits", list, "late", h->late);
    if (out && *h->note) json_object_set_new(out, "note", index_json_text(h->note, strlen(h->note)));
    return out;
}

json_t *index_json_symbols(const struct index_symbols *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < s->n; i++) {
        const struct index_symbol *x = &s->list[i];
        json_array_append_new(
            list, json_pack("{s:o,s:I,s:I,s:I,s:o,s:o,s:o,s:s}", "path", index_json_text(x->path, strlen(x->path)), "line",
                            (json_int_t)x->line, "end_line", (json_int_t)x->end_line, "column", (json_int_t)x->column,
                            "name", index_json_text(x->name, strlen(x->name)), "scope", index_json_text(x->scope, strlen(x->scope)),
                            "signature", index_json_text(x->signature, strlen(x->signature)), "kind",
                            x->definition ? syntax_kind_name(x->kind) : "reference"));
    }
    return json_pack("{s:o,s:b}", "symbols", list, "more", s->more);
}

enum status index_json_kind(const char *name, uint64_t *bits, struct error *err)
{
    for (int k = 0; k < SYNTAX_N_KINDS; k++)
        if (strcmp(syntax_kind_name((enum syntax_kind)k), name) == 0) {
            *bits |= (uint64_t)1 << k;
            return OK;
        }
    return error_set(err, ERR_INVALID, "no kind '%.60s'; function, method, class, struct, type, text ... are", name);
}
