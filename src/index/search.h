/* What the two halves of a search share: finding candidates, and making hits of them. */
#ifndef HEARTH_INDEX_SEARCH_H
#define HEARTH_INDEX_SEARCH_H

#include "index/reader.h"
#include "index/vector_store.h"

enum { SEARCH_MAX_CANDIDATES = 2000, SEARCH_MAX_HITS = 200 };

struct candidate {
    int64_t chunk, file;
    float text_score, vector_score, score;
    uint16_t text_rank, vector_rank, name_rank; /* from 1; 0 = not in that list */
    int64_t mtime_ns;
    uint32_t line, end_line, distance; /* from the file that the person is in */
    bool fits; /* the query's filters */
};

struct search {
    struct index *ix;
    const struct index_query *q;
    const struct index_weights *weights;
    struct error *err;
    size_t limit;
    double until; /* clock_now() */
    bool late;
    char model[256], note[320]; /* of the index's vectors; what to tell about them */
    bool use_vectors;
    struct vector_found found[VECTORS_BEST];
    size_t n_found;
    struct candidate list[SEARCH_MAX_CANDIDATES];
    size_t n;
};

/* Finds the candidates' places, applies the filters, fuses the lists, and fills the hits. */
enum status search_rank(struct search *s, struct index_hits *out);
/* SQLite's progress callback for a double of clock_now(): nonzero once it is over. */
int search_over(void *until);

#endif
