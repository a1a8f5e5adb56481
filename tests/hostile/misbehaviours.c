/* Misbehaviours: a tool that is not hostile to the kernel but to whoever runs
 * it: it floods, lingers, forks, hides or breaks.
 *
 * Usage: misbehaviours [--] --do NAME [...]; every other argument is ignored.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void sleep_seconds(time_t seconds)
{
	struct timespec left = { .tv_sec = seconds };
	while (nanosleep(&left, &left) && errno == EINTR)
		;
}

static void write_all(int fd, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t done = write(fd, bytes, count);
		if (done <= 0)
			_exit(3);
		bytes += done;
		count -= (size_t)done;
	}
}

static void flood(int fd, size_t mebibytes)
{
	static char block[1 << 20];
	memset(block, 'x', sizeof block);
	for (size_t i = 79; i < sizeof block; i += 80)
		block[i] = '\n';
	for (size_t i = 0; i < mebibytes; i++)
		write_all(fd, block, sizeof block);
}

static void quiet(void) {}
static void flood_gibibyte(void) { flood(1, 1024); }
static void flood_three(void) { flood(1, 3); }
static void flood_errors(void) { flood(2, 3); }
static void linger(void) { sleep_seconds(600); }
static void nap(void) { sleep_seconds(1); }

/* Prints, so that a cancelled run has something to keep. */
static void talk_then_linger(void)
{
	write_all(1, "before\n", 7);
	sleep_seconds(600);
}

static void ignore_signals(void)
{
	for (int number = 1; number < 32; number++)
		signal(number, SIG_IGN);
	write_all(1, "deaf\n", 5);
	sleep_seconds(600);
}

static void block_signals(void)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	write_all(1, "blocked\n", 8);
	sleep_seconds(600);
}

/* The classic double fork; setsid may be refused, the rest goes on. */
static void daemonise(void)
{
	if (fork() > 0)
		_exit(0);
	setsid();
	if (fork() > 0)
		_exit(0);
	close(0);
	close(1);
	close(2);
	sleep_seconds(600);
}

/* As above, with the streams kept open by the one that stays. */
static void daemonise_talking(void)
{
	if (fork() > 0)
		_exit(0);
	if (fork() > 0)
		_exit(0);
	write_all(1, "still here\n", 11);
	sleep_seconds(600);
}

static void fork_without_end(void)
{
	write_all(1, "forking\n", 8);
	for (;;)
		if (fork() < 0)
			sleep_seconds(1);
}

/* Each process starts one and ends: a chase that a kill by id never wins. */
static void fork_and_exit(void)
{
	write_all(1, "running\n", 8);
	for (;;) {
		pid_t child = fork();
		if (child > 0)
			_exit(0);
		if (child < 0)
			sleep_seconds(1);
	}
}

static void tree(void)
{
	for (int i = 0; i < 5; i++)
		fork();
	sleep_seconds(600);
}

static void close_output(void)
{
	close(1);
	close(2);
	sleep_seconds(600);
}

static void spin(void)
{
	for (volatile uint64_t count = 0;; count++)
		;
}

static void crash(void) { raise(SIGSEGV); }
static void fail(void) { _exit(7); }

static void eat_memory(void)
{
	for (int i = 0; i < 4096; i++) {
		char *block = malloc(1 << 20);
		if (!block) {
			printf("refused after %d MiB\n", i);
			return;
		}
		memset(block, 1, 1 << 20);
	}
	puts("4096 MiB eaten");
}

static void eat_descriptors(void)
{
	int count = 0;
	while (dup(1) >= 0)
		count++;
	printf("%d descriptors\n", count);
}

static void fill_directory(void)
{
	static char block[1 << 20];
	int fd = open("big", O_WRONLY | O_CREAT, 0600);
	signal(SIGXFSZ, SIG_IGN);
	long total = 0;
	for (int i = 0; fd >= 0 && i < 4096; i++) {
		ssize_t done = write(fd, block, sizeof block);
		if (done <= 0)
			break;
		total += done;
	}
	printf("wrote %ld bytes\n", total);
}

/* Directories that nobody may enter, and more entries than are removed in a moment. */
static void litter_directory(void)
{
	char name[64];
	int made = 0;
	if (mkdir("locked", 0700) == 0 && mkdir("locked/inner", 0) == 0 && chmod("locked", 0) == 0)
		made++;
	for (int i = 0; i < 20000; i++) {
		snprintf(name, sizeof name, "entry-%d", i);
		made += mkdir(name, 0) == 0;
	}
	printf("%d made\n", made);
}

static void show_environment(void)
{
	for (char **variable = environ; *variable; variable++)
		puts(*variable);
}

static void show_descriptors(void)
{
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d\n", fd);
}

static void show_directory(void)
{
	char path[4096];
	int fd = open("mine", O_WRONLY | O_CREAT | O_EXCL, 0600);
	printf("%s\n%s\n", getcwd(path, sizeof path) ? path : "?",
	       fd >= 0 ? "writable" : strerrorname_np(errno));
}

static void escape_terminal(void)
{
	puts("\033]0;owned\007\033[31mred\033[0m \xe2\x80\xae" "evil \xf3\xa0\x81\x81 \x9b" "2J \xff\xfe end");
}

static const struct behaviour {
	const char *name;
	void (*act)(void);
} behaviours[] = {
	{ "quiet", quiet },
	{ "flood-gibibyte", flood_gibibyte },
	{ "flood-three", flood_three },
	{ "flood-errors", flood_errors },
	{ "linger", linger },
	{ "nap", nap },
	{ "talk-then-linger", talk_then_linger },
	{ "ignore-signals", ignore_signals },
	{ "block-signals", block_signals },
	{ "daemonise", daemonise },
	{ "daemonise-talking", daemonise_talking },
	{ "fork-without-end", fork_without_end },
	{ "fork-and-exit", fork_and_exit },
	{ "tree", tree },
	{ "close-output", close_output },
	{ "spin", spin },
	{ "crash", crash },
	{ "fail", fail },
	{ "eat-memory", eat_memory },
	{ "eat-descriptors", eat_descriptors },
	{ "fill-directory", fill_directory },
	{ "litter-directory", litter_directory },
	{ "show-environment", show_environment },
	{ "show-descriptors", show_descriptors },
	{ "show-directory", show_directory },
	{ "escape-terminal", escape_terminal },
};

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--version") == 0) {
		puts("misbehaviours 1.0");
		return 0;
	}
	const char *name = "";
	for (int i = 1; i + 1 < argc; i++)
		if (strcmp(argv[i], "--do") == 0)
			name = argv[i + 1];
	for (size_t i = 0; i < sizeof behaviours / sizeof *behaviours; i++) {
		if (strcmp(behaviours[i].name, name) != 0)
			continue;
		behaviours[i].act();
		return 0;
	}
	fprintf(stderr, "unknown behaviour: %s\n", name);
	return 2;
}
