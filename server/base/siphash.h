/* SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, 2012; the 128-bit form is that of
 * their reference code): a keyed hash whose collisions nobody can look for without the key. */
#ifndef SRV_SIPHASH_H
#define SRV_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct srv_hash {
    uint64_t a, b; /* the output's first and last eight bytes, little endian */
};

struct srv_hash srv_siphash(const uint64_t key[2], const void *data, size_t len);

#endif
