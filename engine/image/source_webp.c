/* WebP through libwebp, fed in pieces so that the clock can be looked at. The library has no rows
 * to give, so the window is decoded into one buffer (its cropping spares the rest). Of an animation
 * the first frame is shown, on its canvas, over white. */
#include "engine/image/source.h"

#include <errno.h>
#include <string.h>
#include <webp/decode.h>
#include <webp/demux.h>

#include "engine/image/exif.h"
#include "engine/image/probe.h"

enum { PIECE = 64 << 10, PIECE_PIXELS = 1 << 20, MARGIN = 2 };

struct webp {
    WebPDecoderConfig config;
    WebPIDecoder *decoder;
    WebPDemuxer *demuxer;
    const uint8_t *data; /* of the frame */
    size_t len;
    uint32_t frame_x, frame_y; /* on the canvas; 0 but in animations */
    uint32_t next_row;
    size_t pixel_bytes, pitch; /* of the decoded window */
    int decoded;
};

/* The EXIF chunk of an extended file; some writers put JPEG's prefix before the TIFF block. */
static int find_orientation(const uint8_t *p, size_t len)
{
    for (size_t at = 12; at <= len && len - at >= 8;) {
        size_t size = eng_le32(p + at + 4);
        const uint8_t *body = p + at + 8;
        if (size > len - at - 8)
            break;
        if (memcmp(p + at, "EXIF", 4) == 0) {
            size_t skip = size > 6 && memcmp(body, "Exif\0", 6) == 0 ? 6 : 0;
            return eng_exif_orientation(body + skip, size - skip);
        }
        at += 8 + size + (size & 1);
    }
    return 1;
}

int eng_probe_webp(struct eng_image_info *info, const uint8_t *p, size_t len,
                   const struct eng_sentence *err)
{
    WebPBitstreamFeatures f;
    if (WebPGetFeatures(p, len, &f) != VP8_STATUS_OK)
        return eng_image_fail(err, ENG_E_DATA, "the WebP has a broken or incomplete header");
    info->width = (uint32_t)f.width;
    info->height = (uint32_t)f.height;
    info->channels = f.has_alpha ? 4 : 3;
    info->bits = 8;
    info->orientation = find_orientation(p, len);
    return 0;
}

static int fail_webp(struct eng_source *s, VP8StatusCode code)
{
    switch (code) {
    case VP8_STATUS_OUT_OF_MEMORY:
        return eng_image_fail(&s->err, -ENOMEM, "out of memory while decoding the WebP");
    case VP8_STATUS_UNSUPPORTED_FEATURE:
        return eng_image_fail(&s->err, ENG_E_UNSUPPORTED, "the WebP uses an unknown feature");
    case VP8_STATUS_SUSPENDED:
    case VP8_STATUS_NOT_ENOUGH_DATA:
        return eng_source_broken(s, "the WebP is truncated");
    default:
        return eng_source_broken(s, "the WebP is broken");
    }
}

/* Points at the first frame of an animation. */
static int open_animation(struct eng_source *s)
{
    struct webp *w = s->state;
    WebPIterator frame;
    w->demuxer = WebPDemux(&(WebPData){s->bytes, s->len});
    if (!w->demuxer || !WebPDemuxGetFrame(w->demuxer, 1, &frame))
        return eng_image_fail(&s->err, ENG_E_DATA, "the animated WebP is broken or truncated");
    w->data = frame.fragment.bytes;
    w->len = frame.fragment.size;
    w->frame_x = (uint32_t)frame.x_offset;
    w->frame_y = (uint32_t)frame.y_offset;
    WebPDemuxReleaseIterator(&frame);
    return 0;
}

/* A file shorter than it says is refused before a picture of millions of pixels is made of it. */
static int check_length(struct eng_source *s)
{
    if (!s->lenient && s->len - 8 < eng_le32(s->bytes + 4))
        return eng_source_broken(s, "the WebP is truncated");
    return 0;
}

static int webp_open(struct eng_source *s)
{
    struct webp *w = s->state;
    int r = check_length(s);
    if (r < 0)
        return r;
    if (!WebPInitDecoderConfig(&w->config))
        return eng_image_fail(&s->err, ENG_E_UNSUPPORTED, "libwebp is of another version");
    w->data = s->bytes;
    w->len = s->len;
    WebPBitstreamFeatures *f = &w->config.input;
    if (WebPGetFeatures(w->data, w->len, f) != VP8_STATUS_OK)
        return eng_image_fail(&s->err, ENG_E_DATA, "the WebP has a broken header");
    if (f->has_animation) {
        r = open_animation(s);
        if (r < 0)
            return r;
        if (WebPGetFeatures(w->data, w->len, f) != VP8_STATUS_OK)
            return eng_image_fail(&s->err, ENG_E_DATA, "the WebP's first frame is broken");
        w->pixel_bytes = 4;
    } else {
        w->pixel_bytes = f->has_alpha ? 4 : 3;
    }
    s->channels = 3;
    s->max_denominator = 1;
    return 0;
}

/* Window of a still picture, with the even corners that libwebp wants and a margin for its chroma
 * upsampling. An animation gets its whole canvas. */
static int place(struct eng_source *s)
{
    struct webp *w = s->state;
    WebPDecoderOptions *o = &w->config.options;
    if (w->demuxer || s->full_decode) {
        s->x0 = s->y0 = 0;
        s->x1 = s->info.width;
        s->y1 = s->info.height;
    } else {
        s->x0 = s->x0 > MARGIN ? (s->x0 - MARGIN) & ~1u : 0;
        s->y0 = s->y0 > MARGIN ? (s->y0 - MARGIN) & ~1u : 0;
        s->x1 = s->info.width - s->x1 > MARGIN ? s->x1 + MARGIN : s->info.width;
        s->y1 = s->info.height - s->y1 > MARGIN ? s->y1 + MARGIN : s->info.height;
        o->use_cropping = 1;
        o->crop_left = (int)s->x0;
        o->crop_top = (int)s->y0;
        o->crop_width = (int)(s->x1 - s->x0);
        o->crop_height = (int)(s->y1 - s->y0);
    }
    uint64_t frame = (uint64_t)w->config.input.width * (uint64_t)w->config.input.height;
    if (w->frame_x + (uint64_t)w->config.input.width > s->info.width ||
        w->frame_y + (uint64_t)w->config.input.height > s->info.height)
        return eng_image_fail(&s->err, ENG_E_DATA, "the WebP's frame lies outside its canvas");
    uint64_t out = (uint64_t)(s->x1 - s->x0) * (s->y1 - s->y0) * w->pixel_bytes;
    /* Lossless keeps every pixel as 4 bytes, lossy with alpha keeps the alpha plane. */
    uint64_t inside = w->config.input.format == 2 ? 4 * frame
                      : w->config.input.has_alpha ? frame
                                                  : 0;
    return eng_source_check_whole(s, out + inside, "the WebP");
}

static int webp_start(struct eng_source *s)
{
    struct webp *w = s->state;
    int r = place(s);
    if (r < 0)
        return r;
    size_t columns = s->x1 - s->x0, rows = s->y1 - s->y0;
    w->pitch = columns * w->pixel_bytes;
    s->stride = eng_size(columns, w->pixel_bytes, ENG_ROW_SLACK);
    if (eng_buffer_reserve(s->picture, eng_size(w->pitch, rows, 0)) < 0 ||
        eng_buffer_reserve(s->rows, eng_size(s->stride, ENG_SOURCE_ROWS, 0)) < 0)
        return fail_webp(s, VP8_STATUS_OUT_OF_MEMORY);
    uint8_t *picture = s->picture->data;
    memset(picture, w->demuxer ? 0 : 128, w->pitch * rows);
    size_t skipped = w->frame_y * w->pitch + w->frame_x * w->pixel_bytes;
    WebPDecBuffer *b = &w->config.output;
    b->colorspace = w->pixel_bytes == 4 ? MODE_RGBA : MODE_RGB;
    b->is_external_memory = 1;
    b->u.RGBA.rgba = picture + skipped;
    b->u.RGBA.stride = (int)w->pitch;
    b->u.RGBA.size = w->pitch * rows - skipped;
    w->decoder = WebPIDecode(NULL, 0, &w->config);
    w->next_row = s->y0;
    return w->decoder ? 0 : fail_webp(s, VP8_STATUS_OUT_OF_MEMORY);
}

/* Bytes between two looks at the clock, about a million pixels: a few hundred bytes may stand for
 * fifty millions. */
static size_t piece(const struct webp *w)
{
    uint64_t pixels = (uint64_t)w->config.input.width * (uint64_t)w->config.input.height;
    uint64_t n = w->len / (pixels / PIECE_PIXELS + 1);
    return n < 1 ? 1 : n < PIECE ? (size_t)n : PIECE;
}

static int decode(struct eng_source *s)
{
    struct webp *w = s->state;
    size_t step = piece(w);
    VP8StatusCode code = VP8_STATUS_SUSPENDED;
    for (size_t have = 0; have < w->len && code == VP8_STATUS_SUSPENDED;) {
        int r = eng_source_check_time(s);
        if (r < 0)
            return r;
        have = w->len - have > step ? have + step : w->len;
        code = WebPIUpdate(w->decoder, w->data, have);
    }
    w->decoded = 1;
    return code == VP8_STATUS_OK ? 0 : fail_webp(s, code);
}

static int webp_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct webp *w = s->state;
    int r = w->decoded ? 0 : decode(s);
    if (r < 0)
        return r;
    const uint8_t *from = (uint8_t *)s->picture->data + w->pitch * (w->next_row - s->y0);
    return eng_source_whole_rows(s, from, w->pitch, w->pixel_bytes, &w->next_row, ret_rows);
}

static void webp_close(struct eng_source *s)
{
    struct webp *w = s->state;
    WebPIDelete(w->decoder);
    WebPDemuxDelete(w->demuxer);
}

const struct eng_source_ops eng_source_webp = {
    sizeof(struct webp), webp_open, webp_start, webp_read, eng_source_all_is_read, webp_close,
};
