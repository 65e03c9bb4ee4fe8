/* All choices of size: how a step is cut into units for a batch and a number of members. Results
 * never depend on them.
 *
 * The model counts cycles of one core: multiply-adds at the kernels' rate, tiles rounded up,
 * weights and A-panels that fall out of L1 or L2 at the rate of the next level, a fixed price for a
 * unit and for a barrier. The candidate with the shortest makespan wins. */
#include "engine/plan/steps.h"

enum {
    L1_PANEL = 28 << 10,       /* bytes of an A-panel that stay in L1 beside one panel of weights */
    L2_PANEL = 256 << 10,      /* bytes of an A-panel that stay in L2 */
    L1_WEIGHTS = 24 << 10,     /* bytes of weights that stay there through all tiles of a unit */
    L2_WEIGHTS = 640 << 10,    /* bytes of weights that stay in L2 from one unit to the next */
    SCRATCH_PANEL = 208 << 10, /* largest A-panel, unless one row of pixels is larger */
    LARGE_MAP = 700 << 10,     /* bytes of a map that leaves L2 before the next layer reads it */
    STRIPS_TOGETHER = 768 << 10, /* bytes of strips that stay in L2; alone, short strips cost */
    STRIPS_ALONE = 1400 << 10,   /* more than the way to L3 */
    UNIT = 250,
    DW_COLUMN = 8, /* cycles to begin one column of 16 channels of a depthwise band */
    BARRIER = 2500,
};

static double larger(double a, double b)
{
    return a > b ? a : b;
}

/* Time until the last of `members` is done with `units` alike: they take one after the other. */
static double makespan(double total, double unit, int units, int members)
{
    if (members <= 1)
        return total;
    double rounds = (double)eng_ceil_div(units, members) * unit;
    double spread = total / members + unit;
    return larger(total / members, rounds < spread ? rounds : spread);
}

void eng_cost_images(int batch, struct eng_split *ret)
{
    *ret = (struct eng_split){.units = {batch}, .images = 1, .blocks = 1, .block_groups = 1};
}

void eng_cost_blocks(int blocks, size_t block_bytes, int batch, int members, struct eng_split *ret)
{
    /* A unit of less than 32 KB costs more to hand out than to do. */
    size_t least = block_bytes ? (32 << 10) / block_bytes + 1 : 1;
    int per_unit = least > (size_t)blocks ? blocks : (int)least;
    int wanted = eng_ceil_div(members * 3, batch), even = eng_ceil_div(blocks, wanted);
    per_unit = even > per_unit ? even : per_unit;
    ret->blocks = per_unit < 1 ? 1 : per_unit;
    ret->block_groups = eng_ceil_div(blocks, ret->blocks);
    ret->units[0] = batch * ret->block_groups;
}

/* Bands of a map of `rows` rows so that every member has about four of them in the batch. */
static int rows_of_band(int rows, int batch, int members, int least)
{
    int bands = members <= 1 ? 1 : eng_ceil_div(members * 4, batch);
    int per_band = eng_ceil_div(rows, bands < 1 ? 1 : bands);
    per_band = per_band < least ? least : per_band;
    return per_band > rows ? rows : per_band;
}

void eng_cost_conv3(const struct eng_conv3_params *p, int batch, int members, struct eng_split *ret)
{
    ret->rows = rows_of_band(p->out_h, batch, members, 2);
    ret->bands = eng_ceil_div(p->out_h, ret->rows);
    ret->units[0] = batch * ret->bands;
}

void eng_cost_dw(const struct eng_dw *dw, int batch, int members, struct eng_split *ret)
{
    int units = members <= 1 ? 1 : eng_ceil_div(members * 3, batch);
    ret->blocks = eng_ceil_div(dw->blocks, units);
    ret->block_groups = eng_ceil_div(dw->blocks, ret->blocks);
    ret->dw_rows = rows_of_band(dw->out_h, batch * ret->block_groups, members, 4);
    ret->dw_bands = eng_ceil_div(dw->out_h, ret->dw_rows);
    ret->units[0] = batch * ret->block_groups * ret->dw_bands;
}

/* ---- gemm ---- */

/* Cycles per 16-channel pixel of the depthwise. */
static double dw_pixel(const struct eng_gemm_params *p)
{
    const struct eng_dw *dw = &p->dw;
    return dw->u8     ? dw->u8->pixel_cycles
           : dw->bf16 ? dw->bf16->pixel_cycles
                      : dw->f32->pixel_cycles;
}

/* Bytes of an input in the A-panel. */
static size_t element(const struct eng_gemm_params *p)
{
    return p->pw.f32x ? ENG_PARTS * sizeof(uint16_t) : eng_type_size(p->pw.type);
}

/* Cycles of the pointwise of one unit: `pixels` of each of `images`, `panels`. */
static double pw_cycles(const struct eng_gemm_params *p, int pixels, int panels, int images)
{
    const struct eng_pw *pw = &p->pw;
    double k = pw->k_blocks * ENG_BLOCK, weights = (double)pw->panel_bytes * panels;
    double taps = pw->spw ? pw->taps : k;
    int tile_rows = eng_ceil_div(pixels, eng_ceil_div(pixels, pw->mr));
    double rounded = (double)eng_ceil_div(pixels, tile_rows) * tile_rows;
    double macs = rounded * taps * pw->nr * panels;
    double stores = rounded * panels * (pw->nr / ENG_BLOCK) * 3;
    double a_bytes = (double)pixels * k * (double)element(p);
    double cycles = (macs / pw->macs + stores) * images;
    if (weights > L1_WEIGHTS)
        cycles += weights / (weights > L2_WEIGHTS ? 20 : 64);
    /* int8 tiles load so little for what they multiply that L2 keeps up. */
    if (a_bytes > (pw->type == ENG_U8 ? L2_PANEL : L1_PANEL))
        cycles += a_bytes * panels / 64 * images;
    return cycles;
}

/* What making an A-panel costs. */
static double fill_cycles(const struct eng_gemm_params *p, int pixels)
{
    if (p->source == ENG_SOURCE_DW)
        return (double)pixels * p->dw.blocks * dw_pixel(p) +
               (double)p->out_w * p->dw.blocks * DW_COLUMN;
    if (eng_gemm_is_made(p))
        return (double)pixels * p->pw.k_blocks * (double)element(p) * 2;
    return 0;
}

int eng_cost_panel_pixels(const struct eng_gemm_params *p, int max_batch)
{
    int map = p->out_h * p->out_w;
    if (map == 1)
        return p->source == ENG_SOURCE_IM2COL ? 1 : max_batch;
    if (!eng_gemm_is_made(p))
        return 1; /* the tensor is the panel */
    int blocks = eng_ceil_div(p->pw.k_blocks, p->pw.together) * p->pw.together;
    size_t row = (size_t)p->out_w * (size_t)blocks * ENG_BLOCK * element(p);
    size_t rows = SCRATCH_PANEL / row;
    rows = rows < 1 ? 1 : rows > (size_t)p->out_h ? (size_t)p->out_h : rows;
    return (int)rows * p->out_w;
}

/* The shortest, in order of time; a tie goes to what was rated first. */
struct best {
    int n;
    double time[ENG_CHOICES];
    struct eng_split split[ENG_CHOICES];
    struct eng_split base; /* what all that is rated from here on has */
};

static int is_same(const struct eng_split *a, const struct eng_split *b)
{
    return a->two_phase == b->two_phase && a->rows == b->rows && a->panels == b->panels &&
           a->images == b->images;
}

static void enter(struct best *best, double time, const struct eng_split *s)
{
    int at = best->n;
    for (int i = 0; i < best->n; i++)
        if (is_same(&best->split[i], s))
            return;
    while (at > 0 && time < best->time[at - 1])
        at--;
    if (at == ENG_CHOICES)
        return;
    best->n = eng_min(best->n + 1, ENG_CHOICES);
    for (int i = best->n - 1; i > at; i--) {
        best->time[i] = best->time[i - 1];
        best->split[i] = best->split[i - 1];
    }
    best->time[at] = time;
    best->split[at] = *s;
}

/* Rates one way to cut the pointwise; `made`: each unit makes its own A-panel. `before` is spent
 * ahead, by all members together. */
static void rate(const struct eng_gemm_params *p, int batch, int members, int made, int rows,
                 int panels, int images, double before, struct best *best)
{
    int map = p->out_h * p->out_w;
    struct eng_split s = best->base;
    s.rows = rows;
    s.bands = eng_ceil_div(map, rows);
    s.panels = panels;
    s.groups = eng_ceil_div(p->pw.n_panels, panels);
    s.images = images;
    int image_groups = eng_ceil_div(batch, images), units = image_groups * s.bands * s.groups;
    int side_by_side = map == 1 && images > 1;
    double unit = UNIT + (made ? fill_cycles(p, rows) * images : 0);
    unit += side_by_side ? pw_cycles(p, images, panels, 1) : pw_cycles(p, rows, panels, images);
    double whole = unit * units;
    if (s.bands * rows > map) /* the last band is smaller */
        whole -= unit * image_groups * s.groups * (double)(s.bands * rows - map) / rows;
    s.two_phase = !made && p->source == ENG_SOURCE_DW;
    s.units[s.two_phase] = units;
    if (!s.two_phase)
        s.units[1] = 0;
    enter(best, before + makespan(whole, unit, units, members), &s);
}

/* Numbers of panels a unit that are worth a look: all, and what gives each member one, two, four
 * units. */
static void rate_groups(const struct eng_gemm_params *p, int batch, int members, int made, int rows,
                        int images, double before, struct best *best)
{
    rate(p, batch, members, made, rows, p->pw.n_panels, images, before, best);
    for (int f = 1; members > 1 && f <= 4; f *= 2)
        rate(p, batch, members, made, rows, eng_ceil_div(p->pw.n_panels, members * f), images,
             before, best);
}

static void rate_made(const struct eng_gemm_params *p, int batch, int members, struct best *best)
{
    int most = eng_cost_panel_pixels(p, 1) / p->out_w;
    for (int rows = 1; rows <= most; rows++) {
        /* only heights that no other with as many bands undercuts */
        if (rows > 1 && eng_ceil_div(p->out_h, eng_ceil_div(p->out_h, rows)) != rows)
            continue;
        rate_groups(p, batch, members, 1, rows * p->out_w, 1, 0, best);
    }
}

static void rate_direct(const struct eng_gemm_params *p, int batch, int members, double before,
                        struct best *best)
{
    int map = p->out_h * p->out_w, tile = p->pw.mr;
    for (int images = 1;; images = images * 2 < batch ? images * 2 : batch) {
        for (int tiles = eng_ceil_div(map, tile); tiles >= 1; tiles = tiles * 2 / 3) {
            int rows = tiles * tile < map ? tiles * tile : map;
            rate_groups(p, batch, members, 0, rows, images, before, best);
        }
        if (images >= batch)
            break;
    }
}

int eng_cost_gemm(const struct eng_gemm_params *p, int batch, int members, int choice,
                  struct eng_split *ret)
{
    struct best best = {0};
    if (eng_gemm_is_made(p))
        rate_made(p, batch, members, &best);
    else
        rate_direct(p, batch, members, 0, &best);
    if (p->source == ENG_SOURCE_DW) {
        eng_cost_dw(&p->dw, batch, members, &best.base);
        double dw = fill_cycles(p, p->out_h * p->out_w) * batch / members + BARRIER;
        rate_direct(p, batch, members, dw, &best);
    }
    *ret = best.split[choice < best.n ? choice : 0];
    return best.n;
}

/* Rows of a made panel that fit into scratch, evenly. Small parts would make stealing finer, but
 * each costs a set-up, and bands are equal. */
void eng_cost_bands(const struct eng_gemm_params *gemm, int h, int n, int into_one,
                    struct eng_split *ret)
{
    int most = h;
    *ret = (struct eng_split){.by_bands = 1, .bands = 1, .images = 1};
    if (gemm && into_one) {
        struct best best = {.base = *ret};
        rate_direct(gemm, 1, n, 0, &best);
        *ret = best.split[0];
        ret->by_bands = 1;
        ret->two_phase = 1;
    } else if (gemm && eng_gemm_is_made(gemm)) {
        most = eng_cost_panel_pixels(gemm, 1) / gemm->out_w;
    }
    int rows = eng_ceil_div(h, n), parts = eng_ceil_div(rows, most);
    ret->dw_rows = eng_ceil_div(rows, parts);
    ret->dw_bands = parts;
    ret->units[0] = n * parts;
}

void eng_cost_strip(const struct eng_gemm_params *gemm, int rows, struct eng_split *ret)
{
    int most = rows;
    *ret = (struct eng_split){.by_bands = 1, .bands = 1, .images = 1, .dw_bands = 1};
    if (gemm && eng_gemm_is_made(gemm))
        most = eng_cost_panel_pixels(gemm, 1) / gemm->out_w;
    ret->dw_bands = rows > 0 ? eng_ceil_div(rows, most) : 1;
    ret->dw_rows = eng_ceil_div(rows, ret->dw_bands);
}

int eng_cost_is_large_map(const struct eng_value *v)
{
    return v->type != ENG_U8 && v->bytes >= LARGE_MAP;
}

size_t eng_cost_strip_bytes(int bands)
{
    return bands == 1 ? STRIPS_ALONE : STRIPS_TOGETHER;
}
