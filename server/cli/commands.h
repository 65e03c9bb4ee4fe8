/* Sub-commands: each reads its options from cfg and prints to out. The exit status (0, 1); on
 * failure a negative errno or ENG_E_* with a sentence. */
#ifndef SRV_COMMANDS_H
#define SRV_COMMANDS_H

#include <stdio.h>

#include "config/config.h"

int srv_cmd_classify(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_bench(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_health(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_describe(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_quantize(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_teach(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_compress(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_version(const struct cfg *cfg, FILE *out, char *err, size_t errlen);
int srv_cmd_config(const struct cfg *cfg, FILE *out, char *err, size_t errlen);

#endif
