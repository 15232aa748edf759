/* hearth tokenize: a text's token ids. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/load_vocab.h"
#include "infer/vocab_gguf.h"
#include "text/tokenizer.h"

enum { MAX_TEXT_BYTES = 256 << 20, MAX_OUTPUT_BYTES = 2000000000 };

struct tokenize_options {
    const char *model;
    bool special, bos;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct tokenize_options, model), 0, 0},
    {"special", 0, OPTION_FLAG, NULL, "The text of control tokens becomes the token",
     offsetof(struct tokenize_options, special), 0, 0},
    {"bos", 0, OPTION_FLAG, NULL, "Put BOS in front, and EOS behind where the model wants one",
     offsetof(struct tokenize_options, bos), 0, 0},
    {0},
};

static enum status encode(const struct tokenizer *t, const struct tokenize_options *o,
                          const struct buf *text, struct token_list *out, struct error *err)
{
    const struct vocab_source *v = tokenizer_source(t);
    enum status st = OK;
    if (o->bos && v->bos == TOKEN_NONE)
        return error_set(err, ERR_NOT_FOUND, "the model has no BOS token: leave out --bos");
    if (o->bos) st = token_list_push(out, v->bos);
    if (st == OK)
        st = tokenizer_encode(t, text->data ? text->data : "", text->len, o->special, out, err);
    else
        error_set(err, st, "out of memory");
    if (st == OK && o->bos && v->add_eos && v->eos != TOKEN_NONE) {
        st = token_list_push(out, v->eos);
        if (st) error_set(err, st, "out of memory");
    }
    return st;
}

/* A byte-level vocabulary may lack bytes: what stands for them, if anything, is another text. */
static void warn_lost(const struct tokenizer *t, const struct buf *text)
{
    if (strcmp(tokenizer_source(t)->model, "gpt2") != 0) return;
    size_t lost = 0, first = 0;
    for (size_t i = 0; i < text->len; i++)
        if (!tokenizer_has_byte(t, (uint8_t)text->data[i]) && lost++ == 0) first = i;
    if (lost)
        fprintf(stderr,
                "%zu byte%s of the text %s no token in this vocabulary and cannot come back; the "
                "first is 0x%02X at offset %zu\n",
                lost, lost == 1 ? "" : "s", lost == 1 ? "has" : "have",
                (unsigned)(uint8_t)text->data[first], first);
}

static enum status print_ids(const struct token_list *ids, struct error *err)
{
    struct buf out;
    buf_init(&out, MAX_OUTPUT_BYTES);
    enum status st = buf_append_str(&out, "[");
    for (size_t i = 0; i < ids->len && st == OK; i++)
        st = buf_printf(&out, i ? ",%d" : "%d", ids->ids[i]);
    if (st == OK) st = buf_append_str(&out, "]\n");
    if (st)
        error_set(err, st, "no memory for %zu ids", ids->len);
    else
        st = cli_write(out.data, out.len, err);
    buf_fini(&out);
    return st;
}

extern const struct command cmd_tokenize;

static int run(const void *p, int argc, char **argv)
{
    const struct tokenize_options *o = p;
    if (argc == 0 && isatty(STDIN_FILENO))
        return cli_usage_error(&cmd_tokenize, "no FILE: name one, or pipe a text in");
    struct error err = {0};
    struct vocab_file file = {0};
    struct token_list ids = {0};
    struct buf text;
    buf_init(&text, MAX_TEXT_BYTES);
    enum status st = vocab_file_open(o->model, &file, &err);
    if (st == OK) st = file_read_all(argc ? argv[0] : "-", &text, &err);
    if (st == OK) st = encode(vocab_tokenizer(file.vocab), o, &text, &ids, &err);
    if (st == OK) warn_lost(vocab_tokenizer(file.vocab), &text);
    if (st == OK) st = print_ids(&ids, &err);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    token_list_fini(&ids);
    buf_fini(&text);
    vocab_file_close(&file);
    return code;
}

const struct command cmd_tokenize = {
    .name = "tokenize",
    .summary = "Print a text's token ids",
    .usage = "tokenize -m MODEL [FILE|-] [options]",
    .description =
        "Prints the ids as a JSON array on one line. Without FILE, or with -, the text is read "
        "from\n"
        "standard input; it may hold any bytes. All come back from 'hearth detokenize' but those\n"
        "that the vocabulary lacks (of UTF-8 text rare control characters at most), which a line "
        "on\n"
        "standard error counts; the tokenizers of embedding models fold case, accents or spaces.\n"
        "Text that looks like a control token stays text unless --special is given. A GGUF file\n"
        "with nothing but a vocabulary is enough.\n"
        "\n"
        "Examples:\n"
        "  hearth tokenize -m qwen2.5-coder:0.5b src/main.c\n"
        "  echo 'int x;' | hearth tokenize -m vocab.gguf\n"
        "  hearth tokenize a.c | hearth detokenize | cmp - a.c\n",
    .options = options,
    .options_size = sizeof(struct tokenize_options),
    .max_args = 1,
    .arg_metavar = "FILE|-",
    .run = run,
};
