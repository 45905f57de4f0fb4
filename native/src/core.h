/* core.h: the private ABI between ffi/ and the native core. Authors of C libraries need include/belay.h alone.
 *
 * The core stands between C libraries and one or more JavaScript isolates (the main thread and workers). It loads
 * libraries so that they stay mapped, lends out C function pointers ("thunks") that TypeScript functions stand
 * behind, and turns a call of one into a call of the isolate's single runtime callback.
 *
 * abi.zig has the same structures and numbers; a native test compares them with this file. ffi/core/record.ts is
 * generated from abi.zig.
 *
 * Unless a function says otherwise: pointers must not be NULL; nothing here blocks; every function may be called
 * from any thread. Strings are UTF-8 and end with a zero byte.
 */
#ifndef BELAY_CORE_H
#define BELAY_CORE_H

#include "../include/belay.h"

/* Changes whenever a function, a structure or a number of the ABI changes. */
#define BELAY_ABI_VERSION 16

/* A queue of callbacks; see belay_queue_create. */
typedef struct belay_queue belay_queue;

/* ---------------------------------------------------------------------------------------------------------------------
 * Isolates
 * ------------------------------------------------------------------------------------------------------------------ */

/* Argument words of a callback: 8 integer registers, 8 float registers, then the stack. x86-64 Windows uses the
 * first four of each kind, by position; x86-64 System V uses six integer registers. */
#define BELAY_REGISTER_WORDS 16
#define BELAY_STACK_WORDS 128
#define BELAY_ARGUMENT_WORDS (BELAY_REGISTER_WORDS + BELAY_STACK_WORDS)

/* Result registers of a callback whose result is a structure: 2 integer ones (rax and rdx, or x0 and x1), then 4
 * float ones (xmm0 and xmm1, or d0 to d3). x86-64 Windows has rax and xmm0. */
#define BELAY_RESULT_WORDS 6

/* Attention: what waits for an isolate's JavaScript. JavaScript looks before each callback and after each native
 * call that it makes, and clears the flags.
 *
 * ERROR     A callback has thrown. JavaScript sets it.
 * NOTICE    A thunk is in the list of those that have a notice.
 * OVERFLOW  A callback has too little stack left.
 * RELEASE   C has released a handle.
 * IN_VAIN   A thread waited in vain, since JavaScript was in a native call all the time. While the flag is set, other
 *           threads don't wait. JavaScript sets it again until that native call has returned. */
#define BELAY_ATTENTION_ERROR 1
#define BELAY_ATTENTION_NOTICE 2
#define BELAY_ATTENTION_OVERFLOW 4
#define BELAY_ATTENTION_RELEASE 8
#define BELAY_ATTENTION_IN_VAIN 16

/* How many isolates can be live. */
#define BELAY_MAX_ISOLATES 255

/* An isolate: the part of its record that it shares with its JavaScript. Only the isolate's own thread reads and
 * writes it. Exceptions: any thread adds to the counts, to `notices` and to `released`, and sets attention.
 * Lifetime: until the process ends, since a call of a thunk may always ask for it. */
typedef struct belay_isolate {
  uint64_t arguments[BELAY_ARGUMENT_WORDS]; /* of the callback that is running */
  /* The callback's answer, as the bits of the result register: the fallback at first. Where the result is a
   * structure: 0 at first, and 1 when JavaScript has written it. If JavaScript writes none, C gets zeroes. */
  uint64_t result;
  /* The runtime's callback for this isolate, written by JavaScript before the first thunk is called. The core calls
   * it on the isolate's thread only. It must not throw or unwind; it reads the arguments and writes the result.
   * Ownership: it must stay callable as long as the isolate lives. */
  void (*trampoline)(void);
  struct belay_thunk *chunk_slots; /* what BELAY_OPERATION_CLAIM_THUNKS gave last: the thunks, */
  const void *chunk_code;          /* and the code of the first one, which C calls (see thunk_stride) */
  uint64_t call_token;             /* of a callback from a queue: the nonblocking call that it belongs to, or 0 */
  uint32_t thunk_stride;           /* how many bytes the next thunk's code is from the first one's */
  uint32_t callback;               /* the index of the thunk that is being called */
  uint32_t tag;                    /* this isolate's registry tag, 1 to 255; constant */
  uint32_t handle_slots;           /* how many slots the registry of this tag has used, ever; written by JavaScript */
  uint32_t overflow;               /* 1 if this callback has too little stack left; any other callback clears it */
  /* The synchronous native call that JavaScript is in, written by JavaScript. The lower 16 bits are how many are
   * running, the upper ones a number of the outermost. */
  uint32_t native_call;
  belay_handle_release_function *handle_release; /* belay_handle_release; constant */
  belay_channel_send_function *channel_send;     /* belay_channel_send; constant */
  /* From here on, what other threads read and write, too. */
  /* Calls from other threads or stacks, or after the isolate was gone: they got the fallback. */
  uint32_t misplaced_calls;
  uint32_t attention; /* BELAY_ATTENTION_…: what waits for JavaScript to look at it */
  uint32_t notices;   /* the list of thunks that have a notice: the first one's index and 1, or 0; taken whole */
  /* Callbacks that found their queue full, were dropped for newer ones, or waited when the callback was closed. */
  uint32_t dropped;
  uint32_t timeouts; /* callbacks that waited too long for their function to be called */
  /* 0 from when its thunks answer with their fallbacks: JavaScript clears it before it ends, the core in a forked
   * child. */
  uint32_t live;
  uint32_t released;       /* the first place of the list of released handles, or 0: see Handles */
  uint32_t stale_releases; /* releases that found no live handle */
  uint32_t completed;      /* the list of nonblocking calls that were made: the last one's index and 1, or 0 */
  /* 1 while JavaScript looks at `completed` by itself and needn't be woken. JavaScript looks once more after that. */
  uint32_t polls;
  /* What `native_call` was when the first thread called in vain since JavaScript took this by exchanging it for 0;
   * or 0. */
  uint32_t in_vain_call;
  /* Where a callback on a stack of its own has ended with a tail call: the index of that call's block and 1. The core
   * copies the block, makes the call when JavaScript goes on, and clears this. Written by JavaScript. */
  uint32_t tail_call;
  /* Not 0 if the callback has given a result: see belay_fetching. JavaScript sets it, the core clears it. */
  uint32_t answered;
  uint32_t suspended; /* how many calls wait for promises, on stacks of their own; written by JavaScript */
  uint32_t watched;   /* 1 while a thread looks after them: see BELAY_OPERATION_WATCH_STACKS */
  uint32_t unused;
  /* The isolate's thread's alone again. Where a callback's result is a structure, JavaScript writes its registers here,
   * after everything else. Where the structure goes to memory, results[0] is the address. */
  uint64_t results[BELAY_RESULT_WORDS];
} belay_isolate;

/* ---------------------------------------------------------------------------------------------------------------------
 * Handles
 * ------------------------------------------------------------------------------------------------------------------ */

/* Slots of an isolate's handle registry, and how far its links are behind its ids. */
#define BELAY_MAX_HANDLE_SLOTS 4194304
#define BELAY_HANDLE_LINKS_BYTE_OFFSET (BELAY_MAX_HANDLE_SLOTS * 8)

/* Behind the room for BELAY_MAX_HANDLE_SLOTS ids of a registry there are as many links of 64 bits, one for each slot. As
 * many of them have memory as ids do. A link that is on the list of released handles has, from the lowest bit: 23 bits
 * for the next place in the list (a slot and one; 0 at its end), 9 that are the core's own and not all zero, 32 for the
 * generation of the handle. JavaScript takes the list by exchanging `released` for 0. Then it takes each link off by
 * exchanging the lower 32 bits for 0, before it reads the upper ones. */

/* See belay_handle_release_function. It sets BELAY_ATTENTION_RELEASE. An id that is no live handle's, or was
 * released before, is counted in `stale_releases` of the isolate whose tag it has; what has no tag at all, in that
 * of every isolate. */
void belay_handle_release(void *id);

/* ---------------------------------------------------------------------------------------------------------------------
 * Thunks
 * ------------------------------------------------------------------------------------------------------------------ */

/* Thunks come in blocks: the library's own, then copies of its code that are mapped as they are needed. Isolates
 * claim them in chunks. */
#define BELAY_THUNK_BLOCK_LENGTH 4096
#define BELAY_MAX_THUNK_BLOCKS 256
#define BELAY_THUNK_CHUNK_LENGTH 16

/* How a callback's result goes back: as a scalar; as a structure in registers; as a structure in memory whose
 * address the caller passes, in the first integer register on x86-64, in x8 on AArch64. */
#define BELAY_RESULT_SCALAR 0
#define BELAY_RESULT_REGISTERS 1
#define BELAY_RESULT_MEMORY 2
#define BELAY_RESULT_FETCHED 3
/* In the same byte: what JavaScript gives is of 32 bits at most, and it writes the lower half of the word alone. */
#define BELAY_RESULT_NARROW 0x80

/* What the core does for a callback on its own way, before JavaScript is asked: it calls C functions, reads memory, copies
 * arguments, puts constants. What that gives arrives as the kinds say: BELAY_KIND_NONE is nothing. */
#define BELAY_STEP_CALL 0
#define BELAY_STEP_READ 1
#define BELAY_STEP_COPY 2
#define BELAY_STEP_CONSTANT 3
/* What is common, for kinds of 32 bits and more: a call of one integer that gives a word or a float, a call of an integer and
 * an f64, a read of a word or of 32 bits. */
#define BELAY_STEP_CALL_WORD 4
#define BELAY_STEP_CALL_FLOAT 5
#define BELAY_STEP_CALL_WITH_FLOAT 6
#define BELAY_STEP_READ_WORD 7
#define BELAY_STEP_READ_HALF 8
/* An address becomes a double of the same value. */
#define BELAY_STEP_NUMBER 9
#define BELAY_KIND_WORD 0
#define BELAY_KIND_U8 1
#define BELAY_KIND_I8 2
#define BELAY_KIND_U16 3
#define BELAY_KIND_I16 4
#define BELAY_KIND_U32 5
#define BELAY_KIND_I32 6
#define BELAY_KIND_F32 7
#define BELAY_KIND_F64 8
#define BELAY_KIND_NONE 9
/* Operands of a call; steps of a callback. */
#define BELAY_FETCH_OPERANDS 4
#define BELAY_MAX_FETCHES 24
/* An operand is the number of a word: of the registers that C gave, 8 for integers and 8 for floats; of C's stack; of what
 * steps have given, by their targets. */
#define BELAY_OPERAND_STACK 256
#define BELAY_OPERAND_FETCHED 512

/* One step. A target is a word of the arguments of JavaScript's function, in the same order, or one of those behind
 * the first 24, which are the steps' own. */
typedef struct belay_fetch {
  const void *function; /* for a call */
  uint64_t byte_offset; /* for a read, behind the address, of which NULL gives 0; or the constant */
  uint16_t operands[BELAY_FETCH_OPERANDS];
  uint16_t target;
  uint8_t step; /* BELAY_STEP_… */
  uint8_t kind; /* BELAY_KIND_… */
  uint8_t operand_count;
  uint8_t floats; /* which operands are floats, as bits */
  uint16_t unused;
} belay_fetch;

/* What the core does for a callback. It is never freed, since C may hold a pointer to the thunk for ever. */
typedef struct belay_fetching {
  uint64_t fallback; /* of what C gets */
  /* A call with which the core answers C afterwards, if `answered` says that there is an answer. Its last operand is
   * `result`. If its kind is BELAY_KIND_NONE, C gets the fallback, else what the call gives. Without a function C gets
   * `result`. */
  belay_fetch answer;
  uint32_t count; /* of the steps */
  uint32_t unused;
  belay_fetch steps[BELAY_MAX_FETCHES];
} belay_fetching;

/* The contract of a thunk: what becomes of a call from another thread.
 *
 * SAME  It is misplaced: C gets the fallback.
 * POST  It is queued, and C goes on with the fallback; also on the isolate's own thread.
 * WAIT  It is queued, and C waits for the result. */
#define BELAY_CONTRACT_MASK 3
#define BELAY_CONTRACT_SAME 0
#define BELAY_CONTRACT_POST 1
#define BELAY_CONTRACT_WAIT 2

/* What the dispatcher knows of a thunk. The isolate that claimed it writes it, on its thread, except for the counts
 * and `next_notice`. The state's upper bits change whenever something after it does: before, to BELAY_CONTRACT_SAME,
 * and after. */
typedef struct belay_thunk {
  belay_isolate *isolate; /* NULL until it is claimed */
  /* Result bits when the function can't be asked; a structure's length in bytes, in memory; the address of a
   * belay_fetching. */
  uint64_t fallback;
  /* Bytes, the lowest first: how many argument words are on the stack, in integer registers, in float registers (as
   * far as the last one in use, where registers are positional); BELAY_RESULT_…. Where that is a structure, the
   * contract is BELAY_CONTRACT_SAME, and the fallback is zeroes. Where arguments are fetched, the words are those of what
   * JavaScript gets, not of what C gives. */
  uint32_t layout;
  uint32_t misplaced_calls; /* calls that got the fallback because of where they came from */
  uint32_t index;           /* what JavaScript calls it: belay_isolate.callback of a call */
  uint32_t state;           /* BELAY_CONTRACT_…, and a count above it */
  /* Which of the first 64 argument words point to strings, to be copied: integer registers, float registers, stack. */
  uint64_t strings;
  belay_queue *queue;  /* where calls from elsewhere go, if the contract has any */
  uint32_t timeout_ms; /* how long the caller waits for space, and for the function to be called */
  uint32_t dropped;    /* callbacks that were not queued, or were dropped for newer ones */
  /* Callbacks that waited too long for the function to be called. Callbacks that were refused, or waited too long,
   * since JavaScript was in one native call all the time. JavaScript takes both by exchanging them for 0. */
  uint16_t timeouts;
  uint16_t in_vain;
  uint32_t next_notice; /* in the list of thunks that have a notice: the list's next word and 1; else 0 */
} belay_thunk;

/* ---------------------------------------------------------------------------------------------------------------------
 * Waking
 *
 * The core is a Node-API module, too: `connect(isolate, look, watch, wake)`. All arguments but `watch` are bigints.
 *
 * look   A C function that calls JavaScript. After something was queued for the isolate, it is called in a turn of the
 *        event loop of its own.
 * watch  Whether `look` is called once more if nothing came of it.
 * wake   A C function that any thread may call and that has the same done, or 0. It is tried first, if `watch` is set.
 *
 * Until then the isolate's thunks answer calls from elsewhere with their fallbacks.
 * ------------------------------------------------------------------------------------------------------------------ */

/* Says that JavaScript begins to look what there is: what comes later wakes it again. Returns what belay_now_ms
 * does, or 0 while the isolate rests: there is nothing to look for then. With `at_once` the rest is over. Called on
 * the isolate's thread. */
double belay_isolate_look(belay_isolate *isolate, bool at_once);
/* Has `look` called soon. */
void belay_isolate_wake(belay_isolate *isolate);
/* The isolate rests: `look` is called after so many microseconds, whatever is queued meanwhile. Called on the isolate's
 * thread. */
void belay_isolate_rest(belay_isolate *isolate, uint32_t duration_us);
/* The isolate's JavaScript ends: sets `live` to 0, and every thread that waits for it goes on with the fallback.
 * Called on the isolate's thread. */
void belay_isolate_end(belay_isolate *isolate);
/* Milliseconds of a clock that only goes forward, and that no test runner stops. */
double belay_now_ms(void);

/* ---------------------------------------------------------------------------------------------------------------------
 * Queued callbacks
 *
 * All of these are called on the isolate's thread.
 * ------------------------------------------------------------------------------------------------------------------ */

/* What becomes of a callback whose queue is full: the caller waits for space, at most as long as the thunk says; the
 * callback is dropped; the oldest one is. */
#define BELAY_ON_FULL_BLOCK 0
#define BELAY_ON_FULL_DROP_NEWEST 1
#define BELAY_ON_FULL_DROP_OLDEST 2

/* A queue for `call_count` callbacks of thunks of a layout, and as many more as are smaller. `extra_words` is one
 * for each of: callers wait for the result; some arguments are strings. Callbacks that one thread puts into one
 * queue arrive in its order. Lifetime: until the process ends, but see belay_queued_cancel. Returns NULL if there is
 * no memory. */
belay_queue *belay_queue_create(belay_isolate *isolate, uint32_t call_count, uint32_t layout, uint32_t extra_words,
                                uint32_t on_full);

/* How belay_queued_next goes about it: it takes no callback; it takes one that is there; it takes one that is there
 * within some microseconds; within some tens of them, unless a nonblocking call completes. */
#define BELAY_NEXT_FINISH 0
#define BELAY_NEXT_TAKE 1
#define BELAY_NEXT_LINGER 2
#define BELAY_NEXT_POLL 3
/* Takes a callback from the isolate's queues; returns 0 if there is none. Its arguments, `callback` and fallback are
 * where the trampoline finds those of any callback. The next belay_queued_next gives `result` to a thread that waits
 * for it. */
uint32_t belay_queued_next(belay_isolate *isolate, uint32_t patience);
/* A handle that C has released may be an argument of a callback that was queued before. Marks the callbacks that are
 * queued now, or about to be, and the one that was taken last. Returns whether there are any. One mark at a time. */
bool belay_queued_mark(belay_isolate *isolate);
/* Whether some marked callbacks have not run, as of the last belay_queued_next. */
bool belay_queued_marked(belay_isolate *isolate);
/* Ends the wait of those who called a thunk that had this `state`, and has another one now. Returns how many
 * callbacks of it were queued: they will not run. `retire` gives the queue to be created anew. */
uint32_t belay_queued_cancel(belay_isolate *isolate, uint32_t index, uint32_t state, belay_queue *queue, bool retire);

/* ---------------------------------------------------------------------------------------------------------------------
 * Block calls and nonblocking calls
 *
 * Call threads are threads of the core's own that make native calls while JavaScript goes on. The process has one set
 * of them, and none until the first nonblocking call. A thread that has been idle for some seconds ends. A call that
 * finds all of them busy for about 0.1 ms gets another one, up to the limit: so calls may wait for one another.
 * ------------------------------------------------------------------------------------------------------------------ */

/* How many calls of an isolate can be outstanding. */
#define BELAY_MAX_CALLS 65536
/* How many call threads there may be, and how many there are at most unless told otherwise. */
#define BELAY_MAX_CALL_THREADS 1024
#define BELAY_DEFAULT_CALL_THREADS 64

/* Any C call, as the platform's calling convention has it. The caller extends what is narrower than a word (to 32
 * bits at least), puts a float into the low half, and packs the stack where the platform does. */
typedef struct belay_frame {
  uint64_t arguments[BELAY_ARGUMENT_WORDS]; /* integer registers, float registers, then the stack */
  const void *function;
  uint64_t stack_words;        /* how many of the arguments are on the stack: at most BELAY_STACK_WORDS */
  uint64_t indirect_result;    /* where AArch64 returns what no register holds (x8) */
  uint64_t integer_results[2]; /* the result registers afterwards: rax and rdx, or x0 and x1 */
  uint64_t float_results[4];   /* xmm0 and xmm1, or d0 to d3 */
} belay_frame;

/* The block of one call. JavaScript writes the frame and submits the call. From then on the core alone touches the
 * block, until the call is in the isolate's list of completed ones. */
typedef struct belay_call {
  belay_frame frame;
  belay_isolate *isolate; /* the core's own, as is the next; for belay_stack_call, JavaScript writes it */
  struct belay_call *next;
  uint32_t index;          /* among the isolate's blocks */
  uint32_t completed_next; /* one more than the index of the next call in the list of completed ones, or 0 */
  /* 1 if the result of a nonblocking call is a string. The call thread copies it at once, and the result is the copy's
   * address. The copy lives until the next call of this block. */
  uint64_t string_result;
  uint64_t string; /* the core's own */
  /* If `capture_error` isn't 0, errno (Windows: the thread's last error) is set to 0 before the call, and put into
   * `error` as soon as the call returns. */
  uint32_t capture_error;
  uint32_t error;
  uint64_t stack; /* the core's, where the call was started on a stack of its own */
  /* In a tail call's block: BELAY_TAIL_RESULT_…. */
  uint32_t tail_result;
  /* On a stack of its own: not 0 if JavaScript may return to its event loop before it goes on with the call. */
  uint32_t suspends;
  /* There, how much the stack takes of the addresses, in units of 1,024 bytes; 0 if as much as others. */
  uint32_t stack_kilobytes;
  uint32_t unused;
} belay_call;

/* The isolate's BELAY_MAX_CALLS blocks, always the same. Called on the isolate's thread. Ownership: the core's. They
 * are unmapped when the isolate is gone and none of its calls is running: JavaScript must not touch them once its
 * `live` is 0. Returns NULL if there is no memory. */
belay_call *belay_call_blocks(belay_isolate *isolate);
/* Makes a call whose frame is written on the calling thread, the isolate's, and returns when C does. Of the rest of
 * the block it reads and writes only what the error takes. The block may be used again from then on. C may call back
 * meanwhile, and JavaScript make other calls. */
void belay_call_make(belay_isolate *isolate, uint32_t index);
/* Has a call thread make a call whose frame is written; then the isolate is woken. Called on the isolate's thread.
 * If the isolate is gone by then, the call isn't made. If it goes while the call runs, the result is dropped. A
 * callback that is queued for the isolate during the call has the call's index and 1 as its `call_token`. Returns
 * false if the system starts no thread. */
bool belay_call_submit(belay_isolate *isolate, uint32_t index);

/* What a tail call gives C: an integer or a float, in its register; or, if it returns at all, the callback's fallback. */
#define BELAY_TAIL_RESULT_NONE 0
#define BELAY_TAIL_RESULT_INTEGER 1
#define BELAY_TAIL_RESULT_FLOAT 2

/* What has become of a call that was started on a stack of its own: C has returned, and the block has the results;
 * there is no memory for a stack; stacks can't be switched on this processor and system; the process has hardware shadow
 * stacks, which are not switched; C wants a callback: the number is larger by what `callback` has then. */
#define BELAY_STACK_STATE_RETURNED 0
#define BELAY_STACK_STATE_NO_MEMORY 1
#define BELAY_STACK_STATE_UNKNOWN 2
#define BELAY_STACK_STATE_SHADOWED 3
#define BELAY_STACK_STATE_CALLS_BACK 4
/* Makes a call whose frame is written on the calling thread, the isolate's, but on a stack of its own. A callback there
 * doesn't call the trampoline: the function returns, `callback` and the arguments are where the trampoline finds them,
 * and `result` is the fallback. JavaScript writes the result, at any later time, and goes on. Meanwhile it may make other
 * calls, and have the thread's event loop run. The block stays the call's until C has returned. */
uint32_t belay_stack_start(belay_isolate *isolate, uint32_t index);
/* Goes on with a call that wants a callback, whose result is in `result`. */
uint32_t belay_stack_go_on(belay_isolate *isolate, uint32_t index);

/* The same as belay_stack_start, as C's function itself: JavaScript calls it with the arguments behind the block, and gets what
 * C's function gives. The block has no arguments, but the function, its isolate, and no `stack_kilobytes`; afterwards its
 * `stack` is 0 if C has returned, a state from BELAY_STACK_STATE_NO_MEMORY on if it wasn't called, and anything else if it
 * wants a callback: then what this has given means nothing, and the block has the results when `stack` is 0. At most 5 integers
 * and 8 floats, in registers; only x86-64 other than Windows has it. */
void belay_stack_call(belay_call *call);
/* Goes on with such a call, of 65,536 times the isolate's tag and the index. This is one number, and a small one, so that it is
 * a part of the engine's code: what C and JavaScript leave for each other would have to wait for any other. */
uint32_t belay_stack_resume(uint32_t tag_and_index);

/* Waits some microseconds for a call to complete, for JavaScript that has set `polls`, and clears that: what
 * completes later wakes the isolate. Returns whether one has, and soon. Called on the isolate's thread. */
bool belay_call_poll(belay_isolate *isolate);

/* ---------------------------------------------------------------------------------------------------------------------
 * Channels
 * ------------------------------------------------------------------------------------------------------------------ */

/* Channels that the process can have at once; words of an event before its payload. */
#define BELAY_MAX_CHANNELS 16384
#define BELAY_EVENT_HEADER_WORDS 2

/* What JavaScript sees of a channel. Only the isolate's thread reads and writes it. Exception: any thread adds to
 * the count. */
typedef struct belay_channel_words {
  belay_channel *id; /* what C gets; constant, as the next two */
  uint64_t *ring;    /* the events: see belay_channel_take */
  uint32_t length;   /* of the ring, in words */
  uint32_t batch;    /* the word of the ring where the batch begins that was taken last */
  uint32_t dropped;  /* events that found no space */
  uint32_t unused;
} belay_channel_words;

/* See belay_channel_send_function. */
bool belay_channel_send(belay_channel *channel, void *handle, const void *data, uint32_t length);
/* A channel with a ring of so many bytes, rounded up to a power of two. Lifetime: see belay_channel_close. Returns
 * NULL if there is no memory, or BELAY_MAX_CHANNELS are in use. This and the next two are called on the isolate's
 * thread. */
belay_channel_words *belay_channel_create(belay_isolate *isolate, uint32_t byte_capacity);
/* Gives the batch back that was taken last, and takes the next one: as many events as this returns, at most `most`,
 * one behind the other. Each is a word whose lower 32 bits are the payload's length in bytes, a double with the
 * handle, and the payload, as far as whole words go. They stay as they are until the next call. Bits of no channel
 * give 0. */
uint32_t belay_channel_take(belay_channel *channel, uint32_t most);
/* Ends a channel: nothing can be sent from now on. With `settled` the ring is gone and the structure no longer this
 * channel's, and the function returns how many events were not taken. Doing it again does nothing. */
uint32_t belay_channel_close(belay_channel *channel, bool settled);

/* ---------------------------------------------------------------------------------------------------------------------
 * Control
 *
 * What is asked for rarely goes through one function: a runtime takes up to half a millisecond to open more of them.
 * An operation uses those of its arguments that are named here; the others are 0.
 * ------------------------------------------------------------------------------------------------------------------ */

/* Makes an isolate of the calling thread, and keeps the core mapped until the process ends. `number` is the caller's
 * BELAY_ABI_VERSION. Callbacks may start in the top `bits` bytes of the stack, as far as the thread has it. One further
 * down is called with `overflow` set; one a fifth further down is a misplaced call.
 *
 * Isolates that this thread had before are gone then. With BELAY_OPERATION_ATTACH_BESIDE they are still there, unless
 * their `live` is 0: a second copy of the package in one JavaScript world. When the thread ends, all of its isolates do.
 *
 * Returns the belay_isolate, or NULL if the versions differ, there is no memory, BELAY_MAX_ISOLATES are live, or the
 * core could not be kept mapped. */
#define BELAY_OPERATION_ATTACH 0
#define BELAY_OPERATION_ATTACH_BESIDE 1
/* Returns how many isolates of the process are live. */
#define BELAY_OPERATION_ISOLATE_COUNT 2
/* Memory for the ids of `number` slots of the handle registry of an isolate, `object`: those that it has already, the
 * rest zero. An id of zero or NaN is none. On the isolate's thread. Ownership: the core's. The memory never moves and
 * outlives the isolate: the next isolate with its tag goes on with its ids, so that none is issued twice. Returns the
 * ids, as doubles; NULL if there is no memory, or number > BELAY_MAX_HANDLE_SLOTS. */
#define BELAY_OPERATION_REGISTRY_IDS 3
/* Claims a chunk of BELAY_THUNK_CHUNK_LENGTH thunks for an isolate, `object`, which finds it in `chunk_slots` and
 * `chunk_code`. On the isolate's thread. Returns the isolate, or NULL if no more can be mapped.
 *
 * The thunks stay the isolate's while it lives. Until the process ends they serve one shape, `text`: a name for the
 * functions that C may take for one another, the same for every isolate. When the library's own thunks are used up,
 * chunks of the same shape whose isolates are gone are given again, first gone first. Code and slots stay where they
 * are until the process ends. */
#define BELAY_OPERATION_CLAIM_THUNKS 4
/* Returns how many thunks the process has by now. */
#define BELAY_OPERATION_THUNK_COUNT 5
/* There may be `number` call threads, from 1 to BELAY_MAX_CALL_THREADS. Those that are too many end when their calls
 * have. */
#define BELAY_OPERATION_LIMIT_CALL_THREADS 6
/* Returns how many call threads there are. */
#define BELAY_OPERATION_CALL_THREAD_COUNT 7
/* Opens the library at the path `text`, or the program itself if that is NULL, for an isolate, `object`. On the isolate's
 * thread. Returns the library, or NULL if it could not be loaded. `number` is a sum of these: it stays mapped until the
 * process ends, whatever closes it; libraries that are opened later find its symbols; its own symbols come first for it,
 * which only Linux with glibc has. */
#define BELAY_OPERATION_OPEN_LIBRARY 8
#define BELAY_OPEN_PINNED 1
#define BELAY_OPEN_GLOBAL 2
#define BELAY_OPEN_DEEP_BIND 4
/* Returns the loader's own words for why the last library of an isolate, `object`, did not open, cut to 1 KB. Ownership:
 * the core's, until the isolate opens the next one. */
#define BELAY_OPERATION_OPEN_REASON 9
/* Returns the address of the symbol `text` of a library, `object`; or NULL. */
#define BELAY_OPERATION_FIND_SYMBOL 10
/* The same for a variable: the one that the library's own code uses. On ELF systems that may be another library's or
 * the program's of the same name: a program that was linked with the library has a copy of the variable, say. */
#define BELAY_OPERATION_FIND_VARIABLE 11
/* Gives a library, `object`, back. */
#define BELAY_OPERATION_CLOSE_LIBRARY 12

/* Returns how many calls of an isolate, `object`, have a stack of their own. On the isolate's thread. */
#define BELAY_OPERATION_STACK_COUNT 13
/* New stacks of an isolate, `object`, take `bits` bytes of addresses, rounded up to 64 KB, and memory as they are used. On
 * the isolate's thread. */
#define BELAY_OPERATION_SIZE_STACKS 14
/* Gives the system the memory that calls have left in those stacks of an isolate, `object`, that no call has now. On the
 * isolate's thread. */
#define BELAY_OPERATION_REST_STACKS 15
/* Returns how many bytes of memory the stacks of an isolate, `object`, take. On the isolate's thread. */
#define BELAY_OPERATION_RESIDENT_STACKS 16
/* Has a thread look after an isolate, `object`, as long as some calls wait for promises: where JavaScript is in one call of C for
 * 10 s meanwhile, it writes so to the standard error. On the isolate's thread, and only if `watched` is 0. */
#define BELAY_OPERATION_WATCH_STACKS 17
/* The process ends by itself, with the code `number`, unless this is done again within `bits` milliseconds; 0 of them only does
 * that. Nothing is run then that was to run at its end. */
#define BELAY_OPERATION_END_PROCESS 18

/* Does an operation; an unknown one returns NULL. */
void *belay_control(uint32_t operation, uint32_t number, void *object, uint64_t bits, const char *text);

/* Calls the function at an address, with the arguments behind it, and gives what that gives: for a runtime that opens
 * functions by their names alone, which is told of this one with any signature. Nothing may be on the stack: at most 5
 * integers and 8 floats on x86-64, 7 and 8 on AArch64; on Windows x64, 3 of both together. */
void belay_call_pointer(const void *function);

/* ---------------------------------------------------------------------------------------------------------------------
 * C's memory
 * ------------------------------------------------------------------------------------------------------------------ */

/* Reads and writes, unaligned, nothing checked. Byte offsets and lengths are whole numbers from 0 to 2^53. */
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

/* The two may overlap. */
void belay_memory_copy(void *target, double target_byte_offset, const void *source, double source_byte_offset,
                       double byte_length);
void belay_memory_fill(void *base, double byte_offset, uint8_t value, double byte_length);
/* How many bytes come before the zero that ends a string of units of 1 or 2 bytes, or -1 if none is within
 * `byte_length` bytes. Nothing after it is read. */
double belay_memory_find_zero(const void *base, double byte_offset, uint32_t unit_byte_length, double byte_length);

/* Memory for `byte_length` bytes, a whole number, at a multiple of `align`, a power of two; zeroes if `zero`. Even
 * for no bytes it is an address of its own. Returns NULL if there is no memory. */
void *belay_memory_allocate(double byte_length, uint32_t align, bool zero);
/* Gives back what belay_memory_allocate gave. */
void belay_memory_release(void *memory);

#endif
