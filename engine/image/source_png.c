/* PNG through libspng. Every row is decoded, those below the window too: deflate and the row
 * filters need them in order, and only so is a broken tail seen. Interlaced pictures alone need the
 * whole picture in memory. */
#include "engine/image/source.h"

#include <errno.h>
#include <spng.h>
#include <string.h>

#include "engine/image/exif.h"
#include "engine/image/probe.h"

struct png {
    spng_ctx *ctx;
    struct spng_ihdr ihdr;
    int format;         /* spng's */
    size_t pixel_bytes; /* as the library gives them */
    size_t picture_row; /* bytes of a row in s->picture */
    uint32_t next_row;
    int ended; /* lenient: nothing more comes */
};

/* ---- the header ---- */

int eng_probe_png(struct eng_image_info *info, const uint8_t *p, size_t len,
                  const struct eng_sentence *err)
{
    static const uint8_t channels[] = {1, 0, 3, 3, 2, 0, 4};
    if (len < 33 || eng_be32(p + 8) != 13 || memcmp(p + 12, "IHDR", 4) != 0)
        return eng_image_fail(err, ENG_E_DATA, "the PNG ends before it declares its size");
    info->width = eng_be32(p + 16);
    info->height = eng_be32(p + 20);
    info->bits = p[24];
    info->channels = p[25] < sizeof(channels) ? channels[p[25]] : 0;
    info->progressive = p[28] != 0;
    if (info->channels == 0)
        return eng_image_fail(err, ENG_E_DATA, "the PNG has an unknown colour type (%d)", p[25]);
    for (size_t at = 33; len - at >= 12;) {
        size_t size = eng_be32(p + at);
        const uint8_t *type = p + at + 4;
        if (size > len - at - 12 || memcmp(type, "IDAT", 4) == 0)
            break;
        if (memcmp(type, "eXIf", 4) == 0)
            info->orientation = eng_exif_orientation(type + 4, size);
        at += 12 + size;
    }
    return 0;
}

/* ---- rows ---- */

static int fail_spng(struct eng_source *s, int code)
{
    if (code == SPNG_EMEM)
        return eng_image_fail(&s->err, -ENOMEM, "out of memory while reading the PNG");
    if (code == SPNG_ECHUNK_LIMITS)
        return eng_image_fail(&s->err, ENG_E_LIMIT,
                              "a chunk of the PNG is over the limit of %zu bytes",
                              s->limits.max_chunk);
    const char *text =
        code == SPNG_EOF || code == SPNG_IO_EOF ? "it is truncated" : spng_strerror(code);
    return eng_image_fail(&s->err, ENG_E_DATA, "the PNG is broken: %s", text);
}

/* The narrowest format that loses nothing but the low byte of 16-bit samples. */
static void choose_format(struct eng_source *s, struct png *p)
{
    struct spng_trns trns;
    int colour = p->ihdr.color_type;
    int alpha =
        (colour & SPNG_COLOR_TYPE_GRAYSCALE_ALPHA) != 0 && colour != SPNG_COLOR_TYPE_INDEXED;
    if (alpha || spng_get_trns(p->ctx, &trns) == 0) {
        p->format = SPNG_FMT_RGBA8;
        p->pixel_bytes = 4;
    } else if (colour == SPNG_COLOR_TYPE_GRAYSCALE && p->ihdr.bit_depth <= 8) {
        p->format = SPNG_FMT_G8;
        p->pixel_bytes = 1;
    } else {
        p->format = SPNG_FMT_RGB8;
        p->pixel_bytes = 3;
    }
    s->channels = p->format == SPNG_FMT_G8 ? 1 : 3;
}

static int png_open(struct eng_source *s)
{
    struct png *p = s->state;
    p->ctx = spng_ctx_new(0);
    if (!p->ctx)
        return fail_spng(s, SPNG_EMEM);
    int r = spng_set_png_buffer(p->ctx, s->bytes, s->len);
    if (r == 0)
        r = spng_set_image_limits(p->ctx, s->limits.max_width, s->limits.max_height);
    if (r == 0)
        r = spng_set_chunk_limits(p->ctx, s->limits.max_chunk, s->limits.max_chunk);
    if (r == 0)
        r = spng_set_crc_action(p->ctx, SPNG_CRC_ERROR, SPNG_CRC_DISCARD);
    if (r == 0)
        r = spng_get_ihdr(p->ctx, &p->ihdr);
    if (r == 0)
        r = spng_decode_chunks(p->ctx);
    if (r != 0)
        return fail_spng(s, r);
    choose_format(s, p);
    s->max_denominator = 1;
    return 0;
}

static int png_start(struct eng_source *s)
{
    struct png *p = s->state;
    size_t width = p->ihdr.width;
    s->x0 = s->y0 = 0;
    s->x1 = p->ihdr.width;
    s->y1 = p->ihdr.height;
    s->stride = eng_size(width, p->pixel_bytes, ENG_ROW_SLACK);
    if (eng_buffer_reserve(s->rows, s->stride) < 0)
        return fail_spng(s, SPNG_EMEM);
    if (p->ihdr.interlace_method != 0) {
        p->picture_row = width * p->pixel_bytes;
        int r = eng_source_check_whole(s, (uint64_t)p->picture_row * p->ihdr.height,
                                       "the interlaced PNG");
        if (r < 0)
            return r;
        if (eng_buffer_reserve(s->picture, eng_size(p->picture_row, p->ihdr.height, 0)) < 0)
            return fail_spng(s, SPNG_EMEM);
        memset(s->picture->data, 128, p->picture_row * p->ihdr.height);
    }
    int r =
        spng_decode_image(p->ctx, NULL, 0, p->format, SPNG_DECODE_PROGRESSIVE | SPNG_DECODE_TRNS);
    return r == 0 ? 0 : fail_spng(s, r);
}

/* What a failed row means: 0 if it is forgiven. */
static int broken(struct eng_source *s, int code)
{
    struct png *p = s->state;
    int r = fail_spng(s, code);
    if (r == ENG_E_DATA && s->lenient) {
        s->truncated = p->ended = 1;
        return 0;
    }
    return r;
}

static int read_interlaced(struct eng_source *s)
{
    struct png *p = s->state;
    struct spng_row_info info;
    while (!p->ended) {
        int r = spng_get_row_info(p->ctx, &info);
        if (r == 0)
            r = spng_decode_row(p->ctx, (uint8_t *)s->picture->data + p->picture_row * info.row_num,
                                p->picture_row);
        if (r == SPNG_EOI)
            p->ended = 1;
        else if (r != 0)
            r = broken(s, r);
        if (r < 0 || (r = eng_source_check_time(s)) < 0)
            return r;
    }
    return 0;
}

static int read_next(struct eng_source *s, uint8_t *row)
{
    struct png *p = s->state;
    size_t bytes = p->ihdr.width * p->pixel_bytes;
    if (p->picture_row != 0) {
        memcpy(row, (uint8_t *)s->picture->data + p->picture_row * p->next_row, bytes);
        return 0;
    }
    int r = p->ended ? 0 : spng_decode_row(p->ctx, row, bytes);
    if (r != 0 && r != SPNG_EOI)
        r = broken(s, r);
    else
        r = 0;
    if (p->ended)
        memset(row, 128, bytes);
    return r;
}

static int png_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct png *p = s->state;
    int r = 0;
    if (p->picture_row != 0 && p->next_row == 0)
        r = read_interlaced(s);
    if (r == 0 && p->next_row % 16 == 0)
        r = eng_source_check_time(s);
    if (r == 0)
        r = read_next(s, s->rows->data);
    if (r < 0)
        return r;
    if (p->format == SPNG_FMT_RGBA8)
        eng_row_on_white(s->rows->data, p->ihdr.width);
    p->next_row++;
    *ret_rows = s->rows->data;
    return 1;
}

static int png_finish(struct eng_source *s)
{
    struct png *p = s->state;
    if (p->ended && s->truncated)
        return 0;
    int r = spng_decode_chunks(p->ctx);
    return r == 0 ? 0 : broken(s, r);
}

static void png_close(struct eng_source *s)
{
    struct png *p = s->state;
    spng_ctx_free(p->ctx);
}

const struct eng_source_ops eng_source_png = {
    sizeof(struct png), png_open, png_start, png_read, png_finish, png_close,
};
