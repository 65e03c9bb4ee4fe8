/* What all row sources share: the table of formats, the verdicts. */
#include "engine/image/source.h"

#include <inttypes.h>

const struct eng_source_ops *eng_source_ops(enum eng_image_format f)
{
    static const struct eng_source_ops *const ops[] = {
        [ENG_IMAGE_JPEG] = &eng_source_jpeg, [ENG_IMAGE_PNG] = &eng_source_png,
        [ENG_IMAGE_WEBP] = &eng_source_webp, [ENG_IMAGE_GIF] = &eng_source_gif,
        [ENG_IMAGE_BMP] = &eng_source_bmp,   [ENG_IMAGE_PNM] = &eng_source_pnm,
#ifdef ENG_WITH_AVIF
        [ENG_IMAGE_AVIF] = &eng_source_avif,
#else
        [ENG_IMAGE_AVIF] = NULL,
#endif
    };
    return ops[f];
}

int eng_source_check_time(struct eng_source *s)
{
    if (eng_clock_ns() <= s->deadline_ns)
        return 0;
    return eng_image_fail(&s->err, ENG_E_LIMIT,
                          "decoding the picture took longer than the limit of %" PRIu32 " ms",
                          s->limits.max_decode_ms);
}

int eng_source_check_whole(struct eng_source *s, uint64_t bytes, const char *what)
{
    if (bytes <= s->limits.max_coefficients)
        return 0;
    return eng_image_fail(&s->err, ENG_E_LIMIT,
                          "%s needs %" PRIu64 " bytes for the whole picture, the limit is %zu",
                          what, bytes, s->limits.max_coefficients);
}

int eng_source_broken(struct eng_source *s, const char *what)
{
    if (!s->lenient)
        return eng_image_fail(&s->err, ENG_E_DATA, "%s", what);
    s->truncated = 1;
    return 0;
}

static uint8_t on_white(uint32_t colour, uint32_t alpha)
{
    uint32_t t = colour * alpha + 255 * (255 - alpha) + 128;
    return (uint8_t)(((t >> 8) + t) >> 8);
}

void eng_row_on_white(uint8_t *row, size_t pixels)
{
    for (size_t i = 0; i < pixels; i++) {
        const uint8_t *in = row + 4 * i;
        uint32_t alpha = in[3];
        uint8_t r = on_white(in[0], alpha), g = on_white(in[1], alpha), b = on_white(in[2], alpha);
        row[3 * i] = r;
        row[3 * i + 1] = g;
        row[3 * i + 2] = b;
    }
}
