/*
 * connections_methods.h
 *	  The two implementations of connections.h; the functions are described there.
 */
#ifndef PRESENCE_CONNECTIONS_METHODS_H
#define PRESENCE_CONNECTIONS_METHODS_H

#include "utils/array.h"

#include "liveness.h"

typedef struct RoomView RoomView;

typedef struct ConnectionMethods
{
	LockResult (*lock)(MemberKey member, text *connection_id, bool wait);
	Liveness (*of)(MemberKey member, Moment moment);
	int64 (*open)(MemberKey member, text *connection_id, HeldPresence presence, int64 ttl,
				  StandIn stand_in);
	Liveness (*close)(MemberKey member, text *connection_id, Moment moment);
	void (*close_stand_ins)(MemberKey member);
	Liveness (*close_ended)(MemberKey member, Moment moment);
	bool (*drop)(const Connection *connection, int64 linger);
	bool (*touch)(MemberKey member, text *connection_id);
	Datum (*touch_many)(ArrayType *handles);
	Connection *(*by_handles)(ArrayType *handles, int *n);
	MemberKey *(*ended)(Moment moment, int max, int *n, bool *more);
	void (*adopt)(MemberKey member, HeldPresence presence, int64 lease);
	Connection *(*all)(int64 *n);
	Liveness *(*sums)(Moment moment, int64 *n);
	int64 (*count)(Moment moment);
	RoomView *(*view_room)(text *book_id);
	Liveness (*in_view)(RoomView *view, text *user_id, int64 presence_id);
	bool (*member_count)(text *book_id, int32 *count);
	bool (*room_version)(text *book_id, int64 *version);
	bool (*room_changes)(text *book_id, const int64 *known, RoomChanges *changes);
	void (*list_changes)(MemberKey member);
} ConnectionMethods;

extern const ConnectionMethods connections_in_memory;
extern const ConnectionMethods connections_in_table;

/* Empties the table, for a worker: what is in it is of a server that did not preload. */
extern void connections_clear_table(void);

extern void connections_memory_init(void);
extern void connections_table_init(void);

#endif /* PRESENCE_CONNECTIONS_METHODS_H */
