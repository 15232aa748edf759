/* The walls of confine.h, each tried from inside by a child process of its own: a wall cannot be taken
 * down again. Where this kernel lacks a part, its tests are skipped, and say so. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/confine.h"

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[4][256];
    static int turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void make_file(const char *path)
{
    int fd = open(path, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text", 4), 4);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/confine-XXXXXX");
    assert_non_null(mkdtemp(folder));
    assert_int_equal(mkdir(in_folder("read"), 0700), 0);
    assert_int_equal(mkdir(in_folder("write"), 0700), 0);
    make_file(in_folder("read/a"));
    make_file(in_folder("secret"));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char line[128];
    snprintf(line, sizeof line, "rm -rf %s", folder);
    return system(line) == 0 ? 0 : -1;
}

/* The child's own findings: it says what was not as it should be, and ends with 1. */
#define EXPECT(what)                                                                               \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #what, strerror(errno));       \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)
#define REFUSED(call) (errno = 0, (call) < 0 && (errno == EPERM || errno == EACCES))

static void in_child(void (*try)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        try();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags, 0600);
    if (fd >= 0) close(fd);
    return fd;
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int rc = connect(fd, (struct sockaddr *)&a, sizeof a), number = errno;
    close(fd);
    errno = number;
    return rc;
}

/* ---- Landlock ---- */

static void enter(bool connect)
{
    struct error err = {0};
    struct confine c;
    struct confined now;
    EXPECT(confine_begin(&c, connect, false, &err) == OK);
    EXPECT(confine_allow(&c, in_folder("read"), CONFINE_READ, &err) == OK);
    EXPECT(confine_allow(&c, in_folder("write"), CONFINE_WRITE, &err) == OK);
    EXPECT(confine_allow(&c, in_folder("not-there"), CONFINE_READ, &err) == OK);
    EXPECT(confine_enter(&c, &now, &err) == OK);
    EXPECT(now.files && now.landlock == confine_probe().landlock && !now.calls);
    EXPECT(now.connections == (!connect && confine_probe().connections));
}

static void try_files(void)
{
    enter(false);
    EXPECT(try_open(in_folder("read/a"), O_RDONLY) >= 0);
    EXPECT(try_open(in_folder("write/new"), O_RDWR | O_CREAT) >= 0);
    EXPECT(rename(in_folder("write/new"), in_folder("write/other")) == 0);
    EXPECT(unlink(in_folder("write/other")) == 0);
    EXPECT(mkdir(in_folder("write/folder"), 0700) == 0 && rmdir(in_folder("write/folder")) == 0);
    EXPECT(REFUSED(try_open(in_folder("secret"), O_RDONLY)));
    EXPECT(REFUSED(try_open("/etc/passwd", O_RDONLY)));
    EXPECT(REFUSED(try_open(in_folder("read/a"), O_WRONLY)));
    EXPECT(REFUSED(try_open(in_folder("read/new"), O_RDWR | O_CREAT)));
    EXPECT(REFUSED(unlink(in_folder("read/a"))));
    EXPECT(REFUSED(symlink("/etc/passwd", in_folder("write/link"))));
    EXPECT(REFUSED(mknod(in_folder("write/pipe"), S_IFIFO | 0600, 0)));
    char *const argv[] = {(char *)"true", NULL};
    EXPECT(REFUSED(execv("/bin/true", argv)));
}

/* What a thread started afterwards does counts as well. */
static void *read_secret(void *out)
{
    *(bool *)out = REFUSED(try_open(in_folder("secret"), O_RDONLY));
    return NULL;
}

static void try_thread(void)
{
    pthread_t t;
    bool refused = false;
    enter(false);
    EXPECT(pthread_create(&t, NULL, read_secret, &refused) == 0 && pthread_join(t, NULL) == 0);
    EXPECT(refused);
}

static int listener;
static uint16_t port;

static void listen_somewhere(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 4), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    port = ntohs(a.sin_port);
}

static void try_connecting(void)
{
    EXPECT(connect_to(port) == 0);
    enter(false);
    EXPECT(REFUSED(connect_to(port)));
}

static void try_allowed_connecting(void)
{
    enter(true);
    EXPECT(connect_to(port) == 0);
    EXPECT(REFUSED(try_open("/etc/passwd", O_RDONLY)));
}

static void try_signals(void)
{
    EXPECT(kill(getppid(), 0) == 0);
    enter(false);
    EXPECT(REFUSED(kill(getppid(), 0)));
    EXPECT(kill(getpid(), 0) == 0);
}

static void test_files(void **state)
{
    (void)state;
    if (!confine_probe().files) skip();
    in_child(try_files);
    in_child(try_thread);
}

static void test_connections(void **state)
{
    (void)state;
    if (!confine_probe().connections) skip();
    listen_somewhere();
    in_child(try_connecting);
    in_child(try_allowed_connecting);
    close(listener);
}

static void test_signals(void **state)
{
    (void)state;
    if (!confine_probe().signals) skip();
    in_child(try_signals);
}

/* ---- the filter ---- */

static void filter(unsigned refuse)
{
    struct error err = {0};
    bool on = false;
    EXPECT(confine_filter(refuse, &on, &err) == OK && on);
}

static void *wait_for_filter(void *p)
{
    int *steps = p;
    char c;
    if (read(steps[0], &c, 1) != 1) return NULL;
    bool refused = REFUSED(socket(AF_NETLINK, SOCK_RAW, 0));
    return refused ? p : NULL;
}

/* Threads that ran before fall under it too. */
static void try_older_thread(void)
{
    int steps[2];
    pthread_t t;
    void *refused = NULL;
    EXPECT(pipe(steps) == 0 && pthread_create(&t, NULL, wait_for_filter, steps) == 0);
    filter(0);
    EXPECT(write(steps[1], "x", 1) == 1 && pthread_join(t, &refused) == 0 && refused);
}

static void try_always(void)
{
    struct iovec here = {folder, 1};
    filter(0);
    EXPECT(REFUSED(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
    EXPECT(REFUSED(mount("none", "/tmp", "tmpfs", 0, NULL)));
    EXPECT(REFUSED(unshare(0x10000000 /* CLONE_NEWUSER */)));
    EXPECT(REFUSED(syscall(SYS_io_uring_setup, 1, NULL)));
    EXPECT(REFUSED(syscall(SYS_bpf, 0, NULL, 0)));
    EXPECT(REFUSED(syscall(SYS_keyctl, 0, 0, 0, 0, 0)));
    EXPECT(REFUSED(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)));
    EXPECT(REFUSED(syscall(SYS_process_vm_readv, getppid(), &here, 1, &here, 1, 0)));
    EXPECT(REFUSED(socket(AF_NETLINK, SOCK_RAW, 0)));
    EXPECT(REFUSED(socket(AF_PACKET, SOCK_DGRAM, 0)));
    EXPECT(REFUSED(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)));
    EXPECT(REFUSED(ioctl(0, TIOCSTI, "x")));
    EXPECT(REFUSED(ioctl(0, (unsigned long)TIOCSTI | 1UL << 40, "x"))); /* the kernel drops the upper half */
    EXPECT(socket(AF_INET6, SOCK_STREAM, 0) >= 0 || errno == EAFNOSUPPORT);
    EXPECT(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
    int status;
    pid_t pid = fork();
    if (pid == 0) _exit(7);
    EXPECT(pid > 0 && waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 7);
}

static void try_exec(void)
{
    char *const argv[] = {(char *)"true", NULL};
    filter(CONFINE_NO_EXEC);
    EXPECT(REFUSED(execv("/bin/true", argv)));
    EXPECT(REFUSED(syscall(SYS_execveat, -1, "/bin/true", argv, NULL, 0)));
    EXPECT(REFUSED(fork()));
    EXPECT(REFUSED(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)));
    EXPECT(syscall(SYS_clone3, NULL, 0) < 0 && errno == ENOSYS);
    EXPECT(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
           errno == EPERM);
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT(page != MAP_FAILED);
    EXPECT(REFUSED(mprotect(page, 4096, PROT_READ | PROT_EXEC)));
    pthread_t t;
    bool ran = false;
    EXPECT(pthread_create(&t, NULL, read_secret, &ran) == 0 && pthread_join(t, NULL) == 0 && !ran);
}

static void try_sockets(void)
{
    int ends[2], one = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    EXPECT(one >= 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    filter(CONFINE_NO_SOCKETS);
    EXPECT(REFUSED(socket(AF_INET, SOCK_STREAM, 0)));
    EXPECT(REFUSED(socket(AF_UNIX, SOCK_DGRAM, 0)));
    EXPECT(REFUSED(connect(one, (struct sockaddr *)&a, sizeof a)));
    EXPECT(REFUSED(bind(one, (struct sockaddr *)&a, sizeof a)));
    EXPECT(REFUSED(listen(one, 1)));
    EXPECT(send(ends[0], "x", 1, 0) == 1); /* what is open goes on */
}

static void try_writes(void)
{
    int fd = open(in_folder("write/open"), O_RDWR | O_CREAT, 0600);
    EXPECT(fd >= 0);
    filter(CONFINE_NO_WRITES);
    EXPECT(try_open(in_folder("read/a"), O_RDONLY) >= 0);
    EXPECT(REFUSED(try_open(in_folder("read/a"), O_WRONLY)));
    EXPECT(REFUSED(try_open(in_folder("read/a"), O_RDWR)));
    EXPECT(REFUSED(try_open(in_folder("read/a"), O_RDONLY | O_TRUNC)));
    EXPECT(REFUSED(try_open(in_folder("new"), O_RDONLY | O_CREAT)));
    EXPECT(REFUSED(rename(in_folder("read/a"), in_folder("read/b"))));
    EXPECT(REFUSED(unlink(in_folder("read/a"))));
    EXPECT(REFUSED(link(in_folder("read/a"), in_folder("read/b"))));
    EXPECT(REFUSED(chmod(in_folder("read/a"), 0777)));
    EXPECT(REFUSED(truncate(in_folder("read/a"), 0)));
    EXPECT(REFUSED(mkdir(in_folder("new"), 0700)));
    EXPECT(REFUSED(kill(getppid(), 0)));
    EXPECT(kill(getpid(), 0) == 0 && raise(0) == 0);
    EXPECT(write(fd, "x", 1) == 1); /* what is open goes on */
}

static void try_opens(void)
{
    int fd = open(in_folder("read/a"), O_RDONLY);
    char c;
    filter(CONFINE_NO_SOCKETS); /* one over the other */
    filter(CONFINE_NO_OPENS);
    EXPECT(REFUSED(try_open(in_folder("read/a"), O_RDONLY)));
    EXPECT(REFUSED(try_open("/dev/null", O_WRONLY)));
    EXPECT(REFUSED(syscall(SYS_openat2, AT_FDCWD, "/etc/passwd", NULL, 0)));
    EXPECT(REFUSED(unlink(in_folder("read/a"))));
    EXPECT(REFUSED(socket(AF_INET, SOCK_STREAM, 0)));
    EXPECT(read(fd, &c, 1) == 1 && c == 't');
    EXPECT(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static void test_filter(void **state)
{
    (void)state;
    if (!confine_probe().calls) skip();
    in_child(try_always);
    in_child(try_older_thread);
    in_child(try_exec);
    in_child(try_sockets);
    in_child(try_writes);
    in_child(try_opens);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_connections, setup, teardown),
        cmocka_unit_test_setup_teardown(test_signals, setup, teardown),
        cmocka_unit_test_setup_teardown(test_filter, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
