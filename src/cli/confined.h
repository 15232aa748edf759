/* What a command may still reach once it reads a model or a project: the walls of base/confine.h,
 * by one table of needs. docs/security.md tells the whole. */
#ifndef HEARTH_CLI_CONFINED_H
#define HEARTH_CLI_CONFINED_H

#include <stdbool.h>

#include "base/confine.h"
#include "base/status.h"
#include "cli/cli.h"

/* What a command needs, beyond the model, the system's own files and its standard streams. */
enum {
    NEED_ARGS = 1 << 0,     /* to read the files and folders among its arguments */
    NEED_HERE = 1 << 1,     /* the working folder, where no folder is among the arguments */
    NEED_ANYWHERE = 1 << 2, /* to read whatever the user may read: files are named later */
    NEED_CACHE = 1 << 3,    /* to write to the cache folder (packed weights, indexes, sessions) */
    NEED_NET = 1 << 4,      /* connections, until a model is loaded here */
    NEED_NET_LATER = 1 << 5, /* and afterwards */
    NEED_OUT_ARG = 1 << 6,  /* to write the file that its second argument names */
    NEED_STATS = 1 << 7,    /* the file of statistics */
    NEED_CHATS = 1 << 8,    /* the kept conversations */
    NEED_START = 1 << 9,    /* the walls stand from the start, not only from the first model on */
    NEED_INDEX = 1 << 10,   /* the model that the index of the folder names */
    NEED_STORE = 1 << 11,   /* to write to the store */
    NEED_EXEC = 1 << 12,    /* to start programs */
    NEED_SAVE = 1 << 13,    /* to write below the working folder, unless that holds the home folder */
    NEED_LOCAL = 1 << 14,   /* no walls where its first argument is not on this machine */
    NEED_HISTORY = 1 << 16, /* the history of lines */
    NEED_LISTEN = 1 << 15,  /* sockets to listen on, until confined_no_sockets */
};

/* --no-sandbox, which every command takes; removes it from the arguments. */
void confined_take_flag(int *argc, char **argv);
/* Switches the walls off for this run: what is opened is the program's own. */
void confined_off(const char *why);

/* Remembers the command; where the table says so, the walls go up now. Before the first thread. */
enum status confined_begin(const struct command *cmd, const void *options, int argc, char **argv,
                           struct error *err);
/* More needs of this run; before the walls are up. */
void confined_need(unsigned needs);
/* A path that this run needs, with what it leads to and, for a file, others of its folder. */
void confined_path(const char *path, enum confine_access access, bool folder);
/* Walls up, where they are not yet, before `model` (a path; may be NULL) is read. */
enum status confined_model(const char *model, struct error *err);
/* The same for a command that has more paths to allow than the table tells: `more` calls
 * confined_path. */
enum status confined_up(const char *model, void (*more)(void *ctx), void *ctx, struct error *err);
/* All is loaded: from here on nothing is opened for writing and no connection made; with `opens`
 * nothing is opened at all. Commands that write or read more later do not call it. */
enum status confined_seal(bool opens, struct error *err);
/* For a server: no new sockets, after those it listens on. */
enum status confined_no_sockets(struct error *err);

/* What holds at this moment. */
const struct confined *confined_state(void);
/* Why nothing holds though the kernel could: "--no-sandbox", ...; NULL where something holds. */
const char *confined_why_not(void);
/* One line, without an end: "files, connections, signals, system calls"; "" where nothing is. */
const char *confined_text(const struct confined *c, char *dst, size_t cap);

#endif
