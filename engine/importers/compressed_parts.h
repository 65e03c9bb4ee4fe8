/* The format that the reader and the writer of compressed files share. Internal to engine/. */
#ifndef ENG_IMPORTERS_COMPRESSED_PARTS_H
#define ENG_IMPORTERS_COMPRESSED_PARTS_H

#include "engine/importers/compressed.h"

#define ENG_COMPRESSED_MAGIC "MNPRESS1"

enum { ENG_COMPRESSED_STORED, ENG_COMPRESSED_BYTES, ENG_COMPRESSED_PLANES, ENG_COMPRESSED_WORDS };
enum { ENG_COMPRESSED_BITS = 12, ENG_COMPRESSED_BLOCK_HEAD = 9 };

#endif
