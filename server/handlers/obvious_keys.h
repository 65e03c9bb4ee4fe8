/* Digests of words that are no keys: what people type to try something, and passwords that
 * everybody tries first. */
#ifndef SRV_OBVIOUS_KEYS_H
#define SRV_OBVIOUS_KEYS_H

#include "server/handlers/auth.h"

/* A key whose digest is that of such a word, which comes back; NULL: there is none. Hashes more
 * than a thousand words. */
enum { SRV_OBVIOUS_MAX = 32 };
const struct srv_key *srv_keys_obvious(const struct srv_keys *k, char ret_word[SRV_OBVIOUS_MAX]);

#endif
