/* Quantised models against the golden answers, in both plans: logits, outputs, and every layer of
 * the reference plan, bit for bit (the `xnnpack` mode of the golden answers). */
#include "tests/golden/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <cmocka.h>

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
    {"tf2_mobilenet_v2_1.0_224_ptq",
     {"imagenet/tf2_mobilenet_v2_1.0_224_ptq.tflite"},
     224,
     1001,
     .i8_logits = 1},
    {"vww_96_int8", {"vww/vww_96_int8.tflite"}, 96, 2, .i8_logits = 1, .i8_out = 1, .i8_in = 1},
};
enum { N_CASES = sizeof(cases) / sizeof(*cases) };

/* The golden bytes of one kind of answer for all eight images. */
static unsigned char *golden_answers(const struct golden_case *c, const char *kind, int i8)
{
    char path[256];
    snprintf(path, sizeof(path), "golden/integer/%s.xnnpack.%s_8x%d.%s", c->name, kind, c->outputs,
             i8 ? "i8" : "u8");
    size_t size;
    unsigned char *bytes = golden_read(path, &size);
    assert_int_equal(size, (size_t)GOLDEN_IMAGES * (size_t)c->outputs);
    return bytes;
}

static void compare(const struct golden_case *c, const char *kind, const void *have,
                    const unsigned char *want, int image)
{
    const unsigned char *h = have;
    want += (size_t)image * (size_t)c->outputs;
    for (int i = 0; i < c->outputs; i++)
        if (h[i] != want[i])
            fail_msg("%s image %d: %s %d is %d, golden %d", c->name, image, kind, i, h[i], want[i]);
}

/* One plan over the eight images, `batch` at a time. */
static void check_answers(const struct golden_case *c, int reference, int batch, int images)
{
    struct golden_model m;
    golden_load(&m, c, reference, batch);
    unsigned char *logits = golden_answers(c, "logits", c->i8_logits);
    unsigned char *out = golden_answers(c, "out", c->i8_out);
    for (int first = 0; first < images; first += batch) {
        int n = images - first < batch ? images - first : batch;
        for (int i = 0; i < n; i++)
            golden_input_u8(&m, c, first + i, i);
        assert_int_equal(eng_run_exec(m.run, n, NULL), 0);
        for (int i = 0; i < n; i++) {
            compare(c, "logit", eng_run_tensor(m.run, m.g->logits, i), logits, first + i);
            compare(c, "output", eng_run_tensor(m.run, m.g->output, i), out, first + i);
        }
    }
    free(logits);
    free(out);
    golden_unload(&m);
}

static void fast_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check_answers(&cases[i], 0, 3, GOLDEN_IMAGES);
    (void)state;
}

static void reference_answers(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++)
        check_answers(&cases[i], 1, 1, golden_quick() ? 1 : 2);
    (void)state;
}

/* Every layer that the golden file lists, in order, by shape and CRC. Both list the operators as
 * the file has them; the softmax and what follows are not listed. */
static void check_layers(const struct golden_case *c, json_t *layers, int image)
{
    struct golden_model m;
    golden_load(&m, c, 1, 1);
    golden_input_u8(&m, c, image, 0);
    assert_int_equal(eng_run_exec(m.run, 1, NULL), 0);
    size_t i, seen = 0;
    json_t *layer;
    json_array_foreach(layers, i, layer)
    {
        assert_true((int)i < m.g->n_nodes);
        const struct eng_tensor *t = &m.g->tensors[m.g->nodes[i].out];
        const void *data = eng_run_tensor(m.run, m.g->nodes[i].out, 0);
        assert_non_null(data);
        size_t size = 1;
        json_t *shape = json_object_get(layer, "shape");
        for (size_t d = 0; d < json_array_size(shape); d++)
            size *= (size_t)json_integer_value(json_array_get(shape, d));
        assert_int_equal(eng_tensor_elements(t), size);
        char crc[16];
        snprintf(crc, sizeof(crc), "%08x", golden_crc32(data, size));
        if (strcmp(crc, json_string_value(json_object_get(layer, "crc32"))) != 0)
            fail_msg("%s image %d: layer %zu (%s) differs", c->name, image, i,
                     json_string_value(json_object_get(layer, "op")));
        seen++;
    }
    assert_true(seen > 20);
    golden_unload(&m);
}

static void every_layer(void **state)
{
    golden_need_shared();
    for (int i = 0; i < N_CASES; i++) {
        char path[256];
        size_t size;
        snprintf(path, sizeof(path), "golden/integer/%s.xnnpack.layers.json", cases[i].name);
        unsigned char *text = golden_read(path, &size);
        json_t *all = json_loadb((const char *)text, size, 0, NULL);
        assert_non_null(all);
        free(text);
        const char *name;
        json_t *layers;
        int images = 0;
        json_object_foreach(all, name, layers)
        {
            if (images++ < (golden_quick() ? 1 : 2))
                check_layers(&cases[i], layers, golden_image_index(name));
        }
        assert_true(images >= 1);
        json_decref(all);
    }
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fast_answers),
        cmocka_unit_test(reference_answers),
        cmocka_unit_test(every_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
