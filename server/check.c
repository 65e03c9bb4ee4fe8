/* In the order of the start, so that the first mistake is the same. */
#include "server/check.h"

#include <errno.h>

#include "config/config.h"
#include "engine/engine.h"
#include "server/handlers/auth.h"
#include "server/repository/registry.h"
#include "server/transport/tls.h"

static int check_models(const struct cfg *cfg, uint32_t cpu_bits, FILE *warnings, char *err,
                        size_t errlen)
{
    struct srv_registry *r = NULL;
    const struct srv_registry_options options = {
        .dir = srv_models_dir(cfg->models),
        .single = cfg->model_name,
        .default_model = cfg->default_model,
        .cpu_bits = cpu_bits,
        .max_model_file = (size_t)cfg->max_model_file,
        .max_batch = 1,
        .workers = 1,
    };
    int rc = srv_registry_load(&r, &options, NULL, err, errlen);
    if (rc < 0)
        return rc;
    for (int i = 0; i < r->n_failures; i++)
        fprintf(warnings, "mobilenetd config: warning: model %s/%s: %s\n", r->failures[i].name,
                r->failures[i].version, r->failures[i].error);
    srv_registry_destroy(r);
    return 0;
}

int srv_check(const struct cfg *cfg, FILE *warnings, char *err, size_t errlen)
{
    struct srv_keys *keys = NULL;
    struct srv_tls_set *tls = NULL;
    uint32_t allowed;
    if (eng_cpu_parse(&allowed, cfg->isa) < 0) {
        snprintf(err, errlen, "isa = %s is not known", cfg->isa);
        return -EINVAL;
    }
    int rc = srv_keys_load(&keys, cfg->api_keys, err, errlen);
    if (rc == 0)
        rc = srv_tls_load(&tls, cfg->tls_cert, cfg->tls_key, cfg->tls_client_ca, err, errlen);
    if (rc == 0)
        rc = check_models(cfg, eng_cpu_detect() & allowed, warnings, err, errlen);
    srv_keys_destroy(keys);
    srv_tls_destroy(tls);
    return rc;
}
