//! Switching stacks on x86-64 Windows: more registers are preserved there, and the thread's block says where its stack is,
//! which stack probes and exceptions look at.

const processor = @import("x86_64.zig");
const symbols = @import("../os/assembly.zig");

pub const hasShadowStack = processor.hasShadowStack;

/// The control words and padding; xmm6 to xmm15; the stack's bounds (base, limit, where it was allocated); eight registers; where to go on.
pub const frame_words = 2 + 20 + 3 + 8 + 1;

pub fn prepare(memory: []align(16) u8, entry: usize) usize {
    const top: [*]usize = @ptrCast(@alignCast(memory.ptr + memory.len));
    // At the entry the stack is as behind a call, with home space, and a return address of zero: there exceptions find
    // nobody.
    const frame = (top - 7 - frame_words)[0..frame_words];
    frame.* = @splat(0);
    frame[0] = processor.controlWords();
    frame[22] = @intFromPtr(memory.ptr);
    frame[23] = @intFromPtr(memory.ptr);
    frame[24] = @intFromPtr(top);
    frame[frame_words - 1] = entry;
    return @intFromPtr(frame);
}

comptime {
    asm (".text\n" ++ symbols.declare("belay_switch", &.{}) ++ ".p2align 4\n" ++
            \\belay_switch:
            \\pushq %rbp
            \\pushq %rbx
            \\pushq %rdi
            \\pushq %rsi
            \\pushq %r12
            \\pushq %r13
            \\pushq %r14
            \\pushq %r15
            \\pushq %gs:8
            \\pushq %gs:16
            \\pushq %gs:0x1478
            \\subq $176, %rsp
            \\movups %xmm6, 16(%rsp)
            \\movups %xmm7, 32(%rsp)
            \\movups %xmm8, 48(%rsp)
            \\movups %xmm9, 64(%rsp)
            \\movups %xmm10, 80(%rsp)
            \\movups %xmm11, 96(%rsp)
            \\movups %xmm12, 112(%rsp)
            \\movups %xmm13, 128(%rsp)
            \\movups %xmm14, 144(%rsp)
            \\movups %xmm15, 160(%rsp)
            \\movl $0, 4(%rsp)
            \\stmxcsr (%rsp)
            \\fnstcw 4(%rsp)
            \\andl $0xffc0, (%rsp)
            \\movq (%rsp), %rax
            \\movq %rsp, (%rcx)
            \\movq %rdx, %rsp
            \\cmpq %rax, (%rsp)
            \\je 1f
            \\ldmxcsr (%rsp)
            \\fldcw 4(%rsp)
            \\1:
            \\movups 16(%rsp), %xmm6
            \\movups 32(%rsp), %xmm7
            \\movups 48(%rsp), %xmm8
            \\movups 64(%rsp), %xmm9
            \\movups 80(%rsp), %xmm10
            \\movups 96(%rsp), %xmm11
            \\movups 112(%rsp), %xmm12
            \\movups 128(%rsp), %xmm13
            \\movups 144(%rsp), %xmm14
            \\movups 160(%rsp), %xmm15
            \\addq $176, %rsp
            \\popq %gs:0x1478
            \\popq %gs:16
            \\popq %gs:8
            \\popq %r15
            \\popq %r14
            \\popq %r13
            \\popq %r12
            \\popq %rsi
            \\popq %rdi
            \\popq %rbx
            \\popq %rbp
            \\movq %r8, %rax
            \\popq %rcx
            \\jmpq *%rcx
            \\
        ++ symbols.declare("belay_stack_entry", &.{}) ++ ".p2align 4\n" ++
            \\belay_stack_entry:
            \\.seh_proc belay_stack_entry
            \\subq $40, %rsp
            \\.seh_stackalloc 40
            \\.seh_endprologue
            \\movq %rax, %rcx
            \\callq belay_stack_body
            \\ud2
            \\.seh_endproc
            \\
    );
}
