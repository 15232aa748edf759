#include "cli/signing.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"

enum { MAX_PASSWORD = 1024 };

bool signing_is_path(const char *arg)
{
    size_t len = strlen(arg);
    return strchr(arg, '/') || strcmp(arg, ".") == 0 || strcmp(arg, "..") == 0 ||
           file_exists(arg) || (len > 5 && strcmp(arg + len - 5, ".gguf") == 0);
}

static enum status read_key_file(const char *path, struct buf *text, struct error *err)
{
    buf_init(text, TRUST_KEY_FILE_BYTES);
    enum status st = file_read_all(path, text, err);
    if (st == OK && !text->data) st = error_set(err, ERR_FORMAT, "%s is empty", path);
    return st;
}

enum status signing_public_key(const struct policy *p, const char *named, struct trust_key *out,
                               struct error *err)
{
    const struct policy_key *k = policy_key_find(p, named);
    struct buf text;
    *out = (struct trust_key){0};
    if (k && !strchr(named, '/')) {
        buf_init(&text, TRUST_KEY_FILE_BYTES);
        enum status st = trust_key_write_public(&k->key, &text, err);
        if (st == OK) st = trust_key_parse_public(text.data, text.len, named, out, err);
        buf_fini(&text);
        return st;
    }
    if (!file_exists(named)) {
        /* "RW" is how every minisign key begins, since "Ed" is what it says first. */
        if (strncmp(named, "RW", 2) == 0 && strlen(named) == 56)
            return trust_key_parse_public(named, strlen(named), "the key given", out, err);
        return error_set(err, ERR_NOT_FOUND,
                         "there is neither a key file nor a key of the policy called '%.200s'",
                         named);
    }
    enum status st = read_key_file(named, &text, err);
    if (st == OK) st = trust_key_parse_public(text.data, text.len, named, out, err);
    buf_fini(&text);
    return st;
}

/* A line from the terminal that it does not show. */
static enum status ask_password(const char *path, char dst[MAX_PASSWORD], struct error *err)
{
    struct termios before, quiet;
    FILE *tty = fopen("/dev/tty", "r+e");
    if (!tty || tcgetattr(fileno(tty), &before) != 0) {
        if (tty) fclose(tty);
        return error_set(
            err, ERR_INVALID,
            "%s is encrypted, and there is no terminal to ask for its password; give it in a "
            "file: --password-file FILE",
            path);
    }
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    fprintf(tty, "Password of %s: ", path);
    fflush(tty);
    tcsetattr(fileno(tty), TCSAFLUSH, &quiet);
    bool ok = fgets(dst, MAX_PASSWORD, tty) != NULL;
    tcsetattr(fileno(tty), TCSAFLUSH, &before);
    fputc('\n', tty);
    fclose(tty);
    if (!ok) return error_set(err, ERR_CANCELLED, "no password was given");
    dst[strcspn(dst, "\n")] = 0;
    return OK;
}

static enum status read_password(const char *path, char dst[MAX_PASSWORD], struct error *err)
{
    struct buf text;
    buf_init(&text, MAX_PASSWORD - 1);
    enum status st = file_read_all(path, &text, err);
    if (st == OK)
        snprintf(dst, MAX_PASSWORD, "%.*s", text.data ? (int)strcspn(text.data, "\r\n") : 0,
                 text.data ? text.data : "");
    if (text.data) explicit_bzero(text.data, text.len);
    buf_fini(&text);
    return st;
}

enum status signing_secret_key(const char *path, const char *password_file, struct trust_key *out,
                               struct error *err)
{
    struct buf text;
    char password[MAX_PASSWORD] = "";
    *out = (struct trust_key){0};
    enum status st = read_key_file(path, &text, err);
    if (st == OK && password_file) st = read_password(password_file, password, err);
    if (st == OK) {
        st = trust_key_parse_secret(text.data, text.len, path, password_file ? password : NULL, out,
                                    err);
        if (st == ERR_INVALID && !password_file && (st = ask_password(path, password, err)) == OK)
            st = trust_key_parse_secret(text.data, text.len, path, password, out, err);
    }
    explicit_bzero(password, sizeof password);
    if (text.data) explicit_bzero(text.data, text.len);
    buf_fini(&text);
    return st;
}

void signing_begin(struct signing_screen *sc, bool quiet)
{
    *sc = (struct signing_screen){.quiet = quiet};
    sigemptyset(&sc->interrupts);
    sigaddset(&sc->interrupts, SIGINT);
    sigaddset(&sc->interrupts, SIGTERM);
    sigprocmask(SIG_BLOCK, &sc->interrupts, &sc->before);
}

void signing_end(struct signing_screen *sc)
{
    progress_end(sc->bar);
    sc->bar = NULL;
    sigprocmask(SIG_SETMASK, &sc->before, NULL);
}

static bool show(struct signing_screen *sc, uint64_t done, uint64_t total)
{
    if (sigtimedwait(&sc->interrupts, NULL, &(struct timespec){0}) > 0) return false;
    if (sc->quiet || done < 1 << 28) return true; /* a moment's work needs no bar */
    if (!sc->bar) sc->bar = progress_start("hashing", true);
    if (sc->bar) progress_update(sc->bar, done, total);
    return true;
}

bool signing_progress(void *screen, uint64_t done)
{
    return show(screen, done, 0);
}

static bool on_store_progress(void *ctx, enum store_phase phase, uint64_t done, uint64_t total)
{
    (void)phase;
    return show(ctx, done, total);
}

static void on_notice(void *ctx, const char *line)
{
    const struct signing_screen *sc = ctx;
    if (!sc->quiet) fprintf(stderr, "%s\n", line);
}

struct store_events signing_events(struct signing_screen *sc)
{
    return (struct store_events){.progress = on_store_progress, .notice = on_notice, .ctx = sc};
}
