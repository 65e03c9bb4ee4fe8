/* What a picture says about itself, and whether that is allowed. No codec is asked: these readers
 * allocate nothing, so a lying header costs nothing. */
#include "engine/image/probe.h"

#include <inttypes.h>
#include <string.h>

#include "engine/image/exif.h"

#ifdef ENG_WITH_AVIF
#define AVIF_TOO ", AVIF"
#else
#define AVIF_TOO ""
#endif

static const struct {
    enum eng_image_format format;
    size_t at, len;
    const char *magic;
} magics[] = {
    {ENG_IMAGE_JPEG, 0, 3, "\xff\xd8\xff"}, {ENG_IMAGE_PNG, 0, 8, "\x89PNG\r\n\x1a\n"},
    {ENG_IMAGE_WEBP, 8, 4, "WEBP"},         {ENG_IMAGE_GIF, 0, 6, "GIF87a"},
    {ENG_IMAGE_GIF, 0, 6, "GIF89a"},        {ENG_IMAGE_BMP, 0, 2, "BM"},
    {ENG_IMAGE_AVIF, 4, 8, "ftypavif"},     {ENG_IMAGE_AVIF, 4, 8, "ftypavis"},
};

/* Two letters are little to go by: the size of the second header must be one that exists. */
static int is_bmp(const uint8_t *p, size_t len)
{
    static const uint32_t sizes[] = {12, 40, 52, 56, 64, 108, 124};
    for (size_t i = 0; len >= 18 && i < sizeof sizes / sizeof *sizes; i++)
        if (eng_le32(p + 14) == sizes[i])
            return 1;
    return 0;
}

static int is_pnm(const uint8_t *p, size_t len)
{
    return len >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6' &&
           (p[2] == ' ' || p[2] == '#' || (p[2] >= '\t' && p[2] <= '\r'));
}

enum eng_image_format eng_image_sniff(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    if (is_pnm(p, len))
        return ENG_IMAGE_PNM;
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++) {
        size_t at = magics[i].at, n = magics[i].len;
        enum eng_image_format f = magics[i].format;
        if (len < at + n || memcmp(p + at, magics[i].magic, n) != 0)
            continue;
        if ((f == ENG_IMAGE_WEBP && memcmp(p, "RIFF", 4) != 0) ||
            (f == ENG_IMAGE_BMP && !is_bmp(p, len)))
            continue;
        return f;
    }
    return ENG_IMAGE_UNKNOWN;
}

const char *eng_image_formats(void)
{
    return "JPEG, PNG, WebP, GIF, BMP, PNM" AVIF_TOO;
}

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

static int (*const probes[])(struct eng_image_info *info, const uint8_t *p, size_t len,
                             const struct eng_sentence *err) = {
    [ENG_IMAGE_JPEG] = eng_probe_jpeg, [ENG_IMAGE_PNG] = eng_probe_png,
    [ENG_IMAGE_WEBP] = eng_probe_webp, [ENG_IMAGE_GIF] = eng_probe_gif,
    [ENG_IMAGE_BMP] = eng_probe_bmp,   [ENG_IMAGE_PNM] = eng_probe_pnm,
#ifdef ENG_WITH_AVIF
    [ENG_IMAGE_AVIF] = eng_probe_avif,
#else
    [ENG_IMAGE_AVIF] = NULL,
#endif
};

int eng_image_probe(struct eng_image_info *ret, const void *bytes, size_t len,
                    const struct eng_image_limits *limits, char *err, size_t errlen)
{
    struct eng_sentence sentence = {err, errlen};
    struct eng_image_limits filled = eng_image_limits_fill(limits);
    if (len == 0)
        return eng_image_fail(&sentence, ENG_E_DATA, "the picture is empty (0 bytes)");
    struct eng_image_info info = {.format = eng_image_sniff(bytes, len), .orientation = 1};
    if (!probes[info.format])
        return eng_image_fail(&sentence, ENG_E_FORMAT,
                              "these bytes are no picture of a type that is read here (%s)",
                              eng_image_formats());
    int r = probes[info.format](&info, bytes, len, &sentence);
    if (r == 0)
        r = eng_image_check_size(&info, &filled, &sentence);
    if (r == 0)
        *ret = info;
    return r;
}

static int is_sof(int marker)
{
    return marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc;
}

/* Position of the next marker's code byte at or after `at`; len if there is none. */
static size_t next_marker(const uint8_t *p, size_t len, size_t at)
{
    for (; at + 1 < len; at++)
        if (p[at] == 0xff && p[at + 1] != 0xff && p[at + 1] != 0)
            return at + 1;
    return len;
}

static void read_sof(struct eng_image_info *info, int marker, const uint8_t *body)
{
    info->bits = body[0];
    info->height = eng_be16(body + 1);
    info->width = eng_be16(body + 3);
    info->channels = body[5];
    info->progressive = marker == 0xc2 || marker == 0xca;
}

int eng_probe_jpeg(struct eng_image_info *info, const uint8_t *p, size_t len,
                   const struct eng_sentence *err)
{
    int have_size = 0, have_exif = 0;
    for (size_t at = 2;;) {
        size_t code = next_marker(p, len, at);
        int marker = code < len ? p[code] : 0xd9;
        if (marker == 0xd9 || marker == 0xda)
            break;
        at = code + 1;
        if (marker == 0x01 || (marker >= 0xd0 && marker <= 0xd8))
            continue;
        size_t size = len - at >= 2 ? eng_be16(p + at) : 0;
        if (size < 2 || size > len - at)
            break;
        const uint8_t *body = p + at + 2;
        size_t body_len = size - 2;
        if (is_sof(marker) && !have_size && body_len >= 6) {
            read_sof(info, marker, body);
            have_size = 1;
        } else if (marker == 0xe1 && !have_exif && body_len > 6 && memcmp(body, "Exif\0", 6) == 0) {
            info->orientation = eng_exif_orientation(body + 6, body_len - 6);
            have_exif = 1;
        }
        at += size;
    }
    if (!have_size)
        return eng_image_fail(err, ENG_E_DATA, "the JPEG ends before it declares its size");
    return 0;
}

int eng_probe_png(struct eng_image_info *info, const uint8_t *p, size_t len,
                  const struct eng_sentence *err)
{
    static const uint8_t channels[] = {1, 0, 3, 3, 2, 0, 4};
    if (len < 33 || eng_be32(p + 8) != 13 || memcmp(p + 12, "IHDR", 4) != 0)
        return eng_image_fail(err, ENG_E_DATA, "the PNG ends before it declares its size");
    info->width = eng_be32(p + 16);
    info->height = eng_be32(p + 20);
    info->bits = p[24];
    info->channels = p[25] < sizeof channels ? channels[p[25]] : 0;
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
