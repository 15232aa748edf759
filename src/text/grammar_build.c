#include <stdlib.h>
#include <string.h>

#include "text/grammar_int.h"

uint32_t grammar_rule_add(struct grammar_build *b)
{
    if (!fa_spend(&b->budget, 1) ||
        !fa_grow(&b->budget, &b->rules, b->n_rules, &b->cap_rules, sizeof *b->rules))
        return 0;
    b->rules[b->n_rules] = (struct grammar_rule){0};
    return (uint32_t)b->n_rules++;
}

void grammar_rule_define(struct grammar_build *b, uint32_t rule, const struct nfa *a, uint32_t start,
                         uint32_t final)
{
    if (b->budget.st != OK) return;
    struct dfa d;
    dfa_from_nfa(a, start, final, &d);
    dfa_fini(&b->rules[rule].dfa);
    b->rules[rule].dfa = d;
}

static void object_fini(struct grammar_object *o)
{
    free(o->members);
    free(o->extras);
}

void grammar_rule_define_object(struct grammar_build *b, uint32_t rule, struct grammar_object *o)
{
    struct grammar_object *copy = fa_realloc(&b->budget, NULL, 1, sizeof *copy);
    if (!copy) {
        object_fini(o);
        return;
    }
    *copy = *o;
    b->rules[rule].object = copy;
}

enum status grammar_build_status(struct grammar_build *b)
{
    if (b->budget.st == ERR_NOMEM) return error_set(b->err, ERR_NOMEM, "no memory for the grammar");
    if (b->budget.st != OK)
        return error_set(b->err, b->budget.st,
                         "the grammar needs more than %zu states, or more than %.0f ms to compile: "
                         "make it simpler, or its repetitions and bounds smaller",
                         b->limits->max_states, b->limits->max_ms);
    return OK;
}

void grammar_build_fini(struct grammar_build *b)
{
    for (size_t i = 0; i < b->n_rules; i++) {
        dfa_fini(&b->rules[i].dfa);
        if (b->rules[i].object) object_fini(b->rules[i].object);
        free(b->rules[i].object);
    }
    free(b->rules);
}

/* ---- what can end, and with how little ----------------------------------------------------------
 */

static bool object_productive(const struct grammar_build *b, const struct grammar_object *o)
{
    size_t required = 0, most = 0;
    for (size_t i = 0; i < o->n_members; i++) {
        bool good = b->rules[o->members[i].rule].productive;
        if (o->members[i].required && !good) return false;
        required += o->members[i].required;
        most += good;
    }
    for (size_t i = 0; i < o->n_extras; i++)
        if (b->rules[o->extras[i]].productive) {
            most++;
            break;
        }
    return required <= o->max && o->min <= o->max && o->min <= most;
}

/* Whether a rule has an end that only calls of rules in the given state lead to; `empty`: without a
 * byte. */
static bool has_end(const struct grammar_build *b, const struct dfa *d, bool empty, uint32_t *todo,
                    bool *seen)
{
    size_t n = 0;
    if (d->n == 0) return false;
    memset(seen, 0, d->n * sizeof *seen);
    seen[0] = true;
    todo[n++] = 0;
    while (n > 0) {
        uint32_t at = todo[--n];
        if (d->final[at]) return true;
        for (uint32_t e = d->first[at]; e < d->first[at + 1]; e++) {
            const struct dfa_edge *edge = &d->edges[e];
            if (seen[edge->to]) continue;
            if (edge->lo < FA_CALL && empty) continue;
            if (edge->lo >= FA_CALL) {
                const struct grammar_rule *r = &b->rules[edge->lo - FA_CALL];
                if (empty ? !r->nullable : !r->productive) continue;
            }
            seen[edge->to] = true;
            todo[n++] = edge->to;
        }
    }
    return false;
}

static bool judge_rules(struct grammar_build *b)
{
    size_t most = 1;
    for (size_t i = 0; i < b->n_rules; i++)
        if (b->rules[i].dfa.n > most) most = b->rules[i].dfa.n;
    uint32_t *todo = fa_realloc(&b->budget, NULL, most, sizeof *todo);
    bool *seen = fa_realloc(&b->budget, NULL, most, sizeof *seen);
    for (int empty = 0; todo && seen && empty < 2; empty++) {
        bool changed = true;
        while (changed && b->budget.st == OK) {
            changed = false;
            for (size_t i = b->n_rules; i-- > 0;) {
                struct grammar_rule *r = &b->rules[i];
                bool *done = empty ? &r->nullable : &r->productive;
                if (*done) continue;
                fa_spend(&b->budget, 0);
                b->budget.since_look += r->dfa.n;
                *done = r->object ? !empty && object_productive(b, r->object)
                                  : has_end(b, &r->dfa, empty, todo, seen);
                changed |= *done;
            }
        }
    }
    free(todo);
    free(seen);
    return b->budget.st == OK;
}

/* Takes away edges over rules that cannot end, and then states that reach no end. */
static void trim(struct grammar_build *b, struct dfa *d)
{
    struct nfa a = {.budget = &b->budget};
    bool whole = true;
    for (size_t e = 0; e < d->n_edges; e++)
        whole &= d->edges[e].lo < FA_CALL || b->rules[d->edges[e].lo - FA_CALL].productive;
    if (whole) return;
    for (size_t i = 0; i < d->n; i++) nfa_state(&a);
    uint32_t final = nfa_state(&a);
    for (uint32_t i = 0; b->budget.st == OK && i < d->n; i++) {
        if (d->final[i]) nfa_skip(&a, i, final);
        for (uint32_t e = d->first[i]; e < d->first[i + 1]; e++)
            if (d->edges[e].lo < FA_CALL || b->rules[d->edges[e].lo - FA_CALL].productive)
                nfa_edge(&a, i, d->edges[e].lo, d->edges[e].hi, d->edges[e].to);
    }
    struct dfa out;
    dfa_from_nfa(&a, 0, final, &out);
    nfa_fini(&a);
    if (b->budget.st != OK) return;
    dfa_fini(d);
    *d = out;
}

/* ---- the program --------------------------------------------------------------------------------
 */

static bool pack_state(struct grammar_build *b, struct grammar *g, const struct dfa *d, uint32_t i,
                       uint32_t base, bool called)
{
    struct grammar_node_state s = {.edge = (uint32_t)g->n_edges, .call = (uint32_t)g->n_calls};
    for (uint32_t e = d->first[i]; e < d->first[i + 1]; e++) {
        const struct dfa_edge *edge = &d->edges[e];
        if (edge->lo < FA_CALL) {
            if (!fa_grow(&b->budget, &g->edges, g->n_edges, &g->cap_edges, sizeof *g->edges))
                return false;
            g->edges[g->n_edges++] =
                (struct grammar_edge){(uint8_t)edge->lo, (uint8_t)edge->hi, base + edge->to};
        } else {
            if (!fa_grow(&b->budget, &g->calls, g->n_calls, &g->cap_calls, sizeof *g->calls))
                return false;
            g->calls[g->n_calls++] = (struct grammar_call){edge->lo - FA_CALL, base + edge->to};
        }
    }
    size_t n_calls = g->n_calls - s.call;
    if (n_calls > UINT16_MAX) {
        b->budget.st = ERR_LIMIT;
        return false;
    }
    s.n_edges = (uint16_t)(g->n_edges - s.edge);
    s.n_calls = (uint16_t)n_calls;
    s.flags = (uint8_t)((d->final[i] ? STATE_FINAL : 0) | (s.n_edges ? STATE_BYTES : 0) |
                        (s.n_calls ? STATE_CALLS : 0));
    if (s.flags == STATE_FINAL) s.flags |= STATE_TAIL;
    if (d->final[i] && called) s.flags |= STATE_RETURNS;
    if (!fa_grow(&b->budget, &g->states, g->n_states, &g->cap_states, sizeof *g->states)) return false;
    g->states[g->n_states++] = s;
    return true;
}

/* Takes the members that can end. */
static bool pack_object(struct grammar_build *b, struct grammar *g, struct grammar_object *o)
{
    size_t n = 0, n_extras = 0;
    for (size_t i = 0; i < o->n_members; i++)
        if (b->rules[o->members[i].rule].productive) o->members[n++] = o->members[i];
    for (size_t i = 0; i < o->n_extras; i++)
        if (b->rules[o->extras[i]].productive) o->extras[n_extras++] = o->extras[i];
    o->n_members = n;
    o->n_extras = n_extras;
    g->objects[g->n_objects++] = *o;
    *o = (struct grammar_object){0};
    return true;
}

static void mark_called(const struct grammar_build *b, bool *called)
{
    if (b->space != FA_NONE) called[b->space] = true;
    for (size_t i = 0; i < b->n_rules; i++) {
        const struct grammar_rule *r = &b->rules[i];
        for (size_t k = 0; k < r->dfa.n_edges; k++)
            if (r->dfa.edges[k].lo >= FA_CALL) called[r->dfa.edges[k].lo - FA_CALL] = true;
        for (size_t k = 0; r->object && k < r->object->n_members; k++) called[r->object->members[k].rule] = true;
        for (size_t k = 0; r->object && k < r->object->n_extras; k++) called[r->object->extras[k]] = true;
    }
}

static bool pack_rules(struct grammar_build *b, struct grammar *g, const bool *called)
{
    size_t n_objects = 0;
    for (size_t i = 0; i < b->n_rules; i++) n_objects += b->rules[i].object != NULL;
    g->n_rules = b->n_rules;
    g->rule_start = fa_realloc(&b->budget, NULL, b->n_rules, sizeof *g->rule_start);
    g->rule_nullable = fa_realloc(&b->budget, NULL, b->n_rules, sizeof *g->rule_nullable);
    g->objects = fa_realloc(&b->budget, NULL, n_objects, sizeof *g->objects);
    if (b->budget.st != OK) return false;
    g->space = b->space;
    for (size_t i = 0; i < b->n_rules; i++) {
        struct grammar_rule *r = &b->rules[i];
        g->rule_start[i] = FA_NONE;
        g->rule_nullable[i] = r->nullable;
        if (!r->productive || r->object) continue;
        trim(b, &r->dfa);
        uint32_t base = (uint32_t)g->n_states;
        g->rule_start[i] = base;
        for (uint32_t k = 0; k < r->dfa.n; k++)
            if (!pack_state(b, g, &r->dfa, k, base, called[i])) return false;
        dfa_fini(&r->dfa);
    }
    g->first_lazy = (uint32_t)g->n_states;
    for (size_t i = 0; i < b->n_rules; i++) {
        struct grammar_rule *r = &b->rules[i];
        if (!r->productive || !r->object) continue;
        if (!pack_object(b, g, r->object)) return false;
        g->rule_start[i] = grammar_object_start(g, (uint32_t)g->n_objects - 1, &b->budget.st);
        if (b->budget.st != OK) return false;
    }
    return b->budget.st == OK;
}

static void pack(struct grammar_build *b, struct grammar *g)
{
    bool *called = fa_realloc(&b->budget, NULL, b->n_rules, sizeof *called);
    if (!called) return;
    memset(called, 0, b->n_rules * sizeof *called);
    mark_called(b, called);
    pack_rules(b, g, called);
    free(called);
}

enum status grammar_build_finish(struct grammar_build *b, uint32_t root, struct grammar *g)
{
    enum status st = grammar_build_status(b);
    if (st != OK) return st;
    if (!judge_rules(b)) return grammar_build_status(b);
    if (!b->rules[root].productive)
        return error_set(b->err, ERR_INVALID, "nothing can match this grammar: its conditions exclude "
                                              "each other, or its rules never end");
    g->root = root;
    pack(b, g);
    return grammar_build_status(b);
}
