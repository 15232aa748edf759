/* The tokenizer that FTS5 asks: tokens.h's words for texts; queries name tokens as they are kept, and
 * are taken whole. */
#include <stdlib.h>
#include <string.h>

#include "index/db.h"
#include "index/tokens.h"
#include "index/words.h"

struct sink {
    struct words *words;
    int (*token)(void *, int, const char *, int, int, int);
    void *ctx;
};

struct state {
    struct words *words;
};

static int pass(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end)
{
    struct sink *s = ctx;
    if (!part && s->words) words_add(s->words, token, n);
    return s->token(s->ctx, part ? FTS5_TOKEN_COLOCATED : 0, token, (int)n, (int)begin, (int)end);
}

static int tokenize(Fts5Tokenizer *t, void *ctx, int flags, const char *text, int len,
                    int (*token)(void *, int, const char *, int, int, int))
{
    if (flags & FTS5_TOKENIZE_QUERY) return len > 0 ? token(ctx, 0, text, len, 0, len) : SQLITE_OK;
    struct sink s = {flags & FTS5_TOKENIZE_DOCUMENT ? ((struct state *)t)->words : NULL, token, ctx};
    return tokens_of(text, len > 0 ? (size_t)len : 0, pass, &s);
}

static int create(void *ctx, const char **args, int n, Fts5Tokenizer **out)
{
    (void)args;
    (void)n;
    struct state *s = malloc(sizeof *s);
    if (!s) return SQLITE_NOMEM;
    s->words = ctx;
    *out = (Fts5Tokenizer *)s;
    return SQLITE_OK;
}

static void destroy(Fts5Tokenizer *t) { free(t); }

int db_add_tokenizer(sqlite3 *sql, struct words *words)
{
    static fts5_tokenizer tokenizer = {create, destroy, tokenize};
    fts5_api *api = NULL;
    sqlite3_stmt *st;
    int rc = sqlite3_prepare_v2(sql, "SELECT fts5(?1)", -1, &st, NULL);
    if (rc != SQLITE_OK) return rc;
    sqlite3_bind_pointer(st, 1, &api, "fts5_api_ptr", NULL);
    sqlite3_step(st);
    rc = sqlite3_finalize(st);
    if (rc != SQLITE_OK || !api) return rc ? rc : SQLITE_ERROR;
    return api->xCreateTokenizer(api, "hearth", words, &tokenizer, NULL);
}
