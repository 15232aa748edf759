#include "cli/provenance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/template_use.h"
#include "gguf/gguf.h"
#include "quant/quant.h"
#include "store/trusted.h"

enum { MAX_TEXT = 4096, MAX_ITEMS = 64 };

/* ---- what the file says of itself ---------------------------------------------------------- */

static json_t *text_json(struct gguf_str v)
{
    json_t *j = json_stringn(v.data, v.len < MAX_TEXT ? v.len : MAX_TEXT);
    return j ? j : json_string("(no UTF-8)");
}

static json_t *array_json(const struct gguf *g, const char *key)
{
    struct gguf_array a;
    json_t *list = json_array();
    if (gguf_get_array(g, key, &a, NULL) != OK) return list;
    struct gguf_str v;
    uint64_t cursor = 0;
    if (a.type == GGUF_STRING)
        for (int i = 0; i < MAX_ITEMS && gguf_array_next_str(&a, &cursor, &v); i++)
            json_array_append_new(list, text_json(v));
    else
        for (uint64_t i = 0; i < a.count && i < MAX_ITEMS; i++)
            json_array_append_new(list, json_real(gguf_array_f64(&a, i)));
    return list;
}

static json_t *value_json(const struct gguf *g, const char *key, enum gguf_type type)
{
    struct gguf_str v;
    int64_t n;
    double x;
    bool b;
    if (type == GGUF_ARRAY) return array_json(g, key);
    if (type == GGUF_STRING && gguf_get_str(g, key, &v, NULL) == OK) return text_json(v);
    if (type == GGUF_BOOL && gguf_get_bool(g, key, &b, NULL) == OK) return json_boolean(b);
    if (gguf_get_i64(g, key, &n, NULL) == OK) return json_integer(n);
    if (gguf_get_f64(g, key, &x, NULL) == OK) return json_real(x);
    return json_null();
}

/* general.*, quantize.* and split.*: names, authors, licences, base models, data sets, how it was
 * quantized. */
static json_t *declared_json(const struct gguf *g)
{
    static const char *const prefixes[] = {"general.", "quantize.", "split."};
    json_t *out = json_object();
    for (size_t i = 0; i < gguf_n_keys(g); i++) {
        struct gguf_str name = gguf_key_name(g, i);
        char key[128];
        bool wanted = false;
        if (name.len >= sizeof key) continue;
        memcpy(key, name.data, name.len);
        key[name.len] = 0;
        for (size_t k = 0; k < 3; k++)
            wanted |= strncmp(key, prefixes[k], strlen(prefixes[k])) == 0;
        if (wanted) json_object_set_new(out, key, value_json(g, key, gguf_key_type(g, i)));
    }
    return out;
}

static json_t *tensor_types(const struct gguf *g)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct quant_traits *t = quant_find(gguf_tensor_at(g, i)->type);
        const char *type = t ? t->name : "?";
        json_object_set_new(counts, type,
                            json_integer(json_integer_value(json_object_get(counts, type)) + 1));
    }
    return counts;
}

/* general.base_model.N.*: one object for each N. */
static json_t *base_models(const struct gguf *g)
{
    static const char *const fields[] = {"name", "author", "version", "organization",
                                         "url",  "doi",    "uuid",    "repo_url"};
    json_t *list = json_array();
    uint64_t n = 0;
    if (gguf_get_u64(g, "general.base_model.count", &n, NULL) != OK) return list;
    for (uint64_t i = 0; i < n && i < MAX_ITEMS; i++) {
        json_t *one = json_object();
        for (size_t k = 0; k < sizeof fields / sizeof fields[0]; k++) {
            char key[96];
            struct gguf_str v;
            snprintf(key, sizeof key, "general.base_model.%llu.%s", (unsigned long long)i,
                     fields[k]);
            if (gguf_get_str(g, key, &v, NULL) == OK)
                json_object_set_new(one, fields[k], text_json(v));
        }
        json_array_append_new(list, one);
    }
    return list;
}

static enum status add_file(json_t *root, const struct store_model *m, struct error *err)
{
    struct gguf *g;
    struct gguf_str v;
    struct template_check t;
    enum status st = gguf_open(m->path, &g, err);
    if (st) return st;
    json_object_set_new(root, "declared", declared_json(g));
    json_object_set_new(root, "base_models", base_models(g));
    json_object_set_new(
        root, "quantization",
        json_pack("{s:s?, s:o}", "type", m->info.quantization, "tensor_types", tensor_types(g)));
    if (!m->info.license && gguf_get_str(g, "general.license", &v, NULL) == OK)
        json_object_set_new(root, "license", text_json(v));
    if (template_use_check(g, m->name, &t, NULL) == OK) {
        json_object_set_new(
            root, "chat_template",
            json_pack("{s:s, s:s?, s:s?, s:s?}", "state", template_state_name(t.state), "sha256",
                      t.sha256[0] ? t.sha256 : NULL, "family", t.family[0] ? t.family : NULL,
                      "published_as", t.from[0] ? t.from : NULL));
        template_check_fini(&t);
    }
    gguf_close(g);
    return OK;
}

/* ---- where it is from ---------------------------------------------------------------------- */

static const char *field(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

/* The URL that a source stands for, where it is one. */
static json_t *origin_url(const json_t *origin)
{
    const char *type = field(origin, "type"), *revision = field(origin, "revision");
    if (!type) return json_null();
    if (strcmp(type, "url") == 0 && field(origin, "url")) return json_string(field(origin, "url"));
    if (strcmp(type, "hub") == 0 && field(origin, "repo") && field(origin, "file"))
        return json_sprintf("https://huggingface.co/%s/resolve/%s/%s", field(origin, "repo"),
                            revision ? revision : "main", field(origin, "file"));
    return json_null();
}

struct listing {
    json_t *list;
    char blake2b[2 * BLAKE2B_BYTES + 1];
};

static bool list_signature(void *ctx, const struct signature *sig, const uint8_t *blake2b)
{
    struct listing *l = ctx;
    for (size_t i = 0; blake2b && i < BLAKE2B_BYTES; i++)
        snprintf(l->blake2b + 2 * i, 3, "%02x", blake2b[i]);
    json_array_append_new(l->list,
                          json_pack("{s:s, s:s}", "kind",
                                    sig->scheme == TRUST_MINISIGN ? "minisign" : "model-signing",
                                    "key_id", signature_key_id(sig)));
    return true;
}

static enum status add_trust(json_t *root, json_t *digests, const struct store *s,
                             const struct store_model *m, struct error *err)
{
    struct listing l = {.list = json_array()};
    struct store_trust t;
    enum status st = store_signatures_each(s, m->sha256, list_signature, &l, err);
    json_object_set_new(root, "signatures", l.list);
    if (l.blake2b[0]) json_object_set_new(digests, "blake2b-512", json_string(l.blake2b));
    if (st == OK) st = store_trust_of(s, m->name, m->sha256, &t, err);
    if (st) return st;
    json_object_set_new(root, "trust",
                        json_pack("{s:s, s:b, s:s?, s:s?, s:s?, s:s}", "policy",
                                  policy_action_name(t.outcome), "signed", (int)t.is_signed,
                                  "signer", t.is_signed ? t.signer : NULL, "key",
                                  t.is_signed ? t.key : NULL, "signed_as",
                                  t.is_signed ? t.said.name : NULL, "says", t.words));
    return OK;
}

enum status provenance_gather(const struct store *s, const struct store_model *m, json_t **out,
                              struct error *err)
{
    json_t *digests = json_pack("{s:s}", "sha256", m->sha256);
    json_t *root =
        json_pack("{s:s, s:i, s:s, s:s?, s:s?, s:I, s:O, s:s?, s:s?, s:s?, s:o}", "format",
                  "hearth-provenance", "version", 1, "name", m->name, "title", m->info.title,
                  "license", m->info.license, "bytes", (json_int_t)m->bytes, "digests", digests,
                  "digest_from", m->digest_from, "pulled_at", m->pulled_at, "source", m->source,
                  "source_url", origin_url(m->origin));
    enum status st = root && digests ? OK : error_set(err, ERR_NOMEM, "out of memory");
    if (st == OK && m->origin) json_object_set(root, "origin", m->origin);
    if (st == OK && m->recorded) json_object_set(root, "recorded_by", m->recorded);
    if (st == OK) st = add_trust(root, digests, s, m, err);
    if (st == OK && m->problem) json_object_set_new(root, "problem", json_string(m->problem));
    if (st == OK && !m->problem) st = add_file(root, m, err);
    json_decref(digests);
    if (st) {
        json_decref(root);
        root = NULL;
    }
    *out = root;
    return st;
}

/* ---- for people ---------------------------------------------------------------------------- */

static void line(const char *label, const char *text)
{
    if (!text || !*text) return;
    printf("  %-15s ", label);
    for (; *text; text++) putchar((unsigned char)*text < ' ' || *text == 127 ? '?' : *text);
    putchar('\n');
}

void provenance_print(const json_t *p)
{
    const json_t *trust = json_object_get(p, "trust"), *by = json_object_get(p, "recorded_by"),
                 *t = json_object_get(p, "chat_template");
    const json_t *digests = json_object_get(p, "digests");
    size_t i;
    json_t *j;
    const char *key;
    printf("%s\n", field(p, "name"));
    line("title", field(p, "title"));
    line("licence", field(p, "license"));
    line("source", field(p, "source"));
    line("url", field(p, "source_url"));
    line("pulled", field(p, "pulled_at"));
    line("by", field(by, "hearth"));
    line("sha256", field(digests, "sha256"));
    line("blake2b-512", field(digests, "blake2b-512"));
    line("digest from", field(p, "digest_from"));
    line("trust", field(trust, "says"));
    line("policy", field(trust, "policy"));
    json_array_foreach(json_object_get(p, "signatures"), i, j)
    {
        char text[160];
        snprintf(text, sizeof text, "%s, key %.64s", field(j, "kind"), field(j, "key_id"));
        line("signature", text);
    }
    line("chat template", field(t, "state"));
    json_array_foreach(json_object_get(p, "base_models"), i, j)
        line("base model", field(j, "repo_url") ? field(j, "repo_url") : field(j, "name"));
    line("quantization", field(json_object_get(p, "quantization"), "type"));
    line("problem", field(p, "problem"));
    json_object_foreach(json_object_get(p, "declared"), key, j)
    {
        char *text = json_dumps(j, JSON_ENCODE_ANY);
        printf("    %-34s %.200s\n", key, text ? text : "?");
        free(text);
    }
}
