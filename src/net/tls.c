#include "net/tls.h"

#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct tls {
    SSL_CTX *ctx;
};

struct tls_conn {
    SSL *ssl;
    bool ready, broken, ended;
};

/* The newest of OpenSSL's reasons, and none of them left for the next call. */
static const char *reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *text = e ? ERR_reason_error_string(e) : NULL;
    ERR_clear_error();
    return text ? text : "unknown error";
}

/* A key that needs a passphrase is an error, not a question on the terminal. */
static int no_passphrase(char *buf, int size, int rwflag, void *ctx)
{
    (void)buf, (void)size, (void)rwflag, (void)ctx;
    return 0;
}

/* "http/1.1" where the client offers it; others are not spoken here. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *n_out,
                           const unsigned char *in, unsigned int n_in, void *ctx)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl, (void)ctx;
    unsigned char *chosen;
    if (SSL_select_next_proto(&chosen, n_out, ours, sizeof ours - 1, in, n_in) !=
        OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static enum status check_key_file(const char *key, struct error *err)
{
    struct stat info;
    if (stat(key, &info) != 0)
        return error_set(err, ERR_IO, "cannot read the TLS key %s: %s", key, strerror(errno));
    if (info.st_mode & (S_IROTH | S_IWOTH | S_IWGRP))
        return error_set(err, ERR_INVALID,
                         "the TLS key %s can be read or changed by other users; run: chmod 600 %s",
                         key, key);
    return OK;
}

static enum status ask_for_clients(SSL_CTX *ctx, const char *client_ca, struct error *err)
{
    static const unsigned char id[] = "hearth";
    STACK_OF(X509_NAME) *names = SSL_load_client_CA_file(client_ca);
    if (!names || SSL_CTX_load_verify_locations(ctx, client_ca, NULL) != 1) {
        sk_X509_NAME_pop_free(names, X509_NAME_free);
        return error_set(err, ERR_FORMAT, "%s holds no PEM certificates of issuers: %s", client_ca,
                         reason());
    }
    SSL_CTX_set_client_CA_list(ctx, names);
    SSL_CTX_set_session_id_context(ctx, id, sizeof id - 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    return OK;
}

static enum status set_up(SSL_CTX *ctx, const char *cert, const char *key, const char *client_ca,
                          struct error *err)
{
    enum status st = check_key_file(key, err);
    if (st != OK) return st;
    SSL_CTX_set_default_passwd_cb(ctx, no_passphrase);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE);
    /* Idle connections, of which there may be thousands, keep no buffers. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1)
        return error_set(err, ERR_UNSUPPORTED, "the TLS library lacks TLS 1.2: %s", reason());
    if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
        return error_set(err, ERR_FORMAT, "%s holds no PEM certificate that can be used: %s", cert,
                         reason());
    if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)
        return error_set(err, ERR_FORMAT,
                         "%s holds no PEM private key that fits %s (without a passphrase): %s", key,
                         cert, reason());
    return client_ca ? ask_for_clients(ctx, client_ca, err) : OK;
}

enum status tls_load(const char *cert, const char *key, const char *client_ca, struct tls **out,
                     struct error *err)
{
    *out = NULL;
    ERR_clear_error();
    struct tls *t = calloc(1, sizeof *t);
    if (t) t->ctx = SSL_CTX_new(TLS_server_method());
    if (!t || !t->ctx) {
        tls_free(t);
        return error_set(err, ERR_NOMEM, "no memory for TLS");
    }
    enum status st = set_up(t->ctx, cert, key, client_ca, err);
    if (st == OK)
        *out = t;
    else
        tls_free(t);
    return st;
}

void tls_free(struct tls *t)
{
    if (!t) return;
    SSL_CTX_free(t->ctx); /* counts its connections */
    free(t);
}

struct tls_conn *tls_conn_create(struct tls *t, int fd)
{
    struct tls_conn *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->ssl = SSL_new(t->ctx);
    if (!c->ssl || SSL_set_fd(c->ssl, fd) != 1) {
        SSL_free(c->ssl);
        free(c);
        ERR_clear_error();
        return NULL;
    }
    SSL_set_accept_state(c->ssl);
    return c;
}

void tls_end(struct tls_conn *c)
{
    if (c->ready && !c->broken && !c->ended) {
        ERR_clear_error();
        (void)SSL_shutdown(c->ssl);
    }
    c->ended = true;
}

void tls_conn_free(struct tls_conn *c)
{
    if (!c) return;
    tls_end(c);
    SSL_free(c->ssl);
    ERR_clear_error();
    free(c);
}

enum tls_step tls_handshake(struct tls_conn *c)
{
    ERR_clear_error();
    int n = SSL_do_handshake(c->ssl);
    if (n == 1) {
        c->ready = true;
        return TLS_DONE;
    }
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
        return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE:
        return TLS_WANT_WRITE;
    default:
        c->broken = true;
        bool plain = ERR_GET_REASON(ERR_peek_error()) == SSL_R_HTTP_REQUEST;
        ERR_clear_error();
        return plain ? TLS_PLAIN : TLS_FAILED;
    }
}

/* What recv or send would have returned. */
static ssize_t result(struct tls_conn *c, int n)
{
    if (n > 0) return n;
    switch (SSL_get_error(c->ssl, n)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        errno = EAGAIN;
        return -1;
    case SSL_ERROR_ZERO_RETURN:
        return 0;
    default:
        c->broken = true;
        ERR_clear_error();
        errno = ECONNRESET;
        return -1;
    }
}

ssize_t tls_recv(struct tls_conn *c, void *data, size_t len)
{
    ERR_clear_error();
    return result(c, SSL_read(c->ssl, data, len > INT_MAX ? INT_MAX : (int)len));
}

ssize_t tls_send(struct tls_conn *c, const void *data, size_t len)
{
    ERR_clear_error();
    return result(c, SSL_write(c->ssl, data, len > INT_MAX ? INT_MAX : (int)len));
}

bool tls_pending(const struct tls_conn *c)
{
    return SSL_pending(c->ssl) > 0;
}
