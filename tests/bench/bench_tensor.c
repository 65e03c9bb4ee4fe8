/* Time to read one 1x224x224x3 FP32 tensor out of a request, as the server reads it: the envelope
 * and the elements. A row a form: its name, bytes of the request, median and least ms. */
#include "protocol/infer.h"
#include "protocol/json_tensor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ELEMENTS = 224 * 224 * 3, RUNS = 101 };

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void fail(const char *what)
{
    fprintf(stderr, "bench_tensor: %s\n", what);
    exit(1);
}

struct body {
    char *data;
    size_t len;
    long header_len;
};

static const float *values(void)
{
    float *v = malloc(ELEMENTS * sizeof(*v));
    unsigned seed = 12345;
    for (int i = 0; v && i < ELEMENTS; i++) {
        seed = seed * 1103515245u + 12345u;
        v[i] = (float)(seed >> 8) / (float)(1 << 23) - 1.0f;
    }
    if (!v)
        fail("out of memory");
    return v;
}

static const char head[] = "{\"inputs\":[{\"name\":\"input\",\"shape\":[1,224,224,3],\"datatype\":"
                           "\"FP32\",";

/* doubles: as Python writes a float that was a float32, up to 20 characters; else the digits that a
 * float32 needs. */
static struct body json(const float *v, int doubles)
{
    size_t cap = ELEMENTS * 32 + sizeof(head) + 64;
    struct body b = {malloc(cap), 0, -1};
    if (!b.data)
        fail("out of memory");
    b.len = (size_t)snprintf(b.data, cap, "%s\"data\":[", head);
    for (int i = 0; i < ELEMENTS; i++) {
        if (i)
            b.len += (size_t)snprintf(b.data + b.len, cap - b.len, ", ");
        if (doubles)
            b.len += (size_t)snprintf(b.data + b.len, cap - b.len, "%.17g", (double)v[i]);
        else
            b.len += (size_t)proto_json_print_float(b.data + b.len, v[i]);
    }
    b.len += (size_t)snprintf(b.data + b.len, cap - b.len, "]}]}");
    return b;
}

static struct body binary(const float *v)
{
    size_t size = ELEMENTS * sizeof(*v), cap = size + sizeof(head) + 128;
    struct body b = {malloc(cap), 0, 0};
    if (!b.data)
        fail("out of memory");
    b.header_len =
        snprintf(b.data, cap, "%s\"parameters\":{\"binary_data_size\":%zu}}]}", head, size);
    b.len = (size_t)b.header_len + size;
    memcpy(b.data + b.header_len, v, size);
    return b;
}

static double once(const struct body *b, float *to)
{
    struct proto_infer_request r;
    char err[256];
    double start = now_ms();
    if (proto_infer_parse_json(&r, b->data, b->len, b->header_len, err, sizeof(err)) < 0 ||
        r.inputs[0].elements != ELEMENTS ||
        proto_input_floats(&r.inputs[0], to, err, sizeof(err)) < 0)
        fail(err);
    double ms = now_ms() - start;
    proto_infer_finish(&r);
    return ms;
}

static void row(const char *name, const struct body *b, const float *v)
{
    float *to = malloc(ELEMENTS * sizeof(*to));
    double ms[RUNS];
    if (!to)
        fail("out of memory");
    for (int i = 0; i < RUNS; i++)
        ms[i] = once(b, to);
    if (memcmp(to, v, ELEMENTS * sizeof(*to)) != 0)
        fail("the tensor is not what was written");
    qsort(ms, RUNS, sizeof(*ms), by_size);
    printf("%s %zu %.4f %.4f\n", name, b->len, ms[RUNS / 2], ms[0]);
    free(to);
    free(b->data);
}

int main(void)
{
    const float *v = values();
    struct body short_text = json(v, 0), long_text = json(v, 1), raw = binary(v);
    row("json", &short_text, v);
    row("json17", &long_text, v);
    row("binary", &raw, v);
    free((void *)(uintptr_t)v);
    return 0;
}
