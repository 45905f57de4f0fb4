//! Thunks for x86-64 System V (Linux, macOS, the BSDs).
//!
//! A thunk loads its own number into eax, which carries no argument of a function with a prototype, and jumps to the
//! common entry. That spills the argument registers into `Registers` order, calls the dispatcher in `dispatch.zig`, and
//! loads the result registers. In a copy of the thunks a tail stands where the entry is here: it adds the copy's first
//! number, and jumps to the entry.

const std = @import("std");
const abi = @import("../abi.zig");
const isolates = @import("../isolate.zig");
const switching = @import("../switching/x86_64_sysv.zig");
const symbols = @import("symbols.zig");
const x86_64 = @import("x86_64.zig");
const Isolate = isolates.Isolate;
const OwnStack = isolates.OwnStack;
const prefix = symbols.prefix;

pub const thunk_byte_length = x86_64.thunk_byte_length;
pub const group_byte_length = x86_64.group_byte_length;
/// Where the tail of a copy of the thunks goes.
pub const entry_of_copies = "belay_entry_of_copies";
/// From the registers that a thunk has spilled to what C put on the stack.
pub const stack_byte_offset = 160;

/// What JavaScript gets: which callback is wanted, by what the words have of it, or by what edx has. Where it has passed C's
/// arguments, it takes this for a result of any type first, and bits that no engine has for a NaN could be an object's.
const state_of_words = std.fmt.comptimePrint("movl {d}(%r10), %eax\naddl ${d}, %eax\n", .{ names.callback, calls_back }) ++ no_float;
const state_of_index = std.fmt.comptimePrint("leal {d}(%rdx), %eax\n", .{calls_back}) ++ no_float;
const no_float = "xorps %xmm0, %xmm0";
const calls_back = @intFromEnum(abi.StackState.calls_back);

/// On a stack of its own, in rcx, C gives way to JavaScript, and answers when it goes on. The way back is a jump here, too.
fn giveWay() []const u8 {
    return std.fmt.comptimePrint("cmpb $0, {d}(%rcx)\njne 6f\n", .{@offsetOf(OwnStack, "synchronous")}) ++
        switching.saveControl(136, 128) ++ "6:\n" ++ std.fmt.comptimePrint("movq {d}(%rcx), %r10\n", .{@offsetOf(OwnStack, "isolate")}) ++
        switching.leave("4f", state_of_words, .back, null) ++
        \\4:
        \\
    ++ switching.loadControl(136, 128) ++
        \\movq %rcx, %rdi
        \\
    ++ "callq " ++ prefix ++ "belay_stack_answer\n" ++
        \\movq 8(%rsp), %rdx
        \\movsd 64(%rsp), %xmm0
        \\movsd 72(%rsp), %xmm1
        \\leave
        \\.cfi_def_cfa %rsp, 8
        \\popq %rcx
        \\.cfi_def_cfa_offset 0
        \\jmpq *%rcx
        \\
    ;
}

/// On a stack of its own whose call doesn't suspend: what the dispatcher does there, for most signatures, of what is in
/// registers yet. Thunks of the library's own code only. Anything else goes on at the end, with the number in eax. The window
/// is smaller than any stack.
const direct = std.fmt.comptimePrint(
    \\movl %eax, %r11d
    \\shll $6, %r11d
    \\leaq {[prefix]s}belay_first_slots + {[slots_place]d}(%rip), %r10
    \\addq %r10, %r11
    \\movq {[isolate]d}(%r11), %r10
    \\testq %r10, %r10
    \\jz 9f
    \\movq {[running]d}(%r10), %rax
    \\subq %rsp, %rax
    \\cmpq $61440, %rax
    \\jae 9f
    \\addq %rsp, %rax
    \\testl ${[others]d}, {[layout]d}(%r11)
    \\jnz 8f
    \\testb ${[mask]d}, {[state]d}(%r11)
    \\jnz 9f
    \\movq %rdi, 0(%r10)
    \\movq %rsi, 8(%r10)
    \\movq %rdx, 16(%r10)
    \\movq %rcx, 24(%r10)
    \\movq %r8, 32(%r10)
    \\movq %r9, 40(%r10)
    \\testl $0xff0000, {[layout]d}(%r11)
    \\jz 1f
    \\movsd %xmm0, 64(%r10)
    \\movsd %xmm1, 72(%r10)
    \\movsd %xmm2, 80(%r10)
    \\movsd %xmm3, 88(%r10)
    \\movsd %xmm4, 96(%r10)
    \\movsd %xmm5, 104(%r10)
    \\movsd %xmm6, 112(%r10)
    \\movsd %xmm7, 120(%r10)
    \\1:
    \\movl $0, {[overflow]d}(%r10)
    \\movq {[fallback]d}(%r11), %rdx
    \\movq %rdx, {[result]d}(%r10)
    \\movq %r11, {[slot]d}(%rax)
    \\movq {[error_place]d}(%rax), %rdx
    \\movl (%rdx), %edx
    \\movl %edx, {[code]d}(%rax)
    \\movl {[index]d}(%r11), %edx
    \\movl %edx, {[callback]d}(%r10)
    \\movq %rax, %rcx
    \\cmpb $0, {[synchronous]d}(%rcx)
    \\je 7f
    \\{[leave]s}2:
    \\12:
    \\{[finish]s}cmpl $0, {[tail_call]d}(%r10)
    \\jne 3f
    \\movq %rax, %xmm0
    \\popq %rcx
    \\.cfi_def_cfa_offset 0
    \\jmpq *%rcx
    \\.cfi_def_cfa_offset 8
    \\3:
    \\subq $8, %rsp
    \\.cfi_def_cfa_offset 16
    \\movq %rcx, %rdi
    \\callq {[prefix]s}belay_stack_tail
    \\movq %rax, %xmm0
    \\addq $8, %rsp
    \\.cfi_def_cfa_offset 8
    \\popq %rcx
    \\.cfi_def_cfa_offset 0
    \\jmpq *%rcx
    \\.cfi_def_cfa_offset 8
    \\7:
    \\subq $8, %rsp
    \\.cfi_def_cfa_offset 16
    \\movb $0, 6(%rsp)
    \\{[save_control]s}{[leave_suspended]s}6:
    \\{[load_control]s}addq $8, %rsp
    \\.cfi_def_cfa_offset 8
    \\jmp 12b
    \\8:
    \\cmpb $0, {[synchronous]d}(%rax)
    \\je 9f
    \\movzbl {[layout]d} + 3(%r11), %r10d
    \\andl $0x7f, %r10d
    \\cmpl ${[fetched]d}, %r10d
    \\jne 9f
    \\testb ${[mask]d}, {[state]d}(%r11)
    \\jnz 9f
    \\movq %rax, %r10
    \\jmp 11f
    \\9:
    \\leaq {[prefix]s}belay_first_slots + {[slots_place]d}(%rip), %r10
    \\subq %r10, %r11
    \\shrq $6, %r11
    \\movl %r11d, %eax
    \\{[prefix]s}belay_entry_of_copies:
    \\xorl %r10d, %r10d
    \\11:
    \\
, names);

/// When JavaScript has run the function, with the stack in rcx and the isolate in r10: errno is C's again, and rax has the
/// result. Of a narrow one JavaScript has written four bytes.
const finish = std.fmt.comptimePrint(
    \\movq {[error_place]d}(%rcx), %rdx
    \\movl {[code]d}(%rcx), %eax
    \\movl %eax, (%rdx)
    \\movq {[slot]d}(%rcx), %rdx
    \\movl {[result]d}(%r10), %eax
    \\testl ${[narrow]d}, {[layout]d}(%rdx)
    \\jnz 98f
    \\movq {[result]d}(%r10), %rax
    \\98:
    \\
, .{
    .error_place = @offsetOf(OwnStack, "error_place"),
    .code = @offsetOf(OwnStack, "code"),
    .slot = @offsetOf(OwnStack, "slot"),
    .result = @offsetOf(abi.Words, "result"),
    .narrow = @as(i32, @bitCast(@as(u32, abi.result_narrow << 24))),
    .layout = @offsetOf(abi.Slot, "layout"),
});

const names = .{
    .finish = finish,
    .leave = switching.leave("2f", state_of_index, .back, 8),
    .leave_suspended = switching.leave("6f", state_of_index, .balanced, 16),
    .save_control = switching.saveControl(0, 6),
    .load_control = switching.loadControl(0, 6),
    .synchronous = @offsetOf(OwnStack, "synchronous"),
    .prefix = prefix,
    .slots_place = symbols.slots_place,
    .isolate = @offsetOf(abi.Slot, "isolate"),
    .layout = @offsetOf(abi.Slot, "layout"),
    // Words on the stack, and results that aren't scalars.
    .others = @as(i32, 0x7f00_00ff),
    .fetched = @intFromEnum(abi.Result.fetched),
    .state = @offsetOf(abi.Slot, "state"),
    .mask = abi.contract_mask,
    .fallback = @offsetOf(abi.Slot, "fallback"),
    .index = @offsetOf(abi.Slot, "index"),
    .running = @offsetOf(Isolate, "own_stacks") + @offsetOf(isolates.OwnStacks, "running"),
    .overflow = @offsetOf(abi.Words, "overflow"),
    .result = @offsetOf(abi.Words, "result"),
    .callback = @offsetOf(abi.Words, "callback"),
    .tail_call = @offsetOf(abi.Words, "tail_call"),
    .slot = @offsetOf(OwnStack, "slot"),
    .error_place = @offsetOf(OwnStack, "error_place"),
    .code = @offsetOf(OwnStack, "code"),
};

/// Where the stack is in r10 and the slot in r11, and the registers are spilled: what JavaScript gets is fetched, and C gives
/// way. What JavaScript answers is C's function's to give, if there is one.
const fetch = "testq %r10, %r10\njz 5f\n" ++
    \\movq %r11, %rdi
    \\movq %rsp, %rsi
    \\movq %r10, %rdx
    \\
++ "callq " ++ prefix ++ "belay_stack_fetch\n" ++ std.fmt.comptimePrint(
    \\testq %rax, %rax
    \\jz 4f
    \\movq %rax, %rcx
    \\movq {[of]d}(%rcx), %r10
    \\{[leave]s}1:
    \\movq {[target]d}(%rcx), %rdi
    \\cmpl $0, {[tail_call]d}(%r10)
    \\jne 3f
    \\cmpq $0, {[function]d}(%rdi)
    \\jne 3f
    \\{[finish]s}jmp 6f
    \\3:
    \\movq %rcx, %rdi
    \\callq {[prefix]s}belay_stack_fetched
    \\jmp 6f
    \\4:
    \\movq 0(%rsp), %rax
    \\6:
    \\movq %rax, %xmm0
    \\leave
    \\.cfi_def_cfa %rsp, 8
    \\popq %rcx
    \\.cfi_def_cfa_offset 0
    \\jmpq *%rcx
    \\.cfi_def_cfa %rbp, 16
    \\5:
    \\
, .{
    .leave = switching.leave("1f", state_of_words, .back, null),
    .prefix = prefix,
    .of = @offsetOf(OwnStack, "isolate"),
    .target = @offsetOf(OwnStack, "target"),
    .function = @offsetOf(abi.Fetching, "answer") + @offsetOf(abi.Fetch, "function"),
    .tail_call = names.tail_call,
    .finish = finish,
});

comptime {
    asm (".text\n" ++
            symbols.declare("belay_thunks", &.{ "belay_entry", "belay_entry_of_copies", "belay_tail", "belay_tail_end" }) ++
            x86_64.block ++
            prefix ++ "belay_entry:\n.cfi_startproc\n" ++ direct ++
            \\pushq %rbp
            \\.cfi_def_cfa_offset 16
            \\.cfi_offset %rbp, -16
            \\movq %rsp, %rbp
            \\.cfi_def_cfa_register %rbp
            \\subq $144, %rsp
            \\movq %rdi, 0(%rsp)
            \\movq %rsi, 8(%rsp)
            \\movq %rdx, 16(%rsp)
            \\movq %rcx, 24(%rsp)
            \\movq %r8, 32(%rsp)
            \\movq %r9, 40(%rsp)
            \\movsd %xmm0, 64(%rsp)
            \\movsd %xmm1, 72(%rsp)
            \\movsd %xmm2, 80(%rsp)
            \\movsd %xmm3, 88(%rsp)
            \\movsd %xmm4, 96(%rsp)
            \\movsd %xmm5, 104(%rsp)
            \\movsd %xmm6, 112(%rsp)
            \\movsd %xmm7, 120(%rsp)
            \\
        ++ fetch ++
            \\movq $0, 128(%rsp)
            \\movl %eax, %edi
            \\movq %rsp, %rsi
            \\leaq 16(%rbp), %rdx
            \\
        ++ "callq " ++ prefix ++ "belay_dispatch\n" ++
            \\movq 128(%rsp), %rcx
            \\testq %rcx, %rcx
            \\jnz 3f
            \\movq 8(%rsp), %rdx
            \\movsd 64(%rsp), %xmm0
            \\movsd 72(%rsp), %xmm1
            \\leave
            \\.cfi_def_cfa %rsp, 8
            \\retq
            \\.cfi_def_cfa %rbp, 16
            \\3:
            \\
        ++ giveWay() ++
            \\.cfi_endproc
            \\
        ++ ".p2align 4\n" ++ prefix ++ "belay_tail:\n" ++
            \\addl 2f(%rip), %eax
            \\jmpq *1f(%rip)
            \\.p2align 3
            \\1: .quad 0
            \\2: .quad 0
            \\
        ++ prefix ++ "belay_tail_end:\n");
}

// The generic caller: `fn (frame: *abi.Frame) void`. Pushes the stack words, loads the registers, calls, and stores
// the result registers. Variadic functions want to know in al how many float registers are in use; at most 8 are.
comptime {
    asm (".text\n" ++ symbols.declare("belay_make_call", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_make_call:\n" ++
            \\.cfi_startproc
            \\pushq %rbp
            \\.cfi_def_cfa_offset 16
            \\.cfi_offset %rbp, -16
            \\movq %rsp, %rbp
            \\.cfi_def_cfa_register %rbp
            \\pushq %rbx
            \\.cfi_offset %rbx, -24
            \\movq %rdi, %rbx
            \\movq 1160(%rbx), %rcx
            \\leaq 1(%rcx), %rax
            \\orq $1, %rax
            \\shlq $3, %rax
            \\subq %rax, %rsp
            \\testq %rcx, %rcx
            \\jz 2f
            \\1:
            \\movq 120(%rbx,%rcx,8), %rax
            \\movq %rax, -8(%rsp,%rcx,8)
            \\decq %rcx
            \\jnz 1b
            \\2:
            \\movq 0(%rbx), %rdi
            \\movq 8(%rbx), %rsi
            \\movq 16(%rbx), %rdx
            \\movq 24(%rbx), %rcx
            \\movq 32(%rbx), %r8
            \\movq 40(%rbx), %r9
            \\movsd 64(%rbx), %xmm0
            \\movsd 72(%rbx), %xmm1
            \\movsd 80(%rbx), %xmm2
            \\movsd 88(%rbx), %xmm3
            \\movsd 96(%rbx), %xmm4
            \\movsd 104(%rbx), %xmm5
            \\movsd 112(%rbx), %xmm6
            \\movsd 120(%rbx), %xmm7
            \\movl $8, %eax
            \\callq *1152(%rbx)
            \\movq %rax, 1176(%rbx)
            \\movq %rdx, 1184(%rbx)
            \\movsd %xmm0, 1192(%rbx)
            \\movsd %xmm1, 1200(%rbx)
            \\movq -8(%rbp), %rbx
            \\leave
            \\.cfi_def_cfa %rsp, 8
            \\retq
            \\.cfi_endproc
            \\
    );
}
