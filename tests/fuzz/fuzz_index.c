/* Any bytes as a file of a project: it is read and cut up within its limits, its chunks and references come back
 * as they were put, its words lie inside of it; and as an ignore file it answers. The first byte picks the name. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "index/ignore.h"
#include "index/parse_files.h"
#include "index/refs.h"
#include "index/tokens.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int token(void *ctx, bool part, const char *token, size_t n, size_t begin, size_t end)
{
    size_t len = *(size_t *)ctx;
    (void)part;
    if (n == 0 || n > TOKEN_MAX || begin >= end || end > len) abort();
    for (size_t i = 0; i < n; i++)
        if (token[i] >= 'A' && token[i] <= 'Z') abort();
    return 0;
}

static void check_facts(const struct parsed *p)
{
    const struct syntax_facts *f = p->facts;
    uint32_t at = 0;
    for (size_t i = 0; i < f->n_chunks; i++) {
        if (f->chunks[i].begin < at || f->chunks[i].end <= f->chunks[i].begin || f->chunks[i].end > p->text.len) abort();
        at = f->chunks[i].end;
    }
    struct refs_item item;
    size_t n = 0, imports = 0, place = 0;
    while (refs_next(p->refs.data, p->refs.len, &place, &item)) {
        if (item.len == 0 || item.len > SYNTAX_MAX_NAME) abort();
        imports += item.kind == REFS_IMPORT;
        n++;
    }
    if (place != p->refs.len || imports > f->n_imports || n > f->n_imports + f->n_references) abort();
}

/* The bytes as a folder's column: whatever they are, reading them ends. */
static void check_refs(const uint8_t *data, size_t size)
{
    struct refs_item item;
    size_t at = 0, before = 0;
    while (refs_next(data, size, &at, &item)) {
        if (at <= before || at > size) abort();
        before = at;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"a.c", "a.py", "a.ts", "a.md", "a.json", "a.sh", "a.rs", "a.go", "a", "Makefile"};
    static char folder[] = "/tmp/hearth-fuzz-index-XXXXXX";
    static struct syntax_parser *parser;
    static int root = -1;
    struct error err;
    if (size == 0) return 0;
    if (root < 0) {
        if (!mkdtemp(folder) || syntax_parser_create(&parser, &err)) abort();
        root = open(folder, O_RDONLY | O_DIRECTORY);
    }
    const char *name = names[data[0] % (sizeof names / sizeof *names)], *text = (const char *)data + 1;
    size_t len = size - 1;
    int fd = openat(root, name, O_CREAT | O_TRUNC | O_WRONLY, 0600);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len) abort();
    close(fd);
    struct parsed p, again;
    if (parse_file(root, name, 1 << 20, NULL, parser, &p) == OK && p.result == PARSE_NEW) {
        check_facts(&p);
        /* Known already: the same bytes are not parsed a second time. */
        if (parse_file(root, name, 1 << 20, p.hash, parser, &again) != OK || again.result != PARSE_SAME) abort();
        parsed_fini(&again);
    }
    parsed_fini(&p);
    tokens_of(text, len, token, &len);
    check_refs(data, size);
    struct ignore_rules rules;
    if (ignore_parse(text, len, &rules) == OK) {
        ignore_match(&rules, "src/deep/file.c", "file.c", false);
        ignore_match(&rules, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab/b", "b", true);
        ignore_fini(&rules);
    }
    return 0;
}
