/*
 * notify.c
 *	  One NOTIFY: its number, its payload, its mac.
 *
 * The key is made of the secret in presence.event_secret, read as its owner, and the server's
 * start, and kept by the process until the table is another one, or somebody asks to read it
 * again. So it is the same in all processes, and another one after each start, which ends all
 * listeners: numbers may begin anew then, and what was recorded before it has no right mac.
 * The table is unlogged: no replica has the secret, and after a crash there is a new one.
 *
 * Called by events.c and publisher.c.
 */
#include "postgres.h"

#include "notify.h"

#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_database.h"
#include "commands/async.h"
#include "lib/stringinfo.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "bytes.h"
#include "settings.h"
#include "store.h"

#define MAC_HEX_LEN 32

PG_FUNCTION_INFO_V1(presence_event_key);

static struct
{
	Oid relid; /* of presence.event_secret; invalid: there was none */
	bool loaded;
	TransactionId
		made_by; /* of ours, that made the secret: it is one if that commits; or invalid */
	char key[NOTIFY_KEY_LEN];
} mine;

void
notify_lock_seq(void)
{
	LockSharedObject(DatabaseRelationId, InvalidOid, 0, AccessExclusiveLock);
}

static Oid
secret_relation(void)
{
	Oid namespace = get_namespace_oid("presence", true);

	return OidIsValid(namespace) ? get_relname_relid("event_secret", namespace) : InvalidOid;
}

static void
make_key(const bytea *secret)
{
	Bytes bytes = {VARDATA_ANY(secret), NOTIFY_KEY_LEN};
	Bytes start = {(const char *) &PgStartTime, sizeof(PgStartTime)};
	char hex[SIGNATURE_HEX_LEN + 1];

	StaticAssertStmt(SIGNATURE_HEX_LEN == 2 * NOTIFY_KEY_LEN, "a key is an HMAC");
	if (!signature_hmac(bytes, &start, 1, hex))
		elog(ERROR, "could not compute an HMAC");
	hex_decode(hex, SIGNATURE_HEX_LEN, mine.key);
}

/* The store is open. */
static bool
read_secret(void)
{
	static Statement read = {
		.sql = "SELECT s.key FROM presence.event_secret AS s", .args = "", .columns = "x"};
	bytea *secret;

	if (store_execute(&read, NULL, NULL) == 0)
		return false;
	secret = DatumGetByteaPP(store_value());
	if (VARSIZE_ANY_EXHDR(secret) != NOTIFY_KEY_LEN)
		store_broken("The secret of events has another length.");
	make_key(secret);
	return true;
}

/* Unless somebody else is faster. */
static void
make_secret(void)
{
	static Statement insert = {.sql = "INSERT INTO presence.event_secret AS s (key) VALUES ($1)"
									  " ON CONFLICT DO NOTHING",
							   .args = "x",
							   .columns = ""};
	bytea *secret = palloc(VARHDRSZ + NOTIFY_KEY_LEN);
	Datum values[] = {PointerGetDatum(secret)};

	SET_VARSIZE(secret, VARHDRSZ + NOTIFY_KEY_LEN);
	if (!pg_strong_random(VARDATA(secret), NOTIFY_KEY_LEN))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random secret of events")));
	store_execute(&insert, values, NULL);
}

/* A secret that was rolled back is nobody's: others have made another one. */
static bool
is_rolled_back(void)
{
	if (!TransactionIdIsValid(mine.made_by) || TransactionIdIsCurrentTransactionId(mine.made_by))
		return false;
	if (!TransactionIdDidCommit(mine.made_by))
		return true;
	mine.made_by = InvalidTransactionId;
	return false;
}

void
notify_load_key(bool again)
{
	Oid relid = secret_relation();
	bool rolled_back = is_rolled_back();
	Store store;

	if (mine.loaded && mine.relid == relid && !again && !rolled_back)
		return;
	if (rolled_back)
		mine.made_by = InvalidTransactionId;
	mine.loaded = false;
	mine.relid = relid;
	if (!OidIsValid(relid))
		return;
	PushActiveSnapshot(GetTransactionSnapshot());
	store_open(&store, STORE_WRITE, "presence.event_key()");
	mine.loaded = read_secret();
	if (!mine.loaded)
	{
		make_secret();
		mine.made_by = GetCurrentTransactionId();
		mine.loaded = read_secret();
	}
	store_close(&store);
	PopActiveSnapshot();
}

static void
append_mac(StringInfo payload)
{
	Bytes key = {mine.key, NOTIFY_KEY_LEN};
	Bytes bytes = utf8_bytes(payload->data, payload->len);
	char hex[SIGNATURE_HEX_LEN + 1];

	if (!signature_hmac(key, &bytes, 1, hex))
		elog(ERROR, "could not compute an HMAC");
	appendStringInfo(payload, ",\"mac\":\"%.*s\"", MAC_HEX_LEN, hex);
}

void
notify_send(const char *channel, const char *name, uint64 seq, const char *rest)
{
	StringInfoData payload;

	initStringInfo(&payload);
	appendStringInfo(&payload, "{\"event\":\"%s\",\"seq\":" UINT64_FORMAT "%s", name, seq, rest);
	if (mine.loaded)
		append_mac(&payload);
	appendStringInfoChar(&payload, '}');
	Async_Notify(channel, payload.data);
	pfree(payload.data);
}

/* event_key(): for gateways, which take nothing for true that has no mac */
Datum
presence_event_key(PG_FUNCTION_ARGS)
{
	bytea *key = palloc(VARHDRSZ + NOTIFY_KEY_LEN);

	(void) fcinfo;
	notify_load_key(true);
	if (!mine.loaded)
		store_broken("There is no key of events.");
	SET_VARSIZE(key, VARHDRSZ + NOTIFY_KEY_LEN);
	memcpy(VARDATA(key), mine.key, NOTIFY_KEY_LEN);
	PG_RETURN_BYTEA_P(key);
}
