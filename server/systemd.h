/* What a service manager of systemd's kind and its services tell each other: sd_notify(3), the
 * watchdog and sockets that were opened for us (sd_listen_fds(3)), without the library. Without the
 * manager's variables in the environment nothing of it happens. */
#ifndef SRV_SYSTEMD_H
#define SRV_SYSTEMD_H

#include <stddef.h>
#include <stdint.h>

#include "server/handlers/api.h"

struct srv_systemd {
    int notify_fd;        /* connected; -1: nobody listens */
    uint64_t watchdog_ms; /* to be heard of this often; 0: nobody waits for it */
    int fds[SRV_PORTS];   /* opened for us, ours from now on; -1: none */
};

/* Reads the environment; before the sandbox, which forbids new sockets. -EINVAL with a sentence if
 * what was handed over is not a listening stream socket. */
int srv_systemd_init(struct srv_systemd *sd, char *err, size_t errlen);
void srv_systemd_finish(struct srv_systemd *sd);

/* "READY=1", "STOPPING=1", "WATCHDOG=1". Best effort. */
void srv_systemd_notify(const struct srv_systemd *sd, const char *state);

#endif
