/* Names are few and short: a walk over the list is all. */
#include "server/handlers/parameters.h"

#include <stdio.h>
#include <string.h>

#include "config/guess.h"
#include "server/handlers/call.h"

/* The next name of a list, and where to go on; NULL behind the last. */
static const char *next_name(const char **at, size_t *ret_len)
{
    const char *name = *at + strspn(*at, " ");
    *ret_len = strcspn(name, " ");
    *at = name + *ret_len;
    return *ret_len ? name : NULL;
}

int srv_parameters_next(const char **at, char *ret, size_t len)
{
    size_t n;
    const char *one = next_name(at, &n);
    if (one)
        snprintf(ret, len, "%.*s", (int)n, one);
    return one != NULL;
}

int srv_parameters_has(const char *known, const char *name, size_t len)
{
    const char *one;
    size_t n;
    while ((one = next_name(&known, &n)))
        if (n == len && memcmp(one, name, n) == 0)
            return 1;
    return 0;
}

static void list(const char *known, char *ret, size_t retlen)
{
    const char *one;
    size_t n, used = 0;
    ret[0] = 0;
    while ((one = next_name(&known, &n)) && used < retlen)
        used +=
            (size_t)snprintf(ret + used, retlen - used, "%s%.*s", used ? ", " : "", (int)n, one);
}

void srv_parameters_unknown(const char *known, const char *name, size_t len, char *ret,
                            size_t retlen)
{
    struct cfg_guess g;
    const char *at = known, *one;
    char all[160];
    size_t n;
    int shown = len < 64 ? (int)len : 64;
    cfg_guess_start(&g, name, len);
    while ((one = next_name(&at, &n)))
        cfg_guess_offer(&g, one, n);
    if (g.best) {
        snprintf(ret, retlen, "\"%.*s\" is not known here; did you mean %.*s?", shown, name,
                 (int)g.best_len, g.best);
        return;
    }
    list(known, all, sizeof(all));
    snprintf(ret, retlen, "\"%.*s\" is not known here, but %s", shown, name, all);
}

/* Is there a parameter of this name between `from` and `to`? */
static int has_before(const char *from, const char *to, const char *name, size_t len)
{
    for (const char *p = from; p < to; p += strcspn(p, "&") + 1)
        if (strcspn(p, "=&") == len && memcmp(p, name, len) == 0)
            return 1;
    return 0;
}

void srv_parameters_check(struct srv_call *c)
{
    const char *query = strchr(c->target, '?');
    if (!query++ || !c->route->query)
        return;
    for (const char *p = query; *p;) {
        size_t len = strcspn(p, "&"), name = strcspn(p, "=&");
        char sentence[300];
        if (len > 0 && !srv_parameters_has(c->route->query, p, name)) {
            srv_parameters_unknown(c->route->query, p, name, sentence, sizeof(sentence));
            srv_call_error(c, 400, "query: %s", sentence);
            return;
        }
        if (len > 0 && has_before(query, p, p, name)) {
            srv_call_error(c, 400, "query: %.*s is given twice", (int)name, p);
            return;
        }
        p += len + (p[len] == '&');
    }
}
