/* ModelInferRequest, its tensors, and protobuf-c behind the walk, on the same bytes: what both read
 * they must read alike. And the requests of the small procedures. */
#include "protocol/describe.h"
#include "protocol/infer.h"
#include "protocol/rpc.h"
#include "protocol/unpack.h"

#include "inference.pb-c.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ELEMENTS = 4096 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static void read_tensor(const struct proto_input *in)
{
    static struct proto_item items[ELEMENTS];
    static float floats[ELEMENTS];
    static uint8_t bytes[ELEMENTS];
    char err[160];
    if (in->elements > ELEMENTS)
        return;
    proto_input_floats(in, floats, err, sizeof(err));
    proto_input_bytes(in, bytes, err, sizeof(err));
    int n = proto_input_items(in, items, ELEMENTS, err, sizeof(err));
    require(n < 0 || (size_t)n == in->elements);
}

static void same_text(struct proto_span span, const char *text)
{
    require(span.len == strlen(text) && (!span.len || !memcmp(span.s, text, span.len)));
}

static void compare(const struct proto_infer_request *r, const Inference__ModelInferRequest *m)
{
    same_text(r->model_name, m->model_name);
    require((size_t)r->n_inputs == m->n_inputs && (size_t)r->n_outputs == m->n_outputs);
    for (int i = 0; i < r->n_inputs; i++) {
        same_text(r->inputs[i].name, m->inputs[i]->name);
        require((size_t)r->inputs[i].n_dims == m->inputs[i]->n_shape);
        for (int k = 0; k < r->inputs[i].n_dims; k++)
            require(r->inputs[i].shape[k] == m->inputs[i]->shape[k]);
    }
}

static void small_requests(const uint8_t *data, size_t size)
{
    struct proto_rpc_model model;
    struct proto_log_settings log = {1, 1, 1, 0};
    char service[PROTO_RPC_NAME_MAX], err[160], *reply;
    size_t len;
    int flag, changes;
    if (proto_rpc_parse_model(data, size, &model) == 0)
        require(strlen(model.name) < sizeof(model.name));
    if (proto_health_parse(data, size, service) == 0)
        require(strlen(service) < sizeof(service));
    proto_index_parse_grpc(data, size, &flag);
    proto_log_parse_grpc(data, size, &log, &changes, err, sizeof(err));
    if (proto_reflection_reply(data, size, &reply, &len) == 0) {
        require(len > 0);
        free(reply);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        &inference__model_infer_request__descriptor,
        &inference__model_infer_response__descriptor,
        &inference__model_config_response__descriptor,
        &inference__repository_model_load_request__descriptor,
    };
    struct proto_infer_request r;
    struct proto_unpacked u;
    char err[160];
    int parsed = proto_infer_parse_grpc(&r, data, size, err, sizeof(err)) == 0;
    for (int i = 0; parsed && i < r.n_inputs; i++)
        read_tensor(&r.inputs[i]);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (proto_unpack(&u, types[i], data, size) < 0)
            continue;
        if (i == 0 && parsed)
            compare(&r, u.message);
        proto_unpack_finish(&u);
    }
    if (parsed)
        proto_infer_finish(&r);
    small_requests(data, size);
    return 0;
}
