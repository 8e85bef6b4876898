#ifndef COUNTING_MALLOC_H
#define COUNTING_MALLOC_H

/* Calls that counting_malloc.c has seen. */
unsigned long counting_calls(void);

#endif
