/* The first frame of a GIF, through giflib's line interface (its convenient one would unpack every
 * frame of the file). What the frame leaves uncovered or transparent is white. */
#include "engine/image/source.h"

#include <errno.h>
#include <gif_lib.h>
#include <string.h>

#include "engine/image/probe.h"

struct gif {
    GifFileType *file;
    size_t at; /* bytes read */
    int transparent;
    uint32_t left, top, width, height; /* of the frame, on the screen */
    uint8_t palette[256][3];
    uint32_t next_row; /* of the screen */
    int ended;         /* lenient: no more lines come */
};

int eng_probe_gif(struct eng_image_info *info, const uint8_t *p, size_t len,
                  const struct eng_sentence *err)
{
    if (len < 13)
        return eng_image_fail(err, ENG_E_DATA, "the GIF ends inside its header");
    info->width = eng_le16(p + 6);
    info->height = eng_le16(p + 8);
    info->channels = 3;
    info->bits = 8;
    return 0;
}

static int read_bytes(GifFileType *file, GifByteType *to, int n)
{
    struct eng_source *s = file->UserData;
    struct gif *g = s->state;
    size_t left = s->len - g->at, take = (size_t)n < left ? (size_t)n : left;
    memcpy(to, s->bytes + g->at, take);
    g->at += take;
    return (int)take;
}

static int fail_gif(struct eng_source *s, int code)
{
    if (code == D_GIF_ERR_NOT_ENOUGH_MEM)
        return eng_image_fail(&s->err, -ENOMEM, "out of memory while reading the GIF");
    const char *text = GifErrorString(code);
    return eng_image_fail(&s->err, ENG_E_DATA, "the GIF is broken: %s", text ? text : "no frame");
}

/* Remembers the transparent colour that a graphics control block names for the frame to come. */
static int read_extension(struct gif *g)
{
    int code;
    GifByteType *block;
    if (DGifGetExtension(g->file, &code, &block) == GIF_ERROR)
        return GIF_ERROR;
    while (block) {
        if (code == GRAPHICS_EXT_FUNC_CODE && block[0] == 4)
            g->transparent = block[1] & 1 ? block[4] : -1;
        if (DGifGetExtensionNext(g->file, &block) == GIF_ERROR)
            return GIF_ERROR;
    }
    return GIF_OK;
}

static int find_frame(struct gif *g)
{
    GifRecordType type;
    do {
        if (DGifGetRecordType(g->file, &type) == GIF_ERROR || type == TERMINATE_RECORD_TYPE)
            return GIF_ERROR;
        if (type == EXTENSION_RECORD_TYPE && read_extension(g) == GIF_ERROR)
            return GIF_ERROR;
    } while (type != IMAGE_DESC_RECORD_TYPE);
    return DGifGetImageDesc(g->file);
}

static void read_palette(struct gif *g)
{
    const ColorMapObject *map = g->file->Image.ColorMap;
    if (!map)
        map = g->file->SColorMap;
    for (int i = 0; i < 256; i++) {
        int known = map && i < map->ColorCount;
        g->palette[i][0] = known ? map->Colors[i].Red : 0;
        g->palette[i][1] = known ? map->Colors[i].Green : 0;
        g->palette[i][2] = known ? map->Colors[i].Blue : 0;
    }
    if (g->transparent >= 0)
        memset(g->palette[g->transparent], 255, 3);
}

static int gif_open(struct eng_source *s)
{
    struct gif *g = s->state;
    int code = 0;
    g->transparent = -1;
    g->file = DGifOpen(s, read_bytes, &code);
    if (!g->file)
        return fail_gif(s, code);
    if (find_frame(g) == GIF_ERROR)
        return fail_gif(s, g->file->Error);
    const GifImageDesc *d = &g->file->Image;
    if (d->Left < 0 || d->Top < 0 || d->Width <= 0 || d->Height <= 0)
        return eng_image_fail(&s->err, ENG_E_DATA, "the GIF's first frame is empty");
    g->left = (uint32_t)d->Left;
    g->top = (uint32_t)d->Top;
    g->width = (uint32_t)d->Width;
    g->height = (uint32_t)d->Height;
    /* A frame may be larger than the screen that the header declares: it counts as well. */
    struct eng_image_info frame = {.width = g->width, .height = g->height};
    int r = eng_image_check_size(&frame, &s->limits, &s->err);
    read_palette(g);
    s->channels = 3;
    s->max_denominator = 1;
    return r;
}

static int gif_start(struct eng_source *s)
{
    struct gif *g = s->state;
    s->x0 = s->y0 = 0;
    s->x1 = s->info.width;
    s->y1 = s->info.height;
    s->stride = eng_size(s->info.width, 3, ENG_ROW_SLACK);
    size_t lines = g->file->Image.Interlace ? g->height : 1;
    int r = eng_source_check_whole(s, (uint64_t)g->width * lines, "the interlaced GIF");
    if (r < 0)
        return r;
    if (eng_buffer_reserve(s->rows, s->stride) < 0 ||
        eng_buffer_reserve(s->picture, eng_size(g->width, lines, 0)) < 0)
        return fail_gif(s, D_GIF_ERR_NOT_ENOUGH_MEM);
    return 0;
}

/* Next stored line of the frame, as colour numbers. */
static int read_line(struct eng_source *s, uint8_t *to)
{
    struct gif *g = s->state;
    int r = eng_source_check_time(s);
    if (r < 0 || g->ended)
        return r;
    if (DGifGetLine(g->file, to, (int)g->width) == GIF_OK)
        return 0;
    r = fail_gif(s, g->file->Error);
    if (r == ENG_E_DATA && s->lenient) {
        s->truncated = g->ended = 1;
        return 0;
    }
    return r;
}

static int read_interlaced(struct eng_source *s)
{
    static const uint32_t starts[] = {0, 4, 2, 1}, steps[] = {8, 8, 4, 2};
    struct gif *g = s->state;
    memset(s->picture->data, 0, (size_t)g->width * g->height);
    for (int pass = 0; pass < 4; pass++)
        for (uint32_t y = starts[pass]; y < g->height; y += steps[pass]) {
            int r = read_line(s, (uint8_t *)s->picture->data + (size_t)g->width * y);
            if (r < 0)
                return r;
        }
    return 0;
}

static void paint(const struct eng_source *s, const uint8_t *line, uint8_t *row)
{
    const struct gif *g = s->state;
    for (uint32_t x = 0; x < g->width && x + g->left < s->info.width; x++)
        memcpy(row + 3 * (size_t)(x + g->left), g->palette[line[x]], 3);
}

static int gif_read(struct eng_source *s, const uint8_t **ret_rows)
{
    struct gif *g = s->state;
    uint8_t *row = memset(s->rows->data, 255, 3 * (size_t)s->info.width);
    uint32_t y = g->next_row++;
    *ret_rows = row;
    if (y < g->top || y - g->top >= g->height)
        return 1;
    uint8_t *line = s->picture->data;
    int r = 0, interlaced = g->file->Image.Interlace;
    if (!interlaced)
        r = read_line(s, line);
    else if (y == g->top)
        r = read_interlaced(s);
    if (r < 0)
        return r;
    if (interlaced)
        line += (size_t)g->width * (y - g->top);
    if (!g->ended || interlaced)
        paint(s, line, row);
    return 1;
}

static void gif_close(struct eng_source *s)
{
    struct gif *g = s->state;
    if (g->file)
        DGifCloseFile(g->file, NULL);
}

const struct eng_source_ops eng_source_gif = {
    sizeof(struct gif), gif_open, gif_start, gif_read, eng_source_all_is_read, gif_close,
};
