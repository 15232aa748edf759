/* Declarations: names near the cursor looked up in the table of definitions; of types, their
 * members. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "index/context_int.h"

enum {
    MAX_NAMES = 80, /* looked up */
    MAX_ROWS = 24,  /* of one name: more are no help */
    MAX_TYPES = 16, /* whose members are looked at */
    MAX_BASES = 24,
    NEAR_TEXT = 240, /* bytes before the cursor, in which parts of names are looked for */
};

/* A name to be looked up; those that signatures bring in come behind the text's own. */
struct lookup {
    char name[CONTEXT_NAME_MAX + 1];
    float weight;
    bool plain; /* neither imported nor a member nor a guess: in most languages it is a local
                   variable */
    bool imported;
    int depth;
};
struct lookups {
    struct lookup list[MAX_NAMES + MAX_BASES];
    size_t n;
    size_t types; /* whose members were looked at */
    sqlite3_stmt *by_name, *members, *owner;
};

/* Languages in which a name of another file has to be imported by its name. */
static bool imports_names(const char *language)
{
    static const char *const list[] = {"python", "javascript", "typescript", "tsx",
                                       "rust",   "java",       "lua"};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++)
        if (strcmp(list[i], language) == 0) return true;
    return false;
}

bool context_same_family(const char *language, const char *other)
{
    static const char *const families[] = {" c cpp ", " javascript typescript tsx "};
    if (!*language || strcmp(language, other) == 0) return true;
    char a[40], b[40];
    snprintf(a, sizeof a, " %.30s ", language);
    snprintf(b, sizeof b, " %.30s ", other);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        if (strstr(families[i], a) && strstr(families[i], b)) return true;
    return false;
}

/* A file's name without its ending, or its folder's for "__init__.py", "index.ts", "mod.rs". */
static void stem_of(const char *path, size_t len, const char **stem, size_t *n)
{
    size_t end = len, at = len;
    for (int i = 0; i < 2; i++) {
        while (at > 0 && path[at - 1] != '/') at--;
        const char *dot = memchr(path + at, '.', end - at);
        *stem = path + at;
        *n = dot && dot > *stem ? (size_t)(dot - *stem) : end - at;
        bool whole = (*n == 8 && memcmp(*stem, "__init__", 8) == 0) ||
                     (*n == 5 && memcmp(*stem, "index", 5) == 0) ||
                     (*n == 3 && memcmp(*stem, "mod", 3) == 0);
        if (!whole || at == 0) return;
        end = --at;
    }
}

/* Less, the farther the file's folder is. */
static float closeness(const struct context_search *s, const char *path, size_t len)
{
    const char *from = s->q->path ? s->q->path : "";
    size_t common = 0;
    for (size_t i = 0; i < len && from[i] && path[i] == from[i]; i++)
        if (path[i] == '/') common = i + 1;
    unsigned steps = 0;
    for (size_t i = common; i < len; i++) steps += path[i] == '/';
    for (const char *p = from + common; (p = strchr(p, '/')); p++) steps++;
    return 0.7f / (1 + 0.25f * (float)steps);
}

/* About 1 for an imported file. */
static float nearness(const struct context_search *s, const char *path, size_t len)
{
    const char *stem;
    size_t n;
    stem_of(path, len, &stem, &n);
    for (size_t i = 0; i < s->names->n_hints; i++) {
        const struct context_hint *h = &s->names->hints[i];
        if (h->len == n && memcmp(h->text, stem, n) == 0)
            return 0.7f + 0.4f * closeness(s, path, len);
    }
    return closeness(s, path, len);
}

static size_t depth_of(const char *scope)
{
    size_t n = *scope != 0;
    for (const char *p = scope; (p = strchr(p, '.')); p++) n++;
    return n < 4 ? n : 4;
}

/* A signature as a line of its own, indented as deep as it stands. */
static enum status add_signature(struct context_search *s, sqlite3_stmt *row, const char *path,
                                 size_t path_len, float score)
{
    char text[CONTEXT_PIECE_BYTES];
    const char *scope = (const char *)sqlite3_column_text(row, 2),
               *sig = (const char *)sqlite3_column_text(row, 3);
    if (!sig || !*sig) return OK;
    char brief[600];
    size_t len = context_shorten(s->language, sig, brief, sizeof brief);
    if (len == 0) return OK;
    int n = snprintf(text, sizeof text, "%*s%.*s\n", (int)(4 * depth_of(scope ? scope : "")), "",
                     (int)len, brief);
    uint32_t line = (uint32_t)sqlite3_column_int64(row, 4);
    return n > 0 ? context_add(s, path, path_len, line, line, PIECE_DECLARATION, score, text,
                               (size_t)n < sizeof text ? (size_t)n : sizeof text - 1)
                 : OK;
}

static bool is_type(int kind)
{
    return kind == SYNTAX_KIND_CLASS || kind == SYNTAX_KIND_STRUCT ||
           kind == SYNTAX_KIND_INTERFACE || kind == SYNTAX_KIND_TRAIT || kind == SYNTAX_KIND_ENUM ||
           kind == SYNTAX_KIND_UNION;
}

/* How many parts of a name ("url" of "make_url") stand in the lines up to the cursor, beyond letter
 * case. */
static unsigned parts_near(const struct context_search *s, const char *name)
{
    size_t from = s->q->offset > NEAR_TEXT ? s->q->offset - NEAR_TEXT : 0,
           len = s->q->offset - from;
    unsigned n = 0;
    for (const char *p = name; *p;) {
        size_t part = strcspn(p, "_");
        bool found = false;
        for (size_t i = from; part > 2 && !found && i + part <= from + len; i++)
            found = strncasecmp(s->q->text + i, p, part) == 0;
        n += found;
        p += part + (p[part] == '_');
    }
    return n;
}

/* Tells by its name how likely a member is what is wanted at the cursor. */
static float member_share(const struct context_search *s, const char *name)
{
    static const char *const makers[] = {"__init__", "constructor", "new", "__new__", "__call__"};
    size_t len = strlen(name);
    float share = *name == '_' ? (len > 1 && name[1] == '_' ? 0.04f : 0.1f) : 0.25f;
    for (size_t i = 0; i < sizeof makers / sizeof *makers; i++)
        if (strcmp(makers[i], name) == 0) share = 0.5f;
    const struct context_names *names = s->names;
    if (names->partial_len && len > names->partial_len &&
        memcmp(name, names->partial, names->partial_len) == 0)
        share *= 4;
    const struct context_name *near = context_names_get(names, name, len);
    if (near) share *= 1 + (near->weight < 1 ? 1.5f * near->weight : 1.5f);
    unsigned parts = parts_near(s, name);
    return share * (1 + 0.4f * (float)(parts < 3 ? parts : 3));
}

/* The type's members, named by its scope and name, between its first and last line. */
static enum status add_members(struct context_search *s, struct lookups *l, int64_t file,
                               const char *scope, const char *name, uint32_t line,
                               uint32_t end_line, const char *path, size_t path_len, float score)
{
    char inner[1024];
    if (l->types++ >= MAX_TYPES) return OK;
    snprintf(inner, sizeof inner, "%.500s%s%.500s", scope, *scope ? "." : "", name);
    sqlite3_stmt *q = l->members;
    sqlite3_bind_int64(q, 1, file);
    sqlite3_bind_int64(q, 2, line);
    sqlite3_bind_int64(q, 3, end_line);
    sqlite3_bind_text(q, 4, inner, -1, SQLITE_STATIC);
    enum status st = OK;
    int rc = SQLITE_DONE;
    while (st == OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const char *member = (const char *)sqlite3_column_text(q, 0);
        const char *sig = (const char *)sqlite3_column_text(q, 3);
        bool value = sqlite3_column_int(q, 1) == SYNTAX_KIND_FIELD ||
                     sqlite3_column_int(q, 1) == SYNTAX_KIND_VARIABLE;
        if (!member || !sig || strcmp(member, sig) == 0) continue;
        st = add_signature(s, q, path, path_len,
                           score * member_share(s, member) * (value ? 0.5f : 1));
    }
    if (st == OK && rc != SQLITE_DONE) st = db_fail(&s->ix->db, "reading the index", s->err);
    sqlite3_reset(q);
    return st;
}

/* The head of what a member belongs to, so that it does not stand alone. */
static enum status add_owner(struct context_search *s, struct lookups *l, int64_t file,
                             const char *scope, uint32_t line, const char *path, size_t path_len,
                             float score)
{
    const char *dot = strrchr(scope, '.'), *name = dot ? dot + 1 : scope;
    if (!*name) return OK;
    sqlite3_stmt *q = l->owner;
    sqlite3_bind_int64(q, 1, file);
    sqlite3_bind_text(q, 2, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(q, 3, line);
    enum status st = OK;
    int rc = sqlite3_step(q);
    if (rc == SQLITE_ROW)
        st = add_signature(s, q, path, path_len, score);
    else if (rc != SQLITE_DONE)
        st = db_fail(&s->ix->db, "reading the index", s->err);
    sqlite3_reset(q);
    return st;
}

static void push(struct lookups *l, const char *name, size_t n, float weight, int depth)
{
    if (n < 2 || n > CONTEXT_NAME_MAX || l->n == sizeof l->list / sizeof *l->list) return;
    for (size_t i = 0; i < l->n; i++)
        if (strlen(l->list[i].name) == n && memcmp(l->list[i].name, name, n) == 0) return;
    struct lookup *to = &l->list[l->n++];
    *to = (struct lookup){.weight = weight, .depth = depth};
    memcpy(to->name, name, n);
}

/* Types that a signature names behind what it defines: bases, and what a function gives back. */
static void push_bases(struct lookups *l, const char *sig, const char *name, float weight,
                       int depth)
{
    const char *behind = strstr(sig, name);
    size_t begin, len = strlen(sig), k = 0;
    if (!behind || depth >= 2) return;
    for (size_t at = (size_t)(behind - sig) + strlen(name);
         k < 6 && context_word(sig, len, &at, &begin);)
        if (sig[begin] >= 'A' && sig[begin] <= 'Z') {
            push(l, sig + begin, at - begin, weight, depth + 1);
            k++;
        }
}

/* What stands at the top level of a file that is imported under the name before the cursor's dot.
 */
static enum status add_module(struct context_search *s, struct lookups *l, const char *name,
                              size_t n, float score)
{
    char pattern[CONTEXT_NAME_MAX + 8];
    struct {
        int64_t file;
        char path[CONTEXT_PATH];
        size_t len;
    } best = {0};
    float nearest = 0;
    sqlite3_stmt *q;
    if (n > CONTEXT_NAME_MAX) return OK;
    snprintf(pattern, sizeof pattern, "*/%.*s.*", (int)n, name);
    enum status st = db_prepare(
        &s->ix->db, "SELECT id, path FROM files WHERE CAST(path AS TEXT) GLOB ?1 LIMIT 20", &q,
        s->err);
    if (st) return st;
    sqlite3_bind_text(q, 1, pattern, -1, SQLITE_STATIC);
    int rc;
    while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
        size_t len = (size_t)sqlite3_column_bytes(q, 1);
        const char *path = sqlite3_column_blob(q, 1);
        float near = len && len < CONTEXT_PATH ? closeness(s, path, len) : 0;
        if (near <= nearest ||
            (s->q->path && strlen(s->q->path) == len && memcmp(path, s->q->path, len) == 0))
            continue;
        nearest = near;
        best.file = sqlite3_column_int64(q, 0);
        best.len = len;
        memcpy(best.path, path, len);
    }
    if (rc != SQLITE_DONE) st = db_fail(&s->ix->db, "reading the index", s->err);
    sqlite3_finalize(q);
    return st || nearest == 0
               ? st
               : add_members(s, l, best.file, "", "", 0, UINT32_MAX, best.path, best.len, score);
}

struct row {
    int64_t file;
    char path[CONTEXT_PATH], scope[512], sig[600];
    size_t path_len;
    int kind;
    uint32_t line, end_line;
};

/* The definitions of a name in other files; *own where the text's own file has one. */
static enum status read_rows(struct context_search *s, struct lookups *l, const struct lookup *what,
                             struct row *rows, size_t *n, bool *own)
{
    sqlite3_stmt *q = l->by_name;
    *n = 0;
    *own = false;
    sqlite3_bind_text(q, 1, what->name, -1, SQLITE_STATIC);
    int rc = SQLITE_DONE;
    while (*n < MAX_ROWS && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        struct row *r = &rows[*n];
        const char *language = (const char *)sqlite3_column_text(q, 7),
                   *sig = (const char *)sqlite3_column_text(q, 3);
        const char *scope = (const char *)sqlite3_column_text(q, 2);
        r->path_len = (size_t)sqlite3_column_bytes(q, 0);
        if (r->path_len == 0 || r->path_len >= sizeof r->path) continue;
        memcpy(r->path, sqlite3_column_blob(q, 0), r->path_len);
        r->path[r->path_len] = 0;
        if (s->q->path && strcmp(r->path, s->q->path) == 0) {
            *own = true;
            continue;
        }
        if (!context_same_family(s->language, language ? language : "")) continue;
        r->kind = sqlite3_column_int(q, 1);
        snprintf(r->scope, sizeof r->scope, "%s", scope ? scope : "");
        snprintf(r->sig, sizeof r->sig, "%s", sig ? sig : "");
        r->line = (uint32_t)sqlite3_column_int64(q, 4);
        r->end_line = (uint32_t)sqlite3_column_int64(q, 5);
        r->file = sqlite3_column_int64(q, 6);
        ++*n;
    }
    enum status st = rc == SQLITE_ROW || rc == SQLITE_DONE
                         ? OK
                         : db_fail(&s->ix->db, "reading the index", s->err);
    sqlite3_reset(q);
    return st;
}

static enum status add_row(struct context_search *s, struct lookups *l, const struct lookup *what,
                           const struct row *r, float score)
{
    char text[CONTEXT_PIECE_BYTES];
    bool value = r->kind == SYNTAX_KIND_VARIABLE || r->kind == SYNTAX_KIND_CONSTANT ||
                 r->kind == SYNTAX_KIND_FIELD;
    if (value) score *= 0.4f;
    if (!*r->sig || (value && strcmp(r->sig, what->name) == 0)) return OK;
    if (r->kind == SYNTAX_KIND_MODULE || r->kind == SYNTAX_KIND_SECTION ||
        r->kind == SYNTAX_KIND_PROPERTY)
        return OK;
    char brief[600];
    size_t len = context_shorten(s->language, r->sig, brief, sizeof brief);
    if (len == 0) return OK;
    int n = snprintf(text, sizeof text, "%*s%.*s\n", (int)(4 * depth_of(r->scope)), "", (int)len,
                     brief);
    if (n < 0 || (size_t)n >= sizeof text) return OK;
    enum status st = context_add(s, r->path, r->path_len, r->line, r->line, PIECE_DECLARATION,
                                 score, text, (size_t)n);
    if (st == OK && *r->scope)
        st = add_owner(s, l, r->file, r->scope, r->line, r->path, r->path_len, 0.99f * score);
    if (st == OK && is_type(r->kind))
        st = add_members(s, l, r->file, r->scope, what->name, r->line, r->end_line, r->path,
                         r->path_len, score);
    return st;
}

static enum status look_up(struct context_search *s, struct lookups *l, size_t i, struct row *rows)
{
    struct lookup what = l->list[i];
    size_t n;
    bool own;
    enum status st = read_rows(s, l, &what, rows, &n, &own);
    if (st || n == 0) return st;
    float share = what.weight / sqrtf((float)n);
    if (own && !what.imported) share *= 0.3f;
    if (what.plain && imports_names(s->language)) share *= 0.25f;
    float best = 0;
    size_t which = 0;
    for (size_t k = 0; k < n && st == OK; k++) {
        float score = share * nearness(s, rows[k].path, rows[k].path_len);
        if (score > best) {
            best = score;
            which = k;
        }
        if (score >= CONTEXT_LEAST_SCORE) st = add_row(s, l, &what, &rows[k], score);
    }
    if (st == OK && rows[which].kind != SYNTAX_KIND_MODULE)
        push_bases(l, rows[which].sig, what.name, 0.5f * best, what.depth);
    return st;
}

static enum status prepare(struct context_search *s, struct lookups *l)
{
    const struct db *db = &s->ix->db;
    enum status st = db_prepare(
        db,
        "SELECT f.path, d.kind, d.scope, d.signature, d.line, d.end_line, d.file, f.language"
        " FROM definitions d JOIN files f ON f.id = d.file WHERE d.name = ?1",
        &l->by_name, s->err);
    if (st == OK)
        st = db_prepare(db,
                        "SELECT name, kind, scope, signature, line FROM definitions WHERE file = "
                        "?1 AND line >= ?2"
                        " AND line <= ?3 AND scope = ?4 LIMIT 250",
                        &l->members, s->err);
    if (st == OK)
        st = db_prepare(db,
                        "SELECT name, kind, scope, signature, line FROM definitions WHERE file = "
                        "?1 AND name = ?2"
                        " AND line <= ?3 AND end_line >= ?3 LIMIT 1",
                        &l->owner, s->err);
    return st;
}

/* Functions and types of the text's own file that are too far from the cursor to be seen. The index
 * has them as they were saved: one whose name is gone from the text is gone. */
static enum status add_own(struct context_search *s)
{
    const struct context_names *names = s->names;
    bool self = names->receiver_len == 4 && (memcmp(names->receiver, "self", 4) == 0 ||
                                             memcmp(names->receiver, "this", 4) == 0);
    const float own_share = self ? 2.5f : 1.4f;
    const char *text = s->q->text;
    size_t near = s->q->near_bytes, from = s->q->offset > near ? s->q->offset - near : 0;
    size_t to = s->q->len - s->q->offset > near / 3 ? s->q->offset + near / 3 : s->q->len;
    uint32_t first = s->first_line, last;
    sqlite3_stmt *q;
    if (!s->q->path || near == 0) return OK;
    for (size_t i = 0; i < from; i++) first += text[i] == '\n';
    last = first;
    for (size_t i = from; i < to; i++) last += text[i] == '\n';
    enum status st = db_prepare(
        &s->ix->db,
        "SELECT d.name, d.kind, d.scope, d.signature, d.line FROM definitions d JOIN files f"
        " ON f.id = d.file WHERE f.path = ?1 LIMIT 1000",
        &q, s->err);
    if (st) return st;
    sqlite3_bind_blob(q, 1, s->q->path, (int)strlen(s->q->path), SQLITE_STATIC);
    int rc = SQLITE_DONE;
    while (st == OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(q, 0);
        int kind = sqlite3_column_int(q, 1);
        uint32_t line = (uint32_t)sqlite3_column_int64(q, 4);
        bool code = kind == SYNTAX_KIND_FUNCTION || kind == SYNTAX_KIND_METHOD ||
                    kind == SYNTAX_KIND_MACRO || is_type(kind);
        if (!code || !name || (line >= first && line <= last) ||
            !memmem(text, s->q->len, name, strlen(name)))
            continue;
        st = add_signature(s, q, s->q->path, strlen(s->q->path), own_share * member_share(s, name));
    }
    if (st == OK && rc != SQLITE_DONE) st = db_fail(&s->ix->db, "reading the index", s->err);
    sqlite3_finalize(q);
    return st;
}

enum status context_symbols(struct context_search *s)
{
    struct lookups *l = calloc(1, sizeof *l);
    struct row *rows = malloc(MAX_ROWS * sizeof *rows);
    enum status st =
        l && rows ? prepare(s, l) : error_set(s->err, ERR_NOMEM, "out of memory for context");
    for (size_t i = 0; st == OK && i < s->names->n && l->n < MAX_NAMES; i++) {
        const struct context_name *c = &s->names->list[i];
        size_t before = l->n;
        push(l, c->text, c->len, c->weight, 0);
        if (l->n == before) continue;
        l->list[before].plain = !c->imported && !c->member && !c->made;
        l->list[before].imported = c->imported;
    }
    const struct context_name *module =
        context_names_get(s->names, s->names->receiver, s->names->receiver_len);
    if (st == OK) st = add_own(s);
    if (st == OK && module && module->imported)
        st = add_module(s, l, module->text, module->len, module->weight);
    for (size_t i = 0; st == OK && i < l->n; i++) {
        if (clock_now() > s->until) {
            s->late = true;
            break;
        }
        st = look_up(s, l, i, rows);
    }
    if (l) {
        sqlite3_finalize(l->by_name);
        sqlite3_finalize(l->members);
        sqlite3_finalize(l->owner);
    }
    free(rows);
    free(l);
    return st;
}
