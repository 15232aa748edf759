#include "cli/store_screen.h"

#include <stdio.h>

static bool on_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    struct store_screen *sc = ctx;
    (void)phase;
    if (!sc->bar && !sc->quiet && total >= sc->least) sc->bar = progress_start(sc->label, true);
    if (sc->bar) progress_update(sc->bar, done, total);
    return !*sc->interrupted;
}

static void on_notice(void *ctx, const char *line)
{
    struct store_screen *sc = ctx;
    progress_end(sc->bar);
    sc->bar = NULL;
    if (!sc->quiet) fprintf(stderr, "%s\n", line);
}

struct store_events store_screen_events(struct store_screen *sc)
{
    return (struct store_events){.progress = on_progress, .notice = on_notice, .ctx = sc};
}
