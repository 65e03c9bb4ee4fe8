/* Text and JSON as the command line tools print them. */
#include "server/base/table.h"

#include <string.h>

void srv_print_json_string(FILE *out, const char *s)
{
    putc('"', out);
    for (; *s; s++) {
        unsigned char ch = (unsigned char)*s;
        if (ch == '"' || ch == '\\')
            fprintf(out, "\\%c", ch);
        else if (ch < 0x20 || ch == 0x7f)
            fprintf(out, "\\u%04x", ch);
        else
            putc(ch, out);
    }
    putc('"', out);
}

const char *srv_group_digits(unsigned long long v, char *buf)
{
    char plain[24];
    int n = snprintf(plain, sizeof(plain), "%llu", v), k = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            buf[k++] = ',';
        buf[k++] = plain[i];
    }
    buf[k] = '\0';
    return buf;
}

const char *srv_tail(const char *s, size_t width)
{
    size_t len = strlen(s);
    return len > width ? s + len - width : s;
}
