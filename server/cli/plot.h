/* Pictures for people: SVG, self-contained, readable on white and without a script. */
#ifndef SRV_PLOT_H
#define SRV_PLOT_H

#include <stddef.h>

/* One bar a layer, multiply-adds to the left and time (0: unknown, not drawn) to the right. */
struct srv_plot_bar {
    const char *name, *kind;
    double mult_adds, us;
};
/* times: heading of the right half. Writes the file whole or not at all. 0 or a negative errno with
 * a sentence. */
int srv_plot_layers(const char *path, const char *title, const char *times,
                    const struct srv_plot_bar *bars, int n, char *err, size_t errlen);

/* Time over multiply-adds, with the line from the origin through the reference point. */
struct srv_plot_point {
    const char *name;
    double mult_adds, ms;
    int series; /* one colour each; 0 .. 3 */
};
int srv_plot_points(const char *path, const char *title, const struct srv_plot_point *points, int n,
                    int reference, char *err, size_t errlen);

#endif
