#include "store/trusted.h"

#include <stdlib.h>
#include <string.h>

#include "store/signature_file.h"
#include "store/trusted_int.h"

enum status store_policy_path(const struct store *s, char **out, struct error *err)
{
    return store_path(s, STORE_POLICY, NULL, out, err);
}

enum status store_policy_read(const struct store *s, struct policy *out, struct error *err)
{
    char *path;
    *out = (struct policy){0};
    enum status st = store_policy_path(s, &path, err);
    if (st == OK) st = policy_read(path, out, err);
    free(path);
    return st;
}

/* ---- who signed it ------------------------------------------------------------------------- */

/* Whether one of the keys made the signature; a key that it does not name is not asked. */
static bool find_signer(const struct policy *p, const struct policy_rule *rule,
                        const struct signature_record *r, const struct signature *sig,
                        struct store_trust *out)
{
    uint8_t sha256[SHA256_BYTES];
    const char *id = signature_key_id(sig);
    if (!sha256_from_hex(r->sha256, sha256)) return false;
    for (size_t i = 0; i < p->n_keys; i++) {
        const struct policy_key *k = &p->keys[i];
        if ((id[0] && strcmp(id, k->key.id) != 0) || !policy_rule_has_key(rule, k->name)) continue;
        if (signature_check_digest(sig, &k->key, sha256, r->has_blake2b ? r->blake2b : NULL,
                                   k->name, &out->said, NULL) != OK)
            continue;
        out->is_signed = true;
        memcpy(out->signer, k->name, sizeof out->signer);
        trust_key_words(&k->key, out->key, sizeof out->key);
        return true;
    }
    return false;
}

static void find_signature(const struct policy *p, const struct policy_rule *rule,
                           const struct signature_record *r, struct store_trust *out)
{
    for (size_t i = 0; !out->is_signed && i < json_array_size(r->texts); i++) {
        const json_t *text = json_array_get(r->texts, i);
        struct signature sig;
        /* One that cannot be read any more is none. */
        if (signature_parse(json_string_value(text), json_string_length(text), "a kept signature",
                            &sig, NULL) != OK)
            continue;
        find_signer(p, rule, r, &sig, out);
        signature_fini(&sig);
    }
}

static void conclude(const struct policy *p, const struct policy_rule *rule, const char *name,
                     const struct signature_record *r, struct store_trust *out)
{
    char who[256] = "any key of the policy";
    out->outcome = out->is_signed ? POLICY_ALLOW
                   : rule         ? rule->unsigned_models
                                  : p->unsigned_models;
    for (size_t i = 0, used = 0; rule && i < rule->n_keys && used < sizeof who; i++)
        used +=
            (size_t)snprintf(who + used, sizeof who - used, "%s%s", i ? ", " : "", rule->keys[i]);
    if (out->is_signed)
        snprintf(out->words, sizeof out->words, "signed by %s (%s)", out->signer, out->key);
    else if (json_array_size(r->texts))
        snprintf(out->words, sizeof out->words, "%s has a signature, but not by %.200s", name, who);
    else
        snprintf(out->words, sizeof out->words,
                 "%s is not signed; by the policy %.200s may sign it", name, who);
}

enum status store_trust_of(const struct store *s, const char *name, const char *sha256,
                           struct store_trust *out, struct error *err)
{
    struct policy p;
    struct signature_record r = {0};
    *out = (struct store_trust){0};
    enum status st = store_policy_read(s, &p, err);
    if (st) return st;
    const struct policy_rule *rule = policy_rule_for(&p, name);
    if (p.there) {
        st = signature_record_read(s, sha256, &r, err);
        if (st == OK) find_signature(&p, rule, &r, out);
        if (st == OK) conclude(&p, rule, name, &r, out);
    } else {
        snprintf(out->words, sizeof out->words, "there is no trust policy");
    }
    signature_record_fini(&r);
    policy_fini(&p);
    return st;
}

/* ---- loading ------------------------------------------------------------------------------- */

enum status store_load_path(const struct store *s, const char *name, const struct store_events *ev,
                            char **path, struct error *err)
{
    struct store_model m;
    struct store_trust t;
    *path = NULL;
    enum status st = store_find(s, name, &m, err);
    if (st) return st;
    if (m.problem)
        st = error_set(err, ERR_INTEGRITY, "model %s: %s; run: hearth pull %s", name, m.problem,
                       name);
    else if ((st = store_trust_of(s, name, m.sha256, &t, err)) != OK)
        error_prefix(err, "model %s is not loaded, since its trust cannot be checked", name);
    else if (t.outcome == POLICY_REFUSE)
        st = error_set(err, ERR_INTEGRITY,
                       "the trust policy refuses %s: %s; see: hearth trust check %s", name, t.words,
                       name);
    else if (t.outcome == POLICY_WARN)
        store_notice(ev, "warning: %s", t.words);
    if (st == OK) {
        *path = m.path;
        m.path = NULL;
    }
    store_model_fini(&m);
    return st;
}

enum status store_load_hash(const struct store *s, const char *path, const struct store_events *ev,
                            struct error *err)
{
    struct policy p;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    if (strncmp(base, "sha256-", 7) != 0 || !store_digest_valid(base + 7))
        return OK; /* no file of a store */
    enum status st = store_policy_read(s, &p, err);
    if (st == OK && p.hash_at_load &&
        (st = store_check_file(path, base + 7, ev, err)) == ERR_INTEGRITY)
        error_prefix(err, "the model is not loaded (to mend it: hearth verify --repair)");
    policy_fini(&p);
    return st;
}

enum status store_load_file(const struct store *s, const char *path, const struct store_events *ev,
                            struct error *err)
{
    struct policy p;
    enum status st = store_policy_read(s, &p, err);
    if (st)
        return error_prefix(err, "%s is not loaded, since the trust policy cannot be read", path);
    if (p.files == POLICY_REFUSE)
        st = error_set(
            err, ERR_INTEGRITY,
            "the trust policy refuses models that are given by a path (\"files\": \"refuse\"): %s",
            path);
    else if (p.files == POLICY_WARN)
        store_notice(ev, "warning: %s is outside of the store, so no signature is asked for", path);
    policy_fini(&p);
    return st;
}

/* ---- keeping signatures -------------------------------------------------------------------- */

struct hashing {
    const struct store_events *ev;
    uint64_t total;
};

static bool on_hashed(void *ctx, uint64_t done)
{
    const struct hashing *h = ctx;
    return store_progress(h->ev, STORE_CHECKING, done, h->total);
}

/* The file's BLAKE2b, of the bytes whose SHA-256 is the record's. */
static enum status learn_blake2b(struct signature_record *r, const char *path, uint64_t bytes,
                                 const struct store_events *ev, struct error *err)
{
    struct hashing h = {ev, bytes};
    uint8_t due[SHA256_BYTES], sha256[SHA256_BYTES];
    if (r->has_blake2b) return OK;
    enum status st = minisign_hash(path, on_hashed, &h, r->blake2b, sha256, err);
    if (st) return st;
    if (!sha256_from_hex(r->sha256, due) || memcmp(due, sha256, sizeof due) != 0)
        return error_set(err, ERR_INTEGRITY,
                         "%s changed: it has another SHA-256 than %s; run: hearth verify --repair",
                         path, r->sha256);
    r->has_blake2b = true;
    return OK;
}

/* Checks `sig` with the key against the file at `path` and adds it to the record. */
static enum status keep(struct signature_record *r, const struct signature *sig, const char *text,
                        size_t len, const char *what, const struct trust_key *k, const char *path,
                        uint64_t bytes, const struct store_events *ev, struct signature_said *said,
                        struct error *err)
{
    uint8_t sha256[SHA256_BYTES];
    enum status st = OK;
    if (!sha256_from_hex(r->sha256, sha256)) return error_set(err, ERR_INVALID, "no digest");
    if (sig->scheme == TRUST_MINISIGN) st = learn_blake2b(r, path, bytes, ev, err);
    if (st == OK)
        st = signature_check_digest(sig, k, sha256, r->has_blake2b ? r->blake2b : NULL, what, said,
                                    err);
    return st ? st : signature_record_add(r, text, len, err);
}

/* The installed model and its record, under the digest's lock. */
static enum status open_record(const struct store *s, const char *name,
                               const struct store_events *ev, struct store_model *m,
                               struct store_lock *lock, struct signature_record *r,
                               struct error *err)
{
    lock->fd = -1;
    *r = (struct signature_record){0};
    enum status st = store_find(s, name, m, err);
    if (st) return st;
    if (m->problem)
        st = error_set(err, ERR_INTEGRITY, "model %s: %s; run: hearth pull %s", name, m->problem,
                       name);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_DIGEST, m->sha256, name, ev, lock, err);
    return st ? st : signature_record_read(s, m->sha256, r, err);
}

enum status store_signature_keep(const struct store *s, const char *name, const char *text,
                                 size_t len, const char *what, const struct trust_key *k,
                                 const struct store_events *ev, struct signature_said *said,
                                 struct error *err)
{
    struct store_model m;
    struct store_lock lock;
    struct signature_record r;
    struct signature sig;
    enum status st = signature_parse(text, len, what, &sig, err);
    if (st) return st;
    st = open_record(s, name, ev, &m, &lock, &r, err);
    if (st == OK) st = keep(&r, &sig, text, len, what, k, m.path, m.bytes, ev, said, err);
    if (st == OK) st = signature_record_write(s, &r, err);
    signature_record_fini(&r);
    store_lock_drop(&lock);
    store_model_fini(&m);
    signature_fini(&sig);
    return st;
}

enum status store_signature_make(const struct store *s, const char *name, const struct trust_key *k,
                                 const char *comment, const struct store_events *ev,
                                 struct buf *text, struct error *err)
{
    struct store_model m;
    struct store_lock lock;
    struct signature_record r;
    uint8_t sha256[SHA256_BYTES];
    enum status st = open_record(s, name, ev, &m, &lock, &r, err);
    if (st == OK && k->scheme == TRUST_MINISIGN)
        st = learn_blake2b(&r, m.path, m.bytes, ev, err);
    else if (st == OK) /* nobody signs what was not looked at */
        st = store_check_file(m.path, m.sha256, ev, err);
    if (st == OK && !sha256_from_hex(m.sha256, sha256))
        st = error_set(err, ERR_INVALID, "no digest");
    if (st == OK) st = signature_make_digest(k, name, sha256, r.blake2b, comment, text, err);
    if (st == OK) st = signature_record_add(&r, text->data, text->len, err);
    if (st == OK) st = signature_record_write(s, &r, err);
    signature_record_fini(&r);
    store_lock_drop(&lock);
    store_model_fini(&m);
    return st;
}

enum status store_signatures_each(const struct store *s, const char *sha256,
                                  bool (*visit)(void *ctx, const struct signature *sig,
                                                const uint8_t *blake2b),
                                  void *ctx, struct error *err)
{
    struct signature_record r;
    bool more = true;
    enum status st = signature_record_read(s, sha256, &r, err);
    for (size_t i = 0; st == OK && more && i < json_array_size(r.texts); i++) {
        const json_t *text = json_array_get(r.texts, i);
        struct signature sig;
        if (signature_parse(json_string_value(text), json_string_length(text), "a kept signature",
                            &sig, NULL) != OK)
            continue;
        more = visit(ctx, &sig, r.has_blake2b ? r.blake2b : NULL);
        signature_fini(&sig);
    }
    signature_record_fini(&r);
    return st;
}
