/* What templates can call, by name: a family of filters, tests, functions or methods is one file and one
 * line here. */
#include <string.h>

#include "text/jinja_families.h"

static const struct jinja_function *const filters[] = {
    jinja_filters_text, jinja_filters_list, jinja_filters_pick, jinja_filters_number, jinja_filters_value,
    NULL,
};

static const struct jinja_function *const tests[] = {
    jinja_tests,
    NULL,
};

static const struct jinja_function *const globals[] = {
    jinja_globals,
    NULL,
};

static const struct {
    enum jinja_kind kind;
    const struct jinja_function *methods;
} methods[] = {
    {JINJA_STR, jinja_methods_text},
    {JINJA_STR, jinja_methods_split},
    {JINJA_STR, jinja_methods_is},
    {JINJA_DICT, jinja_methods_dict},
    {JINJA_LIST, jinja_methods_list},
    {JINJA_LOOP, jinja_methods_loop},
};

static const struct jinja_function *find_in(const struct jinja_function *f, const char *name, size_t len)
{
    for (; f->name; f++)
        if (strncmp(f->name, name, len) == 0 && f->name[len] == 0) return f;
    return NULL;
}

static const struct jinja_function *find(const struct jinja_function *const *tables, const char *name,
                                         size_t len)
{
    for (; *tables; tables++) {
        const struct jinja_function *f = find_in(*tables, name, len);
        if (f) return f;
    }
    return NULL;
}

const struct jinja_function *jinja_filter_find(const char *name, size_t len)
{
    return find(filters, name, len);
}

const struct jinja_function *jinja_test_find(const char *name, size_t len)
{
    return find(tests, name, len);
}

const struct jinja_function *jinja_global_find(const char *name, size_t len)
{
    return find(globals, name, len);
}

const struct jinja_function *jinja_method_find(struct jinja_value v, const char *name, size_t len)
{
    const struct jinja_function *f = NULL;
    /* Views, ranges, generators and tuples cannot be changed. */
    if (v.kind == JINJA_OBJECT) return find_in(v.object->methods, name, len);
    for (size_t i = 0; !f && i < sizeof methods / sizeof methods[0]; i++)
        if (methods[i].kind == v.kind) f = find_in(methods[i].methods, name, len);
    if (f && v.kind == JINJA_LIST && v.list->form != FORM_LIST) return find_in(jinja_methods_tuple, name, len);
    return f;
}
