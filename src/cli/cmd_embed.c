/* cmd_embed.c -- {"text"} a line in; embeddings out as JSON lines or one .npy array.
 * A .npy begins with the number of rows, known only at the end: the rows go to the output file, or for
 * standard output to a temporary file, and the header is written last. */
#include "cli.h"
#include "npy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 256 };
static const char *const FORMATS[] = {"jsonl", "npy", NULL};
static const char *const ROLES[] = {"none", "query", "document", NULL};

typedef struct {
    wn_bi_encoder *encoder;
    const char *prompt_name;
    wn_role role;
    wn_length_policy policy;
    FILE *out;
    bool npy;
    size_t dim, rows;
    float *values; /* [BATCH, dim] */
    json_t *objects[BATCH];
    wn_str texts[BATCH];
    wn_fit fits[BATCH];
    size_t n;
} embed_job;

static void print_row(embed_job *job, size_t i) {
    json_t *vector = json_array();
    for (size_t d = 0; d < job->dim; d++)
        json_array_append_new(vector, rec_real(job->values[i * job->dim + d]));
    json_t *out = json_pack("{s:o}", "embedding", vector);
    if (job->fits[i].tokens_dropped) {
        json_object_set_new(out, "tokens_seen", json_integer(job->fits[i].tokens_seen));
        json_object_set_new(out, "tokens_dropped", json_integer(job->fits[i].tokens_dropped));
    }
    cli_print_json(job->out, out);
}

static int flush(embed_job *job) {
    wn_error err;
    wn_status st = WN_OK;
    if (job->n)
        st = job->prompt_name
                 ? wn_bi_encoder_embed_named(job->encoder, job->texts, job->n, job->prompt_name,
                                             job->policy, job->values, job->fits, &err)
                 : wn_bi_encoder_embed(job->encoder, job->texts, job->n, job->role, job->policy,
                                       job->values, job->fits, &err);
    size_t cut = 0;
    for (size_t i = 0; st == WN_OK && i < job->n; i++) {
        if (!job->npy) print_row(job, i);
        cut += job->fits[i].tokens_dropped > 0;
    }
    if (st == WN_OK && job->npy) npy_write_rows(job->out, job->values, job->n * job->dim);
    if (cut && job->npy)
        fprintf(stderr, "winnow: warning: %zu texts were cut to the model's length\n", cut);
    job->rows += job->n;
    for (size_t i = 0; i < job->n; i++) json_decref(job->objects[i]);
    job->n = 0;
    return st == WN_OK ? -1 : cli_fail(&err);
}

static int read_and_embed(cli_lines *lines, embed_job *job) {
    int code = -1;
    for (json_t *object; code < 0 && (object = cli_lines_next_object(lines));) {
        wn_str *text = &job->texts[job->n];
        text->data = cli_lines_string(lines, object, "text", &text->len);
        if (!text->data) {
            json_decref(object);
            break;
        }
        job->objects[job->n++] = object;
        if (job->n == BATCH) code = flush(job);
    }
    if (code < 0) code = flush(job);
    return code < 0 && cli_lines_failed(lines) ? EXIT_FAILED : code;
}

/* Puts the header in front; copies a temporary file to standard output. */
static bool finish_npy(embed_job *job, bool temporary) {
    if (fseek(job->out, 0, SEEK_SET) != 0 || !npy_write_header(job->out, job->rows, job->dim))
        return false;
    if (!temporary) return true;
    char block[1 << 16];
    rewind(job->out);
    for (size_t n; (n = fread(block, 1, sizeof block, job->out)) > 0;)
        if (fwrite(block, 1, n, stdout) != n) return false;
    return !ferror(job->out);
}

static int run(cli_lines *lines, embed_job *job, const char *path) {
    bool temporary = !path && job->npy;
    job->out = path ? fopen(path, job->npy ? "w+be" : "we") : temporary ? tmpfile() : stdout;
    if (!job->out) {
        fprintf(stderr, "winnow: %s: cannot create: %s\n", path ? path : "temporary file",
                strerror(errno));
        return EXIT_FAILED;
    }
    bool written = !job->npy || npy_write_header(job->out, 0, job->dim);
    int code = read_and_embed(lines, job);
    if (code < 0 && job->npy) written = written && finish_npy(job, temporary);
    written = written && !ferror(job->out);
    if (job->out != stdout && fclose(job->out) != 0) written = false;
    if (code < 0 && !written) {
        fprintf(stderr, "winnow: %s: cannot write: %s\n", path ? path : "standard output",
                strerror(errno));
        code = EXIT_FAILED;
    }
    return code < 0 ? cli_finish_output() : code;
}

static bool ends_with(const char *text, const char *end) {
    size_t a = strlen(text), b = strlen(end);
    return a >= b && strcmp(text + a - b, end) == 0;
}

int cmd_embed(int argc, char **argv) {
    const char *name = NULL, *path = NULL, *prompt_name = NULL;
    size_t max_length = 0;
    int threads = 0, policy = 0, format = 0, role = 0, precision = 0;
    const cli_option options[] = {
        {"model", 'm', OPT_STRING, &name, "DIR", "model directory or cache name (default: the embedder)"},
        {"output", 'o', OPT_STRING, &path, "FILE", "write here; a name in .npy means --format npy"},
        {"format", 'f', OPT_CHOICE, &format, NULL, "JSON lines, or a NumPy array", .choices = FORMATS},
        {"prompt-name", 0, OPT_STRING, &prompt_name, "NAME", "a prompt of the model's"},
        {"role", 0, OPT_CHOICE, &role, NULL, "take the model's prompt for it", .choices = ROLES},
        {"max-length", 0, OPT_SIZE, &max_length, "N", "cut texts to N tokens", 1},
        {"max-length-policy", 0, OPT_CHOICE, &policy, NULL, "over-long texts (windows: as truncate)",
         .choices = REC_LENGTH_POLICIES},
        {"precision", 0, OPT_CHOICE, &precision, NULL, "of the products; auto: the fastest that is safe",
         .choices = PRECISIONS},
        {"threads", 't', OPT_INT, &threads, "N", "worker threads (default: one a processor)", 0},
    };
    const cli_command command = {"embed --model DIR [FILE...]",
                                 "Reads {\"text\"}, one JSON object a line; writes {\"embedding\"} lines, or one\n"
                                 "NumPy array [texts, dim].",
                                 options, sizeof options / sizeof *options};
    cli_list files = {0};
    int code = cli_parse(&command, argc, argv, &files);
    wn_error err;
    wn_model *model = NULL;
    cli_lines *lines = NULL;
    embed_job *job = NULL;
    if (code >= 0) goto done;
    code = EXIT_FAILED;
    job = calloc(1, sizeof *job);
    lines = cli_lines_open(&files);
    if (!job || !lines) goto done;
    if (cli_model_open(name, DEFAULT_EMBEDDERS, max_length, precision, &model, &err) != WN_OK ||
        wn_bi_encoder_create(model, threads, &job->encoder, &err) != WN_OK) {
        code = cli_fail(&err);
        goto done;
    }
    job->prompt_name = prompt_name;
    job->role = (wn_role)role;
    job->policy = (wn_length_policy)policy;
    job->npy = format == 1 || (path && ends_with(path, ".npy"));
    job->dim = wn_bi_encoder_dim(job->encoder);
    job->values = calloc(BATCH * job->dim, sizeof(float));
    code = job->values ? run(lines, job, path) : cli_fail_memory();
done:
    if (job) {
        for (size_t i = 0; i < job->n; i++) json_decref(job->objects[i]);
        wn_bi_encoder_free(job->encoder);
        free(job->values);
        free(job);
    }
    cli_lines_close(lines);
    wn_model_close(model);
    cli_list_release(&files);
    return code;
}
