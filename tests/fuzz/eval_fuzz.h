/* eval_fuzz.h -- bytes as a path: the readers of evaluation take paths, this needs no disk. */
#ifndef WN_FUZZ_EVAL_FUZZ_H
#define WN_FUZZ_EVAL_FUZZ_H
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <winnow/eval.h>

static const char *eval_fuzz_open(const uint8_t *data, size_t size, int *fd) {
    static char path[64];
    *fd = memfd_create("eval", MFD_CLOEXEC);
    if (*fd < 0 || write(*fd, data, size) != (ssize_t)size) abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", *fd);
    return path;
}

/* A refusal says why; a malformed line has a number. */
static inline void eval_fuzz_check(wn_status st, const wn_error *err) {
    if (st == WN_OK) return;
    assert(st == err->code && err->message[0]);
    assert(st == WN_ERR_FORMAT || st == WN_ERR_MISMATCH || st == WN_ERR_UNSUPPORTED ||
           st == WN_ERR_ARGUMENT);
}
#endif
