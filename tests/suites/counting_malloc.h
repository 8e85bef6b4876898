#ifndef COUNTING_MALLOC_H
#define COUNTING_MALLOC_H

/* The number of calls that counting_malloc.c has seen. */
unsigned long counting_calls(void);

#endif
