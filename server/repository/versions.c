/* Lines of words, `#` before a comment:
 *
 *     serve = latest N | all | VERSION VERSION …
 *     label NAME = VERSION [share PERCENT] [compare PERCENT]
 */
#include "server/repository/versions.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/read_file.h"

enum { FILE_MAX = 16 << 10, LINE_MAX_LEN = 1024, WORDS = SRV_SPECIFIC_MAX + 4 };

unsigned long srv_version_number(const char *s)
{
    size_t len = strspn(s, "0123456789");
    return len > 0 && len < 18 && !s[len] && s[0] != '0' ? strtoul(s, NULL, 10) : 0;
}

struct reader {
    struct srv_policy *p;
    int line, served; /* served: it has a line `serve` */
    char *err;
    size_t errlen;
};

static int fail(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int fail(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    int n = snprintf(r->err, r->errlen, "versions.conf, line %d: ", r->line);
    va_start(ap, fmt);
    if (n >= 0 && (size_t)n < r->errlen)
        vsnprintf(r->err + n, r->errlen - (size_t)n, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

static int read_version(struct reader *r, const char *word, unsigned long *ret)
{
    *ret = srv_version_number(word);
    return *ret ? 0 : fail(r, "\"%.40s\" is no version", word);
}

static int read_serve(struct reader *r, char **words, int n)
{
    struct srv_policy *p = r->p;
    if (r->served++)
        return fail(r, "a second line says what to serve");
    if (n == 1 && strcmp(words[0], "all") == 0) {
        p->kind = SRV_ALL;
        return 0;
    }
    if (n >= 1 && strcmp(words[0], "latest") == 0) {
        p->latest = n == 2 ? srv_version_number(words[1]) : (unsigned long)(n == 1);
        return p->latest ? 0 : fail(r, "latest takes a number of versions");
    }
    if (n < 1 || n > SRV_SPECIFIC_MAX)
        return fail(r, "serve takes latest N, all, or 1 to %d versions", SRV_SPECIFIC_MAX);
    p->kind = SRV_SPECIFIC;
    for (int i = 0; i < n; i++) {
        int rc = read_version(r, words[i], &p->versions[p->n_versions]);
        if (rc < 0)
            return rc;
        p->n_versions++;
    }
    return 0;
}

/* Not to be mistaken for a version. */
static int is_label(const char *s)
{
    size_t len = strlen(s);
    return len > 0 && len < SRV_LABEL_MAX && strspn(s, "0123456789") < len &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == len;
}

static int read_percent(struct reader *r, const char *word, double *ret)
{
    char *end;
    double v = strtod(word, &end);
    if (*end == '%' && end > word)
        end++;
    if (end == word || *end || !(v >= 0 && v <= 100))
        return fail(r, "\"%.40s\" is no percentage", word);
    *ret = v / 100;
    return 0;
}

static double all_shares(const struct srv_policy *p)
{
    double sum = 0;
    for (int i = 0; i < p->n_labels; i++)
        sum += p->labels[i].share;
    return sum;
}

/* NAME = VERSION [share P] [compare P] */
static int read_label(struct reader *r, char **words, int n)
{
    struct srv_policy *p = r->p;
    if (p->n_labels == SRV_LABELS_MAX)
        return fail(r, "more than %d labels", SRV_LABELS_MAX);
    struct srv_label_rule *l = &p->labels[p->n_labels];
    if (n < 3 || n % 2 == 0 || strcmp(words[1], "=") != 0)
        return fail(r, "expected: label NAME = VERSION [share PERCENT] [compare PERCENT]");
    if (!is_label(words[0]))
        return fail(r,
                    "\"%.40s\" is no label: letters, digits, - _ . and not digits alone, at "
                    "most %d",
                    words[0], SRV_LABEL_MAX - 1);
    for (int i = 0; i < p->n_labels; i++)
        if (strcmp(p->labels[i].name, words[0]) == 0)
            return fail(r, "a second label \"%s\"", words[0]);
    *l = (struct srv_label_rule){0};
    snprintf(l->name, sizeof(l->name), "%s", words[0]);
    int rc = read_version(r, words[2], &l->version);
    for (int i = 3; i < n; i += 2) {
        if (rc < 0)
            break;
        if (strcmp(words[i], "share") == 0)
            rc = read_percent(r, words[i + 1], &l->share);
        else if (strcmp(words[i], "compare") == 0)
            rc = read_percent(r, words[i + 1], &l->compare);
        else
            rc = fail(r, "\"%.40s\" is neither share nor compare", words[i]);
    }
    if (rc == 0 && strcmp(l->name, "stable") == 0 && (l->share > 0 || l->compare > 0))
        return fail(r, "stable has what the other labels leave");
    p->n_labels += rc == 0;
    return rc == 0 && all_shares(p) > 1.0000001 ? fail(r, "the shares are more than 100 %%") : rc;
}

static int read_line(struct reader *r, char *line)
{
    static const char blank[] = " \t\r";
    char *words[WORDS];
    int n = 0;
    line[strcspn(line, "#")] = 0;
    for (char *w = line + strspn(line, blank); *w; w += strspn(w, blank)) {
        if (n == WORDS)
            return fail(r, "too many words");
        words[n++] = w;
        w += strcspn(w, blank);
        if (*w)
            *w++ = 0;
    }
    if (n == 0)
        return 0;
    if (n >= 2 && strcmp(words[0], "serve") == 0 && strcmp(words[1], "=") == 0)
        return read_serve(r, words + 2, n - 2);
    if (strcmp(words[0], "label") == 0)
        return read_label(r, words + 1, n - 1);
    return fail(r, "expected \"serve = …\" or \"label NAME = …\"");
}

int srv_policy_parse(struct srv_policy *ret, const char *text, size_t len, char *err, size_t errlen)
{
    struct srv_policy p = {.kind = SRV_LATEST, .latest = 1};
    struct reader r = {.p = &p, .err = err, .errlen = errlen};
    while (len > 0) {
        char line[LINE_MAX_LEN];
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        r.line++;
        if (n >= sizeof(line) || memchr(text, 0, n))
            return fail(&r, "the line is too long, or holds a NUL");
        memcpy(line, text, n);
        line[n] = 0;
        int rc = read_line(&r, line);
        if (rc < 0)
            return rc;
        n += end != NULL;
        text += n;
        len -= n;
    }
    *ret = p;
    return 0;
}

int srv_policy_load(struct srv_policy *ret, const char *dir, char *err, size_t errlen)
{
    char path[4096], why[128];
    void *text;
    size_t len;
    if (snprintf(path, sizeof(path), "%s/versions.conf", dir) >= (int)sizeof(path)) {
        snprintf(err, errlen, "the path is too long");
        return -ENAMETOOLONG;
    }
    int rc = srv_read_file(&text, &len, path, FILE_MAX, why, sizeof(why));
    if (rc == -ENOENT)
        return srv_policy_parse(ret, "", 0, err, errlen);
    if (rc < 0) {
        snprintf(err, errlen, "versions.conf: %s", why);
        return rc;
    }
    rc = srv_policy_parse(ret, text, len, err, errlen);
    free(text);
    return rc;
}

int srv_policy_wants(const struct srv_policy *p, unsigned long v, int served)
{
    if (p->kind == SRV_LATEST)
        return (unsigned long)served < p->latest;
    for (int i = 0; i < p->n_versions; i++)
        if (p->versions[i] == v)
            return 1;
    return p->kind == SRV_ALL;
}
