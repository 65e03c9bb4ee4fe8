/* All of the daemon below its transport, in one process: configuration, log, a repository with one
 * tiny network, workers, loop. What a test asks comes through srv_call, as from any transport. */
#ifndef TESTS_HOUSE_H
#define TESTS_HOUSE_H

#include "server/handlers/api.h"
#include "server/handlers/call.h"

struct house {
    struct srv_env env;
    struct srv_scheduler sched;
    struct srv_api api;
    struct cfg *cfg;
    char dir[64];       /* the repository: one model, "tiny", of 3 classes */
    enum srv_port port; /* that visits come by */
    int pumped;         /* how often the scheduler said that answers are to leave */
};

/* flags: of `serve`, with blanks between them, or "". */
void house_open(struct house *h, const char *flags);
void house_close(struct house *h);
/* Turns the loop until *what is not 0. */
void house_wait(struct house *h, const int *what);

/* One exchange. */
struct visit {
    struct srv_call call;    /* first: ops get it */
    const char *headers[16]; /* name, value, …, NULL */
    int answered, grew;
};

/* The headers end with NULL. Begins, and opens with the body's length. */
void visit_open(struct house *h, struct visit *v, const char *method, const char *target,
                const char *const *headers, int64_t declared);
/* The whole exchange but its end: the body goes in by pieces, and the answer is waited for. */
void visit_ask(struct house *h, struct visit *v, const char *method, const char *target,
               const char *const *headers, const void *body, size_t len);
int visit_says(const struct visit *v, const char *part); /* is it in the body of the reply? */
/* Of a header of the reply; NULL: it has none. */
const char *visit_header(const struct visit *v, const char *name);

/* One grey pixel. */
extern const unsigned char house_png[67];

#endif
