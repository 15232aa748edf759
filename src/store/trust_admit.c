/* What a pull does about signatures: finding those that come with a model, and asking the policy.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "store/http.h"
#include "store/signature_file.h"
#include "store/trusted.h"
#include "store/trusted_int.h"

struct admission {
    const struct store *s;
    const struct trust_offer *o;
    const struct store_events *ev;
    struct policy policy;
    struct signature_record record;
    bool added;
};

static bool is_url(const char *text)
{
    return strstr(text, "://") != NULL;
}

static enum status on_data(void *ctx, const void *data, size_t len, struct error *err)
{
    enum status st = buf_append(ctx, data, len);
    return st ? error_set(err, st, "the signature is longer than %d bytes", BUNDLE_MAX_BYTES) : OK;
}

static enum status fetch_text(const struct admission *a, const char *url, struct buf *out,
                              struct error *err)
{
    struct http_request rq = {.url = url, .events = a->ev, .data = on_data, .ctx = out};
    struct http_answer answer;
    bool again;
    enum status st = http_url_check(url, false, err);
    return st ? st : http_request_run(&rq, &answer, &again, err);
}

/* The policy's key that the signature names, among those that may sign this model; or NULL. */
static const struct policy_key *key_for(const struct admission *a, const struct signature *sig)
{
    const struct policy_rule *rule = policy_rule_for(&a->policy, a->o->name);
    const char *id = signature_key_id(sig);
    for (size_t i = 0; i < a->policy.n_keys; i++) {
        const struct policy_key *k = &a->policy.keys[i];
        if (k->key.scheme != sig->scheme || !policy_rule_has_key(rule, k->name)) continue;
        if (id[0] ? strcmp(id, k->key.id) == 0 : true) return k;
    }
    return NULL;
}

/* One signature's text. `given`: the user named it, so that it has to be good. */
static enum status consider(struct admission *a, const struct buf *text, const char *what,
                            bool given, struct error *err)
{
    struct signature sig;
    uint8_t sha256[SHA256_BYTES];
    if (!sha256_from_hex(a->o->sha256, sha256)) return error_set(err, ERR_INVALID, "no digest");
    struct error why = {0};
    enum status st = signature_parse(text->data ? text->data : "", text->len, what, &sig, &why);
    if (st && !given && st != ERR_NOMEM) { /* of another kind, PGP's say: as if there were none */
        store_notice(a->ev, "%s", why.msg);
        return OK;
    }
    if (st) return error_set(err, st, "%s", why.msg);
    const struct policy_key *k = key_for(a, &sig);
    if (!k && given) {
        st = error_set(err, ERR_INTEGRITY,
                       "%s is of a key (%.16s) that may not sign %s, or that is not known; to add "
                       "one: hearth trust add-key",
                       what, signature_key_id(&sig), a->o->name);
    } else if (!k) {
        store_notice(a->ev, "%s is of a key (%.16s) that the trust policy does not have for %s",
                     what, signature_key_id(&sig), a->o->name);
    } else if (sig.scheme == TRUST_MINISIGN && !a->record.has_blake2b && !a->o->blob) {
        a->added = true; /* it can be told only when the file is here */
    } else {
        struct signature_said said;
        uint8_t seen[SHA256_BYTES];
        if (sig.scheme == TRUST_MINISIGN && !a->record.has_blake2b) {
            st = minisign_hash(a->o->blob, NULL, NULL, a->record.blake2b, seen, err);
            if (st == OK && memcmp(seen, sha256, sizeof seen) != 0)
                st = error_set(err, ERR_INTEGRITY, "%s changed while it was checked", a->o->blob);
            a->record.has_blake2b = st == OK;
        }
        const uint8_t *blake2b = a->record.has_blake2b ? a->record.blake2b : NULL;
        if (st == OK) st = signature_check_digest(&sig, &k->key, sha256, blake2b, what, &said, err);
        if (st == OK) st = signature_record_add(&a->record, text->data, text->len, err);
        if (st == OK) a->added = true;
    }
    signature_fini(&sig);
    return st;
}

static enum status consider_source(struct admission *a, const char *source, bool given,
                                   struct error *err)
{
    struct buf text;
    struct error why = {0};
    buf_init(&text, BUNDLE_MAX_BYTES);
    enum status st = is_url(source) ? fetch_text(a, source, &text, &why)
                                    : file_read_regular(source, &text, &why);
    if (st == OK)
        st = consider(a, &text, source, given, err);
    else if (given || st == ERR_CANCELLED)
        error_set(err, st, "cannot get the signature %s: %s", source, why.msg);
    else {
        store_notice(a->ev, "cannot get the signature %s: %s", source, why.msg);
        st = OK; /* unsigned, which the policy judges */
    }
    buf_fini(&text);
    return st;
}

/* FILE.sig and FILE.minisig, as `hearth sign`, model-signing and minisign name them. */
static enum status consider_beside(struct admission *a, struct error *err)
{
    static const char *const suffixes[] = {".sig", ".minisig"};
    enum status st = OK;
    for (size_t i = 0; st == OK && i < 2; i++) {
        char *path;
        if (asprintf(&path, "%s%s", a->o->file, suffixes[i]) < 0)
            return error_set(err, ERR_NOMEM, "out of memory");
        if (file_exists(path)) st = consider_source(a, path, false, err);
        free(path);
    }
    return st;
}

static enum status judge(struct admission *a, struct error *err)
{
    struct store_trust t;
    enum status st = OK;
    if (a->o->blob && a->added) st = signature_record_write(a->s, &a->record, err);
    if (st == OK) st = store_trust_of(a->s, a->o->name, a->o->sha256, &t, err);
    if (st) return st;
    if (t.outcome == POLICY_REFUSE && (a->o->blob || !a->added))
        return error_set(
            err, ERR_INTEGRITY,
            "the trust policy refuses %s: %s; with its signature: hearth pull %s --signature FILE",
            a->o->name, t.words, a->o->name);
    if (a->o->blob && t.outcome == POLICY_WARN) store_notice(a->ev, "warning: %s", t.words);
    if (a->o->blob && t.is_signed) store_notice(a->ev, "%s", t.words);
    return OK;
}

enum status trust_admit(const struct store *s, const struct trust_offer *o,
                        const struct store_events *ev, struct error *err)
{
    struct admission a = {.s = s, .o = o, .ev = ev};
    enum status st = store_policy_read(s, &a.policy, err);
    if (st) return st;
    const char *listed = json_string_value(json_object_get(o->entry, "signature"));
    if (!a.policy.there && o->signature)
        st = error_set(
            err, ERR_INVALID,
            "there is no key to check %s with; add one first: hearth trust add-key NAME FILE",
            o->signature);
    if (a.policy.there) {
        st = signature_record_read(s, o->sha256, &a.record, err);
        if (st == OK && o->signature)
            st = consider_source(&a, o->signature, true, err);
        else if (st == OK && o->file)
            st = consider_beside(&a, err);
        else if (st == OK && listed && is_url(listed))
            st = consider_source(&a, listed, false, err);
        if (st == OK) st = judge(&a, err);
    }
    signature_record_fini(&a.record);
    policy_fini(&a.policy);
    return st;
}

void trust_forget(const struct store *s, const char *sha256)
{
    char *path;
    if (store_path(s, STORE_SIGNATURES, sha256, &path, NULL) != OK) return;
    unlink(path);
    free(path);
}
