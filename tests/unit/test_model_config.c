/* test_model_config.c -- config.json and the sentence-transformers files: what is read, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "core/memory.h"
#include "model/config.h"
#include "model/model_blend.h"
#include "model_files.h"

static scratch dir;

static int set_up(void **state) {
    dir = scratch_make();
    return 0;
}

static int tear_down(void **state) {
    scratch_remove(&dir);
    return 0;
}

static wn_model_config must_read(const char *path) {
    wn_model_config c;
    wn_error err = {0};
    if (wn_model_config_read(path, &c, &err) != WN_OK) fail_msg("%s", err.message);
    return c;
}


static void expect_refused(wn_status status, const char *part) {
    wn_model_config c;
    wn_error err = {0};
    wn_status st = wn_model_config_read(dir.dir, &c, &err);
    if (st != status || !strstr(err.message, part) || strchr(err.message, '\n'))
        fail_msg("wanted %d \"%s\", got %d \"%s\"", status, part, st, err.message);
}

/* A config.json of the usual fields with `extra` (members, each with a comma before it). Later
 * members win over earlier ones of the same name. */
static void write_config(const char *architecture, const char *extra) {
    char text[2048];
    int n = snprintf(text, sizeof text,
                     "{\"architectures\":[\"%s\"],\"hidden_size\":32,\"num_hidden_layers\":2,"
                     "\"num_attention_heads\":4,\"intermediate_size\":64,\"vocab_size\":100,"
                     "\"max_position_embeddings\":514%s}",
                     architecture, extra);
    assert_true(n > 0 && (size_t)n < sizeof text);
    scratch_text(&dir, "config.json", text);
}

static const char pipeline3[] =
    "[{\"idx\":0,\"name\":\"0\",\"path\":\"\",\"type\":\"sentence_transformers.models.Transformer\"},"
    "{\"idx\":1,\"name\":\"1\",\"path\":\"1_Pooling\",\"type\":\"sentence_transformers.models.Pooling\"},"
    "{\"idx\":2,\"name\":\"2\",\"path\":\"2_Normalize\",\"type\":\"sentence_transformers.models.Normalize\"}]";

/* modules.json of one module after the transformer. */
static void write_pipeline(const char *transformer_path, const char *type) {
    char text[512];
    snprintf(text, sizeof text,
             "[{\"path\":\"%s\",\"type\":\"sentence_transformers.models.Transformer\"}%s%s%s]",
             transformer_path, type ? ",{\"path\":\"1\",\"type\":\"" : "", type ? type : "",
             type ? "\"}" : "");
    scratch_text(&dir, "modules.json", text);
}

static void plain_encoder_gets_the_librarys_defaults(void **state) {
    write_config("BertModel", "");
    wn_model_config c = must_read(dir.dir);
    assert_string_equal(c.architecture, "BertModel");
    assert_int_equal(c.kind, WN_MODEL_BI_ENCODER);
    assert_int_equal(c.pooling, WN_POOL_MEAN);
    assert_false(c.normalize || c.roberta || c.has_pooler_head || c.do_lower_case);
    assert_int_equal(c.position_offset, 0);
    assert_int_equal(c.max_length, 514);
    assert_int_equal(c.type_vocab, 2);
    assert_true(c.layer_norm_eps == 1e-12f);
    assert_int_equal(c.nprompts, 0);
    wn_model_config_release(&c);
    wn_model_config_release(&c); /* harmless twice */
}

static void architectures_map_to_what_is_computed(void **state) {
    static const struct {
        const char *in, *out;
        wn_model_kind kind;
        bool roberta;
        size_t offset;
    } cases[] = {
        {"BertModel", "BertModel", WN_MODEL_BI_ENCODER, false, 0},
        {"BertForMaskedLM", "BertModel", WN_MODEL_BI_ENCODER, false, 0},
        {"BertForSequenceClassification", "BertForSequenceClassification", WN_MODEL_CROSS_ENCODER, false, 0},
        {"RobertaModel", "RobertaModel", WN_MODEL_BI_ENCODER, true, 2},
        {"RobertaForMaskedLM", "RobertaModel", WN_MODEL_BI_ENCODER, true, 2},
        {"RobertaForSequenceClassification", "RobertaForSequenceClassification", WN_MODEL_CROSS_ENCODER, true, 2},
        {"XLMRobertaModel", "XLMRobertaModel", WN_MODEL_BI_ENCODER, true, 2},
        {"XLMRobertaForSequenceClassification", "XLMRobertaForSequenceClassification",
         WN_MODEL_CROSS_ENCODER, true, 2},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_config(cases[i].in, "");
        wn_model_config c = must_read(dir.dir);
        assert_string_equal(c.architecture, cases[i].out);
        assert_int_equal(c.kind, cases[i].kind);
        assert_int_equal(c.roberta, cases[i].roberta);
        assert_int_equal(c.position_offset, cases[i].offset);
        assert_int_equal(c.max_length, 514 - cases[i].offset);
        assert_int_equal(c.has_pooler_head, c.kind == WN_MODEL_CROSS_ENCODER && !c.roberta);
        wn_model_config_release(&c);
    }
}

static void unsupported_models_are_refused_by_name(void **state) {
    static const struct {
        const char *architecture, *extra, *message;
        wn_status status;
    } cases[] = {
        {"ModernBertModel", "", "architecture \"ModernBertModel\"", WN_ERR_UNSUPPORTED},
        {"BertLMHeadModel", "", "\"BertLMHeadModel\"", WN_ERR_UNSUPPORTED},
        {"XLMRobertaForCausalLM", "", "\"XLMRobertaForCausalLM\"", WN_ERR_UNSUPPORTED},
        {"XLMRobertaXLModel", "", "\"XLMRobertaXLModel\"", WN_ERR_UNSUPPORTED},
        {"CamembertModel", "", "\"CamembertModel\"", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"model_type\":\"nomic_bert\"", "model_type \"nomic_bert\"", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"hidden_act\":\"gelu_new\"", "\"hidden_act\" is \"gelu_new\"", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"hidden_act\":\"relu\"", "\"relu\"", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"position_embedding_type\":\"relative_key\"", "relative_key", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"is_decoder\":true", "is_decoder", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"add_cross_attention\":true", "add_cross_attention", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"pruned_heads\":{\"1\":[0]}", "pruned_heads", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"quantization_config\":{\"bits\":4}", "quantization_config", WN_ERR_UNSUPPORTED},
        {"BertModel", ",\"num_attention_heads\":5", "not a multiple", WN_ERR_FORMAT},
        {"BertModel", ",\"num_attention_heads\":0", "num_attention_heads", WN_ERR_FORMAT},
        {"BertModel", ",\"hidden_size\":-32", "hidden_size", WN_ERR_FORMAT},
        {"BertModel", ",\"hidden_size\":9223372036854775807", "hidden_size", WN_ERR_FORMAT},
        {"BertModel", ",\"hidden_size\":\"32\"", "must be an integer", WN_ERR_FORMAT},
        {"BertModel", ",\"hidden_size\":null", "\"hidden_size\" is missing", WN_ERR_FORMAT},
        {"BertModel", ",\"vocab_size\":1e9", "vocab_size", WN_ERR_FORMAT},
        {"BertModel", ",\"type_vocab_size\":257", "type_vocab_size", WN_ERR_FORMAT},
        {"BertModel", ",\"layer_norm_eps\":-1", "layer_norm_eps", WN_ERR_FORMAT},
        {"XLMRobertaModel", ",\"pad_token_id\":513", "pad_token_id", WN_ERR_FORMAT},
        {"XLMRobertaModel", ",\"max_position_embeddings\":2", "max_position_embeddings", WN_ERR_FORMAT},
        {"XLMRobertaModel", ",\"max_position_embeddings\":1", "leaves no position", WN_ERR_FORMAT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_config(cases[i].architecture, cases[i].extra);
        expect_refused(cases[i].status, cases[i].message);
        expect_refused(cases[i].status, "config.json");
    }
}

static void config_that_is_absent_or_no_config_is_refused(void **state) {
    wn_model_config c;
    wn_error err = {0};
    assert_int_equal(wn_model_config_read("/nonexistent-model", &c, &err), WN_ERR_NOT_FOUND);
    expect_refused(WN_ERR_NOT_FOUND, "config.json: not there");
    static const char *const texts[] = {"", "{", "[]", "1", "null", "\"x\"", "{\"architectures\":[1]}",
                                        "{\"architectures\":\"BertModel\"}", "{}", "\xff\xfe"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        scratch_text(&dir, "config.json", texts[i]);
        assert_true(wn_model_config_read(dir.dir, &c, &err) == WN_ERR_FORMAT);
        assert_non_null(strstr(err.message, "config.json"));
    }
    char *deep = malloc(300001);
    memset(deep, '[', 300000);
    deep[300000] = 0;
    scratch_text(&dir, "config.json", deep);
    free(deep);
    expect_refused(WN_ERR_FORMAT, "not valid JSON");
}

static void cross_encoder_activation_follows_the_librarys_rule(void **state) {
    static const struct {
        const char *extra;
        int labels;
        wn_activation want;
    } cases[] = {
        {"", 2, WN_ACT_IDENTITY},
        {",\"num_labels\":1", 1, WN_ACT_SIGMOID},
        {",\"id2label\":{\"0\":\"LABEL_0\"}", 1, WN_ACT_SIGMOID},
        {",\"id2label\":{\"0\":\"a\",\"1\":\"b\",\"2\":\"c\"},\"num_labels\":1", 3, WN_ACT_IDENTITY},
        {",\"num_labels\":1,\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"",
         1, WN_ACT_IDENTITY},
        {",\"num_labels\":1,\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.linear.Identity\"}",
         1, WN_ACT_IDENTITY},
        {",\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.activation.Sigmoid\"},"
         "\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"", 2, WN_ACT_SIGMOID},
        {",\"num_labels\":1,\"sentence_transformers\":{\"activation_fn\":null},"
         "\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"", 1, WN_ACT_SIGMOID},
        {",\"num_labels\":1,\"sentence_transformers\":{\"version\":\"4.0\"},"
         "\"sbert_ce_default_activation_function\":\"torch.nn.modules.linear.Identity\"", 1, WN_ACT_IDENTITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_config("BertForSequenceClassification", cases[i].extra);
        wn_model_config c = must_read(dir.dir);
        assert_int_equal(c.labels, cases[i].labels);
        assert_int_equal(c.activation, cases[i].want);
        wn_model_config_release(&c);
    }
    write_config("BertForSequenceClassification",
                 ",\"sentence_transformers\":{\"activation_fn\":\"torch.nn.modules.activation.Tanh\"}");
    expect_refused(WN_ERR_UNSUPPORTED, "\"torch.nn.modules.activation.Tanh\"");
    write_config("BertForSequenceClassification",
                 ",\"sbert_ce_default_activation_function\":\"my.module.Sigmoid\"");
    expect_refused(WN_ERR_UNSUPPORTED, "\"my.module.Sigmoid\"");
    write_config("BertForSequenceClassification", ",\"id2label\":{}");
    expect_refused(WN_ERR_FORMAT, "id2label");
}

static void cross_encoder_saved_with_modules_stays_one(void **state) {
    write_config("XLMRobertaForSequenceClassification", ",\"num_labels\":1");
    write_pipeline("", NULL);
    scratch_text(&dir, "sentence_bert_config.json", "{\"max_seq_length\":128}");
    scratch_text(&dir, "config_sentence_transformers.json",
                 "{\"model_type\":\"CrossEncoder\",\"prompts\":{},\"default_prompt_name\":null,"
                 "\"activation_fn\":\"torch.nn.modules.linear.Identity\"}");
    wn_model_config c = must_read(dir.dir);
    assert_int_equal(c.kind, WN_MODEL_CROSS_ENCODER);
    assert_int_equal(c.activation, WN_ACT_IDENTITY);
    assert_int_equal(c.max_length, 128);
    wn_model_config_release(&c);
    scratch_text(&dir, "config_sentence_transformers.json",
                 "{\"prompts\":{\"web\":\"Rank: \"},\"default_prompt_name\":\"web\"}");
    expect_refused(WN_ERR_UNSUPPORTED, "default prompt (\"web\")");
    scratch_text(&dir, "config_sentence_transformers.json", "{\"model_type\":\"SparseEncoder\"}");
    expect_refused(WN_ERR_UNSUPPORTED, "\"SparseEncoder\"");
}

static void pooling_over_a_classifier_is_a_bi_encoder(void **state) {
    write_config("XLMRobertaForSequenceClassification", "");
    scratch_text(&dir, "modules.json", pipeline3);
    scratch_text(&dir, "1_Pooling/config.json", "{\"pooling_mode\":\"cls\"}");
    wn_model_config c = must_read(dir.dir);
    assert_int_equal(c.kind, WN_MODEL_BI_ENCODER);
    assert_string_equal(c.architecture, "XLMRobertaModel");
    assert_int_equal(c.pooling, WN_POOL_CLS);
    assert_true(c.normalize);
    wn_model_config_release(&c);
}

static void max_length_is_the_least_of_what_the_files_say(void **state) {
    static const struct {
        const char *tokenizer, *sentence;
        bool modules;
        size_t want;
    } cases[] = {
        {NULL, NULL, false, 512},
        {"{\"model_max_length\":1000000000000000019884624838656}", NULL, false, 512},
        {"{\"model_max_length\":1e30}", NULL, false, 512},
        {"{\"model_max_length\":128}", NULL, false, 128},
        {"{\"model_max_length\":8192}", NULL, false, 512},
        {"{\"model_max_length\":null}", NULL, false, 512},
        {"{\"model_max_length\":128}", "{\"max_seq_length\":256}", true, 256},
        {"{\"model_max_length\":128}", "{\"max_seq_length\":256}", false, 128}, /* not read then */
        {"{\"model_max_length\":128}", "{\"max_seq_length\":null}", true, 128},
        {NULL, "{\"max_seq_length\":514}", true, 512},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_clear_dir(dir.dir);
        write_config("XLMRobertaModel", "");
        if (cases[i].tokenizer) scratch_text(&dir, "tokenizer_config.json", cases[i].tokenizer);
        if (cases[i].sentence) scratch_text(&dir, "sentence_bert_config.json", cases[i].sentence);
        if (cases[i].modules) {
            scratch_text(&dir, "modules.json", pipeline3);
            scratch_text(&dir, "1_Pooling/config.json", "{}");
        }
        wn_model_config c = must_read(dir.dir);
        if (c.max_length != cases[i].want) fail_msg("case %zu: %zu", i, c.max_length);
        wn_model_config_release(&c);
    }
    scratch_text(&dir, "tokenizer_config.json", "{\"model_max_length\":0}");
    expect_refused(WN_ERR_FORMAT, "model_max_length");
    scratch_text(&dir, "tokenizer_config.json", "{\"model_max_length\":\"512\"}");
    expect_refused(WN_ERR_FORMAT, "model_max_length");
}

static void pooling_modes_old_and_new(void **state) {
    static const struct {
        const char *text;
        wn_status status;
        int pooling;
        const char *message;
    } cases[] = {
        {"{}", WN_OK, WN_POOL_MEAN, NULL},
        {"{\"pooling_mode_cls_token\":true}", WN_OK, WN_POOL_CLS, NULL},
        {"{\"pooling_mode_cls_token\":false,\"pooling_mode_mean_tokens\":true}", WN_OK, WN_POOL_MEAN, NULL},
        {"{\"pooling_mode\":\"mean\",\"embedding_dimension\":32}", WN_OK, WN_POOL_MEAN, NULL},
        {"{\"pooling_mode\":[\"cls\"]}", WN_OK, WN_POOL_CLS, NULL},
        {"{\"pooling_mode\":\"cls\",\"pooling_mode_mean_tokens\":true}", WN_OK, WN_POOL_CLS, NULL},
        {"{\"pooling_mode\":\"max\"}", WN_ERR_UNSUPPORTED, 0, "\"max\""},
        {"{\"pooling_mode_lasttoken\":true}", WN_ERR_UNSUPPORTED, 0, "\"lasttoken\""},
        {"{\"pooling_mode_mean_sqrt_len_tokens\":true}", WN_ERR_UNSUPPORTED, 0, "mean_sqrt_len_tokens"},
        {"{\"pooling_mode\":[\"cls\",\"mean\"]}", WN_ERR_UNSUPPORTED, 0, "combination of 2"},
        {"{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}", WN_ERR_UNSUPPORTED, 0,
         "combination of pooling modes \"cls\" and \"mean\""},
        {"{\"pooling_mode\":7}", WN_ERR_FORMAT, 0, "must be a string"},
        {"{\"word_embedding_dimension\":384}", WN_ERR_FORMAT, 0, "pools 384 dimensions"},
        {"{\"include_prompt\":false}", WN_ERR_UNSUPPORTED, 0, "include_prompt"},
        {"{", WN_ERR_FORMAT, 0, "1_Pooling/config.json"},
    };
    write_config("BertModel", "");
    scratch_text(&dir, "modules.json", pipeline3);
    expect_refused(WN_ERR_NOT_FOUND, "1_Pooling/config.json: not there");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        scratch_text(&dir, "1_Pooling/config.json", cases[i].text);
        if (cases[i].status != WN_OK) {
            expect_refused(cases[i].status, cases[i].message);
            continue;
        }
        wn_model_config c = must_read(dir.dir);
        assert_int_equal(c.pooling, cases[i].pooling);
        wn_model_config_release(&c);
    }
}

static void pipelines_we_do_not_compute_are_refused(void **state) {
    static const char *const refused[] = {"sentence_transformers.models.Dense", "custom.Pooling",
                                          "sentence_transformers.models.Normalize",
                                          "sentence_transformers.models.Transformer"};
    write_config("BertModel", "");
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        write_pipeline("", refused[i]);
        expect_refused(WN_ERR_UNSUPPORTED, refused[i]);
    }
    write_pipeline("0_Transformer", "sentence_transformers.models.Pooling");
    expect_refused(WN_ERR_UNSUPPORTED, "lies in \"0_Transformer\"");
    write_pipeline("../other", NULL);
    expect_refused(WN_ERR_FORMAT, "leaves the model directory");
    write_pipeline("/etc", NULL);
    expect_refused(WN_ERR_FORMAT, "leaves the model directory");
    write_pipeline("", NULL);
    expect_refused(WN_ERR_UNSUPPORTED, "without a Pooling module");
    scratch_text(&dir, "modules.json", "{}");
    expect_refused(WN_ERR_FORMAT, "must be a list");
    scratch_text(&dir, "modules.json", "[]");
    expect_refused(WN_ERR_UNSUPPORTED, "no Transformer module");
    scratch_text(&dir, "modules.json", "[1]");
    expect_refused(WN_ERR_FORMAT, "module 0 must be an object");
}

static void newer_module_paths_of_the_library_are_known(void **state) {
    write_config("BertModel", "");
    scratch_text(&dir, "modules.json",
                 "[{\"path\":\"\",\"type\":\"sentence_transformers.base.modules.transformer.Transformer\"},"
                 "{\"path\":\"1\",\"type\":\"sentence_transformers.sentence_transformer.modules.pooling.Pooling\"},"
                 "{\"path\":\"2\",\"type\":\"sentence_transformers.base.modules.normalize.Normalize\"}]");
    scratch_text(&dir, "1/config.json", "{\"pooling_mode\":\"mean\"}");
    wn_model_config c = must_read(dir.dir);
    assert_true(c.normalize);
    wn_model_config_release(&c);
}

static void prompts_by_name_and_role(void **state) {
    write_config("BertModel", "");
    scratch_text(&dir, "modules.json", pipeline3);
    scratch_text(&dir, "1_Pooling/config.json", "{}");
    scratch_text(&dir, "config_sentence_transformers.json",
                 "{\"prompts\":{\"query\":\"query: \",\"passage\":\"passage: \",\"none\":null},"
                 "\"default_prompt_name\":\"query\"}");
    wn_model_config c = must_read(dir.dir);
    assert_int_equal(c.nprompts, 3);
    assert_string_equal(wn_model_config_prompt(&c, "query"), "query: ");
    assert_string_equal(wn_model_config_prompt(&c, "document"), "passage: ");
    assert_string_equal(wn_model_config_prompt(&c, "none"), "");
    assert_string_equal(wn_model_config_prompt(&c, "absent"), "");
    assert_string_equal(c.default_prompt, "query");
    wn_model_config_release(&c);
    static const char *const bad[][2] = {
        {"{\"prompts\":[]}", "\"prompts\" must be an object"},
        {"{\"prompts\":{\"query\":1}}", "prompt \"query\" must be a string"},
        {"{\"prompts\":{\"query\":\"a\\u0000b\"}}", "without NUL"},
        {"{\"prompts\":{},\"default_prompt_name\":\"web\"}", "\"web\" is not among"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_text(&dir, "config_sentence_transformers.json", bad[i][0]);
        expect_refused(WN_ERR_FORMAT, bad[i][1]);
    }
}

static void write_everything(void) {
    write_config("BertModel", ",\"id2label\":{\"0\":\"a\"}");
    scratch_text(&dir, "modules.json", pipeline3);
    scratch_text(&dir, "1_Pooling/config.json", "{\"pooling_mode_cls_token\":true}");
    scratch_text(&dir, "sentence_bert_config.json", "{\"max_seq_length\":256,\"do_lower_case\":true}");
    scratch_text(&dir, "tokenizer_config.json", "{\"model_max_length\":512}");
    scratch_text(&dir, "config_sentence_transformers.json",
                 "{\"prompts\":{\"query\":\"q: \",\"document\":\"d: \"},\"default_prompt_name\":\"query\"}");
}

static void any_failing_allocation_is_reported_and_leaks_nothing(void **state) {
    write_everything();
    for (int sticky = 0; sticky < 2; sticky++) {
        uint64_t n = 1;
        for (;; n++) {
            wn_model_config c;
            wn_error err = {0};
            wn_memory_fail_at(n, sticky);
            wn_status st = wn_model_config_read(dir.dir, &c, &err);
            wn_memory_fail_at(0, false);
            if (st == WN_OK) {
                wn_model_config_release(&c);
                break;
            }
            assert_int_equal(st, WN_ERR_MEMORY);
        }
        assert_true(n > 15);
    }
}

static void bit_flips_of_every_file_are_safe(void **state) {
    static const char *const files[] = {"config.json", "modules.json", "1_Pooling/config.json",
                                        "sentence_bert_config.json", "tokenizer_config.json",
                                        "config_sentence_transformers.json"};
    size_t opened = 0, total = 0;
    write_everything();
    for (size_t f = 0; f < sizeof files / sizeof *files; f++) {
        char path[256], text[2048];
        snprintf(path, sizeof path, "%s/%s", dir.dir, files[f]);
        FILE *in = fopen(path, "rb");
        assert_non_null(in);
        size_t len = fread(text, 1, sizeof text, in);
        fclose(in);
        for (size_t bit = 0; bit < 8 * len; bit += 3, total++) {
            text[bit / 8] ^= (char)(1 << bit % 8);
            scratch_write(&dir, files[f], text, len);
            wn_model_config c;
            wn_error err = {0};
            if (wn_model_config_read(dir.dir, &c, &err) == WN_OK) {
                assert_true(c.hidden % c.heads == 0 && c.max_length >= 1 && c.max_length <= 1 << 20);
                wn_model_config_release(&c);
                opened++;
            } else {
                assert_true(err.message[0]);
            }
            text[bit / 8] ^= (char)(1 << bit % 8);
        }
        scratch_write(&dir, files[f], text, len);
    }
    print_message("%zu bit flips: %zu refused, %zu read as something valid\n", total, total - opened, opened);
}

static void committed_small_models_are_read(void **state) {
    char path[512];
    snprintf(path, sizeof path, "%s/tests/golden/models/small-xlmr", WN_SOURCE_ROOT);
    wn_model_config c = must_read(path);
    assert_string_equal(c.architecture, "XLMRobertaModel");
    assert_int_equal(c.position_offset, 2);
    assert_int_equal(c.max_length, 256);
    assert_int_equal(c.type_vocab, 1);
    assert_true(c.normalize && c.layer_norm_eps == 1e-5f);
    wn_model_config_release(&c);
    snprintf(path, sizeof path, "%s/tests/golden/models/small-xlmr-reranker", WN_SOURCE_ROOT);
    c = must_read(path);
    assert_int_equal(c.kind, WN_MODEL_CROSS_ENCODER);
    assert_int_equal(c.activation, WN_ACT_SIGMOID);
    assert_int_equal(c.max_length, 512);
    wn_model_config_release(&c);
}

static void real_models_are_read_as_sentence_transformers_does(void **state) {
    char path[1024];
    int found = 0;
    if (model_dir("all-MiniLM-L6-v2", "config.json", path, sizeof path)) {
        wn_model_config c = must_read(path);
        assert_string_equal(c.architecture, "BertModel");
        assert_int_equal(c.kind, WN_MODEL_BI_ENCODER);
        assert_int_equal(c.hidden, 384);
        assert_int_equal(c.layers, 6);
        assert_int_equal(c.max_length, 256);
        assert_int_equal(c.pooling, WN_POOL_MEAN);
        assert_true(c.normalize);
        assert_string_equal(wn_model_config_prompt(&c, "query"), "");
        wn_model_config_release(&c);
        found++;
    }
    if (model_dir("bge-small-en-v1.5", "config.json", path, sizeof path)) {
        wn_model_config c = must_read(path);
        assert_int_equal(c.pooling, WN_POOL_CLS);
        assert_true(c.normalize && c.do_lower_case);
        assert_int_equal(c.max_length, 512);
        assert_string_equal(wn_model_config_prompt(&c, "query"),
                            "Represent this sentence for searching relevant passages: ");
        assert_string_equal(wn_model_config_prompt(&c, "document"), "");
        assert_null(c.default_prompt);
        wn_model_config_release(&c);
        found++;
    }
    if (model_dir("reranker-minilm-l6-v0", "config.json", path, sizeof path)) {
        wn_model_config c = must_read(path);
        assert_string_equal(c.architecture, "BertForSequenceClassification");
        assert_int_equal(c.kind, WN_MODEL_CROSS_ENCODER);
        assert_int_equal(c.labels, 1);
        assert_int_equal(c.activation, WN_ACT_IDENTITY);
        assert_true(c.has_pooler_head && !c.roberta);
        assert_int_equal(c.max_length, 512);
        wn_model_config_release(&c);
        found++;
    }
    if (!found) {
        print_message("SKIPPED: no real models here\n");
        skip();
    }
    print_message("%d real models\n", found);
}

static wn_status read_blends(const char *text, wn_blends *out, wn_error *err) {
    *out = (wn_blends){0};
    scratch_text(&dir, "winnow_blend.json", text);
    return wn_blends_read(dir.dir, out, err);
}

static void blends_are_read_by_embedder(void **state) {
    wn_blends b = {0};
    wn_error err;
    assert_int_equal(wn_blends_read(dir.dir, &b, &err), WN_OK); /* no file */
    assert_int_equal(b.count, 0);
    assert_int_equal(read_blends("{\"blend\": {\"bge-small-en-v1.5\": 12.5, \"x\": 0}, \"note\": []}", &b, &err), WN_OK);
    assert_int_equal(b.count, 2);
    assert_string_equal(b.items[0].embedder, "bge-small-en-v1.5");
    assert_true(b.items[0].weight == 12.5f && b.items[1].weight == 0);
    wn_blends_release(&b);
    assert_int_equal(read_blends("{}", &b, &err), WN_OK);
    assert_int_equal(b.count, 0);
}

static void blends_that_are_wrong_are_refused(void **state) {
    static const char *const wrong[] = {
        "[]", "{\"blend\": 3}", "{\"blend\": {\"a\": -1}}", "{\"blend\": {\"a\": \"1\"}}", "{\"blend\": {\"a\": 1e5}}",
        "{\"blend\": {\"a\": 1, \"b\": null}}", "{\"blend\": {", "\xFF"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wn_blends b;
        wn_error err = {0};
        assert_int_equal(read_blends(wrong[i], &b, &err), WN_ERR_FORMAT);
        if (!strstr(err.message, "winnow_blend.json")) fail_msg("%s: %s", wrong[i], err.message);
        wn_blends_release(&b);
    }
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(blends_are_read_by_embedder),
        CASE(blends_that_are_wrong_are_refused),
        CASE(plain_encoder_gets_the_librarys_defaults),
        CASE(architectures_map_to_what_is_computed),
        CASE(unsupported_models_are_refused_by_name),
        CASE(config_that_is_absent_or_no_config_is_refused),
        CASE(cross_encoder_activation_follows_the_librarys_rule),
        CASE(cross_encoder_saved_with_modules_stays_one),
        CASE(pooling_over_a_classifier_is_a_bi_encoder),
        CASE(max_length_is_the_least_of_what_the_files_say),
        CASE(pooling_modes_old_and_new),
        CASE(pipelines_we_do_not_compute_are_refused),
        CASE(newer_module_paths_of_the_library_are_known),
        CASE(prompts_by_name_and_role),
        CASE(any_failing_allocation_is_reported_and_leaks_nothing),
        CASE(bit_flips_of_every_file_are_safe),
        CASE(committed_small_models_are_read),
        CASE(real_models_are_read_as_sentence_transformers_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
