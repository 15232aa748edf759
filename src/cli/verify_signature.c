#include "cli/verify_signature.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/signing.h"

struct check {
    const struct verify_signature_options *o;
    const char *typed;
    struct store *store; /* NULL where none can be */
    struct policy policy;
    struct buf text;
    struct signature sig;
    char name[STORE_NAME_SIZE]; /* "" = a path */
    struct store_model model;   /* where name is set */
    struct signing_screen screen;
    /* the outcome */
    char key_name[256], key_words[96], key_id[TRUST_KEY_ID_SIZE];
    struct signature_said said;
};

static enum status open_all(struct check *c, struct error *err)
{
    bool path = signing_is_path(c->typed);
    enum status st = store_open(NULL, &c->store, err);
    if (st && !path) return st;
    if (c->store) st = store_policy_read(c->store, &c->policy, err);
    /* With a key at hand a path can be checked whatever the policy is. */
    if (st && path && c->o->keys->len) st = OK;
    if (st == OK && !path) st = store_resolve(c->store, c->typed, c->name, err);
    if (st == OK && !path) st = store_find(c->store, c->name, &c->model, err);
    if (st == OK && c->model.problem)
        st = error_set(err, ERR_INTEGRITY, "model %s: %s; run: hearth pull %s", c->name,
                       c->model.problem, c->name);
    return st ? st : signature_read(c->o->signature, &c->text, &c->sig, err);
}

/* With one key; the file's own contents are read, whatever was recorded of them. */
static enum status with_key(struct check *c, const struct trust_key *k, struct error *err)
{
    const char *what = c->o->signature;
    struct signature_options opt = {.own_path = what,
                                    .follow_links = c->o->allow_symlinks,
                                    .progress = signing_progress,
                                    .ctx = &c->screen};
    if (!c->name[0]) return signature_check_path(&c->sig, k, c->typed, what, &opt, &c->said, err);
    if (c->sig.scheme == TRUST_MINISIGN)
        return signature_check_path(&c->sig, k, c->model.path, what, &opt, &c->said, err);
    uint8_t sha256[SHA256_BYTES];
    struct store_events ev = signing_events(&c->screen);
    if (!sha256_from_hex(c->model.sha256, sha256))
        return error_set(err, ERR_FORMAT, "%s has no digest", c->name);
    enum status st = signature_check_digest(&c->sig, k, sha256, NULL, what, &c->said, err);
    return st ? st : store_verify(c->store, c->name, &ev, err);
}

static enum status try_key(struct check *c, const char *named, struct error *err)
{
    struct trust_key k;
    struct store_events ev = signing_events(&c->screen);
    enum status st = signing_public_key(&c->policy, named, &k, err);
    if (st) return st;
    st = with_key(c, &k, err);
    if (st == OK && c->o->keep && c->name[0])
        st = store_signature_keep(c->store, c->name, c->text.data, c->text.len, c->o->signature, &k,
                                  &ev, NULL, err);
    if (st == OK) {
        snprintf(c->key_name, sizeof c->key_name, "%s", named);
        memcpy(c->key_id, k.id, sizeof c->key_id);
        trust_key_words(&k, c->key_words, sizeof c->key_words);
    }
    trust_key_fini(&k);
    return st;
}

/* The keys that may sign it, one after the other; the failure told is of the key that the signature
 * names. */
static enum status try_keys(struct check *c, struct error *err)
{
    const struct string_list *given = c->o->keys;
    const struct policy_rule *rule = c->name[0] ? policy_rule_for(&c->policy, c->name) : NULL;
    const char *id = signature_key_id(&c->sig);
    enum status st = ERR_NOT_FOUND;
    error_set(err, st,
              "no key of the trust policy made %s (it names key %.16s); say which: --key FILE, or "
              "add it: hearth "
              "trust add-key",
              c->o->signature, id[0] ? id : "none");
    if (given->len) {
        for (size_t i = 0; i < given->len && st != OK; i++) st = try_key(c, given->items[i], err);
        return st;
    }
    for (size_t i = 0; i < c->policy.n_keys && st != OK && st != ERR_CANCELLED; i++) {
        const struct policy_key *k = &c->policy.keys[i];
        if (k->key.scheme != c->sig.scheme || (id[0] && strcmp(id, k->key.id) != 0) ||
            !policy_rule_has_key(rule, k->name))
            continue;
        st = try_key(c, k->name, err);
    }
    return st;
}

static void print(const struct check *c, bool good, const struct error *err)
{
    if (!c->o->json) {
        if (!good) return;
        printf("%s is as it was signed: %s (%s), \"%s\"", c->name[0] ? c->name : c->typed,
               c->key_name, c->key_words, c->said.name);
        if (c->sig.scheme == TRUST_MODEL_SIGNING)
            printf(", %zu file%s", c->said.files, c->said.files == 1 ? "" : "s");
        puts(c->o->keep && c->name[0] ? "; the signature is kept" : "");
        return;
    }
    json_t *root =
        json_pack("{s:s, s:b, s:s, s:s}", "model", c->name[0] ? c->name : c->typed, "good",
                  (int)good, "kind", c->sig.scheme == TRUST_MINISIGN ? "minisign" : "model-signing",
                  "signature", c->o->signature);
    if (good)
        json_object_update_new(root, json_pack("{s:s, s:s, s:s?, s:I}", "key", c->key_name,
                                               "key_id", c->key_id, "says", c->said.name, "files",
                                               (json_int_t)c->said.files));
    else
        json_object_set_new(root, "problem", json_string(err->msg));
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

int verify_signature_run(const struct verify_signature_options *o, const char *model)
{
    struct error err = {0};
    struct check c = {.o = o, .typed = model};
    buf_init(&c.text, BUNDLE_MAX_BYTES);
    enum status st = open_all(&c, &err); /* at a pipe it may wait, and be interrupted */
    bool opened = st == OK;
    signing_begin(&c.screen, o->quiet);
    if (opened) st = try_keys(&c, &err);
    signing_end(&c.screen);
    int code = st ? cli_fail(&err) : EXIT_OK;
    if (opened) print(&c, st == OK, &err);
    signature_fini(&c.sig);
    buf_fini(&c.text);
    store_model_fini(&c.model);
    policy_fini(&c.policy);
    store_close(c.store);
    return code;
}
