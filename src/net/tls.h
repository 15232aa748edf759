/* TLS of the server's connections, by OpenSSL: 1.2 and 1.3, non-blocking. */
#ifndef HEARTH_NET_TLS_H
#define HEARTH_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/status.h"

struct tls;      /* a certificate and its key; may be shared by threads */
struct tls_conn; /* one connection's; one thread at a time */

/* `cert`: a PEM file with the server's certificate and those of its issuers; `key`: a PEM file with
 * its private key, not encrypted, that other users can neither read nor change. `client_ca`: NULL,
 * or a PEM file with the certificates of those who may issue the certificates that clients have to
 * show. ERR_IO, ERR_FORMAT, ERR_INVALID name the file. */
enum status tls_load(const char *cert, const char *key, const char *client_ca, struct tls **out,
                     struct error *err);
void tls_free(struct tls *t); /* NULL is fine; connections that use it keep it */

/* A connection that the other side has opened; fd stays the caller's. NULL without memory. */
struct tls_conn *tls_conn_create(struct tls *t, int fd);
/* Says goodbye where the handshake was done and nothing broke. NULL is fine. */
void tls_conn_free(struct tls_conn *c);

enum tls_step {
    TLS_DONE,
    TLS_WANT_READ, /* again once the socket can be read (written) */
    TLS_WANT_WRITE,
    TLS_PLAIN,  /* the client speaks HTTP without TLS */
    TLS_FAILED, /* close */
};
enum tls_step tls_handshake(struct tls_conn *c);

/* As recv and send: -1 with errno EAGAIN where the socket has nothing or takes nothing. */
ssize_t tls_recv(struct tls_conn *c, void *data, size_t len);
ssize_t tls_send(struct tls_conn *c, const void *data, size_t len);
/* Whether bytes are there that the socket does not tell of. */
bool tls_pending(const struct tls_conn *c);
/* The last bytes of this side are sent. */
void tls_end(struct tls_conn *c);

#endif
