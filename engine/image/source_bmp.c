/* Windows bitmaps, uncompressed: 1, 4, 8 bits with a palette, 16, 24, 32 bits with or without
 * masks. Pixels are read where they lie in the file, so only the wanted rows are touched. */
#include "engine/image/source.h"

#include <errno.h>
#include <string.h>

#include "engine/image/probe.h"

enum {
    FILE_HEADER = 14,
    CORE_HEADER = 12,
    INFO_HEADER = 40,
    BI_RGB = 0,
    BI_FIELDS = 3,
    BI_ALPHA = 6
};

struct mask {
    int shift;
    uint32_t max; /* 0: the channel is absent */
};

struct bmp {
    uint32_t header; /* bytes of the second header */
    uint32_t bits, compression;
    int top_down;
    uint8_t palette[256][3];
    struct mask masks[4];
    size_t pixels, pitch; /* first byte, bytes of a stored row */
    uint32_t next_row;
};

static void read_header(struct bmp *b, struct eng_image_info *info, const uint8_t *p)
{
    b->header = eng_le32(p + FILE_HEADER);
    if (b->header == CORE_HEADER) {
        info->width = eng_le16(p + 18);
        info->height = eng_le16(p + 20);
        b->bits = eng_le16(p + 24);
        return;
    }
    uint32_t h = eng_le32(p + 22);
    info->width = eng_le32(p + 18);
    b->top_down = h >> 31;
    info->height = b->top_down ? 0u - h : h;
    b->bits = eng_le16(p + 28);
    b->compression = eng_le32(p + 30);
}

int eng_probe_bmp(struct eng_image_info *info, const uint8_t *p, size_t len,
                  const struct eng_sentence *err)
{
    struct bmp b = {0};
    if (len < FILE_HEADER + 4 || len - FILE_HEADER < eng_le32(p + FILE_HEADER))
        return eng_image_fail(err, ENG_E_DATA, "the BMP ends inside its header");
    read_header(&b, info, p);
    info->bits = b.bits <= 8 ? (int)b.bits : 8;
    info->channels = b.bits == 32 ? 4 : 3;
    return 0;
}

static struct mask make_mask(uint32_t m)
{
    struct mask r = {0, 0};
    if (m == 0)
        return r;
    r.shift = __builtin_ctz(m);
    r.max = m >> r.shift;
    return r;
}

static uint8_t masked(const struct mask *m, uint32_t v)
{
    uint64_t x = (v >> m->shift) & m->max;
    return m->max == 0 ? 0 : (uint8_t)((x * 255 + m->max / 2) / m->max);
}

static int read_masks(struct eng_source *s, struct bmp *b)
{
    static const uint32_t defaults[2][3] = {{0x7c00, 0x3e0, 0x1f}, {0xff0000, 0xff00, 0xff}};
    for (int i = 0; i < 3; i++)
        b->masks[i] = make_mask(defaults[b->bits == 32][i]);
    if (b->compression == BI_RGB)
        return 0;
    /* Masks follow the oldest header and are part of the later ones: the same place. */
    size_t at = FILE_HEADER + INFO_HEADER;
    int n = b->compression == BI_ALPHA || b->header >= 56 ? 4 : 3;
    if (s->len < at + 4 * (size_t)n)
        return eng_image_fail(&s->err, ENG_E_DATA, "the BMP ends inside its masks");
    for (int i = 0; i < n; i++)
        b->masks[i] = make_mask(eng_le32(s->bytes + at + 4 * (size_t)i));
    return 0;
}

static void read_palette(struct eng_source *s, struct bmp *b)
{
    size_t entry = b->header == CORE_HEADER ? 3 : 4, at = FILE_HEADER + (size_t)b->header;
    size_t n = (size_t)1 << b->bits;
    uint32_t used = b->header == CORE_HEADER ? 0 : eng_le32(s->bytes + 46);
    if (used > 0 && used < n)
        n = used;
    for (size_t i = 0; i < n && at + entry <= s->len && at + entry <= b->pixels; i++, at += entry)
        for (size_t c = 0; c < 3; c++)
            b->palette[i][c] = s->bytes[at + 2 - c];
}

static int bmp_open(struct eng_source *s)
{
    struct bmp *b = s->state;
    struct eng_image_info info;
    read_header(b, &info, s->bytes);
    int plain = b->compression == BI_RGB;
    int fields = b->compression == BI_FIELDS || b->compression == BI_ALPHA;
    int deep = b->bits == 16 || b->bits == 32;
    int known = deep || b->bits == 1 || b->bits == 4 || b->bits == 8 || b->bits == 24;
    if (!known || (!plain && !(fields && deep)))
        return eng_image_fail(&s->err, ENG_E_UNSUPPORTED,
                              "a BMP of %u bits with compression %u is not read here", b->bits,
                              b->compression);
    b->pixels = eng_le32(s->bytes + 10);
    uint64_t pitch = ((uint64_t)s->info.width * b->bits + 31) / 32 * 4;
    b->pitch = (size_t)pitch;
    if (b->bits <= 8)
        read_palette(s, b);
    s->channels = 3;
    s->max_denominator = 1;
    return read_masks(s, b);
}

static int bmp_start(struct eng_source *s)
{
    struct bmp *b = s->state;
    s->x0 = 0;
    s->x1 = s->info.width;
    s->stride = eng_size(s->info.width, 4, ENG_ROW_SLACK);
    b->next_row = s->y0;
    uint64_t bytes = (uint64_t)b->pitch * s->info.height;
    if (b->pixels > s->len || s->len - b->pixels < bytes) {
        int r = eng_source_broken(s, "the BMP is truncated");
        if (r < 0)
            return r;
    }
    if (eng_buffer_reserve(s->rows, s->stride) < 0)
        return eng_image_fail(&s->err, -ENOMEM, "out of memory for a row of the BMP");
    return 0;
}

static void unpack_palette(const struct bmp *b, const uint8_t *in, uint8_t *row, uint32_t width)
{
    uint32_t per_byte = 8 / b->bits, mask = (1u << b->bits) - 1;
    for (uint32_t x = 0; x < width; x++) {
        uint32_t shift = 8 - b->bits * (x % per_byte + 1);
        memcpy(row + 3 * (size_t)x, b->palette[(in[x / per_byte] >> shift) & mask], 3);
    }
}

static void unpack_masks(const struct bmp *b, const uint8_t *in, uint8_t *row, uint32_t width)
{
    size_t bytes = b->bits / 8;
    for (size_t x = 0; x < width; x++) {
        const uint8_t *p = in + bytes * x;
        uint32_t v = bytes == 4 ? eng_le32(p) : eng_le16(p);
        for (int c = 0; c < 4; c++)
            row[4 * x + (size_t)c] = masked(&b->masks[c], v);
        if (b->masks[3].max == 0)
            row[4 * x + 3] = 255;
    }
    eng_row_on_white(row, width);
}

static void unpack(const struct bmp *b, const uint8_t *in, uint8_t *row, uint32_t width)
{
    if (b->bits <= 8) {
        unpack_palette(b, in, row, width);
    } else if (b->bits == 24) {
        for (size_t x = 0; x < width; x++)
            for (size_t c = 0; c < 3; c++)
                row[3 * x + c] = in[3 * x + 2 - c];
    } else {
        unpack_masks(b, in, row, width);
    }
}

static int bmp_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct bmp *b = s->state;
    int r = eng_source_check_time(s);
    if (r < 0)
        return r;
    uint32_t y = b->next_row++, stored = b->top_down ? y : s->info.height - 1 - y;
    uint8_t *row = s->rows->data;
    uint64_t at = b->pixels + (uint64_t)b->pitch * stored;
    if (at > s->len || s->len - at < b->pitch)
        memset(row, 128, 3 * (size_t)s->info.width);
    else
        unpack(b, s->bytes + at, row, s->info.width);
    *ret_rows = row;
    return 1;
}

const struct eng_source_ops eng_source_bmp = {
    sizeof(struct bmp),       bmp_open, bmp_start, bmp_read, eng_source_all_is_read,
    eng_source_holds_nothing,
};
