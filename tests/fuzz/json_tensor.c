/* Arrays of numbers: every number is what strtof() gives; what was read prints and reads back. */
#include "protocol/json_tensor.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COUNT_MAX = 64 };

static void require(int condition)
{
    if (!condition)
        abort();
}

static int same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof(a)) == 0;
}

static void one_number(const char *text, size_t size)
{
    float got;
    int n = proto_json_float(text, size, &got);
    if (n < 0)
        return;
    require(n > 0 && (size_t)n <= size);
    char *copy = malloc((size_t)n + 1);
    require(copy != NULL);
    memcpy(copy, text, (size_t)n);
    copy[n] = 0;
    require(same(got, strtof(copy, NULL)));
    free(copy);
}

static void print_and_read(const float *values, size_t count)
{
    char text[(COUNT_MAX + 1) * (PROTO_FLOAT_MAX + 2)], err[128];
    float again[COUNT_MAX];
    size_t used;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(values[i]))
            return;
    }
    long n = proto_json_print_floats(text, sizeof(text), values, count);
    require(n > 0);
    require(proto_json_floats(text, (size_t)n, again, count, &used, err, sizeof(err)) == 0);
    require(used == (size_t)n);
    for (size_t i = 0; i < count; i++)
        require(same(values[i], again[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    float values[COUNT_MAX];
    uint8_t pixels[COUNT_MAX];
    char err[128];
    size_t used, count = 0;
    one_number(text, size);
    for (size_t i = 0; i < size; i++)
        count += data[i] == ',';
    /* An array of so many commas has one element more, or is not what it seems. */
    count = count + 1 < COUNT_MAX ? count + 1 : COUNT_MAX;
    err[0] = 0;
    if (proto_json_floats(text, size, values, count, &used, err, sizeof(err)) == 0) {
        require(used <= size && text[used - 1] == ']');
        print_and_read(values, count);
    } else {
        require(err[0]);
    }
    if (proto_json_bytes(text, size, pixels, count, &used, err, sizeof(err)) == 0) {
        require(proto_json_floats(text, size, values, count, NULL, err, sizeof(err)) == 0);
        for (size_t i = 0; i < count; i++)
            require(values[i] == (float)pixels[i]);
    }
    return 0;
}
