/* hearth serve: one port for OpenAI's, Ollama's, llama.cpp's and Anthropic's clients. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/confined.h"
#include "cli/load.h"
#include "cli/index_embed.h"
#include "cli/index_store.h"
#include "cli/serve_live.h"
#include "store/store.h"

extern const struct command cmd_serve;

#define FIELD(name) offsetof(struct serve_options, name)
static const struct option options[] = {
    {"host", 0, OPTION_STRING, "ADDRESS",
     "Address to listen on (default 127.0.0.1). Others than this machine's own need an API key.",
     FIELD(host)},
    {"port", 'p', OPTION_INT, "N",
     "Port (default 11434, Ollama's); 0: any free one, printed at start", FIELD(port), 0, 65535},
    {"model", 'm', OPTION_STRING, "MODEL",
     "For requests that name none: an installed model, or a path to a GGUF file", FIELD(model)},
    {"preload", 0, OPTION_FLAG, NULL, "Load that model now, not with the first request",
     FIELD(preload)},
    {"ctx", 'c', OPTION_INT, "N",
     "Tokens of a request and its answer (default 16384, or the model's own if less)", FIELD(ctx),
     1, 1e9},
    {"threads", 't', OPTION_INT, "N", "Threads to compute with (default: all physical cores)",
     FIELD(threads), 1, 1024},
    OPTION_KV_TYPE(struct serve_options),
    {"kv-memory", 0, OPTION_INT, "MB", "Memory of a model's KV cache (default: an eighth of all)",
     FIELD(kv_mb), 1, 1e9},
    {"max-running", 0, OPTION_INT, "N", "Requests that a model answers at once (default 64)",
     FIELD(max_running), 1, 512},
    {"max-waiting", 0, OPTION_INT, "N", "Requests that wait beyond those (default 1024)",
     FIELD(max_waiting), 1, 1e6},
    {"max-models", 0, OPTION_INT, "N", "Models in memory at once (default: as many as fit)",
     FIELD(max_models), 1, 64},
    {"keep-alive", 0, OPTION_STRING, "TIME",
     "How long an unused model stays in memory: 30s, 5m (default), 2h, -1 for ever",
     FIELD(keep_alive)},
    {"max-tokens", 0, OPTION_INT, "N", "Tokens that a request may ask for (default: the context)",
     FIELD(max_tokens), 1, 1e9},
    {"max-seconds", 0, OPTION_FLOAT, "S", "Time of a request; its answer ends then (default: none)",
     FIELD(max_seconds), 0.001, 1e9},
    {"max-connections", 0, OPTION_INT, "N", "Connections at once (default 16384)",
     FIELD(max_connections), 1, 1e6},
    {"max-body", 0, OPTION_INT, "MB", "Largest request (default 64)", FIELD(max_body_mb), 1, 4096},
    {"project", 0, OPTION_LIST, "DIR",
     "A folder whose index clients may search (default: none); `hearth index --watch` keeps it current",
     FIELD(projects)},
    {"store", 0, OPTION_STRING, "URL", CLI_STORE_HELP, FIELD(store)},
    {"slot-save-path", 0, OPTION_STRING, "DIR",
     "Where clients of llama.cpp's /slots keep beginnings of prompts (default: nowhere)",
     FIELD(slots)},
    {"no-speculate", 0, OPTION_FLAG, NULL,
     "Check no tokens ahead; texts are the same, this is for measuring", FIELD(no_speculate)},
    {"keys", 0, OPTION_STRING, "FILE", "Hashes of the API keys; made by --make-key",
     FIELD(key_file)},
    {"make-key", 0, OPTION_STRING, "NAME",
     "Make an API key, add its hash to the --keys file, print the key once, and end",
     FIELD(make_key)},
    {"tls-cert", 0, OPTION_STRING, "FILE",
     "Speak TLS (https) with this certificate, PEM, its issuers' behind it", FIELD(tls_cert)},
    {"tls-key", 0, OPTION_STRING, "FILE", "Private key of that certificate, PEM, not encrypted",
     FIELD(tls_key)},
    {"tls-client-ca", 0, OPTION_STRING, "FILE",
     "Clients must show a certificate that one of these issuers, PEM, has signed",
     FIELD(tls_client_ca)},
    {"allow-host", 0, OPTION_LIST, "NAME", "A further name that this server goes by (Host header)",
     FIELD(hosts)},
    {"origin", 0, OPTION_LIST, "URL", "Pages of this origin may use the server (CORS)",
     FIELD(origins)},
    {"allow-pull", 0, OPTION_FLAG, NULL, "Clients may pull, copy and delete models",
     FIELD(allow_pull)},
    {"public-metrics", 0, OPTION_FLAG, NULL, "/metrics needs no API key", FIELD(public_metrics)},
    {"grace", 0, OPTION_INT, "S",
     "Seconds that running requests get to finish at the end (default 30)", FIELD(grace), 0, 1e6},
    {"log", 0, OPTION_STRING, "json|none",
     "Log on standard error (default json); never holds texts", FIELD(log)},
    {"no-sandbox", 0, OPTION_FLAG, NULL,
     "Without the sandbox around what reads models (docs/security.md)", FIELD(no_sandbox)},
    {"config", 0, OPTION_STRING, "FILE",
     "Lines 'option = value' (default: serve.conf in Hearth's folder, where it exists)",
     FIELD(config)},
    {0},
};

static void init(void *p)
{
    struct serve_options *o = p;
    *o = (struct serve_options){.port = -1, .grace = 30};
}

/* ---- what is asked for ------------------------------------------------------------------------
 */

/* "90", "30s", "5m", "2h" in seconds; negative: for ever. */
static bool parse_time(const char *text, double *out)
{
    char *end;
    double x = strtod(text, &end);
    double unit = strcmp(end, "") == 0 || strcmp(end, "s") == 0 ? 1
                  : strcmp(end, "m") == 0                       ? 60
                  : strcmp(end, "h") == 0                       ? 3600
                                                                : 0;
    if (end == text || unit == 0 || x != x || x > 1e9) return false;
    *out = x < 0 ? -1 : x * unit;
    return true;
}

struct serve {
    struct serve_options given;
    struct serve_live *first; /* as at the start; what takes a restart is used from here */
    struct serve_live *live;  /* as of the last reload */
    struct store *store;
    char *index_cache; /* owned; NULL without projects */
    char *cache;
    struct api *api;
    struct http_server *server;
    atomic_bool quiet;
    int notify_fd; /* systemd's, -1: none */
};

static int make_key(struct serve *s)
{
    char key[KEYS_TEXT_SIZE], line[192];
    struct error err = {0};
    const char *path = s->live->key_path;
    struct buf text;
    buf_init(&text, 1 << 20);
    enum status st = keys_make(s->live->o.make_key, key, line, &err);
    if (st == OK && file_exists(path)) st = file_read_all(path, &text, &err);
    if (st == OK && buf_append_str(&text, line) != OK)
        st = error_set(&err, ERR_LIMIT, "%s is too long", path);
    if (st == OK && !file_exists(path)) st = file_make_dirs(store_root(s->store), &err);
    if (st == OK) st = file_replace(path, text.data, text.len, &err);
    buf_fini(&text);
    if (st != OK) return cli_fail(&err);
    fprintf(stderr, "hearth: the key's hash is in %s; the key is shown only now:\n", path);
    printf("%s\n", key);
    return EXIT_OK;
}

static void write_log(void *ctx, const char *line)
{
    const struct serve *s = ctx;
    if (!atomic_load(&s->quiet)) fprintf(stderr, "%s\n", line);
}

static enum status resolve(const char *name, char **path, struct error *err)
{
    return cli_resolve_model(name, path, err);
}

static struct api_rules rules_of(const struct serve_live *l)
{
    const struct serve_options *o = &l->o;
    return (struct api_rules){
        .keys = &l->keys,
        .origins = {o->hosts.items, o->hosts.len, o->origins.items, o->origins.len},
        .pull = o->allow_pull,
        .metrics_public = o->public_metrics,
        .max_tokens = (size_t)o->max_tokens,
        .max_seconds = o->max_seconds,
    };
}

static enum status start_api(struct serve *s, struct error *err)
{
    const struct serve_options *o = &s->live->o;
    struct api_options a = {
        .store = s->store,
        .default_model = o->model,
        .resolve = resolve,
        .cache_dir = s->cache,
        .kv_type = o->kv_type,
        .n_threads = (int)o->threads,
        .n_ctx = (size_t)o->ctx,
        .kv_bytes = (uint64_t)o->kv_mb << 20,
        .max_running = (size_t)o->max_running,
        .max_waiting = (size_t)o->max_waiting,
        .max_models = (size_t)o->max_models,
        .keep_alive = 300,
        .slots_dir = o->slots,
        .projects = o->projects.items,
        .n_projects = o->projects.len,
        .index_cache = s->index_cache,
        .vector_store = cli_store_address(o->store),
        .store_key = getenv("HEARTH_STORE_KEY"),
        .no_speculation = o->no_speculate,
        .rules = rules_of(s->live),
        .log = write_log,
        .log_ctx = s,
    };
    const char *env = getenv("HEARTH_MODEL");
    if (!a.default_model && env && *env) a.default_model = env;
    a.index_cache = s->index_cache;
    if (o->keep_alive && !parse_time(o->keep_alive, &a.keep_alive))
        return error_set(err, ERR_INVALID,
                         "--keep-alive %s: expected a time such as 30s, 5m, 2h or -1",
                         o->keep_alive);
    enum status st = api_create(&a, &s->api, err);
    if (st == OK && o->preload) st = api_preload(s->api, err);
    return st;
}

/* A socket that systemd has opened for us, or 0. */
static int given_socket(void)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    return pid && fds && atol(pid) == (long)getpid() && atoi(fds) == 1 ? 3 : 0;
}

/* Systemd's socket, where it started us (sd_notify(3)): opened now, since later none can be. -1. */
static int notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (!path || !*path || strlen(path) >= sizeof a.sun_path) return -1;
    memcpy(a.sun_path, path, strlen(path));
    if (*path == '@') a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a,
                           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path))) == 0)
        return fd;
    if (fd >= 0) close(fd);
    return -1;
}

/* Tells systemd how we are. */
static void notify(const struct serve *s, const char *state)
{
    if (s->notify_fd >= 0) (void)send(s->notify_fd, state, strlen(state), MSG_NOSIGNAL);
}

static enum status start_server(struct serve *s, struct error *err)
{
    const struct serve_options *o = &s->live->o;
    struct http_options h = {.address = o->host,
                             .port = o->port < 0 ? 11434 : (int)o->port,
                             .listen_fd = given_socket(),
                             .tls = s->live->tls,
                             .max_connections = (size_t)o->max_connections,
                             .max_body = (size_t)o->max_body_mb << 20};
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    api_serve(s->api, &h);
    enum status st = http_server_start(&h, &s->server, err);
    if (st == OK) s->live->tls = NULL; /* the server's now */
    return st;
}

/* ---- the life of the server -------------------------------------------------------------------
 */

/* The signal that came, or 0 after so many milliseconds. */
static int wait_signal(const sigset_t *set, long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    int sig = sigtimedwait(set, NULL, &t);
    return sig > 0 ? sig : 0;
}

/* Lets running requests finish, for a while; a second signal ends that. */
static void drain(struct serve *s, const sigset_t *set)
{
    double until = clock_now() + (double)s->live->o.grace;
    size_t left = http_server_active(s->server);
    if (left)
        fprintf(stderr, "hearth: finishing %zu requests; press Ctrl-C again to drop them\n", left);
    notify(s, "STOPPING=1");
    api_shut_down(s->api);
    http_server_drain(s->server);
    while (http_server_active(s->server) && clock_now() < until)
        if (wait_signal(set, 50)) break;
}

struct change {
    struct serve *s;
    struct serve_live *live;
    struct api_rules rules;
};

/* On the server's thread, where the rules are read. */
static void take_rules(void *ctx)
{
    struct change *c = ctx;
    api_set_rules(c->s->api, &c->rules);
}

/* Reads files and keys anew; whatever is wrong with them leaves everything as it was. */
static void reload(struct serve *s)
{
    struct error err = {0};
    struct serve_live *l;
    notify(s, "RELOADING=1");
    enum status st = serve_live_load(&cmd_serve, &s->given, store_root(s->store), &l, &err);
    if (st != OK) {
        fprintf(stderr, "hearth: nothing was reloaded: %s\n", err.msg);
        notify(s, "READY=1");
        return;
    }
    size_t i = 0;
    for (const char *name; (name = serve_live_next_change(&cmd_serve, s->first, l, &i));)
        fprintf(stderr, "hearth: a new %s takes effect at the next start\n", name);
    struct change c = {s, l, rules_of(l)};
    http_server_call(s->server, take_rules, &c);
    if (l->tls && s->first->o.tls_cert) {
        http_server_set_tls(s->server, l->tls);
        l->tls = NULL;
    }
    atomic_store(&s->quiet, l->quiet);
    if (s->live != s->first) serve_live_free(s->live);
    s->live = l;
    fprintf(stderr, "hearth: reloaded\n");
    notify(s, "READY=1");
}

/* ---- the sandbox ------------------------------------------------------------------------------
 */

/* What is read anew at a reload: by its folder, where new files replace it. */
static void allow_reloaded(void *ctx)
{
    const struct serve *s = ctx;
    const struct serve_options *o = &s->live->o;
    const char *const files[] = {s->live->key_path, o->config, o->tls_cert, o->tls_key, o->tls_client_ca};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        confined_path(files[i], CONFINE_READ, true);
    for (size_t i = 0; i < o->projects.len; i++)
        confined_path(o->projects.items[i], CONFINE_READ, false);
    confined_path(o->slots, CONFINE_WRITE, false);
}

/* Before the first thread and the first model. Pulling takes connections, the store, and pip. */
static enum status confine(struct serve *s, struct error *err)
{
    const struct serve_options *o = &s->live->o;
    if (o->no_sandbox) confined_off("--no-sandbox");
    if (cli_store_address(o->store)) confined_need(NEED_NET | NEED_NET_LATER);
    if (o->allow_pull) confined_need(NEED_STORE | NEED_EXEC | NEED_NET | NEED_NET_LATER);
    if (o->projects.len && !(s->index_cache = cli_index_cache(err))) return err->code;
    enum status st = o->slots ? file_make_dirs(o->slots, err) : OK;
    const char *env = getenv("HEARTH_MODEL"), *model = o->model ? o->model : env;
    char *path = NULL;
    struct error ignored; /* a model that is missing is told by whoever asks for it */
    if (model && *model && cli_resolve_model(model, &path, &ignored) != OK) path = NULL;
    if (st == OK) st = confined_up(path, allow_reloaded, s, err);
    free(path);
    return st;
}

/* A line of the log as api_log writes them: what holds, or why nothing does. */
static void log_walls(struct serve *s)
{
    char line[320], when[32], text[96];
    const char *why = confined_why_not();
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
    confined_text(confined_state(), text, sizeof text);
    if (*text)
        snprintf(line, sizeof line,
                 "{\"time\":\"%s\",\"level\":\"info\",\"msg\":\"sandbox\",\"refuses\":\"%s\",\"landlock\":%d}",
                 when, text, confined_state()->landlock);
    else
        snprintf(line, sizeof line, "{\"time\":\"%s\",\"level\":\"warn\",\"msg\":\"sandbox off\",\"why\":\"%s\"}",
                 when, why ? why : "this kernel has none");
    write_log(s, line);
}

static int serve(struct serve *s, const sigset_t *set)
{
    struct error err = {0};
    enum status st = confine(s, &err);
    if (st == OK) st = start_api(s, &err);
    if (st == OK) st = start_server(s, &err);
    if (st == OK) st = confined_no_sockets(&err);
    if (st != OK) return cli_fail(&err);
    log_walls(s);
    printf("hearth: listening on %s://%s\n", s->live->o.tls_cert ? "https" : "http",
           http_server_address(s->server));
    fflush(stdout);
    notify(s, "READY=1");
    for (int sig; (sig = wait_signal(set, 1000)) == 0 || sig == SIGHUP;)
        if (sig == SIGHUP) reload(s);
    drain(s, set);
    return EXIT_OK;
}

static int run_serve(struct serve *s)
{
    struct error err = {0};
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL); /* before the first thread, which inherits it */
    enum status st = store_open(NULL, &s->store, &err);
    if (st == OK)
        st = serve_live_load(&cmd_serve, &s->given, store_root(s->store), &s->first, &err);
    if (st != OK) return cli_fail(&err);
    s->live = s->first;
    if (s->live->o.make_key) return make_key(s);
    atomic_store(&s->quiet, s->live->quiet);
    s->cache = cli_cache_dir(&err);
    return serve(s, &set);
}

static int run(const void *p, int argc, char **argv)
{
    (void)argc;
    (void)argv;
    struct serve s = {.given = *(const struct serve_options *)p, .notify_fd = notify_open()};
    int code = run_serve(&s);
    http_server_stop(s.server);
    api_destroy(s.api);
    store_close(s.store);
    if (s.live != s.first) serve_live_free(s.live);
    serve_live_free(s.first);
    free(s.cache);
    free(s.index_cache);
    if (s.notify_fd >= 0) close(s.notify_fd);
    return code;
}

const struct command cmd_serve = {
    .name = "serve",
    .summary = "Serve models to editors and other clients over HTTP",
    .usage = "serve [options]",
    .description = "Listens on one port for clients of OpenAI's API (/v1), Ollama's (/api), "
                   "llama.cpp's server\n"
                   "(/completion, /infill, ...) and Anthropic's (/v1/messages). Models are loaded "
                   "when a request\n"
                   "names them and leave memory when unused. Only this machine can connect unless "
                   "--host says\n"
                   "otherwise, which needs an API key. Nothing of what is asked or answered is "
                   "logged or kept.\n"
                   "\n"
                   "Options also come from the environment (HEARTH_SERVE_PORT=8080) and from a "
                   "file, and an API key\n"
                   "from HEARTH_API_KEY. docs/server.md lists the endpoints.\n"
                   "\n"
                   "Examples:\n"
                   "  hearth serve\n"
                   "  hearth serve -m qwen2.5-coder:1.5b --preload --port 8080\n"
                   "  hearth serve --make-key laptop\n"
                   "  hearth serve --host 192.168.1.10 --allow-host hearth.lan\n",
    .options = options,
    .options_size = sizeof(struct serve_options),
    .init = init,
    .max_args = 0,
    .run = run,
};
