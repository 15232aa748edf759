/* The families of functions that templates can call, each in the file of its name; ended by a NULL name.
 * Filters and tests are those of jinja2 3.1 (src/jinja2/filters.py, tests.py), methods those of Python's
 * types. */
#ifndef HEARTH_TEXT_JINJA_FAMILIES_H
#define HEARTH_TEXT_JINJA_FAMILIES_H

#include "text/jinja_int.h"

extern const struct jinja_function jinja_filters_text[], jinja_filters_list[], jinja_filters_pick[],
    jinja_filters_number[], jinja_filters_value[], jinja_tests[], jinja_globals[], jinja_methods_text[],
    jinja_methods_split[], jinja_methods_is[], jinja_methods_dict[], jinja_methods_list[],
    jinja_methods_tuple[], jinja_methods_loop[];

/* A function of a table; `raw` ones get all arguments as they are. */
#define JINJA_FUNCTION_ARGS                                                                        \
    struct jinja *in, struct jinja_value x, const struct jinja_value *a, const struct jinja_args *raw
#define JINJA_UNUSED (void)in, (void)x, (void)a, (void)raw

#endif
