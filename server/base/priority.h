/* Who runs first where loop and workers together want more cores than there are. The loop is short
 * of work and everybody waits for it: each of its turns that has to wait for a worker's time slice
 * delays every connection. */
#ifndef SRV_PRIORITY_H
#define SRV_PRIORITY_H

/* Each for the calling thread. Best effort: where the kernel knows neither, nothing changes. */
void srv_priority_loop(void);   /* later threads do not inherit it */
void srv_priority_worker(void); /* below the loop, by niceness */

#endif
