/*
 * worker.c
 *	  The worker of a database: sends its events, ends what expires, keeps its house.
 *
 * One process does it all, in steps: publish (publisher.c), expire and adopt (expiry.c), purge
 * (purge.c) and tidy. Each is short, so that an event never waits long for another step, and
 * each stands on its own: one that raises is reported, rolled back, and tried again a
 * little later, and the others go on. What it works on is in shared memory or in tables, so
 * that a worker that ends, for whatever reason, loses nothing.
 *
 * It sleeps until the next lease ends, or until a transaction commits that has an
 * earlier one (next_wakeup in its slot), or events. To sleep without a lock and miss
 * nothing, it says "wake me for anything" before it looks, and when it will
 * look next only after: what commits in between sets its latch. All times are monotonic.
 *
 * It waits for nobody: for no standby and no disk (synchronous_commit; what is told is flushed,
 * publisher.c), no lock (it skips what is locked,
 * and lock_timeout bounds the rest), no setting that is meant for the database's users.
 *
 * It ends itself when a command needs the database to itself (holds), and when
 * the extension is gone; the launcher starts it again. Signals: SIGTERM ends it at
 * once; SIGINT (pg_cancel_backend) ends the step at hand; SIGHUP reads the configuration.
 */
#include "postgres.h"

#include "worker.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#include "expiry.h"
#include "memory.h"
#include "notify.h"
#include "settings.h"
#include "shards.h"
#include "publisher.h"
#include "purge.h"
#include "queue.h"
#include "shared.h"
#include "store.h"
#include "transaction.h"

#define MS(n)       ((int64) (n) *1000)
#define SWEEP_EVERY MS(200)  /* at most; leases that end within it are one sweep */
#define RETRY       MS(1000) /* after a step that failed */
#define REST        MS(1)    /* after events were sent */
#define LONG_REST   MS(3)    /* after so many that listeners have enough to do */
#define MANY_EVENTS 16
#define MAX_SLEEP   MS(10000) /* the extension may have gone without a word */
#define RESTART     MS(500)   /* after an exit */
#define KEEP_HOUSE  MS(60000) /* adoption of what was written by hand, tidying, the key */

static DatabaseSlot *slot;

/* Whether the process ends by its own wish. */
static bool leaving = false;

/* Settings may have changed. */
static bool reloaded = false;

/* Rooms may have been moved to other nodes of a cluster, with members in them. */
static bool moved = false;

/* Until then no events are sent: what comes meanwhile goes together. Monotonic. */
static int64 rests_until = 0;

/*
 * At any exit, and after the process has left the database (callbacks run in the
 * reverse of their order): the slot tells the launcher to start the next worker.
 */
static void
leave_slot(int code pg_attribute_unused(), Datum arg pg_attribute_unused())
{
	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	if (slot->worker_pid == MyProcPid)
	{
		slot->worker_pid = 0;
		slot->worker_latch = NULL;
		slot->state = WORKER_WANTED;
		slot->start_after = presence_monotonic() + (leaving ? 0 : RESTART);
		if (!leaving)
			pg_atomic_write_u32(&slot->orphaned, 1);
	}
	LWLockRelease(shared_state->lock);
	shared_wake_launcher();
}

/* False if the database has a worker already, or must not have one now. */
static bool
take_slot(Oid dboid)
{
	bool taken = false;

	slot = shared_find(dboid, true);
	if (slot == NULL)
		return false;
	LWLockAcquire(shared_state->lock, LW_EXCLUSIVE);
	if (slot->dboid == dboid && slot->worker_pid == 0)
	{
		if (slot->holds > 0)
			slot->state = WORKER_WANTED;
		else
		{
			slot->state = WORKER_RUNNING;
			slot->worker_pid = MyProcPid;
			slot->worker_latch = MyLatch;
			slot->no_worker_slot = false;
			taken = true;
		}
	}
	LWLockRelease(shared_state->lock);
	if (taken)
	{
		/* nothing is lost that it was to send */
		pg_atomic_write_u32(&slot->orphaned, 0);
		on_shmem_exit(leave_slot, 0);
		shared_wake_launcher(); /* it starts one after the other */
	}
	return taken;
}

pg_noreturn static void
leave(void)
{
	leaving = true;
	proc_exit(0);
}

/*
 * The settings of the database and of the role are for its users. A value they
 * give to these would hurt: no statement may be cut off, wait, or write nothing.
 */
static void
override_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"synchronous_commit", "off"},
		{"statement_timeout", "0"},
		{"lock_timeout", "100ms"},
		{"transaction_timeout", "0"}, /* since 17 */
		{"idle_in_transaction_session_timeout", "0"},
	};

	for (size_t i = 0; i < lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

/* In a transaction. Ends the process if there is no extension. False: it is about to be dropped. */
static bool
check_extension(void)
{
	bool busy;

	if (transaction_has_extension(&busy))
		return !busy;
	memory_forget_dropped(slot);
	transaction_end();
	if (worker_let_go(MyDatabaseId))
		leave();
	return false;
}

static void
serve_interrupts(void)
{
	QueryCancelPending = false; /* there is nothing to cancel between two steps */
	CHECK_FOR_INTERRUPTS();
	if (slot->holds > 0)
		leave();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
		reloaded = true;
	}
}

/* A step: does some work, and says when it wants to be called again (monotonic). */
typedef int64 (*StepFunction)(void);

typedef struct Step
{
	StepFunction run;
	int64 due; /* monotonic */
} Step;

static int64
publish(void)
{
	int sent = publisher_run(slot);

	if (sent > 0)
		rests_until = presence_monotonic() + (sent < MANY_EVENTS ? REST : LONG_REST);
	return PG_INT64_MAX; /* or when a commit sets the flag */
}

/* When the next lease ends; from then on, commits say if there is an earlier one. */
static int64
next_lease(void)
{
	int64 next;

	pg_atomic_write_u64(&slot->next_wakeup, PG_INT64_MAX);
	pg_atomic_write_u32(&slot->look, 0);
	pg_memory_barrier();
	next = memory_next_due(slot);
	pg_atomic_write_u64(&slot->next_wakeup, (uint64) next);
	return next;
}

static bool
extension_is_there(void)
{
	bool there;

	transaction_begin("presence: looking after the extension");
	there = check_extension();
	if (there)
		moved |= shards_changed();
	if (IsTransactionState())
		transaction_end();
	return there;
}

static int64
expire(void)
{
	int64 soonest = presence_monotonic() + SWEEP_EVERY;

	if (!extension_is_there())
		return presence_monotonic() + RETRY;
	if (expiry_run())
		return 0;
	slot->last_sweep = GetCurrentTimestamp();
	return Max(Min(next_lease(), presence_monotonic() + MAX_SLEEP), soonest);
}

/*
 * What a transaction held may be left without a stand-in when it rolls back: such is looked for
 * again soon, but a tenth of the time at most.
 */
static int64
adopt(void)
{
	static int64 began = 0;
	static bool busy = false;
	int64 wait = KEEP_HOUSE;

	if (!extension_is_there())
		return presence_monotonic() + RETRY;
	if (began == 0)
		began = presence_monotonic();
	if (expiry_adopt(slot, &busy))
		return 0;
	if (busy)
		wait = Min(Max(RETRY, 9 * (presence_monotonic() - began)), KEEP_HOUSE);
	began = 0;
	busy = false;
	return presence_monotonic() + wait;
}

/* presence.history_retention: a batch now, the next one when the pace allows it. */
static int64
purge(void)
{
	int64 wait;

	if (presence_history_retention == 0)
		return presence_monotonic() + KEEP_HOUSE;
	if (!extension_is_there())
		return presence_monotonic() + RETRY;
	wait = purge_run();
	return presence_monotonic() + (wait == 0 ? KEEP_HOUSE : wait);
}

static int64
tidy(void)
{
	memory_tidy();
	transaction_begin("presence: tidying");
	if (check_extension())
	{
		memory_forget_dropped(slot);
		notify_load_key(true);
	}
	if (IsTransactionState())
		transaction_end();
	return presence_monotonic() + KEEP_HOUSE;
}

/* In the order of their right to go first. */
enum
{
	PUBLISH,
	EXPIRE,
	ADOPT,
	PURGE,
	TIDY,
	NUM_STEPS
};

static Step steps[NUM_STEPS] = {[PUBLISH] = {publish, 0},
								[EXPIRE] = {expire, 0},
								[ADOPT] = {adopt, 0},
								[PURGE] = {purge, 0},
								[TIDY] = {tidy, PG_INT64_MAX}};

/* Runs one; if it raises, that is reported, and it is called again later. */
static void
run_step(Step *step)
{
	MemoryContext context = CurrentMemoryContext;

	step->due = presence_monotonic() + RETRY;
	PG_TRY();
	{
		step->due = step->run();
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		AbortCurrentTransaction();
		FlushErrorState();
		pgstat_report_activity(STATE_IDLE, NULL);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	MemoryContextReset(context);
}

/* What commits ask for. A step that has just failed is left alone for its time. */
static void
heed_flags(void)
{
	static int64 failed_until = 0;

	if (steps[PUBLISH].due != PG_INT64_MAX)
		failed_until = steps[PUBLISH].due;
	if (pg_atomic_read_u32(&slot->publish))
		steps[PUBLISH].due = Max(failed_until, rests_until);
	if (reloaded)
		steps[EXPIRE].due = steps[PURGE].due = 0;
	reloaded = false;
	if (moved)
		steps[ADOPT].due = 0;
	moved = false;
	if (pg_atomic_read_u32(&slot->look))
	{
		pg_atomic_write_u32(&slot->look, 0);
		steps[EXPIRE].due = Min(steps[EXPIRE].due, presence_monotonic() + SWEEP_EVERY);
	}
}

/* While it rests, no commit wakes it. */
static void
sleep_until(int64 when)
{
	int64 now = presence_monotonic();
	int64 ms = (when - now) / 1000 + 1;

	if (rests_until > now)
	{
		pg_usleep(Max(Min(rests_until, when) - now, 1));
		return;
	}
	if (ms > 0)
		WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
				  (long) Min(ms, MAX_SLEEP / 1000), PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
}

/* Publishing goes before any other step, and after each of them. */
static void
work(void)
{
	for (;;)
	{
		int64 next = PG_INT64_MAX;
		bool worked = false;

		serve_interrupts();
		heed_flags();
		for (int i = 0; i < NUM_STEPS && !worked; i++)
			if (steps[i].due <= presence_monotonic())
			{
				run_step(&steps[i]);
				worked = true;
			}
			else
				next = Min(next, steps[i].due);
		if (!worked)
			sleep_until(next);
	}
}

/* Whether there is something to do here; if not, no slot is kept. */
static bool
is_needed(Oid dboid)
{
	bool busy;
	bool needed;

	transaction_begin("presence: starting");
	needed = transaction_has_extension(&busy);
	if (needed)
		ereport(LOG,
				(errmsg("presence worker started for database \"%s\"", get_database_name(dboid))));
	else
	{
		ereport(DEBUG1, (errmsg_internal("no extension presence in database %u", dboid)));
		slot = shared_find(dboid, false);
		if (slot != NULL)
			memory_forget_dropped(slot);
	}
	transaction_end();
	if (!needed)
		(void) worker_let_go(dboid);
	return needed;
}

void
presence_worker_main(Datum arg)
{
	Oid dboid = DatumGetObjectId(arg);

	pqsignal(SIGTERM, die);
	pqsignal(SIGINT, StatementCancelHandler);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(dboid, InvalidOid, 0);
	override_settings();
	shared_attach();
	if (!is_needed(dboid) || !take_slot(dboid))
		leave();
	CurrentMemoryContext =
		AllocSetContextCreate(TopMemoryContext, "presence worker", ALLOCSET_DEFAULT_SIZES);
	steps[TIDY].due = presence_monotonic() + KEEP_HOUSE;
	work();
}
