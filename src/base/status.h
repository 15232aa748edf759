/* Errors as values.
 *
 * A fallible function returns `enum status`; at module boundaries it also fills a `struct error`
 * whose message says what failed, where, and what to do about it. Nothing below `cli` exits,
 * aborts or prints. */
#ifndef HEARTH_BASE_STATUS_H
#define HEARTH_BASE_STATUS_H

enum status {
    OK = 0,
    ERR_NOMEM,       /* an allocation failed or a cap was reached */
    ERR_IO,          /* the operating system refused: open, read, write, fsync, mmap */
    ERR_FORMAT,      /* bytes that break their format's rules */
    ERR_UNSUPPORTED, /* well-formed, but something Hearth does not implement */
    ERR_INVALID,     /* an argument or a request that makes no sense */
    ERR_NOT_FOUND,   /* a file, model, key or token that does not exist */
    ERR_LIMIT,       /* larger than the context, or than a documented maximum */
    ERR_NETWORK,     /* a source could not be reached or answered with an error */
    ERR_INTEGRITY,   /* a checksum or signature does not match */
    ERR_BUSY,        /* somebody else holds the lock */
    ERR_CANCELLED,   /* the caller asked to stop */
};

struct error {
    enum status code;
    char msg[768]; /* one line, UTF-8, without a trailing newline */
};

/* Writes a printf-formatted message and returns `code`, so that callers can
 * `return error_set(err, ERR_FORMAT, ...)`. `err` may be NULL. Control characters in the formatted
 * text (names read from files) are replaced by '?', so the message stays one line. */
enum status error_set(struct error *err, enum status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " in front of the message already in `err`; returns its code. */
enum status error_prefix(struct error *err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* A short lower-case name for a status ("not found"); never NULL. */
const char *status_name(enum status code);

#endif
