#include "assist/technique.h"

#include <string.h>

#include "base/buf.h"

const struct technique_name technique_names[] = {
    {"blanks", TECHNIQUE_BLANKS}, {"heal", TECHNIQUE_HEAL},
    {"syntax", TECHNIQUE_SYNTAX}, {"fit", TECHNIQUE_FIT},
    {"choose", TECHNIQUE_CHOOSE}, {"far", TECHNIQUE_FAR},
    {"ranks", TECHNIQUE_RANKS},   {"plain", TECHNIQUE_PLAIN},
    {"inner", TECHNIQUE_INNER},   {NULL, 0},
};

static unsigned find(const char *name, size_t len)
{
    for (const struct technique_name *t = technique_names; t->name; t++)
        if (strlen(t->name) == len && memcmp(t->name, name, len) == 0) return t->bit;
    return 0;
}

static enum status unknown(const char *name, size_t len, struct error *err)
{
    char all[256];
    size_t n = 0;
    for (const struct technique_name *t = technique_names; t->name; t++) {
        size_t k = strlen(t->name);
        if (n + k + 3 > sizeof all) break;
        if (n) {
            memcpy(all + n, ", ", 2);
            n += 2;
        }
        memcpy(all + n, t->name, k);
        n += k;
    }
    all[n] = 0;
    return error_set(err, ERR_INVALID, "no technique is called '%.*s'; there are %s",
                     (int)(len < 40 ? len : 40), name, all);
}

enum status technique_parse(const char *list, unsigned *set, struct error *err)
{
    for (const char *at = list; *at;) {
        size_t len = strcspn(at, ",");
        unsigned bit = find(at, len);
        if (!bit) return unknown(at, len, err);
        *set |= bit;
        at += len + (at[len] == ',');
    }
    return OK;
}
