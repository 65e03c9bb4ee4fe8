/* One number: text of any form to binary32, and back. */
#include "protocol/json_number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/json_tensor.h"

static int is_digit(char ch)
{
    return (unsigned char)(ch - '0') < 10;
}

struct number {
    const char *s, *end;       /* s moves */
    const char *digits, *last; /* all digits, a point among them */
    const char *point;         /* NULL: none */
    uint64_t w;                /* of all digits, modulo 2^64 */
    long exponent;             /* written behind e */
};

static void take_digits(struct number *n)
{
    while (n->s < n->end && is_digit(*n->s))
        n->w = n->w * 10 + (uint64_t)(*n->s++ - '0');
}

static int take_exponent(struct number *n)
{
    int negative = 0;
    n->s++;
    if (n->s < n->end && (*n->s == '+' || *n->s == '-'))
        negative = *n->s++ == '-';
    if (n->s == n->end || !is_digit(*n->s))
        return -EINVAL;
    for (; n->s < n->end && is_digit(*n->s); n->s++) {
        if (n->exponent < 100000000)
            n->exponent = n->exponent * 10 + (*n->s - '0');
    }
    if (negative)
        n->exponent = -n->exponent;
    return 0;
}

/* The grammar of RFC 8259 behind the sign. */
static int take_number(struct number *n)
{
    n->digits = n->s;
    if (n->s == n->end || !is_digit(*n->s))
        return -EINVAL;
    if (*n->s == '0') {
        n->s++;
        if (n->s < n->end && is_digit(*n->s))
            return -EINVAL;
    } else {
        take_digits(n);
    }
    if (n->s < n->end && *n->s == '.') {
        n->point = n->s++;
        take_digits(n);
        if (n->s == n->point + 1)
            return -EINVAL;
    }
    n->last = n->s;
    return n->s < n->end && (*n->s | 0x20) == 'e' ? take_exponent(n) : 0;
}

/* More than 19 digits: the first 19 that count, as w, and what they and the rest can mean at most,
 * w + 1. Both must round to the same float. */
static uint32_t round_long(const struct number *n)
{
    uint64_t w = 0;
    long q = n->exponent;
    int taken = 0, behind = 0;
    for (const char *s = n->digits; s < n->last; s++) {
        if (s == n->point) {
            behind = 1;
            continue;
        }
        if (taken == DIGITS_MAX) {
            q += !behind;
            continue;
        }
        w = w * 10 + (uint64_t)(*s - '0');
        taken += w != 0;
        q -= behind;
    }
    uint32_t low = round_decimal(w, q);
    return taken < DIGITS_MAX || low == round_decimal(w + 1, q) ? low : OPEN;
}

static uint32_t round_number(const struct number *n)
{
    long digits = n->last - n->digits - (n->point != NULL);
    if (digits <= DIGITS_MAX)
        return round_decimal(n->w, n->exponent - (n->point ? n->last - n->point - 1 : 0));
    return round_long(n);
}

static int take_word(const char *s, size_t len, const char *word, float value, float *ret)
{
    size_t n = strlen(word);
    if (len < n || memcmp(s, word, n))
        return -EINVAL;
    *ret = value;
    return (int)n;
}

/* strtof() needs a terminator behind the number, which the input may lack. */
static int exact(const char *s, size_t len, float *ret)
{
    char small[64], *copy = len < sizeof(small) ? small : malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, s, len);
    copy[len] = 0;
    *ret = strtof(copy, NULL);
    if (copy != small)
        free(copy);
    return 0;
}

int proto_json_float(const char *s, size_t len, float *ret)
{
    size_t sign = len && *s == '-';
    struct number n = {.s = s + sign, .end = s + len};
    if (take_number(&n)) {
        int r = take_word(s + sign, len - sign, "Infinity", sign ? -INFINITY : INFINITY, ret);
        if (r < 0 && !sign)
            r = take_word(s, len, "NaN", NAN, ret);
        return r < 0 ? r : r + (int)sign;
    }
    uint32_t bits = round_number(&n);
    if (bits == OPEN) {
        int r = exact(s, (size_t)(n.s - s), ret);
        if (r < 0)
            return r;
    } else {
        bits |= (uint32_t)sign << 31;
        memcpy(ret, &bits, sizeof(bits));
    }
    return (int)(n.s - s);
}

/* --- printing --- */

static float read_back(uint64_t w, long q)
{
    uint32_t bits = round_decimal(w, q);
    float ret;
    memcpy(&ret, &bits, sizeof(ret));
    return bits == OPEN ? NAN : ret;
}

/* w > 0 without its trailing zeros, its first digit at 10^power: a JSON number that looks like %g.
 */
static int layout(char *buf, uint64_t w, int power)
{
    char reversed[24], digits[24];
    int n = 0;
    while (w % 10 == 0)
        w /= 10;
    do {
        reversed[n++] = (char)('0' + w % 10);
        w /= 10;
    } while (w);
    for (int i = 0; i < n; i++)
        digits[i] = reversed[n - 1 - i];
    char *s = buf;
    if (power < -5 || power > 15) {
        *s++ = digits[0];
        if (n > 1)
            *s++ = '.';
        memcpy(s, digits + 1, (size_t)n - 1);
        s += n - 1;
        return (int)(s - buf) + snprintf(s, PROTO_FLOAT_MAX - 12, "e%d", power);
    }
    if (power < 0) {
        *s++ = '0';
        *s++ = '.';
        for (int i = -1; i > power; i--)
            *s++ = '0';
        memcpy(s, digits, (size_t)n);
        s += n;
    } else {
        for (int i = 0; i <= power || i < n; i++) {
            if (i == power + 1)
                *s++ = '.';
            *s++ = i < n ? digits[i] : '0';
        }
        if (n <= power + 1) {
            *s++ = '.';
            *s++ = '0';
        }
    }
    *s = 0;
    return (int)(s - buf);
}

static double times_ten_to(double a, int k)
{
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (k > 22 || k < -22)
        return a * pow(10.0, k);
    return k < 0 ? a / tens[-k] : a * tens[k];
}

/* The 9 leading digits of a > 0 and the power of ten of the first. The last digit may be off by
 * one: what is printed has been read back. */
static uint64_t nine_digits(double a, int *ret_power)
{
    /* log10 of the power of two below a: the power of ten of a, or one less */
    int power = (ilogb(a) * 1233) >> 12;
    uint64_t w = (uint64_t)(times_ten_to(a, 8 - power) + 0.5);
    if (w >= 1000000000) {
        power++;
        w = (uint64_t)(times_ten_to(a, 8 - power) + 0.5);
    }
    *ret_power = power;
    return w;
}

int proto_json_print_float(char *buf, float value)
{
    static const uint32_t unit[] = {1000, 100, 10, 1};
    char *s = buf;
    float a = fabsf(value);
    int power;
    if (isnan(value))
        return snprintf(buf, PROTO_FLOAT_MAX, "NaN");
    if (signbit(value))
        *s++ = '-';
    if (isinf(value))
        return (int)(s - buf) + snprintf(s, PROTO_FLOAT_MAX - 1, "Infinity");
    if (a == 0)
        return (int)(s - buf) + snprintf(s, PROTO_FLOAT_MAX - 1, "0.0");
    uint64_t w = nine_digits(a, &power);
    for (int i = 0; i < 4; i++) {
        uint64_t shorter = (w + unit[i] / 2) / unit[i];
        if (read_back(shorter, power - 5 - i) != a)
            continue;
        /* 999999.6 became 1000000: one digit more in front of the point. */
        uint64_t limit = 1000000000 / unit[i];
        return (int)(s - buf) + layout(s, shorter, power + (shorter >= limit));
    }
    return (int)(s - buf) + snprintf(s, PROTO_FLOAT_MAX - 1, "%.9g", (double)a);
}

long proto_json_print_floats(char *buf, size_t buflen, const float *values, size_t n)
{
    size_t used = 0;
    if (buflen < 3)
        return -ENOSPC;
    buf[used++] = '[';
    for (size_t i = 0; i < n; i++) {
        if (buflen - used < PROTO_FLOAT_MAX + 2)
            return -ENOSPC;
        if (i)
            buf[used++] = ',';
        /* JSON has no word for what is not finite. */
        if (isfinite(values[i])) {
            used += (size_t)proto_json_print_float(buf + used, values[i]);
        } else {
            memcpy(buf + used, "null", 4);
            used += 4;
        }
    }
    buf[used++] = ']';
    buf[used] = 0;
    return (long)used;
}
