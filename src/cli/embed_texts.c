#include "cli/embed_texts.h"

#include <stdlib.h>
#include <string.h>

#include "cli/load.h"

enum { MAX_FILE_BYTES = 1 << 30 };

static enum status take_arguments(struct embed_texts *t, int argc, char **argv)
{
    t->list = calloc((size_t)argc + 1, sizeof *t->list);
    if (!t->list) return ERR_NOMEM;
    for (; t->n < (size_t)argc; t->n++)
        t->list[t->n] = (struct text_str){argv[t->n], strlen(argv[t->n])};
    return OK;
}

/* A line end at the end of the file begins no line. */
static enum status take_lines(struct embed_texts *t)
{
    const char *p = t->file.data, *end = p + t->file.len;
    size_t n = 0;
    if (t->file.len == 0) return OK;
    for (const char *q = p; (q = memchr(q, '\n', (size_t)(end - q))); q++) n++;
    t->list = calloc(n + 1, sizeof *t->list);
    if (!t->list) return ERR_NOMEM;
    while (p < end) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        size_t len = (size_t)(stop - p);
        if (len && p[len - 1] == '\r') len--;
        t->list[t->n++] = (struct text_str){p, len};
        p = stop + 1;
    }
    return OK;
}

enum status embed_texts_read(struct embed_texts *t, const char *file, int argc, char **argv,
                             struct error *err)
{
    *t = (struct embed_texts){0};
    buf_init(&t->file, MAX_FILE_BYTES);
    if (!file && argc == 1 && strcmp(argv[0], "-") == 0) file = "-";
    enum status st = file ? cli_read_text(file, &t->file, err) : OK;
    if (st) return st;
    st = file ? take_lines(t) : take_arguments(t, argc, argv);
    if (st) return error_set(err, st, "no memory for the texts");
    return OK;
}

void embed_texts_fini(struct embed_texts *t)
{
    buf_fini(&t->file);
    free(t->list);
    *t = (struct embed_texts){0};
}
