/* config.h -- what config.json and the sentence-transformers files say about a model. */
#ifndef WN_MODEL_CONFIG_H
#define WN_MODEL_CONFIG_H
#include <winnow/model.h>

typedef struct wn_prompt {
    char *name, *text;
} wn_prompt;

typedef struct wn_model_config {
    char architecture[64];   /* "BertModel", "XLMRobertaForSequenceClassification", ... */
    bool roberta;            /* XLM-R / RoBERTa: positions start at padding_idx + 1, dense+out_proj head */
    wn_model_kind kind;
    size_t hidden, layers, heads, intermediate, vocab, max_positions, type_vocab, labels;
    size_t position_offset;  /* 0 for BERT, padding_idx + 1 for RoBERTa */
    size_t max_length;       /* tokens a model reads, specials included */
    float layer_norm_eps;
    /* hidden_act: only "gelu" (erf) is accepted; "gelu_new", "relu", ... are refused by name */
    bool has_pooler_head;    /* BERT classification: pooler dense + tanh before the classifier */
    wn_pooling pooling;
    bool normalize;
    wn_activation activation;
    bool do_lower_case;      /* sentence_bert_config.json */
    wn_prompt *prompts;
    size_t nprompts;
    char *default_prompt;    /* name, or NULL */
} wn_model_config;

/* Reads config.json and, where present, modules.json, the pooling and normalise modules, sentence_bert_config.json,
 * config_sentence_transformers.json, tokenizer_config.json. Refuses by name what we do not compute. */
wn_status wn_model_config_read(const char *dir, wn_model_config *out, wn_error *err);
void wn_model_config_release(wn_model_config *config);
/* Text of the prompt for a role ("query", then "document"/"passage"), "" when none. Borrowed. */
const char *wn_model_config_prompt(const wn_model_config *config, const char *name);
#endif
