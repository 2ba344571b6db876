//! The kind `alias_record`.
