/* tflite::BuiltinOperator, those that ops.def names. Internal to tflite*.c. */
#ifndef ENG_IMPORTERS_TFLITE_CODES_H
#define ENG_IMPORTERS_TFLITE_CODES_H

#define OP(id, name, kind, least, most, shape, arith, reference, written, tflite, onnx, tfjs) tflite
#define FILE_ONLY(tflite, onnx, tfjs) tflite
#define TFLITE(type, number, add) type = number,
enum {
#include "engine/graph/ops.def"
};

#endif
