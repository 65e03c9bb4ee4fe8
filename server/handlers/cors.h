/* Which pages of other origins may read the answers (Fetch standard, 3.2: CORS protocol). Option
 * `cors_origins`; browsers alone obey it: it is no access control for anybody else. */
#ifndef SRV_CORS_H
#define SRV_CORS_H

struct srv_call;

/* list: origins with commas or blanks between them, or "*". 1 if `origin`, as a browser sent it, is
 * among them to the byte. */
int srv_cors_allows(const char *list, const char *origin);
/* Adds the headers that every answer of this call has, a refusal too. */
void srv_cors_open(struct srv_call *c);
/* Answers the call if it is a browser's question about this path (its route is set). 1: it was. */
int srv_cors_preflight(struct srv_call *c);

#endif
