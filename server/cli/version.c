/* `version`: what was built, from what, and what this CPU gives it. */
#include <microhttpd.h>
#include <uv.h>

#include "engine/engine.h"
#include "server/cli/commands.h"

int srv_cmd_version(const struct cfg *cfg, FILE *out, char *err, size_t errlen)
{
    (void)cfg;
    (void)err;
    (void)errlen;
    fprintf(out, "mobilenetd %s\n", MOBILENETD_VERSION);
    fprintf(out, "instruction set: %s\n", eng_cpu_name(eng_cpu_detect()));
    fprintf(out, "libuv %s, libmicrohttpd %s, gcc %s\n", uv_version_string(), MHD_get_version(),
            __VERSION__);
    return 0;
}
