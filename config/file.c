/* The configuration file: `key = value` lines by libinih. libinih cuts a line that is longer than
 * its buffer without a word and reads an indented line as more of the value before, so our reader
 * hands it one checked line at a time: length, NUL and control bytes, UTF-8, indentation. It also
 * knows the line number, which libinih does not tell the handler. */
#include "config/table.h"

#include <errno.h>
#include <ini.h>
#include <string.h>

struct file_reader {
    struct cfg *c;
    const char *name;
    const char *text, *end;
    int line;
    int failed; /* negative errno of the first failure */
    char *err;
    size_t errlen;
};

static int fail(struct file_reader *f, int code, const char *what)
{
    if (!f->failed) {
        f->failed = code;
        snprintf(f->err, f->errlen, "%s:%d: %s", f->name, f->line, what);
    }
    return 0;
}

static int fail_key(struct file_reader *f, const char *key)
{
    char what[256];
    int known = cfg_row_find(key, strlen(key));
    int guess = cfg_guess_row(key, strlen(key), 0);
    if (known >= 0) {
        snprintf(what, sizeof(what), "'%.60s' is a flag of a sub-command, not a key of this file",
                 key);
    } else if (guess >= 0) {
        snprintf(what, sizeof(what), "unknown key '%.60s'; did you mean '%s'?", key,
                 cfg_rows[guess].key);
    } else {
        snprintf(what, sizeof(what), "unknown key '%.60s'", key);
    }
    return fail(f, -EINVAL, what);
}

/* Ends the value at a comment and takes one pair of quotes off. 0 if the quotes do not match. */
static int clean_value(const char *value, char *buf, size_t len)
{
    const char *end = value + strlen(value);
    if (*value == '"') {
        const char *close = strchr(++value, '"');
        if (!close || (close[1] && close[1 + strspn(close + 1, " \t")] != '#'))
            return 0;
        end = close;
    } else {
        for (const char *s = value; *s; s++) {
            if (*s != '#' || (s > value && s[-1] != ' ' && s[-1] != '\t'))
                continue;
            end = s;
            break;
        }
        while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
    }
    if ((size_t)(end - value) >= len)
        return 0;
    memcpy(buf, value, (size_t)(end - value));
    buf[end - value] = 0;
    return 1;
}

static int on_value(void *user, const char *section, const char *key, const char *value)
{
    struct file_reader *f = user;
    char clean[INI_MAX_LINE], reason[256], what[384];
    int row = cfg_row_find(key, strlen(key));
    (void)section;
    if (f->failed)
        return 0;
    if (row < 0 || !cfg_row_is_shared(&cfg_rows[row]) || row == CFG_ROW_config)
        return fail_key(f, key);
    if (f->c->priv->line[row]) {
        snprintf(what, sizeof(what), "'%s' is given twice; the first time on line %d", key,
                 f->c->priv->line[row]);
        return fail(f, -EINVAL, what);
    }
    if (!clean_value(value, clean, sizeof(clean)))
        return fail(f, -EINVAL, "quotes that do not match");
    int r = cfg_set(f->c, row, clean, reason, sizeof(reason));
    if (r < 0) {
        snprintf(what, sizeof(what), "%s: %s", cfg_rows[row].key, reason);
        return fail(f, r, what);
    }
    f->c->priv->line[row] = f->line;
    f->c->priv->from[row] = CFG_FROM_FILE;
    return 1;
}

/* What is wrong with a line, NULL if nothing is. */
static const char *bad_line(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (!ch)
            return "a NUL byte; this is no text file";
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f)
            return "a control character";
    }
    if (cfg_utf8_valid(s, len) < len)
        return "invalid UTF-8";
    if (len && *s == '[')
        return "a [section]; this file has none, only `key = value` lines";
    return NULL;
}

/* fgets() for libinih: one clean line, or NULL at the end and at the first failure. */
static char *next_line(char *buf, int size, void *stream)
{
    struct file_reader *f = stream;
    char what[128];
    if (f->failed || f->text >= f->end)
        return NULL;
    const char *s = f->text;
    const char *eol = memchr(s, '\n', (size_t)(f->end - s));
    f->text = eol ? eol + 1 : f->end;
    size_t len = (size_t)((eol ? eol : f->end) - s);
    f->line++;
    if (f->line == 1 && len >= 3 && !memcmp(s, "\xef\xbb\xbf", 3)) {
        s += 3;
        len -= 3;
    }
    while (len && (s[len - 1] == '\r' || s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    while (len && (*s == ' ' || *s == '\t')) {
        s++;
        len--;
    }
    const char *bad = bad_line(s, len);
    if (bad) {
        fail(f, -EINVAL, bad);
        return NULL;
    }
    if (len && (*s == '#' || *s == ';'))
        len = 0;
    if (len + 2 > (size_t)size) {
        snprintf(what, sizeof(what), "the line is %zu bytes long; at most %d are read", len,
                 size - 2);
        fail(f, -E2BIG, what);
        return NULL;
    }
    memcpy(buf, s, len);
    buf[len] = '\n';
    buf[len + 1] = 0;
    return buf;
}

int cfg_read_text(struct cfg *c, const char *name, const char *text, size_t len, char *err,
                  size_t errlen)
{
    struct file_reader f = {
        .c = c, .name = name, .text = text, .end = text + len, .err = err, .errlen = errlen};
    int bad = ini_parse_stream(next_line, &f, on_value, &f);
    if (f.failed)
        return f.failed;
    if (bad) {
        f.line = bad;
        fail(&f, bad == -2 ? -ENOMEM : -EINVAL,
             bad == -2 ? "out of memory" : "neither `key = value` nor a comment");
        return f.failed;
    }
    return 0;
}
