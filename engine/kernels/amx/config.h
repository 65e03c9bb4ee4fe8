/* What LDTILECFG reads: palette 1 has eight tiles of at most 1 KB. */
#ifndef ENG_KERNELS_AMX_CONFIG_H
#define ENG_KERNELS_AMX_CONFIG_H

#include <stdint.h>

enum { TILE_ROWS = 16, TILE_ROW = 64, TILE_BYTES = TILE_ROWS * TILE_ROW };

struct tile_config {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
};

#endif
