/* What a model and a context hold, for the engine's own parts. Internal to engine/. */
#ifndef ENG_INSIDE_H
#define ENG_INSIDE_H

struct eng_context;
struct eng_model;
struct eng_plan;
struct eng_run;

/* Both live as long as the model, or the context, that they come from. */
const struct eng_plan *eng_model_plan(const struct eng_model *m);
struct eng_run *eng_context_run_inside(struct eng_context *c);

#endif
