/* hearth complete --show: a file around its cursor with the completion in it, for people. */
#ifndef HEARTH_CLI_COMPLETE_SHOW_H
#define HEARTH_CLI_COMPLETE_SHOW_H

#include <stddef.h>

#include "assist/complete.h"

/* What is completed; borrowed. */
struct complete_shown {
    const char *name; /* for the line below */
    const char *text;
    size_t len, prefix_len, suffix_start; /* what stands between the two is not shown */
};

/* Prints some lines above and below, in colour on a terminal; control characters are made harmless.
 */
enum status complete_show(const struct complete_shown *d, const struct complete_result *r,
                          struct error *err);

#endif
