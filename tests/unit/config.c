/* Options from every source: strength, units, ranges, guesses, contradictions, hostile files. */
#include "config/table.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static char err[512];

/* Loads `flags` (blank-separated, cut in place) and one environment variable, if any. */
static int load(struct cfg **ret, int command, const char *flags, const char *variable)
{
    char *argv[32], *envp[2] = {(char *)variable, NULL};
    static char kept[8][512]; /* c->args point here */
    static int turn;
    struct cfg_sources src = {.command = command, .argv = argv, .envp = envp};
    char *save = kept[turn++ % 8];
    assert_true(strlen(flags) < sizeof(kept[0]));
    memcpy(save, flags, strlen(flags) + 1);
    for (char *s; (s = strsep(&save, " "));) {
        if (*s)
            argv[src.argc++] = s;
    }
    return cfg_load(ret, &src, err, sizeof(err));
}

static void refused(int code, int command, const char *flags, const char *variable,
                    const char *sentence)
{
    struct cfg *c = (struct cfg *)&err; /* must stay */
    assert_int_equal(load(&c, command, flags, variable), code);
    assert_string_equal(err, sentence);
    assert_ptr_equal(c, &err);
}

/* Reads text as a file over the defaults. */
static int read_text(struct cfg *c, const void *text, size_t len)
{
    return cfg_read_text(c, "f.conf", text, len, err, sizeof(err));
}

static struct cfg *fresh(void)
{
    struct cfg *c;
    assert_int_equal(load(&c, CFG_SERVE, "", NULL), 0);
    return c;
}

static void file_refused(const char *text, size_t len, const char *sentence)
{
    struct cfg *c = fresh();
    assert_true(read_text(c, text, len) < 0);
    assert_string_equal(err, sentence);
    cfg_destroy(c);
}

static char *write_temp(const char *text)
{
    char *path = strdup("/tmp/mobilenetd_config_XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    return path;
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct cfg *c = fresh();
    assert_string_equal(c->http, "127.0.0.1:8080");
    assert_string_equal(c->grpc, "127.0.0.1:8081");
    assert_int_equal(c->max_body, 20 << 20);
    assert_int_equal(c->idle_timeout_ms, 60000);
    assert_int_equal(c->log_requests, 1);
    assert_int_equal(c->n_args, 0);
    cfg_destroy(c);
    cfg_destroy(NULL);
}

static void every_default_is_in_its_own_range(void **state)
{
    (void)state;
    struct cfg *c = fresh();
    char value[CFG_VALUE_MAX];
    for (int i = 0; i < CFG_N_ROWS; i++) {
        char *text = strdup(cfg_format(c, i, value));
        int r = cfg_set(c, i, text, err, sizeof(err));
        if (r)
            fail_msg("%s: %s", cfg_rows[i].key, err);
        assert_string_equal(cfg_format(c, i, value), text);
        free(text);
    }
    cfg_destroy(c);
}

static void the_stronger_source_wins(void **state)
{
    (void)state;
    char *path = write_temp("workers = 3\nmax_batch = 4\nqueue_limit = 5\n");
    char flags[128];
    struct cfg *c;
    snprintf(flags, sizeof(flags), "--config %s --max-batch=6", path);
    assert_int_equal(load(&c, CFG_SERVE, flags, "MOBILENETD_WORKERS=7"), 0);
    assert_int_equal(c->workers, 7);
    assert_int_equal(c->max_batch, 6);
    assert_int_equal(c->queue_limit, 5);
    assert_int_equal(c->max_images, 64);
    assert_int_equal(c->priv->from[CFG_ROW_workers], CFG_FROM_ENVIRONMENT);
    assert_int_equal(c->priv->from[CFG_ROW_max_batch], CFG_FROM_FLAG);
    assert_int_equal(c->priv->from[CFG_ROW_queue_limit], CFG_FROM_FILE);
    assert_int_equal(c->priv->line[CFG_ROW_queue_limit], 3);
    assert_int_equal(c->priv->from[CFG_ROW_max_images], CFG_FROM_DEFAULT);
    cfg_destroy(c);
    unlink(path);
    free(path);
}

static void units_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *flags;
        int64_t body, idle;
    } good[] = {
        {"--max-body 4096", 4096, 60000},
        {"--max-body 64K", 65536, 60000},
        {"--max-body 64kib", 65536, 60000},
        {"--max-body=1.5M", 1572864, 60000},
        {"--max-body 1G", 1073741824, 60000},
        {"--idle-timeout-ms 250", 20971520, 250},
        {"--idle-timeout-ms 250ms", 20971520, 250},
        {"--idle_timeout_ms 1.25s", 20971520, 1250},
        {"--idle-timeout-ms 500000us", 20971520, 500},
        {"--idle-timeout-ms 2m", 20971520, 120000},
        {"--idle-timeout-ms 24h", 20971520, 86400000},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        struct cfg *c;
        if (load(&c, CFG_SERVE, good[i].flags, NULL))
            fail_msg("%s: %s", good[i].flags, err);
        assert_int_equal(c->max_body, good[i].body);
        assert_int_equal(c->idle_timeout_ms, good[i].idle);
        cfg_destroy(c);
    }
}

static void bad_values_are_refused_in_words(void **state)
{
    (void)state;
    refused(-EINVAL, CFG_SERVE, "--max-body 5x", NULL,
            "--max-body: '5x' is not a size; write bytes or a unit: 4096, 64K, 20M, 1G");
    refused(-EINVAL, CFG_SERVE, "--idle-timeout-ms 1500us", NULL,
            "--idle-timeout-ms: '1500us' is not a whole number of milliseconds");
    refused(-ERANGE, CFG_SERVE, "--idle-timeout-ms 1ms", NULL,
            "--idle-timeout-ms: '1ms' is out of range; allowed is 100ms to 1d");
    refused(-ERANGE, CFG_SERVE, "--workers 300", NULL,
            "--workers: '300' is out of range; allowed is 0 to 256");
    refused(-ERANGE, CFG_SERVE, "--workers -1", NULL,
            "--workers: '-1' is out of range; allowed is 0 to 256");
    refused(-ERANGE, CFG_SERVE, "--workers 99999999999999999999", NULL,
            "--workers: '99999999999999999999' is too large a number");
    refused(-ERANGE, CFG_SERVE, "--max-body 9223372036854775807G", NULL,
            "--max-body: '9223372036854775807G' is too large a number");
    refused(-EINVAL, CFG_SERVE, "--workers 0x10", NULL, "--workers: '0x10' is not a whole number");
    refused(-EINVAL, CFG_SERVE, "--workers 1.5", NULL, "--workers: '1.5' is not a whole number");
    refused(-EINVAL, CFG_SERVE, "--workers=", NULL, "--workers: '' is not a whole number");
    refused(-EINVAL, CFG_SERVE, "--workers --models", NULL, "--workers needs a value");
    refused(-EINVAL, CFG_SERVE, "--workers", NULL, "--workers needs a value");
    refused(-EINVAL, CFG_SERVE, "--log-requests=maybe", NULL,
            "--log-requests: 'maybe' is neither yes nor no; write on or off");
}

static void addresses_are_checked_in_form(void **state)
{
    (void)state;
    static const char *const good[] = {"0.0.0.0:80", "[::1]:9000", "localhost:0", ":8080",
                                       "unix:/run/m.sock"};
    static const char *const bad[] = {"localhost", ":",           "1.2.3.4:",       "1.2.3.4:70000",
                                      "::1:80",    "http://a:80", "1.2.3.4:80x",    "a:99999999999",
                                      "unix:",     "a b:80",      "1.2.3.4:8080/v1"};
    char flags[64];
    struct cfg *c;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        snprintf(flags, sizeof(flags), "--http %s", good[i]);
        assert_int_equal(load(&c, CFG_SERVE, flags, NULL), 0);
        assert_string_equal(c->http, good[i]);
        cfg_destroy(c);
    }
    c = fresh();
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_int_equal(cfg_set(c, CFG_ROW_http, bad[i], err, sizeof(err)), -EINVAL);
    assert_int_equal(cfg_set(c, CFG_ROW_http, "", err, sizeof(err)), -EINVAL);
    assert_int_equal(cfg_set(c, CFG_ROW_grpc, "", err, sizeof(err)), 0);
    cfg_destroy(c);
}

static void guesses_are_near(void **state)
{
    (void)state;
    refused(-EINVAL, CFG_SERVE, "--wrokers 3", NULL,
            "unknown flag --wrokers; did you mean --workers?");
    refused(-EINVAL, CFG_SERVE, "--maxbody=3", NULL,
            "unknown flag --maxbody; did you mean --max-body?");
    refused(-EINVAL, CFG_SERVE, "--queue 3", NULL,
            "unknown flag --queue; did you mean --queue-limit?");
    refused(-EINVAL, CFG_SERVE, "--zebra", NULL,
            "unknown flag --zebra; see mobilenetd serve --help");
    refused(-EINVAL, CFG_HEALTH, "--workers 3", NULL, "--workers is not a flag of health");
    refused(-EINVAL, CFG_SERVE, "--no-workers", NULL,
            "unknown flag --no-workers; did you mean --workers?");
    refused(-EINVAL, CFG_SERVE, "-m x", NULL, "unknown flag -m; flags are written --name");
    refused(-EINVAL, CFG_SERVE, "models", NULL,
            "serve takes no arguments: 'models'; did you mean --models?");
    refused(-EINVAL, CFG_SERVE, "--log-level warn", NULL,
            "--log-level: 'warn' is none of debug|info|warning|error; did you mean 'warning'?");
    refused(-EINVAL, CFG_SERVE, "--log-level INFO", NULL,
            "--log-level: 'INFO' is none of debug|info|warning|error; did you mean 'info'?");
    refused(-EINVAL, CFG_SERVE, "", "MOBILENETD_MODLES=x",
            "environment: unknown variable MOBILENETD_MODLES; did you mean MOBILENETD_MODELS?");
    refused(-EINVAL, CFG_SERVE, "", "MOBILENETD_HTTP=x",
            "environment MOBILENETD_HTTP: 'x' is not an address; write HOST:PORT, for example "
            "127.0.0.1:8080");
}

static void foreign_variables_pass(void **state)
{
    (void)state;
    static const char *const foreign[] = {"MOBILENETD_SERVICE_HOST=10.0.0.1",
                                          "MOBILENETD_PORT=tcp://10.0.0.1:80",
                                          "MOBILENETD_PORT_8080_TCP_ADDR=10.0.0.1",
                                          "MOBILENETD_=x",
                                          "MOBILENETD_SHOW=1",
                                          "MOBILENETD_SHARED=x",
                                          "MOBILENETD_MIRROR=x",
                                          "MOBILENETD",
                                          "mobilenetd_workers=3"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(*foreign); i++) {
        struct cfg *c;
        if (load(&c, CFG_SERVE, "", foreign[i]))
            fail_msg("%s: %s", foreign[i], err);
        assert_int_equal(c->workers, 0);
        assert_int_equal(c->show, 0);
        cfg_destroy(c);
    }
}

static void contradictions_are_named(void **state)
{
    (void)state;
    struct cfg *c;
    refused(-EINVAL, CFG_SERVE, "--models a --models b", NULL,
            "--models is given twice: 'a' and 'b'");
    refused(-EINVAL, CFG_SERVE, "--log-requests --no-log-requests", NULL,
            "--log-requests is given twice: 'on' and 'off'");
    refused(-EINVAL, CFG_SERVE, "--http 127.0.0.1:8081", NULL,
            "http 127.0.0.1:8081 and grpc 127.0.0.1:8081 cannot be bound together");
    refused(-EINVAL, CFG_SERVE, "--grpc 0.0.0.0:8080", NULL,
            "http 127.0.0.1:8080 and grpc 0.0.0.0:8080 cannot be bound together");
    refused(-EINVAL, CFG_SERVE, "--grpc :8080", NULL,
            "http 127.0.0.1:8080 and grpc :8080 cannot be bound together");
    refused(-EINVAL, CFG_SERVE, "--max-images 64 --queue-limit 8", NULL,
            "max_images 64 is more than queue_limit 8: such a request could never be admitted");
    /* `health` binds nothing; port 0 is any free port; one limit alone is no contradiction. */
    assert_int_equal(load(&c, CFG_HEALTH, "--http 127.0.0.1:8081", NULL), 0);
    cfg_destroy(c);
    assert_int_equal(load(&c, CFG_SERVE, "--http 127.0.0.1:0 --grpc 127.0.0.1:0", NULL), 0);
    cfg_destroy(c);
    assert_int_equal(load(&c, CFG_SERVE, "--queue-limit 8 --models a --models a", NULL), 0);
    cfg_destroy(c);
}

static void arguments_and_help(void **state)
{
    (void)state;
    struct cfg *c = NULL;
    assert_int_equal(load(&c, CFG_CLASSIFY, "a.jpg --models m - -- --b.jpg", NULL), 0);
    assert_int_equal(c->n_args, 3);
    assert_string_equal(c->args[0], "a.jpg");
    assert_string_equal(c->args[1], "-");
    assert_string_equal(c->args[2], "--b.jpg");
    assert_string_equal(c->models, "m");
    cfg_destroy(c);
    c = NULL;
    assert_int_equal(load(&c, CFG_SERVE, "--workers 3 --help", NULL), 1);
    assert_int_equal(load(&c, CFG_CLASSIFY, "-h", NULL), 1);
    assert_null(c);
    /* `config` takes what `serve` takes. */
    assert_int_equal(load(&c, CFG_CONFIG, "--show --no-log-requests --workers=2", NULL), 0);
    assert_int_equal(c->show, 1);
    assert_int_equal(c->log_requests, 0);
    assert_int_equal(c->workers, 2);
    cfg_destroy(c);
}

static void file_forms(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf# comment\r\n"
                               "; another\n"
                               "\n"
                               "  workers = 2   # why two\r\n"
                               "\tmax_batch=3 ; and three\n"
                               "max-body : 1M\n"
                               "models = \"/srv/a #1\"  # quoted\n"
                               "default_model = a=b:c#d\n"
                               "log_requests = off";
    struct cfg *c = fresh();
    if (read_text(c, text, sizeof(text) - 1))
        fail_msg("%s", err);
    assert_int_equal(c->workers, 2);
    assert_int_equal(c->max_batch, 3);
    assert_int_equal(c->max_body, 1 << 20);
    assert_string_equal(c->models, "/srv/a #1");
    assert_string_equal(c->default_model, "a=b:c#d");
    assert_int_equal(c->log_requests, 0);
    assert_int_equal(c->priv->line[CFG_ROW_log_requests], 9);
    cfg_destroy(c);
}

#define FILE_REFUSED(text, sentence) file_refused(text, sizeof(text) - 1, sentence)

static void hostile_files(void **state)
{
    (void)state;
    char line[5000], sentence[256];
    FILE_REFUSED("workers = 1\nmodls = x\n",
                 "f.conf:2: unknown key 'modls'; did you mean 'models'?");
    FILE_REFUSED("zebra = x\n", "f.conf:1: unknown key 'zebra'");
    FILE_REFUSED("\n\nhello\n", "f.conf:3: neither `key = value` nor a comment");
    FILE_REFUSED("workers = 1\nworkers = 1\n",
                 "f.conf:2: 'workers' is given twice; the first time on line 1");
    FILE_REFUSED("workers = 5x\n", "f.conf:1: workers: '5x' is not a whole number");
    FILE_REFUSED("[serve]\nworkers = 1\n",
                 "f.conf:1: a [section]; this file has none, only `key = value` lines");
    FILE_REFUSED("workers = 1\0\n", "f.conf:1: a NUL byte; this is no text file");
    FILE_REFUSED("models = a\x1b[2J\n", "f.conf:1: a control character");
    FILE_REFUSED("models = \xc3\x28\n", "f.conf:1: invalid UTF-8");
    FILE_REFUSED("models = \xed\xa0\x80\n", "f.conf:1: invalid UTF-8");
    FILE_REFUSED("models = \"a\n", "f.conf:1: quotes that do not match");
    FILE_REFUSED("models = \"a\" b\n", "f.conf:1: quotes that do not match");
    FILE_REFUSED("show = on\n",
                 "f.conf:1: 'show' is a flag of a sub-command, not a key of this file");
    FILE_REFUSED("config = x\n",
                 "f.conf:1: 'config' is a flag of a sub-command, not a key of this file");
    /* libinih would cut here without a word. */
    memset(line, 'a', sizeof(line));
    memcpy(line, "models = ", 9);
    snprintf(sentence, sizeof(sentence),
             "f.conf:1: the line is %d bytes long; at most 198 are read", (int)sizeof(line));
    file_refused(line, sizeof(line), sentence);
    file_refused(line, 199, "f.conf:1: the line is 199 bytes long; at most 198 are read");
    struct cfg *c = fresh();
    assert_int_equal(read_text(c, line, 198), 0);
    assert_int_equal(strlen(c->models), 189);
    cfg_destroy(c);
    /* A comment may be as long as it likes. */
    line[0] = '#';
    c = fresh();
    assert_int_equal(read_text(c, line, sizeof(line)), 0);
    assert_string_equal(c->models, "");
    cfg_destroy(c);
}

static void files_that_cannot_be_read(void **state)
{
    (void)state;
    struct cfg *c;
    struct cfg_sources src = {.command = CFG_SERVE, .default_file = "/nonexistent/mobilenetd.conf"};
    assert_int_equal(cfg_load(&c, &src, err, sizeof(err)), 0);
    cfg_destroy(c);
    refused(-ENOENT, CFG_SERVE, "--config /nonexistent/x", NULL,
            "cannot read /nonexistent/x: No such file or directory");
    refused(-EISDIR, CFG_SERVE, "--config /tmp", NULL, "cannot read /tmp: Is a directory");
    refused(-E2BIG, CFG_SERVE, "--config /dev/zero", NULL,
            "cannot read /dev/zero: it is larger than 1 MiB");
}

static void reload_names_what_it_cannot_change(void **state)
{
    (void)state;
    struct cfg *now = fresh(), *next;
    char names[128], little[8];
    assert_int_equal(load(&next, CFG_SERVE, "--workers 3 --log-level debug --http a:1", NULL), 0);
    assert_int_equal(cfg_reload_conflicts(now, next, names, sizeof(names)), 2);
    assert_string_equal(names, "http, workers");
    assert_int_equal(cfg_reload_conflicts(now, next, little, sizeof(little)), 2);
    assert_string_equal(little, "http, w");
    assert_int_equal(cfg_reload_conflicts(now, now, names, sizeof(names)), 0);
    assert_string_equal(names, "");
    cfg_destroy(now);
    cfg_destroy(next);
}

static void a_small_error_buffer_is_terminated(void **state)
{
    (void)state;
    char small[8] = "xxxxxxx", *argv[] = {(char *)"--zebra"};
    struct cfg *c;
    struct cfg_sources src = {.command = CFG_SERVE, .argc = 1, .argv = argv};
    assert_int_equal(cfg_load(&c, &src, small, sizeof(small)), -EINVAL);
    assert_string_equal(small, "unknown");
    assert_int_equal(cfg_load(&c, &src, small, 0), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(every_default_is_in_its_own_range),
        cmocka_unit_test(the_stronger_source_wins),
        cmocka_unit_test(units_are_exact),
        cmocka_unit_test(bad_values_are_refused_in_words),
        cmocka_unit_test(addresses_are_checked_in_form),
        cmocka_unit_test(guesses_are_near),
        cmocka_unit_test(foreign_variables_pass),
        cmocka_unit_test(contradictions_are_named),
        cmocka_unit_test(arguments_and_help),
        cmocka_unit_test(file_forms),
        cmocka_unit_test(hostile_files),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(reload_names_what_it_cannot_change),
        cmocka_unit_test(a_small_error_buffer_is_terminated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
