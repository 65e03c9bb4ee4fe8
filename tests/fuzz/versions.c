/* A versions.conf of any bytes: refused with a sentence, or a policy within its limits. */
#include "server/repository/versions.h"

#include <stdint.h>
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
    struct srv_policy p;
    char err[256] = "";
    double shares = 0;
    if (srv_policy_parse(&p, (const char *)data, size, err, sizeof(err)) < 0) {
        require(strncmp(err, "versions.conf, line ", 20) == 0);
        return 0;
    }
    require(p.n_versions >= 0 && p.n_versions <= SRV_SPECIFIC_MAX);
    require(p.n_labels >= 0 && p.n_labels <= SRV_LABELS_MAX);
    require(p.kind != SRV_LATEST || p.latest > 0);
    for (int i = 0; i < p.n_labels; i++) {
        const struct srv_label_rule *l = &p.labels[i];
        require(l->name[0] && memchr(l->name, 0, sizeof(l->name)) && l->version > 0);
        require(l->share >= 0 && l->share <= 1 && l->compare >= 0 && l->compare <= 1);
        shares += l->share;
    }
    require(shares < 1.001);
    return 0;
}
