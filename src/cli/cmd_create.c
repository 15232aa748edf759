/* hearth create NAME -f Modelfile */
#include <jansson.h>
#include <libgen.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/create.h"
#include "base/file.h"
#include "base/machine.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/store_screen.h"
#include "store/modelfile.h"

struct create_options {
    const char *file, *quantize;
    int64_t threads;
    bool quiet;
};

/* FROM beside the Modelfile: a path where there is such a file or folder, else a model's name. */
static char *path_of(const char *modelfile, const char *from)
{
    char *copy = strdup(modelfile), *path = NULL, *home = getenv("HOME");
    struct stat sb;
    if (!copy) return NULL;
    int n = from[0] == '/'                             ? asprintf(&path, "%s", from)
            : from[0] == '~' && from[1] == '/' && home ? asprintf(&path, "%s%s", home, from + 1)
            : strcmp(modelfile, "-") == 0              ? asprintf(&path, "%s", from)
                                          : asprintf(&path, "%s/%s", dirname(copy), from);
    free(copy);
    if (n < 0) return NULL;
    size_t len = strlen(from);
    bool meant = from[0] == '/' || from[0] == '~' || from[0] == '.' ||
                 (len > 5 && strcmp(from + len - 5, ".gguf") == 0);
    if (meant || stat(path, &sb) == 0) return path;
    free(path);
    return NULL;
}

static enum status read_modelfile(const char *file, struct modelfile *out, struct error *err)
{
    struct buf text;
    buf_init(&text, MODELFILE_MAX_BYTES);
    enum status st = file_read_all(file, &text, err);
    if (st == OK) st = modelfile_parse(text.data ? text.data : "", text.len, file, out, err);
    buf_fini(&text);
    return st;
}

static int run(const void *options, int argc, char **argv)
{
    const struct create_options *o = options;
    const char *file = o->file ? o->file : "Modelfile";
    struct error err = {0};
    struct modelfile m = {0};
    struct store *s = NULL;
    struct store_model made = {0};
    struct store_screen sc = {.label = "writing",
                              .least = 1,
                              .quiet = o->quiet,
                              .interrupted = cli_catch_interrupt()};
    const struct store_events ev = store_screen_events(&sc);
    char name[STORE_NAME_SIZE], *path = NULL;
    (void)argc;
    enum status st = store_new_name(argv[0], name, &err);
    if (st == OK) st = read_modelfile(file, &m, &err);
    if (st == OK) st = store_open(NULL, &s, &err);
    if (st == OK) {
        if (m.notes.len && !o->quiet) fprintf(stderr, "%s", m.notes.data);
        path = path_of(file, m.from);
        const struct create_request rq = {.name = name,
                                          .from = path ? NULL : m.from,
                                          .path = path,
                                          .settings = m.settings,
                                          .quantize = o->quantize,
                                          .pull = true,
                                          .events = &ev,
                                          .n_threads = o->threads ? (int)o->threads
                                                                  : machine_physical_cores()};
        st = create_model(s, &rq, &made, &err);
    }
    progress_end(sc.bar);
    char size[32];
    if (st == OK)
        printf("created %s (%s, sha256 %.12s)\n", name,
               cli_format_bytes(made.bytes, size, sizeof size), made.sha256);
    store_model_fini(&made);
    modelfile_fini(&m);
    store_close(s);
    free(path);
    return st == OK ? EXIT_OK : cli_fail(&err);
}

static const struct option options[] = {
    {"file", 'f', OPTION_STRING, "FILE", "The Modelfile (default: Modelfile; - is standard input)",
     offsetof(struct create_options, file), 0, 0},
    {"quantize", 'q', OPTION_STRING, "TYPE", "Quantize the file to this type, such as Q4_K_M",
     offsetof(struct create_options, quantize), 0, 0},
    {"threads", 't', OPTION_INT, "N", "Threads to quantize with (default: all physical cores)",
     offsetof(struct create_options, threads), 1, 1024},
    {"quiet", 0, OPTION_FLAG, NULL, "No progress and no notes",
     offsetof(struct create_options, quiet), 0, 0},
    {0},
};

const struct command cmd_create = {
    .name = "create",
    .summary = "Make a model of another one by a Modelfile",
    .usage = "create NAME [-f FILE] [options]",
    .description = "A Modelfile names a model, a GGUF file or a folder (FROM) and what goes with "
                   "it: SYSTEM, TEMPLATE,\n"
                   "PARAMETER, MESSAGE, LICENSE. The new name shares the file with the old one.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth create reviewer -f Modelfile\n"
                   "  hearth create mine:q4 -f Modelfile --quantize Q4_K_M\n"
                   "  hearth show qwen2.5-coder:1.5b --modelfile > Modelfile\n",
    .options = options,
    .options_size = sizeof(struct create_options),
    .min_args = 1,
    .max_args = 1,
    .arg_metavar = "NAME",
    .run = run,
};
