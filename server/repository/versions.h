/* Which versions of a model are served, and what they are called besides their numbers: what the
 * file NAME/versions.conf says (docs/MODELS.md). Any thread. */
#ifndef SRV_VERSIONS_H
#define SRV_VERSIONS_H

#include <stddef.h>

enum { SRV_LABELS_MAX = 8, SRV_LABEL_MAX = 32, SRV_SPECIFIC_MAX = 64 };

enum srv_policy_kind { SRV_LATEST, SRV_ALL, SRV_SPECIFIC };

struct srv_label_rule {
    char name[SRV_LABEL_MAX];
    unsigned long version;
    double share;   /* 0..1, of the requests that name no version */
    double compare; /* 0..1, of those that it answers: also asked of the standard version */
};

struct srv_policy {
    enum srv_policy_kind kind;
    unsigned long latest; /* so many */
    unsigned long versions[SRV_SPECIFIC_MAX];
    int n_versions;
    struct srv_label_rule labels[SRV_LABELS_MAX];
    int n_labels;
};

/* -EINVAL with a sentence that names the line. */
int srv_policy_parse(struct srv_policy *ret, const char *text, size_t len, char *err,
                     size_t errlen);
/* Of a model's folder; without a file, the latest version. Or an errno of the file. */
int srv_policy_load(struct srv_policy *ret, const char *dir, char *err, size_t errlen);

/* Is version v, the next lower one, served, where `served` higher ones are? */
int srv_policy_wants(const struct srv_policy *p, unsigned long v, int served);

/* Versions are whole numbers without leading zeros; 0 for anything else. */
unsigned long srv_version_number(const char *s);

#endif
