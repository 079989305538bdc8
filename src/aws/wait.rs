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
                Err(error) if passes(&error) && start.elapsed() < cx.at_most(self.limit) => {
                    let state = error.code.clone();
                    self.rest(cx, start, &mut pause, &state).await.map_err(|_| error)?;
                }
                other => return other,
            }
        }
    }

    async fn rest(&self, cx: &Cx, start: Instant, pause: &mut Duration, state: &str) -> Result<()> {
        let elapsed = start.elapsed();
        if elapsed >= cx.at_most(self.limit) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Aws;
    use crate::kind::{Key, Place};
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    fn cx(timeouts: &[(&str, u64)], verb: &str) -> Cx {
        let place = Place { partition: "aws".into(), region: "us-east-1".into(), account: "123456789012".into() };
        let aws = Arc::new(Aws::new(aws_types::SdkConfig::builder().build(), place, true));
        let limits: BTreeMap<String, Duration> =
            timeouts.iter().map(|(verb, millis)| ((*verb).to_owned(), Duration::from_millis(*millis))).collect();
        Cx::new(aws, Key::default()).with_timeouts(&limits, verb)
    }

    #[tokio::test]
    async fn the_stack_file_s_limit_ends_any_wait_of_its_verb() {
        let wait = Wait::new("it to be", Duration::from_mins(5));
        let never = || async { Ok::<_, KindError>(Look::<()>::Pending("CREATING".to_owned())) };
        let error = wait.until(&cx(&[("create", 40)], "create"), never).await.unwrap_err();
        assert_eq!(error.class, Class::Timeout);
        assert!(error.message.contains("last seen CREATING"), "{}", error.message);
        let busy = || async { Err::<(), _>(KindError::new(Class::Busy, "busy")) };
        let error = wait.retry(&cx(&[("delete", 40)], "delete"), |_| true, busy).await.unwrap_err();
        assert_eq!(error.class, Class::Busy);
        assert_eq!(cx(&[("delete", 40)], "create").at_most(wait.limit), wait.limit);
    }

    #[tokio::test]
    async fn a_wait_says_what_it_waits_for_and_how_it_stands() {
        let said = Arc::new(Mutex::new(Vec::new()));
        let sink = said.clone();
        let cx = cx(&[("create", 1700)], "create")
            .with_notes(Arc::new(move |text: &str| sink.lock().unwrap().push(text.to_owned())));
        let never = || async { Ok::<_, KindError>(Look::<()>::Pending("CREATING".to_owned())) };
        Wait::new("it to be", Duration::from_mins(5)).until(&cx, never).await.unwrap_err();
        assert_eq!(said.lock().unwrap().first().map(String::as_str), Some("waiting for it to be, 1 s (CREATING)"));
    }
}
