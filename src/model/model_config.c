/* model_config.c -- config.json: what the encoder is, or by which name it is refused.
 *
 * A model is decided the way sentence-transformers would load the directory:
 *   - modules.json with a Pooling module: a bi-encoder, loaded with AutoModel, whatever head
 *     config.json names (BertForMaskedLM, ...ForSequenceClassification): the head is not used;
 *   - otherwise ...ForSequenceClassification is a cross-encoder;
 *   - otherwise a bi-encoder with mean pooling, not normalised.
 * `architecture` is the class that is computed: "BertModel" for a BertForMaskedLM repository.
 *
 * The strictness is on purpose. A field that changes the arithmetic and that we do not implement
 * (relative positions, another activation, cross attention, pruned heads) is refused by name;
 * fields that only matter in training are not looked at.
 *
 * Defaults are those of transformers' BertConfig and RobertaConfig where real files leave a field
 * out (layer_norm_eps, type_vocab_size, pad_token_id, hidden_act, number of labels); sizes have to
 * be there, since a guessed size would only be found out at the weights.
 *
 * Activation of a cross-encoder (sentence-transformers 6.2): config_sentence_transformers.json's
 * activation_fn, else config.json's sentence_transformers.activation_fn, else the older
 * sbert_ce_default_activation_function, else sigmoid for one label, identity for more. The library
 * ignores names outside torch with a warning; we refuse them: a score on an unexpected scale is the
 * kind of silence we do not keep.
 */
#include "model/config_internal.h"
#include "core/error.h"
#include "core/file.h"

#include <stdio.h>
#include <string.h>

/* ---- loading --------------------------------------------------------------- */

wn_status wn_config_load(const char *dir, const char *name, bool reals, json_t **out, char **path,
                         wn_error *err) {
    *path = wn_path_join(dir, name);
    if (!*path) return wn_fail_memory(err, strlen(dir));
    if (!wn_file_exists(*path)) return WN_OK;
    json_t *root = NULL;
    WN_TRY(reals ? wn_json_load_wide(*path, WN_CONFIG_LIMIT, &root, err)
                 : wn_json_load(*path, WN_CONFIG_LIMIT, &root, err));
    if (!json_is_object(root) && !json_is_array(root)) {
        json_decref(root);
        return wn_fail(err, WN_ERR_FORMAT, "%s: must be a JSON object", *path);
    }
    *out = root;
    return WN_OK;
}

static wn_status size_field(const json_t *root, const char *path, const char *key, int64_t lo,
                            int64_t hi, bool required, size_t *out, wn_error *err) {
    int64_t n = -1;
    WN_TRY(wn_json_int(root, path, key, lo, hi, &n, err));
    if (n < 0) {
        if (!required) return WN_OK;
        return wn_fail(err, WN_ERR_FORMAT, "%s: \"%s\" is missing", path, key);
    }
    *out = (size_t)n;
    return WN_OK;
}

/* ---- architecture ----------------------------------------------------------- */

static const struct family {
    const char *prefix, *model_type;
    bool roberta;
} families[] = {
    {"XLMRoberta", "xlm-roberta", true},
    {"Roberta", "roberta", true},
    {"Bert", "bert", false},
};

/* Heads that AutoModel drops, leaving the plain encoder. Not here, hence refused: the causal ones
 * (LMHeadModel, ForCausalLM), which are decoders or pooled by their last token. */
static const char *const dropped_heads[] = {"ForMaskedLM",           "ForPreTraining",
                                            "ForTokenClassification", "ForQuestionAnswering",
                                            "ForMultipleChoice",      "ForNextSentencePrediction"};

static const struct family *family_of(const char *architecture, const char **head) {
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        size_t n = strlen(families[i].prefix);
        if (strncmp(architecture, families[i].prefix, n) != 0) continue;
        const char *rest = architecture + n;
        *head = rest;
        if (strcmp(rest, "Model") == 0 || strcmp(rest, "ForSequenceClassification") == 0)
            return &families[i];
        for (size_t k = 0; k < sizeof dropped_heads / sizeof *dropped_heads; k++)
            if (strcmp(rest, dropped_heads[k]) == 0) return &families[i];
    }
    return NULL;
}

static wn_status refuse_architecture(const char *path, const char *what, const char *name,
                                     wn_error *err) {
    return wn_fail(err, WN_ERR_UNSUPPORTED,
                   "%s: %s \"%.80s\" is not supported; winnow computes BertModel, RobertaModel, "
                   "XLMRobertaModel and their ...ForSequenceClassification",
                   path, what, name);
}

static wn_status read_architecture(const json_t *root, const char *path, wn_model_config *out,
                                   wn_error *err) {
    const char *type = NULL, *head = "Model";
    WN_TRY(wn_json_string(root, path, "model_type", &type, err));
    const json_t *list = json_object_get(root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    const struct family *family = NULL;
    if (name) {
        family = family_of(name, &head);
        if (!family) return refuse_architecture(path, "architecture", name, err);
    } else if (list && !json_is_null(list) && json_array_size(list) != 0) {
        return wn_fail(err, WN_ERR_FORMAT, "%s: \"architectures\" must be a list of strings", path);
    } else if (!type) {
        return wn_fail(err, WN_ERR_FORMAT, "%s: neither \"architectures\" nor \"model_type\" is there",
                       path);
    }
    for (size_t i = 0; !family && i < sizeof families / sizeof *families; i++)
        if (strcmp(type, families[i].model_type) == 0) family = &families[i];
    if (!family || (type && strcmp(type, family->model_type) != 0))
        return refuse_architecture(path, "model_type", type, err);

    bool classifier = strcmp(head, "ForSequenceClassification") == 0;
    out->roberta = family->roberta;
    out->kind = classifier ? WN_MODEL_CROSS_ENCODER : WN_MODEL_BI_ENCODER;
    snprintf(out->architecture, sizeof out->architecture, "%s%s", family->prefix,
             classifier ? head : "Model");
    return WN_OK;
}

/* ---- what we would compute wrongly ------------------------------------------- */

static wn_status refuse_string(const json_t *root, const char *path, const char *key,
                               const char *only, const char *why, wn_error *err) {
    const char *value = only;
    WN_TRY(wn_json_string(root, path, key, &value, err));
    if (strcmp(value, only) == 0) return WN_OK;
    return wn_fail(err, WN_ERR_UNSUPPORTED, "%s: \"%s\" is \"%.80s\": %s", path, key, value, why);
}

static wn_status refuse_unsupported(const json_t *root, const char *path, wn_error *err) {
    WN_TRY(refuse_string(root, path, "hidden_act", "gelu",
                         "only \"gelu\" (the exact one, with erf) is computed", err));
    WN_TRY(refuse_string(root, path, "position_embedding_type", "absolute",
                         "only absolute position embeddings are computed", err));
    static const char *const flags[] = {"is_decoder", "add_cross_attention"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        bool on = false;
        WN_TRY(wn_json_bool(root, path, flags[i], &on, err));
        if (on)
            return wn_fail(err, WN_ERR_UNSUPPORTED,
                           "%s: \"%s\" is true: a decoder is not an encoder", path, flags[i]);
    }
    if (json_object_size(json_object_get(root, "pruned_heads")))
        return wn_fail(err, WN_ERR_UNSUPPORTED, "%s: \"pruned_heads\": pruned heads are not computed",
                       path);
    if (json_is_object(json_object_get(root, "quantization_config")))
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: \"quantization_config\": quantised weights are not read; use the model's "
                       "f32, f16 or bf16 weights",
                       path);
    return WN_OK;
}

/* ---- sizes ------------------------------------------------------------------- */

static wn_status read_sizes(const json_t *root, const char *path, wn_model_config *out,
                            wn_error *err) {
    const struct {
        const char *key;
        int64_t lo, hi;
        bool required;
        size_t *field;
    } sizes[] = {
        {"hidden_size", 1, 1 << 16, true, &out->hidden},
        {"num_hidden_layers", 1, 1024, true, &out->layers},
        {"num_attention_heads", 1, 1024, true, &out->heads},
        {"intermediate_size", 1, 1 << 20, true, &out->intermediate},
        {"vocab_size", 1, 1 << 24, true, &out->vocab},
        {"max_position_embeddings", 1, 1 << 20, true, &out->max_positions},
        {"type_vocab_size", 1, 256, false, &out->type_vocab},
    };
    out->type_vocab = 2;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        WN_TRY(size_field(root, path, sizes[i].key, sizes[i].lo, sizes[i].hi, sizes[i].required,
                          sizes[i].field, err));
    if (out->hidden % out->heads)
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: \"hidden_size\" %zu is not a multiple of \"num_attention_heads\" %zu",
                       path, out->hidden, out->heads);

    double eps = 1e-12;
    WN_TRY(wn_json_number(root, path, "layer_norm_eps", &eps, err));
    if (!(eps >= 0 && eps < 1))
        return wn_fail(err, WN_ERR_FORMAT, "%s: \"layer_norm_eps\" is %g, outside [0, 1)", path, eps);
    out->layer_norm_eps = (float)eps;

    /* BERT counts positions from 0 and its pad token plays no part in that. */
    if (!out->roberta) return WN_OK;
    int64_t pad = 1;
    WN_TRY(wn_json_int(root, path, "pad_token_id", 0, (int64_t)out->max_positions - 2, &pad, err));
    if (pad + 1 >= (int64_t)out->max_positions)
        return wn_fail(err, WN_ERR_FORMAT,
                       "%s: \"max_position_embeddings\" %zu leaves no position after the padding's",
                       path, out->max_positions);
    out->position_offset = (size_t)pad + 1;
    return WN_OK;
}

/* transformers writes id2label only when there are not two labels; where both it and
 * num_labels are there, id2label is what counts. */
static wn_status read_labels(const json_t *root, const char *path, wn_model_config *out,
                             wn_error *err) {
    int64_t labels = 2;
    const json_t *names = json_object_get(root, "id2label");
    WN_TRY(wn_json_int(root, path, "num_labels", 1, 65536, &labels, err));
    if (names && !json_is_null(names)) {
        labels = (int64_t)json_object_size(names);
        if (!json_is_object(names) || labels < 1 || labels > 65536)
            return wn_fail(err, WN_ERR_FORMAT,
                           "%s: \"id2label\" must be an object of 1 to 65536 labels", path);
    }
    out->labels = (size_t)labels;
    return WN_OK;
}

/* ---- activation ---------------------------------------------------------------- */

static wn_status activation_by_name(const char *path, const char *name, wn_activation *out,
                                    wn_error *err) {
    const char *last = strrchr(name, '.');
    last = last ? last + 1 : name;
    bool torch = strncmp(name, "torch.nn.", 9) == 0;
    if (torch && strcmp(last, "Identity") == 0) *out = WN_ACT_IDENTITY;
    else if (torch && strcmp(last, "Sigmoid") == 0) *out = WN_ACT_SIGMOID;
    else
        return wn_fail(err, WN_ERR_UNSUPPORTED,
                       "%s: activation function \"%.100s\" is not supported; torch.nn's Identity "
                       "and Sigmoid are",
                       path, name);
    return WN_OK;
}

static wn_status read_activation(const json_t *root, const char *path, const char *saved,
                                 wn_model_config *out, wn_error *err) {
    const char *name = saved;
    const json_t *section = json_object_get(root, "sentence_transformers");
    if (!name) {
        /* An activation_fn of null still hides the older key, as in the library. */
        if (json_object_get(section, "activation_fn"))
            WN_TRY(wn_json_string(section, path, "activation_fn", &name, err));
        else
            WN_TRY(wn_json_string(root, path, "sbert_ce_default_activation_function", &name, err));
    }
    if (name) return activation_by_name(path, name, &out->activation, err);
    out->activation = out->labels == 1 ? WN_ACT_SIGMOID : WN_ACT_IDENTITY;
    return WN_OK;
}

/* ---- public -------------------------------------------------------------------- */

static wn_status read_config(const char *dir, const json_t *root, const char *path,
                             wn_model_config *out, wn_error *err) {
    char *activation = NULL;
    WN_TRY(read_architecture(root, path, out, err));
    WN_TRY(refuse_unsupported(root, path, err));
    WN_TRY(read_sizes(root, path, out, err));
    WN_TRY(wn_config_read_modules(dir, out, &activation, err));
    wn_status st = WN_OK;
    if (out->kind == WN_MODEL_CROSS_ENCODER) {
        out->has_pooler_head = !out->roberta;
        WN_TRY_GOTO(read_labels(root, path, out, err));
        WN_TRY_GOTO(read_activation(root, path, activation, out, err));
    } else {
        char *head = strstr(out->architecture, "ForSequenceClassification");
        if (head) strcpy(head, "Model");
    }
fail:
    wn_free(activation);
    return st;
}

wn_status wn_model_config_read(const char *dir, wn_model_config *out, wn_error *err) {
    wn_model_config config = {0};
    json_t *root = NULL;
    char *path = NULL;
    wn_status st = WN_OK;
    if (!wn_dir_exists(dir))
        return wn_fail(err, WN_ERR_NOT_FOUND, "%s: no such model directory", dir);
    WN_TRY_GOTO(wn_config_load(dir, "config.json", false, &root, &path, err));
    if (!root) {
        st = wn_fail(err, WN_ERR_NOT_FOUND,
                     "%s: not there; a model directory needs its config.json", path);
        goto fail;
    }
    WN_TRY_GOTO(read_config(dir, root, path, &config, err));
    *out = config;
    json_decref(root);
    wn_free(path);
    return WN_OK;
fail:
    wn_model_config_release(&config);
    json_decref(root);
    wn_free(path);
    return st;
}

void wn_model_config_release(wn_model_config *config) {
    for (size_t i = 0; i < config->nprompts; i++) {
        wn_free(config->prompts[i].name);
        wn_free(config->prompts[i].text);
    }
    wn_free(config->prompts);
    wn_free(config->default_prompt);
    *config = (wn_model_config){0};
}

static const char *prompt(const wn_model_config *config, const char *name) {
    for (size_t i = 0; i < config->nprompts; i++)
        if (strcmp(config->prompts[i].name, name) == 0) return config->prompts[i].text;
    return NULL;
}

/* encode_document of sentence-transformers takes the first of "document", "passage", "corpus"
 * that is there. Its built-in "query" and "document" are empty, so neither role ever falls back
 * on the default prompt. */
const char *wn_model_config_prompt(const wn_model_config *config, const char *name) {
    const char *text = prompt(config, name);
    if (!text && strcmp(name, "document") == 0) text = prompt(config, "passage");
    if (!text && strcmp(name, "document") == 0) text = prompt(config, "corpus");
    return text ? text : "";
}
