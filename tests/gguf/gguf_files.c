#include "gguf_files.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gguf_build.h"

bool files_init(struct files *f)
{
    strcpy(f->dir, "/tmp/hearth-test-XXXXXX");
    return mkdtemp(f->dir) != NULL;
}

const char *files_path(const struct files *f, const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *out = paths[next++ % 4];
    snprintf(out, sizeof paths[0], "%s/%s", f->dir, name);
    return out;
}

void files_fini(struct files *f)
{
    DIR *d = opendir(f->dir);
    struct dirent *e;
    while (d && (e = readdir(d)) != NULL)
        if (e->d_name[0] != '.') unlink(files_path(f, e->d_name));
    if (d) closedir(d);
    rmdir(f->dir);
}

bool files_write(const struct files *f, const char *name, const void *data, size_t len)
{
    FILE *out = fopen(files_path(f, name), "wb");
    if (!out) return false;
    bool ok = fwrite(data, 1, len, out) == len;
    return fclose(out) == 0 && ok;
}

bool files_write_shards(const struct files *f, const char *name, unsigned count, unsigned per_shard)
{
    bool ok = true;
    for (unsigned i = 0; i < count && ok; i++) {
        struct gguf_build b;
        struct buf out;
        char text[128];
        build_init(&b, 3);
        buf_init(&out, 1 << 20);
        if (i == 0) build_str(&b, "general.architecture", "llama");
        build_number(&b, "split.no", GGUF_U16, i);
        build_number(&b, "split.count", GGUF_U16, count);
        build_number(&b, "split.tensors.count", GGUF_I32, count * per_shard);
        for (unsigned k = 0; k < per_shard; k++) {
            snprintf(text, sizeof text, "t%u", i * per_shard + k);
            build_tensor(&b, text, 0, (const uint64_t[]){8 + i, 0}, 4 * (8 + i));
        }
        build_finish(&b, &out);
        snprintf(text, sizeof text, "%s-%05u-of-%05u.gguf", name, i + 1, count);
        ok = files_write(f, text, out.data, out.len);
        buf_fini(&out);
        build_fini(&b);
    }
    return ok;
}
