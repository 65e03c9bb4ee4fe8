/* Depthwise rows, shared by the drivers that run one. Internal to drive_*.c. */
#ifndef ENG_PLAN_DRIVE_DW_H
#define ENG_PLAN_DRIVE_DW_H

#include "engine/plan/steps.h"

/* Output rows y0 .. y1-1 of one channel block of one image. `in`: the image's block 0, blocks
 * in_stride bytes apart; `out`: where row y0 goes, rows out_w pixels apart, pixels `together` times
 * 16 channels. */
void eng_dw_rows(const struct eng_dw *dw, const char *in, size_t in_stride, int block, int y0,
                 int y1, char *out, int together);

/* Units begin .. end-1 of a depthwise from value `in` to value `out` (split: dw_rows, dw_bands,
 * blocks, block_groups), of which `together` blocks are side by side. */
void eng_dw_units(const struct eng_call *c, const struct eng_dw *dw, int in, int out, int together,
                  int begin, int end);

#endif
