/* One look-up gives up to two coefficients with their places, and the end of the block is a place
 * behind it: no branch whose outcome nobody can predict but the one that leaves the block. The bit
 * buffer of 64 bits takes eight bytes at once where none of them is 0xFF.
 *
 * Memory is safe whatever the bits say: places in a block come from a table with spare entries, and
 * running out of data is noticed once a block of the picture (MCU) is done, the missing bits being
 * zeros until then. ITU-T T.81, annexes C and F. */
#include "engine/image/huffman.h"

#include <endian.h>
#include <string.h>

enum {
    LOOK = ENG_HUFFMAN_LOOK,
    DC_LOOK = ENG_HUFFMAN_DC_LOOK,
    FULL = 56,           /* bits that a refill leaves at least, two look-ups take at most */
    ENOUGH = 31,         /* a code of 16 bits and 15 more */
    NONE = 2 * DCTSIZE2, /* place of a value that does not exist */
    END = 2 * DCTSIZE2,  /* added to a place: the block has none further */
    LONGER = 255,
};

/* Zigzag to natural. A run may lead up to 15 places beyond the block's end, which the library puts
 * at 63 as well; what does not exist goes to 0, where the DC comes last. */
static const uint8_t natural[NONE + DCTSIZE2] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34,
    27, 20, 13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
    58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
};

static inline int extend(uint32_t v, int size)
{
    return (int)v - (v >> (size - 1) ? 0 : (1 << size) - 1);
}

/* ---- tables ---- */

static int same_codes(const struct eng_huffman_table *t, const JHUFF_TBL *from)
{
    return t->n > 0 && memcmp(t->bits + 1, from->bits + 1, 16) == 0 &&
           memcmp(t->symbols, from->huffval, sizeof(t->symbols)) == 0;
}

/* `first[n]` gets the code of symbol n at the top of 16 bits, length[n] its length. 0: the lengths
 * make no code. */
static int build_codes(struct eng_huffman_table *t, const JHUFF_TBL *from, uint16_t *first,
                       uint8_t *lengths)
{
    uint32_t code = 0;
    int n = 0;
    for (int length = 1; length <= 16; length++) {
        t->offset[length] = n - (int32_t)code;
        int codes = from->bits[length];
        if (n + codes > 256 || code + (uint32_t)codes > 1u << length)
            return 0;
        for (int i = 0; i < codes; i++, code++, n++) {
            first[n] = (uint16_t)(code << (16 - length));
            lengths[n] = (uint8_t)length;
        }
        t->limit[length] = code << (16 - length);
        code <<= 1;
    }
    memcpy(t->symbols, from->huffval, sizeof(t->symbols));
    memcpy(t->bits + 1, from->bits + 1, 16);
    return n;
}

static int build_dc(struct eng_huffman_dc *t, const JHUFF_TBL *from)
{
    uint16_t first[256];
    uint8_t lengths[256];
    if (!from)
        return 0;
    if (same_codes(&t->codes, from))
        return 1;
    t->codes.n = 0;
    memset(t->look, 0, sizeof(t->look));
    int n = build_codes(&t->codes, from, first, lengths);
    for (int i = 0; i < n && lengths[i] <= DC_LOOK; i++)
        for (int j = 0; j < 1 << (DC_LOOK - lengths[i]); j++) {
            uint8_t *at = t->look[(first[i] >> (16 - DC_LOOK)) + j];
            at[1] = from->huffval[i] & 15;
            at[0] = (uint8_t)(lengths[i] + at[1]);
        }
    return (t->codes.n = n) > 0;
}

/* All look-ups that begin with one code, with its coefficient alone. */
static void fill_code(struct eng_huffman_entry *at, int length, uint8_t symbol)
{
    int size = symbol & 15, run = symbol >> 4, rest = LOOK - length;
    struct eng_huffman_entry e = {
        .bits = (uint8_t)(length + size),
        .advance = (uint8_t)(size || run == 15 ? run + 1 : END),
        .places = {(uint8_t)(size ? run : NONE), NONE},
        .values = {0, (int16_t)(size > rest ? size : 0)},
    };
    if (size == 0 || size > rest) {
        for (int i = 0; i < 1 << rest; i++)
            at[i] = e;
        return;
    }
    for (uint32_t v = 0; v < 1u << size; v++) {
        e.values[0] = (int16_t)extend(v, size);
        for (int i = 0; i < 1 << (rest - size); i++)
            *at++ = e;
    }
}

/* Two in one, where a coefficient (or 16 zeros) leaves room for the next, or for the end. */
static void join(struct eng_huffman_entry *to, const struct eng_huffman_entry *singles)
{
    for (uint32_t prefix = 0; prefix < 1u << LOOK; prefix++) {
        struct eng_huffman_entry a = singles[prefix], b;
        to[prefix] = a;
        if (a.advance >= END || a.values[1])
            continue;
        b = singles[(prefix << a.bits) & ((1u << LOOK) - 1)];
        if (b.advance == LONGER || b.values[1] || b.bits > LOOK - a.bits)
            continue;
        to[prefix].bits = (uint8_t)(a.bits + b.bits);
        to[prefix].advance = (uint8_t)(a.advance + b.advance);
        if (b.places[0] == NONE)
            continue;
        to[prefix].places[1] = (uint8_t)(a.advance + b.places[0]);
        to[prefix].values[1] = b.values[0];
    }
}

static int build_ac(struct eng_huffman_ac *t, const JHUFF_TBL *from)
{
    struct eng_huffman_entry singles[1 << LOOK];
    uint16_t first[256];
    uint8_t lengths[256];
    if (!from)
        return 0;
    if (same_codes(&t->codes, from))
        return 1;
    t->codes.n = 0;
    int n = build_codes(&t->codes, from, first, lengths);
    for (int i = 0; i < 1 << LOOK; i++)
        singles[i] = (struct eng_huffman_entry){0, LONGER, {NONE, NONE}, {0, 0}};
    for (int i = 0; i < n && lengths[i] <= LOOK; i++)
        fill_code(singles + (first[i] >> (16 - LOOK)), lengths[i], from->huffval[i]);
    join(t->look, singles);
    return (t->codes.n = n) > 0;
}

static void begin(struct eng_huffman *h, j_decompress_ptr cinfo)
{
    memset(h->last_dc, 0, sizeof(h->last_dc));
    h->restarts_left = cinfo->restart_interval;
    h->in = (struct eng_bits){0, 0, 0, cinfo->src->next_input_byte,
                              cinfo->src->next_input_byte + cinfo->src->bytes_in_buffer};
}

int eng_huffman_start(struct eng_huffman *h, struct eng_huffman_tables *tables,
                      j_decompress_ptr cinfo)
{
    if (cinfo->progressive_mode || cinfo->arith_code || cinfo->data_precision != 8 ||
        cinfo->comps_in_scan != cinfo->num_components || jpeg_has_multiple_scans(cinfo))
        return 0;
    unsigned dc = 0, ac = 0;
    for (int i = 0; i < cinfo->comps_in_scan; i++) {
        int d = cinfo->cur_comp_info[i]->dc_tbl_no, a = cinfo->cur_comp_info[i]->ac_tbl_no;
        if (d < 0 || d > 1 || a < 0 || a > 1)
            return 0;
        dc |= 1u << d;
        ac |= 1u << a;
    }
    for (int i = 0; i < 2; i++)
        if ((dc >> i & 1 && !build_dc(&tables->dc[i], cinfo->dc_huff_tbl_ptrs[i])) ||
            (ac >> i & 1 && !build_ac(&tables->ac[i], cinfo->ac_huff_tbl_ptrs[i])))
            return 0;
    h->tables = tables;
    h->column = 0;
    begin(h, cinfo);
    return 1;
}

/* ---- bits ---- */

/* Byte by byte: over stuffed zeros, up to a marker or the end; then zeros. */
static __attribute__((noinline)) struct eng_bits refill_slowly(struct eng_bits in)
{
    while (in.n < FULL) {
        uint64_t byte = in.next < in.end ? *in.next : 0;
        const uint8_t *behind = in.next + 1;
        if (byte == 0xff)
            while (behind < in.end && *behind == 0xff)
                behind++;
        if (in.next == in.end || (byte == 0xff && (behind == in.end || *behind != 0))) {
            if (in.next < in.end)
                in.next = behind - 1;
            in.pad += 63 - in.n;
            in.n = 63;
            break;
        }
        in.next = behind + (byte == 0xff);
        in.bits |= byte << (56 - in.n);
        in.n += 8;
    }
    return in;
}

/* n: FULL at least, 63 at most. */
static inline void refill(struct eng_bits *in)
{
    if (__builtin_expect(in->end - in->next >= 8, 1)) {
        uint64_t w, inverse;
        memcpy(&w, in->next, sizeof(w));
        inverse = ~w;
        if (!((inverse - UINT64_C(0x0101010101010101)) & w & UINT64_C(0x8080808080808080))) {
            in->bits |= be64toh(w) >> in->n;
            in->next += (63 - in->n) >> 3;
            in->n |= FULL;
            return;
        }
    }
    *in = refill_slowly(*in);
}

static inline void take(struct eng_bits *in, int n)
{
    in->bits <<= n;
    in->n -= n;
}

/* The value of `size` bits (0 to 15) behind a code of `length`. */
static inline int value_behind(uint64_t bits, int length, int size)
{
    int64_t v = (int64_t)(bits << length);
    int negative = (int)~(v >> 63);
    return (int)((uint64_t)v >> 1 >> (63 - size)) + (negative & (1 - (1 << size)));
}

/* A code by its length; -1: there is none. Its bits are taken, nothing else. */
static int long_symbol(const struct eng_huffman_table *t, struct eng_bits *in)
{
    uint32_t prefix = (uint32_t)(in->bits >> 48);
    for (int length = 1; length <= 16; length++)
        if (prefix < t->limit[length]) {
            take(in, length);
            return t->symbols[((int32_t)(prefix >> (16 - length)) + t->offset[length]) & 0xff];
        }
    return -1;
}

/* ---- blocks ---- */

/* The difference to the last DC; 0 with *bad = 1 for a code that does not exist. */
static inline int take_dc(const struct eng_huffman_dc *t, struct eng_bits *in, int *bad)
{
    refill(in);
    const uint8_t *e = t->look[in->bits >> (64 - DC_LOOK)];
    int bits = e[0], size = e[1];
    if (__builtin_expect(bits == 0, 0)) {
        struct eng_bits copy = *in; /* so that the caller's stays in registers */
        int symbol = long_symbol(&t->codes, &copy);
        *in = copy;
        *bad |= symbol < 0;
        bits = size = symbol < 0 ? 0 : symbol & 15;
    }
    int v = value_behind(in->bits, bits - size, size);
    take(in, bits);
    return v;
}

struct step {
    struct eng_bits in;
    int place; /* END: the block has none further, -1: a code that does not exist */
};

/* A single coefficient, however long its code. */
static __attribute__((noinline)) struct step take_one(const struct eng_huffman_table *t,
                                                      struct step at, JCOEF *block)
{
    if (at.in.n < ENOUGH)
        refill(&at.in);
    int symbol = long_symbol(t, &at.in), run = symbol & 255, size = symbol & 15;
    run >>= 4;
    if (symbol < 0 || (size == 0 && run != 15)) {
        at.place = symbol < 0 ? -1 : END;
        return at;
    }
    at.place += run;
    if (size && block)
        block[natural[at.place]] = (JCOEF)value_behind(at.in.bits, 0, size);
    take(&at.in, size);
    at.place++;
    return at;
}

/* One look-up; the new place. */
static inline __attribute__((always_inline)) int take_some(const struct eng_huffman_ac *t,
                                                           struct eng_bits *in, int k, JCOEF *block)
{
    const struct eng_huffman_entry e = t->look[in->bits >> (64 - LOOK)];
    if (block) {
        int size = e.values[1] & -(e.places[1] >> 7);
        block[natural[k + e.places[0]]] =
            (JCOEF)(e.values[0] + value_behind(in->bits, e.bits - size, size));
        block[natural[k + e.places[1]]] = e.values[1];
    }
    take(in, e.bits);
    return k + e.advance;
}

/* Coefficients 1 to 63, or past them when block is NULL; 0, or -1 for a code that does not exist.
 * A block that is full has no end code: then the second of two coefficients belongs to the next
 * block, and the look-up is taken back. */
static inline __attribute__((always_inline)) int take_ac(const struct eng_huffman_ac *t,
                                                         struct eng_bits *in, JCOEF *block)
{
    for (int k = 1; k < DCTSIZE2;) {
        refill(in);
        uint64_t bits = in->bits;
        int n = in->n, last = k;
        k = take_some(t, in, k, block);
        if (k < DCTSIZE2) {
            bits = in->bits;
            n = in->n;
            last = k;
            k = take_some(t, in, k, block);
        }
        if (k < DCTSIZE2)
            continue;
        if (k >= END && k < END + DCTSIZE2)
            return 0;
        struct step s = {{bits, n, in->pad, in->next, in->end}, last};
        s = take_one(&t->codes, s, block);
        *in = s.in;
        k = s.place;
        if (k < 0)
            return -1;
    }
    return 0;
}

/* ---- pictures ---- */

static void give_back(const struct eng_bits *in, j_decompress_ptr cinfo)
{
    cinfo->src->next_input_byte = in->next;
    cinfo->src->bytes_in_buffer = (size_t)(in->end - in->next);
}

/* The marker is the library's to find, and to miss. */
static boolean restart(struct eng_huffman *h, j_decompress_ptr cinfo)
{
    give_back(&h->in, cinfo);
    if (!cinfo->marker->read_restart_marker(cinfo))
        return FALSE;
    begin(h, cinfo);
    return TRUE;
}

static void tell(j_decompress_ptr cinfo, int message)
{
    cinfo->err->msg_code = message;
    cinfo->err->emit_message((j_common_ptr)cinfo, -1);
}

/* Coefficients a side that the scale looks at. */
static int wants(const jpeg_component_info *c)
{
#if JPEG_LIB_VERSION >= 70
    return c->component_needed ? c->DCT_h_scaled_size : 0;
#else
    return c->component_needed ? c->DCT_scaled_size : 0;
#endif
}

/* The library passes by what lies left and right of the crop as well. */
static int is_wanted(struct eng_huffman *h, j_decompress_ptr cinfo)
{
    uint32_t column = h->column;
    h->column = column + 1 == cinfo->MCUs_per_row ? 0 : column + 1;
    return column >= cinfo->master->first_iMCU_col && column <= cinfo->master->last_iMCU_col;
}

boolean eng_huffman_mcu(struct eng_huffman *h, j_decompress_ptr cinfo, JBLOCKROW *blocks)
{
    if (cinfo->restart_interval && h->restarts_left == 0 && !restart(h, cinfo))
        return FALSE;
    struct eng_bits in = h->in;
    int bad = 0, wanted = is_wanted(h, cinfo) && blocks;
    for (int b = 0; b < cinfo->blocks_in_MCU && !bad; b++) {
        int ci = cinfo->MCU_membership[b];
        const jpeg_component_info *c = cinfo->cur_comp_info[ci];
        const struct eng_huffman_ac *ac = &h->tables->ac[c->ac_tbl_no];
        unsigned dc = (unsigned)take_dc(&h->tables->dc[c->dc_tbl_no], &in, &bad);
        h->last_dc[ci] = (int)((unsigned)h->last_dc[ci] + dc);
        int size = wanted ? wants(c) : 0;
        if (size > 1)
            bad |= take_ac(ac, &in, *blocks[b]) < 0;
        else
            bad |= take_ac(ac, &in, NULL) < 0;
        if (size > 0)
            (*blocks[b])[0] = (JCOEF)h->last_dc[ci];
    }
    h->in = in;
    h->restarts_left--;
    give_back(&in, cinfo);
    if (in.n < in.pad) {
        if (in.next == in.end)
            cinfo->src->fill_input_buffer(cinfo);
        tell(cinfo, JWRN_HIT_MARKER);
    } else if (bad) {
        tell(cinfo, JWRN_HUFF_BAD_CODE);
    }
    return TRUE;
}
