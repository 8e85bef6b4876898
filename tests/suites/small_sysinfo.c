/*
 * A library to preload that says the machine has 1 GiB: stress-ng sizes what it does by sysinfo(2), and would
 * take all there is.
 */
#include <string.h>
#include <sys/sysinfo.h>

int sysinfo(struct sysinfo *info)
{
	memset(info, 0, sizeof *info);
	info->totalram = info->freeram = 1ul << 30;
	info->procs = 100;
	info->mem_unit = 1;
	return 0;
}
