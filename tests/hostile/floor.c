/* The floor of what starting a program costs: vfork, execve, wait, and nothing
 * else. Usage: floor COUNT PROGRAM; prints one duration in nanoseconds a line.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	char *child_argv[] = { argv[2], NULL };
	char *child_envp[] = { NULL };
	for (volatile long left = strtol(argv[1], NULL, 10); left > 0; left--) {
		long long begun = now();
		pid_t child = vfork();
		if (child == 0) {
			execve(argv[2], child_argv, child_envp);
			_exit(127);
		}
		int status = 0;
		if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
			return 1;
		printf("%lld\n", now() - begun);
	}
	return 0;
}
