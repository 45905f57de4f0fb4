"""For gdb, on x64 Linux: steps through belay's core and the C functions that it calls, one instruction after another.

At each one gdb's back trace is held against the calls that were seen. On a stack of C's own it has to end with them. Above
JavaScript's frames, which gdb can't follow, it has to begin with them. The last line printed is JSON.
"""

import json
import os
import re

import gdb

libraries = ("libbelay.so", "libtestlib.so", "libc.so.6", "ld-linux-x86-64.so.2")
most_steps = 20_000
end_of_trace = gdb.FRAME_UNWIND_OUTERMOST
word = (1 << 64) - 1
maps = []
texts = {}
# The calls of each stack that have not returned, the outermost first: where they return to, and the stack pointer there.
calls = {}
# What JavaScript has in the registers that a call preserves.
preserved = {}
# Both of JavaScript's stack when the core called JavaScript, by what that returns to.
left = {}
seen = {"steps": 0, "own": 0, "javascript": 0, "wrong": {}}


def read_maps():
    with open(f"/proc/{gdb.selected_inferior().pid}/maps") as file:
        for line in file:
            start, end, offset, name = re.match(r"(\w+)-(\w+) \S+ (\w+) \S+ \S+\s*(.*)", line).groups()
            yield int(start, 16), int(end, 16), int(offset, 16), name


def mapping(address):
    global maps
    for _ in range(2):
        for entry in maps:
            if entry[0] <= address < entry[1]:
                return entry
        maps = list(read_maps())
    return 0, 0, 0, ""


def library(address):
    return os.path.basename(mapping(address)[3])


def place(address):
    start, _, offset, _ = mapping(address)
    return f"{library(address)}+{address - start + offset:x}"


def stack(pointer):
    start, _, _, name = mapping(pointer)
    return "javascript" if name == "[stack]" else start


def position(frame):
    return frame.pc(), int(frame.read_register("rsp")) & word


def returns_to(pointer):
    return int.from_bytes(bytes(gdb.selected_inferior().read_memory(pointer, 8)), "little"), pointer + 8


def instruction(pc):
    if pc not in texts:
        texts[pc] = gdb.newest_frame().architecture().disassemble(pc)[0]
    return texts[pc]


def registers(frame):
    return {name: int(frame.read_register(name)) & word for name in ("rbx", "r12", "r13", "r14", "r15")}


def back_trace():
    frame = gdb.newest_frame()
    trace = []
    reason = None
    while frame is not None and len(trace) < 100:
        # A function that was inlined has no call.
        if frame.type() != gdb.INLINE_FRAME:
            trace.append(position(frame))
        reason = frame.unwind_stop_reason()
        try:
            frame = frame.older()
        except gdb.error:
            frame = None
    return trace, reason


def caller_has_registers():
    frame = gdb.newest_frame().older()
    while frame is not None and library(frame.pc()) in libraries:
        frame = frame.older()
    return frame is None or registers(frame) == preserved


def check(pc, pointer):
    here = stack(pointer)
    expected = calls.setdefault(here, [])
    # What is popped has returned. A switch pops where it goes to, and jumps there.
    if not re.match(r"(notrack )?jmp +\*%r[cd]x", instruction(pc)["asm"]):
        while expected and expected[-1][1] - 8 < pointer:
            expected.pop()
    wanted = expected[::-1]
    trace, reason = back_trace()
    older = trace[1:]

    def fits(frames):
        if here == "javascript":
            return frames[: len(wanted)] == wanted
        return frames == wanted and reason == end_of_trace

    # Where a switch is half done, it has been called by the place that it goes to.
    between = older != [] and library(older[0][0]) == "libbelay.so" and fits(older[1:])
    if fits(older) or between:
        seen["javascript" if here == "javascript" else "own"] += 1
    else:
        text = " < ".join(place(frame[0]) for frame in trace[:10])
        seen["wrong"].setdefault(place(pc), f"{text}, expected {' < '.join(place(frame[0]) for frame in wanted)}")
    if here == "javascript" and not caller_has_registers():
        seen["wrong"].setdefault(place(pc), "JavaScript's registers")


def step_through():
    global preserved
    pc, pointer = position(gdb.newest_frame())
    if stack(pointer) == "javascript":
        if (pc, pointer) in left:
            calls["javascript"], preserved = left.pop((pc, pointer))
        elif gdb.newest_frame().name() == "each":
            # gdb stops behind the prologue.
            calls["javascript"] = [position(gdb.newest_frame().older())]
            preserved = registers(gdb.newest_frame().older())
        else:
            calls["javascript"] = [returns_to(pointer)]
            preserved = registers(gdb.newest_frame())
    while library(pc) in libraries and seen["steps"] < most_steps:
        check(pc, pointer)
        is_call = instruction(pc)["asm"].startswith("call")
        before = pointer
        gdb.execute("stepi", to_string=True)
        seen["steps"] += 1
        pc, pointer = position(gdb.newest_frame())
        if is_call and pointer == before - 8:
            here = stack(pointer)
            call = returns_to(pointer)
            if here == "javascript" and library(pc) not in libraries:
                left[call] = list(calls[here]), preserved
                gdb.execute(f"tbreak *{call[0]}", to_string=True)
            calls[here].append(call)


for setting in ("pagination off", "confirm off", "breakpoint pending on", "backtrace limit 100"):
    gdb.execute(f"set {setting}")
# The engines' own.
for signal in ("SIGUSR1", "SIGUSR2", "SIGPWR", "SIGXCPU", "SIGCHLD", "SIGPIPE"):
    gdb.execute(f"handle {signal} nostop noprint pass", to_string=True)
gdb.execute("tbreak add_i32", to_string=True)
try:
    gdb.execute("run")
    for function in ("each", "belay_stack_call", "belay_stack_start", "belay_stack_go_on"):
        gdb.execute(f"break {function}", to_string=True)
    gdb.execute("continue", to_string=True)
    gdb.execute("set scheduler-locking step")
    while gdb.selected_inferior().pid != 0 and seen["steps"] < most_steps:
        step_through()
        gdb.execute("continue", to_string=True)
except gdb.error as error:
    # It has ended.
    seen["end"] = str(error)
print()
print(json.dumps(seen))
