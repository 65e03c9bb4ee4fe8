/* Where each pixel of the tensor comes from, before any pixel exists. */
#ifndef ENG_IMAGE_GEOMETRY_H
#define ENG_IMAGE_GEOMETRY_H

#include "engine/image.h"

/* One axis of the upright picture. The span in0 .. in1 of the source (pixels; resampling never
 * looks outside it) becomes `full` samples, of which first .. first+count-1 are wanted; they land
 * at `place` of the tensor's axis, the rest of which is filler. */
struct eng_span {
    uint32_t in0, in1;
    uint64_t full;
    uint64_t first;
    int count, place;
};
struct eng_geometry {
    struct eng_span x, y;
};

/* w, h: upright, not 0. -EINVAL if p's size is not within 1 .. 16384. The short-side mode is
 * 256/224 of the size, rounded half up, the other side in proportion, rounded half up, the crop at
 * half the excess rounded down: exact integers. */
int eng_geometry_plan(struct eng_geometry *ret, uint32_t w, uint32_t h,
                      const struct eng_preprocess *p);

#endif
