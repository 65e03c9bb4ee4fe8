/* Bytes as a compressed file: an error with a sentence, or what gives the same when it is
 * compressed and expanded again. And as something to compress. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/importers/compressed.h"
#include "engine/optimize/compressed_write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX = 1 << 20 };

static void must(int condition)
{
    if (!condition)
        abort();
}

static void there_and_back(const uint8_t *bytes, size_t n)
{
    char err[128];
    void *packed;
    size_t len, again;
    must(eng_compressed_pack(&packed, &len, bytes, n) == 0);
    uint8_t *back = malloc(n);
    must(back != NULL);
    must(eng_compressed_length(&again, packed, len, n, err, sizeof(err)) == 0 && again == n);
    must(eng_compressed_expand(back, n, packed, len, err, sizeof(err)) == 0);
    must(memcmp(back, bytes, n) == 0);
    free(packed);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[128] = "";
    size_t n;
    if (size > 0 && !eng_compressed_is(data, size))
        there_and_back(data, size);
    int rc = eng_compressed_length(&n, data, size, MAX, err, sizeof(err));
    if (rc == 0) {
        must(n > 0 && n <= MAX);
        uint8_t *to = malloc(n);
        must(to != NULL);
        rc = eng_compressed_expand(to, n, data, size, err, sizeof(err));
        if (rc == 0)
            there_and_back(to, n);
        free(to);
    }
    must(rc == 0 || err[0] != '\0');
    return 0;
}
