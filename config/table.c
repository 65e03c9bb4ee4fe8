/* options.def made into an array of rows. The macros below differ by kind in where the default and
 * the range go; everything else in config/ works on rows and knows no key by name. */
#include "config/table.h"

#include <string.h>

#define CFG_DEF_NUMBER(def, lo, hi) .number = (def), .min = (lo), .max = (hi)
#define CFG_DEF_FLAG(def, lo, hi) CFG_DEF_NUMBER(def, lo, hi)
#define CFG_DEF_INT(def, lo, hi) CFG_DEF_NUMBER(def, lo, hi)
#define CFG_DEF_BYTES(def, lo, hi) CFG_DEF_NUMBER(def, lo, hi)
#define CFG_DEF_MS(def, lo, hi) CFG_DEF_NUMBER(def, lo, hi)
#define CFG_DEF_US(def, lo, hi) CFG_DEF_NUMBER(def, lo, hi)
#define CFG_DEF_REAL(def, lo, hi) .real = (def), .real_min = (lo), .real_max = (hi)
#define CFG_DEF_STRING(def, lo, hi) .text = (def)
#define CFG_DEF_ADDRESS(def, lo, hi) .text = (def), .min = (lo)
#define CFG_DEF_ENUM(def, lo, hi) .text = (def), .list = (lo)

const struct cfg_row cfg_rows[CFG_N_ROWS] = {
#define OPTION(key_, kind_, def, lo, hi, reload_, commands_, help_)                                \
    {.key = #key_,                                                                                 \
     .offset = offsetof(struct cfg, key_),                                                         \
     .help = (help_),                                                                              \
     CFG_DEF_##kind_(def, lo, hi),                                                                 \
     .kind = CFG_KIND_##kind_,                                                                     \
     .reload = (reload_),                                                                          \
     .commands = (commands_)},
#include "config/options.def"
#undef OPTION
};

int cfg_row_is_shared(const struct cfg_row *row)
{
    return (row->commands & CFG_SERVE) != 0;
}

int cfg_row_is_flag_of(const struct cfg_row *row, int command)
{
    /* `config` checks and shows what `serve` would use, so it takes the flags of `serve` too. */
    int known = command == CFG_CONFIG ? CFG_CONFIG | CFG_SERVE : command;
    return (row->commands & known) != 0;
}

static char fold(char ch)
{
    return ch == '-' ? '_' : ch;
}

static int same_key(const char *key, const char *word, size_t len)
{
    size_t i;
    for (i = 0; i < len && key[i]; i++) {
        if (key[i] != fold(word[i]))
            return 0;
    }
    return i == len && !key[i];
}

int cfg_row_find(const char *key, size_t len)
{
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if (same_key(cfg_rows[i].key, key, len))
            return i;
    }
    return -1;
}

const char *cfg_command_name(int command)
{
    switch (command) {
    case CFG_SERVE:
        return "serve";
    case CFG_CLASSIFY:
        return "classify";
    case CFG_BENCH:
        return "bench";
    case CFG_HEALTH:
        return "health";
    case CFG_DESCRIBE:
        return "describe";
    case CFG_VERSION:
        return "version";
    case CFG_CONFIG:
        return "config";
    case CFG_QUANTIZE:
        return "quantize";
    case CFG_TEACH:
        return "teach";
    case CFG_COMPRESS:
        return "compress";
    default:
        return "mobilenetd";
    }
}
