#include "api_kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/api.h"
#include "gguf/gguf_write.h"
#include "net/http_server.h"
#include "quant/quant.h"
#include "store/store.h"

enum { EMBD = 32, FF = 64, HEADS = 2, MAX_ANSWER = 16 << 20 };

struct api_kit {
    char dir[64], model[96];
    struct store *store;
    struct api *api;
    struct http_server *server;
    int port;
};

#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

uint64_t api_kit_random(uint64_t *s)
{
    *s ^= *s >> 12;
    *s ^= *s << 25;
    *s ^= *s >> 27;
    return *s * 0x2545F4914F6CDD1DULL;
}

/* ---- the model --------------------------------------------------------------------------------
 */

static const char *const specials[] = {"<|endoftext|>",  "<|fim_prefix|>", "<|fim_middle|>",
                                       "<|fim_suffix|>", "<|fim_pad|>",    "<|repo_name|>",
                                       "<|file_sep|>",   "<|im_start|>",   "<|im_end|>"};
enum { N_SPECIAL = sizeof specials / sizeof *specials, N_VOCAB = 256 + N_SPECIAL };

static const char template[] =
    "{%- if tools %}<|im_start|>system\n# Tools\n<tools>{% for t in tools %}\n{{ t | tojson }}{% "
    "endfor %}\n</tools>\nAnswer with <tool_call>\n{\"name\": ..., \"arguments\": "
    "...}\n</tool_call><|im_end|>\n{% endif -%}"
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor -%}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif -%}";

/* GPT-2's spelling of a byte, as UTF-8. */
static size_t spell(int byte, char *dst)
{
    int shown = 0, code = byte;
    for (int b = 0; b < 256; b++) {
        bool itself = (b >= 33 && b < 127) || (b >= 161 && b < 173) || b >= 174;
        if (b == byte) {
            if (!itself) code = 256 + shown;
            break;
        }
        if (!itself) shown++;
    }
    if (code < 0x80) {
        dst[0] = (char)code;
        return 1;
    }
    dst[0] = (char)(0xC0 | code >> 6);
    dst[1] = (char)(0x80 | (code & 0x3F));
    return 2;
}

static void put_keys(struct gguf_writer *w)
{
    static char text[256][4];
    struct gguf_str tokens[N_VOCAB], merge = {"a b", 3};
    int32_t types[N_VOCAB];
    for (int i = 0; i < N_VOCAB; i++) {
        types[i] = i < 256 ? 1 : 3;
        if (i < 256)
            tokens[i] = (struct gguf_str){text[i], spell(i, text[i])};
        else
            tokens[i] = (struct gguf_str){specials[i - 256], strlen(specials[i - 256])};
    }
    gguf_writer_str(w, "general.architecture", "llama");
    gguf_writer_u64(w, "llama.block_count", GGUF_U32, 1);
    gguf_writer_u64(w, "llama.context_length", GGUF_U32, 2048);
    gguf_writer_u64(w, "llama.embedding_length", GGUF_U32, EMBD);
    gguf_writer_u64(w, "llama.feed_forward_length", GGUF_U32, FF);
    gguf_writer_u64(w, "llama.attention.head_count", GGUF_U32, HEADS);
    gguf_writer_f64(w, "llama.attention.layer_norm_rms_epsilon", GGUF_F32, 1e-5);
    gguf_writer_str(w, "tokenizer.ggml.model", "gpt2");
    gguf_writer_str(w, "tokenizer.ggml.pre", "gpt-2");
    gguf_writer_strings(w, "tokenizer.ggml.tokens", tokens, N_VOCAB);
    gguf_writer_array(w, "tokenizer.ggml.token_type", GGUF_I32, N_VOCAB, types);
    gguf_writer_strings(w, "tokenizer.ggml.merges", &merge, 1);
    gguf_writer_u64(w, "tokenizer.ggml.eos_token_id", GGUF_U32, 256);
    gguf_writer_u64(w, "tokenizer.ggml.bos_token_id", GGUF_U32, 256);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", false);
    gguf_writer_str(w, "tokenizer.chat_template", template);
}

static const struct {
    const char *name;
    uint64_t ne[2];
} tensors[] = {
    {"token_embd.weight", {EMBD, N_VOCAB}},
    {"output.weight", {EMBD, N_VOCAB}},
    {"output_norm.weight", {EMBD}},
    {"blk.0.attn_norm.weight", {EMBD}},
    {"blk.0.ffn_norm.weight", {EMBD}},
    {"blk.0.attn_q.weight", {EMBD, EMBD}},
    {"blk.0.attn_k.weight", {EMBD, EMBD}},
    {"blk.0.attn_v.weight", {EMBD, EMBD}},
    {"blk.0.attn_output.weight", {EMBD, EMBD}},
    {"blk.0.ffn_gate.weight", {EMBD, FF}},
    {"blk.0.ffn_up.weight", {EMBD, FF}},
    {"blk.0.ffn_down.weight", {FF, EMBD}},
};
enum { N_TENSORS = sizeof tensors / sizeof *tensors, F32 = 0 };

void api_kit_write_model(const char *path)
{
    struct gguf_writer *w;
    struct error err = {0};
    uint64_t state = 1;
    MUST(gguf_writer_begin(path, 0, &w, &err) == OK);
    put_keys(w);
    for (size_t i = 0; i < N_TENSORS; i++)
        gguf_writer_tensor(w, tensors[i].name, F32, tensors[i].ne[1] ? 2 : 1, tensors[i].ne);
    MUST(gguf_writer_start(w, &err) == OK);
    for (size_t i = 0; i < N_TENSORS; i++) {
        size_t n = tensors[i].ne[0] * (tensors[i].ne[1] ? tensors[i].ne[1] : 1);
        float *x = malloc(n * sizeof *x);
        MUST(x);
        for (size_t j = 0; j < n; j++)
            x[j] = tensors[i].ne[1] ? (float)(int64_t)(api_kit_random(&state) >> 40) / (1 << 23) - 1
                                    : 1;
        MUST(gguf_writer_put(w, i, 0, x, n * sizeof *x, &err) == OK);
        free(x);
    }
    MUST(gguf_writer_commit(w, &err) == OK);
}

/* ---- the server -------------------------------------------------------------------------------
 */

static char model_path[96];

static enum status resolve(const char *name, char **path, struct error *err)
{
    if (strcmp(name, "tiny") != 0 && strcmp(name, model_path) != 0)
        return error_set(err, ERR_NOT_FOUND, "there is no model '%.80s'", name);
    *path = strdup(model_path);
    return *path ? OK : ERR_NOMEM;
}

struct api_kit *api_kit_start(void)
{
    struct api_kit *k = calloc(1, sizeof *k);
    struct error err = {0};
    MUST(k);
    snprintf(k->dir, sizeof k->dir, "/tmp/hearth-api-XXXXXX");
    MUST(mkdtemp(k->dir));
    snprintf(k->model, sizeof k->model, "%s/tiny.gguf", k->dir);
    memcpy(model_path, k->model, sizeof model_path);
    api_kit_write_model(k->model);
    MUST(store_open(k->dir, &k->store, &err) == OK);
    struct api_options a = {.store = k->store,
                            .default_model = k->model,
                            .resolve = resolve,
                            .n_threads = 1,
                            .n_ctx = 1024,
                            .kv_bytes = 8 << 20,
                            .keep_alive = -1,
                            .rules = {.max_tokens = 8}};
    MUST(api_create(&a, &k->api, &err) == OK);
    struct http_options h = {.n_workers = 2, .max_body = 1 << 20};
    api_serve(k->api, &h);
    MUST(http_server_start(&h, &k->server, &err) == OK);
    k->port = http_server_port(k->server);
    return k;
}

void api_kit_stop(struct api_kit *k)
{
    http_server_stop(k->server);
    api_destroy(k->api);
    store_close(k->store);
    unlink(k->model);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", k->dir);
    MUST(system(command) == 0);
    free(k);
}

int api_kit_port(const struct api_kit *k)
{
    return k->port;
}

/* ---- a client ---------------------------------------------------------------------------------
 */

void api_client_init(struct api_client *c, const struct api_kit *k)
{
    *c = (struct api_client){.kit = k, .fd = -1};
}

static void hang_up(struct api_client *c)
{
    if (c->fd >= 0) close(c->fd);
    c->fd = -1;
}

void api_client_fini(struct api_client *c)
{
    hang_up(c);
    free(c->answer);
}

static void dial(struct api_client *c)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)c->kit->port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {60, 0};
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(c->fd >= 0);
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    MUST(connect(c->fd, (struct sockaddr *)&a, sizeof a) == 0);
}

static bool receive(struct api_client *c)
{
    if (c->n_answer + 65537 > c->cap) {
        c->cap = c->cap ? 2 * c->cap : 1 << 18;
        MUST(c->cap <= MAX_ANSWER);
        c->answer = realloc(c->answer, c->cap);
        MUST(c->answer);
    }
    ssize_t n = recv(c->fd, c->answer + c->n_answer, 65536, 0);
    if (n > 0) c->n_answer += (size_t)n;
    c->answer[c->n_answer] = 0;
    return n > 0;
}

/* Whether the answer is whole: its length, or its last chunk, is there. */
static bool whole(const struct api_client *c)
{
    const char *end = strstr(c->answer, "\r\n\r\n");
    if (!end) return false;
    size_t head = (size_t)(end + 4 - c->answer);
    const char *length = strstr(c->answer, "\r\nContent-Length: ");
    if (length && length < end)
        return c->n_answer >= head + (size_t)strtoull(length + 18, NULL, 10);
    return c->n_answer >= head + 5 && memcmp(c->answer + c->n_answer - 5, "0\r\n\r\n", 5) == 0;
}

static int status_of(const struct api_client *c)
{
    return c->n_answer > 12 && memcmp(c->answer, "HTTP/1.1 ", 9) == 0 ? atoi(c->answer + 9) : 0;
}

int api_client_post(struct api_client *c, const char *path, const void *body, size_t len)
{
    for (int again = 0; again < 2; again++) {
        if (c->fd < 0) dial(c);
        char head[256];
        int n = snprintf(head, sizeof head,
                         "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", path,
                         len);
        c->n_answer = 0;
        bool sent = send(c->fd, head, (size_t)n, MSG_NOSIGNAL | MSG_MORE) == n &&
                    (len == 0 || send(c->fd, body, len, MSG_NOSIGNAL) == (ssize_t)len);
        while (sent && receive(c) && !whole(c)) {
        }
        if (c->n_answer && whole(c)) {
            if (strstr(c->answer, "\r\nConnection: close\r\n")) hang_up(c);
            return status_of(c);
        }
        hang_up(c); /* an idle connection that the server has closed: once more */
        if (c->n_answer) return 0;
    }
    return 0;
}

int api_client_raw(struct api_client *c, const void *data, size_t len)
{
    hang_up(c);
    dial(c);
    c->n_answer = 0;
    if (send(c->fd, data, len, MSG_NOSIGNAL) == (ssize_t)len) shutdown(c->fd, SHUT_WR);
    while (receive(c) && !whole(c)) {
    }
    hang_up(c);
    return c->n_answer ? status_of(c) : 0;
}
