/* `config`: reads everything as `serve` would, and prints what was asked for. */
#include "server/cli/commands.h"

int srv_cmd_config(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    (void)err;
    (void)errlen;
    if (cfg->sample)
        cfg_print_sample(out);
    else if (cfg->markdown)
        cfg_print_markdown(out);
    else if (cfg->check)
        fprintf(out, "the configuration is valid\n");
    else
        cfg_print_values(out, cfg);
    return 0;
}
