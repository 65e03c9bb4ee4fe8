/* Words, each with the ends that people put behind one to have another. */
#include "server/handlers/obvious_keys.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {
    "",           "abc",    "access",    "admin",     "api",      "api-key",   "api_key",
    "apikey",     "change", "change-me", "change_me", "changeit", "changeme",  "default",
    "demo",       "dev",    "dummy",     "example",   "foo",      "foobar",    "guest",
    "hello",      "key",    "letmein",   "login",     "master",   "mobilenet", "mobilenetd",
    "mykey",      "my-key", "operator",  "pass",      "passw0rd", "password",  "private",
    "prod",       "qwerty", "root",      "s3cr3t",    "sample",   "secret",    "secretkey",
    "secret-key", "server", "service",   "test",      "testing",  "testkey",   "test-key",
    "token",      "user",   "welcome",   "x",         "your-key", "your_key",  "yourkey",
    "YOUR_KEY",   "KEY",    "API_KEY",   "SECRET",    "TOKEN",    "PASSWORD",  "CHANGEME",
    "CHANGE_ME",
};
static const char *const ends[] = {
    "",  "0",  "1",  "2",  "3",  "4",   "5",    "6",     "7",      "8",        "9",
    "!", "-1", "-2", "_1", "12", "123", "1234", "12345", "123456", "12345678", "\n",
};
enum { WORDS = sizeof(words) / sizeof(words[0]), ENDS = sizeof(ends) / sizeof(ends[0]) };

static const struct srv_key *holder(const struct srv_keys *k, const unsigned char *digest)
{
    for (int i = 0; i < k->n; i++)
        if (memcmp(k->keys[i].digest, digest, SRV_KEY_DIGEST) == 0)
            return &k->keys[i];
    return NULL;
}

const struct srv_key *srv_keys_obvious(const struct srv_keys *k, char ret_word[SRV_OBVIOUS_MAX])
{
    const struct srv_key *found = NULL;
    unsigned char digest[SRV_KEY_DIGEST];
    for (int i = 0; i < WORDS * ENDS && k->n > 0 && !found; i++) {
        int len = snprintf(ret_word, SRV_OBVIOUS_MAX, "%s%s", words[i / ENDS], ends[i % ENDS]);
        if (gnutls_hash_fast(GNUTLS_DIG_SHA256, ret_word, (size_t)len, digest) == 0)
            found = holder(k, digest);
    }
    ret_word[strcspn(ret_word, "\n")] = 0; /* what `echo` puts behind a word */
    return found;
}
