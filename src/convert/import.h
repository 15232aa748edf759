/* Importing a Hugging Face folder: config, tokenizer and weights as one GGUF file. */
#ifndef HEARTH_CONVERT_IMPORT_H
#define HEARTH_CONVERT_IMPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "convert/tokenizer_import.h"

struct import_options {
    const char *name;     /* general.name; NULL: the folder's */
    const char *quantize; /* a mix or type, as `hearth quantize` takes it; NULL: weights stay as
                             exact as they are */
    bool exact;           /* packed weights: a larger type rather than a rounding */
    const char *pre;      /* the pre-tokenizer, instead of recognising it; or NULL */
    int n_threads;        /* 0: one */
    /* Bytes written of those to write; false asks to stop, giving ERR_CANCELLED. May be NULL. */
    bool (*progress)(void *ctx, uint64_t done, uint64_t total);
    void (*notice)(void *ctx, const char *line); /* may be NULL */
    void *ctx;
    /* Writes the tokenizer's keys: tokenizer_import, or what a test has instead. NULL: none. */
    enum status (*tokenizer)(const char *folder, const char *arch,
                             const struct tokenizer_import_options *options, struct gguf_writer *w,
                             struct tokenizer_import_info *info, struct error *err);
};

/* Tensors that were stored alike and are written alike. */
struct import_class {
    char from[64];  /* "GPTQ, 4 bits, groups of 128" */
    const char *to; /* "Q4_0" */
    uint64_t n_tensors, n_weights, bytes;
    bool measured;    /* the three below; not where bytes are copied */
    double max_error; /* largest difference from what the folder's format says */
    double rms_error; /* root of the mean squared difference */
    double rms;       /* root mean square of the weights themselves */
};
enum { IMPORT_MAX_CLASSES = 32 };

struct import_report {
    char architecture[32];
    uint64_t n_tensors, n_weights, file_bytes;
    uint64_t n_resumed; /* tensors taken over from an interrupted import */
    struct import_class classes[IMPORT_MAX_CLASSES];
    size_t n_classes;
    struct tokenizer_import_info tokenizer;
};

/* Writes `path`, which gets its name when it is whole. PATH.part and PATH.part.log hold what an
 * interrupted import has done; a second one with the same folder and options checks it and goes on.
 * Memory: a few megabytes per thread, whatever the model. Other ways of failing than the reader's
 * (ERR_FORMAT, ERR_UNSUPPORTED, ERR_LIMIT for the folder, naming file and tensor): ERR_BUSY where
 * another process imports to the same path, ERR_IO. */
enum status import_folder(const char *folder, const char *path, const struct import_options *o,
                          struct import_report *report, struct error *err);

/* Deletes what an interrupted import to `path` left. */
void import_forget(const char *path);

#endif
