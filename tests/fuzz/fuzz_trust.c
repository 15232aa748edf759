/* libFuzzer target: what module trust reads from strangers: signature files of both kinds, a
 * statement that was signed well, keys and policies. The first byte says which. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "trust/base64.h"
#include "trust/policy.h"
#include "trust/signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A P-256 key for nothing else, so that any statement can have a good signature. */
static const char secret_pem[] =
    "-----BEGIN PRIVATE KEY-----\n"
    "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggt1tCw7iC5fisSae\n"
    "E8j4HtI9TkC800Q8jQ6xsw2/z6+hRANCAARdyQtQQuROjAXRWQTbQcIJm1QaCXlt\n"
    "mISVcrGYlSjcFev+mtMJibhpLRyDu7moHVXtd121zIzo/MrvkksEmG6z\n"
    "-----END PRIVATE KEY-----\n";

static void check_key(const char *text, size_t len)
{
    struct trust_key k;
    struct error err = {0};
    struct buf out;
    if (trust_key_parse_secret(text, len, "fuzz", "password", &k, &err) == OK) trust_key_fini(&k);
    if (trust_key_parse_public(text, len, "fuzz", &k, &err) != OK) return;
    buf_init(&out, TRUST_KEY_FILE_BYTES);
    struct trust_key again;
    if (trust_key_write_public(&k, &out, &err) != OK ||
        trust_key_parse_public(out.data, out.len, "fuzz", &again, &err) != OK ||
        strcmp(k.id, again.id) != 0)
        __builtin_trap();
    trust_key_fini(&again);
    trust_key_fini(&k);
    buf_fini(&out);
}

static void check_signature(const char *text, size_t len)
{
    struct signature s;
    struct error err = {0};
    enum status st = signature_parse(text, len, "fuzz", &s, &err);
    if (st == OK)
        signature_fini(&s);
    else if (err.code != st || !err.msg[0])
        __builtin_trap();
}

static void check_statement(const struct trust_key *k, const char *text, size_t len)
{
    struct bundle b = {0};
    struct bundle_claim c;
    struct error err = {0};
    struct buf bytes;
    buf_init(&bytes, 1 << 24);
    buf_init(&b.payload, 1 << 24);
    buf_init(&b.sig, 1024);
    if (buf_printf(&bytes, "DSSEv1 28 application/vnd.in-toto+json %zu ", len) != OK ||
        buf_append(&bytes, text, len) != OK || buf_append(&b.payload, text, len) != OK ||
        trust_key_sign(k, bytes.data, bytes.len, &b.sig, &err) != OK)
        __builtin_trap();
    if (bundle_open(&b, k, "fuzz", &c, &err) == OK) {
        if (!c.tree.n || !c.name) __builtin_trap();
        for (size_t i = 0; i < c.tree.n; i++)
            if (!filetree_name_valid(c.tree.files[i].name)) __builtin_trap();
        for (size_t i = 0; i < c.n_ignore; i++)
            if (!filetree_name_valid(c.ignore[i]) || strcmp(c.ignore[i], ".") == 0)
                __builtin_trap();
        bundle_claim_fini(&c);
    }
    bundle_fini(&b);
    buf_fini(&bytes);
}

static void check_policy(const char *text, size_t len)
{
    struct policy p;
    struct error err = {0};
    if (policy_parse(text, len, "fuzz", &p, &err) != OK) {
        if (!err.msg[0]) __builtin_trap();
        return;
    }
    const struct policy_rule *r = policy_rule_for(&p, "qwen2.5-coder:1.5b");
    for (size_t i = 0; i < p.n_keys; i++) policy_rule_has_key(r, p.keys[i].name);
    policy_fini(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct trust_key key; /* as long as the process */
    if (!key.pkey &&
        trust_key_parse_secret(secret_pem, sizeof secret_pem - 1, "key", NULL, &key, NULL) != OK)
        __builtin_trap();
    if (size == 0) return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    if (data[0] == 'k')
        check_key(text, len);
    else if (data[0] == 'p')
        check_policy(text, len);
    else if (data[0] == 's')
        check_statement(&key, text, len);
    else
        check_signature(text, len);
    return 0;
}
