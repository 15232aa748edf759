/* The repository map: the definitions that matter most, fitted to a budget.
 *
 * Files are the nodes of a graph; a reference is an edge to each file that defines its name, and weighs
 * more for names that are long, rare or asked for, and from files in focus. A personalised PageRank over it
 * ranks the files, and each file's rank flows to what its references name. The idea is aider's
 * (aider/repomap.py); so are its weights: times 10 for mentioned names and for names of 8 bytes or more in
 * several words, a tenth for names with a leading underscore or defined in more than 5 files, times 50 from
 * files in focus, and the square root of how often a file names it. */
#ifndef HEARTH_SYNTAX_REPO_MAP_H
#define HEARTH_SYNTAX_REPO_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"
#include "syntax/syntax_facts.h"

struct repo_map_file {
    const char *path;                 /* as it is printed */
    const struct syntax_facts *facts; /* with symbols */
    bool focus;                       /* open or in the chat: the map is seen from here and leaves it out */
};

struct repo_map_entry {
    uint32_t file;       /* index */
    uint32_t definition; /* index in its facts */
    double rank;         /* of all entries' together, which sum up to at most 1 */
};

struct repo_map {
    const struct repo_map_file *files; /* borrowed */
    size_t n_files;
    struct repo_map_entry *entries; /* owned; the highest rank first, then by path and place */
    size_t n_entries;
    double *file_rank; /* owned; [n_files], sums up to 1 */
};

/* Ranks all files' functions, types and macros. mentioned[0..n_mentioned) are identifiers from a question.
 * The files stay borrowed until repo_map_fini. Results depend on the arguments alone. ERR_NOMEM. */
enum status repo_map_init(struct repo_map *m, const struct repo_map_file *files, size_t n_files,
                          const char *const *mentioned, size_t n_mentioned, struct error *err);
void repo_map_fini(struct repo_map *m);

/* Tokens of a text; the budget's unit is whatever this counts. */
typedef size_t repo_map_count(void *ctx, const char *text, size_t len);

/* Writes as many of the first entries as fit into `tokens`, grouped by file in the order of their best
 * entries: "path:" and lines of "  LINE: signature". n_shown (may be NULL) gets how many. `out` is emptied
 * first and ends up empty where not even one fits. ERR_NOMEM or ERR_LIMIT of the buffer. */
enum status repo_map_print(const struct repo_map *m, size_t tokens, repo_map_count *count, void *ctx,
                           struct buf *out, size_t *n_shown);

#endif
