/* Who may have a connection of a port: so many in all, so many of one address, and a few more when
 * all are taken, whose only use is to ask for the state of health. Counts how often each limit bit,
 * and tells the log. Loop thread only. */
#ifndef SRV_SLOTS_H
#define SRV_SLOTS_H

#include <stdint.h>
#include <sys/socket.h>

#include "server/handlers/api.h"

/* Connections beyond the limit that a port takes: probes are brief, and seldom more than a few. */
enum { SRV_SLOTS_RESERVE = 8 };

/* An address that has connections: of IPv6 its network, the first 64 bits, since who has one
 * address there has all of them (RFC 6177, RFC 7421). */
struct srv_slot_address {
    struct srv_slot_address *next;
    unsigned char address[16];
    int n;
};

struct srv_slots {
    const struct srv_env *env;
    struct srv_sockets *sockets;
    int limit;
    uint64_t key[2]; /* of the hash: nobody can choose addresses that share a bucket */
    struct srv_slot_address **buckets;
    uint32_t mask;
};

/* sockets: where it is counted. limit: connections of the port. -ENOMEM, or what getrandom() said.
 */
int srv_slots_init(struct srv_slots *s, const struct srv_env *env, struct srv_sockets *sockets,
                   int limit);
void srv_slots_finish(struct srv_slots *s); /* zeroed is fine */

/* One more connection of this address. *ret: its place; NULL for a local socket, which has none.
 * -EUSERS: the address has as many as it may (max_connections_per_address); -ENOMEM. */
int srv_slots_enter(struct srv_slots *s, const struct sockaddr *from,
                    struct srv_slot_address **ret);
void srv_slots_leave(struct srv_slots *s, struct srv_slot_address *place); /* NULL is fine */

/* A limit has kept a connection out, or has ended one. */
void srv_slots_bite(struct srv_slots *s, enum srv_slot_limit limit);

#endif
