/* cfg_load(): defaults, then file, environment, flags. Flags are parsed first, because --config and
 * --help are among them, and applied last. */
#include "config/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CFG_FILE_MAX (1 << 20)
#define ENV_PREFIX "MOBILENETD_"

struct loader {
    const struct cfg_sources *src;
    struct cfg *c;
    const char *flag[CFG_N_ROWS]; /* value given by a flag; NULL: none */
    const char *file;
    char *err;
    size_t errlen;
};

static int takes_arguments(int command)
{
    return (command & (CFG_CLASSIFY | CFG_BENCH | CFG_DESCRIBE | CFG_QUANTIZE | CFG_TEACH |
                       CFG_COMPRESS)) != 0;
}

/* "--max-body" of "max_body" */
static const char *flag_name(int row, char *buf, size_t len)
{
    snprintf(buf, len, "--%s", cfg_rows[row].key);
    for (char *s = buf; *s; s++) {
        if (*s == '_')
            *s = '-';
    }
    return buf;
}

static int unknown_flag(struct loader *l, const char *arg, size_t len)
{
    const char *command = cfg_command_name(l->src->command);
    char name[64];
    int row = cfg_row_find(arg + 2, len - 2);
    int guess = cfg_guess_row(arg + 2, len - 2, l->src->command);
    if (row >= 0) {
        snprintf(l->err, l->errlen, "%.*s is not a flag of %s", (int)len, arg, command);
    } else if (guess >= 0) {
        snprintf(l->err, l->errlen, "unknown flag %.*s; did you mean %s?", len > 60 ? 60 : (int)len,
                 arg, flag_name(guess, name, sizeof(name)));
    } else {
        snprintf(l->err, l->errlen, "unknown flag %.*s; see mobilenetd %s --help",
                 len > 60 ? 60 : (int)len, arg, command);
    }
    return -EINVAL;
}

/* One "--…" at argv[i]. How many arguments it took, or a negative errno. */
static int read_flag(struct loader *l, int i)
{
    const char *arg = strcmp(l->src->argv[i], "-o") == 0 ? "--output" : l->src->argv[i];
    const char *equals = strchr(arg, '=');
    size_t len = equals ? (size_t)(equals - arg) : strlen(arg);
    char name[64];
    int taken = 1;
    int row = cfg_row_find(arg + 2, len - 2);
    const char *value = equals ? equals + 1 : NULL;
    if (row < 0 && !equals && len > 5 && !strncmp(arg, "--no-", 5)) {
        row = cfg_row_find(arg + 5, len - 5);
        if (row >= 0 && cfg_rows[row].kind != CFG_KIND_FLAG)
            row = -1;
        value = "off";
    }
    if (row < 0 || !cfg_row_is_flag_of(&cfg_rows[row], l->src->command))
        return unknown_flag(l, arg, len);
    if (!value && cfg_rows[row].kind == CFG_KIND_FLAG)
        value = "on";
    if (!value) {
        if (i + 1 >= l->src->argc || !strncmp(l->src->argv[i + 1], "--", 2)) {
            snprintf(l->err, l->errlen, "%s needs a value", flag_name(row, name, sizeof(name)));
            return -EINVAL;
        }
        value = l->src->argv[i + 1];
        taken = 2;
    }
    if (l->flag[row] && strcmp(l->flag[row], value)) {
        snprintf(l->err, l->errlen, "%s is given twice: '%.60s' and '%.60s'",
                 flag_name(row, name, sizeof(name)), l->flag[row], value);
        return -EINVAL;
    }
    l->flag[row] = value;
    return taken;
}

static int stray_argument(struct loader *l, const char *arg)
{
    const char *command = cfg_command_name(l->src->command);
    int row = cfg_row_find(arg, strcspn(arg, "="));
    char name[64];
    if (row >= 0 && cfg_row_is_flag_of(&cfg_rows[row], l->src->command)) {
        snprintf(l->err, l->errlen, "%s takes no arguments: '%.60s'; did you mean %s?", command,
                 arg, flag_name(row, name, sizeof(name)));
    } else {
        snprintf(l->err, l->errlen, "%s takes no arguments: '%.60s'", command, arg);
    }
    return -EINVAL;
}

/* Sorts the command line into l->flag and c->args. 1 if help was asked for. */
static int read_command_line(struct loader *l, const char **args)
{
    const struct cfg_sources *src = l->src;
    int only_args = 0;
    for (int i = 0; i < src->argc;) {
        const char *arg = src->argv[i];
        int taken = 1;
        if (!only_args && !strcmp(arg, "--")) {
            only_args = 1;
        } else if (!only_args && (!strcmp(arg, "--help") || !strcmp(arg, "-h"))) {
            return 1;
        } else if (!only_args && (!strncmp(arg, "--", 2) || !strcmp(arg, "-o"))) {
            taken = read_flag(l, i);
            if (taken < 0)
                return taken;
        } else if (!only_args && arg[0] == '-' && arg[1]) {
            snprintf(l->err, l->errlen, "unknown flag %.60s; flags are written --name", arg);
            return -EINVAL;
        } else if (!takes_arguments(src->command)) {
            return stray_argument(l, arg);
        } else {
            args[l->c->n_args++] = arg;
        }
        i += taken;
    }
    return 0;
}

static const char *from_environment(const struct loader *l, const char *name)
{
    size_t n = strlen(name);
    for (char **e = l->src->envp; e && *e; e++) {
        if (!strncmp(*e, name, n) && (*e)[n] == '=')
            return *e + n + 1;
    }
    return NULL;
}

/* Reads the whole file into malloc'ed *ret; *ret stays NULL on failure. */
static int read_file(const char *path, char **ret, size_t *ret_len)
{
    int r = -ENOMEM;
    FILE *in = fopen(path, "re");
    if (!in)
        return -errno;
    char *text = malloc(CFG_FILE_MAX + 1);
    if (text) {
        errno = 0;
        *ret_len = fread(text, 1, CFG_FILE_MAX + 1, in);
        r = ferror(in) ? -(errno ? errno : EIO) : *ret_len > CFG_FILE_MAX ? -E2BIG : 0;
    }
    fclose(in);
    if (r < 0) {
        free(text);
        return r;
    }
    *ret = text;
    return 0;
}

static int apply_file(struct loader *l)
{
    const char *named = l->src->file;
    char *text = NULL;
    size_t len = 0;
    if (!named)
        named = l->flag[CFG_ROW_config];
    if (!named)
        named = from_environment(l, ENV_PREFIX "CONFIG");
    const char *path = named && *named ? named : l->src->default_file;
    if (!path)
        return 0;
    int r = read_file(path, &text, &len);
    if (r == -ENOENT && path == l->src->default_file)
        return 0;
    if (r < 0) {
        snprintf(l->err, l->errlen, "cannot read %.200s: %s", path,
                 r == -E2BIG ? "it is larger than 1 MiB" : strerror(-r));
        return r;
    }
    l->c->priv->file = strdup(path);
    r = l->c->priv->file ? cfg_read_text(l->c, path, text, len, l->err, l->errlen) : -ENOMEM;
    free(text);
    return r;
}

/* Variables that no option has and that resemble none are let pass: Kubernetes sets
 * MOBILENETD_SERVICE_HOST, MOBILENETD_PORT and more for a service of our name. */
static int foreign_variable(struct loader *l, const char *name, size_t len, int guess)
{
    struct cfg_private *p = l->c->priv;
    if (guess >= 0) {
        char upper[64];
        size_t i;
        for (i = 0; cfg_rows[guess].key[i] && i + 1 < sizeof(upper); i++) {
            char ch = cfg_rows[guess].key[i];
            upper[i] = ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch;
        }
        upper[i] = 0;
        snprintf(l->err, l->errlen,
                 "environment: unknown variable %.*s; did you mean " ENV_PREFIX "%s?",
                 len > 80 ? 80 : (int)len, name, upper);
        return -EINVAL;
    }
    char **list = realloc(p->ignored, ((size_t)p->n_ignored + 1) * sizeof(*list));
    if (!list)
        return -ENOMEM;
    p->ignored = list;
    list[p->n_ignored] = strndup(name, len);
    return list[p->n_ignored] ? (p->n_ignored++, 0) : -ENOMEM;
}

static int apply_variable(struct loader *l, const char *entry)
{
    const char *equals = strchr(entry, '=');
    size_t prefix = strlen(ENV_PREFIX);
    char key[64], reason[256];
    if (!equals || strncmp(entry, ENV_PREFIX, prefix))
        return 0;
    size_t len = (size_t)(equals - entry) - prefix;
    if (!len || len >= sizeof(key))
        return len ? foreign_variable(l, entry, len + prefix, -1) : 0;
    for (size_t i = 0; i < len; i++) {
        char ch = entry[prefix + i];
        key[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch;
    }
    int row = cfg_row_find(key, len);
    if (row < 0)
        return foreign_variable(l, entry, len + prefix, cfg_guess_row(key, len, 0));
    if (!cfg_row_is_shared(&cfg_rows[row]))
        return foreign_variable(l, entry, len + prefix, -1);
    int r = cfg_set(l->c, row, equals + 1, reason, sizeof(reason));
    if (r < 0) {
        snprintf(l->err, l->errlen, "environment %.*s: %s", (int)(len + prefix), entry, reason);
        return r;
    }
    l->c->priv->from[row] = CFG_FROM_ENVIRONMENT;
    return 0;
}

static int apply_environment(struct loader *l)
{
    for (char **e = l->src->envp; e && *e; e++) {
        int r = apply_variable(l, *e);
        if (r < 0)
            return r;
    }
    return 0;
}

static int apply_flags(struct loader *l)
{
    char reason[256], name[64];
    for (int row = 0; row < CFG_N_ROWS; row++) {
        if (!l->flag[row])
            continue;
        int r = cfg_set(l->c, row, l->flag[row], reason, sizeof(reason));
        if (r < 0) {
            snprintf(l->err, l->errlen, "%s: %s", flag_name(row, name, sizeof(name)), reason);
            return r;
        }
        l->c->priv->from[row] = CFG_FROM_FLAG;
    }
    return 0;
}

static struct cfg *create(int argc, const char ***ret_args)
{
    struct cfg *c = calloc(1, sizeof(*c));
    const char **args = calloc((size_t)argc + 1, sizeof(*args));
    if (c) {
        c->args = args;
        c->priv = calloc(1, sizeof(*c->priv));
    }
    if (!c || !args || !c->priv) {
        if (!c)
            free(args);
        cfg_destroy(c);
        return NULL;
    }
    *ret_args = args;
    cfg_defaults(c);
    return c;
}

int cfg_load(struct cfg **ret, const struct cfg_sources *src, char *err, size_t errlen)
{
    struct loader l = {.src = src, .err = err, .errlen = errlen};
    const char **args;
    snprintf(err, errlen, "out of memory"); /* stays only if an allocation fails */
    l.c = create(src->argc, &args);
    if (!l.c)
        return -ENOMEM;
    l.c->priv->command = src->command;
    int r = read_command_line(&l, args);
    if (!r)
        r = apply_file(&l);
    if (!r)
        r = apply_environment(&l);
    if (!r)
        r = apply_flags(&l);
    if (!r)
        r = cfg_contradictions(l.c, err, errlen);
    if (r) {
        cfg_destroy(l.c);
        return r;
    }
    if (errlen)
        *err = 0;
    *ret = l.c;
    return 0;
}

/* The command line is not read to its end once it has a mistake. */
static const char *flag_of(const struct cfg_sources *src, int row)
{
    for (int i = 0; i < src->argc; i++) {
        const char *arg = src->argv[i];
        size_t len = strcspn(arg, "=");
        if (strncmp(arg, "--", 2) || cfg_row_find(arg + 2, len - 2) != row)
            continue;
        return arg[len] ? arg + len + 1 : i + 1 < src->argc ? src->argv[i + 1] : NULL;
    }
    return NULL;
}

int cfg_wants_json_log(const struct cfg_sources *src)
{
    char err[256];
    const char **args;
    struct loader l = {.src = src, .err = err, .errlen = sizeof(err)};
    l.c = create(src->argc, &args);
    if (!l.c)
        return 0;
    l.flag[CFG_ROW_config] = flag_of(src, CFG_ROW_config);
    (void)apply_file(&l);
    const char *later[] = {from_environment(&l, ENV_PREFIX "LOG_FORMAT"),
                           flag_of(src, CFG_ROW_log_format)};
    for (int i = 0; i < 2; i++) {
        if (later[i])
            (void)cfg_set(l.c, CFG_ROW_log_format, later[i], err, sizeof(err));
    }
    int json = strcmp(l.c->log_format, "json") == 0;
    cfg_destroy(l.c);
    return json;
}

void cfg_destroy(struct cfg *c)
{
    if (!c)
        return;
    for (int i = 0; c->priv && i < CFG_N_ROWS; i++)
        free(c->priv->text[i]);
    for (int i = 0; c->priv && i < c->priv->n_ignored; i++)
        free(c->priv->ignored[i]);
    if (c->priv) {
        free(c->priv->ignored);
        free(c->priv->file);
    }
    free(c->priv);
    free((void *)c->args);
    free(c);
}
