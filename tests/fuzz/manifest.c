/* model.json: whatever it holds, a manifest whose paths stay inside, or an error with a sentence.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/importers/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition)
{
    if (!condition)
        abort();
}

static void stays_inside(const char *path)
{
    must(path[0] != '\0' && path[0] != '/');
    must(strncmp(path, "../", 3) != 0 && strcmp(path, "..") != 0 && !strstr(path, "/../"));
    size_t len = strlen(path);
    must(len < 3 || strcmp(path + len - 3, "/..") != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[128] = "";
    struct eng_manifest m;
    int rc = eng_manifest_parse(&m, (const char *)data, size, err, sizeof(err));
    if (rc < 0) {
        must(err[0] != '\0');
        return 0;
    }
    must(m.n_files >= 0 && m.n_files <= ENG_MAX_PARTS && m.class_offset >= -1);
    for (int i = 0; i < m.n_files; i++)
        stays_inside(m.files[i]);
    if (m.labels)
        stays_inside(m.labels);
    eng_manifest_finish(&m);
    return 0;
}
