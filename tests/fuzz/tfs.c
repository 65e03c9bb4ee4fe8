/* Requests of TensorFlow Serving: every instance lies in the body, in order. */
#include "protocol/tfs.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proto_instance items[8];
    struct proto_tfs_request r;
    const char *text = (const char *)data, *last = text;
    char err[128] = "";
    if (proto_tfs_parse(&r, data, size, items, 8, err, sizeof(err)) < 0) {
        require(err[0] != 0);
        return 0;
    }
    require(r.n > 0 && r.n <= 8);
    for (int i = 0; i < r.n; i++) {
        require(items[i].text.s > last && items[i].text.s + items[i].text.len <= text + size);
        last = items[i].text.s + items[i].text.len;
    }
    return 0;
}
