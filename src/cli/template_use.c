#include "cli/template_use.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/file.h"
#include "gguf/gguf.h"
#include "store/name.h"

enum { MAX_SEEN = 10000, MAX_SEEN_BYTES = 2 << 20 };

enum status template_use_check(const struct gguf *g, const char *name, struct template_check *out,
                               struct error *err)
{
    static const char *const keys[] = {"general.architecture", "general.name", "general.basename"};
    char texts[3][160] = {"", "", ""};
    struct gguf_str v, template = {0};
    for (int i = 0; i < 3; i++)
        if (gguf_get_str(g, keys[i], &v, NULL) == OK)
            snprintf(texts[i], sizeof texts[i], "%.*s", (int)(v.len < 159 ? v.len : 159), v.data);
    gguf_get_str(g, "tokenizer.chat_template", &template, NULL);
    struct template_subject s = {.text = template.data,
                                 .len = template.len,
                                 .architecture = texts[0],
                                 .names = {texts[1], texts[2], name}};
    return template_check_run(&s, out, err);
}

/* ---- before the first use ------------------------------------------------------------------ */

static json_t *read_seen(const char *path)
{
    struct buf text;
    buf_init(&text, MAX_SEEN_BYTES);
    json_t *root = file_read_regular(path, &text, NULL) == OK
                       ? json_loadb(text.data ? text.data : "", text.len, 0, NULL)
                       : NULL;
    buf_fini(&text);
    if (json_is_object(json_object_get(root, "seen")) &&
        json_object_size(json_object_get(root, "seen")) < MAX_SEEN)
        return root;
    json_decref(root);
    return json_pack("{s:i, s:{}}", "version", 1, "seen"); /* told again is better than not told */
}

static void warn(const struct template_check *c, const char *name)
{
    if (c->state == TEMPLATE_OTHER)
        fprintf(stderr,
                "hearth: warning: the chat template of %s makes other prompts than the published "
                "one of %s; look at it before "
                "you chat: hearth show %s --template-diff (this is said once)\n",
                name, c->family, name);
    if (c->state == TEMPLATE_SAME)
        fprintf(stderr,
                "hearth: the chat template of %s has another text than those published of %s, and "
                "makes the same prompts of "
                "plain conversations; see: hearth show %s --template-diff (this is said once)\n",
                name, c->family, name);
    if (c->state == TEMPLATE_BROKEN)
        fprintf(stderr,
                "hearth: warning: the chat template of %s is none that can be used (this is said "
                "once)\n",
                name);
}

static void look(const char *seen_path, json_t *root, const char *name, const char *path,
                 const char *digest)
{
    struct template_check c;
    struct gguf *g;
    if (gguf_open(path, &g, NULL) != OK) return; /* whoever loads it will say why */
    if (template_use_check(g, name, &c, NULL) == OK) {
        warn(&c, name);
        json_object_set_new(json_object_get(root, "seen"), digest,
                            json_string(template_state_name(c.state)));
        char *text = json_dumps(root, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        if (text)
            file_replace(seen_path, text, strlen(text),
                         NULL); /* where it cannot be kept, it is said again */
        free(text);
        template_check_fini(&c);
    }
    gguf_close(g);
}

void template_use_first(const struct store *s, const char *name, const char *path)
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char *seen_path;
    if (strncmp(base, "sha256-", 7) != 0 || !store_digest_valid(base + 7)) return;
    if (asprintf(&seen_path, "%s/templates.json", store_root(s)) < 0) return;
    json_t *root = read_seen(seen_path);
    if (root && !json_object_get(json_object_get(root, "seen"), base + 7))
        look(seen_path, root, name, path, base + 7);
    json_decref(root);
    free(seen_path);
}

/* ---- showing ------------------------------------------------------------------------------- */

json_t *template_use_json(const struct template_check *c)
{
    json_t *cases = json_array(), *words = json_array();
    for (size_t i = 0; i < c->n_cases; i++)
        json_array_append_new(cases,
                              json_pack("{s:s, s:b, s:s?, s:s?}", "conversation", c->cases[i].name,
                                        "same", (int)c->cases[i].same, "published", c->cases[i].due,
                                        "makes", c->cases[i].made));
    for (size_t i = 0; i < c->n_words; i++) json_array_append_new(words, json_string(c->words[i]));
    return json_pack("{s:s, s:s?, s:s?, s:s?, s:o, s:o}", "state", template_state_name(c->state),
                     "sha256", c->sha256[0] ? c->sha256 : NULL, "family",
                     c->family[0] ? c->family : NULL, "published_as", c->from[0] ? c->from : NULL,
                     "conversations", cases, "unseen_texts", words);
}

/* Texts come from a file of strangers: nothing of it drives the terminal. */
static void print_clean(char mark, const char *text, size_t len)
{
    putchar(mark);
    putchar(' ');
    for (size_t i = 0; i < len; i++)
        putchar((unsigned char)text[i] < ' ' || text[i] == 127 ? '?' : text[i]);
    putchar('\n');
}

/* The first line of a text; *text moves behind it. */
static size_t take_line(const char **text, const char **line)
{
    *line = *text;
    size_t n = strcspn(*text, "\n");
    *text += n + ((*text)[n] == '\n');
    return n;
}

/* Lines that both begin with, those of either, in the order of the texts. */
static void print_difference(const char *due, const char *made)
{
    const char *a = due, *b = made, *line;
    while (*a && *b) {
        const char *a0 = a, *b0 = b, *other;
        size_t n = take_line(&a, &line), m = take_line(&b, &other);
        if (n != m || memcmp(line, other, n) != 0) {
            a = a0, b = b0;
            break;
        }
        print_clean(' ', line, n);
    }
    while (*a) {
        size_t n = take_line(&a, &line);
        print_clean('-', line, n);
    }
    while (*b) {
        size_t n = take_line(&b, &line);
        print_clean('+', line, n);
    }
}

void template_use_print(const struct template_check *c)
{
    static const char *const says[] = {
        [TEMPLATE_NONE] = "the file has no chat template",
        [TEMPLATE_NO_FAMILY] = "nothing is known to compare this model's chat template with",
        [TEMPLATE_KNOWN] = "it is a published one, to the letter",
        [TEMPLATE_SAME] = "another text than the published ones, which makes the same of the fixed "
                          "conversations; what it "
                          "makes of others is not known",
        [TEMPLATE_OTHER] =
            "it makes something else of the fixed conversations than the published one",
        [TEMPLATE_BROKEN] = "it is none that can be used",
    };
    printf("chat template: %s\n", says[c->state]);
    if (c->sha256[0]) printf("  sha256   %s\n", c->sha256);
    if (c->family[0])
        printf("  family   %s%s%s\n", c->family, c->from[0] ? ", compared with " : "", c->from);
    for (size_t i = 0; i < c->n_cases; i++) {
        const struct template_case *k = &c->cases[i];
        printf("\nconversation '%s': %s\n", k->name,
               k->same ? "the same" : "published -, this one +");
        if (!k->same && !k->due)
            puts("(what the published one makes of it is known by its digest alone)");
        if (!k->same) print_difference(k->due ? k->due : "", k->made);
    }
    if (c->n_words) puts("\ntexts in it that these conversations do not bring to light:");
    for (size_t i = 0; i < c->n_words; i++)
        print_clean(' ', c->words[i], strlen(c->words[i]) > 300 ? 300 : strlen(c->words[i]));
}
