//! The kind `certificate`.
