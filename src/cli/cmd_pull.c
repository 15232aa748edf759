/* hearth pull [MODEL|URL] */
#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "model/model.h"
#include "store/store.h"

struct pull_options {
    const char *from, *name, *sha256, *signature;
    bool verify, json, quiet;
};

/* What is on the screen while a pull runs. */
struct screen {
    struct progress *bar;
    enum store_phase phase;
    bool quiet;
    sigset_t interrupts;
};

static void end_bar(struct screen *sc)
{
    progress_end(sc->bar);
    sc->bar = NULL;
}

/* Interrupts are blocked and asked for here, so that a pull ends between two writes. */
static bool interrupted(const struct screen *sc)
{
    return sigtimedwait(&sc->interrupts, NULL, &(struct timespec){0}) > 0;
}

static bool on_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    static const char *const labels[] = {
        [STORE_DOWNLOADING] = "downloading",
        [STORE_CHECKING] = "checking",
        [STORE_COPYING] = "copying",
    };
    struct screen *sc = ctx;
    if (interrupted(sc)) return false;
    if (sc->quiet || done == 0) return true;
    if (sc->bar && sc->phase != phase) end_bar(sc);
    if (!sc->bar) sc->bar = progress_start(labels[phase], true);
    sc->phase = phase;
    progress_update(sc->bar, done, total);
    return true;
}

static void on_notice(void *ctx, const char *line)
{
    struct screen *sc = ctx;
    if (sc->quiet) return;
    end_bar(sc);
    fprintf(stderr, "%s\n", line);
}

static bool is_url(const char *s)
{
    static const char *const schemes[] = {"https://", "http://", "hf://", "ollama://", "oci://"};
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncmp(s, schemes[i], strlen(schemes[i])) == 0) return true;
    return false;
}

/* "name" or "name:tag" as given, with the tag "latest" where it has none. */
static enum status full_name(const char *given, char name[STORE_NAME_SIZE], struct error *err)
{
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    enum status st = store_name_split(given, family, tag, err);
    if (st == OK) snprintf(name, STORE_NAME_SIZE, "%s:%s", family, tag[0] ? tag : "latest");
    return st;
}

/* A file or a repository where a model's name belongs. */
static enum status refuse_path(const char *arg, struct error *err)
{
    static const char *const hubs[] = {"hf.co/", "huggingface.co/"};
    size_t len = strlen(arg);
    for (size_t i = 0; i < sizeof hubs / sizeof hubs[0]; i++)
        if (strncasecmp(arg, hubs[i], strlen(hubs[i])) == 0)
            return error_set(err, ERR_INVALID,
                             "'%s' is no model name; name one file of the repository: hearth pull "
                             "https://huggingface.co/OWNER/REPO/resolve/main/FILE.gguf",
                             arg);
    if (len > 5 && strcasecmp(arg + len - 5, ".gguf") == 0)
        return error_set(err, ERR_INVALID,
                         "'%s' is no model name; to keep a file, choose a name for it: hearth pull "
                         "NAME --from %s",
                         arg, arg);
    return OK;
}

/* Which model, under which name. */
static enum status plan(const struct store *s, const struct pull_options *o, const char *arg,
                        char name[STORE_NAME_SIZE], struct pull_request *rq, struct error *err)
{
    *rq = (struct pull_request){
        .name = name, .file = o->from, .sha256 = o->sha256, .signature = o->signature, .verify = o->verify};
    char derived[STORE_NAME_SIZE];
    if (arg && is_url(arg)) {
        if (o->from) return error_set(err, ERR_INVALID, "either a URL or --from FILE, not both");
        rq->url = arg;
        enum status st = store_name_from_url(arg, derived, err);
        if (o->name && (st == OK || !strstr(arg, "://") || strncmp(arg, "http", 4) == 0))
            return full_name(o->name, name, err);
        return st ? st : full_name(derived, name, err);
    }
    if (o->name) return error_set(err, ERR_INVALID, "--name belongs to a URL");
    if (!arg) {
        const struct catalogue_model *m = catalogue_default(store_catalogue(s));
        if (!m) return error_set(err, ERR_INVALID, "say which model: the catalogue has no default");
        snprintf(name, STORE_NAME_SIZE, "%s", m->name);
        return OK;
    }
    enum status st = refuse_path(arg, err);
    if (st) return st;
    st = store_resolve(s, arg, name, err);
    /* A file of one's own may have any name. */
    if (st == ERR_NOT_FOUND && o->from) st = full_name(arg, name, err);
    return st;
}

/* Said before gigabytes are fetched that could not be used. */
static void warn_unsupported(const struct store *s, const char *name)
{
    const struct catalogue_model *m = catalogue_find(store_catalogue(s), name);
    if (m && m->architecture && !model_knows_arch(m->architecture))
        fprintf(stderr, "%s can be kept but not run: its architecture, %s, has no support yet\n",
                name, m->architecture);
}

static void report(const struct pull_options *o, const struct store_model *m,
                   enum pull_outcome outcome, double seconds)
{
    char size[32];
    if (o->json) {
        json_t *j =
            json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:b}", "name", m->name, "path", m->path,
                      "sha256", m->sha256, "bytes", (json_int_t)m->bytes, "digest_from",
                      m->digest_from, "source", m->source, "fetched", outcome == PULL_FETCHED);
        json_dumpf(j, stdout, JSON_INDENT(2));
        putchar('\n');
        json_decref(j);
        return;
    }
    cli_format_bytes(m->bytes, size, sizeof size);
    if (outcome == PULL_PRESENT)
        printf("%s is installed already (%s%s)\n", m->name, size,
               o->verify ? ", checked again: unchanged" : "");
    else if (strcmp(m->digest_from, "file") == 0)
        printf("%s is installed (%s, %.1f s); nobody vouches for it but you: SHA-256 %s\n", m->name,
               size, seconds, m->sha256);
    else
        printf("%s is installed and verified (%s, %.1f s%s%s)\n", m->name, size, seconds,
               m->info.license ? "; licence: " : "", m->info.license ? m->info.license : "");
}

static int run(const void *options, int argc, char **argv)
{
    const struct pull_options *o = options;
    struct store *s = NULL;
    struct error err = {0};
    char name[STORE_NAME_SIZE];
    struct pull_request rq;
    double started = clock_now();
    enum status st = store_open(NULL, &s, &err);
    if (st == OK) st = plan(s, o, argc > 0 ? argv[0] : NULL, name, &rq, &err);
    if (st) {
        store_close(s);
        return cli_fail(&err);
    }
    if (!rq.url && !rq.file && !o->quiet) warn_unsupported(s, name);
    struct screen sc = {.quiet = o->quiet};
    sigset_t before;
    sigemptyset(&sc.interrupts);
    sigaddset(&sc.interrupts, SIGINT);
    sigaddset(&sc.interrupts, SIGTERM);
    sigaddset(&sc.interrupts, SIGHUP);
    sigprocmask(SIG_BLOCK, &sc.interrupts, &before);
    /* A file size limit is then an error of the write, which is reported, and not the end. */
    signal(SIGXFSZ, SIG_IGN);
    struct store_events ev = {.progress = on_progress, .notice = on_notice, .ctx = &sc};
    struct store_model m;
    enum pull_outcome outcome;
    st = store_pull(s, &rq, &ev, &outcome, &m, &err);
    end_bar(&sc);
    sigprocmask(SIG_SETMASK, &before, NULL);
    int code = EXIT_OK;
    if (st)
        code = cli_fail(&err);
    else
        report(o, &m, outcome, clock_now() - started);
    store_model_fini(&m);
    store_close(s);
    return code;
}

static const struct option options[] = {
    {"from", 'f', OPTION_STRING, "FILE", "Take the model from a file on this machine",
     offsetof(struct pull_options, from), 0, 0},
    {"name", 'n', OPTION_STRING, "NAME", "What to call a model pulled from a URL",
     offsetof(struct pull_options, name), 0, 0},
    {"sha256", 0, OPTION_STRING, "HEX", "The digest that the file must have",
     offsetof(struct pull_options, sha256), 0, 0},
    {"signature", 0, OPTION_STRING, "FILE|URL", "The model's signature, by a key of the trust policy",
     offsetof(struct pull_options, signature), 0, 0},
    {"verify", 0, OPTION_FLAG, NULL,
     "Hash an installed model again, and fetch it anew where it changed",
     offsetof(struct pull_options, verify), 0, 0},
    {"quiet", 'q', OPTION_FLAG, NULL, "No progress and no notices",
     offsetof(struct pull_options, quiet), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON", offsetof(struct pull_options, json),
     0, 0},
    {0},
};

const struct command cmd_pull = {
    .name = "pull",
    .summary = "Download a model, verify it and keep it",
    .usage = "pull [MODEL|URL] [options]",
    .description =
        "Fetches a model of the catalogue ('hearth list --all'), or the default one. Its sources "
        "are\n"
        "tried in order until one works, and the file becomes visible only when its SHA-256 is "
        "right.\n"
        "An interrupted pull goes on where it stopped when it is run again. 'hearth "
        "verify\n"
        "--repair' fetches damaged ranges again, 'hearth serve --allow-pull' pulls at a client's wish.\n"
        "\n"
        "Where the catalogue knows no digest, the one that the hub publishes is required, shown, "
        "and\n"
        "pinned: from then on no other file is accepted under that name. A URL needs --sha256, "
        "unless\n"
        "it is a file on the hub.\n"
        "\n"
        "Environment: HEARTH_HOME (where models are kept), HF_ENDPOINT (a mirror of the hub), "
        "HF_TOKEN\n"
        "(sent to the hub only), HEARTH_PIP (the pip to use), HTTPS_PROXY, NO_PROXY,\n"
        "HEARTH_STALL_SECONDS (silence after which a transfer is given up; 30), HEARTH_OFFLINE (1: nothing\n"
        "beyond this machine is asked).\n"
        "\n"
        "Examples:\n"
        "  hearth pull\n"
        "  hearth pull qwen2.5-coder:0.5b\n"
        "  hearth pull smollm2 --from ~/Downloads/SmolLM2-135M-Instruct.Q4_1.gguf\n"
        "  hearth pull https://huggingface.co/OWNER/REPO/resolve/main/FILE.gguf --name mine\n",
    .options = options,
    .options_size = sizeof(struct pull_options),
    .max_args = 1,
    .arg_metavar = "MODEL",
    .run = run,
};
