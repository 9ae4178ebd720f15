/*
 * hooks.h
 *	  Commands on databases that need the worker out of the way.
 */
#ifndef PRESENCE_HOOKS_H
#define PRESENCE_HOOKS_H

extern void hooks_init(void);

#endif /* PRESENCE_HOOKS_H */
