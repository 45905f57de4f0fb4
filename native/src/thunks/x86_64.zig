//! The thunks of x86-64, whose entries differ by calling convention.
//!
//! A thunk loads its number within its group into al, and jumps to the group's end. There eax becomes its number among
//! all, and the jump to the entry is. So nearly all bytes of a group are those of any other: the file is half as long,
//! and packs well.

const symbols = @import("symbols.zig");

/// The bytes of a thunk, and of a group.
pub const thunk_byte_length = 4;
pub const group_byte_length = 144;

/// eax carries no argument of a function with a prototype.
pub const block = symbols.block(
    \\movb $belay_in_group, %al
    \\jmp 1f
    \\
,
    \\movzbl %al, %eax
    \\addl $belay_group, %eax
    \\
++ "jmp " ++ symbols.prefix ++ "belay_entry\n" ++
    // Short operands and short jumps are made up for.
    ".p2align 4\n");
