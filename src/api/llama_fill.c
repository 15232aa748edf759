/* llama.cpp's /infill: code for a hole, with other files of the repository around it. */
#include <stdlib.h>
#include <string.h>

#include "api/fill.h"
#include "api/llama.h"

enum { MAX_FILES = 1024 };

/* The cursor's own file and the repository, which llama.cpp's body has no names for: Hearth takes
 * `filename` and `repo_name` besides; `trim`: false asks for the model's own answer. */
struct infill {
    struct fill fill;
    struct fim_file *files; /* owned */
    struct buf prefix;
};

static void read_extra(struct infill *f, struct reader *rd)
{
    const json_t *list = read_array(rd, "input_extra", MAX_FILES), *v;
    size_t i;
    if (!json_array_size(list)) return;
    f->files = calloc(json_array_size(list), sizeof *f->files);
    if (!f->files) {
        read_fail(rd, "no memory for 'input_extra'");
        return;
    }
    json_array_foreach(list, i, v)
    {
        struct reader one = {.obj = v};
        struct fim_file *file = &f->files[i];
        read_string(&one, "text", &file->text, &file->len);
        read_string(&one, "filename", &file->path, NULL);
        if (!file->text) read_fail(&one, "entry %zu of 'input_extra' has no text", i);
        if (one.err.code) {
            if (!rd->err.code) rd->err = one.err;
            return;
        }
    }
    f->fill.files = f->files;
    f->fill.n_files = json_array_size(list);
}

/* `prompt` is what is typed behind the prefix already. */
static void read_texts(struct infill *f, struct reader *rd)
{
    const char *prefix = "", *typed = "";
    size_t n_prefix = 0, n_typed = 0;
    if (!read_any(rd, "input_prefix") || !read_any(rd, "input_suffix"))
        read_fail(rd, "'input_prefix' and 'input_suffix' are needed");
    f->fill.suffix = "";
    read_string(rd, "input_prefix", &prefix, &n_prefix);
    read_string(rd, "input_suffix", &f->fill.suffix, &f->fill.suffix_len);
    read_string(rd, "prompt", &typed, &n_typed);
    read_string(rd, "filename", &f->fill.file, NULL);
    read_string(rd, "repo_name", &f->fill.repo, NULL);
    fill_read(&f->fill, rd);
    if (buf_append(&f->prefix, prefix, n_prefix) != OK ||
        buf_append(&f->prefix, typed, n_typed) != OK)
        read_fail(rd, "no memory for the prefix");
    f->fill.prefix = f->prefix.data ? f->prefix.data : "";
    f->fill.prefix_len = f->prefix.len;
}

static void post_infill(struct call *c)
{
    struct reader rd = {.obj = c->body};
    const char *model = NULL;
    read_string(&rd, "model", &model, NULL);
    struct job *j = rd.err.code ? NULL : job_create(c, model, &llama_format);
    if (rd.err.code) call_error(c, &rd.err);
    if (!j) return;
    struct infill f = {0};
    buf_init(&f.prefix, (size_t)128 << 20);
    llama_read(j, &rd);
    read_texts(&f, &rd);
    read_extra(&f, &rd);
    if (rd.err.code)
        job_fail(j, &rd.err);
    else if (job_add_fill(j, &f.fill))
        job_start(j);
    else
        job_unref(j);
    free(f.files);
    buf_fini(&f.prefix);
}

const struct route routes_llama_fill[] = {
    {"POST", "/infill", &dialect_llama, ROUTE_JSON, post_infill},
    {0},
};
