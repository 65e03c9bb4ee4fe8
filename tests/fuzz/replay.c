/*
 * Replays a fuzz corpus without a fuzzer: every file as it is, cut short at many lengths, and with
 * bytes damaged by a fixed generator. Prints TAP, one line a file. Each input is copied to the end
 * of its own heap block, so that a sanitizer sees the first byte read past it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_CUTS = 512, DAMAGED = 256, MAX_SIZE = 1 << 20 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy) {
        printf("Bail out! out of memory\n");
        exit(1);
    }
    memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static void feed_variants(uint8_t *data, size_t size)
{
    uint64_t seed = 0x9e3779b97f4a7c15u ^ size;
    size_t step = size / MAX_CUTS + 1;

    feed(data, size);
    for (size_t n = 0; n < size; n += step)
        feed(data, n);
    for (int i = 0; i < DAMAGED && size; i++) {
        uint8_t saved[4];
        size_t at = next_random(&seed) % size;
        size_t len = size - at < sizeof(saved) ? size - at : sizeof(saved);

        len = 1 + next_random(&seed) % len;
        memcpy(saved, data + at, len);
        for (size_t k = 0; k < len; k++)
            data[at + k] = i % 4 == 0 ? 0xff : i % 4 == 1 ? 0 : (uint8_t)next_random(&seed);
        feed(data, size);
        memcpy(data + at, saved, len);
    }
}

static int replay_file(const char *dir, const char *name)
{
    char path[4096];
    uint8_t *data;
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "rb");
    if (!f)
        return -errno;
    data = malloc(MAX_SIZE);
    if (!data) {
        fclose(f);
        return -ENOMEM;
    }
    n = fread(data, 1, MAX_SIZE, f);
    fclose(f);
    feed_variants(data, n);
    free(data);
    return 0;
}

static int visible(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **files = NULL;
    int failed = 0, n;

    n = argc == 2 ? scandir(argv[1], &files, visible, alphasort) : -1;
    if (n < 1) {
        printf("Bail out! no corpus at %s\n", argc > 1 ? argv[1] : "(no folder given)");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("1..%d\n", n);
    for (int i = 0; i < n; i++) {
        int r = replay_file(argv[1], files[i]->d_name);

        printf("%sok %d - %s\n", r < 0 ? "not " : "", i + 1, files[i]->d_name);
        failed |= r < 0;
        free(files[i]);
    }
    free(files);
    return failed;
}
