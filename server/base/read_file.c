/* Blocks: not for the loop. */
#include "server/base/read_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static long read_all(int fd, unsigned char *to, size_t len)
{
    size_t n = 0;
    while (n < len) {
        ssize_t k = read(fd, to + n, len - n);
        if (k < 0 && errno != EINTR)
            return -errno;
        if (k == 0)
            break;
        n += k > 0 ? (size_t)k : 0;
    }
    return (long)n;
}

int srv_read_file(void **ret, size_t *ret_len, const char *path, size_t max, char *err,
                  size_t errlen)
{
    struct stat st = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us up */
    long rc = fd < 0 || fstat(fd, &st) < 0 ? -errno : 0;
    void *bytes = NULL;
    if (rc == 0 && !S_ISREG(st.st_mode))
        rc = -EINVAL;
    else if (rc == 0 && (size_t)st.st_size > max)
        rc = -EFBIG;
    if (rc == 0 && !(bytes = malloc((size_t)st.st_size + 1)))
        rc = -ENOMEM;
    if (rc == 0)
        rc = read_all(fd, bytes, (size_t)st.st_size);
    if (fd >= 0)
        close(fd);
    if (rc < 0) {
        free(bytes);
        if (rc == -EFBIG)
            snprintf(err, errlen, "larger than %zu bytes", max);
        else
            snprintf(err, errlen, "%s", rc == -EINVAL ? "not a regular file" : strerror((int)-rc));
        return (int)rc;
    }
    *ret = bytes;
    *ret_len = (size_t)rc;
    return 0;
}
