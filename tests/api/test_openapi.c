/* The description that is served names every route, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>
#include <jansson.h>

#include "api/api.h"

/* Where a path has a variable part, only what stands before it counts. */
static bool same_path(const char *a, const char *b)
{
    size_t n = strcspn(a, "{"), m = strcspn(b, "{");
    return n == m && strncmp(a, b, n) == 0 && a[n] == b[m];
}

static bool described(json_t *paths, const char *method, const char *path)
{
    const char *key, *verb;
    json_t *operations, *operation;
    json_object_foreach(paths, key, operations) if (same_path(key, path)) json_object_foreach(
        operations, verb, operation) if (strcasecmp(verb, method) == 0) return true;
    return false;
}

static void names_every_route_and_no_other(void **state)
{
    (void)state;
    size_t len, n_routes = 0, n_described = 0;
    const char *text = api_openapi(&len), *key;
    json_t *doc = json_loadb(text, len, 0, NULL), *operations;
    assert_non_null(doc);
    json_t *paths = json_object_get(doc, "paths");
    char name[256];
    for (; api_route_name(n_routes, name, sizeof name); n_routes++) {
        char *space = strchr(name, ' ');
        *space = 0;
        if (!described(paths, name, space + 1)) fail_msg("%s %s is not described", name, space + 1);
    }
    json_object_foreach(paths, key, operations) n_described += json_object_size(operations);
    assert_true(n_routes > 30);
    assert_int_equal(n_described, n_routes);
    json_decref(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_every_route_and_no_other)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
