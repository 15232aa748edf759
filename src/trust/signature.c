#include "trust/signature.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"

/* Left out of signatures unless the user wants otherwise: what Git adds to a folder; as
 * model-signing does. */
static const char *const git_paths[] = {".git", ".gitattributes", ".github", ".gitignore"};
enum { N_GIT_PATHS = sizeof git_paths / sizeof git_paths[0] };

enum status signature_parse(const char *text, size_t len, const char *what, struct signature *out,
                            struct error *err)
{
    memset(out, 0, sizeof *out);
    size_t at = 0;
    while (at < len && strchr(" \t\r\n", text[at]) && text[at]) at++;
    if (at < len && text[at] == '{') return bundle_parse(text, len, what, &out->bundle, err);
    out->scheme = TRUST_MINISIGN;
    if (len >= 10 && memcmp(text, "untrusted ", 10) == 0)
        return minisign_parse(text, len, what, &out->minisign, err);
    return error_set(err, ERR_FORMAT,
                     "%s is no signature: neither of OpenSSF model signing nor of minisign", what);
}

enum status signature_read(const char *path, struct buf *text, struct signature *out,
                           struct error *err)
{
    struct buf own;
    buf_init(&own, BUNDLE_MAX_BYTES);
    if (!text) text = &own;
    memset(out, 0, sizeof *out);
    enum status st = file_read_all(path, text, err);
    if (st == OK) st = signature_parse(text->data ? text->data : "", text->len, path, out, err);
    buf_fini(&own);
    return st;
}

void signature_fini(struct signature *s)
{
    if (s->scheme == TRUST_MODEL_SIGNING) bundle_fini(&s->bundle);
    memset(s, 0, sizeof *s);
}

const char *signature_key_id(const struct signature *s)
{
    return s->scheme == TRUST_MODEL_SIGNING ? s->bundle.hint : s->minisign.id;
}

/* The path of `file` inside of the folder, malloc'd; NULL where it lies elsewhere. */
static char *path_inside(const char *folder, const char *file)
{
    char *dir = realpath(folder, NULL), *inside = NULL;
    char *slash = file ? strrchr(file, '/') : NULL;
    char *parent = !file           ? NULL
                   : slash == file ? strdup("/")
                   : slash         ? strndup(file, (size_t)(slash - file))
                                   : strdup(".");
    char *real = parent ? realpath(parent, NULL) : NULL; /* the file itself need not be there yet */
    if (dir && real && strncmp(real, dir, strlen(dir)) == 0) {
        const char *rest = real + strlen(dir), *base = slash ? slash + 1 : file;
        if (*rest == 0 && asprintf(&inside, "%s", base) < 0) inside = NULL;
        if (*rest == '/' && asprintf(&inside, "%s/%s", rest + 1, base) < 0) inside = NULL;
    }
    free(dir);
    free(parent);
    free(real);
    return inside;
}

static void say(struct signature_said *out, const char *name, size_t files)
{
    if (!out) return;
    *out = (struct signature_said){.files = files};
    snprintf(out->name, sizeof out->name, "%.255s", name);
    for (char *p = out->name; *p; p++) /* it is shown to people, at a terminal */
        if (((unsigned char)*p < ' ' && *p != '\t') || *p == 127) *p = '?';
}

static enum status check_bundle(const struct bundle *b, const struct trust_key *k, const char *path,
                                const char *what, const struct signature_options *opt,
                                struct signature_said *out, struct error *err)
{
    struct bundle_claim claim;
    enum status st = bundle_open(b, k, what, &claim, err);
    if (st) return st;
    struct filetree actual = {0};
    char *own = path_inside(path, opt->own_path);
    const char **ignore = malloc((claim.n_ignore + 1) * sizeof *ignore);
    if (!ignore) {
        st = error_set(err, ERR_NOMEM, "out of memory");
    } else {
        struct filetree_options to = {.ignore = ignore,
                                      .follow_links = opt->follow_links && claim.follow_links,
                                      .progress = opt->progress,
                                      .ctx = opt->ctx};
        for (; to.n_ignore < claim.n_ignore; to.n_ignore++)
            ignore[to.n_ignore] = claim.ignore[to.n_ignore];
        if (own) ignore[to.n_ignore++] = own;
        st = filetree_read(path, &to, &actual, err);
    }
    if (st == OK) st = filetree_compare(&claim.tree, &actual, err);
    if (st == OK) say(out, claim.name, claim.tree.n);
    filetree_fini(&actual);
    free(ignore);
    free(own);
    bundle_claim_fini(&claim);
    return st;
}

static enum status check_minisign(const struct minisign *m, const struct trust_key *k,
                                  const char *path, const char *what,
                                  const struct signature_options *opt, struct signature_said *out,
                                  struct error *err)
{
    uint8_t digest[BLAKE2B_BYTES];
    struct buf whole;
    buf_init(&whole, MINISIGN_LEGACY_MAX);
    enum status st = m->prehashed ? minisign_hash(path, opt->progress, opt->ctx, digest, NULL, err)
                                  : file_read_regular(path, &whole, err);
    if (st == OK)
        st = m->prehashed
                 ? minisign_check(m, k, digest, sizeof digest, what, err)
                 : minisign_check(m, k, whole.data ? whole.data : "", whole.len, what, err);
    if (st == OK) say(out, m->comment, 1);
    buf_fini(&whole);
    return st;
}

enum status signature_check_path(const struct signature *s, const struct trust_key *k,
                                 const char *path, const char *what,
                                 const struct signature_options *opt, struct signature_said *out,
                                 struct error *err)
{
    static const struct signature_options none;
    if (!opt) opt = &none;
    return s->scheme == TRUST_MINISIGN ? check_minisign(&s->minisign, k, path, what, opt, out, err)
                                       : check_bundle(&s->bundle, k, path, what, opt, out, err);
}

enum status signature_check_digest(const struct signature *s, const struct trust_key *k,
                                   const uint8_t sha256[SHA256_BYTES], const uint8_t *blake2b,
                                   const char *what, struct signature_said *out, struct error *err)
{
    if (s->scheme == TRUST_MINISIGN) {
        if (!s->minisign.prehashed)
            return error_set(err, ERR_UNSUPPORTED,
                             "%s is of minisign's old kind, which tells nothing without the whole "
                             "file; sign it anew",
                             what);
        if (!blake2b)
            return error_set(err, ERR_INTEGRITY,
                             "%s cannot be checked: the file's BLAKE2b is not known", what);
        enum status st = minisign_check(&s->minisign, k, blake2b, BLAKE2B_BYTES, what, err);
        if (st == OK) say(out, s->minisign.comment, 1);
        return st;
    }
    struct bundle_claim claim;
    enum status st = bundle_open(&s->bundle, k, what, &claim, err);
    if (st) return st;
    bool found = false;
    for (size_t i = 0; !found && i < claim.tree.n; i++)
        found = memcmp(claim.tree.files[i].digest, sha256, SHA256_BYTES) == 0;
    if (found)
        say(out, claim.name, claim.tree.n);
    else
        st = error_set(err, ERR_INTEGRITY, "%s is a signature of other files (%.80s)", what,
                       claim.name);
    bundle_claim_fini(&claim);
    return st;
}

/* ---- making -------------------------------------------------------------------------------------
 */

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static enum status make_minisign(const struct trust_key *k, const uint8_t *blake2b,
                                 const char *name, const char *comment, struct buf *out,
                                 struct error *err)
{
    char own[512];
    if (!comment) {
        /* As minisign writes it, so that its users recognise it. Tabs and newlines cannot be in a
         * comment. */
        snprintf(own, sizeof own, "timestamp:%lld\tfile:%.400s\thashed", (long long)time(NULL),
                 name);
        for (char *p = own; *p; p++)
            if (*p == '\n' || *p == '\r') *p = '?';
        comment = own;
    }
    return minisign_write(k, blake2b, comment, out, err);
}

static enum status add_ignore(struct bundle_claim *c, const char *path, struct error *err)
{
    for (size_t i = 0; i < c->n_ignore; i++)
        if (strcmp(c->ignore[i], path) == 0) return OK;
    if (!filetree_name_valid(path) || strcmp(path, ".") == 0)
        return error_set(err, ERR_INVALID, "'%.200s' is no path inside of the model", path);
    char **p = realloc(c->ignore, (c->n_ignore + 1) * sizeof *p);
    if (!p) return error_set(err, ERR_NOMEM, "out of memory");
    c->ignore = p;
    if (!(p[c->n_ignore] = strdup(path))) return error_set(err, ERR_NOMEM, "out of memory");
    c->n_ignore++;
    return OK;
}

static enum status plan_ignore(struct bundle_claim *c, const struct signature_plan *plan,
                               struct error *err)
{
    enum status st = OK;
    char *own = path_inside(plan->path, plan->opt.own_path);
    for (size_t i = 0; st == OK && i < N_GIT_PATHS; i++) st = add_ignore(c, git_paths[i], err);
    for (size_t i = 0; st == OK && i < plan->n_ignore; i++)
        st = add_ignore(c, plan->ignore[i], err);
    if (st == OK && own) st = add_ignore(c, own, err);
    free(own);
    return st;
}

static enum status make_bundle(const struct trust_key *k, const struct signature_plan *plan,
                               struct buf *out, struct error *err)
{
    struct bundle_claim c = {.follow_links = plan->opt.follow_links};
    char *real = realpath(plan->path, NULL);
    enum status st = real ? OK : error_set(err, ERR_NOT_FOUND, "cannot open %s", plan->path);
    if (st == OK && !(c.name = strdup(base_name(real))))
        st = error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = plan_ignore(&c, plan, err);
    struct filetree_options to = {.ignore = (const char *const *)c.ignore,
                                  .n_ignore = c.n_ignore,
                                  .follow_links = c.follow_links,
                                  .progress = plan->opt.progress,
                                  .ctx = plan->opt.ctx};
    if (st == OK) st = filetree_read(plan->path, &to, &c.tree, err);
    if (st == OK && c.tree.n == 0)
        st = error_set(err, ERR_INVALID, "%s holds no file to sign", plan->path);
    if (st == OK) st = bundle_write(&c, k, out, err);
    free(real);
    bundle_claim_fini(&c);
    return st;
}

enum status signature_make(const struct trust_key *k, const struct signature_plan *plan,
                           struct buf *out, struct error *err)
{
    if (k->scheme == TRUST_MODEL_SIGNING) return make_bundle(k, plan, out, err);
    uint8_t digest[BLAKE2B_BYTES];
    enum status st =
        minisign_hash(plan->path, plan->opt.progress, plan->opt.ctx, digest, NULL, err);
    return st ? st : make_minisign(k, digest, base_name(plan->path), plan->comment, out, err);
}

enum status signature_make_digest(const struct trust_key *k, const char *name,
                                  const uint8_t sha256[SHA256_BYTES], const uint8_t *blake2b,
                                  const char *comment, struct buf *out, struct error *err)
{
    if (k->scheme == TRUST_MINISIGN) return make_minisign(k, blake2b, name, comment, out, err);
    struct bundle_claim c = {.name = strdup(name)};
    enum status st = c.name ? filetree_add(&c.tree, ".", sha256, err)
                            : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = bundle_write(&c, k, out, err);
    bundle_claim_fini(&c);
    return st;
}
