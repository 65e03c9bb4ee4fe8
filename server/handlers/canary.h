/* Is a canary right? Of the requests that a label answers, the share that its rule says is asked of
 * the standard version, too, when nobody waits for it any more; counted is how often the best class
 * differs. Loop thread. */
#ifndef SRV_COMPARE_H
#define SRV_COMPARE_H

struct srv_label;
struct srv_req;

/* The request goes to this label: is it one to compare? */
void srv_compare_choose(struct srv_req *r, struct srv_label *l);
/* Its jobs are back; the request is only read. */
void srv_compare_begin(struct srv_req *r);

#endif
