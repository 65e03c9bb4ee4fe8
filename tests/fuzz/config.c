/* A configuration file and a command line of any bytes: refused with a sentence or taken whole. */
#include "config/table.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* Whatever was accepted prints as a value that is accepted again. */
static void round_trip(struct cfg *c)
{
    char value[CFG_VALUE_MAX], err[256];
    for (int i = 0; i < CFG_N_ROWS; i++) {
        char *text = strdup(cfg_format(c, i, value));
        require(text != NULL);
        require(cfg_set(c, i, text, err, sizeof(err)) == 0);
        require(strcmp(cfg_format(c, i, value), text) == 0);
        free(text);
    }
}

/* Lines become arguments, and the lines that hold '=' variables too. */
static void command_line(const uint8_t *data, size_t size)
{
    char *argv[16], *envp[17], *copy = malloc(size + 1), err[128];
    struct cfg *c;
    struct cfg_sources src = {
        .command = size ? 1 << data[0] % 9 : CFG_SERVE, .argv = argv, .envp = envp};
    int n = 0;
    require(copy != NULL);
    memcpy(copy, data, size);
    copy[size] = 0;
    for (char *s = copy; *s && src.argc < 16; s += strcspn(s, "\n")) {
        if (*s == '\n')
            *s++ = 0;
        argv[src.argc++] = s;
        if (strchr(s, '='))
            envp[n++] = s;
    }
    envp[n] = NULL;
    for (int i = 0; i < src.argc; i++) {
        argv[i][strcspn(argv[i], "\n")] = 0;
        /* The fuzzer opens no files. */
        if (strstr(argv[i], "onfig") || strstr(argv[i], "ONFIG"))
            argv[i][0] = 0;
    }
    int r = cfg_load(&c, &src, err, sizeof(err));
    if (r == 0) {
        round_trip(c);
        cfg_destroy(c);
    } else {
        require(r == 1 || err[0]);
    }
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char err[128];
    struct cfg *c;
    struct cfg_sources src = {.command = CFG_SERVE};
    require(cfg_load(&c, &src, err, sizeof(err)) == 0);
    if (cfg_read_text(c, "fuzz", (const char *)data, size, err, sizeof(err)) == 0)
        round_trip(c);
    else
        require(err[0]);
    cfg_destroy(c);
    command_line(data, size);
    return 0;
}
