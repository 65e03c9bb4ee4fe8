/* SHA-256 (FIPS 180-4), for digests of model files. Internal to engine/. */
#ifndef ENG_BASE_SHA256_H
#define ENG_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

struct eng_sha256 {
    uint32_t state[8];
    uint64_t bytes;
    uint8_t block[64];
};

void eng_sha256_init(struct eng_sha256 *s);
void eng_sha256_add(struct eng_sha256 *s, const void *bytes, size_t len);
void eng_sha256_hex(struct eng_sha256 *s, char ret[65]); /* ends the sum */

/* sha256_ni.c: `blocks` of 64 bytes into the state; k are the 64 constants. Wants ENG_CPU_SHA. */
void eng_sha256_blocks_ni(uint32_t state[8], const uint8_t *p, size_t blocks, const uint32_t *k);

#endif
