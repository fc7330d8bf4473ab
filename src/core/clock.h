/* clock.h -- milliseconds that only go forward, for what a call says of its own time. */
#ifndef WN_CORE_CLOCK_H
#define WN_CORE_CLOCK_H

double wn_now_ms(void);

#endif
