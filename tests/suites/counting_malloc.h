#ifndef LZ_TESTS_COUNTING_H
#define LZ_TESTS_COUNTING_H

/* Calls that counting_malloc.c has seen. */
unsigned long counting_calls(void);

#endif
