/*
 * everywhere.c
 *	  What is asked of all databases at once: what is about no one room.
 */
#include "database/everywhere.h"

#include <stdlib.h>

typedef struct Question
{
	int left; /* that have not answered yet */
	AnswersTaken taken;
	void *arg;
	Answers answers;
} Question;

static bool kept; /* those that are handed out: their taker keeps them */

Answers
answers_keep(const Answers *answers)
{
	kept = true;
	return *answers;
}

void
answers_free(Answers *answers)
{
	for (int i = 0; i < answers->n; i++)
		PQclear(answers->results[i]);
	answers->n = 0;
}

static void
end_one(Question *question, const char *problem)
{
	Answers *answers = &question->answers;

	if (problem)
		answers->problem = problem;
	if (--question->left > 0)
		return;
	kept = false;
	question->taken(answers, question->arg);
	if (!kept)
		answers_free(answers);
	free(question);
}

static void
answered(const PGresult *result, bool ok, void *arg)
{
	Question *question = arg;

	if (ok)
		question->answers.results[question->answers.n++] = database_keep(result);
	end_one(question, ok ? NULL : "the database does not answer this now");
}

static void
forgotten(void *arg)
{
	end_one(arg, "the database is away");
}

void
everywhere_ask(Statement statement, const char *const *values, AnswersTaken taken, void *arg)
{
	Question *question = xcalloc(1, sizeof(Question));

	question->taken = taken;
	question->arg = arg;
	for (const Database *database = HOME; database; database = database_next(database))
		question->left++;
	/* the last one may free it at once, no other can */
	for (Database *database = HOME; database; database = database_next(database))
		database_ask(database, statement, values, answered, forgotten, question);
}

bool
everywhere_connected(void)
{
	for (const Database *database = HOME; database; database = database_next(database))
		if (!database_connected(database))
			return false;
	return true;
}
