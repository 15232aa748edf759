/* What the files of the sandbox share. */
#ifndef HEARTH_EVAL_SANDBOX_INT_H
#define HEARTH_EVAL_SANDBOX_INT_H

#include "base/status.h"

/* A file with the filter of system calls as bubblewrap reads it, at its start; the caller closes
 * it. -1 with a reason in err. */
int sandbox_filter(struct error *err);

#endif
