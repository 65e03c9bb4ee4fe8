/* NDJSON: one JSON text a line. Over bytes that are there; call again when more came. */
#ifndef PROTO_NDJSON_H
#define PROTO_NDJSON_H

#include "protocol/span.h"

/* Next line that is not blank, without its line end (LF or CRLF), from data[*pos…len). 1: *ret_line
 * is set, *pos moved behind it; 0: no complete line is left (at_end != 0: the last one needs no
 * line feed); -EMSGSIZE: a line is longer than max. */
int proto_ndjson_next(const char *data, size_t len, size_t *pos, int at_end, size_t max,
                      struct proto_span *ret_line);

#endif
