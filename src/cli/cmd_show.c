/* hearth show MODEL|FILE: what the catalogue and the store say about a model, and what its file
 * holds. Everything is gathered as one JSON object; the text for people is written from it. */
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "assist/fim_families.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/provenance.h"
#include "cli/template_use.h"
#include "gguf/gguf.h"
#include "model/model.h"
#include "quant/quant.h"
#include "store/modelfile.h"
#include "store/settings.h"
#include "store/store.h"

struct show_options {
    bool json, tensors, verify, provenance, template_diff, modelfile;
};

/* ---- what the file holds ------------------------------------------------------------------ */

/* Strings in model files may hold any bytes; JSON takes UTF-8. NULL becomes JSON's null. */
static json_t *bytes_json(const char *data, size_t len)
{
    json_t *j = json_stringn(data, len);
    if (j) return j;
    char *clean = malloc(len + 1);
    if (!clean) return json_null();
    for (size_t i = 0; i < len; i++)
        clean[i] = (char)((unsigned char)data[i] < 0x80 ? data[i] : '?');
    j = json_stringn(clean, len);
    free(clean);
    return j ? j : json_null();
}

static void set_str(json_t *obj, const char *field, const struct gguf *g, const char *key)
{
    struct gguf_str v;
    if (gguf_get_str(g, key, &v, NULL) == OK)
        json_object_set_new(obj, field, bytes_json(v.data, v.len));
}

static void set_u64(json_t *obj, const char *field, const struct gguf *g, const char *key)
{
    uint64_t v;
    if (gguf_get_u64(g, key, &v, NULL) == OK && v <= INT64_MAX)
        json_object_set_new(obj, field, json_integer((json_int_t)v));
}

static void add_shape(json_t *file, const struct gguf *g)
{
    static const struct {
        const char *field, *key;
    } facts[] = {
        {"layers", "block_count"},
        {"embedding_length", "embedding_length"},
        {"feed_forward_length", "feed_forward_length"},
        {"heads", "attention.head_count"},
        {"kv_heads", "attention.head_count_kv"},
        {"context", "context_length"},
    };
    struct gguf_str arch;
    char key[160];
    if (gguf_get_str(g, "general.architecture", &arch, NULL) != OK || arch.len > 64) return;
    json_object_set_new(file, "architecture", bytes_json(arch.data, arch.len));
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        snprintf(key, sizeof key, "%.*s.%s", (int)arch.len, arch.data, facts[i].key);
        set_u64(file, facts[i].field, g, key);
    }
}

static const char *type_name(uint32_t type)
{
    const struct quant_traits *t = quant_find(type);
    return t ? t->name : "?";
}

static void add_tensors(json_t *file, const struct gguf *g, bool each)
{
    json_t *counts = json_object(), *list = json_array();
    uint64_t params = 0;
    size_t n = gguf_n_tensors(g);
    for (size_t i = 0; i < n; i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        const char *type = type_name(t->type);
        json_int_t seen = json_integer_value(json_object_get(counts, type));
        json_object_set_new(counts, type, json_integer(seen + 1));
        params += t->ne[0] * t->ne[1] * t->ne[2] * t->ne[3]; /* no overflow: it lies in the file */
        if (!each) continue;
        json_t *shape = json_array();
        for (uint32_t d = 0; d < t->n_dims; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->ne[d]));
        json_array_append_new(list, json_pack("{s:o, s:s, s:o, s:I}", "name",
                                              bytes_json(t->name.data, t->name.len), "type", type,
                                              "shape", shape, "bytes", (json_int_t)t->size));
    }
    json_object_set_new(file, "parameters", json_integer((json_int_t)params));
    json_object_set_new(file, "tensor_count", json_integer((json_int_t)n));
    json_object_set_new(file, "tensor_types", counts);
    if (each)
        json_object_set_new(file, "tensors", list);
    else
        json_decref(list);
}

static int64_t find_token(const struct gguf_array *tokens, const char *text)
{
    struct gguf_str piece;
    int64_t id = 0;
    for (uint64_t cursor = 0; gguf_array_next_str(tokens, &cursor, &piece); id++)
        if (gguf_str_eq(piece, text)) return id;
    return -1;
}

static bool has_family(const struct gguf_array *tokens, const struct fim_family *f)
{
    const char *needed[] = {f->prefix, f->suffix, f->middle, f->mark};
    for (size_t i = 0; i < 4; i++)
        if (needed[i] && find_token(tokens, needed[i]) < 0) return false;
    return true;
}

static json_t *token_json(const struct gguf_array *tokens, const char *text)
{
    if (!text) return json_null();
    return json_pack("{s:I, s:o}", "id", (json_int_t)find_token(tokens, text), "text",
                     bytes_json(text, strlen(text)));
}

static json_t *id_json(const struct gguf *g, const char *key, const char *older)
{
    uint64_t id;
    if (gguf_get_u64(g, key, &id, NULL) != OK && gguf_get_u64(g, older, &id, NULL) != OK)
        return NULL;
    return json_pack("{s:I}", "id", (json_int_t)id);
}

/* The known family whose tokens the vocabulary has, else the ids in the metadata, else null. */
static json_t *fim_json(const struct gguf *g, const struct gguf_array *tokens)
{
    for (const struct fim_family *f = fim_families; f->name; f++)
        if (has_family(tokens, f))
            return json_pack("{s:s, s:o, s:o, s:o}", "template", f->name, "prefix",
                             token_json(tokens, f->prefix), "suffix", token_json(tokens, f->suffix),
                             "middle", token_json(tokens, f->middle));
    json_t *pre = id_json(g, "tokenizer.ggml.fim_pre_token_id", "tokenizer.ggml.prefix_token_id");
    json_t *suf = id_json(g, "tokenizer.ggml.fim_suf_token_id", "tokenizer.ggml.suffix_token_id");
    json_t *mid = id_json(g, "tokenizer.ggml.fim_mid_token_id", "tokenizer.ggml.middle_token_id");
    if (pre && suf && mid)
        return json_pack("{s:s, s:o, s:o, s:o}", "template", "metadata", "prefix", pre, "suffix",
                         suf, "middle", mid);
    json_decref(pre);
    json_decref(suf);
    json_decref(mid);
    return json_null();
}

static void add_tokenizer(json_t *file, const struct gguf *g)
{
    struct gguf_array tokens;
    json_t *t = json_object();
    set_str(t, "model", g, "tokenizer.ggml.model");
    set_str(t, "pre", g, "tokenizer.ggml.pre");
    if (gguf_get_array(g, "tokenizer.ggml.tokens", &tokens, NULL) == OK &&
        tokens.type == GGUF_STRING) {
        json_object_set_new(t, "tokens", json_integer((json_int_t)tokens.count));
        json_object_set_new(file, "fim", fim_json(g, &tokens));
    }
    set_u64(t, "bos", g, "tokenizer.ggml.bos_token_id");
    set_u64(t, "eos", g, "tokenizer.ggml.eos_token_id");
    struct gguf_str chat;
    json_object_set_new(
        t, "chat_template",
        json_boolean(gguf_get_str(g, "tokenizer.chat_template", &chat, NULL) == OK));
    json_object_set_new(file, "tokenizer", t);
}

static enum status file_json(const char *path, bool tensors, json_t **out, struct error *err)
{
    struct gguf *g;
    enum status st = gguf_open(path, &g, err);
    if (st) return st;
    json_t *file = json_object();
    set_str(file, "name", g, "general.name");
    add_shape(file, g);
    json_object_set_new(file, "format",
                        json_pack("{s:s, s:i}", "name", "GGUF", "version", (int)gguf_version(g)));
    json_object_set_new(file, "bytes", json_integer((json_int_t)gguf_file_bytes(g)));
    json_object_set_new(file, "memory_bytes", json_integer((json_int_t)model_weight_memory(g)));
    /* Derived files in the cache folder carry this name. */
    json_object_set_new(file, "identity", json_string(gguf_identity(g)));
    add_tensors(file, g, tensors);
    add_tokenizer(file, g);
    gguf_close(g);
    *out = file;
    return OK;
}

/* ---- what the catalogue and the store say ------------------------------------------------- */

static void set_text(json_t *obj, const char *field, const char *s)
{
    if (s) json_object_set_new(obj, field, json_string(s));
}

static void add_entry(json_t *root, const struct catalogue_model *m)
{
    set_text(root, "title", m->title);
    set_text(root, "license", m->license);
    set_text(root, "architecture", m->architecture);
    set_text(root, "parameters", m->parameters);
    set_text(root, "quantization", m->quantization);
    if (m->context) json_object_set_new(root, "context", json_integer((json_int_t)m->context));
    if (m->bytes) json_object_set_new(root, "bytes", json_integer((json_int_t)m->bytes));
    if (m->approx_bytes)
        json_object_set_new(root, "approx_bytes", json_integer((json_int_t)m->approx_bytes));
    set_text(root, "sha256", m->sha256);
    json_object_set_new(root, "fim_trained", json_boolean(m->fim));
    const json_t *sources = json_object_get(m->json, "sources");
    if (sources) json_object_set_new(root, "sources", json_deep_copy(sources));
}

static void add_installed(json_t *root, const struct store_model *m)
{
    json_object_set_new(root, "bytes", json_integer((json_int_t)m->bytes));
    if (m->sha256[0]) set_text(root, "sha256", m->sha256);
    set_text(root, "digest_from", m->digest_from);
    set_text(root, "source", m->source);
    set_text(root, "pulled_at", m->pulled_at);
    set_text(root, "path", m->path);
    set_text(root, "problem", m->problem);
    if (m->settings) json_object_set(root, "settings", m->settings);
}

/* ---- for people --------------------------------------------------------------------------- */

static void line(const char *label, const char *value)
{
    if (value && *value) printf("  %-14s %s\n", label, value);
}

static const char *str(const json_t *obj, const char *field)
{
    return json_string_value(json_object_get(obj, field));
}

static unsigned long long num(const json_t *obj, const char *field)
{
    return (unsigned long long)json_integer_value(json_object_get(obj, field));
}

static void print_token(const char *label, const json_t *fim)
{
    const json_t *t = json_object_get(fim, label);
    if (!json_is_object(t)) return;
    const char *text = str(t, "text");
    printf("%s %s %s(%llu)", strcmp(label, "prefix") == 0 ? ":" : ",", label, text ? text : "",
           num(t, "id"));
}

static void print_file(const json_t *f)
{
    char text[256];
    const char *arch = str(f, "architecture");
    snprintf(text, sizeof text,
             "%s%s, %llu layers, width %llu, %llu heads (%llu for keys and values)",
             arch ? arch : "?", arch && !model_knows_arch(arch) ? " (no support yet)" : "",
             num(f, "layers"), num(f, "embedding_length"), num(f, "heads"),
             num(f, "kv_heads") ? num(f, "kv_heads") : num(f, "heads"));
    line("architecture", text);
    snprintf(text, sizeof text, "%.3g billion", (double)num(f, "parameters") / 1e9);
    if (num(f, "parameters") < 1000000000)
        snprintf(text, sizeof text, "%.3g million", (double)num(f, "parameters") / 1e6);
    line("parameters", text);
    snprintf(text, sizeof text, "%llu tokens", num(f, "context"));
    if (num(f, "context")) line("context", text);
    printf("  %-14s", "tensors");
    const char *type;
    json_t *count;
    const char *sep = " ";
    json_object_foreach(json_object_get(f, "tensor_types"), type, count)
    {
        printf("%s%lld %s", sep, (long long)json_integer_value(count), type);
        sep = ", ";
    }
    putchar('\n');
    const json_t *t = json_object_get(f, "tokenizer");
    snprintf(text, sizeof text, "%s%s%s, %llu tokens%s", str(t, "model") ? str(t, "model") : "none",
             str(t, "pre") ? "/" : "", str(t, "pre") ? str(t, "pre") : "", num(t, "tokens"),
             json_is_true(json_object_get(t, "chat_template")) ? ", chat template" : "");
    line("tokenizer", text);
    const json_t *fim = json_object_get(f, "fim");
    printf("  %-14s %s", "fill-in-middle",
           str(fim, "template") ? str(fim, "template") : "no tokens for it");
    print_token("prefix", fim);
    print_token("suffix", fim);
    print_token("middle", fim);
    putchar('\n');
    size_t i;
    json_t *tensor;
    json_array_foreach(json_object_get(f, "tensors"), i, tensor)
    {
        char shape[128] = "";
        size_t d, used = 0;
        json_t *ne;
        json_array_foreach(json_object_get(tensor, "shape"), d, ne)
        {
            used += (size_t)snprintf(shape + used, sizeof shape - used, "%s%lld", d ? " x " : "",
                                     (long long)json_integer_value(ne));
        }
        printf("%s%-40s %-5s %s\n", i ? "" : "\n", str(tensor, "name") ? str(tensor, "name") : "?",
               str(tensor, "type"), shape);
    }
}

/* What goes with the name, in a few lines. */
static void print_settings(const json_t *s)
{
    struct buf text;
    char part[160];
    if (!s) return;
    line("made from", str(s, "parent"));
    snprintf(part, sizeof part, "%.100s%s", str(s, "system") ? str(s, "system") : "",
             json_string_length(json_object_get(s, "system")) > 100 ? "..." : "");
    for (char *p = part; *p; p++)
        if (*p == '\n' || *p == '\r') *p = ' ';
    line("system", part);
    if (str(s, "template")) line("template", "its own (--modelfile shows it)");
    buf_init(&text, 1 << 20);
    if (settings_print_parameters(s, &text, NULL) == OK && text.len) {
        const char *at = text.data;
        for (const char *end; (end = strchr(at, '\n')); at = end + 1) printf("  %-14s %.*s\n", at == text.data ? "parameters" : "", (int)(end - at), at);
    }
    buf_fini(&text);
    snprintf(part, sizeof part, "%zu", json_array_size(json_object_get(s, "messages")));
    if (json_array_size(json_object_get(s, "messages"))) line("messages", part);
}

static enum status print_modelfile(const json_t *root, const char *typed, struct error *err)
{
    struct buf text;
    const char *name = str(root, "name");
    buf_init(&text, 16 << 20);
    enum status st = modelfile_print(name ? name : typed, json_object_get(root, "settings"), &text, err);
    if (st == OK) st = cli_write(text.data, text.len, err);
    buf_fini(&text);
    return st;
}

static void print_text(const json_t *root, const char *typed, bool verified)
{
    char size[32], text[128];
    const char *name = str(root, "name"), *path = str(root, "path");
    const json_t *f = json_object_get(root, "file");
    printf("%s%s\n", name ? name : typed,
           json_is_true(json_object_get(root, "default")) ? " (default)" : "");
    line("title", str(root, "title") ? str(root, "title") : str(f, "name"));
    line("licence", str(root, "license"));
    if (name && !path) {
        snprintf(text, sizeof text, "no; run: hearth pull %s", name);
        line("installed", text);
    }
    line("installed", str(root, "pulled_at"));
    line("from", str(root, "source"));
    line("file", path);
    line("problem", str(root, "problem"));
    unsigned long long bytes = num(root, "bytes") ? num(root, "bytes") : num(f, "bytes");
    if (bytes) {
        snprintf(text, sizeof text, "%s (%llu bytes)", cli_format_bytes(bytes, size, sizeof size),
                 bytes);
        line("size", text);
        /* Of types that only a larger form can hold for the kernels. */
        if (num(f, "memory_bytes") > bytes + bytes / 16)
            line("in memory", cli_format_bytes(num(f, "memory_bytes"), size, sizeof size));
    } else if (num(root, "approx_bytes")) {
        snprintf(text, sizeof text, "about %s",
                 cli_format_bytes(num(root, "approx_bytes"), size, sizeof size));
        line("size", text);
    }
    if (str(root, "sha256")) {
        const char *from = str(root, "digest_from");
        snprintf(text, sizeof text, "%s%s%s%s", str(root, "sha256"), from ? " (by the " : "",
                 from ? from : "", from ? ")" : "");
        line("sha256", text);
    }
    if (verified) line("verified", "yes, hashed just now");
    print_settings(json_object_get(root, "settings"));
    if (f) {
        print_file(f);
        return;
    }
    line("architecture", str(root, "architecture"));
    line("parameters", str(root, "parameters"));
    line("quantization", str(root, "quantization"));
    snprintf(text, sizeof text, "%llu tokens", num(root, "context"));
    if (num(root, "context")) line("context", text);
    line("fill-in-middle", json_is_true(json_object_get(root, "fim_trained")) ? "yes" : "no");
}

/* ---- the command -------------------------------------------------------------------------- */

static bool on_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    (void)phase;
    progress_update(ctx, done, total);
    return true;
}

static enum status verify(const struct store *s, const char *name, struct error *err)
{
    struct progress *bar = progress_start("checking", true);
    struct store_events ev = {.progress = on_progress, .ctx = bar};
    enum status st = store_verify(s, name, &ev, err);
    progress_end(bar);
    return st;
}

/* Facts about a name; `*path` (malloc'd) where there is a file to open. */
static enum status gather_name(const struct show_options *o, const char *typed, json_t *root,
                               char **path, struct error *err)
{
    struct store *s;
    struct store_model m = {0};
    char name[STORE_NAME_SIZE];
    enum status st = store_open(NULL, &s, err);
    if (st) return st;
    st = store_resolve(s, typed, name, err);
    if (st) goto out;
    const struct catalogue_model *entry = catalogue_find(store_catalogue(s), name);
    if (entry && strcmp(entry->name, name) != 0) entry = NULL;
    set_text(root, "name", name);
    json_object_set_new(root, "default",
                        json_boolean(entry && entry == catalogue_default(store_catalogue(s))));
    if (entry) add_entry(root, entry);
    st = store_find(s, name, &m, err);
    bool installed = st == OK;
    json_object_set_new(root, "installed", json_boolean(installed));
    if (st == ERR_NOT_FOUND && o->verify)
        st = error_set(err, st, "%s is not installed; run: hearth pull %s", name, name);
    else if (st == ERR_NOT_FOUND)
        st = OK;
    if (installed) {
        if (!entry) add_entry(root, &m.info);
        add_installed(root, &m);
        if (o->verify) st = verify(s, name, err);
        if (!m.problem && m.path && !(*path = strdup(m.path)))
            st = error_set(err, ERR_NOMEM, "out of memory");
    }
out:
    store_model_fini(&m);
    store_close(s);
    return st;
}

/* An installed model; s and m are the caller's to close. */
static enum status find_installed(const char *typed, struct store **s, struct store_model *m, struct error *err)
{
    char name[STORE_NAME_SIZE];
    enum status st = store_open(NULL, s, err);
    if (st == OK) st = store_resolve(*s, typed, name, err);
    if (st == OK && (st = store_find(*s, name, m, err)) == ERR_NOT_FOUND)
        error_set(err, st, "%s is not installed; run: hearth pull %s", name, name);
    return st;
}

static int show_provenance(const struct show_options *o, const char *typed)
{
    struct store *s = NULL;
    struct store_model m = {0};
    struct error err = {0};
    json_t *p = NULL;
    enum status st = find_installed(typed, &s, &m, &err);
    if (st == OK) st = provenance_gather(s, &m, &p, &err);
    if (st == OK && o->json) st = cli_print_json(json_incref(p), JSON_INDENT(2), &err);
    if (st == OK && !o->json) provenance_print(p);
    json_decref(p);
    store_model_fini(&m);
    store_close(s);
    return st ? cli_fail(&err) : EXIT_OK;
}

static int show_template(const struct show_options *o, const char *typed, bool is_path)
{
    struct store *s = NULL;
    struct store_model m = {0};
    struct error err = {0};
    struct gguf *g = NULL;
    struct template_check c;
    enum status st = is_path ? OK : find_installed(typed, &s, &m, &err);
    if (st == OK && m.problem) st = error_set(&err, ERR_INTEGRITY, "%s: %s", m.name, m.problem);
    if (st == OK) st = gguf_open(is_path ? typed : m.path, &g, &err);
    if (st == OK) st = template_use_check(g, is_path ? NULL : m.name, &c, &err);
    if (st == OK) {
        if (o->json)
            st = cli_print_json(template_use_json(&c), JSON_INDENT(2), &err);
        else
            template_use_print(&c);
        template_check_fini(&c);
    }
    gguf_close(g);
    store_model_fini(&m);
    store_close(s);
    return st ? cli_fail(&err) : EXIT_OK;
}

extern const struct command cmd_show;

static int run(const void *options, int argc, char **argv)
{
    (void)argc;
    const struct show_options *o = options;
    struct error err = {0};
    const char *typed = argv[0];
    size_t len = strlen(typed);
    bool is_path = strchr(typed, '/') || (len > 5 && strcmp(typed + len - 5, ".gguf") == 0);
    char *path = NULL;
    json_t *root = json_object(), *file = NULL;
    enum status st = OK;
    int code = EXIT_OK;
    if (is_path && (o->verify || o->provenance)) {
        json_decref(root);
        return cli_usage_error(&cmd_show, "--verify and --provenance are for models in the store");
    }
    if (o->provenance || o->template_diff) {
        json_decref(root);
        return o->provenance ? show_provenance(o, typed) : show_template(o, typed, is_path);
    }
    if (is_path) {
        path = strdup(typed);
        set_text(root, "path", typed);
    } else {
        st = gather_name(o, typed, root, &path, &err);
    }
    if (st == OK && o->modelfile) st = print_modelfile(root, typed, &err);
    else if (st == OK && path) st = file_json(path, o->tensors, &file, &err);
    if (file) json_object_set_new(root, "file", file);
    if (st) {
        code = cli_fail(&err);
    } else if (o->modelfile) {
    } else if (o->json) {
        json_dumpf(root, stdout, JSON_INDENT(2));
        putchar('\n');
    } else {
        print_text(root, typed, o->verify);
    }
    if (st == OK && str(root, "problem")) code = EXIT_FAILED;
    json_decref(root);
    free(path);
    return code;
}

static const struct option options[] = {
    {"verify", 0, OPTION_FLAG, NULL, "Hash the model's file again",
     offsetof(struct show_options, verify), 0, 0},
    {"tensors", 0, OPTION_FLAG, NULL, "List every tensor", offsetof(struct show_options, tensors),
     0, 0},
    {"provenance", 0, OPTION_FLAG, NULL, "Where the model is from, who vouches for it, what was done to it",
     offsetof(struct show_options, provenance), 0, 0},
    {"template-diff", 0, OPTION_FLAG, NULL, "Its chat template beside the published one of its family",
     offsetof(struct show_options, template_diff), 0, 0},
    {"modelfile", 0, OPTION_FLAG, NULL, "Print a Modelfile that makes the same", offsetof(struct show_options, modelfile), 0, 0},
    {"json", 0, OPTION_FLAG, NULL, "Print JSON", offsetof(struct show_options, json), 0, 0},
    {0},
};

const struct command cmd_show = {
    .name = "show",
    .summary = "Describe a model: licence, size, digest, what its file holds",
    .usage = "show MODEL|FILE [options]",
    .description = "For a model of the catalogue or the store, and for any GGUF file.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth show qwen2.5-coder:1.5b\n"
                   "  hearth show qwen2.5-coder --verify\n"
                   "  hearth show qwen2.5-coder --provenance --json\n"
                   "  hearth show ./model.gguf --tensors\n",
    .options = options,
    .options_size = sizeof(struct show_options),
    .min_args = 1,
    .max_args = 1,
    .arg_metavar = "MODEL",
    .run = run,
};
