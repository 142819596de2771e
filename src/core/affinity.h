/* affinity.h: the CPUs that threads may run on, and binding each to one of them.
 *
 * The thread that pins a pool, and itself with it, remembers the CPUs that it had before: they are what
 * it counts and what the threads that it starts get, so that a pinned run does not look like a machine of
 * one CPU to whatever its thread does next. It has to take its pins off itself. */
#ifndef FWI_AFFINITY_H
#define FWI_AFFINITY_H

#include <fenwicks/status.h>
#include <pthread.h>

/* How many CPUs the calling thread may use, its own pins apart; all where the system binds none; 0 where it
 * does not say. */
int fwi_affinity_count(void);

/* Starts a thread like pthread_create, with the CPUs that the calling thread had before its pins.
 * 0 or an errno. */
int fwi_affinity_start(pthread_t *out, void *(*fn)(void *), void *arg);

/* Binds the calling thread to the first of its CPUs and worker i to the next but i, from the first
 * on again behind the last. FW_EUNAVAILABLE where the system cannot: then the calling thread has
 * what it had, but not the workers bound so far, which are of no use then. */
fw_status fwi_affinity_pin(const pthread_t *workers, int n);

/* Takes one pin of the calling thread off; with the last of them it has its CPUs back. */
void fwi_affinity_unpin(void);

#endif
