/* A text in any language must parse, or fall to the plain splitter, within its limits, and its chunks must lie in
 * order inside of it. The first byte picks the language. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "syntax/syntax_facts.h"
#include "syntax/repo_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct syntax_facts *f, size_t len)
{
    uint32_t at = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        const struct syntax_chunk *c = &f->chunks[i];
        if (c->begin < at || c->end <= c->begin || c->end > len || strlen(c->signature) > 512 ||
            strlen(c->doc) > 1024 || c->part >= c->n_parts)
            abort();
        at = c->end;
    }
    for (size_t i = 0; i < f->n_definitions; i++)
        if (f->definitions[i].end > len || f->definitions[i].name_begin > len) abort();
    for (size_t i = 1; i < f->n_references; i++)
        if (f->references[i].begin <= f->references[i - 1].begin) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct syntax_parser *parser;
    struct error err;
    size_t n = 0;
    if (size == 0 || (!parser && syntax_parser_create(&parser, &err))) return 0;
    while (syntax_language_at(n)) n++;
    const struct syntax_language *l = syntax_language_at(data[0] % (n + 1));
    const char *text = (const char *)data + 1;
    struct syntax_facts_options o = {.want = 7, .chunk = {.max_bytes = 256, .target_bytes = 128}};
    struct syntax_facts *f;
    if (syntax_facts_read(parser, l, text, size - 1, &o, &f, &err)) return 0;
    check(f, size - 1);
    struct repo_map_file files[2] = {{.path = "a", .facts = f}, {.path = "b", .facts = f}};
    struct repo_map m;
    if (repo_map_init(&m, files, 2, NULL, 0, &err) == OK) repo_map_fini(&m);
    syntax_facts_destroy(f);
    return 0;
}
