/* A bar and lines of notice while the store works for a command, until Ctrl-C. */
#ifndef HEARTH_CLI_STORE_SCREEN_H
#define HEARTH_CLI_STORE_SCREEN_H

#include "cli/cli.h"
#include "store/store.h"

struct store_screen {
    const char *label; /* what is being done: "writing" */
    uint64_t least;    /* bytes in all, for which there is a bar */
    bool quiet;
    const volatile int *interrupted; /* cli_catch_interrupt's */
    struct progress *bar;            /* NULL; to be ended by progress_end */
};

/* Events that show themselves on `sc`, which stays where it is meanwhile. */
struct store_events store_screen_events(struct store_screen *sc);

#endif
