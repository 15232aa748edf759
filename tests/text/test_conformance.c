/* Every vocabulary of HEARTH_VOCAB_DIR that has .inp and .out files beside it: the ids of each text
 * must equal those recorded from the model's own tokenizer. Skipped where the variable is not set.
 *
 * .inp holds texts with "\n__ggml_vocab_test__\n" after each, .out a line of ids for each. */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "infer/vocab_gguf.h"
#include "text/tokenizer.h"
#include "vocab_dir.h"

static const char separator[] = "\n__ggml_vocab_test__\n";

struct tally {
    int n_files, n_texts, n_wrong;
};

static bool read_beside(const char *path, const char *suffix, struct buf *out)
{
    char name[4200];
    struct error err;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    buf_init(out, 1 << 26);
    if (!file_exists(name)) return false;
    if (file_read_all(name, out, &err) == OK) return true;
    fprintf(stderr, "%s\n", err.msg);
    return false;
}

static bool line_equals(const char *line, const struct token_list *ids)
{
    char *end;
    for (size_t i = 0; i < ids->len; i++) {
        long id = strtol(line, &end, 10);
        if (end == line || id != ids->ids[i]) return false;
        line = end;
    }
    return line[strspn(line, " \r")] == 0;
}

static void check_text(const char *path, const struct tokenizer *t, const char *text, size_t len,
                       const char *line, struct tally *tally)
{
    struct token_list ids = {0};
    struct error err = {0};
    bool same = tokenizer_encode(t, text, len, false, &ids, &err) == OK && line_equals(line, &ids);
    tally->n_texts++;
    if (!same) {
        tally->n_wrong++;
        fprintf(stderr, "%s: text %d:", path, tally->n_texts);
        for (size_t i = 0; i < ids.len; i++) fprintf(stderr, " %d", ids.ids[i]);
        fprintf(stderr, "\n  instead of %s %s\n", line, err.msg);
    }
    token_list_fini(&ids);
}

static bool check_file(const char *path, const struct vocab *v, void *ctx)
{
    struct tally *all = ctx, one = {0};
    struct buf in, out;
    bool both = read_beside(path, ".inp", &in);
    both = read_beside(path, ".out", &out) && both;
    char *text = in.data, *end = in.data ? in.data + in.len : NULL;
    char *line = both ? out.data : NULL;
    while (both && text < end) {
        char *stop = memmem(text, (size_t)(end - text), separator, sizeof separator - 1);
        char *line_end = line ? strchr(line, '\n') : NULL;
        if (line_end) *line_end = 0;
        check_text(path, vocab_tokenizer(v), text, (size_t)((stop ? stop : end) - text),
                   line ? line : "(no line)", &one);
        text = stop ? stop + sizeof separator - 1 : end;
        line = line_end ? line_end + 1 : NULL;
    }
    if (both && line && *line) {
        fprintf(stderr, "%s: more lines of ids than texts\n", path);
        one.n_wrong++;
    }
    if (both) {
        printf("%s: %d of %d texts equal\n", strrchr(path, '/') + 1, one.n_texts - one.n_wrong,
               one.n_texts);
        all->n_files++;
        all->n_texts += one.n_texts;
        all->n_wrong += one.n_wrong;
    }
    buf_fini(&in);
    buf_fini(&out);
    return true;
}

int main(void)
{
    struct tally all = {0};
    if (!vocab_dir()) {
        printf("HEARTH_VOCAB_DIR is not set\n");
        return EXIT_SKIPPED;
    }
    int n = vocab_dir_each(check_file, &all);
    printf("%d vocabularies, %d texts, %d wrong\n", all.n_files, all.n_texts, all.n_wrong);
    return n > 0 && all.n_files > 0 && all.n_texts > 0 && all.n_wrong == 0 ? EXIT_SUCCESS
                                                                          : EXIT_FAILURE;
}
