/*
 * The file format of the record of a run: JSON lines with samples of the program's processes.
 *
 * The first line is {"lazyzero_record":1,"program":[...],"unix_time":...,"geometry":"...",
 * "host":"...","kernel":"..."}. Each sample is a
 * line
 * {"t":seconds,"processes":[{"pid":,"name":,"virtual":,"rss":,"shmem":,"pss":,"tables":,"minflt":,"majflt":},
 * ...]}, with sizes in bytes and null for unknown values. The last line is {"end":seconds,"exit_status":,
 * "signal":}; it is missing if the command was killed.
 */
#ifndef LZ_CLI_RECORD_FORMAT_H
#define LZ_CLI_RECORD_FORMAT_H

#define LZ_RECORD_VERSION 1

#endif
