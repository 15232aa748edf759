/* Grammars for tests in other languages: commands come in, one line of answer goes out for each.
 *
 *   grammar_tool [MODEL.gguf]
 *   C KIND LEN [nof]\nBYTES   compiles (gbnf, regex, json, schema): "ok MS" or "STATUS MESSAGE"
 *   A LEN\nBYTES              byte by byte: "1" where they are complete, "0" where not, "-N" where byte
 *                             N does not fit
 *   T LEN\nBYTES              token by token, each looked up in the mask: the same, and "- tokens"
 *   M LEN\nBYTES              the same, with the time of each mask in microseconds on the line
 *   G SEED LEN\n              writes a text by drawing allowed tokens, LEN at most: its length, then it */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "gguf/gguf.h"
#include "infer/vocab_gguf.h"
#include "text/grammar.h"
#include "text/tokenizer.h"

/* Seconds of this thread's work. */
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct tokenizer *tok;
static struct grammar_vocab *vocab;
static struct grammar *grammar;

static void compile(const char *kind, const char *text, size_t len, bool no_format)
{
    static const char *const kinds[] = {"gbnf", "regex", "json", "schema"};
    struct error err = {0};
    struct grammar_limits limits = {.ignore_format = no_format};
    double start = now();
    grammar_unref(grammar);
    grammar = NULL;
    for (int i = 0; i < 4; i++)
        if (strcmp(kind, kinds[i]) == 0) {
            enum status st = grammar_compile((enum grammar_kind)i, text, len, vocab, &limits, &grammar, &err);
            if (st == OK)
                printf("ok %.3f\n", 1e3 * (now() - start));
            else
                printf("%s: %s\n", status_name(st), err.msg);
            return;
        }
    printf("no such kind\n");
}

static void bytes(const char *text, size_t len)
{
    struct grammar_state *s;
    struct error err;
    if (grammar_state_create(grammar, &s, &err) != OK) {
        printf("error %s\n", err.msg);
        return;
    }
    size_t i = 0;
    while (i < len && grammar_accept_bytes(s, text + i, 1, &err) == OK) i++;
    if (i < len)
        printf("-%zu %s\n", i, err.code == ERR_INVALID ? "" : err.msg);
    else
        printf("%d\n", grammar_is_complete(s));
    grammar_state_destroy(s);
}

static void tokens(const char *text, size_t len, bool times)
{
    struct grammar_state *s = NULL;
    struct error err = {0};
    struct token_list ids = {0};
    uint64_t *mask = malloc(GRAMMAR_MASK_WORDS(grammar_vocab_size(vocab)) * 8);
    if (!mask || grammar_state_create(grammar, &s, &err) != OK ||
        tokenizer_encode_raw(tok, text, len, false, &ids, &err) != OK) {
        printf("error %s\n", err.msg);
        goto out;
    }
    for (size_t i = 0; i < ids.len; i++) {
        double t = now();
        if (grammar_mask(s, mask, &err) != OK) {
            printf("error %s\n", err.msg);
            goto out;
        }
        t = 1e6 * (now() - t);
        bool in = mask[ids.ids[i] / 64] >> ids.ids[i] % 64 & 1;
        if (times) printf("%.1f ", t);
        if (in != grammar_allows(s, ids.ids[i]) || in != (grammar_accept(s, ids.ids[i], &err) == OK)) {
            printf("error: mask, allows and accept differ\n");
            goto out;
        }
        if (!in) {
            printf("-%zu\n", i);
            goto out;
        }
    }
    printf("%d\n", grammar_is_complete(s));
out:
    grammar_state_destroy(s);
    token_list_fini(&ids);
    free(mask);
}

static void generate(unsigned long seed, size_t max)
{
    struct grammar_state *s = NULL;
    struct error err = {0};
    struct buf out;
    size_t n_vocab = grammar_vocab_size(vocab), words = GRAMMAR_MASK_WORDS(n_vocab);
    uint64_t *mask = malloc(words * 8);
    buf_init(&out, 1 << 24);
    if (!mask || grammar_state_create(grammar, &s, &err) != OK) max = 0;
    bool complete = false;
    for (size_t i = 0; i < max && !complete; i++) {
        if (grammar_mask(s, mask, &err) != OK) break;
        size_t count = 0;
        int32_t best = -1;
        uint64_t least = UINT64_MAX;
        for (size_t t = 0; t < n_vocab; t++)
            if (mask[t / 64] >> t % 64 & 1) {
                /* Short texts are likelier, so that it comes to an end. */
                char piece[64];
                size_t len = tokenizer_piece(tok, (int32_t)t, true, piece, sizeof piece);
                bool ends = tokenizer_is_end(tok, (int32_t)t);
                bool closes = len && len < 4 && strchr("\"]},:", piece[0]);
                seed = seed * 6364136223846793005u + 1442695040888963407u;
                uint64_t v = seed >> 16;
                if (ends) v >>= 20;
                if (closes) v >>= i > max / 2 ? 30 : 14;
                if (v < least) least = v, best = (int32_t)t;
                count++;
            }
        if (best < 0) {
            printf("dead end\n");
            goto out;
        }
        complete = tokenizer_is_end(tok, best);
        if (complete) break;
        char piece[1024];
        size_t len = tokenizer_piece(tok, best, false, piece, sizeof piece);
        buf_append(&out, piece, len);
        if (grammar_accept(s, best, &err) != OK) {
            printf("error %s\n", err.msg);
            goto out;
        }
    }
    printf("%zu %d\n", out.len, complete);
    fwrite(out.data ? out.data : "", 1, out.len, stdout);
    printf("\n");
out:
    grammar_state_destroy(s);
    buf_fini(&out);
    free(mask);
}

int main(int argc, char **argv)
{
    struct gguf *g = NULL;
    struct vocab *v = NULL;
    struct error err = {0};
    if (argc > 1) {
        if (gguf_open(argv[1], &g, &err) != OK || vocab_open(g, &v, &err) != OK ||
            grammar_vocab_create(tok = vocab_tokenizer(v), tokenizer_n_tokens(vocab_tokenizer(v)), &vocab,
                                 &err) != OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
    }
    char line[256];
    while (fgets(line, sizeof line, stdin)) {
        char kind[32] = "", extra[32] = "";
        unsigned long seed = 0;
        size_t len = 0;
        if (line[0] == 'C')
            sscanf(line + 1, "%31s %zu %31s", kind, &len, extra);
        else if (line[0] == 'G')
            sscanf(line + 1, "%lu %zu", &seed, &len);
        else
            sscanf(line + 1, "%zu", &len);
        if (line[0] == 'G') {
            generate(seed, len);
            fflush(stdout);
            continue;
        }
        char *text = malloc(len + 1);
        if (!text || fread(text, 1, len, stdin) != len) return 1;
        if (line[0] == 'C')
            compile(kind, text, len, extra[0] == 'n');
        else if (!grammar)
            printf("no grammar\n");
        else if (line[0] == 'A')
            bytes(text, len);
        else
            tokens(text, len, line[0] == 'M');
        fflush(stdout);
        free(text);
    }
    grammar_unref(grammar);
    grammar_vocab_destroy(vocab);
    vocab_close(v);
    gguf_close(g);
    return 0;
}
