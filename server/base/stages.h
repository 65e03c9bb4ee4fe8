/* What a request's time is told by. */
#ifndef SRV_STAGES_H
#define SRV_STAGES_H

/* Of images; the last one of whole requests, counted by whoever answers them. */
enum srv_stage { SRV_QUEUE, SRV_DECODE, SRV_PREPROCESS, SRV_INFERENCE, SRV_TOTAL, SRV_STAGES };

#endif
