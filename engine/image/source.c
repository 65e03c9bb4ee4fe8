/* What row sources share: the verdicts, alpha on white, rows of what is decoded whole. */
#include "engine/image/source.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

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
    if (bytes > s->limits.max_coefficients)
        return eng_image_fail(&s->err, ENG_E_LIMIT,
                              "%s needs %" PRIu64 " bytes for the whole picture, the limit is %zu",
                              what, bytes, s->limits.max_coefficients);
    int rc = s->room ? s->room(s->room_arg, (size_t)bytes) : 0;
    if (rc == -EFBIG)
        return eng_image_fail(
            &s->err, ENG_E_LIMIT,
            "%s needs %" PRIu64 " bytes for the whole picture, more than there are", what, bytes);
    if (rc < 0)
        return eng_image_fail(&s->err, rc, "there is no room for the whole of %s now", what);
    return 0;
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

int eng_source_whole_rows(struct eng_source *s, const uint8_t *from, size_t pitch,
                          size_t pixel_bytes, uint32_t *next_row, const uint8_t **ret_rows)
{
    uint8_t *rows = s->rows->data;
    uint32_t columns = s->x1 - s->x0, left = s->y1 - *next_row;
    uint32_t n = left < ENG_SOURCE_ROWS ? left : ENG_SOURCE_ROWS;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *row = memcpy(rows + s->stride * i, from + pitch * i, columns * pixel_bytes);
        if (pixel_bytes == 4)
            eng_row_on_white(row, columns);
    }
    *next_row += n;
    *ret_rows = rows;
    return (int)n;
}

int eng_source_all_is_read(struct eng_source *s)
{
    (void)s;
    return 0;
}

void eng_source_holds_nothing(struct eng_source *s)
{
    (void)s;
}
