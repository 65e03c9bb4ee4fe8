/* The outputs of an answer, and the classification extension. An index is that of the output
 * tensor, so a model with a background class has class c at index c + class_offset. That class
 * ranks where a client asks for a tensor's elements in order, as Triton has it, but not in
 * `classification`. Ties go to the lower index, a NaN ranks last. */
#include <stdio.h>
#include <string.h>

#include "engine/context.h"
#include "server/handlers/api.h"
#include "server/handlers/infer.h"

enum proto_datatype srv_input_type(const struct srv_model *m)
{
    return m->info->preprocess.type == ENG_F32 ? PROTO_FP32 : PROTO_UINT8;
}

/* ---- which ---- */

/* Classes that are wanted of it, 0: the tensor itself. */
static int classes_of(const struct srv_chosen *c)
{
    return c->classes == 0 && c->output.ranked ? (int)c->output.shape[0] : c->classes;
}

static int check_classes(struct srv_infer *i, const struct srv_chosen *c)
{
    char err[sizeof(i->error)];
    long long most = (long long)c->output.elements - c->output.first;
    if (srv_task_check_top_k(i->max_top_k, classes_of(c), most, err, sizeof(err)) == 0)
        return 0;
    srv_infer_fail(i, 400, "output '%s': %s", c->output.name, err);
    return -1;
}

static int no_room(struct srv_infer *i)
{
    srv_infer_fail(i, 503, "out of memory for the answer");
    return -1;
}

static int choose(struct srv_infer *i, struct srv_chosen *ret, const struct srv_output *o,
                  int classes, int binary)
{
    *ret = (struct srv_chosen){
        .output = *o,
        .classes = classes,
        .binary = binary >= 0 ? binary : i->in.binary_data_output,
    };
    if (check_classes(i, ret) < 0)
        return -1;
    ret->row = srv_rows_want(i->req, o->kind, o->a, o->b);
    return ret->row < 0 ? no_room(i) : 0;
}

static int make_room(struct srv_infer *i, int n)
{
    i->chosen = srv_arena_alloc(&i->req->arena, (size_t)n * sizeof(*i->chosen));
    i->outputs = srv_arena_alloc(&i->req->arena, (size_t)n * sizeof(*i->outputs));
    return i->chosen && i->outputs ? 0 : no_room(i);
}

/* None is named in the message: those of the query, or what the metadata show. */
static int choose_listed(struct srv_infer *i)
{
    struct srv_output all[PROTO_OUTPUTS_MAX];
    int n = srv_outputs_choose(i->req->model, i->req->model_name, i->listed, all, i->error,
                               sizeof(i->error));
    if (n < 0) {
        i->status = 400;
        return -1;
    }
    if (make_room(i, n) < 0)
        return -1;
    for (int k = 0; k < n; k++)
        if (choose(i, &i->chosen[k], &all[k], 0, -1) < 0)
            return -1;
    i->reply.n_outputs = n;
    return 0;
}

static int choose_named(struct srv_infer *i)
{
    if (make_room(i, i->in.n_outputs) < 0)
        return -1;
    for (int k = 0; k < i->in.n_outputs; k++) {
        const struct proto_output *asked = &i->in.outputs[k];
        struct srv_output o;
        if (srv_outputs_find(i->req->model, asked->name, &o) < 0) {
            srv_outputs_unknown(asked->name, i->req->model_name, i->error, sizeof(i->error));
            i->status = 400;
            return -1;
        }
        if (choose(i, &i->chosen[k], &o, asked->classification, asked->binary) < 0)
            return -1;
    }
    i->reply.n_outputs = i->in.n_outputs;
    return 0;
}

int srv_infer_choose_outputs(struct srv_infer *i)
{
    if (i->in.n_outputs > 0)
        return choose_named(i);
    return i->req->n_rows == 0 ? choose_listed(i) : 0;
}

/* ---- classification ---- */

static const char *label_of(const struct srv_model *m, const struct srv_output *o, int index)
{
    int c = index - m->info->class_offset;
    if (!o->scores)
        return NULL;
    return c < 0 ? "background" : srv_task_label(m, c);
}

static char *copy_text(struct srv_arena *a, float value, int index, const char *label)
{
    int len = proto_classification(NULL, 0, value, index, label);
    char *text = len < 0 ? NULL : srv_arena_alloc(a, (size_t)len + 1);
    if (text)
        proto_classification(text, (size_t)len + 1, value, index, label);
    return text;
}

/* Row n of a tensor as floats: as it lies, or converted into `room`. */
static const float *floats_of(const struct srv_output *o, const void *rows, size_t n, float *room)
{
    const struct proto_tensor t = {.datatype = o->datatype, .data = rows};
    if (o->datatype == PROTO_FP32 || o->datatype == PROTO_BYTES)
        return (const float *)rows + n * o->elements;
    for (size_t k = 0; k < o->elements; k++)
        room[k] = (float)proto_tensor_integer(&t, n * o->elements + k);
    return room;
}

/* One row as k strings. */
static int put_strings(struct srv_infer *i, const struct srv_output *o, const float *values, int k,
                       struct eng_prediction *best, const char **ret)
{
    eng_topk(values, values, (int)o->elements, o->first, k, best);
    for (int top = 0; top < k; top++) {
        int index = o->first + best[top].class_number;
        ret[top] =
            copy_text(&i->req->arena, best[top].score, index, label_of(i->req->model, o, index));
        if (!ret[top])
            return -1;
    }
    return 0;
}

/* n rows of values as n rows of k strings. */
static const char **strings_of(struct srv_infer *i, const struct srv_output *o, const void *rows,
                               int k)
{
    struct srv_arena *a = &i->req->arena;
    size_t n = (size_t)i->n_inputs;
    const char **strings = srv_arena_alloc(a, n * (size_t)k * sizeof(*strings));
    struct eng_prediction *best = srv_arena_alloc(a, (size_t)k * sizeof(*best));
    float *room = srv_arena_alloc(a, o->elements * sizeof(*room));
    if (!strings || !best || !room)
        return NULL;
    for (size_t row = 0; row < n; row++)
        if (put_strings(i, o, floats_of(o, rows, row, room), k, best, strings + row * (size_t)k) <
            0)
            return NULL;
    return strings;
}

/* ---- tensors ---- */

/* Its rows as they lie, or made of them. NULL: out of memory. */
static const void *rows_of(struct srv_infer *i, const struct srv_chosen *c)
{
    const struct srv_output *o = &c->output;
    size_t one = o->elements * proto_datatype_size(o->datatype);
    if (!o->convert)
        return srv_rows_all(i->req, c->row);
    char *all = srv_arena_alloc(&i->req->arena, (size_t)i->n_inputs * one);
    for (int k = 0; all && k < i->n_inputs; k++)
        o->convert(o, &i->req->jobs[k], srv_job_row(&i->req->jobs[k], c->row),
                   all + (size_t)k * one);
    return all;
}

static int make_output(struct srv_infer *i, int at)
{
    const struct srv_chosen *c = &i->chosen[at];
    const struct srv_output *o = &c->output;
    struct proto_tensor *t = &i->outputs[at];
    const void *rows = rows_of(i, c);
    int k = classes_of(c), most = (int)o->elements - o->first;
    k = k < most ? k : most;
    if (!rows)
        return -1;
    *t = srv_outputs_described(o);
    t->binary = c->binary;
    t->shape[0] = i->n_inputs;
    if (k > 0) {
        t->datatype = PROTO_BYTES;
        t->n_dims = 2;
        t->shape[1] = k;
        t->strings = strings_of(i, o, rows, k);
    } else {
        t->data = rows;
    }
    t->elements = (size_t)i->n_inputs * (k > 0 ? (size_t)k : o->elements);
    return k > 0 && !t->strings ? -1 : 0;
}

/* A string costs as much as some floats as text, and its row is looked through. */
static size_t cost_of_classes(size_t k, size_t width)
{
    enum { FLOATS_A_STRING = 4, LOOKS_A_FLOAT = 64 };
    return (k < width ? k : width) * FLOATS_A_STRING + width / LOOKS_A_FLOAT;
}

size_t srv_infer_cost(const struct srv_infer *i)
{
    const struct srv_req *r = i->req;
    size_t n = 0;
    if (r->task)
        n = r->task->cost(r);
    for (int k = 0; k < i->reply.n_outputs; k++) {
        const struct srv_chosen *c = &i->chosen[k];
        if (classes_of(c) > 0)
            n += cost_of_classes((size_t)classes_of(c), c->output.elements);
        else if (!c->binary)
            n += c->output.elements;
    }
    return n * (size_t)i->n_inputs;
}

int srv_infer_make_outputs(struct srv_infer *i)
{
    for (int k = 0; k < i->reply.n_outputs; k++)
        if (make_output(i, k) < 0) {
            srv_infer_fail(i, 503, "out of memory for the answer");
            return -1;
        }
    i->reply.model_name = i->req->model_name;
    i->reply.model_version = i->req->model->info->version;
    i->reply.id = i->in.id;
    i->reply.outputs = i->outputs;
    return 0;
}
