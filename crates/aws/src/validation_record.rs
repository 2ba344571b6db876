//! The kind `validation_record`.
