/* Headers and EXIF: what a picture says of itself, hostile bytes included. */
#include "engine/image/exif.h"
#include "engine/image/probe.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/unit/image_support.h"

/* TIFF with one entry of the given tag and type. */
static size_t make_tiff(uint8_t *t, int big, unsigned tag, unsigned type, unsigned value)
{
    static const uint8_t little_head[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0};
    static const uint8_t big_head[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1};
    memset(t, 0, 26);
    memcpy(t, big ? big_head : little_head, 10);
    unsigned fields[] = {tag, type};
    for (int i = 0; i < 2; i++) {
        t[10 + 2 * i + !big] = (uint8_t)(fields[i] >> 8);
        t[10 + 2 * i + big] = (uint8_t)fields[i];
    }
    t[big ? 17 : 14] = 1;
    int wide = type == 4;
    for (int i = 0; i < (wide ? 4 : 2); i++)
        t[18 + (big ? (wide ? 3 : 1) - i : i)] = (uint8_t)(value >> 8 * i);
    return 26;
}

static void exif_values(void **state)
{
    (void)state;
    uint8_t t[26];
    for (int big = 0; big < 2; big++)
        for (unsigned type = 3; type <= 4; type++)
            for (unsigned v = 0; v < 300; v++) {
                size_t n = make_tiff(t, big, 0x112, type, v);
                assert_int_equal(eng_exif_orientation(t, n), v >= 1 && v <= 8 ? v : 1);
            }
    make_tiff(t, 0, 0x113, 3, 6);
    assert_int_equal(eng_exif_orientation(t, 26), 1);
    make_tiff(t, 0, 0x112, 2, 6);
    assert_int_equal(eng_exif_orientation(t, 26), 1);
    make_tiff(t, 0, 0x112, 3, 6);
    t[0] = 'M';
    assert_int_equal(eng_exif_orientation(t, 26), 1);
}

/* Cut anywhere, and with every directory offset: no byte outside the block is read (each copy ends
 * where its heap block ends, so a sanitizer sees one that is). */
static void exif_bounds(void **state)
{
    (void)state;
    uint8_t t[26];
    size_t full = make_tiff(t, 0, 0x112, 3, 6);
    for (size_t n = 0; n <= full; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, t, n);
        assert_int_equal(eng_exif_orientation(copy, n), n < full - 4 ? 1 : 6);
        free(copy);
    }
    for (uint32_t at = 0; at < 64; at++) {
        t[4] = (uint8_t)at;
        assert_int_equal(eng_exif_orientation(t, full), at == 8 ? 6 : 1);
    }
    memset(t + 4, 0xff, 4);
    assert_int_equal(eng_exif_orientation(t, full), 1);
    make_tiff(t, 0, 0x112, 3, 6);
    t[8] = t[9] = 0xff; /* 65535 entries are claimed */
    assert_int_equal(eng_exif_orientation(t, full), 6);
}

static size_t make_png(uint8_t *p, uint32_t w, uint32_t h)
{
    static const uint8_t head[33] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\0\0\0\0\0\x08\x02";
    memcpy(p, head, sizeof(head));
    for (int i = 0; i < 4; i++) {
        p[16 + i] = (uint8_t)(w >> (24 - 8 * i));
        p[20 + i] = (uint8_t)(h >> (24 - 8 * i));
    }
    return sizeof(head);
}

static int probe_png(uint32_t w, uint32_t h, const struct eng_image_limits *limits, char *err)
{
    uint8_t p[33];
    struct eng_image_info info;
    size_t n = make_png(p, w, h);
    err[0] = 0;
    int r = eng_image_probe(&info, p, n, limits, err, 128);
    if (r == 0) {
        assert_int_equal(info.width, w);
        assert_int_equal(info.height, h);
        assert_int_equal(info.channels, 3);
        assert_int_equal(info.bits, 8);
    }
    return r;
}

static void limits(void **state)
{
    (void)state;
    char err[128];
    assert_int_equal(probe_png(10000, 5000, NULL, err), 0);
    assert_int_equal(probe_png(10000, 5001, NULL, err), ENG_E_LIMIT);
    assert_non_null(strstr(err, "50000000"));
    assert_int_equal(probe_png(65500, 1, NULL, err), 0);
    assert_int_equal(probe_png(65501, 1, NULL, err), ENG_E_LIMIT);
    assert_non_null(strstr(err, "wide"));
    assert_int_equal(probe_png(1, 65501, NULL, err), ENG_E_LIMIT);
    assert_non_null(strstr(err, "high"));
    assert_int_equal(probe_png(0xffffffff, 0xffffffff, NULL, err), ENG_E_LIMIT);
    assert_int_equal(probe_png(0, 7, NULL, err), ENG_E_DATA);
    assert_int_equal(probe_png(7, 0, NULL, err), ENG_E_DATA);
    struct eng_image_limits own = {.max_pixels = 12, .max_width = 4};
    assert_int_equal(probe_png(4, 3, &own, err), 0);
    assert_int_equal(probe_png(3, 5, &own, err), ENG_E_LIMIT);
    assert_int_equal(probe_png(5, 1, &own, err), ENG_E_LIMIT);
    /* Everything allowed: the product of the sides must not wrap. */
    struct eng_image_limits all = {UINT64_MAX, UINT32_MAX, UINT32_MAX, 0, 0, 0, 0};
    assert_int_equal(probe_png(0xffffffff, 0xffffffff, &all, err), 0);
}

static void sniffed_by_content(void **state)
{
    (void)state;
    char err[128];
    struct eng_image_info info;
    assert_int_equal(eng_image_sniff("\xff\xd8\xff\xe0", 4), ENG_IMAGE_JPEG);
    assert_int_equal(eng_image_sniff("\xff\xd8", 2), ENG_IMAGE_UNKNOWN);
    assert_int_equal(eng_image_sniff("\x89PNG\r\n\x1a\n", 8), ENG_IMAGE_PNG);
    assert_int_equal(eng_image_sniff("<html>", 6), ENG_IMAGE_UNKNOWN);
    assert_int_equal(eng_image_probe(&info, "<html>", 6, NULL, err, sizeof(err)), ENG_E_FORMAT);
    assert_int_equal(eng_image_probe(&info, "", 0, NULL, err, sizeof(err)), ENG_E_DATA);
    assert_int_equal(eng_image_probe(&info, "<html>", 6, NULL, NULL, 0), ENG_E_FORMAT);
    assert_int_equal(eng_image_probe(&info, "\xff\xd8\xff", 3, NULL, err, sizeof(err)), ENG_E_DATA);
}

static void jpeg_markers(void **state)
{
    (void)state;
    /* Fill bytes, garbage between segments, a comment, then a progressive frame of 258x515. */
    static const uint8_t jpeg[] =
        "\xff\xd8\xff\xff\xfe\0\4ab??\xff\xc2\0\x0b\x08\2\3\1\2\1\1\x11\0";
    char err[128];
    struct eng_image_info info;
    assert_int_equal(eng_image_probe(&info, jpeg, sizeof(jpeg) - 1, NULL, err, sizeof(err)), 0);
    assert_int_equal(info.width, 258);
    assert_int_equal(info.height, 515);
    assert_int_equal(info.channels, 1);
    assert_true(info.progressive);
    for (size_t n = 0; n < sizeof(jpeg) - 1; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, jpeg, n);
        int r = eng_image_probe(&info, copy, n, NULL, err, sizeof(err));
        assert_int_equal(r, n == 0 || n > 2 ? ENG_E_DATA : ENG_E_FORMAT);
        free(copy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exif_values),  cmocka_unit_test(exif_bounds),
        cmocka_unit_test(limits),       cmocka_unit_test(sniffed_by_content),
        cmocka_unit_test(jpeg_markers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
