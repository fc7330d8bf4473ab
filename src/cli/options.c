/* options.c -- a table of options over getopt_long.
 * The table is the help text too, so that the two can't drift apart. */
#include "cli.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 40, FIRST_LONG = 256 };

const char *const PRECISIONS[] = {"f32", "bf16", "int8", "auto", NULL};

static int name_length(const char *usage) { return (int)strcspn(usage, " "); }

int cli_usage_error(const cli_command *command, const char *fmt, ...) {
    va_list args;
    fprintf(stderr, "winnow %.*s: ", name_length(command->usage), command->usage);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, " (winnow %.*s --help)\n", name_length(command->usage), command->usage);
    return EXIT_USAGE;
}

int cli_fail(const wn_error *err) {
    fprintf(stderr, "winnow: %s\n", err->message);
    return err->code == WN_ERR_ARGUMENT ? EXIT_USAGE : EXIT_FAILED;
}

int cli_fail_memory(void) {
    fprintf(stderr, "winnow: out of memory\n");
    return EXIT_FAILED;
}

void cli_list_release(cli_list *list) {
    free(list->items);
    *list = (cli_list){0};
}

static bool list_add(cli_list *list, const char *item) {
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 8;
        const char **items = realloc(list->items, cap * sizeof *items);
        if (!items) return false;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count++] = item;
    return true;
}

static void print_help(const cli_command *command) {
    printf("usage: winnow %s\n\n%s\n\noptions:\n", command->usage, command->about);
    for (size_t i = 0; i < command->noptions; i++) {
        const cli_option *o = &command->options[i];
        char left[80];
        int n = o->letter ? snprintf(left, sizeof left, "  -%c, --%s", o->letter, o->name)
                          : snprintf(left, sizeof left, "      --%s", o->name);
        if (o->choices) {
            for (size_t c = 0; o->choices[c] && n < (int)sizeof left; c++)
                n += snprintf(left + n, sizeof left - (size_t)n, "%s%s", c ? "|" : " ",
                              o->choices[c]);
        } else if (o->arg) {
            snprintf(left + n, sizeof left - (size_t)n, " %s", o->arg);
        }
        if (strlen(left) > 29) printf("%s\n%-30s%s\n", left, "", o->help);
        else printf("%-30s%s\n", left, o->help);
    }
    printf("  -h, --help                  this text\n");
}

static int set_integer(const cli_command *command, const cli_option *o, const char *value) {
    char *end;
    errno = 0;
    long long n = strtoll(value, &end, 10);
    if (!*value || *end || errno || n > (o->kind == OPT_INT ? INT_MAX : LLONG_MAX))
        return cli_usage_error(command, "--%s: \"%s\" is not a whole number", o->name, value);
    if (n < o->lo)
        return cli_usage_error(command, "--%s must be at least %ld, not %lld", o->name, o->lo, n);
    if (o->kind == OPT_INT) *(int *)o->target = (int)n;
    else *(size_t *)o->target = (size_t)n;
    return -1;
}

static int set_choice(const cli_command *command, const cli_option *o, const char *value) {
    for (int c = 0; o->choices[c]; c++)
        if (strcmp(o->choices[c], value) == 0) {
            *(int *)o->target = c;
            return -1;
        }
    fprintf(stderr, "winnow %.*s: --%s: \"%s\" is not one of", name_length(command->usage),
            command->usage, o->name, value);
    for (int c = 0; o->choices[c]; c++) fprintf(stderr, "%s %s", c ? "," : "", o->choices[c]);
    fputc('\n', stderr);
    return EXIT_USAGE;
}

static int set_option(const cli_command *command, const cli_option *o, const char *value) {
    char *end;
    switch (o->kind) {
    case OPT_FLAG: *(bool *)o->target = true; break;
    case OPT_UNFLAG: *(bool *)o->target = false; break;
    case OPT_STRING: *(const char **)o->target = value; break;
    case OPT_SIZE:
    case OPT_INT: return set_integer(command, o, value);
    case OPT_CHOICE: return set_choice(command, o, value);
    case OPT_LIST:
        if (!list_add(o->target, value)) return cli_fail_memory();
        break;
    case OPT_FLOAT: {
        float number = strtof(value, &end);
        if (!*value || *end || isnan(number))
            return cli_usage_error(command, "--%s: \"%s\" is not a number", o->name, value);
        *(float *)o->target = number;
        if (o->seen) *o->seen = true;
        break;
    }
    }
    return -1;
}

/* getopt says '?' for both; optopt tells the letter, argv the long name. */
static int wrong_option(const cli_command *command, char **argv, int code) {
    const char *given = argv[optind - 1];
    if (code == ':') return cli_usage_error(command, "%s needs a value", given);
    return cli_usage_error(command, "unknown option %s", given);
}

int cli_parse(const cli_command *command, int argc, char **argv, cli_list *operands) {
    struct option longs[MAX_OPTIONS + 2] = {{0}};
    char letters[2 * MAX_OPTIONS + 4] = ":h";
    size_t nl = strlen(letters);
    for (size_t i = 0; i < command->noptions && i < MAX_OPTIONS; i++) {
        const cli_option *o = &command->options[i];
        bool valued = o->kind != OPT_FLAG && o->kind != OPT_UNFLAG;
        longs[i] = (struct option){o->name, valued ? required_argument : no_argument, NULL,
                                   FIRST_LONG + (int)i};
        if (!o->letter) continue;
        letters[nl++] = o->letter;
        if (valued) letters[nl++] = ':';
    }
    letters[nl] = 0;
    longs[command->noptions] = (struct option){"help", no_argument, NULL, 'h'};
    optind = 1;
    opterr = 0;
    for (int code; (code = getopt_long(argc, argv, letters, longs, NULL)) != -1;) {
        if (code == 'h') {
            print_help(command);
            return EXIT_DONE;
        }
        if (code == '?' || code == ':') return wrong_option(command, argv, code);
        const cli_option *found = NULL;
        for (size_t i = 0; i < command->noptions; i++)
            if (code == FIRST_LONG + (int)i || code == command->options[i].letter)
                found = &command->options[i];
        int result = set_option(command, found, optarg);
        if (result >= 0) return result;
    }
    for (int i = optind; i < argc; i++)
        if (!list_add(operands, argv[i])) return cli_fail_memory();
    return -1;
}
