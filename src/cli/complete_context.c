#include "cli/complete_context.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/index_embed.h"
#include "cli/load.h"
#include "index/answer_json.h"

/* Bytes of code that a token has at least, on average; what is more than the prompt's share is left
 * out there. */
static const double bytes_per_token = 3.2;
/* Of what is left to the file itself, the part before the cursor that is surely kept. */
static const double near_share = 0.6;
static const double default_share = 0.4;
enum { OWN_TOKENS = 512 }; /* of the file itself, before other files have any */

enum status complete_context_init(struct complete_context *cc, const char *project, double share,
                                  struct error *err)
{
    struct stat st;
    *cc = (struct complete_context){.share = share};
    if (stat(project, &st) != 0 || !S_ISDIR(st.st_mode))
        return error_set(err, ERR_NOT_FOUND, "--project %s: there is no such folder", project);
    cc->cache = cli_index_cache(err);
    if (!cc->cache) return err->code;
    return context_keep_create(project, cc->cache, &cc->keep, err);
}

void complete_context_fini(struct complete_context *cc)
{
    context_keep_destroy(cc->keep);
    free(cc->cache);
    *cc = (struct complete_context){0};
}

/* What a small prompt loses of its own file weighs more than what it gains. */
static double share_of(const struct complete_context *cc, double room)
{
    if (cc->share > 0) return cc->share;
    double most = room > OWN_TOKENS ? (room - OWN_TOKENS) / room : 0;
    return most < default_share ? most : default_share;
}

void complete_context_take(struct complete_context *cc, const char *path,
                           struct complete_request *req)
{
    cc->n = 0;
    cc->last = (struct context_kept){0};
    double room = cc->n_ctx > req->max_tokens ? (double)(cc->n_ctx - req->max_tokens) : 0;
    double share = share_of(cc, room);
    if (!cc->keep || !path || share <= 0) return;
    size_t len = req->prefix_len + req->suffix_len;
    char *text = malloc(len + 1);
    if (!text) return; /* less context is no error */
    memcpy(text, req->prefix, req->prefix_len);
    memcpy(text + req->prefix_len, req->suffix, req->suffix_len);
    text[len] = 0;
    size_t most = (size_t)(room * share * bytes_per_token) + 1;
    struct context_budget budget = {
        .near_bytes = (size_t)(room * (1 - share) * near_share * bytes_per_token),
        .max_bytes = most < INDEX_CONTEXT_BYTES ? most : INDEX_CONTEXT_BYTES,
        .seconds = cc->seconds};
    context_keep_take(cc->keep, path, text, len, req->prefix_len, &budget, &cc->last);
    free(text);
    for (; cc->n < cc->last.found->n && cc->n < COMPLETE_CONTEXT_ITEMS; cc->n++) {
        const struct index_context_item *i = &cc->last.found->list[cc->n];
        cc->items[cc->n] =
            (struct context_item){.path = i->path,
                                  .text = i->text,
                                  .len = i->len,
                                  .score = (double)i->score,
                                  .kind = i->declarations ? CONTEXT_SYMBOL : CONTEXT_CHUNK};
    }
    if (!cc->last.path) return;
    req->context = cc->items;
    req->n_context = cc->n;
    req->context_share = share;
    req->file_name = cc->last.path;
    req->repository = cc->last.repository;
}

bool complete_context_json(const struct complete_context *cc, json_t *answer)
{
    if (!cc->keep) return true;
    json_t *list = json_array();
    bool ok = list && json_object_set_new(answer, "context", list) == 0;
    for (size_t i = 0; i < cc->n && ok; i++) {
        const struct index_context_item *it = &cc->last.found->list[i];
        json_t *path = index_json_text(it->path, strlen(it->path)),
               *text = index_json_text(it->text, it->len);
        ok = json_array_append_new(list, json_pack("{s:o, s:I, s:I, s:I, s:I, s:o}", "path", path,
                                                   "line", (json_int_t)it->line, "declarations",
                                                   (json_int_t)it->declarations, "chunks",
                                                   (json_int_t)it->chunks, "imports",
                                                   (json_int_t)it->imports, "text", text)) == 0;
    }
    json_t *times = json_object_get(answer, "timings");
    return ok && (!times ||
                  json_object_set_new(times, "context_ms", json_real(cli_round(cc->last.ms))) == 0);
}
