/* model_identity.c -- one hash for all that a score depends on besides its texts.
 *
 * From what was loaded, not from the files again: those may have changed since. Numbers are written as text, so
 * that no padding and no width of a type comes in. */
#include "model/model_identity.h"
#include "core/cpu.h"
#include "core/error.h"
#include "core/memory.h"
#include "kernels/gemm.h"
#include "kernels/kernels.h"
#include "model/model.h"
#include "text/tokenizer_source.h"

wn_status wn_model_identity(const wn_model *model, wn_hash *out, wn_error *err) {
    const wn_model_config *c = &model->config;
    wn_hash tokenizer = wn_tokenizer_source(model->tokenizer);
    char tokenizer_hex[33];
    wn_buf text = {0};
    wn_hash_hex(&tokenizer, tokenizer_hex);
    wn_status st = wn_buf_printf(
        &text, err,
        "winnow %s|%s|%s|cpu %x|weights %s|tokenizer %s|%s %d %d|%zu %zu %zu %zu %zu %zu %zu %zu %zu|eps %a|head %d|"
        "pooling %d %d|activation %d|lower %d|length %zu|precision %d",
        wn_version(), wn_gemm_library(), wn_kernels_get()->isa, (unsigned)wn_cpu_flags(), model->hash, tokenizer_hex,
        c->architecture, c->roberta, (int)c->kind, c->hidden, c->layers, c->heads, c->intermediate, c->vocab,
        c->max_positions, c->type_vocab, c->labels, c->position_offset, (double)c->layer_norm_eps, c->has_pooler_head,
        (int)c->pooling, c->normalize, (int)c->activation, c->do_lower_case, model->max_length,
        (int)wn_encoder_precision(model->encoder));
    if (st == WN_OK) *out = wn_hash_bytes(text.data, text.len);
    wn_buf_release(&text);
    return st;
}
