/* What is printed from the option table: the manual and the sample file in the tree are exactly
 * what the table gives, the sample and `config --show` read back, help keeps to 80 columns. */
#include "config/table.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static char err[512];

static char *print(void (*writer)(FILE *), size_t *ret_len)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, ret_len);
    assert_non_null(out);
    writer(out);
    fclose(out);
    return text;
}

static void same_as_file(const char *name, void (*writer)(FILE *))
{
    char path[4096], line[1024];
    size_t len, at = 0;
    char *text = print(writer, &len);
    snprintf(path, sizeof(path), "%s/%s", SOURCE_ROOT, name);
    FILE *in = fopen(path, "r");
    if (!in)
        fail_msg("%s is missing", name);
    for (int n = 1; fgets(line, sizeof(line), in); n++) {
        size_t got = strlen(line);
        if (len - at < got || memcmp(text + at, line, got))
            fail_msg("%s:%d is not what the table prints: %s", name, n, line);
        at += got;
    }
    fclose(in);
    if (at != len)
        fail_msg("%s lacks: %s", name, text + at);
    free(text);
}

static void manual_is_current(void **state)
{
    (void)state;
    same_as_file("docs/CONFIG.md", cfg_print_markdown);
}

static void sample_is_current(void **state)
{
    (void)state;
    same_as_file("deploy/mobilenetd.conf.sample", cfg_print_sample);
}

static struct cfg *load(int argc, char **argv)
{
    struct cfg *c;
    struct cfg_sources src = {.command = CFG_SERVE, .argc = argc, .argv = argv};
    if (cfg_load(&c, &src, err, sizeof(err)))
        fail_msg("%s", err);
    return c;
}

static void assert_same_values(const struct cfg *a, const struct cfg *b)
{
    char x[CFG_VALUE_MAX], y[CFG_VALUE_MAX];
    for (int i = 0; i < CFG_N_ROWS; i++)
        assert_string_equal(cfg_format(a, i, x), cfg_format(b, i, y));
}

static void sample_with_every_line_active_is_the_default(void **state)
{
    (void)state;
    size_t len, used = 0;
    char *text = print(cfg_print_sample, &len);
    int set = 0;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '#' && (!i || text[i - 1] == '\n') && text[i + 1] != ' ')
            continue;
        text[used++] = text[i];
    }
    struct cfg *c = load(0, NULL), *d = load(0, NULL);
    if (cfg_read_text(c, "sample", text, used, err, sizeof(err)))
        fail_msg("%s", err);
    for (int i = 0; i < CFG_N_ROWS; i++) {
        if (i != CFG_ROW_config)
            assert_int_equal(c->priv->line[i] != 0, cfg_row_is_shared(&cfg_rows[i]));
        set += c->priv->line[i] != 0;
    }
    assert_true(set > 10);
    assert_same_values(c, d);
    cfg_destroy(c);
    cfg_destroy(d);
    free(text);
}

static void show_reads_back(void **state)
{
    (void)state;
    static const char *const flags[] = {
        "--models=/srv/my #models", "--max-body=1.5M",      "--idle-timeout-ms=1500",
        "--no-log-requests",        "--log-format=json",    "--grpc=",
        "--default-model=a b",      "--drain-grace-ms=90s",
    };
    char *argv[8], *text = NULL;
    size_t len;
    for (int i = 0; i < 8; i++)
        argv[i] = (char *)flags[i];
    struct cfg *c = load(8, argv), *d = load(0, NULL);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(out);
    cfg_print_values(out, c);
    fclose(out);
    assert_non_null(strstr(text, "max_body = 1536K  # flag\n"));
    assert_non_null(strstr(text, "workers = 0  # default\n"));
    if (cfg_read_text(d, "show", text, len, err, sizeof(err)))
        fail_msg("%s", err);
    assert_same_values(c, d);
    assert_non_null(strstr(text, "models = \"/srv/my #models\"  # flag\n"));
    cfg_destroy(c);
    cfg_destroy(d);
    free(text);
}

static void show_names_file_and_line(void **state)
{
    (void)state;
    static const char file[] = "\nworkers = 2\n";
    char *text = NULL;
    size_t len;
    struct cfg *c = load(0, NULL);
    c->priv->file = strdup("/etc/m.conf");
    assert_int_equal(cfg_read_text(c, "m", file, sizeof(file) - 1, err, sizeof(err)), 0);
    FILE *out = open_memstream(&text, &len);
    cfg_print_values(out, c);
    fclose(out);
    assert_non_null(strstr(text, "workers = 2  # /etc/m.conf:2\n"));
    cfg_destroy(c);
    free(text);
}

static void help_fits_80_columns_and_names_every_flag(void **state)
{
    (void)state;
    for (int command = 1; command < CFG_ALL; command <<= 1) {
        char *text = NULL, flag[80];
        size_t len;
        FILE *out = open_memstream(&text, &len);
        cfg_print_help(out, command, "Usage: mobilenetd x");
        fclose(out);
        assert_int_equal(strncmp(text, "Usage: mobilenetd x\n\n", 21), 0);
        for (char *s = text; *s; s += strcspn(s, "\n") + 1) {
            if (strcspn(s, "\n") > 80)
                fail_msg("%s: %.100s", cfg_command_name(command), s);
        }
        for (int i = 0; i < CFG_N_ROWS; i++) {
            int n = snprintf(flag, sizeof(flag), "\n  --%s", cfg_rows[i].key);
            for (int k = 5; k < n; k++)
                flag[k] = flag[k] == '_' ? '-' : flag[k];
            const char *hit = strstr(text, flag);
            while (hit && hit[n] != ' ' && hit[n] != '\n')
                hit = strstr(hit + 1, flag);
            assert_int_equal(hit != NULL, (cfg_rows[i].commands & command) != 0);
        }
        free(text);
    }
}

static void table_is_sane(void **state)
{
    (void)state;
    for (int i = 0; i < CFG_N_ROWS; i++) {
        const struct cfg_row *row = &cfg_rows[i];
        assert_true(strlen(row->key) <= 48 && strlen(row->key) > 0);
        assert_int_equal(strspn(row->key, "abcdefghijklmnopqrstuvwxyz0123456789_"),
                         strlen(row->key));
        assert_int_equal(cfg_row_find(row->key, strlen(row->key)), i);
        assert_true(strlen(row->help) > 5);
        assert_true(row->min <= row->max || row->kind == CFG_KIND_ADDRESS);
        assert_true(row->real_min <= row->real_max);
        assert_int_equal(row->commands & ~CFG_ALL, 0);
        assert_int_not_equal(row->commands, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_is_current),
        cmocka_unit_test(sample_is_current),
        cmocka_unit_test(sample_with_every_line_active_is_the_default),
        cmocka_unit_test(show_reads_back),
        cmocka_unit_test(show_names_file_and_line),
        cmocka_unit_test(help_fits_80_columns_and_names_every_flag),
        cmocka_unit_test(table_is_sane),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
