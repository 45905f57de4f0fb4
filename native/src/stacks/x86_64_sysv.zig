//! Switching stacks on x86-64 System V (Linux, macOS, the BSDs).
//!
//! Callee-saved registers are pushed, and the control words of SSE and x87. Those are loaded only where they differ, which
//! takes as long as the rest. The way back is a jump: a return would be mispredicted after each switch.

const symbols = @import("../thunks/symbols.zig");
const prefix = symbols.prefix;

/// The control words, six registers, where to go on.
pub const frame_words = 8;

pub fn prepare(memory: []align(16) u8, entry: usize) usize {
    const top: [*]usize = @ptrCast(@alignCast(memory.ptr + memory.len));
    // Behind the frame the stack pointer is a multiple of 16.
    const frame = (top - 2 - frame_words)[0..frame_words];
    frame.* = .{ controlWords(), 0, 0, 0, 0, 0, 0, entry };
    return @intFromPtr(frame);
}

fn controlWords() usize {
    var sse: u32 = undefined;
    var x87: u16 = undefined;
    asm volatile (
        \\stmxcsr (%[sse])
        \\fnstcw (%[x87])
        :
        : [sse] "r" (&sse),
          [x87] "r" (&x87),
        : .{ .memory = true });
    // Flags of what has happened are nobody's.
    return (sse & 0xffc0) | @as(usize, x87) << 32;
}

pub fn hasShadowStack() bool {
    // It does nothing where there is none.
    return asm volatile ("rdsspq %[pointer]"
        : [pointer] "=r" (-> usize),
        : [zero] "0" (@as(usize, 0)),
    ) != 0;
}

comptime {
    asm (".text\n" ++ symbols.declare("belay_switch", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_switch:\n" ++
            \\.cfi_startproc
            \\pushq %rbp
            \\.cfi_adjust_cfa_offset 8
            \\.cfi_rel_offset %rbp, 0
            \\pushq %rbx
            \\.cfi_adjust_cfa_offset 8
            \\.cfi_rel_offset %rbx, 0
            \\pushq %r12
            \\.cfi_adjust_cfa_offset 8
            \\.cfi_rel_offset %r12, 0
            \\pushq %r13
            \\.cfi_adjust_cfa_offset 8
            \\.cfi_rel_offset %r13, 0
            \\pushq %r14
            \\.cfi_adjust_cfa_offset 8
            \\.cfi_rel_offset %r14, 0
            \\pushq %r15
            \\.cfi_adjust_cfa_offset 8
            \\.cfi_rel_offset %r15, 0
            \\subq $8, %rsp
            \\.cfi_adjust_cfa_offset 8
            \\movl $0, 4(%rsp)
            \\stmxcsr (%rsp)
            \\fnstcw 4(%rsp)
            \\andl $0xffc0, (%rsp)
            \\movq (%rsp), %rax
            \\movq %rsp, (%rdi)
            \\movq %rsi, %rsp
            \\cmpq %rax, (%rsp)
            \\je 1f
            \\ldmxcsr (%rsp)
            \\fldcw 4(%rsp)
            \\1:
            \\addq $8, %rsp
            \\.cfi_adjust_cfa_offset -8
            \\popq %r15
            \\.cfi_adjust_cfa_offset -8
            \\.cfi_restore %r15
            \\popq %r14
            \\.cfi_adjust_cfa_offset -8
            \\.cfi_restore %r14
            \\popq %r13
            \\.cfi_adjust_cfa_offset -8
            \\.cfi_restore %r13
            \\popq %r12
            \\.cfi_adjust_cfa_offset -8
            \\.cfi_restore %r12
            \\popq %rbx
            \\.cfi_adjust_cfa_offset -8
            \\.cfi_restore %rbx
            \\popq %rbp
            \\.cfi_adjust_cfa_offset -8
            \\.cfi_restore %rbp
            \\movq %rdx, %rax
            \\popq %rcx
            \\.cfi_adjust_cfa_offset -8
            \\jmpq *%rcx
            \\.cfi_endproc
            \\
        ++ symbols.declare("belay_stack_entry", &.{}) ++ ".p2align 4\n" ++ prefix ++ "belay_stack_entry:\n" ++
            // Here back traces end.
            \\.cfi_startproc
            \\.cfi_undefined %rip
            \\xorl %ebp, %ebp
            \\movq %rax, %rdi
            \\
        ++ "callq " ++ prefix ++ "belay_stack_body\n" ++
            \\ud2
            \\.cfi_endproc
            \\
    );
}
