/* The registry of languages: a new one is its file and one line here. */
#include "syntax/language.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#ifdef HEARTH_GRAMMARS
#include <tree_sitter/api.h>
#endif

#include "syntax/syntax_int.h"

/* clang-format off */
static const struct syntax_language *const all[] = {
    &syntax_lang_bash,
    &syntax_lang_c,
    &syntax_lang_cpp,
    &syntax_lang_csharp,
    &syntax_lang_css,
    &syntax_lang_go,
    &syntax_lang_html,
    &syntax_lang_java,
    &syntax_lang_javascript,
    &syntax_lang_json,
    &syntax_lang_lua,
    &syntax_lang_markdown,
    &syntax_lang_php,
    &syntax_lang_python,
    &syntax_lang_ruby,
    &syntax_lang_rust,
    &syntax_lang_sql,
    &syntax_lang_toml,
    &syntax_lang_tsx,
    &syntax_lang_typescript,
    &syntax_lang_yaml,
};
/* clang-format on */

enum { N_ALL = sizeof all / sizeof all[0], MAX_EXTENSION = 16 };

const struct syntax_language *syntax_language_at(size_t i)
{
    return i < N_ALL ? all[i] : NULL;
}

static bool in_list(const char *const *list, const char *s, size_t len)
{
    for (; list && *list; list++)
        if (strlen(*list) == len && strncasecmp(*list, s, len) == 0) return true;
    return false;
}

const struct syntax_language *syntax_language_find(const char *name, size_t len)
{
    for (size_t i = 0; i < N_ALL; i++)
        if ((strlen(all[i]->name) == len && strncasecmp(all[i]->name, name, len) == 0) ||
            in_list(all[i]->aliases, name, len))
            return all[i];
    return NULL;
}

/* "#!/usr/bin/env -S python3.11 -u": the interpreter's name without its version. */
static const struct syntax_language *of_interpreter(const char *head, size_t len)
{
    if (len < 3 || head[0] != '#' || head[1] != '!') return NULL;
    const char *end = memchr(head, '\n', len);
    if (!end) end = head + len;
    const char *p = head + 2;
    while (p < end) {
        while (p < end && (*p == ' ' || *p == '\t')) p++;
        const char *word = p;
        while (p < end && *p != ' ' && *p != '\t' && *p != '\r') {
            if (*p++ == '/') word = p;
        }
        size_t n = (size_t)(p - word);
        if (n == 0) break;
        if (word[0] == '-' || (n == 3 && memcmp(word, "env", 3) == 0)) continue;
        while (n && ((word[n - 1] >= '0' && word[n - 1] <= '9') || word[n - 1] == '.')) n--;
        for (size_t i = 0; i < N_ALL; i++)
            if (in_list(all[i]->interpreters, word, n)) return all[i];
        break;
    }
    return NULL;
}

const struct syntax_language *syntax_language_of(const char *path, const char *head, size_t len)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < N_ALL; i++)
        if (in_list(all[i]->files, name, strlen(name))) return all[i];
    if (dot && dot != name && strlen(dot + 1) <= MAX_EXTENSION) {
        for (size_t i = 0; i < N_ALL; i++)
            if (in_list(all[i]->extensions, dot + 1, strlen(dot + 1))) return all[i];
    }
    return head ? of_interpreter(head, len) : NULL;
}

const char *syntax_language_name(const struct syntax_language *l)
{
    return l->name;
}

const char *syntax_language_line_comment(const struct syntax_language *l)
{
    return l->line_comment;
}

bool syntax_language_has_grammar(const struct syntax_language *l)
{
    return l->grammar() != NULL;
}

#ifdef HEARTH_GRAMMARS

/* Made once and kept: what a grammar calls its nodes does not change while the program runs. */
static struct syntax_table tables[N_ALL];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (size_t i = 0; i < N_ALL; i++) {
        const TSLanguage *g = all[i]->grammar();
        uint32_t n = ts_language_symbol_count(g);
        const struct syntax_rule **by = calloc(n ? n : 1, sizeof *by);
        if (!by) continue;
        for (uint32_t s = 0; s < n; s++) {
            const char *name = ts_language_symbol_name(g, (TSSymbol)s);
            /* Keywords share names with nodes ("class"): rules mean the nodes. */
            bool named = ts_language_symbol_type(g, (TSSymbol)s) == TSSymbolTypeRegular;
            for (const struct syntax_rule *r = all[i]->rules; named && r->node && !by[s]; r++)
                if (strcmp(r->node, name) == 0) by[s] = r;
        }
        tables[i] = (struct syntax_table){.grammar = g, .n_symbols = n, .by_symbol = by};
    }
}

const struct syntax_table *syntax_table_of(const struct syntax_language *l)
{
    pthread_once(&once, make_tables);
    for (size_t i = 0; i < N_ALL; i++)
        if (all[i] == l) return tables[i].by_symbol ? &tables[i] : NULL;
    return NULL;
}

#else

const struct syntax_table *syntax_table_of(const struct syntax_language *l)
{
    (void)l;
    return NULL;
}

#endif
