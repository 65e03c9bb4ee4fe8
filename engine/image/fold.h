/* Coefficients for a picture that was decoded at 1/2, 1/4 or 1/8. */
#ifndef ENG_IMAGE_FOLD_H
#define ENG_IMAGE_FOLD_H

enum { ENG_FOLD_BLOCKS = 10, ENG_FOLD_SIDE = 8, ENG_FOLD_EXTRA = 1 };

/* Covariances of the picture model, for one denominator. */
struct eng_fold {
    int side;
    double pixel[2 * ENG_FOLD_BLOCKS * ENG_FOLD_SIDE]; /* pixel x with the mean of block b, by
                                                          x - b * side + BLOCKS * side */
    double block[ENG_FOLD_BLOCKS];                     /* means of blocks that far apart */
};
void eng_fold_init(struct eng_fold *f, int side);

/* w[0 .. n-1] are the weights of full-size pixels first .. first+n-1 (sum 1, first >= 0). Writes
 * weights of block means to out (at most n / side + 2 + 2 * EXTRA), their first block to ret_first,
 * returns their number. blocks: how many there are. */
int eng_fold_run(const struct eng_fold *f, const double *w, int first, int n, int blocks,
                 double *out, int *ret_first);

#endif
