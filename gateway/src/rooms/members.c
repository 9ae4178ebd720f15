/*
 * members.c
 *	  The members of a room, and the list of them as clients get it.
 */
#include "rooms/members.h"

#include <stdlib.h>
#include <utlist.h>

#include "base/json.h"

#define BLOCK_SIZE   64
#define SMALL_BLOCKS 2 /* a list of so many is one frame */

typedef struct Block
{
	Member *members;
	int n;
	Frame *ids;  /* "a","b" as it stands in a JSON string; NULL: to be encoded */
	Frame *hash; /* "a":{...},"b":null */
	struct Block *prev, *next;
} Block;

Member *
member_find(const Members *members, const char *user_id)
{
	Member *member;

	HASH_FIND_STR(members->by_id, user_id, member);
	return member;
}

/*
 * Blocks
 */

void
members_forget_frames(Members *members)
{
	frame_unref(members->small);
	frame_unref(members->page);
	members->small = members->page = NULL;
}

static void
forget_text(Members *members, Block *block)
{
	members_forget_frames(members);
	frame_unref(block->ids);
	frame_unref(block->hash);
	block->ids = block->hash = NULL;
}

static void
add_to_block(Members *members, Member *member)
{
	Block *block = members->blocks;

	if (!block || block->n == BLOCK_SIZE)
	{
		block = xcalloc(1, sizeof(Block));
		DL_PREPEND(members->blocks, block);
	}
	member->block = block;
	DL_APPEND(block->members, member);
	block->n++;
	forget_text(members, block);
	if (block->n < BLOCK_SIZE || !block->next)
		return;
	DL_DELETE(members->blocks, block);
	DL_APPEND(members->blocks, block);
}

static void
take_from_block(Members *members, Member *member)
{
	Block *block = member->block;

	DL_DELETE(block->members, member);
	block->n--;
	forget_text(members, block);
	if (block == members->blocks && block->n > 0)
		return;
	DL_DELETE(members->blocks, block);
	if (block->n == 0)
		free(block);
	else
		DL_PREPEND(members->blocks, block);
}

/*
 * Members
 */

/* JSON as the database has it, in compact form; NULL for null, and for what no browser could read.
 */
static char *
compact(const char *text)
{
	json_t *value = text ? json_parse(bytes_of(text)) : NULL;
	Buf out = {0};

	if (json_is_object(value))
		json_add(&out, value);
	json_decref(value);
	return out.data;
}

Member *
member_insert(Members *members, const MemberRow *row)
{
	size_t len = strlen(row->user_id);
	Member *member = xcalloc(1, sizeof(Member) + len + 1);

	memcpy(member->user_id, row->user_id, len);
	member->presence_id = row->presence_id;
	member->user_info = compact(row->user_info);
	member->is_author = row->is_author;
	HASH_ADD(hh, members->by_id, user_id, len, member);
	add_to_block(members, member);
	return member;
}

bool
member_set_info(Members *members, Member *member, const char *user_info)
{
	char *text;

	if (member->user_info && user_info && strcmp(member->user_info, user_info) == 0)
		return false;
	text = compact(user_info);
	if (json_same(text, member->user_info))
	{
		free(text);
		return false;
	}
	free(member->user_info);
	member->user_info = text;
	forget_text(members, member->block);
	return true;
}

void
member_delete(Members *members, Member *member)
{
	take_from_block(members, member);
	/* The analyzer takes the links of the table for members. NOLINTNEXTLINE */
	HASH_DEL(members->by_id, member);
	free(member->user_info);
	free(member);
}

void
members_free(Members *members)
{
	Member *next;

	for (Member *member = members->by_id; member; member = next)
	{
		next = member->hh.next;
		member_delete(members, member);
	}
	members_forget_frames(members);
}

/*
 * The list: {"event":"...","channel":"...","data":"{\"presence\":{\"count\":2,\"ids\":[...],
 * \"hash\":{...}}}"}, with what is in data escaped as a string is.
 */

static Frame *
escaped(const Buf *text)
{
	Buf out = {0};
	Frame *frame;

	json_add_escaped(&out, buf_bytes(text));
	frame = frame_of(buf_bytes(&out));
	buf_free(&out);
	return frame;
}

void
member_encode(Buf *ids, Buf *hash, const Member *member)
{
	if (ids->len)
	{
		buf_addc(ids, ',');
		buf_addc(hash, ',');
	}
	json_add_string(ids, bytes_of(member->user_id));
	json_add_string(hash, bytes_of(member->user_id));
	buf_addf(hash, ":%s", member->user_info ? member->user_info : "null");
}

static void
encode_block(Block *block)
{
	Buf ids = {0};
	Buf hash = {0};
	const Member *member;

	DL_FOREACH(block->members, member)
	{
		member_encode(&ids, &hash, member);
	}
	block->ids = escaped(&ids);
	block->hash = escaped(&hash);
	buf_free(&ids);
	buf_free(&hash);
}

static void
list_add(MemberList *list, Frame *frame)
{
	list->frames[list->nframes++] = frame_ref(frame);
	list->bytes += frame->len;
}

/* The first frame: what comes before the first id, behind the header of a frame of all. */
static Frame *
list_head(const MemberList *list, Bytes channel, unsigned count)
{
	Buf text = {0};
	Buf out = {0};
	unsigned char header[10] = {0x80 | WS_TEXT, 127};
	uint64_t len;
	Frame *frame;

	buf_adds(&text, "{\"event\":\"pusher_internal:subscription_succeeded\",\"channel\":");
	json_add_string(&text, channel);
	buf_addf(&text, ",\"data\":\"{\\\"presence\\\":{\\\"count\\\":%u,\\\"ids\\\":[", count);
	len = list->bytes + text.len;
	for (int i = 0; i < 8; i++)
		header[2 + i] = (unsigned char) (len >> (8 * (7 - i)));
	buf_add(&out, header, sizeof(header));
	buf_add(&out, text.data, text.len);
	frame = frame_of(buf_bytes(&out));
	buf_free(&text);
	buf_free(&out);
	return frame;
}

static void
add_blocks(MemberList *list, const Members *members, bool hash)
{
	static Frame *comma;
	const Block *block;

	if (!comma)
		comma = frame_of(BYTES(","));
	DL_FOREACH(members->blocks, block)
	{
		list_add(list, hash ? block->hash : block->ids);
		if (block->next)
			list_add(list, comma);
	}
}

/* A small list is one frame, with the header that it needs: nothing is gained by pieces. */
static void
join_pieces(MemberList *list)
{
	Buf all = {0};
	Buf out = {0};

	for (int i = 0; i < list->nframes; i++)
	{
		buf_add(&all, list->frames[i]->data + (i == 0 ? 10 : 0),
				list->frames[i]->len - (i == 0 ? 10 : 0));
		frame_unref(list->frames[i]);
	}
	frame_encode(&out, WS_TEXT, buf_bytes(&all));
	list->frames[0] = frame_of(buf_bytes(&out));
	list->nframes = 1;
	list->bytes = out.len;
	buf_free(&all);
	buf_free(&out);
}

MemberList
members_list(Members *members, Bytes channel)
{
	static Frame *middle;
	static Frame *end;
	MemberList list = {0};
	Block *block;
	int nblocks = 0;

	if (members->small && members->small_for == channel.data)
	{
		list.frames = xmalloc(sizeof(Frame *));
		list_add(&list, members->small);
		return list;
	}
	if (!middle)
	{
		middle = frame_of(BYTES("],\\\"hash\\\":{"));
		end = frame_of(BYTES("}}}\"}"));
	}
	DL_FOREACH(members->blocks, block)
	{
		nblocks++;
		if (!block->ids)
			encode_block(block);
	}
	list.frames = xmalloc(sizeof(Frame *) * (size_t) (4 * nblocks + 3));
	list.nframes = 1;
	add_blocks(&list, members, false);
	list_add(&list, middle);
	add_blocks(&list, members, true);
	list_add(&list, end);
	list.frames[0] = list_head(&list, channel, members_count(members));
	list.bytes += list.frames[0]->len;
	if (nblocks > SMALL_BLOCKS)
		return list;
	join_pieces(&list);
	frame_unref(members->small);
	members->small = frame_ref(list.frames[0]);
	members->small_for = channel.data;
	return list;
}

void
members_list_free(MemberList *list)
{
	for (int i = 0; i < list->nframes; i++)
		frame_unref(list->frames[i]);
	free(list->frames);
	*list = (MemberList){0};
}
