/* Outputs by name, and the classification extension. An index is that of the output tensor, so a
 * model with a background class has class c at index c + class_offset. That class ranks where a
 * client asks for a tensor's elements in order, as Triton has it, but not in `classification`. Ties
 * go to the lower index, a NaN ranks last. */
#include <stdio.h>
#include <string.h>

#include "engine/context.h"
#include "server/handlers/api.h"
#include "server/handlers/infer.h"

static const char *const names[] = {
    [SRV_LOGITS] = "logits",
    [SRV_PROBABILITIES] = "probabilities",
    [SRV_CLASSIFICATION] = "classification",
    [SRV_EMBEDDING] = "embedding",
};

static const enum srv_row row_kinds[] = {
    [SRV_LOGITS] = SRV_ROW_LOGITS,
    [SRV_PROBABILITIES] = SRV_ROW_PROBABILITIES,
    [SRV_CLASSIFICATION] = SRV_ROW_PROBABILITIES,
    [SRV_EMBEDDING] = SRV_ROW_EMBEDDING,
};

enum proto_datatype srv_input_type(const struct srv_model *m)
{
    return m->info->preprocess.type == ENG_F32 ? PROTO_FP32 : PROTO_UINT8;
}

static int first_of(const struct srv_model *m, enum srv_output kind)
{
    return kind == SRV_CLASSIFICATION ? m->info->class_offset : 0;
}

/* 0: the model does not give it. What embeds has no scores, and its logits are the embedding. */
static int row_of(const struct srv_model *m, enum srv_output kind)
{
    const struct eng_model_info *info = m->info;
    if (kind == SRV_EMBEDDING)
        return info->embedding;
    return info->embeds || (kind != SRV_LOGITS && info->no_classes[0]) ? 0 : info->outputs;
}

enum srv_output srv_usual_output(const struct srv_model *m)
{
    return row_of(m, SRV_PROBABILITIES) > 0 ? SRV_PROBABILITIES
           : m->info->embeds                ? SRV_EMBEDDING
                                            : SRV_LOGITS;
}

const char *srv_output_name(enum srv_output kind)
{
    return names[kind];
}

/* Triton's image_client takes a model for a classifier if it has one output. */
static int shows(const struct srv_model *m, int all, enum srv_output kind)
{
    return row_of(m, kind) > 0 && (all || m->info->shows_all || kind == srv_usual_output(m));
}

int srv_output_at(const struct srv_model *m, int all, int index, enum srv_output *ret_kind,
                  const char **ret_name, enum proto_datatype *ret_type, int *ret_row)
{
    int kind = 0;
    while (kind < SRV_OUTPUTS && (!shows(m, all, (enum srv_output)kind) || index-- > 0))
        kind++;
    if (kind == SRV_OUTPUTS)
        return 0;
    int row = row_of(m, (enum srv_output)kind);
    *ret_kind = (enum srv_output)kind;
    *ret_name = names[kind];
    *ret_type = kind == SRV_CLASSIFICATION ? PROTO_BYTES : PROTO_FP32;
    row -= first_of(m, *ret_kind);
    if (kind == SRV_CLASSIFICATION && row > SRV_CLASSIFICATION_DEFAULT)
        row = SRV_CLASSIFICATION_DEFAULT;
    *ret_row = row;
    return 1;
}

static int find_output(const struct srv_model *m, struct proto_span name)
{
    for (int k = 0; k < SRV_OUTPUTS; k++)
        if (proto_span_is(name, names[k]) && row_of(m, (enum srv_output)k) > 0)
            return k;
    return -1;
}

/* None named: what the metadata show. */
static void name_shown(struct srv_infer *i)
{
    for (int k = 0; k < SRV_OUTPUTS; k++)
        if (shows(i->req->model, i->shows_all, (enum srv_output)k))
            i->in.outputs[i->in.n_outputs++] = (struct proto_output){
                .name = {names[k], strlen(names[k])},
                .binary = -1,
            };
}

static int classes_of(const struct srv_infer *i, int at)
{
    int k = i->in.outputs[at].classification;
    return k == 0 && i->kinds[at] == SRV_CLASSIFICATION ? SRV_CLASSIFICATION_DEFAULT : k;
}

static int check_classes(struct srv_infer *i, int at)
{
    const struct srv_model *m = i->req->model;
    char err[sizeof(i->error)];
    int most = row_of(m, i->kinds[at]) - first_of(m, i->kinds[at]);
    if (srv_req_check_top_k(i->req, classes_of(i, at), most, err, sizeof(err)) == 0)
        return 0;
    srv_infer_fail(i, 400, "output '%s': %s", names[i->kinds[at]], err);
    return -1;
}

int srv_infer_choose_outputs(struct srv_infer *i)
{
    if (i->in.n_outputs == 0 && i->req->wants == 0)
        name_shown(i);
    for (int k = 0; k < i->in.n_outputs; k++) {
        const struct proto_output *o = &i->in.outputs[k];
        int kind = find_output(i->req->model, o->name);
        if (kind < 0) {
            srv_infer_fail(i, 400, "unexpected inference output '%.*s' for model '%s'",
                           o->name.len > 64 ? 64 : (int)o->name.len, o->name.s ? o->name.s : "",
                           i->req->model_name);
            return -1;
        }
        i->kinds[k] = (enum srv_output)kind;
        if (check_classes(i, k) < 0)
            return -1;
        i->outputs[k].binary = o->binary >= 0 ? o->binary : i->in.binary_data_output;
        i->req->wants |= 1u << row_kinds[kind];
    }
    i->reply.n_outputs = i->in.n_outputs;
    return 0;
}

/* ---- classification ---- */

static const char *label_of(const struct srv_model *m, enum srv_output kind, int index)
{
    int c = index - m->info->class_offset;
    if (kind == SRV_EMBEDDING)
        return NULL;
    return c < 0 ? "background" : eng_model_label(m->eng, c);
}

static char *copy_text(struct srv_arena *a, float value, int index, const char *label)
{
    int len = proto_classification(NULL, 0, value, index, label);
    char *text = len < 0 ? NULL : srv_arena_alloc(a, (size_t)len + 1);
    if (text)
        proto_classification(text, (size_t)len + 1, value, index, label);
    return text;
}

/* n rows of `width` values as n rows of k strings. */
static const char **strings_of(struct srv_infer *i, enum srv_output kind, const float *rows,
                               int width, int k)
{
    struct srv_arena *a = &i->req->arena;
    int first = first_of(i->req->model, kind);
    size_t n = (size_t)i->n_inputs;
    const char **strings = srv_arena_alloc(a, n * (size_t)k * sizeof(*strings));
    struct eng_prediction *best = srv_arena_alloc(a, (size_t)k * sizeof(*best));
    if (!strings || !best)
        return NULL;
    for (size_t row = 0; row < n; row++) {
        const float *values = rows + row * (size_t)width;
        eng_topk(values, values, width, first, k, best);
        for (int top = 0; top < k; top++) {
            int index = first + best[top].class_number;
            const char *text =
                copy_text(a, best[top].score, index, label_of(i->req->model, kind, index));
            if (!text)
                return NULL;
            strings[row * (size_t)k + (size_t)top] = text;
        }
    }
    return strings;
}

/* ---- tensors ---- */

static int make_output(struct srv_infer *i, int at)
{
    struct proto_tensor *t = &i->outputs[at];
    enum srv_output kind = i->kinds[at];
    const float *rows = srv_rows_of(i->req, row_kinds[kind]);
    int width = row_of(i->req->model, kind), k = classes_of(i, at);
    int most = width - first_of(i->req->model, kind);
    k = k < most ? k : most;
    t->name = names[kind];
    t->datatype = k ? PROTO_BYTES : PROTO_FP32;
    t->n_dims = 2;
    t->shape[0] = i->n_inputs;
    t->shape[1] = k ? k : width;
    t->elements = (size_t)t->shape[0] * (size_t)t->shape[1];
    t->data = k ? NULL : rows;
    t->strings = k ? strings_of(i, kind, rows, width, k) : NULL;
    return k && !t->strings ? -1 : 0;
}

/* A string costs as much as some floats as text, and its row is looked through. */
static size_t cost_of_classes(int k, int width)
{
    enum { FLOATS_A_STRING = 4, LOOKS_A_FLOAT = 64 };
    return (size_t)(k < width ? k : width) * FLOATS_A_STRING + (size_t)width / LOOKS_A_FLOAT;
}

size_t srv_infer_cost(const struct srv_infer *i)
{
    const struct srv_req *r = i->req;
    const struct srv_job *j = r->n_jobs > 0 ? &r->jobs[0] : NULL;
    size_t n = j && r->wants & SRV_WANT_CLASSES ? cost_of_classes(j->capacity, j->capacity) : 0;
    for (int k = 0; k < i->reply.n_outputs; k++) {
        int width = row_of(r->model, i->kinds[k]), classes = classes_of(i, k);
        if (classes > 0)
            n += cost_of_classes(classes, width);
        else if (!i->outputs[k].binary)
            n += (size_t)width;
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
