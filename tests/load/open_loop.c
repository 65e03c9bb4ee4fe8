/* An open-loop load generator: requests leave on a schedule that the server cannot slow down, and
 * an answer's time counts from the moment that its request was due, not from when a connection was
 * free for it (coordinated omission). With rate 0, a closed loop: every connection asks again as
 * soon as it has its answer; that is how capacity is measured.
 *
 *   open_loop HOST PORT RATE SECONDS CONNECTIONS TARGET FILE…
 *
 * Prints one JSON line, with its own processor time; SIGTERM ends the schedule, and what was asked
 * is still answered. One thread, epoll, keep-alive, PUT of the files in turn. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 512, ANSWER = 16384, DUE = 1 << 20, EVENTS = 256, PATIENCE_S = 10 };

struct file {
    char *bytes; /* head and body */
    size_t len;
};

struct connection {
    int fd, busy;
    uint64_t due_ns;
    const struct file *file;
    size_t sent, got;
    char answer[ANSWER];
    struct connection *next_free;
};

struct load {
    const char *target;
    double rate, seconds;
    struct addrinfo *address;
    struct file *files;
    int n_files, epoll, signals;
    struct connection *all, *free;
    int n, max, busy;
    uint64_t start_ns, end_ns, asked; /* requests that were due so far */
    uint64_t *due;                    /* those without a connection yet, oldest first: a ring */
    size_t due_from, due_n;
    double *times; /* ms, of good answers */
    size_t n_times, room;
    uint64_t good, degraded, refused, expired, other, broken;
    uint64_t good_in_time; /* answered before the end of the schedule */
};

static void die(const char *what)
{
    perror(what);
    exit(2);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void read_file(struct file *f, const char *path, const char *target)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        die(path);
    f->bytes = malloc(HEAD + (size_t)st.st_size);
    if (!f->bytes)
        die("malloc");
    int head =
        snprintf(f->bytes, HEAD,
                 "PUT %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/octet-stream\r\n"
                 "Content-Length: %lld\r\n\r\n",
                 target, (long long)st.st_size);
    if (head >= HEAD || read(fd, f->bytes + head, (size_t)st.st_size) != st.st_size)
        die(path);
    f->len = (size_t)head + (size_t)st.st_size;
    close(fd);
}

/* ---- connections ---- */

static int open_socket(struct load *l, struct connection *c)
{
    int one = 1;
    c->fd = socket(l->address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return -1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    if ((connect(c->fd, l->address->ai_addr, l->address->ai_addrlen) < 0 && errno != EINPROGRESS) ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0) {
        close(c->fd);
        c->fd = -1;
        return -1;
    }
    return 0;
}

static void give_back(struct load *l, struct connection *c)
{
    c->busy = 0;
    l->busy--;
    c->next_free = l->free;
    l->free = c;
}

static void drop(struct load *l, struct connection *c)
{
    if (c->busy) {
        l->broken++;
        give_back(l, c);
    }
    close(c->fd); /* which takes it out of the epoll */
    c->fd = -1;
}

static int push(struct connection *c)
{
    while (c->busy && c->sent < c->file->len) {
        ssize_t n = send(c->fd, c->file->bytes + c->sent, c->file->len - c->sent, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINPROGRESS || errno == ENOTCONN ? 0 : -1;
        c->sent += (size_t)n;
    }
    return 0;
}

static void ask(struct load *l, struct connection *c, uint64_t due)
{
    c->busy = 1;
    l->busy++;
    c->due_ns = due;
    c->file = &l->files[l->asked++ % (uint64_t)l->n_files];
    c->sent = c->got = 0;
    if ((c->fd < 0 && open_socket(l, c) < 0) || push(c) < 0) {
        if (c->fd >= 0)
            drop(l, c);
        else {
            l->broken++;
            give_back(l, c);
        }
    }
}

/* ---- answers ---- */

static void note_good(struct load *l, const struct connection *c, uint64_t now)
{
    if (l->n_times == l->room) {
        l->room = l->room ? l->room * 2 : 4096;
        l->times = realloc(l->times, l->room * sizeof(*l->times));
        if (!l->times)
            die("realloc");
    }
    l->times[l->n_times++] = (double)(now - c->due_ns) / 1e6;
    l->good++;
    l->good_in_time += now <= l->end_ns;
    l->degraded += strstr(c->answer, "\"degraded\":true") != NULL;
}

/* 1: the whole answer is here; 2: and the connection ends with it. */
static int is_whole(struct connection *c)
{
    c->answer[c->got] = 0;
    char *body = strstr(c->answer, "\r\n\r\n"),
         *length = strcasestr(c->answer, "\ncontent-length:");
    if (!body || !length || length > body)
        return 0;
    size_t want = (size_t)(body + 4 - c->answer) + strtoul(length + 16, NULL, 10);
    if (c->got < want)
        return 0;
    char *close = strcasestr(c->answer, "\nconnection: close");
    return close && close < body ? 2 : 1;
}

static void take_answer(struct load *l, struct connection *c, int whole)
{
    int status = (int)strtol(c->answer + sizeof("HTTP/1.1"), NULL, 10);
    if (status == 200)
        note_good(l, c, now_ns());
    else if (status == 429)
        l->refused++;
    else if (status == 504)
        l->expired++;
    else
        l->other++;
    int unread = c->sent < c->file->len;
    give_back(l, c);
    if (whole == 2 || unread) {
        close(c->fd);
        c->fd = -1;
    }
}

static void pull(struct load *l, struct connection *c)
{
    for (;;) {
        if (c->got >= ANSWER - 1) {
            drop(l, c);
            return;
        }
        ssize_t n = recv(c->fd, c->answer + c->got, ANSWER - 1 - c->got, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            drop(l, c);
            return;
        }
        c->got += (size_t)n;
        int whole = c->busy ? is_whole(c) : 0;
        if (whole) {
            take_answer(l, c, whole);
            return;
        }
    }
}

/* ---- the schedule ---- */

static struct connection *idle_connection(struct load *l)
{
    struct connection *c = l->free;
    if (c)
        l->free = c->next_free;
    else if (l->n < l->max) {
        c = &l->all[l->n++];
        c->fd = -1;
    }
    return c;
}

/* Everything that is due goes out, or waits for a connection. */
static void keep_schedule(struct load *l, uint64_t now, uint64_t *scheduled)
{
    if (l->rate > 0) {
        uint64_t most = (uint64_t)(l->rate * l->seconds);
        for (; *scheduled < most; ++*scheduled) {
            uint64_t due = l->start_ns + (uint64_t)((double)*scheduled / l->rate * 1e9);
            if (due > now)
                break;
            if (l->due_n == DUE)
                die("too many requests are due");
            l->due[(l->due_from + l->due_n++) % DUE] = due;
        }
    } else if (now < l->end_ns) {
        while (l->busy + (int)l->due_n < l->max)
            l->due[(l->due_from + l->due_n++) % DUE] = now;
    }
    while (l->due_n > 0) {
        struct connection *c = idle_connection(l);
        if (!c)
            break;
        uint64_t due = l->due[l->due_from];
        l->due_from = (l->due_from + 1) % DUE;
        l->due_n--;
        ask(l, c, due);
    }
}

static struct timespec wait_time(const struct load *l, uint64_t now, uint64_t scheduled)
{
    uint64_t next = now + 10000000u;
    if (l->rate > 0 && now < l->end_ns)
        next = l->start_ns + (uint64_t)((double)scheduled / l->rate * 1e9);
    uint64_t ns = next > now ? next - now : 0;
    return (struct timespec){(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
}

static void watch_signals(struct load *l)
{
    sigset_t set;
    struct epoll_event e = {.events = EPOLLIN};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, NULL);
    l->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (l->signals < 0 || epoll_ctl(l->epoll, EPOLL_CTL_ADD, l->signals, &e) < 0)
        die("signalfd");
}

static void stop_asking(struct load *l)
{
    struct signalfd_siginfo info;
    if (read(l->signals, &info, sizeof(info)) != sizeof(info))
        return;
    l->end_ns = now_ns();
    l->seconds = (double)(l->end_ns - l->start_ns) / 1e9;
    l->due_n = 0;
}

static void run(struct load *l)
{
    struct epoll_event events[EVENTS];
    uint64_t scheduled = 0, now = now_ns();
    l->start_ns = now;
    l->end_ns = now + (uint64_t)(l->seconds * 1e9);
    while (now < l->end_ns ||
           ((l->busy > 0 || l->due_n > 0) && now < l->end_ns + PATIENCE_S * 1000000000ull)) {
        keep_schedule(l, now, &scheduled);
        struct timespec wait = wait_time(l, now, scheduled);
        int n = epoll_pwait2(l->epoll, events, EVENTS, &wait, NULL);
        for (int i = 0; i < n; i++) {
            struct connection *c = events[i].data.ptr;
            if (!c) {
                stop_asking(l);
                continue;
            }
            if (c->fd >= 0 && events[i].events & EPOLLOUT && push(c) < 0)
                drop(l, c);
            if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                pull(l, c);
        }
        now = now_ns();
    }
    l->broken += (uint64_t)l->busy + l->due_n;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const struct load *l, double q)
{
    if (l->n_times == 0)
        return 0;
    size_t i = (size_t)(q * (double)l->n_times);
    return l->times[i < l->n_times ? i : l->n_times - 1];
}

static void print(struct load *l)
{
    struct rusage used;
    qsort(l->times, l->n_times, sizeof(*l->times), by_value);
    getrusage(RUSAGE_SELF, &used);
    double cpu = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    printf(
        "{\"offered\":%.2f,\"goodput\":%.2f,\"p50\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f,"
        "\"asked\":%llu,\"good\":%llu,\"degraded\":%llu,\"refused\":%llu,\"expired\":%llu,"
        "\"other\":%llu,\"broken\":%llu,\"cpu\":%.3f}\n",
        (double)l->asked / l->seconds, (double)l->good_in_time / l->seconds, quantile(l, 0.5),
        quantile(l, 0.99), quantile(l, 0.999), quantile(l, 1), (unsigned long long)l->asked,
        (unsigned long long)l->good, (unsigned long long)l->degraded,
        (unsigned long long)l->refused, (unsigned long long)l->expired,
        (unsigned long long)l->other, (unsigned long long)l->broken, cpu);
}

int main(int argc, char **argv)
{
    struct load l = {0};
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (argc < 8) {
        fprintf(stderr, "usage: open_loop HOST PORT RATE SECONDS CONNECTIONS TARGET FILE…\n");
        return 2;
    }
    if (getaddrinfo(argv[1], argv[2], &hints, &l.address) != 0)
        die(argv[1]);
    l.rate = strtod(argv[3], NULL);
    l.seconds = strtod(argv[4], NULL);
    l.max = (int)strtol(argv[5], NULL, 10);
    l.target = argv[6];
    l.n_files = argc - 7;
    l.files = calloc((size_t)l.n_files, sizeof(*l.files));
    l.all = l.max > 0 ? calloc((size_t)l.max, sizeof(*l.all)) : NULL;
    l.due = malloc(DUE * sizeof(*l.due));
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!l.files || !l.all || !l.due || l.epoll < 0)
        die("start");
    watch_signals(&l);
    for (int i = 0; i < l.n_files; i++)
        read_file(&l.files[i], argv[7 + i], l.target);
    run(&l);
    print(&l);
    return 0;
}
