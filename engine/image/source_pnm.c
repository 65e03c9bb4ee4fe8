/* Netpbm: P1 to P6, text and binary, up to 16 bits. */
#include "engine/image/source.h"

#include <errno.h>
#include <string.h>

#include "engine/image/probe.h"

struct pnm {
    int kind; /* 1..6 */
    uint32_t maxval;
    size_t at; /* next byte */
    uint32_t next_row;
};

static int is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Blanks, and comments up to their line's end. */
static size_t skip_blanks(const uint8_t *p, size_t len, size_t at)
{
    while (at < len && (is_space(p[at]) || p[at] == '#')) {
        if (p[at] == '#')
            while (at < len && p[at] != '\n')
                at++;
        else
            at++;
    }
    return at;
}

/* Decimal number at *at; 0 if there is one (saturated). */
static int read_number(const uint8_t *p, size_t len, size_t *at, uint32_t *ret)
{
    size_t i = skip_blanks(p, len, *at);
    uint64_t v = 0;
    if (i >= len || p[i] < '0' || p[i] > '9')
        return -1;
    for (; i < len && p[i] >= '0' && p[i] <= '9'; i++)
        v = v > UINT32_MAX / 16 ? UINT32_MAX / 16 : v * 10 + (uint64_t)(p[i] - '0');
    *at = i;
    *ret = (uint32_t)v;
    return 0;
}

static int read_header(struct pnm *n, struct eng_image_info *info, const uint8_t *p, size_t len)
{
    n->kind = p[1] - '0';
    n->at = 2;
    n->maxval = 1;
    if (read_number(p, len, &n->at, &info->width) < 0 ||
        read_number(p, len, &n->at, &info->height) < 0)
        return -1;
    int bitmap = n->kind == 1 || n->kind == 4;
    if (!bitmap && read_number(p, len, &n->at, &n->maxval) < 0)
        return -1;
    if (n->maxval < 1 || n->maxval > 65535 || n->at >= len || !is_space(p[n->at]))
        return -1;
    n->at++;
    info->channels = n->kind == 3 || n->kind == 6 ? 3 : 1;
    info->bits = bitmap ? 1 : n->maxval > 255 ? 16 : 8;
    return 0;
}

int eng_probe_pnm(struct eng_image_info *info, const uint8_t *p, size_t len,
                  const struct eng_sentence *err)
{
    struct pnm n;
    if (read_header(&n, info, p, len) < 0)
        return eng_image_fail(err, ENG_E_DATA, "the PNM has a broken or incomplete header");
    return 0;
}

static int pnm_open(struct eng_source *s)
{
    struct eng_image_info info;
    if (read_header(s->state, &info, s->bytes, s->len) < 0)
        return eng_image_fail(&s->err, ENG_E_DATA, "the PNM has a broken header");
    s->channels = info.channels;
    s->max_denominator = 1;
    return 0;
}

/* Bytes of a binary row. */
static size_t pitch(const struct eng_source *s)
{
    const struct pnm *n = s->state;
    if (n->kind == 4)
        return ((size_t)s->info.width + 7) / 8;
    return (size_t)s->info.width * (size_t)s->channels * (n->maxval > 255 ? 2 : 1);
}

static int pnm_start(struct eng_source *s)
{
    struct pnm *n = s->state;
    s->x0 = 0;
    s->x1 = s->info.width;
    s->stride = eng_size(s->info.width, (size_t)s->channels, ENG_ROW_SLACK);
    if (n->kind < 4)
        s->y0 = 0; /* text has no places to jump to */
    n->next_row = s->y0;
    uint64_t bytes = (uint64_t)pitch(s) * s->info.height;
    if (n->kind >= 4 && s->len - n->at < bytes) {
        int r = eng_source_broken(s, "the PNM is truncated");
        if (r < 0)
            return r;
    }
    if (eng_buffer_reserve(s->rows, s->stride) < 0)
        return eng_image_fail(&s->err, -ENOMEM, "out of memory for a row of the PNM");
    return 0;
}

/* Full 16 bits give their high byte, as everywhere here; other ranges are scaled. */
static uint8_t sample(const struct pnm *n, uint32_t v)
{
    if (n->maxval == 65535)
        return (uint8_t)(v >> 8);
    return (uint8_t)(((v > n->maxval ? n->maxval : v) * 255 + n->maxval / 2) / n->maxval);
}

static void read_binary(const struct eng_source *s, const uint8_t *in, uint8_t *row)
{
    const struct pnm *n = s->state;
    size_t samples = (size_t)s->info.width * (size_t)s->channels;
    if (n->kind == 4)
        for (size_t i = 0; i < samples; i++)
            row[i] = in[i / 8] >> (7 - i % 8) & 1 ? 0 : 255;
    else if (n->maxval == 255)
        memcpy(row, in, samples);
    else
        for (size_t i = 0; i < samples; i++)
            row[i] = sample(n, n->maxval > 255 ? eng_be16(in + 2 * i) : in[i]);
}

/* In P1 digits need no blanks between them. */
static int read_text_sample(const struct eng_source *s, struct pnm *n, uint8_t *ret)
{
    uint32_t v;
    if (n->kind != 1) {
        if (read_number(s->bytes, s->len, &n->at, &v) < 0)
            return -1;
        *ret = sample(n, v);
        return 0;
    }
    n->at = skip_blanks(s->bytes, s->len, n->at);
    if (n->at >= s->len || (s->bytes[n->at] != '0' && s->bytes[n->at] != '1'))
        return -1;
    *ret = s->bytes[n->at++] == '1' ? 0 : 255;
    return 0;
}

static int read_text(struct eng_source *s, uint8_t *row)
{
    struct pnm *n = s->state;
    size_t samples = (size_t)s->info.width * (size_t)s->channels;
    for (size_t i = 0; i < samples; i++)
        if (read_text_sample(s, n, row + i) < 0) {
            memset(row + i, 128, samples - i);
            return eng_source_broken(s, "the PNM is truncated or has something else than numbers");
        }
    return 0;
}

static int pnm_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct pnm *n = s->state;
    int r = eng_source_check_time(s);
    if (r < 0)
        return r;
    uint8_t *row = s->rows->data;
    uint64_t bytes = pitch(s), at = n->at + bytes * n->next_row;
    if (n->kind < 4)
        r = read_text(s, row);
    else if (at > s->len || s->len - at < bytes)
        memset(row, 128, (size_t)s->info.width * (size_t)s->channels);
    else
        read_binary(s, s->bytes + at, row);
    n->next_row++;
    *ret_rows = row;
    return r < 0 ? r : 1;
}

const struct eng_source_ops eng_source_pnm = {
    sizeof(struct pnm),       pnm_open, pnm_start, pnm_read, eng_source_all_is_read,
    eng_source_holds_nothing,
};
