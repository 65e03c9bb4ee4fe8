/* What the reader and the writer of compressed files share. Internal to engine/press*.c. */
#ifndef ENG_PRESS_PARTS_H
#define ENG_PRESS_PARTS_H

#include "engine/press.h"

#define ENG_PRESS_MAGIC "MNPRESS1"

enum { ENG_PRESS_STORED, ENG_PRESS_BYTES, ENG_PRESS_PLANES, ENG_PRESS_WORDS };
enum { ENG_PRESS_BITS = 12, ENG_PRESS_BLOCK_HEAD = 9 };

#endif
