/*
 * transaction.c
 *	  The worker's transactions.
 *
 * Used by worker.c and expiry.c. The worker waits for no lock: a command that holds the extension
 * holds up the sweeps, not the events.
 */
#include "postgres.h"

#include "transaction.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/inval.h"
#include "utils/snapmgr.h"

/*
 * SET CONSTRAINTS ALL IMMEDIATE: a deferred trigger of the owner's fires with its statement, as
 * the owner, where it may, and one that raises is a row's fault like any other.
 */
static void
fire_at_once(void)
{
	AfterTriggerSetState(makeNode(ConstraintsSetStmt));
}

void
transaction_begin(const char *activity)
{
	SetCurrentStatementStartTimestamp();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	fire_at_once();
	pgstat_report_activity(STATE_RUNNING, activity);
}

/* The end of the last commit that may not be on disk yet. */
static XLogRecPtr unflushed = InvalidXLogRecPtr;

void
transaction_end(void)
{
	bool wrote = TransactionIdIsValid(GetTopTransactionIdIfAny());

	PopActiveSnapshot();
	CommitTransactionCommand();
	if (wrote)
		unflushed = XactLastCommitEnd;
	pgstat_report_stat(true);
	pgstat_report_activity(STATE_IDLE, NULL);
}

void
transaction_flush(void)
{
	if (unflushed != InvalidXLogRecPtr)
		XLogFlush(unflushed);
	unflushed = InvalidXLogRecPtr;
}

bool
transaction_has_extension(bool *busy)
{
	Oid extension = get_extension_oid("presence", true);
	LOCKTAG tag;

	*busy = false;
	if (!OidIsValid(extension))
		return false;
	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, ExtensionRelationId, extension, 0);
	*busy = LockAcquire(&tag, AccessShareLock, false, true) == LOCKACQUIRE_NOT_AVAIL;
	AcceptInvalidationMessages();
	return get_extension_oid("presence", true) == extension;
}
