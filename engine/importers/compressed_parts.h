/* What the reader and the writer of compressed files share. Internal to engine/press*.c. */
#ifndef ENG_PRESS_PARTS_H
#define ENG_PRESS_PARTS_H

#include "engine/importers/compressed.h"

struct eng_graph;
struct eng_model;
struct eng_press_sizes;

/* A changed network of a float model as one compressed ONNX file, with a manifest like the one in
 * `from` and labels; `source` says where it came from. Errors as eng_press_folder(). */
int eng_press_network(struct eng_press_sizes *ret, const char *from, const char *to,
                      const struct eng_model *like, const struct eng_graph *g, const char *source,
                      char *err, size_t errlen);

#define ENG_PRESS_MAGIC "MNPRESS1"

enum { ENG_PRESS_STORED, ENG_PRESS_BYTES, ENG_PRESS_PLANES, ENG_PRESS_WORDS };
enum { ENG_PRESS_BITS = 12, ENG_PRESS_BLOCK_HEAD = 9 };

#endif
