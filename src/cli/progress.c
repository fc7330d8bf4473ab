/* progress.c -- a progress bar with rate and time left, and a clean stop on SIGINT. */
#include "cli.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
    (void)signal;
    interrupted = 1;
}

void cli_progress_start(cli_progress *progress, bool quiet) {
    *progress = (cli_progress){.enabled = !quiet && isatty(STDERR_FILENO)};
    /* One SIGINT asks for a clean stop; SA_RESETHAND lets a second one end the program. */
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
}

static void draw(const cli_progress *progress, uint64_t done, uint64_t total, double elapsed) {
    enum { WIDTH = 30 };
    char bar[WIDTH * 3 + 1];
    size_t n = 0;
    int filled = total ? (int)((double)done / (double)total * WIDTH) : 0;
    for (int i = 0; i < WIDTH; i++) {
        memcpy(bar + n, i < filled ? "█" : "░", 3);
        n += 3;
    }
    bar[n] = 0;
    double rate = elapsed > 0 ? (double)done / elapsed : 0;
    fprintf(stderr, "\r\x1b[K%-6s", progress->stage);
    if (total) fprintf(stderr, " %s %3.0f %%", bar, 100.0 * (double)done / (double)total);
    fprintf(stderr, "  %llu", (unsigned long long)done);
    if (total) fprintf(stderr, "/%llu", (unsigned long long)total);
    if (rate > 0) fprintf(stderr, "  %.0f/s", rate);
    if (rate > 0 && total > done) {
        unsigned long left = (unsigned long)((double)(total - done) / rate + 0.5);
        fprintf(stderr, "  %lu:%02lu left", left / 60, left % 60);
    }
    fflush(stderr);
}

bool cli_progress_update(void *ctx, const char *stage, uint64_t done, uint64_t total) {
    cli_progress *progress = ctx;
    if (interrupted) return false;
    if (!progress->enabled) return true;
    double t = cli_now_ms() / 1e3;
    if (!progress->stage || strcmp(progress->stage, stage) != 0) {
        progress->stage = stage;
        progress->started = t;
        progress->drawn = 0;
    }
    if (t - progress->drawn < 0.1 && done != total) return true;
    progress->drawn = t;
    progress->visible = true;
    draw(progress, done, total, t - progress->started);
    return true;
}

void cli_progress_end(cli_progress *progress) {
    if (progress->visible) fputs("\r\x1b[K", stderr);
    progress->visible = false;
    signal(SIGINT, SIG_DFL);
}
