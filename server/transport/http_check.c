/* One walk over the headers. A folded line shows in where its spans lie: libmicrohttpd copies the
 * header away to append the fold (to its name, of all places), so the value no longer follows the
 * name as it does in every line that came in one piece. What stands behind a NUL it does not show
 * at all, but where the next line begins tells that there is something. */
#include "server/transport/http_check.h"

#include <microhttpd.h>
#include <string.h>
#include <strings.h>

enum { LINE_END = 2 }; /* CR LF, or a bare LF */

struct walk {
    const char *end; /* of what has been shown so far; a line's end follows */
    int lengths, codings, hosts;
    int64_t declared;
    int expects;
    const char *wrong;
};

static int is_token(const char *s, size_t len)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < len; i++) {
        char c = s[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              (c && strchr(others, c))))
            return 0;
    }
    return len > 0;
}

/* Blanks alone between the colon (now a NUL) and the value. */
static int is_in_one_piece(const char *name, size_t name_len, const char *value)
{
    enum { FURTHEST = 1 << 20 }; /* more than any connection's memory */
    uintptr_t end = (uintptr_t)name + name_len, at = (uintptr_t)value;
    if (at <= end || at - end > FURTHEST)
        return 0;
    const char *gap = name + name_len + 1;
    for (size_t i = 0; i + 1 < at - end; i++)
        if (gap[i] != ' ' && gap[i] != '\t')
            return 0;
    return 1;
}

static int is_clean(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((unsigned char)value[i] < ' ' && value[i] != '\t') || value[i] == 0x7f)
            return 0;
    return 1;
}

static int64_t parse_length(const char *value, size_t len)
{
    int64_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (value[i] < '0' || value[i] > '9' || n > (INT64_MAX - 9) / 10)
            return -1;
        n = n * 10 + (value[i] - '0');
    }
    return len > 0 ? n : -1;
}

static int is(const char *name, size_t len, const char *want)
{
    return strlen(want) == len && strncasecmp(name, want, len) == 0;
}

static void take_framing(struct walk *w, const char *name, size_t name_len, const char *value,
                         size_t len)
{
    if (is(name, name_len, "Content-Length")) {
        w->declared = parse_length(value, len);
        if (++w->lengths > 1 || w->declared < 0)
            w->wrong = "there must be one Content-Length, a whole number";
    } else if (is(name, name_len, "Transfer-Encoding")) {
        if (++w->codings > 1 || !is(value, len, "chunked"))
            w->wrong = "the only Transfer-Encoding is chunked";
    } else if (is(name, name_len, "Host")) {
        if (++w->hosts > 1)
            w->wrong = "there must be one Host";
    } else if (is(name, name_len, "Expect")) {
        w->expects = is(value, len, "100-continue");
    }
}

static const char nul[] = "a line of the head holds a NUL, or a header no name";

static enum MHD_Result check_header(void *arg, enum MHD_ValueKind kind, const char *name,
                                    size_t name_len, const char *value, size_t len)
{
    struct walk *w = arg;
    (void)kind;
    if (!is_token(name, name_len))
        w->wrong = "a header's name holds a character that names may not hold";
    else if (value && !is_in_one_piece(name, name_len, value))
        w->wrong = "a header is folded over several lines";
    else if (value && !is_clean(value, len))
        w->wrong = "a header's value holds a control character";
    else if (value && name - w->end > LINE_END)
        w->wrong = nul;
    else if (value)
        take_framing(w, name, name_len, value, len);
    w->end = value ? value + len : w->end;
    return w->wrong ? MHD_NO : MHD_YES;
}

/* After the last header; and the target, behind which the version stands. */
static const char *check_rest(struct MHD_Connection *connection, const struct srv_http_line *line,
                              const char *end)
{
    const union MHD_ConnectionInfo *i =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (line->version - line->url != (ptrdiff_t)line->target_len + 1)
        return nul;
    if (!i || line->method + i->header_size - end > 2 * LINE_END)
        return nul;
    return NULL;
}

int srv_http_check(struct MHD_Connection *connection, const struct srv_http_line *line,
                   struct srv_http_framing *ret, const char **ret_sentence)
{
    struct walk w = {.end = line->version + strlen(line->version)};
    MHD_get_connection_values_n(connection, MHD_HEADER_KIND, check_header, &w);
    if (!w.wrong)
        w.wrong = check_rest(connection, line, w.end);
    if (!w.wrong && w.lengths && w.codings)
        w.wrong = "Content-Length and Transfer-Encoding exclude each other";
    if (!w.wrong && w.codings && strcmp(line->version, "HTTP/1.1") != 0)
        w.wrong = "Transfer-Encoding needs HTTP/1.1";
    if (w.wrong) {
        *ret_sentence = w.wrong;
        return 400;
    }
    ret->declared = w.codings ? -1 : w.declared;
    ret->expects = w.expects;
    return 0;
}
