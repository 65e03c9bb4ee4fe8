/* The inside of a plan: values, steps, drivers, and the memory of a run. Shared by the planner
 * (plan.c, lower_*.c, pack.c, units.c), the drivers (drive_*.c) and run.c; nobody else.
 *
 * A *value* is a buffer that holds one representation of one graph tensor, image after image. A
 * *step* reads and writes values through a *driver*: C code without ISA flags that cuts the work
 * into units and calls micro-kernels. How many units, and how large, is a *split*: chosen by
 * units.c for a batch and a number of members; it never changes a result. */
#ifndef ENG_PLAN_STEPS_H
#define ENG_PLAN_STEPS_H

#include <stdatomic.h>

#include "engine/graph/quant.h"
#include "engine/kernels/kernel.h"
#include "engine/plan/plan.h"

/* How a value holds a tensor. For u8 and f32 tensors the first two are one. In a bf16 plan the last
 * one of an f32 tensor is bf16. */
enum eng_rep {
    ENG_REP_FILE,   /* NHWC, the file's own type */
    ENG_REP_PIXELS, /* NHWC, i8 turned into u8 */
    ENG_REP_C16,    /* [C/16][H][W][16], i8 turned into u8 */
    ENG_REP_COUNT,
};

struct eng_value {
    enum eng_rep rep;
    enum eng_type type; /* of the elements in the buffer */
    int h, w, c;        /* C16 only */
    int blocks;         /* C16: ceil(c / 16) */
    size_t stride;      /* C16: bytes between blocks; a multiple of 64 unless h = w = 1, where the
                           channels are contiguous and the bytes are those of NHWC too */
    size_t bytes;       /* one image, a multiple of 64 */
    int first, last;    /* steps that write it first and read it last; -1: never */
    int keep;           /* outlives the run, for all slots: in the kept area, not the arena */
    size_t offset;      /* for one image, in its area; times the batch in a run */
};

/* How one step is cut for a batch and a number of members. Each driver reads its own fields. */
struct eng_split {
    int choice;   /* asked of the cost model: its best (0), second best, ... where it knows more */
    int units[2]; /* of each phase; 0: no such phase */
    /* conv3, gemm: a unit is `rows` output rows (gemm: pixels, whole rows if the A-panel is made),
     * `panels` panels of weights, `images` images; so many bands and groups an image. */
    int rows, bands, panels, groups, images;
    int two_phase; /* gemm with a depthwise: through a tensor, with a barrier in between */
    /* bands.h: a unit of the first phase is one of dw_bands parts, of dw_rows rows, of a band. */
    int by_bands;
    /* dw, and the first phase of the above; gap, add, lut: blocks only. */
    int dw_rows, dw_bands, blocks, block_groups;
};

struct eng_step;
struct eng_bands;
struct eng_strips;
struct eng_strip_at;

/* What a unit function gets: a step, and the images it runs for. Images of a call are 0 .. batch-1;
 * image 0 is slot image0 of the run. Calls that run at the same time have arenas of their own. */
struct eng_call {
    const struct eng_step *step;
    struct eng_run *run;
    const struct eng_split *split;
    int batch, image0;
    char *arena;
    int member0;                   /* member 0 of the call is this member of the team */
    const struct eng_bands *bands; /* NULL: none of its steps goes by bands */
    char *band_arena;
    const struct eng_strip_at *strip; /* strips.h; NULL: the step makes whole maps or bands */
};

struct eng_driver {
    void (*split)(const struct eng_step *s, int batch, int members, struct eng_split *ret);
    size_t (*scratch)(const struct eng_step *s,
                      int max_batch); /* per member, at most; NULL: none */
    eng_team_fn *phase[2];            /* arg: struct eng_call * */
};

struct eng_step {
    const struct eng_driver *driver;
    int node, node2; /* graph nodes; -1: none (layout conversions) */
    int n_in;
    int *in; /* values; -1: a constant or absent input of a reference operator */
    int out;
    int mid; /* value between the two halves of a fused step, or -1 */
    const void *params;
    const char *kernel, *kernel2; /* what runs node and node2, for people */
};

struct eng_slab {
    struct eng_slab *next;
    size_t bytes;
};

/* What measurement chose where the cost model had several ideas; by how a run goes: one image on
 * one thread, one image by all members. Any thread may write it at any time: it never changes a
 * result. */
enum { ENG_CHOICES = 6, ENG_ALONE = 0, ENG_TOGETHER = 1 };
struct eng_tuning {
    atomic_uint version; /* changes after the others have: runs then cut anew */
    atomic_int members;  /* that ENG_TOGETHER was measured with */
    atomic_int no_strips[2];
    atomic_uchar *choice[2]; /* [steps] */
    atomic_uchar choices[];
};

struct eng_plan {
    const struct eng_graph *g;
    struct eng_tuning *tuning;
    struct eng_kernels kernels;
    uint32_t cpu_bits;
    int reference, bf16, f32x;
    int door, door_value; /* tensor and value that eng_run_picture() gives; -1: none */
    int n_values, cap_values;
    struct eng_value *values;
    int n_steps, cap_steps;
    struct eng_step *steps;
    int (*rep)[ENG_REP_COUNT]; /* value of each tensor in each representation, -1: none */
    int *node_step;
    const char **node_kernel;
    size_t arena_bytes, kept_bytes; /* of one image */
    size_t weight_bytes;
    struct eng_slab *slabs;
};

/* The splits of every step for batches of 1 .. n images and a number of members, each made when
 * first asked for. */
struct eng_split_table {
    int n, members;
    struct eng_split *rows; /* [n][steps] */
    char *made;             /* [n] */
};

struct eng_run {
    const struct eng_plan *plan;
    int max_batch, max_members;
    char *memory;
    size_t bytes, scratch_bytes; /* scratch of one member */
    char *arena, *kept, *scratch;
    struct eng_split_table alone, together;
    struct eng_bands *bands; /* one image by all members; NULL: nothing to gain */
    char *band_arena;
    /* For one image: on one thread, and by all members (which needs bands). NULL: nothing to gain.
     */
    struct eng_strips *strips_alone, *strips_together;
    char *strip_buffers;
    unsigned char *pictures;    /* [max_batch]: the slot holds the door's quanta, no input */
    unsigned tuned;             /* version of the tuning that the cuts follow */
    int trial, trial_no_strips; /* trial >= 0: this choice everywhere, whatever is tuned */
    int profile, profiled;
    _Atomic uint64_t *ns;
};

/* ---- slab.c ---- */
/* 64-aligned, not zeroed, for free(); in large pages where there are whole ones of them. NULL: out
 * of memory. */
void *eng_alloc_large(size_t bytes);
/* Memory that lives as long as the plan: zeroed, 64-aligned, with ENG_OVERREAD readable bytes on
 * both sides. NULL: out of memory. _packed counts as weight bytes. */
void *eng_plan_alloc(struct eng_plan *p, size_t bytes);
void *eng_plan_alloc_packed(struct eng_plan *p, size_t bytes);
void eng_plan_free_slabs(struct eng_plan *p);

static inline int eng_ceil_div(int a, int b)
{
    return (a + b - 1) / b;
}
static inline size_t eng_round_up(size_t n, size_t to)
{
    return (n + to - 1) / to * to;
}
static inline int eng_min(int a, int b)
{
    return a < b ? a : b;
}

/* A kept value of a slot. */
static inline char *eng_kept_at(const struct eng_run *r, int value, int slot)
{
    const struct eng_value *v = &r->plan->values[value];
    return r->kept + v->offset * (size_t)r->max_batch + v->bytes * (size_t)slot;
}
/* An image of a call. */
static inline char *eng_value_at(const struct eng_call *c, int value, int image)
{
    const struct eng_value *v = &c->run->plan->values[value];
    if (v->keep)
        return eng_kept_at(c->run, value, c->image0 + image);
    return c->arena + v->offset * (size_t)c->batch + v->bytes * (size_t)image;
}
static inline const struct eng_value *eng_value_of(const struct eng_call *c, int value)
{
    return &c->run->plan->values[value];
}
/* Channel block b of it. */
static inline char *eng_block_at(const struct eng_call *c, int value, int image, int b)
{
    return eng_value_at(c, value, image) + (size_t)b * eng_value_of(c, value)->stride;
}
static inline void *eng_scratch(const struct eng_call *c, int member)
{
    return c->run->scratch + c->run->scratch_bytes * (size_t)(c->member0 + member);
}

/* ---- parameters of the drivers ---- */

struct eng_ref_params {
    const struct eng_graph *g;
    const struct eng_node *node;
    const void **constants; /* data of each constant input */
};

/* Head of the parameters of drivers that go channel block by channel block. */
struct eng_blocks_params {
    int blocks, pixels;
    size_t block_bytes; /* read and written for one block */
    size_t scratch;     /* bytes of a member */
};
struct eng_layout_params {
    struct eng_blocks_params b; /* flip: unused */
    int c;                      /* channels of the tensor */
    int flip;                   /* i8 <-> u8 */
    enum eng_type in, out;      /* equal, i8 <-> u8, or f32 <-> bf16 */
    size_t elements;
};

/* A packed pointwise. */
struct eng_pw {
    enum eng_type type; /* ENG_U8, ENG_F32 or ENG_BF16: of the A-panel */
    int out_f32;        /* bf16: the sums leave as they are */
    int k, n, k_blocks, n_blocks, n_panels, mr, nr;
    int together; /* channel blocks side by side in a pixel of the A-panel (kernel.h) */
    int macs;     /* multiply-adds a cycle, about */
    int taps;     /* spw: input channels of the fullest panel, in place of k */
    size_t panel_bytes;
    int needs_sum;
    const char *packed;
    const struct eng_pw_u8_kernel *u8;
    const struct eng_sum_u8_kernel *sum;
    const struct eng_pw_f32_kernel *f32;
    const struct eng_spw_f32_kernel *spw; /* block-sparse weights; f32 is NULL then */
    const struct eng_pw_bf16_kernel *bf16;
    const struct eng_pw_f32x_kernel *f32x; /* f32: the A-panel is in bf16 parts (kernel.h) */
    struct eng_requant rq;
    float lo, hi;
};
/* A packed depthwise 3x3. */
struct eng_dw {
    enum eng_type type;
    int channels, blocks;
    struct eng_geometry geo; /* rows: of no call yet */
    int out_h;
    size_t block_bytes;
    const char *packed;
    const struct eng_dw_u8_kernel *u8;
    const struct eng_dw_f32_kernel *f32;
    const struct eng_dw_bf16_kernel *bf16;
    uint8_t zx;
    struct eng_requant rq;
    float lo, hi;
};
/* Where a pointwise takes its A-panel from. */
enum eng_source {
    ENG_SOURCE_DIRECT, /* the tensor itself */
    ENG_SOURCE_DW,     /* a depthwise, into scratch or `mid` */
    ENG_SOURCE_IM2COL, /* patches of the tensor, gathered into scratch */
};
struct eng_gemm_params {
    enum eng_source source;
    struct eng_pw pw;
    struct eng_dw dw;      /* ENG_SOURCE_DW */
    struct eng_window win; /* ENG_SOURCE_IM2COL */
    int in_h, in_w, in_blocks;
    uint8_t zx;
    int out_h, out_w;
};
/* The A-panel is made in scratch. A tensor is one where no blocks stand together, or in parts, and
 * so is a vector always. */
static inline int eng_gemm_is_made(const struct eng_gemm_params *p)
{
    int alike = p->pw.together == 1 && !p->pw.f32x;
    return p->source != ENG_SOURCE_DIRECT || (!alike && p->out_h * p->out_w > 1);
}
struct eng_conv3_params {
    enum eng_type type;
    struct eng_geometry geo; /* rows: of no call yet */
    int out_h, n_blocks;
    const char *packed;
    const struct eng_conv3_u8_kernel *u8;
    const struct eng_conv3_f32_kernel *f32;
    const struct eng_conv3_bf16_kernel *bf16;
    uint8_t zx;
    struct eng_requant rq;
    float lo, hi;
};
struct eng_gap_params {
    struct eng_blocks_params b;
    const struct eng_gap_u8_kernel *u8; /* NULL: f32 or bf16 */
    enum eng_type type;
    int offset;  /* 128 if the file's type is i8: averages round on the file's own quanta */
    int exact;   /* eng_quant_average; else by scale */
    int32_t zx;  /* in the file's quanta */
    float scale; /* sx / (sy * pixels) */
    struct eng_quant_range range; /* in the file's quanta */
    float lo, hi;
};
struct eng_add_params {
    struct eng_blocks_params b;
    enum eng_type type;
    const struct eng_add_u8_kernel *u8;
    struct eng_add_quant q; /* zero points and range in u8 quanta */
    float lo, hi;
};
/* Softmax over one vector of quanta: eng_ref_softmax()'s arithmetic, its table made once. */
struct eng_softmax_params {
    int n;
    float table[256]; /* exp of 0, -1, -2 ... quanta below the largest */
    float out_scale;
    enum eng_type type; /* of the output */
    struct eng_quant_range range;
};
/* Element after element in the file's own order, whatever the shape. Blocks are pieces of it. */
enum eng_flat_kind {
    ENG_FLAT_TO_QUANTA, /* QUANTIZE of reals */
    ENG_FLAT_TO_REALS,  /* DEQUANTIZE */
    ENG_FLAT_TABLE,     /* quanta to quanta */
    ENG_FLAT_FUNCTION,  /* reals to reals */
};
struct eng_flat_params {
    struct eng_blocks_params b;
    size_t elements;
    enum eng_flat_kind kind;
    const struct eng_map_params *function;    /* FUNCTION: what it is */
    const struct eng_quant_f32_kernel *quant; /* TO_QUANTA */
    int is_signed;                            /* the quanta are i8 */
    int by_door; /* what it makes is there where a picture came (eng_run_picture()) */
    float scale;
    struct eng_quant_range range; /* of the quanta: their type's, and the zero point */
    uint8_t table[256];           /* by the bytes of the file */
};
/* Inputs side by side along an axis: of each of `outer` rows, the parts of all of them. */
struct eng_join_part {
    size_t bytes;         /* of a row */
    const uint8_t *table; /* to the output's quanta; NULL: they are the same */
};
struct eng_join_params {
    size_t outer, row; /* row: bytes of all parts */
    struct eng_join_part parts[];
};
struct eng_lut_params {
    struct eng_blocks_params b;
    uint8_t table[256];
};

/* For those drivers: the split, and of unit u the channel blocks *b0 .. *b1-1; returns its image.
 */
void eng_split_blocks(const struct eng_step *s, int batch, int members, struct eng_split *ret);
size_t eng_blocks_scratch(const struct eng_step *s, int max_batch);
int eng_blocks_of(const struct eng_call *c, int u, int *b0, int *b1);
/* drive_flat.c: in how many pieces so many elements go. */
int eng_flat_pieces(size_t elements);

extern const struct eng_driver eng_drive_ref;
extern const struct eng_driver eng_drive_to_c16;
extern const struct eng_driver eng_drive_to_nhwc;
extern const struct eng_driver eng_drive_flip;
extern const struct eng_driver eng_drive_conv3;
extern const struct eng_driver eng_drive_dw;
extern const struct eng_driver eng_drive_gemm;
extern const struct eng_driver eng_drive_gap;
extern const struct eng_driver eng_drive_add;
extern const struct eng_driver eng_drive_lut;
extern const struct eng_driver eng_drive_flat;
extern const struct eng_driver eng_drive_join;
extern const struct eng_driver eng_drive_softmax;

/* ---- units.c: all choices of size ---- */
void eng_cost_images(int batch, struct eng_split *ret); /* a unit per image */
void eng_cost_blocks(int blocks, size_t block_bytes, int batch, int members,
                     struct eng_split *ret); /* cheap, by channel block */
void eng_cost_conv3(const struct eng_conv3_params *p, int batch, int members,
                    struct eng_split *ret);
void eng_cost_dw(const struct eng_dw *dw, int batch, int members, struct eng_split *ret);
/* The cut that comes `choice`-th, of as many as are returned (at most ENG_CHOICES). */
int eng_cost_gemm(const struct eng_gemm_params *p, int batch, int members, int choice,
                  struct eng_split *ret);
/* A step in n bands of rows of a map of h rows; into_one: the depthwise alone, the pointwise behind
 * it by panels. gemm: of a step that is one, else NULL. */
void eng_cost_bands(const struct eng_gemm_params *gemm, int h, int n, int into_one,
                    struct eng_split *ret);
/* A step in waves of strips that make at most `rows` rows. */
void eng_cost_strip(const struct eng_gemm_params *gemm, int rows, struct eng_split *ret);
/* Whether layer by layer a map would fall out of L2; most bytes that strips in so many bands, one a
 * member, may take. */
int eng_cost_is_large_map(const struct eng_value *v);
size_t eng_cost_strip_bytes(int bands);
/* Most pixels that eng_cost_gemm() puts into one A-panel of scratch. */
int eng_cost_panel_pixels(const struct eng_gemm_params *p, int max_batch);

#endif
