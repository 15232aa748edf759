/* Commands and their options. A command is one file that exports one `struct command`; commands.c
 * lists them. Help texts, option parsing and shell completion come from the same tables. */
#ifndef HEARTH_CLI_CLI_H
#define HEARTH_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

enum option_kind {
    OPTION_FLAG,   /* bool */
    OPTION_STRING, /* const char *, borrowed from argv */
    OPTION_INT,    /* int64_t */
    OPTION_FLOAT,  /* double */
    OPTION_LIST,   /* struct string_list: may be given several times */
};

struct string_list {
    const char *items[64];
    size_t len;
};

struct option {
    const char *name;     /* long name without dashes; NULL ends the table */
    char letter;          /* short name, or 0 */
    enum option_kind kind;
    /* "MODEL", "N"; "FILE", "DIR", "MODEL" and choices ("bash|zsh|fish") guide shell completion. */
    const char *metavar;
    const char *help;
    size_t offset;        /* of the field in the command's options struct */
    double min, max;      /* accepted range of numbers; both 0 = any */
};

struct command {
    const char *name;
    const char *summary;            /* one line for `hearth help` */
    const char *usage;              /* "complete FILE --at LINE:COL [options]" */
    const char *description;        /* paragraphs for `hearth help NAME`, with examples at the end */
    const struct option *options;   /* ended by a NULL name */
    size_t options_size;            /* bytes of the struct that run receives, zeroed, then `init` */
    void (*init)(void *options);    /* sets defaults; may be NULL */
    int min_args, max_args;         /* positional arguments; max -1 = any */
    const char *arg_metavar;        /* what the positionals are, for shell completion; or NULL */
    /* Returns the exit code. Errors are reported through cli_fail. */
    int (*run)(const void *options, int argc, char **argv);
};

/* A heading of `hearth help` and the commands under it, ended by NULL. */
struct command_group {
    const char *title;
    const struct command *const *commands;
};

/* The registry, in the order help lists it; a NULL title ends it. A new command is one file and one
 * line in commands.c. */
extern const struct command_group cli_groups[];

/* Exit codes. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

/* Parses options (anywhere among the arguments, "--" ends them, "-x", "-xVALUE", "--name VALUE",
 * "--name=VALUE") into `options`; leaves the positionals in argv[0..*argc-1]. */
enum status cli_parse(const struct command *cmd, int *argc, char **argv, void *options,
                      struct error *err);

/* Prints "hearth: <message>" on standard error and returns the exit code for the status. */
int cli_fail(const struct error *err);
/* The same for a formatted usage error, with a hint at `hearth help NAME`; returns EXIT_USAGE. */
int cli_usage_error(const struct command *cmd, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* True where colour is wanted: a terminal, NO_COLOR unset, TERM not "dumb". */
bool cli_color(int fd);
/* True where LC_ALL, LC_CTYPE or LANG, in that order, asks for UTF-8. */
bool cli_utf8(void);

/* A progress display on standard error: a bar that redraws itself on a terminal, a plain line every
 * few seconds elsewhere. */
struct progress;
struct progress *progress_start(const char *label, bool bytes); /* NULL on out of memory: harmless */
void progress_update(struct progress *p, uint64_t done, uint64_t total);
void progress_end(struct progress *p); /* finishes the line and frees; NULL is fine */

/* Formats 1117320768 as "1.12 GB" (decimal units); returns dst. */
const char *cli_format_bytes(uint64_t n, char *dst, size_t cap);

/* A model name from the catalogue or store, or a path to a GGUF file, as the path to open.
 * NULL name = the default model. ERR_NOT_FOUND says which command pulls it. *out is malloc'd. */
enum status cli_resolve_model(const char *name, char **out, struct error *err);

/* What goes with the name of an installed model (store/settings.h), a new reference; NULL: nothing, or no such model. */
struct json_t *cli_model_settings(const char *name);

/* Folder for derived data such as packed weights, whether it is there or not; malloc'd. NULL with a
 * reason in err. */
char *cli_cache_path(struct error *err);
/* The same, created if missing; malloc'd. NULL with a reason
 * in err where none can be made. */
char *cli_cache_dir(struct error *err);

#endif
