/* Numbers of a FlexBuffers map, of untrusted bytes: what TFLite's custom operators keep their
 * options in.
 *
 * Format: FlexBuffers "internals" page (google.github.io/flatbuffers/flatbuffers_internals.html).
 * Nothing is trusted and nothing is copied. Keys are looked for one by one, in any order. Internal
 * to engine/. */
#ifndef ENG_IMPORTERS_FLEXBUFFER_H
#define ENG_IMPORTERS_FLEXBUFFER_H

#include <stddef.h>
#include <stdint.h>

/* The number of a key: 1 and *ret; 0: the map has no such key. ENG_E_DATA: the bytes are no map, or
 * the value is no number. Integers, floats of any width and bools are numbers. */
int eng_flex_number(const uint8_t *bytes, size_t len, const char *key, double *ret);

#endif
