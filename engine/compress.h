/* A version folder with its model files compressed (Huffman codes), which loads to the same graph
 * with the same digest, or with its float weights from a small codebook a layer first. */
#ifndef ENG_COMPRESS_H
#define ENG_COMPRESS_H

#include "engine/model.h"

/* `codebook` 0: the files as they are, compressed. 1 .. 256: the values that the weights of a layer
 * may have, chosen by k-means; the model becomes one ONNX file, batch norms folded, compressed;
 * float models alone (-EINVAL). `to` exists. Each size: bytes of the model files. Errors: as
 * eng_model_load(), -ENOMEM, ENG_E_UNSUPPORTED. */
struct eng_compress_sizes {
    uint64_t before, after;
};
int eng_compress_folder(struct eng_compress_sizes *ret, const char *from, const char *to,
                        int codebook, char *err, size_t errlen);

#endif
