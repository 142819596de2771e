/* program.c: a child process with its three standard streams, and a deadline.
 *
 * posix_spawn, because a library must not fork a process that may have threads and gigabytes. The
 * streams are sockets instead of pipes, so that writing to a child that has gone gives EPIPE by
 * MSG_NOSIGNAL instead of a signal that the caller's program would have to know about. The child
 * leads a process group of its own: what it starts is killed with it. */
#include "program.h"
#include "fail.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

enum { IN, OUT, ERR, STREAMS, CHUNK = 16384 };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* A descriptor above the standard ones: where the caller has closed some of those, a socket may
 * land on 0..2, and the child's dup2 would step on it. */
static int lift(int fd)
{
    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    const int up = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(fd);
    return up;
}

static fw_status open_streams(int ours[STREAMS], int theirs[STREAMS])
{
    for (int i = 0; i < STREAMS; i++) {
        int pair[2];
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
            return fwi_fail(FW_EIO, "cannot make a socket pair: %s", strerror(errno));
        ours[i] = lift(pair[0]);
        theirs[i] = lift(pair[1]);
        if (ours[i] < 0 || theirs[i] < 0)
            return fwi_fail(FW_EIO, "cannot duplicate a socket: %s", strerror(errno));
        const int flags = fcntl(ours[i], F_GETFL);
        if (flags < 0 || fcntl(ours[i], F_SETFL, flags | O_NONBLOCK) != 0)
            return fwi_fail(FW_EIO, "cannot set up a socket: %s", strerror(errno));
    }
    return FW_OK;
}

/* The child gets default signals and none blocked, whatever this thread has. */
static int spawn(const fwi_program *p, const int theirs[STREAMS], pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0)
        return rc;
    if ((rc = posix_spawnattr_init(&attr)) != 0) {
        posix_spawn_file_actions_destroy(&files);
        return rc;
    }
    for (int i = 0; rc == 0 && i < STREAMS; i++)
        rc = posix_spawn_file_actions_adddup2(&files, theirs[i], i);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    sigdelset(&all, SIGKILL);
    sigdelset(&all, SIGSTOP);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attr, &none);
    if (rc == 0)
        rc = posix_spawnattr_setsigdefault(&attr, &all);
    if (rc == 0)
        rc = posix_spawnattr_setpgroup(&attr, 0);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                 POSIX_SPAWN_SETPGROUP);
    if (rc == 0) /* argv is not written to: POSIX has char *const * for history's sake */
        rc = posix_spawnp(pid, p->argv[0], &files, &attr, (char *const *)(uintptr_t)p->argv,
                          environ);
    posix_spawnattr_destroy(&attr);
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

/* Sends what the socket takes; closes it when all is sent or nobody reads. */
static void feed(int *fd, const fwi_program *p, size_t *sent)
{
    while (*sent < p->input_bytes) {
        const ssize_t n =
            send(*fd, (const char *)p->input + *sent, p->input_bytes - *sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (n < 0) /* EPIPE: it does not want the rest; its exit code tells why */
            break;
        *sent += (size_t)n;
    }
    close_fd(fd);
}

/* Reads what there is; closes at the end. Bytes of standard error beyond what is kept are dropped.
 */
static fw_status drain(int *fd, const fwi_program *p, fwi_program_result *out, size_t *error_bytes,
                       bool is_error)
{
    char chunk[CHUNK];
    for (;;) {
        const ssize_t n = read(*fd, chunk, sizeof chunk);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return FW_OK;
        if (n <= 0) { /* a reset is an end, too */
            close_fd(fd);
            return FW_OK;
        }
        if (is_error) {
            const size_t room = sizeof out->error - 1 - *error_bytes;
            const size_t kept = (size_t)n < room ? (size_t)n : room;
            memcpy(out->error + *error_bytes, chunk, kept);
            *error_bytes += kept;
            continue;
        }
        if (out->output.size + (size_t)n > p->max_output_bytes)
            return fwi_fail(FW_EIO, "%s wrote more than %zu bytes", p->argv[0],
                            p->max_output_bytes);
        const fw_status st = fwi_buf_append(&out->output, chunk, (size_t)n);
        if (st != FW_OK)
            return st;
    }
}

static fw_status too_slow(const fwi_program *p)
{
    return fwi_fail(FW_EIO, "%s took longer than %lld ms and was stopped", p->argv[0],
                    (long long)p->timeout_ms);
}

/* Until the child has closed both of its outputs. */
static fw_status talk(const fwi_program *p, int ours[STREAMS], int64_t deadline,
                      fwi_program_result *out)
{
    size_t sent = 0, error_bytes = 0;
    while (ours[OUT] >= 0 || ours[ERR] >= 0) {
        struct pollfd polls[STREAMS];
        for (int i = 0; i < STREAMS; i++) /* poll passes over negative descriptors */
            polls[i] = (struct pollfd){.fd = ours[i], .events = i == IN ? POLLOUT : POLLIN};
        const int64_t left = deadline - now_ms();
        if (left <= 0)
            return too_slow(p);
        const int n = poll(polls, STREAMS, left > 60000 ? 60000 : (int)left);
        if (n < 0 && errno != EINTR)
            return fwi_fail(FW_EIO, "poll: %s", strerror(errno));
        if (n <= 0)
            continue;
        if (polls[IN].revents != 0)
            feed(&ours[IN], p, &sent);
        for (int i = OUT; i <= ERR; i++) {
            if (ours[i] < 0 || polls[i].revents == 0)
                continue;
            const fw_status st = drain(&ours[i], p, out, &error_bytes, i == ERR);
            if (st != FW_OK)
                return st;
        }
    }
    return FW_OK;
}

/* The child has closed its outputs; it may still live. */
static fw_status reap(const fwi_program *p, pid_t pid, int64_t deadline, bool *gone, int *exit_code)
{
    for (int64_t pause_us = 100;; pause_us = pause_us < 20000 ? 2 * pause_us : pause_us) {
        int status = 0;
        const pid_t rc = waitpid(pid, &status, WNOHANG);
        if (rc < 0 && errno == EINTR)
            continue;
        if (rc != 0) {
            *gone = true; /* rc < 0: the caller ignores SIGCHLD, so nobody can know the code */
            *exit_code = rc < 0 ? 0 : WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            return FW_OK;
        }
        if (now_ms() >= deadline)
            return too_slow(p);
        nanosleep(&(struct timespec){.tv_nsec = (long)pause_us * 1000}, NULL);
    }
}

/* One printable line. */
static void tidy(char *text)
{
    size_t n = 0;
    for (const char *at = text; *at != 0; at++) {
        const bool blank = (unsigned char)*at <= ' ' || *at == 0x7f;
        if (!blank)
            text[n++] = *at;
        else if (n > 0 && text[n - 1] != ' ')
            text[n++] = ' ';
    }
    while (n > 0 && text[n - 1] == ' ')
        n--;
    text[n] = 0;
}

fw_status fwi_program_run(const fwi_program *p, fwi_program_result *out)
{
    int ours[STREAMS] = {-1, -1, -1}, theirs[STREAMS] = {-1, -1, -1};
    pid_t pid = -1;
    bool gone = true;
    memset(out, 0, sizeof *out);
    fw_status st = open_streams(ours, theirs);
    if (st != FW_OK)
        goto done;
    const int rc = spawn(p, theirs, &pid);
    if (rc != 0) {
        st = rc == ENOENT ? fwi_fail(FW_ENOTFOUND, "there is no program %s", p->argv[0])
                          : fwi_fail(FW_EIO, "cannot start %s: %s", p->argv[0], strerror(rc));
        goto done;
    }
    gone = false;
    for (int i = 0; i < STREAMS; i++)
        close_fd(&theirs[i]);
    const int64_t deadline = now_ms() + p->timeout_ms;
    st = talk(p, ours, deadline, out);
    close_fd(&ours[IN]);
    if (st == FW_OK)
        st = reap(p, pid, deadline, &gone, &out->exit_code);
    tidy(out->error);
    if (st == FW_OK && out->exit_code == 127 && out->output.size == 0)
        st = fwi_fail(FW_ENOTFOUND, "there is no program %s", p->argv[0]);
done:
    if (!gone) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL); /* if it was not yet in its own group */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    for (int i = 0; i < STREAMS; i++) {
        close_fd(&ours[i]);
        close_fd(&theirs[i]);
    }
    return st;
}
