/* syscall(2) as programs call it; see interpose_syscall.c. */
#ifndef LZ_SHIM_INTERPOSE_SYSCALL_H
#define LZ_SHIM_INTERPOSE_SYSCALL_H

/* Looks up the next definition, which calls are passed on to from then on; part of start-up. */
void lz_syscall_find(void);

#endif
