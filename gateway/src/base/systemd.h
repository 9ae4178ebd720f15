/*
 * systemd.h
 *	  What systemd wants to hear (sd_notify); nothing where it does not.
 */
#ifndef GATEWAY_SYSTEMD_H
#define GATEWAY_SYSTEMD_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1", ... */
extern void systemd_tell(const char *state);

/* How often it wants to hear that we are alive, in ms; 0: never. */
extern int systemd_watchdog_ms(void);

#endif /* GATEWAY_SYSTEMD_H */
