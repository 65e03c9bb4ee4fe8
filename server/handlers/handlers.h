/* The handlers that routes.def names. */
#ifndef SRV_HANDLERS_H
#define SRV_HANDLERS_H

struct srv_call;

/* srv_classify_begin() and so on; every task's finish is srv_images_finish(). */
#define TASK(name) void srv_##name##_begin(struct srv_call *c);
#include "server/handlers/tasks/tasks.def"
void srv_images_finish(struct srv_call *c);
void srv_teach_begin(struct srv_call *c);
void srv_teach_finish(struct srv_call *c);
void srv_models_finish(struct srv_call *c);
void srv_live_finish(struct srv_call *c);
void srv_ready_finish(struct srv_call *c);
void srv_metrics_finish(struct srv_call *c);
void srv_debug_requests_finish(struct srv_call *c);
void srv_events_finish(struct srv_call *c);
void srv_layers_finish(struct srv_call *c);
void srv_root_finish(struct srv_call *c);
void srv_openapi_finish(struct srv_call *c);

void srv_oip_infer_begin(struct srv_call *c);
void srv_oip_infer_finish(struct srv_call *c);
void srv_oip_server_finish(struct srv_call *c);
void srv_oip_model_finish(struct srv_call *c);
void srv_oip_model_ready_finish(struct srv_call *c);
void srv_oip_config_finish(struct srv_call *c);
void srv_oip_statistics_finish(struct srv_call *c);
void srv_oip_all_statistics_finish(struct srv_call *c);
void srv_oip_index_finish(struct srv_call *c);
void srv_oip_load_finish(struct srv_call *c);
void srv_oip_unload_finish(struct srv_call *c);
void srv_oip_logging_finish(struct srv_call *c);
void srv_oip_unsupported_finish(struct srv_call *c);

void srv_tfs_begin(struct srv_call *c);
void srv_tfs_predict_finish(struct srv_call *c);
void srv_tfs_classify_finish(struct srv_call *c);
void srv_tfs_regress_finish(struct srv_call *c);
void srv_tfs_status_finish(struct srv_call *c);
void srv_tfs_metadata_finish(struct srv_call *c);

/* Replies what an exchange of infer.h came to. */
struct srv_infer;
void srv_oip_answer(struct srv_infer *i, void *call);
/* The same of one that failed; 0: it did not. */
int srv_oip_failed(const struct srv_infer *i, struct srv_call *c);
/* The model of the path, {} and the second {} its version, in Triton's words. <0: it has replied.
 */
struct srv_choice;
int srv_oip_model(struct srv_call *c, struct srv_choice *ret);
/* `outputs` of the query: in the arena of the call's request, NULL if it is not there; the model
 * has all that it names. -1: answered. */
int srv_oip_outputs(struct srv_call *c, const char **ret);

#endif
