/* Members of TF.js's JSON, and the sentences that say which layer or node is at fault. */
#include "engine/importers/tfjs.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/fail.h"

int eng_tfj_fail(const struct eng_tfj *f, int code, const char *format, ...)
{
    char where[160];
    va_list ap;
    if (f->what)
        snprintf(where, sizeof(where), "%.80s (%.60s)", f->what, f->kind ? f->kind : "?");
    va_start(ap, format);
    eng_fail_at(f->err, f->errlen, code, f->what ? where : NULL, format, ap);
    va_end(ap);
    return code;
}

int eng_tfj_no_memory(const struct eng_tfj *f)
{
    return eng_fail(f->err, f->errlen, -ENOMEM, "not enough memory for the model");
}

const char *eng_tfj_string(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    const char *s = json_string_value(v);
    return s && strlen(s) == json_string_length(v) ? s : "";
}

int eng_tfj_ints(const struct eng_tfj *f, const json_t *object, const char *key, int n,
                 int otherwise, int *ret)
{
    const json_t *v = json_object_get(object, key);
    int is_list = json_is_array(v);
    if (is_list && json_array_size(v) != (size_t)n)
        return eng_tfj_fail(f, ENG_E_DATA, "\"%s\" is no list of %d numbers", key, n);
    for (int i = 0; i < n; i++) {
        const json_t *at = is_list ? json_array_get(v, (size_t)i) : v;
        double d = json_number_value(at);
        if (!v || json_is_null(v)) {
            ret[i] = otherwise;
            continue;
        }
        if (!json_is_number(at) || !(fabs(d) <= 1 << 30) || d != rint(d))
            return eng_tfj_fail(f, ENG_E_DATA, "\"%s\" is no whole number", key);
        ret[i] = (int)d;
    }
    return 0;
}

int eng_tfj_number(const struct eng_tfj *f, const json_t *object, const char *key, double otherwise,
                   double *ret)
{
    const json_t *v = json_object_get(object, key);
    if (v && !json_is_null(v) && !json_is_number(v))
        return eng_tfj_fail(f, ENG_E_DATA, "\"%s\" is no number", key);
    *ret = v && !json_is_null(v) ? json_number_value(v) : otherwise;
    return 0;
}

int eng_tfj_true(const json_t *object, const char *key, int otherwise)
{
    const json_t *v = json_object_get(object, key);
    return json_is_boolean(v) ? json_is_true(v) : otherwise;
}
