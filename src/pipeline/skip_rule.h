/* skip_rule.h -- how sure the first stage is of its first ranks. */
#ifndef WN_PIPELINE_SKIP_RULE_H
#define WN_PIPELINE_SKIP_RULE_H
#include "pipeline/stages.h"

/* In [0, 1], 1 being sure; see skip_rule.c. The lists' first WN_CONFIDENCE_DEPTH entries count. */
enum { WN_CONFIDENCE_DEPTH = 10 };
float wn_first_stage_confidence(const wn_lists *lists, wn_first_stage stage);
#endif
