/* One image, several members: maps cut into bands of rows. Internal to engine/.
 *
 * A member makes the same part of every map, from the first convolution until maps are small, in
 * memory that only it writes, where its next layer finds it in its own cache. A line that two cores
 * write in turn costs each of them some 70 ns, and in one common tensor the bands of a block lie
 * between those of the other blocks. What a window sees beyond the band is written by its maker
 * into the neighbour's memory too: the halo. */
#ifndef ENG_PLAN_BANDS_H
#define ENG_PLAN_BANDS_H

#include "engine/plan/steps.h"

enum { ENG_MAX_BANDS = 8 };

/* One band of one value: rows lo .. hi-1 of the image are there, made by the band itself or halo.
 * hi == 0: the value is not in bands. */
struct eng_band {
    int lo, hi;
    size_t stride; /* bytes between channel blocks */
    size_t offset; /* of row lo, in the band's arena */
};

struct eng_bands {
    int n;
    size_t bytes;             /* arena of one band */
    struct eng_band *of;      /* [values][n] */
    struct eng_split *splits; /* [steps], for one image and n members */
};

/* *ret NULL: no step gains. -ENOMEM. Members beyond ENG_MAX_BANDS share the bands. */
int eng_bands_create(struct eng_bands **ret, const struct eng_plan *p, int members);
void eng_bands_destroy(struct eng_bands *b);

/* The pointwise of a step, NULL: it is none. */
const struct eng_gemm_params *eng_gemm_of(const struct eng_step *s);
/* Whether the step's driver can make some rows of its output. */
int eng_knows_rows(const struct eng_step *s);
/* Rows of the input under rows y0 .. y1-1 of what the step's window makes. */
void eng_rows_under(const struct eng_step *s, int y0, int y1, int *lo, int *hi);

/* ---- views.c ---- */

/* First row of band b of n: the same for all maps of a height, whoever makes them. */
int eng_row_of_band(int h, int b, int n);
/* Of a row of one channel block. */
static inline size_t eng_row_bytes(const struct eng_value *v)
{
    return (size_t)v->w * ENG_BLOCK * eng_type_size(v->type);
}

/* Unit u of a step by bands or strips: its band, and which rows y0 .. y1-1 of out_h it makes; maybe
 * none. */
int eng_band_rows(const struct eng_call *c, int out_h, int u, int *y0, int *y1);

/* Where a value can be read and written as if it were whole: pixel (y, x) of block b is at
 * at + b * stride + (y * w + x) * lane; rows outside the band (band < 0: none) must not be touched.
 */
struct eng_view {
    char *at;
    size_t stride;
};
struct eng_view eng_view_of(const struct eng_call *c, int value, int image, int band);

/* Rows y0 .. y1-1 of a band are about to be made: asks for the lines of the neighbours' halos. */
void eng_band_claim(const struct eng_call *c, int value, int band, int y0, int y1);
/* They are made: into the neighbours' halos with them. */
void eng_band_push(const struct eng_call *c, int value, int band, int y0, int y1);

#endif
