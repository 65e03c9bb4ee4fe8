/* One number that work and time raise and everything else lowers. */
#include "protocol/http2_calm.h"

enum {
    A_TICK = 1000,       /* given back every second */
    A_REQUEST = 8,       /* a request pays for the window updates that its answer needs */
    DATA_A_CALM = 4096,  /* and so does every so much of its body */
    THIN_DATA = 64,      /* DATA frames of less cost a part of one without work */
    THIN_A_CALM = 16,    /* so many of them count as one */
    WIRE_A_CALM = 1024,  /* so many bytes of header blocks do */
    LIST_A_CALM = 4096,  /* and so many that they decode to */
    FIELD_OVERHEAD = 32, /* RFC 9113 6.5.2 */
    FAULTS_BURST = 1000, /* streams that we had to reset for a fault of the client */
    FAULTS_A_TICK = 100,
};

void proto_h2_calm_init(struct proto_h2_calm *c)
{
    *c = (struct proto_h2_calm){.left = PROTO_H2_CALM_MAX, .faults = FAULTS_BURST};
}

static void earn(struct proto_h2_calm *c, long n)
{
    c->left = c->left + n > PROTO_H2_CALM_MAX ? PROTO_H2_CALM_MAX : c->left + n;
}

void proto_h2_calm_tick(struct proto_h2_calm *c)
{
    earn(c, A_TICK);
    c->faults = c->faults + FAULTS_A_TICK > FAULTS_BURST ? FAULTS_BURST : c->faults + FAULTS_A_TICK;
}

void proto_h2_calm_request(struct proto_h2_calm *c)
{
    earn(c, A_REQUEST);
}

void proto_h2_calm_data(struct proto_h2_calm *c, size_t len)
{
    c->data_bytes += len;
    if (c->data_bytes < DATA_A_CALM)
        return;
    earn(c, (long)(c->data_bytes / DATA_A_CALM));
    c->data_bytes %= DATA_A_CALM;
}

void proto_h2_calm_begin_list(struct proto_h2_calm *c)
{
    c->list_bytes = 0;
}

static int take(struct proto_h2_calm *c, long n)
{
    c->left -= n;
    if (c->left >= 0)
        return 0;
    c->left = 0;
    return 1;
}

int proto_h2_calm_charge(struct proto_h2_calm *c)
{
    return take(c, 1);
}

int proto_h2_calm_fault(struct proto_h2_calm *c)
{
    if (c->faults-- > 0)
        return 0;
    c->faults = 0;
    return 1;
}

int proto_h2_calm_data_frame(struct proto_h2_calm *c, size_t len)
{
    if (len >= THIN_DATA || (len > 0 && c->thin++ % THIN_A_CALM != 0))
        return 0;
    return take(c, 1);
}

int proto_h2_calm_field(struct proto_h2_calm *c, size_t len)
{
    c->list_bytes += len + FIELD_OVERHEAD;
    c->owed += len + FIELD_OVERHEAD;
    long n = (long)(c->owed / LIST_A_CALM);
    c->owed %= LIST_A_CALM;
    return take(c, n);
}

int proto_h2_calm_blocks(struct proto_h2_calm *c, uint64_t wire)
{
    uint64_t n = (wire - c->charged_wire) / WIRE_A_CALM;
    c->charged_wire += n * WIRE_A_CALM;
    return take(c, (long)n);
}
