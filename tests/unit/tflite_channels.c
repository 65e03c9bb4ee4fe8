/* TFLite operators that choose channels: whole, in both plans, and one fault at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/importers/import.h"
#include "engine/plan/plan.h"
#include "tests/unit/tflite_writer.h"

static _Alignas(64) uint8_t whole[TFW_BYTES];
static char err[512];

static int import(struct eng_graph **ret, const struct tfw_model *m)
{
    err[0] = '\0';
    *ret = NULL;
    return eng_import_tflite(ret, whole, tfw_write(m, whole), err, sizeof(err));
}

/* Of every pixel, what the operators of tfw_sample_channels() make of its channels. */
static void check_answers(const struct eng_graph *g, int reference)
{
    static const int joined[12] = {0, 5, 7, 2, 3, 4, 5, 6, 7, 7, 0, 7};
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(), .reference = reference};
    struct eng_plan *plan;
    struct eng_run *run;
    if (eng_plan_create(&plan, g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&run, plan, 1, 1, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    float *x = eng_run_input(run, 0);
    for (int i = 0; i < 128; i++)
        x[i] = (float)i;
    assert_int_equal(eng_run_exec(run, 1, NULL), 0);
    const float *y = eng_run_tensor(run, g->output, 0);
    for (int pixel = 0; pixel < 16; pixel++)
        for (int i = 0; i < 12; i++)
            assert_true(y[pixel * 12 + i] == x[pixel * 8 + joined[i % 3 * 4 + i / 3]]);
    eng_run_destroy(run);
    eng_plan_destroy(plan);
}

static void chosen(void **state)
{
    (void)state;
    struct tfw_model m;
    struct eng_graph *g;
    tfw_sample_channels(&m);
    if (import(&g, &m) < 0)
        fail_msg("%s", err);
    check_answers(g, 1);
    assert_int_equal(eng_graph_fold(g, err, sizeof(err)), 0);
    check_answers(g, 0);
    /* Five that are read (d is not), the joint, and the shuffle as one choice more. */
    const struct eng_node *last = &g->nodes[g->n_nodes - 1];
    assert_int_equal(g->n_nodes, 8);
    assert_int_equal(last->op, ENG_OP_GATHER);
    assert_string_equal(last->name, "output");
    eng_graph_destroy(g);
}

static void set(struct tfw_model *m, const char *name, const int32_t *data)
{
    for (int i = 0; i < m->n_tensors; i++)
        if (strcmp(m->tensor[i].name, name) == 0)
            m->tensor[i].data = data;
}

/* A transpose of other axes is none. */
static void no_shuffle(void **state)
{
    (void)state;
    static const int32_t other[5] = {0, 2, 1, 4, 3};
    struct tfw_model m;
    struct eng_graph *g;
    tfw_sample_channels(&m);
    set(&m, "exchange", other);
    if (import(&g, &m) < 0 || eng_graph_fold(g, err, sizeof(err)) < 0)
        fail_msg("%s", err);
    assert_int_equal(g->nodes[g->n_nodes - 2].op, ENG_OP_TRANSPOSE);
    eng_graph_destroy(g);
}

/* ---- faults ---- */

static void height(struct tfw_model *m)
{
    static const int32_t v[1] = {1};
    set(m, "axis", v);
}
static void three_parts(struct tfw_model *m)
{
    m->op[TFW_OP_SPLIT].n_more = 2;
    m->op[TFW_OP_SPLIT].more[1] = m->op[TFW_OP_SPLIT_V].out;
}
static void part_twice(struct tfw_model *m)
{
    m->op[TFW_OP_SPLIT].more[0] = m->op[TFW_OP_SPLIT].out;
}
static void too_long(struct tfw_model *m)
{
    static const int32_t v[2] = {2, 3};
    set(m, "lengths", v);
}
static void both_open(struct tfw_model *m)
{
    static const int32_t v[2] = {-1, -1};
    set(m, "lengths", v);
}
static void wild_length(struct tfw_model *m)
{
    static const int32_t v[2] = {INT32_MIN, -1};
    set(m, "lengths", v);
}
static void no_room(struct tfw_model *m)
{
    static const int32_t v[2] = {4, -1};
    set(m, "lengths", v);
}
static void one_part(struct tfw_model *m)
{
    m->op[TFW_OP_SPLIT_V].n_more = 0;
}
static void no_lengths(struct tfw_model *m)
{
    m->op[TFW_OP_SPLIT_V].n_in = 1;
}
static void cut_rows(struct tfw_model *m)
{
    m->op[TFW_OP_STRIDED].option[0].value = 0;
    static const int32_t v[4] = {0, 1, 0, 1};
    set(m, "from", v);
}
static void backwards(struct tfw_model *m)
{
    static const int32_t v[4] = {1, 1, 1, -2};
    set(m, "steps", v);
}
static void standing(struct tfw_model *m)
{
    static const int32_t v[4] = {1, 1, 1, 0};
    set(m, "steps", v);
}
static void drops_axis(struct tfw_model *m)
{
    m->op[TFW_OP_STRIDED].n_options = 3;
    m->op[TFW_OP_STRIDED].option[2] = (struct tfw_option){2, 'i', 1};
}
static void nothing_left(struct tfw_model *m)
{
    static const int32_t v[4] = {0, 0, 0, 4};
    set(m, "from", v);
}
static void starts_outside(struct tfw_model *m)
{
    static const int32_t v[4] = {0, 0, 0, 8};
    set(m, "start", v);
}
static void ends_outside(struct tfw_model *m)
{
    static const int32_t v[4] = {1, 4, 4, 7};
    set(m, "rest", v);
}
static void negative_size(struct tfw_model *m)
{
    static const int32_t v[4] = {1, 4, 4, -2};
    set(m, "rest", v);
}
static void cut_columns(struct tfw_model *m)
{
    static const int32_t v[4] = {1, 4, 3, -1};
    set(m, "rest", v);
}
static void computed_start(struct tfw_model *m)
{
    m->op[TFW_OP_SLICE].in[1] = m->op[TFW_OP_SPLIT].out;
}
static void channel_of_none(struct tfw_model *m)
{
    static const int32_t v[3] = {7, 8, 0};
    set(m, "which", v);
}
static void computed_choice(struct tfw_model *m)
{
    m->op[TFW_OP_GATHER].in[1] = m->op[TFW_OP_SPLIT].out;
}
static void two_joints(struct tfw_model *m)
{
    m->op[TFW_OP_JOIN].n_more = 1;
    m->op[TFW_OP_JOIN].more[0] = m->op[TFW_OP_SPLIT].out;
}

static void faults(void **state)
{
    (void)state;
    static const struct {
        void (*broken)(struct tfw_model *);
        int code;
        const char *says;
    } rows[] = {
        {height, ENG_E_DATA, "the shape of a is not what the operator makes"},
        {three_parts, ENG_E_DATA, "operator 0 (SPLIT a): its parts do not fit"},
        {part_twice, ENG_E_DATA, "already made"},
        {too_long, ENG_E_DATA, "operator 1 (SPLIT_V c): its parts do not fit"},
        {both_open, ENG_E_DATA, "its parts do not fit"},
        {wild_length, ENG_E_DATA, "its parts do not fit"},
        {no_room, ENG_E_DATA, "its parts do not fit"},
        {one_part, ENG_E_DATA, "another number of parts"},
        {no_lengths, ENG_E_DATA, "lacks an input"},
        {cut_rows, ENG_E_DATA, "the shape of e is not what the operator makes"},
        {backwards, ENG_E_UNSUPPORTED, "goes backwards"},
        {standing, ENG_E_UNSUPPORTED, "goes backwards"},
        {drops_axis, ENG_E_UNSUPPORTED, "makes an axis"},
        {nothing_left, ENG_E_UNSUPPORTED, "leaves nothing"},
        {starts_outside, ENG_E_DATA, "operator 3 (SLICE f): it leaves its input"},
        {ends_outside, ENG_E_DATA, "it leaves its input"},
        {negative_size, ENG_E_DATA, "it leaves its input"},
        {cut_columns, ENG_E_DATA, "the shape of f is not what the operator makes"},
        {computed_start, ENG_E_UNSUPPORTED, "constant integers"},
        {channel_of_none, ENG_E_DATA, "channel 8 of 8"},
        {computed_choice, ENG_E_DATA, "(pick g): its indices do not fit"},
        {two_joints, ENG_E_UNSUPPORTED,
         "operator 5 (CONCATENATION joined): it has several outputs"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct tfw_model m;
        struct eng_graph *g;
        tfw_sample_channels(&m);
        rows[i].broken(&m);
        int rc = import(&g, &m);
        if (rc != rows[i].code || !strstr(err, rows[i].says))
            fail_msg("wanted %d '%s', got %d '%s'", rows[i].code, rows[i].says, rc, err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chosen),
        cmocka_unit_test(no_shuffle),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
