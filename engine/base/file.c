/* A whole file in memory. */
#include "engine/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/fail.h"

static int fail_errno(const char *path, int code, char *err, size_t errlen)
{
    return eng_fail(err, errlen, -code, "%.200s: %s", path, strerror(code));
}

static int read_all(int fd, char *to, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, to, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return -EIO;
        to += n;
        len -= (size_t)n;
    }
    return 0;
}

int eng_file_create(struct eng_file *ret, size_t len)
{
    void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    *ret = (struct eng_file){p, len};
    return 0;
}

static int read_open(struct eng_file *ret, int fd, const char *path, size_t max, char *err,
                     size_t errlen)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return fail_errno(path, errno, err, errlen);
    if (!S_ISREG(st.st_mode) || st.st_size == 0)
        return eng_fail(err, errlen, ENG_E_DATA, "%.200s: %s", path,
                        st.st_size == 0 ? "the file is empty" : "not a regular file");
    if ((uint64_t)st.st_size > max)
        return eng_fail(err, errlen, ENG_E_LIMIT, "%.200s: larger than %zu bytes", path, max);
    size_t len = (size_t)st.st_size;
    struct eng_file f;
    if (eng_file_create(&f, len) < 0)
        return fail_errno(path, ENOMEM, err, errlen);
    int rc = read_all(fd, f.bytes, len);
    if (rc < 0) {
        eng_file_finish(&f);
        return fail_errno(path, -rc, err, errlen);
    }
    *ret = f;
    return 0;
}

int eng_file_read(struct eng_file *ret, const char *path, size_t max, char *err, size_t errlen)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block */
    if (fd < 0)
        return fail_errno(path, errno, err, errlen);
    int rc = read_open(ret, fd, path, max, err, errlen);
    close(fd);
    return rc;
}

void eng_file_release(const struct eng_file *f, const void *at, size_t len)
{
    uintptr_t base = (uintptr_t)f->bytes, first = (uintptr_t)at, page = (uintptr_t)getpagesize();
    if (!f->bytes || first < base || first - base > f->len || len > f->len - (first - base))
        return;
    uintptr_t from = (first + page - 1) / page * page, to = (first + len) / page * page;
    if (from < to)
        madvise((char *)f->bytes + (from - base), to - from, MADV_DONTNEED);
}

void eng_file_finish(struct eng_file *f)
{
    if (f->bytes)
        munmap(f->bytes, f->len);
    f->bytes = NULL;
}
