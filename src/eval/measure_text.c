/* measure_text.c -- runid and relstring: what is printed as text, not computed.
 * The texts themselves are made in evaluate.c; these are their names and help. */
#include "eval/measure_list.h"

const wn_measure wn_measure_runid = {
    .name = "runid", .help = "The tag of the run (of its last line).",
    .summary = WN_SUMMARY_NONE, .hidden = true, .source = WN_SOURCE_ANY};

const wn_measure wn_measure_relstring = {
    .name = "relstring",
    .help = "The relevance of the first n documents (default 10) as a string: a digit, > above 9,\n"
            "- not in the qrels, . in the qrels but not judged. For single queries only.",
    .kind = WN_PARAMETERS_NUMBERS, .defaults = "10", .summary = WN_SUMMARY_NONE,
    .source = WN_SOURCE_QRELS};
