/* Where pulling meets the trust policy. Inside of module store. */
#ifndef HEARTH_STORE_TRUSTED_INT_H
#define HEARTH_STORE_TRUSTED_INT_H

#include "store/store_int.h"

/* A model that is about to get its name. */
struct trust_offer {
    const char *name, *sha256;
    const char *signature; /* path or URL that the user gave; or NULL */
    const char *file;      /* local file it comes from, beside which signatures may lie; or NULL */
    const json_t *entry;   /* catalogue entry, which may have a "signature"; or NULL */
    const char *blob;      /* the verified file; NULL = it is not here yet */
};
/* Takes in the signature that comes with the model and asks the policy. With the blob, a good
 * signature is kept. Without it, refuses only what is sure to be refused later, so that nothing is
 * downloaded in vain. ERR_INTEGRITY: the policy refuses it, or a signature that the user gave, or
 * one of a known key, is not good. */
enum status trust_admit(const struct store *s, const struct trust_offer *o,
                        const struct store_events *ev, struct error *err);

/* Forgets the signatures of a file that is deleted. */
void trust_forget(const struct store *s, const char *sha256);

#endif
