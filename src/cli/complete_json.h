/* A completion as a JSON object, for --json and --stdio. */
#ifndef HEARTH_CLI_COMPLETE_JSON_H
#define HEARTH_CLI_COMPLETE_JSON_H

#include <jansson.h>

#include "assist/complete.h"

/* Text, why it ended, token counts and, under "timings", milliseconds; NULL without memory. */
json_t *complete_json(const struct complete_result *r, double total_ms);

/* Tokens generated per second after the first; 0 where there is no second. */
double complete_decode_rate(const struct complete_result *r);

/* Prints the object as one line, or indented, and frees it (NULL: no memory). */
enum status complete_json_print(json_t *root, bool one_line, struct error *err);

#endif
