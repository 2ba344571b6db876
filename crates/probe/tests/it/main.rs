//! Against real servers on loopback: what a caller sees of each kind of site, and of each kind of
//! failure.

#![expect(clippy::unwrap_used, reason = "the helpers of tests may panic as the tests do")]

mod dns;
mod http;
mod redirects;
mod support;
mod tls;
