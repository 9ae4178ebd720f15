/*
 * batch.c
 *	  The worker's batches: one bad row among many does not keep the others from being done.
 *
 * A trigger of the owner's may raise for one row, with any error, or somebody may hold it locked.
 * A full disk fails for all of them.
 *
 * Called by expiry.c and purge.c, outside of a transaction.
 */
#include "postgres.h"

#include "batch.h"

#include "access/xact.h"
#include "miscadmin.h"

#define MAX_FAILED 8 /* of a batch, by errors of the server: then it is not the rows' fault */

/* Items of the batch at hand that failed by themselves. */
static int nfailed;

bool
batch_error_is_of_server(const ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category == ERRCODE_INSUFFICIENT_RESOURCES ||
		   category == ERRCODE_OPERATOR_INTERVENTION || category == ERRCODE_SYSTEM_ERROR ||
		   category == ERRCODE_INTERNAL_ERROR;
}

/* What went wrong, in the caller's memory context; NULL: nothing. */
static ErrorData *
try_some(void *items, int from, int n, BatchFunction function)
{
	MemoryContext context = CurrentMemoryContext;
	ErrorData *volatile error = NULL;

	PG_TRY();
	{
		function(items, from, n);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (batch_error_is_of_server(error) && nfailed >= MAX_FAILED)
			PG_RE_THROW();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return error;
}

static void
do_or_halve(void *items, int from, int n, BatchFunction function, BatchSetAside set_aside)
{
	ErrorData *error = try_some(items, from, n, function);

	if (error == NULL)
		return;
	CHECK_FOR_INTERRUPTS();
	if (n == 1)
	{
		nfailed++;
		set_aside(items, from, error);
		return;
	}
	do_or_halve(items, from, n / 2, function, set_aside);
	do_or_halve(items, from + n / 2, n - n / 2, function, set_aside);
}

void
batch_do(void *items, int n, BatchFunction function, BatchSetAside set_aside)
{
	nfailed = 0;
	if (n > 0)
		do_or_halve(items, 0, n, function, set_aside);
}
