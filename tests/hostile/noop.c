/* Does nothing, at once: the floor of what a confined start can cost. Asked for
 * its version, as `noop --version`, it answers.
 */
#include <stdio.h>

int main(int argc, char **argv)
{
	(void)argv;
	if (argc == 2)
		puts("noop 1.0");
	return 0;
}
