#include "trust/bundle.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "trust/base64.h"

static const char media_type[] = "application/vnd.dev.sigstore.bundle.v0.3+json";
static const char payload_type[] = "application/vnd.in-toto+json";

/* Whether an object has no field but those of the list, which ends with NULL. */
static bool only_fields(const json_t *obj, const char *const *allowed)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)obj, key, value)
    {
        const char *const *a = allowed;
        while (*a && strcmp(*a, key) != 0) a++;
        if (!*a) return false;
    }
    return json_is_object(obj);
}

static const char *text_of(const json_t *obj, const char *field)
{
    return json_string_value(json_object_get(obj, field));
}

static bool is_text(const json_t *obj, const char *field, const char *wanted)
{
    const char *s = text_of(obj, field);
    return s && strcmp(s, wanted) == 0;
}

static enum status decode(const json_t *obj, const char *field, struct buf *out)
{
    const json_t *j = json_object_get(obj, field);
    if (!json_is_string(j)) return ERR_FORMAT;
    return base64_decode(json_string_value(j), json_string_length(j), out);
}

static enum status parse_material(const json_t *m, const char *what, struct bundle *out,
                                  struct error *err)
{
    /* rawBytes and keyDetails: written by the package's first version and never believed. */
    static const char *const fields[] = {"publicKey", "tlogEntries", NULL};
    static const char *const key_fields[] = {"hint", "rawBytes", "keyDetails", NULL};
    if (json_object_get(m, "certificate") || json_object_get(m, "x509CertificateChain"))
        return error_set(
            err, ERR_UNSUPPORTED,
            "%s was made with a certificate (keyless); Hearth checks signatures made with keys",
            what);
    const json_t *key = json_object_get(m, "publicKey"), *log = json_object_get(m, "tlogEntries");
    const json_t *hint = json_object_get(key, "hint");
    if (!only_fields(m, fields) || !only_fields(key, key_fields) ||
        (log && (!json_is_array(log) || json_array_size(log))) || (hint && !json_is_string(hint)) ||
        json_string_length(hint) >= sizeof out->hint)
        return error_set(err, ERR_FORMAT, "%s names no public key as a bundle must", what);
    if (hint) memcpy(out->hint, json_string_value(hint), json_string_length(hint) + 1);
    return OK;
}

static enum status parse_envelope(const json_t *e, const char *what, struct bundle *out,
                                  struct error *err)
{
    static const char *const fields[] = {"payload", "payloadType", "signatures", NULL};
    static const char *const sig_fields[] = {"sig", "keyid", NULL};
    const json_t *list = json_object_get(e, "signatures"), *one = json_array_get(list, 0);
    const json_t *keyid = json_object_get(one, "keyid");
    if (!only_fields(e, fields) || json_array_size(list) != 1 || !only_fields(one, sig_fields) ||
        (keyid && json_string_length(keyid) != 0) || (keyid && !json_is_string(keyid)))
        return error_set(err, ERR_FORMAT, "%s holds no envelope with one signature", what);
    if (!is_text(e, "payloadType", payload_type))
        return error_set(err, ERR_FORMAT, "%s signs something else than an in-toto statement",
                         what);
    enum status st = decode(e, "payload", &out->payload);
    if (st == OK) st = decode(one, "sig", &out->sig);
    if (st == ERR_FORMAT) return error_set(err, st, "%s holds broken base64", what);
    return st ? error_set(err, st, "no memory for %s", what) : OK;
}

enum status bundle_parse(const char *text, size_t len, const char *what, struct bundle *out,
                         struct error *err)
{
    static const char *const fields[] = {"mediaType", "verificationMaterial", "dsseEnvelope", NULL};
    json_error_t je;
    memset(out, 0, sizeof *out);
    buf_init(&out->payload, BUNDLE_MAX_BYTES);
    buf_init(&out->sig, 1024);
    if (len > BUNDLE_MAX_BYTES)
        return error_set(err, ERR_LIMIT, "%s is too long for a signature", what);
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!root) return error_set(err, ERR_FORMAT, "%s: line %d: %s", what, je.line, je.text);
    enum status st = OK;
    if (!is_text(root, "mediaType", media_type))
        st = error_set(err, ERR_FORMAT, "%s is no Sigstore bundle of version 0.3", what);
    else if (json_object_get(root, "messageSignature"))
        st = error_set(err, ERR_UNSUPPORTED, "%s signs a single message, not a model", what);
    else if (!only_fields(root, fields))
        st = error_set(err, ERR_FORMAT, "%s has fields that a bundle must not have", what);
    if (st == OK)
        st = parse_material(json_object_get(root, "verificationMaterial"), what, out, err);
    if (st == OK) st = parse_envelope(json_object_get(root, "dsseEnvelope"), what, out, err);
    json_decref(root);
    if (st) bundle_fini(out);
    return st;
}

void bundle_fini(struct bundle *b)
{
    buf_fini(&b->payload);
    buf_fini(&b->sig);
}

/* The bytes that are signed: DSSE's pre-authentication encoding. */
static enum status encode_for_signing(const void *payload, size_t len, struct buf *out)
{
    enum status st =
        buf_printf(out, "DSSEv1 %zu %s %zu ", sizeof payload_type - 1, payload_type, len);
    return st ? st : buf_append(out, payload, len);
}

static enum status check_signature(const struct bundle *b, const struct trust_key *k,
                                   const char *what, struct error *err)
{
    char key[64];
    trust_key_words(k, key, sizeof key);
    if (k->scheme != TRUST_MODEL_SIGNING)
        return error_set(err, ERR_INTEGRITY, "%s was not made with a minisign key", what);
    if (b->hint[0] && strcmp(b->hint, k->id) != 0)
        return error_set(err, ERR_INTEGRITY, "%s names another key (%.16s) than the %s", what,
                         b->hint, key);
    struct buf signed_bytes;
    buf_init(&signed_bytes, BUNDLE_MAX_BYTES + 128);
    enum status st = encode_for_signing(b->payload.data, b->payload.len, &signed_bytes);
    if (st)
        error_set(err, st, "no memory to check %s", what);
    else if ((st = trust_key_check(k, signed_bytes.data, signed_bytes.len, b->sig.data, b->sig.len,
                                   err)) == ERR_INTEGRITY)
        error_set(err, st, "%s was not made by the %s, or it was changed", what, key);
    buf_fini(&signed_bytes);
    return st;
}

static bool digest_of(const json_t *obj, const char *field, uint8_t digest[SHA256_BYTES])
{
    const json_t *j = json_object_get(obj, field);
    const char *s = json_string_value(j);
    return s && json_string_length(j) == strlen(s) && strspn(s, "0123456789abcdef") == strlen(s) &&
           sha256_from_hex(s, digest);
}

/* A path: text without NUL, in its normal form. */
static const char *path_of(const json_t *j)
{
    const char *s = json_string_value(j);
    return s && json_string_length(j) == strlen(s) && filetree_name_valid(s) ? s : NULL;
}

static enum status read_serialization(const json_t *s, const char *what, struct bundle_claim *c,
                                      struct error *err)
{
    const char *method = text_of(s, "method"), *hash = text_of(s, "hash_type");
    const json_t *links = json_object_get(s, "allow_symlinks"),
                 *list = json_object_get(s, "ignore_paths");
    if (!method || !hash || !json_is_boolean(links) || (list && !json_is_array(list)))
        return error_set(err, ERR_FORMAT, "%s does not say how the model was hashed", what);
    if (strcmp(method, "files") != 0 || strcmp(hash, "sha256") != 0)
        return error_set(
            err, ERR_UNSUPPORTED,
            "%s has the model hashed by %.40s with %.40s; Hearth checks 'files' with sha256", what,
            method, hash);
    c->follow_links = json_is_true(links);
    size_t n = json_array_size(list);
    if (n > BUNDLE_MAX_IGNORE)
        return error_set(err, ERR_LIMIT, "%s leaves out more than %d paths", what,
                         BUNDLE_MAX_IGNORE);
    if (n && !(c->ignore = calloc(n, sizeof *c->ignore)))
        return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        const char *path = path_of(json_array_get(list, i));
        if (!path || strcmp(path, ".") == 0)
            return error_set(err, ERR_FORMAT, "%s leaves out a path that is none in a model", what);
        if (!(c->ignore[i] = strdup(path))) return error_set(err, ERR_NOMEM, "out of memory");
        c->n_ignore++;
    }
    return OK;
}

static int by_name(const void *a, const void *b)
{
    return filetree_name_compare((*(const struct filetree_file *const *)a)->name,
                                 (*(const struct filetree_file *const *)b)->name);
}

static enum status names_unique(const struct filetree *t, const char *what, struct error *err)
{
    const struct filetree_file **order = malloc(t->n * sizeof *order);
    if (!order) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < t->n; i++) order[i] = &t->files[i];
    qsort(order, t->n, sizeof *order, by_name);
    enum status st = OK;
    for (size_t i = 1; st == OK && i < t->n; i++)
        if (by_name(&order[i - 1], &order[i]) == 0)
            st = error_set(err, ERR_FORMAT, "%s lists %s twice", what, order[i]->name);
    free(order);
    return st;
}

static enum status read_resources(const json_t *list, const char *what, struct bundle_claim *c,
                                  struct error *err)
{
    size_t i;
    json_t *r;
    if (json_array_size(list) == 0) return error_set(err, ERR_FORMAT, "%s lists no file", what);
    json_array_foreach(list, i, r)
    {
        uint8_t digest[SHA256_BYTES];
        const char *name = path_of(json_object_get(r, "name"));
        if (!is_text(r, "algorithm", "sha256") || !name || !digest_of(r, "digest", digest))
            return error_set(err, ERR_FORMAT, "%s: file %zu has no path or no SHA-256", what,
                             i + 1);
        if (strcmp(name, ".") == 0 && json_array_size(list) != 1)
            return error_set(err, ERR_FORMAT, "%s lists a file and a folder as one", what);
        enum status st = filetree_add(&c->tree, name, digest, err);
        if (st) return st;
    }
    return names_unique(&c->tree, what, err);
}

static enum status read_statement(const json_t *root, const char *what, struct bundle_claim *c,
                                  struct error *err)
{
    uint8_t due[SHA256_BYTES], root_digest[SHA256_BYTES];
    const json_t *subjects = json_object_get(root, "subject"),
                 *subject = json_array_get(subjects, 0);
    const json_t *predicate = json_object_get(root, "predicate"),
                 *name = json_object_get(subject, "name");
    if (!is_text(root, "_type", "https://in-toto.io/Statement/v1"))
        return error_set(err, ERR_FORMAT, "%s signs no in-toto statement of version 1", what);
    if (!is_text(root, "predicateType", "https://model_signing/signature/v1.0"))
        return error_set(err, ERR_UNSUPPORTED,
                         "%s is about something else than a model (version 1.0)", what);
    if (json_array_size(subjects) != 1 || !json_is_string(name) ||
        !digest_of(json_object_get(subject, "digest"), "sha256", due))
        return error_set(err, ERR_FORMAT, "%s does not name one model with its SHA-256", what);
    if (!(c->name = strdup(json_string_value(name))))
        return error_set(err, ERR_NOMEM, "out of memory");
    enum status st = read_serialization(json_object_get(predicate, "serialization"), what, c, err);
    if (st == OK) st = read_resources(json_object_get(predicate, "resources"), what, c, err);
    if (st == OK && (st = filetree_root(&c->tree, root_digest)) != OK)
        error_set(err, st, "out of memory");
    if (st == OK && memcmp(due, root_digest, sizeof due) != 0)
        st = error_set(err, ERR_INTEGRITY,
                       "%s contradicts itself: its files have another SHA-256 than it says", what);
    return st;
}

enum status bundle_open(const struct bundle *b, const struct trust_key *k, const char *what,
                        struct bundle_claim *out, struct error *err)
{
    json_error_t je;
    *out = (struct bundle_claim){0};
    enum status st = check_signature(b, k, what, err);
    if (st) return st;
    json_t *root = json_loadb(b->payload.data ? b->payload.data : "", b->payload.len,
                              JSON_REJECT_DUPLICATES, &je);
    if (!root) return error_set(err, ERR_FORMAT, "what %s signs is no JSON: %s", what, je.text);
    st = read_statement(root, what, out, err);
    json_decref(root);
    if (st) bundle_claim_fini(out);
    return st;
}

void bundle_claim_fini(struct bundle_claim *c)
{
    free(c->name);
    for (size_t i = 0; i < c->n_ignore; i++) free(c->ignore[i]);
    free(c->ignore);
    filetree_fini(&c->tree);
    *c = (struct bundle_claim){0};
}

/* ---- writing ------------------------------------------------------------------------------- */

static json_t *resources_json(const struct filetree *t)
{
    json_t *list = json_array();
    for (size_t i = 0; list && i < t->n; i++) {
        char hex[SHA256_HEX_SIZE];
        sha256_hex(t->files[i].digest, hex);
        json_t *r = json_pack("{s:s, s:s, s:s}", "name", t->files[i].name, "algorithm", "sha256",
                              "digest", hex);
        if (json_array_append_new(list, r) == 0) continue;
        json_decref(list);
        list = NULL;
    }
    return list;
}

static json_t *statement_json(const struct bundle_claim *c)
{
    uint8_t root[SHA256_BYTES];
    char hex[SHA256_HEX_SIZE];
    if (filetree_root(&c->tree, root) != OK) return NULL;
    sha256_hex(root, hex);
    json_t *how = json_pack("{s:s, s:s, s:b}", "method", "files", "hash_type", "sha256",
                            "allow_symlinks", (int)c->follow_links);
    json_t *ignore = c->n_ignore ? json_array() : NULL;
    for (size_t i = 0; i < c->n_ignore; i++)
        json_array_append_new(ignore, json_string(c->ignore[i]));
    if (c->n_ignore && (json_array_size(ignore) != c->n_ignore ||
                        json_object_set_new(how, "ignore_paths", ignore) != 0)) {
        json_decref(how);
        return NULL;
    }
    return json_pack("{s:s, s:[{s:s, s:{s:s}}], s:s, s:{s:o, s:o}}", "_type",
                     "https://in-toto.io/Statement/v1", "subject", "name", c->name, "digest",
                     "sha256", hex, "predicateType", "https://model_signing/signature/v1.0",
                     "predicate", "serialization", how, "resources", resources_json(&c->tree));
}

static json_t *envelope_json(const char *payload, const struct trust_key *k, struct error *err)
{
    struct buf bytes, sig, payload64, sig64;
    json_t *out = NULL;
    buf_init(&bytes, BUNDLE_MAX_BYTES + 128);
    buf_init(&sig, 1024);
    buf_init(&payload64, 2 * (size_t)BUNDLE_MAX_BYTES);
    buf_init(&sig64, 2048);
    size_t len = strlen(payload);
    enum status st = encode_for_signing(payload, len, &bytes);
    if (st == OK) st = base64_encode(payload, len, &payload64);
    if (st)
        error_set(err, st, "no memory for the signature");
    else if ((st = trust_key_sign(k, bytes.data, bytes.len, &sig, err)) == OK &&
             base64_encode(sig.data, sig.len, &sig64) == OK)
        out = json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "payload", payload64.data, "payloadType",
                        payload_type, "signatures", "sig", sig64.data, "keyid", "");
    buf_fini(&bytes);
    buf_fini(&sig);
    buf_fini(&payload64);
    buf_fini(&sig64);
    return out;
}

enum status bundle_write(const struct bundle_claim *c, const struct trust_key *k, struct buf *out,
                         struct error *err)
{
    if (k->scheme != TRUST_MODEL_SIGNING)
        return error_set(err, ERR_INVALID,
                         "OpenSSF model signing takes P-256, P-384 and P-521 keys, not minisign's");
    struct error why = {0};
    json_t *statement = statement_json(c), *envelope = NULL, *root = NULL;
    char *payload = statement ? json_dumps(statement, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL,
         *text = NULL;
    if (payload) envelope = envelope_json(payload, k, &why);
    if (envelope)
        root = json_pack("{s:s, s:{s:{s:s}, s:[]}, s:o}", "mediaType", media_type,
                         "verificationMaterial", "publicKey", "hint", k->id, "tlogEntries",
                         "dsseEnvelope", envelope);
    if (root) text = json_dumps(root, JSON_COMPACT | JSON_PRESERVE_ORDER);
    enum status st = text ? buf_append_str(out, text) : why.code ? why.code : ERR_NOMEM;
    if (st) error_set(err, st, "%s", why.code ? why.msg : "no memory for the signature");
    free(text);
    free(payload);
    json_decref(root);
    json_decref(statement);
    return st;
}
