/* Arrays of numbers in JSON, straight into tensors and back: the bulk of an inference request,
 * which a general JSON library would turn into two million bytes of nodes. Untrusted bytes, no
 * copies.
 *
 * Numbers follow RFC 8259, and NaN, Infinity, -Infinity, which Python clients write, are taken as
 * well. Floats are correctly rounded to binary32 (nearest, ties to even; too large is infinite).
 * Method: Clinger 1990 and Lemire 2021 ("Number parsing at a gigabyte per second"), with a 64-bit
 * power of ten and strtof() where its error bound leaves the rounding open. */
#ifndef PROTO_JSON_TENSOR_H
#define PROTO_JSON_TENSOR_H

#include <stddef.h>
#include <stdint.h>

enum { PROTO_JSON_DEPTH_MAX = 16 }; /* nesting of a data array */

/* The array at the start of text (white space before it is allowed), nested or flat, row-major,
 * into ret[count]. 0; *ret_used (may be NULL) = bytes up to and with the closing bracket.
 * -EINVAL with a sentence: not JSON, another type of element, another number of them than count,
 * nested too deep, unterminated. ret[] is unspecified then. */
int proto_json_floats(const char *text, size_t len, float *ret, size_t count, size_t *ret_used,
                      char *err, size_t errlen);
/* The same for whole numbers 0 to 255; a fraction or an exponent is refused. */
int proto_json_bytes(const char *text, size_t len, uint8_t *ret, size_t count, size_t *ret_used,
                     char *err, size_t errlen);

/* One JSON number at the start of s. Bytes read; -EINVAL if none stands there. */
int proto_json_float(const char *s, size_t len, float *ret);

/* The fewest digits that read back as the same float (of a subnormal up to six, where fewer might
 * do), as a JSON number; NaN and infinities as NaN, Infinity, -Infinity. buf holds at least
 * PROTO_FLOAT_MAX bytes; NUL-terminated; the length. */
enum { PROTO_FLOAT_MAX = 24 };
int proto_json_print_float(char *buf, float value);
/* "[a,b,…]" into buf, null for what is not finite: the length, or -ENOSPC; (n + 1) *
 * (PROTO_FLOAT_MAX + 2) bytes are enough. */
long proto_json_print_floats(char *buf, size_t buflen, const float *values, size_t n);

#endif
