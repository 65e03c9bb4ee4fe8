/* A small FlatBuffers reader for untrusted bytes.
 *
 * Nothing is trusted and nothing is copied: each access is checked against the length of the
 * buffer. A failed check sets `bad` (it stays set) and the access gives its default, so that a
 * caller may read a whole table and ask once; it must ask before it relies on what it read. Depth
 * is the caller's: the reader never follows more than one reference, so cycles cannot trap it.
 * Format: FlatBuffers "internals" page; all numbers are little-endian. Internal to engine/. */
#ifndef ENG_IMPORTERS_FLATBUFFER_H
#define ENG_IMPORTERS_FLATBUFFER_H

#include <stddef.h>
#include <stdint.h>

struct eng_fb {
    const uint8_t *bytes;
    size_t len;
    int bad;
};

/* A table: `at` is its position, `vtable` that of its vtable; at = 0 means absent (every field then
 * has its default), as no table stands at the root offset. */
struct eng_fb_table {
    size_t at, vtable;
    uint16_t vtable_len, table_len;
};

/* A vector: `at` is its first element; n = 0 when absent. */
struct eng_fb_vector {
    size_t at;
    uint32_t n;
};

void eng_fb_init(struct eng_fb *fb, const void *bytes, size_t len);
struct eng_fb_table eng_fb_root(struct eng_fb *fb);

/* Scalars of field `id`. */
int eng_fb_has(struct eng_fb *fb, const struct eng_fb_table *t, int id);
int32_t eng_fb_i32(struct eng_fb *fb, const struct eng_fb_table *t, int id, int32_t otherwise);
int8_t eng_fb_i8(struct eng_fb *fb, const struct eng_fb_table *t, int id, int8_t otherwise);
float eng_fb_f32(struct eng_fb *fb, const struct eng_fb_table *t, int id, float otherwise);

struct eng_fb_table eng_fb_table(struct eng_fb *fb, const struct eng_fb_table *t, int id);
/* size: bytes of one element, 1, 2, 4 or 8. The whole vector lies inside the buffer. */
struct eng_fb_vector eng_fb_vector(struct eng_fb *fb, const struct eng_fb_table *t, int id,
                                   size_t size);
int32_t eng_fb_vector_i32(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i);
int64_t eng_fb_vector_i64(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i);
float eng_fb_vector_f32(struct eng_fb *fb, const struct eng_fb_vector *v, uint32_t i);
struct eng_fb_table eng_fb_vector_table(struct eng_fb *fb, const struct eng_fb_vector *v,
                                        uint32_t i);
/* A string or byte vector in place; not terminated. "" when absent. */
const char *eng_fb_string(struct eng_fb *fb, const struct eng_fb_table *t, int id, size_t *ret_len);

#endif
