#include <stdio.h>
#include <string.h>

#include "convert/tokenizer_draft.h"
#include "text/pretok.h"

/* tokenizer.ggml.pre from the structure of a tokenizer.json: its chain of splitters becomes a list of
 * expressions, which is looked for in the registry of pre-tokenizers (text/pretok.c). */

enum { MAX_SPLITTERS = 8 };

struct splitters {
    const char *patterns[MAX_SPLITTERS];
    size_t n;
    const char *why; /* what is not known, or NULL */
};

/* Of names that cut alike, the one that llama.cpp gives the architecture's models. */
static const struct {
    const char *arch, *pre;
} hints[] = {
    {"starcoder", "starcoder"}, {"starcoder2", "starcoder"}, {"refact", "refact"},
    {"granite", "refact"},      {"granitemoe", "refact"},    {"command-r", "command-r"},
    {"codeshell", "codeshell"}, {"exaone", "exaone"},        {"qwen2", "qwen2"},
    {"qwen2moe", "qwen2"},      {"qwen3", "qwen2"},          {"qwen3moe", "qwen2"},
    {"stablelm", "stablelm2"},  {"llama4", "llama4"},        {"gpt-oss", "gpt-4o"},
    {"deepseek", "deepseek-llm"}, {"deepseek2", "deepseek-llm"}, {"phi2", "phi-2"},
    {"mpt", "mpt"},             {"olmo", "olmo"},            {"chatglm", "chatglm-bpe"},
    {"glm4", "glm4"},           {"dbrx", "dbrx"},            {"jina-bert-v2", "jina-v2-code"},
    {"bert", "roberta-bpe"},    {"modern-bert", "modern-bert"}, {"falcon", "falcon"},
};

static const char *hint(const struct draft *d)
{
    for (size_t i = 0; i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(hints[i].arch, d->arch) == 0) return hints[i].pre;
    return NULL;
}

static void add(struct splitters *s, const char *pattern)
{
    if (s->n == MAX_SPLITTERS || !pattern)
        s->why = "a chain of more splitters than any known";
    else
        s->patterns[s->n++] = pattern;
}

static void add_split(struct splitters *s, const json_t *j)
{
    const char *behavior = json_string_value(json_object_get(j, "behavior"));
    const json_t *pattern = json_object_get(j, "pattern");
    bool invert = json_is_true(json_object_get(j, "invert"));
    const char *regex = json_string_value(json_object_get(pattern, "Regex"));
    if (!regex) regex = json_string_value(json_object_get(pattern, "String"));
    if (!regex || !behavior || strcmp(behavior, invert ? "Removed" : "Isolated") != 0)
        s->why = "a Split that neither isolates its matches nor keeps only them";
    else
        add(s, regex);
}

static void add_splitter(struct splitters *s, const json_t *j)
{
    const char *type = draft_json_type(j);
    if (strcmp(type, "Split") == 0) {
        add_split(s, j);
    } else if (strcmp(type, "Digits") == 0) {
        add(s, json_is_true(json_object_get(j, "individual_digits")) ? "\\p{N}" : "\\p{N}+");
    } else if (strcmp(type, "ByteLevel") == 0) {
        if (json_is_true(json_object_get(j, "add_prefix_space")))
            s->why = "a ByteLevel that puts a space in front";
        if (!json_is_false(json_object_get(j, "use_regex"))) add(s, pretok_byte_level);
    } else {
        s->why = *type ? type : "none";
    }
}

static void collect(struct splitters *s, const json_t *j)
{
    const json_t *list = json_object_get(j, "pretokenizers");
    if (strcmp(draft_json_type(j), "Sequence") != 0) {
        add_splitter(s, j);
        return;
    }
    for (size_t i = 0; i < json_array_size(list) && !s->why; i++)
        add_splitter(s, json_array_get(list, i));
}

/* Unicode's composition leaves nearly all texts as they are; other normalizers do not. */
static bool is_harmless(const json_t *normalizer)
{
    const json_t *list = json_object_get(normalizer, "normalizers");
    const char *type = draft_json_type(normalizer);
    if (!*type || strcmp(type, "NFC") == 0) return true;
    if (strcmp(type, "Sequence") != 0) return false;
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(draft_json_type(json_array_get(list, i)), "NFC") != 0) return false;
    return true;
}

static enum status take(struct draft *d, const char *pre, struct error *err)
{
    if (!pretok_find(pre) || strlen(pre) >= sizeof d->pre)
        return error_set(err, ERR_UNSUPPORTED, "unknown pre-tokenizer '%s'", pre);
    strcpy(d->pre, pre);
    return OK;
}

enum status draft_find_pre(struct draft *d, const char *pre, struct error *err)
{
    if (pre) return take(d, pre, err);
    struct splitters s = {0};
    const json_t *normalizer = json_object_get(d->tokenizer, "normalizer");
    collect(&s, json_object_get(d->tokenizer, "pre_tokenizer"));
    if (!s.why && !is_harmless(normalizer)) s.why = draft_json_type(normalizer);
    const json_t *model = json_object_get(d->tokenizer, "model");
    bool ignore = json_is_true(json_object_get(model, "ignore_merges"));
    const struct pretok_family *f =
        s.why ? NULL : pretok_recognise(s.patterns, s.n, ignore, hint(d));
    if (f) return take(d, f->name, err);
    return error_set(err, ERR_UNSUPPORTED,
                     "%s/tokenizer.json: a pre-tokenizer that is not known (%s). If its model's authors "
                     "or llama.cpp name the one that it equals, give that name: --pre NAME. "
                     "docs/tokenizers.md lists the names, docs/HOWTO-add-a-pre-tokenizer.md tells how "
                     "to add one",
                     d->folder, s.why ? s.why : s.n ? "its expressions are in no registry" : "it cuts nothing");
}

enum status draft_guess_pre(struct draft *d, const char *pre, struct error *err)
{
    if (!pre) pre = hint(d);
    if (pre) return take(d, pre, err);
    return error_set(err, ERR_UNSUPPORTED,
                     "%s: vocab.json and merges.txt do not tell how the text is cut into words; give the "
                     "pre-tokenizer's name: --pre NAME (docs/tokenizers.md lists them)",
                     d->folder);
}
