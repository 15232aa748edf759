/* A Hugging Face folder's config.json and the smaller JSON files beside it.
 *
 * Numbers in these files are hostile until checked: every getter takes a range by its type. Where a
 * model is a part of a larger one (text_config, as in Gemma 3 and Llama 4), the part's fields hide
 * the whole's. */
#ifndef HEARTH_CONVERT_HF_CONFIG_H
#define HEARTH_CONVERT_HF_CONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct hf_config {
    char *path;         /* of config.json */
    json_t *json;       /* an object; owned */
    const json_t *text; /* its text_config or the like, or NULL */
    const char *class;  /* architectures[0]; in json */
};

/* Reads folder/config.json. ERR_NOT_FOUND where there is none, ERR_FORMAT, ERR_LIMIT past 16 MB. */
enum status hf_config_load(const char *folder, struct hf_config *out, struct error *err);
/* The same from text, `path` being its name in messages. */
enum status hf_config_parse(const char *text, size_t len, const char *path, struct hf_config *out,
                            struct error *err);
void hf_config_fini(struct hf_config *c);

/* Another file of the folder as JSON, NULL with OK where it is not there. *out is the caller's. */
enum status hf_json_load(const char *folder, const char *file, json_t **out, struct error *err);

/* The first of several names, separated by '|', that has a value other than null; or NULL. */
const json_t *hf_config_get(const struct hf_config *c, const char *names);

/* Each returns whether a field is there and of use: *out is untouched otherwise. A wrong kind of
 * value or one out of range (whole numbers: 0..2^31-1; numbers: finite) sets err's code, the first
 * time, with a message naming file and field. */
bool hf_config_u32(const struct hf_config *c, const char *names, uint32_t *out, struct error *err);
bool hf_config_f64(const struct hf_config *c, const char *names, double *out, struct error *err);
bool hf_config_bool(const struct hf_config *c, const char *names, bool *out, struct error *err);
/* Borrowed from the config. */
bool hf_config_str(const struct hf_config *c, const char *names, const char **out,
                   struct error *err);

/* How positions are encoded: transformers 5's rope_parameters, or the older rope_theta,
 * rope_scaling, partial_rotary_factor, brought into one form. */
struct hf_rope {
    char type[16];      /* "default", "linear", "yarn", "llama3", "longrope", ... */
    const json_t *of;   /* the object with the scaling's other numbers, or NULL */
    double theta;       /* 0 where the config has none */
    double theta_local; /* of layers with a window; 0 where it is not another */
    double factor;      /* 0 where there is none */
    double partial;     /* part of a head that turns; 1 where it is not told */
};
enum status hf_config_rope(const struct hf_config *c, struct hf_rope *out, struct error *err);
/* A number of the scaling. */
bool hf_rope_f64(const struct hf_config *c, const struct hf_rope *r, const char *name, double *out,
                 struct error *err);

#endif
