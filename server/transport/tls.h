/* Certificates: files to something that a TLS session asks for them, and a new set in its place
 * while sessions of the old one go on. Loop thread only, but for loading. */
#ifndef SRV_TLS_H
#define SRV_TLS_H

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

/* One set of files. Sessions point into it, so a set that was in force stays until the end. */
struct srv_tls_set {
    struct srv_tls_set *older;
    gnutls_pcert_st *chain;
    unsigned chain_len;
    gnutls_privkey_t key;
    gnutls_x509_trust_list_t clients; /* NULL: no certificate is asked for */
    unsigned char digest[32];         /* of the files */
};

/* cert: chain, PEM, the server's own first; key: PEM; client_ca: PEM, "" = clients need no
 * certificate. cert and key "": *ret = NULL, no TLS. A negative errno with a sentence that names
 * the option: -EINVAL if one is missing, cannot be parsed, or does not belong to the other. */
int srv_tls_load(struct srv_tls_set **ret, const char *cert, const char *key, const char *client_ca,
                 char *err, size_t errlen);
void srv_tls_destroy(struct srv_tls_set *t); /* and the older ones */
/* The set that is in force from now on: `next`, or `now` if the files are the same. */
struct srv_tls_set *srv_tls_replace(struct srv_tls_set *now, struct srv_tls_set *next_take);

/* In the middle of a handshake, for gnutls_certificate_retrieve_function2: whom the session shall
 * show, and whether it must be shown one. 0. */
int srv_tls_offer(const struct srv_tls_set *t, gnutls_session_t session,
                  gnutls_certificate_verify_function *verify, gnutls_pcert_st **ret,
                  unsigned *ret_len, gnutls_privkey_t *ret_key);
/* 0, or a code of GnuTLS: who is at the other end is nobody that `t` trusts. */
int srv_tls_verify_client(const struct srv_tls_set *t, gnutls_session_t session);

#endif
