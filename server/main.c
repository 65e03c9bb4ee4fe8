/* mobilenetd: the one binary. Picks the sub-command and reads its options. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "server/base/log.h"
#include "server/check.h"
#include "server/cli/commands.h"
#include "server/loop.h"

#define DEFAULT_FILE "/etc/mobilenetd/mobilenetd.conf"

static int config_command(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    int rc = cfg->check ? srv_check(cfg, stderr, err, errlen) : 0;
    return rc < 0 ? rc : srv_cmd_config(cfg, out, err, errlen);
}

static const struct command {
    const char *name;
    int bit;
    int (*run)(const struct cfg *cfg, FILE *out, char *err, size_t errlen); /* NULL: serve */
    int args;                                                               /* takes FILE… */
    const char *usage, *summary;
} commands[] = {
    {"serve", CFG_SERVE, NULL, 0, "mobilenetd serve [--models DIR] [--http HOST:PORT] [OPTION…]",
     "answer requests over HTTP until SIGTERM"},
    {"classify", CFG_CLASSIFY, srv_cmd_classify, 1,
     "mobilenetd classify [--models DIR] [--model NAME] [--json] FILE…",
     "classify pictures without a daemon"},
    {"bench", CFG_BENCH, srv_cmd_bench, 1,
     "mobilenetd bench [MODEL | --model NAME | --alpha A --rho R [--form F]] "
     "[OPTION…]",
     "measure how fast a network runs here, against the machine's peak"},
    {"describe", CFG_DESCRIBE, srv_cmd_describe, 1,
     "mobilenetd describe [MODEL | --model NAME | --alpha A --rho R [--form F]] [OPTION…]",
     "layers, multiply-adds and parameters of a network"},
    {"quantize", CFG_QUANTIZE, srv_cmd_quantize, 1,
     "mobilenetd quantize MODEL --images DIR [-o OUT] [OPTION…]",
     "make an int8 model (ONNX) of a float one, and say how well it agrees"},
    {"teach", CFG_TEACH, srv_cmd_teach, 1,
     "mobilenetd teach MODEL --images DIR_OF_FOLDERS [-o NEW] [OPTION…]",
     "make a model of new classes from pictures, one folder a class"},
    {"compress", CFG_COMPRESS, srv_cmd_compress, 1,
     "mobilenetd compress MODEL [--codebook N] [--prune SHARE] [--images DIR] [-o OUT] [OPTION…]",
     "make the files of a model smaller, and say what it costs"},
    {"health", CFG_HEALTH, srv_cmd_health, 0, "mobilenetd health [--http HOST:PORT]",
     "exit 0 if the daemon at that address is ready"},
    {"version", CFG_VERSION, srv_cmd_version, 0, "mobilenetd version",
     "versions of this program and of what it is made of"},
    {"config", CFG_CONFIG, config_command, 0,
     "mobilenetd config [--check | --show | --sample | --markdown] [OPTION…]",
     "check or print the configuration"},
};

static void print_commands(FILE *out)
{
    fputs("Usage: mobilenetd COMMAND [OPTION…]\n\n", out);
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].summary);
    fputs("\nmobilenetd COMMAND --help lists the options of one.\n", out);
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    return NULL;
}

static int print_help(const struct command *c)
{
    char usage[256];
    snprintf(usage, sizeof(usage), "Usage: %s\n", c->usage);
    cfg_print_help(stdout, c->bit, usage);
    return 0;
}

/* What reads the log of a daemon finds the reason of its end there, in the form of all its lines.
 */
static void say(const struct command *c, const struct cfg_sources *sources, const char *sentence)
{
    struct srv_log *log = NULL;
    int json = !c->run && cfg_wants_json_log(sources);
    if (!json || srv_log_create(&log, STDERR_FILENO) < 0) {
        fprintf(stderr, "mobilenetd %s: %s\n", c->name, sentence);
        return;
    }
    srv_log_configure(log, "error", "json");
    srv_log(log, SRV_ERROR, "%s", sentence);
    srv_log_destroy(log);
}

static int run(const struct command *c, int argc, char **argv)
{
    struct cfg_sources sources = {
        .command = c->bit,
        .argc = argc,
        .argv = argv,
        .envp = environ,
        .default_file = DEFAULT_FILE,
    };
    struct cfg *cfg;
    char err[512] = "";
    if (!c->run)
        srv_hold_reloads();
    int rc = cfg_load(&cfg, &sources, err, sizeof(err));
    if (rc == 1)
        return print_help(c);
    if (rc == 0 && !c->args && cfg->n_args > 0) {
        snprintf(err, sizeof(err), "\"%s\" is not an option", cfg->args[0]);
        cfg_destroy(cfg);
        rc = -1;
    }
    if (rc < 0) {
        say(c, &sources, err);
        return 2;
    }
    if (c->run) {
        rc = c->run(cfg, stdout, err, sizeof(err));
        cfg_destroy(cfg);
    } else {
        rc = srv_serve(cfg, &sources, err, sizeof(err));
    }
    if (rc < 0)
        say(c, &sources, err[0] ? err : strerror(-rc));
    return rc < 0 ? EXIT_FAILURE : rc;
}

/* A file or socket that became descriptor 2 would be written the log. */
static int fill_standard_descriptors(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
            return -1;
    return 0;
}

int main(int argc, char **argv)
{
    if (fill_standard_descriptors() < 0)
        return EXIT_FAILURE;
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_commands(argc > 1 ? stdout : stderr);
        return argc > 1 ? 0 : 2;
    }
    if (strcmp(name, "--version") == 0)
        name = "version";
    const struct command *c = find(name);
    if (!c) {
        fprintf(stderr, "mobilenetd: there is no command \"%s\"\n", name);
        print_commands(stderr);
        return 2;
    }
    return run(c, argc - 2, argv + 2);
}
