/* Driver of the quantised depthwise of any window: channel blocks, whole maps. */
#include "engine/plan/maps.h"

static void run_dwk_u8(void *arg, int begin, int end, int member)
{
    const struct eng_call *c = arg;
    const struct eng_dwk_u8_params *p = c->step->params;
    int from = c->step->in[0], to = c->step->out;
    struct eng_dwk_u8_args a = p->shape;
    a.scratch = eng_scratch(c, member);
    for (int u = begin; u < end; u++) {
        int b0, b1, image = eng_blocks_of(c, u, &b0, &b1);
        for (int b = b0; b < b1; b++) {
            a.in = (const uint8_t *)eng_block_at(c, from, image, b);
            a.out = (uint8_t *)eng_block_at(c, to, image, b);
            a.block = p->packed + (size_t)b * p->block_bytes;
            p->u8->run(&a);
        }
    }
}

const struct eng_driver eng_drive_dwk_u8 = {
    .split = eng_split_blocks,
    .scratch = eng_blocks_scratch,
    .phase = {run_dwk_u8},
};
