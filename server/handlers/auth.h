/* Who may call what, and how often: API keys from a file, and the one check that every transport
 * passes. Knows nothing of HTTP or gRPC. Loop thread only, but for loading.
 *
 * The file holds SHA-256 digests, never keys. They are not salted: a key is 128 random bits or
 * more, so there is no dictionary to try. Format: docs/SECURITY.md. */
#ifndef SRV_AUTH_H
#define SRV_AUTH_H

#include <stddef.h>
#include <stdint.h>

/* What a key is good for; of a route: a key with any of these may call it. */
enum {
    SRV_SCOPE_INFER = 1 << 0,
    SRV_SCOPE_ADMIN = 1 << 1,
    SRV_SCOPE_METRICS = 1 << 2,
    SRV_SCOPE_OPEN = 1 << 3, /* of routes alone: no key is asked for */
};

enum {
    SRV_KEY_NAME_MAX = 64,      /* with its NUL */
    SRV_KEY_DIGEST = 32,        /* SHA-256 */
    SRV_KEY_SECRET_MAX = 512,   /* bytes of a key; longer ones are not looked at */
    SRV_KEYS_MAX = 1024,        /* lines of a file */
    SRV_KEYS_FILE_MAX = 1 << 18 /* bytes of it */
};

struct srv_key {
    char name[SRV_KEY_NAME_MAX];
    unsigned char digest[SRV_KEY_DIGEST];
    unsigned scopes;
    double rate; /* requests a second; 0: no limit */
    double burst, tokens;
    int most_urgent;     /* priority that its requests may ask for; 0: any */
    uint64_t longest_ns; /* time that its requests may have; 0: any */
    uint64_t filled_ns;  /* when `tokens` was true; 0: never used, full */
};

struct srv_keys {
    int n;
    struct srv_key keys[];
};

/* -EINVAL with a sentence that names the line; -ENOMEM. */
int srv_keys_parse(struct srv_keys **ret, const char *text, size_t len, char *err, size_t errlen);
/* The same from a file; path "": *ret = NULL, no keys are asked for. Or an errno of the file. */
int srv_keys_load(struct srv_keys **ret, const char *path, char *err, size_t errlen);
void srv_keys_destroy(struct srv_keys *k);
/* After a reload a client's bucket is as full as it was. prev may be NULL. */
void srv_keys_inherit(struct srv_keys *next, const struct srv_keys *prev);

struct srv_credentials {
    const char *authorization; /* values of headers; NULL: not sent */
    const char *api_key;
};

struct srv_verdict {
    int status;               /* 0: go on; 401, 403 or 429 */
    const char *sentence;     /* for people, if refused */
    const char *challenge;    /* for WWW-Authenticate; NULL: none */
    int retry_after_s;        /* of a 429 */
    const struct srv_key *by; /* NULL: nobody known */
};

/* May these credentials call a route with these scopes (0: infer)? keys NULL: everybody may, but
 * nobody is admin. charge: takes one request from the key's bucket. */
struct srv_verdict srv_auth(struct srv_keys *keys, unsigned scopes, const struct srv_credentials *c,
                            int charge, uint64_t now_ns);

#endif
