/* Bytes -> TF.js importer -> fold -> plan -> run. The input is a model.json, a NUL, and one shard
 * that the manifest may call "w". */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "engine/importers/import.h"
#include "tests/fuzz/run_graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[256];
    struct eng_graph *g;
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t text = nul ? (size_t)(nul - data) : size;
    struct eng_part parts[2] = {{"m", data, text}, {"w", nul ? nul + 1 : data, 0}};
    if (nul)
        parts[1].len = size - text - 1;
    if (eng_import_tfjs(&g, parts, 2, (struct eng_open_size){0}, err, sizeof(err)) < 0)
        return 0;
    run_graph(g);
    return 0;
}
