//! Polling with back-off, and retries of errors that pass by themselves.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Cx;
use crate::kind::{Class, KindError, Result};

/// The shortest pause between two looks.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// How long errors of the kind "IAM does not know it yet" are waited out (`facts/aws.md` 0.2).
pub const IAM_LIMIT: Duration = Duration::from_mins(2);

/// What a look at a changing object showed.
#[derive(Debug)]
pub enum Look<T> {
    /// It is as wanted.
    Done(T),
    /// Not yet; the state it is in, for the user.
    Pending(String),
}

/// How to wait for something.
#[derive(Debug, Clone)]
pub struct Wait {
    /// What is waited for, such as `stream orders to become ACTIVE`.
    pub what: String,
    /// When to give up.
    pub limit: Duration,
    /// Longest pause between two looks.
    pub pause: Duration,
}

impl Wait {
    /// Waits for something with a limit and pauses of at most 5 s.
    pub fn new(what: impl Into<String>, limit: Duration) -> Self {
        Self { what: what.into(), limit, pause: Duration::from_secs(5) }
    }

    /// Sets the longest pause.
    #[must_use]
    pub fn every(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Looks again and again, at growing intervals, until the look is done.
    ///
    /// # Errors
    /// Returns the look's own error, or a time-out that names the last state.
    pub async fn until<T, F>(&self, cx: &Cx, mut look: impl FnMut() -> F + Send) -> Result<T>
    where
        F: Future<Output = Result<Look<T>>> + Send,
    {
        let start = Instant::now();
        let mut pause = Duration::from_millis(25);
        loop {
            let state = match look().await? {
                Look::Done(value) => return Ok(value),
                Look::Pending(state) => state,
            };
            self.rest(cx, start, &mut pause, &state).await?;
        }
    }

    /// Repeats a call while its error is one that passes.
    ///
    /// # Errors
    /// Returns the call's own error when it is of another kind, or when the limit is over.
    pub async fn retry<T, F>(
        &self,
        cx: &Cx,
        passes: impl Fn(&KindError) -> bool + Send,
        mut call: impl FnMut() -> F + Send,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>> + Send,
    {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            match call().await {
                Err(error) if passes(&error) && start.elapsed() < self.limit => {
                    let state = error.code.clone();
                    self.rest(cx, start, &mut pause, &state).await.map_err(|_| error)?;
                }
                other => return other,
            }
        }
    }

    async fn rest(&self, cx: &Cx, start: Instant, pause: &mut Duration, state: &str) -> Result<()> {
        let elapsed = start.elapsed();
        if elapsed >= self.limit {
            let text = format!("gave up waiting for {} after {} s; last seen {state}", self.what, elapsed.as_secs());
            return Err(KindError::new(Class::Timeout, text)
                .hint("run the same command again to go on, or allow more time with `timeouts:` in the stack file"));
        }
        if elapsed >= Duration::from_secs(1) {
            cx.note(&format!("waiting for {}, {} s ({state})", self.what, elapsed.as_secs()));
        }
        sleep(*pause).await;
        *pause = (*pause * 2).min(self.pause);
        Ok(())
    }
}
