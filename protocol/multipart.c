/* Splitter of multipart/form-data. A line "--boundary" counts as a delimiter only if nothing but
 * white space follows on it ("--boundaryX" is content), so no part can forge a longer boundary's
 * line. Header parameters are read by one scanner that serves Content-Type and Content-Disposition.
 */
#include "protocol/multipart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "protocol/query.h"
#include "protocol/utf8.h"

#define BOUNDARY_MAX 70
#define PART_HEADERS_MAX 8192 /* bytes of all headers of one part */

struct span {
    const char *s;
    size_t len;
};

static int is_space(char ch)
{
    return ch == ' ' || ch == '\t' || ch == '\r' || ch == '\n';
}

static int equals(struct span a, const char *word)
{
    return a.len == strlen(word) && !strncasecmp(a.s, word, a.len);
}

static void skip_space(struct span *in)
{
    while (in->len && is_space(*in->s)) {
        in->s++;
        in->len--;
    }
}

static struct span take(struct span *in, size_t n)
{
    struct span ret = {in->s, n};
    in->s += n;
    in->len -= n;
    return ret;
}

/* Up to `stop` or the end, without white space around it. */
static struct span take_until(struct span *in, const char *stop)
{
    size_t n = 0;
    skip_space(in);
    while (n < in->len && !strchr(stop, in->s[n]))
        n++;
    struct span ret = take(in, n);
    while (ret.len && is_space(ret.s[ret.len - 1]))
        ret.len--;
    return ret;
}

/* A quoted-string without its quotes, escapes kept. 0, or -EINVAL if it does not end. */
static int take_quoted(struct span *in, struct span *ret)
{
    size_t n = 1;
    while (n < in->len && in->s[n] != '"') {
        if (in->s[n] == '\r' || in->s[n] == '\n')
            return -EINVAL;
        n += in->s[n] == '\\' && n + 1 < in->len ? 2 : 1;
    }
    if (n >= in->len)
        return -EINVAL;
    *ret = (struct span){in->s + 1, n - 1};
    take(in, n + 1);
    return 0;
}

/* Next "; name=value" of a header value. 1 and both spans, 0 at the end, -EINVAL. */
static int next_param(struct span *in, struct span *name, struct span *value)
{
    do {
        skip_space(in);
        if (!in->len)
            return 0;
        if (*in->s != ';')
            return -EINVAL;
        take(in, 1);
        skip_space(in);
    } while (in->len && *in->s == ';');
    if (!in->len)
        return 0;
    *name = take_until(in, "=;\"");
    if (!name->len || !in->len || *in->s != '=')
        return -EINVAL;
    take(in, 1);
    skip_space(in);
    if (in->len && *in->s == '"')
        return take_quoted(in, value) ? -EINVAL : 1;
    *value = take_until(in, ";");
    return 1;
}

static int is_boundary(struct span b)
{
    static const char allowed[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "'()+_,-./:=? ";
    if (!b.len || b.len > BOUNDARY_MAX || b.s[b.len - 1] == ' ')
        return 0;
    for (size_t i = 0; i < b.len; i++) {
        if (!b.s[i] || !strchr(allowed, b.s[i]))
            return 0;
    }
    return 1;
}

int proto_multipart_boundary(const char *content_type, char *buf, size_t buflen)
{
    struct span in = {content_type, strlen(content_type)}, name, value, found = {NULL, 0};
    int r;
    if (!equals(take_until(&in, ";"), "multipart/form-data"))
        return -ENOENT;
    while ((r = next_param(&in, &name, &value)) > 0) {
        if (!equals(name, "boundary"))
            continue;
        if (found.s)
            return -EINVAL;
        found = value;
    }
    if (r < 0 || !found.s || !is_boundary(found) || found.len >= buflen)
        return -EINVAL;
    memcpy(buf, found.s, found.len);
    buf[found.len] = 0;
    return 0;
}

/* --- body --- */

struct splitter {
    const char *pos, *end;
    char delimiter[4 + BOUNDARY_MAX + 1]; /* "\r\n--boundary" */
    size_t delimiter_len;
    int last; /* the delimiter just read was the closing one */
    int part; /* number of the current part, from 1 */
    char *err;
    size_t errlen;
};

static int fail(struct splitter *sp, const char *what)
{
    snprintf(sp->err, sp->errlen, "multipart body: part %d %s", sp->part, what);
    return -EINVAL;
}

/* Rest of a delimiter line at s: where the next line starts, or NULL if it is no delimiter. */
static const char *delimiter_tail(struct splitter *sp, const char *s, int *ret_last)
{
    int last = sp->end - s >= 2 && s[0] == '-' && s[1] == '-';
    if (last)
        s += 2;
    while (s < sp->end && (*s == ' ' || *s == '\t'))
        s++;
    if (last && s == sp->end) {
        *ret_last = 1;
        return s;
    }
    if (sp->end - s < 2 || s[0] != '\r' || s[1] != '\n')
        return NULL;
    *ret_last = last;
    return s + 2;
}

/* Content up to the next delimiter, which is consumed. 0 or -ENOENT. */
static int to_delimiter(struct splitter *sp, struct span *ret)
{
    const char *from = sp->pos;
    while (from < sp->end) {
        const char *hit = memmem(from, (size_t)(sp->end - from), sp->delimiter, sp->delimiter_len);
        if (!hit)
            return -ENOENT;
        const char *next = delimiter_tail(sp, hit + sp->delimiter_len, &sp->last);
        if (next) {
            *ret = (struct span){sp->pos, (size_t)(hit - sp->pos)};
            sp->pos = next;
            return 0;
        }
        from = hit + 1;
    }
    return -ENOENT;
}

/* The preamble and the first delimiter, which alone may stand at the very start. */
static int first_delimiter(struct splitter *sp)
{
    struct span preamble;
    size_t n = sp->delimiter_len - 2;
    if ((size_t)(sp->end - sp->pos) >= n && !memcmp(sp->pos, sp->delimiter + 2, n)) {
        const char *next = delimiter_tail(sp, sp->pos + n, &sp->last);
        if (next) {
            sp->pos = next;
            return 0;
        }
    }
    if (!to_delimiter(sp, &preamble))
        return 0;
    snprintf(sp->err, sp->errlen, "multipart body: the boundary does not occur in it");
    return -EINVAL;
}

static int read_disposition(struct splitter *sp, struct span value, struct proto_part *part)
{
    struct span name, v, type = take_until(&value, ";");
    int r;
    if (part->name)
        return fail(sp, "has two Content-Disposition headers");
    if (!equals(type, "form-data"))
        return fail(sp, "is not form-data");
    while ((r = next_param(&value, &name, &v)) > 0) {
        int extended = equals(name, "filename*");
        if (equals(name, "name")) {
            if (part->name)
                return fail(sp, "has two names");
            part->name = v.s;
            part->name_len = v.len;
        } else if (extended || (equals(name, "filename") && !part->filename_is_extended)) {
            if (part->filename && part->filename_is_extended == extended)
                return fail(sp, "has two file names");
            part->filename = v.s;
            part->filename_len = v.len;
            part->filename_is_extended = extended;
        }
    }
    if (r < 0)
        return fail(sp, "has a malformed Content-Disposition header");
    return part->name ? 0 : fail(sp, "has no name");
}

static int read_header(struct splitter *sp, struct span line, struct proto_part *part)
{
    const char *colon = memchr(line.s, ':', line.len);
    if (!colon || colon == line.s || is_space(colon[-1]) || is_space(line.s[0]))
        return fail(sp, "has a malformed header line");
    if (memchr(line.s, 0, line.len))
        return fail(sp, "has a NUL byte in a header");
    struct span name = take(&line, (size_t)(colon - line.s));
    take(&line, 1);
    if (equals(name, "Content-Disposition"))
        return read_disposition(sp, line, part);
    struct span value = take_until(&line, "");
    if (equals(name, "Content-Type")) {
        if (part->content_type)
            return fail(sp, "has two Content-Type headers");
        part->content_type = value.s;
        part->content_type_len = value.len;
    } else if (equals(name, "Content-Transfer-Encoding") && !equals(value, "binary") &&
               !equals(value, "8bit") && !equals(value, "7bit")) {
        return fail(sp, "has a Content-Transfer-Encoding other than binary, 8bit, 7bit");
    }
    return 0;
}

/* One header, folded lines included: up to the CRLF that no white space follows. */
static int next_header(struct splitter *sp, const char *limit, struct span *ret)
{
    const char *s = sp->pos;
    for (;;) {
        const char *eol = memmem(s, (size_t)(limit - s), "\r\n", 2);
        if (!eol)
            return limit < sp->end ? fail(sp, "has too many bytes of headers")
                                   : fail(sp, "ends within its headers");
        s = eol + 2;
        if (eol > sp->pos && s < limit && (*s == ' ' || *s == '\t'))
            continue;
        *ret = (struct span){sp->pos, (size_t)(eol - sp->pos)};
        sp->pos = s;
        return 0;
    }
}

static int read_part(struct splitter *sp, struct proto_part *part)
{
    struct span line, content;
    const char *limit = sp->end - sp->pos > PART_HEADERS_MAX ? sp->pos + PART_HEADERS_MAX : sp->end;
    *part = (struct proto_part){0};
    for (;;) {
        int r = next_header(sp, limit, &line);
        if (r < 0)
            return r;
        if (!line.len)
            break;
        r = read_header(sp, line, part);
        if (r < 0)
            return r;
    }
    if (!part->name)
        return fail(sp, "has no Content-Disposition header");
    /* RFC 2046 lets a part without content end in the CRLF of its empty line. */
    sp->pos -= 2;
    if (to_delimiter(sp, &content))
        return fail(sp, "is not terminated by the boundary");
    part->data = content.len ? content.s + 2 : content.s;
    part->len = content.len ? content.len - 2 : 0;
    return 0;
}

int proto_multipart_split(const void *body, size_t len, const char *boundary,
                          struct proto_part *parts, int max, char *err, size_t errlen)
{
    struct splitter sp = {.pos = body, .err = err, .errlen = errlen};
    struct span b = {boundary, strlen(boundary)};
    int n = 0;
    if (!is_boundary(b)) {
        snprintf(err, errlen, "multipart body: the boundary is not valid");
        return -EINVAL;
    }
    sp.end = sp.pos + len;
    sp.delimiter_len = (size_t)snprintf(sp.delimiter, sizeof(sp.delimiter), "\r\n--%s", boundary);
    int r = first_delimiter(&sp);
    for (; !r && !sp.last; n++) {
        sp.part = n + 1;
        if (n >= max) {
            snprintf(err, errlen, "multipart body: more than %d parts", max);
            return -E2BIG;
        }
        r = read_part(&sp, &parts[n]);
    }
    return r < 0 ? r : n;
}

int proto_part_filename(const struct proto_part *part, char *ret, size_t retlen)
{
    const char *s = part->filename;
    size_t len = part->filename_len, n = 0;
    if (!s)
        return -ENOENT;
    if (part->filename_is_extended) {
        /* charset'language'percent-encoded; UTF-8 alone is required of receivers */
        const char *end = len > 6 ? memchr(s + 6, '\'', len - 6) : NULL;
        if (!end || strncasecmp(s, "utf-8'", 6))
            return -EINVAL;
        return proto_percent_decode(end + 1, len - (size_t)(end + 1 - s), ret, retlen);
    }
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\\' && i + 1 < len && (s[i + 1] == '"' || s[i + 1] == '\\'))
            i++;
        if (n + 1 >= retlen)
            return -ENOSPC;
        ret[n++] = s[i];
    }
    if (!retlen)
        return -ENOSPC;
    if (!proto_utf8_is_valid(ret, n))
        return -EINVAL;
    ret[n] = 0;
    return (int)n;
}
