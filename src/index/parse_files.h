/* One file, read and cut up: what a worker hands to the writer. */
#ifndef HEARTH_INDEX_PARSE_FILES_H
#define HEARTH_INDEX_PARSE_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/sha256.h"
#include "base/status.h"
#include "syntax/syntax_facts.h"

struct parse_stat {
    int64_t size, mtime_ns, ctime_ns;
    uint64_t inode;
};
struct parse_stat parse_stat_of(const struct stat *st);

enum parse_result {
    PARSE_NEW,      /* facts and chunk hashes are there */
    PARSE_SAME,     /* the bytes are the known ones */
    PARSE_BINARY,   /* no text: no facts */
    PARSE_GONE,     /* no such file, or none to be opened, any more */
    PARSE_UNSTABLE, /* changed each time it was read */
    PARSE_FAILED,   /* unreadable */
};

struct parsed {
    enum parse_result result;
    struct parse_stat stat; /* of the bytes that were read; zeroed times where it may have changed within
                             * the clock's grain, so that the next update reads it again */
    uint8_t hash[SHA256_BYTES];
    struct buf text;
    struct syntax_facts *facts;
    uint8_t (*chunk_hashes)[SHA256_BYTES]; /* owned, [facts->n_chunks] */
    struct buf refs;                       /* references and imports: refs.h */
};

/* Reads and parses `path` below the folder `root`; `known` (may be NULL) is the hash that is in the index.
 * ERR_NOMEM; everything else is a result. */
enum status parse_file(int root, const char *path, uint64_t max_bytes, const uint8_t *known,
                       struct syntax_parser *parser, struct parsed *out);
void parsed_fini(struct parsed *p); /* zeroed is fine */

#endif
