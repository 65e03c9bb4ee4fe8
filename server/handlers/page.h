/* The page that a browser is shown: page/index.html with its style and script, which the build
 * packs (page/embed.py). Loop thread. */
#ifndef SRV_PAGE_H
#define SRV_PAGE_H

#include <stddef.h>

struct srv_call;

extern const unsigned char srv_page[]; /* gzip */
extern const size_t srv_page_len, srv_page_whole;
extern const char srv_page_policy[]; /* Content-Security-Policy */
extern const char srv_page_tag[];    /* ETag */

/* Answers with it, if the client is a browser and the option `page` is on; else 0. */
int srv_page_reply(struct srv_call *c);

#endif
