/* Sessions kept between runs of hearth complete (--cache-session). Nothing here fails: what cannot
 * be kept or used is said on standard error, and the text is read anew. */
#ifndef HEARTH_CLI_COMPLETE_CACHE_H
#define HEARTH_CLI_COMPLETE_CACHE_H

#include "infer/engine.h"

/* Fills the session with what was kept for a file; the name is a path. */
void complete_cache_load(struct session *s, const char *file);
void complete_cache_save(const struct session *s, const char *file);
/* Deletes all that is kept and prints how much it was; returns the exit code. */
int complete_cache_forget(void);

#endif
