/* The files of a folder, in memory: what the benchmarks of the image door work on. */
#ifndef SRV_PICTURE_BYTES_H
#define SRV_PICTURE_BYTES_H

#include <stddef.h>

struct srv_picture {
    char *name;
    void *bytes;
    size_t len;
};

struct srv_picture_bytes {
    struct srv_picture *list; /* by name */
    int n;
};

/* Hidden files, and what is no regular file, are passed over. On failure nothing is left behind. */
int srv_picture_bytes_read(struct srv_picture_bytes *ret, const char *dir, char *err,
                           size_t errlen);
void srv_picture_bytes_finish(struct srv_picture_bytes *p);
/* Takes one out; the order stays. */
void srv_picture_bytes_drop(struct srv_picture_bytes *p, int index);

#endif
