/* belay.h: for C libraries that are written for belay.
 *
 * A library of any kind works with belay as it is. This header is for one that wants more: to send events to
 * JavaScript from its own threads, or to release a JavaScript value that it was given. Such a library includes the
 * header and links nothing: TypeScript hands it the two functions, and their addresses stay valid until the process
 * ends.
 *
 *     #include <belay.h>
 *
 *     static belay_channel_send_function *send;
 *     static belay_channel *samples;
 *     static void *sensor;
 *     static unsigned missed;
 *
 *     void sensor_start(belay_channel_send_function *send_function, belay_channel *channel, void *handle) {
 *       send = send_function;
 *       samples = channel;
 *       sensor = handle;
 *     }
 *
 *     void sensor_measured(double value) { // on a thread of the library's
 *       if (!send(samples, sensor, &value, sizeof value)) missed++;
 *     }
 *
 *     void sensor_stop(belay_handle_release_function *release) { release(sensor); }
 *
 * TypeScript calls them like this:
 *
 *     using channel = new Channel<Sensor>();
 *     channel.onEvent((sensor, data) => sensor.add(data.getFloat64(0)));
 *     symbols.sensor_start(native.sendToChannel, channel.pointer, Handle.create(sensor));
 *     symbols.sensor_stop(native.releaseHandle); // later, when every event has been read
 */
#ifndef BELAY_H
#define BELAY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A channel, as `channel.pointer` in TypeScript. It is a number that belay never issues twice, not an address: C
 * must not read or write what it points to. */
typedef struct belay_channel belay_channel;

/* Sends an event to the JavaScript that made a channel: `native.sendToChannel` in TypeScript.
 *
 * channel  Any bits are allowed, at any time. If the channel is closed, nothing is sent.
 * handle   The id of a Handle, or NULL. JavaScript gets the handle's value; release the handle only after JavaScript
 *          has read the event.
 * data     The payload. The call copies `length` bytes of it. It may be NULL if `length` is 0.
 *
 * Returns true if the event was sent. Events that one thread sends to a channel arrive in the order in which it sent
 * them. Returns false if nothing was sent, for one of these reasons:
 *
 * - The channel has no space. The caller may try again. belay counts the event as dropped.
 * - The event, with its 16 bytes of header, takes more than half of the channel's capacity. belay counts it as dropped.
 * - The channel is closed, its isolate is gone, or the bits were never a channel.
 *
 * Threads: any thread, on any stack, but not a signal handler. The function takes no lock of the channel's,
 * allocates nothing and never waits for space or for JavaScript. The first event after JavaScript has looked wakes
 * its event loop. */
typedef bool belay_channel_send_function(belay_channel *channel, void *handle, const void *data, uint32_t length);

/* Has the isolate that issued an id delete its handle: `native.releaseHandle` in TypeScript. It fits wherever a C
 * library takes a destructor for user data.
 *
 * id       The id of a Handle. NULL does nothing. An id that is stale, or never was one, is counted and does nothing
 *          else.
 *
 * JavaScript deletes the handle when it looks next. If its isolate is gone, nothing happens.
 *
 * Threads: any thread, on any stack, and in a signal handler. The function waits for nothing and allocates nothing. */
typedef void belay_handle_release_function(void *id);

#ifdef __cplusplus
}
#endif

#endif
