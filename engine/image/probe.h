/* Headers, read by ourselves: size, depth, orientation, before any codec allocates anything. */
#ifndef ENG_IMAGE_PROBE_H
#define ENG_IMAGE_PROBE_H

#include "engine/image.h"
#include "engine/image/bytes.h"

/* The caller's limits with the defaults put where a field is 0; given may be NULL. */
struct eng_image_limits eng_image_limits_fill(const struct eng_image_limits *given);

/* Size against limits: ENG_E_DATA for an empty picture, ENG_E_LIMIT with the limit's name. */
int eng_image_check_size(const struct eng_image_info *info, const struct eng_image_limits *limits,
                         const struct eng_sentence *err);

/* One per format: fills everything of info but format; ENG_E_DATA where the header is broken.
 * Limits are the caller's business. */
#define FORMAT(id, file, ...)                                                                      \
    int eng_probe_##file(struct eng_image_info *info, const uint8_t *p, size_t len,                \
                         const struct eng_sentence *err);
#include "engine/formats.def"

#endif
