/* Attributes of a GraphDef node as TF.js writes them: {"padding": {"s": "U0FNRQ=="}, "strides":
 * {"list": {"i": ["1", "2", "2", "1"]}}}. Integers may be strings (they are 64 bits wide), strings
 * are base64 or arrays of bytes. */
#include "engine/importers/tfjs_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const json_t *eng_tfj_attr(const json_t *node, const char *name, const char *kind)
{
    return json_object_get(json_object_get(json_object_get(node, "attr"), name), kind);
}

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

static void decode_base64(const char *text, char *ret, size_t size)
{
    size_t n = 0;
    unsigned bits = 0, have = 0;
    for (; sextet(*text) >= 0 && n + 1 < size; text++) {
        bits = (bits << 6 | (unsigned)sextet(*text)) & 0xffffff;
        have += 6;
        if (have >= 8) {
            have -= 8;
            ret[n++] = (char)(bits >> have & 255);
        }
    }
    ret[n] = '\0';
}

void eng_tfj_text(const json_t *s, char *ret, size_t size)
{
    size_t n = 0;
    ret[0] = '\0';
    if (json_is_string(s))
        decode_base64(json_string_value(s), ret, size);
    for (; n < json_array_size(s) && n + 1 < size; n++)
        ret[n] = (char)json_integer_value(json_array_get(s, n));
    if (n > 0)
        ret[n] = '\0';
}

int eng_tfj_whole(const json_t *v, int64_t *ret)
{
    const char *s = json_string_value(v);
    char *end;
    if (json_is_integer(v)) {
        *ret = json_integer_value(v);
        return 0;
    }
    if (!s || !s[0])
        return ENG_E_DATA;
    *ret = strtoll(s, &end, 10);
    return *end ? ENG_E_DATA : 0;
}

int eng_tfj_list(const struct eng_tfj *f, const json_t *node, const char *name, int64_t *ret,
                 int max)
{
    const json_t *list = json_object_get(eng_tfj_attr(node, name, "list"), "i");
    size_t n = json_array_size(list);
    if (n > (size_t)max)
        return eng_tfj_fail(f, ENG_E_DATA, "\"%s\" has %zu numbers", name, n);
    for (size_t i = 0; i < n; i++)
        if (eng_tfj_whole(json_array_get(list, i), &ret[i]) < 0 || ret[i] > 1 << 30 ||
            ret[i] < -(1 << 30))
            return eng_tfj_fail(f, ENG_E_DATA, "\"%s\" holds what is no number", name);
    return (int)n;
}

int eng_tfj_flag(const json_t *node, const char *name, int otherwise)
{
    const json_t *v = eng_tfj_attr(node, name, "b");
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}

double eng_tfj_real(const json_t *node, const char *name, double otherwise)
{
    const json_t *v = eng_tfj_attr(node, name, "f");
    return json_is_number(v) ? json_number_value(v) : otherwise;
}
