/* The interposed syscall(2); see interpose_syscall.c. */
#ifndef LZ_SHIM_INTERPOSE_SYSCALL_H
#define LZ_SHIM_INTERPOSE_SYSCALL_H

/* Finds the next definition, to which calls are passed on from then on. Part of start-up. */
void lz_syscall_find(void);

#endif
