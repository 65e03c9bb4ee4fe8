/* ModelInfer: the protobuf codec in front of the inference that every door shares (infer.h). */
#include <stdlib.h>

#include "server/handlers/api.h"
#include "server/handlers/call.h"
#include "server/handlers/handlers.h"
#include "server/handlers/infer.h"
#include "server/handlers/rpc_handlers.h"

static int parse(struct srv_infer *i, char *err, size_t errlen)
{
    return proto_infer_parse_grpc(&i->in, i->req->body, i->req->body_len, err, errlen);
}

static char *write_reply(struct srv_infer *i, size_t *ret_len)
{
    return proto_infer_reply_grpc(&i->reply, ret_len);
}

static const struct srv_infer_codec codec = {parse, write_reply};

static void answer(struct srv_infer *i, void *arg)
{
    struct srv_call *c = arg;
    if (srv_oip_failed(i, c))
        return;
    char *message = i->text;
    i->text = NULL;
    srv_rpc_reply(c, message, i->text_len);
}

void srv_rpc_infer(struct srv_call *c)
{
    struct srv_infer *i = srv_infer_create(c->api, c->req, &codec, answer, c);
    if (i)
        srv_infer_run(i);
    else
        srv_call_error(c, 503, "out of memory for the request");
}
