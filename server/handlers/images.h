/* The images of one call of our own API, whichever way they came, and the answer to each. Lies in
 * the request's arena. An image that is no image fails alone. */
#ifndef SRV_IMAGES_H
#define SRV_IMAGES_H

#include "protocol/reply.h"
#include "server/handlers/call.h"

enum srv_images_form {
    SRV_ONE,   /* the answer is an object, or its error */
    SRV_MANY,  /* a list */
    SRV_LINES, /* NDJSON: an object a line */
};

struct srv_image {
    struct proto_span id;
    int input;      /* index of its job; -1: it has none */
    char error[96]; /* then this says why */
};

struct srv_images {
    struct srv_req *req;
    struct srv_call *call; /* loop only: on a worker it may be gone */
    int limit;             /* of images */
    enum srv_images_form form;
    struct srv_image *all;
    int n;
    struct srv_input *inputs;
    int n_inputs;
    int status; /* not 0: the whole call is refused */
    char error[160];

    unsigned char *back; /* by job; NULL: the answer is not streamed */
    int told;            /* lines that have left */

    struct proto_result *results;
    char *body; /* of the answer */
    size_t body_len;
    const char *type;
};

/* ---- images_body.c, loop or worker ---- */

enum srv_body_kind { SRV_BODY_RAW, SRV_BODY_MULTIPART, SRV_BODY_JSON, SRV_BODY_LINES };

/* By Content-Type, or by the look of the body. boundary: at least 128 bytes. -1: it has replied. */
int srv_images_kind(struct srv_call *c, enum srv_body_kind *ret, char *boundary, size_t len);
/* Fills all, inputs, form; or status and error. */
void srv_images_read(struct srv_images *im, enum srv_body_kind kind, const char *boundary);

/* ---- images_answer.c ---- */

/* With every job back: writes the answer into im->body, or status and error. Loop or worker. */
void srv_images_write(struct srv_images *im);
/* Worth a worker? */
int srv_images_is_long(const struct srv_images *im);
/* Loop: replies with what was written. */
void srv_images_reply(struct srv_images *im);
/* Loop, before the jobs are submitted: may lines leave as they are ready? -ENOMEM. */
int srv_images_stream(struct srv_images *im);
/* Loop: a job is back. All lines that can leave do, in order. */
void srv_images_part(struct srv_images *im, const struct srv_job *j);

#endif
