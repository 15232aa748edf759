/* llama.cpp's /infill: code for a hole, with other files of the repository around it. */
#include <stdlib.h>
#include <string.h>

#include "api/fill.h"
#include "api/llama.h"
#include "api/search_projects.h"
#include "assist/cursor.h"
#include "index/context.h"

enum { MAX_FILES = 1024 };

/* The cursor's own file and the repository, which llama.cpp's body has no names for: Hearth takes
 * `filename` and `repo_name` besides; `trim`: false asks for the model's own answer, and
 * `project_context`: false for nothing of the projects that the server was started with. */
struct infill {
    struct fill fill;
    struct fim_file *files; /* owned */
    struct buf prefix;
    bool project_context; /* false: the client wants nothing of the server's projects */
    struct project_context context;
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
    f->project_context = true;
    read_bool(rd, "project_context", &f->project_context);
    if (buf_append(&f->prefix, prefix, n_prefix) != OK ||
        buf_append(&f->prefix, typed, n_typed) != OK)
        read_fail(rd, "no memory for the prefix");
    f->fill.prefix = f->prefix.data ? f->prefix.data : "";
    f->fill.prefix_len = f->prefix.len;
}

/* Puts what the project's index knows before the client's own files. False without memory. */
static bool add_project(struct infill *f, const struct call *c, const struct job *j)
{
    struct buf text;
    struct fill *fill = &f->fill;
    size_t bytes = j->n_ctx < INDEX_CONTEXT_BYTES ? j->n_ctx : INDEX_CONTEXT_BYTES; /* about a third of the tokens */
    if (!c->api->projects || !fill->file || !f->project_context || cursor_is_secret(fill->file)) return true;
    buf_init(&text, (size_t)256 << 20);
    bool ok = buf_append(&text, fill->prefix, fill->prefix_len) == OK &&
              buf_append(&text, fill->suffix, fill->suffix_len) == OK;
    if (ok)
        search_projects_context(c->api->projects, fill->file, text.data ? text.data : "", text.len, fill->prefix_len,
                                bytes, &f->context);
    buf_fini(&text);
    if (!ok || !f->context.path) return ok;
    if (!f->context.n) return true;
    fill->own_repo = fill->repo;
    fill->own_file = fill->file;
    if (!fill->repo) fill->repo = f->context.name;
    fill->file = f->context.path;
    struct fim_file *all = calloc(f->context.n + fill->n_files, sizeof *all);
    if (!all) return false;
    memcpy(all, f->context.files, f->context.n * sizeof *all);
    if (fill->n_files) memcpy(all + f->context.n, fill->files, fill->n_files * sizeof *all);
    free(f->files);
    fill->files = f->files = all;
    fill->n_files += f->context.n;
    fill->n_found = f->context.n;
    return true;
}

static void llama_no_memory(struct job *j, struct reader *rd)
{
    read_fail(rd, "no memory for the project's files");
    job_fail(j, &rd->err);
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
    else if (!add_project(&f, c, j))
        llama_no_memory(j, &rd);
    else if (job_add_fill(j, &f.fill))
        job_start(j);
    else
        job_unref(j);
    project_context_fini(&f.context);
    free(f.files);
    buf_fini(&f.prefix);
}

const struct route routes_llama_fill[] = {
    {"POST", "/infill", &dialect_llama, ROUTE_JSON, post_infill},
    {0},
};
