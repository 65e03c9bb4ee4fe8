/* A whole file in memory. Internal to engine/. */
#ifndef ENG_BASE_FILE_H
#define ENG_BASE_FILE_H

#include "engine/engine.h"

/* Read once into private pages and not mapped: what was checked cannot change afterwards, and a
 * file that shrinks under a running daemon is no SIGBUS. The pages go back to the system at once
 * when the file is closed. */
struct eng_file {
    void *bytes; /* 64-aligned, zeroes up to the end of the last page; NULL: none */
    size_t len;
};

/* -ENOENT and other errno, ENG_E_LIMIT over max bytes, ENG_E_DATA if it is no regular file or
 * empty; the sentence names the path. */
int eng_file_read(struct eng_file *ret, const char *path, size_t max, char *err, size_t errlen);
/* Pages of zeroes, len > 0; -ENOMEM. */
int eng_file_create(struct eng_file *ret, size_t len);
/* Gives the pages that lie wholly inside `len` bytes at `at` back to the system; they read as
 * zeroes from then on. Nothing happens if `at` is not in the file. */
void eng_file_release(const struct eng_file *f, const void *at, size_t len);
void eng_file_finish(struct eng_file *f);

#endif
