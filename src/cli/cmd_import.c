/* hearth import SOURCE NAME */
#include <jansson.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/machine.h"
#include "cli/cli.h"
#include "convert/import.h"
#include "model/model.h"
#include "store/store.h"

struct import_cmd {
    const char *quantize, *pre;
    int64_t threads;
    bool exact, restart, json, quiet;
};

struct import_screen {
    struct progress *bar;
    const char *label;
    bool quiet;
    sigset_t interrupts;
};

static void end_bar(struct import_screen *sc)
{
    progress_end(sc->bar);
    sc->bar = NULL;
}

static bool show(struct import_screen *sc, const char *label, uint64_t done, uint64_t total)
{
    if (sigtimedwait(&sc->interrupts, NULL, &(struct timespec){0}) > 0) return false;
    if (sc->quiet || done == 0) return true;
    if (sc->bar && sc->label != label) end_bar(sc);
    if (!sc->bar) sc->bar = progress_start(label, true);
    sc->label = label;
    progress_update(sc->bar, done, total);
    return true;
}

static bool on_progress(void *ctx, uint64_t done, uint64_t total)
{
    return show(ctx, "importing", done, total);
}

static bool on_store_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    (void)phase;
    return show(ctx, "hashing", done, total);
}

static void on_notice(void *ctx, const char *line)
{
    struct import_screen *sc = ctx;
    if (sc->quiet) return;
    end_bar(sc);
    fprintf(stderr, "%s\n", line);
}

/* What a run leaves behind for the report. */
struct outcome {
    struct import_report report;
    struct store_model model; /* where it went into the store */
    const char *path;
    double seconds;
};

static const char *note(const struct import_class *c)
{
    if (c->max_error == 0) return "exact";
    return c->rms_error <= c->rms / 1024 ? "within the type's rounding" : "nearest";
}

static void print_classes(const struct import_report *r)
{
    char bytes[32];
    for (size_t i = 0; i < r->n_classes; i++) {
        const struct import_class *c = &r->classes[i];
        printf("  %-36s -> %-5s %5llu tensors  %8s", c->from, c->to,
               (unsigned long long)c->n_tensors, cli_format_bytes(c->bytes, bytes, sizeof bytes));
        if (!c->measured && strcmp(c->from, c->to) == 0)
            printf("  unchanged\n");
        else if (!c->measured || c->max_error == 0)
            printf("  exact\n");
        else
            printf("  %s: error max %.3g, RMS %.3g (%.2g%% of the weights' RMS)\n", note(c),
                   c->max_error, c->rms_error, c->rms > 0 ? 100 * c->rms_error / c->rms : 0);
    }
}

static void print_text(const struct outcome *o)
{
    char size[32];
    const struct import_report *r = &o->report;
    const struct tokenizer_import_info *t = &r->tokenizer;
    printf("%s: %s, %llu tensors, %s, %.1f s\n", o->model.name[0] ? o->model.name : o->path,
           r->architecture, (unsigned long long)r->n_tensors,
           cli_format_bytes(r->file_bytes, size, sizeof size), o->seconds);
    print_classes(r);
    if (r->n_resumed)
        printf("  %llu tensors were there from an interrupted import, and checked\n",
               (unsigned long long)r->n_resumed);
    if (t->n_tokens)
        printf("  tokenizer: %s (%s) from %s, %zu tokens, %zu chat template%s%s\n", t->model,
               t->pre, t->source, t->n_tokens, t->n_templates, t->n_templates == 1 ? "" : "s",
               t->fim_pre >= 0 && t->fim_suf >= 0 && t->fim_mid >= 0 ? ", fill-in-the-middle tokens"
                                                                     : "");
    if (!model_knows_arch(r->architecture))
        printf("  it can be kept but not run: %s has no support here yet\n", r->architecture);
}

static json_t *class_json(const struct import_class *c)
{
    json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "from", c->from, "to", c->to, "tensors",
                          (json_int_t)c->n_tensors, "weights", (json_int_t)c->n_weights, "bytes",
                          (json_int_t)c->bytes, "exact", !c->measured || c->max_error == 0);
    if (j && c->measured)
        json_object_update_new(j, json_pack("{s:f, s:f, s:f}", "max_error", c->max_error,
                                            "rms_error", c->rms_error, "rms", c->rms));
    return j;
}

static void print_json(const struct outcome *o)
{
    const struct import_report *r = &o->report;
    const struct tokenizer_import_info *t = &r->tokenizer;
    json_t *classes = json_array();
    for (size_t i = 0; i < r->n_classes; i++)
        json_array_append_new(classes, class_json(&r->classes[i]));
    json_t *j = json_pack("{s:s, s:s?, s:s?, s:s, s:I, s:I, s:I, s:I, s:f, s:o}", "path", o->path,
                          "name", o->model.name[0] ? o->model.name : NULL, "sha256",
                          o->model.name[0] ? o->model.sha256 : NULL, "architecture",
                          r->architecture, "tensors", (json_int_t)r->n_tensors, "parameters",
                          (json_int_t)r->n_weights, "bytes", (json_int_t)r->file_bytes, "resumed",
                          (json_int_t)r->n_resumed, "seconds", o->seconds, "classes", classes);
    if (t->n_tokens)
        json_object_set_new(j, "tokenizer",
                            json_pack("{s:s, s:s, s:s, s:I, s:I}", "model", t->model, "pre", t->pre,
                                      "source", t->source, "tokens", (json_int_t)t->n_tokens,
                                      "templates", (json_int_t)t->n_templates));
    json_dumpf(j, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(j);
}

static bool is_path(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcmp(name + n - 5, ".gguf") == 0;
}

static enum status full_name(const char *given, char name[STORE_NAME_SIZE], struct error *err)
{
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    if (strchr(given, '/'))
        return error_set(err, ERR_INVALID,
                         "'%s' is neither a model's name nor a path that ends in .gguf", given);
    enum status st = store_name_split(given, family, tag, err);
    if (!st) snprintf(name, STORE_NAME_SIZE, "%s:%s", family, tag[0] ? tag : "latest");
    return st;
}

static enum status import_to(const char *source, const char *path, const struct import_cmd *o,
                             struct import_screen *sc, struct outcome *out, struct error *err)
{
    int cores = machine_physical_cores();
    struct import_options options = {
        .quantize = o->quantize,
        .exact = o->exact,
        .pre = o->pre,
        .n_threads = o->threads ? (int)o->threads : cores,
        .progress = on_progress,
        .notice = on_notice,
        .ctx = sc,
        .tokenizer = tokenizer_import,
    };
    if (o->restart) import_forget(path);
    return import_folder(source, path, &options, &out->report, err);
}

static enum status import_named(const char *source, const char *given, const struct import_cmd *o,
                                struct import_screen *sc, struct outcome *out, struct error *err)
{
    struct store *s = NULL;
    char name[STORE_NAME_SIZE], *path = NULL, words[600];
    struct store_events ev = {.progress = on_store_progress, .notice = on_notice, .ctx = sc};
    enum status st = full_name(given, name, err);
    if (!st) st = store_open(NULL, &s, err);
    if (!st) st = store_import_path(s, name, &path, err);
    if (!st) st = import_to(source, path, o, sc, out, err);
    if (!st) {
        snprintf(words, sizeof words, "imported from %.500s", source);
        st = store_adopt(s, name, path, words, &ev, &out->model, err);
        out->path = out->model.path;
    }
    free(path);
    store_close(s);
    return st;
}

static int run(const void *options, int argc, char **argv)
{
    const struct import_cmd *o = options;
    struct error err = {0};
    struct outcome out = {.path = argv[1]};
    struct import_screen sc = {.quiet = o->quiet};
    double started = clock_now();
    sigset_t before;
    (void)argc;
    sigemptyset(&sc.interrupts);
    sigaddset(&sc.interrupts, SIGINT);
    sigaddset(&sc.interrupts, SIGTERM);
    sigaddset(&sc.interrupts, SIGHUP);
    sigprocmask(SIG_BLOCK, &sc.interrupts, &before);
    signal(SIGXFSZ, SIG_IGN);
    enum status st = is_path(argv[1]) ? import_to(argv[0], argv[1], o, &sc, &out, &err)
                                      : import_named(argv[0], argv[1], o, &sc, &out, &err);
    end_bar(&sc);
    sigprocmask(SIG_SETMASK, &before, NULL);
    out.seconds = clock_now() - started;
    int code = EXIT_OK;
    if (st)
        code = cli_fail(&err);
    else if (o->json)
        print_json(&out);
    else
        print_text(&out);
    store_model_fini(&out.model);
    return code;
}

static const struct option options[] = {
    {"quantize", 'z', OPTION_STRING, "TYPE",
     "Write weights in this type or mix (Q4_K_M, Q8_0, F16, ...)",
     offsetof(struct import_cmd, quantize), 0, 0},
    {"exact", 0, OPTION_FLAG, NULL, "For GPTQ and AWQ: larger types where those avoid a rounding",
     offsetof(struct import_cmd, exact), 0, 0},
    {"pre", 0, OPTION_STRING, "NAME", "The pre-tokenizer, instead of recognising it",
     offsetof(struct import_cmd, pre), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads; default: one per core",
     offsetof(struct import_cmd, threads), 1, 256},
    {"restart", 0, OPTION_FLAG, NULL, "Begin anew instead of going on from an interrupted import",
     offsetof(struct import_cmd, restart), 0, 0},
    {"quiet", 'q', OPTION_FLAG, NULL, "No progress and no notices",
     offsetof(struct import_cmd, quiet), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print the result as JSON", offsetof(struct import_cmd, json), 0,
     0},
    {0},
};

extern const struct command cmd_import;
const struct command cmd_import = {
    .name = "import",
    .summary = "Make a model of a Hugging Face folder",
    .usage = "import SOURCE NAME [options]",
    .description =
        "Reads the folder of a Hugging Face model (config.json, *.safetensors, the tokenizer's "
        "files)\n"
        "in F32, F16, BF16, FP8, GPTQ or AWQ and makes one GGUF file, which other programs load "
        "as\n"
        "well. NAME is a model's name, under which it is kept, or a path that ends in .gguf.\n"
        "\n"
        "Weights stay as exact as they are: plain ones keep their type, GPTQ and AWQ move into "
        "the\n"
        "block type that holds them. The command says which types it used and how large the error "
        "is,\n"
        "measured against what the folder's own format says. --quantize makes the file smaller.\n"
        "\n"
        "An interrupted import goes on where it stopped when it is run again; what it takes over "
        "is\n"
        "checked. Memory stays small, whatever the model.\n"
        "\n"
        "Examples:\n"
        "  hearth import ~/models/Qwen2.5-Coder-1.5B-Instruct qwen-coder:mine\n"
        "  hearth import ~/models/deepseek-coder-6.7b-AWQ deepseek-coder:awq\n"
        "  hearth import ~/models/starcoder2-3b starcoder2.gguf --quantize Q4_K_M\n",
    .options = options,
    .options_size = sizeof(struct import_cmd),
    .min_args = 2,
    .max_args = 2,
    .arg_metavar = "DIR",
    .run = run,
};
