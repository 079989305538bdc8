//! What all looks of one plan share: a listing that several kinds need is asked for once.
//!
//! A memo lives as long as one look at a stack. Verbs that change something have none, so that what they wait for is
//! read afresh.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

use super::error::KindError;

type Cells = HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>;

/// Answers by what was asked.
#[derive(Default)]
pub struct Memo(Mutex<Cells>);

impl fmt::Debug for Memo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Memo")
    }
}

impl Memo {
    /// Returns the answer of the first `read` about `what`; errors are not kept.
    ///
    /// # Errors
    /// Returns the error of this `read`.
    pub async fn once<T: Send + Sync + 'static>(
        &self,
        what: &str,
        read: impl Future<Output = Result<T, KindError>>,
    ) -> Result<Arc<T>, KindError> {
        let cell = self.cell::<T>(what);
        cell.get_or_try_init(|| async { read.await.map(Arc::new) }).await.cloned()
    }

    fn cell<T: Send + Sync + 'static>(&self, what: &str) -> Arc<OnceCell<Arc<T>>> {
        let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = cells.entry((TypeId::of::<T>(), what.to_owned()));
        let cell = cell.or_insert_with(|| Arc::new(OnceCell::<Arc<T>>::new())).clone();
        // The key has the type, so another one cannot be there.
        cell.downcast().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test]
    async fn an_answer_is_asked_for_once_and_an_error_again() {
        let (memo, asked) = (Memo::default(), AtomicUsize::new(0));
        let ask = |answer: Result<usize, KindError>| async {
            asked.fetch_add(1, Ordering::Relaxed);
            answer
        };
        assert!(memo.once("a", ask(Err(KindError::invalid("no")))).await.is_err());
        let both = futures::join!(memo.once("a", ask(Ok(1))), memo.once("a", ask(Ok(2))));
        assert_eq!((*both.0.unwrap(), *both.1.unwrap()), (1, 1));
        assert_eq!(*memo.once("b", ask(Ok(3))).await.unwrap(), 3);
        assert_eq!(asked.load(Ordering::Relaxed), 3);
    }
}
