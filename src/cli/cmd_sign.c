/* hearth sign MODEL|FILE|FOLDER --key KEY */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/signing.h"

struct sign_options {
    const char *key, *password_file, *signature, *comment;
    struct string_list ignore;
    bool allow_symlinks, quiet;
};

extern const struct command cmd_sign;

/* PATH.sig or PATH.minisig, beside the model; malloc'd. */
static char *default_output(const char *path, const struct trust_key *k)
{
    char *out;
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/') len--;
    int n =
        asprintf(&out, "%.*s%s", (int)len, path, k->scheme == TRUST_MINISIGN ? ".minisig" : ".sig");
    return n < 0 ? NULL : out;
}

static enum status sign_path(const struct sign_options *o, const char *path,
                             const struct trust_key *k, struct signing_screen *sc,
                             struct error *err)
{
    struct buf text;
    char key[96], *where = o->signature ? strdup(o->signature) : default_output(path, k);
    if (!where) return error_set(err, ERR_NOMEM, "out of memory");
    if (!o->signature && (strcmp(path, ".") == 0 || strcmp(path, "..") == 0)) {
        free(where);
        return error_set(err, ERR_INVALID, "say where the signature goes: --signature FILE");
    }
    struct signature_plan plan = {.path = path,
                                  .ignore = o->ignore.items,
                                  .n_ignore = o->ignore.len,
                                  .comment = o->comment,
                                  .opt = {.own_path = where,
                                          .follow_links = o->allow_symlinks,
                                          .progress = signing_progress,
                                          .ctx = sc}};
    buf_init(&text, 2 * (size_t)BUNDLE_MAX_BYTES);
    enum status st = signature_make(k, &plan, &text, err);
    if (st == OK) st = file_replace(where, text.data, text.len, err);
    if (st == OK && !o->quiet)
        printf("signed %s with the %s: %s\n", path, trust_key_words(k, key, sizeof key), where);
    buf_fini(&text);
    free(where);
    return st;
}

static enum status sign_model(const struct sign_options *o, const char *typed,
                              const struct trust_key *k, struct signing_screen *sc,
                              struct error *err)
{
    struct store *s;
    char name[STORE_NAME_SIZE], key[96];
    struct buf text;
    struct store_events ev = signing_events(sc);
    enum status st = store_open(NULL, &s, err);
    if (st) return st;
    buf_init(&text, 1 << 20);
    st = store_resolve(s, typed, name, err);
    if (st == OK) st = store_signature_make(s, name, k, o->comment, &ev, &text, err);
    if (st == OK && o->signature) st = file_replace(o->signature, text.data, text.len, err);
    if (st == OK && !o->quiet)
        printf("signed %s with the %s%s%s\n", name, trust_key_words(k, key, sizeof key),
               o->signature ? "; a copy is in " : "", o->signature ? o->signature : "");
    buf_fini(&text);
    store_close(s);
    return st;
}

static int run(const void *options, int argc, char **argv)
{
    (void)argc;
    const struct sign_options *o = options;
    struct error err = {0};
    struct trust_key key;
    struct signing_screen sc;
    bool path = signing_is_path(argv[0]);
    if (!o->key) return cli_usage_error(&cmd_sign, "say with which secret key: --key FILE");
    enum status st = signing_secret_key(o->key, o->password_file, &key, &err);
    if (st) return cli_fail(&err);
    if (o->comment && key.scheme != TRUST_MINISIGN) {
        trust_key_fini(&key);
        return cli_usage_error(&cmd_sign, "--comment is for minisign keys");
    }
    if (!path && (o->ignore.len || o->allow_symlinks)) {
        trust_key_fini(&key);
        return cli_usage_error(&cmd_sign, "--ignore and --allow-symlinks are for folders");
    }
    signing_begin(&sc, o->quiet);
    st = path ? sign_path(o, argv[0], &key, &sc, &err) : sign_model(o, argv[0], &key, &sc, &err);
    signing_end(&sc);
    trust_key_fini(&key);
    return st ? cli_fail(&err) : EXIT_OK;
}

#define FIELD(name) offsetof(struct sign_options, name), 0, 0
static const struct option options[] = {
    {"key", 'k', OPTION_STRING, "FILE", "The secret key: PEM (P-256, P-384, P-521) or minisign's",
     FIELD(key)},
    {"password-file", 0, OPTION_STRING, "FILE",
     "Its first line is the key's password (else it is asked for)", FIELD(password_file)},
    {"signature", 's', OPTION_STRING, "FILE",
     "Where the signature goes (default: beside the model)", FIELD(signature)},
    {"ignore", 0, OPTION_LIST, "PATH", "A path in the folder that is not signed (may be repeated)",
     FIELD(ignore)},
    {"allow-symlinks", 0, OPTION_FLAG, NULL, "Sign what links to files lead to",
     FIELD(allow_symlinks)},
    {"comment", 0, OPTION_STRING, "TEXT", "minisign's trusted comment", FIELD(comment)},
    {"quiet", 'q', OPTION_FLAG, NULL, "Say nothing but errors", FIELD(quiet)},
    {0},
};

const struct command cmd_sign = {
    .name = "sign",
    .summary = "Sign a model with a key of yours",
    .usage = "sign MODEL|FILE|FOLDER --key FILE [options]",
    .description = "With a key in PEM the signature is one of OpenSSF model signing (a Sigstore "
                   "bundle), which the\n"
                   "Python package model-signing checks as well; with a key of minisign it is "
                   "minisign's, for single\n"
                   "files. It is written beside the model as NAME.sig or NAME.minisig. A folder is "
                   "signed with all\n"
                   "that is in it but Git's own files; links are refused.\n"
                   "\n"
                   "A model of the store keeps its signature there; --signature writes a copy.\n"
                   "\n"
                   "Examples:\n"
                   "  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem\n"
                   "  openssl pkey -in key.pem -pubout -out key.pub\n"
                   "  hearth sign ./my-model --key key.pem\n"
                   "  hearth sign qwen2.5-coder:1.5b --key key.pem --signature qwen.sig\n",
    .options = options,
    .options_size = sizeof(struct sign_options),
    .min_args = 1,
    .max_args = 1,
    .arg_metavar = "MODEL",
    .run = run,
};
