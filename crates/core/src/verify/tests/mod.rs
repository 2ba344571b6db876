//! What is asked, and what answers mean.

mod asking;
mod judging;
