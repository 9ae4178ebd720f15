/*
 * names.h
 *	  What may be a channel, a user, a room, a socket: the limits of the extension.
 */
#ifndef GATEWAY_NAMES_H
#define GATEWAY_NAMES_H

#include "base/util.h"

/* Whether a name has 1 to 164 characters, all of them allowed (a server-to-user channel's # first).
 */
extern bool is_channel_name(Bytes name);

/* Whether it could be a user_id or a book_id of the database. */
extern bool is_user_id(Bytes user_id);
extern bool is_book_id(Bytes book_id);

/* Two numbers with a dot between. */
extern bool is_socket_id(Bytes socket_id);

#endif /* GATEWAY_NAMES_H */
