/* Inference requests and answers of the Open Inference Protocol v2, whichever way they come: JSON,
 * JSON with binary tensors, one raw body, or gRPC. The codecs fill one structure of spans into the
 * body (which must stay), and only the accessors at the end look at the elements. Untrusted bytes.
 *
 * No name, shape or type is compared with a model's here: that is the server's part. */
#ifndef PROTO_INFER_H
#define PROTO_INFER_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/span.h"

enum proto_datatype {
    PROTO_NO_TYPE, /* the whole body is the tensor: as the model's input is */
    PROTO_BOOL,
    PROTO_UINT8,
    PROTO_UINT16,
    PROTO_UINT32,
    PROTO_UINT64,
    PROTO_INT8,
    PROTO_INT16,
    PROTO_INT32,
    PROTO_INT64,
    PROTO_FP16,
    PROTO_FP32,
    PROTO_FP64,
    PROTO_BF16,
    PROTO_BYTES,
};
size_t proto_datatype_size(enum proto_datatype type); /* bytes of an element; BYTES, NO_TYPE: 0 */
const char *proto_datatype_name(enum proto_datatype type);        /* "FP32"; "" for NO_TYPE */
enum proto_datatype proto_datatype_parse(struct proto_span name); /* NO_TYPE: unknown */

enum {
    PROTO_DIMS_MAX = 8,
    PROTO_INPUTS_MAX = 16,
    PROTO_OUTPUTS_MAX = 80,       /* 64 of a model's file, and what a server makes of them */
    PROTO_ELEMENTS_MAX = 1 << 28, /* product of a shape */
};

/* How the elements of an input stand in the body. */
enum proto_form {
    PROTO_FORM_JSON,   /* data: the text of a JSON array */
    PROTO_FORM_RAW,    /* data: little-endian elements; BYTES: 4-byte length before each */
    PROTO_FORM_PACKED, /* data: a protobuf InferTensorContents message */
};

struct proto_input {
    struct proto_span name, data;
    enum proto_datatype datatype;
    enum proto_form form;
    int n_dims;
    int64_t shape[PROTO_DIMS_MAX];
    size_t elements; /* product of the shape, 0 for NO_TYPE */
};

struct proto_output {
    struct proto_span name;
    int binary;         /* 1 or 0 as asked; -1: not said, binary_data_output decides */
    int classification; /* classes wanted, 0: the tensor itself */
};

struct proto_infer_request {
    struct proto_span model_name, model_version; /* gRPC only: REST has them in the path */
    struct proto_span id;                        /* s == NULL: none was given */
    struct proto_input inputs[PROTO_INPUTS_MAX];
    int n_inputs;
    struct proto_output outputs[PROTO_OUTPUTS_MAX];
    int n_outputs;          /* 0: all of the model's */
    int binary_data_output; /* default of outputs */
    uint64_t priority;      /* 0: the model's default, 1: the most urgent */
    uint64_t timeout_us;    /* 0: none */
    char *strings;          /* owns what had to be unescaped */
};

/* Of a REST body. header_len: value of Inference-Header-Content-Length, -1 if that header is
 * absent, 0: the body is one raw tensor. 0; -EINVAL with a sentence; -ENOMEM. On success
 * proto_infer_finish() frees. */
int proto_infer_parse_json(struct proto_infer_request *ret, const void *body, size_t len,
                           long header_len, char *err, size_t errlen);
/* Of a ModelInferRequest message. The same results; every output has `binary` set. */
int proto_infer_parse_grpc(struct proto_infer_request *ret, const void *body, size_t len, char *err,
                           size_t errlen);
void proto_infer_finish(struct proto_infer_request *r);

/* Elements of an FP32, or UINT8 or BOOL, tensor into ret[in->elements] from any form. 0; -EINVAL
 * with a sentence (other datatype, other number of elements, malformed). */
int proto_input_floats(const struct proto_input *in, float *ret, char *err, size_t errlen);
int proto_input_bytes(const struct proto_input *in, uint8_t *ret, char *err, size_t errlen);

/* Elements of a BYTES tensor. items[]: spans into the body; number of them, or -EINVAL with a
 * sentence, or -E2BIG (more than max, or the shape says so). */
struct proto_item {
    struct proto_span data;
    int is_json; /* the inside of a JSON string: base64, or a data: URL (base64.h) */
};
int proto_input_items(const struct proto_input *in, struct proto_item *items, int max, char *err,
                      size_t errlen);

/* --- answers --- */

struct proto_tensor {
    const char *name;
    enum proto_datatype datatype; /* any but FP16, FP64 and BF16 */
    int n_dims;
    int64_t shape[PROTO_DIMS_MAX];
    size_t elements;
    const void *data;           /* of the datatype; BYTES: NULL */
    const char *const *strings; /* BYTES: NUL-terminated, `elements` of them */
    int binary;
};

/* Element i of a tensor of whole numbers, or of BOOL: 0 or 1. UINT64 beyond INT64_MAX wraps. */
int64_t proto_tensor_integer(const struct proto_tensor *t, size_t i);

struct proto_infer_reply {
    const char *model_name, *model_version;
    struct proto_span id; /* echoed as it is; s == NULL: left out */
    const struct proto_tensor *outputs;
    int n_outputs;
};

/* One malloc'ed, NUL-terminated text, with binary tensors behind it if an output has binary set.
 * *ret_header_len: value for Inference-Header-Content-Length, or 0: all of it is JSON. NaN and
 * infinities, which JSON lacks, become null. NULL: out of memory. */
char *proto_infer_reply_json(const struct proto_infer_reply *r, size_t *ret_len,
                             size_t *ret_header_len);

/* One of these outputs: {"name":…,"datatype":…,"shape":[…],"data":[…]}. */
struct proto_buf;
void proto_infer_put_tensor(struct proto_buf *b, const struct proto_tensor *t);

/* A malloc'ed ModelInferResponse, its tensors in raw_output_contents. NULL: out of memory. */
char *proto_infer_reply_grpc(const struct proto_infer_reply *r, size_t *ret_len);
/* ModelStreamInferResponse around such a message, or around a failure. Both say that nothing more
 * comes for the request (triton_final_response, as Triton's src/grpc/stream_infer_handler.cc does),
 * so that a client which asks for empty final answers need not wait. NULL: out of memory. */
char *proto_infer_stream_reply(const char *message, size_t len, size_t *ret_len);
/* `id` of a ModelInferRequest that may be malformed; s == NULL: there is none. */
struct proto_span proto_infer_id(const void *message, size_t len);
char *proto_infer_stream_error(const char *sentence, struct proto_span id, size_t *ret_len);

/* Element of the classification extension: "<value>:<index>[:<label>]", value with 6 decimals. The
 * length as of snprintf(). label may be NULL or "". */
int proto_classification(char *buf, size_t len, float value, int index, const char *label);

#endif
