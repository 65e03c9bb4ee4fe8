/* Pictures of a folder, for the tools that learn from them. */
#ifndef SRV_PICTURE_PATHS_H
#define SRV_PICTURE_PATHS_H

#include "engine/image.h"

struct srv_picture_paths {
    int n;
    char **path; /* sorted */
};

/* Regular files below dir, in its folders too, but not hidden ones; at most `limit`, spread evenly
 * over the sorted list. -ENOENT with a sentence if there is none. */
int srv_picture_paths_list(struct srv_picture_paths *ret, const char *dir, int limit, char *err,
                           size_t errlen);
/* Every other picture, from the second on, moves from p to ret. */
int srv_picture_paths_halve(struct srv_picture_paths *p, struct srv_picture_paths *ret);
void srv_picture_paths_finish(struct srv_picture_paths *p);

/* One file into the tensor. */
int srv_picture_decode(struct eng_decoder *d, const char *path, const struct eng_preprocess *p,
                       void *tensor, char *err, size_t errlen);

/* "what  [#####.....]  42 %" on stderr if that is a terminal; done == all ends the line. */
void srv_progress(const char *what, int done, int all);

#endif
