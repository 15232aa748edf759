/* What the files of the safetensors reader share. */
#ifndef HEARTH_GGUF_SAFETENSORS_INT_H
#define HEARTH_GGUF_SAFETENSORS_INT_H

#include <stdbool.h>

#include "base/file.h"
#include "gguf/safetensors.h"

enum {
    SAFETENSORS_MAX_HEADER = 100 * 1000 * 1000, /* the reference implementation's limit */
    SAFETENSORS_MAX_TENSORS = 1 << 20,          /* of all shards together */
    SAFETENSORS_MAX_SHARDS = 4096,
    SAFETENSORS_MAX_NAME = 1024,
};

struct safetensors_shard {
    char *path;
    struct file_map map;
    bool mapped; /* by us, as opposed to memory lent by the caller */
    uint64_t header_bytes;
};

struct safetensors {
    struct safetensors_shard *shards;
    size_t n_shards;
    struct safetensor *v;
    size_t n, cap;
    const struct gguf_str **by_name; /* sorted */
};

/* Opens a file's bytes that lie in memory and stay there, for tests and fuzzing. */
enum status safetensors_open_memory(const void *data, size_t size, const char *name,
                                    struct safetensors **out, struct error *err);

/* Reads the header of shard number `shard` and appends its tensors. */
enum status safetensors_parse(struct safetensors *s, size_t shard, struct error *err);

/* ---- JSON of a known form, read without building a tree: what a hostile header can make us
 * allocate is bounded by what it may describe, not by its length ------------------------------- */

struct json_scan {
    const char *start, *p, *end;
    const char *path; /* for messages */
    struct error *err;
};

/* Skips white space; true and past it where the next character is `c`. */
bool json_scan_take(struct json_scan *j, char c);
/* The same, and an error where it is not. */
enum status json_scan_expect(struct json_scan *j, char c);
/* A string into dst, NUL-terminated, escapes decoded to UTF-8. ERR_LIMIT past cap - 1 bytes;
 * ERR_FORMAT for a NUL inside. */
enum status json_scan_string(struct json_scan *j, char *dst, size_t cap);
/* A number without sign, fraction or exponent. */
enum status json_scan_u64(struct json_scan *j, uint64_t *out);
/* Any value; ERR_LIMIT where it is nested too deep. */
enum status json_scan_skip(struct json_scan *j);
enum status json_scan_fail(struct json_scan *j, const char *what);

#endif
