/* Text and JSON as the command line tools print them. */
#ifndef SRV_TABLE_H
#define SRV_TABLE_H

#include <stddef.h>
#include <stdio.h>

/* A JSON string, quoted and escaped (RFC 8259, section 7). */
void srv_print_json_string(FILE *out, const char *s);

/* "1,234,567" into buf (at least 32 bytes); buf. */
const char *srv_group_digits(unsigned long long v, char *buf);

/* The last `width` bytes of a layer's name: its end is what tells it from the others. */
const char *srv_tail(const char *s, size_t width);

#endif
