/* What the steps of finding context share. */
#ifndef HEARTH_INDEX_CONTEXT_INT_H
#define HEARTH_INDEX_CONTEXT_INT_H

#include "index/context.h"
#include "index/context_names.h"
#include "index/reader.h"

enum { CONTEXT_PIECES = 512, CONTEXT_PIECE_BYTES = 700, CONTEXT_PATH = 1024 };

enum context_piece_kind { PIECE_IMPORT, PIECE_DECLARATION, PIECE_CODE };

#define CONTEXT_LEAST_SCORE 0.1f /* below it nothing is worth its place */

/* Some lines of a file. */
struct context_piece {
    char *path, *text; /* owned */
    size_t len;
    uint32_t line, end_line;
    enum context_piece_kind kind;
    float score;
    bool taken;
};

struct context_search {
    struct index *ix;
    const struct index_context_query *q;
    const struct context_names *names;
    uint32_t first_line; /* of the text that is looked at: from 1 */
    char language[32];   /* of the text, "" where the index does not know it */
    struct context_piece list[CONTEXT_PIECES];
    size_t n;
    bool late;
    double until; /* clock_now() */
    struct error *err;
};

/* Adds a piece, or raises the score of one with the same place. Texts are copied; one that a path
 * of control characters, a secret's name or a full list forbids is passed over. ERR_NOMEM. */
enum status context_add(struct context_search *s, const char *path, size_t path_len, uint32_t line,
                        uint32_t end_line, enum context_piece_kind kind, float score,
                        const char *text, size_t len);

/* What the text itself imports from the project, where that is far from the cursor. */
enum status context_imports(struct context_search *s);
/* Declarations that the names resolve to. */
enum status context_symbols(struct context_search *s);
/* Code like the lines around the cursor. */
enum status context_chunks(struct context_search *s);

/* A signature as a line that costs few tokens: Python's without types, which tell a caller little
 * for what they cost, and without the object itself; other languages' as they are. Returns the
 * length; 0: not worth a line. */
size_t context_shorten(const char *language, const char *sig, char *out, size_t cap);

/* Whether two files' code can name each other's things. */
bool context_same_family(const char *language, const char *other);

#endif
