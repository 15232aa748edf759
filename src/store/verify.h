/* Hashing what the store holds again, and mending what changed.
 *
 * A blob is checked in pieces by two threads where the states of its hash are known (chain_file.h),
 * and as a whole by one where they are not yet; they are kept then. Repair copies the blob, fetches the
 * damaged ranges alone, checks the whole copy, makes it durable and renames it over the blob: until
 * that last step everything is as it was. */
#ifndef HEARTH_STORE_VERIFY_H
#define HEARTH_STORE_VERIFY_H

#include "store/store.h"

/* Bytes from .. to-1. */
struct byte_range {
    uint64_t from, to;
};

enum verify_state { VERIFY_GOOD, VERIFY_DAMAGED, VERIFY_REPAIRED };

struct verify_blob {
    char sha256[65];
    char name[STORE_NAME_SIZE]; /* one of its names; "" = a blob without a name */
    uint64_t bytes;             /* that it must have; 0 = not known */
    enum verify_state state;
    struct byte_range *bad; /* owned: what was damaged; n_bad 0 in a damaged blob: not known where */
    size_t n_bad;
    uint64_t fetched;  /* bytes that repair brought */
    char problem[512]; /* "" = none */
};

struct verify_report {
    struct verify_blob *blobs; /* owned; in the order of names, then those without one */
    size_t n;
    size_t damaged; /* how many are so still */
};

/* names[0..n): full names; n = 0: every blob. OK with a filled report also where blobs are damaged;
 * errors are about the store itself, ERR_NOT_FOUND a name that is not installed, ERR_CANCELLED. */
enum status store_verify_blobs(const struct store *s, const char *const *names, size_t n, bool repair,
                               const struct store_events *ev, struct verify_report *out,
                               struct error *err);
void store_verify_report_fini(struct verify_report *r);

#endif
