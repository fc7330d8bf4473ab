/* http_load.c -- closed-loop clients over HTTP/1.1 on loopback: each sends, waits for its answer, sends the next.
 *
 *   http_load HOST:PORT CLIENTS SECONDS MOST_SECONDS REQUESTS ANSWERS
 *
 * REQUESTS holds "PATH LENGTH\n" and LENGTH bytes of body, as often as wanted; clients take them in turn. ANSWERS gets
 * the first answer to each in the same form ("STATUS LENGTH\n"), so that the caller can check numbers; every later
 * answer to the same request must have the same bytes (a fixed X-Request-Id makes winnow's so) or counts as different.
 * After SECONDS no request is sent any more and those under way are waited for, until MOST_SECONDS: an answer that has
 * not come by then is "unfinished" and its age is counted as its time, so percentiles are then lower bounds.
 * One line of JSON tells the rest.
 *
 * Why not wrk: it can't check an answer, and it drops what is under way at the end, which are the slowest ones. One
 * thread and epoll: at 256 clients it costs some 15 microseconds a request, and the server's processors are left alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

typedef struct blob {
    char *data;
    size_t length, cap;
} blob;

typedef struct question {
    blob wire;   /* head and body */
    blob answer; /* the first one's body */
    int status;
} question;

typedef struct client {
    int fd;
    size_t question, sent;
    double since;
    bool waiting;
    blob in;
} client;

static question *questions;
static size_t nquestions, next_question;
static double *times; /* ms */
static size_t ntimes, times_cap, broken, refused, different, unfinished;
static struct sockaddr_in target;
static int poller;

static void die(const char *what) {
    fprintf(stderr, "http_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void *grown(void *data, size_t bytes) {
    void *p = realloc(data, bytes);
    if (!p) die("memory");
    return p;
}

static double now_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void append(blob *b, const char *data, size_t n) {
    if (b->length + n + 1 > b->cap) b->data = grown(b->data, b->cap = 2 * (b->length + n + 1));
    memcpy(b->data + b->length, data, n);
    b->data[b->length += n] = 0;
}

static void read_questions(const char *path, const char *host) {
    char line[300], where[200], head[700];
    size_t length;
    FILE *file = fopen(path, "rb");
    if (!file) die(path);
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%199s %zu", where, &length) != 2 || length > 1 << 24) die("a line of REQUESTS");
        questions = grown(questions, (nquestions + 1) * sizeof *questions);
        question *q = &questions[nquestions];
        *q = (question){0};
        int n = snprintf(head, sizeof head,
                         "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nX-Request-Id: q%zu\r\n"
                         "Content-Length: %zu\r\n\r\n", where, host, nquestions, length);
        append(&q->wire, head, (size_t)n);
        char *body = grown(NULL, length + 1);
        if (fread(body, 1, length, file) != length) die("a body of REQUESTS");
        append(&q->wire, body, length);
        free(body);
        nquestions++;
    }
    fclose(file);
    if (!nquestions) die("no requests");
}

static void write_answers(const char *path) {
    FILE *file = fopen(path, "wb");
    if (!file) die(path);
    for (size_t i = 0; i < nquestions; i++) {
        fprintf(file, "%d %zu\n", questions[i].status, questions[i].answer.length);
        fwrite(questions[i].answer.data, 1, questions[i].answer.length, file);
    }
    if (fclose(file)) die(path);
}

static void watch(client *c, int how, uint32_t events) {
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (epoll_ctl(poller, how, c->fd, &e)) die("epoll_ctl");
}

static void dial(client *c) {
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&target, sizeof target)) die("connecting");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

static void push(client *c) {
    const blob *wire = &questions[c->question].wire;
    while (c->sent < wire->length) {
        ssize_t n = send(c->fd, wire->data + c->sent, wire->length - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) return; /* its end of file is read next */
        if (n < 0) break;
        c->sent += (size_t)n;
    }
    watch(c, EPOLL_CTL_MOD, c->sent < wire->length ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void ask(client *c) {
    c->question = next_question++ % nquestions;
    c->sent = c->in.length = 0;
    c->waiting = true;
    c->since = now_ms();
    push(c);
}

static void note_time(double ms) {
    if (ntimes == times_cap) times = grown(times, (times_cap = 2 * times_cap + 1024) * sizeof *times);
    times[ntimes++] = ms;
}

/* A whole answer is in: 0 to n bytes of body at `body`. */
static void judge(client *c, int status, const char *body, size_t n) {
    question *q = &questions[c->question];
    note_time(now_ms() - c->since);
    c->waiting = false;
    if (status != 200) {
        refused++;
        if (q->status != 200) q->status = status;
        return;
    }
    if (q->status != 200) {
        q->status = 200;
        q->answer.length = 0;
        append(&q->answer, body, n);
    } else if (q->answer.length != n || memcmp(q->answer.data, body, n) != 0) {
        different++;
    }
}

/* True: the client may ask again. */
static bool pull(client *c) {
    char piece[65536];
    ssize_t n = recv(c->fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return false;
    if (n <= 0) { /* closed: an error if an answer was due; go on with a new connection */
        broken += c->waiting;
        c->waiting = false;
        close(c->fd);
        dial(c);
        return true;
    }
    append(&c->in, piece, (size_t)n);
    const char *end = strstr(c->in.data, "\r\n\r\n"), *length = strcasestr(c->in.data, "\r\nContent-Length:");
    if (!end || !length || length > end) return false;
    size_t want = strtoull(length + 17, NULL, 10), head = (size_t)(end + 4 - c->in.data);
    if (c->in.length < head + want) return false;
    judge(c, atoi(c->in.data + 9), c->in.data + head, want);
    return true;
}

static void run(client *clients, size_t n, double seconds, double most) {
    struct epoll_event events[64];
    double begin = now_ms(), stop = begin + seconds * 1e3, end = begin + most * 1e3;
    for (size_t i = 0; i < n; i++) ask(&clients[i]);
    for (size_t under_way = n; under_way && now_ms() < end;) {
        int got = epoll_wait(poller, events, 64, 100);
        for (int i = 0; i < got; i++) {
            client *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT) push(c);
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || !c->waiting || !pull(c)) continue;
            if (now_ms() < stop) {
                ask(c);
                continue;
            }
            under_way--;
            epoll_ctl(poller, EPOLL_CTL_DEL, c->fd, NULL); /* the server may close it now: not our concern */
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!clients[i].waiting) continue;
        unfinished++;
        note_time(now_ms() - clients[i].since);
    }
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(double p) {
    size_t i = (size_t)(p * (double)ntimes);
    return ntimes ? times[i < ntimes ? i : ntimes - 1] : 0;
}

int main(int argc, char **argv) {
    char host[64];
    struct rusage usage;
    if (argc != 7) return fputs("http_load HOST:PORT CLIENTS SECONDS MOST_SECONDS REQUESTS ANSWERS\n", stderr), 2;
    snprintf(host, sizeof host, "%s", argv[1]);
    char *colon = strrchr(host, ':');
    if (!colon) return fputs("http_load: HOST:PORT\n", stderr), 2;
    read_questions(argv[5], argv[1]);
    *colon = 0;
    target = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &target.sin_addr) != 1) return fputs("http_load: an IPv4 address\n", stderr), 2;
    size_t n = strtoull(argv[2], NULL, 10);
    client *clients = calloc(n ? n : 1, sizeof *clients);
    poller = epoll_create1(0);
    if (!clients || poller < 0) die("starting");
    for (size_t i = 0; i < n; i++) dial(&clients[i]);
    double begin = now_ms();
    run(clients, n, atof(argv[3]), atof(argv[4]));
    double seconds = (now_ms() - begin) / 1e3;
    if (ntimes) qsort(times, ntimes, sizeof *times, by_size);
    write_answers(argv[6]);
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
    size_t answers = ntimes - unfinished - refused;
    printf("{\"clients\":%zu,\"answers\":%zu,\"seconds\":%.3f,\"per_s\":%.2f,\"p50_ms\":%.2f,\"p95_ms\":%.2f,"
           "\"p99_ms\":%.2f,\"max_ms\":%.2f,\"errors\":%zu,\"different\":%zu,\"unfinished\":%zu,\"client_cpu_ms\":%.1f}\n",
           n, answers, seconds, (double)answers / seconds, percentile(0.5),
           percentile(0.95), percentile(0.99), percentile(1), refused + broken, different, unfinished, cpu);
    return 0;
}
