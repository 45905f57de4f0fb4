//! Thunks for x86-64 Windows: four positional registers, no red zone, 32 bytes of home space above the return address.
//!
//! A thunk loads its own number into eax and jumps to the common entry, which spills the argument registers into
//! `Registers` order, calls the dispatcher in `dispatch.zig`, and loads the result registers. In a copy of the thunks a
//! tail stands where the entry is here: it adds the copy's first number, and jumps to the entry.

const symbols = @import("symbols.zig");
const x86_64 = @import("x86_64.zig");

/// Where the tail of a copy of the thunks goes.
pub const entry_of_copies = "belay_entry";
pub const thunk_byte_length = x86_64.thunk_byte_length;
pub const group_byte_length = x86_64.group_byte_length;
/// From the registers that a thunk has spilled to what C put on the stack.
pub const stack_byte_offset = 192;

comptime {
    asm (".text\n" ++
            symbols.declare("belay_thunks", &.{ "belay_entry", "belay_tail", "belay_tail_end" }) ++
            x86_64.block ++
            \\.def belay_entry; .scl 3; .type 32; .endef
            \\belay_entry:
            \\.seh_proc belay_entry
            \\pushq %rbp
            \\.seh_pushreg %rbp
            \\movq %rsp, %rbp
            \\.seh_setframe %rbp, 0
            \\subq $176, %rsp
            \\.seh_stackalloc 176
            \\.seh_endprologue
            \\movq %rcx, 32(%rsp)
            \\movq %rdx, 40(%rsp)
            \\movq %r8, 48(%rsp)
            \\movq %r9, 56(%rsp)
            \\movsd %xmm0, 96(%rsp)
            \\movsd %xmm1, 104(%rsp)
            \\movsd %xmm2, 112(%rsp)
            \\movsd %xmm3, 120(%rsp)
            \\movq $0, 160(%rsp)
            \\movl %eax, %ecx
            \\leaq 32(%rsp), %rdx
            \\leaq 48(%rbp), %r8
            \\callq belay_dispatch
            \\movq 160(%rsp), %rcx
            \\testq %rcx, %rcx
            \\jz 3f
            \\callq belay_stack_give_way
            \\3:
            \\movsd 96(%rsp), %xmm0
            \\leaq 0(%rbp), %rsp
            \\popq %rbp
            \\retq
            \\.seh_endproc
            \\.p2align 4
            \\belay_tail:
            \\addl 2f(%rip), %eax
            \\jmpq *1f(%rip)
            \\.p2align 3
            \\1: .quad 0
            \\2: .quad 0
            \\belay_tail_end:
            \\
    );
}

// The generic caller: `fn (frame: *abi.Frame) void`. Copies the stack words above the home space, loads the registers,
// calls, and stores the result registers.
comptime {
    asm (".text\n" ++ symbols.declare("belay_make_call", &.{}) ++ ".p2align 4\n" ++
            \\.def belay_make_call; .scl 3; .type 32; .endef
            \\belay_make_call:
            \\.seh_proc belay_make_call
            \\pushq %rbp
            \\.seh_pushreg %rbp
            \\pushq %rbx
            \\.seh_pushreg %rbx
            \\movq %rsp, %rbp
            \\.seh_setframe %rbp, 0
            \\.seh_endprologue
            \\movq %rcx, %rbx
            \\movq 1160(%rbx), %rcx
            \\leaq 1(%rcx), %rax
            \\andq $-2, %rax
            \\leaq 40(,%rax,8), %rax
            \\subq %rax, %rsp
            \\testq %rcx, %rcx
            \\jz 2f
            \\1:
            \\movq 120(%rbx,%rcx,8), %rax
            \\movq %rax, 24(%rsp,%rcx,8)
            \\decq %rcx
            \\jnz 1b
            \\2:
            \\movq 0(%rbx), %rcx
            \\movq 8(%rbx), %rdx
            \\movq 16(%rbx), %r8
            \\movq 24(%rbx), %r9
            \\movsd 64(%rbx), %xmm0
            \\movsd 72(%rbx), %xmm1
            \\movsd 80(%rbx), %xmm2
            \\movsd 88(%rbx), %xmm3
            \\callq *1152(%rbx)
            \\movq %rax, 1176(%rbx)
            \\movsd %xmm0, 1192(%rbx)
            \\leaq 0(%rbp), %rsp
            \\popq %rbx
            \\popq %rbp
            \\retq
            \\.seh_endproc
            \\
    );
}
