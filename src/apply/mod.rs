//! Does what a plan says: jobs in order, many at once, one owner of the run's state.

pub mod event;
pub mod jobs;
pub mod queue;
pub mod run;
mod step;

#[cfg(test)]
mod tests;
