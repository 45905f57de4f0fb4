//! How assembly declares symbols of this library alone.

const builtin = @import("builtin");
const darwin = builtin.os.tag.isDarwin();

/// What the system puts before the name of a C symbol.
pub const prefix = if (darwin) "_" else "";

/// Symbols of this library alone. On macOS all but the first are entries of one atom, which the linker keeps in one
/// piece.
pub fn declare(comptime first: []const u8, comptime others: []const []const u8) []const u8 {
    comptime var text: []const u8 = globl(first);
    inline for (others) |name| text = text ++ globl(name) ++ if (darwin) ".alt_entry _" ++ name ++ "\n" else "";
    return text;
}

fn globl(comptime name: []const u8) []const u8 {
    // The linker would export a global symbol of a DLL's; class 3 is a static one.
    if (builtin.os.tag == .windows) return ".def " ++ name ++ "\n.scl 3\n.type 32\n.endef\n";
    const hidden = if (darwin) ".private_extern _" ++ name ++ "\n" else ".hidden " ++ name ++ "\n";
    return ".globl " ++ prefix ++ name ++ "\n" ++ hidden;
}
