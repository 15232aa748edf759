/* The catalogue: which models Hearth knows by name, and where each can be had.
 *
 * It is data (data/catalogue.json, compiled in), joined with the user's own catalogue.json in the
 * store's folder: entries there come first and replace built-in ones of the same name, and
 * `"replace": true` at its top drops the built-in catalogue altogether.
 *
 * Immutable after loading. All strings live as long as the catalogue. */
#ifndef HEARTH_STORE_CATALOGUE_H
#define HEARTH_STORE_CATALOGUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct catalogue;
struct source_type;
struct json_t;

enum { CATALOGUE_MAX_ALIASES = 16, CATALOGUE_MAX_TAGS = 16, CATALOGUE_MAX_SOURCES = 16 };

/* One place a model can be had from; its type says how (see source.h). */
struct model_source {
    const struct source_type *type;
    const struct json_t *spec; /* checked by the type */
};

/* What a model consists of, as its publisher's config tells: enough to say how fast it will run.
 * `gated`: the feed-forward part has a gate. `tied`: the file has no output matrix of its own.
 * experts 0: none; expert_ff is the width of one. */
struct catalogue_shape {
    uint32_t layers, width, feed_forward, heads, kv_heads, head_dim, vocabulary;
    uint32_t experts, experts_used, expert_ff;
    bool gated, tied;
};

struct catalogue_model {
    const char *name;                                                       /* "family:tag" */
    const char *title, *architecture, *parameters, *quantization, *license; /* each may be NULL */
    uint64_t context;      /* tokens; 0 = not known */
    uint64_t bytes;        /* exact size of the file; 0 = not known */
    uint64_t approx_bytes; /* for display where the exact size is not known; 0 = neither */
    const char *sha256;    /* 64 hex digits, or NULL: the publisher's is asked for */
    bool fim;              /* trained to fill in the middle */
    bool has_shape;
    struct catalogue_shape shape;
    /* By which models are put in order, up to 100: the publisher's HumanEval pass@1 in percent, or a
     * place among those; 0 = none. */
    double quality;
    bool is_default;
    size_t n_aliases, n_tags, n_sources;
    const char *aliases[CATALOGUE_MAX_ALIASES];
    const char *tags[CATALOGUE_MAX_TAGS];
    struct model_source sources[CATALOGUE_MAX_SOURCES]; /* in the order they are tried */
    struct json_t *json;                                /* owned */
};

/* An empty catalogue to which files are added, first come first found. */
enum status catalogue_create(struct catalogue **out, struct error *err);
void catalogue_destroy(struct catalogue *c); /* NULL is fine */

/* Adds the models of one catalogue file's text. `where` names it in errors. A model whose name is
 * there already is left out. ERR_FORMAT names the model and the field at fault; the catalogue is
 * unchanged then. `*replaces` (may be NULL) tells whether the file asks to stand alone. */
enum status catalogue_add(struct catalogue *c, const char *text, size_t len, const char *where,
                          bool *replaces, struct error *err);

/* The user's file, where it exists, then the built-in catalogue. */
enum status catalogue_load(const char *user_path, struct catalogue **out, struct error *err);

size_t catalogue_n_models(const struct catalogue *c);
const struct catalogue_model *catalogue_at(const struct catalogue *c, size_t i);
/* By name, else by alias; NULL where neither is known. */
const struct catalogue_model *catalogue_find(const struct catalogue *c, const char *name);
/* The model that is meant where none is named; NULL in a catalogue without one. */
const struct catalogue_model *catalogue_default(const struct catalogue *c);

#endif
