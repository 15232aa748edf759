/* The projects that clients may search: the folders that the server was started with. Any thread. */
#ifndef HEARTH_API_SEARCH_PROJECTS_H
#define HEARTH_API_SEARCH_PROJECTS_H

#include "api/api.h"

struct search_projects;

/* NULL where the options name no project, or without memory (*err says so). */
struct search_projects *search_projects_create(const struct api_options *opt, struct error *err);
void search_projects_destroy(struct search_projects *p); /* NULL is fine */

#endif
