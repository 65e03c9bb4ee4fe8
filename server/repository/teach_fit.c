/* See teach_fit.h. */
#include "server/repository/teach_fit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FOLD = 5 };

int srv_teach_is_held(int i, int n)
{
    return i % FOLD == FOLD - 1 || (n < FOLD && i > 0 && i == n - 1);
}

static int test_held_out(const struct eng_teach_data *all, const int *held, float *w, float *b,
                         int *ret_tested, int *ret_right)
{
    size_t d = (size_t)all->d;
    float *x = calloc((size_t)all->n * d + 1, sizeof(*x));
    int *label = calloc((size_t)all->n + 1, sizeof(*label));
    struct eng_teach_data data = {.d = all->d, .classes = all->classes, .x = x, .label = label};
    int rc = -ENOMEM;
    if (!x || !label)
        goto done;
    for (int i = 0; i < all->n; i++) {
        if (held[i])
            continue;
        memcpy(x + (size_t)data.n * d, all->x + (size_t)i * d, d * sizeof(*x));
        label[data.n++] = all->label[i];
    }
    rc = eng_teach_fit(&data, w, b);
    if (rc < 0)
        goto done;
    for (int i = 0; i < all->n; i++) {
        if (!held[i])
            continue;
        ++*ret_tested;
        *ret_right += eng_teach_best(&data, w, b, all->x + (size_t)i * d) == all->label[i];
    }
done:
    free(x);
    free(label);
    return rc;
}

int srv_teach_fit(const struct eng_teach_data *all, const int *held, float *ret_w, float *ret_b,
                  int *ret_tested, int *ret_right)
{
    *ret_tested = *ret_right = 0;
    int rc = test_held_out(all, held, ret_w, ret_b, ret_tested, ret_right);
    return rc < 0 ? rc : eng_teach_fit(all, ret_w, ret_b);
}
