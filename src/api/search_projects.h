/* The projects that clients may search: the folders that the server was started with. Any thread. */
#ifndef HEARTH_API_SEARCH_PROJECTS_H
#define HEARTH_API_SEARCH_PROJECTS_H

#include "api/api.h"
#include "assist/fim_files.h"

struct search_projects;

/* NULL where the options name no project, or without memory (*err says so). */
struct search_projects *search_projects_create(const struct api_options *opt, struct error *err);
void search_projects_destroy(struct search_projects *p); /* NULL is fine */

/* What a project's index knows that belongs to a place in a file: for /infill. */
struct project_context {
    struct fim_file *files; /* owned, with their texts in `memory` */
    size_t n;
    const char *path, *name; /* of the file in the project, and the project's; NULL where it is in none */
    char *memory;            /* owned */
};
/* Looks in the project that holds the file: an absolute path, or one that is relative to the only project. Never
 * fails: without a project or an index there is nothing. p may be NULL. */
void search_projects_context(struct search_projects *p, const char *file, const char *text, size_t len, size_t offset,
                             size_t max_bytes, struct project_context *out);
void project_context_fini(struct project_context *c);

#endif
