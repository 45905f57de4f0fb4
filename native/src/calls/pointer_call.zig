//! Calls of C functions at any address, for runtimes that only call functions by their names: the address is one argument
//! more, in front, which the others are moved over.

const builtin = @import("builtin");

/// Goes to the function at the address that the first argument is, with the arguments behind it. Only those in registers are
/// moved: nothing may be on the stack.
pub fn callPointer() callconv(.naked) noreturn {
    switch (builtin.cpu.arch) {
        // Windows counts integers and floats together.
        .x86_64 => if (builtin.os.tag == .windows) asm volatile (
            \\movq %rcx, %rax
            \\movq %rdx, %rcx
            \\movq %r8, %rdx
            \\movq %r9, %r8
            \\movaps %xmm1, %xmm0
            \\movaps %xmm2, %xmm1
            \\movaps %xmm3, %xmm2
            \\jmpq *%rax
        ) else asm volatile (
            \\movq %rdi, %rax
            \\movq %rsi, %rdi
            \\movq %rdx, %rsi
            \\movq %rcx, %rdx
            \\movq %r8, %rcx
            \\movq %r9, %r8
            \\jmpq *%rax
        ),
        // By x16, from which a guarded function may be entered.
        .aarch64 => asm volatile (
            \\mov x16, x0
            \\mov x0, x1
            \\mov x1, x2
            \\mov x2, x3
            \\mov x3, x4
            \\mov x4, x5
            \\mov x5, x6
            \\mov x6, x7
            \\br x16
        ),
        else => unreachable,
    }
}
