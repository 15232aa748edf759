/* hearth trust [ACTION]: the trust policy, and what it says of the models that are here. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/signing.h"

struct trust_options {
    struct string_list models, keys;
    const char *unsigned_models, *files;
    bool json;
};

struct trust_run {
    const struct trust_options *o;
    struct store *store;
    struct policy policy;
    int argc;
    char **argv; /* after the action */
};

extern const struct command cmd_trust;

/* ---- showing ------------------------------------------------------------------------------- */

static json_t *key_json(const struct policy_key *k)
{
    return json_pack("{s:s, s:s, s:s}", "name", k->name, "kind",
                     k->key.scheme == TRUST_MINISIGN ? "minisign" : "model-signing", "id",
                     k->key.id);
}

static json_t *rule_json(const struct policy_rule *r)
{
    json_t *models = json_array(), *keys = json_array();
    for (size_t i = 0; i < r->n_patterns; i++)
        json_array_append_new(models, json_string(r->patterns[i]));
    for (size_t i = 0; i < r->n_keys; i++) json_array_append_new(keys, json_string(r->keys[i]));
    return json_pack("{s:o, s:o, s:s}", "models", models, "keys", keys, "unsigned",
                     policy_action_name(r->unsigned_models));
}

static void list_json(const struct policy *p)
{
    json_t *keys = json_array(), *rules = json_array();
    for (size_t i = 0; i < p->n_keys; i++) json_array_append_new(keys, key_json(&p->keys[i]));
    for (size_t i = 0; i < p->n_rules; i++) json_array_append_new(rules, rule_json(&p->rules[i]));
    json_t *root = json_pack("{s:b, s:o, s:o, s:s, s:s}", "policy", (int)p->there, "keys", keys,
                             "rules", rules, "unsigned", policy_action_name(p->unsigned_models),
                             "files", policy_action_name(p->files));
    json_dumpf(root, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(root);
}

static enum status do_list(struct trust_run *t, struct error *err)
{
    const struct policy *p = &t->policy;
    char words[96];
    (void)err;
    if (t->o->json) {
        list_json(p);
        return OK;
    }
    if (!p->there) puts("There is no trust policy: every model may be used, signed or not.");
    if (p->n_keys) puts("Keys");
    for (size_t i = 0; i < p->n_keys; i++)
        printf("  %-20s %s\n", p->keys[i].name,
               trust_key_words(&p->keys[i].key, words, sizeof words));
    if (p->n_rules) puts("Rules (the most specific that fits a name decides)");
    for (size_t i = 0; i < p->n_rules; i++) {
        const struct policy_rule *r = &p->rules[i];
        printf("  %zu. ", i + 1);
        for (size_t k = 0; k < r->n_patterns; k++) printf("%s%s", k ? ", " : "", r->patterns[k]);
        printf(": signed by ");
        for (size_t k = 0; k < r->n_keys; k++) printf("%s%s", k ? " or " : "", r->keys[k]);
        printf("%s; unsigned: %s\n", r->n_keys ? "" : "any of the keys",
               policy_action_name(r->unsigned_models));
    }
    if (p->there)
        printf("Other models: unsigned: %s. Models given by a path: %s.\n",
               policy_action_name(p->unsigned_models), policy_action_name(p->files));
    return OK;
}

/* ---- changing ------------------------------------------------------------------------------ */

static enum status save(const struct trust_run *t, struct error *err)
{
    char *path;
    enum status st = store_policy_path(t->store, &path, err);
    if (st) return st;
    st = file_make_dirs(store_root(t->store), err);
    if (st == OK) st = policy_write(&t->policy, path, err);
    free(path);
    return st;
}

static enum status add_rule(struct trust_run *t, const struct string_list *models,
                            const struct string_list *keys, struct error *err)
{
    enum policy_action action = POLICY_REFUSE;
    if (t->o->unsigned_models && !policy_action_parse(t->o->unsigned_models, &action))
        return error_set(err, ERR_INVALID, "--unsigned takes allow, warn or refuse");
    return policy_add_rule(&t->policy, models->items, models->len, keys->items, keys->len, action,
                           err);
}

static enum status do_add_key(struct trust_run *t, struct error *err)
{
    struct trust_key key;
    char words[96];
    const struct string_list own = {.items = {t->argv[0]}, .len = 1};
    enum status st = signing_public_key(&(struct policy){0}, t->argv[1], &key, err);
    if (st) return st;
    trust_key_words(&key, words, sizeof words);
    st = policy_add_key(&t->policy, t->argv[0], &key, err);
    trust_key_fini(&key);
    if (st == OK && t->o->models.len) st = add_rule(t, &t->o->models, &own, err);
    if (st == OK) st = save(t, err);
    if (st == OK)
        printf("added %s, a %s%s\n", t->argv[0], words,
               t->o->models.len ? ", and a rule for its models" : "");
    return st;
}

static enum status do_remove_key(struct trust_run *t, struct error *err)
{
    enum status st = policy_remove_key(&t->policy, t->argv[0], err);
    if (st == OK) st = save(t, err);
    if (st == OK) printf("removed key %s\n", t->argv[0]);
    return st;
}

static enum status do_add_rule(struct trust_run *t, struct error *err)
{
    struct string_list models = {.len = 0};
    for (int i = 0; i < t->argc && models.len < POLICY_MAX_PATTERNS; i++)
        models.items[models.len++] = t->argv[i];
    enum status st = add_rule(t, &models, &t->o->keys, err);
    if (st == OK) st = save(t, err);
    if (st == OK) printf("added as rule %zu\n", t->policy.n_rules);
    return st;
}

static enum status do_remove_rule(struct trust_run *t, struct error *err)
{
    char *end;
    unsigned long n = strtoul(t->argv[0], &end, 10);
    if (*end || n == 0)
        return error_set(err, ERR_INVALID, "say which rule by its number in: hearth trust list");
    enum status st = policy_remove_rule(&t->policy, n - 1, err);
    if (st == OK) st = save(t, err);
    if (st == OK) printf("removed rule %lu\n", n);
    return st;
}

static enum status do_set(struct trust_run *t, struct error *err)
{
    const char *u = t->o->unsigned_models, *f = t->o->files;
    if ((!u && !f) || (u && !policy_action_parse(u, &t->policy.unsigned_models)) ||
        (f && !policy_action_parse(f, &t->policy.files)))
        return error_set(err, ERR_INVALID,
                         "set takes --unsigned and --files, each allow, warn or refuse");
    enum status st = save(t, err);
    t->policy.there = true;
    return st ? st : do_list(t, err);
}

/* ---- asking -------------------------------------------------------------------------------- */

struct checked {
    json_t *list; /* NULL: text is printed */
    size_t refused;
};

static enum status check_one(struct trust_run *t, const struct store_model *m, struct checked *c,
                             struct error *err)
{
    struct store_trust trust;
    if (m->problem) {
        snprintf(trust.words, sizeof trust.words, "%.500s", m->problem);
        trust.outcome = POLICY_REFUSE;
        trust.is_signed = false;
    } else {
        enum status st = store_trust_of(t->store, m->name, m->sha256, &trust, err);
        if (st) return st;
    }
    if (trust.outcome == POLICY_REFUSE) c->refused++;
    if (c->list)
        json_array_append_new(c->list, json_pack("{s:s, s:s, s:b, s:s?, s:s}", "model", m->name,
                                                 "outcome", policy_action_name(trust.outcome),
                                                 "signed", (int)trust.is_signed, "signer",
                                                 trust.is_signed ? trust.signer : NULL, "says",
                                                 trust.words));
    else
        printf("%-7s %-28s %s\n", policy_action_name(trust.outcome), m->name, trust.words);
    return OK;
}

static enum status do_check(struct trust_run *t, struct error *err)
{
    struct checked c = {.list = t->o->json ? json_array() : NULL};
    struct store_models all = {0};
    enum status st = OK;
    if (t->argc == 0) st = store_list(t->store, &all, err);
    for (size_t i = 0; st == OK && i < all.len; i++) st = check_one(t, &all.items[i], &c, err);
    for (int i = 0; st == OK && i < t->argc; i++) {
        char name[STORE_NAME_SIZE];
        struct store_model m;
        st = store_resolve(t->store, t->argv[i], name, err);
        if (st == OK) st = store_find(t->store, name, &m, err);
        if (st) break;
        st = check_one(t, &m, &c, err);
        store_model_fini(&m);
    }
    if (st == OK && c.list) {
        json_dumpf(c.list, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(c.list);
    store_models_fini(&all);
    if (st == OK && c.refused)
        st = error_set(err, ERR_INTEGRITY, "%zu model%s may not be used", c.refused,
                       c.refused == 1 ? "" : "s");
    return st;
}

static const struct action {
    const char *name;
    int min_args, max_args; /* -1 = any */
    bool needs_policy;      /* read before; otherwise a broken one can still be looked at */
    enum status (*run)(struct trust_run *t, struct error *err);
} actions[] = {
    {"list", 0, 0, true, do_list},
    {"check", 0, -1, false, do_check},
    {"add-key", 2, 2, true, do_add_key},
    {"remove-key", 1, 1, true, do_remove_key},
    {"add-rule", 1, POLICY_MAX_PATTERNS, true, do_add_rule},
    {"remove-rule", 1, 1, true, do_remove_rule},
    {"set", 0, 0, true, do_set},
};

static int run(const void *options, int argc, char **argv)
{
    struct error err = {0};
    struct trust_run t = {.o = options, .argc = argc > 1 ? argc - 1 : 0, .argv = argv + 1};
    const char *name = argc ? argv[0] : "list";
    const struct action *a = NULL;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(actions[i].name, name) == 0) a = &actions[i];
    if (!a) return cli_usage_error(&cmd_trust, "there is no 'trust %s'", name);
    if (t.argc < a->min_args || (a->max_args >= 0 && t.argc > a->max_args))
        return cli_usage_error(&cmd_trust, "'trust %s' takes %s", name,
                               a->max_args == 0   ? "no arguments"
                               : a->max_args == 2 ? "a name and a key"
                                                  : "one argument");
    enum status st = store_open(NULL, &t.store, &err);
    if (st == OK && a->needs_policy) st = store_policy_read(t.store, &t.policy, &err);
    if (st == OK) st = a->run(&t, &err);
    policy_fini(&t.policy);
    store_close(t.store);
    return st ? cli_fail(&err) : EXIT_OK;
}

#define FIELD(name) offsetof(struct trust_options, name), 0, 0
static const struct option options[] = {
    {"models", 'm', OPTION_LIST, "PATTERN",
     "Models that the key may sign: a rule is added (may be repeated)", FIELD(models)},
    {"key", 'k', OPTION_LIST, "NAME", "A key of the rule (may be repeated; none: every key)",
     FIELD(keys)},
    {"unsigned", 0, OPTION_STRING, "allow|warn|refuse",
     "What becomes of models that none of the keys signed (default refuse)",
     FIELD(unsigned_models)},
    {"files", 0, OPTION_STRING, "allow|warn|refuse", "What becomes of models given by a path",
     FIELD(files)},
    {"json", 0, OPTION_FLAG, NULL, "Print JSON", FIELD(json)},
    {0},
};

const struct command cmd_trust = {
    .name = "trust",
    .summary = "Say whose signatures models must have",
    .usage = "trust [list|check|add-key|remove-key|add-rule|remove-rule|set] [options]",
    .description = "  trust list                    the keys and rules\n"
                   "  trust check [MODEL...]        what they say of the installed models; exit "
                   "code 1 where one is refused\n"
                   "  trust add-key NAME KEY        a public key: a file (PEM, minisign), or "
                   "minisign's line of base64\n"
                   "  trust remove-key NAME\n"
                   "  trust add-rule PATTERN...     models by name ('qwen*', '*:1.5b'), who may "
                   "sign them, what else happens\n"
                   "  trust remove-rule NUMBER\n"
                   "  trust set                     --unsigned for models without a rule, --files "
                   "for models by path\n"
                   "\n"
                   "The policy is trust.json in Hearth's folder. It holds when a model is pulled "
                   "and each time one is\n"
                   "loaded by its name. Without it every model may be used.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth trust add-key acme acme.pub --models 'acme-*'\n"
                   "  hearth trust add-rule '*' --unsigned warn\n"
                   "  hearth trust check\n",
    .options = options,
    .options_size = sizeof(struct trust_options),
    .max_args = -1,
    .arg_metavar = "list|check|add-key|remove-key|add-rule|remove-rule|set",
    .run = run,
};
