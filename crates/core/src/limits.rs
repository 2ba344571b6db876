//! How much of what comes from outside is read. Everything real is far below; what is above is a mistake or an attack.

/// The longest configuration. One of a hundred sites with every setting takes about a fifth of it.
pub const CONFIG_BYTES: usize = 256 * 1024;

/// The longest state. One of a hundred sites in the middle of a replacement takes about a thirtieth of it.
pub const STATE_BYTES: usize = 16 * 1024 * 1024;

/// How many mistakes of a configuration are told at once: nobody reads on, and each costs a picture of its place.
pub const CONFIG_ERRORS: usize = 50;
