/* Any bytes through the whole image door: probe, codec, resampling, tensor. The first byte picks
 * the way (filter, resize mode, type, switches); limits are small, so that time goes into parsing.
 */
#include "engine/image.h"

#include <stdlib.h>

enum { SIDE = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    uint8_t way = data[0];
    struct eng_preprocess p = {
        .height = SIDE,
        .width = SIDE - (way & 1),
        .resize = (enum eng_resize)(way >> 1 & 3),
        .filter = (enum eng_filter)((way >> 3 & 7) % 5),
        .type = way & 64 ? ENG_F32 : ENG_U8,
        .scale = {1, 1, 1},
        .q_scale = 1,
    };
    struct eng_image_options o = {
        .limits = {.max_pixels = 1 << 18,
                   .max_scans = 20,
                   .max_coefficients = 4 << 20,
                   .max_chunk = 1 << 20,
                   .max_decode_ms = 1000},
        .lenient = way >> 7,
        .full_decode = way >> 6 & 1,
    };
    static float dst[SIDE * SIDE * 3];
    char err[128];
    struct eng_image_report report;
    struct eng_decoder *d;
    if (eng_decoder_create(&d, 0) < 0)
        return 0;
    int r = eng_decoder_run(d, data + 1, size - 1, &p, &o, dst, &report, err, sizeof(err));
    if (r < 0 && err[0] == '\0')
        abort();
    if (r == 0 && (report.info.width == 0 || report.info.height == 0 ||
                   (uint64_t)report.info.width * report.info.height > o.limits.max_pixels))
        abort();
    eng_decoder_destroy(d);
    return 0;
}
