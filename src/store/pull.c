/* Pulling: which digest is due, which sources may bring it, and the order of becoming visible:
 * bytes, digest, disk, name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "gguf/gguf.h"
#include "store/http.h"
#include "store/partial.h"
#include "store/source.h"
#include "store/source_http.h"
#include "store/store_int.h"
#include "store/trusted_int.h"

struct pull {
    const struct store *s;
    const struct pull_request *rq;
    const struct store_events *ev;
    struct catalogue_model entry;
    bool listed;             /* the name is in the catalogue */
    char digest[65];         /* due; "" = not known yet */
    const char *digest_from; /* see struct store_model */
    uint64_t bytes;          /* size due; 0 = not known */
    bool pin;                /* the digest is the hub's word and not pinned yet */
    char source[512];        /* that brought it, in words */
    json_t *origin;          /* the same as in a catalogue; NULL = not known; borrowed from entry */
    struct buf failures;     /* "SOURCE: reason; SOURCE: reason" */
    enum status failed;      /* the gravest of them */
    bool unreachable;        /* one of them was about the network */
};

/* ---- what is wanted ----------------------------------------------------------------------- */

static json_t *own_source(const struct pull_request *rq)
{
    struct stat sb;
    char ignored[STORE_NAME_SIZE];
    json_t *spec = NULL;
    if (rq->file && stat(rq->file, &sb) == 0 && S_ISDIR(sb.st_mode))
        return json_pack("{s:s, s:s, s:s}", "type", "store", "path", rq->file, "name", rq->name);
    if (rq->file) return json_pack("{s:s, s:s}", "type", "file", "path", rq->file);
    source_from_url(rq->url, &spec, ignored, NULL);
    if (!spec) spec = hub_spec_from_url(rq->url);
    return spec ? spec : json_pack("{s:s, s:s}", "type", "url", "url", rq->url);
}

/* Here and not as part of the entry, whose messages are about a catalogue's file. */
static enum status check_own_source(const struct pull_request *rq, const char *digest,
                                    struct error *err)
{
    if (rq->file && !*rq->file)
        return error_set(err, ERR_INVALID, "the name of the file to take the model from is empty");
    json_t *spec = own_source(rq);
    const struct source_type *type =
        source_type_find(spec ? json_string_value(json_object_get(spec, "type")) : "");
    enum status st =
        type ? type->check(spec, digest, err) : error_set(err, ERR_NOMEM, "out of memory");
    json_decref(spec);
    return st;
}

static enum status make_entry(struct pull *p, struct error *err)
{
    const struct pull_request *rq = p->rq;
    const struct catalogue_model *base = catalogue_find(p->s->catalogue, rq->name);
    if (base && strcmp(base->name, rq->name) != 0) base = NULL;
    p->listed = base != NULL;
    if (!base && !rq->url && !rq->file)
        return error_set(err, ERR_NOT_FOUND,
                         "%s is not in the catalogue, so it has no source; use "
                         "--from FILE, or give its URL",
                         rq->name);
    if (rq->sha256 && !store_digest_valid(rq->sha256))
        return error_set(err, ERR_INVALID, "--sha256 takes 64 lower-case hexadecimal digits");
    if (rq->sha256 && base && base->sha256 && strcmp(rq->sha256, base->sha256) != 0)
        return error_set(err, ERR_INVALID, "the catalogue lists SHA-256 %s for %s", base->sha256,
                         rq->name);
    if (rq->url || rq->file) {
        const char *due = rq->sha256 ? rq->sha256 : base ? base->sha256 : NULL;
        enum status st = check_own_source(rq, due, err);
        if (st) return st;
    }
    json_t *json = base ? json_deep_copy(base->json) : json_pack("{s:s}", "name", rq->name);
    int rc = json ? 0 : -1;
    if (rc == 0 && (rq->url || rq->file))
        rc = json_object_set_new(json, "sources", json_pack("[o]", own_source(rq)));
    if (rc == 0 && rq->sha256) rc = json_object_set_new(json, "sha256", json_string(rq->sha256));
    enum status st = rc ? error_set(err, ERR_NOMEM, "out of memory")
                        : catalogue_model_parse(json, "this pull", 0, &p->entry, err);
    json_decref(json);
    if (st) return st;
    if (p->entry.sha256) {
        memcpy(p->digest, p->entry.sha256, sizeof p->digest);
        p->digest_from = base && base->sha256 ? "catalogue" : "user";
    }
    p->bytes = p->entry.bytes;
    return OK;
}

/* ---- failures of sources ------------------------------------------------------------------ */

static bool next_may_help(enum status st)
{
    return st == ERR_NETWORK || st == ERR_NOT_FOUND || st == ERR_UNSUPPORTED ||
           st == ERR_INTEGRITY || st == ERR_FORMAT || st == ERR_LIMIT || st == ERR_INVALID;
}

static void note_failure(struct pull *p, const struct model_source *src, size_t index,
                         const struct error *why)
{
    char words[512];
    src->type->describe(src->spec, words, sizeof words);
    if (p->failures.len) buf_append_str(&p->failures, "; ");
    buf_printf(&p->failures, "%.120s: %.250s", words, why->msg);
    if (why->code == ERR_NETWORK) p->unreachable = true;
    if (p->failed != ERR_INTEGRITY) p->failed = why->code;
    if (p->entry.n_sources == 1) return; /* the error itself will say it */
    bool more = index + 1 < p->entry.n_sources;
    store_notice(p->ev, "%s: %s%s", words, why->msg, more ? "; trying the next source" : "");
}

static enum status all_failed(const struct pull *p, struct error *err)
{
    size_t n = p->entry.n_sources;
    if (n == 0) return error_set(err, ERR_NOT_FOUND, "%s has no source", p->rq->name);
    const char *advice = p->unreachable && !p->rq->file
                             ? "; check the network or proxy, or use a copy: --from FILE"
                             : "";
    const char *reasons = p->failures.data ? p->failures.data : "out of memory";
    if (n == 1)
        return error_set(err, p->failed, "cannot pull %s from %.600s%s", p->rq->name, reasons,
                         advice);
    return error_set(err, p->failed, "cannot pull %s, %zu sources tried: %.600s%s", p->rq->name, n,
                     reasons, advice);
}

/* ---- the digest that is due --------------------------------------------------------------- */

/* Asks the sources in turn. OK with p->digest "" where none told. */
static enum status ask_sources(struct pull *p, struct source_facts *facts, struct error *err)
{
    *facts = (struct source_facts){0};
    for (size_t i = 0; i < p->entry.n_sources; i++) {
        const struct model_source *src = &p->entry.sources[i];
        struct error why = {0};
        enum status st = OK;
        if (src->type->probe) st = src->type->probe(src->spec, p->s, p->ev, facts, &why);
        if (st && !next_may_help(st)) return error_set(err, st, "%s", why.msg);
        if (st == OK && facts->digest[0]) return OK;
        if (st == OK)
            error_set(&why, ERR_INTEGRITY,
                      "it publishes no SHA-256, so what came from there could "
                      "not be checked; give the digest with --sha256");
        *facts = (struct source_facts){0};
        note_failure(p, src, i, &why);
    }
    return OK;
}

/* For models whose digest the catalogue does not know. `*keep` where an installed model stays as it
 * is because nobody could be asked. */
static enum status learn_digest(struct pull *p, bool installed, bool *keep, struct error *err)
{
    char pinned[65] = "";
    struct source_facts facts;
    enum status st = pin_read(p->s, p->rq->name, pinned, err);
    if (st && st != ERR_NOT_FOUND) return st;
    bool ask_pin = !p->rq->file && pinned[0];
    st = ask_sources(p, &facts, err);
    if (st) return st;
    if (facts.digest[0]) {
        if (ask_pin && strcmp(pinned, facts.digest) != 0)
            return error_set(
                err, ERR_INTEGRITY,
                "the hub now publishes another file for %s: SHA-256 %s, while %s was "
                "pinned at the first pull; refused. If the change is meant, run: hearth "
                "rm --forget-pin %s",
                p->rq->name, facts.digest, pinned, p->rq->name);
        memcpy(p->digest, facts.digest, sizeof p->digest);
        if (facts.bytes) p->bytes = facts.bytes;
        p->digest_from = facts.computed ? "file" : "hub";
        p->pin = !facts.computed && !pinned[0];
        if (p->pin)
            store_notice(p->ev,
                         "the catalogue has no digest for %s; the hub publishes SHA-256 %s, "
                         "which is pinned from now on",
                         p->rq->name, p->digest);
        return OK;
    }
    if (!ask_pin || !p->unreachable) return all_failed(p, err);
    *keep = installed;
    memcpy(p->digest, pinned, sizeof p->digest);
    p->digest_from = "hub";
    return OK;
}

/* ---- what is there already ---------------------------------------------------------------- */

/* Whether the name is installed and stands for the digest that is due. */
static enum status is_present(const struct pull *p, const struct store_model *m, bool *yes,
                              struct error *err)
{
    *yes = false;
    if (m->problem) {
        store_notice(p->ev, "%s is installed, but %s; pulling it again", m->name, m->problem);
        return OK;
    }
    if (p->digest[0] && strcmp(m->sha256, p->digest) != 0) {
        store_notice(p->ev, "%s is installed as another file; replacing it", m->name);
        return OK;
    }
    *yes = true;
    if (!p->rq->verify) return OK;
    struct error why = {0};
    enum status st = store_check_file(m->path, m->sha256, p->ev, &why);
    if (st == OK) return OK;
    if (st != ERR_INTEGRITY) return error_set(err, st, "%s", why.msg);
    store_notice(p->ev, "%s; pulling it again", why.msg);
    *yes = false;
    return OK;
}

/* A blob left by a pull that was killed before its manifest, or shared with another name. One that
 * does not have its digest is deleted, so that all names of it get the good file. */
static enum status adopt_blob(struct pull *p, const char *blob, bool *there, struct error *err)
{
    struct stat sb;
    struct error why = {0};
    *there = false;
    if (stat(blob, &sb) != 0) return OK;
    enum status st = store_check_file(blob, p->digest, p->ev, &why);
    if (st == OK) {
        *there = true;
        p->bytes = (uint64_t)sb.st_size;
        snprintf(p->source, sizeof p->source, "the store itself");
        return OK;
    }
    if (st != ERR_INTEGRITY) return error_set(err, st, "%s", why.msg);
    if (unlink(blob) != 0)
        return error_set(err, ERR_IO, "cannot remove %s: %s", blob, strerror(errno));
    return OK;
}

/* ---- fetching ----------------------------------------------------------------------------- */

/* One source; the model lies among the blobs when it returns OK. `*resumed` tells whether it went
 * on from a beginning that was there before. */
static enum status fetch_once(struct pull *p, const struct model_source *src, bool *resumed,
                              struct error *err)
{
    struct partial part;
    enum status st = partial_open(p->s, p->digest, p->bytes, p->ev, &part, err);
    if (st) return st;
    *resumed = part.len > 0;
    if (*resumed) store_notice(p->ev, "resuming: %.1f MB are here already", (double)part.len / 1e6);
    if (p->bytes) st = store_need_space(p->s, p->bytes - part.len, err);
    struct fetch f = {
        .store = p->s,
        .events = p->ev,
        .digest = p->digest,
        .part = &part,
        .digest_given = strcmp(p->digest_from, "hub") != 0,
    };
    if (st == OK) st = src->type->fetch(src->spec, &f, err);
    uint64_t size = part.len;
    if (st == OK)
        st = partial_finish(&part, err);
    else
        partial_close(&part);
    if (st == OK) p->bytes = size;
    return st;
}

/* Where the checksum of a resumed file is wrong, its beginning may be at fault (a power cut,
 * another source): the source gets one chance without it. */
static enum status fetch_from(struct pull *p, const struct model_source *src, struct error *err)
{
    bool resumed = false;
    enum status st = fetch_once(p, src, &resumed, err);
    if (st != ERR_INTEGRITY || !resumed) return st;
    char *path;
    bool deleted =
        store_path(p->s, STORE_PARTIAL, p->digest, &path, NULL) == OK && !file_exists(path);
    free(path);
    if (!deleted) return st; /* the source was refused before it sent anything */
    store_notice(p->ev, "%s; starting over", err->msg);
    return fetch_once(p, src, &resumed, err);
}

static enum status fetch_any(struct pull *p, struct error *err)
{
    buf_clear(&p->failures);
    p->failed = OK;
    p->unreachable = false;
    for (size_t i = 0; i < p->entry.n_sources; i++) {
        const struct model_source *src = &p->entry.sources[i];
        struct error why = {0};
        src->type->describe(src->spec, p->source, sizeof p->source);
        store_notice(p->ev, "pulling %s from %s", p->rq->name, p->source);
        enum status st = fetch_from(p, src, &why);
        if (st == OK) {
            p->origin = (json_t *)src->spec;
            return OK;
        }
        if (st == ERR_CANCELLED)
            return error_set(err, st,
                             "interrupted; what was downloaded is kept, and the next pull of "
                             "%s goes on from there",
                             p->rq->name);
        if (!next_may_help(st))
            return error_set(err, st, "cannot pull %s: %s", p->rq->name, why.msg);
        why.code = st;
        note_failure(p, src, i, &why);
    }
    return all_failed(p, err);
}

/* ---- becoming visible --------------------------------------------------------------------- */

static void drop_blob(const struct pull *p)
{
    struct store_lock commit;
    uint64_t freed;
    if (store_lock_take(p->s, STORE_LOCK_COMMIT, NULL, "the store", NULL, &commit, NULL) == OK)
        blob_release(p->s, p->digest, true, &freed, NULL);
    store_lock_drop(&commit);
}

/* The catalogue vouches for its own files; others are opened once, and tell what they are. */
static enum status check_model(struct pull *p, const char *blob, struct error *err)
{
    if (strcmp(p->digest_from, "catalogue") == 0) return OK;
    struct gguf *g;
    enum status st = gguf_open(blob, &g, err);
    if (st) {
        drop_blob(p);
        return error_prefix(err, "what came from %s is no usable model", p->source);
    }
    if (!p->listed) facts_add(g, p->entry.json);
    gguf_close(g);
    return OK;
}

/* blob NULL: before anything is fetched. A file that turns out to be refused does not stay. */
static enum status admit(struct pull *p, const char *blob, struct error *err)
{
    struct trust_offer o = {.name = p->rq->name, .sha256 = p->digest, .signature = p->rq->signature,
                            .file = p->rq->file, .entry = p->entry.json, .blob = blob};
    enum status st = trust_admit(p->s, &o, p->ev, err);
    if (st != OK && blob) drop_blob(p);
    return st;
}

/* The policy, or the signature, may be newer than the model. */
static enum status admit_present(struct pull *p, const struct store_model *m, struct error *err)
{
    struct store_lock lock;
    memcpy(p->digest, m->sha256, sizeof p->digest);
    enum status st = store_lock_take(p->s, STORE_LOCK_DIGEST, p->digest, m->name, p->ev, &lock, err);
    if (st == OK) st = admit(p, m->path, err);
    store_lock_drop(&lock);
    return st;
}

/* Gives the file its name. Under the name's and the digest's lock. */
static enum status commit(struct pull *p, const char *old_digest, struct error *err)
{
    struct store_lock lock;
    enum status st = store_lock_take(p->s, STORE_LOCK_COMMIT, NULL, "the store", p->ev, &lock, err);
    if (st) return st;
    json_t *model = json_copy(p->entry.json);
    if (model) json_object_del(model, "sources");
    struct manifest m = {
        .name = p->rq->name,
        .sha256 = p->digest,
        .source = p->source,
        .digest_from = p->digest_from,
        .bytes = p->bytes,
        .model = model,
        .origin = p->origin,
    };
    if (!model) st = error_set(err, ERR_NOMEM, "out of memory");
    /* The pin first: a name without its pin would accept whatever the hub says next time. */
    if (st == OK && p->pin) st = pin_write(p->s, m.name, m.sha256, m.source, err);
    if (st == OK) st = manifest_write(p->s, &m, err);
    uint64_t freed;
    if (st == OK && old_digest[0] && strcmp(old_digest, p->digest) != 0)
        st = blob_release(p->s, old_digest, false, &freed, err);
    json_decref(model);
    store_lock_drop(&lock);
    return st;
}

/* A beginning without a byte is nothing to go on with. Under the digest's lock. */
static void drop_empty_partial(const struct pull *p)
{
    char *path = NULL, *note = NULL;
    struct stat sb;
    if (store_path(p->s, STORE_PARTIAL, p->digest, &path, NULL) == OK &&
        store_path(p->s, STORE_PARTIAL_NOTE, p->digest, &note, NULL) == OK &&
        lstat(path, &sb) == 0 && sb.st_size == 0) {
        unlink(path);
        unlink(note);
    }
    free(path);
    free(note);
}

static enum status obtain(struct pull *p, const char *old_digest, struct error *err)
{
    struct store_lock lock;
    char *blob = NULL;
    bool there;
    enum status st =
        store_lock_take(p->s, STORE_LOCK_DIGEST, p->digest, p->rq->name, p->ev, &lock, err);
    if (st) return st;
    st = store_path(p->s, STORE_BLOB, p->digest, &blob, err);
    if (st == OK) st = admit(p, NULL, err);
    if (st == OK) st = adopt_blob(p, blob, &there, err);
    if (st == OK && !there && (st = fetch_any(p, err)) != OK) drop_empty_partial(p);
    if (st == OK) st = check_model(p, blob, err);
    if (st == OK) st = admit(p, blob, err);
    if (st == OK) st = commit(p, old_digest, err);
    free(blob);
    store_lock_drop(&lock);
    return st;
}

/* A digest known beforehand makes the user's file unneeded where the model is there: unlike one
 * computed from the file, which then has been read. */
static enum status file_not_read(const struct pull *p, struct error *err)
{
    const char *file = p->rq->file;
    if (!file || strcmp(p->digest_from, "file") == 0) return OK;
    if (access(file, R_OK) != 0)
        return error_set(err, ERR_NOT_FOUND, "%s is installed already, but cannot open %s: %s",
                         p->rq->name, file, strerror(errno));
    store_notice(p->ev, "%s was not read: %s is installed already", file, p->rq->name);
    return OK;
}

static enum status pull_locked(struct pull *p, enum pull_outcome *outcome, struct store_model *out,
                               struct error *err)
{
    bool present = false, keep = false;
    char old_digest[65] = "";
    store_sweep(p->s);
    enum status st = store_find(p->s, p->rq->name, out, err);
    if (st && st != ERR_NOT_FOUND) return st;
    bool installed = st == OK;
    if (installed) memcpy(old_digest, out->sha256, sizeof old_digest);
    st = OK;
    if (!p->digest[0]) st = learn_digest(p, installed && !out->problem, &keep, err);
    if (st == OK && installed) st = is_present(p, out, &present, err);
    if (st == OK && (present || keep)) {
        *outcome = PULL_PRESENT;
        st = admit_present(p, out, err);
        if (st == OK) return file_not_read(p, err);
    }
    store_model_fini(out);
    if (st) return st;
    *outcome = PULL_FETCHED;
    st = obtain(p, old_digest, err);
    return st ? st : store_find(p->s, p->rq->name, out, err);
}

enum status store_pull(const struct store *s, const struct pull_request *rq,
                       const struct store_events *ev, enum pull_outcome *outcome,
                       struct store_model *out, struct error *err)
{
    struct pull p = {.s = s, .rq = rq, .ev = ev};
    struct store_lock lock = {-1};
    struct error local;
    if (!err) err = &local; /* messages of one attempt are used in the next */
    *out = (struct store_model){0};
    buf_init(&p.failures, 4096);
    enum status st = make_entry(&p, err);
    if (st == OK) st = file_make_dirs(s->root, err);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_NAME, rq->name, rq->name, ev, &lock, err);
    if (st == OK) st = pull_locked(&p, outcome, out, err);
    store_lock_drop(&lock);
    catalogue_model_fini(&p.entry);
    buf_fini(&p.failures);
    return st;
}

enum status store_name_from_url(const char *url, char name[STORE_NAME_SIZE], struct error *err)
{
    json_t *spec;
    char text[STORE_NAME_SIZE];
    enum status st = source_from_url(url, &spec, text, err);
    bool known = spec != NULL;
    json_decref(spec);
    if (st) return st;
    if (!known) {
        if (!strstr(url, "://") || !store_name_from_file(url, name))
            return error_set(err, ERR_INVALID, "say what to call it: --name NAME");
        return OK;
    }
    char *colon = strchr(text, ':'), family[STORE_NAME_SIZE], tag[STORE_NAME_SIZE];
    if (colon) *colon = 0;
    if (!store_name_from_file(text, family) ||
        !store_name_from_file(colon ? colon + 1 : "latest", tag))
        return error_set(err, ERR_INVALID, "say what to call it: --name NAME");
    snprintf(name, STORE_NAME_SIZE, "%.64s:%.64s", family, tag);
    return OK;
}
