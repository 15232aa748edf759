/* Following a text: Earley's algorithm over automata instead of productions, in the form of a graph of
 * calls (Scott, Johnstone: GLL parsing). A place is a state of a rule and the frame of its call; frames
 * made at one position for one rule are one frame with several links to where they return. Frames of
 * earlier positions never change, so a step back is a shorter list. A call at a rule's end takes over
 * its caller's links, so that lists written by right recursion stay flat. */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "text/grammar_int.h"
#include "text/tokenizer.h"

enum {
    LINEAR = 24, /* places among which the same one is looked for one by one */
    SEEN_SIZE = 1 << 14,
    MAX_PLACES = 1 << 12, /* of one position */
    MAX_FRAMES = 1 << 22,
    MAX_COPIED_LINKS = 8,
    FIRST_GC = 1 << 12,
    MAX_PIECE = 1024,
    MAX_FORCED = 1 << 16,
};

static bool grow(struct grammar_state *s, void *array, size_t n, size_t *cap, size_t size)
{
    void **at = array;
    if (n < *cap) return true;
    size_t want = *cap ? 2 * *cap : 64;
    void *p = realloc(*at, want * size);
    if (!p) {
        s->st = ERR_NOMEM;
        return false;
    }
    *at = p;
    *cap = want;
    return true;
}

/* ---- one position -------------------------------------------------------------------------------
 */

/* Whether it is new among the hashed ones. */
static bool hash_place(struct grammar_state *s, struct place p)
{
    size_t at = (p.state * 0x9e3779b1u ^ p.frame * 0x85ebca6bu) >> 7 & (SEEN_SIZE - 1);
    for (; s->seen[at] == s->seen_round; at = (at + 1) & (SEEN_SIZE - 1))
        if (s->seen_place[at].state == p.state && s->seen_place[at].frame == p.frame) return false;
    s->seen[at] = s->seen_round;
    s->seen_place[at] = p;
    return true;
}

static bool is_new(struct grammar_state *s, size_t first, struct place p)
{
    size_t n = s->n_places - first;
    if (n < LINEAR) {
        for (size_t i = first; i < s->n_places; i++)
            if (s->places[i].state == p.state && s->places[i].frame == p.frame) return false;
        return true;
    }
    if (n == LINEAR) {
        if (++s->seen_round == 0) {
            memset(s->seen, 0, SEEN_SIZE * sizeof *s->seen);
            s->seen_round = 1;
        }
        for (size_t i = first; i < s->n_places; i++) hash_place(s, s->places[i]);
    }
    return hash_place(s, p);
}

static void add_place(struct grammar_state *s, size_t first, uint32_t state, uint32_t frame)
{
    struct place p = {state, frame};
    if (s->st != OK || !is_new(s, first, p)) return;
    if (s->n_places - first >= MAX_PLACES) {
        s->st = ERR_LIMIT;
        return;
    }
    if (s->g->states[state].flags & STATE_LAZY) s->st = grammar_state_expand(s->g, state);
    if (s->st == OK && grow(s, &s->places, s->n_places, &s->cap_places, sizeof *s->places))
        s->places[s->n_places++] = p;
}

static void add_link(struct grammar_state *s, uint32_t frame, uint32_t to, uint32_t back)
{
    struct frame *f = &s->frames[frame];
    for (uint32_t l = f->link; l != FA_NONE; l = s->links[l].next)
        if (s->links[l].to == to && s->links[l].frame == back) return;
    if (!grow(s, &s->links, s->n_links, &s->cap_links, sizeof *s->links)) return;
    s->links[s->n_links] = (struct link){to, back, f->link};
    f->link = (uint32_t)s->n_links++;
}

static size_t count_links(const struct grammar_state *s, uint32_t frame)
{
    size_t n = 0;
    for (uint32_t l = s->frames[frame].link; l != FA_NONE && n <= MAX_COPIED_LINKS;
         l = s->links[l].next)
        n++;
    return n;
}

static void call(struct grammar_state *s, size_t first, size_t mark, struct grammar_call c,
                 uint32_t from)
{
    const struct grammar *g = s->g;
    uint32_t frame = (uint32_t)mark;
    while (frame < s->n_frames && s->frames[frame].rule != c.rule) frame++;
    bool new = frame == s->n_frames;
    if (new) {
        if (s->n_frames >= MAX_FRAMES) s->st = ERR_LIMIT;
        if (s->st != OK || !grow(s, &s->frames, s->n_frames, &s->cap_frames, sizeof *s->frames))
            return;
        s->frames[s->n_frames++] = (struct frame){FA_NONE, c.rule, 0};
    }
    size_t n = g->states[c.to].flags & STATE_TAIL && from < mark ? count_links(s, from) : 0;
    if (n > 0 && n <= MAX_COPIED_LINKS) {
        for (uint32_t l = s->frames[from].link; l != FA_NONE; l = s->links[l].next)
            add_link(s, frame, s->links[l].to, s->links[l].frame);
    } else {
        add_link(s, frame, c.to, from);
    }
    if (new) add_place(s, first, g->rule_start[c.rule], frame);
    if (g->rule_nullable[c.rule]) add_place(s, first, c.to, from);
}

struct reach grammar_close(struct grammar_state *s, size_t first, size_t mark)
{
    struct reach r = {first, 0, false};
    for (size_t i = first; i < s->n_places && s->st == OK; i++) {
        struct place p = s->places[i];
        struct grammar_node_state state = s->g->states[p.state];
        if (state.flags & STATE_FINAL) {
            if (p.frame == 0)
                r.complete = true;
            else if (p.frame < mark) /* what was called here and is empty has been passed over */
                for (uint32_t l = s->frames[p.frame].link; l != FA_NONE; l = s->links[l].next)
                    add_place(s, first, s->links[l].to, s->links[l].frame);
        }
        for (uint32_t c = 0; c < state.n_calls; c++)
            call(s, first, mark, s->g->calls[state.call + c], p.frame);
    }
    size_t kept = first;
    for (size_t i = first; i < s->n_places; i++)
        if (s->g->states[s->places[i].state].flags & STATE_BYTES) s->places[kept++] = s->places[i];
    s->n_places = kept;
    r.n = kept - first;
    return r;
}

static uint32_t edge_to(const struct grammar *g, uint32_t state, uint8_t byte)
{
    const struct grammar_node_state *at = &g->states[state];
    const struct grammar_edge *e = g->edges + at->edge;
    for (size_t i = 0; i < at->n_edges && e[i].lo <= byte; i++)
        if (byte <= e[i].hi) return e[i].to;
    return FA_NONE;
}

struct reach grammar_step(struct grammar_state *s, struct reach from, uint8_t byte)
{
    size_t first = s->n_places, mark = s->n_frames;
    for (size_t i = 0; i < from.n; i++) {
        struct place p = s->places[from.first + i];
        uint32_t to = edge_to(s->g, p.state, byte);
        if (to != FA_NONE) add_place(s, first, to, p.frame);
    }
    if (s->n_places == first) return (struct reach){first, 0, false};
    return grammar_close(s, first, mark);
}

void grammar_bytes_allowed(struct grammar_state *s, struct reach at, uint64_t allowed[4])
{
    memset(allowed, 0, 4 * sizeof *allowed);
    for (size_t i = 0; i < at.n; i++) {
        const struct grammar_node_state *state = &s->g->states[s->places[at.first + i].state];
        const struct grammar_edge *e = s->g->edges + state->edge;
        for (size_t k = 0; k < state->n_edges; k++)
            for (unsigned b = e[k].lo; b <= e[k].hi; b++) allowed[b / 64] |= UINT64_C(1) << b % 64;
    }
}

/* ---- hashes: equal ones mean that the same texts can follow -------------------------------------
 */

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a + 0x9e3779b97f4a7c15u) * 0xff51afd7ed558ccdu ^ b * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 29;
    h *= 0x94d049bb133111ebu;
    return h ^ h >> 32;
}

/* Frames that call each other in a circle have none, and those above them. */
static void hash_frames(struct grammar_state *s, size_t from)
{
    for (size_t i = from; i < s->n_frames; i++) {
        uint64_t h = mix(s->frames[i].rule, 7);
        bool whole = true;
        for (uint32_t l = s->frames[i].link; l != FA_NONE; l = s->links[l].next) {
            uint32_t back = s->links[l].frame;
            uint64_t below = back < i ? s->frames[back].hash : 0;
            whole &= below != 0;
            h += mix(s->links[l].to, below);
        }
        s->frames[i].hash = !whole ? 0 : h ? h : 1;
    }
}

/* ---- life ---------------------------------------------------------------------------------------
 */

static struct reach here(const struct grammar_state *s)
{
    const struct step *now = grammar_now(s);
    return (struct reach){now->place, now->n_places, now->complete};
}

/* Forgets what was put behind the newest step. */
static void cut(struct grammar_state *s)
{
    const struct step *now = grammar_now(s);
    s->n_places = now->place + now->n_places;
    s->n_frames = now->n_frames;
    s->n_links = now->n_links;
}

static enum status begin(struct grammar_state *s)
{
    s->st = OK;
    s->n_frames = s->n_links = s->n_places = 0;
    s->gc_at = FIRST_GC;
    if (!grow(s, &s->frames, 0, &s->cap_frames, sizeof *s->frames)) return s->st;
    s->frames[s->n_frames++] = (struct frame){FA_NONE, s->g->root, 1};
    add_place(s, 0, s->g->rule_start[s->g->root], 0);
    struct reach r = grammar_close(s, 0, 1);
    hash_frames(s, 1);
    s->n_steps = 1;
    s->steps[0] = (struct step){0, r.n, s->n_frames, s->n_links, r.complete, false};
    return s->st;
}

static struct grammar_state *make(struct grammar *g)
{
    struct grammar_state *s = calloc(1, sizeof *s);
    if (!s) return NULL;
    s->g = grammar_ref(g);
    s->seen = calloc(SEEN_SIZE, sizeof *s->seen);
    s->seen_place = malloc(SEEN_SIZE * sizeof *s->seen_place);
    if (s->seen && s->seen_place) return s;
    grammar_state_destroy(s);
    return NULL;
}

enum status grammar_state_create(struct grammar *g, struct grammar_state **out, struct error *err)
{
    *out = NULL;
    struct grammar_state *s = make(g);
    if (!s) return error_set(err, ERR_NOMEM, "no memory to follow a grammar");
    pthread_mutex_lock(&g->lock);
    enum status st = begin(s);
    pthread_mutex_unlock(&g->lock);
    if (st != OK) {
        grammar_state_destroy(s);
        return error_set(err, st, st == ERR_NOMEM ? "no memory to follow a grammar"
                                                  : "the grammar is too ambiguous where it begins");
    }
    *out = s;
    return OK;
}

enum status grammar_state_clone(const struct grammar_state *s, struct grammar_state **out,
                                struct error *err)
{
    *out = NULL;
    struct grammar_state *c = make(s->g);
    if (!c) goto nomem;
    c->frames = malloc(s->n_frames * sizeof *s->frames);
    c->links = malloc((s->n_links + 1) * sizeof *s->links);
    c->places = malloc((s->n_places + 1) * sizeof *s->places);
    if (!c->frames || !c->links || !c->places) goto nomem;
    memcpy(c->frames, s->frames, s->n_frames * sizeof *s->frames);
    if (s->n_links) memcpy(c->links, s->links, s->n_links * sizeof *s->links);
    if (s->n_places) memcpy(c->places, s->places, s->n_places * sizeof *s->places);
    c->n_frames = c->cap_frames = s->n_frames;
    c->n_links = s->n_links;
    c->cap_links = s->n_links + 1;
    c->n_places = s->n_places;
    c->cap_places = s->n_places + 1;
    memcpy(c->steps, s->steps, s->n_steps * sizeof *s->steps);
    c->n_steps = s->n_steps;
    c->gc_at = s->gc_at;
    *out = c;
    return OK;
nomem:
    grammar_state_destroy(c);
    return error_set(err, ERR_NOMEM, "no memory to follow a grammar");
}

void grammar_state_destroy(struct grammar_state *s)
{
    if (!s) return;
    free(s->frames);
    free(s->links);
    free(s->places);
    free(s->seen);
    free(s->seen_place);
    grammar_unref(s->g);
    free(s);
}

void grammar_state_reset(struct grammar_state *s)
{
    pthread_mutex_lock(&s->g->lock);
    begin(s); /* has all the room it needs since it was created */
    pthread_mutex_unlock(&s->g->lock);
}

/* ---- unused frames ------------------------------------------------------------------------------
 */

/* Marks the frames that a kept step reaches, and their links. */
static void mark_used(struct grammar_state *s, bool *frame, bool *link, uint32_t *todo)
{
    size_t n = 0;
    frame[0] = true;
    for (size_t i = grammar_now(s)->place + grammar_now(s)->n_places; i-- > 0;)
        if (!frame[s->places[i].frame]) {
            frame[s->places[i].frame] = true;
            todo[n++] = s->places[i].frame;
        }
    while (n > 0)
        for (uint32_t l = s->frames[todo[--n]].link; l != FA_NONE; l = s->links[l].next) {
            uint32_t back = s->links[l].frame;
            link[l] = true;
            if (frame[back]) continue;
            frame[back] = true;
            todo[n++] = back;
        }
}

/* Drops what no kept step reaches; the order of what stays is the same, so steps can still be taken
 * back. Without memory nothing happens. */
static void collect(struct grammar_state *s)
{
    bool *frame = calloc(s->n_frames, 1), *link = calloc(s->n_links + 1, 1);
    uint32_t *map = malloc(s->n_frames * sizeof *map), *todo = malloc(s->n_frames * sizeof *todo);
    uint32_t *link_map = malloc((s->n_links + 1) * sizeof *link_map);
    uint32_t n_frames = 0, n_links = 0;
    if (!frame || !link || !map || !todo || !link_map) goto out;
    mark_used(s, frame, link, todo);
    for (size_t i = 0; i < s->n_frames; i++) {
        map[i] = n_frames;
        n_frames += frame[i];
    }
    for (size_t i = 0; i < s->n_links; i++) {
        link_map[i] = n_links;
        n_links += link[i];
    }
    link_map[s->n_links] = n_links;
    for (size_t i = 0; i < s->n_links; i++) {
        struct link l = s->links[i];
        if (!link[i]) continue;
        l.frame = map[l.frame];
        if (l.next != FA_NONE) l.next = link_map[l.next];
        s->links[link_map[i]] = l;
    }
    for (size_t i = 0; i < s->n_frames; i++) {
        struct frame f = s->frames[i];
        if (!frame[i]) continue;
        if (f.link != FA_NONE) f.link = link_map[f.link];
        s->frames[map[i]] = f;
    }
    for (size_t i = 0; i < s->n_places; i++) s->places[i].frame = map[s->places[i].frame];
    for (size_t i = 0; i < s->n_steps; i++) {
        struct step *at = &s->steps[i];
        at->n_frames = at->n_frames < s->n_frames ? map[at->n_frames] : n_frames;
        at->n_links = link_map[at->n_links];
    }
    s->n_frames = n_frames;
    s->n_links = n_links;
out:
    s->gc_at = 2 * s->n_frames > FIRST_GC ? 2 * s->n_frames : FIRST_GC;
    free(frame);
    free(link);
    free(map);
    free(todo);
    free(link_map);
}

/* ---- steps --------------------------------------------------------------------------------------
 */

/* The places behind these bytes, put at s->places[base ..]. n = 0 and not complete where they do not
 * fit, or s->st says why it cannot be told. */
static struct reach follow(struct grammar_state *s, struct reach r, size_t base, const char *bytes,
                           size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t frames = s->n_frames;
        r = grammar_step(s, r, (uint8_t)bytes[i]);
        if (s->st != OK) r.n = 0, r.complete = false;
        if (r.n == 0 && !r.complete) break;
        hash_frames(s, frames);
        memmove(s->places + base, s->places + r.first, r.n * sizeof *s->places);
        r.first = base;
        s->n_places = base + r.n;
    }
    return r;
}

static void push(struct grammar_state *s, struct reach r, bool ended)
{
    if (s->n_steps == GRAMMAR_MAX_ROLLBACK + 1) {
        size_t drop = s->steps[1].place;
        memmove(s->places, s->places + drop, (s->n_places - drop) * sizeof *s->places);
        s->n_places -= drop;
        r.first -= drop;
        memmove(s->steps, s->steps + 1, GRAMMAR_MAX_ROLLBACK * sizeof *s->steps);
        s->n_steps--;
        for (size_t i = 0; i < s->n_steps; i++) s->steps[i].place -= drop;
    }
    s->steps[s->n_steps++] =
        (struct step){r.first, r.n, s->n_frames, s->n_links, r.complete, ended};
    if (s->n_frames > s->gc_at) collect(s);
}

static enum status refused(struct grammar_state *s, struct error *err, const char *what)
{
    enum status st = s->st;
    cut(s);
    if (st == ERR_NOMEM) return error_set(err, st, "no memory to follow the grammar");
    if (st != OK)
        return error_set(err, st, "the grammar is too ambiguous here: more than %d places at once",
                         MAX_PLACES);
    return error_set(err, ERR_INVALID, "%s does not fit the grammar here", what);
}

static enum status accept_locked(struct grammar_state *s, const char *bytes, size_t n,
                                 const char *what, struct error *err)
{
    s->st = OK;
    if (grammar_now(s)->ended) return refused(s, err, what);
    struct reach r = here(s);
    size_t base = s->n_places;
    if (n == 0) { /* its own copy of the places */
        for (size_t i = 0; i < r.n; i++) {
            if (!grow(s, &s->places, s->n_places, &s->cap_places, sizeof *s->places))
                return refused(s, err, what);
            s->places[s->n_places] = s->places[r.first + i];
            s->n_places++;
        }
        r.first = base;
    } else {
        r = follow(s, r, base, bytes, n);
        if (r.n == 0 && !r.complete) return refused(s, err, what);
        r.first = base;
    }
    push(s, r, false);
    return OK;
}

enum status grammar_accept_bytes(struct grammar_state *s, const char *bytes, size_t n,
                                 struct error *err)
{
    pthread_mutex_lock(&s->g->lock);
    enum status st = accept_locked(s, bytes, n, "this text", err);
    pthread_mutex_unlock(&s->g->lock);
    return st;
}

/* A token's text; 0 where it has none that a grammar may hold. */
static size_t token_text(const struct grammar_state *s, int32_t token, char *piece)
{
    const struct grammar_vocab *v = s->g->vocab;
    if (!v || token < 0 || (size_t)token >= tokenizer_n_tokens(v->tok)) return 0;
    enum token_type type = tokenizer_type(v->tok, token);
    if (type != TOKEN_NORMAL && type != TOKEN_USER_DEFINED && type != TOKEN_BYTE) return 0;
    size_t n = tokenizer_piece(v->tok, token, false, piece, MAX_PIECE);
    return n <= MAX_PIECE ? n : 0;
}

static bool is_end(const struct grammar_state *s, int32_t token)
{
    const struct grammar_vocab *v = s->g->vocab;
    return v && token >= 0 && (size_t)token < tokenizer_n_tokens(v->tok) &&
           tokenizer_is_end(v->tok, token);
}

static enum status accept_token(struct grammar_state *s, int32_t token, struct error *err)
{
    char piece[MAX_PIECE], what[32] = "token ";
    for (uint32_t v = token < 0 ? 0 : (uint32_t)token, i = 1000000000, at = 6; i; i /= 10)
        if (v >= i || i == 1) what[at++] = (char)('0' + v / i % 10);
    if (is_end(s, token)) {
        struct reach r = here(s);
        s->st = OK;
        if (!r.complete || grammar_now(s)->ended) return refused(s, err, what);
        push(s, (struct reach){s->n_places, 0, true}, true);
        return OK;
    }
    size_t n = token_text(s, token, piece);
    s->st = OK;
    if (n == 0) return refused(s, err, what);
    return accept_locked(s, piece, n, what, err);
}

enum status grammar_accept(struct grammar_state *s, int32_t token, struct error *err)
{
    pthread_mutex_lock(&s->g->lock);
    enum status st = accept_token(s, token, err);
    pthread_mutex_unlock(&s->g->lock);
    return st;
}

size_t grammar_accepts(struct grammar_state *s, const int32_t *tokens, size_t n)
{
    size_t done = 0;
    bool ended = grammar_now(s)->ended;
    pthread_mutex_lock(&s->g->lock);
    struct reach r = here(s);
    size_t base = s->n_places;
    s->st = OK;
    while (done < n && !ended) {
        char piece[MAX_PIECE];
        ended = is_end(s, tokens[done]);
        if (ended) {
            done += r.complete;
            break;
        }
        size_t len = token_text(s, tokens[done], piece);
        if (len == 0) break;
        r = follow(s, r, base, piece, len);
        if (r.n == 0 && !r.complete) break;
        done++;
    }
    cut(s);
    pthread_mutex_unlock(&s->g->lock);
    return done;
}

bool grammar_allows(struct grammar_state *s, int32_t token)
{
    return grammar_accepts(s, &token, 1) == 1;
}

enum status grammar_rollback(struct grammar_state *s, size_t n, struct error *err)
{
    if (n >= s->n_steps)
        return error_set(err, ERR_INVALID, "%zu steps cannot be taken back: %zu are kept", n,
                         s->n_steps - 1);
    s->n_steps -= n;
    cut(s);
    return OK;
}

bool grammar_is_complete(const struct grammar_state *s)
{
    return grammar_now(s)->complete;
}

bool grammar_is_ended(const struct grammar_state *s)
{
    return grammar_now(s)->ended;
}

enum status grammar_forced(struct grammar_state *s, struct buf *out, struct error *err)
{
    enum status st = OK;
    pthread_mutex_lock(&s->g->lock);
    struct reach r = here(s);
    size_t base = s->n_places;
    s->st = OK;
    for (size_t i = 0; st == OK && i < MAX_FORCED && !r.complete; i++) {
        uint64_t allowed[4];
        size_t n = 0, word = 0;
        grammar_bytes_allowed(s, r, allowed);
        for (size_t w = 0; w < 4; w++) {
            n += (size_t)__builtin_popcountll(allowed[w]);
            if (allowed[w]) word = w;
        }
        if (n != 1) break;
        char byte = (char)(64 * word + (size_t)__builtin_ctzll(allowed[word]));
        r = follow(s, r, base, &byte, 1);
        if (s->st == OK) st = buf_append(out, &byte, 1);
        if (s->st != OK) break;
    }
    if (st == OK) st = s->st;
    cut(s);
    pthread_mutex_unlock(&s->g->lock);
    return st == OK ? OK : error_set(err, st, "no room for the text that has to come");
}
