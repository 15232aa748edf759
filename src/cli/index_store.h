/* Where the person keeps the vectors of an index: --store, or the environment. */
#ifndef HEARTH_CLI_INDEX_STORE_H
#define HEARTH_CLI_INDEX_STORE_H

#include <stdbool.h>

#include "base/status.h"

struct vector_store;

#define CLI_STORE_HELP "Vectors are on this server: qdrant:// or chroma://HOST:PORT/COLLECTION (default: $HEARTH_STORE)"

/* The address that `option` gives, else the environment; NULL where neither does. */
const char *cli_store_address(const char *option);
/* Opens the store that `option` names, else $HEARTH_STORE; *out NULL where neither does. Its key is
 * $HEARTH_STORE_KEY. In a search (`brief`) a server has seconds to answer, else minutes. Connects to nothing
 * yet. */
enum status cli_store_open(const char *option, bool brief, const volatile int *cancel, struct vector_store **out,
                           struct error *err);
void cli_store_close(struct vector_store *s); /* NULL is fine */

#endif
