/* A TIFF reader that knows one tag. Every offset comes from the file, so each is checked against
 * the block before it is followed; only the first directory is read, so nothing can loop. */
#include "engine/image/exif.h"

#include "engine/image/bytes.h"

enum { TAG_ORIENTATION = 0x0112, TYPE_SHORT = 3, TYPE_LONG = 4, ENTRY_BYTES = 12 };

struct tiff {
    const uint8_t *p;
    size_t len;
    int big_endian;
};

static uint32_t load16(const struct tiff *t, size_t at)
{
    return t->big_endian ? eng_be16(t->p + at) : eng_le16(t->p + at);
}

static uint32_t load32(const struct tiff *t, size_t at)
{
    return t->big_endian ? eng_be32(t->p + at) : eng_le32(t->p + at);
}

/* Value of the entry at `at` if it is a single orientation, else 0. */
static uint32_t entry_orientation(const struct tiff *t, size_t at)
{
    if (load16(t, at) != TAG_ORIENTATION || load32(t, at + 4) != 1)
        return 0;
    switch (load16(t, at + 2)) {
    case TYPE_SHORT:
        return load16(t, at + 8);
    case TYPE_LONG:
        return load32(t, at + 8);
    default:
        return 0;
    }
}

int eng_exif_orientation(const uint8_t *tiff, size_t len)
{
    if (len < 8)
        return 1;
    struct tiff t = {tiff, len, tiff[0] == 'M'};
    if (tiff[0] != tiff[1] || (tiff[0] != 'M' && tiff[0] != 'I') || load16(&t, 2) != 42)
        return 1;
    size_t dir = load32(&t, 4);
    if (dir > len || len - dir < 2)
        return 1;
    size_t entries = load16(&t, dir), room = (len - dir - 2) / ENTRY_BYTES;
    if (entries > room)
        entries = room;
    for (size_t i = 0; i < entries; i++) {
        uint32_t v = entry_orientation(&t, dir + 2 + i * ENTRY_BYTES);
        if (v >= 1 && v <= 8)
            return (int)v;
    }
    return 1;
}

struct eng_turn eng_exif_turn(int orientation)
{
    static const struct eng_turn turns[9] = {
        [2] = {0, 1, 0}, [3] = {0, 1, 1}, [4] = {0, 0, 1}, [5] = {1, 0, 0},
        [6] = {1, 0, 1}, [7] = {1, 1, 1}, [8] = {1, 1, 0},
    };
    return turns[orientation >= 1 && orientation <= 8 ? orientation : 0];
}
