/* Options: one table (options.def), read from defaults, a file, the environment and flags, in
 * rising order of strength. No threads, no sockets, no logging.
 *
 * struct cfg has one field per row, named by its key. Loading is all or nothing: on failure a
 * sentence with file, line and a guess at what was meant, and nothing is returned. */
#ifndef CFG_CONFIG_H
#define CFG_CONFIG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Which sub-commands know a row (bit set). */
enum {
    CFG_SERVE = 1 << 0,
    CFG_CLASSIFY = 1 << 1,
    CFG_BENCH = 1 << 2,
    CFG_HEALTH = 1 << 3,
    CFG_DESCRIBE = 1 << 4,
    CFG_VERSION = 1 << 5,
    CFG_CONFIG = 1 << 6,
    CFG_QUANTIZE = 1 << 7,
    CFG_TEACH = 1 << 8,
    CFG_COMPRESS = 1 << 9,
    CFG_ALL = (1 << 10) - 1,
};

/* Field types by kind of the row:
 *   FLAG          int            0 or 1
 *   STRING, ENUM  const char *
 *   REAL          double
 *   ADDRESS       const char *   HOST:PORT, [IPv6]:PORT, :PORT (every IPv4 address) or unix:PATH;
 *                                "" = off; checked in form only
 *   INT           int64_t
 *   BYTES         int64_t        "64K", "20M", "1G"; plain = bytes
 *   MS, US        int64_t        "250ms", "2s", "500us", "1m"; plain = the unit of the row */
#define CFG_FIELD_FLAG int
#define CFG_FIELD_STRING const char *
#define CFG_FIELD_ADDRESS const char *
#define CFG_FIELD_ENUM const char *
#define CFG_FIELD_REAL double
#define CFG_FIELD_INT int64_t
#define CFG_FIELD_BYTES int64_t
#define CFG_FIELD_MS int64_t
#define CFG_FIELD_US int64_t

struct cfg {
#define OPTION(key, kind, def, min, max, reload, commands, help) CFG_FIELD_##kind key;
#include "config/options.def"
#undef OPTION
    int n_args; /* positional arguments, in order; they point into argv */
    const char *const *args;
    struct cfg_private *priv; /* where each value came from, and the memory of all of it */
};

struct cfg_sources {
    int command; /* one CFG_* bit */
    int argc;    /* arguments after the sub-command's name */
    char **argv;
    char **envp;      /* NULL: no environment. MOBILENETD_* that resemble no option are ignored */
    const char *file; /* NULL: --config, then MOBILENETD_CONFIG, then default_file if it exists */
    const char *default_file;
};

/* 0; 1 if --help was asked for (nothing returned: print it); -EINVAL or another errno with a
 * sentence. argv must outlive the result; envp need not. Loading again with the same sources is how
 * a reload reads file and environment anew. */
int cfg_load(struct cfg **ret, const struct cfg_sources *src, char *err, size_t errlen);
/* Is log_format json? Also where cfg_load() fails, for the sentence about that: of a file, what
 * stands before its first mistake counts. */
int cfg_wants_json_log(const struct cfg_sources *src);
void cfg_destroy(struct cfg *c);

/* `next` differs from `now` in rows that are not reloadable: names of those rows, comma-separated,
 * into buf ("" if none); returns how many. */
int cfg_reload_conflicts(const struct cfg *now, const struct cfg *next, char *buf, size_t len);

/* --help of one command (width 80; usage is printed first, as it is), docs/CONFIG.md, the commented
 * sample file, and `config --show`: every row as `key = value  # default | FILE:LINE | environment
 * | flag`, which is itself a valid configuration file. */
void cfg_print_help(FILE *out, int command, const char *usage);
void cfg_print_markdown(FILE *out);
void cfg_print_sample(FILE *out);
void cfg_print_values(FILE *out, const struct cfg *c);

#endif
