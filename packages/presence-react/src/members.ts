// What a room and its members are, for servers too: how the routes read what they are sent, and answer.

export * from '@/lib/members'
