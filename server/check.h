/* What a start would stumble over, without a start. */
#ifndef SRV_CHECK_H
#define SRV_CHECK_H

#include <stddef.h>
#include <stdio.h>

struct cfg;

/* Reads what srv_serve() reads before it listens: keys, certificates, models, and says what that
 * would say: 0, or a negative errno with its sentence. Models that would only be left out are
 * warnings, a line each. It binds nothing and changes nothing. */
int srv_check(const struct cfg *cfg, FILE *warnings, char *err, size_t errlen);

#endif
