/* Which keys may sign which models, and what becomes of a model that none of them signed. The file
 * is JSON and is described in docs/trust.md; what is not understood in it is an error, so that a
 * slip of the pen never loosens it. */
#ifndef HEARTH_TRUST_POLICY_H
#define HEARTH_TRUST_POLICY_H

#include "trust/key.h"

enum {
    POLICY_NAME_SIZE = 65, /* of a key, with its NUL: ^[a-z0-9][a-z0-9._-]{0,63}$ */
    POLICY_MAX_BYTES = 1 << 20,
    POLICY_MAX_KEYS = 256,
    POLICY_MAX_RULES = 1024,
    POLICY_MAX_PATTERNS = 64, /* in one rule */
};

enum policy_action { POLICY_ALLOW, POLICY_WARN, POLICY_REFUSE };
/* "allow", "warn", "refuse". */
const char *policy_action_name(enum policy_action a);
bool policy_action_parse(const char *text, enum policy_action *out);

struct policy_key {
    char name[POLICY_NAME_SIZE];
    struct trust_key key;
};
struct policy_rule {
    char **patterns; /* owned; of model names, at least one */
    size_t n_patterns;
    char (
        *keys)[POLICY_NAME_SIZE]; /* owned; each is in the policy; none = every key of the policy */
    size_t n_keys;
    enum policy_action unsigned_models;
};
struct policy {
    bool there; /* a file was read */
    struct policy_key *keys;
    size_t n_keys;
    struct policy_rule *rules;
    size_t n_rules;
    enum policy_action unsigned_models; /* for names that no rule fits; allow */
    enum policy_action files;           /* models given by a path instead of a name; allow */
    bool hash_at_load;                  /* read all of a model before it is loaded by its name */
};

/* No file is a policy without keys or rules, which allows everything. A file that cannot be read or
 * understood is an error, on which callers must refuse. */
enum status policy_read(const char *path, struct policy *out, struct error *err);
enum status policy_parse(const char *text, size_t len, const char *what, struct policy *out,
                         struct error *err);
enum status policy_write(const struct policy *p, const char *path, struct error *err);
void policy_fini(struct policy *p);

/* The rule with the most specific pattern that fits: the one with the most characters that are no
 * wildcards, of equals the first. So the order of rules means nothing to speak of, and "*" is for
 * what no other rule is about. NULL where none fits. */
const struct policy_rule *policy_rule_for(const struct policy *p, const char *model);
const struct policy_key *policy_key_find(const struct policy *p, const char *name);
/* Whether the rule lets this key sign; rule NULL: every key may. */
bool policy_rule_has_key(const struct policy_rule *r, const char *key);

/* Take what they are given: the key is moved, texts are copied. ERR_INVALID, ERR_LIMIT. */
enum status policy_add_key(struct policy *p, const char *name, struct trust_key *key,
                           struct error *err);
/* ERR_INVALID also where a rule has one of the patterns already. */
enum status policy_add_rule(struct policy *p, const char *const *patterns, size_t n_patterns,
                            const char *const *keys, size_t n_keys,
                            enum policy_action unsigned_models, struct error *err);
/* ERR_NOT_FOUND; ERR_INVALID while a rule names the key. */
enum status policy_remove_key(struct policy *p, const char *name, struct error *err);
/* index as in `rules`. */
enum status policy_remove_rule(struct policy *p, size_t index, struct error *err);

bool policy_name_valid(const char *name);
/* '*' stands for any characters, '?' for one; a pattern without ':' is about the family alone. The
 * time it takes grows with the product of the lengths and no faster. */
bool policy_pattern_fits(const char *pattern, const char *model);
/* Letters of names, ':', '*' and '?', at most 129 of them. */
bool policy_pattern_valid(const char *pattern);

#endif
