/* The log: lines of text or of JSON to standard error.
 *
 * Callers only format and copy: a thread of the log's own writes, so that a full pipe never stops
 * the loop. Lines that do not fit into the buffer are dropped and counted. Any thread may log. */
#ifndef SRV_LOG_H
#define SRV_LOG_H

#include <stddef.h>
#include <stdint.h>

struct srv_log;

enum srv_log_level { SRV_DEBUG, SRV_INFO, SRV_WARNING, SRV_ERROR };

int srv_log_create(struct srv_log **ret, int fd);
/* Writes what is left, unless nobody takes it within a second: then it is lost. */
void srv_log_destroy(struct srv_log *l);
/* level: "debug".."error"; format: "text" or "json" (as the option table has them). */
void srv_log_configure(struct srv_log *l, const char *level, const char *format);
uint64_t srv_log_dropped(struct srv_log *l);

void srv_log(struct srv_log *l, enum srv_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* One answered request. Strings may be NULL; times in nanoseconds. */
struct srv_log_request {
    const char *id, *trace, *client, *key, *method, *path, *error;
    const char *reason; /* of what got nothing; else NULL */
    int status;
    size_t bytes;                /* of the body */
    const char *model, *variant; /* NULL: no inference was asked for, the rest is not logged */
    int images, batch;
    uint64_t queue_ns, decode_ns, preprocess_ns, inference_ns, total_ns;
};
void srv_log_request(struct srv_log *l, const struct srv_log_request *r);

#endif
