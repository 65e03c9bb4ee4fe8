/* What the shortcuts of decoding cost: top-1 over the hundred photos with and without them, for
 * every size of input, since that decides which scale is decoded at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "engine/image.h"
#include "tests/golden/golden.h"

enum { MAX_PHOTOS = 100, CLASS_OFFSET = 1 };

static const struct golden_case cases[] = {
    {"mobilenet_v1_0.25_128_quant", {"imagenet/mobilenet_v1_0.25_128_quant.tflite"}, 128, 1001},
    {"mobilenet_v1_0.5_160_quant", {"imagenet/mobilenet_v1_0.5_160_quant.tflite"}, 160, 1001},
    {"mobilenet_v1_0.75_192_quant", {"imagenet/mobilenet_v1_0.75_192_quant.tflite"}, 192, 1001},
    {"mobilenet_v1_1.0_224_quant",
     {"imagenet/mobilenet_v1_1.0_224_quant.backbone.tflite",
      "imagenet/mobilenet_v1_1.0_224_quant.head.tflite"},
     224,
     1001},
    {"mobilenet_v2_1.0_224_quant", {"imagenet/mobilenet_v2_1.0_224_quant.tflite"}, 224, 1001},
};
enum { N_CASES = sizeof(cases) / sizeof(*cases) };

struct photo {
    unsigned char *bytes;
    size_t len;
    int class_index;
};

static int load_photos(struct photo *ret, int max)
{
    size_t size;
    char *labels = (char *)golden_read("images/labels.tsv", &size), *rest, *line;
    labels[size] = '\0';
    int n = 0;
    for (line = strtok_r(labels, "\n", &rest); line && n < max;
         line = strtok_r(NULL, "\n", &rest)) {
        char name[128], path[256];
        int class_index;
        if (sscanf(line, "%127s\t%d", name, &class_index) != 2)
            continue; /* the heading */
        snprintf(path, sizeof(path), "images/imagenet100/%s", name);
        ret[n].bytes = golden_read(path, &ret[n].len);
        ret[n++].class_index = class_index;
    }
    free(labels);
    return n;
}

/* Ties go to the lower index, as everywhere. */
static int top_1(struct golden_model *m, const struct golden_case *c)
{
    const unsigned char *logits = eng_run_tensor(m->run, m->g->logits, 0);
    int best = 0;
    for (int i = 1; i < c->outputs; i++)
        if (logits[i] > logits[best])
            best = i;
    return best - CLASS_OFFSET;
}

static int answer(struct golden_model *m, const struct golden_case *c, struct eng_decoder *d,
                  const struct photo *p, int full_decode, int *ret_scale)
{
    struct eng_preprocess preprocess = {
        .height = c->side,
        .width = c->side,
        .resize = ENG_RESIZE_SHORT_SIDE,
        .filter = ENG_FILTER_BILINEAR,
        .type = ENG_U8,
        .scale = {1, 1, 1},
        .q_scale = 1,
    };
    struct eng_image_options o = {.full_decode = full_decode};
    struct eng_image_report report;
    char err[160];
    assert_int_equal(eng_decoder_run(d, p->bytes, p->len, &preprocess, &o, eng_run_input(m->run, 0),
                                     &report, err, sizeof(err)),
                     0);
    assert_int_equal(eng_run_exec(m->run, 1, NULL), 0);
    *ret_scale = report.scale_denominator;
    return top_1(m, c);
}

static void top_1_stays(void **state)
{
    static struct photo photos[MAX_PHOTOS];
    struct eng_decoder *d;
    int total[2] = {0, 0}, scaled = 0;
    (void)state;
    golden_need_shared();
    int n = load_photos(photos, golden_quick() ? 4 : MAX_PHOTOS);
    assert_true(n >= 4);
    assert_int_equal(eng_decoder_create(&d, 0), 0);
    for (int k = 0; k < N_CASES; k++) {
        struct golden_model m;
        int right[2] = {0, 0}, other = 0, here = 0;
        golden_load(&m, &cases[k], GOLDEN_FAST, 1);
        for (int i = 0; i < n; i++) {
            int scale[2], full = answer(&m, &cases[k], d, &photos[i], 1, &scale[0]);
            int quick = answer(&m, &cases[k], d, &photos[i], 0, &scale[1]);
            assert_int_equal(scale[0], 1);
            here += scale[1] > 1;
            other += full != quick;
            right[0] += full == photos[i].class_index;
            right[1] += quick == photos[i].class_index;
        }
        golden_unload(&m);
        printf("# %s: top-1 of %d: %d with full decoding, %d with the shortcuts "
               "(%d decoded smaller, %d another answer)\n",
               cases[k].name, n, right[0], right[1], here, other);
        total[0] += right[0];
        total[1] += right[1];
        scaled += here;
        assert_true(abs(right[0] - right[1]) <= 1); /* one photo is a whole point */
    }
    printf("# all: %d and %d of %d\n", total[0], total[1], n * N_CASES);
    assert_true(scaled > 0);
    assert_true(1000 * abs(total[0] - total[1]) <= 3 * n * N_CASES); /* 0.3 points */
    for (int i = 0; i < n; i++)
        free(photos[i].bytes);
    eng_decoder_destroy(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(top_1_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
