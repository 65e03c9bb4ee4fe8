/* See golden.h. */
#include "tests/golden/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <jansson.h>
#include <cmocka.h>

#include "engine/importers/import.h"

static const char *shared(void)
{
    static const char *const beside[] = {"../shared", "../../shared"}; /* from build/ too */
    const char *env = getenv("MOBILENETD_SHARED");
    struct stat st;
    if (env)
        return stat(env, &st) == 0 ? env : NULL;
    for (int i = 0; i < 2; i++)
        if (stat(beside[i], &st) == 0)
            return beside[i];
    return NULL;
}

void golden_need_shared(void)
{
    if (!shared())
        skip();
}

int golden_quick(void)
{
    return getenv("MOBILENETD_QUICK") != NULL;
}

unsigned char *golden_read(const char *path, size_t *ret_size)
{
    char full[1024];
    snprintf(full, sizeof(full), "%s/%s", shared(), path);
    FILE *f = fopen(full, "rb");
    if (!f)
        fail_msg("cannot open %s", full);
    struct stat st;
    assert_int_equal(fstat(fileno(f), &st), 0);
    unsigned char *bytes = malloc((size_t)st.st_size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)st.st_size, f), (size_t)st.st_size);
    fclose(f);
    *ret_size = (size_t)st.st_size;
    return bytes;
}

uint32_t golden_crc32(const void *data, size_t size)
{
    const unsigned char *p = data;
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

int golden_image_index(const char *file)
{
    size_t size, i;
    unsigned char *text = golden_read("golden/inputs/index.json", &size);
    json_t *all = json_loadb((const char *)text, size, 0, NULL), *entry;
    assert_non_null(all);
    free(text);
    int found = -1;
    json_array_foreach(all, i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "file")), file) == 0)
            found = (int)json_integer_value(json_object_get(entry, "i"));
    }
    json_decref(all);
    assert_true(found >= 0);
    return found;
}

static struct eng_graph *import(struct golden_model *m, const struct golden_case *c, int part)
{
    char path[256], err[256] = "";
    size_t size;
    struct eng_graph *g = NULL;
    snprintf(path, sizeof(path), "models/%s", c->files[part]);
    m->bytes[part] = golden_read(path, &size);
    struct eng_open_size none = {0};
    int rc = strstr(path, ".onnx")
                 ? eng_import_onnx(&g, m->bytes[part], size, none, err, sizeof(err))
                 : eng_import_tflite(&g, m->bytes[part], size, err, sizeof(err));
    if (rc < 0)
        fail_msg("%s: %s", path, err);
    return g;
}

void golden_load(struct golden_model *m, const struct golden_case *c, enum golden_plan plan,
                 int batch)
{
    char err[256] = "";
    struct eng_plan_options opts = {.cpu_bits = eng_cpu_detect(),
                                    .reference = plan == GOLDEN_REFERENCE,
                                    .bf16 = plan == GOLDEN_BF16,
                                    .f32x = plan == GOLDEN_FP32X};
    memset(m, 0, sizeof(*m));
    m->g = import(m, c, 0);
    if (c->files[1]) {
        struct eng_graph *head = import(m, c, 1);
        if (eng_graph_join(m->g, head, err, sizeof(err)) < 0)
            fail_msg("%s: %s", c->name, err);
    }
    if (plan != GOLDEN_REFERENCE && eng_graph_fold(m->g, err, sizeof(err)) < 0)
        fail_msg("%s: %s", c->name, err);
    if (eng_plan_create(&m->plan, m->g, &opts, err, sizeof(err)) < 0 ||
        eng_run_create(&m->run, m->plan, batch, 1, err, sizeof(err)) < 0)
        fail_msg("%s: %s", c->name, err);
}

void golden_unload(struct golden_model *m)
{
    eng_run_destroy(m->run);
    eng_plan_destroy(m->plan);
    eng_graph_destroy(m->g);
    free(m->bytes[0]);
    free(m->bytes[1]);
}

/* Image `image` of the inputs of this side; free() *ret_all. */
static unsigned char *pixels(const struct golden_case *c, int image, unsigned char **ret_all)
{
    char path[256];
    size_t size, one = (size_t)c->side * (size_t)c->side * 3;
    snprintf(path, sizeof(path), "golden/inputs/inputs_8x%dx%dx3.u8", c->side, c->side);
    *ret_all = golden_read(path, &size);
    assert_int_equal(size, one * GOLDEN_IMAGES);
    return *ret_all + one * (size_t)image;
}

void golden_input_u8(struct golden_model *m, const struct golden_case *c, int image, int slot)
{
    size_t one = (size_t)c->side * (size_t)c->side * 3;
    unsigned char *all, *from = pixels(c, image, &all), *in = eng_run_input(m->run, slot);
    for (size_t i = 0; i < one; i++)
        in[i] = c->i8_in ? from[i] ^ 0x80 : from[i];
    free(all);
}

void golden_input_f32(struct golden_model *m, const struct golden_case *c, int image, int slot)
{
    golden_input_as(m, c, image, slot, GOLDEN_01);
}

void golden_input_as(struct golden_model *m, const struct golden_case *c, int image, int slot,
                     enum golden_pixels pixels_as)
{
    size_t one = (size_t)c->side * (size_t)c->side * 3;
    unsigned char *all, *from = pixels(c, image, &all);
    float *in = eng_run_input(m->run, slot);
    for (size_t i = 0; i < one; i++) {
        float v = (float)from[i];
        in[i] = pixels_as == GOLDEN_PM1  ? v / 127.5f - 1
                : pixels_as == GOLDEN_01 ? v / 255.0f
                                         : (v - 128) / 128;
    }
    free(all);
}
