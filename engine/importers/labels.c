/* Label files: one name a line. */
#include "engine/importers/manifest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/fail.h"
#include "engine/base/file.h"

enum { MAX_LABELS = 16 << 20 };

/* Bytes of the UTF-8 sequence at p (up to end), 0 if it is none. RFC 3629, section 4. */
static int utf8_length(const unsigned char *p, const unsigned char *end)
{
    int n = *p < 0x80 ? 1 : *p >= 0xc2 && *p < 0xe0 ? 2 : *p >= 0xe0 && *p < 0xf0 ? 3 : 4;
    if ((*p >= 0x80 && *p < 0xc2) || *p > 0xf4 || end - p < n)
        return 0;
    for (int i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
        (*p == 0xf4 && p[1] > 0x8f))
        return 0;
    return n;
}

/* What a reply could not carry becomes '?'. */
static void clean(char *text, size_t len)
{
    unsigned char *p = (unsigned char *)text, *end = p + len;
    while (p < end) {
        int n = utf8_length(p, end);
        if (n == 0 || *p < 0x20 || *p == 0x7f) {
            *p = '?';
            n = 1;
        }
        p += n;
    }
}

static int split(struct eng_labels *l, size_t len)
{
    size_t lines = 1, n = 0;
    for (size_t i = 0; i < len; i++)
        lines += l->text[i] == '\n';
    l->line = calloc(lines, sizeof(*l->line));
    if (!l->line)
        return -ENOMEM;
    for (char *p = l->text; n < lines; n++) {
        char *end = strchr(p, '\n');
        l->line[n] = p;
        if (!end)
            end = p + strlen(p);
        p = end + (*end == '\n');
        *end = '\0';
        if (end > l->line[n] && end[-1] == '\r')
            end[-1] = '\0';
    }
    while (n > 0 && l->line[n - 1][0] == '\0')
        n--;
    l->n = (int)n;
    return 0;
}

int eng_labels_load(struct eng_labels *ret, const char *path, char *err, size_t errlen)
{
    struct eng_file file = {0};
    struct eng_labels l = {0};
    int rc = eng_file_read(&file, path, MAX_LABELS, err, errlen);
    if (rc < 0)
        return rc;
    l.text = malloc(file.len + 1);
    rc = l.text ? 0 : -ENOMEM;
    if (rc == 0) {
        memcpy(l.text, file.bytes, file.len);
        l.text[file.len] = '\0';
        for (size_t i = 0; i < file.len; i++)
            if (l.text[i] == '\0')
                l.text[i] = '?';
        rc = split(&l, file.len);
    }
    eng_file_finish(&file);
    if (rc < 0) {
        eng_labels_finish(&l);
        return eng_fail(err, errlen, rc, "%.200s: not enough memory", path);
    }
    for (int i = 0; i < l.n; i++)
        clean(l.line[i], strlen(l.line[i]));
    *ret = l;
    return 0;
}

void eng_labels_finish(struct eng_labels *l)
{
    free(l->line);
    free(l->text);
    l->line = NULL;
    l->text = NULL;
    l->n = 0;
}
