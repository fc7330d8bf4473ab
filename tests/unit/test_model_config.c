/* test_model_config.c -- config.json and the sentence-transformers files: what is read, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>

#include "core/memory.h"
#include "model/config.h"
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void) {
    const struct CMUnitTest tests[] = {
        CASE(real_models_are_read_as_sentence_transformers_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
