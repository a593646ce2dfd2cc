// What the Glibc module of Swift does not export. _GNU_SOURCE is defined in the .c file only: in this header it
// would change types that the module map has already seen.
#ifndef CLINUX_H
#define CLINUX_H

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>

#endif
