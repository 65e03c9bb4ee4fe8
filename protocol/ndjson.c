/* Lines of NDJSON; blank ones are skipped, as most readers do. */
#include "protocol/ndjson.h"

#include <errno.h>
#include <string.h>

static int is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r';
}

int proto_ndjson_next(const char *data, size_t len, size_t *pos, int at_end, size_t max,
                      struct proto_span *ret_line)
{
    while (*pos < len) {
        const char *s = data + *pos, *eol = memchr(s, '\n', len - *pos);
        size_t n = eol ? (size_t)(eol - s) : len - *pos, taken = n + (eol != NULL);
        if (n > max)
            return -EMSGSIZE;
        if (!eol && !at_end)
            return 0;
        *pos += taken;
        while (n && is_space(s[n - 1]))
            n--;
        while (n && is_space(*s)) {
            s++;
            n--;
        }
        if (n) {
            *ret_line = (struct proto_span){s, n};
            return 1;
        }
    }
    return 0;
}
