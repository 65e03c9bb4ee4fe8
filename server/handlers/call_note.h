/* What is written down of a call that is over: its log line, its place among the recent ones, and
 * that a limit bites. Loop thread. */
#ifndef SRV_CALL_NOTE_H
#define SRV_CALL_NOTE_H

#include <stdint.h>

struct srv_call;

void srv_call_note(struct srv_call *c, uint64_t total_ns);

#endif
