/* Writing GGUF model files, version 3, in one file.
 *
 *   begin, any number of keys and tensors, data in any order, commit (or abandon).
 *
 * Keys and tensors are described first and checked as the reader checks them; a mistake among them
 * is kept and reported by gguf_writer_start. The file grows beside its final place, its room on the
 * disk set aside before the first byte of data, and gets its name only once it is whole and synced:
 * a reader never sees a part. Format: ggml's docs/gguf.md. */
#ifndef HEARTH_GGUF_GGUF_WRITE_H
#define HEARTH_GGUF_GGUF_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "gguf/gguf.h"

struct gguf_writer;

/* alignment: of the tensors' data, a power of two of at least 8, written as the key
 * "general.alignment"; 0 = the format's default of 32, without the key. Touches no disk yet. */
enum status gguf_writer_begin(const char *path, uint32_t alignment, struct gguf_writer **out,
                              struct error *err);
/* Removes what was written. NULL is fine. */
void gguf_writer_abandon(struct gguf_writer *w);

/* ---- keys and tensors, one thread -------------------------------------------------------------
 * Names and values are copied. */

/* Whole numbers: `type` is any integer type that holds the value, or GGUF_BOOL for 0 and 1. */
void gguf_writer_u64(struct gguf_writer *w, const char *key, enum gguf_type type, uint64_t value);
void gguf_writer_i64(struct gguf_writer *w, const char *key, enum gguf_type type, int64_t value);
/* GGUF_F32 or GGUF_F64. */
void gguf_writer_f64(struct gguf_writer *w, const char *key, enum gguf_type type, double value);
void gguf_writer_bool(struct gguf_writer *w, const char *key, bool value);
void gguf_writer_str(struct gguf_writer *w, const char *key, const char *value);
/* A string of any bytes. */
void gguf_writer_bytes(struct gguf_writer *w, const char *key, struct gguf_str value);
/* `count` packed little-endian elements of any type but strings and arrays. */
void gguf_writer_array(struct gguf_writer *w, const char *key, enum gguf_type elem, uint64_t count,
                       const void *values);
void gguf_writer_strings(struct gguf_writer *w, const char *key, const struct gguf_str *values,
                         uint64_t count);

/* The next tensor, numbered from 0. ne: n_dims (1..4) elements per dimension, fastest first; type:
 * one that quant_find knows. */
void gguf_writer_tensor(struct gguf_writer *w, const char *name, uint32_t type, uint32_t n_dims,
                        const uint64_t *ne);

/* ---- going on after an interruption, optional
 * ----------------------------------------------------
 */

/* Before the start: the data goes to `part`, which must be on the same file system as the result,
 * and stays when the writer is abandoned. */
enum status gguf_writer_keep(struct gguf_writer *w, const char *part, struct error *err);
/* After the start: whether `part` was there, of the same size and with the same description. What
 * it holds is the caller's to check. */
bool gguf_writer_resumed(const struct gguf_writer *w);
/* Reads bytes of tensor i back. */
enum status gguf_writer_get(struct gguf_writer *w, size_t i, uint64_t offset, void *data,
                            size_t len, struct error *err);
/* Counts tensor i as complete: its bytes are there from before. */
void gguf_writer_have(struct gguf_writer *w, size_t i);

/* ---- data -------------------------------------------------------------------------------------
 */

/* Bytes of tensor i, of all tensors, and of the whole file as described so far. 0 after a mistake.
 */
uint64_t gguf_writer_tensor_bytes(const struct gguf_writer *w, size_t i);
uint64_t gguf_writer_data_bytes(const struct gguf_writer *w);
uint64_t gguf_writer_file_bytes(const struct gguf_writer *w);

/* Ends the description, and makes the file in its full size, with mode 0600, in a folder that must
 * exist. ERR_INVALID for the first mistake in
 * the description, ERR_LIMIT past the reader's limits, ERR_IO where the disk is full, ERR_BUSY
 * where another process writes the part. */
enum status gguf_writer_start(struct gguf_writer *w, struct error *err);

/* Writes bytes of tensor i at an offset in it. Any thread, each byte once. ERR_INVALID past the
 * tensor's end, ERR_IO. */
enum status gguf_writer_put(struct gguf_writer *w, size_t i, uint64_t offset, const void *data,
                            size_t len, struct error *err);

/* Gives the file its name, replacing one that has it. ERR_INVALID where a tensor got another number
 * of bytes than it has. The writer is gone either way. */
enum status gguf_writer_commit(struct gguf_writer *w, struct error *err);

#endif
