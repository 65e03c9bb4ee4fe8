/* A file in a folder of the test's own. */
#ifndef TESTS_PUT_FILE_H
#define TESTS_PUT_FILE_H

#include <stdio.h>

static inline void put_file(const char *dir, const char *name, const void *bytes, size_t len)
{
    char path[256];
    assert_true(snprintf(path, sizeof(path), "%s/%s", dir, name) < (int)sizeof(path));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

#endif
