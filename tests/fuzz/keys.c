/* A file of API keys of any bytes: refused with a sentence that names the line, or taken, and then
 * nobody gets in by accident. */
#include "server/handlers/auth.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct srv_credentials nobody = {"Bearer nobody's", NULL};
    struct srv_keys *keys = NULL;
    char err[256] = "";
    int rc = srv_keys_parse(&keys, (const char *)data, size, err, sizeof(err));
    if (rc < 0) {
        require(!keys && strncmp(err, "line ", 5) == 0);
        return 0;
    }
    require(keys->n <= SRV_KEYS_MAX);
    for (int i = 0; i < keys->n; i++) {
        const struct srv_key *k = &keys->keys[i];
        require(k->name[0] && memchr(k->name, 0, sizeof(k->name)));
        require(k->scopes && !(k->scopes & SRV_SCOPE_OPEN));
        require(k->rate == 0 || (k->rate > 0 && k->burst >= 1));
    }
    require(srv_auth(keys, SRV_SCOPE_INFER, &nobody, 1, 1).status == 401);
    srv_keys_destroy(keys);
    return 0;
}
