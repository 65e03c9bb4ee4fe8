/* What a client may cost us on one HTTP/2 connection: an account of frames that bring no work, and
 * of bytes that take more of the loop than they weigh. Work earns, and time. No I/O, no clock. */
#ifndef PROTO_HTTP2_CALM_H
#define PROTO_HTTP2_CALM_H

#include <stddef.h>
#include <stdint.h>

enum { PROTO_H2_CALM_MAX = 10000 }; /* frames without work in a burst */

struct proto_h2_calm {
    long left;             /* frames without work that are still taken */
    long faults;           /* streams that may still be faulty */
    size_t data_bytes;     /* since the last that was earned by DATA */
    unsigned thin;         /* DATA frames of a few bytes */
    size_t list_bytes;     /* of the header list that comes, counted as RFC 9113 6.5.2 does */
    size_t owed;           /* bytes of lists that are not charged yet */
    uint64_t charged_wire; /* bytes of header blocks that are */
};

void proto_h2_calm_init(struct proto_h2_calm *c);
/* Once a second: the allowance grows again. */
void proto_h2_calm_tick(struct proto_h2_calm *c);
void proto_h2_calm_request(struct proto_h2_calm *c);
void proto_h2_calm_data(struct proto_h2_calm *c, size_t len); /* bytes of bodies */
void proto_h2_calm_begin_list(struct proto_h2_calm *c);

/* The others: 1: the allowance is used up, and the connection should end; 0: go on. */

/* A frame that brought no work. */
int proto_h2_calm_charge(struct proto_h2_calm *c);
/* A stream that we reset costs its client nothing, and us as much as one that it resets. */
int proto_h2_calm_fault(struct proto_h2_calm *c);
/* A DATA frame that ends nothing, by its bytes without padding. */
int proto_h2_calm_data_frame(struct proto_h2_calm *c, size_t len);
/* A decoded field: one byte of a block may name a whole entry of the table. */
int proto_h2_calm_field(struct proto_h2_calm *c, size_t len);
/* Bytes of all blocks so far. Blocks are decoded whether or not their stream is refused: the table
 * of the connection goes on. */
int proto_h2_calm_blocks(struct proto_h2_calm *c, uint64_t wire);

#endif
