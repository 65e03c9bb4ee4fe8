/* A new head on an old backbone: multinomial logistic regression over embeddings, and the model
 * folder that has both. The backbone's files are copied as they are; the head is a TF.js layers
 * model of its own that the manifest names. */
#ifndef ENG_TEACH_H
#define ENG_TEACH_H

#include "engine/model.h"

struct eng_teach_data {
    int n, d, classes;
    const float *x;   /* [n][d] embeddings */
    const int *label; /* [n] 0 .. classes-1 */
};

/* Logits are w x + b; w [classes][d], b [classes]. Each class weighs the same, however many
 * pictures it has. -EINVAL for a label or a size out of range, -ENOMEM. Deterministic. */
int eng_teach_fit(const struct eng_teach_data *data, float *ret_w, float *ret_b);
/* Best class of one embedding; ties to the lower. */
int eng_teach_best(const struct eng_teach_data *data, const float *w, const float *b,
                   const float *x);

struct eng_teach_head {
    int d, classes;
    const float *w, *b;
    const char *const *labels; /* [classes] */
    const char *source;        /* for the manifest */
};
/* `from`: version folder of the backbone's model; `to`: an empty folder. */
int eng_teach_save(const char *from, const char *to, const struct eng_teach_head *head, char *err,
                   size_t errlen);

#endif
