#include "cli/index_store.h"

#include <stdlib.h>

#include "remote/stores.h"

static const double brief_seconds = 3;

const char *cli_store_address(const char *option)
{
    const char *address = option ? option : getenv("HEARTH_STORE");
    return address && *address ? address : NULL;
}

enum status cli_store_open(const char *option, bool brief, const volatile int *cancel, struct vector_store **out,
                           struct error *err)
{
    const char *address = cli_store_address(option);
    struct store_options opt = {.key = getenv("HEARTH_STORE_KEY"), .cancel = cancel};
    *out = NULL;
    if (!address) return OK;
    if (brief) {
        opt.seconds = brief_seconds;
        opt.tries = 2;
    }
    return stores_open(address, &opt, out, err);
}

void cli_store_close(struct vector_store *s)
{
    if (s) s->close(s);
}
