/* A task: what is made of a model's outputs. One file a task, one row a task in tasks.def.
 *
 * A task says which rows it needs of each image (scheduler/rows.h; there the cache finds what it
 * keys, and the brown-out what it may exchange), what parameters it has, and how an image's answer
 * is printed: as members of the JSON object of our own API, and as named tensors, which the Open
 * Inference Protocol (JSON, binary, gRPC) and TensorFlow Serving carry.
 *
 * What costs time belongs into a row, which a worker fills, and which the cache keeps. What depends
 * on an option that clients vary (a threshold) is better done in print(), so that one row answers
 * them all. */
#ifndef SRV_TASK_H
#define SRV_TASK_H

#include "protocol/buffer.h"
#include "protocol/infer.h"
#include "server/repository/model.h"
#include "server/scheduler/rows.h"

struct srv_job;
struct srv_req;

/* A tensor that a task gives of a model. */
struct srv_output {
    const char *name; /* lives as long as the model; of two tasks' the first one's is meant */
    enum proto_datatype datatype;
    int n_dims; /* of one image, without the batch */
    int64_t shape[PROTO_DIMS_MAX];
    size_t elements;
    const struct srv_row_kind *kind; /* the row that it is made of, by srv_rows_want() */
    int64_t a, b;
    /* One image's row into `elements` of the datatype. NULL: the row is just that. */
    void (*convert)(const struct srv_output *o, const struct srv_job *j, const void *row, void *to);
    int listed; /* 0: known by name alone; 1: one of `all`; 2: usual, where this is the model's task
                 */
    int ranked; /* strings of the best classes (shape[0] of them if no number is given) */
    int first;  /* `ranked`: indices below it never rank */
    int scores; /* an element is the score of a class: its label is known */
};

struct srv_task {
    const char *name;
    /* Is it what the model is for? Of two the first. What a model is for decides what it answers
     * where no output is named. */
    int (*is_for)(const struct srv_model *m);
    /* 0: the model does it, asked or not; else -1, and what stands behind 'the model "m" '. */
    int (*check)(const struct srv_model *m, char *why, size_t len);

    /* ---- our own API; NULL where it has no route ---- */

    /* Its parameters in a query, a form and a JSON message, with blanks between; "": none. A
     * route's row names them, too. */
    const char *fields;
    /* Loop: the defaults, into r->options; r has its model. -ENOMEM. May be NULL. */
    int (*begin)(struct srv_req *r);
    /* Loop or worker: a parameter. -EINVAL with a sentence that names it. */
    int (*set)(struct srv_req *r, const char *name, const char *value, char *err, size_t errlen);
    /* Loop or worker: the rows that it needs. -ENOMEM. */
    int (*want)(struct srv_req *r);
    /* Loop or worker: members of an answered image's object, by proto_buf_key() and its like. */
    void (*print)(struct proto_buf *to, const struct srv_req *r, const struct srv_job *j);
    /* What an image's answer costs, in floats as text: long ones are printed by a worker. */
    size_t (*cost)(const struct srv_req *r);
    /* An answer in place of JSON, for all images together. Its type; NULL: it is JSON this time.
     * With `ret` the bytes, malloc'ed, or NULL: out of memory. May be NULL. */
    const char *(*body)(const struct srv_req *r, char **ret, size_t *ret_len);

    /* ---- named tensors ---- */

    /* Tensor `index` that it gives of the model; 0 behind the last. May be NULL. */
    int (*output)(const struct srv_model *m, int index, struct srv_output *ret);
};

#define TASK(name) extern const struct srv_task srv_task_##name;
#include "server/handlers/tasks/tasks.def"

/* All of them, in the order of tasks.def, NULL at the end. */
extern const struct srv_task *const srv_tasks[];
/* What the model is for; the last of the list is for all. */
const struct srv_task *srv_task_of(const struct srv_model *m);

/* ---- rows that others use, too ---- */

/* classify.c: a = how many. */
struct srv_classes {
    int n;
    struct eng_prediction best[];
};
extern const struct srv_row_kind srv_row_classes;
extern const struct srv_row_kind srv_row_embedding; /* embed.c: float, info->embedding of them */
extern const struct srv_row_kind srv_row_output;    /* tensors.c: output a of the files */

/* -EINVAL with a sentence: k classes of so many are more than `most` (option max_top_k). */
int srv_task_check_top_k(int most, long long k, long long classes, char *err, size_t errlen);
/* NULL: it has none. */
const char *srv_task_label(const struct srv_model *m, int class_number);

#endif
