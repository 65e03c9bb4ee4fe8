/* The ONNX importer on bytes that are cut, damaged, or made to exhaust it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/importers/import.h"
#include "engine/importers/onnx_wire.h"
#include "tests/unit/onnx_writer.h"

static uint8_t whole[ONW_BYTES];
static char err[512];

static int import(struct eng_graph **ret, const void *bytes, size_t len)
{
    err[0] = '\0';
    *ret = NULL;
    int rc = eng_import_onnx(ret, bytes, len, (struct eng_open_size){0}, err, sizeof(err));
    if (rc < 0) {
        assert_null(*ret);
        assert_true(strlen(err) > 5);
    } else {
        assert_non_null(*ret);
    }
    return rc;
}

/* ---- bytes ---- */

static void (*const all_samples[])(struct onw_model *) = {onw_sample, onw_sample_qdq,
                                                          onw_sample_zoo};

static void truncated(void **state)
{
    static struct onw_model m;
    for (size_t i = 0; i < 3; i++) {
        all_samples[i](&m);
        size_t len = onw_write(&m, whole);
        for (size_t n = 0; n < len; n++) {
            struct eng_graph *g;
            uint8_t *part = malloc(n ? n : 1); /* its own block: a sanitizer sees a step outside */
            memcpy(part, whole, n);
            assert_true(import(&g, part, n) < 0);
            free(part);
        }
    }
    (void)state;
}

/* Every byte set to every kind of wild value: failure or success, never a step outside. */
static void wild_bytes(void **state)
{
    static struct onw_model m;
    static const uint8_t wild[] = {0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x3a, 0x0b};
    int refusals = 0;
    for (size_t i = 0; i < 3; i++) {
        all_samples[i](&m);
        size_t len = onw_write(&m, whole);
        uint8_t *copy = malloc(len);
        for (size_t at = 0; at < len; at++) {
            for (size_t k = 0; k < sizeof(wild); k++) {
                struct eng_graph *g;
                memcpy(copy, whole, len);
                copy[at] = wild[k];
                refusals += import(&g, copy, len) < 0;
                eng_graph_destroy(g);
            }
        }
        free(copy);
    }
    assert_true(refusals > 5000);
    (void)state;
}

static void flipped_bits(void **state)
{
    static struct onw_model m;
    onw_sample_qdq(&m);
    size_t len = onw_write(&m, whole);
    uint8_t *copy = malloc(len);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct eng_graph *g;
        memcpy(copy, whole, len);
        copy[bit / 8] ^= (uint8_t)(1u << bit % 8);
        import(&g, copy, len);
        eng_graph_destroy(g);
    }
    free(copy);
    (void)state;
}

static void other_bytes(void **state)
{
    struct eng_graph *g;
    assert_int_equal(import(&g, "", 0), ENG_E_FORMAT);
    assert_int_equal(import(&g, "GIF89a..", 8), ENG_E_FORMAT);
    assert_int_equal(import(&g, "{\"a\":1}", 7), ENG_E_FORMAT);
    assert_int_equal(import(&g, "\x08\x07", 2), ENG_E_DATA);         /* no graph */
    assert_int_equal(import(&g, "\x08\x07\x0b\x0c", 4), ENG_E_DATA); /* a group */
    assert_int_equal(import(&g, "\x08\x07\x3a\x7f", 4), ENG_E_DATA); /* longer than the file */
    assert_int_equal(import(&g, "\x08\x07\x02\x00", 4), ENG_E_DATA); /* field 0 */
    assert_int_equal(import(&g, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12),
                     ENG_E_DATA);
    (void)state;
}

/* ---- the wire ---- */

/* A type that is a sequence of a type that ...: `levels` messages below the file. Lengths have
 * five bytes each. */
static size_t nested(uint8_t *to, int levels)
{
    /* ModelProto.graph, GraphProto.input, ValueInfoProto.type, then TypeProto.sequence_type and
     * Sequence.elem_type in turn. */
    static const uint8_t fields[] = {7, 11, 2};
    uint8_t *at = to;
    size_t left = (size_t)levels * 6;
    *at++ = 8;
    *at++ = 7;
    for (int i = 0; i < levels; i++) {
        unsigned field = i < 3 ? fields[i] : i % 2 ? 4 : 1;
        left -= 6;
        *at++ = (uint8_t)(field << 3 | 2);
        for (int k = 0; k < 5; k++)
            *at++ = (uint8_t)((left >> (7 * k) & 127) | (k < 4 ? 128 : 0));
    }
    return (size_t)(at - to);
}

static void nesting(void **state)
{
    enum { DEEP = 200000 };
    uint8_t *bytes = malloc(DEEP * 6 + 2);
    size_t len = nested(bytes, ENG_ONNX_MAX_NESTING - 1);
    assert_int_equal(eng_onnx_scan(bytes, len, err, sizeof(err)), 0);
    len = nested(bytes, ENG_ONNX_MAX_NESTING);
    assert_int_equal(eng_onnx_scan(bytes, len, err, sizeof(err)), ENG_E_LIMIT);
    struct eng_graph *g;
    len = nested(bytes, DEEP);
    assert_int_equal(import(&g, bytes, len), ENG_E_LIMIT);
    assert_non_null(strstr(err, "nests deeper"));
    free(bytes);
    (void)state;
}

/* The limits of the counts, from both sides: empty fields of one kind. */
static void counts(void **state)
{
    static const struct {
        uint8_t tag[2];
        size_t most;
    } rows[] = {
        {{14 << 3 | 2, 0}, ENG_ONNX_MAX_FIELDS},     /* metadata_props: a message each */
        {{5 << 3 | 0, 0}, ENG_ONNX_MAX_SCALARS - 1}, /* model_version, and ir_version first */
    };
    for (size_t i = 0; i < 2; i++) {
        size_t n = rows[i].most + 1;
        uint8_t *bytes = malloc(2 + 2 * n);
        bytes[0] = 8;
        bytes[1] = 7;
        for (size_t k = 0; k < n; k++)
            memcpy(bytes + 2 + 2 * k, rows[i].tag, 2);
        assert_int_equal(eng_onnx_scan(bytes, 2 * n, err, sizeof(err)), 0);
        assert_int_equal(eng_onnx_scan(bytes, 2 + 2 * n, err, sizeof(err)), ENG_E_LIMIT);
        free(bytes);
    }
    (void)state;
}

/* A million empty messages are within the counts, but not within the memory that such a file may
 * take. */
static void memory(void **state)
{
    size_t n = ENG_ONNX_MAX_FIELDS - 64;
    uint8_t *bytes = malloc(2 + 6 + 2 * n);
    struct eng_graph *g;
    memcpy(bytes, "\x08\x07\x3a", 3);
    for (int k = 0; k < 5; k++)
        bytes[3 + k] = (uint8_t)((2 * n >> (7 * k) & 127) | (k < 4 ? 128 : 0));
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + 8 + 2 * i, (uint8_t[]){5 << 3 | 2, 0}, 2); /* GraphProto.initializer */
    assert_int_equal(import(&g, bytes, 8 + 2 * n), ENG_E_LIMIT);
    assert_non_null(strstr(err, "MiB of memory"));
    free(bytes);
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated),   cmocka_unit_test(wild_bytes), cmocka_unit_test(flipped_bits),
        cmocka_unit_test(other_bytes), cmocka_unit_test(nesting),    cmocka_unit_test(counts),
        cmocka_unit_test(memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
