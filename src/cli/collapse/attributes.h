/*
 * Which mappings are left alone because somebody decided where their pages are: locked memory (mlock),
 * userfaultfd, MADV_NOHUGEPAGE, NUMA policies. From VmFlags in /proc/PID/smaps and from /proc/PID/numa_maps.
 *
 * For these files the kernel walks the page tables of all mappings of the process, which takes 50 to 190 ms
 * for each resident GiB. So they are read only of the processes in which blocks are collapsed, and of those
 * with locked memory (VmLck). A NUMA policy of shared memory belongs to the object and shows in each of its
 * mappings. The kernel itself fills no hole that some process watches by userfaultfd (Linux 6.4).
 */
#ifndef LZ_CLI_COLLAPSE_ATTRIBUTES_H
#define LZ_CLI_COLLAPSE_ATTRIBUTES_H

#include "cli/collapse/sharing.h"

/* Sets left_alone of all mappings of the process, unless that was done before. */
void lz_attributes_examine(struct lz_sharing *sharing, size_t sharer);

/* The same for all processes with locked memory. */
void lz_attributes_examine_locked(struct lz_sharing *sharing);

#endif
