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

/// Assembly that leaves this stack for another one of the record in rcx, and goes on at a label when somebody comes back. A
/// label ahead has to follow at once. `value` puts what the other one gets into rax. `frame` is how many bytes above the stack
/// pointer the frame's address is, null where another register has it.
pub fn leave(
    comptime from: std.meta.FieldEnum(OwnStack),
    comptime to: std.meta.FieldEnum(OwnStack),
    comptime label: []const u8,
    comptime value: []const u8,
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
        \\movq {d}(%rcx), %rsp
        \\{s}{s}
        \\
    , .{ @offsetOf(OwnStack, @tagName(from)), @offsetOf(OwnStack, @tagName(to)), saved, value }) ++ load ++
        // Never run. Debuggers look here for the rules of the label.
        \\.cfi_restore_state
        \\int3
        \\
    ;
}

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

/// Signal handlers leave what is just below the stack pointer as it is: of what is popped, only the frame's address changes.
const load = pops: {
    var text: []const u8 = "";
    var word = preserved.len;
    while (word > 0) : (word -= 1) text = text ++ "popq %" ++ preserved[word - 1] ++ "\n" ++ address(8 * word);
    break :pops text ++
        \\popq %rcx
        \\.cfi_def_cfa_offset 0
        \\jmpq *%rcx
        \\
    ;
};

fn address(comptime frame: ?usize) []const u8 {
    return std.fmt.comptimePrint(".cfi_def_cfa_offset {d}\n", .{frame orelse return ""});
}

/// In a thunk of a call that suspends, before C gives way to JavaScript, and when it goes on: what C has changed of the
/// control words is put back for JavaScript, and is C's again. Behind its registers and its own word, which is odd in between, the thunk has space.
pub const save_control = std.fmt.comptimePrint(
    \\cmpb $0, {2d}(%rcx)
    \\jne 6f
    \\stmxcsr 136(%rsp)
    \\fnstcw 140(%rsp)
    \\movl 136(%rsp), %eax
    \\xorl {0d}(%rcx), %eax
    \\testl $0xffc0, %eax
    \\jnz 5f
    \\movzwl 140(%rsp), %eax
    \\cmpw {1d}(%rcx), %ax
    \\je 6f
    \\5:
    \\ldmxcsr {0d}(%rcx)
    \\fldcw {1d}(%rcx)
    \\orl $1, 128(%rsp)
    \\6:
    \\
, .{ @offsetOf(OwnStack, "control"), @offsetOf(OwnStack, "control") + 4, @offsetOf(OwnStack, "synchronous") });
pub const load_control =
    \\testl $1, 128(%rsp)
    \\jz 7f
    \\ldmxcsr 136(%rsp)
    \\fldcw 140(%rsp)
    \\7:
    \\
;

/// Assembly that goes to the stack of the record in rcx, until C calls back or has returned, and ends the function. Where C has
/// returned, so does this: predictors know where to. Where C calls back, they know that of C's call, which waits.
fn go(comptime label: []const u8) []const u8 {
    return "movq %rcx, (%rsp)\n" ++ leave(.javascript, .pointer, label ++ "f", "movq %rcx, %rax", 16) ++ label ++ ":\n" ++
        \\testl %eax, %eax
        \\jnz 8f
        \\movq (%rsp), %rdi
        \\xorl %esi, %esi
        \\
    ++ "callq " ++ prefix ++ "belay_stack_left\n" ++
        \\addq $8, %rsp
        \\.cfi_def_cfa_offset 8
        \\retq
        \\.cfi_def_cfa_offset 16
        \\8:
        \\addq $8, %rsp
        \\.cfi_def_cfa_offset 8
        \\popq %rcx
        \\.cfi_def_cfa_offset 0
        \\jmpq *%rcx
        \\
    ;
}

fn function(comptime name: []const u8) []const u8 {
    const kind = if (darwin) "" else ".type " ++ name ++ ", @function\n";
    return kind ++ ".globl " ++ prefix ++ name ++ "\n.p2align 4\n" ++ prefix ++ name ++ ":\n" ++
        \\.cfi_startproc
        \\subq $8, %rsp
        \\.cfi_def_cfa_offset 16
        \\
    ;
}

/// With no size, all that has no name and follows would have its name in a debugger.
fn end(comptime name: []const u8) []const u8 {
    return ".cfi_endproc\n" ++ if (darwin) "" else ".size " ++ name ++ ", . - " ++ name ++ "\n";
}

comptime {
    // JavaScript calls them. The first one's stack is found, or the reason why there is none, by a function.
    asm (".text\n" ++ function("belay_stack_start") ++ "callq " ++ prefix ++ "belay_stack_begin\n" ++
            \\cmpq $16, %rax
            \\jae 2f
            \\
            \\addq $8, %rsp
            \\.cfi_def_cfa_offset 8
            \\retq
            \\.cfi_def_cfa_offset 16
            \\2:
            \\movq %rax, %rcx
            \\
        ++ go("1") ++ end("belay_stack_start") ++ function("belay_stack_go_on") ++ std.fmt.comptimePrint(
            \\movq {[blocks]d}(%rdi), %rax
            \\movl %esi, %esi
            \\imulq ${[size]d}, %rsi, %rsi
            \\movq {[stack]d}(%rax,%rsi), %rcx
            \\movq %rcx, {[running]d}(%rdi)
            \\cmpb $0, {[synchronous]d}(%rcx)
            \\jne 3f
            \\stmxcsr {[control]d}(%rcx)
            \\fnstcw {[x87]d}(%rcx)
            \\3:
            \\
        , .{
            .synchronous = @offsetOf(OwnStack, "synchronous"),
            .control = @offsetOf(OwnStack, "control"),
            .x87 = @offsetOf(OwnStack, "control") + 4,
            .blocks = @offsetOf(Isolate, "calls") + @offsetOf(isolates.Calls, "blocks"),
            .size = @sizeOf(abi.Call),
            .stack = @offsetOf(abi.Call, "stack"),
            .running = @offsetOf(Isolate, "own_stacks") + @offsetOf(isolates.OwnStacks, "running"),
        }) ++ go("1") ++ end("belay_stack_go_on"));
}

comptime {
    asm (".text\n" ++ symbols.declare("belay_switch", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_switch:\n" ++
            \\.cfi_startproc
            \\
        ++ save(8) ++
            \\movq %rsp, (%rdi)
            \\movq %rsi, %rsp
            \\
        ++ saved ++
            \\movq %rdx, %rax
            \\
        ++ load ++ ".cfi_endproc\n" ++ symbols.declare("belay_stack_entry", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_stack_entry:\n" ++
            // Here back traces end.
            \\.cfi_startproc
            \\.cfi_undefined %rip
            \\int3
            \\xorl %ebp, %ebp
            \\1:
            \\movq %rax, %rbx
            \\movq %rax, %rdi
            \\
        ++ "callq " ++ prefix ++ "belay_stack_body\n" ++
            // Whoever comes next has another call.
            \\movq %rbx, %rcx
            \\
        ++ leave(.pointer, .javascript, "1b", "xorl %eax, %eax", 8) ++
            \\.cfi_endproc
            \\
    );
}
