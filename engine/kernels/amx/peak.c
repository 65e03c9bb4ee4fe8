/* Peak of AMX: products of whole tiles, int8 by tdpbusd and bf16 by tdpbf16ps, 2 x 2 as kernels
 * have them, out of tiles alone. */
#include "engine/kernels/amx/config.h"
#include "engine/kernels/peak.h"

enum { PRODUCTS = 16 };

#define FOUR_PRODUCTS(op)                                                                          \
    op " %%tmm6, %%tmm4, %%tmm0\n\t" op " %%tmm7, %%tmm4, %%tmm1\n\t" op                           \
       " %%tmm6, %%tmm5, %%tmm2\n\t" op " %%tmm7, %%tmm5, %%tmm3\n\t"
#define RUN(op)                                                                                    \
    do {                                                                                           \
        struct tile_config c = {.palette = 1};                                                     \
        for (int t = 0; t < 8; t++) {                                                              \
            c.rows[t] = TILE_ROWS;                                                                 \
            c.row_bytes[t] = TILE_ROW;                                                             \
        }                                                                                          \
        __asm__ volatile("ldtilecfg %1\n"                                                          \
                         "1:\n\t" FOUR_PRODUCTS(op) FOUR_PRODUCTS(op) FOUR_PRODUCTS(op)            \
                             FOUR_PRODUCTS(op) "dec %0\n\t"                                        \
                                               "jnz 1b\n\t"                                        \
                                               "tilerelease"                                       \
                         : "+r"(iterations)                                                        \
                         : "m"(c)                                                                  \
                         : "cc");                                                                  \
    } while (0)

static void run_i8(uint64_t iterations)
{
    RUN("tdpbusd");
}

static void run_bf16(uint64_t iterations)
{
    RUN("tdpbf16ps");
}

/* Two operations a multiply-add, TILE_ROW bytes of inputs a sum. */
enum { SUMS = TILE_ROWS * TILE_ROW / 4 };

const struct eng_peak_kernel eng_peak_i8_amx = {"amx tdpbusd", ENG_CPU_AMXINT8,
                                                PRODUCTS *SUMS *TILE_ROW * 2, run_i8};
const struct eng_peak_kernel eng_peak_bf16_amx = {"amx tdpbf16ps", ENG_CPU_AMXBF16,
                                                  PRODUCTS *SUMS *TILE_ROW, run_bf16};
