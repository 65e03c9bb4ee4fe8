/* Pull scanner for JSON (RFC 8259) over a complete text: no tree, no allocation, no recursion, so a
 * request costs what it is long and not what its brackets ask for. Untrusted bytes.
 *
 * Every function moves scan->s past what it read. Failure is -EINVAL; the first one writes the
 * sentence, and the caller gives up. Strings are spans of the text between the quotes, escapes
 * checked but kept: proto_json_unescape() decodes. */
#ifndef PROTO_JSON_SCAN_H
#define PROTO_JSON_SCAN_H

#include <stdint.h>

#include "protocol/span.h"

enum { PROTO_SCAN_DEPTH_MAX = 64 };

struct proto_scan {
    const char *start, *s, *end;
    char *err;
    size_t errlen;
};

void proto_scan_init(struct proto_scan *scan, const char *text, size_t len, char *err,
                     size_t errlen);
/* Writes "<what> at byte n" and returns -EINVAL. */
int proto_scan_fail(struct proto_scan *scan, const char *what);

/* First character of the next value without reading it: { [ " t f n, or 0 for a number; -EINVAL. */
int proto_scan_peek(struct proto_scan *scan);

/* Objects: enter, then member until 0. *n counts the members and starts at 0. 1: ret_key is set and
 * the value is next, which the caller must read; 0: the object is closed. */
int proto_scan_enter_object(struct proto_scan *scan);
int proto_scan_member(struct proto_scan *scan, int *n, struct proto_span *ret_key);
/* Arrays in the same way. */
int proto_scan_enter_array(struct proto_scan *scan);
int proto_scan_element(struct proto_scan *scan, int *n);

int proto_scan_string(struct proto_scan *scan, struct proto_span *ret);
int proto_scan_bool(struct proto_scan *scan, int *ret);
/* A whole number without fraction or exponent that fits. */
int proto_scan_int(struct proto_scan *scan, int64_t *ret);
/* Any value, checked to the last character; ret (may be NULL) is its text. */
int proto_scan_skip(struct proto_scan *scan, struct proto_span *ret);
/* An array, its brackets and strings alone checked, at several bytes a cycle: for bulk data that is
 * scanned properly when it is used. */
int proto_scan_skip_array(struct proto_scan *scan, struct proto_span *ret);
/* Nothing but white space is left. */
int proto_scan_finish(struct proto_scan *scan);

/* Decodes the escapes of a scanned string: at most in.len bytes into ret, not terminated. Lone
 * surrogates become U+FFFD. The length. */
size_t proto_json_unescape(struct proto_span in, char *ret);

#endif
