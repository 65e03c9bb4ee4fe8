/* Compressed model files: Huffman codes over the bytes, over the four byte planes of floats, or
 * over a dictionary of words (weights of a codebook). Expanded once, when the model is loaded.
 *
 * File, little endian: "MNPRESS1"; u64 length of the original; its sha256 (32 bytes); blocks up to
 * the end. A block: u8 kind, u32 bytes that it becomes (1 .. ENG_COMPRESSED_BLOCK), u32 bytes of
 * payload. 0  stored: the bytes 1  one table, codes 2  four tables, codes: byte i by table i % 4 3
 * u8 n-1, n words of 4 bytes, a table of n symbols, codes of words A table has the length of each
 * symbol's code in 4 bits, low half first, 0: it does not occur; at most 12 bits, a complete code
 * (or one symbol, with the code 0); canonical: shorter codes first, then by symbol. Codes begin at
 * the highest bit of a byte; the last byte is filled with zeroes. Internal to engine/. */
#ifndef ENG_IMPORTERS_COMPRESSED_H
#define ENG_IMPORTERS_COMPRESSED_H

#include "engine/base/file.h"

#define ENG_COMPRESSED_SUFFIX ".press"
enum { ENG_COMPRESSED_BLOCK = 1 << 17, ENG_COMPRESSED_HEAD = 48 };

int eng_compressed_is(const void *bytes, size_t len);
/* Bytes of the original, checked against `max` (ENG_E_LIMIT) and against what so short a file can
 * hold (ENG_E_DATA): the room for it may be allocated. */
int eng_compressed_length(size_t *ret, const void *bytes, size_t len, size_t max, char *err,
                          size_t errlen);
/* Exactly `n` bytes, as _length() says; ENG_E_DATA if the file is damaged, or the sum differs. `to`
 * may be written to even then. */
int eng_compressed_expand(void *to, size_t n, const void *bytes, size_t len, char *err,
                          size_t errlen);

/* A file of a folder that may be compressed; `max` bounds it before and after. One that was loses
 * the suffix of its name: so others call it. Errors as eng_file_read() and above. */
int eng_compressed_read(struct eng_file *ret, const char *dir, char *name, size_t max, char *err,
                        size_t errlen);

#endif
