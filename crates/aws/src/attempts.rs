//! What is known of the attempts of one call while it is made: for the log, for the error, and for when to give up.
//!
//! The SDK makes the attempts, deep inside one future; they and the caller meet here, in a value of the task.

use std::{
    cell::RefCell,
    fmt,
    future::Future,
    time::{Duration, Instant},
};

/// The attempts of one call.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    operation: String,
    since: Instant,
    count: u32,
}

tokio::task_local! {
    static CURRENT: RefCell<Attempts>;
}

impl Attempts {
    fn new(operation: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            since: Instant::now(),
            count: 0,
        }
    }

    /// How often the request was sent.
    #[cfg(test)]
    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

/// Makes a call, and gives its attempts beside the answer.
pub(crate) async fn counted<T>(operation: &str, call: impl Future<Output = T>) -> (T, Attempts) {
    let attempts = RefCell::new(Attempts::new(operation));
    let both = async {
        let answer = call.await;
        (answer, CURRENT.with(|current| current.borrow().clone()))
    };
    CURRENT.scope(attempts, both).await
}

/// Counts one more attempt of the call under way and gives its name and number. Requests outside of any call, such as
/// those for credentials, have no name.
pub(crate) fn begin() -> (String, u32) {
    let begin = |current: &RefCell<Attempts>| {
        let mut attempts = current.borrow_mut();
        attempts.count += 1;
        (attempts.operation.clone(), attempts.count)
    };
    CURRENT.try_with(begin).unwrap_or_default()
}

/// The number of the attempt under way.
pub(crate) fn number() -> u32 {
    CURRENT.try_with(|current| current.borrow().count).unwrap_or_default()
}

impl fmt::Display for Attempts {
    /// In words, for the end of a message; nothing for a single attempt.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.count < 2 {
            return Ok(());
        }
        let took: Duration = self.since.elapsed();
        write!(
            formatter,
            "; tried {} times within {} s",
            self.count,
            took.as_secs().max(1)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_that_run_at_the_same_time_are_counted_apart() {
        let call = |times: u32| async move {
            for _ in 0..times {
                begin();
                tokio::task::yield_now().await;
            }
        };
        let (three, one) = tokio::join!(counted("acm A", call(3)), counted("acm B", call(1)));
        assert_eq!((three.1.count(), one.1.count()), (3, 1));
        assert_eq!(three.1.to_string(), "; tried 3 times within 1 s");
        assert_eq!(one.1.to_string(), "");
        assert_eq!(begin(), (String::new(), 0));
    }
}
