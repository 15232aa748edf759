/* The index of a project: its code cut into chunks, found by words, names and meaning.
 *
 * It lives in a folder of its own under the user's cache and holds derived data only: what is damaged or
 * of another version is rebuilt by the next update. One update runs at a time (ERR_BUSY for a second, in
 * whatever process); any number of readers search meanwhile and see the state of the last commit.
 *
 * Threads: a `struct index` belongs to one thread at a time; open one per thread. index_update,
 * index_update_paths and index_embed may be called from any thread and share nothing with open handles.
 * Paths are relative to the project's root, bytes without NUL. */
#ifndef HEARTH_INDEX_INDEX_H
#define HEARTH_INDEX_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "syntax/chunk.h"

struct index;
struct vector_store;

/* The folder that holds the index of `root`, in `cache` (which need not exist); malloc'd. NULL where root
 * does not exist or memory is out. */
char *index_folder(const char *cache, const char *root);

/* ---- writing ---------------------------------------------------------------------------------- */

enum index_stage { INDEX_STAGE_LOOKING, INDEX_STAGE_READING, INDEX_STAGE_EMBEDDING };

struct index_update_options {
    const char *cache;       /* where indexes live */
    int threads;             /* that read and parse, beside the one that writes; 0 = one a core, 2 to 6 */
    uint64_t max_file_bytes; /* larger files are left out; 0 = 1 MiB */
    bool no_ignore;          /* read no .gitignore, .hearthignore, .git/info/exclude */
    bool background;         /* its threads run when nothing else wants the processor */
    bool rebuild;            /* throws away what is there */
    const volatile int *cancel; /* nonzero: ERR_CANCELLED soon; what is committed stays. May be NULL */
    /* Called from the calling thread ten times a second; may be NULL. */
    void (*progress)(void *ctx, enum index_stage stage, uint64_t done, uint64_t total);
    /* True while somebody works who should not wait: the threads sleep. Called from several threads; may
     * be NULL. */
    bool (*busy)(void *ctx);
    void *ctx;
};

struct index_counts {
    uint64_t files, folders; /* in the index after the update; folders: seen by the walk */
    uint64_t read;           /* files whose bytes were read */
    uint64_t written;        /* of those, the ones that had changed */
    uint64_t removed;
    uint64_t binary;         /* no text: known, so that they are not read again, but not searched */
    uint64_t unstable;       /* changed while they were read, three times: next time */
    uint64_t failed;         /* could not be read */
    uint64_t bytes;          /* read */
    uint64_t chunks_new, chunks_reused; /* reused: known by their content already */
    uint64_t ignored, secret, large;
    bool rebuilt;            /* there was a damaged or old index */
    double seconds;
};

/* Brings the index up to date with the files under root: reads those whose size, time or inode changed.
 * Killed at any moment, the next call goes on from the last commit. ERR_BUSY while another update runs,
 * ERR_IO where the disk is full; what was committed before stays. counts may be NULL. */
enum status index_update(const char *root, const struct index_update_options *opt, struct index_counts *counts,
                         struct error *err);
/* The same for these paths alone, which may be gone, or folders: what a save or a watch reports. Without an
 * index yet, ERR_NOT_FOUND. */
enum status index_update_paths(const char *root, const struct index_update_options *opt, const char *const *paths,
                               size_t n, struct index_counts *counts, struct error *err);

/* Merges for `seconds` what many small updates left behind; *done: nothing is left. For idle moments: index_watch
 * does it. The same rules as for index_embed. */
enum status index_tidy(const char *root, const struct index_update_options *opt, double seconds, bool *done,
                       struct error *err);

/* A text that wants a vector; not NUL-terminated. */
struct index_text {
    const char *data;
    size_t len;
};
struct index_embedder {
    const char *model; /* names it: another name throws away the vectors of the last */
    size_t dim;        /* a multiple of 32, at most 4096 */
    size_t max_bytes;  /* of a text; 0 = 1024 */
    size_t batch;      /* texts of a call; 0 = 64 */
    /* Fills out[n][dim]; vectors are brought to length 1 afterwards. */
    enum status (*embed)(void *ctx, const struct index_text *texts, size_t n, float *out, struct error *err);
    void *ctx;
    /* Where the vectors go; borrowed, open, from this thread. NULL: the index's own database. Another one
     * than the last throws away what the index knows of that, as another model does. */
    struct vector_store *store;
    bool trust_store; /* takes for granted that the store still has what it was given: after a save */
};
/* Gives every chunk a vector that has none, and takes those of gone chunks out of a store elsewhere. *done
 * (may be NULL): how many were made. The same rules as for index_update, but there has to be a sound index
 * (ERR_NOT_FOUND, ERR_INTEGRITY); ERR_NETWORK where the store fails
 * (what it has by then is known, and the next call goes on). */
enum status index_embed(const char *root, const struct index_update_options *opt,
                        const struct index_embedder *embedder, uint64_t *done, struct error *err);

/* ---- reading ---------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND where there is no index yet, ERR_INTEGRITY where it is damaged (the next update rebuilds
 * it). Both messages say what to run. */
enum status index_open(const char *root, const char *cache, struct index **out, struct error *err);
void index_close(struct index *ix); /* NULL is fine */

struct index_info {
    uint64_t files, chunks, vectors, definitions; /* vectors: of chunks that stand somewhere */
    size_t dim;             /* of vectors; 0 without */
    char model[256];        /* that made them; "" without */
    char store[512];        /* that holds them, where it is not the index itself; else "" */
    uint8_t tree[32];       /* SHA-256 over the names and contents of everything: equal trees, equal hashes */
    int64_t updated_ns;     /* since 1970 */
};
enum status index_info(struct index *ix, struct index_info *out, struct error *err);
/* Of it model, store and dim alone, and `vectors` as 1 where there are any: costs nothing before a search. */
enum status index_info_brief(struct index *ix, struct index_info *out, struct error *err);

/* How much each list counts: weight / (k + rank), summed. tools/eval/search.py chose the defaults. */
struct index_weights {
    float text, vector, name, recent, near; /* near: by imports and folders from `from` */
    float k;
};
extern const struct index_weights index_default_weights;

struct index_query {
    const char *text;     /* words or a question; "" with a vector alone */
    const float *vector;  /* [dim] of the text, by the model of the index; NULL: by words and names only */
    size_t dim;
    struct vector_store *store; /* where the index's vectors are, open; NULL: in the index. Used by the call */
    bool literal;         /* text is a piece of code to be found as it stands, letter by letter */
    size_t limit;         /* hits; 0 = 10, at most 200 */
    size_t per_file;      /* at most so many of one file; 0 = any */
    uint64_t kinds;       /* bits 1 << enum syntax_kind; 0 = all */
    const char *language; /* as syntax/language.h names it; NULL = all */
    const char *under;    /* a folder or file; NULL = all */
    const char *from;     /* the file that the person is in: near ones are better, itself is left out
                           * where leave_out_from */
    bool leave_out_from;
    double seconds;       /* what is found by then is answered; 0 = 1 second */
    const struct index_weights *weights; /* NULL = the defaults */
};

struct index_hit {
    const char *path;
    uint32_t line, end_line; /* from 1, both inclusive */
    enum syntax_kind kind;
    const char *name, *scope, *language; /* "" where there is none */
    const char *text; /* NUL-terminated; its length below (it may hold NULs in odd files) */
    size_t text_len;
    int64_t mtime_ns;
    float score;          /* sums of the lists, comparable within an answer */
    float text_score, vector_score; /* BM25 and cosine; 0 where the list lacks it */
    uint16_t text_rank, vector_rank, name_rank; /* from 1; 0 = not in that list */
};
struct index_hits {
    struct index_hit *list; /* best first */
    size_t n;
    bool late; /* the time was over before all lists were complete */
    char note[320]; /* why vectors were not looked at; "" where they were or none were asked for */
    void *memory;
};
enum status index_search(struct index *ix, const struct index_query *q, struct index_hits *out,
                         struct error *err);
void index_hits_fini(struct index_hits *h); /* zeroed is fine */

struct index_symbol {
    const char *path, *name, *scope, *signature; /* scope and signature "" for references */
    uint32_t line, end_line, column; /* lines from 1, bytes from 0 */
    enum syntax_kind kind;           /* of definitions */
    bool definition;
};
struct index_symbols {
    struct index_symbol *list; /* definitions by path and line, likewise references */
    size_t n;
    bool more; /* `limit` was reached */
    void *memory;
};
/* Places that define, or call or mention, exactly this name ("a.b.c": c within a scope that ends in a.b).
 * limit 0 = 100. None found is OK with n == 0. */
enum status index_definitions(struct index *ix, const char *name, size_t limit, struct index_symbols *out,
                              struct error *err);
enum status index_references(struct index *ix, const char *name, size_t limit, struct index_symbols *out,
                             struct error *err);
void index_symbols_fini(struct index_symbols *s); /* zeroed is fine */

/* ---- watching --------------------------------------------------------------------------------- */

/* Follows the folder by inotify and updates the index after each quiet moment (50 ms), until
 * opt->cancel is set. `updated` (may be NULL) is told after each. Begins with an index_update. A full
 * event queue or too few watches end in a whole update, not in a loss. */
enum status index_watch(const char *root, const struct index_update_options *opt,
                        void (*updated)(void *ctx, const struct index_counts *counts), struct error *err);

#endif
