/*
 * memory_changes.h
 *	  What has changed in a room in shared memory since a version.
 */
#ifndef PRESENCE_MEMORY_CHANGES_H
#define PRESENCE_MEMORY_CHANGES_H

#include "connections_methods.h"

/* connections_room_changes. */
extern bool memory_room_changes(text *book_id, const int64 *known, RoomChanges *changes);

#endif /* PRESENCE_MEMORY_CHANGES_H */
