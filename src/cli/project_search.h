/* A project's index as `ask` and `mcp` use it: kept current, searched by words, names and, where its vectors' model
 * is at hand, by meaning. One thread at a time. */
#ifndef HEARTH_CLI_PROJECT_SEARCH_H
#define HEARTH_CLI_PROJECT_SEARCH_H

#include "cli/index_embed.h"
#include "index/index.h"

struct project_search {
    const char *root;        /* borrowed */
    const char *embed_model; /* borrowed; NULL: the one that the index names */
    const char *store_url;   /* borrowed; where the vectors are; NULL: what the environment says */
    bool words;              /* never load a model */
    int threads;
    char *cache;      /* owned */
    struct index *ix; /* owned; NULL until it can be opened */
    struct index_embed embed;
    struct index_embedder embedder;
    struct vector_store *store; /* owned; NULL: vectors are in the index */
    bool by_meaning; /* the model is open */
    bool tried;      /* so that it is loaded, or found missing, once */
    char note[1024]; /* why it is by words alone; "" where it is not, or nobody looked yet */
};

/* ps->root and the options are set. Makes ps->cache. */
enum status project_search_init(struct project_search *ps, struct error *err);
void project_search_fini(struct project_search *ps);

struct project_update {
    struct index_counts counts;
    bool done;     /* the whole update was made */
    bool late;     /* the time was over: what was read by then is found */
    bool elsewhere; /* another process is at it */
};
/* Brings the index up to date, for at most so many seconds. *cancel != 0 (may be NULL): ERR_CANCELLED. What the
 * time or another process keeps from being done is no error. */
enum status project_search_update(struct project_search *ps, double seconds, const volatile int *cancel,
                                  struct project_update *out, struct error *err);

/* Opens the index where it is not yet. ERR_NOT_FOUND, ERR_INTEGRITY as index_open. */
enum status project_search_open(struct project_search *ps, struct error *err);
/* index_search, with the text's vector where its model is at hand. */
enum status project_search_find(struct project_search *ps, const struct index_query *q, struct index_hits *out,
                                struct error *err);

#endif
