/* Escape attempts: each tries one thing that a confined tool must not be able
 * to do, and says how it went.
 *
 * Usage: escapes [--] --do NAME [...]; every other argument is ignored.
 * Output: "open NAME" when the attempt got through, "closed NAME ERRNO" when it
 * was turned away. Run without confinement, every attempt prints "open": the
 * tests check that too, since an attempt that always fails proves nothing.
 *
 * OUTSIDE, set by the compiler's command line, is a directory that everybody
 * may write to by its mode, so that only confinement stands in the way.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <netinet/in.h>
#include <unistd.h>

/* Each attempt gives 0 when it got through and -1 with errno when not. */

static int close_after(int fd)
{
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int read_file(const char *path)
{
	char byte;
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	ssize_t got = read(fd, &byte, 1);
	int saved = errno;
	close(fd);
	errno = saved;
	return got < 0 ? -1 : 0;
}

static int read_passwd(void) { return read_file("/etc/passwd"); }
static int read_parent_environment(void)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/environ", getppid());
	return read_file(path);
}
static int write_parent_memory(void)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/mem", getppid());
	return close_after(open(path, O_RDWR));
}
static int list_root(void)
{
	DIR *dir = opendir("/");
	if (!dir)
		return -1;
	closedir(dir);
	return 0;
}

static int create_at(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return -1;
	close(fd);
	return unlink(path);
}

static int write_outside(void) { return create_at(OUTSIDE "/mark"); }
static int unnamed_file(void)
{
	return close_after(open(OUTSIDE, O_WRONLY | O_TMPFILE, 0600));
}
static int write_parent_directory(void) { return create_at("../mantlet-escape"); }

/* A stream socket on a path that the test listens on. */
static int unix_path(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	snprintf(addr.sun_path, sizeof addr.sun_path, "%s", OUTSIDE "/socket");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0)
		return -1;
	return connect(fd, (struct sockaddr *)&addr, sizeof addr);
}

/* An abstract one, which no file permission guards. */
static int unix_abstract(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	memcpy(addr.sun_path + 1, "mantlet-escape", 14);
	socklen_t length = offsetof(struct sockaddr_un, sun_path) + 15;
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&addr, length) || listen(listener, 1))
		return -1;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	return fd < 0 ? -1 : connect(fd, (struct sockaddr *)&addr, length);
}

static int unix_pair(void)
{
	int pair[2];
	return socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
}

static int raw_socket(void) { return close_after(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)); }
static int packet_socket(void) { return close_after(socket(AF_PACKET, SOCK_RAW, 0)); }
static int mptcp_socket(void) { return close_after(socket(AF_INET, SOCK_STREAM, 262)); }
static int tcp_listen(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	return fd < 0 ? -1 : listen(fd, 1);
}

static int trace_self(void) { return ptrace(PTRACE_TRACEME, 0, 0, 0) < 0 ? -1 : 0; }
static int mount_tmpfs(void)
{
	if (mount("mantlet-escape", "/mnt", "tmpfs", 0, NULL))
		return -1;
	return umount("/mnt");
}
static int unshare_user(void) { return unshare(CLONE_NEWUSER); }
static int unshare_network(void) { return unshare(CLONE_NEWNET); }
static int change_root(void) { return chroot("/"); }

static int exec_path(const char *path)
{
	/* exec does not return when it gets through, so a child tries it. */
	int report[2];
	if (pipe2(report, O_CLOEXEC))
		return -1;
	pid_t child = fork();
	if (child < 0)
		return -1;
	if (child == 0) {
		execl(path, path, "-c", "exit 0", (char *)NULL);
		int error = errno;
		ssize_t sent = write(report[1], &error, sizeof error);
		_exit(sent > 0 ? 1 : 2);
	}
	close(report[1]);
	int error = 0;
	ssize_t got = read(report[0], &error, sizeof error);
	waitpid(child, NULL, 0);
	errno = error;
	return got > 0 ? -1 : 0;
}

static int exec_shell(void) { return exec_path("/bin/sh"); }

/* The same without a child, for profiles that allow none. */
static int exec_shell_directly(void)
{
	execl("/bin/sh", "sh", "-c", "echo open exec-shell-directly", (char *)NULL);
	return -1;
}

static int exec_descriptor(void)
{
	char *argv[] = { "sh", "-c", "echo open exec-descriptor", NULL };
	char *envp[] = { NULL };
	int fd = open("/bin/sh", O_PATH);
	if (fd < 0)
		return -1;
	syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
	return -1;
}

static int exec_memory(void)
{
	int fd = memfd_create("escape", 0);
	return close_after(fd);
}

static int signal_parent(void) { return kill(getppid(), 0); }
static int signal_all(void) { return kill(-1, 0); }
static int new_session(void)
{
	pid_t child = fork();
	if (child < 0)
		return -1;
	if (child == 0)
		_exit(setsid() < 0 ? errno : 0);
	int status = 0;
	waitpid(child, &status, 0);
	errno = WEXITSTATUS(status);
	return WIFEXITED(status) && errno == 0 ? 0 : -1;
}
static int write_and_execute(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? -1 : 0;
}
static int be_dumpable(void) { return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); }

static const struct attempt {
	const char *name;
	int (*try)(void);
} attempts[] = {
	{ "read-passwd", read_passwd },
	{ "read-parent-environment", read_parent_environment },
	{ "write-parent-memory", write_parent_memory },
	{ "list-root", list_root },
	{ "write-outside", write_outside },
	{ "unnamed-file", unnamed_file },
	{ "write-parent-directory", write_parent_directory },
	{ "unix-path", unix_path },
	{ "unix-abstract", unix_abstract },
	{ "unix-pair", unix_pair },
	{ "raw-socket", raw_socket },
	{ "packet-socket", packet_socket },
	{ "mptcp-socket", mptcp_socket },
	{ "tcp-listen", tcp_listen },
	{ "ptrace", trace_self },
	{ "mount", mount_tmpfs },
	{ "unshare-user", unshare_user },
	{ "unshare-network", unshare_network },
	{ "chroot", change_root },
	{ "exec-shell", exec_shell },
	{ "exec-shell-directly", exec_shell_directly },
	{ "exec-descriptor", exec_descriptor },
	{ "exec-memory", exec_memory },
	{ "signal-parent", signal_parent },
	{ "signal-all", signal_all },
	{ "new-session", new_session },
	{ "write-and-execute", write_and_execute },
	{ "be-dumpable", be_dumpable },
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("escapes 1.0");
		return 0;
	}
	const char *name = "";
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--do") == 0)
			name = argv[i + 1];
	for (size_t i = 0; i < sizeof attempts / sizeof *attempts; i++) {
		if (strcmp(attempts[i].name, name) != 0)
			continue;
		if (attempts[i].try() == 0)
			printf("open %s\n", name);
		else
			printf("closed %s %s\n", name, strerrorname_np(errno));
		return 0;
	}
	fprintf(stderr, "unknown attempt: %s\n", name);
	return 2;
}
