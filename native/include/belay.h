/* belay.h: the C ABI of belay's native core.
 *
 * The core stands between C libraries and one or more JavaScript isolates (the main thread and workers). It loads
 * libraries so that they stay mapped, lends out C function pointers ("thunks") that TypeScript functions stand behind,
 * and turns a call to one into a call of the isolate's single runtime callback.
 *
 * Unless a function says otherwise: pointers must not be NULL; nothing here blocks; every function may be called from
 * any thread. Strings are UTF-8 and end with a zero byte.
 */
#ifndef BELAY_H
#define BELAY_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Changes whenever a structure or the meaning of a function changes. */
#define BELAY_ABI_VERSION 9

/* Argument words of a callback: 8 integer registers, 8 float registers, then the stack. On x86-64 Windows the first
 * four of each kind are in use, by position; on x86-64 System V, six integer registers. */
#define BELAY_REGISTER_WORDS 16
#define BELAY_STACK_WORDS 128
#define BELAY_ARGUMENT_WORDS (BELAY_REGISTER_WORDS + BELAY_STACK_WORDS)

/* Result registers of a callback whose result is a structure: 2 integer ones (rax and rdx, or x0 and x1), then 4 float ones
 * (xmm0 and xmm1, or d0 to d3). On x86-64 Windows rax and xmm0. */
#define BELAY_RESULT_WORDS 6

/* How a callback's result goes back: as a scalar; as a structure in registers; as one in memory whose address the caller
 * passes, in the first integer register on x86-64, in x8 on AArch64. */
#define BELAY_RESULT_SCALAR 0
#define BELAY_RESULT_REGISTERS 1
#define BELAY_RESULT_MEMORY 2

/* Thunks come in blocks: the library's own, then copies of its code that are mapped as they are needed. They are claimed
 * so many at a time. */
#define BELAY_BLOCK_LENGTH 4096
#define BELAY_MAX_BLOCKS 256
#define BELAY_CHUNK_LENGTH 16

/* Slots of an isolate's handle registry. */
#define BELAY_MAX_SLOTS 4194304

/* What waits for an isolate's JavaScript, which looks before each callback and after each call that it makes, and clears
 * the flags. An error of a callback: set by JavaScript. A thunk in the list of those that have something to tell. A call
 * that has too little stack left. A handle that was released. A thread waited in vain since JavaScript was in a native call
 * all the time: while the flag is set, others don't wait. JavaScript sets it again until that native call has returned. */
#define BELAY_ATTENTION_ERROR 1
#define BELAY_ATTENTION_FOREIGN 2
#define BELAY_ATTENTION_OVERFLOW 4
#define BELAY_ATTENTION_RELEASE 8
#define BELAY_ATTENTION_IN_VAIN 16

/* What becomes of a call of a thunk from another thread: the fallback; a call that is queued, while the caller goes on
 * with the fallback (also from the isolate's own thread); a call that is queued, while the caller waits for the result. */
#define BELAY_CONTRACT_MASK 3
#define BELAY_CONTRACT_SAME 0
#define BELAY_CONTRACT_POST 1
#define BELAY_CONTRACT_WAIT 2

/* What becomes of a call when its queue is full: it waits for space, at most as long as the thunk says; it is dropped; the
 * oldest one is. */
#define BELAY_FULL_BLOCK 0
#define BELAY_FULL_DROP_NEWEST 1
#define BELAY_FULL_DROP_OLDEST 2

/* A queue of calls; see belay_queue_create. */
typedef struct belay_queue belay_queue;

/* Channels that the process can have at once; words of an event before its payload. */
#define BELAY_MAX_CHANNELS 16384
#define BELAY_CHANNEL_HEADER_WORDS 2

/* A channel as C knows it: not an address of anything, but a number that is never issued twice. */
typedef struct belay_channel belay_channel;

/* Sends an event to the JavaScript that made a channel: for C libraries that are written for belay. These don't link the
 * core; JavaScript gives them the function's address (`native.sendToChannel`) and the channel's (`channel.pointer`):
 *
 *     static belay_channel_send_function *send;
 *     void sensor_start(belay_channel_send_function *channel_send, belay_channel *channel, void *handle);
 *     ...
 *     if (!send(channel, handle, &sample, sizeof sample)) missed++;
 *
 * `handle` is the id of a Handle, as any user data, or NULL. JavaScript gets its value: it must not be released before it
 * has read the event. `data` is copied, `length` bytes of it; it may be NULL when that is 0. Events that a thread sends to a
 * channel arrive in its order.
 *
 * False when nothing was sent: there is no space, or the event with its 16 bytes of header takes more than half of the
 * capacity (these two are counted as dropped; the caller may try again, or give up); the channel is closed; its isolate is
 * gone; or it is no channel at all. A channel's bits are never issued again, so a stale one reaches no other, and any bits
 * may be passed at any time.
 *
 * Threads: any, on any stack, but not in a signal's handler. It takes no lock of the channel's, allocates nothing and never
 * waits for space or for JavaScript. The first event after JavaScript has looked calls the runtime, to wake its event loop. */
typedef bool belay_channel_send_function(belay_channel *channel, void *handle, const void *data, uint32_t length);

/* An isolate: the part of its record that it shares with its JavaScript. Only the isolate's own thread reads and writes
 * it, except that any thread adds to the counts, to `noted` and `released`, and sets attention. Lifetime: until the process
 * ends, since a call to a thunk may always ask for it. */
typedef struct belay_isolate {
  uint64_t arguments[BELAY_ARGUMENT_WORDS]; /* of the callback that is being called */
  /* Its answer, as the bits of the result register: the fallback at first. Where it is a structure: 0 at first, and 1 when
   * JavaScript has written that; C gets zeroes otherwise. */
  uint64_t result;
  /* The runtime's callback for this isolate, written by JavaScript before the first thunk is called. It is called on the
   * isolate's thread only, must not throw or unwind, reads the arguments and writes the result. Ownership: it must stay
   * callable as long as the isolate lives. */
  void (*trampoline)(void);
  void *chunk_slots;          /* what the last belay_thunks_claim gave: an array of belay_thunk, */
  const void *chunk_code;     /* the first thunk, which C calls (see thunk_byte_length) */
  uint64_t token;             /* of a call taken from a queue: the native call of this isolate's that it belongs to, or 0 */
  uint32_t thunk_byte_length; /* how far the next thunk is from the first */
  uint32_t callback;          /* the index of the thunk that is being called */
  uint32_t tag;               /* this isolate's registry tag, 1 to 255; constant */
  uint32_t slots;             /* how many slots the registry of this tag has used, ever; written by JavaScript */
  uint32_t overflow;          /* 1 when this call of the trampoline has too little stack left; any other call clears it */
  /* The synchronous native call that JavaScript is in, written by JavaScript: how many are running in the lower 16 bits, and
   * in the upper ones a number of the outermost. */
  uint32_t native_call;
  void (*handle_release)(void *id); /* belay_handle_release; constant */
  belay_channel_send_function *channel_send; /* belay_channel_send; constant */
  /* From here on, what other threads read and write, too. */
  uint32_t foreign_calls; /* calls from other threads or stacks, or after the isolate was gone: they got the fallback */
  uint32_t attention;     /* BELAY_ATTENTION_…: what waits for JavaScript to look at it */
  uint32_t noted;    /* the list of thunks that have something to tell: the first one's index and 1, or 0; taken whole */
  uint32_t dropped;  /* calls that found their queue full, were dropped for newer ones, or waited when JavaScript ended their callback */
  uint32_t timeouts; /* calls that waited too long for their function to be called */
  /* 0 from when its thunks answer with their fallbacks: JavaScript clears it before it ends, the core in a forked child. */
  uint32_t live;
  uint32_t released;      /* the first place of the list of released handles, 0 when it is empty: see belay_registry_ids */
  uint32_t stale_releases; /* releases that found no live handle */
  uint32_t completed; /* the list of calls that the pool has made: the last one's index and 1, or 0; taken whole */
  uint32_t polls;     /* 1 while JavaScript looks at `completed` by itself, and needn't be woken; it looks once more after that */
  /* What `native_call` was when the first thread called in vain since JavaScript took this by exchanging it for 0; or 0. */
  uint32_t in_vain_call;
  uint32_t unused;
  /* The isolate's thread's alone again: where a callback's result is a structure, JavaScript writes its registers here, after
   * everything else, or finds in results[0] where in memory it goes. */
  uint64_t results[BELAY_RESULT_WORDS];
} belay_isolate;

/* What the dispatcher knows of a thunk. The isolate that claimed it writes it, on its thread, except for the counts and
 * `noted`. The state's upper bits change whenever something after it does: before, to BELAY_CONTRACT_SAME, and after. */
typedef struct belay_thunk {
  belay_isolate *isolate; /* NULL until it is claimed */
  uint64_t fallback;      /* result bits when the function can't be asked; how long a structure in memory is, in bytes */
  uint32_t layout;        /* bytes, the lowest first: how many argument words are on the stack, in integer registers, in float
                             registers (as far as the last one in use, where registers are positional); BELAY_RESULT_….
                             Where that is a structure, the contract is BELAY_CONTRACT_SAME, and the fallback is zeroes */
  uint32_t foreign_calls; /* calls that got the fallback because of where they came from */
  uint32_t index;         /* what JavaScript calls it: belay_isolate.callback of a call */
  uint32_t state;         /* BELAY_CONTRACT_…, and a count above it */
  uint64_t strings;       /* which of the first 64 argument words point to strings, to be copied: integer registers, float
                             registers, stack */
  belay_queue *queue;     /* where calls from elsewhere go, if the contract has any */
  uint32_t timeout_ms;    /* how long the caller waits for space, and for the function to be called */
  uint32_t dropped;       /* calls that were not queued, or were dropped for newer ones */
  /* Calls that waited too long for the function to be called. Those that were refused, or waited too long, since JavaScript was
   * in one native call all the time. JavaScript takes both by exchanging them for 0. */
  uint16_t timeouts;
  uint16_t in_vain;
  uint32_t noted;            /* in the list of those that have something to tell: the list's next word and 1; else 0 */
} belay_thunk;

/* Makes an isolate of the calling thread, and keeps the core mapped until the process ends. Isolates that this thread had
 * before count as gone from now on, unless `beside` says that they are still there (a second copy of the package in one
 * JavaScript world, and those whose `live` is 0 aren't); when the thread ends, all of its isolates do. Callbacks may start
 * in the top `stack_byte_length` of the stack, as far as the thread has it; one further down is called with `overflow` set,
 * and one a fifth further down counts as a call from elsewhere. Unless `shape` is 0, a chunk of thunks is claimed for it,
 * too, as by belay_thunks_claim: its name is the bytes of `shape`, lowest first, up to the first zero. `chunk_slots` stays
 * NULL if there is none. NULL: the caller's `abi_version` isn't BELAY_ABI_VERSION, no memory, 255 isolates are live, or the
 * core could not be kept mapped. */
belay_isolate *belay_isolate_attach(uint32_t abi_version, bool beside, uint32_t stack_byte_length, uint64_t shape);
/* How many isolates of the process are live. */
uint32_t belay_isolate_count(void);

/* Memory for the ids of `count` slots of the isolate's handle registry: those it has already, the rest zero. An id of
 * zero or NaN is none. Called on the isolate's thread. Ownership: the core's. It never moves, and outlives the isolate,
 * since the next one with its tag goes on with its ids, so that none is issued twice. NULL: no memory, or count >
 * BELAY_MAX_SLOTS.
 *
 * Behind the room for BELAY_MAX_SLOTS ids there are as many links of 64 bits, one for each slot, of which as many have
 * memory. A link that is on the list of released handles has, from the lowest bit: 23 bits for the next place in the list
 * (a slot and one; 0 at its end), 9 that are the core's own and not all zero, 32 for the generation of the handle.
 * JavaScript takes the list by exchanging `released` for 0; then it takes each link off by exchanging the lower 32 bits
 * for 0, before it reads the upper ones. */
double *belay_registry_ids(belay_isolate *isolate, uint32_t count);
/* Has the isolate that issued an id delete its handle when its JavaScript looks next (BELAY_ATTENTION_RELEASE): a
 * destructor for user data that is a handle by value. From any thread, on any stack and in a signal's handler; it waits for
 * nothing and allocates nothing. NULL does nothing. An id that is no live handle's, or was released before, is counted in
 * `stale_releases` of the isolate whose tag it has; what has no tag at all, in that of every isolate. Nothing happens when
 * the isolate is gone. */
void belay_handle_release(void *id);

/* Takes a chunk of BELAY_CHUNK_LENGTH thunks for the isolate, which finds it in `chunk_slots` and `chunk_code`, and gives
 * that length; 0 when no more can be mapped. They stay its own while it lives, and for as long as the process does they
 * serve one shape: a name for the functions that C may take for one another, the same for every isolate. When the
 * library's own thunks are used up, chunks of the same shape whose isolates are gone are given again, first gone first.
 * Code and slots stay where they are until the process ends. */
uint32_t belay_thunks_claim(belay_isolate *isolate, const char *shape);
/* How many thunks the process has by now. */
uint32_t belay_thunk_count(void);

/* The core is a Node-API module, too: `connect(isolate, look, watch, wake)` has `look`, a C function that calls JavaScript,
 * called in a turn of the event loop of its own after something was queued for the isolate; with `watch` once more when
 * nothing came of it, and then by `wake`, unless that is 0: a C function that any thread may call, and that has the same
 * done. All but `watch` are bigints. Until then the isolate's thunks answer calls from elsewhere with their fallbacks. The
 * functions below are called on the isolate's thread, except for belay_isolate_wake
 * and belay_now_ms. */

/* A queue for `call_count` calls of thunks of a layout, and as many more as are smaller; one word more for each of: callers
 * wait for the result, some arguments are strings. Calls that a thread makes into one queue arrive
 * in the order in which it made them. Lifetime: until the process ends, but see belay_calls_cancel. NULL: no memory. */
belay_queue *belay_queue_create(belay_isolate *isolate, uint32_t call_count, uint32_t layout, uint32_t extra_words, uint32_t on_full);
/* Says that JavaScript begins to look what there is: what comes later wakes it again. Answers what belay_now_ms
 * does, or 0 while the isolate rests: there is nothing to look for then. With `at_once` the rest is over. */
double belay_calls_look(belay_isolate *isolate, bool at_once);
/* How belay_calls_next goes about it: it takes no call; one that is there; one that is there within some microseconds. */
#define BELAY_NEXT_FINISH 0
#define BELAY_NEXT_TAKE 1
#define BELAY_NEXT_LINGER 2
/* Takes a call from the isolate's queues; 0 when there is none. Its arguments, `callback` and fallback are where the
 * trampoline finds those of a call. The next
 * belay_calls_next gives `result` to a thread that waits for it. */
uint32_t belay_calls_next(belay_isolate *isolate, uint32_t patience);
/* What belay_handle_release has released may be an argument of a call that was queued before. Marks those that are queued
 * now, or about to be, and the one that was taken last; answers whether there are any. One mark at a time. */
bool belay_calls_mark(belay_isolate *isolate);
/* Whether some of these have not been made, as of the last belay_calls_next. */
bool belay_calls_marked(belay_isolate *isolate);
/* Ends the wait of those who called a thunk that has another `state` now, and had this one; answers how many calls of it
 * were queued. They will not run. `retire` gives the queue to be created anew. */
uint32_t belay_calls_cancel(belay_isolate *isolate, uint32_t index, uint32_t state, belay_queue *queue, bool retire);
/* The isolate's JavaScript ends: sets `live` to 0, and every thread that waits for it goes on with the fallback. */
void belay_calls_end(belay_isolate *isolate);
/* Has `look` called soon. */
void belay_isolate_wake(belay_isolate *isolate);
/* The isolate rests: `look` is called after so many microseconds, whatever is queued meanwhile. */
void belay_isolate_rest(belay_isolate *isolate, uint32_t duration_us);
/* Milliseconds of a clock that only goes forward, and that no test runner stops. From any thread. */
double belay_now_ms(void);

/* The pool: threads of the core's own that make native calls while JavaScript goes on. There is one for the process; it
 * has no thread until the first call, and a thread that has been idle for some seconds ends. A call that finds all of them
 * busy for about 0.1 ms gets another one, up to the limit: so calls may wait for one another. */

/* How many calls of an isolate can be outstanding. */
#define BELAY_MAX_CALLS 65536
/* How many threads the pool may have, and has at most unless told otherwise. */
#define BELAY_MAX_THREADS 1024
#define BELAY_DEFAULT_THREADS 64

/* Any C call, as the platform's calling convention has it. The caller extends what is narrower than a word (to 32 bits at
 * least), puts a float into the low half, and packs the stack where the platform does. */
typedef struct belay_frame {
  uint64_t arguments[BELAY_ARGUMENT_WORDS]; /* integer registers, float registers, then the stack */
  const void *function;
  uint64_t stack_words;        /* how many of the arguments are on the stack: at most BELAY_STACK_WORDS */
  uint64_t indirect_result;    /* where AArch64 returns what no register holds (x8) */
  uint64_t integer_results[2]; /* the result registers afterwards: rax and rdx, or x0 and x1 */
  uint64_t float_results[4];   /* xmm0 and xmm1, or d0 to d3 */
} belay_frame;

/* A call for the pool, or for belay_call_make. JavaScript writes the frame and submits it; nobody but the pool touches it then until it is in the
 * isolate's list of completed calls. */
typedef struct belay_call {
  belay_frame frame;
  belay_isolate *isolate; /* the pool's own, as is the next */
  struct belay_call *next;
  uint32_t index;          /* among the isolate's calls */
  uint32_t completed_next; /* one more than the index of the next call in the list of completed ones, or 0 */
  uint64_t string_result;  /* 1 when the result is a string: it is copied at once, and the result is the copy, which lives */
  uint64_t string;         /* until the next call of this place; the pool's own */
  uint32_t capture_error;  /* not 0: errno (Windows: the thread's last error) is set to 0 before the call, and put into */
  uint32_t error;          /* this as soon as it returns */
  uint64_t unused;
} belay_call;

/* The isolate's BELAY_MAX_CALLS calls, always the same. Called on the isolate's thread. Ownership: the core's. They are
 * unmapped when the isolate is gone and none of its calls is running: nobody may touch them from when its `live` is 0.
 * NULL: no memory. */
belay_call *belay_pool_calls(belay_isolate *isolate);
/* Has a thread of the pool make a call whose frame is written; then the isolate is woken. Called on the isolate's thread.
 * When the isolate is gone by then, the call isn't made; when it goes while the call runs, the result is dropped. A
 * callback that is made during the call and queued for the isolate has the call's index and 1 as its `token`. 0: the system
 * starts no thread. */
bool belay_pool_submit(belay_isolate *isolate, uint32_t index);
/* Makes a call whose frame is written on the calling thread, the isolate's, and returns when C does; of the rest of the block
 * it reads and writes only what the error takes. The block may be used again from then on. C may call back meanwhile, and
 * JavaScript make other calls. */
void belay_call_make(belay_isolate *isolate, uint32_t index);
/* Waits some microseconds for a call to complete, for JavaScript that has set `polls`, and clears that: what completes later
 * wakes the isolate. Answers whether one has, and soon. */
bool belay_pool_poll(belay_isolate *isolate);
/* How many threads there may be, from 1 to BELAY_MAX_THREADS. Those that are too many end when their calls have. */
void belay_pool_limit(uint32_t thread_count);
/* How many threads there are. */
uint32_t belay_pool_thread_count(void);

/* What JavaScript sees of a channel. Only the isolate's thread reads and writes it, except that any thread adds to the count. */
typedef struct belay_channel_words {
  belay_channel *channel; /* what C gets; constant, as the next two */
  uint64_t *ring;         /* the events: see belay_channel_take */
  uint32_t length;        /* of the ring, in words */
  uint32_t batch;         /* the word of the ring where the batch begins that was taken last */
  uint32_t dropped;       /* events that found no space */
  uint32_t unused;
} belay_channel_words;

/* See belay_channel_send_function. */
bool belay_channel_send(belay_channel *channel, void *handle, const void *data, uint32_t length);
/* A channel with a ring of so many bytes, rounded up to a power of two. Lifetime: see belay_channel_close. NULL: no memory, or
 * BELAY_MAX_CHANNELS are in use. The next three are called on the isolate's thread. */
belay_channel_words *belay_channel_create(belay_isolate *isolate, uint32_t byte_capacity);
/* Gives the batch back that was taken last, and takes the next one: as many events as this answers, at most `most`, one behind
 * the other. Each is a word whose lower 32 bits are the payload's length in bytes, a double with the handle, and the
 * payload, as far as whole words go. They stay as they are until the next call. */
uint32_t belay_channel_take(belay_channel *channel, uint32_t most);
/* Ends a channel: nothing can be sent from now on. With `settled` the ring is gone and the structure no longer this channel's,
 * and it answers how many events were not taken. Doing it again does nothing. */
uint32_t belay_channel_close(belay_channel *channel, bool settled);

/* Opens a library. NULL: it could not be loaded, and `reason` (reason_byte_length bytes; 0 is allowed) holds the
 * loader's words, cut to fit. A pinned library stays mapped until the process ends, whatever closes it. */
void *belay_library_open(const char *path, bool pinned, char *reason, uint32_t reason_byte_length);
/* NULL: there is no such symbol. */
void *belay_library_symbol(void *library, const char *name);
/* The same for a variable: the one that the library's own code uses. On ELF systems that may be another library's or the
 * program's of the same name: a program that was linked with the library has a copy of the variable, say. */
void *belay_library_variable(void *library, const char *name);
void belay_library_close(void *library);

/* Reads and writes of C's memory, unaligned, nothing checked. Byte offsets and lengths are whole numbers from 0 to 2^53. */
int8_t belay_load_i8(const void *base, double byte_offset);
uint8_t belay_load_u8(const void *base, double byte_offset);
int16_t belay_load_i16(const void *base, double byte_offset);
uint16_t belay_load_u16(const void *base, double byte_offset);
int32_t belay_load_i32(const void *base, double byte_offset);
uint32_t belay_load_u32(const void *base, double byte_offset);
int64_t belay_load_i64(const void *base, double byte_offset);
uint64_t belay_load_u64(const void *base, double byte_offset);
float belay_load_f32(const void *base, double byte_offset);
double belay_load_f64(const void *base, double byte_offset);
void belay_store_i8(void *base, double byte_offset, int8_t value);
void belay_store_u8(void *base, double byte_offset, uint8_t value);
void belay_store_i16(void *base, double byte_offset, int16_t value);
void belay_store_u16(void *base, double byte_offset, uint16_t value);
void belay_store_i32(void *base, double byte_offset, int32_t value);
void belay_store_u32(void *base, double byte_offset, uint32_t value);
void belay_store_i64(void *base, double byte_offset, int64_t value);
void belay_store_u64(void *base, double byte_offset, uint64_t value);
void belay_store_f32(void *base, double byte_offset, float value);
void belay_store_f64(void *base, double byte_offset, double value);

/* They may overlap. */
void belay_memory_copy(void *target, double target_byte_offset, const void *source, double source_byte_offset, double byte_length);
void belay_memory_fill(void *base, double byte_offset, uint8_t value, double byte_length);
/* How many bytes come before the zero that ends a string of units of 1 or 2 bytes, or -1 when none is within `byte_length`
 * bytes. Nothing after it is read. */
double belay_memory_find_zero(const void *base, double byte_offset, uint32_t unit_byte_length, double byte_length);

/* Memory for `byte_length` bytes, a whole number, at a multiple of `align`, a power of two; zeroes if `zero`. Even for no
 * bytes it is an address of its own. NULL: there is none. */
void *belay_memory_allocate(double byte_length, uint32_t align, bool zero);
/* Gives back what belay_memory_allocate gave. From any thread. */
void belay_memory_release(void *memory);

#ifdef __cplusplus
}
#endif

#endif
