/* The quantised model as a version folder: ONNX file, manifest, labels. Each file is written whole;
 * the caller made the folder and makes it visible. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/optimize/folder.h"
#include "engine/optimize/quantize_parts.h"

int eng_quantizer_save(const struct eng_quantizer *q, const char *dir, const char *source,
                       char *err, size_t errlen)
{
    const struct eng_model *m = eng_quantizer_model(q);
    struct eng_preprocess p = eng_model_info(m)->preprocess;
    void *bytes;
    size_t len;
    int rc = eng_onnx_write(&bytes, &len, eng_quantizer_graph(q), err, errlen);
    if (rc < 0)
        return rc;
    rc = eng_folder_write(dir, "model.onnx", bytes, len, err, errlen);
    free(bytes);
    for (int c = 0; c < 3 && eng_quantizer_shift(q) != 0; c++)
        p.mean[c] -= eng_quantizer_shift(q) / p.scale[c];
    struct eng_folder_manifest f = {.format = "onnx",
                                    .file = "model.onnx",
                                    .source = source,
                                    .class_offset = eng_model_info(m)->class_offset,
                                    .preprocess = &p,
                                    .like = eng_model_info(m)};
    if (rc == 0)
        rc = eng_folder_manifest(dir, &f, err, errlen);
    return rc < 0 ? rc : eng_folder_labels(dir, m, err, errlen);
}
