/* Buckets of addresses that are connected now; one goes with its last connection. */
#include "server/transport/slots.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/base/clock.h"
#include "server/base/siphash.h"

#define SAY_EVERY_NS (60ull * 1000 * SRV_NS_PER_MS)

static const char *const sentences[SRV_SLOT_LIMITS] = {
    [SRV_SLOT_ADDRESS] = "a connection was closed: its address has as many as one may have "
                         "(max_connections_per_address)",
    [SRV_SLOT_SILENT] = "all connections are taken (max_connections): the oldest that had sent no "
                        "request was closed for a new one",
    [SRV_SLOT_IDLE] = "all connections are taken (max_connections): the one that had asked nothing "
                      "for longest was closed for a new one",
    [SRV_SLOT_RESERVE] = "all connections are taken (max_connections) and at work: one was let "
                         "in that is answered about health alone, else 503",
    [SRV_SLOT_FULL] = "all connections are taken (max_connections) and at work, and so is the "
                      "reserve for health probes: others wait or are closed",
};

int srv_slots_init(struct srv_slots *s, const struct srv_env *env, struct srv_sockets *sockets,
                   int limit)
{
    uint32_t n = 64;
    while (n < (uint32_t)limit)
        n *= 2;
    *s = (struct srv_slots){.env = env, .sockets = sockets, .limit = limit, .mask = n - 1};
    if (getrandom(s->key, sizeof(s->key), 0) != sizeof(s->key))
        return -errno;
    s->buckets = calloc(n, sizeof(struct srv_slot_address *));
    return s->buckets ? 0 : -ENOMEM;
}

void srv_slots_finish(struct srv_slots *s)
{
    for (uint32_t i = 0; s->buckets && i <= s->mask; i++)
        for (struct srv_slot_address *a = s->buckets[i], *next; a; a = next) {
            next = a->next;
            free(a);
        }
    free(s->buckets);
    s->buckets = NULL;
}

/* IPv4 in IPv6's form (RFC 4291 2.5.5.2), so that a socket of both families counts as one of one
 * does. 0: it has no address. */
static int address_of(const struct sockaddr *from, unsigned char ret[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    memset(ret, 0, 16);
    if (from->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, from, sizeof(in));
        memcpy(ret, mapped, sizeof(mapped));
        memcpy(ret + 12, &in.sin_addr, 4);
        return 1;
    }
    if (from->sa_family != AF_INET6)
        return 0;
    struct sockaddr_in6 in6;
    memcpy(&in6, from, sizeof(in6));
    size_t n = memcmp(&in6.sin6_addr, mapped, sizeof(mapped)) == 0 ? 16 : 8;
    memcpy(ret, &in6.sin6_addr, n);
    return 1;
}

static struct srv_slot_address **find(struct srv_slots *s, const unsigned char address[16])
{
    struct srv_slot_address **at =
        &s->buckets[srv_siphash(s->key, address, 16).a & (uint64_t)s->mask];
    while (*at && memcmp((*at)->address, address, 16) != 0)
        at = &(*at)->next;
    return at;
}

int srv_slots_enter(struct srv_slots *s, const struct sockaddr *from, struct srv_slot_address **ret)
{
    unsigned char address[16];
    *ret = NULL;
    if (!address_of(from, address))
        return 0;
    struct srv_slot_address **at = find(s, address);
    int64_t most = s->env->cfg->max_connections_per_address;
    if (*at && most > 0 && (*at)->n >= most) {
        srv_slots_bite(s, SRV_SLOT_ADDRESS);
        return -EUSERS;
    }
    if (!*at) {
        *at = calloc(1, sizeof(**at));
        if (!*at)
            return -ENOMEM;
        memcpy((*at)->address, address, 16);
    }
    (*at)->n++;
    *ret = *at;
    return 0;
}

void srv_slots_leave(struct srv_slots *s, struct srv_slot_address *place)
{
    if (!place || --place->n > 0)
        return;
    struct srv_slot_address **at = find(s, place->address);
    *at = place->next;
    free(place);
}

void srv_slots_bite(struct srv_slots *s, enum srv_slot_limit limit)
{
    uint64_t now = srv_now_ns(), *said = &s->sockets->said_ns[limit];
    s->sockets->bitten[limit]++;
    if (*said && now - *said < SAY_EVERY_NS)
        return;
    *said = now;
    srv_log(s->env->log, SRV_WARNING, "%s, %d of %d open: %s (%llu so far)", s->sockets->port,
            s->sockets->open, s->limit, sentences[limit],
            (unsigned long long)s->sockets->bitten[limit]);
}
