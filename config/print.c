/* What people read of the table: --help, the manual, the sample file, `config --show`. */
#include "config/table.h"

#include <string.h>

#define WIDTH 80
#define COLUMNS 100 /* of documents */

/* Words of text, indented, wrapped at WIDTH; prefix ("# ") starts every line. */
static void wrap(FILE *out, const char *prefix, int indent, const char *text)
{
    int column = 0;
    while (*text) {
        int n = (int)strcspn(text, " ");
        if (column && column + 1 + n > WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (!column)
            column = fprintf(out, "%s%*s", prefix, indent, "");
        else
            column += fprintf(out, " ");
        column += fprintf(out, "%.*s", n, text);
        text += n + (text[n] == ' ');
    }
    if (column)
        fputc('\n', out);
}

static const char *metavar(enum cfg_kind kind)
{
    switch (kind) {
    case CFG_KIND_FLAG:
        return "";
    case CFG_KIND_ADDRESS:
        return " HOST:PORT";
    case CFG_KIND_ENUM:
        return " NAME";
    case CFG_KIND_REAL:
        return " X";
    case CFG_KIND_INT:
        return " N";
    case CFG_KIND_BYTES:
        return " SIZE";
    case CFG_KIND_MS:
    case CFG_KIND_US:
        return " TIME";
    default:
        return " TEXT";
    }
}

static const char *spell(const char *key, int upper, char *buf, size_t len)
{
    size_t i;
    for (i = 0; key[i] && i + 1 < len; i++) {
        char ch = key[i];
        if (upper)
            buf[i] = ch >= 'a' && ch <= 'z' ? (char)(ch - 'a' + 'A') : ch;
        else
            buf[i] = ch == '_' ? '-' : ch;
    }
    buf[i] = 0;
    return buf;
}

/* "1 to 256", "text or json", "on or off": what the row takes. */
static void describe_range(const struct cfg_row *row, char *buf, size_t len)
{
    char lo[CFG_VALUE_MAX], hi[CFG_VALUE_MAX];
    size_t n = 0;
    switch (row->kind) {
    case CFG_KIND_FLAG:
        snprintf(buf, len, "on or off");
        break;
    case CFG_KIND_STRING:
        snprintf(buf, len, "text");
        break;
    case CFG_KIND_ADDRESS:
        snprintf(buf, len, "address%s", row->min ? "" : " or empty");
        break;
    case CFG_KIND_ENUM:
        snprintf(buf, len, "one of ");
        n = strlen(buf);
        for (const char *s = row->list; *s && n + 3 < len; s++) {
            buf[n++] = *s == '|' ? ',' : *s;
            if (*s == '|')
                buf[n++] = ' ';
        }
        buf[n] = 0;
        break;
    case CFG_KIND_REAL:
        snprintf(buf, len, "%g to %g", row->real_min, row->real_max);
        break;
    default:
        snprintf(buf, len, "%s%s to %s",
                 row->kind == CFG_KIND_BYTES ? "size, "
                 : row->kind == CFG_KIND_INT ? ""
                                             : "time, ",
                 cfg_format_number(row->kind, row->min, lo),
                 cfg_format_number(row->kind, row->max, hi));
        break;
    }
}

static const char *default_text(int row, char *buf)
{
    struct cfg c = {0};
    cfg_defaults(&c);
    const char *text = cfg_format(&c, row, buf);
    return *text ? text : "empty";
}

static void help_row(FILE *out, int i, int command)
{
    const struct cfg_row *row = &cfg_rows[i];
    char name[64], range[256], value[CFG_VALUE_MAX], text[512], variable[64];
    fprintf(out, "  --%s%s\n", spell(row->key, 0, name, sizeof(name)), metavar(row->kind));
    if (row->kind == CFG_KIND_FLAG && !cfg_row_is_shared(row)) {
        wrap(out, "", 8, row->help);
        return;
    }
    wrap(out, "", 8, row->help);
    describe_range(row, range, sizeof(range));
    snprintf(text, sizeof(text), "[%s; default %s%s%s]", range, default_text(i, value),
             cfg_row_is_shared(row) && command != CFG_CONFIG ? "; " : "",
             cfg_row_is_shared(row) && command != CFG_CONFIG ? "MOBILENETD_" : "");
    if (cfg_row_is_shared(row) && command != CFG_CONFIG) {
        snprintf(text + strlen(text) - 1, sizeof(text) - strlen(text) + 1, "%s]",
                 spell(row->key, 1, variable, sizeof(variable)));
    }
    wrap(out, "", 8, text);
}

void cfg_print_help(FILE *out, int command, const char *usage)
{
    int shared = 0, n = 0;
    fprintf(out, "%s\n", usage);
    if (usage[0] && usage[strlen(usage) - 1] != '\n')
        fputc('\n', out);
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if (!(cfg_rows[i].commands & command))
            continue;
        if (!n++)
            fprintf(out, "Options:\n");
        help_row(out, i, command);
        shared |= cfg_row_is_shared(&cfg_rows[i]);
    }
    fprintf(out, "  --help\n        print this\n");
    if (command == CFG_CONFIG)
        fprintf(out, "\nAll options of `mobilenetd serve` are taken too.\n");
    if (!shared)
        return;
    fputc('\n', out);
    wrap(out, "", 0,
         "--name VALUE and --name=VALUE are the same; an on/off option is switched by --name and "
         "--no-name. Sizes take K, M, G (1K = 1024); times take us, ms, s, m, h, d.");
    wrap(out, "", 0,
         "A flag is stronger than the environment variable, which is stronger than the "
         "configuration file (--config FILE, or MOBILENETD_CONFIG).");
}

/* Text for a cell of a Markdown table. */
static void cell(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', out);
        fputc(*text, out);
    }
}

static void markdown_row(FILE *out, int i, int shared)
{
    const struct cfg_row *row = &cfg_rows[i];
    char name[64], range[256], value[CFG_VALUE_MAX];
    describe_range(row, range, sizeof(range));
    if (shared)
        fprintf(out, "| `%s` | ", row->key);
    else
        fprintf(out, "| `--%s` | ", spell(row->key, 0, name, sizeof(name)));
    cell(out, row->help);
    fprintf(out, " | ");
    cell(out, range);
    const char *text = default_text(i, value);
    fprintf(out, strcmp(text, "empty") ? " | `%s` |" : " | %s |", text);
    if (shared)
        fprintf(out, " %s |", row->reload ? "yes" : "no");
    fputc('\n', out);
}

/* The options of a command that stand in the table of all. */
static void markdown_shared(FILE *out, int command)
{
    char name[64];
    int column = fprintf(out, "From the table above:");
    const char *end = "";
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if (!(cfg_rows[i].commands & command) || !cfg_row_is_shared(&cfg_rows[i]))
            continue;
        spell(cfg_rows[i].key, 0, name, sizeof(name));
        int width = (int)strlen(name) + (int)strlen(" `--`,");
        const char *before = column + width > COLUMNS ? "\n" : " ";
        column = *before == '\n' ? width : column + width;
        fprintf(out, "%s%s`--%s`", end, before, name);
        end = ",";
    }
}

static void markdown_command(FILE *out, int command)
{
    int own = 0, shared = 0;
    for (int i = 0; i < CFG_N_ROWS; i++) {
        own += (cfg_rows[i].commands & command) && !cfg_row_is_shared(&cfg_rows[i]);
        shared += (cfg_rows[i].commands & command) && cfg_row_is_shared(&cfg_rows[i]);
    }
    if (!own && !shared)
        return;
    fprintf(out, "\n## Flags of `mobilenetd %s`\n\n", cfg_command_name(command));
    if (command == CFG_CONFIG) {
        fprintf(out, "All options of `serve`, and:\n\n");
    } else if (shared) {
        markdown_shared(out, command);
        fprintf(out, own ? "; and:\n\n" : ".\n");
    }
    if (own)
        fprintf(out, "| flag | meaning | takes | default |\n|---|---|---|---|\n");
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if ((cfg_rows[i].commands & command) && !cfg_row_is_shared(&cfg_rows[i]))
            markdown_row(out, i, 0);
    }
}

void cfg_print_markdown(FILE *out)
{
    fputs(
        "# Options\n\n"
        "Printed by `mobilenetd config --markdown`; a test compares the two.\n\n"
        "An option can be set in four places. The later one wins:\n"
        "\n"
        "1. its default,\n"
        "2. the configuration file, one `key = value` a line (`--config FILE` or "
        "`MOBILENETD_CONFIG`),\n"
        "3. the environment: `MOBILENETD_` and the key in capitals, `MOBILENETD_MAX_BODY=20M`,\n"
        "4. a flag: the key with `-` for `_`, `--max-body 20M` or `--max-body=20M`. An on/off\n"
        "   option is switched by `--name` and `--no-name`.\n"
        "\n"
        "`mobilenetd config --show` prints every value and where it came from. Its output is a\n"
        "valid file. `mobilenetd config --check` reports the first mistake, as `serve` would "
        "before\n"
        "it listens. It opens what the options name: keys, certificates, models, the default\n"
        "model. A model that would be left out is a warning.\n"
        "\n"
        "An unknown key, a wrong unit, a value out of range or a contradiction stops the start\n"
        "with one sentence. A variable that begins with `MOBILENETD_` and resembles no option is\n"
        "ignored: Kubernetes sets such variables.\n"
        "\n"
        "## Values\n"
        "\n"
        "| kind | example | meaning |\n"
        "|---|---|---|\n"
        "| size | `64K` | bytes; `K`, `M`, `G` are powers of 1024 |\n"
        "| time | `250ms` | `us`, `ms`, `s`, `m`, `h`, `d` |\n"
        "| address | `127.0.0.1:8080` | HOST:PORT; port 0 is any free one |\n"
        "| | `[::1]:8080` | an IPv6 address stands in brackets |\n"
        "| | `:8080` | every IPv4 address; `[::]:8080` is every IPv6 and IPv4 address |\n"
        "| | `unix:/run/m.sock` | a socket in the file system |\n"
        "\n"
        "In the file, a line that starts with `#` or `;` is a comment. So is the rest of a line\n"
        "after a space and `#` or `;`. A value may stand in double quotes. A line longer than 198\n"
        "bytes is refused, not cut.\n"
        "\n"
        "An option with *reload* yes is read again on SIGHUP. Any other change needs a restart, "
        "and\n"
        "the log names it.\n"
        "\n"
        "## File, environment and flags of `mobilenetd serve`\n\n"
        "| key | meaning | takes | default | reload |\n|---|---|---|---|---|\n",
        out);
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if (cfg_row_is_shared(&cfg_rows[i]))
            markdown_row(out, i, 1);
    }
    for (int command = CFG_CLASSIFY; command < CFG_ALL; command <<= 1)
        markdown_command(out, command);
}

void cfg_print_sample(FILE *out)
{
    char range[256], text[512], value[CFG_VALUE_MAX];
    fputs("# Configuration of mobilenetd: `mobilenetd serve --config FILE`.\n"
          "# Printed by `mobilenetd config --sample`; every line shows its default.\n"
          "# Environment variables (MOBILENETD_KEY) and flags (--key) are stronger.\n",
          out);
    for (int i = 0; i < CFG_N_ROWS; i++) {
        const struct cfg_row *row = &cfg_rows[i];
        struct cfg c = {0};
        if (!cfg_row_is_shared(row) || i == CFG_ROW_config)
            continue;
        cfg_defaults(&c);
        fputc('\n', out);
        wrap(out, "# ", 0, row->help);
        describe_range(row, range, sizeof(range));
        snprintf(text, sizeof(text), "(%s; %s)", range,
                 row->reload ? "reloaded on SIGHUP" : "needs a restart");
        wrap(out, "# ", 0, text);
        const char *v = cfg_format(&c, i, value);
        fprintf(out, "#%s =%s%s\n", row->key, *v ? " " : "", v);
    }
}

static void print_origin(FILE *out, const struct cfg *c, int row)
{
    static const char *const names[] = {"default", "file", "environment", "flag"};
    if (c->priv->from[row] == CFG_FROM_FILE)
        fprintf(out, "%s:%d\n", c->priv->file, c->priv->line[row]);
    else
        fprintf(out, "%s\n", names[c->priv->from[row]]);
}

/* Would a file's reader take the bare text for something else? */
static int needs_quotes(const char *text)
{
    return strpbrk(text, "#; \t") != NULL;
}

void cfg_print_values(FILE *out, const struct cfg *c)
{
    char value[CFG_VALUE_MAX];
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if (!cfg_row_is_shared(&cfg_rows[i]))
            continue;
        const char *text = cfg_format(c, i, value);
        const char *quote = needs_quotes(text) ? "\"" : "";
        /* A file cannot name another file. */
        fprintf(out, "%s%s =%s%s%s%s  # ", i == CFG_ROW_config ? "# " : "", cfg_rows[i].key,
                *text ? " " : "", quote, text, quote);
        print_origin(out, c, i);
    }
    for (int i = 0; i < c->priv->n_ignored; i++)
        fprintf(out, "# environment: %s is ignored, no option has that name\n",
                c->priv->ignored[i]);
}
