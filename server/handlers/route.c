/* Matching is a walk over the rows: cheaper than any structure, and the table stays the truth. */
#include "server/handlers/route.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "protocol/query.h"

/* Takes what {} stands for out of a segment; 0 if the segment does not fit its pattern. */
static int fits_segment(const char *pattern, size_t pattern_len, const char *path, size_t len,
                        const char **ret_at, size_t *ret_len)
{
    const char *hole = memmem(pattern, pattern_len, "{}", 2);
    if (!hole)
        return pattern_len == len && memcmp(pattern, path, len) == 0;
    size_t before = (size_t)(hole - pattern), after = pattern_len - before - 2;
    if (len <= before + after || memcmp(pattern, path, before) != 0 ||
        memcmp(hole + 2, path + len - after, after) != 0)
        return 0;
    *ret_at = path + before;
    *ret_len = len - before - after;
    return 1;
}

static size_t segment(const char *s, size_t len)
{
    const char *slash = memchr(s, '/', len);
    return slash ? (size_t)(slash - s) : len;
}

struct hole {
    const char *at;
    size_t len;
};

static int fits(const char *pattern, const char *path, size_t len, struct hole holes[SRV_PARAMS])
{
    size_t pattern_len = strlen(pattern);
    int n = 0;
    for (;;) {
        size_t want = segment(pattern, pattern_len), have = segment(path, len);
        struct hole h = {NULL, 0};
        if (!fits_segment(pattern, want, path, have, &h.at, &h.len))
            return 0;
        if (h.at)
            holes[n++] = h;
        if (want == pattern_len || have == len)
            return want == pattern_len && have == len;
        pattern += want + 1;
        pattern_len -= want + 1;
        path += have + 1;
        len -= have + 1;
    }
}

/* The part in front of the first {} rules most rows out within a few bytes. */
static int fits_row(const char *pattern, const char *path, size_t len,
                    struct hole holes[SRV_PARAMS])
{
    size_t n = 0;
    while (n < len && pattern[n] == path[n] && pattern[n] && pattern[n] != '{')
        n++;
    return pattern[n] == '{' ? fits(pattern, path, len, holes) : !pattern[n] && n == len;
}

const struct srv_route *srv_route_find(const struct srv_route *routes, const char *path, size_t len,
                                       char params[SRV_PARAMS][SRV_PARAM_MAX], int *ret_rc)
{
    *ret_rc = 0;
    for (int i = 0; i < SRV_ROUTES; i++) {
        struct hole holes[SRV_PARAMS] = {0};
        if (!fits_row(routes[i].pattern, path, len, holes))
            continue;
        for (int k = 0; k < SRV_PARAMS && holes[k].at; k++) {
            int rc = proto_percent_decode(holes[k].at, holes[k].len, params[k], SRV_PARAM_MAX);
            if (rc < 0)
                *ret_rc = rc;
        }
        return &routes[i];
    }
    return NULL;
}

const struct srv_route *srv_route_find_rpc(const struct srv_route *routes, const char *path)
{
    for (int i = SRV_ROUTES; i < SRV_ROUTES + SRV_RPCS; i++)
        if (strcmp(routes[i].pattern, path) == 0)
            return &routes[i];
    return NULL;
}

static const struct {
    unsigned bit;
    const char *name;
} method_names[] = {
    {SRV_GET, "GET"}, {SRV_HEAD, "HEAD"},     {SRV_POST, "POST"},
    {SRV_PUT, "PUT"}, {SRV_DELETE, "DELETE"}, {SRV_OPTIONS, "OPTIONS"},
};

unsigned srv_method_parse(const char *name)
{
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
        if (strcmp(name, method_names[i].name) == 0)
            return method_names[i].bit;
    return SRV_OTHER;
}

void srv_methods_text(unsigned methods, char *buf, size_t len)
{
    size_t n = 0;
    buf[0] = 0;
    for (size_t i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++)
        if (methods & method_names[i].bit && n < len)
            n += (size_t)snprintf(buf + n, len - n, "%s%s", n ? ", " : "", method_names[i].name);
}
