/* AVIF through libavif, behind the build option of that name. The library decodes whole pictures
 * and cannot be interrupted, so what one may need is computed from the header and refused there,
 * and a bitstream larger than its header says is refused by the library itself; a smaller one is
 * scaled to what the header says.
 *
 * Orientation comes from the file's own transforms (irot, imir), which readers must obey; EXIF is
 * not asked. Of a sequence the still picture is shown; a clean aperture is not cut out. */
#include "engine/image/source.h"

#include <avif/avif.h>
#include <errno.h>
#include <string.h>

#include "engine/image/probe.h"

struct avif {
    avifDecoder *decoder;
    uint32_t next_row;
    size_t pixel_bytes, pitch; /* of s->picture */
    int decoded;
};

/* ---- header ---- */

struct box {
    const uint8_t *type, *body;
    size_t len;
};

/* The box at *at, which moves behind it. 0: there is none that fits. */
static int next_box(const uint8_t *p, size_t len, size_t *at, struct box *ret)
{
    size_t head = 8, left = len - *at;
    if (left < head)
        return 0;
    const uint8_t *start = p + *at;
    uint64_t size = eng_be32(start);
    if (size == 1 && left >= 16) {
        head = 16;
        size = (uint64_t)eng_be32(start + 8) << 32 | eng_be32(start + 12);
    } else if (size == 0) {
        size = left;
    }
    if (size < head || size > left)
        return 0;
    *ret = (struct box){start + 4, start + head, (size_t)size - head};
    *at += (size_t)size;
    return 1;
}

static int is_type(const struct box *b, const char *type)
{
    return memcmp(b->type, type, 4) == 0;
}

/* The body of the first box of a type; empty if there is none. */
static struct box find(struct box in, const char *type)
{
    struct box b;
    for (size_t at = 0; next_box(in.body, in.len, &at, &b);)
        if (is_type(&b, type))
            return b;
    return (struct box){0};
}

/* Turned counter-clockwise by so many quarters, then mirrored: not, top to bottom, left to right.
 */
static int orientation(int quarters, int mirror)
{
    static const int exif[4][3] = {{1, 4, 2}, {8, 5, 7}, {3, 2, 4}, {6, 7, 5}};
    return exif[quarters][mirror];
}

/* Properties of all items: the picture is the largest of them (others are its alpha, tiles of a
 * grid, thumbnails). */
static void read_properties(struct eng_image_info *info, const struct box *all)
{
    struct box b;
    int quarters = 0, mirror = 0, alpha = 0;
    for (size_t at = 0; next_box(all->body, all->len, &at, &b);) {
        if (is_type(&b, "ispe") && b.len >= 12) {
            uint32_t w = eng_be32(b.body + 4), h = eng_be32(b.body + 8);
            if ((uint64_t)w * h >= (uint64_t)info->width * info->height) {
                info->width = w;
                info->height = h;
            }
        } else if (is_type(&b, "irot") && b.len >= 1) {
            quarters = b.body[0] & 3;
        } else if (is_type(&b, "imir") && b.len >= 1) {
            mirror = 1 + (b.body[0] & 1);
        } else if (is_type(&b, "auxC")) {
            alpha = 1;
        } else if (is_type(&b, "av1C") && b.len >= 4 && info->bits == 0) {
            info->bits = b.body[2] & 0x40 ? (b.body[2] & 0x20 ? 12 : 10) : 8;
            info->channels = b.body[2] & 0x10 ? 1 : 3;
        }
    }
    info->channels += alpha;
    info->orientation = orientation(quarters, mirror);
}

int eng_probe_avif(struct eng_image_info *info, const uint8_t *p, size_t len,
                   const struct eng_sentence *err)
{
    struct box meta = find((struct box){NULL, p, len}, "meta");
    if (meta.len >= 4) {
        meta.body += 4;
        meta.len -= 4;
    }
    struct box properties = find(find(meta, "iprp"), "ipco");
    read_properties(info, &properties);
    if (info->bits == 0)
        return eng_image_fail(err, ENG_E_DATA, "the AVIF ends before it declares its size");
    return 0;
}

/* ---- picture ---- */

static int fail_avif(struct eng_source *s, avifResult code)
{
    switch (code) {
    case AVIF_RESULT_OUT_OF_MEMORY:
        return eng_image_fail(&s->err, -ENOMEM, "out of memory while decoding the AVIF");
    case AVIF_RESULT_NO_CODEC_AVAILABLE:
    case AVIF_RESULT_UNSUPPORTED_DEPTH:
    case AVIF_RESULT_NOT_IMPLEMENTED:
        return eng_image_fail(&s->err, ENG_E_UNSUPPORTED, "the AVIF uses an unknown feature");
    case AVIF_RESULT_TRUNCATED_DATA:
        return eng_image_fail(&s->err, ENG_E_DATA, "the AVIF is truncated");
    default:
        return eng_image_fail(&s->err, ENG_E_DATA, "the AVIF is broken: %s",
                              avifResultToString(code));
    }
}

static int avif_open(struct eng_source *s)
{
    struct avif *a = s->state;
    uint64_t pixels = (uint64_t)s->info.width * s->info.height;
    a->decoder = avifDecoderCreate();
    if (!a->decoder)
        return fail_avif(s, AVIF_RESULT_OUT_OF_MEMORY);
    avifDecoder *d = a->decoder;
    d->requestedSource = AVIF_DECODER_SOURCE_PRIMARY_ITEM;
    d->maxThreads = 1;
    d->ignoreExif = d->ignoreXMP = AVIF_TRUE;
    d->imageCountLimit = 1;
    if (pixels < AVIF_DEFAULT_IMAGE_SIZE_LIMIT)
        d->imageSizeLimit = (uint32_t)pixels;
    avifResult r = avifDecoderSetIOMemory(d, s->bytes, s->len);
    if (r == AVIF_RESULT_OK)
        r = avifDecoderParse(d);
    if (r != AVIF_RESULT_OK)
        return fail_avif(s, r);
    a->pixel_bytes = d->alphaPresent ? 4 : 3;
    s->channels = 3;
    s->max_denominator = 1;
    return 0;
}

/* Planes as wide as colour can be, alpha, and our RGB. */
static int avif_start(struct eng_source *s)
{
    struct avif *a = s->state;
    uint64_t pixels = (uint64_t)s->info.width * s->info.height;
    uint64_t sample = a->decoder->image->depth > 8 ? 2 : 1;
    int r = eng_source_check_whole(s, pixels * (4 * sample + a->pixel_bytes), "the AVIF");
    if (r < 0)
        return r;
    a->pitch = s->info.width * a->pixel_bytes;
    s->stride = eng_size(s->x1 - s->x0, a->pixel_bytes, ENG_ROW_SLACK);
    if (eng_buffer_reserve(s->picture, eng_size(a->pitch, s->info.height, 0)) < 0 ||
        eng_buffer_reserve(s->rows, eng_size(s->stride, ENG_SOURCE_ROWS, 0)) < 0)
        return fail_avif(s, AVIF_RESULT_OUT_OF_MEMORY);
    a->next_row = s->y0;
    return 0;
}

static int decode(struct eng_source *s)
{
    struct avif *a = s->state;
    avifRGBImage rgb;
    avifResult r = avifDecoderNextImage(a->decoder);
    if (r != AVIF_RESULT_OK)
        return fail_avif(s, r);
    const avifImage *image = a->decoder->image;
    if (image->width != s->info.width || image->height != s->info.height)
        return eng_image_fail(&s->err, ENG_E_DATA, "the AVIF declares two different sizes");
    int late = eng_source_check_time(s);
    if (late < 0)
        return late;
    avifRGBImageSetDefaults(&rgb, image);
    rgb.depth = 8;
    rgb.format = a->pixel_bytes == 4 ? AVIF_RGB_FORMAT_RGBA : AVIF_RGB_FORMAT_RGB;
    rgb.pixels = s->picture->data;
    rgb.rowBytes = (uint32_t)a->pitch;
    r = avifImageYUVToRGB(image, &rgb);
    if (r != AVIF_RESULT_OK)
        return fail_avif(s, r);
    a->decoded = 1;
    return 0;
}

static int avif_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct avif *a = s->state;
    int r = a->decoded ? 0 : decode(s);
    if (r < 0)
        return r;
    const uint8_t *from =
        (uint8_t *)s->picture->data + a->pitch * a->next_row + s->x0 * a->pixel_bytes;
    return eng_source_whole_rows(s, from, a->pitch, a->pixel_bytes, &a->next_row, ret_rows);
}

static void avif_close(struct eng_source *s)
{
    struct avif *a = s->state;
    if (a->decoder)
        avifDecoderDestroy(a->decoder);
}

const struct eng_source_ops eng_source_avif = {
    sizeof(struct avif), avif_open, avif_start, avif_read, eng_source_all_is_read, avif_close,
};
