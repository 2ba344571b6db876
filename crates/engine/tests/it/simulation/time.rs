//! Time that passes at once, and an executor for it: when nothing can go on, the clock goes to the next sleeper.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use jiff::Timestamp;

/// A clock that stands still until the executor moves it.
pub(crate) struct SimClock {
    now: Cell<Timestamp>,
    sleepers: RefCell<Vec<(Timestamp, Waker)>>,
}

impl Default for SimClock {
    fn default() -> Self {
        Self {
            now: Cell::new("2026-01-01T00:00:00Z".parse().unwrap()),
            sleepers: RefCell::default(),
        }
    }
}

impl SimClock {
    pub(crate) fn now(&self) -> Timestamp {
        self.now.get()
    }

    pub(crate) async fn sleep(&self, duration: Duration) {
        let until = self.now().checked_add(duration).unwrap();
        poll_fn(|context| {
            if self.now() >= until {
                return Poll::Ready(());
            }
            self.sleepers.borrow_mut().push((until, context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Moves on to the next sleeper; `false` if there is none.
    fn advance(&self) -> bool {
        let mut sleepers = self.sleepers.borrow_mut();
        let Some(next) = sleepers.iter().map(|(until, _)| *until).min() else {
            return false;
        };
        self.now.set(next.max(self.now()));
        sleepers.retain(|(until, waker)| {
            let sleeps = *until > next;
            if !sleeps {
                waker.wake_by_ref();
            }
            sleeps
        });
        true
    }
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `future` to its end; `None`, and the future is dropped, once `killed` says so.
pub(crate) fn run<T>(clock: &SimClock, killed: impl Fn() -> bool, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(value);
        }
        if killed() {
            return None;
        }
        if !woken.0.swap(false, Ordering::Relaxed) {
            assert!(clock.advance(), "everything waits for something that will never happen");
        }
    }
}
