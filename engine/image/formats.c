/* Which format some bytes are of, and who reads it: formats.def for those who ask. No codec is
 * asked what a picture says about itself: the readers of headers allocate nothing, so a lying
 * header costs nothing. */
#include <string.h>

#include "engine/image/probe.h"
#include "engine/image/source.h"

/* Two letters are little to go by: the size of the second header must be one that exists. */
static int is_bmp(const uint8_t *p, size_t len)
{
    static const uint32_t sizes[] = {12, 40, 52, 56, 64, 108, 124};
    for (size_t i = 0; len >= 18 && i < sizeof(sizes) / sizeof(*sizes); i++)
        if (eng_le32(p + 14) == sizes[i])
            return 1;
    return 0;
}

static int is_pnm(const uint8_t *p, size_t len)
{
    return len >= 3 && p[0] == 'P' && p[1] >= '1' && p[1] <= '6' &&
           (p[2] == ' ' || p[2] == '#' || (p[2] >= '\t' && p[2] <= '\r'));
}

#define AT(where, magic)                                                                           \
    (len >= (where) + sizeof(magic) - 1 && memcmp(p + (where), magic, sizeof(magic) - 1) == 0)

enum eng_image_format eng_image_sniff(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
#define FORMAT(id, file, name, looks, built)                                                       \
    if (looks)                                                                                     \
        return ENG_IMAGE_##id;
#include "engine/formats.def"
    return ENG_IMAGE_UNKNOWN;
}

/* NULL: a format that this build does not read. */
static const struct row {
    const char *name;
    int (*probe)(struct eng_image_info *info, const uint8_t *p, size_t len,
                 const struct eng_sentence *err);
    const struct eng_source_ops *source;
} rows[ENG_IMAGE_FORMATS] = {
#define FORMAT(id, file, name, looks, built)                                                       \
    [ENG_IMAGE_##                                                                                  \
        id] = {name, (built) ? eng_probe_##file : NULL, (built) ? &eng_source_##file : NULL},
#include "engine/formats.def"
};

const struct eng_source_ops *eng_source_ops(enum eng_image_format f)
{
    return rows[f].source;
}

#define NAMED_0(name)
#define NAMED_1(name) ", " name
#define NAMED_IF(built, name) NAMED_##built(name)
#define FORMAT(id, file, name, looks, built) NAMED_IF(built, name)

const char *eng_image_formats(void)
{
    static const char names[] =
#include "engine/formats.def"
        ;
    return names + 2;
}

int eng_image_probe(struct eng_image_info *ret, const void *bytes, size_t len,
                    const struct eng_image_limits *limits, char *err, size_t errlen)
{
    struct eng_sentence sentence = {err, errlen};
    struct eng_image_limits filled = eng_image_limits_fill(limits);
    if (len == 0)
        return eng_image_fail(&sentence, ENG_E_DATA, "the picture is empty (0 bytes)");
    struct eng_image_info info = {.format = eng_image_sniff(bytes, len), .orientation = 1};
    if (!rows[info.format].probe)
        return eng_image_fail(&sentence, ENG_E_FORMAT,
                              "these bytes are no picture of a type that is read here (%s)",
                              eng_image_formats());
    int r = rows[info.format].probe(&info, bytes, len, &sentence);
    if (r == 0)
        r = eng_image_check_size(&info, &filled, &sentence);
    if (r == 0)
        *ret = info;
    return r;
}
