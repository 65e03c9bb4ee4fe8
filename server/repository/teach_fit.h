/* What the command and the call of that name share: pictures held out, and the fit. */
#ifndef SRV_TEACH_FIT_H
#define SRV_TEACH_FIT_H

#include "engine/teach.h"

/* Is the i-th of a class's n pictures held out, to tell how good a head is? Every fifth, or the
 * last of fewer; never the only one. */
int srv_teach_is_held(int i, int n);

/* A head fitted without the held out ones is asked about these: how many there were and how many it
 * got right. Then w and b are fitted to all. Takes seconds; any thread. As eng_teach_fit(). */
int srv_teach_fit(const struct eng_teach_data *all, const int *held, float *ret_w, float *ret_b,
                  int *ret_tested, int *ret_right);

#endif
