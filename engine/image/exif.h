/* Orientation out of a TIFF block (the payload of EXIF). */
#ifndef ENG_IMAGE_EXIF_H
#define ENG_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* tiff starts at the byte-order mark. 1..8; 1 where the tag is absent or anything is wrong with the
 * block: a picture never fails because of its EXIF. */
int eng_exif_orientation(const uint8_t *tiff, size_t len);

/* How a stored picture is turned upright. turned(x, y) = stored(column, row) where, without
 * transpose, column runs with x and row with y; with transpose, column runs with y and row with x;
 * a flipped axis runs backwards. */
struct eng_turn {
    int transpose;
    int flip_columns, flip_rows;
};
struct eng_turn eng_exif_turn(int orientation);

#endif
