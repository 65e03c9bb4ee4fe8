/* The server and its models in the words of the Open Inference Protocol, for every transport. */
#ifndef SRV_DESCRIBE_H
#define SRV_DESCRIBE_H

#include "protocol/describe.h"
#include "server/handlers/infer.h"

struct srv_env;

/* Points into itself and into the model: neither may move or go while it is read. */
struct srv_description {
    struct proto_model_metadata metadata;
    struct proto_tensor input, outputs[PROTO_OUTPUTS_MAX];
    struct proto_property properties[16];
    char platform[64];
};

extern const struct proto_server_metadata srv_server_metadata;

/* name: what the client called it. With n outputs. */
void srv_describe_model(struct srv_description *ret, const struct srv_env *env,
                        const struct srv_model *m, const char *name,
                        const struct srv_output *outputs, int n);

/* batches: room for SRV_BATCH_MAX. */
void srv_describe_statistics(struct proto_model_statistics *ret,
                             struct proto_batch_statistics *batches, const struct srv_model *m);

/* The repository's index, those that cannot be served behind the others, or left out: n rows,
 * malloc'ed; *ret NULL: out of memory. */
int srv_describe_index_all(struct proto_model_index **ret, const struct srv_registry *r, int ready);

/* What the log lets through, and the other way round: the name of a level. */
struct proto_log_settings srv_describe_log(const char *level);
const char *srv_log_level_of(const struct proto_log_settings *l);

#endif
