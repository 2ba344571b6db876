//! Certificates of the account: which of them may be the stack's.
