/* Values: text to typed field and back. Numbers with units are read exactly, as a decimal fraction
 * times a unit, and refused when they are not whole in the unit of the row ("500us" of a row in
 * ms). Whatever cfg_format() writes, cfg_set() reads back to the same value. */
#include "config/table.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct unit {
    const char *name;
    int64_t factor; /* in the smallest unit of its list */
};

static const struct unit byte_units[] = {
    {"", 1},          {"B", 1},        {"K", 1 << 10},   {"KB", 1 << 10},
    {"KiB", 1 << 10}, {"M", 1 << 20},  {"MB", 1 << 20},  {"MiB", 1 << 20},
    {"G", 1 << 30},   {"GB", 1 << 30}, {"GiB", 1 << 30}, {NULL, 0},
};
static const struct unit time_units[] = {
    {"us", 1},         {"ms", 1000},       {"s", 1000000}, {"m", 60000000},
    {"h", 3600000000}, {"d", 86400000000}, {NULL, 0},
};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static int refuse(int code, char *err, size_t errlen, const char *text, const char *reason)
{
    snprintf(err, errlen, "'%.60s' %s", text, reason);
    return code;
}

static int fail(char *err, size_t errlen, const char *text, const char *reason)
{
    return refuse(-EINVAL, err, errlen, text, reason);
}

static void *field(struct cfg *c, int row)
{
    return (char *)c + cfg_rows[row].offset;
}

static const void *const_field(const struct cfg *c, int row)
{
    return (const char *)c + cfg_rows[row].offset;
}

/* Digits with at most one point: *ret = digits, *ret_scale = 10^(digits behind the point). */
static int read_decimal(const char **s, int64_t *ret, int64_t *ret_scale)
{
    int64_t value = 0, scale = 1;
    int digits = 0, point = 0;
    const char *p = *s;
    for (;; p++) {
        if (*p == '.' && !point) {
            point = 1;
            continue;
        }
        if (*p < '0' || *p > '9')
            break;
        digits++;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value) || (point && digits > 18))
            return -ERANGE;
        if (point)
            scale *= 10;
    }
    if (!digits || p[-1] == '.')
        return -EINVAL;
    *s = p;
    *ret = value;
    *ret_scale = scale;
    return 0;
}

static const struct unit *find_unit(const struct unit *units, const char *name)
{
    for (; units->name; units++) {
        if (!strcasecmp(units->name, name))
            return units;
    }
    return NULL;
}

/* The list of units of a kind, the factor of the row's own unit in it, and how to name the kind. */
static const struct unit *units_of(enum cfg_kind kind, int64_t *ret_own, const char **ret_what)
{
    *ret_own = 1;
    switch (kind) {
    case CFG_KIND_BYTES:
        *ret_what = "is not a size; write bytes or a unit: 4096, 64K, 20M, 1G";
        return byte_units;
    case CFG_KIND_MS:
        *ret_own = 1000;
        *ret_what = "is not a time; write milliseconds or a unit: 250, 250ms, 2s, 1m";
        return time_units;
    case CFG_KIND_US:
        *ret_what = "is not a time; write microseconds or a unit: 500, 500us, 2ms, 1s";
        return time_units;
    default:
        *ret_what = "is not a whole number";
        return no_units;
    }
}

static int parse_number(int64_t *ret, enum cfg_kind kind, const char *text, char *err,
                        size_t errlen)
{
    const char *what, *s = text;
    int64_t own, value, scale, negative = *s == '-';
    const struct unit *units = units_of(kind, &own, &what);
    s += *s == '-' || *s == '+';
    int r = read_decimal(&s, &value, &scale);
    if (r == -ERANGE)
        return refuse(-ERANGE, err, errlen, text, "is too large a number");
    if (r < 0)
        return fail(err, errlen, text, what);
    while (*s == ' ')
        s++;
    int64_t factor = own;
    if (*s) {
        const struct unit *unit = find_unit(units, s);
        if (!unit)
            return fail(err, errlen, text, what);
        factor = unit->factor;
    }
    if (__builtin_mul_overflow(value, factor, &value))
        return refuse(-ERANGE, err, errlen, text, "is too large a number");
    if (value % scale || value / scale % own) {
        return fail(err, errlen, text,
                    kind == CFG_KIND_MS   ? "is not a whole number of milliseconds"
                    : kind == CFG_KIND_US ? "is not a whole number of microseconds"
                                          : "is not a whole number");
    }
    value = value / scale / own;
    *ret = negative ? -value : value;
    return 0;
}

static int set_number(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    const struct cfg_row *r = &cfg_rows[row];
    char lo[CFG_VALUE_MAX], hi[CFG_VALUE_MAX];
    int64_t value;
    int ret = parse_number(&value, r->kind, text, err, errlen);
    if (ret < 0)
        return ret;
    if (value < r->min || value > r->max) {
        snprintf(err, errlen, "'%.60s' is out of range; allowed is %s to %s", text,
                 cfg_format_number(r->kind, r->min, lo), cfg_format_number(r->kind, r->max, hi));
        return -ERANGE;
    }
    memcpy(field(c, row), &value, sizeof(value));
    return 0;
}

static int set_real(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    const struct cfg_row *r = &cfg_rows[row];
    char *end;
    /* strtod() alone would take "nan", "inf" and hexadecimal too. */
    if (!*text || strspn(text, "0123456789.eE+-") != strlen(text))
        return fail(err, errlen, text, "is not a number");
    double value = strtod(text, &end);
    if (end == text || *end || !isfinite(value))
        return fail(err, errlen, text, "is not a number");
    if (value < r->real_min || value > r->real_max) {
        snprintf(err, errlen, "'%.60s' is out of range; allowed is %g to %g", text, r->real_min,
                 r->real_max);
        return -ERANGE;
    }
    memcpy(field(c, row), &value, sizeof(value));
    return 0;
}

static int set_flag(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    static const char *const words[] = {"0", "1", "no", "yes", "off", "on", "false", "true"};
    for (int i = 0; i < (int)(sizeof(words) / sizeof(words[0])); i++) {
        int value = i & 1;
        if (strcasecmp(text, words[i]))
            continue;
        memcpy(field(c, row), &value, sizeof(value));
        return 0;
    }
    return fail(err, errlen, text, "is neither yes nor no; write on or off");
}

static int set_text(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    char *copy = strdup(text);
    if (!copy) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    free(c->priv->text[row]);
    c->priv->text[row] = copy;
    memcpy(field(c, row), &(const char *){copy}, sizeof(copy));
    return 0;
}

static int set_enum(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    const char *list = cfg_rows[row].list;
    struct cfg_guess g;
    cfg_guess_start(&g, text, strlen(text));
    for (const char *s = list; *s;) {
        size_t n = strcspn(s, "|");
        if (n == strlen(text) && !memcmp(s, text, n))
            return set_text(c, row, text, err, errlen);
        cfg_guess_offer(&g, s, n);
        s += n + (s[n] == '|');
    }
    if (g.best) {
        snprintf(err, errlen, "'%.60s' is none of %s; did you mean '%.*s'?", text, list,
                 (int)g.best_len, g.best);
    } else {
        snprintf(err, errlen, "'%.60s' is none of %s", text, list);
    }
    return -EINVAL;
}

static int valid_port(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n >= 1 && n <= 5 && !s[n] && strtol(s, NULL, 10) <= 65535;
}

/* HOST:PORT, [IPv6]:PORT, :PORT, unix:PATH; min != 0 means that empty (off) is refused. */
static int set_address(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    const char *colon = strrchr(text, ':');
    if (!*text && !cfg_rows[row].min)
        return set_text(c, row, text, err, errlen);
    if (!strncmp(text, "unix:", 5) && text[5])
        return set_text(c, row, text, err, errlen);
    if (!colon) {
        return fail(err, errlen, text,
                    "is not an address; write HOST:PORT, for example 127.0.0.1:8080");
    }
    if (!valid_port(colon + 1))
        return fail(err, errlen, text, "has no port between 0 and 65535 after its last ':'");
    int bracketed = colon > text && text[0] == '[' && colon[-1] == ']';
    if (!bracketed && memchr(text, ':', (size_t)(colon - text)))
        return fail(err, errlen, text, "is an IPv6 address without brackets; write [ADDRESS]:PORT");
    if (strpbrk(text, " \t/"))
        return fail(err, errlen, text, "is not an address; write HOST:PORT without scheme or path");
    return set_text(c, row, text, err, errlen);
}

int cfg_set(struct cfg *c, int row, const char *text, char *err, size_t errlen)
{
    switch (cfg_rows[row].kind) {
    case CFG_KIND_FLAG:
        return set_flag(c, row, text, err, errlen);
    case CFG_KIND_STRING:
        return set_text(c, row, text, err, errlen);
    case CFG_KIND_ADDRESS:
        return set_address(c, row, text, err, errlen);
    case CFG_KIND_ENUM:
        return set_enum(c, row, text, err, errlen);
    case CFG_KIND_REAL:
        return set_real(c, row, text, err, errlen);
    default:
        return set_number(c, row, text, err, errlen);
    }
}

const char *cfg_format_number(enum cfg_kind kind, int64_t value, char *buf)
{
    static const struct unit sizes[] = {{"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {NULL, 0}};
    static const struct unit ms[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000},
                                     {"s", 1000},     {"ms", 1},      {NULL, 0}};
    static const struct unit us[] = {{"s", 1000000}, {"ms", 1000}, {"us", 1}, {NULL, 0}};
    const struct unit *u = kind == CFG_KIND_BYTES ? sizes
                           : kind == CFG_KIND_MS  ? ms
                           : kind == CFG_KIND_US  ? us
                                                  : no_units;
    while (u->name && (value == 0 || value % u->factor))
        u++;
    if (u->name)
        snprintf(buf, CFG_VALUE_MAX, "%lld%s", (long long)(value / u->factor), u->name);
    else
        snprintf(buf, CFG_VALUE_MAX, "%lld", (long long)value);
    return buf;
}

static const char *format_real(double value, char *buf)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(buf, CFG_VALUE_MAX, "%.*g", digits, value);
        if (strtod(buf, NULL) == value)
            break;
    }
    return buf;
}

const char *cfg_format(const struct cfg *c, int row, char *buf)
{
    const void *from = const_field(c, row);
    const char *text;
    int64_t number;
    double real;
    int flag;
    switch (cfg_rows[row].kind) {
    case CFG_KIND_FLAG:
        memcpy(&flag, from, sizeof(flag));
        return flag ? "on" : "off";
    case CFG_KIND_STRING:
    case CFG_KIND_ADDRESS:
    case CFG_KIND_ENUM:
        memcpy(&text, from, sizeof(text));
        return text;
    case CFG_KIND_REAL:
        memcpy(&real, from, sizeof(real));
        return format_real(real, buf);
    default:
        memcpy(&number, from, sizeof(number));
        return cfg_format_number(cfg_rows[row].kind, number, buf);
    }
}

void cfg_defaults(struct cfg *c)
{
    for (int i = 0; i < CFG_N_ROWS; i++) {
        const struct cfg_row *row = &cfg_rows[i];
        int flag = (int)row->number;
        switch (row->kind) {
        case CFG_KIND_FLAG:
            memcpy(field(c, i), &flag, sizeof(flag));
            break;
        case CFG_KIND_STRING:
        case CFG_KIND_ADDRESS:
        case CFG_KIND_ENUM:
            memcpy(field(c, i), &row->text, sizeof(row->text));
            break;
        case CFG_KIND_REAL:
            memcpy(field(c, i), &row->real, sizeof(row->real));
            break;
        default:
            memcpy(field(c, i), &row->number, sizeof(row->number));
            break;
        }
    }
}
