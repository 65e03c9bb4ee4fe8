/* Clients are verified against a list of our own and not the library's, which could not be
 * changed while the server runs. */
#include "server/transport/tls.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/x509.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/clock.h"

enum { CHAIN_MAX = 16, FILE_MAX = 4 << 20, TICKET_S = 3600 };

#define TICKET_KEY_NS (24ull * 3600 * 1000 * SRV_NS_PER_MS)

const char *srv_tls_policy(void)
{
    return "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:"
           "-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD";
}

static int fail(int rc, const char *what, const char *path, const char *why, char *err,
                size_t errlen)
{
    snprintf(err, errlen, "%s: %s: %s", what, path, why);
    return rc;
}

static int load_file(gnutls_datum_t *ret, const char *what, const char *path, char *err,
                     size_t errlen)
{
    int rc = gnutls_load_file(path, ret);
    if (rc < 0) {
        ret->data = NULL;
        return fail(-EINVAL, what, path, "it cannot be read", err, errlen);
    }
    if (ret->size <= FILE_MAX)
        return 0;
    return fail(-EFBIG, what, path, "it is larger than 4 MB", err, errlen);
}

static int load_chain(struct srv_tls_set *t, const gnutls_datum_t *pem)
{
    t->chain = calloc(CHAIN_MAX, sizeof(*t->chain));
    unsigned n = CHAIN_MAX;
    if (!t->chain)
        return GNUTLS_E_MEMORY_ERROR;
    int rc = gnutls_pcert_list_import_x509_raw(t->chain, &n, pem, GNUTLS_X509_FMT_PEM,
                                               GNUTLS_X509_CRT_LIST_FAIL_IF_UNSORTED);
    if (rc == 0)
        t->chain_len = n;
    return rc == 0 && n == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : rc;
}

static int load_key(struct srv_tls_set *t, const gnutls_datum_t *pem)
{
    int rc = gnutls_privkey_init(&t->key);
    if (rc < 0) {
        t->key = NULL;
        return rc;
    }
    return gnutls_privkey_import_x509_raw(t->key, pem, GNUTLS_X509_FMT_PEM, NULL, 0);
}

/* The certificate is of this key: their public halves are one. */
static int belongs(const struct srv_tls_set *t)
{
    unsigned char a[64], b[64];
    size_t a_len = sizeof(a), b_len = sizeof(b);
    gnutls_pubkey_t of_key;
    if (gnutls_pubkey_init(&of_key) < 0)
        return 0;
    int rc = gnutls_pubkey_import_privkey(of_key, t->key, 0, 0);
    if (rc == 0)
        rc = gnutls_pubkey_get_key_id(of_key, GNUTLS_KEYID_USE_SHA256, a, &a_len);
    if (rc == 0)
        rc = gnutls_pubkey_get_key_id(t->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &b_len);
    gnutls_pubkey_deinit(of_key);
    return rc == 0 && a_len == b_len && memcmp(a, b, a_len) == 0;
}

static int load_clients(struct srv_tls_set *t, const gnutls_datum_t *pem)
{
    int rc = gnutls_x509_trust_list_init(&t->clients, 0);
    if (rc < 0) {
        t->clients = NULL;
        return rc;
    }
    rc = gnutls_x509_trust_list_add_trust_mem(t->clients, pem, NULL, GNUTLS_X509_FMT_PEM, 0, 0);
    return rc == 0 ? GNUTLS_E_NO_CERTIFICATE_FOUND : rc; /* it counts them */
}

static int take_digest(struct srv_tls_set *t, const gnutls_datum_t files[3])
{
    gnutls_hash_hd_t h;
    int rc = gnutls_hash_init(&h, GNUTLS_DIG_SHA256);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 3; i++) {
        gnutls_hash(h, &files[i].size, sizeof(files[i].size));
        if (files[i].size)
            gnutls_hash(h, files[i].data, files[i].size);
    }
    gnutls_hash_deinit(h, t->digest);
    return 0;
}

static int load(struct srv_tls_set *t, gnutls_datum_t files[3], const char *const paths[3],
                char *err, size_t errlen)
{
    static const char *const options[] = {"tls_cert", "tls_key", "tls_client_ca"};
    static int (*const take[])(struct srv_tls_set *,
                               const gnutls_datum_t *) = {load_chain, load_key, load_clients};
    for (int i = 0; i < 3; i++) {
        if (!paths[i][0])
            continue;
        int rc = load_file(&files[i], options[i], paths[i], err, errlen);
        if (rc < 0)
            return rc;
        rc = take[i](t, &files[i]);
        if (rc < 0)
            return fail(-EINVAL, options[i], paths[i], gnutls_strerror(rc), err, errlen);
    }
    if (!belongs(t))
        return fail(-EINVAL, "tls_key", paths[1], "it is not the key of tls_cert", err, errlen);
    return take_digest(t, files) < 0 ? -ENOMEM : 0;
}

int srv_tls_load(struct srv_tls_set **ret, const char *cert, const char *key, const char *client_ca,
                 char *err, size_t errlen)
{
    const char *const paths[] = {cert, key, client_ca};
    gnutls_datum_t files[3] = {{NULL, 0}, {NULL, 0}, {NULL, 0}};
    if (!cert[0] && !key[0] && !client_ca[0]) {
        *ret = NULL;
        return 0;
    }
    if (!cert[0] || !key[0]) {
        snprintf(err, errlen, "TLS needs both tls_cert and tls_key");
        return -EINVAL;
    }
    struct srv_tls_set *t = calloc(1, sizeof(*t));
    int rc = t ? load(t, files, paths, err, errlen) : -ENOMEM;
    if (files[1].data)
        gnutls_memset(files[1].data, 0, files[1].size);
    for (int i = 0; i < 3; i++)
        gnutls_free(files[i].data);
    if (rc == -ENOMEM)
        snprintf(err, errlen, "out of memory");
    if (rc < 0)
        srv_tls_destroy(t);
    else
        *ret = t;
    return rc;
}

static void forget_ticket_key(struct srv_tls_set *t)
{
    if (t->ticket_key.data)
        gnutls_memset(t->ticket_key.data, 0, t->ticket_key.size);
    gnutls_free(t->ticket_key.data);
    t->ticket_key = (gnutls_datum_t){NULL, 0};
}

const gnutls_datum_t *srv_tls_ticket_key(struct srv_tls_set *t, uint64_t now_ns)
{
    if (t->ticket_key.data && now_ns - t->ticket_key_ns < TICKET_KEY_NS)
        return &t->ticket_key;
    forget_ticket_key(t);
    if (gnutls_session_ticket_key_generate(&t->ticket_key) < 0) {
        t->ticket_key = (gnutls_datum_t){NULL, 0};
        return NULL;
    }
    t->ticket_key_ns = now_ns;
    return &t->ticket_key;
}

void srv_tls_resume(struct srv_tls_set *t, gnutls_session_t session)
{
    const gnutls_datum_t *key = srv_tls_ticket_key(t, srv_now_ns());
    gnutls_db_set_cache_expiration(session, TICKET_S);
    if (key)
        gnutls_session_ticket_enable_server(session, key);
}

void srv_tls_destroy(struct srv_tls_set *t)
{
    while (t) {
        struct srv_tls_set *older = t->older;
        for (unsigned i = 0; i < t->chain_len; i++)
            gnutls_pcert_deinit(&t->chain[i]);
        free(t->chain);
        if (t->key)
            gnutls_privkey_deinit(t->key);
        if (t->clients)
            gnutls_x509_trust_list_deinit(t->clients, 1);
        forget_ticket_key(t);
        free(t);
        t = older;
    }
}

struct srv_tls_set *srv_tls_replace(struct srv_tls_set *now, struct srv_tls_set *next_take)
{
    if (now && memcmp(now->digest, next_take->digest, sizeof(now->digest)) == 0) {
        srv_tls_destroy(next_take);
        return now;
    }
    next_take->older = now;
    if (now)
        forget_ticket_key(now);
    return next_take;
}

int srv_tls_offer(const struct srv_tls_set *t, gnutls_session_t session,
                  gnutls_certificate_verify_function *verify, gnutls_pcert_st **ret,
                  unsigned *ret_len, gnutls_privkey_t *ret_key)
{
    if (t->clients) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_function(session, verify);
    }
    *ret = t->chain;
    *ret_len = t->chain_len;
    *ret_key = t->key;
    return 0;
}

int srv_tls_verify_client(const struct srv_tls_set *t, gnutls_session_t session)
{
    gnutls_x509_crt_t chain[CHAIN_MAX];
    gnutls_typed_vdata_st purpose = {GNUTLS_DT_KEY_PURPOSE_OID,
                                     (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT, 0};
    unsigned n = 0, made = 0, status = ~0u;
    const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, &n);
    int rc = peers && n > 0 && n <= CHAIN_MAX && t->clients ? 0 : GNUTLS_E_CERTIFICATE_ERROR;
    while (rc == 0 && made < n) {
        rc = gnutls_x509_crt_init(&chain[made]);
        if (rc < 0)
            break;
        rc = gnutls_x509_crt_import(chain[made], &peers[made], GNUTLS_X509_FMT_DER);
        made++;
    }
    if (rc == 0)
        rc =
            gnutls_x509_trust_list_verify_crt2(t->clients, chain, n, &purpose, 1, 0, &status, NULL);
    for (unsigned i = 0; i < made; i++)
        gnutls_x509_crt_deinit(chain[i]);
    return rc < 0 || status != 0 ? GNUTLS_E_CERTIFICATE_ERROR : 0;
}
