/* The brackets and commas around numbers. One pass, one state: a value is due, or a value was read.
 * Nested arrays are flattened; only the count of the elements is checked, as other servers do. */
#include "protocol/json_tensor.h"

#include <errno.h>
#include <stdio.h>

#include "protocol/json_number.h"

struct scanner {
    const char *start, *s, *end;
    size_t count, used; /* elements wanted, elements read */
    int depth;
    char *err;
    size_t errlen;
};

static int fail(struct scanner *sc, const char *what)
{
    snprintf(sc->err, sc->errlen, "data: %s at byte %zu", what, (size_t)(sc->s - sc->start));
    return -EINVAL;
}

static int is_space(char ch)
{
    return ch == ' ' || ch == '\n' || ch == '\t' || ch == '\r';
}

static void skip_space(struct scanner *sc)
{
    while (sc->s < sc->end && is_space(*sc->s))
        sc->s++;
}

/* Opening brackets before a value. 1: a value is next; 0: an empty array was closed. */
static int open_brackets(struct scanner *sc)
{
    skip_space(sc);
    while (sc->s < sc->end && *sc->s == '[') {
        if (++sc->depth > PROTO_JSON_DEPTH_MAX)
            return fail(sc, "nested too deep");
        sc->s++;
        skip_space(sc);
        if (sc->s < sc->end && *sc->s == ']') {
            sc->s++;
            sc->depth--;
            return 0;
        }
    }
    return 1;
}

/* Closing brackets and the comma behind a value. 1: another value is due; 0: the end. */
static int close_brackets(struct scanner *sc)
{
    while (sc->depth) {
        skip_space(sc);
        if (sc->s == sc->end)
            return fail(sc, "not terminated");
        if (*sc->s == ',') {
            sc->s++;
            return 1;
        }
        if (*sc->s != ']')
            return fail(sc, "neither ',' nor ']'");
        sc->s++;
        sc->depth--;
    }
    return 0;
}

static int start(struct scanner *sc)
{
    skip_space(sc);
    return sc->s < sc->end && *sc->s == '[' ? 0 : fail(sc, "not an array");
}

static int finish(struct scanner *sc, size_t *ret_used)
{
    if (sc->used != sc->count) {
        snprintf(sc->err, sc->errlen, "data: %zu elements where the shape needs %zu", sc->used,
                 sc->count);
        return -EINVAL;
    }
    if (ret_used)
        *ret_used = (size_t)(sc->s - sc->start);
    return 0;
}

static int too_many(struct scanner *sc)
{
    snprintf(sc->err, sc->errlen, "data: more than the %zu elements that the shape needs",
             sc->count);
    return -EINVAL;
}

int proto_json_floats(const char *text, size_t len, float *ret, size_t count, size_t *ret_used,
                      char *err, size_t errlen)
{
    struct scanner sc = {
        .start = text, .s = text, .end = text + len, .count = count, .err = err, .errlen = errlen};
    int more = start(&sc);
    if (more < 0)
        return more;
    do {
        int value = open_brackets(&sc);
        if (value < 0)
            return value;
        if (value) {
            if (sc.used == count)
                return too_many(&sc);
            int n = sc.end - sc.s >= FAST_BYTES ? fast_float(sc.s, &ret[sc.used]) : 0;
            if (!n)
                n = proto_json_float(sc.s, (size_t)(sc.end - sc.s), &ret[sc.used]);
            if (n == -ENOMEM)
                return n;
            if (n < 0)
                return fail(&sc, sc.s == sc.end ? "not terminated" : "not a number");
            sc.s += n;
            sc.used++;
        }
        more = close_brackets(&sc);
    } while (more > 0);
    return more < 0 ? more : finish(&sc, ret_used);
}

/* A whole number 0…255 without fraction, exponent or leading zeros. Its length or -EINVAL. */
static int take_byte(const char *s, size_t len, uint8_t *ret)
{
    unsigned value = 0;
    size_t n = 0;
    while (n < len && n < 4 && (unsigned char)(s[n] - '0') < 10)
        value = value * 10 + (unsigned)(s[n++] - '0');
    if (!n || value > 255 || (n > 1 && s[0] == '0'))
        return -EINVAL;
    if (n < len && (s[n] == '.' || s[n] == 'e' || s[n] == 'E'))
        return -EINVAL;
    *ret = (uint8_t)value;
    return (int)n;
}

int proto_json_bytes(const char *text, size_t len, uint8_t *ret, size_t count, size_t *ret_used,
                     char *err, size_t errlen)
{
    struct scanner sc = {
        .start = text, .s = text, .end = text + len, .count = count, .err = err, .errlen = errlen};
    int more = start(&sc);
    if (more < 0)
        return more;
    do {
        int value = open_brackets(&sc);
        if (value < 0)
            return value;
        if (value) {
            if (sc.used == count)
                return too_many(&sc);
            int n = take_byte(sc.s, (size_t)(sc.end - sc.s), &ret[sc.used]);
            if (n < 0) {
                return fail(&sc,
                            sc.s == sc.end ? "not terminated" : "not a whole number from 0 to 255");
            }
            sc.s += n;
            sc.used++;
        }
        more = close_brackets(&sc);
    } while (more > 0);
    return more < 0 ? more : finish(&sc, ret_used);
}
