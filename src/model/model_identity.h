/* model_identity.h -- what a score depends on besides its texts. */
#ifndef WN_MODEL_MODEL_IDENTITY_H
#define WN_MODEL_MODEL_IDENTITY_H
#include "core/hash.h"
#include <winnow/model.h>

/* Hash of everything of this model, process and machine that the bits of a score may depend on: weights,
 * tokenizer, configuration as it is used, maximum length, precision, instruction set, versions of winnow and of the
 * GEMM library. Two models of one identity give the same bits for the same texts and length policy. */
wn_status wn_model_identity(const wn_model *model, wn_hash *out, wn_error *err);
#endif
