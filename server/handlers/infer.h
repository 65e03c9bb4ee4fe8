/* Inference as the Open Inference Protocol sees it: named tensors in, named tensors out, whatever
 * carries them. A transport brings a request with its body and a codec; envelopes over 16 KB are
 * read on a worker, and so are long answers written.
 *
 * Input `input`: FP32 [n,h,w,3] or [n,3,h,w] (normalised, as the network's own input), UINT8
 * pixels (RGB) of the same shapes, BYTES [n] or [n,1] (encoded pictures). Outputs: see outputs.h.
 * Loop thread only, but for the codec's functions. */
#ifndef SRV_INFER_H
#define SRV_INFER_H

#include "protocol/infer.h"
#include "server/handlers/outputs.h"
#include "server/repository/registry.h"
#include "server/scheduler/request.h"

struct srv_api;
struct srv_infer;

/* Both run on a worker or on the loop, and touch nothing but the exchange and its request: on a
 * worker, the transport's own structures may be gone, and the configuration may change. */
struct srv_infer_codec {
    /* req->body to i->in. 0; -EINVAL with a sentence (400); -ENOMEM (503). With the model known it
     * may fill i->inputs itself, by srv_infer_make_inputs() and _put_*(), and, for answers that are
     * no tensors, set req->task and want its rows in place of i->in.outputs. */
    int (*parse)(struct srv_infer *i, char *err, size_t errlen);
    /* i->reply, or what the jobs brought back, as malloc'ed bytes; NULL: out of memory. */
    char *(*write)(struct srv_infer *i, size_t *ret_len);
};

/* An output of the answer. */
struct srv_chosen {
    struct srv_output output;
    int row;     /* index of what it is made of */
    int classes; /* wanted of it: the classification extension; 0: the tensor itself */
    int binary;
};

struct srv_infer {
    struct srv_api *api; /* the loop's */
    struct srv_req *req;
    const struct srv_infer_codec *codec;
    void (*done)(struct srv_infer *i, void *arg);
    void *arg;
    long header_len;    /* for the codec: Inference-Header-Content-Length, -1 if it is absent */
    const char *listed; /* where the message names no output: srv_outputs_choose() */
    void *more;         /* the codec's own */

    struct proto_infer_request in;
    int max_images, max_top_k; /* as configured when the request came */
    struct srv_input *inputs;  /* of the jobs */
    int n_inputs;
    struct srv_chosen *chosen; /* [reply.n_outputs] */

    /* The answer. 200: text; else error, in HTTP's numbers and in Triton's words. */
    int status;
    char error[256];
    struct proto_infer_reply reply;
    struct proto_tensor *outputs; /* the same as tensors */
    char *text;                   /* may be taken (and set NULL) */
    size_t text_len, text_header_len;
};

/* In the request's arena, and gone with the request. header_len is -1. NULL: out of memory. */
struct srv_infer *srv_infer_create(struct srv_api *api, struct srv_req *r,
                                   const struct srv_infer_codec *codec,
                                   void (*done)(struct srv_infer *i, void *arg), void *arg);

/* Calls `done` once, from here or later, unless the request is cancelled before. The request's
 * model may be set; if not, it is the one that the codec names in i->in. Its deadline, options and
 * descriptor must be set; priority and timeout of i->in are added here. */
void srv_infer_run(struct srv_infer *i);

/* What a name ("" = the default) and a version ("" = the standard one, else a number or a label)
 * mean. 0; -ENOENT or -ESRCH with a sentence in Triton's words. */
int srv_infer_find(const struct srv_registry *r, struct proto_span name, struct proto_span version,
                   struct srv_choice *ret, char *err, size_t errlen);
/* The same for a request that is to be answered: sets its model, labels have their shares. */
int srv_infer_choose(struct srv_req *r, struct proto_span name, struct proto_span version,
                     char *err, size_t errlen);

/* How the input of a model is best sent. */
enum proto_datatype srv_input_type(const struct srv_model *m);

/* For codecs; both fail the exchange where they return -1. Room for n jobs of this kind, and the
 * contents of job k: a JSON string of base64 or a data: URL, or a JSON array of the numbers of one
 * image, which are what srv_input_type() says. */
int srv_infer_make_inputs(struct srv_infer *i, int64_t n, enum srv_input_kind kind);
int srv_infer_put_text(struct srv_infer *i, int k, struct proto_span text);
int srv_infer_put_numbers(struct srv_infer *i, int k, struct proto_span text);

/* Parts of the exchange, for srv_infer_run() alone. */
void srv_infer_fail(struct srv_infer *i, int status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int srv_infer_choose_outputs(struct srv_infer *i); /* -1: failed */
int srv_infer_read_inputs(struct srv_infer *i);    /* -1: failed */
int srv_infer_make_outputs(struct srv_infer *i);   /* -1: failed */
size_t srv_infer_cost(const struct srv_infer *i);  /* of the answer, in floats as text */

#endif
