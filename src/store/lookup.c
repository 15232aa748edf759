/* From what a person types to a model's full name. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "store/store_int.h"

enum { MAX_SUGGESTIONS = 3 };

struct suggestions {
    const char *typed;
    struct {
        const char *name;
        size_t distance;
    } best[MAX_SUGGESTIONS];
    size_t n;
};

/* Keeps the nearest few, nearest first, each once. */
static void consider(struct suggestions *s, const char *known, const char *name)
{
    size_t d = store_name_distance(s->typed, known), at;
    if (d == SIZE_MAX) return;
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->best[i].name, name) == 0) return;
    for (at = 0; at < s->n && s->best[at].distance <= d;) at++;
    if (at >= MAX_SUGGESTIONS) return;
    size_t last = s->n < MAX_SUGGESTIONS ? s->n++ : MAX_SUGGESTIONS - 1;
    for (size_t i = last; i > at; i--) s->best[i] = s->best[i - 1];
    s->best[at].name = name;
    s->best[at].distance = d;
}

static enum status unknown_name(const struct store *s, const char *typed,
                                const struct store_models *installed, struct error *err)
{
    struct suggestions near = {.typed = typed};
    char list[3 * STORE_NAME_SIZE + 16] = "";
    for (size_t i = 0; i < catalogue_n_models(s->catalogue); i++) {
        const struct catalogue_model *m = catalogue_at(s->catalogue, i);
        consider(&near, m->name, m->name);
        for (size_t k = 0; k < m->n_aliases; k++) consider(&near, m->aliases[k], m->name);
    }
    for (size_t i = 0; i < installed->len; i++)
        consider(&near, installed->items[i].name, installed->items[i].name);
    for (size_t i = 0; i < near.n; i++) {
        if (i) strcat(list, i + 1 == near.n ? " or " : ", ");
        strcat(list, near.best[i].name);
    }
    if (near.n)
        return error_set(err, ERR_NOT_FOUND, "no model is called '%.80s'; did you mean %s?", typed,
                         list);
    return error_set(err, ERR_NOT_FOUND,
                     "no model is called '%.80s'; 'hearth list --all' shows those that are", typed);
}

/* A family whose tag was not given and that the catalogue does not know: "latest", else the only
 * one. NULL where there is none; *several where it is not clear. */
static const char *only_tag(const struct store_models *installed, const char *family, bool *several)
{
    const char *found = NULL;
    size_t len = strlen(family), n = 0;
    for (size_t i = 0; i < installed->len; i++) {
        const char *name = installed->items[i].name;
        if (strncmp(name, family, len) != 0 || name[len] != ':') continue;
        if (strcmp(name + len + 1, "latest") == 0) return name;
        found = name;
        n++;
    }
    *several = n > 1;
    return n == 1 ? found : NULL;
}

enum status store_resolve(const struct store *s, const char *typed, char name[STORE_NAME_SIZE],
                          struct error *err)
{
    char lower[STORE_NAME_SIZE], family[STORE_PART_SIZE], tag[STORE_PART_SIZE];
    size_t len = strlen(typed);
    for (size_t i = 0; i <= len && i < sizeof lower; i++)
        lower[i] = (char)(typed[i] >= 'A' && typed[i] <= 'Z' ? typed[i] - 'A' + 'a' : typed[i]);
    lower[sizeof lower - 1] = 0;
    enum status st = store_name_split(len < sizeof lower ? lower : typed, family, tag, err);
    if (st) return st;
    struct store_models installed;
    st = store_list(s, &installed, err);
    if (st) return st;
    const char *found = NULL;
    bool several = false;
    for (size_t i = 0; !found && i < installed.len; i++)
        if (strcmp(installed.items[i].name, lower) == 0) found = installed.items[i].name;
    const struct catalogue_model *m = found ? NULL : catalogue_find(s->catalogue, lower);
    if (m) found = m->name;
    if (!found && !tag[0]) found = only_tag(&installed, family, &several);
    if (found)
        snprintf(name, STORE_NAME_SIZE, "%s", found);
    else if (several)
        st = error_set(err, ERR_INVALID,
                       "several models of family %s are installed; name one with "
                       "its tag ('hearth list' shows them)",
                       family);
    else
        st = unknown_name(s, lower, &installed, err);
    store_models_fini(&installed);
    return st;
}
