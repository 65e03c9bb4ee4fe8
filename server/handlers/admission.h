/* What the routes that take images share. */
#ifndef SRV_ADMISSION_H
#define SRV_ADMISSION_H

#include "server/handlers/call.h"

/* At the headers, with the request's model set: takes the deadline over, and refuses what the queue
 * has no room for or what cannot be done in time. -1: it has replied. */
int srv_api_admit(struct srv_call *c);
/* The request, whose model is set, is for this task, with its parameters of the query; NULL: for
 * none. -1: it has replied. */
struct srv_task;
int srv_api_fields(struct srv_call *c, const struct srv_task *t);
/* Replies what a failure of srv_req_admit(), _submit() or _offload() means. */
void srv_api_refuse(struct srv_call *c, int rc);
/* May this call change the server? 0: it has replied 403. */
int srv_api_is_admin(struct srv_call *c);
/* A text of static life. */
void srv_api_text(struct srv_call *c, int status, const char *type, const char *text);

#endif
