/* Which paths a project's ignore files leave out, by git's rules (gitignore(5)): negation, anchoring,
 * folders only, `**`, character classes. */
#ifndef HEARTH_INDEX_IGNORE_H
#define HEARTH_INDEX_IGNORE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

enum { IGNORE_MAX_FILE = 1 << 20, IGNORE_MAX_RULES = 20000 }; /* bytes and lines of one file */

struct ignore_rule {
    const char *pattern; /* into `text`, NUL-terminated */
    bool negated, folder_only, anchored;
    bool plain; /* without a special character: a comparison is enough */
};

/* The rules of one file. */
struct ignore_rules {
    char *text; /* owned */
    struct ignore_rule *list; /* owned */
    size_t n;
};

enum ignore_verdict { IGNORE_SILENT, IGNORE_OUT, IGNORE_IN };

/* Reads rules from `len` bytes, which are copied. A file beyond the limits keeps its first rules.
 * ERR_NOMEM. */
enum status ignore_parse(const char *data, size_t len, struct ignore_rules *out);
void ignore_fini(struct ignore_rules *r); /* zeroed is fine */

/* What the last rule that fits says about `path`, which is relative to the folder of the file; `name` is
 * its last part. Any thread. */
enum ignore_verdict ignore_match(const struct ignore_rules *r, const char *path, const char *name,
                                 bool is_folder);

/* Git's wildmatch: `*`, `?`, classes and `\`; in a path a star stops at a slash and `**` does not. Gives up
 * (false) on patterns built to take for ever. */
bool ignore_wildmatch(const char *pattern, const char *text, bool path);

#endif
