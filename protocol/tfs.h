/* TensorFlow Serving REST (v1), which is KServe v1 too: predict in row and column form, classify,
 * status, metadata. Untrusted bytes. Errors are {"error":…} as of reply.h. */
#ifndef PROTO_TFS_H
#define PROTO_TFS_H

#include "protocol/infer.h"
#include "protocol/span.h"

/* One image or tensor of a request, as a span of the body. */
struct proto_instance {
    struct proto_span text;
    int is_string; /* the inside of a JSON string: base64; else the text of an array of numbers */
};

enum proto_tfs_form {
    PROTO_TFS_ROW,     /* {"instances":[…]} -> {"predictions":[…]} */
    PROTO_TFS_COLUMN,  /* {"inputs":…} -> {"outputs":…} */
    PROTO_TFS_CLASSIFY /* {"examples":[…]} -> {"results":[…]} */
};

struct proto_tfs_request {
    enum proto_tfs_form form;
    struct proto_span signature_name; /* s == NULL: not given. Escapes are kept */
    struct proto_span input_name;     /* of the named form {"name": …}; s == NULL: bare values */
    int n;                            /* instances */
};

/* An instance is an array of numbers, {"b64":"…"}, a string (taken as base64), or an object with
 * one of these under one name, the same name in all. 0 with items[0…n-1] filled; -EINVAL with a
 * sentence; -E2BIG: more than max. */
int proto_tfs_parse(struct proto_tfs_request *ret, const void *body, size_t len,
                    struct proto_instance *items, int max, char *err, size_t errlen);

/* Answers: malloc'ed, NUL-terminated; NULL: out of memory. The first dimension of every output is
 * the batch, the others are lists in lists: one bare list for one output, objects or lists by
 * name for several. NaN and infinities become null. */
char *proto_tfs_predictions(enum proto_tfs_form form, const struct proto_tensor *outputs, int n,
                            size_t *ret_len);

struct proto_tfs_class {
    const char *label;
    float score;
};
/* n images of k classes each, one after the other. The key is "results", as TF Serving writes it
 * (util/json_tensor.cc, kClassifyRegressResponseKey); its header and its manual say "result". */
char *proto_tfs_result(const struct proto_tfs_class *classes, int n, int k, size_t *ret_len);

struct proto_tfs_version {
    const char *version;
    const char *state;   /* START LOADING AVAILABLE UNLOADING END */
    const char *message; /* "" if all is well, then the code is OK; else UNKNOWN */
};
char *proto_tfs_status(const struct proto_tfs_version *versions, int n, size_t *ret_len);
/* One input and n outputs in the signature serving_default; shapes and types as of the tensors. */
char *proto_tfs_metadata(const char *name, const char *version, const struct proto_tensor *input,
                         const struct proto_tensor *outputs, int n, size_t *ret_len);

#endif
