/* Bytes -> ONNX importer -> fold -> plan -> run: what the importer lets through must run. */
#include <stddef.h>
#include <stdint.h>

#include "engine/importers/import.h"
#include "tests/fuzz/run_graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[256];
    struct eng_graph *g;
    if (eng_import_onnx(&g, data, size, (struct eng_open_size){0}, err, sizeof(err)) < 0)
        return 0;
    run_graph(g);
    return 0;
}
