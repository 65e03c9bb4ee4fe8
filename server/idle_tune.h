/* Tunes the plans of loaded models while nobody wants anything: a thread of its own, that measures
 * a few runs at a time and only when every worker is idle. What it finds is kept in a file, if
 * option tune_cache names one: a line each, IDENTITY ISA WORKERS TUNING, the last of equals
 * counts. The file is opened before the sandbox closes, and only ever appended to. */
#ifndef SRV_IDLE_TUNE_H
#define SRV_IDLE_TUNE_H

#include <pthread.h>
#include <stddef.h>

struct srv;
struct srv_model;

enum { SRV_TUNE_FILE_MAX = 1 << 20 }; /* bytes; a longer file is not read, and not made */

struct srv_tune_order;

struct srv_tune {
    int fd;      /* the file, for appending; -1: none */
    char *known; /* its text at the start, or NULL */
    size_t written;
    pthread_t thread;
    int runs; /* the thread */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    int stop;
    struct srv_tune_order *orders, **tail; /* guarded by the lock */
};

/* Opens and reads the file. -errno with a sentence: it cannot be used. */
int srv_tune_open(struct srv *s, char *err, size_t errlen);
/* Loop thread, after the pool has started: models of the registry that are new to it get their
 * turn. Does nothing with option tune off. */
void srv_tune_models(struct srv *s);
/* Stops the thread, in the middle of a slice at most; forgets the rest. Before the pool goes. */
void srv_tune_finish(struct srv *s);

#endif
