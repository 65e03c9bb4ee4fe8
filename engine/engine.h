/* What every public header of the engine shares: error codes, element types, CPU bits.
 *
 * The engine turns the bytes of a model and of an image into scores. It opens no socket, creates no
 * thread, reads no environment and never logs: a sentence for people goes to the caller's
 * `char *err, size_t errlen` (always terminated when errlen > 0), results come through `ret_`
 * pointers that stay unwritten on failure. 0 or positive is success. */
#ifndef ENG_ENGINE_H
#define ENG_ENGINE_H

#include <stddef.h>
#include <stdint.h>

/* Failures: a negative errno, or one of these. */
enum {
    ENG_E_FORMAT = -1001,      /* the bytes are of no type that we read       (HTTP 415) */
    ENG_E_LIMIT = -1002,       /* what they declare is over a limit           (HTTP 413) */
    ENG_E_DATA = -1003,        /* right type, broken content                  (HTTP 422) */
    ENG_E_UNSUPPORTED = -1004, /* valid, but it needs something that we lack  (HTTP 501) */
};

/* Element types of tensors, at the boundary and in the graph. */
enum eng_type {
    ENG_F32,
    ENG_U8,
    ENG_I8,
    ENG_I32,
    ENG_BF16,
    ENG_F16,
    ENG_I64,
    ENG_BOOL,
};
enum { ENG_MAX_OUTPUT_RANK = 6 }; /* dimensions of a tensor */

/* How a network's last numbers become scores. */
enum eng_activation {
    ENG_ACTIVATION_NONE,    /* they are the scores */
    ENG_ACTIVATION_SIGMOID, /* each on its own: one yes or no, or many labels */
    ENG_ACTIVATION_SOFTMAX, /* all together: one of many classes */
};
const char *eng_activation_name(enum eng_activation a); /* "none", "sigmoid", "softmax" */

size_t eng_type_size(enum eng_type type);      /* bytes of one element */
const char *eng_type_name(enum eng_type type); /* "fp32", "uint8", ... */

/* What the CPU *and* the operating system offer (CPUID and XGETBV, getauxval on Arm): isa.def lists
 * the bits. One word, so that an operator or a test can mask it down; a kernel names the bits it
 * needs. */
enum {
#define X86_BIT(id, number, ...) ENG_CPU_##id = 1u << number,
#define ARM_BIT(id, number, ...) ENG_CPU_##id = 1u << number,
#include "engine/isa.def"
    ENG_CPU_C = 1u << 31, /* always there: a word that allows nothing else is not 0, which asks for
                             detection */
};
/* Any thread, any time. The first call of a process asks the system for AMX (arch_prctl, which a
 * sandbox may forbid: call once before it); the answer is kept, so all calls tell the same. */
uint32_t eng_cpu_detect(void);

/* The bits of a named level and of all below it: "c", a level of isa.def, or "native" (all bits
 * set). -EINVAL for any other name. */
int eng_cpu_parse(uint32_t *ret_bits, const char *name);
/* Name of the highest level contained in `bits`: one of the names above, never "native". */
const char *eng_cpu_name(uint32_t bits);
/* Name of the lowest level that allows all of `bits`. */
const char *eng_cpu_least(uint32_t bits);

/* SHA-256 in hexadecimal, NUL-terminated. */
void eng_digest(const void *bytes, size_t len, char ret[65]);

#endif
