/* Replies of our own image API as JSON text. What a task makes of an image is printed by the task;
 * the field names around it are here. Strings are UTF-8; invalid bytes become U+FFFD, a NULL string
 * null. Scores have the
 * fewest digits that read back as the same float, times 3 decimals. Results are one line ending in
 * a line feed, malloc'ed, NUL-terminated, owned by the caller; ret_len (may be NULL) counts without
 * the NUL. NULL: out of memory. */
#ifndef PROTO_REPLY_H
#define PROTO_REPLY_H

#include <stddef.h>
#include <stdint.h>

#include "protocol/span.h"

struct proto_prediction {
    int class_number;
    const char *label; /* NULL or "": unknown */
    float score;
};
/* An element of "predictions": {"class":…,"label":…,"score":…}. */
struct proto_buf;
void proto_reply_put_prediction(struct proto_buf *b, const struct proto_prediction *p);

/* One image's answer, or its error (status != 200: only `error` is read). Times in nanoseconds. */
struct proto_result {
    int status;
    const char *error;
    const char *model, *version, *variant; /* model = the name that was asked for or the family */
    struct proto_span members; /* what the task made of it, as text: "predictions":[…] */
    uint64_t queue_ns, decode_ns, preprocess_ns, inference_ns, total_ns;
    int batch;            /* images in the batch that it ran in */
    int degraded;         /* a lower variant than the best of its family ran it */
    int orientation;      /* of EXIF, that was applied: shown from 2 to 8 */
    int truncated;        /* less than the whole picture was there: shown if so */
    struct proto_span id; /* of a line: text of a JSON string or number; s NULL: none */
};

/* {"model":…,"version":…,"variant":…,MEMBERS,"timing_ms":{…},"batch":n},
 * behind the variant "degraded":true, "orientation":n and "truncated":true where they apply. */
char *proto_reply_one(const struct proto_result *r, size_t *ret_len);
/* {"results":[…]} in order, each as above plus "status", a failed one {"error":…,"status":…}. */
char *proto_reply_many(const struct proto_result *r, int n, size_t *ret_len);
/* One object a line: "id" if there is one, then as above. */
char *proto_reply_lines(const struct proto_result *r, int n, size_t *ret_len);
/* {"error":"sentence"} */
char *proto_reply_error(const char *sentence, size_t *ret_len);

/* GET /v1/models: {"models":[{"name":…,"version":…,"family":…,"variant":…,"state":…,"default":bool,
 * "task":…,"format":…,"precision":…,"input":{"height":n,"width":n},"classes":n,"mult_adds":n,
 * "parameters":n,"licence":…},…]} */
struct proto_model {
    const char *name, *version, *family, *variant, *state, *task, *format, *precision,
        *licence; /* task: what the model is for, as in the routes that answer it */
    int input_height, input_width, classes;
    uint64_t mult_adds, parameters;
    int is_default;
};
char *proto_reply_models(const struct proto_model *m, int n, size_t *ret_len);

/* What came of POST /v1/models/…/teach: {"model":…,"version":…,"classes":["a",…],"images":n,
 * "held_out":{"images":n,"right":n}} */
struct proto_taught {
    const char *model, *version;
    const char *const *classes;
    int n_classes, images, held_out, right;
};
char *proto_reply_taught(const struct proto_taught *t, size_t *ret_len);

/* Server-Timing value: queue;dur=0.01, decode;dur=…, preprocess;…, inference;…, total;… (ms), then
 * variant;desc="…" if there is one that a quoted string can hold, and degraded if it was.
 * Its length, or -ENOSPC (160 bytes and the variant are enough for a day). */
int proto_server_timing(const struct proto_result *r, char *buf, size_t len);

#endif
