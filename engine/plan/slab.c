/* Memory of plans and runs. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/plan/steps.h"

/* Above this size, pages of 2 MB: fp32 weights and arenas stream through more small pages than the
 * TLB holds (3 % of the time of V1). int8 plans stay below and keep their small footprint. */
static const size_t HUGE_PAGE = (size_t)2 << 20, HUGE_LEAST = (size_t)2 << 20;

void *eng_alloc_large(size_t bytes)
{
    if (bytes < HUGE_LEAST)
        return aligned_alloc(ENG_ALIGN, eng_round_up(bytes, ENG_ALIGN));
    void *m = aligned_alloc(HUGE_PAGE, eng_round_up(bytes, HUGE_PAGE));
    if (m) /* whole pages only: the rest must not become resident for nothing */
        madvise(m, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
    return m;
}

enum { SLAB_HEAD = ENG_OVERREAD > 64 ? ENG_OVERREAD : 64 };

void *eng_plan_alloc(struct eng_plan *p, size_t bytes)
{
    if (bytes > SIZE_MAX / 2)
        return NULL;
    size_t all = SLAB_HEAD + eng_round_up(bytes, ENG_ALIGN) + ENG_OVERREAD;
    struct eng_slab *s = eng_alloc_large(all);
    if (!s)
        return NULL;
    memset(s, 0, all);
    *s = (struct eng_slab){.next = p->slabs, .bytes = bytes};
    p->slabs = s;
    return (char *)s + SLAB_HEAD;
}

void *eng_plan_alloc_packed(struct eng_plan *p, size_t bytes)
{
    void *m = eng_plan_alloc(p, bytes);
    if (m)
        p->weight_bytes += bytes;
    return m;
}

void eng_plan_free_slabs(struct eng_plan *p)
{
    for (struct eng_slab *s = p->slabs, *next; s; s = next) {
        next = s->next;
        free(s);
    }
    p->slabs = NULL;
}
