/* hearth rm MODEL... */
#include <dirent.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "gguf/gguf.h"
#include "store/store.h"

struct rm_options {
    bool unfinished, forget_pin;
};

static void on_notice(void *ctx, const char *line)
{
    (void)ctx;
    fprintf(stderr, "%s\n", line);
}

/* Which file's prepared weights to delete. Filled before the model goes: its file gives the name.
 */
struct derived {
    char *dir; /* malloc'd; NULL where there is nothing to delete */
    char prefix[128];
};

static void derived_find(struct derived *d, const struct store *s, const char *name)
{
    struct store_model m;
    struct gguf *g = NULL;
    *d = (struct derived){0};
    if (store_find(s, name, &m, NULL) != OK) return;
    if (m.path && !m.problem && gguf_open(m.path, &g, NULL) == OK) {
        snprintf(d->prefix, sizeof d->prefix, "%s-", gguf_identity(g));
        d->dir = cli_cache_dir(NULL);
    }
    gguf_close(g);
    store_model_fini(&m);
}

/* Of every version of the program: IDENTITY-VERSION.pack, see model/pack_cache.h. */
static void derived_delete(const struct derived *d)
{
    DIR *dir = d->dir ? opendir(d->dir) : NULL;
    if (!dir) return;
    for (struct dirent *e; (e = readdir(dir));)
        if (strncmp(e->d_name, d->prefix, strlen(d->prefix)) == 0)
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
}

static int remove_one(const struct store *s, const struct rm_options *o, const char *typed)
{
    struct error err = {0};
    char name[STORE_NAME_SIZE], size[32];
    uint64_t freed;
    struct store_events ev = {.notice = on_notice};
    enum status st = store_resolve(s, typed, name, &err);
    if (st) return cli_fail(&err);
    struct derived derived;
    derived_find(&derived, s, name);
    st = store_remove(s, name, o->forget_pin, &freed, &ev, &err);
    /* While another name keeps the file, its packed weights stay of use. */
    if (st == OK && freed > 0) derived_delete(&derived);
    free(derived.dir);
    if (st) return cli_fail(&err);
    if (freed > 0)
        printf("removed %s (%s freed)\n", name, cli_format_bytes(freed, size, sizeof size));
    else
        printf("removed %s (its file is kept for another name)\n", name);
    return EXIT_OK;
}

static int remove_unfinished(const struct store *s)
{
    struct error err = {0};
    size_t count;
    uint64_t freed;
    char size[32];
    if (store_remove_unfinished(s, &count, &freed, &err) != OK) return cli_fail(&err);
    printf("removed %zu unfinished download%s (%s freed)\n", count, count == 1 ? "" : "s",
           cli_format_bytes(freed, size, sizeof size));
    return EXIT_OK;
}

extern const struct command cmd_rm;

static int run(const void *options, int argc, char **argv)
{
    const struct rm_options *o = options;
    struct error err = {0};
    struct store *s;
    if (argc == 0 && !o->unfinished)
        return cli_usage_error(&cmd_rm, "say which model, or --unfinished");
    if (store_open(NULL, &s, &err) != OK) return cli_fail(&err);
    int code = EXIT_OK;
    for (int i = 0; i < argc; i++) {
        int one = remove_one(s, o, argv[i]);
        if (one) code = one;
    }
    if (o->unfinished) {
        int one = remove_unfinished(s);
        if (one) code = one;
    }
    store_close(s);
    return code;
}

static const struct option options[] = {
    {"unfinished", 0, OPTION_FLAG, NULL, "Delete what interrupted pulls left",
     offsetof(struct rm_options, unfinished), 0, 0},
    {"forget-pin", 0, OPTION_FLAG, NULL, "Accept another file of the publisher's at the next pull",
     offsetof(struct rm_options, forget_pin), 0, 0},
    {0},
};

const struct command cmd_rm = {
    .name = "rm",
    .summary = "Remove installed models",
    .usage = "rm MODEL... [options]",
    .description =
        "Removes models and what was derived from them. A file that two names share goes with the\n"
        "last of them. Nothing is asked.\n"
        "\n"
        "Examples:\n"
        "  hearth rm smollm2:135m\n"
        "  hearth rm --unfinished\n",
    .options = options,
    .options_size = sizeof(struct rm_options),
    .max_args = -1,
    .arg_metavar = "INSTALLED",
    .run = run,
};
