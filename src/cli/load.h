/* What commands that run a model have in common. */
#ifndef HEARTH_CLI_LOAD_H
#define HEARTH_CLI_LOAD_H

#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"
#include "base/status.h"

struct engine;

/* Resolves a model's name and opens it with the packed-weight cache, showing progress where weights
 * are packed for the first time. threads 0 = all physical cores. Where no cache folder can be made,
 * says so on standard error and goes on without. */
enum status cli_load_engine(const char *model, int threads, struct engine **out, struct error *err);
/* The same with a KV cache of that type; NULL = f16. */
enum status cli_load_engine_kv(const char *model, int threads, const char *kv_type,
                               struct engine **out, struct error *err);

/* Opens a model file, showing progress where weights are packed. cache_dir NULL = they are not kept. */
enum status cli_open_engine(const char *path, const char *cache_dir, int threads,
                            const char *kv_type, struct engine **out, struct error *err);

/* The option that fills the member `kv_type`, a string, of a command's options. */
#define OPTION_KV_TYPE(options_type)                                                               \
    {"kv", 0, OPTION_STRING, "TYPE",                                                               \
     "KV cache: f16 (default), q8_0 (about half the memory), q8_0/q4_0 or q4_0",                   \
     offsetof(options_type, kv_type)}

/* Appends the text of `path` ("-": standard input) to `out`, which needs buf_init. */
enum status cli_read_text(const char *path, struct buf *out, struct error *err);

/* From here on Ctrl-C and SIGTERM raise the flag that this returns, the first time; a second one
 * ends the program. */
const volatile int *cli_catch_interrupt(void);

/* Writes all of it to standard output at once and flushes; ERR_IO. */
enum status cli_write(const char *text, size_t len, struct error *err);
/* The same for JSON and a line end, and releases `root`; NULL, as json_pack gives it, is ERR_NOMEM.
 * `flags` are json_dumps'. */
enum status cli_print_json(json_t *root, size_t flags, struct error *err);

/* Rounded to hundredths, so that a JSON reader sees 12.34 and not its nearest neighbour's digits.
 */
double cli_round(double x);

#endif
