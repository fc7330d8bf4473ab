/* api_study.h -- what /impact and /eval share: queries from a body, a study with progress. */
#ifndef WN_SERVER_API_STUDY_H
#define WN_SERVER_API_STUDY_H

#include "api.h"

typedef struct srv_studying {
    srv_searching searching;
    wn_topics *topics;
    wn_qrels *qrels;         /* NULL: every query is asked, else the judged ones */
    srv_filters filters;
    wn_study_options options;
    size_t depth, k;
    wn_study *study;
    json_t *warnings;        /* strings, or NULL */
    bool events, streaming;  /* the client wants events; the first was sent */
    bool counted;            /* among the studies that run at a time */
} srv_studying;

/* Queries and options; srv_studying_labels between this and run, for /eval. False: answered. */
bool srv_studying_open(srv_studying *s, srv_call *call);
/* The body's `qrels`, or the queries' expected sources; none is answered. */
bool srv_studying_labels(srv_studying *s);
/* The study, with events where they are wanted. */
bool srv_studying_run(srv_studying *s, bool rerank);
/* A result, or an error, as the last event or as the answer. Steals body; NULL is no memory. */
void srv_studying_answer(srv_studying *s, json_t *body);
bool srv_studying_failed(srv_studying *s, const wn_error *err);
void srv_studying_close(srv_studying *s);
#endif
