/* What a picture may ask for. */
#include <inttypes.h>

#include "engine/image/probe.h"

struct eng_image_limits eng_image_limits_fill(const struct eng_image_limits *given)
{
    static const struct eng_image_limits defaults = {
        .max_pixels = 50000000,
        .max_width = 65500,
        .max_height = 65500,
        .max_scans = 100,
        .max_coefficients = (size_t)256 << 20,
        .max_chunk = (size_t)16 << 20,
        .max_decode_ms = 5000,
    };
    struct eng_image_limits l = given ? *given : defaults;
#define FILL(field)                                                                                \
    if (l.field == 0)                                                                              \
    l.field = defaults.field
    FILL(max_pixels);
    FILL(max_width);
    FILL(max_height);
    FILL(max_scans);
    FILL(max_coefficients);
    FILL(max_chunk);
    FILL(max_decode_ms);
#undef FILL
    return l;
}

int eng_image_check_size(const struct eng_image_info *info, const struct eng_image_limits *limits,
                         const struct eng_sentence *err)
{
    if (info->width == 0 || info->height == 0)
        return eng_image_fail(err, ENG_E_DATA,
                              "the picture declares a size of %" PRIu32 "x%" PRIu32, info->width,
                              info->height);
    if (info->width > limits->max_width)
        return eng_image_fail(err, ENG_E_LIMIT,
                              "the picture is %" PRIu32 " pixels wide, the limit is %" PRIu32,
                              info->width, limits->max_width);
    if (info->height > limits->max_height)
        return eng_image_fail(err, ENG_E_LIMIT,
                              "the picture is %" PRIu32 " pixels high, the limit is %" PRIu32,
                              info->height, limits->max_height);
    uint64_t pixels = (uint64_t)info->width * info->height;
    if (pixels > limits->max_pixels)
        return eng_image_fail(err, ENG_E_LIMIT,
                              "the picture declares %" PRIu32 "x%" PRIu32 " = %" PRIu64
                              " pixels, the limit is %" PRIu64,
                              info->width, info->height, pixels, limits->max_pixels);
    return 0;
}
