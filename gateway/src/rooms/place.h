/*
 * place.h
 *	  On which database a room is, where a cluster spreads rooms over several.
 */
#ifndef GATEWAY_PLACE_H
#define GATEWAY_PLACE_H

/* Asks home where rooms are that are in doubt (room_doubt()); at the end of each turn. */
extern void places_flush(void);

#endif /* GATEWAY_PLACE_H */
