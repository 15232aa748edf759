#include "trust/policy.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/glob.h"

enum { MAX_PATTERN = 129 };

static const char *const actions[] = {
    [POLICY_ALLOW] = "allow", [POLICY_WARN] = "warn", [POLICY_REFUSE] = "refuse"};

const char *policy_action_name(enum policy_action a)
{
    return actions[a];
}

bool policy_action_parse(const char *text, enum policy_action *out)
{
    for (int i = 0; text && i < 3; i++) {
        if (strcmp(text, actions[i]) != 0) continue;
        *out = (enum policy_action)i;
        return true;
    }
    return false;
}

/* ---- names and patterns -------------------------------------------------------------------- */

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool policy_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (!is_letter(name[0]) || len >= POLICY_NAME_SIZE) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_letter(name[i]) && !strchr("._-", name[i])) return false;
    return true;
}

bool policy_pattern_valid(const char *pattern)
{
    size_t len = strlen(pattern);
    if (len == 0 || len > MAX_PATTERN) return false;
    for (size_t i = 0; i < len; i++)
        if (!is_letter(pattern[i]) && !strchr("._-/:*?", pattern[i])) return false;
    return true;
}

bool policy_pattern_fits(const char *pattern, const char *model)
{
    return glob_fits(pattern, model, strchr(pattern, ':') ? strlen(model) : strcspn(model, ":"));
}

/* ---- looking up ---------------------------------------------------------------------------- */

const struct policy_rule *policy_rule_for(const struct policy *p, const char *model)
{
    const struct policy_rule *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < p->n_rules; i++)
        for (size_t k = 0; k < p->rules[i].n_patterns; k++) {
            const char *pattern = p->rules[i].patterns[k];
            size_t n = glob_literals(pattern);
            if ((best && n <= most) || !policy_pattern_fits(pattern, model)) continue;
            best = &p->rules[i];
            most = n;
        }
    return best;
}

const struct policy_key *policy_key_find(const struct policy *p, const char *name)
{
    for (size_t i = 0; i < p->n_keys; i++)
        if (strcmp(p->keys[i].name, name) == 0) return &p->keys[i];
    return NULL;
}

bool policy_rule_has_key(const struct policy_rule *r, const char *key)
{
    bool found = !r || r->n_keys == 0;
    for (size_t i = 0; !found && i < r->n_keys; i++) found = strcmp(r->keys[i], key) == 0;
    return found;
}

/* ---- changing ------------------------------------------------------------------------------ */

static void rule_fini(struct policy_rule *r)
{
    for (size_t i = 0; i < r->n_patterns; i++) free(r->patterns[i]);
    free(r->patterns);
    free(r->keys);
    *r = (struct policy_rule){0};
}

void policy_fini(struct policy *p)
{
    for (size_t i = 0; i < p->n_keys; i++) trust_key_fini(&p->keys[i].key);
    for (size_t i = 0; i < p->n_rules; i++) rule_fini(&p->rules[i]);
    free(p->keys);
    free(p->rules);
    *p = (struct policy){0};
}

enum status policy_add_key(struct policy *p, const char *name, struct trust_key *key,
                           struct error *err)
{
    if (!policy_name_valid(name))
        return error_set(
            err, ERR_INVALID,
            "'%.80s' cannot be a key's name: small letters, digits, '.', '_' and '-', at most 64",
            name);
    if (policy_key_find(p, name))
        return error_set(err, ERR_INVALID, "there is a key %s already", name);
    if (key->secret)
        return error_set(err, ERR_INVALID, "a secret key does not belong into a policy");
    if (p->n_keys == POLICY_MAX_KEYS)
        return error_set(err, ERR_LIMIT, "more than %d keys", POLICY_MAX_KEYS);
    struct policy_key *keys = realloc(p->keys, (p->n_keys + 1) * sizeof *keys);
    if (!keys) return error_set(err, ERR_NOMEM, "out of memory");
    p->keys = keys;
    struct policy_key *k = &keys[p->n_keys++];
    *k = (struct policy_key){.key = *key};
    memcpy(k->name, name, strlen(name) + 1);
    *key = (struct trust_key){0};
    return OK;
}

static enum status fill_rule(const struct policy *p, struct policy_rule *r,
                             const char *const *patterns, size_t n_patterns,
                             const char *const *keys, size_t n_keys, struct error *err)
{
    if (n_patterns == 0 || n_patterns > POLICY_MAX_PATTERNS || n_keys > POLICY_MAX_KEYS)
        return error_set(err, ERR_LIMIT, "a rule has one to %d patterns and at most %d keys",
                         POLICY_MAX_PATTERNS, POLICY_MAX_KEYS);
    r->patterns = calloc(n_patterns, sizeof *r->patterns);
    r->keys = calloc(n_keys ? n_keys : 1, sizeof *r->keys);
    if (!r->patterns || !r->keys) return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n_patterns; i++) {
        if (!policy_pattern_valid(patterns[i]))
            return error_set(err, ERR_INVALID,
                             "'%.80s' is no pattern of model names such as 'qwen*' or '*:1.5b'",
                             patterns[i]);
        if (!(r->patterns[i] = strdup(patterns[i])))
            return error_set(err, ERR_NOMEM, "out of memory");
        r->n_patterns++;
    }
    for (size_t i = 0; i < n_keys; i++) {
        const struct policy_key *k = policy_key_find(p, keys[i]);
        if (!k)
            return error_set(err, ERR_INVALID,
                             "a rule names key '%.80s', and there is none of that name", keys[i]);
        memcpy(r->keys[r->n_keys++], k->name, sizeof k->name);
    }
    return OK;
}

static bool has_pattern(const struct policy_rule *r, const char *pattern)
{
    bool found = false;
    for (size_t i = 0; !found && i < r->n_patterns; i++)
        found = strcmp(r->patterns[i], pattern) == 0;
    return found;
}

enum status policy_add_rule(struct policy *p, const char *const *patterns, size_t n_patterns,
                            const char *const *keys, size_t n_keys,
                            enum policy_action unsigned_models, struct error *err)
{
    if (p->n_rules == POLICY_MAX_RULES)
        return error_set(err, ERR_LIMIT, "more than %d rules", POLICY_MAX_RULES);
    struct policy_rule rule = {.unsigned_models = unsigned_models};
    struct policy_rule *rules = realloc(p->rules, (p->n_rules + 1) * sizeof *rules);
    if (!rules) return error_set(err, ERR_NOMEM, "out of memory");
    p->rules = rules;
    enum status st = fill_rule(p, &rule, patterns, n_patterns, keys, n_keys, err);
    for (size_t i = 0; st == OK && i < p->n_rules; i++)
        for (size_t k = 0; st == OK && k < n_patterns; k++)
            if (has_pattern(&rules[i], patterns[k]))
                st = error_set(err, ERR_INVALID, "rule %zu is about '%s' already", i + 1,
                               patterns[k]);
    if (st) {
        rule_fini(&rule);
        return st;
    }
    rules[p->n_rules++] = rule;
    return OK;
}

enum status policy_remove_key(struct policy *p, const char *name, struct error *err)
{
    const struct policy_key *k = policy_key_find(p, name);
    if (!k) return error_set(err, ERR_NOT_FOUND, "there is no key %.80s", name);
    for (size_t i = 0; i < p->n_rules; i++)
        if (p->rules[i].n_keys && policy_rule_has_key(&p->rules[i], name))
            return error_set(err, ERR_INVALID, "rule %zu (%s) names key %s; remove the rule first",
                             i + 1, p->rules[i].patterns[0], name);
    size_t at = (size_t)(k - p->keys);
    trust_key_fini(&p->keys[at].key);
    memmove(&p->keys[at], &p->keys[at + 1], (--p->n_keys - at) * sizeof *p->keys);
    return OK;
}

enum status policy_remove_rule(struct policy *p, size_t index, struct error *err)
{
    if (index >= p->n_rules)
        return error_set(err, ERR_NOT_FOUND, "there are %zu rules", p->n_rules);
    rule_fini(&p->rules[index]);
    memmove(&p->rules[index], &p->rules[index + 1], (--p->n_rules - index) * sizeof *p->rules);
    return OK;
}

/* ---- the file ------------------------------------------------------------------------------ */

static enum status unknown_field(const json_t *obj, const char *const *allowed, const char *what,
                                 const char *where, struct error *err)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)obj, key, value)
    {
        const char *const *a = allowed;
        while (*a && strcmp(*a, key) != 0) a++;
        if (!*a)
            return error_set(err, ERR_FORMAT, "%s: %s has an unknown field '%.60s'", what, where,
                             key);
    }
    return OK;
}

/* An action that may be missing. */
static enum status read_action(const json_t *obj, const char *field, enum policy_action *out,
                               const char *what, const char *where, struct error *err)
{
    const json_t *j = json_object_get(obj, field);
    if (!j || policy_action_parse(json_string_value(j), out)) return OK;
    return error_set(err, ERR_FORMAT, "%s: '%s' of %s is not \"allow\", \"warn\" or \"refuse\"",
                     what, field, where);
}

static enum status read_keys(const json_t *keys, const char *what, struct policy *out,
                             struct error *err)
{
    const char *name;
    json_t *value;
    if (keys && !json_is_object(keys))
        return error_set(err, ERR_FORMAT, "%s: 'keys' is not an object", what);
    json_object_foreach((json_t *)keys, name, value)
    {
        struct trust_key key;
        char where[160];
        snprintf(where, sizeof where, "%.60s: key '%.64s'", what, name);
        if (!json_is_string(value)) return error_set(err, ERR_FORMAT, "%s is no text", where);
        enum status st = trust_key_parse_public(json_string_value(value), json_string_length(value),
                                                where, &key, err);
        if (st) return st;
        st = policy_add_key(out, name, &key, err);
        trust_key_fini(&key);
        if (st) return error_prefix(err, "%.60s", what);
    }
    return OK;
}

/* The texts of a list, borrowed; false where it is none, or too long. */
static bool read_texts(const json_t *list, const char **dst, size_t max, size_t *n)
{
    *n = 0;
    if (!json_is_array(list) || json_array_size(list) == 0 || json_array_size(list) > max)
        return false;
    size_t i;
    json_t *j;
    json_array_foreach(list, i, j)
    {
        if (!json_is_string(j)) return false;
        dst[(*n)++] = json_string_value(j);
    }
    return true;
}

static enum status read_rule(const json_t *j, size_t number, const char *what, struct policy *out,
                             struct error *err)
{
    static const char *const fields[] = {"models", "keys", "unsigned", NULL};
    const char *patterns[POLICY_MAX_PATTERNS], *keys[POLICY_MAX_KEYS];
    size_t n_patterns, n_keys = 0;
    enum policy_action unsigned_models = POLICY_REFUSE;
    char where[32];
    snprintf(where, sizeof where, "rule %zu", number);
    if (!json_is_object(j)) return error_set(err, ERR_FORMAT, "%s: %s is no object", what, where);
    enum status st = unknown_field(j, fields, what, where, err);
    if (st == OK) st = read_action(j, "unsigned", &unsigned_models, what, where, err);
    if (st) return st;
    const json_t *key_list = json_object_get(j, "keys");
    if (!read_texts(json_object_get(j, "models"), patterns, POLICY_MAX_PATTERNS, &n_patterns))
        return error_set(err, ERR_FORMAT, "%s: 'models' of %s is no list of one to %d patterns",
                         what, where, POLICY_MAX_PATTERNS);
    if (key_list && !read_texts(key_list, keys, POLICY_MAX_KEYS, &n_keys))
        return error_set(err, ERR_FORMAT, "%s: 'keys' of %s is no list of key names", what, where);
    st = policy_add_rule(out, patterns, n_patterns, keys, n_keys, unsigned_models, err);
    return st ? error_prefix(err, "%.60s: %s", what, where) : OK;
}

enum status policy_parse(const char *text, size_t len, const char *what, struct policy *out,
                         struct error *err)
{
    static const char *const fields[] = {"version", "keys",         "rules", "unsigned",
                                         "files",   "hash_at_load", NULL};
    json_error_t je;
    *out = (struct policy){.there = true};
    if (len > POLICY_MAX_BYTES)
        return error_set(err, ERR_LIMIT, "%s is too long for a policy", what);
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!root) return error_set(err, ERR_FORMAT, "%s: line %d: %s", what, je.line, je.text);
    const json_t *rules = json_object_get(root, "rules"),
                 *version = json_object_get(root, "version"),
                 *hash = json_object_get(root, "hash_at_load");
    enum status st = OK;
    if (!json_is_object(root) || !json_is_integer(version))
        st = error_set(err, ERR_FORMAT, "%s is no policy: it has no \"version\": 1", what);
    else if (json_integer_value(version) != 1)
        st = error_set(err, ERR_UNSUPPORTED, "%s is a policy for a newer Hearth", what);
    else if (rules && (!json_is_array(rules) || json_array_size(rules) > POLICY_MAX_RULES))
        st = error_set(err, ERR_FORMAT, "%s: 'rules' is no list of at most %d rules", what,
                       POLICY_MAX_RULES);
    else if (hash && !json_is_boolean(hash))
        st = error_set(err, ERR_FORMAT, "%s: 'hash_at_load' is neither true nor false", what);
    out->hash_at_load = json_is_true(hash);
    if (st == OK) st = unknown_field(root, fields, what, "it", err);
    if (st == OK)
        st = read_action(root, "unsigned", &out->unsigned_models, what, "the policy", err);
    if (st == OK) st = read_action(root, "files", &out->files, what, "the policy", err);
    if (st == OK) st = read_keys(json_object_get(root, "keys"), what, out, err);
    for (size_t i = 0; st == OK && i < json_array_size(rules); i++)
        st = read_rule(json_array_get(rules, i), i + 1, what, out, err);
    json_decref(root);
    if (st) policy_fini(out);
    return st;
}

enum status policy_read(const char *path, struct policy *out, struct error *err)
{
    struct buf text;
    struct error why = {0};
    buf_init(&text, POLICY_MAX_BYTES);
    *out = (struct policy){0};
    enum status st = file_read_regular(path, &text, &why);
    if (st == OK)
        st = policy_parse(text.data ? text.data : "", text.len, path, out, err);
    else if (st == ERR_NOT_FOUND)
        st = OK;
    else
        error_set(err, st, "%s", why.msg);
    buf_fini(&text);
    return st;
}

static json_t *rule_json(const struct policy_rule *r)
{
    json_t *models = json_array(), *keys = json_array();
    for (size_t i = 0; i < r->n_patterns; i++)
        json_array_append_new(models, json_string(r->patterns[i]));
    for (size_t i = 0; i < r->n_keys; i++) json_array_append_new(keys, json_string(r->keys[i]));
    json_t *j = json_pack("{s:o, s:s}", "models", models, "unsigned", actions[r->unsigned_models]);
    if (r->n_keys)
        json_object_set_new(j, "keys", keys);
    else
        json_decref(keys);
    return j;
}

static json_t *policy_json(const struct policy *p, struct error *err)
{
    json_t *keys = json_object(), *rules = json_array();
    enum status st = OK;
    for (size_t i = 0; st == OK && i < p->n_keys; i++) {
        struct buf text;
        buf_init(&text, TRUST_KEY_FILE_BYTES);
        st = trust_key_write_public(&p->keys[i].key, &text, err);
        if (st == OK) json_object_set_new(keys, p->keys[i].name, json_string(text.data));
        buf_fini(&text);
    }
    for (size_t i = 0; st == OK && i < p->n_rules; i++)
        json_array_append_new(rules, rule_json(&p->rules[i]));
    if (st) {
        json_decref(keys);
        json_decref(rules);
        return NULL;
    }
    return json_pack("{s:i, s:s, s:s, s:b, s:o, s:o}", "version", 1, "unsigned",
                     actions[p->unsigned_models], "files", actions[p->files], "hash_at_load",
                     (int)p->hash_at_load, "keys", keys, "rules", rules);
}

enum status policy_write(const struct policy *p, const char *path, struct error *err)
{
    struct error why = {.code = ERR_NOMEM, .msg = "out of memory"};
    struct policy again = {0};
    json_t *json = policy_json(p, &why);
    char *text = json ? json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER) : NULL;
    /* Read back before it takes the old one's place: what a lack of memory left out would loosen
     * it. */
    enum status st = text ? policy_parse(text, strlen(text), path, &again, err)
                          : error_set(err, why.code, "%s", why.msg);
    if (st == OK && (again.n_keys != p->n_keys || again.n_rules != p->n_rules))
        st = error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; st == OK && i < p->n_rules; i++)
        if (again.rules[i].n_keys != p->rules[i].n_keys ||
            again.rules[i].n_patterns != p->rules[i].n_patterns)
            st = error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK) st = file_replace(path, text, strlen(text), err);
    policy_fini(&again);
    json_decref(json);
    free(text);
    return st;
}
