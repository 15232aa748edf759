/* Regular expressions, in the subset of ECMA-262's that is regular: JSON schema's `pattern` and the
 * guided_regex of other servers. docs/structured-output.md lists it. */
#ifndef HEARTH_TEXT_GRAMMAR_REGEX_H
#define HEARTH_TEXT_GRAMMAR_REGEX_H

#include "text/grammar_fa.h"

/* The texts that match, as code points. `search`: those with a match somewhere, as JSON schema's
 * `pattern` means it; else the whole text is the match. ERR_FORMAT and ERR_UNSUPPORTED name the byte;
 * ERR_LIMIT and ERR_NOMEM come by the budget. */
enum status regex_compile(const char *text, size_t len, bool search, size_t max_depth,
                          struct fa_budget *budget, struct dfa *out, struct error *err);

#endif
