/* AVIF, where it is built in: pictures that libavif itself writes while the test runs, against the
 * same pixels as a PNM or in memory. */
#include "engine/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <avif/avif.h>
#include <cmocka.h>

#include "tests/unit/image_support.h"

enum { W = 62, H = 44, SIDE = 32, TENSOR = SIDE * SIDE * 3 };

struct way {
    avifPixelFormat format;
    int depth, alpha, quarters, mirror; /* -1: no such property */
    int lossy;
};

static void pixel(int x, int y, uint8_t *to)
{
    to[0] = (uint8_t)(x * 4);
    to[1] = (uint8_t)(y * 5);
    to[2] = (uint8_t)(x * 2 + y * 2);
    to[3] = (uint8_t)(255 - x * 3);
}

static avifRWData encode(const struct way *w)
{
    avifImage *image = avifImageCreate(W, H, (uint32_t)w->depth, w->format);
    avifRGBImage rgb;
    avifRWData out = AVIF_DATA_EMPTY;
    assert_non_null(image);
    if (!w->lossy)
        image->matrixCoefficients = AVIF_MATRIX_COEFFICIENTS_IDENTITY;
    avifRGBImageSetDefaults(&rgb, image);
    rgb.depth = 8;
    rgb.format = w->alpha ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    avifRGBImageAllocatePixels(&rgb);
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t p[4];
            pixel(x, y, p);
            memcpy(rgb.pixels + (size_t)y * rgb.rowBytes + (size_t)(x * (w->alpha ? 4 : 3)), p,
                   w->alpha ? 4 : 3);
        }
    assert_int_equal(avifImageRGBToYUV(image, &rgb), AVIF_RESULT_OK);
    if (w->quarters >= 0) {
        image->transformFlags |= AVIF_TRANSFORM_IROT;
        image->irot.angle = (uint8_t)w->quarters;
    }
    if (w->mirror >= 0) {
        image->transformFlags |= AVIF_TRANSFORM_IMIR;
        image->imir.mode = (uint8_t)w->mirror;
    }
    avifEncoder *e = avifEncoderCreate();
    assert_non_null(e);
    e->speed = 9;
    e->maxThreads = 1;
    e->minQuantizer = e->maxQuantizer = w->lossy ? 8 : 0;
    e->minQuantizerAlpha = e->maxQuantizerAlpha = 0;
    assert_int_equal(avifEncoderWrite(e, image, &out), AVIF_RESULT_OK);
    avifEncoderDestroy(e);
    avifRGBImageFreePixels(&rgb);
    avifImageDestroy(image);
    return out;
}

static int run(const avifRWData *file, size_t len, const struct eng_image_options *o, uint8_t *dst,
               struct eng_image_report *report)
{
    struct eng_preprocess p = image_plain(SIDE);
    struct eng_decoder *d;
    char err[200] = "";
    assert_int_equal(eng_decoder_create(&d, 0), 0);
    int r = eng_decoder_run(d, file->data, len, &p, o, dst, report, err, sizeof(err));
    eng_decoder_destroy(d);
    if (r < 0)
        assert_true(err[0] != '\0');
    return r;
}

static int worst(const uint8_t *a, const uint8_t *b)
{
    int max = 0;
    for (int i = 0; i < TENSOR; i++)
        max = abs(a[i] - b[i]) > max ? abs(a[i] - b[i]) : max;
    return max;
}

/* What the tensor must be: the pixels turned by hand, as the standard of irot and imir says. */
static void expect(const struct way *w, uint8_t *dst)
{
    static uint8_t file[16 + W * H * 3];
    int quarters = w->quarters > 0 ? w->quarters : 0, swap = quarters & 1;
    int tw = swap ? H : W, th = swap ? W : H;
    int head = snprintf((char *)file, 16, "P6 %d %d 255\n", tw, th);
    uint8_t *turned = file + head;
    for (int y = 0; y < th; y++)
        for (int x = 0; x < tw; x++) {
            int u = w->mirror == 1 ? tw - 1 - x : x, v = w->mirror == 0 ? th - 1 - y : y;
            int cw = tw, ch = th;
            for (int q = 0; q < quarters; q++) { /* back, clockwise: where did (u, v) come from? */
                int from_u = ch - 1 - v, from_v = u;
                int t = cw;
                cw = ch;
                ch = t;
                u = from_u;
                v = from_v;
            }
            uint8_t p[4];
            pixel(u, v, p);
            for (int c = 0; c < 3; c++)
                turned[3 * (y * tw + x) + c] =
                    w->alpha ? (uint8_t)((p[c] * p[3] + 255 * (255 - p[3]) + 127) / 255) : p[c];
        }
    struct eng_preprocess p = image_plain(SIDE);
    struct eng_decoder *d;
    char err[200];
    assert_int_equal(eng_decoder_create(&d, 0), 0);
    assert_int_equal(eng_decoder_run(d, file, (size_t)(head + 3 * tw * th), &p, NULL, dst, NULL,
                                     err, sizeof(err)),
                     0);
    eng_decoder_destroy(d);
}

static void pixels_come_back(void **state)
{
    static const struct way ways[] = {
        {AVIF_PIXEL_FORMAT_YUV444, 8, 0, -1, -1, 0},  {AVIF_PIXEL_FORMAT_YUV444, 8, 1, -1, -1, 0},
        {AVIF_PIXEL_FORMAT_YUV444, 10, 0, -1, -1, 0}, {AVIF_PIXEL_FORMAT_YUV420, 8, 0, -1, -1, 1},
        {AVIF_PIXEL_FORMAT_YUV422, 12, 1, -1, -1, 1},
    };
    uint8_t got[TENSOR], want[TENSOR];
    struct eng_image_report report;
    (void)state;
    for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
        avifRWData file = encode(&ways[i]);
        assert_int_equal(run(&file, file.size, NULL, got, &report), 0);
        assert_int_equal(report.info.format, ENG_IMAGE_AVIF);
        assert_int_equal(report.info.width, W);
        assert_int_equal(report.info.height, H);
        assert_int_equal(report.info.bits, ways[i].depth);
        assert_int_equal(report.info.channels, 3 + ways[i].alpha);
        expect(&ways[i], want);
        if (worst(got, want) > (ways[i].lossy ? 12 : 1))
            fail_msg("way %zu: differs by %d", i, worst(got, want));
        avifRWDataFree(&file);
    }
}

static void turned_and_mirrored(void **state)
{
    uint8_t got[TENSOR], want[TENSOR];
    unsigned seen = 0;
    (void)state;
    for (int quarters = -1; quarters < 4; quarters++)
        for (int mirror = -1; mirror < 2; mirror++) {
            struct way w = {AVIF_PIXEL_FORMAT_YUV444, 8, 0, quarters, mirror, 0};
            struct eng_image_report report;
            avifRWData file = encode(&w);
            assert_int_equal(run(&file, file.size, NULL, got, &report), 0);
            expect(&w, want);
            if (worst(got, want) > 1)
                fail_msg("%d quarters, mirror %d: differs by %d", quarters, mirror,
                         worst(got, want));
            seen |= 1u << report.applied_orientation;
            avifRWDataFree(&file);
        }
    assert_int_equal(seen, 0x1fe); /* 1 to 8 */
}

static void limits_kept(void **state)
{
    static const struct {
        struct eng_image_limits limits;
        int result;
    } cases[] = {
        {{.max_pixels = W * H - 1}, ENG_E_LIMIT},
        {{.max_pixels = W * H}, 0},
        {{.max_width = W - 1}, ENG_E_LIMIT},
        {{.max_height = H - 1}, ENG_E_LIMIT},
        {{.max_coefficients = W * H * 7 - 1}, ENG_E_LIMIT},
        {{.max_coefficients = W * H * 7}, 0},
    };
    struct way w = {AVIF_PIXEL_FORMAT_YUV444, 8, 0, -1, -1, 0};
    uint8_t got[TENSOR];
    avifRWData file = encode(&w);
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct eng_image_options o = {.limits = cases[i].limits};
        if (run(&file, file.size, &o, got, NULL) != cases[i].result)
            fail_msg("case %zu", i);
    }
    avifRWDataFree(&file);
}

/* The size in the header counts: a larger bitstream is refused, a smaller one libavif scales. */
static void headers_that_lie(void **state)
{
    struct way w = {AVIF_PIXEL_FORMAT_YUV444, 8, 0, -1, -1, 0};
    struct eng_image_report report;
    uint8_t got[TENSOR];
    avifRWData file = encode(&w);
    (void)state;
    uint8_t *ispe = memmem(file.data, file.size, "ispe", 4);
    assert_non_null(ispe);
    ispe[11] = W - 1;
    assert_int_equal(run(&file, file.size, NULL, got, NULL), ENG_E_DATA);
    ispe[11] = W + 1;
    assert_int_equal(run(&file, file.size, NULL, got, &report), 0);
    assert_int_equal(report.info.width, W + 1);
    ispe[8] = 0x7f;
    assert_int_equal(run(&file, file.size, NULL, got, NULL), ENG_E_LIMIT);
    avifRWDataFree(&file);
}

static void cut_anywhere(void **state)
{
    struct way w = {AVIF_PIXEL_FORMAT_YUV420, 8, 1, 1, 0, 1};
    struct eng_image_options lenient = {.lenient = 1};
    uint8_t got[TENSOR];
    avifRWData file = encode(&w);
    (void)state;
    assert_int_equal(run(&file, file.size, NULL, got, NULL), 0);
    for (size_t len = 0; len < file.size; len++) {
        int r = run(&file, len, NULL, got, NULL);
        assert_true(r == ENG_E_DATA || (r == ENG_E_FORMAT && len < 12));
        assert_true(run(&file, len, &lenient, got, NULL) < 0);
    }
    avifRWDataFree(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pixels_come_back), cmocka_unit_test(turned_and_mirrored),
        cmocka_unit_test(limits_kept),      cmocka_unit_test(headers_that_lie),
        cmocka_unit_test(cut_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
