/* Compressed files made: the other half of engine/importers/compressed.h. Internal to engine/. */
#ifndef ENG_OPTIMIZE_COMPRESSED_WRITE_H
#define ENG_OPTIMIZE_COMPRESSED_WRITE_H

#include <stddef.h>

struct eng_graph;
struct eng_model;
struct eng_compress_sizes;

/* free() *ret; -ENOMEM. len > 0. */
int eng_compressed_pack(void **ret, size_t *ret_len, const void *bytes, size_t len);

/* A changed network of a float model as one compressed ONNX file, with a manifest like the one in
 * `from` and labels; `source` says where it came from. Errors as eng_compress_folder(). */
int eng_compress_network(struct eng_compress_sizes *ret, const char *from, const char *to,
                         const struct eng_model *like, const struct eng_graph *g,
                         const char *source, char *err, size_t errlen);

#endif
