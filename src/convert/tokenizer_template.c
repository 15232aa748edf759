#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "convert/tokenizer_draft.h"

/* Chat templates: one, or several by name. A text in tokenizer_config.json is taken before the files that
 * newer folders have instead. */

enum { MAX_TEMPLATE_BYTES = 4 << 20 };

/* Names become part of a key. */
static void clean_name(struct text_str name, char dst[64])
{
    size_t n = 0;
    for (size_t i = 0; i < name.len && n < 63; i++) {
        char c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        dst[n++] = good ? c : '_';
    }
    dst[n] = 0;
}

static enum status add(struct draft *d, struct text_str name, struct text_str text, struct error *err)
{
    if (!text.data || !name.len) return OK;
    if (d->n_templates == DRAFT_MAX_TEMPLATES)
        return error_set(err, ERR_LIMIT, "%s: more than %d chat templates", d->folder, DRAFT_MAX_TEMPLATES);
    if (text.len > MAX_TEMPLATE_BYTES)
        return error_set(err, ERR_LIMIT, "%s: a chat template of %zu bytes", d->folder, text.len);
    struct draft_template t = {.text = text};
    clean_name(name, t.name);
    for (size_t i = 0; i < d->n_templates; i++)
        if (strcmp(d->templates[i].name, t.name) == 0) return OK;
    d->templates[d->n_templates++] = t;
    return OK;
}

/* A text, or [{"name": ..., "template": ...}, ...] */
static enum status from_json(struct draft *d, const json_t *j, struct error *err)
{
    enum status st = OK;
    if (json_is_string(j)) return add(d, (struct text_str){"default", 7}, draft_json_text(j), err);
    for (size_t i = 0; i < json_array_size(j) && st == OK; i++) {
        const json_t *t = json_array_get(j, i);
        st = add(d, draft_json_text(json_object_get(t, "name")),
                 draft_json_text(json_object_get(t, "template")), err);
    }
    return st;
}

static enum status from_file(struct draft *d, const char *file, struct text_str name, struct error *err)
{
    struct draft part = {.folder = d->folder}; /* d->file may hold the vocabulary */
    struct text_str text;
    buf_init(&part.file, MAX_TEMPLATE_BYTES);
    enum status st = draft_read_file(&part, file, err);
    if (st == OK)
        st = draft_copy(d, part.file.data ? part.file.data : "", part.file.len, &text, err);
    buf_fini(&part.file);
    return st ? st : add(d, name, text, err);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* additional_chat_templates/NAME.jinja, in the order of their names. */
static enum status from_folder(struct draft *d, struct error *err)
{
    static const char folder[] = "additional_chat_templates", suffix[] = ".jinja";
    char names[DRAFT_MAX_TEMPLATES][64], path[4096];
    size_t n = 0;
    int len = snprintf(path, sizeof path, "%s/%s", d->folder, folder);
    DIR *dir = len > 0 && (size_t)len < sizeof path ? opendir(path) : NULL;
    if (!dir) return errno == ENOMEM ? error_set(err, ERR_NOMEM, "out of memory") : OK;
    for (struct dirent *e; (e = readdir(dir)) && n < DRAFT_MAX_TEMPLATES;) {
        size_t k = strlen(e->d_name), s = sizeof suffix - 1;
        if (k <= s || k - s >= sizeof names[0] || strcmp(e->d_name + k - s, suffix) != 0) continue;
        memcpy(names[n], e->d_name, k - s);
        names[n++][k - s] = 0;
    }
    closedir(dir);
    qsort(names, n, sizeof names[0], by_name);
    enum status st = OK;
    for (size_t i = 0; i < n && st == OK; i++) {
        snprintf(path, sizeof path, "%s/%s%s", folder, names[i], suffix);
        st = from_file(d, path, (struct text_str){names[i], strlen(names[i])}, err);
    }
    return st;
}

enum status draft_find_templates(struct draft *d, struct error *err)
{
    const json_t *j = json_object_get(d->tokenizer_config, "chat_template");
    if (json_is_string(j) || json_is_array(j)) return from_json(d, j, err);
    if (draft_has_file(d, "chat_template.jinja")) {
        enum status st = from_file(d, "chat_template.jinja", (struct text_str){"default", 7}, err);
        return st ? st : from_folder(d, err);
    }
    enum status st = draft_read_json(d, "chat_template.json", &d->template_json, err);
    return st ? st : from_json(d, json_object_get(d->template_json, "chat_template"), err);
}
