/* A regular expression as a grammar: the whole text is the match. */
#include "text/grammar_int.h"
#include "text/grammar_regex.h"

static enum status build(struct grammar_build *b, const char *text, size_t len, uint32_t *root)
{
    struct dfa d;
    struct nfa a = {.budget = &b->budget};
    enum status st = regex_compile(text, len, false, b->limits->max_depth, &b->budget, &d, b->err);
    if (st != OK) return st;
    uint32_t from = nfa_state(&a), to = nfa_state(&a), base = (uint32_t)a.n;
    for (size_t i = 0; i < d.n; i++) nfa_state(&a);
    for (uint32_t i = 0; b->budget.st == OK && i < d.n; i++) {
        if (i == 0) nfa_skip(&a, from, base);
        if (d.final[i]) nfa_skip(&a, base + i, to);
        for (uint32_t e = d.first[i]; e < d.first[i + 1]; e++)
            nfa_utf8(&a, base + i, d.edges[e].lo, d.edges[e].hi, base + d.edges[e].to);
    }
    *root = grammar_rule_add(b);
    grammar_rule_define(b, *root, &a, from, to);
    nfa_fini(&a);
    dfa_fini(&d);
    return grammar_build_status(b);
}

const struct grammar_front grammar_front_regex = {GRAMMAR_REGEX, "regular expression", build};
