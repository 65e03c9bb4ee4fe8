/* Names and sizes of element types, names of activations. */
#include "engine/engine.h"

static const struct {
    size_t size;
    const char *name;
} types[] = {
    [ENG_F32] = {4, "fp32"},  [ENG_U8] = {1, "uint8"},  [ENG_I8] = {1, "int8"},
    [ENG_I32] = {4, "int32"}, [ENG_BF16] = {2, "bf16"}, [ENG_F16] = {2, "fp16"},
    [ENG_I64] = {8, "int64"}, [ENG_BOOL] = {1, "bool"},
};

size_t eng_type_size(enum eng_type type)
{
    return types[type].size;
}

const char *eng_type_name(enum eng_type type)
{
    return types[type].name;
}

const char *eng_activation_name(enum eng_activation a)
{
    static const char *const names[] = {[ENG_ACTIVATION_NONE] = "none",
                                        [ENG_ACTIVATION_SIGMOID] = "sigmoid",
                                        [ENG_ACTIVATION_SOFTMAX] = "softmax"};
    return names[a];
}
