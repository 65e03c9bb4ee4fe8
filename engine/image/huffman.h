/* Huffman decoding of sequential JPEGs, in the place of libjpeg-turbo's: three quarters of the time
 * of a picture. Same coefficients, same verdict on broken data; not for pictures that are read
 * leniently, whose repair is the library's. */
#ifndef ENG_IMAGE_HUFFMAN_H
#define ENG_IMAGE_HUFFMAN_H

#include <stdint.h>
#include <stdio.h>

#define JPEG_INTERNALS /* jpegint.h, which Debian installs: the hook below is a member of it */
#include <jpeglib.h>

enum { ENG_HUFFMAN_LOOK = 11, ENG_HUFFMAN_DC_LOOK = 9 };

/* What the next ENG_HUFFMAN_LOOK bits hold: one or two coefficients of a block, the end of the
 * block, or the beginning of a longer code. Places count from the place that is next; those of
 * values that do not exist lie behind any block. */
struct eng_huffman_entry {
    uint8_t bits;      /* taken in all; 0: a longer code */
    uint8_t advance;   /* places, and 128 at the block's end; 255 for a longer code */
    uint8_t places[2]; /* of the values */
    int16_t values[2]; /* places[1] without a coefficient: [1] is the number of bits, behind the
                          code, that are the first value */
};

struct eng_huffman_table {
    uint32_t limit[17]; /* first 16-bit prefix behind the codes of a length */
    int32_t offset[17]; /* place in symbols of a length's code 0 */
    uint8_t bits[17], symbols[256];
    int n; /* of codes; 0: not built */
};

struct eng_huffman_dc {
    struct eng_huffman_table codes;
    uint8_t look[1 << ENG_HUFFMAN_DC_LOOK][2]; /* bits of code and difference, of the latter */
};

struct eng_huffman_ac {
    struct eng_huffman_table codes;
    struct eng_huffman_entry look[1 << ENG_HUFFMAN_LOOK];
};

/* Kept from picture to picture, because most share their tables; zeroed at first. */
struct eng_huffman_tables {
    struct eng_huffman_dc dc[2];
    struct eng_huffman_ac ac[2];
};

/* Bits not yet taken, at the top of `bits`; of the n, the last `pad` are zeros that stand for what
 * no longer came. */
struct eng_bits {
    uint64_t bits;
    int n, pad;
    const uint8_t *next, *end;
};

struct eng_huffman {
    struct eng_bits in;
    struct eng_huffman_tables *tables;
    int last_dc[MAX_COMPS_IN_SCAN];
    unsigned restarts_left;
    uint32_t column; /* of the next MCU */
};

/* 1 if this picture's scan can be decoded here: then eng_huffman_mcu() may replace the library's.
 * After jpeg_start_decompress(), before any row is read or skipped; source: all bytes in memory. */
int eng_huffman_start(struct eng_huffman *h, struct eng_huffman_tables *tables,
                      j_decompress_ptr cinfo);
/* What cinfo->entropy->decode_mcu has to do. Broken data are told to cinfo->err as the library
 * does, whose emit_message must not return then. */
boolean eng_huffman_mcu(struct eng_huffman *h, j_decompress_ptr cinfo, JBLOCKROW *blocks);

#endif
