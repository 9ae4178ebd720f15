/*
 * everywhere.h
 *	  What is asked of all databases at once: what is about no one room.
 */
#ifndef GATEWAY_EVERYWHERE_H
#define GATEWAY_EVERYWHERE_H

#include "database/database.h"

typedef struct Answers
{
	const char *problem; /* in words for whoever asked, and then no results; NULL: none */
	int n;
	PGresult *results[MAX_DATABASES];
} Answers;

/* Called once, when all have answered; answers are this function's for the time of the call. */
typedef void (*AnswersTaken)(const Answers *answers, void *arg);

/* Called by it: they are the caller's, until answers_free(). */
extern Answers answers_keep(const Answers *answers);
extern void answers_free(Answers *answers);

extern void everywhere_ask(Statement statement, const char *const *values, AnswersTaken taken,
						   void *arg);

/* Whether all databases are there. */
extern bool everywhere_connected(void);

#endif /* GATEWAY_EVERYWHERE_H */
