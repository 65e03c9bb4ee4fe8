/* The option table as data, and what the files of config/ share. Private to config/. */
#ifndef CFG_TABLE_H
#define CFG_TABLE_H

#include "config/config.h"
#include "config/guess.h"
#include "config/utf8.h"

enum cfg_kind {
    CFG_KIND_FLAG,
    CFG_KIND_STRING,
    CFG_KIND_ADDRESS,
    CFG_KIND_ENUM,
    CFG_KIND_REAL,
    CFG_KIND_INT,
    CFG_KIND_BYTES,
    CFG_KIND_MS,
    CFG_KIND_US,
};

enum {
#define OPTION(key, kind, def, min, max, reload, commands, help) CFG_ROW_##key,
#include "config/options.def"
#undef OPTION
    CFG_N_ROWS
};

struct cfg_row {
    const char *key; /* file spelling, with '_' */
    size_t offset;   /* of its field in struct cfg */
    const char *help;
    const char *text; /* default of STRING, ADDRESS, ENUM */
    const char *list; /* ENUM: "a|b|c" */
    double real, real_min, real_max;
    int64_t number, min, max; /* FLAG, INT, BYTES, MS, US */
    enum cfg_kind kind;
    int reload, commands;
};

extern const struct cfg_row cfg_rows[CFG_N_ROWS];

enum cfg_from { CFG_FROM_DEFAULT, CFG_FROM_FILE, CFG_FROM_ENVIRONMENT, CFG_FROM_FLAG };

struct cfg_private {
    int command;
    enum cfg_from from[CFG_N_ROWS];
    int line[CFG_N_ROWS];   /* in the file; 0: not set there */
    char *text[CFG_N_ROWS]; /* owns the strings of the fields; NULL: the default's literal */
    char *file;             /* the file that was read, NULL if none */
    char **ignored;         /* MOBILENETD_* variables that name no option; n_ignored of them */
    int n_ignored;
};

/* Widest text that cfg_format() makes of a value that is not a string, with its NUL. */
#define CFG_VALUE_MAX 64

/* Is the row settable in file and environment? Is it a flag of that command? */
int cfg_row_is_shared(const struct cfg_row *row);
int cfg_row_is_flag_of(const struct cfg_row *row, int command);
/* Row by key ('-' and '_' are one), -1 if there is none. */
int cfg_row_find(const char *key, size_t len);
const char *cfg_command_name(int command); /* "serve"; one bit */

/* Parses text as the row's kind and writes the field of c; strings are copied into c->priv.
 * -EINVAL or -ERANGE with the reason alone ("'5x' is not …"), without the key; -ENOMEM. */
int cfg_set(struct cfg *c, int row, const char *text, char *err, size_t errlen);
/* Shortest exact spelling of the row's value in c, as cfg_set() reads it. STRING, ADDRESS and ENUM:
 * the field itself; else buf (CFG_VALUE_MAX bytes). */
const char *cfg_format(const struct cfg *c, int row, char *buf);
const char *cfg_format_number(enum cfg_kind kind, int64_t value, char *buf);
void cfg_defaults(struct cfg *c);

/* Applies a configuration file's text (len bytes, any bytes). The name is for messages. */
int cfg_read_text(struct cfg *c, const char *name, const char *text, size_t len, char *err,
                  size_t errlen);

/* Rows that are well by themselves and cannot be together. -EINVAL with a sentence. */
int cfg_contradictions(const struct cfg *c, char *err, size_t errlen);

/* Guess among the shared rows, or among the flags of a command (command != 0). Row or -1. */
int cfg_guess_row(const char *word, size_t len, int command);

#endif
