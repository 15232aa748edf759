/* Settings: the user's from initializationOptions, and over them the workspace's, which may not name
 * models, endpoints or what is counted. */
#include <stdlib.h>
#include <string.h>

#include "lsp/lsp_int.h"

static void take_string(const json_t *o, const char *key, char **out)
{
    const json_t *v = json_object_get(o, key);
    if (!json_is_string(v)) return;
    free(*out);
    *out = *json_string_value(v) ? strdup(json_string_value(v)) : NULL;
}

static void take_bool(const json_t *o, const char *key, bool *out)
{
    const json_t *v = json_object_get(o, key);
    if (json_is_boolean(v)) *out = json_is_true(v);
}

/* Numbers outside the range are passed over. */
static void take_number(const json_t *o, const char *key, double low, double high, double *out)
{
    const json_t *v = json_object_get(o, key);
    double x = json_is_number(v) ? json_number_value(v) : low - 1;
    if (x >= low && x <= high) *out = x;
}

static void take_size(const json_t *o, const char *key, double low, double high, size_t *out)
{
    double x = (double)*out;
    take_number(o, key, low, high, &x);
    *out = (size_t)x;
}

static void take_choice(const json_t *o, const char *key, const char *const *names, int *out)
{
    const char *v = lsp_json_text(o, key);
    for (int i = 0; v && names[i]; i++)
        if (strcmp(names[i], v) == 0) *out = i;
}

/* What a workspace may say, too. */
static void take_common(struct lsp_settings *s, const json_t *o)
{
    static const char *const lines[] = {"auto", "single", "multi", NULL};
    static const char *const when[] = {"off", "asked", "always", NULL};
    static const enum trim_mode modes[] = {TRIM_AUTO, TRIM_SINGLE, TRIM_MULTI};
    int mode = s->mode == TRIM_SINGLE ? 1 : s->mode == TRIM_MULTI ? 2 : 0;
    int completion = (int)s->completion;
    take_bool(o, "enable", &s->enable);
    take_bool(o, "context", &s->context);
    take_bool(o, "projectContext", &s->project_context);
    take_size(o, "maxTokens", 1, 4096, &s->max_tokens);
    take_number(o, "deadlineMs", 1, 60000, &s->deadline_ms);
    take_number(o, "automaticDeadlineMs", 1, 60000, &s->automatic_ms);
    take_choice(o, "maxLines", lines, &mode);
    take_choice(o, "completion", when, &completion);
    s->mode = modes[mode];
    s->completion = (enum lsp_when)completion;
    json_t *languages = json_object_get(o, "languages");
    if (json_is_object(languages)) {
        json_decref(s->languages);
        s->languages = json_deep_copy(languages);
    }
}

static void take_user(struct lsp *l, const json_t *o)
{
    struct lsp_settings *s = &l->set;
    double threads = s->threads;
    take_string(o, "model", &s->model);
    take_string(o, "chatModel", &s->chat_model);
    take_string(o, "endpoint", &s->endpoint);
    take_bool(o, "allowRemote", &s->allow_remote);
    take_bool(o, "statistics", &s->statistics);
    take_bool(o, "ignored", &s->ignored);
    take_bool(o, "editPrompt", &s->edit_prompt);
    take_bool(o, "answers", &s->answers);
    take_number(o, "threads", 1, 1024, &threads);
    take_size(o, "contextTokens", 64, 1 << 20, &s->n_ctx);
    double kept = s->kept_seconds * 1e3;
    take_number(o, "keptAfterMs", 1, 1e7, &kept);
    s->kept_seconds = kept / 1e3;
    s->threads = (int)threads;
    take_common(s, o);
}

static char *copy(const char *s)
{
    return s && *s ? strdup(s) : NULL;
}

static void clear(struct lsp *l)
{
    free(l->set.model);
    free(l->set.chat_model);
    free(l->set.endpoint);
    json_decref(l->set.languages);
    l->set = (struct lsp_settings){0};
}

static void set_user(struct lsp *l)
{
    clear(l);
    l->set = (struct lsp_settings){.model = copy(l->opt.model),
                                   .chat_model = copy(l->opt.chat_model),
                                   .endpoint = copy(l->opt.endpoint),
                                   .statistics = true,
                                   .enable = true,
                                   .context = true,
                                   .threads = l->opt.n_threads,
                                   .n_ctx = l->opt.n_ctx,
                                   .max_tokens = 128,
                                   .deadline_ms = 1000,
                                   .automatic_ms = 200,
                                   .kept_seconds = STATS_KEPT_SECONDS,
                                   .completion = LSP_WHEN_ASKED};
    if (l->user) take_user(l, l->user);
}

void lsp_config_init(struct lsp *l, const json_t *options)
{
    const json_t *h = json_object_get(options, "hearth");
    if (json_is_object(h)) options = h;
    json_decref(l->user);
    l->user = json_is_object(options) ? json_deep_copy(options) : NULL;
    set_user(l);
    free(l->fim.name);
    free(l->chat.name);
    l->fim.name = copy(l->set.model);
    l->chat.name = copy(l->set.chat_model);
    if (!options) return;
    struct error err;
    if (l->set.statistics && l->opt.stats_path && !l->stats &&
        stats_open(l->opt.stats_path, &l->stats, &err) != OK)
        lsp_log(l, "completions are not counted: %s", err.msg);
}

void lsp_config_workspace(struct lsp *l, const json_t *settings)
{
    static const char *const mine[] = {"model", "chatModel", "endpoint", "allowRemote", "threads",
                                       "contextTokens", "statistics", "ignored", NULL};
    set_user(l);
    if (!json_is_object(settings)) return;
    for (int i = 0; mine[i]; i++)
        if (json_object_get(settings, mine[i]))
            lsp_log(l, "the setting '%s' is not taken from a workspace", mine[i]);
    take_common(&l->set, settings);
    if (l->state == LSP_RUNNING && l->set.enable && l->fim.state == LSP_STARTING)
        lsp_slot_load(l, &l->fim);
}

static void pulled(struct lsp *l, const json_t *result)
{
    const json_t *first = json_array_get(result, 0);
    if (first) lsp_config_workspace(l, first);
}

void lsp_config_pull(struct lsp *l)
{
    if (l->client.configuration)
        lsp_call(l, "workspace/configuration",
                 json_pack("{s:[{s:s}]}", "items", "section", "hearth"), pulled);
}

void lsp_config_fini(struct lsp *l)
{
    clear(l);
    json_decref(l->user);
    l->user = NULL;
}
