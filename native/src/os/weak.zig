//! Functions that only some C libraries have.

/// A C function that the program may lack. As a function Zig 0.16 takes it to be there, and checks nothing; as data
/// it looks.
pub fn function(comptime Function: type, comptime name: []const u8) ?*const Function {
    return @ptrCast(@alignCast(@extern(?*const u8, .{ .name = name, .linkage = .weak }) orelse return null));
}
