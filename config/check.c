/* Checks that need more than one row, or two configurations. */
#include "config/table.h"

#include <errno.h>
#include <string.h>

static const char *text_of(const struct cfg *c, int row)
{
    char unused[CFG_VALUE_MAX];
    return cfg_format(c, row, unused);
}

static int is_wildcard(const char *address, size_t len)
{
    static const char *const all[] = {"", "0.0.0.0", "[::]", "*"};
    for (int i = 0; i < 4; i++) {
        if (strlen(all[i]) == len && !memcmp(address, all[i], len))
            return 1;
    }
    return 0;
}

/* Would binding both fail? Port 0 means any free one, so it clashes with nothing. */
static int clash(const char *a, const char *b)
{
    const char *port_a = strrchr(a, ':'), *port_b = strrchr(b, ':');
    if (!port_a || !port_b || !strcmp(port_a, ":0"))
        return 0;
    if (!strcmp(a, b))
        return 1;
    return !strcmp(port_a, port_b) &&
           (is_wildcard(a, (size_t)(port_a - a)) || is_wildcard(b, (size_t)(port_b - b)));
}

static int check_addresses(const struct cfg *c, char *err, size_t errlen)
{
    for (int i = 0; i < CFG_N_ROWS; i++) {
        for (int j = 0; j < i; j++) {
            if (cfg_rows[i].kind != CFG_KIND_ADDRESS || cfg_rows[j].kind != CFG_KIND_ADDRESS ||
                !clash(text_of(c, j), text_of(c, i)))
                continue;
            snprintf(err, errlen, "%s %.80s and %s %.80s cannot be bound together", cfg_rows[j].key,
                     text_of(c, j), cfg_rows[i].key, text_of(c, i));
            return -EINVAL;
        }
    }
    return 0;
}

int cfg_contradictions(const struct cfg *c, char *err, size_t errlen)
{
    int listens = (c->priv->command & (CFG_SERVE | CFG_CONFIG)) != 0;
    int r = listens ? check_addresses(c, err, errlen) : 0;
    if (r < 0)
        return r;
    /* Only if both were chosen: one who lowers queue_limit alone means no more than that. */
    if (c->priv->from[CFG_ROW_max_images] && c->priv->from[CFG_ROW_queue_limit] &&
        c->max_images > c->queue_limit) {
        snprintf(err, errlen,
                 "max_images %lld is more than queue_limit %lld: such a request could never be "
                 "admitted",
                 (long long)c->max_images, (long long)c->queue_limit);
        return -EINVAL;
    }
    return 0;
}

int cfg_reload_conflicts(const struct cfg *now, const struct cfg *next, char *buf, size_t len)
{
    char a[CFG_VALUE_MAX], b[CFG_VALUE_MAX];
    size_t used = 0;
    int n = 0;
    if (len)
        *buf = 0;
    for (int i = 0; i < CFG_N_ROWS; i++) {
        const struct cfg_row *row = &cfg_rows[i];
        if (row->reload || !cfg_row_is_shared(row) ||
            !strcmp(cfg_format(now, i, a), cfg_format(next, i, b)))
            continue;
        int w = used < len ? snprintf(buf + used, len - used, "%s%s", n ? ", " : "", row->key) : 0;
        used += w > 0 ? (size_t)w : 0;
        n++;
    }
    return n;
}
