/* Feeds the control laws of all families and puts what they decide into force. Loop thread. */
#ifndef SRV_BROWNOUT_H
#define SRV_BROWNOUT_H

struct srv;
struct srv_job;
struct srv_registry;
struct srv_req;

void srv_brownout_init(struct srv *s);
/* `images` of a family ask to be served, whether they will be or not. */
void srv_brownout_arrive(struct srv_req *r, int images);
/* What this job will cost, before it is queued: one of a family is priced for every variant. */
void srv_brownout_price(struct srv_job *j);
/* A request of a family has its answer. */
void srv_brownout_answered(struct srv_req *r);
/* The registry is about to take the place of the present one. */
void srv_brownout_inherit(struct srv *s, struct srv_registry *next);

#endif
