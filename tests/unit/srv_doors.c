/* What stands between the sockets and libmicrohttpd: who is accepted, who may still send after its
 * last answer, and which heads never reach a route. */
#include "server/transport/acceptor.h"
#include "server/transport/http_check.h"
#include "server/transport/linger.h"

#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/handlers/api.h"

static void turn(uv_loop_t *loop, const int *what, int until)
{
    while (*what != until)
        uv_run(loop, UV_RUN_ONCE);
}

static void close_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

/* ---- acceptor ---- */

enum { LIMIT = 3, RESERVE = 2, CLIENTS = 8 };

struct gate {
    uv_loop_t loop;
    struct srv_log *log;
    struct srv_sockets sockets;
    struct srv_acceptor acceptor;
    int refuses; /* take() says -1 */
    int taken, crowded, rounds, full;
    int fd[CLIENTS];
};

static int take(void *owner, int fd, const struct sockaddr *address, socklen_t len, int crowded)
{
    struct gate *g = owner;
    assert_true(address->sa_family == AF_INET && len == sizeof(struct sockaddr_in));
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
    if (g->refuses) {
        close(fd);
        g->refuses--;
        return -1;
    }
    g->fd[g->taken++] = fd;
    g->crowded += crowded;
    return 0;
}

static void taken(void *owner)
{
    ((struct gate *)owner)->rounds++;
}

static void full(void *owner, int wanted)
{
    assert_true(wanted > 0);
    ((struct gate *)owner)->full++;
}

static const struct srv_acceptor_ops gate_ops = {take, taken, full};

static int listen_anywhere(struct sockaddr_in *ret)
{
    socklen_t len = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
    return fd;
}

static int come(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)to, sizeof(*to)), 0);
    return fd;
}

static void set_up(struct gate *g, struct sockaddr_in *ret)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    memset(g, 0, sizeof(*g));
    assert_int_equal(uv_loop_init(&g->loop), 0);
    assert_int_equal(srv_log_create(&g->log, null), 0);
    assert_int_equal(srv_acceptor_start(&g->acceptor, &g->loop, g->log, &g->sockets,
                                        listen_anywhere(ret), LIMIT, RESERVE, &gate_ops, g),
                     0);
}

static void tear_down(struct gate *g)
{
    srv_acceptor_finish(&g->acceptor);
    assert_int_equal(g->sockets.fd, -1);
    close_loop(&g->loop);
    srv_log_destroy(g->log);
    for (int i = 0; i < g->taken; i++)
        close(g->fd[i]);
}

static void more_than_the_limit_wait(void **state)
{
    (void)state;
    struct gate g;
    struct sockaddr_in at;
    int clients[CLIENTS];
    set_up(&g, &at);
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = come(&at);
    turn(&g.loop, &g.taken, LIMIT + RESERVE);
    assert_int_equal(g.sockets.open, LIMIT + RESERVE);
    assert_int_equal(g.crowded, RESERVE);
    while (g.full < 3) /* again and again while somebody waits */
        uv_run(&g.loop, UV_RUN_ONCE);
    assert_int_equal(g.taken, LIMIT + RESERVE);
    for (int i = LIMIT + RESERVE; i < CLIENTS; i++) { /* one goes, one comes */
        srv_acceptor_closed(&g.acceptor);
        turn(&g.loop, &g.taken, i + 1);
        assert_int_equal(g.sockets.open, LIMIT + RESERVE);
    }
    assert_true(g.rounds > 0);
    tear_down(&g);
    for (int i = 0; i < CLIENTS; i++)
        close(clients[i]);
}

static void who_is_not_taken_is_not_counted(void **state)
{
    (void)state;
    struct gate g;
    struct sockaddr_in at;
    set_up(&g, &at);
    g.refuses = 2;
    int clients[] = {come(&at), come(&at), come(&at)};
    turn(&g.loop, &g.taken, 1);
    assert_int_equal(g.sockets.open, 1);
    assert_int_equal(g.acceptor.accepted, 3);
    tear_down(&g);
    for (int i = 0; i < 3; i++)
        close(clients[i]);
}

static void at_the_end_what_has_come_is_taken(void **state)
{
    (void)state;
    struct gate g;
    struct sockaddr_in at;
    set_up(&g, &at);
    int clients[] = {come(&at), come(&at)};
    srv_acceptor_quiesce(&g.acceptor); /* without a turn of the loop */
    assert_int_equal(g.taken, 2);
    assert_int_equal(g.sockets.fd, -1);
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(late, (struct sockaddr *)&at, sizeof(at)), -1);
    close(late);
    tear_down(&g);
    close(clients[0]);
    close(clients[1]);
}

/* The kernel has none to give for a while: who came waits, and is taken then. */
static void without_descriptors(void **state)
{
    (void)state;
    struct gate g;
    struct sockaddr_in at;
    struct rlimit all, none;
    set_up(&g, &at);
    int client = come(&at);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    turn(&g.loop, &g.acceptor.starved, 1);
    assert_true(g.acceptor.starved_ns > 0);
    for (int i = 0; i < 3; i++) /* it tries again, and is still starved */
        uv_run(&g.loop, UV_RUN_ONCE);
    assert_int_equal(g.taken, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
    turn(&g.loop, &g.taken, 1);
    assert_int_equal(g.acceptor.starved, 0);
    assert_int_equal(g.sockets.open, 1);
    tear_down(&g);
    close(client);
}

/* ---- linger ---- */

enum { MOST = 100000 };

static void count(void *owner)
{
    ++*(int *)owner;
}

/* A connection that has had its answer: the client's end; ours is added. */
static int answered(struct srv_linger *l)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    assert_int_equal(srv_linger_add(l, pair[0]), 0);
    close(pair[0]);
    return pair[1];
}

static int has_ended(int fd)
{
    char c;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) <= 0;
}

static void what_still_comes_is_discarded(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct srv_linger l;
    int gone = 0;
    static char bytes[MOST];
    assert_int_equal(uv_loop_init(&loop), 0);
    srv_linger_init(&l, &loop, MOST, count, &gone);
    uint64_t before = srv_now_ns();
    int client = answered(&l);
    assert_true(has_ended(client)); /* our side has: the client may notice */
    assert_int_equal(l.n, 1);
    uint64_t added = srv_now_ns();
    assert_true(srv_linger_is_quiet(&l, added) && !srv_linger_is_quiet(&l, before - 1));
    for (size_t sent = 0; sent < MOST;) {
        ssize_t n = send(client, bytes, MOST - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        uv_run(&loop, UV_RUN_NOWAIT);
    }
    while (srv_linger_is_quiet(&l, added))
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(gone, 0); /* as many as it may: it is still read */
    close(client);
    turn(&loop, &gone, 1);
    assert_int_equal(l.n, 0);
    srv_linger_finish(&l);
    close_loop(&loop);
}

static void who_sends_for_ever_is_cut(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct srv_linger l;
    int gone = 0;
    size_t sent = 0;
    static char bytes[MOST];
    assert_int_equal(uv_loop_init(&loop), 0);
    srv_linger_init(&l, &loop, MOST, count, &gone);
    int client = answered(&l);
    while (!gone) {
        ssize_t n = send(client, bytes, 1000, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent += n > 0 ? (size_t)n : 0;
        uv_run(&loop, UV_RUN_NOWAIT);
        assert_true(sent < 10 * MOST);
    }
    assert_true(sent > MOST);
    close(client);
    srv_linger_finish(&l);
    close_loop(&loop);
}

static void the_older_half_makes_room(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct srv_linger l;
    int gone = 0, clients[5];
    assert_int_equal(uv_loop_init(&loop), 0);
    srv_linger_init(&l, &loop, MOST, count, &gone);
    for (int i = 0; i < 5; i++)
        clients[i] = answered(&l);
    srv_linger_yield(&l);
    assert_int_equal(gone, 3);
    assert_int_equal(l.n, 2);
    for (int i = 0; i < 5; i++) /* nobody reads there any more */
        assert_int_equal(send(clients[i], "x", 1, MSG_NOSIGNAL) < 0, i < 3);
    srv_linger_finish(&l);
    assert_int_equal(gone, 5);
    close_loop(&loop);
    for (int i = 0; i < 5; i++)
        close(clients[i]);
}

/* ---- heads ---- */

struct verdict {
    int asked, status;
    const char *sentence;
    struct srv_http_framing framing;
};

/* As http_exchange.c asks: spans of the read buffer. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **cls)
{
    struct verdict *v = arg;
    (void)data;
    *size = 0;
    if (!*cls) {
        const struct srv_http_line line = {method, url, version, strlen(url)};
        *cls = v;
        v->asked = 1;
        v->status = srv_http_check(connection, &line, &v->framing, &v->sentence);
        return MHD_YES;
    }
    struct MHD_Response *r = MHD_create_response_from_buffer(0, (void *)0, MHD_RESPMEM_PERSISTENT);
    enum MHD_Result rc = MHD_queue_response(connection, 200, r);
    MHD_destroy_response(r);
    return rc;
}

static struct verdict judge(const char *head, size_t len)
{
    struct verdict v = {0};
    int pair[2];
    struct MHD_Daemon *d = MHD_start_daemon(MHD_USE_NO_LISTEN_SOCKET, 0, NULL, NULL, on_request, &v,
                                            MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    assert_non_null(d);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    struct sockaddr_in nobody = {.sin_family = AF_INET};
    assert_int_equal(MHD_add_connection(d, pair[0], (struct sockaddr *)&nobody, sizeof(nobody)),
                     MHD_YES);
    assert_int_equal(send(pair[1], head, len, 0), (ssize_t)len);
    for (int i = 0; i < 20 && !v.asked; i++)
        MHD_run_wait(d, 0);
    MHD_stop_daemon(d);
    close(pair[1]);
    return v;
}

#define LINE "PUT /v1/classify HTTP/1.1\r\nHost: x\r\n"

static void heads_that_two_servers_read_differently(void **state)
{
    (void)state;
    static const struct {
        const char *head, *says;
    } rows[] = {
        {LINE "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", "one Content-Length"},
        {LINE "Content-Length: 1\r\ncontent-length: 2\r\n\r\n", "one Content-Length"},
        {LINE "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "exclude each other"},
        {LINE "Transfer-Encoding: gzip\r\n\r\n", "is chunked"},
        {LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "is chunked"},
        {LINE "Host: y\r\nContent-Length: 0\r\n\r\n", "one Host"},
        {LINE "X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n", "folded"},
        {LINE "X A: b\r\nContent-Length: 0\r\n\r\n", "name holds a character"},
        {LINE "X-A: b\x01\r\nContent-Length: 0\r\n\r\n", "control character"},
        {"PUT / HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "needs HTTP/1.1"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct verdict v = judge(rows[i].head, strlen(rows[i].head));
        if (!v.asked || v.status != 400 || !strstr(v.sentence, rows[i].says))
            fail_msg("%s: asked %d, %d, %s", rows[i].head, v.asked, v.status, v.sentence);
    }
}

/* What stands behind a NUL, the library shows to nobody. */
static void heads_with_a_nul(void **state)
{
    (void)state;
#define ROW(text)                                                                                  \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
    static const struct {
        const char *head;
        size_t len;
    } rows[] = {
        ROW("GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"),
        ROW(LINE "X-A: b\0c\r\nContent-Length: 0\r\n\r\n"),
        ROW(LINE "Content-Length: 0\r\nX-A: b\0Content-Length: 5\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct verdict v = judge(rows[i].head, rows[i].len);
        if (!v.asked || v.status != 400)
            fail_msg("row %zu: asked %d, %d", i, v.asked, v.status);
    }
}

static void heads_that_are_whole(void **state)
{
    (void)state;
    static const struct {
        const char *head;
        int64_t declared;
        int expects;
    } rows[] = {
        {LINE "Content-Length: 17\r\n\r\n", 17, 0},
        {LINE "Transfer-Encoding: Chunked\r\n\r\n", -1, 0},
        {LINE "Content-Length: 3\r\nExpect: 100-Continue\r\n\r\n", 3, 1},
        {"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Empty:\r\nX-Blanks: \t a b \t\r\n\r\n", 0, 0},
        {"GET /healthz HTTP/1.0\r\n\r\n", 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct verdict v = judge(rows[i].head, strlen(rows[i].head));
        if (!v.asked || v.status)
            fail_msg("%s: asked %d, %d, %s", rows[i].head, v.asked, v.status, v.sentence);
        assert_int_equal(v.framing.declared, rows[i].declared);
        assert_int_equal(v.framing.expects, rows[i].expects);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(more_than_the_limit_wait),
        cmocka_unit_test(who_is_not_taken_is_not_counted),
        cmocka_unit_test(at_the_end_what_has_come_is_taken),
        cmocka_unit_test(without_descriptors),
        cmocka_unit_test(what_still_comes_is_discarded),
        cmocka_unit_test(who_sends_for_ever_is_cut),
        cmocka_unit_test(the_older_half_makes_room),
        cmocka_unit_test(heads_that_two_servers_read_differently),
        cmocka_unit_test(heads_with_a_nul),
        cmocka_unit_test(heads_that_are_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
