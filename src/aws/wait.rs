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
#[derive(Clone)]
pub struct Wait {
    /// What is waited for, such as `stream orders to become ACTIVE`.
    pub what: String,
    /// When to give up.
    pub limit: Duration,
    /// Longest pause between two looks.
    pub pause: Duration,
    /// Tells errors that mean that IAM may not have spread yet.
    not_yet: Option<fn(&KindError) -> bool>,
}

impl Wait {
    /// Waits for something with a limit and pauses of at most 5 s.
    pub fn new(what: impl Into<String>, limit: Duration) -> Self {
        Self { what: what.into(), limit, pause: Duration::from_secs(5), not_yet: None }
    }

    /// Says which errors may mean that IAM has not spread yet. They may as well be the last word: where the stack's own
    /// policies cannot allow what AWS asks for, they are not waited out.
    #[must_use]
    pub fn for_iam(mut self, not_yet: fn(&KindError) -> bool) -> Self {
        self.not_yet = Some(not_yet);
        self
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
                Err(error) if !cx.lacks().is_empty() && self.is_about_iam(&error) => return Err(refused(error, cx)),
                Err(error) if passes(&error) && start.elapsed() < cx.at_most(self.limit) => {
                    let state = error.code.clone();
                    self.rest(cx, start, &mut pause, &state).await.map_err(|_| error)?;
                }
                other => return other,
            }
        }
    }

    fn is_about_iam(&self, error: &KindError) -> bool {
        self.not_yet.is_some_and(|not_yet| not_yet(error))
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

/// Adds to AWS's refusal what the stack's own policies lack.
fn refused(error: KindError, cx: &Cx) -> KindError {
    let texts: Vec<&str> = cx.lacks().iter().map(|lack| lack.text.as_str()).collect();
    let mut helps: Vec<&str> = cx.lacks().iter().map(|lack| lack.help.as_str()).collect();
    helps.dedup();
    let said = error.message.trim_end_matches('.');
    let message = format!("{said}; the stack's own policies cannot allow it: {}", texts.join("; "));
    KindError { class: Class::Denied, message, hint: Some(helps.join("; ")), ..error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws::Aws;
    use crate::kind::{Key, Lack, Place};
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicUsize, Ordering};
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
    async fn what_the_stack_s_own_policies_cannot_allow_is_not_waited_for() {
        let calls = AtomicUsize::new(0);
        let refuse = || async {
            calls.fetch_add(1, Ordering::Relaxed);
            Err::<(), _>(KindError::new(Class::Invalid, "the role may not"))
        };
        let lack = |text: &str| Lack { text: text.to_owned(), help: "allow it".to_owned() };
        let lacks: Arc<[Lack]> = [lack("r may not a on b"), lack("r may not c on b")].into();
        let wait = Wait::new("IAM", Duration::from_mins(2)).for_iam(|error| error.class == Class::Invalid);
        let error = wait.retry(&cx(&[], "create").lacking(&lacks), |_| true, refuse).await.unwrap_err();
        assert_eq!((calls.load(Ordering::Relaxed), error.class), (1, Class::Denied));
        assert!(error.message.ends_with("cannot allow it: r may not a on b; r may not c on b"), "{}", error.message);
        assert_eq!(error.hint.as_deref(), Some("allow it"));
        let short = cx(&[("create", 40)], "create");
        assert_eq!(wait.retry(&short, |_| true, refuse).await.unwrap_err().class, Class::Invalid);
        assert!(calls.load(Ordering::Relaxed) > 2, "without a lack it is waited for");
        let other = Wait::new("something else", Duration::from_mins(2));
        assert_eq!(other.retry(&short.lacking(&lacks), |_| true, refuse).await.unwrap_err().class, Class::Invalid);
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
