//! Switching stacks on x86-64 System V (Linux, macOS, the BSDs).
//!
//! Callee-saved registers are pushed. The control words of SSE and x87 are C's own where it calls back; they are loaded only
//! where they differ. The way back is a jump: a return would be mispredicted after each switch.

const std = @import("std");
const processor = @import("x86_64.zig");
const symbols = @import("../os/assembly.zig");
const abi = @import("../abi.zig");
const isolates = @import("../isolate.zig");
const Isolate = isolates.Isolate;
const OwnStack = isolates.OwnStack;
const Stack = @import("../os/stack.zig").Stack;
const prefix = symbols.prefix;
const darwin = @import("builtin").os.tag.isDarwin();

pub const controlWords = processor.controlWords;
pub const hasShadowStack = processor.hasShadowStack;

/// Six registers, where to go on.
pub const frame_words = 7;

pub fn prepare(memory: []align(16) u8, entry: usize) usize {
    const top: [*]usize = @ptrCast(@alignCast(memory.ptr + memory.len));
    // Behind the frame the stack pointer is a multiple of 16. Debuggers look at the byte before the one to go on at: it has
    // to be the entry's, too.
    const frame = (top - 2 - frame_words)[0..frame_words];
    frame.* = .{ 0, 0, 0, 0, 0, 0, entry + 1 };
    return @intFromPtr(frame);
}

/// The thunks switch by themselves, and `belay_stack_start` and `belay_stack_go_on` are here.
pub const has_jumps = true;

/// Assembly that leaves a stack, whose record is in rcx, for JavaScript's, and goes on at a label when somebody comes back. A
/// label ahead has to follow at once. Here and there, r10 has the isolate: where JavaScript goes on is read from a place that is
/// known early, since each callback would wait for what is looked up in between. `state` puts what JavaScript gets into eax.
/// `frame` is how many bytes above the stack pointer the frame's address is, null where another register has it.
pub fn leave(
    comptime label: []const u8,
    comptime state: []const u8,
    comptime way: Way,
    comptime frame: ?usize,
) []const u8 {
    const here = if (frame) |bytes| bytes + 8 else null;
    return std.fmt.comptimePrint(
        \\.cfi_remember_state
        \\leaq {s}(%rip), %rax
        \\pushq %rax
        \\{s}
    , .{ label, address(here) }) ++ save(here) ++ std.fmt.comptimePrint(
        \\movq %rsp, {d}(%rcx)
        \\movq {d}(%r10), %rsp
        \\{s}{s}
        \\
    , .{ pointer, javascript, saved, state }) ++ load(way) ++
        // Never run. Debuggers look here for the rules of the label.
        \\.cfi_restore_state
        \\int3
        \\
    ;
}

/// Where the record of a stack has its pointer, and the isolate that of JavaScript's.
const pointer = @offsetOf(OwnStack, "pointer");
const javascript = @offsetOf(Isolate, "own_stacks") + @offsetOf(isolates.OwnStacks, "javascript");

/// How the place is gone to at which a stack was left. Predictors know where a return goes only if the calls before were made on
/// that stack; `back` is a jump to where JavaScript has called. With `balanced`, predictors forget two calls, JavaScript's and C's
/// of the thunk, for one misprediction: JavaScript returns to its event loop by many returns, all of which would be mispredicted.
pub const Way = enum { jump, back, balanced, @"return" };

/// Where engines call C by a function in between, that would only return: as it would be mispredicted, too, this does what it
/// has left to do. `movq %rbp, %rsp; popq %rbp; retq` are looked for byte by byte, since code may end where a page does.
const return_for_caller =
    \\popq %rdx
    \\.cfi_def_cfa_offset 0
    \\cmpb $0x48, (%rdx)
    \\jne 99f
    \\cmpw $0xec89, 1(%rdx)
    \\jne 99f
    \\cmpb $0x5d, 3(%rdx)
    \\jne 99f
    \\cmpb $0xc3, 4(%rdx)
    \\jne 99f
    \\movq %rbp, %rsp
    \\.cfi_def_cfa_offset 16
    \\
++ restored ++
    \\.cfi_offset %rbp, -16
    \\popq %rbp
    \\.cfi_def_cfa_offset 8
    \\.cfi_restore %rbp
    \\popq %rdx
    \\.cfi_def_cfa_offset 0
    \\99:
    \\jmpq *%rdx
    \\
;

/// What a call preserves, but for the control words, in the order of `save`.
const preserved = [_][]const u8{ "rbp", "rbx", "r12", "r13", "r14", "r15" };

fn save(comptime frame: ?usize) []const u8 {
    comptime var text: []const u8 = "";
    inline for (preserved, 1..) |register, count| {
        text = text ++ "pushq %" ++ register ++ "\n" ++ address(if (frame) |bytes| bytes + 8 * count else null);
    }
    return text;
}

/// How to unwind a stack that somebody left, from where its pointer has just been loaded: as if that had called.
const saved = rules: {
    var text: []const u8 = ".cfi_def_cfa %rsp, 56\n.cfi_offset %rip, -8\n";
    for (preserved, 2..) |register, word| text = text ++ std.fmt.comptimePrint(".cfi_offset %{s}, -{d}\n", .{ register, 8 * word });
    break :rules text;
};

/// From where the frame's address is another one, what has been popped is in the registers: no unwinder finds it in the stack.
const restored = rules: {
    var text: []const u8 = "";
    for (preserved) |register| text = text ++ ".cfi_restore %" ++ register ++ "\n";
    break :rules text;
};

/// Signal handlers leave what is just below the stack pointer as it is: of what is popped, only the frame's address changes.
fn load(comptime way: Way) []const u8 {
    comptime var text: []const u8 = "";
    comptime var word = preserved.len;
    inline while (word > 0) : (word -= 1) text = text ++ "popq %" ++ preserved[word - 1] ++ "\n" ++ address(8 * word);
    return text ++ switch (way) {
        .jump =>
        \\popq %rdx
        \\.cfi_def_cfa_offset 0
        \\jmpq *%rdx
        \\
        ,
        .back => return_for_caller,
        // Debuggers take any plain return for a function's end, whatever the rules say.
        .balanced =>
        \\leaq 97f(%rip), %rdx
        \\pushq %rdx
        \\.cfi_def_cfa_offset 16
        \\repz retq
        \\.cfi_def_cfa_offset 8
        \\97:
        \\retq
        \\
        ,
        .@"return" => "retq\n",
    };
}

fn address(comptime frame: ?usize) []const u8 {
    return std.fmt.comptimePrint(".cfi_def_cfa_offset {d}\n", .{frame orelse return ""});
}

/// In a thunk of a call that suspends, before C gives way to JavaScript: what C has changed of the control words is put back for
/// JavaScript. The stack has space for them, eight bytes, and a byte whose lowest bit is 0 unless that was done.
pub fn saveControl(comptime words: usize, comptime flag: usize) []const u8 {
    return std.fmt.comptimePrint(
        \\stmxcsr {[words]d}(%rsp)
        \\fnstcw {[x87]d}(%rsp)
        \\movl {[words]d}(%rsp), %eax
        \\xorl {[control]d}(%rcx), %eax
        \\testl $0xffc0, %eax
        \\jnz 94f
        \\movzwl {[x87]d}(%rsp), %eax
        \\cmpw {[control]d} + 4(%rcx), %ax
        \\je 95f
        \\94:
        \\ldmxcsr {[control]d}(%rcx)
        \\fldcw {[control]d} + 4(%rcx)
        \\orb $1, {[flag]d}(%rsp)
        \\95:
        \\
    , .{ .words = words, .x87 = words + 4, .control = @offsetOf(OwnStack, "control"), .flag = flag });
}

/// When C goes on: they are its own again.
pub fn loadControl(comptime words: usize, comptime flag: usize) []const u8 {
    return std.fmt.comptimePrint(
        \\testb $1, {[flag]d}(%rsp)
        \\jz 96f
        \\ldmxcsr {[words]d}(%rsp)
        \\fldcw {[words]d} + 4(%rsp)
        \\96:
        \\
    , .{ .words = words, .flag = flag });
}

/// @param place Whether the function before it goes on in it: macOS's linker has to keep the two together then.
fn function(comptime name: []const u8, comptime place: enum { anywhere, behind }) []const u8 {
    const kind = if (!darwin) ".type " ++ name ++ ", @function\n" else if (place == .behind) ".alt_entry _" ++ name ++ "\n" else "";
    return ".globl " ++ prefix ++ name ++ "\n" ++ kind ++ ".p2align 4\n" ++ prefix ++ name ++ ":\n" ++
        \\.cfi_startproc
        \\
    ;
}

/// With no size, all that has no name and follows would have its name in a debugger.
fn end(comptime name: []const u8) []const u8 {
    return ".cfi_endproc\n" ++ if (darwin) "" else ".size " ++ name ++ ", . - " ++ name ++ "\n";
}

/// Assembly that leaves JavaScript's stack for the one of the record in rcx. Whoever comes back goes to where JavaScript has made
/// the call.
const go = ".cfi_remember_state\n" ++ save(8) ++ std.fmt.comptimePrint(
    \\movq %rsp, {d}(%r10)
    \\movq {d}(%rcx), %rsp
    \\{s}
, .{ javascript, pointer, saved }) ++ load(.jump) ++ ".cfi_restore_state\n";

comptime {
    // JavaScript calls them. The first one's stack is found, or the reason why there is none, by a function. The second one's is
    // the one that has run last, most often: where it is isn't looked up then, since what follows would wait for that.
    asm (".text\n" ++ function("belay_stack_start", .anywhere) ++
            \\pushq %rdi
            \\.cfi_def_cfa_offset 16
            \\
        ++ "callq " ++ prefix ++ "belay_stack_begin\n" ++
            \\popq %r10
            \\.cfi_def_cfa_offset 8
            \\cmpq $16, %rax
            \\jae 2f
            \\retq
            \\2:
            \\movq %rax, %rcx
            \\
        ++ go ++ end("belay_stack_start") ++ resume_call ++ function("belay_stack_go_on", .behind) ++ std.fmt.comptimePrint(
            \\movq %rdi, %r10
            \\movq {[blocks]d}(%rdi), %rax
            \\movl %esi, %esi
            \\imulq ${[size]d}, %rsi, %rsi
            \\movq {[running]d}(%rdi), %rcx
            \\cmpq {[stack]d}(%rax,%rsi), %rcx
            \\jne 3f
            \\cmpb $0, {[synchronous]d}(%rcx)
            \\je 4f
            \\2:
            \\{[go]s}3:
            \\movq {[stack]d}(%rax,%rsi), %rcx
            \\cmpb $0, {[synchronous]d}(%rcx)
            \\je 4f
            \\cmpb $0, {[direct]d}(%rcx)
            \\je 6f
            \\5:
            \\movq %rcx, {[running]d}(%r10)
            \\jmp 2b
            \\4:
            \\stmxcsr {[control]d}(%rcx)
            \\fnstcw {[x87]d}(%rcx)
            \\cmpq {[floor]d}(%r10), %rsp
            \\jb 6f
            \\cmpq {[top]d}(%r10), %rsp
            \\jae 6f
            \\cmpl $0, {[live]d}(%r10)
            \\jne 5b
            \\6:
            \\movq $0, {[running]d}(%r10)
            \\movq %rcx, {[indirect]d}(%r10)
            \\jmp 2b
            \\
        , .{
            .blocks = @offsetOf(Isolate, "calls") + @offsetOf(isolates.Calls, "blocks"),
            .size = @sizeOf(abi.Call),
            .stack = @offsetOf(abi.Call, "stack"),
            .running = stacks + @offsetOf(isolates.OwnStacks, "running"),
            .indirect = stacks + @offsetOf(isolates.OwnStacks, "indirect"),
            .direct = @offsetOf(OwnStack, "direct"),
            .floor = @offsetOf(Isolate, "stack_floor"),
            .top = @offsetOf(Isolate, "stack") + @offsetOf(Stack, "top"),
            .live = @offsetOf(abi.Words, "live"),
            .synchronous = @offsetOf(OwnStack, "synchronous"),
            .control = @offsetOf(OwnStack, "control"),
            .x87 = @offsetOf(OwnStack, "control") + 4,
            .go = go,
        }) ++ end("belay_stack_go_on"));
}

/// How far below its record a stack's pointer is when no call has it; and when C is called with the arguments passed.
const resting = 8 * (frame_words + 2);
const passing = resting + 8;

pub fn restingPointer(stack: *const OwnStack) usize {
    return @intFromPtr(stack) - resting;
}

/// JavaScript calls it as if it were C's function, with the call's block in front of the arguments: those in registers are moved
/// there. So nothing is read from the block, and C's result is what JavaScript gets. Where C has called back meanwhile, JavaScript
/// has got something else before, so the block has the result then; what it has of the stack says whether C has returned.
///
/// JavaScript can have done nothing else where it hasn't been gone back to.
const call = function("belay_stack_call", .anywhere) ++ std.fmt.comptimePrint(
    \\movq {[isolate]d}(%rdi), %r10
    \\movq {[ready]d}(%r10), %rax
    \\testq %rax, %rax
    \\jz 4f
    \\cmpq {[floor]d}(%r10), %rsp
    \\jb 4f
    \\cmpl $0, {[live]d}(%r10)
    \\je 4f
    \\decl {[until_rest]d}(%r10)
    \\js 4f
    \\movq $0, {[ready]d}(%r10)
    \\movq %rdi, {[call]d}(%rax)
    \\movq %rax, {[stack]d}(%rdi)
    \\movq %rax, {[running]d}(%r10)
    \\1:
    \\.cfi_remember_state
    \\{[save]s}movq %rsp, {[javascript]d}(%r10)
    \\leaq -{[passing]d}(%rax), %rsp
    \\.cfi_def_cfa_offset 8
    \\.cfi_undefined %rip
    \\{[restored]s}movq {[function]d}(%rdi), %rax
    \\movq %rsi, %rdi
    \\movq %rdx, %rsi
    \\movq %rcx, %rdx
    \\movq %r8, %rcx
    \\movq %r9, %r8
    \\callq *%rax
    \\leaq {[passing]d}(%rsp), %rcx
    \\movq {[of]d}(%rcx), %r10
    \\movq {[call]d}(%rcx), %rdi
    \\cmpq $0, {[slot]d}(%rcx)
    \\jne 3f
    \\movq %rcx, {[ready]d}(%r10)
    \\movq $0, {[stack]d}(%rdi)
    \\movq {[javascript]d}(%r10), %rsp
    \\.cfi_def_cfa_offset {[saved_length]d} + 8
    \\.cfi_restore %rip
    \\addq ${[saved_length]d}, %rsp
    \\.cfi_def_cfa_offset 8
    \\retq
    \\
, .{
    .isolate = @offsetOf(abi.Call, "isolate"),
    .ready = stacks + @offsetOf(isolates.OwnStacks, "ready"),
    .floor = @offsetOf(Isolate, "stack_floor"),
    .live = @offsetOf(abi.Words, "live"),
    .until_rest = stacks + @offsetOf(isolates.OwnStacks, "until_rest"),
    .call = @offsetOf(OwnStack, "call"),
    .stack = @offsetOf(abi.Call, "stack"),
    .running = stacks + @offsetOf(isolates.OwnStacks, "running"),
    .save = save(8),
    .javascript = javascript,
    .passing = passing,
    .restored = restored,
    .function = @offsetOf(abi.Frame, "function"),
    .of = @offsetOf(OwnStack, "isolate"),
    .slot = @offsetOf(OwnStack, "slot"),
    .saved_length = 8 * preserved.len,
}) ++ std.fmt.comptimePrint(
    \\.cfi_def_cfa_offset 8
    \\.cfi_undefined %rip
    \\3:
    \\movq %rax, {[integer]d}(%rdi)
    \\movsd %xmm0, {[float]d}(%rdi)
    \\movq %r10, %rbx
    \\movq %rdi, %r12
    \\movq %rcx, %rdi
    \\callq {[prefix]s}belay_stack_give_passed
    \\movzbl %al, %eax
    \\testl %eax, %eax
    \\jz 5f
    \\movq {[integer]d}(%r12), %rax
    \\movsd {[float]d}(%r12), %xmm0
    \\5:
    \\movq {[javascript]d}(%rbx), %rsp
    \\{[saved]s}{[load]s}.cfi_restore_state
    \\4:
    \\subq $120, %rsp
    \\.cfi_def_cfa_offset 128
    \\movq %rdi, 64(%rsp)
    \\movq %rsi, 72(%rsp)
    \\movq %rdx, 80(%rsp)
    \\movq %rcx, 88(%rsp)
    \\movq %r8, 96(%rsp)
    \\movq %r9, 104(%rsp)
    \\movsd %xmm0, 0(%rsp)
    \\movsd %xmm1, 8(%rsp)
    \\movsd %xmm2, 16(%rsp)
    \\movsd %xmm3, 24(%rsp)
    \\movsd %xmm4, 32(%rsp)
    \\movsd %xmm5, 40(%rsp)
    \\movsd %xmm6, 48(%rsp)
    \\movsd %xmm7, 56(%rsp)
    \\callq {[prefix]s}belay_stack_begin_passed
    \\movsd 0(%rsp), %xmm0
    \\movsd 8(%rsp), %xmm1
    \\movsd 16(%rsp), %xmm2
    \\movsd 24(%rsp), %xmm3
    \\movsd 32(%rsp), %xmm4
    \\movsd 40(%rsp), %xmm5
    \\movsd 48(%rsp), %xmm6
    \\movsd 56(%rsp), %xmm7
    \\movq 64(%rsp), %rdi
    \\movq 72(%rsp), %rsi
    \\movq 80(%rsp), %rdx
    \\movq 88(%rsp), %rcx
    \\movq 96(%rsp), %r8
    \\movq 104(%rsp), %r9
    \\addq $120, %rsp
    \\.cfi_def_cfa_offset 8
    \\movq {[isolate]d}(%rdi), %r10
    \\cmpq $16, %rax
    \\jae 1b
    \\movq %rax, {[stack]d}(%rdi)
    \\xorl %eax, %eax
    \\xorps %xmm0, %xmm0
    \\retq
    \\
, .{
    .prefix = prefix,
    .integer = @offsetOf(abi.Frame, "integer_results"),
    .float = @offsetOf(abi.Frame, "float_results"),
    .javascript = javascript,
    .saved = saved,
    .load = load(.@"return"),
    .isolate = @offsetOf(abi.Call, "isolate"),
    .stack = @offsetOf(abi.Call, "stack"),
}) ++ end("belay_stack_call");

/// It goes on in the next function, where that isn't the stack that has run last. Nothing here waits for what is popped from
/// JavaScript's stack, which is found by what this stores.
const resume_call = function("belay_stack_resume", .anywhere) ++ std.fmt.comptimePrint(
    \\movl %edi, %eax
    \\shrl $16, %eax
    \\leaq {[prefix]s}belay_tag_holders(%rip), %rdx
    \\movq (%rdx,%rax,8), %r10
    \\testq %r10, %r10
    \\jz 7f
    \\movzwl %di, %esi
    \\imulq ${[size]d}, %rsi, %rsi
    \\movq {[blocks]d}(%r10), %rax
    \\movq {[running]d}(%r10), %rcx
    \\cmpq {[stack]d}(%rax,%rsi), %rcx
    \\jne 3f
    \\
, .{
    .prefix = prefix,
    .size = @sizeOf(abi.Call),
    .blocks = @offsetOf(Isolate, "calls") + @offsetOf(isolates.Calls, "blocks"),
    .stack = @offsetOf(abi.Call, "stack"),
    .running = stacks + @offsetOf(isolates.OwnStacks, "running"),
}) ++ go ++
    // The isolate has left: whatever its world does yet, nobody goes on there.
    \\7:
    \\xorl %eax, %eax
    \\retq
    \\
++ end("belay_stack_resume");

const stacks = @offsetOf(Isolate, "own_stacks");

comptime {
    asm (".text\n" ++ call ++ symbols.declare("belay_stack_entry", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_stack_entry:\n" ++
            // Here back traces end.
            \\.cfi_startproc
            \\.cfi_undefined %rip
            \\int3
            \\xorl %ebp, %ebp
            \\1:
            \\movq %rcx, %rbx
            \\movq %r10, %r12
            \\movq %rcx, %rdi
            \\
        ++ "callq " ++ prefix ++ "belay_stack_body\n" ++
            // Whoever comes next has another call.
            \\movq %rbx, %rcx
            \\movq %r12, %r10
            \\
        ++ leave("1b", "xorl %eax, %eax", .@"return", 8) ++
            \\.cfi_endproc
            \\
    );
}
