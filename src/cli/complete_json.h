/* A completion as a JSON object, for --json and --stdio. */
#ifndef HEARTH_CLI_COMPLETE_JSON_H
#define HEARTH_CLI_COMPLETE_JSON_H

#include <jansson.h>

#include "assist/complete.h"

/* Text, why it ended, token counts and, under "timings", milliseconds; NULL without memory. */
json_t *complete_json(const struct complete_result *r, double total_ms);

/* Tokens generated per second after the first; 0 where there is no second. */
double complete_decode_rate(const struct complete_result *r);

#endif
