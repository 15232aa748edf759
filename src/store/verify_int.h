/* What checking hands to mending. Inside of module store. */
#ifndef HEARTH_STORE_VERIFY_INT_H
#define HEARTH_STORE_VERIFY_INT_H

#include "store/source.h"
#include "store/verify.h"

/* Mends a damaged blob; on success b->state is VERIFY_REPAIRED. ERR_CANCELLED ends all; any other
 * failure is left in b->problem, with the blob as it was, and OK is returned. */
enum status verify_mend(const struct store *s, struct verify_blob *b, const struct store_events *ev,
                        struct error *err);

#endif
