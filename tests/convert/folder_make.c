#include "folder_make.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gguf/gguf_write.h"

void folder_make(struct made_folder *f)
{
    strcpy(f->path, "/tmp/hearth-tokenizer-XXXXXX");
    if (!mkdtemp(f->path)) abort();
}

void folder_put(const struct made_folder *f, const char *name, const void *bytes, size_t len)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    mkdir(path, 0700);
    *slash = '/';
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(bytes, 1, len, out) != len || fclose(out)) abort();
}

void folder_text(const struct made_folder *f, const char *name, const char *text)
{
    folder_put(f, name, text, strlen(text));
}

void folder_remove(const struct made_folder *f, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", f->path, name);
    unlink(path);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    return remove(path);
}

void folder_fini(const struct made_folder *f)
{
    nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

struct gguf *folder_import(const struct made_folder *f, const char *arch, const char *pre,
                           struct tokenizer_import_info *info, struct error *err)
{
    char path[512];
    struct gguf_writer *w = NULL;
    struct gguf *g = NULL;
    struct tokenizer_import_options options = {.pre = pre};
    snprintf(path, sizeof path, "%s/out.gguf", f->path);
    if (gguf_writer_begin(path, 0, &w, err)) abort();
    gguf_writer_str(w, "general.architecture", arch);
    enum status st = tokenizer_import(f->path, arch, &options, w, info, err);
    if (st == OK) st = gguf_writer_start(w, err);
    if (st == OK)
        st = gguf_writer_commit(w, err);
    else
        gguf_writer_abandon(w);
    return st == OK && gguf_open(path, &g, err) == OK ? g : NULL;
}
