/* The registry of fill-in-the-middle templates. A new family is one entry in fim_families.c. */
#ifndef HEARTH_ASSIST_FIM_FAMILIES_H
#define HEARTH_ASSIST_FIM_FAMILIES_H

#include <stdbool.h>

enum fim_order {
    FIM_PSM, /* prefix, suffix, middle */
    FIM_SPM, /* suffix, prefix */
};

enum { FIM_MAX_STOP_TEXTS = 8 };

/* Everything is the text of a token in the vocabulary. A family is recognised when all of prefix,
 * suffix, middle and `mark` that are not NULL are in it. */
struct fim_family {
    const char *name;
    enum fim_order order;
    bool always_bos; /* trained with BOS in front, whatever the metadata says */
    const char *prefix;
    const char *suffix;
    const char *middle; /* NULL where the prompt ends with the text itself */
    const char *mark;   /* tells families with the same three tokens apart; or NULL */
    const char *repo;   /* in front of a repository's name; NULL = no such header */
    const char *file;   /* in front of a file's path; NULL = no such header */
    const char *stop[FIM_MAX_STOP_TEXTS]; /* end the hole, besides the tokens above */
};

/* The more specific first; ended by a NULL name. */
extern const struct fim_family fim_families[];

#endif
