/* `health`: one GET of the readiness page, for container probes. Exit 0 when ready. */
#include "server/cmd.h"
#include "server/listen.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { TIMEOUT_MS = 3000 };

static int read_status(int fd, char *buf, size_t len)
{
    size_t n = 0;
    while (n + 1 < len && !memchr(buf, '\n', n)) {
        ssize_t k = recv(fd, buf + n, len - 1 - n, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
    }
    buf[n] = 0;
    int status = 0;
    return sscanf(buf, "HTTP/1.%*d %d", &status) == 1 ? status : -EPROTO;
}

int srv_cmd_health(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    static const char request[] =
        "GET /v2/health/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char buf[512];
    int fd;
    int rc = srv_connect(&fd, cfg->http, TIMEOUT_MS, err, errlen);
    if (rc < 0)
        return rc;
    rc = -EPROTO;
    if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1)
        rc = read_status(fd, buf, sizeof(buf));
    close(fd);
    if (rc < 0) {
        snprintf(err, errlen, "%s: no answer", cfg->http);
        return rc;
    }
    fprintf(out, "%s\n", rc == 200 ? "ready" : "not ready");
    return rc == 200 ? 0 : 1;
}
