/* A ring of as many rows as one output row looks at: the picture itself never exists as a whole. */
#include "engine/image/resize.h"

#include <errno.h>

#include "engine/image/source.h"

const struct eng_resize_kernels *eng_resize_kernels_choose(uint32_t cpu_bits)
{
    const struct eng_resize_kernels *best = &eng_resize_c;
#define RESIZE_KERNELS(isa, bits)                                                                  \
    if ((cpu_bits & (bits)) == (bits))                                                             \
        best = &eng_resize_##isa;
#include "engine/image/resize.def"
#undef RESIZE_KERNELS
    return best;
}

int eng_resizer_start(struct eng_resizer *r)
{
    size_t row = (size_t)r->x->count * (size_t)r->channels;
    r->stride = (row + ENG_ROW_SLACK + 63) & ~(size_t)63;
    size_t rows = (size_t)r->y->longest + 1;
    if (eng_buffer_reserve(&r->ring, eng_size(r->stride, rows, 0)) < 0 ||
        eng_buffer_reserve(&r->pointers, (rows + 3) * sizeof(uint8_t *)) < 0)
        return -ENOMEM;
    if (r->kernels->pack) {
        if (eng_buffer_reserve(&r->packed, r->kernels->packed_bytes(r->x, r->channels)) < 0)
            return -ENOMEM;
        r->kernels->pack(r->packed.data, r->x, r->channels);
    }
    r->done = 0;
    r->next_in = 0;
    return 0;
}

static void emit_one(struct eng_resizer *r, int index)
{
    uint8_t *ring = r->ring.data, *out = ring + r->stride * (size_t)r->y->longest;
    const uint8_t **rows = r->pointers.data;
    int used = r->y->used[index];
    for (int j = 0; j < used; j++)
        rows[j] = ring + r->stride * (size_t)((r->y->first[index] + j) % r->y->longest);
    for (int j = used; j % 4 != 0; j++)
        rows[j] = rows[0];
    r->kernels->down(out, rows, r->y->coef + (size_t)index * (size_t)r->y->stride, used,
                     (size_t)r->x->count * (size_t)r->channels);
    r->emit(r->to, index, out);
}

void eng_resizer_push(struct eng_resizer *r, const uint8_t *row)
{
    uint8_t *slot = (uint8_t *)r->ring.data + r->stride * (r->next_in % (uint32_t)r->y->longest);
    r->kernels->across(slot, row, r->x, r->packed.data, r->channels);
    r->next_in++;
    while (r->done < r->y->count) {
        int index = r->backwards ? r->y->count - 1 - r->done : r->done;
        if ((uint32_t)(r->y->first[index] + r->y->used[index]) > r->next_in)
            break;
        emit_one(r, index);
        r->done++;
    }
}

void eng_resizer_finish(struct eng_resizer *r)
{
    eng_buffer_finish(&r->ring);
    eng_buffer_finish(&r->pointers);
    eng_buffer_finish(&r->packed);
}
