/* Further names of an installed model, each with settings of its own. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "store/settings.h"
#include "store/store_int.h"

enum status store_new_name(const char *typed, char name[STORE_NAME_SIZE], struct error *err)
{
    char family[STORE_PART_SIZE], tag[STORE_PART_SIZE], lower[STORE_NAME_SIZE];
    size_t len = strlen(typed);
    for (size_t i = 0; i <= len && i < sizeof lower; i++)
        lower[i] = (char)tolower((unsigned char)typed[i]);
    lower[sizeof lower - 1] = 0;
    enum status st = store_name_split(len < sizeof lower ? lower : typed, family, tag, err);
    if (st == OK) snprintf(name, STORE_NAME_SIZE, "%s:%s", family, tag[0] ? tag : "latest");
    return st;
}

/* The entry of a new name: what its file is, and nothing of how the other name was found. */
static json_t *entry_of(const struct store_model *from, const char *name, const json_t *settings)
{
    json_t *entry = json_copy(from->info.json),
           *license = json_array_get(json_object_get(settings, "license"), 0);
    if (!entry) return NULL;
    json_object_set_new(entry, "name", json_string(name));
    json_object_del(entry, "sources");
    json_object_del(entry, "aliases");
    json_object_del(entry, "default");
    const char *text = json_string_value(license);
    if (text && strlen(text) < 80 && !strchr(text, '\n'))
        json_object_set(entry, "license", license);
    return entry;
}

/* Under the name's lock. */
static enum status give_name(const struct store *s, const struct store_model *from,
                             const char *name, const json_t *settings,
                             const struct store_events *ev, struct error *err)
{
    struct store_model old;
    struct store_lock lock = {-1}, commit = {-1};
    uint64_t freed;
    if (store_find(s, name, &old, NULL) != OK) old.sha256[0] = 0;
    struct manifest m = {.name = name,
                         .sha256 = from->sha256,
                         .source = from->source,
                         .digest_from = from->digest_from,
                         .bytes = from->bytes,
                         .model = entry_of(from, name, settings),
                         .origin = from->origin,
                         .settings = settings};
    enum status st = m.model ? OK : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = store_lock_take(s, STORE_LOCK_DIGEST, from->sha256, name, ev, &lock, err);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_COMMIT, NULL, "the store", ev, &commit, err);
    struct store_model again = {0};
    if (st == OK)
        st = store_find(s, from->name, &again, err); /* it may have been removed meanwhile */
    if (st == OK && (again.problem || strcmp(again.sha256, from->sha256) != 0))
        st = error_set(err, ERR_BUSY, "%s changed meanwhile", from->name);
    if (st == OK) st = manifest_write(s, &m, err);
    if (st == OK && old.sha256[0] && strcmp(old.sha256, m.sha256) != 0)
        st = blob_release(s, old.sha256, false, &freed, err);
    store_lock_drop(&commit);
    store_lock_drop(&lock);
    store_model_fini(&again);
    store_model_fini(&old);
    json_decref(m.model);
    return st;
}

enum status store_give_name(const struct store *s, const char *from, const char *name,
                            const json_t *settings, const struct store_events *ev,
                            struct store_model *out, struct error *err)
{
    struct store_model m;
    struct store_lock lock = {-1};
    if (out) *out = (struct store_model){0};
    enum status st = settings_check(settings, err);
    if (st == OK) st = store_find(s, from, &m, err);
    if (st != OK) return st;
    if (m.problem)
        st = error_set(err, ERR_INTEGRITY, "%s: %s; run: hearth pull %s", from, m.problem, from);
    if (st == OK) st = store_lock_take(s, STORE_LOCK_NAME, name, name, ev, &lock, err);
    if (st == OK) st = give_name(s, &m, name, settings, ev, err);
    if (st == OK && out) st = store_find(s, name, out, err);
    store_lock_drop(&lock);
    store_model_fini(&m);
    return st;
}
