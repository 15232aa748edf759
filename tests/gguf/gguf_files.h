/* A temporary folder of files for tests. */
#ifndef HEARTH_TESTS_GGUF_FILES_H
#define HEARTH_TESTS_GGUF_FILES_H

#include <stdbool.h>
#include <stddef.h>

struct files {
    char dir[64];
};

/* False where the system refuses. */
bool files_init(struct files *f);
void files_fini(struct files *f); /* removes the folder and the files in it */
bool files_write(const struct files *f, const char *name, const void *data, size_t len);
/* The path of `name` in the folder, in one of a few static buffers. */
const char *files_path(const struct files *f, const char *name);

/* Writes a model in `count` shards NAME-0000i-of-0000N.gguf, `per_shard` tensors "t<i>" in each. */
bool files_write_shards(const struct files *f, const char *name, unsigned count,
                        unsigned per_shard);

#endif
