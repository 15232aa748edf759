/* hearth detokenize: the bytes that token ids stand for. */
#include <jansson.h>
#include <stddef.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/cli.h"
#include "cli/load.h"
#include "cli/load_vocab.h"
#include "infer/vocab_gguf.h"
#include "text/tokenizer.h"

enum { MAX_INPUT_BYTES = 1 << 30, MAX_TEXT_BYTES = 2000000000 };

struct detokenize_options {
    const char *model;
    bool special;
};

static const struct option options[] = {
    {"model", 'm', OPTION_STRING, "MODEL", "Model name, or path to a GGUF file",
     offsetof(struct detokenize_options, model), 0, 0},
    {"special", 0, OPTION_FLAG, NULL, "Print the text of control tokens instead of nothing",
     offsetof(struct detokenize_options, special), 0, 0},
    {0},
};

static enum status parse_ids(const char *name, const struct buf *text, size_t n_tokens,
                             struct token_list *out, struct error *err)
{
    json_error_t why;
    json_t *root = json_loadb(text->data ? text->data : "", text->len, 0, &why);
    enum status st = OK;
    if (!root)
        return error_set(err, ERR_FORMAT, "%s, line %d, column %d: no JSON: %s", name, why.line,
                         why.column, why.text);
    if (!json_is_array(root))
        st = error_set(err, ERR_FORMAT, "%s: not a JSON array of token ids such as [1,2,3]", name);
    size_t n = json_array_size(root);
    for (size_t i = 0; i < n && st == OK; i++) {
        const json_t *item = json_array_get(root, i);
        json_int_t id = json_integer_value(item);
        if (!json_is_integer(item))
            st = error_set(err, ERR_FORMAT, "%s: element %zu of the array is not an integer", name, i);
        else if (id < 0 || (uint64_t)id >= n_tokens)
            st = error_set(err, ERR_INVALID,
                           "%s: element %zu of the array is %lld, but the model's ids are 0 to %zu",
                           name, i, (long long)id, n_tokens - 1);
        else if ((st = token_list_push(out, (int32_t)id)))
            error_set(err, st, "no memory for %zu ids", n);
    }
    json_decref(root);
    return st;
}

extern const struct command cmd_detokenize;

static int run(const void *p, int argc, char **argv)
{
    const struct detokenize_options *o = p;
    if (argc == 0 && isatty(STDIN_FILENO))
        return cli_usage_error(&cmd_detokenize, "no FILE: name one, or pipe a JSON array in");
    const char *path = argc ? argv[0] : "-";
    const char *name = path[0] == '-' && !path[1] ? "standard input" : path;
    struct error err = {0};
    struct vocab_file file = {0};
    struct token_list ids = {0};
    struct buf input, text;
    buf_init(&input, MAX_INPUT_BYTES);
    buf_init(&text, MAX_TEXT_BYTES);
    enum status st = vocab_file_open(o->model, &file, &err);
    const struct tokenizer *t = st == OK ? vocab_tokenizer(file.vocab) : NULL;
    if (st == OK) st = file_read_all(path, &input, &err);
    if (st == OK) st = parse_ids(name, &input, tokenizer_n_tokens(t), &ids, &err);
    if (st == OK) st = tokenizer_decode(t, ids.ids, ids.len, o->special, &text, &err);
    if (st == OK) st = cli_write(text.data ? text.data : "", text.len, &err);
    int code = st == OK ? EXIT_OK : cli_fail(&err);
    buf_fini(&text);
    buf_fini(&input);
    token_list_fini(&ids);
    vocab_file_close(&file);
    return code;
}

const struct command cmd_detokenize = {
    .name = "detokenize",
    .summary = "Print the text that token ids stand for",
    .usage = "detokenize -m MODEL [FILE|-] [options]",
    .description =
        "Reads a JSON array of ids, from standard input without FILE or with -, and writes the bytes\n"
        "they stand for, no newline added. It undoes `hearth tokenize`.\n"
        "\n"
        "Examples:\n"
        "  echo '[396, 1887, 4333, 8]' | hearth detokenize -m qwen2.5-coder:0.5b\n"
        "  hearth tokenize a.c | hearth detokenize | cmp - a.c\n",
    .options = options,
    .options_size = sizeof(struct detokenize_options),
    .max_args = 1,
    .arg_metavar = "FILE|-",
    .run = run,
};
