/* Is a canary right? Of the requests that a label answers, the share that its rule says is asked of
 * the standard version, too, when nobody waits for it any more; counted is how often the best class
 * differs. Loop thread. */
#ifndef SRV_CANARY_H
#define SRV_CANARY_H

struct srv_api;
struct srv_choice;
struct srv_req;

/* The request goes to what is meant, or to a label that has a share in it, and may be one to
 * compare. */
void srv_canary_choose(struct srv_req *r, struct srv_choice *c);
/* Its jobs are back: begins the comparison if it is one to compare; the request is only read. */
void srv_canary_compare(struct srv_api *api, struct srv_req *r);

#endif
