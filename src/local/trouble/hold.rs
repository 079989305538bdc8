//! Calls that wait until somebody lets them go.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// The calls that wait now, by their numbers.
#[derive(Default)]
pub(super) struct Holds(Mutex<BTreeMap<u64, oneshot::Sender<()>>>);

/// Takes a call off the list when it goes on, or when its client is gone.
struct Held<'a> {
    holds: &'a Holds,
    number: u64,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.holds.lock().remove(&self.number);
    }
}

impl Holds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, oneshot::Sender<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the call is released.
    pub(super) async fn hold(&self, number: u64) {
        let (release, released) = oneshot::channel();
        self.lock().insert(number, release);
        let _held = Held { holds: self, number };
        // A sender that is dropped lets the call go as well.
        let _ = released.await;
    }

    /// Lets one call go, or all; returns which.
    pub(super) fn release(&self, number: Option<u64>) -> Vec<u64> {
        let mut held = self.lock();
        let numbers: Vec<u64> = held.keys().copied().filter(|held| number.is_none_or(|one| one == *held)).collect();
        for number in &numbers {
            held.remove(number);
        }
        numbers
    }

    /// Lists the calls that wait.
    pub(super) fn numbers(&self) -> Vec<u64> {
        self.lock().keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::time::Duration;

    #[tokio::test]
    async fn a_call_waits_until_it_is_released_or_dropped() {
        let holds = Arc::new(Holds::default());
        let waiting = Arc::clone(&holds);
        let task = tokio::spawn(async move { waiting.hold(4).await });
        while holds.numbers().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        assert!(holds.release(Some(3)).is_empty() && !task.is_finished());
        assert_eq!(holds.release(None), [4]);
        task.await.unwrap();
        let lost = tokio::time::timeout(Duration::from_millis(5), holds.hold(5)).await;
        assert!(lost.is_err() && holds.numbers().is_empty());
    }
}
