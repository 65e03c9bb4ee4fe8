/* The resize modes, in exact integers: the same numbers on every machine. */
#include "engine/image/geometry.h"

#include <errno.h>

enum { MAX_SIDE = 16384 };

static struct eng_span whole(uint32_t in, uint64_t full, int out)
{
    struct eng_span s = {0, in, full, 0, out, 0};
    if (full >= (uint64_t)out) {
        s.first = (full - (uint64_t)out) / 2;
    } else {
        s.count = (int)full;
        s.place = (out - s.count) / 2;
    }
    return s;
}

/* a * b / c rounded half up, at least 1. */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t r = (a * b + c / 2) / c;
    return r ? r : 1;
}

static void plan_cover(struct eng_geometry *g, uint32_t w, uint32_t h, int out_w, int out_h)
{
    uint64_t sw = ((uint64_t)out_w * 256 + 112) / 224, sh = ((uint64_t)out_h * 256 + 112) / 224;
    if (w * sh <= h * sw) {
        g->x = whole(w, sw, out_w);
        g->y = whole(h, scale(h, sw, w), out_h);
    } else {
        g->x = whole(w, scale(w, sh, h), out_w);
        g->y = whole(h, sh, out_h);
    }
}

static void plan_letterbox(struct eng_geometry *g, uint32_t w, uint32_t h, int out_w, int out_h)
{
    uint64_t ow = (uint64_t)out_w, oh = (uint64_t)out_h;
    if (w * oh >= h * ow) {
        g->x = whole(w, ow, out_w);
        g->y = whole(h, scale(h, ow, w), out_h);
    } else {
        g->x = whole(w, scale(w, oh, h), out_w);
        g->y = whole(h, oh, out_h);
    }
}

/* TensorFlow's central_crop(0.875): a sixteenth, rounded down, off either end. */
static struct eng_span central(uint32_t in, int out)
{
    struct eng_span s = whole(in, (uint64_t)out, out);
    s.in0 = in / 16;
    s.in1 = in - in / 16;
    return s;
}

int eng_geometry_plan(struct eng_geometry *ret, uint32_t w, uint32_t h,
                      const struct eng_preprocess *p)
{
    if (p->width < 1 || p->width > MAX_SIDE || p->height < 1 || p->height > MAX_SIDE)
        return -EINVAL;
    switch (p->resize) {
    case ENG_RESIZE_SHORT_SIDE:
        plan_cover(ret, w, h, p->width, p->height);
        return 0;
    case ENG_RESIZE_SQUASH:
        ret->x = whole(w, (uint64_t)p->width, p->width);
        ret->y = whole(h, (uint64_t)p->height, p->height);
        return 0;
    case ENG_RESIZE_CENTRAL_CROP:
        ret->x = central(w, p->width);
        ret->y = central(h, p->height);
        return 0;
    case ENG_RESIZE_LETTERBOX:
        plan_letterbox(ret, w, h, p->width, p->height);
        return 0;
    }
    return -EINVAL;
}

static void place(const struct eng_span *s, double *ret_0, double *ret_d)
{
    *ret_d = (double)(s->in1 - s->in0) / (double)s->full;
    *ret_0 = (double)s->in0 + ((double)s->first - (double)s->place) * *ret_d;
}

int eng_image_place(struct eng_placement *ret, const struct eng_preprocess *p, uint32_t width,
                    uint32_t height)
{
    struct eng_geometry g;
    int rc = eng_geometry_plan(&g, width, height, p);
    if (rc < 0)
        return rc;
    place(&g.x, &ret->x0, &ret->dx);
    place(&g.y, &ret->y0, &ret->dy);
    return 0;
}

const char *eng_resize_name(enum eng_resize resize)
{
    static const char *const names[] = {
        [ENG_RESIZE_SHORT_SIDE] = "short_side",
        [ENG_RESIZE_SQUASH] = "squash",
        [ENG_RESIZE_CENTRAL_CROP] = "central_crop",
        [ENG_RESIZE_LETTERBOX] = "letterbox",
    };
    return names[resize];
}

const char *eng_filter_name(enum eng_filter filter)
{
    static const char *const names[] = {
        [ENG_FILTER_BILINEAR] = "bilinear",       [ENG_FILTER_BICUBIC] = "bicubic",
        [ENG_FILTER_NEAREST] = "nearest",         [ENG_FILTER_AREA] = "area",
        [ENG_FILTER_TF_BILINEAR] = "tf_bilinear",
    };
    return names[filter];
}
