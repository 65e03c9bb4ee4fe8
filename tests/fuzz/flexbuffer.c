/* Options of a custom operator, of any bytes: no number, or one. */
#include "engine/importers/flexbuffer.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const keys[] = {"a", "bb", "", "use_regular_nms"};
    uint8_t *own = malloc(size + 1); /* of its very length, so that a byte too far is seen */
    if (!own)
        return 0;
    memcpy(own, data, size);
    own = realloc(own, size ? size : 1);
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        double v = 0;
        int rc = eng_flex_number(own, size, keys[i], &v);
        if (rc != 0 && rc != 1 && rc != ENG_E_DATA)
            abort();
    }
    free(own);
    return 0;
}
