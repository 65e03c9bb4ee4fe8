/* What a request may say beside its path: parameters of the query, fields of a form. A misspelt one
 * that were passed over would be an answer to another question than the one that was asked. */
#ifndef SRV_PARAMETERS_H
#define SRV_PARAMETERS_H

#include <stddef.h>

struct srv_call;

/* The route of the call says which parameters it takes (srv_route.query); one that it does not
 * take, or that is there twice, is 400. Routes that say nothing pass over all: probes, scrapers and
 * gateways add their own. Loop. */
void srv_parameters_check(struct srv_call *c);

/* Is the name one of `known`, names with blanks between them? */
/* The next name of a list, copied, cut if it is longer than that; *at: where to go on. 0: there is
 * none. */
enum { SRV_FIELD_MAX = 32 };
int srv_parameters_next(const char **at, char *ret, size_t len);
int srv_parameters_has(const char *known, const char *name, size_t len);
/* The sentence for one that is not: with a guess, or with all of them. Any thread. */
void srv_parameters_unknown(const char *known, const char *name, size_t len, char *ret,
                            size_t retlen);

#endif
