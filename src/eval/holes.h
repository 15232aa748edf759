/* Benchmarks: holes in code whose true content is known, answers to them, and how good those are.
 *
 * A benchmark is one file that exports a `struct eval_bench`, and one line in holes.c. It makes the
 * holes; asking (peer.h), checking (evaluate.h), keeping (results.h) and reporting (report.h) are
 * the same for all. */
#ifndef HEARTH_EVAL_HOLES_H
#define HEARTH_EVAL_HOLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* A programming problem with tests, as HumanEval has them. All strings are owned. */
struct eval_problem {
    char *id;   /* "HumanEval/0" */
    char *text; /* prompt and solution, as in a file */
    size_t len;
    size_t solution_at; /* where in the text the solution begins */
    char *entry;        /* the function that the tests call */
    char *test;         /* Python that defines check(candidate) */
};

/* One hole: text[from..start) is what stands before it, text[start..end) its true content and
 * text[end..to) what follows. */
struct eval_hole {
    char *id; /* owned; names benchmark kind, problem or file, and place: same hole, same id */
    const char *kind; /* borrowed from the benchmark's tables */
    const char *text; /* borrowed from the set */
    size_t from, start, end, to;
    const char *path;                   /* the file's name, for servers that take one; borrowed */
    const struct eval_problem *problem; /* NULL: there are no tests */
};

struct eval_set {
    struct eval_problem *problems; /* owned */
    size_t n_problems;
    char **texts; /* owned: files' texts and paths */
    size_t n_texts, cap_texts;
    struct eval_hole *holes; /* owned */
    size_t n_holes, cap_holes;
};

enum { EVAL_MAX_HOLES = 1000000, EVAL_MAX_KINDS = 16 };

enum eval_half {
    EVAL_ALL,
    EVAL_EVEN, /* problems with an even number: to tune on */
    EVAL_ODD,  /* the others: kept aside until the end */
};

struct eval_request {
    const char *tasks; /* JSON Lines of problems (may be gzip), as HumanEval has them; or NULL */
    const char *repo;  /* a folder or a file; or NULL. One of the two. */
    const char *kinds; /* names with commas between; NULL = all */
    enum eval_half half;
    size_t limit; /* of each kind, chosen by `seed`; 0 = all (of a folder: 20) */
    uint64_t seed;
};

struct eval_bench {
    const char *name, *summary;
    const char *const *kinds;      /* of holes in problems; ended by NULL */
    const char *const *repo_kinds; /* of holes in a folder's files */
    /* Appends to `out`; the same request gives the same holes. ERR_INVALID, ERR_NOT_FOUND,
     * ERR_FORMAT, ERR_IO. */
    enum status (*make)(const struct eval_request *rq, struct eval_set *out, struct error *err);
};

/* The registry, ended by NULL. */
extern const struct eval_bench *const eval_benches[];
const struct eval_bench *eval_bench_find(const char *name); /* or NULL */

void eval_set_fini(struct eval_set *s);

/* Takes `text` (malloc'd), frees it on failure. */
enum status eval_set_keep(struct eval_set *s, char *text, struct error *err);
/* Appends a hole; takes its id, frees it on failure. */
enum status eval_set_add(struct eval_set *s, struct eval_hole hole, struct error *err);
/* Keeps `limit` holes of each kind, chosen by the seed, in the order they were in. 0 = all. */
enum status eval_set_limit(struct eval_set *s, size_t limit, uint64_t seed, struct error *err);
/* The hole of that id, or NULL. */
const struct eval_hole *eval_set_find(const struct eval_set *s, const char *id);

/* Whether a list "a,b" names `kind`; NULL names all. */
bool eval_kind_wanted(const char *list, const char *kind);
/* ERR_INVALID where the list names what is not in `kinds`. */
enum status eval_kinds_check(const char *list, const char *const *kinds, struct error *err);

/* Numbers of a fixed sequence (splitmix64: Steele, Lea and Flood 2014), the same on all machines.
 */
struct eval_rng {
    uint64_t state;
};
uint64_t eval_rng_next(struct eval_rng *r);
/* 0 .. n-1, evenly; n > 0. */
size_t eval_rng_below(struct eval_rng *r, size_t n);

#endif
