/* What both ports say in TLS: the one policy, tickets, and certificates: files to something that a
 * TLS session asks for them, and a new set in its place while sessions of the old one go on. Loop
 * thread only, but for loading. */
#ifndef SRV_TLS_H
#define SRV_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdint.h>

/* One set of files. Sessions point into it, so a set that was in force stays until the end. */
struct srv_tls_set {
    struct srv_tls_set *older;
    gnutls_pcert_st *chain;
    unsigned chain_len;
    gnutls_privkey_t key;
    gnutls_x509_trust_list_t clients; /* NULL: no certificate is asked for */
    unsigned char digest[32];         /* of the files */
    gnutls_datum_t ticket_key;        /* as srv_tls_ticket_key() last had it */
    uint64_t ticket_key_ns;
};

/* For gnutls_priority_init(): TLS 1.2 and 1.3, fresh keys (ECDHE) and authenticated ciphers alone,
 * which is also what HTTP/2 demands (RFC 9113 9.2). */
const char *srv_tls_policy(void);

/* cert: chain, PEM, the server's own first; key: PEM; client_ca: PEM, "" = clients need no
 * certificate. cert and key "": *ret = NULL, no TLS. A negative errno with a sentence that names
 * the option: -EINVAL if one is missing, cannot be parsed, or does not belong to the other. */
int srv_tls_load(struct srv_tls_set **ret, const char *cert, const char *key, const char *client_ca,
                 char *err, size_t errlen);
void srv_tls_destroy(struct srv_tls_set *t); /* and the older ones */
/* The set that is in force from now on: `next`, or `now` if the files are the same. */
struct srv_tls_set *srv_tls_replace(struct srv_tls_set *now, struct srv_tls_set *next_take);

/* What tickets are sealed with: random, a day old at most, and another for each set: whoever was
 * let in by one certificate comes back under it alone. GnuTLS derives a key of some hours from it,
 * and knows the one before. Valid until the next call; NULL: none can be made. */
const gnutls_datum_t *srv_tls_ticket_key(struct srv_tls_set *t, uint64_t now_ns);
/* Before the handshake: the client can come back within the hour without a full one (RFC 5077, RFC
 * 8446 2.2), never with early data. Without memory there are no tickets. */
void srv_tls_resume(struct srv_tls_set *t, gnutls_session_t session);

/* In the middle of a handshake, for gnutls_certificate_retrieve_function2: whom the session shall
 * show, and whether it must be shown one. 0. */
int srv_tls_offer(const struct srv_tls_set *t, gnutls_session_t session,
                  gnutls_certificate_verify_function *verify, gnutls_pcert_st **ret,
                  unsigned *ret_len, gnutls_privkey_t *ret_key);
/* 0, or a code of GnuTLS: who is at the other end is nobody that `t` trusts. */
int srv_tls_verify_client(const struct srv_tls_set *t, gnutls_session_t session);

#endif
