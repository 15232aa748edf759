/* What the two files of the writer share. */
#ifndef HEARTH_GGUF_GGUF_WRITE_INT_H
#define HEARTH_GGUF_GGUF_WRITE_INT_H

#include <stdatomic.h>
#include <stdbool.h>

#include "base/buf.h"
#include "gguf/gguf_int.h"
#include "gguf/gguf_write.h"

enum { GGUF_HEADER_BYTES = 24 }; /* signature, version, two counts */

/* Where a tensor lies, from the data's start, and how much of it has come. */
struct gguf_place {
    size_t name_at; /* in `tensors`: its length and its bytes */
    uint64_t offset, bytes;
    _Atomic uint64_t written;
};

struct gguf_writer {
    char *path, *tmp; /* owned; tmp is NULL where there is no file of that name */
    bool keep;        /* tmp stays when the writer is abandoned */
    bool resumed;     /* tmp was there before */
    int fd;
    uint64_t alignment;
    struct error mistake; /* the first one of the description */
    struct buf keys, tensors;
    size_t *key_at; /* [n_keys] in `keys`: a name's length and its bytes */
    size_t n_keys, cap_keys;
    struct gguf_place *places; /* [n_tensors] */
    size_t n_tensors, cap_tensors;
    uint64_t data_bytes; /* of all tensors, without what lies between them */
    uint64_t data_end;   /* of the last tensor, from the data's start */
    uint64_t data_start; /* in the file */
    uint64_t file_bytes; /* 0 until gguf_writer_start */
};

#endif
