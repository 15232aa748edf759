#include "cli/load.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/confined.h"
#include "infer/engine.h"

struct packing {
    struct progress *bar;
    bool started;
};

static void show_packing(void *ctx, uint64_t done, uint64_t total)
{
    struct packing *p = ctx;
    if (!p->started) {
        p->started = true;
        p->bar = progress_start("Preparing weights (first use)", true);
    }
    if (p->bar) progress_update(p->bar, done, total);
}

enum status cli_open_engine(const char *path, const char *cache_dir, int threads,
                            const char *kv_type, struct engine **out, struct error *err)
{
    struct packing packing = {0};
    struct engine_options opt = {.n_threads = threads,
                                 .cache_dir = cache_dir,
                                 .kv_type = kv_type,
                                 .settle = true,
                                 .progress = show_packing,
                                 .progress_ctx = &packing};
    enum status st = confined_model(path, err);
    if (st == OK) st = engine_open(path, &opt, out, err);
    progress_end(packing.bar);
    return st;
}

enum status cli_load_engine(const char *model, int threads, struct engine **out, struct error *err)
{
    return cli_load_engine_kv(model, threads, NULL, out, err);
}

enum status cli_load_engine_kv(const char *model, int threads, const char *kv_type,
                               struct engine **out, struct error *err)
{
    *out = NULL;
    char *path = NULL;
    enum status st = cli_resolve_model(model, &path, err);
    if (st != OK) return st;
    struct error why;
    char *cache = cli_cache_dir(&why);
    if (!cache)
        fprintf(stderr, "hearth: prepared weights are not kept for the next start: %s\n", why.msg);
    st = cli_open_engine(path, cache, threads, kv_type, out, err);
    free(cache);
    free(path);
    return st;
}

enum status cli_read_text(const char *path, struct buf *out, struct error *err)
{
    return file_read_all(path, out, err);
}

/* A signal handler can reach nothing but a global. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    (void)sig;
    interrupted = 1;
}

const volatile int *cli_catch_interrupt(void)
{
    _Static_assert(sizeof(sig_atomic_t) == sizeof(int), "the engine's cancel flag is an int");
    struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
    return (const volatile int *)&interrupted;
}

/* What stdio holds goes first. A signal, such as the Ctrl-C that ends an answer, is no failure: stdio could
 * not tell how much it had written. */
static bool flush_output(void)
{
    while (fflush(stdout) != 0) {
        if (errno != EINTR) return false;
        clearerr(stdout);
    }
    return true;
}

enum status cli_write(const char *text, size_t len, struct error *err)
{
    bool ok = flush_output();
    while (ok && len) {
        ssize_t n = write(STDOUT_FILENO, text, len);
        if (n < 0 && errno != EINTR) break;
        if (n < 0) n = 0;
        text += n, len -= (size_t)n;
    }
    if (ok && len == 0) return OK;
    error_set(err, ERR_IO, "cannot write to standard output: %s", strerror(errno));
    clearerr(stdout); /* told once is enough: the program's end looks at the flag again */
    return ERR_IO;
}

enum status cli_print_json(json_t *root, size_t flags, struct error *err)
{
    char *out = root ? json_dumps(root, flags) : NULL;
    json_decref(root);
    if (!out) return error_set(err, ERR_NOMEM, "no memory for the result");
    size_t len = strlen(out);
    out[len] = '\n'; /* its NUL is not needed: one write, so that no reader sees half a line */
    enum status st = cli_write(out, len + 1, err);
    free(out);
    return st;
}

double cli_round(double x)
{
    return floor(x * 100 + 0.5) / 100;
}
