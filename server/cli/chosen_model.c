/* The model that a command line means. */
#include "server/cli/chosen_model.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "server/repository/registry.h"

enum eng_precision srv_precision(const char *name)
{
    static const struct {
        const char *name;
        enum eng_precision precision;
    } names[] = {
        {"int8", ENG_PRECISION_INT8}, {"uint8", ENG_PRECISION_UINT8}, {"fp32", ENG_PRECISION_FP32},
        {"bf16", ENG_PRECISION_BF16}, {"fp32x", ENG_PRECISION_FP32X},
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].precision;
    return ENG_PRECISION_AUTO;
}

static enum eng_form form(const char *name)
{
    return strcmp(name, "full") == 0      ? ENG_FORM_FULL
           : strcmp(name, "shallow") == 0 ? ENG_FORM_SHALLOW
                                          : ENG_FORM_SEPARABLE;
}

uint32_t srv_allowed_cpu(const struct cfg *cfg)
{
    uint32_t allowed = 0;
    eng_cpu_parse(&allowed, cfg->isa);
    return eng_cpu_detect() & allowed;
}

int srv_chosen_model_built(struct eng_model **ret, const struct cfg *cfg, char *err, size_t errlen)
{
    struct eng_model_options options = {.precision = srv_precision(cfg->precision),
                                        .cpu_bits = srv_allowed_cpu(cfg)};
    struct eng_mobilenet_spec spec = {
        .generation = (int)cfg->generation,
        .alpha = cfg->alpha,
        .rho = (int)cfg->rho,
        .classes = (int)cfg->classes,
        .form = form(cfg->form),
        .seed = (uint64_t)cfg->seed,
    };
    if (options.precision == ENG_PRECISION_AUTO)
        options.precision = ENG_PRECISION_INT8;
    return eng_model_build(ret, &spec, &options, err, errlen);
}

/* Why a model that should be there is not: the failure of its name, or of the first. */
static int not_found(const struct srv_registry *r, const char *name, char *err, size_t errlen)
{
    for (int i = 0; i < r->n_failures; i++)
        if (strcmp(r->failures[i].name, name) == 0) {
            snprintf(err, errlen, "%s: %s", name, r->failures[i].error);
            return -EINVAL;
        }
    snprintf(err, errlen, "there is no model named \"%s\"", name);
    return -ENOENT;
}

/* Of the repository, that model alone; *ret_model is the registry's. */
static int load_one(struct srv_registry **ret, struct srv_model **ret_model, const struct cfg *cfg,
                    const char *name, char *err, size_t errlen)
{
    struct srv_registry *registry = NULL;
    struct srv_registry_options ro = {.dir = srv_models_dir(cfg->models),
                                      .default_model = name,
                                      .only = name,
                                      .cpu_bits = srv_allowed_cpu(cfg),
                                      .max_batch = 1,
                                      .workers = 1};
    const char *called;
    int rc = srv_registry_load(&registry, &ro, NULL, err, errlen);
    if (rc < 0)
        return rc;
    /* Of a name with a version that cannot be loaded no older one takes its place: it would be
     * another network than the one that is meant. */
    if (srv_registry_failure(registry, name, NULL) ||
        !(*ret_model = srv_registry_find(registry, name, &called))) {
        rc = not_found(registry, name, err, errlen);
        srv_registry_destroy(registry);
        return rc;
    }
    *ret = registry;
    return 0;
}

static int version_dir(char *ret, size_t len, const struct cfg *cfg, const struct srv_model *m)
{
    int n = snprintf(ret, len, "%s/%s/%s", srv_models_dir(cfg->models), m->info->name,
                     m->info->version);
    return n < (int)len ? 0 : -ENAMETOOLONG;
}

int srv_chosen_model_dir(char *ret, size_t len, const struct cfg *cfg, char *err, size_t errlen)
{
    struct srv_registry *registry;
    struct srv_model *m;
    const char *name = cfg->n_args > 0 ? cfg->args[0] : cfg->model;
    if (cfg->n_args > 1) {
        snprintf(err, errlen, "more than one model is named: \"%s\"", cfg->args[1]);
        return -EINVAL;
    }
    if (strchr(name, '/')) {
        snprintf(ret, len, "%s", name);
        return 0;
    }
    int rc = load_one(&registry, &m, cfg, name, err, errlen);
    if (rc < 0)
        return rc;
    rc = version_dir(ret, len, cfg, m);
    srv_registry_destroy(registry);
    return rc;
}

static int find(struct eng_model **ret, const struct cfg *cfg, const char *name,
                const struct eng_model_options *options, char *err, size_t errlen)
{
    struct srv_registry *registry;
    struct srv_model *m;
    char dir[4096];
    int rc = load_one(&registry, &m, cfg, name, err, errlen);
    if (rc < 0)
        return rc;
    if (options->precision == ENG_PRECISION_AUTO)
        *ret = eng_model_ref(m->eng);
    else if ((rc = version_dir(dir, sizeof(dir), cfg, m)) == 0)
        rc = eng_model_load(ret, dir, options, err, errlen);
    srv_registry_destroy(registry);
    return rc;
}

int srv_chosen_model(struct eng_model **ret, const struct cfg *cfg, char *err, size_t errlen)
{
    struct eng_model_options options = {.precision = srv_precision(cfg->precision),
                                        .cpu_bits = srv_allowed_cpu(cfg)};
    if (cfg->n_args > 1) {
        snprintf(err, errlen, "more than one model is named: \"%s\"", cfg->args[1]);
        return -EINVAL;
    }
    const char *name = cfg->n_args == 1 ? cfg->args[0] : cfg->model;
    if (strchr(name, '/'))
        return eng_model_load(ret, name, &options, err, errlen);
    if (name[0] || cfg->models[0])
        return find(ret, cfg, name, &options, err, errlen);
    return srv_chosen_model_built(ret, cfg, err, errlen);
}
