/* Citations in an answer, path:line or path:first-last, held against what the model was given, while it streams. */
#ifndef HEARTH_CLI_CITE_H
#define HEARTH_CLI_CITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/status.h"

struct cite_source {
    const char *path; /* borrowed */
    uint32_t line, end_line;
    bool cited;
};

struct cite {
    struct cite_source *sources; /* borrowed */
    size_t n;
    size_t invented;  /* citations of what was not given */
    struct buf word;  /* that may become one */
    bool plain;       /* the word is too long to be one */
    /* Takes the checked text. */
    enum status (*write)(void *ctx, const char *text, size_t len, struct error *err);
    void *ctx;
};

enum { CITE_MAX_WORD = 4096 };
#define CITE_INVENTED " [not in what was given]" /* stands behind each such citation */

void cite_init(struct cite *c, struct cite_source *sources, size_t n);
void cite_fini(struct cite *c);
/* More of the answer; words are written once they are whole. Errors of `write`, ERR_NOMEM. */
enum status cite_feed(struct cite *c, const char *text, size_t len, struct error *err);
enum status cite_end(struct cite *c, struct error *err);

#endif
