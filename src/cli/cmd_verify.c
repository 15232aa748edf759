/* hearth verify [MODEL...] */
#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "cli/verify_signature.h"
#include "store/store.h"
#include "store/verify.h"

struct verify_options {
    const char *signature;
    struct string_list keys;
    bool repair, json, quiet, allow_symlinks, keep;
};

extern const struct command cmd_verify;

struct verify_screen {
    struct progress *bar;
    bool quiet;
    sigset_t interrupts;
};

static bool on_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    struct verify_screen *sc = ctx;
    (void)phase;
    /* An interrupt ends a repair between two writes. */
    if (sigtimedwait(&sc->interrupts, NULL, &(struct timespec){0}) > 0) return false;
    if (sc->quiet || done == 0) return true;
    if (!sc->bar) sc->bar = progress_start("checking", true);
    progress_update(sc->bar, done, total);
    return true;
}

static void on_notice(void *ctx, const char *line)
{
    const struct verify_screen *sc = ctx;
    if (!sc->quiet) fprintf(stderr, "%s\n", line);
}

static const char *const states[] = {
    [VERIFY_GOOD] = "good", [VERIFY_DAMAGED] = "damaged", [VERIFY_REPAIRED] = "repaired"};

static void print_json(const struct verify_report *r)
{
    json_t *list = json_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct verify_blob *b = &r->blobs[i];
        json_t *bad = json_array();
        for (size_t k = 0; k < b->n_bad; k++)
            json_array_append_new(bad, json_pack("{s:I, s:I}", "from", (json_int_t)b->bad[k].from,
                                                 "to", (json_int_t)b->bad[k].to));
        json_array_append_new(
            list, json_pack("{s:s, s:s?, s:I, s:s, s:o, s:I, s:s?}", "sha256", b->sha256, "name",
                            b->name[0] ? b->name : NULL, "bytes", (json_int_t)b->bytes, "state",
                            states[b->state], "bad", bad, "fetched", (json_int_t)b->fetched,
                            "problem", b->problem[0] ? b->problem : NULL));
    }
    json_t *root = json_pack("{s:o, s:I}", "blobs", list, "damaged", (json_int_t)r->damaged);
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static void print_text(const struct verify_report *r, bool repair)
{
    char size[32];
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct verify_blob *b = &r->blobs[i];
        bytes += b->bytes;
        const char *what = b->name[0] ? b->name : b->sha256;
        if (b->state == VERIFY_DAMAGED) printf("%s is damaged: %s\n", what, b->problem);
        if (b->state == VERIFY_REPAIRED)
            printf("%s was damaged (%s) and is repaired: %s fetched\n", what, b->problem,
                   cli_format_bytes(b->fetched, size, sizeof size));
    }
    printf("%zu file%s checked, %s; ", r->n, r->n == 1 ? "" : "s",
           cli_format_bytes(bytes, size, sizeof size));
    if (!r->damaged)
        puts("all are as they were pulled");
    else
        printf("%zu damaged%s\n", r->damaged, repair ? "" : "; to mend: hearth verify --repair");
}

/* Full names for what was typed; the array and its strings are malloc'd. */
static enum status resolve(const struct store *s, int argc, char **argv, char ***out,
                           struct error *err)
{
    char **names = calloc((size_t)argc + 1, sizeof *names);
    enum status st = names ? OK : error_set(err, ERR_NOMEM, "out of memory");
    *out = names;
    for (int i = 0; st == OK && i < argc; i++) {
        names[i] = calloc(1, STORE_NAME_SIZE);
        st = names[i] ? store_resolve(s, argv[i], names[i], err)
                      : error_set(err, ERR_NOMEM, "out of memory");
    }
    return st;
}

static int run_signature(const struct verify_options *o, int argc, char **argv)
{
    struct verify_signature_options so = {.signature = o->signature, .keys = &o->keys, .allow_symlinks = o->allow_symlinks,
                                          .keep = o->keep, .json = o->json, .quiet = o->quiet};
    if (argc != 1) return cli_usage_error(&cmd_verify, "say which model, file or folder the signature is of");
    if (o->repair) return cli_usage_error(&cmd_verify, "--repair is for models in the store, without --signature");
    return verify_signature_run(&so, argv[0]);
}

static int run(const void *options, int argc, char **argv)
{
    const struct verify_options *o = options;
    struct error err = {0};
    struct store *s = NULL;
    char **names = NULL;
    struct verify_report report = {0};
    struct verify_screen sc = {.quiet = o->quiet};
    sigset_t before;
    if (!o->signature && (o->keys.len || o->allow_symlinks || o->keep))
        return cli_usage_error(&cmd_verify, "--key, --keep and --allow-symlinks belong to --signature");
    if (o->signature) return run_signature(o, argc, argv);
    enum status st = store_open(NULL, &s, &err);
    if (st == OK) st = resolve(s, argc, argv, &names, &err);
    if (st == OK) {
        sigemptyset(&sc.interrupts);
        sigaddset(&sc.interrupts, SIGINT);
        sigaddset(&sc.interrupts, SIGTERM);
        sigprocmask(SIG_BLOCK, &sc.interrupts, &before);
        signal(SIGXFSZ, SIG_IGN); /* a limit is then an error of the write */
        struct store_events ev = {.progress = on_progress, .notice = on_notice, .ctx = &sc};
        st = store_verify_blobs(s, (const char *const *)names, (size_t)argc, o->repair, &ev, &report,
                                &err);
        progress_end(sc.bar);
        sigprocmask(SIG_SETMASK, &before, NULL);
    }
    int code = st ? cli_fail(&err) : report.damaged ? EXIT_FAILED : EXIT_OK;
    if (st == OK && o->json) print_json(&report);
    if (st == OK && !o->json) print_text(&report, o->repair);
    for (int i = 0; names && i < argc; i++) free(names[i]);
    free(names);
    store_verify_report_fini(&report);
    store_close(s);
    return code;
}

static const struct option options[] = {
    {"repair", 0, OPTION_FLAG, NULL, "Fetch what changed again", offsetof(struct verify_options, repair),
     0, 0},
    {"signature", 's', OPTION_STRING, "FILE", "Check that a key's owner signed this model, file or folder",
     offsetof(struct verify_options, signature), 0, 0},
    {"key", 'k', OPTION_LIST, "KEY", "The signer's public key: a file, or a name in the trust policy",
     offsetof(struct verify_options, keys), 0, 0},
    {"keep", 0, OPTION_FLAG, NULL, "Keep a good signature with the model in the store", offsetof(struct verify_options, keep),
     0, 0},
    {"allow-symlinks", 0, OPTION_FLAG, NULL, "Follow links to files where the signature allows it",
     offsetof(struct verify_options, allow_symlinks), 0, 0},
    {"quiet", 'q', OPTION_FLAG, NULL, "No progress and no notices",
     offsetof(struct verify_options, quiet), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON", offsetof(struct verify_options, json),
     0, 0},
    {0},
};

const struct command cmd_verify = {
    .name = "verify",
    .summary = "Hash the files of models again, and mend those that changed",
    .usage = "verify [MODEL|FILE|FOLDER...] [options]",
    .description =
        "Reads every file in the store, or those of the models named, and compares it with the\n"
        "SHA-256 it had when it was pulled. The exit code is 1 where one is damaged.\n"
        "\n"
        "--repair fetches the damaged ranges alone, from where the model came. The mended copy takes\n"
        "the file's place only when all of it has the right SHA-256.\n"
        "\n"
        "--signature checks a signature of OpenSSF model signing or of minisign instead: that the owner of\n"
        "the key signed exactly these contents. A folder must hold the signed files and no others. Without\n"
        "--key, the keys of the trust policy count ('hearth help trust').\n"
        "\n"
        "Examples:\n"
        "  hearth verify\n"
        "  hearth verify qwen2.5-coder:1.5b --repair\n"
        "  hearth verify ./my-model --signature my-model.sig --key key.pub\n",
    .options = options,
    .options_size = sizeof(struct verify_options),
    .max_args = -1,
    .arg_metavar = "MODEL",
    .run = run,
};
