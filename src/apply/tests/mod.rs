//! The whole engine, from a stack file to what is there, on a cloud in memory.

mod bench;
mod cloud;
mod faults;
mod model;
mod order;
mod ownership;
mod pace;
mod play;
mod random;
mod waits;
