//! Thunks for x86-64 System V (Linux, macOS, the BSDs).
//!
//! A thunk loads its own number into eax, which carries no argument of a function with a prototype, and jumps to the
//! common entry. That spills the argument registers into `Frame` order and calls the dispatcher in `thunk.zig`.

const builtin = @import("builtin");
const thunk = @import("thunk.zig");
const prefix = if (builtin.os.tag.isDarwin()) "_" else "";
const hidden = if (builtin.os.tag.isDarwin()) ".private_extern " else ".hidden ";

pub const thunk_byte_length = 16;

comptime {
    asm (".text\n" ++
            ".globl " ++ prefix ++ "belay_thunks\n" ++
            hidden ++ prefix ++ "belay_thunks\n" ++
            ".p2align 6\n" ++
            prefix ++ "belay_thunks:\n" ++
            ".set belay_index, 0\n" ++
            ".rept " ++ thunk.capacity_text ++ "\n" ++
            ".p2align 4\n" ++
            "movl $belay_index, %eax\n" ++
            "jmp belay_entry\n" ++
            ".set belay_index, belay_index + 1\n" ++
            ".endr\n" ++
            ".p2align 4\n" ++
            \\belay_entry:
            \\.cfi_startproc
            \\pushq %rbp
            \\.cfi_def_cfa_offset 16
            \\.cfi_offset %rbp, -16
            \\movq %rsp, %rbp
            \\.cfi_def_cfa_register %rbp
            \\subq $128, %rsp
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
            \\movl %eax, %edi
            \\movq %rsp, %rsi
            \\leaq 16(%rbp), %rdx
            \\
        ++ "callq " ++ prefix ++ "belay_dispatch\n" ++
            \\movq %rax, %xmm0
            \\leave
            \\.cfi_def_cfa %rsp, 8
            \\retq
            \\.cfi_endproc
            \\
    );
}
