/* The best classes of a picture, and the scores of all. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "protocol/query.h"
#include "protocol/reply.h"
#include "server/handlers/tasks/task.h"
#include "server/scheduler/request.h"
#include "server/scheduler/scheduler.h"

enum { TOP_K = 5, FLOATS_A_CLASS = 2 };

struct options {
    int top_k, most; /* most: as configured when the request came */
};

static int is_classifier(const struct srv_model *m)
{
    return !m->info->no_classes[0];
}

static int classes_of(const struct eng_model_info *i)
{
    return i->outputs - i->class_offset;
}

static int check(const struct srv_model *m, char *why, size_t len)
{
    snprintf(why, len, "is no classifier: %s", m->info->no_classes);
    return is_classifier(m) ? 0 : -1;
}

/* ---- rows ---- */

/* Both versions are asked for the same number of classes, whatever that is to either. */
static int best_of_classes(const struct srv_job *j, const void *row)
{
    const struct srv_classes *c = row;
    (void)j;
    return c->n > 0 ? c->best[0].class_number : -1;
}

static int sure_of_classes(const struct srv_job *j, const void *row, double *ret_best,
                           double *ret_next)
{
    const struct srv_classes *c = row;
    (void)j;
    if (c->n > 0)
        *ret_best = (double)c->best[0].score;
    if (c->n > 1)
        *ret_next = (double)c->best[1].score;
    return c->n < 2 ? c->n : 2;
}

static size_t classes_bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    const struct srv_classes *c = NULL;
    return info->no_classes[0] ? 0 : sizeof(*c) + (size_t)rows->a * sizeof(c->best[0]);
}

static void take_classes(const struct srv_rows *rows, const struct srv_job *j,
                         struct eng_context *c, int slot, void *row)
{
    struct srv_classes *to = row;
    (void)j;
    to->n = eng_context_topk(c, slot, (int)rows->a, to->best);
}

/* The classes of a family are the same, and so is their row. */
const struct srv_row_kind srv_row_classes = {
    .bytes = classes_bytes,
    .take = take_classes,
    .verdict = best_of_classes,
    .sure = sure_of_classes,
    .any_variant = 1,
    .kept = 1,
};

static size_t scores_bytes(const struct srv_rows *rows, const struct eng_model_info *info)
{
    (void)rows;
    return info->no_classes[0] ? 0 : (size_t)info->outputs * sizeof(float);
}

static void take_probabilities(const struct srv_rows *rows, const struct srv_job *j,
                               struct eng_context *c, int slot, void *row)
{
    (void)j;
    memcpy(row, eng_context_probabilities(c, slot), rows->bytes);
}

static void take_scores(const struct srv_rows *rows, const struct srv_job *j, struct eng_context *c,
                        int slot, void *row)
{
    (void)j;
    memcpy(row, eng_context_logits(c, slot), rows->bytes);
}

static int best_of_scores(const struct srv_job *j, const void *row)
{
    const struct eng_model_info *i = j->model->info;
    const float *scores = row;
    int best = i->class_offset;
    for (int k = best + 1; k < i->outputs; k++)
        if (scores[k] > scores[best])
            best = k;
    return best - i->class_offset;
}

static const struct srv_row_kind row_probabilities = {
    .bytes = scores_bytes,
    .take = take_probabilities,
    .verdict = best_of_scores,
    .kept = 1,
};

static const struct srv_row_kind row_scores = {
    .bytes = scores_bytes,
    .take = take_scores,
    .verdict = best_of_scores,
    .kept = 1,
};

/* ---- our own API ---- */

int srv_task_check_top_k(int most, long long k, long long classes, char *err, size_t errlen)
{
    if (k <= most || classes <= most)
        return 0;
    snprintf(err, errlen, "of %lld classes at most %d can be asked for (option max_top_k)", classes,
             most);
    return -EINVAL;
}

static int begin(struct srv_req *r)
{
    struct options *o = srv_arena_alloc(&r->arena, sizeof(*o));
    if (!o)
        return -ENOMEM;
    *o = (struct options){TOP_K, (int)r->sched->env->cfg->max_top_k};
    r->options = o;
    return 0;
}

static int set(struct srv_req *r, const char *name, const char *value, char *err, size_t errlen)
{
    struct options *o = r->options;
    int classes = classes_of(r->model->info);
    char why[128];
    long long k;
    if (proto_parse_int(value, 1, LLONG_MAX, &k) < 0) {
        snprintf(err, errlen, "%s must be a whole number, at least 1", name);
        return -EINVAL;
    }
    if (srv_task_check_top_k(o->most, k, classes, why, sizeof(why)) < 0) {
        snprintf(err, errlen, "%s: %s", name, why);
        return -EINVAL;
    }
    o->top_k = k > classes ? classes : (int)k;
    return 0;
}

static int top_k(const struct srv_req *r)
{
    const struct options *o = r->options;
    int classes = classes_of(r->model->info);
    return o->top_k < classes ? o->top_k : classes;
}

static int want(struct srv_req *r)
{
    return srv_rows_want(r, &srv_row_classes, top_k(r), 0);
}

const char *srv_task_label(const struct srv_model *m, int class_number)
{
    return eng_model_label(m->eng, class_number);
}

static void print(struct proto_buf *to, const struct srv_req *r, const struct srv_job *j)
{
    const struct srv_classes *c = srv_job_row(j, srv_rows_find(r, &srv_row_classes));
    proto_buf_key(to, "predictions");
    proto_buf_text(to, "[");
    for (int i = 0; i < c->n; i++)
        proto_reply_put_prediction(
            to, &(struct proto_prediction){c->best[i].class_number,
                                           srv_task_label(j->model, c->best[i].class_number),
                                           c->best[i].score});
    proto_buf_text(to, "]");
}

static size_t cost(const struct srv_req *r)
{
    return (size_t)top_k(r) * FLOATS_A_CLASS;
}

/* ---- named tensors ---- */

static int output(const struct srv_model *m, int index, struct srv_output *ret)
{
    enum { LOGITS, PROBABILITIES, CLASSIFICATION };
    enum { STRINGS = 5 }; /* of `classification`, where no number is given */
    static const char *const names[] = {"logits", "probabilities", "classification"};
    const struct eng_model_info *i = m->info;
    int classes = classes_of(i);
    if (!is_classifier(m) || index > CLASSIFICATION)
        return 0;
    *ret = (struct srv_output){
        .name = names[index],
        .datatype = PROTO_FP32,
        .n_dims = 1,
        .shape = {i->outputs},
        .elements = (size_t)i->outputs,
        .kind = index == LOGITS ? &row_scores : &row_probabilities,
        .listed = index == PROBABILITIES ? 2 : 1,
        .scores = 1,
    };
    if (index == CLASSIFICATION) {
        ret->datatype = PROTO_BYTES;
        ret->ranked = 1;
        ret->first = i->class_offset;
        ret->shape[0] = classes < STRINGS ? classes : STRINGS;
    }
    return 1;
}

const struct srv_task srv_task_classify = {
    .name = "classify",
    .is_for = is_classifier,
    .check = check,
    .fields = "top_k",
    .begin = begin,
    .set = set,
    .want = want,
    .print = print,
    .cost = cost,
    .output = output,
};
