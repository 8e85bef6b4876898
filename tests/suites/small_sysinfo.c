/*
 * A library to preload that reports 1 GiB of memory: stress-ng sizes its work by sysinfo(2), and would use
 * all memory.
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
