/* What the golden tests share: the folder of golden answers, models in plans, inputs. */
#ifndef TESTS_GOLDEN_H
#define TESTS_GOLDEN_H

#include "engine/plan/plan.h"

enum { GOLDEN_IMAGES = 8 };

struct golden_case {
    const char *name;
    const char *files[2]; /* below models/; the second: a head, or NULL */
    int side, outputs;
    int i8_logits, i8_out, i8_in;
};

enum golden_plan { GOLDEN_FAST, GOLDEN_REFERENCE, GOLDEN_BF16, GOLDEN_FP32X };

struct golden_model {
    struct eng_graph *g;
    struct eng_plan *plan;
    struct eng_run *run;
    unsigned char *bytes[2];
};

/* Skips the running test if there is no such folder (MOBILENETD_SHARED, or ../shared). */
void golden_need_shared(void);
int golden_quick(void); /* an instrumented build: fewer images */
/* A whole file below the folder; free() it. Fails the test if it cannot be read. */
unsigned char *golden_read(const char *path, size_t *ret_size);
uint32_t golden_crc32(const void *data, size_t size);
/* Index of an image by its file name. */
int golden_image_index(const char *file);

/* Imports, joins, folds (fast plan only), plans; a run of `batch` images and one member. */
void golden_load(struct golden_model *m, const struct golden_case *c, enum golden_plan plan,
                 int batch);
void golden_unload(struct golden_model *m);
/* Image `image` of the inputs of this side into slot: as u8, or i8 = u8 - 128. */
void golden_input_u8(struct golden_model *m, const struct golden_case *c, int image, int slot);
/* The same as f32 = u8 / 255. */
void golden_input_f32(struct golden_model *m, const struct golden_case *c, int image, int slot);
/* The same as f32 of another range: u8 / 127.5 - 1, u8 / 255, (u8 - 128) / 128. */
enum golden_pixels { GOLDEN_PM1, GOLDEN_01, GOLDEN_QUANTA };
void golden_input_as(struct golden_model *m, const struct golden_case *c, int image, int slot,
                     enum golden_pixels pixels);

#endif
