/* A key is looked for by its digest among all of them, without leaving early: the time says neither
 * how much of a digest was right nor where in the file it stands. */
#include "server/handlers/auth.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "server/base/read_file.h"
#include "server/handlers/obvious_keys.h"
#include "server/scheduler/request.h"

enum { LIMITS_MAX = 3 }; /* behind a key's digest */

static const struct {
    const char *name;
    unsigned bit;
} scope_names[] = {
    {"infer", SRV_SCOPE_INFER}, {"admin", SRV_SCOPE_ADMIN}, {"metrics", SRV_SCOPE_METRICS}};

/* ---- the file ---- */

struct text {
    const char *at;
    size_t len;
};

/* The next word of a line, which shrinks by it; len 0 at its end. */
static struct text next_word(struct text *line)
{
    size_t i = 0, n;
    while (i < line->len && (line->at[i] == ' ' || line->at[i] == '\t'))
        i++;
    for (n = i; n < line->len && line->at[n] != ' ' && line->at[n] != '\t';)
        n++;
    struct text word = {line->at + i, n - i};
    line->at += n;
    line->len -= n;
    return word;
}

static const char *parse_name(struct srv_key *k, struct text word)
{
    if (word.len >= sizeof(k->name))
        return "the name is longer than 63 characters";
    for (size_t i = 0; i < word.len; i++) {
        char c = word.at[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '-' || c == '_' || c == '.'))
            return "a name holds letters, digits, \"-\", \"_\" and \".\" alone";
    }
    memcpy(k->name, word.at, word.len);
    k->name[word.len] = 0;
    return NULL;
}

static unsigned scope_of(const char *at, size_t len)
{
    for (size_t i = 0; i < sizeof(scope_names) / sizeof(scope_names[0]); i++)
        if (strlen(scope_names[i].name) == len && memcmp(scope_names[i].name, at, len) == 0)
            return scope_names[i].bit;
    return 0;
}

static const char *parse_scopes(struct srv_key *k, struct text word)
{
    for (size_t from = 0; from <= word.len;) {
        const char *comma = memchr(word.at + from, ',', word.len - from);
        size_t len = comma ? (size_t)(comma - word.at) - from : word.len - from;
        unsigned bit = scope_of(word.at + from, len);
        if (!bit)
            return "scopes are infer, admin and metrics, with commas between them";
        k->scopes |= bit;
        from += len + 1;
    }
    return NULL;
}

static const char *parse_digest(struct srv_key *k, struct text word)
{
    const gnutls_datum_t hex = {(unsigned char *)(uintptr_t)word.at, (unsigned)word.len};
    size_t len = sizeof(k->digest);
    if (word.len != 2 * SRV_KEY_DIGEST || gnutls_hex_decode(&hex, k->digest, &len) < 0 ||
        len != SRV_KEY_DIGEST)
        return "the third word must be a SHA-256 digest, 64 hexadecimal digits";
    return NULL;
}

/* A plain decimal number over 0, at most a million; -1 if it is none. */
static double parse_amount(const char *at, size_t len)
{
    double value = 0, scale = 0;
    if (len == 0 || len > 16 || at[0] == '.' || at[len - 1] == '.')
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '.' && scale == 0) {
            scale = 1;
            continue;
        }
        if (at[i] < '0' || at[i] > '9')
            return -1;
        value = value * 10 + (at[i] - '0');
        scale *= 10;
    }
    value = scale > 0 ? value / scale : value;
    return value > 0 && value <= 1e6 ? value : -1;
}

static const char *parse_rate(struct srv_key *k, struct text word)
{
    static const char wrong[] = "a limit is RATE/BURST: requests a second (over 0), and how many "
                                "at once (at least 1); at most 1000000";
    const char *slash = memchr(word.at, '/', word.len);
    if (!slash)
        return wrong;
    k->rate = parse_amount(word.at, (size_t)(slash - word.at));
    k->burst = parse_amount(slash + 1, word.len - (size_t)(slash - word.at) - 1);
    return k->rate < 0 || k->burst < 1 ? wrong : NULL;
}

static const char line_form[] =
    "a line is NAME SCOPES DIGEST [RATE/BURST] [priority=N] [timeout_ms=N], and nothing behind it";

/* What stands behind "name=": NULL if the word does not begin so. */
static const char *value_of(struct text word, const char *name, size_t *ret_len)
{
    size_t n = strlen(name);
    if (word.len <= n || memcmp(word.at, name, n) != 0 || word.at[n] != '=')
        return NULL;
    *ret_len = word.len - n - 1;
    return word.at + n + 1;
}

static const char *parse_limit(struct srv_key *k, struct text word)
{
    size_t len;
    const char *at = value_of(word, "priority", &len);
    if (at) {
        k->most_urgent = len == 1 ? at[0] - '0' : 0;
        return k->most_urgent >= SRV_PRIORITY_FIRST && k->most_urgent <= SRV_PRIORITY_LAST
                   ? NULL
                   : "priority= is the most urgent one that the key may ask for, from 1 to 8";
    }
    at = value_of(word, "timeout_ms", &len);
    if (!at)
        return memchr(word.at, '/', word.len) || (word.at[0] >= '0' && word.at[0] <= '9')
                   ? parse_rate(k, word)
                   : line_form;
    double ms = parse_amount(at, len);
    k->longest_ns = (uint64_t)(ms * 1e6);
    return ms >= 1 ? NULL : "timeout_ms= is a number of milliseconds from 1 to 1000000";
}

static const char *parse_limits(struct srv_key *k, struct text *line)
{
    const char *wrong = NULL;
    for (int n = 0; n < LIMITS_MAX && !wrong; n++) {
        struct text word = next_word(line);
        if (!word.len)
            return NULL;
        wrong = parse_limit(k, word);
    }
    return wrong || !next_word(line).len ? wrong : line_form;
}

static const char *parse_line(struct srv_keys *all, struct text line)
{
    struct text name = next_word(&line), scopes = next_word(&line), digest = next_word(&line);
    struct srv_key *k = &all->keys[all->n];
    if (name.len == 0 || name.at[0] == '#')
        return NULL;
    if (all->n == SRV_KEYS_MAX)
        return "there are more than 1024 keys";
    memset(k, 0, sizeof(*k));
    const char *wrong = parse_name(k, name);
    if (!wrong)
        wrong = parse_scopes(k, scopes);
    if (!wrong)
        wrong = parse_digest(k, digest);
    if (!wrong)
        wrong = parse_limits(k, &line);
    for (int i = 0; i < all->n && !wrong; i++)
        if (strcmp(all->keys[i].name, k->name) == 0)
            wrong = "this name was there before";
        else if (memcmp(all->keys[i].digest, k->digest, SRV_KEY_DIGEST) == 0)
            wrong = "this digest was there before";
    if (!wrong)
        all->n++;
    return wrong;
}

int srv_keys_parse(struct srv_keys **ret, const char *text, size_t len, char *err, size_t errlen)
{
    /* One more than may be used: where a line too many is looked at. */
    struct srv_keys *all = calloc(1, sizeof(*all) + (SRV_KEYS_MAX + 1) * sizeof(all->keys[0]));
    const char *wrong = NULL;
    int number = 0;
    if (!all) {
        snprintf(err, errlen, "out of memory");
        return -ENOMEM;
    }
    while (len > 0 && !wrong) {
        const char *end = memchr(text, '\n', len);
        size_t n = end ? (size_t)(end - text) : len;
        struct text line = {text, n > 0 && text[n - 1] == '\r' ? n - 1 : n};
        wrong = parse_line(all, line);
        number++;
        text += n + (end != NULL);
        len -= n + (end != NULL);
    }
    if (wrong) {
        snprintf(err, errlen, "line %d: %s", number, wrong);
        srv_keys_destroy(all);
        return -EINVAL;
    }
    *ret = all;
    return 0;
}

/* A key that was copied from a page or made of a word lets everybody in. */
static int refuse_obvious(const struct srv_keys *k, char *err, size_t errlen)
{
    char word[SRV_OBVIOUS_MAX];
    const struct srv_key *found = srv_keys_obvious(k, word);
    if (!found)
        return 0;
    snprintf(err, errlen,
             "the digest of %s is that of the word \"%s\", which everybody tries first: make a key "
             "with `openssl rand -hex 32`",
             found->name, word);
    return -EINVAL;
}

int srv_keys_load(struct srv_keys **ret, const char *path, char *err, size_t errlen)
{
    char why[256];
    struct srv_keys *all = NULL;
    void *text;
    size_t len;
    if (!path[0]) {
        *ret = NULL;
        return 0;
    }
    int rc = srv_read_file(&text, &len, path, SRV_KEYS_FILE_MAX, why, sizeof(why));
    if (rc == 0) {
        rc = srv_keys_parse(&all, text, len, why, sizeof(why));
        free(text);
    }
    if (rc == 0)
        rc = refuse_obvious(all, why, sizeof(why));
    if (rc < 0)
        snprintf(err, errlen, "api_keys: %s: %s", path, why);
    if (rc == 0)
        *ret = all;
    else
        srv_keys_destroy(all);
    return rc;
}

void srv_keys_destroy(struct srv_keys *k)
{
    free(k);
}

void srv_keys_inherit(struct srv_keys *next, const struct srv_keys *prev)
{
    for (int i = 0; next && prev && i < next->n; i++)
        for (int j = 0; j < prev->n; j++) {
            struct srv_key *k = &next->keys[i];
            const struct srv_key *old = &prev->keys[j];
            if (!old->filled_ns || memcmp(k->digest, old->digest, SRV_KEY_DIGEST) != 0)
                continue;
            k->filled_ns = old->filled_ns;
            k->tokens = old->tokens < k->burst ? old->tokens : k->burst;
        }
}

/* ---- the check ---- */

/* The secret of "Bearer SECRET" (RFC 6750 2.1), else of X-API-Key; NULL: none was sent. */
static const char *secret_of(const struct srv_credentials *c)
{
    const char *a = c->authorization;
    if (a && strncasecmp(a, "Bearer ", 7) == 0) {
        a += 7;
        return a + strspn(a, " ");
    }
    return c->api_key;
}

static struct srv_key *find_key(struct srv_keys *keys, const char *secret)
{
    unsigned char digest[SRV_KEY_DIGEST];
    struct srv_key *found = NULL;
    size_t len = strnlen(secret, SRV_KEY_SECRET_MAX + 1);
    if (len == 0 || len > SRV_KEY_SECRET_MAX ||
        gnutls_hash_fast(GNUTLS_DIG_SHA256, secret, len, digest) < 0)
        return NULL;
    for (int i = 0; i < keys->n; i++)
        if (gnutls_memcmp(keys->keys[i].digest, digest, SRV_KEY_DIGEST) == 0)
            found = &keys->keys[i];
    return found;
}

/* 0: taken; else after how many seconds there will be a token. */
static int take_token(struct srv_key *k, uint64_t now_ns)
{
    if (k->rate <= 0)
        return 0;
    if (!k->filled_ns)
        k->tokens = k->burst;
    else if (now_ns > k->filled_ns)
        k->tokens += (double)(now_ns - k->filled_ns) / 1e9 * k->rate;
    k->tokens = k->tokens < k->burst ? k->tokens : k->burst;
    k->filled_ns = now_ns > 0 ? now_ns : 1;
    if (k->tokens >= 1) {
        k->tokens -= 1;
        return 0;
    }
    double wait = (1 - k->tokens) / k->rate;
    return wait < 86400 ? (int)wait + 1 : 86400;
}

struct srv_verdict srv_auth(struct srv_keys *keys, unsigned scopes, const struct srv_credentials *c,
                            int charge, uint64_t now_ns)
{
    struct srv_verdict v = {0};
    unsigned wanted = scopes ? scopes : SRV_SCOPE_INFER;
    if (!keys || wanted & SRV_SCOPE_OPEN)
        return v;
    const char *secret = secret_of(c);
    struct srv_key *k = secret ? find_key(keys, secret) : NULL;
    if (!k) {
        v.status = 401;
        v.sentence = secret ? "the API key is not known" : "an API key is needed";
        v.challenge = secret ? "Bearer realm=\"mobilenetd\", error=\"invalid_token\""
                             : "Bearer realm=\"mobilenetd\"";
        return v;
    }
    v.by = k;
    if (!(k->scopes & wanted)) {
        v.status = 403;
        v.sentence = "the API key does not have the scope that this needs";
        v.challenge = "Bearer realm=\"mobilenetd\", error=\"insufficient_scope\"";
    } else if (charge && (v.retry_after_s = take_token(k, now_ns)) > 0) {
        v.status = 429;
        v.sentence = "the API key has used up its rate";
    }
    return v;
}
