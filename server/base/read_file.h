/* A whole file into memory. */
#ifndef SRV_READ_FILE_H
#define SRV_READ_FILE_H

#include <stddef.h>

/* malloc'ed. Regular files of at most `max` bytes alone (-EINVAL, -EFBIG); or an errno, with a
 * sentence that does not name the file. */
int srv_read_file(void **ret, size_t *ret_len, const char *path, size_t max, char *err,
                  size_t errlen);

#endif
